//! ESEARCH's arguments (RFC 7377).

use super::Search;

/// ESEARCH's arguments.
#[derive(Debug, Clone)]
pub struct Esearch {
    /// Where to search; at least one.
    pub sources: Vec<Source>,
    /// What to return and what to look for. Numbers are UIDs.
    pub search: Search,
}

/// Where ESEARCH searches (RFC 7377 section 2.2, RFC 5465 section 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The selected mailbox.
    Selected,
    /// Where mail is delivered.
    Inboxes,
    /// The user's own mailboxes.
    Personal,
    /// Those subscribed to.
    Subscribed,
    /// These and all below them.
    Subtree(Vec<String>),
    /// These and those directly below them.
    SubtreeOne(Vec<String>),
    /// These.
    Mailboxes(Vec<String>),
}
