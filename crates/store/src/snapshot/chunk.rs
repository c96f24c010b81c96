//! Some rows, packed: 48 octets each, and their names one after another.

use super::row::{Listed, MessageRow};
use crate::model::{Flags, InternalDate, ModSeq, Uid};
use std::sync::Arc;

/// How many rows a chunk holds at most.
pub(crate) const CHUNK_ROWS: usize = 256;
/// A name begins before this in its chunk.
const NAMES_OCTETS: usize = u16::MAX as usize;

/// Where what is not the size begins and ends in `PackedRow::size_and_marks`.
const FLAGS: u64 = 0x1f;
const RECENT: u64 = 1 << 5;
const IN_NEW: u64 = 1 << 6;
const UNENDED: u64 = 0b11 << UNENDED_SHIFT;
const UNENDED_SHIFT: u32 = 7;
const LISTED: u64 = 0b111 << LISTED_SHIFT;
const LISTED_SHIFT: u32 = 9;
const SIZE_SHIFT: u32 = 16;
/// More octets than this no message has.
const LARGEST_SIZE: u64 = u64::MAX >> SIZE_SHIFT;

/// A row; what many rows have alike they share.
#[derive(Debug, Clone)]
pub(crate) struct PackedRow {
    uid: Uid,
    /// Where its name begins and how long it is.
    name_start: u16,
    name_octets: u16,
    modseq: ModSeq,
    size_and_marks: u64,
    internal_date: InternalDate,
    /// None for none.
    keywords: Option<Arc<Box<[u16]>>>,
    /// None for none.
    suffix: Option<Arc<Box<str>>>,
}

const _: () = assert!(size_of::<PackedRow>() == 48);

impl PackedRow {
    fn mark(&self, mark: u64) -> bool {
        self.size_and_marks & mark != 0
    }
    fn is_unseen(&self) -> bool {
        !self.flags().contains(Flags::SEEN)
    }
    fn set_mark(&mut self, mark: u64, set: bool) {
        match set {
            true => self.size_and_marks |= mark,
            false => self.size_and_marks &= !mark,
        }
    }
    fn set_listed(&mut self, listed: Listed) {
        self.size_and_marks =
            self.size_and_marks & !LISTED | u64::from(listed.0) << LISTED_SHIFT & LISTED;
    }
    fn flags(&self) -> Flags {
        Flags(u8::try_from(self.size_and_marks & FLAGS).unwrap_or_default())
    }
    fn keywords(&self) -> &[u16] {
        self.keywords
            .as_deref()
            .map_or(&[], |keywords| &keywords[..])
    }
    fn suffix(&self) -> &str {
        self.suffix.as_deref().map_or("", |suffix| &suffix[..])
    }
    /// Whether a client sees the message as it sees the other.
    fn looks_like(&self, other: &Self) -> bool {
        self.modseq == other.modseq
            && self.flags() == other.flags()
            // Not as slices: `memcmp` of nothing, at no address, costs 100 ns on some machines.
            && self.keywords == other.keywords
    }
}

/// Rows in UID order. Their names never change, so that copies share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chunk {
    rows: Vec<PackedRow>,
    names: Arc<String>,
    /// No row's mod-sequence is higher.
    highest_modseq: ModSeq,
    tally: Tally,
}

/// What the rows of a chunk come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) recent: usize,
    pub(crate) unseen: usize,
    pub(crate) deleted: usize,
    /// Claimed, but in `new/` still.
    pub(crate) unmoved: usize,
    /// The sum of sizes as sent. A sum of this many sizes of 48 bits has room.
    pub(crate) octets: u64,
}

impl Tally {
    fn of(row: &PackedRow) -> Self {
        Self {
            recent: usize::from(row.mark(RECENT)),
            unseen: usize::from(row.is_unseen()),
            deleted: usize::from(row.flags().contains(Flags::DELETED)),
            unmoved: usize::from(row.mark(IN_NEW) && !row.mark(RECENT)),
            octets: row.size_and_marks >> SIZE_SHIFT,
        }
    }
    fn add(&mut self, other: Self) {
        self.recent += other.recent;
        self.unseen += other.unseen;
        self.deleted += other.deleted;
        self.unmoved += other.unmoved;
        self.octets += other.octets;
    }
    fn subtract(&mut self, other: Self) {
        self.recent -= other.recent;
        self.unseen -= other.unseen;
        self.deleted -= other.deleted;
        self.unmoved -= other.unmoved;
        self.octets -= other.octets;
    }
}

