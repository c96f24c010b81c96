//! One whole command (RFC 3501 section 9, `command`).

use super::command::{
    Command, Condstore, List, ListReturn, ListSelect, Numbers, Qresync, Select, Silent, StatusItem,
    Store, Tagged, UidBatches,
};
use super::cursor::{self, Cursor, Fault, Parsed};
use super::reading::{Names, Reading};
use super::search::{self, SearchFault};
use super::{append, fetch, metadata, notify};
use crate::dialect::Revision;
use std::borrow::Cow;
use std::sync::Arc;
use store::{FlagAction, Flags, Keyword, SpecialUse};
use wire::Secret;

/// How many items a parenthesized list may have.
const ITEMS: usize = 1000;

/// A command that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// The tag, if it could be read.
    pub tag: Option<String>,
    /// How to answer.
    pub reply: Reply,
}

/// How a malformed command is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// BAD with this text.
    Bad(Cow<'static, str>),
    /// NO with `[BADCHARSET (...)]`.
    BadCharset(Saved),
    /// NO with `[USEATTR]` (RFC 6154 section 3) and this text.
    UseAttribute(&'static str),
}

/// What becomes of the saved search result (RFC 5182 section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// It stays.
    Kept,
    /// The refused command was to save one: now it is empty.
    Emptied,
}

impl Reply {
    /// The reply without its tag: condition, code and text.
    pub fn text(&self) -> String {
        match self {
            Self::Bad(text) => format!("BAD {text}"),
            Self::BadCharset(_) => {
                "NO [BADCHARSET (US-ASCII UTF-8)] Unknown charset, or text not in it".to_owned()
            }
            Self::UseAttribute(text) => format!("NO [USEATTR] {text}"),
        }
    }
}

/// What went wrong after the tag.
enum Failed {
    Syntax(Fault),
    Other(Reply),
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self::Syntax(fault)
    }
}

impl From<SearchFault> for Failed {
    fn from(fault: SearchFault) -> Self {
        match fault {
            SearchFault::Syntax(fault) => Self::Syntax(fault),
            SearchFault::BadCharset(saved) => Self::Other(Reply::BadCharset(saved)),
        }
    }
}

/// Reads a command of a client that enabled nothing, as [`super::CommandBuffer`] gives it.
pub fn parse(command: &[u8]) -> Result<Tagged, Malformed> {
    parse_as(command, Reading::default())
}

/// Reads a command as [`super::CommandBuffer`] gives it.
pub fn parse_as(command: &[u8], reading: Reading) -> Result<Tagged, Malformed> {
    let mut cursor = Cursor::reading(command, reading);
    let tag = cursor.take_while(cursor::is_tag_char);
    if tag.is_empty() || !matches!(cursor.peek(), None | Some(b' ')) {
        return Err(Malformed {
            tag: None,
            reply: Reply::Bad("Invalid tag".into()),
        });
    }
    let tag = String::from_utf8_lossy(tag).into_owned();
    match after_tag(&mut cursor) {
        Ok(command) => Ok(Tagged { tag, command }),
        Err(failed) => Err(Malformed {
            tag: Some(tag),
            reply: match failed {
                Failed::Syntax(fault) => Reply::Bad(fault),
                Failed::Other(reply) => reply,
            },
        }),
    }
}

/// Whether the literal that a command announces at its end is an argument of it, not a
/// message.
pub(super) fn announces_argument(command: &[u8]) -> bool {
    // Whatever names may be in.
    let reading = Reading {
        names: Names::Utf8,
        ..Reading::default()
    };
    match parse_as(command, reading) {
        Err(Malformed {
            reply: Reply::Bad(fault),
            ..
        }) => fault == cursor::INCOMPLETE,
        _ => false,
    }
}

