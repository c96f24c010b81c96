//! Metadata of mailboxes and of the server (RFC 5464), in a text file beside what it is
//! about: so it goes along with a mailbox that is renamed, and away with one that is
//! deleted.
//!
//! After a first line that says what it is, the file has a line for each entry:
//!
//! ```text
//! <checksum> <owner><TAB><entry><TAB><value>
//! ```
//!
//! The owner is a user's name for what lies below `/private`, and empty for what lies
//! below `/shared`. In owner and value `\\`, `\t`, `\n`, `\r` and `\0` stand for a
//! backslash, TAB, LF, CR and NUL; all other octets are as they are. The checksum is the
//! CRC-32 of what follows its space, in eight hexadecimal digits: a line that is damaged
//! costs its own entry only.

use crate::control_file;
use crate::index::checksum::crc32;
use crate::{MailboxName, Result};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::Path;

/// The most octets a value may have.
pub const METADATA_VALUE_OCTETS: usize = 64 * 1024;
/// How many shared entries, and how many entries of each user, a mailbox or the server
/// may have.
pub const METADATA_ENTRIES: usize = 100;
/// The most octets the names and values of a mailbox may have together.
const ALL_OCTETS: usize = 1024 * 1024;
/// The longest name of an entry, in octets.
const NAME_OCTETS: usize = 1024;

/// The file of a mailbox, in its directory.
pub(crate) const OF_MAILBOX: &str = "pillarbox-metadata";
/// The file of the server as one account sees it, in INBOX's directory.
pub(crate) const OF_SERVER: &str = "pillarbox-server-metadata";
const FIRST_LINE: &[u8] = b"pillarbox-metadata 1";

/// What entries are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Annotated<'a> {
    /// The server: the empty name of RFC 5464 section 4.1.
    Server,
    /// A mailbox that can be selected.
    Mailbox(&'a MailboxName),
}

/// Who sees an entry (RFC 5464 section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The user who set it.
    Private,
    /// Everybody who may read the mailbox.
    Shared,
}

/// The name of an entry (RFC 5464 section 3.2): compared without case, shown as it was
/// written.
#[derive(Debug, Clone)]
pub struct EntryName {
    shown: Box<str>,
    folded: Box<str>,
}

impl EntryName {
    /// Reads a name that can have a value.
    ///
    /// # Errors
    /// Why it can have none.
    pub fn new(text: &str) -> std::result::Result<Self, &'static str> {
        let name = Self::asked(text)?;
        let levels = name.folded.matches('/').count();
        let is_vendors = name.folded.split('/').nth(2) == Some("vendor");
        if levels < 2 {
            return Err("Nothing is called just /private or /shared");
        }
        if is_vendors && levels < 4 {
            return Err("Below a vendor an entry has four components at least");
        }
        Ok(name)
    }

    /// Reads a name that is asked for: what lies below it may have values where it can
    /// have none.
    ///
    /// # Errors
    /// Why it is no name.
    pub fn asked(text: &str) -> std::result::Result<Self, &'static str> {
        if !text.starts_with('/') {
            return Err("The name of an entry begins with /");
        }
        if text.len() > NAME_OCTETS {
            return Err("The name of an entry is too long");
        }
        if text.ends_with('/') || text.contains("//") {
            return Err("The name of an entry has an empty component");
        }
        let is_allowed = |octet: u8| (0x20..0x7f).contains(&octet) && !b"*%".contains(&octet);
        if !text.bytes().all(is_allowed) {
            return Err("The name of an entry has a character that none may have");
        }
        let folded = text.to_ascii_lowercase();
        if !matches!(folded.split('/').nth(1), Some("private" | "shared")) {
            return Err("The name of an entry begins with /private or /shared");
        }
        Ok(Self {
            shown: Box::from(text),
            folded: Box::from(folded),
        })
    }

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// Whether it is this name, given in small letters.
    pub fn is(&self, name: &str) -> bool {
        *self.folded == *name
    }

    /// Who sees it.
    pub fn scope(&self) -> Scope {
        match self.folded.split('/').nth(1) {
            Some("private") => Scope::Private,
            _ => Scope::Shared,
        }
    }

    /// How many levels it lies below another name; 0 is the same name.
    pub fn levels_below(&self, above: &Self) -> Option<usize> {
        let rest = self.folded.strip_prefix(&*above.folded)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| rest.matches('/').count())
    }
}

impl PartialEq for EntryName {
    fn eq(&self, other: &Self) -> bool {
        self.folded == other.folded
    }
}

impl Eq for EntryName {}

impl PartialOrd for EntryName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for EntryName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded.cmp(&other.folded)
    }
}

/// A value and the entry it belongs to.
pub type Annotation = (EntryName, Vec<u8>);

/// Why entries were not set; none of them was.
#[derive(Debug)]
pub enum Unset {
    /// A value has more than [`METADATA_VALUE_OCTETS`].
    TooLarge,
    /// There are as many as there may be, or they have too many octets together.
    TooMany,
    /// The entry is the server's to set.
    ReadOnly,
    /// It is no use that a mailbox can be given (RFC 6154 section 4).
    NoSuchUse,
    /// The store failed.
    Failed(crate::Error),
}

impl From<crate::Error> for Unset {
    fn from(error: crate::Error) -> Self {
        Self::Failed(error)
    }
}

/// All entries of a mailbox or of the server, each with its owner.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Metadata(BTreeMap<(Box<str>, EntryName), Vec<u8>>);

