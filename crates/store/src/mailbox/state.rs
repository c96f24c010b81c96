//! What a mailbox knows: its messages, where their files are, what went.

use super::follow::Coverage;
use super::names::NameTable;
use crate::disk::{self, Stamp};
use crate::index::{History, Index};
use crate::maildir::dotlock;
use crate::maildir::keywords::KeywordTable;
use crate::maildir::uidlist::Uidlist;
use crate::maildir::watch::Queue;
use crate::snapshot::{MessageRow, OwnedRow, RowChange, Rows};
use crate::{Error, ModSeq, Result, Snapshot, Uid};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A watched directory as last read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) stamp: Stamp,
    /// Whether a change may hide behind an equal stamp.
    pub(super) doubtful: bool,
}

/// An index that lacks what was told, and cannot be spoiled or removed.
#[derive(Debug)]
pub(super) enum StaleIndex {
    None,
    /// What may lie in the directory.
    Left,
    /// One that is open, and locked as long as it is.
    Open(Box<Index>),
}

#[derive(Debug)]
pub(super) struct State {
    /// Where the mailbox is.
    pub(super) directory: PathBuf,
    /// That directory when the mailbox was opened; none while it is not open yet.
    pub(super) home: Option<Stamp>,
    pub(super) uidlist: Uidlist,
    pub(super) keywords: KeywordTable,
    pub(super) snapshot: Snapshot,
    pub(super) names: NameTable,
    /// Messages that are recent although they lie in `cur/`.
    pub(super) recent_in_cur: HashSet<Uid>,
    pub(super) history: History,
    /// What keeps all this; none if another process has it, or it cannot be written.
    pub(super) index: Option<Index>,
    /// The file that tells of others who tell mod-sequences, as last read or written.
    pub(super) modseq_stamp: Option<Stamp>,
    /// Whether another process tells mod-sequences of this mailbox.
    pub(super) is_shared: bool,
    /// Whether it is only looked at: nothing is written.
    pub(super) is_inspected: bool,
    /// When `tmp` was cleaned last.
    pub(super) cleaned: Option<Instant>,
    /// What is left of an index that lacks what was told.
    pub(super) stale_index: StaleIndex,
    /// Whether `new` and `cur` hold renames that are not synced.
    pub(super) unsynced: [bool; 2],
    pub(super) seen: [Seen; 2],
    pub(super) scanned: Option<Instant>,
    pub(super) own_changes: bool,
    /// Whether own changes took so long that it is likely: then who comes to wait for news,
    /// which no event tells of it, does not take the directories for read.
    pub(super) hides: bool,
    /// Whether the next look must read the directories.
    pub(super) must_scan: bool,
    /// What the watch saw.
    pub(super) queue: Arc<Queue>,
    pub(super) coverage: Coverage,
    /// Unique names that more than one file has.
    pub(super) doubles: HashSet<Box<str>>,
    /// How long other programs are waited for that have the UID list locked.
    pub(super) lock_patience: Duration,
}

/// The directories' names: `new` first.
pub(super) const NAMES: [&str; 2] = ["new", "cur"];

/// How long own changes of names may take until others are likely to have come between them.
const WINDOW: Duration = Duration::from_millis(1);

/// How `new` and `cur` were before own changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    /// Whether they were as last read.
    pub(super) settled: [bool; 2],
    began: Instant,
}

/// Makes the names in directories durable, one after another until one cannot be; gives
/// which could.
pub(super) fn sync_each(halves: &[(usize, PathBuf)]) -> (Vec<usize>, Result<()>) {
    let mut synced = Vec::with_capacity(halves.len());
    for (half, path) in halves {
        if let Err(error) = disk::sync_directory(path) {
            return (synced, Err(failed("sync", path, error)));
        }
        synced.push(*half);
    }
    (synced, Ok(()))
}