fn after_tag(cursor: &mut Cursor<'_>) -> Result<Command, Failed> {
    cursor.space().map_err(|_| Fault::from("Missing command"))?;
    let name = cursor.word().map_err(|_| Fault::from("Missing command"))?;
    let command = match name.as_str() {
        "CAPABILITY" => Command::Capability,
        "NOOP" => Command::Noop,
        "LOGOUT" => Command::Logout,
        "STARTTLS" => Command::Starttls,
        "NAMESPACE" => Command::Namespace,
        "UNAUTHENTICATE" => Command::Unauthenticate,
        "COMPRESS" => {
            cursor.space()?;
            Command::Compress(cursor.word()?)
        }
        "IDLE" => Command::Idle,
        "CHECK" => Command::Check,
        "CLOSE" => Command::Close,
        "UNSELECT" => Command::Unselect,
        "EXPUNGE" => Command::Expunge,
        "ID" => id(cursor)?,
        "AUTHENTICATE" => authenticate(cursor)?,
        "LOGIN" => {
            cursor.space()?;
            let user = cursor.astring()?;
            cursor.space()?;
            let password = Secret::new(cursor.astring()?);
            Command::Login { user, password }
        }
        "ENABLE" => enable(cursor)?,
        "SELECT" => Command::Select(select(cursor)?),
        "EXAMINE" => Command::Examine(select(cursor)?),
        "CREATE" => create(cursor)?,
        "DELETE" => Command::Delete(mailbox(cursor)?),
        "RENAME" => Command::Rename {
            from: mailbox(cursor)?,
            to: mailbox(cursor)?,
        },
        "SUBSCRIBE" => Command::Subscribe(mailbox(cursor)?),
        "UNSUBSCRIBE" => Command::Unsubscribe(mailbox(cursor)?),
        "LIST" => list(cursor)?,
        "LSUB" => Command::Lsub {
            reference: mailbox(cursor)?,
            pattern: {
                cursor.space()?;
                pattern(cursor)?
            },
        },
        "STATUS" => {
            let mailbox = mailbox(cursor)?;
            cursor.space()?;
            let items = status_items(cursor)?;
            Command::Status { mailbox, items }
        }
        "NOTIFY" => notify::arguments(cursor)?,
        "GETMETADATA" => metadata::get(cursor)?,
        "SETMETADATA" => metadata::set(cursor)?,
        "APPEND" => append::append(cursor)?,
        "CANCELUPDATE" => Command::CancelUpdate(match words(cursor)? {
            tags if tags.is_empty() => return Err(Failed::Syntax("Missing argument".into())),
            tags => tags,
        }),
        "LANGUAGE" => Command::Language(words(cursor)?),
        "COMPARATOR" => Command::Comparator(words(cursor)?),
        "UIDBATCHES" => uid_batches(cursor)?,
        "UID" => {
            cursor.space()?;
            let name = cursor.word()?;
            if name == "EXPUNGE" {
                cursor.space()?;
                Command::UidExpunge(cursor.sequence_set()?)
            } else {
                on_messages(&name, cursor, Numbers::Uid)?
            }
        }
        name => on_messages(name, cursor, Numbers::Sequence)?,
    };
    cursor.end()?;
    Ok(command)
}

/// The commands that UID may precede.
fn on_messages(name: &str, cursor: &mut Cursor<'_>, numbers: Numbers) -> Result<Command, Failed> {
    Ok(match name {
        "FETCH" => Command::Fetch(fetch::arguments(cursor, numbers)?),
        "STORE" => Command::Store(store(cursor, numbers)?),
        "REPLACE" => Command::Replace(append::replace(cursor, numbers)?),
        "SEARCH" => Command::Search(search::arguments(cursor, numbers)?),
        // The example of RFC 7377 section 2 has UID before it.
        "ESEARCH" => Command::Esearch(search::esearch_arguments(cursor)?),
        "SORT" => Command::Sort(search::sort_arguments(cursor, numbers)?),
        "THREAD" => Command::Thread(search::thread_arguments(cursor, numbers)?),
        "COPY" | "MOVE" => {
            cursor.space()?;
            let set = cursor.sequence_set()?;
            let mailbox = mailbox(cursor)?;
            if name == "COPY" {
                Command::Copy {
                    set,
                    numbers,
                    mailbox,
                }
            } else {
                Command::Move {
                    set,
                    numbers,
                    mailbox,
                }
            }
        }
        _ => return Err(Failed::Syntax("Unknown command".into())),
    })
}

/// A space and a mailbox name.
pub(super) fn mailbox(cursor: &mut Cursor<'_>) -> Parsed<String> {
    cursor.space()?;
    let octets = cursor.astring()?;
    cursor.how().names.decode(&octets)
}

/// `list-mailbox`.
fn pattern(cursor: &mut Cursor<'_>) -> Parsed<String> {
    let octets = match cursor.peek() {
        Some(b'"' | b'{') => cursor.string()?,
        _ => {
            let atom = cursor.take_while(cursor::is_list_char);
            if atom.is_empty() {
                return Err("A mailbox pattern was expected".into());
            }
            atom.to_vec()
        }
    };
    cursor.how().names.decode(&octets)
}

