//! LIST (RFC 3501 section 6.3.8, RFC 5258, 5819, 6154) and LSUB.

use super::{Outcome, Ran, metadata};
use crate::capability::{Capabilities, Capability};
use crate::dialect::Revision;
use crate::grammar::command::{List, ListReturn, ListSelect};
use crate::response::{ChildInfo, ListResponse, Writer, special_use_attribute};
use crate::session::Login;
use std::collections::BTreeSet;
use store::{Account, ListEntry, MailboxName};

/// How many steps matching one command's patterns may take.
const PATTERN_CHARACTERS: usize = 4096;

/// A pattern with `%` and `*`.
struct Pattern {
    characters: Vec<char>,
    delimiter: char,
}

impl Pattern {
    fn new(reference: &str, pattern: &str, delimiter: char) -> Self {
        let mut characters: Vec<char> = reference.chars().chain(pattern.chars()).collect();
        // INBOX has no case, alone or leading.
        let leads = characters.len() == 5
            || matches!(characters.get(5), Some(next) if *next == delimiter || matches!(next, '*' | '%'));
        if let Some(first) = characters.get_mut(..5)
            && leads
            && first
                .iter()
                .collect::<String>()
                .eq_ignore_ascii_case("INBOX")
        {
            for character in first {
                character.make_ascii_uppercase();
            }
        }
        Self {
            characters,
            delimiter,
        }
    }

    fn matches(&self, name: &MailboxName, shown: &str) -> bool {
        self.match_text(shown, char::eq)
            || (name.is_inbox() && self.match_text(shown, char::eq_ignore_ascii_case))
    }

    /// Follows all ways through the pattern at once: time is the product of both
    /// lengths, whatever the pattern.
    fn match_text(&self, text: &str, same: impl Fn(&char, &char) -> bool) -> bool {
        let count = self.characters.len();
        let mut at = vec![false; count + 1];
        let mut next = vec![false; count + 1];
        set(&mut at, 0);
        self.skip_wildcards(&mut at);
        for character in text.chars() {
            next.fill(false);
            for (position, wanted) in self.characters.iter().enumerate() {
                if !at.get(position).copied().unwrap_or_default() {
                    continue;
                }
                match wanted {
                    '*' => set(&mut next, position),
                    '%' if character != self.delimiter => set(&mut next, position),
                    '%' => {}
                    wanted if same(wanted, &character) => set(&mut next, position + 1),
                    _ => {}
                }
            }
            self.skip_wildcards(&mut next);
            std::mem::swap(&mut at, &mut next);
        }
        at.last().copied().unwrap_or_default()
    }

    fn skip_wildcards(&self, at: &mut [bool]) {
        for (position, wanted) in self.characters.iter().enumerate() {
            if matches!(wanted, '*' | '%') && at.get(position).copied().unwrap_or_default() {
                set(at, position + 1);
            }
        }
    }
}

fn set(places: &mut [bool], position: usize) {
    if let Some(place) = places.get_mut(position) {
        *place = true;
    }
}

/// What of the attributes is to be shown.
struct Shown {
    /// The command has what RFC 3501 does not know.
    extended: bool,
    subscribed: bool,
    children: bool,
    special_use: bool,
}

