//! GETMETADATA and SETMETADATA (RFC 5464), and what LIST returns of them (RFC 9590).

use super::{Outcome, Ran};
use crate::filters;
use crate::grammar::Reading;
use crate::grammar::command::{Depth, GetMetadata, SetMetadata};
use crate::response::{Writer, special_use_attribute};
use crate::session::{Login, ServerMetadata};
use store::account::SPECIAL_USE_ENTRY;
use store::metadata::{Annotation, METADATA_VALUE_OCTETS};
use store::{Account, Annotated, EntryName, MailboxName, SpecialUse, Unset};

/// What is told of the entries asked for.
struct Answer {
    /// Names and values; an entry that is not there has none.
    entries: Vec<(EntryName, Option<Vec<u8>>)>,
    /// The octets of the largest value that is larger than asked for.
    longest: Option<usize>,
}

/// Which entries are asked for.
pub struct Asked<'a> {
    /// Their names.
    pub names: &'a [EntryName],
    /// What lies below them.
    pub depth: Depth,
    /// The most octets a value may have.
    pub max_octets: Option<u32>,
}

impl Asked<'_> {
    fn includes(&self, name: &EntryName) -> bool {
        let depth = match self.depth {
            Depth::Zero => 0,
            Depth::One => 1,
            Depth::Infinity => usize::MAX,
        };
        let levels = self.names.iter().map(|asked| name.levels_below(asked));
        levels.flatten().any(|levels| levels <= depth)
    }

    /// Chooses among all there are. What is asked for by name is told in that order, and
    /// as NIL where it is not there: but below DEPTH 1 and infinity only if nothing is,
    /// so that there is a response.
    fn choose(&self, all: Vec<Annotation>) -> Answer {
        let mut answer = Answer {
            entries: Vec::new(),
            longest: None,
        };
        let fits = |value: &Vec<u8>| {
            let most = self.max_octets.and_then(|most| usize::try_from(most).ok());
            most.is_none_or(|most| value.len() <= most)
        };
        let mut further = Vec::new();
        let mut named: Vec<Option<Option<Vec<u8>>>> = vec![Some(None); self.names.len()];
        for (name, value) in all {
            if !self.includes(&name) {
                continue;
            }
            let place = self.names.iter().position(|asked| *asked == name);
            let fits = fits(&value);
            if !fits {
                answer.longest = answer.longest.max(Some(value.len()));
            }
            let slot = place.and_then(|place| named.get_mut(place));
            match slot {
                Some(slot) => *slot = fits.then_some(Some(value)),
                None if fits => further.push((name, Some(value))),
                None => {}
            }
        }
        let mut absent = Vec::new();
        for (place, value) in named.into_iter().enumerate() {
            let Some(name) = self.names.get(place) else {
                continue;
            };
            let is_first = self.names.iter().position(|other| other == name) == Some(place);
            match value {
                _ if !is_first => {}
                Some(None) if self.depth != Depth::Zero => absent.push((name.clone(), None)),
                Some(value) => answer.entries.push((name.clone(), value)),
                None => {}
            }
        }
        answer.entries.append(&mut further);
        if answer.entries.is_empty() && answer.longest.is_none() {
            answer.entries = absent;
        }
        answer
    }
}

/// GETMETADATA.
pub fn get(login: &Login, server: &ServerMetadata, command: &GetMetadata, out: &mut Writer) -> Ran {
    let account = &login.account;
    let asked = Asked {
        names: &command.entries,
        depth: command.depth,
        max_octets: command.max_octets,
    };
    let (shown, all) = if command.mailbox.is_empty() {
        let mut all = account.metadata(Annotated::Server, &login.user)?;
        server.add_to(&mut all);
        (String::new(), all)
    } else {
        let name = account.parse_name(&command.mailbox)?;
        let special_use = || account.special_use(&name);
        let all = of_mailbox(login, &name, &asked, special_use)?;
        (account.show_name(&name), all)
    };
    let answer = asked.choose(all);
    answer.write(&shown, out);
    Ok(match answer.longest {
        Some(octets) => Outcome::Ok(format!(
            "[METADATA LONGENTRIES {octets}] GETMETADATA completed"
        )),
        None => Outcome::ok("GETMETADATA completed"),
    })
}