/// `(` items, spaces between them, `)`.
pub(super) fn parenthesized<T>(
    cursor: &mut Cursor<'_>,
    mut item: impl FnMut(&mut Cursor<'_>) -> Parsed<T>,
) -> Parsed<Vec<T>> {
    cursor.expect(b'(', "A ( was expected")?;
    cursor.skip_spaces();
    let mut items = Vec::new();
    while !cursor.eat(b')') {
        if items.len() >= ITEMS {
            return Err("A list is too long".into());
        }
        items.push(item(cursor)?);
        if cursor.peek() != Some(b')') {
            cursor.expect(b' ', "A ) is missing")?;
            cursor.skip_spaces();
        }
    }
    Ok(items)
}

fn id(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    /// RFC 2971 section 3.3: no more pairs than this.
    const PAIRS: usize = 30;
    cursor.space()?;
    if cursor.peek() != Some(b'(') {
        return if cursor.eat_word("NIL") {
            Ok(Command::Id(Vec::new()))
        } else {
            Err("ID takes a list or NIL".into())
        };
    }
    let pairs = parenthesized(cursor, |cursor| {
        let field = cursor.string()?;
        cursor.space()?;
        Ok((field, cursor.nstring()?))
    })?;
    if pairs.len() > PAIRS {
        return Err("ID has too many fields".into());
    }
    Ok(Command::Id(pairs))
}

fn authenticate(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    cursor.space()?;
    let mechanism = cursor.word()?;
    cursor_initial(cursor).map(|initial| Command::Authenticate { mechanism, initial })
}

fn cursor_initial(cursor: &mut Cursor<'_>) -> Parsed<Option<Vec<u8>>> {
    cursor.skip_spaces();
    if cursor.is_at_end() {
        return Ok(None);
    }
    let initial = cursor
        .take_while(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'='));
    if initial.is_empty() {
        return Err("The initial response is not base64".into());
    }
    Ok(Some(initial.to_vec()))
}

fn enable(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let mut names = Vec::new();
    loop {
        cursor.space()?;
        names.push(cursor.word()?);
        let mut ahead = cursor.clone();
        ahead.skip_spaces();
        if ahead.is_at_end() {
            return Ok(Command::Enable(names));
        }
        if names.len() >= ITEMS {
            return Err("A list is too long".into());
        }
    }
}

/// `*(SP astring)`, up to the end: tags (RFC 5267 section 5), language ranges and
/// comparators (RFC 5255 sections 3.5 and 4.10).
fn words(cursor: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    let mut words = Vec::new();
    loop {
        let mut ahead = cursor.clone();
        ahead.skip_spaces();
        if ahead.is_at_end() {
            return Ok(words);
        }
        if words.len() >= ITEMS {
            return Err("A list is too long".into());
        }
        cursor.space()?;
        let word = String::from_utf8(cursor.astring()?);
        words.push(word.map_err(|_| "A string is not UTF-8")?);
    }
}

fn select(cursor: &mut Cursor<'_>) -> Parsed<Select> {
    let mailbox = mailbox(cursor)?;
    let mut select = Select {
        mailbox,
        condstore: Condstore::Absent,
        qresync: None,
    };
    cursor.skip_spaces();
    if cursor.is_at_end() {
        return Ok(select);
    }
    parenthesized(cursor, |cursor| {
        match cursor.word()?.as_str() {
            "CONDSTORE" => select.condstore = Condstore::Asked,
            "QRESYNC" => {
                cursor.space()?;
                select.qresync = Some(qresync(cursor)?);
            }
            _ => return Err("Unknown SELECT parameter".into()),
        }
        Ok(())
    })?;
    Ok(select)
}

fn qresync(cursor: &mut Cursor<'_>) -> Parsed<Qresync> {
    cursor.expect(b'(', "A ( was expected")?;
    let uid_validity = cursor.nz_number()?;
    cursor.space()?;
    let modseq = cursor.number64()?;
    let mut qresync = Qresync {
        uid_validity,
        modseq,
        known_uids: None,
        sequence_match: Vec::new(),
    };
    cursor.skip_spaces();
    if matches!(cursor.peek(), Some(b'0'..=b'9')) {
        qresync.known_uids = Some(known_set(cursor)?);
        cursor.skip_spaces();
    }
    if cursor.eat(b'(') {
        let sequences = known_set(cursor)?;
        cursor.space()?;
        let uids = known_set(cursor)?;
        cursor.expect(b')', "A ) is missing")?;
        cursor.skip_spaces();
        qresync.sequence_match = super::sequence::pairs(&sequences, &uids)
            .ok_or("The sequence numbers and UIDs do not pair")?;
    }
    cursor.expect(b')', "A ) is missing")?;
    Ok(qresync)
}

