//! What another server's files say about a mailbox that has no uidlist yet.

use crate::UidValidity;
use std::collections::HashMap;

/// UIDs, keywords and POP3 unique-ids taken over from another server's files.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The UIDVALIDITY that clients know.
    pub uid_validity: UidValidity,
    /// The next UID.
    pub uid_next: u32,
    /// UIDs with unique names, ascending by UID.
    pub uids: Vec<(u32, String)>,
    /// Keywords of unique names.
    pub keywords: HashMap<String, Vec<String>>,
    /// POP3 unique-ids of unique names.
    pub pop3: HashMap<String, String>,
}
