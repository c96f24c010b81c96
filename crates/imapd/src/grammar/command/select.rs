//! SELECT's and EXAMINE's arguments (RFC 3501 section 6.3, RFC 7162 section 3).

use crate::grammar::sequence::SequenceSet;
use std::num::NonZeroU32;

/// SELECT's and EXAMINE's arguments.
#[derive(Debug, Clone)]
pub struct Select {
    /// The mailbox's name.
    pub mailbox: String,
    /// Whether the CONDSTORE parameter was given (RFC 7162 section 3.1.8).
    pub condstore: Condstore,
    /// The QRESYNC parameter (RFC 7162 section 3.2.5).
    pub qresync: Option<Qresync>,
}

/// The CONDSTORE parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condstore {
    /// Given.
    Asked,
    /// Not given.
    Absent,
}

/// The QRESYNC parameter.
#[derive(Debug, Clone)]
pub struct Qresync {
    /// The UIDVALIDITY the client knows.
    pub uid_validity: NonZeroU32,
    /// The mod-sequence the client knows.
    pub modseq: u64,
    /// The UIDs the client knows.
    pub known_uids: Option<SequenceSet>,
    /// Sequence numbers and the UIDs they had, both ascending.
    pub sequence_match: Vec<SequenceMatch>,
}

/// A run of sequence numbers and the run of UIDs that a client knows them to have
/// (RFC 7162 section 3.2.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceMatch {
    /// The first sequence number.
    pub sequence: u32,
    /// The first UID.
    pub uid: u32,
    /// How many there are of both, 1 at least.
    pub count: u32,
}
