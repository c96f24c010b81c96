//! An unchanging picture of a mailbox.

use crate::model::{Flags, InternalDate, Keyword, ModSeq, Uid, UidValidity};
use std::ops::Range;
use std::sync::Arc;

/// How many rows a chunk holds at most.
pub(crate) const CHUNK_ROWS: usize = 256;

/// One message as a snapshot shows it.
#[derive(Debug, Clone)]
pub struct MessageRow {
    /// Its UID.
    pub uid: Uid,
    /// Its system flags.
    pub flags: Flags,
    /// Whether no session has claimed it yet (it lies in `new/`).
    pub recent: bool,
    /// Its keywords, as indices into [`Snapshot::keywords`], ascending.
    pub keywords: Arc<[u16]>,
    /// The mod-sequence of its last change.
    pub modseq: ModSeq,
    /// Its size in octets as sent, line ends being CRLF (RFC822.SIZE).
    pub size_octets: u64,
    /// How many octets of a CRLF its last line lacks: 0, 1 or 2.
    pub unended_octets: u8,
    /// Its internal date.
    pub internal_date: InternalDate,
    /// Its unique name: the base of its file name, before any `:2,`.
    pub unique_name: Arc<str>,
}

impl MessageRow {
    /// Its size in octets where every line must end, as in POP3 (RFC 1939 section 3).
    pub fn octets_in_lines(&self) -> u64 {
        self.size_octets
            .saturating_add(u64::from(self.unended_octets))
    }
    /// When it came into its mailbox, in seconds since 1970 UTC: what its unique name
    /// begins with, and its internal date where that is later.
    pub fn arrived_seconds(&self) -> i64 {
        let name = crate::maildir::filename::seconds(&self.unique_name);
        i64::try_from(name)
            .unwrap_or(i64::MAX)
            .max(self.internal_date.0)
    }
    /// The size its file name and the UID list tell. None where the last line does
    /// not end: whoever finds no size there measures, and learns of that line too.
    pub(crate) fn recorded_octets(&self) -> Option<u64> {
        (self.unended_octets == 0).then_some(self.size_octets)
    }
}