/// A set without `*` and `$`.
fn known_set(cursor: &mut Cursor<'_>) -> Parsed<super::SequenceSet> {
    let set = cursor.sequence_set()?;
    if set.has_star() || set == super::SequenceSet::Saved {
        return Err("* and $ are not allowed here".into());
    }
    Ok(set)
}

fn create(cursor: &mut Cursor<'_>) -> Result<Command, Failed> {
    let mailbox = mailbox(cursor)?;
    let mut uses = Vec::new();
    cursor.skip_spaces();
    if !cursor.is_at_end() {
        parenthesized(cursor, |cursor| {
            if cursor.word()? != "USE" {
                return Err("Unknown CREATE parameter".into());
            }
            cursor.space()?;
            uses = parenthesized(cursor, |cursor| {
                cursor.expect(b'\\', "A special use was expected")?;
                cursor.word()
            })?;
            Ok(())
        })?;
    }
    let special_use = match uses.as_slice() {
        [] => None,
        [name] => Some(special_use(name)?),
        _ => {
            return Err(Failed::Other(Reply::UseAttribute(
                "A mailbox can have one special use only",
            )));
        }
    };
    Ok(Command::Create {
        mailbox,
        special_use,
    })
}

/// A use a mailbox can be given. \All is none: it would have to show every message.
fn special_use(name: &str) -> Result<SpecialUse, Failed> {
    Ok(match name {
        "ARCHIVE" => SpecialUse::Archive,
        "DRAFTS" => SpecialUse::Drafts,
        "JUNK" => SpecialUse::Junk,
        "SENT" => SpecialUse::Sent,
        "TRASH" => SpecialUse::Trash,
        "FLAGGED" => SpecialUse::Flagged,
        "IMPORTANT" => SpecialUse::Important,
        _ => {
            return Err(Failed::Other(Reply::UseAttribute(
                "The special use cannot be given",
            )));
        }
    })
}

fn list(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    cursor.space()?;
    let mut select = Vec::new();
    if cursor.peek() == Some(b'(') {
        select = parenthesized(cursor, |cursor| {
            Ok(match cursor.word()?.as_str() {
                "SUBSCRIBED" => ListSelect::Subscribed,
                "REMOTE" => ListSelect::Remote,
                "RECURSIVEMATCH" => ListSelect::RecursiveMatch,
                "SPECIAL-USE" => ListSelect::SpecialUse,
                _ => return Err("Unknown LIST selection option".into()),
            })
        })?;
        // RFC 5258 section 3.1: there must be something to match recursively.
        if select.contains(&ListSelect::RecursiveMatch)
            && !select
                .iter()
                .any(|option| matches!(option, ListSelect::Subscribed | ListSelect::SpecialUse))
        {
            return Err("RECURSIVEMATCH needs another selection option".into());
        }
        cursor.space()?;
    }
    let reference = cursor.astring()?;
    let reference = cursor.how().names.decode(&reference)?;
    cursor.space()?;
    let patterns = if cursor.peek() == Some(b'(') {
        parenthesized(cursor, pattern)?
    } else {
        vec![pattern(cursor)?]
    };
    if patterns.is_empty() {
        return Err("A mailbox pattern was expected".into());
    }
    cursor.skip_spaces();
    let mut returns = None;
    if !cursor.is_at_end() {
        if !cursor.eat_word("RETURN") {
            return Err("Unexpected text after the command's arguments".into());
        }
        cursor.space()?;
        returns = Some(parenthesized(cursor, list_return)?);
    }
    Ok(Command::List(List {
        select,
        reference,
        patterns,
        returns,
    }))
}

fn list_return(cursor: &mut Cursor<'_>) -> Parsed<ListReturn> {
    Ok(match cursor.word()?.as_str() {
        "SUBSCRIBED" => ListReturn::Subscribed,
        "CHILDREN" => ListReturn::Children,
        "SPECIAL-USE" => ListReturn::SpecialUse,
        "STATUS" => {
            cursor.space()?;
            ListReturn::Status(status_items(cursor)?)
        }
        "METADATA" => {
            cursor.space()?;
            ListReturn::Metadata(metadata::entries(cursor)?)
        }
        _ => return Err("Unknown LIST return option".into()),
    })
}

