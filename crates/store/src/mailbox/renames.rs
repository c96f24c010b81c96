//! Renames within a mailbox: flags are in the names of files, and what is recent is
//! what lies in `new/`.

use super::follow::Coverage;
use super::state::{Before, NAMES, State};
use crate::Uid;
use crate::disk::Directory;
use crate::maildir::filename::Info;
use crate::snapshot::{MessageRow, RowChange};
use std::io::ErrorKind;

/// For fewer names opening the directories costs more than it saves. Crashes are tried
/// with a few names.
const MANY_NAMES: usize = if cfg!(test) { 2 } else { 8 };
/// So many files are moved while somebody waits; each takes some 20 microseconds.
const MOVED_AT_ONCE: usize = 256;

/// Renames one after the other. What the directories say of themselves is asked before
/// the first and after the last: a foreign change in between is found with the next look
/// at the names, as one behind a single rename is.
#[derive(Debug)]
pub(super) struct Renames {
    /// `new` and `cur`.
    halves: [Directory; 2],
    /// How they were before.
    before: Before,
    /// Whether something was renamed in them.
    touched: [bool; 2],
}

/// What came of moving files to `cur/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moved {
    All,
    /// Some were not where they should be.
    SomeLost,
    /// The disk refuses.
    Refused,
}

impl State {
    /// `new` and `cur`, for so many names.
    pub(super) fn halves(&self, names: usize) -> [Directory; 2] {
        NAMES.map(|half| {
            let path = self.directory.join(half);
            match names < MANY_NAMES {
                true => Directory::at(path),
                false => Directory::opened(path),
            }
        })
    }
    /// Begins at most so many renames, to be ended with [`State::end_renames`].
    pub(super) fn begin_renames(&self, most: usize) -> Renames {
        Renames {
            halves: self.halves(most),
            before: self.before_change(),
            touched: [false; 2],
        }
    }
    /// The directories that were settled before are again.
    pub(super) fn end_renames(&mut self, renames: Renames) {
        if renames.touched != [false; 2] {
            self.settle(&renames.before, renames.touched);
        }
    }
    /// Gives a message's file another suffix, in `cur/`; the row is still to be changed.
    /// A crash leaves the old name or the new one; with a loss of power, and until `cur`
    /// is synced, either may come back.
    pub(super) fn rename_to_cur(
        &mut self,
        renames: &mut Renames,
        row: &MessageRow<'_>,
        suffix: &str,
    ) -> std::io::Result<()> {
        if !row.in_new && row.suffix == suffix {
            return Ok(());
        }
        let half = usize::from(!row.in_new);
        let new_name = format!("{}{suffix}", row.unique_name);
        renames.touched[half] = true;
        renames.touched[1] = true;
        renames.halves[half].rename(&row.file_name(), &renames.halves[1], &new_name)?;
        self.unsynced[0] |= row.in_new;
        self.unsynced[1] = true;
        Ok(())
    }
    /// Claims what is recent; gives its UIDs. Some of it is moved to `cur/` at once, what
    /// is many is left to [`State::move_claimed`]. A crash leaves some of it in `new/`,
    /// where the next who looks may find it recent again.
    pub(super) fn claim_recent(&mut self) -> Vec<Uid> {
        let recent: Vec<Uid> = self.snapshot.recent_uids().collect();
        let change = RowChange {
            recent: Some(false),
            ..RowChange::default()
        };
        let (first, later) = recent.split_at(recent.len().min(MOVED_AT_ONCE));
        self.move_to_cur(first);
        for uid in first.iter().chain(later) {
            self.recent_in_cur.remove(uid);
            self.change_row(*uid, &change);
        }
        recent
    }
    /// Moves some of what was claimed to `cur/`; says whether there is more that can be
    /// moved. What others moved or removed is looked for. A crash leaves some of it in
    /// `new/`.
    pub(super) fn move_claimed(&mut self) -> bool {
        let unmoved = |state: &Self| -> usize {
            let tallies = state.snapshot.rows.tallies();
            tallies.map(|tally| tally.unmoved).sum()
        };
        let before = unmoved(self);
        let some: Vec<Uid> = self.snapshot.unmoved_uids().take(MOVED_AT_ONCE).collect();
        let moved = self.move_to_cur(&some);
        if moved == Moved::Refused {
            return false;
        }
        if moved == Moved::SomeLost {
            self.must_scan = true;
            if let Err(error) = self.refresh() {
                tracing::warn!(%error, "messages stay in new/");
                return false;
            }
        }
        // Where nothing moves, trying at once again would not end.
        (1..before).contains(&unmoved(self))
    }
    /// Moves messages to `cur/`, unless that proves impossible.
    fn move_to_cur(&mut self, uids: &[Uid]) -> Moved {
        let mut moved = Moved::All;
        let mut renames = self.begin_renames(uids.len());
        for &uid in uids {
            let row = self.find(uid).filter(|row| row.in_new);
            let Some(row) = row.map(MessageRow::to_owned) else {
                continue;
            };
            let suffix = match &*row.suffix {
                "" => Info::default().suffix(),
                suffix => suffix.to_owned(),
            };
            match self.rename_to_cur(&mut renames, &row.row(), &suffix) {
                Ok(()) => {
                    let change = RowChange {
                        in_new: Some(false),
                        suffix: Some(&suffix),
                        ..RowChange::default()
                    };
                    self.change_row(uid, &change);
                }
                // Another program was faster.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    self.must_scan |= self.coverage != Coverage::Full;
                    moved = Moved::SomeLost;
                }
                Err(error) => {
                    // The disk is full, perhaps: they stay where they are and are claimed
                    // all the same.
                    tracing::warn!(%error, "messages stay in new/");
                    moved = Moved::Refused;
                    break;
                }
            }
        }
        self.end_renames(renames);
        moved
    }
}