/// A mailbox at one mod-sequence: rows in UID order, in chunks that snapshots
/// share, so that taking one costs a few pointers and comparing two costs what
/// changed between them.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(crate) uid_validity: UidValidity,
    pub(crate) uid_next: Uid,
    pub(crate) highest_modseq: ModSeq,
    pub(crate) keywords: Arc<Vec<Keyword>>,
    pub(crate) chunks: Arc<Vec<Arc<Vec<MessageRow>>>>,
    /// For each chunk the index of its first row.
    pub(crate) starts: Arc<Vec<usize>>,
    pub(crate) count: usize,
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
        self.count
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
    /// The row at an index from 0 (sequence number less one).
    pub fn row(&self, index: usize) -> Option<&MessageRow> {
        if index >= self.count {
            return None;
        }
        let chunk = self
            .starts
            .partition_point(|start| *start <= index)
            .checked_sub(1)?;
        self.chunks.get(chunk)?.get(index - self.starts.get(chunk)?)
    }
    /// The index of a UID.
    pub fn index_of(&self, uid: Uid) -> Option<usize> {
        let index = self.index_at_or_after(uid);
        (self.row(index)?.uid == uid).then_some(index)
    }
    /// The row of a UID, found at once if it is still at the index `expected`.
    pub fn row_of(&self, uid: Uid, expected: usize) -> Option<&MessageRow> {
        match self.row(expected) {
            Some(row) if row.uid == uid => Some(row),
            _ => self.row(self.index_of(uid)?),
        }
    }
    /// The index of the first row whose UID is `uid` or higher; `len()` if none.
    pub fn index_at_or_after(&self, uid: Uid) -> usize {
        let chunk = self
            .chunks
            .partition_point(|rows| rows.last().is_some_and(|row| row.uid < uid));
        match self.chunks.get(chunk) {
            Some(rows) => self.starts[chunk] + rows.partition_point(|row| row.uid < uid),
            None => self.count,
        }
    }
    /// All rows in UID order.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = &MessageRow> {
        self.chunks.iter().flat_map(|rows| rows.iter())
    }
    /// Builds a snapshot of rows in UID order.
    pub(crate) fn from_rows(
        uid_validity: UidValidity,
        uid_next: Uid,
        highest_modseq: ModSeq,
        keywords: Arc<Vec<Keyword>>,
        rows: Vec<MessageRow>,
    ) -> Self {
        let mut chunks = Vec::with_capacity(rows.len().div_ceil(CHUNK_ROWS));
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            chunks.push(Arc::new(rows.by_ref().take(CHUNK_ROWS).collect()));
        }
        Self::from_chunks(uid_validity, uid_next, highest_modseq, keywords, chunks)
    }
    /// Builds a snapshot of chunks; empty ones are left out.
    pub(crate) fn from_chunks(
        uid_validity: UidValidity,
        uid_next: Uid,
        highest_modseq: ModSeq,
        keywords: Arc<Vec<Keyword>>,
        mut chunks: Vec<Arc<Vec<MessageRow>>>,
    ) -> Self {
        chunks.retain(|rows| !rows.is_empty());
        let mut starts = Vec::with_capacity(chunks.len());
        let mut count = 0;
        for rows in &chunks {
            starts.push(count);
            count += rows.len();
        }
        Self {
            uid_validity,
            uid_next,
            highest_modseq,
            keywords,
            chunks: Arc::new(chunks),
            starts: Arc::new(starts),
            count,
        }
    }
    /// Changes one row in place; copies its chunk if another snapshot shares it.
    pub(crate) fn update(&mut self, uid: Uid, change: impl FnOnce(&mut MessageRow)) {
        let Some(index) = self.index_of(uid) else {
            return;
        };
        let Some(chunk) = self
            .starts
            .partition_point(|start| *start <= index)
            .checked_sub(1)
        else {
            return;
        };
        let offset = index - self.starts[chunk];
        let row = Arc::make_mut(&mut self.chunks)
            .get_mut(chunk)
            .and_then(|rows| Arc::make_mut(rows).get_mut(offset));
        if let Some(row) = row {
            change(row);
        }
    }
    /// Removes rows; only chunks that held one are copied.
    pub(crate) fn remove(&mut self, uids: &std::collections::HashSet<Uid>) {
        let mut chunks = Vec::clone(&self.chunks);
        let mut affected: Vec<usize> = uids
            .iter()
            .map(|uid| chunks.partition_point(|rows| rows.last().is_some_and(|row| row.uid < *uid)))
            .collect();
        affected.sort_unstable();
        affected.dedup();
        for chunk in affected {
            if let Some(rows) = chunks.get_mut(chunk) {
                Arc::make_mut(rows).retain(|row| !uids.contains(&row.uid));
            }
        }
        self.replace_chunks(chunks);
    }
    /// Adds rows whose UIDs are ascending and above all there are.
    pub(crate) fn append(&mut self, rows: Vec<MessageRow>) {
        let mut chunks = Vec::clone(&self.chunks);
        for row in rows {
            match chunks.last_mut() {
                Some(last) if last.len() < CHUNK_ROWS => Arc::make_mut(last).push(row),
                _ => chunks.push(Arc::new(vec![row])),
            }
        }
        self.replace_chunks(chunks);
    }
    fn replace_chunks(&mut self, chunks: Vec<Arc<Vec<MessageRow>>>) {
        let count: usize = chunks.iter().map(|rows| rows.len()).sum();
        let keywords = Arc::clone(&self.keywords);
        *self = if chunks.len() > 16 + 4 * count.div_ceil(CHUNK_ROWS) {
            // Many chunks are nearly empty: pack them again.
            let rows = chunks
                .iter()
                .flat_map(|rows| rows.iter().cloned())
                .collect();
            Self::from_rows(
                self.uid_validity,
                self.uid_next,
                self.highest_modseq,
                keywords,
                rows,
            )
        } else {
            Self::from_chunks(
                self.uid_validity,
                self.uid_next,
                self.highest_modseq,
                keywords,
                chunks,
            )
        };
    }
    /// What changed from this snapshot to a newer one of the same mailbox.
    /// Chunks that both share are passed over.
    pub fn difference(&self, newer: &Self) -> Difference {
        let mut difference = Difference {
            added: newer.count..newer.count,
            ..Difference::default()
        };
        let boundary = self.rows().next_back().map(|row| row.uid);
        difference.added.start = match boundary {
            Some(uid) => uid
                .checked_add(1)
                .map_or(newer.count, |uid| newer.index_at_or_after(uid)),
            None => 0,
        };
        if Arc::ptr_eq(&self.chunks, &newer.chunks) {
            return difference;
        }
        let shared: std::collections::HashSet<*const Vec<MessageRow>> =
            newer.chunks.iter().map(Arc::as_ptr).collect();
        for (chunk, rows) in self.chunks.iter().enumerate() {
            if shared.contains(&Arc::as_ptr(rows)) {
                continue;
            }
            for (offset, row) in rows.iter().enumerate() {
                match newer.index_of(row.uid).and_then(|index| newer.row(index)) {
                    None => difference.expunged.push(self.starts[chunk] + offset),
                    Some(now)
                        if now.flags != row.flags
                            || now.keywords != row.keywords
                            || now.modseq != row.modseq =>
                    {
                        difference.changed.push(row.uid);
                    }
                    Some(_) => {}
                }
            }
        }
        difference
    }
}