/// Writes the METADATA response that follows a mailbox's LIST response.
pub fn write_listed(
    login: &Login,
    name: &MailboxName,
    names: &[EntryName],
    special_use: Option<SpecialUse>,
    out: &mut Writer,
) -> store::Result<()> {
    let asked = Asked {
        names,
        depth: Depth::Zero,
        max_octets: None,
    };
    let all = of_mailbox(login, name, &asked, || Ok(special_use))?;
    asked.choose(all).write(&login.account.show_name(name), out);
    Ok(())
}

/// All entries of a mailbox; its special use if it is asked for.
fn of_mailbox(
    login: &Login,
    name: &MailboxName,
    asked: &Asked<'_>,
    special_use: impl FnOnce() -> store::Result<Option<SpecialUse>>,
) -> store::Result<Vec<Annotation>> {
    let of = Annotated::Mailbox(name);
    let mut all = login.account.metadata(of, &login.user)?;
    if let Ok(entry) = EntryName::new(SPECIAL_USE_ENTRY)
        && asked.includes(&entry)
        && let Some(special_use) = special_use()?
    {
        let attribute = special_use_attribute(special_use);
        all.push((entry, attribute.as_bytes().to_vec()));
        all.sort_by(|one, other| one.0.cmp(&other.0));
    }
    Ok(all)
}

impl Answer {
    fn write(&self, mailbox: &str, out: &mut Writer) {
        if self.entries.is_empty() {
            return;
        }
        out.text("* METADATA ").mailbox(mailbox).text(" (");
        let mut space = "";
        for (name, value) in &self.entries {
            out.text(space);
            write_entry(name, out);
            out.text(" ").nstring8(value.as_deref());
            space = " ";
        }
        out.text(")").crlf();
    }
}

/// The name of an entry, an `astring`.
fn write_entry(name: &EntryName, out: &mut Writer) {
    if name.as_str().bytes().all(crate::grammar::is_atom_char) {
        out.text(name.as_str());
    } else {
        out.string(name.as_str().as_bytes());
    }
}

/// Tells that entries of a mailbox, or of the server for the empty name, were changed by
/// others (RFC 5464 section 4.4.2).
pub fn write_changed(mailbox: &str, entries: &[EntryName], out: &mut Writer) {
    out.text("* METADATA ").mailbox(mailbox);
    for name in entries {
        out.text(" ");
        write_entry(name, out);
    }
    out.crlf();
}

/// The mailboxes that have a special use, where a command gives one.
fn with_uses(account: &Account, command: &SetMetadata) -> Result<Vec<MailboxName>, Outcome> {
    let gives = |(name, value): &(EntryName, Option<Vec<u8>>)| {
        name.is(SPECIAL_USE_ENTRY) && value.is_some()
    };
    if !command.changes.iter().any(gives) {
        return Ok(Vec::new());
    }
    let entries = account.list()?.into_iter();
    let with = entries.filter(|entry| entry.special_use.is_some());
    Ok(with.map(|entry| entry.name).collect())
}