/// LIST.
pub fn list(
    (login, append_limit_octets): (&Login, u64),
    list: &List,
    on: Capabilities,
    out: &mut Writer,
) -> Ran {
    let account: &Account = &login.account;
    let delimiter = account.layout().delimiter;
    let asked = |option| list.select.contains(&option);
    let plain = list.select.is_empty() && list.returns.is_none();
    if plain
        && let [pattern] = list.patterns.as_slice()
        && pattern.is_empty()
    {
        out.list(
            ListResponse::List,
            &["\\Noselect"],
            Some(delimiter),
            "",
            ChildInfo::Absent,
        );
        return Ok(Outcome::ok("LIST completed"));
    }
    let recursive = asked(ListSelect::RecursiveMatch);
    let only_subscribed = asked(ListSelect::Subscribed);
    if recursive && !only_subscribed && !asked(ListSelect::SpecialUse) {
        return Err(Outcome::bad(
            "RECURSIVEMATCH needs another selection option",
        ));
    }
    let patterns = patterns(&list.reference, &list.patterns, delimiter);
    let returns = list.returns.as_deref().unwrap_or_default();
    let shown = Shown {
        extended: !plain || list.patterns.len() > 1,
        subscribed: only_subscribed || returns.contains(&ListReturn::Subscribed),
        // RFC 3348 and RFC 6154: both are told unasked too.
        children: on.has(Capability::Children) || returns.contains(&ListReturn::Children),
        special_use: asked(ListSelect::SpecialUse)
            || returns.contains(&ListReturn::SpecialUse)
            || list.returns.is_none() && on.has(Capability::SpecialUse),
    };
    let status = returns.iter().find_map(|option| match option {
        ListReturn::Status(items) => Some(items.as_slice()),
        _ => None,
    });
    let entries_asked = returns.iter().find_map(|option| match option {
        ListReturn::Metadata(names) => Some(names.as_slice()),
        _ => None,
    });
    let entries = account.list()?;
    let selects = |entry: &ListEntry| {
        (!only_subscribed || entry.subscribed)
            && (only_subscribed || entry.exists || entry.has_children)
            && (!asked(ListSelect::SpecialUse) || entry.special_use.is_some())
    };
    let matches = |name: &MailboxName| {
        let shown = account.show_name(name);
        patterns.iter().any(|pattern| pattern.matches(name, &shown))
    };
    // What is above selected mailboxes; and above those that are not told themselves,
    // for nothing else needs a parent told (RFC 5258 section 3.5).
    let (mut parents, mut needed) = (BTreeSet::new(), BTreeSet::new());
    if recursive {
        let selected = || entries.iter().filter(|entry| selects(entry));
        parents = ancestors(selected());
        needed = ancestors(selected().filter(|entry| !matches(&entry.name)));
    }
    let known: BTreeSet<&MailboxName> = entries.iter().map(|entry| &entry.name).collect();
    let missing: Vec<ListEntry> = needed
        .iter()
        .filter(|name| !known.contains(name))
        .map(|name| ListEntry {
            name: name.clone(),
            exists: false,
            selectable: false,
            has_children: false,
            subscribed: false,
            special_use: None,
        })
        .collect();
    for entry in entries.iter().chain(&missing) {
        let is_selected = selects(entry);
        let is_wanted = is_selected || needed.contains(&entry.name);
        if !is_wanted || !matches(&entry.name) {
            continue;
        }
        let name = account.show_name(&entry.name);
        let child_info = if only_subscribed && parents.contains(&entry.name) {
            ChildInfo::Subscribed
        } else {
            ChildInfo::Absent
        };
        out.list(
            ListResponse::List,
            &attributes(entry, &shown),
            Some(delimiter),
            &name,
            child_info,
        );
        // Who is told for what is below it only has neither (RFC 5819 section 2, RFC 9590
        // section 3).
        if !is_selected || !entry.selectable {
            continue;
        }
        if let Some(items) = status
            && let Ok(status) = account.status(&entry.name)
        {
            out.status(&name, (&status, append_limit_octets), items);
        }
        if let Some(names) = entries_asked
            && let Err(error) =
                metadata::write_listed(login, &entry.name, names, entry.special_use, out)
        {
            // RFC 9590 section 3: one that cannot be read is left out.
            tracing::warn!(mailbox = name, %error, "metadata cannot be read");
        }
    }
    Ok(Outcome::ok("LIST completed"))
}

/// Tells a client of IMAP4rev2 what became of a name that it wrote otherwise (RFC 9051
/// sections 6.3.4 to 6.3.6, 6.3.9.7 and 6.3.12).
pub fn write_normalised(
    account: &Account,
    name: &MailboxName,
    supplied: Option<&str>,
    out: &mut Writer,
) -> Result<(), Outcome> {
    match (supplied, out.dialect().revision) {
        (Some(supplied), Revision::Rev2) => write_one(account, name, supplied, out),
        (None, _) | (_, Revision::Rev1) => Ok(()),
    }
}

/// Tells of one mailbox, which may be there no more, with the name the client called it by
/// if that is another (RFC 9051 sections 6.3.2 and 6.3.9.7).
pub fn write_one(
    account: &Account,
    name: &MailboxName,
    supplied: &str,
    out: &mut Writer,
) -> Result<(), Outcome> {
    let entries = account.list()?;
    let entry = entries.iter().find(|entry| entry.name == *name);
    let shown = Shown {
        extended: true,
        subscribed: true,
        children: true,
        special_use: true,
    };
    let (delimiter, name) = (account.layout().delimiter, account.show_name(name));
    let old_name = Some(supplied).filter(|supplied| *supplied != name);
    let attributes = match entry {
        Some(entry) => attributes(entry, &shown),
        None => vec!["\\NonExistent"],
    };
    out.list_renamed(&attributes, delimiter, &name, old_name);
    Ok(())
}

/// A LIST response that nobody asked for (RFC 5465 sections 5.4 and 5.5), with all that
/// can be told.
pub fn write_entry(
    account: &Account,
    entry: &ListEntry,
    old_name: Option<&MailboxName>,
    out: &mut Writer,
) {
    let shown = Shown {
        extended: true,
        children: true,
        subscribed: true,
        special_use: true,
    };
    let attributes = attributes(entry, &shown);
    let (delimiter, name) = (account.layout().delimiter, account.show_name(&entry.name));
    let old_name = old_name.map(|old| account.show_name(old));
    out.list_renamed(&attributes, delimiter, &name, old_name.as_deref());
}

