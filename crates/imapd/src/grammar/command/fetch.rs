//! FETCH's arguments (RFC 3501 section 6.4.5 and extensions).

use super::{Binary, Numbers, Section};
use crate::grammar::partial::PartialRange;
use crate::grammar::sequence::SequenceSet;

/// FETCH's arguments.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// Which messages.
    pub set: SequenceSet,
    /// What the set's numbers are.
    pub numbers: Numbers,
    /// What of them, in the order asked, macros expanded.
    pub items: Vec<FetchItem>,
    /// CHANGEDSINCE (RFC 7162 section 3.1.4.1).
    pub changed_since: Option<u64>,
    /// The VANISHED modifier (RFC 7162 section 3.2.6).
    pub vanished: Vanished,
    /// The PARTIAL modifier (RFC 9394 section 3.3).
    pub partial: Option<PartialRange>,
}

/// FETCH's VANISHED modifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vanished {
    /// Given.
    Asked,
    /// Not given.
    Absent,
}

/// A FETCH data item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchItem {
    /// ENVELOPE.
    Envelope,
    /// FLAGS.
    Flags,
    /// INTERNALDATE.
    InternalDate,
    /// RFC822 (sets `\Seen`).
    Rfc822,
    /// RFC822.HEADER.
    Rfc822Header,
    /// RFC822.TEXT (sets `\Seen`).
    Rfc822Text,
    /// RFC822.SIZE.
    Rfc822Size,
    /// BODY: the structure without extension fields.
    Body,
    /// BODYSTRUCTURE.
    BodyStructure,
    /// UID.
    Uid,
    /// MODSEQ (RFC 7162).
    ModSeq,
    /// EMAILID (RFC 8474).
    EmailId,
    /// THREADID (RFC 8474).
    ThreadId,
    /// SAVEDATE (RFC 8514).
    SaveDate,
    /// PREVIEW (RFC 8970).
    Preview(Delay),
    /// `BODY[...]` and `BODY.PEEK[...]`.
    Section(Section),
    /// `BINARY[...]` and `BINARY.PEEK[...]` (RFC 3516).
    Binary(Binary),
    /// `BINARY.SIZE[...]` (RFC 3516): the part's number, empty for the message itself.
    BinarySize(Vec<u32>),
}

/// Whether PREVIEW may take its time (RFC 8970 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delay {
    /// It may.
    Allowed,
    /// It had LAZY: NIL is better than waiting.
    Avoided,
}
