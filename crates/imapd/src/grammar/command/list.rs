//! LIST's arguments (RFC 5258 and extensions).

use super::StatusItem;
use store::EntryName;

/// LIST's arguments.
#[derive(Debug, Clone)]
pub struct List {
    /// Selection options.
    pub select: Vec<ListSelect>,
    /// The reference, decoded.
    pub reference: String,
    /// The patterns, decoded.
    pub patterns: Vec<String>,
    /// Return options; `None` when there was no RETURN.
    pub returns: Option<Vec<ListReturn>>,
}

/// A LIST selection option (RFC 5258 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListSelect {
    /// SUBSCRIBED.
    Subscribed,
    /// REMOTE.
    Remote,
    /// RECURSIVEMATCH.
    RecursiveMatch,
    /// SPECIAL-USE (RFC 6154).
    SpecialUse,
}

/// A LIST return option (RFC 5258 section 3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListReturn {
    /// SUBSCRIBED.
    Subscribed,
    /// CHILDREN.
    Children,
    /// SPECIAL-USE (RFC 6154).
    SpecialUse,
    /// STATUS (RFC 5819).
    Status(Vec<StatusItem>),
    /// METADATA (RFC 9590).
    Metadata(Vec<EntryName>),
}
