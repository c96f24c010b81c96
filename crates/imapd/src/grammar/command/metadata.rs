//! GETMETADATA's and SETMETADATA's arguments (RFC 5464).

use store::EntryName;

/// GETMETADATA's arguments.
#[derive(Debug, Clone)]
pub struct GetMetadata {
    /// The mailbox's name; empty for the server.
    pub mailbox: String,
    /// MAXSIZE, in octets.
    pub max_octets: Option<u32>,
    /// DEPTH.
    pub depth: Depth,
    /// The entries asked for, one at least.
    pub entries: Vec<EntryName>,
}

/// How far below an entry GETMETADATA looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// At the entry alone.
    Zero,
    /// At those right below as well.
    One,
    /// At all below.
    Infinity,
}

/// SETMETADATA's arguments.
#[derive(Debug, Clone)]
pub struct SetMetadata {
    /// The mailbox's name; empty for the server.
    pub mailbox: String,
    /// Entries and their values, none for NIL; one at least.
    pub changes: Vec<(EntryName, Option<Vec<u8>>)>,
}
