//! THREAD's arguments (RFC 5256).

use super::Search;

/// THREAD's arguments.
#[derive(Debug, Clone)]
pub struct Thread {
    /// How to thread.
    pub algorithm: ThreadAlgorithm,
    /// Which messages to thread.
    pub search: Search,
}

/// A threading algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadAlgorithm {
    /// ORDEREDSUBJECT.
    OrderedSubject,
    /// REFERENCES.
    References,
    /// REFS (draft-ietf-morg-inthread): REFERENCES without subjects, the thread with the
    /// newest message last.
    Refs,
}