fn status_items(cursor: &mut Cursor<'_>) -> Parsed<Vec<StatusItem>> {
    let items = parenthesized(cursor, |cursor| {
        Ok(match cursor.word()?.as_str() {
            "MESSAGES" => StatusItem::Messages,
            // RFC 9051 has no \Recent.
            "RECENT" if cursor.how().revision == Revision::Rev1 => StatusItem::Recent,
            "UIDNEXT" => StatusItem::UidNext,
            "UIDVALIDITY" => StatusItem::UidValidity,
            "UNSEEN" => StatusItem::Unseen,
            "HIGHESTMODSEQ" => StatusItem::HighestModSeq,
            "SIZE" => StatusItem::Size,
            "DELETED" => StatusItem::Deleted,
            "MAILBOXID" => StatusItem::MailboxId,
            "APPENDLIMIT" => StatusItem::AppendLimit,
            _ => return Err("Unknown STATUS item".into()),
        })
    })?;
    if items.is_empty() {
        return Err("STATUS needs an item".into());
    }
    Ok(items)
}

/// `message-batches` (RFC 10022 section 4).
fn uid_batches(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    cursor.space()?;
    let size = cursor.nz_number()?;
    cursor.skip_spaces();
    let mut range = None;
    if !cursor.is_at_end() {
        let first = cursor.nz_number()?;
        cursor.expect(b':', "A batch range was expected")?;
        range = Some((first, cursor.nz_number()?));
    }
    Ok(Command::UidBatches(UidBatches { size, range }))
}

fn store(cursor: &mut Cursor<'_>, numbers: Numbers) -> Parsed<Store> {
    cursor.space()?;
    let set = cursor.sequence_set()?;
    cursor.space()?;
    let mut unchanged_since = None;
    if cursor.peek() == Some(b'(') {
        parenthesized(cursor, |cursor| {
            if cursor.word()? != "UNCHANGEDSINCE" {
                return Err("Unknown STORE modifier".into());
            }
            cursor.space()?;
            unchanged_since = Some(cursor.number64()?);
            Ok(())
        })?;
        cursor.space()?;
    }
    let action = if cursor.eat(b'+') {
        FlagAction::Add
    } else if cursor.eat(b'-') {
        FlagAction::Remove
    } else {
        FlagAction::Replace
    };
    let silent = match cursor.word()?.as_str() {
        "FLAGS" => Silent::No,
        "FLAGS.SILENT" => Silent::Yes,
        _ => return Err("STORE takes FLAGS or FLAGS.SILENT".into()),
    };
    cursor.space()?;
    let (flags, keywords) = if cursor.peek() == Some(b'(') {
        flag_list(cursor)?
    } else {
        let mut found = FoundFlags::default();
        found.read(cursor)?;
        loop {
            let mut ahead = cursor.clone();
            ahead.skip_spaces();
            if ahead.is_at_end() {
                break;
            }
            cursor.space()?;
            found.read(cursor)?;
        }
        (found.flags, found.keywords)
    };
    Ok(Store {
        set,
        numbers,
        action,
        silent,
        flags,
        keywords,
        unchanged_since,
    })
}

pub(super) fn flag_list(cursor: &mut Cursor<'_>) -> Parsed<(Flags, Vec<Keyword>)> {
    let mut found = FoundFlags::default();
    parenthesized(cursor, |cursor| found.read(cursor))?;
    Ok((found.flags, found.keywords))
}

#[derive(Default)]
struct FoundFlags {
    flags: Flags,
    keywords: Vec<Keyword>,
}

impl FoundFlags {
    /// `flag`. `\Recent` is read and dropped: clients copy it from FETCH.
    fn read(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        if cursor.eat(b'\\') {
            let flag = match cursor.word()?.as_str() {
                "ANSWERED" => Flags::ANSWERED,
                "FLAGGED" => Flags::FLAGGED,
                "DELETED" => Flags::DELETED,
                "SEEN" => Flags::SEEN,
                "DRAFT" => Flags::DRAFT,
                "RECENT" => Flags::default(),
                _ => return Err("Unknown system flag".into()),
            };
            self.flags = self.flags.with(flag);
            return Ok(());
        }
        let keyword = cursor.atom()?;
        let known = self
            .keywords
            .iter()
            .any(|other| other.eq_ignore_ascii_case(&keyword));
        if !known {
            if self.keywords.len() >= ITEMS {
                return Err("Too many keywords".into());
            }
            self.keywords.push(Arc::from(keyword));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "parser_tests.rs"]
mod tests;
