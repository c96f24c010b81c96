//! The rows of a mailbox in UID order, in chunks that copies share.

use super::chunk::{CHUNK_ROWS, Chunk, RowChange, Tally};
use super::row::MessageRow;
use crate::model::Uid;
use std::collections::HashSet;
use std::sync::Arc;

/// Rows in UID order. A clone costs two pointers; a change copies one chunk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    chunks: Arc<Vec<Arc<Chunk>>>,
    /// For each chunk the index of its first row.
    starts: Arc<Vec<usize>>,
    count: usize,
}

impl Rows {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }
    /// The chunks.
    pub(super) fn chunks(&self) -> &[Arc<Chunk>] {
        &self.chunks
    }
    /// The index of a chunk's first row.
    pub(super) fn start(&self, chunk: usize) -> usize {
        self.starts.get(chunk).copied().unwrap_or(self.count)
    }
    /// Whether both have the same chunks.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.chunks, &other.chunks)
    }
    /// The chunk of a row, and its index there.
    pub(super) fn locate(&self, index: usize) -> Option<(&Arc<Chunk>, usize)> {
        if index >= self.count {
            return None;
        }
        let chunk = self.chunk_of(index)?;
        Some((self.chunks.get(chunk)?, index - self.starts.get(chunk)?))
    }
    fn chunk_of(&self, index: usize) -> Option<usize> {
        self.starts
            .partition_point(|start| *start <= index)
            .checked_sub(1)
    }
    /// The first chunk with a UID that is `uid` or higher.
    fn chunk_with(&self, uid: Uid) -> usize {
        self.chunks
            .partition_point(|chunk| chunk.last_uid().is_some_and(|last| last < uid))
    }
    /// A row by index.
    pub(crate) fn row(&self, index: usize) -> Option<MessageRow<'_>> {
        let (chunk, offset) = self.locate(index)?;
        chunk.row(offset)
    }
    /// The UID at an index.
    pub(crate) fn uid(&self, index: usize) -> Option<Uid> {
        let (chunk, offset) = self.locate(index)?;
        chunk.uid(offset)
    }
    /// A row by UID.
    pub(crate) fn of_uid(&self, uid: Uid) -> Option<MessageRow<'_>> {
        let chunk = self.chunks.get(self.chunk_with(uid))?;
        let row = chunk.row(chunk.index_at_or_after(uid))?;
        (row.uid == uid).then_some(row)
    }
    /// The index of a UID.
    pub(crate) fn index_of(&self, uid: Uid) -> Option<usize> {
        let number = self.chunk_with(uid);
        let chunk = self.chunks.get(number)?;
        let offset = chunk.index_at_or_after(uid);
        (chunk.uid(offset)? == uid).then(|| self.start(number) + offset)
    }
    /// The index of the first row whose UID is `uid` or higher; `len()` if none.
    pub(crate) fn index_at_or_after(&self, uid: Uid) -> usize {
        let number = self.chunk_with(uid);
        match self.chunks.get(number) {
            Some(chunk) => self.start(number) + chunk.index_at_or_after(uid),
            None => self.count,
        }
    }
    /// The highest UID.
    pub(crate) fn last_uid(&self) -> Option<Uid> {
        self.chunks.last()?.last_uid()
    }
    /// What all rows come to, chunk by chunk.
    pub(crate) fn tallies(&self) -> impl Iterator<Item = Tally> {
        self.chunks.iter().map(|chunk| chunk.tally())
    }
    /// All rows.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = MessageRow<'_>> {
        self.chunks.iter().flat_map(|chunk| chunk.rows())
    }
    /// Adds a row whose UID is above all there are.
    pub(crate) fn push(&mut self, row: &MessageRow<'_>) {
        let chunks = Arc::make_mut(&mut self.chunks);
        match chunks.last_mut() {
            Some(last) if last.takes() => Arc::make_mut(last).push(row),
            _ => {
                let mut chunk = Chunk::default();
                chunk.push(row);
                chunks.push(Arc::new(chunk));
                Arc::make_mut(&mut self.starts).push(self.count);
            }
        }
        let last = chunks.last().map_or(0, |chunk| chunk.len());
        self.count = self.starts.last().copied().unwrap_or_default() + last;
    }
    /// Changes one row, if it is there; copies its chunk if others share it.
    pub(crate) fn change(&mut self, uid: Uid, change: &RowChange<'_>) {
        let number = self.chunk_with(uid);
        let Some(chunk) = self.chunks.get(number) else {
            return;
        };
        let offset = chunk.index_at_or_after(uid);
        if chunk.uid(offset) != Some(uid) {
            return;
        }
        if let Some(chunk) = Arc::make_mut(&mut self.chunks).get_mut(number) {
            Arc::make_mut(chunk).change(offset, change);
        }
    }
    /// Removes rows; only chunks that held one are copied.
    pub(crate) fn remove(&mut self, uids: &HashSet<Uid>) {
        let mut affected: Vec<usize> = uids.iter().map(|uid| self.chunk_with(*uid)).collect();
        affected.sort_unstable();
        affected.dedup();
        let chunks = Arc::make_mut(&mut self.chunks);
        for number in affected {
            if let Some(chunk) = chunks.get_mut(number) {
                Arc::make_mut(chunk).retain(|uid| !uids.contains(&uid));
            }
        }
        chunks.retain(|chunk| !chunk.is_empty());
        let count: usize = chunks.iter().map(|chunk| chunk.len()).sum();
        if chunks.len() > 16 + 4 * count.div_ceil(CHUNK_ROWS) {
            // Many chunks are nearly empty: pack them again.
            *self = self.iter().collect();
            return;
        }
        let mut start = 0;
        let starts = chunks.iter().map(|chunk| {
            let this = start;
            start += chunk.len();
            this
        });
        self.starts = Arc::new(starts.collect());
        self.count = count;
    }
}

