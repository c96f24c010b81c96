//! Mod-sequences that no index knows (see [`crate::index`]): where they begin is kept in
//! `pillarbox-modseq`.
//!
//! Where two processes have a mailbox open, only one of them can have its index. Both go
//! by the clock then, so that whoever comes from one to the other misses no change: what
//! is changed later has the higher mod-sequence. Each learns of the other by that file,
//! which whoever opens a mailbox without a reliable index writes.

use super::state::{State, failed};
use crate::control_file;
use crate::disk::{self, Stamp};
use crate::index::History;
use crate::snapshot::RowChange;
use crate::{ModSeq, Result, Uid};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Holds the mod-sequence of the last opening that had no index to rely on.
const NAME: &str = "pillarbox-modseq";
/// More changes than this happen in no run.
const GAP: ModSeq = 1_000_000_000;
/// The third word of the file: who wrote it knows that there is another.
const SHARED: &str = "shared";

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    /// The mod-sequence that its writer began with.
    pub(super) modseq: ModSeq,
    /// When that was, in microseconds since 1970.
    began: u64,
    /// Whether the writer knew that another has the mailbox open.
    is_shared: bool,
}

/// The mod-sequence that a run without a reliable index begins with, and when that is,
/// in microseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct FirstModseq {
    pub(super) modseq: ModSeq,
    now: u64,
}

impl FirstModseq {
    /// One above all told before. The first is unix time in microseconds; the next is
    /// above the last by the time that went by, as no run makes a change in each
    /// microsecond, or by a good way, should the clock have gone back.
    pub(super) fn find(directory: &Path) -> Result<Self> {
        let now = now_microseconds();
        let modseq = kept(directory)?.map_or(now, |kept| match now.checked_sub(kept.began) {
            Some(went_by) => now.max(kept.modseq + went_by),
            None => kept.modseq + GAP,
        });
        Ok(Self { modseq, now })
    }
    /// Keeps it, before anybody is told of it, for the next run without index, for
    /// whoever finds an index that knows less and for who has the mailbox open; durably if
    /// such an index may be left. A crash leaves the old or the new one, or, if not
    /// durably, none: then time goes on.
    pub(super) fn keep(
        self,
        directory: &Path,
        is_index_left: bool,
        is_shared: bool,
    ) -> Result<Stamp> {
        let Self { modseq, now } = self;
        let shared = if is_shared { SHARED } else { "" };
        let text = format!("{modseq} {now} {shared}\n");
        // Ahead of the clock: were it lost, the next would be below it.
        let written = if is_index_left || modseq > now + GAP / 2 {
            disk::replace(directory, NAME, "pillarbox-modseq.tmp", text.as_bytes())
        } else {
            disk::replace_unsynced(directory, NAME, text.as_bytes())
        };
        written.map_err(|error| failed("write", &directory.join(NAME), error))
    }
}

/// Microseconds since 1970 UTC.
fn now_microseconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(1, |age| u64::try_from(age.as_micros()).unwrap_or(1))
}

/// What the file of a mailbox says, if it says something.
pub(super) fn kept(directory: &Path) -> Result<Option<Kept>> {
    let octets = control_file::read(&directory.join(NAME))?;
    Ok(octets.and_then(|octets| parse(&octets)))
}

/// The stamp of the file; none if there is none.
pub(super) fn stamp(directory: &Path) -> Result<Option<Stamp>> {
    let path = directory.join(NAME);
    disk::stamp(&path).map_err(|error| failed("look at", &path, error))
}

/// None if a crash left only a part.
fn parse(octets: &[u8]) -> Option<Kept> {
    let text = std::str::from_utf8(octets.strip_suffix(b"\n")?).ok()?;
    let mut words = text.split_ascii_whitespace();
    let modseq: ModSeq = words.next()?.parse().ok()?;
    let began = words.next().and_then(|number| number.parse().ok());
    (modseq < 1 << 62).then_some(Kept {
        modseq,
        began: began.unwrap_or(modseq),
        is_shared: words.next() == Some(SHARED),
    })
}

impl State {
    /// The mod-sequence of a new change.
    pub(super) fn tick(&mut self) -> ModSeq {
        let next = self.snapshot.highest_modseq + 1;
        self.snapshot.highest_modseq = match self.is_shared {
            false => next,
            true => next.max(now_microseconds()),
        };
        self.snapshot.highest_modseq
    }
    /// Looks whether another process has opened the mailbox and tells mod-sequences that
    /// are higher than those here. Then all are new: what changed since is above what the
    /// other told. The index is given up, durably, as it will lack what the other tells;
    /// who opens the mailbox next begins above both. An other that cannot know of this
    /// one is told.
    pub(super) fn heed_others(&mut self) -> Result<()> {
        let stamp = stamp(&self.directory)?;
        if stamp == self.modseq_stamp {
            return Ok(());
        }
        if let Some(kept) = kept(&self.directory)? {
            let first = FirstModseq::find(&self.directory)?;
            if !self.is_shared {
                tracing::warn!(
                    directory = %self.directory.display(),
                    "another process has the mailbox open too: all mod-sequences are new"
                );
                self.is_shared = true;
                self.lose_index();
                self.restart(first.modseq.max(self.snapshot.highest_modseq + 1));
            }
            if !kept.is_shared {
                self.modseq_stamp = Some(first.keep(&self.directory, true, true)?);
                return Ok(());
            }
        }
        self.modseq_stamp = stamp;
        Ok(())
    }
    /// Gives all messages this mod-sequence; what went before is not remembered.
    fn restart(&mut self, modseq: ModSeq) {
        let change = RowChange {
            modseq: Some(modseq),
            ..RowChange::default()
        };
        let uids: Vec<Uid> = self.snapshot.rows().map(|row| row.uid).collect();
        for uid in uids {
            self.snapshot.rows.change(uid, &change);
        }
        self.snapshot.highest_modseq = modseq;
        self.history = History::new(modseq);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_read_whole_or_not_at_all() {
        let kept = |modseq, began, is_shared| {
            Some(Kept {
                modseq,
                began,
                is_shared,
            })
        };
        // As it was written before others were thought of, and as it is written now.
        assert_eq!(parse(b"7\n"), kept(7, 7, false));
        assert_eq!(parse(b"9 8\n"), kept(9, 8, false));
        assert_eq!(parse(b"9 8 \n"), kept(9, 8, false));
        assert_eq!(parse(b"9 8 shared\n"), kept(9, 8, true));
        for torn in [
            &b""[..],
            b"\n",
            b"9 8",
            b"x 8\n",
            b"4611686018427387904 8\n",
        ] {
            assert_eq!(parse(torn), None);
        }
    }
}
