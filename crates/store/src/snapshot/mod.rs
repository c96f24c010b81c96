//! An unchanging picture of a mailbox.

mod chunk;
mod row;
mod rows;

pub(crate) use chunk::RowChange;
pub use row::MessageRow;
pub(crate) use row::{Listed, OwnedRow};
pub(crate) use rows::Rows;

use crate::model::{Keyword, ModSeq, Uid, UidValidity};
use std::ops::Range;
use std::sync::Arc;

/// A mailbox at one mod-sequence: rows in UID order, in chunks that snapshots
/// share, so that taking one costs a few pointers and comparing two costs what
/// changed between them.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(crate) uid_validity: UidValidity,
    pub(crate) uid_next: Uid,
    pub(crate) highest_modseq: ModSeq,
    pub(crate) keywords: Arc<Vec<Keyword>>,
    pub(crate) rows: Rows,
}

/// What differs between two snapshots of a mailbox.
#[derive(Debug, Default)]
pub struct Difference {
    /// Indices (in the older snapshot, from 0, ascending) of rows that are gone.
    pub expunged: Vec<usize>,
    /// Indices in the newer snapshot of rows that came.
    pub added: Range<usize>,
    /// UIDs of rows in both whose flags or keywords changed.
    pub changed: Vec<Uid>,
}

impl Snapshot {
    /// The mailbox's UIDVALIDITY.
    pub fn uid_validity(&self) -> UidValidity {
        self.uid_validity
    }
    /// The UID the next message will get or exceed.
    pub fn uid_next(&self) -> Uid {
        self.uid_next
    }
    /// The highest mod-sequence (RFC 7162 section 3.1.2).
    pub fn highest_modseq(&self) -> ModSeq {
        self.highest_modseq
    }
    /// The names of the mailbox's keywords.
    pub fn keywords(&self) -> &[Keyword] {
        &self.keywords
    }
    /// Whether the mailbox can have further keywords.
    pub fn takes_keywords(&self) -> bool {
        self.keywords.len() < crate::maildir::keywords::LIMIT
    }
    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The row at an index from 0 (sequence number less one).
    pub fn row(&self, index: usize) -> Option<MessageRow<'_>> {
        self.rows.row(index)
    }
    /// The index of a UID.
    pub fn index_of(&self, uid: Uid) -> Option<usize> {
        self.rows.index_of(uid)
    }
    /// The index of a UID, found at once if it is still `expected`.
    pub fn index_near(&self, uid: Uid, expected: usize) -> Option<usize> {
        match self.rows.uid(expected) {
            Some(other) if other == uid => Some(expected),
            _ => self.index_of(uid),
        }
    }
    /// The row of a UID.
    pub fn of_uid(&self, uid: Uid) -> Option<MessageRow<'_>> {
        self.rows.of_uid(uid)
    }
    /// The row of a UID, found at once if it is still at the index `expected`.
    pub fn row_of(&self, uid: Uid, expected: usize) -> Option<MessageRow<'_>> {
        match self.row(expected) {
            Some(row) if row.uid == uid => Some(row),
            _ => self.of_uid(uid),
        }
    }
    /// The index of the first row whose UID is `uid` or higher; `len()` if none.
    pub fn index_at_or_after(&self, uid: Uid) -> usize {
        self.rows.index_at_or_after(uid)
    }
    /// The highest UID there is.
    pub fn last_uid(&self) -> Option<Uid> {
        self.rows.last_uid()
    }
    /// All rows in UID order.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = MessageRow<'_>> {
        self.rows.iter()
    }
    /// The index of the first message that is not `\Seen`.
    pub fn first_unseen(&self) -> Option<usize> {
        let mut chunks = self.rows.chunks().iter().enumerate();
        let (number, chunk) = chunks.find(|(_, chunk)| chunk.tally().unseen > 0)?;
        Some(self.rows.start(number) + chunk.first_unseen()?)
    }
    /// The UIDs of messages that no session has claimed yet, ascending.
    pub fn recent_uids(&self) -> impl Iterator<Item = Uid> {
        let chunks = self.rows.chunks().iter();
        chunks
            .filter(|chunk| chunk.tally().recent > 0)
            .flat_map(|chunk| chunk.rows().filter(|row| row.recent).map(|row| row.uid))
    }
    /// The UIDs of messages that were claimed and are in `new/` still, ascending.
    pub(crate) fn unmoved_uids(&self) -> impl Iterator<Item = Uid> {
        let chunks = self.rows.chunks().iter();
        let is_unmoved = |row: &MessageRow<'_>| row.in_new && !row.recent;
        chunks
            .filter(|chunk| chunk.tally().unmoved > 0)
            .flat_map(move |chunk| chunk.rows().filter(is_unmoved).map(|row| row.uid))
    }
    /// The rows that changed after a mod-sequence, and their indices. What did not change
    /// is mostly not looked at.
    pub fn changed_since(&self, modseq: ModSeq) -> impl Iterator<Item = (usize, MessageRow<'_>)> {
        let chunks = self.rows.chunks().iter().enumerate();
        chunks
            .filter(move |(_, chunk)| chunk.highest_modseq() > modseq)
            .flat_map(|(number, chunk)| {
                let start = self.rows.start(number);
                chunk
                    .rows()
                    .enumerate()
                    .map(move |(offset, row)| (start + offset, row))
            })
            .filter(move |(_, row)| row.modseq > modseq)
    }
    /// This snapshot with rows of a newer one that came since: what is gone from that is
    /// still there, and what changed is as it was.
    #[must_use]
    pub fn with_added(&self, newer: &Self, added: Range<usize>) -> Self {
        let mut rows = self.rows.clone();
        for row in added.filter_map(|index| newer.row(index)) {
            rows.push(&row);
        }
        Self {
            uid_next: newer.uid_next,
            keywords: Arc::clone(&newer.keywords),
            rows,
            ..*self
        }
    }
    /// What changed from this snapshot to a newer one of the same mailbox.
    /// Chunks that both share are passed over.
    pub fn difference(&self, newer: &Self) -> Difference {
        let mut difference = Difference {
            added: newer.len()..newer.len(),
            ..Difference::default()
        };
        difference.added.start = match self.last_uid() {
            Some(uid) => uid
                .checked_add(1)
                .map_or(newer.len(), |uid| newer.index_at_or_after(uid)),
            None => 0,
        };
        if self.rows.is_same(&newer.rows) {
            return difference;
        }
        // Both are in UID order: what is shared is met in passing.
        let mut theirs = newer.rows.chunks().iter().peekable();
        for (number, chunk) in self.rows.chunks().iter().enumerate() {
            while theirs
                .next_if(|other| other.last_uid() < chunk.uid(0))
                .is_some()
            {}
            if theirs.peek().is_some_and(|other| Arc::ptr_eq(other, chunk)) {
                continue;
            }
            for offset in 0..chunk.len() {
                let Some(uid) = chunk.uid(offset) else {
                    continue;
                };
                let index = self.rows.start(number) + offset;
                // Where nothing before it went it is where it was.
                let now = newer
                    .rows
                    .locate(index)
                    .filter(|(other, at)| other.uid(*at) == Some(uid))
                    .or_else(|| newer.rows.locate(newer.index_of(uid)?));
                match now {
                    None => difference.expunged.push(index),
                    Some((other, at)) if !chunk.looks_alike(offset, other, at) => {
                        difference.changed.push(uid);
                    }
                    Some(_) => {}
                }
            }
        }
        difference
    }
}