impl<'a> FromIterator<MessageRow<'a>> for Rows {
    /// Rows in UID order.
    fn from_iter<I: IntoIterator<Item = MessageRow<'a>>>(all: I) -> Self {
        let mut rows = Self::default();
        for row in all {
            rows.push(&row);
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::{Listed, OwnedRow};
    use super::*;
    use crate::{Flags, InternalDate};

    fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    fn row(number: u32) -> OwnedRow {
        OwnedRow {
            uid: uid(number),
            flags: Flags(number as u8 % 32),
            recent: number.is_multiple_of(3),
            keywords: (0..number as u16 % 3).collect(),
            modseq: u64::from(number) << 40,
            size_octets: u64::from(number) << 20,
            unended_octets: number as u8 % 3,
            internal_date: InternalDate(-i64::from(number)),
            unique_name: "n".repeat(1 + number as usize % 700).into(),
            in_new: number.is_multiple_of(5),
            suffix: [":2,", "", ":2,S"][number as usize % 3].into(),
            listed: Listed(number as u8 % 8),
        }
    }

    fn words(row: &MessageRow<'_>) -> String {
        format!("{row:?}")
    }

    #[test]
    fn rows_are_kept_as_they_are() {
        let owned: Vec<OwnedRow> = (1..=2000).map(|number| row(number * 2)).collect();
        let mut rows: Rows = owned.iter().map(OwnedRow::row).collect();
        assert_eq!(rows.len(), owned.len());
        for (index, owned) in owned.iter().enumerate() {
            let shown = rows.row(index).unwrap();
            assert_eq!(words(&shown), words(&owned.row()));
            assert_eq!(rows.index_of(owned.uid), Some(index));
            assert_eq!(words(&rows.of_uid(owned.uid).unwrap()), words(&shown));
            assert_eq!(rows.index_at_or_after(uid(owned.uid.get() - 1)), index);
            assert_eq!(rows.index_of(uid(owned.uid.get() + 1)), None);
        }
        let before = rows.clone();
        let change = RowChange {
            flags: Some(Flags::SEEN),
            recent: Some(true),
            keywords: Some(&[9]),
            modseq: Some(7),
            in_new: Some(false),
            suffix: Some(":2,RS"),
            listed: Some(Listed::SIZE),
        };
        rows.change(uid(1000), &change);
        let changed = rows.of_uid(uid(1000)).unwrap();
        assert_eq!((changed.flags, changed.modseq), (Flags::SEEN, 7));
        assert_eq!((changed.keywords, changed.suffix), (&[9][..], ":2,RS"));
        assert!(changed.recent && !changed.in_new && changed.listed == Listed::SIZE);
        assert_eq!(changed.unique_name, row(1000).unique_name.as_ref());
        assert_eq!(changed.size_octets, row(1000).size_octets);
        assert_eq!(
            words(&before.of_uid(uid(1000)).unwrap()),
            words(&row(1000).row())
        );
        let changed = changed.to_owned();
        // All but every fiftieth go: what is left is packed again, and is as it was.
        let gone = (1..=2000)
            .filter(|number| number % 50 != 0)
            .map(|number| uid(number * 2));
        rows.remove(&gone.collect());
        assert_eq!(rows.len(), 40);
        for (index, left) in rows.iter().enumerate() {
            assert_eq!(left.uid, uid((index as u32 + 1) * 100));
            assert_eq!(rows.index_of(left.uid), Some(index));
            let expected = match left.uid.get() {
                1000 => words(&changed.row()),
                number => words(&row(number).row()),
            };
            assert_eq!(words(&left), expected);
        }
        let mut sum = (0, 0, 0, 0);
        for tally in rows.tallies() {
            sum.0 += tally.recent;
            sum.1 += tally.unseen;
            sum.2 += tally.deleted;
            sum.3 += tally.octets;
        }
        let count = |is: fn(&MessageRow<'_>) -> bool| rows.iter().filter(is).count();
        let expected = (
            count(|row| row.recent),
            count(|row| !row.flags.contains(Flags::SEEN)),
            count(|row| row.flags.contains(Flags::DELETED)),
            rows.iter().map(|row| row.size_octets).sum(),
        );
        assert_eq!(sum, expected);
        rows.push(&row(5000).row());
        assert_eq!(words(&rows.row(40).unwrap()), words(&row(5000).row()));
    }
}