impl Metadata {
    /// Reads a file, if there is one. Lines that are damaged are told in the log and
    /// passed over.
    pub(crate) fn read(directory: &Path, file: &str) -> Result<Option<Self>> {
        let path = directory.join(file);
        let Some(octets) = control_file::read(&path)? else {
            return Ok(None);
        };
        let mut metadata = Self::default();
        for (number, line) in (1..).zip(octets.split(|octet| *octet == b'\n')) {
            if (number == 1 && line == FIRST_LINE) || line.is_empty() {
                continue;
            }
            match read_line(line) {
                Some((owner, name, value)) => drop(metadata.0.insert((owner, name), value)),
                None => {
                    let path = path.display();
                    tracing::warn!(%path, line = number, "an entry of metadata is damaged and left out");
                }
            }
        }
        Ok(Some(metadata))
    }

    /// Replaces the file. After a crash it has its old or its new content.
    pub(crate) fn write(&self, directory: &Path, file: &str) -> Result<()> {
        let mut octets = FIRST_LINE.to_vec();
        octets.push(b'\n');
        for ((owner, name), value) in &self.0 {
            let mut line = Vec::with_capacity(owner.len() + name.shown.len() + value.len() + 8);
            escape(owner.as_bytes(), &mut line);
            line.push(b'\t');
            line.extend_from_slice(name.shown.as_bytes());
            line.push(b'\t');
            escape(value, &mut line);
            octets.extend_from_slice(format!("{:08x} ", crc32(0, &line)).as_bytes());
            octets.append(&mut line);
            octets.push(b'\n');
        }
        control_file::replace(directory, file, &octets)
    }

    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a user sees, by name.
    pub(crate) fn seen_by(self, user: &str) -> Vec<Annotation> {
        let seen = self
            .0
            .into_iter()
            .filter(|((owner, _), _)| owner.is_empty() || **owner == *user);
        let mut seen: Vec<Annotation> = seen.map(|((_, name), value)| (name, value)).collect();
        seen.sort_by(|one, other| one.0.cmp(&other.0));
        seen
    }

    /// Takes over entries that another server kept, where there are none.
    pub(crate) fn adopt(&mut self, owner: &str, name: EntryName, value: Vec<u8>) {
        let owner = owner_of(&name, owner);
        if value.len() <= METADATA_VALUE_OCTETS && self.0.len() < METADATA_ENTRIES {
            self.0.entry((owner, name)).or_insert(value);
        }
    }

    /// Sets values, or takes entries away where there is none; gives the names of those
    /// that changed.
    pub(crate) fn change(
        &mut self,
        user: &str,
        changes: &[(EntryName, Option<Vec<u8>>)],
    ) -> std::result::Result<Vec<EntryName>, Unset> {
        let mut changed = Vec::new();
        let mut adds = false;
        for (name, value) in changes {
            let key = (owner_of(name, user), name.clone());
            let before = match value {
                Some(value) if value.len() > METADATA_VALUE_OCTETS => {
                    return Err(Unset::TooLarge);
                }
                // Its name is shown as it was written last.
                Some(value) => {
                    adds = true;
                    let before = self.0.remove(&key);
                    self.0.insert(key, value.clone());
                    before
                }
                None => self.0.remove(&key),
            };
            if before != *value && !changed.contains(name) {
                changed.push(name.clone());
            }
        }
        if adds && !self.is_small_enough(user) {
            return Err(Unset::TooMany);
        }
        Ok(changed)
    }

    fn is_small_enough(&self, user: &str) -> bool {
        let of = |owner: &str| self.0.keys().filter(|(other, _)| **other == *owner).count();
        let octets = |((_, name), value): (&(Box<str>, EntryName), &Vec<u8>)| {
            name.shown.len().saturating_add(value.len())
        };
        of("") <= METADATA_ENTRIES
            && of(user) <= METADATA_ENTRIES
            && self.0.iter().map(octets).fold(0, usize::saturating_add) <= ALL_OCTETS
    }
}

fn owner_of(name: &EntryName, user: &str) -> Box<str> {
    match name.scope() {
        Scope::Private => Box::from(user),
        Scope::Shared => Box::default(),
    }
}

fn read_line(line: &[u8]) -> Option<(Box<str>, EntryName, Vec<u8>)> {
    let (checksum, rest) = line.split_at_checked(8)?;
    let rest = rest.strip_prefix(b" ")?;
    let checksum = u32::from_str_radix(std::str::from_utf8(checksum).ok()?, 16).ok()?;
    if crc32(0, rest) != checksum {
        return None;
    }
    let mut fields = rest.splitn(3, |octet| *octet == b'\t');
    let owner = String::from_utf8(unescape(fields.next()?)?).ok()?;
    let name = EntryName::new(std::str::from_utf8(fields.next()?).ok()?).ok()?;
    let value = unescape(fields.next()?)?;
    if owner.is_empty() != (name.scope() == Scope::Shared) {
        return None;
    }
    Some((Box::from(owner), name, value))
}

/// What stands for octets that a line cannot hold.
const ESCAPES: [(u8, u8); 5] = [
    (b'\\', b'\\'),
    (b'\t', b't'),
    (b'\n', b'n'),
    (b'\r', b'r'),
    (0, b'0'),
];

fn escape(octets: &[u8], into: &mut Vec<u8>) {
    for octet in octets {
        match ESCAPES.iter().find(|(plain, _)| plain == octet) {
            Some((_, letter)) => into.extend_from_slice(&[b'\\', *letter]),
            None => into.push(*octet),
        }
    }
}

fn unescape(octets: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(octets.len());
    let mut octets = octets.iter();
    while let Some(octet) = octets.next() {
        if *octet == b'\\' {
            let letter = octets.next()?;
            plain.push(ESCAPES.iter().find(|(_, known)| known == letter)?.0);
        } else {
            plain.push(*octet);
        }
    }
    Some(plain)
}

#[cfg(test)]
#[path = "metadata_tests.rs"]
mod tests;
