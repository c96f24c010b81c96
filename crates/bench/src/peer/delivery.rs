//! Mail that lies in a mailbox before a workload begins.

/// So many messages for one mailbox.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// Whose mailbox it is.
    pub user: &'a str,
    /// Its name, of one beside INBOX; that is made.
    pub mailbox: Option<&'a str>,
    /// The folder of a Maildir where they lie, `new` or `cur`.
    pub folder: &'a str,
    /// How many: the first of the corpus.
    pub count: usize,
}
