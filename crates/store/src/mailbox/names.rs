//! Which message has a unique name.

use crate::Uid;
use crate::snapshot::{MessageRow, Rows};
use hashbrown::HashTable;
use std::hash::{BuildHasher, RandomState};

/// The UIDs of messages by unique name: eight octets each, as the names themselves are
/// in the rows.
#[derive(Debug, Default)]
pub(super) struct NameTable {
    /// A part of the name's hash, and the UID.
    uids: HashTable<(u32, Uid)>,
    hasher: RandomState,
}

/// Spreads a hash over 64 bits, as the table asks for.
fn spread(part: u32) -> u64 {
    u64::from(part).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl NameTable {
    /// Makes room for so many more.
    pub(super) fn reserve(&mut self, count: usize) {
        self.uids.reserve(count, |(part, _)| spread(*part));
    }
    fn part(&self, name: &str) -> u32 {
        let hash = self.hasher.hash_one(name);
        u32::try_from(hash >> 32).unwrap_or_default()
    }
    /// Adds a name that is not there.
    pub(super) fn insert(&mut self, name: &str, uid: Uid) {
        let part = self.part(name);
        self.uids
            .insert_unique(spread(part), (part, uid), |(part, _)| spread(*part));
    }
    /// The row with this name, of rows in which all names have theirs.
    pub(super) fn find<'a>(&self, name: &str, rows: &'a Rows) -> Option<MessageRow<'a>> {
        let part = self.part(name);
        let mut found = None;
        self.uids.find(spread(part), |(other, uid)| {
            found = rows
                .of_uid(*uid)
                .filter(|row| *other == part && row.unique_name == name);
            found.is_some()
        })?;
        found
    }
    /// Removes a name.
    pub(super) fn remove(&mut self, name: &str, uid: Uid) {
        let part = self.part(name);
        if let Ok(entry) = self
            .uids
            .find_entry(spread(part), |entry| *entry == (part, uid))
        {
            entry.remove();
        }
    }
}