/// SETMETADATA; filters are read as `filters` says, if there are any.
pub fn set(
    login: &Login,
    command: &SetMetadata,
    filters: Option<Reading>,
    out: &mut Writer,
) -> Ran {
    let account: &Account = &login.account;
    let set = if command.mailbox.is_empty() {
        if let Some((name, _)) = command
            .changes
            .iter()
            .find(|(name, _)| ServerMetadata::is_configured(name))
        {
            return Err(Outcome::No(format!(
                "[NOPERM] {} is the administrator's to set",
                name.as_str()
            )));
        }
        if let Some(reading) = filters {
            filters::admit(&command.changes, reading)?;
        }
        account.set_metadata(Annotated::Server, &login.user, &command.changes)
    } else {
        let name = account.parse_name(&command.mailbox)?;
        let before = with_uses(account, command)?;
        let set = account.set_metadata(Annotated::Mailbox(&name), &login.user, &command.changes);
        // Whose use was taken is told (RFC 6154 section 5.4).
        if set.is_ok()
            && let Ok(after) = with_uses(account, command)
        {
            for lost in before.iter().filter(|name| !after.contains(name)) {
                out.text("* METADATA ")
                    .mailbox(&account.show_name(lost))
                    .text(" (")
                    .text(SPECIAL_USE_ENTRY)
                    .text(" NIL)")
                    .crlf();
            }
        }
        set
    };
    match set {
        Ok(()) => Ok(Outcome::ok("SETMETADATA completed")),
        Err(Unset::TooLarge) => Err(Outcome::No(format!(
            "[METADATA MAXSIZE {METADATA_VALUE_OCTETS}] The value is too large"
        ))),
        Err(Unset::TooMany) => Err(Outcome::no("[METADATA TOOMANY] There are too many entries")),
        Err(Unset::ReadOnly) => Err(Outcome::no("[CANNOT] The entry cannot be set here")),
        Err(Unset::NoSuchUse) => Err(Outcome::no("[USEATTR] The special use cannot be given")),
        Err(Unset::Failed(error)) => Err(error.into()),
    }
}

impl ServerMetadata {
    /// Whether an entry of the server is the configuration's, set or not.
    fn is_configured(name: &EntryName) -> bool {
        name.is("/shared/comment") || name.is("/shared/admin")
    }

    fn add_to(&self, all: &mut Vec<Annotation>) {
        for (name, value) in [
            ("/shared/comment", &self.comment),
            ("/shared/admin", &self.admin),
        ] {
            if let (Ok(name), Some(value)) = (EntryName::new(name), value) {
                all.push((name, value.clone().into_bytes()));
            }
        }
        all.sort_by(|one, other| one.0.cmp(&other.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(asked: &str, depth: Depth, max_octets: Option<u32>) -> (String, Option<usize>) {
        let entry = |text: &str| EntryName::new(text).expect("a name");
        let all = [
            ("/private/a", "one"),
            ("/private/a/b", "three"),
            ("/private/a/b/c", "seventh"),
            ("/private/ab", "x"),
        ];
        let all = all.map(|(name, value)| (entry(name), value.as_bytes().to_vec()));
        let names: Vec<EntryName> = asked
            .split(' ')
            .map(|text| EntryName::asked(text).expect("a name"))
            .collect();
        let asked = Asked {
            names: &names,
            depth,
            max_octets,
        };
        let answer = asked.choose(all.to_vec());
        let mut out = Writer::new();
        answer.write("x", &mut out);
        let text = String::from_utf8(out.into_octets()).expect("ASCII");
        let text = text.trim_start_matches("* METADATA x ").trim_end();
        (text.to_owned(), answer.longest)
    }

    #[test]
    fn depth_and_size_choose() {
        let told = |asked, depth, most| told(asked, depth, most);
        assert_eq!(
            told("/Private/A /private/x", Depth::Zero, None),
            ("(/Private/A \"one\" /private/x NIL)".to_owned(), None)
        );
        assert_eq!(
            told("/private/a", Depth::One, None).0,
            "(/private/a \"one\" /private/a/b \"three\")"
        );
        assert_eq!(
            told("/private", Depth::One, None).0,
            "(/private/a \"one\" /private/ab \"x\")"
        );
        assert_eq!(
            told("/private/a/b", Depth::Infinity, Some(6)),
            ("(/private/a/b \"three\")".to_owned(), Some(7))
        );
        assert_eq!(
            told("/private/a/b/c", Depth::Zero, Some(6)),
            (String::new(), Some(7))
        );
        assert_eq!(
            told("/private/z", Depth::Infinity, None).0,
            "(/private/z NIL)"
        );
        assert_eq!(
            told("/private/a /private/a", Depth::Zero, None).0,
            "(/private/a \"one\")"
        );
    }
}