impl State {
    /// A mailbox of which nothing is known but its control files.
    pub(super) fn new(
        directory: PathBuf,
        uidlist: Uidlist,
        keywords: KeywordTable,
        modseq: ModSeq,
        queue: Arc<Queue>,
    ) -> Self {
        let snapshot = Snapshot {
            uid_validity: uidlist.uid_validity,
            uid_next: Uid::MIN,
            highest_modseq: modseq,
            keywords: Arc::clone(&keywords.names),
            rows: Rows::default(),
        };
        Self {
            directory,
            home: None,
            uidlist,
            keywords,
            snapshot,
            names: NameTable::default(),
            recent_in_cur: HashSet::new(),
            history: History::new(modseq),
            index: None,
            modseq_stamp: None,
            is_shared: false,
            is_inspected: false,
            cleaned: Some(Instant::now()),
            stale_index: StaleIndex::None,
            unsynced: [true; 2],
            seen: [Seen::default(); 2],
            scanned: None,
            own_changes: false,
            hides: false,
            must_scan: true,
            queue,
            coverage: Coverage::None,
            doubles: HashSet::new(),
            lock_patience: dotlock::PATIENCE,
        }
    }
    /// The path of `new` or `cur`.
    pub(super) fn half(&self, in_new: bool) -> PathBuf {
        self.directory.join(NAMES[usize::from(!in_new)])
    }
    /// The path of a message's file.
    pub(super) fn path(&self, row: &MessageRow<'_>) -> PathBuf {
        self.half(row.in_new).join(row.file_name())
    }
    /// Looks for a file that is not where it should be; from the second time on the
    /// directories are read whatever their times say.
    pub(super) fn look_for_lost(&mut self, attempt: usize) -> Result<()> {
        self.must_scan |= attempt > 0;
        self.refresh().map(drop)
    }
    /// A row.
    pub(super) fn find(&self, uid: Uid) -> Option<MessageRow<'_>> {
        self.snapshot.of_uid(uid)
    }
    /// The row of a unique name.
    pub(super) fn named(&self, unique: &str) -> Option<MessageRow<'_>> {
        self.names.find(unique, &self.snapshot.rows)
    }
    /// Removes rows and remembers that they went.
    pub(super) fn forget(&mut self, uids: &HashSet<Uid>) {
        let mut gone: Vec<Uid> = uids
            .iter()
            .copied()
            .filter(|uid| self.snapshot.index_of(*uid).is_some())
            .collect();
        gone.sort_unstable();
        self.remember_expunged(&gone);
        for uid in gone {
            if let Some(row) = self.snapshot.of_uid(uid) {
                self.names.remove(row.unique_name, uid);
                self.keywords.forget(row.unique_name);
            }
            self.uidlist.forget(uid.get());
            self.recent_in_cur.remove(&uid);
        }
        self.snapshot.rows.remove(uids);
    }
    /// Remembers that these went, at a mod-sequence of their own.
    pub(super) fn remember_expunged(&mut self, gone: &[Uid]) {
        if gone.is_empty() {
            return;
        }
        let modseq = self.tick();
        if let Some(index) = &mut self.index {
            index.expunged(modseq, gone);
        }
        for uid in gone {
            self.history.push(modseq, *uid);
        }
    }
    /// Adds new messages with the UIDs they got; rows in any order.
    pub(super) fn admit(&mut self, mut fresh: Vec<OwnedRow>) {
        fresh.sort_unstable_by_key(|row| row.uid);
        for row in &mut fresh {
            row.listed = self.uidlist.claim(row.uid.get(), row.size_octets);
        }
        if let Some(index) = &mut self.index {
            let came = fresh.iter().map(OwnedRow::row);
            index.came(came, &self.keywords.names, &self.uidlist.fields);
        }
        self.names.reserve(fresh.len());
        for row in &fresh {
            if row.recent && !row.in_new {
                self.recent_in_cur.insert(row.uid);
            }
            self.names.insert(&row.unique_name, row.uid);
        }
        if let (Some(last), Some(first)) = (self.snapshot.last_uid(), fresh.first())
            && first.uid < last
        {
            // At the first look, where an index in doubt lacked what the list knows.
            let mut all: Vec<MessageRow<'_>> = self.snapshot.rows().collect();
            all.extend(fresh.iter().map(OwnedRow::row));
            all.sort_unstable_by_key(|row| row.uid);
            self.snapshot.rows = all.into_iter().collect();
        } else {
            for row in &fresh {
                self.snapshot.rows.push(&row.row());
            }
        }
        self.settle_header();
    }
    /// Changes a row and tells the index, also of where its file is now.
    pub(super) fn change_row(&mut self, uid: Uid, change: &RowChange<'_>) {
        self.snapshot.rows.change(uid, change);
        if let (Some(index), Some(row)) = (&mut self.index, self.snapshot.of_uid(uid)) {
            index.changed(&row, &self.keywords.names);
        }
    }
    /// Writes the UID list anew.
    pub(super) fn rewrite_list(&mut self) -> Result<()> {
        let rows = &mut self.snapshot.rows;
        self.uidlist
            .rewrite(&self.directory, rows, self.lock_patience)
    }
    /// Does something for which others, who have the UID list locked, are waited for no longer
    /// than this.
    pub(super) fn with_patience<T>(
        &mut self,
        patience: Duration,
        action: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let usual = self.lock_patience;
        self.lock_patience = usual.min(patience);
        let done = action(self);
        self.lock_patience = usual;
        done
    }
    /// Makes the names in `new` (first) and `cur` durable, where asked. What was
    /// renamed from `new` to `cur` must not be gone from the one before it is durable
    /// in the other.
    pub(super) fn sync_halves(&mut self, asked: [bool; 2]) -> Result<()> {
        let halves = self.halves_to_sync(asked);
        self.note_synced(sync_each(&halves))
    }
    /// The halves whose names [`State::sync_halves`] makes durable, in its order.
    pub(super) fn halves_to_sync(&self, asked: [bool; 2]) -> Vec<(usize, PathBuf)> {
        let is_due = |half: &usize| asked[*half] || (*half == 1 && asked[0] && self.unsynced[1]);
        let halves = [1, 0].into_iter().filter(is_due);
        halves.map(|half| (half, self.half(half == 0))).collect()
    }
    /// What came of [`sync_each`].
    pub(super) fn note_synced(&mut self, (synced, result): (Vec<usize>, Result<()>)) -> Result<()> {
        for half in synced {
            self.unsynced[half] = false;
        }
        result
    }
    /// Takes the next UID and keyword names over into the snapshot.
    pub(super) fn settle_header(&mut self) {
        let next = Uid::new(self.uidlist.next_to_tell()).unwrap_or(Uid::MIN);
        let after_last = self.snapshot.last_uid().map(|last| last.saturating_add(1));
        self.snapshot.uid_next = next
            .max(after_last.unwrap_or(Uid::MIN))
            .max(self.snapshot.uid_next);
        self.snapshot.keywords = Arc::clone(&self.keywords.names);
    }
    /// How `new` and `cur` are; asked before an own change.
    pub(super) fn before_change(&self) -> Before {
        let began = Instant::now();
        let is_settled = |half: usize| {
            let path = self.directory.join(NAMES[half]);
            let same = |stamp: Stamp| stamp == self.seen[half].stamp;
            matches!(disk::stamp(&path), Ok(Some(stamp)) if same(stamp))
        };
        let settled = [0, 1].map(is_settled);
        Before { settled, began }
    }
    /// After own changes of names, and at once: what others do in a directory between them
    /// and this is hidden until all is read. Of the directories that were touched those that
    /// were settled before are again.
    pub(super) fn settle(&mut self, before: &Before, touched: [bool; 2]) {
        for half in [0, 1] {
            let path = self.directory.join(NAMES[half]);
            if before.settled[half]
                && touched[half]
                && let Ok(Some(stamp)) = disk::stamp(&path)
            {
                self.seen[half].stamp = stamp;
            }
        }
        // With full coverage no foreign change hides behind it.
        self.own_changes |= self.coverage != Coverage::Full;
        self.hides |= self.coverage != Coverage::Full && before.began.elapsed() > WINDOW;
    }
}

/// An error naming the path.
pub(super) fn failed(what: &str, path: &Path, source: std::io::Error) -> Error {
    Error::io(format!("{what} {}", path.display()), source)
}