impl Chunk {
    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
    /// A mod-sequence that no row's exceeds.
    pub(crate) fn highest_modseq(&self) -> ModSeq {
        self.highest_modseq
    }
    /// What the rows come to.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }
    /// The index of the first row that is not `\Seen`.
    pub(crate) fn first_unseen(&self) -> Option<usize> {
        self.rows.iter().position(PackedRow::is_unseen)
    }
    /// The UID of the last row.
    pub(crate) fn last_uid(&self) -> Option<Uid> {
        self.rows.last().map(|row| row.uid)
    }
    /// The index of the first row whose UID is `uid` or higher.
    pub(crate) fn index_at_or_after(&self, uid: Uid) -> usize {
        self.rows.partition_point(|row| row.uid < uid)
    }
    /// The UID of a row.
    pub(crate) fn uid(&self, index: usize) -> Option<Uid> {
        self.rows.get(index).map(|row| row.uid)
    }
    /// A row.
    pub(crate) fn row(&self, index: usize) -> Option<MessageRow<'_>> {
        self.rows.get(index).map(|row| self.show(row))
    }
    /// All rows.
    pub(crate) fn rows(&self) -> impl DoubleEndedIterator<Item = MessageRow<'_>> {
        self.rows.iter().map(|row| self.show(row))
    }
    fn show<'a>(&'a self, row: &'a PackedRow) -> MessageRow<'a> {
        let start = usize::from(row.name_start);
        let end = start + usize::from(row.name_octets);
        MessageRow {
            uid: row.uid,
            flags: row.flags(),
            recent: row.mark(RECENT),
            keywords: row.keywords(),
            modseq: row.modseq,
            size_octets: row.size_and_marks >> SIZE_SHIFT,
            unended_octets: u8::try_from((row.size_and_marks & UNENDED) >> UNENDED_SHIFT)
                .unwrap_or_default(),
            internal_date: row.internal_date,
            unique_name: self.names.get(start..end).unwrap_or_default(),
            in_new: row.mark(IN_NEW),
            suffix: row.suffix(),
            listed: Listed(
                u8::try_from((row.size_and_marks & LISTED) >> LISTED_SHIFT).unwrap_or_default(),
            ),
        }
    }
    /// Whether another row goes in.
    pub(crate) fn takes(&self) -> bool {
        self.rows.len() < CHUNK_ROWS && self.names.len() < NAMES_OCTETS
    }
    /// Adds a row whose UID is above all there are, to a chunk that takes it.
    pub(crate) fn push(&mut self, row: &MessageRow<'_>) {
        let name_octets = u16::try_from(row.unique_name.len());
        let (Ok(name_start), Ok(name_octets)) = (u16::try_from(self.names.len()), name_octets)
        else {
            // No file system has such names.
            return;
        };
        Arc::make_mut(&mut self.names).push_str(row.unique_name);
        let mut packed = PackedRow {
            uid: row.uid,
            name_start,
            name_octets,
            modseq: row.modseq,
            size_and_marks: row.size_octets.min(LARGEST_SIZE) << SIZE_SHIFT
                | u64::from(row.unended_octets) << UNENDED_SHIFT & UNENDED
                | u64::from(row.flags.0) & FLAGS,
            internal_date: row.internal_date,
            keywords: self.shared_keywords(row.keywords),
            suffix: self.shared_suffix(row.suffix),
        };
        self.highest_modseq = self.highest_modseq.max(row.modseq);
        packed.set_mark(RECENT, row.recent);
        packed.set_mark(IN_NEW, row.in_new);
        packed.set_listed(row.listed);
        self.tally.add(Tally::of(&packed));
        self.rows.push(packed);
        if self.rows.len() == CHUNK_ROWS {
            self.rows.shrink_to_fit();
            Arc::make_mut(&mut self.names).shrink_to_fit();
        }
    }
    /// These keywords, as another row has them if one does.
    fn shared_keywords(&self, keywords: &[u16]) -> Option<Arc<Box<[u16]>>> {
        if keywords.is_empty() {
            return None;
        }
        let same = |row: &&PackedRow| row.keywords() == keywords;
        let shared = self.rows.iter().rev().find(same);
        shared.map_or_else(
            || Some(Arc::new(Box::from(keywords))),
            |row| row.keywords.clone(),
        )
    }
    /// This suffix, as another row has it if one does.
    fn shared_suffix(&self, suffix: &str) -> Option<Arc<Box<str>>> {
        if suffix.is_empty() {
            return None;
        }
        let same = |row: &&PackedRow| row.suffix() == suffix;
        let shared = self.rows.iter().rev().find(same);
        shared.map_or_else(
            || Some(Arc::new(Box::from(suffix))),
            |row| row.suffix.clone(),
        )
    }
    /// Changes one row.
    pub(crate) fn change(&mut self, index: usize, change: &RowChange<'_>) {
        let keywords = change
            .keywords
            .map(|keywords| self.shared_keywords(keywords));
        let suffix = change.suffix.map(|suffix| self.shared_suffix(suffix));
        let Some(row) = self.rows.get_mut(index) else {
            return;
        };
        self.tally.subtract(Tally::of(row));
        if let Some(flags) = change.flags {
            row.size_and_marks = row.size_and_marks & !FLAGS | u64::from(flags.0) & FLAGS;
        }
        if let Some(recent) = change.recent {
            row.set_mark(RECENT, recent);
        }
        if let Some(in_new) = change.in_new {
            row.set_mark(IN_NEW, in_new);
        }
        if let Some(listed) = change.listed {
            row.set_listed(listed);
        }
        row.modseq = change.modseq.unwrap_or(row.modseq);
        self.highest_modseq = self.highest_modseq.max(row.modseq);
        self.tally.add(Tally::of(row));
        if let Some(keywords) = keywords {
            row.keywords = keywords;
        }
        if let Some(suffix) = suffix {
            row.suffix = suffix;
        }
    }
    /// Keeps the rows of which this is true; their names stay as they are.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(Uid) -> bool) {
        self.rows.retain(|row| keep(row.uid));
        self.tally = Tally::default();
        for row in &self.rows {
            self.tally.add(Tally::of(row));
        }
    }
    /// Whether clients see two rows alike.
    pub(crate) fn looks_alike(&self, index: usize, other: &Self, other_index: usize) -> bool {
        match (self.rows.get(index), other.rows.get(other_index)) {
            (Some(row), Some(other)) => row.looks_like(other),
            _ => false,
        }
    }
}

/// What of a row is to be otherwise; the fields are [`MessageRow`]'s.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RowChange<'a> {
    pub(crate) flags: Option<Flags>,
    pub(crate) recent: Option<bool>,
    pub(crate) keywords: Option<&'a [u16]>,
    pub(crate) modseq: Option<ModSeq>,
    pub(crate) in_new: Option<bool>,
    pub(crate) suffix: Option<&'a str>,
    pub(crate) listed: Option<Listed>,
}