/// Whether a mailbox can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It can again.
    Granted,
    /// It cannot.
    Denied,
}

/// A LIST response of a mailbox that can no longer be read, or can again (RFC 5465 section
/// 5.9).
pub fn write_access(account: &Account, name: &MailboxName, access: Access, out: &mut Writer) {
    let attributes: &[&str] = match access {
        Access::Granted => &[],
        Access::Denied => &["\\NoAccess"],
    };
    let (delimiter, name) = (account.layout().delimiter, account.show_name(name));
    out.list_renamed(attributes, delimiter, &name, None);
}

fn attributes(entry: &ListEntry, shown: &Shown) -> Vec<&'static str> {
    let mut attributes = Vec::new();
    if !entry.selectable {
        // RFC 5258 section 3.5: a parent that is but a name does not exist; who does
        // not know the attribute is told what it implies.
        let exists = entry.has_children && !shown.extended;
        attributes.push(if exists {
            "\\Noselect"
        } else {
            "\\NonExistent"
        });
    }
    if shown.children {
        attributes.push(if entry.has_children {
            "\\HasChildren"
        } else {
            "\\HasNoChildren"
        });
    }
    if shown.subscribed && entry.subscribed {
        attributes.push("\\Subscribed");
    }
    if shown.special_use
        && let Some(special_use) = entry.special_use
    {
        attributes.push(special_use_attribute(special_use));
    }
    attributes
}

/// What is to be matched; nothing if it would take too long: a pattern that is not accepted
/// matches nothing (RFC 5258 section 3, RFC 9051 section 6.3.9).
fn patterns(reference: &str, patterns: &[String], delimiter: char) -> Vec<Pattern> {
    let patterns: Vec<Pattern> = patterns
        .iter()
        .map(|pattern| Pattern::new(reference, pattern, delimiter))
        .collect();
    let characters: usize = patterns
        .iter()
        .map(|pattern| pattern.characters.len())
        .sum();
    match characters {
        0..=PATTERN_CHARACTERS => patterns,
        _ => Vec::new(),
    }
}

/// The names above these entries.
fn ancestors<'a>(entries: impl Iterator<Item = &'a ListEntry>) -> BTreeSet<MailboxName> {
    let mut names = BTreeSet::new();
    for entry in entries {
        let mut parent = entry.name.parent();
        while let Some(name) = parent {
            parent = name.parent();
            names.insert(name);
        }
    }
    names
}

/// LSUB (RFC 3501 section 6.3.9): with `%`, a name that is only above
/// subscribed ones is told as \Noselect.
pub fn lsub(account: &Account, reference: &str, pattern: &str, out: &mut Writer) -> Ran {
    let delimiter = account.layout().delimiter;
    if pattern.is_empty() {
        let attributes = ["\\Noselect"];
        out.list(
            ListResponse::Lsub,
            &attributes,
            Some(delimiter),
            "",
            ChildInfo::Absent,
        );
        return Ok(Outcome::ok("LSUB completed"));
    }
    let patterns = patterns(reference, &[pattern.to_owned()], delimiter);
    let entries = account.list()?;
    let subscribed: Vec<&ListEntry> = entries.iter().filter(|entry| entry.subscribed).collect();
    let parents = if pattern.contains('%') {
        ancestors(subscribed.iter().copied())
    } else {
        BTreeSet::new()
    };
    let mut names: BTreeSet<&MailboxName> = parents.iter().collect();
    names.extend(subscribed.iter().map(|entry| &entry.name));
    let known: BTreeSet<&MailboxName> = subscribed.iter().map(|entry| &entry.name).collect();
    for name in names {
        let shown = account.show_name(name);
        if !patterns.iter().any(|pattern| pattern.matches(name, &shown)) {
            continue;
        }
        let attributes: &[&str] = if known.contains(name) {
            &[]
        } else {
            &["\\Noselect"]
        };
        out.list(
            ListResponse::Lsub,
            attributes,
            Some(delimiter),
            &shown,
            ChildInfo::Absent,
        );
    }
    Ok(Outcome::ok("LSUB completed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new("", pattern, '/').match_text(text, char::eq)
    }

    #[test]
    fn wildcards() {
        assert!(matches("*", "a/b") && matches("%", "a") && !matches("%", "a/b"));
        assert!(matches("a/%", "a/b") && !matches("a/%", "a") && !matches("a/%", "a/b/c"));
        assert!(matches("%/%", "a/b") && matches("*c", "a/b/c") && !matches("*c", "a/b"));
        assert!(matches("inbox*", "INBOX/x") && !matches("inboxes", "INBOXes"));
        assert!(Pattern::new("", "%nbox", '/').matches(&MailboxName::inbox(), "INBOX"));
        let hostile = "*a".repeat(200);
        assert!(!matches(&hostile, &"a".repeat(190)));
    }
}
