//! One message of a mailbox.

use crate::maildir::filename;
use crate::model::{Flags, InternalDate, ModSeq, Uid};

/// What a message's record in the UID list has besides its name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Listed(pub(crate) u8);

impl Listed {
    /// The unique-id that everyone has to whom none was given before.
    pub(crate) const UNIQUE_ID: Self = Self(1);
    /// The size as sent.
    pub(crate) const SIZE: Self = Self(2);
    /// Something else; the list has it whole.
    pub(crate) const OTHER: Self = Self(4);

    /// Whether all of `other` is said.
    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
    /// Both together.
    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One message as a snapshot shows it.
#[derive(Debug, Clone, Copy)]
pub struct MessageRow<'a> {
    /// Its UID.
    pub uid: Uid,
    /// Its system flags.
    pub flags: Flags,
    /// Whether no session has claimed it yet (it lies in `new/`).
    pub recent: bool,
    /// Its keywords, as indices into [`crate::Snapshot::keywords`], ascending.
    pub keywords: &'a [u16],
    /// The mod-sequence of its last change.
    pub modseq: ModSeq,
    /// Its size in octets as sent, line ends being CRLF (RFC822.SIZE).
    pub size_octets: u64,
    /// How many octets of a CRLF its last line lacks: 0, 1 or 2.
    pub unended_octets: u8,
    /// Its internal date.
    pub internal_date: InternalDate,
    /// Its unique name: the base of its file name, before any `:2,`.
    pub unique_name: &'a str,
    /// Whether its file is in `new/`.
    pub(crate) in_new: bool,
    /// What follows the unique name in its file's name.
    pub(crate) suffix: &'a str,
    /// What the UID list says of it.
    pub(crate) listed: Listed,
}

impl MessageRow<'_> {
    /// Its size in octets where every line must end, as in POP3 (RFC 1939 section 3).
    pub fn octets_in_lines(&self) -> u64 {
        self.size_octets
            .saturating_add(u64::from(self.unended_octets))
    }
    /// When it came into its mailbox, in seconds since 1970 UTC: what its unique name
    /// begins with, and its internal date where that is later.
    pub fn arrived_seconds(&self) -> i64 {
        let name = filename::seconds(self.unique_name);
        i64::try_from(name)
            .unwrap_or(i64::MAX)
            .max(self.internal_date.0)
    }
    /// When it was saved in its mailbox (RFC 8514): what its unique name begins with. That
    /// stays with the file, whatever becomes of index and flags, and a message that is
    /// copied or moved gets a new name. Where the name begins with no time, its internal
    /// date.
    pub fn saved_date(&self) -> InternalDate {
        // Before that there were no Maildirs.
        const FIRST: u64 = 788_918_400;
        match filename::seconds(self.unique_name) {
            seconds if seconds < FIRST => self.internal_date,
            seconds => i64::try_from(seconds).map_or(self.internal_date, InternalDate),
        }
    }
    /// Whether the UID list has more of it than a row can say.
    pub(crate) fn has_other_fields(&self) -> bool {
        self.listed.has(Listed::OTHER)
    }
    /// The size its file name and the UID list tell. None where the last line does
    /// not end: whoever finds no size there measures, and learns of that line too.
    pub(crate) fn recorded_octets(&self) -> Option<u64> {
        (self.unended_octets == 0).then_some(self.size_octets)
    }
    /// The name of its file in `new/` or `cur/`.
    pub(crate) fn file_name(&self) -> String {
        [self.unique_name, self.suffix].concat()
    }
    /// The same, kept by itself.
    pub(crate) fn to_owned(self) -> OwnedRow {
        OwnedRow {
            uid: self.uid,
            flags: self.flags,
            recent: self.recent,
            keywords: self.keywords.to_vec(),
            modseq: self.modseq,
            size_octets: self.size_octets,
            unended_octets: self.unended_octets,
            internal_date: self.internal_date,
            unique_name: Box::from(self.unique_name),
            in_new: self.in_new,
            suffix: Box::from(self.suffix),
            listed: self.listed,
        }
    }
}

/// A row that is in no snapshot yet; the fields are [`MessageRow`]'s.
#[derive(Debug, Clone)]
pub(crate) struct OwnedRow {
    pub(crate) uid: Uid,
    pub(crate) flags: Flags,
    pub(crate) recent: bool,
    pub(crate) keywords: Vec<u16>,
    pub(crate) modseq: ModSeq,
    pub(crate) size_octets: u64,
    pub(crate) unended_octets: u8,
    pub(crate) internal_date: InternalDate,
    pub(crate) unique_name: Box<str>,
    pub(crate) in_new: bool,
    pub(crate) suffix: Box<str>,
    pub(crate) listed: Listed,
}

impl OwnedRow {
    /// As a snapshot would show it.
    pub(crate) fn row(&self) -> MessageRow<'_> {
        MessageRow {
            uid: self.uid,
            flags: self.flags,
            recent: self.recent,
            keywords: &self.keywords,
            modseq: self.modseq,
            size_octets: self.size_octets,
            unended_octets: self.unended_octets,
            internal_date: self.internal_date,
            unique_name: &self.unique_name,
            in_new: self.in_new,
            suffix: &self.suffix,
            listed: self.listed,
        }
    }
}
