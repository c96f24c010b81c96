//! STORE's arguments (RFC 3501 section 6.4.6, RFC 7162 section 3.1.3).

use super::Numbers;
use crate::grammar::sequence::SequenceSet;
use store::{Flags, Keyword};

/// STORE's arguments.
#[derive(Debug, Clone)]
pub struct Store {
    /// Which messages.
    pub set: SequenceSet,
    /// What the set's numbers are.
    pub numbers: Numbers,
    /// What to do with the flags.
    pub action: store::FlagAction,
    /// Whether the client wants to see the result.
    pub silent: Silent,
    /// System flags.
    pub flags: Flags,
    /// Keywords.
    pub keywords: Vec<Keyword>,
    /// UNCHANGEDSINCE (RFC 7162 section 3.1.3).
    pub unchanged_since: Option<u64>,
}

/// Whether a STORE was `.SILENT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silent {
    /// It was.
    Yes,
    /// It was not.
    No,
}
