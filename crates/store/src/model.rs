//! The words everyone shares.

use std::num::NonZeroU32;

/// A message's unique identifier in its mailbox (RFC 3501 section 2.3.1.1).
pub type Uid = NonZeroU32;
/// A mailbox's UIDVALIDITY (RFC 3501 section 2.3.1.1).
pub type UidValidity = NonZeroU32;
/// A mod-sequence (RFC 7162), 1 to 2^63 - 1.
pub type ModSeq = u64;

/// System flags as a bit set (RFC 3501 section 2.3.2). `\Recent` is no part of
/// it: it belongs to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Flags(pub u8);

impl Flags {
    /// `\Draft`, `D` in a file name.
    pub const DRAFT: Self = Self(1);
    /// `\Flagged`, `F`.
    pub const FLAGGED: Self = Self(2);
    /// `\Answered`, `R`.
    pub const ANSWERED: Self = Self(4);
    /// `\Seen`, `S`.
    pub const SEEN: Self = Self(8);
    /// `\Deleted`, `T`.
    pub const DELETED: Self = Self(16);

    /// Whether every flag of `other` is set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
    /// Both sets together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// This set less `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// A keyword (RFC 3501 section 2.3.2): an atom, compared without case.
pub type Keyword = std::sync::Arc<str>;

/// An internal date: seconds since 1970 UTC (the file's modification time).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct InternalDate(pub i64);

/// A mailbox's name as levels of hierarchy, in Unicode, without delimiter.
/// INBOX is `["INBOX"]`, upper case at the first level whenever it is alone or
/// leads (`INBOX/x` in any case of INBOX).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailboxName(pub(crate) Vec<String>);

impl MailboxName {
    /// INBOX.
    pub fn inbox() -> Self {
        Self(vec!["INBOX".to_owned()])
    }
    /// Whether this is INBOX.
    pub fn is_inbox(&self) -> bool {
        self.0.len() == 1 && self.0[0] == "INBOX"
    }
    /// The levels, outermost first.
    pub fn levels(&self) -> &[String] {
        &self.0
    }
    /// The name one level up, if there is one.
    pub fn parent(&self) -> Option<Self> {
        (self.0.len() > 1).then(|| Self(self.0[..self.0.len() - 1].to_vec()))
    }
}
