//! What a mailbox keeps in its index, and takes from it.

use super::state::{Seen, StaleIndex, State};
use crate::index::{self, Contents, History, Index, Picture, Settled};
use crate::maildir::uidlist::Uidlist;
use crate::snapshot::{MessageRow, RowChange, Rows};
use crate::{Error, Keyword, ModSeq, Snapshot, Uid};
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Seconds since 1970 UTC.
fn now_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| i64::try_from(age.as_secs()).unwrap_or(i64::MAX))
}

impl State {
    /// Begins with what the index said. The UID list has the last word on UIDs, the
    /// directories on flags: a scan follows unless all is as when it was settled.
    /// With `restart` the index is in doubt, and every message gets that mod-sequence.
    /// Unless the list is read, it is as it was when the index was settled.
    /// Gives the UIDs that the list had lost.
    pub(super) fn take_from_index(
        &mut self,
        contents: Contents,
        index: Option<Index>,
        restart: Option<ModSeq>,
        list_is_read: bool,
    ) -> Vec<Uid> {
        let Contents {
            rows,
            keywords,
            fields,
            history,
            highest_modseq,
            uid_next,
            settled,
            ..
        } = contents;
        self.index = index;
        let (own, unknown) = self.own_keywords(&keywords);
        let mut gone = HashSet::new();
        let mut healed = Vec::new();
        let mut kept = rows;
        if list_is_read {
            for row in kept.iter() {
                match self.place_in_list(&row, &fields) {
                    InList::Listed => {}
                    InList::Added => healed.push(row.uid),
                    InList::Otherwise => {
                        gone.insert(row.uid);
                    }
                }
            }
            kept.remove(&gone);
            self.uidlist.take_over(&mut kept, &fields);
        } else {
            self.uidlist.fields = fields;
        }
        restate(&mut kept, &own, restart);
        self.names.reserve(kept.len());
        for row in kept.iter() {
            self.names.insert(row.unique_name, row.uid);
            if row.recent && !row.in_new {
                self.recent_in_cur.insert(row.uid);
            }
        }
        let doubtful = restart.is_some();
        self.snapshot = Snapshot {
            uid_validity: self.uidlist.uid_validity,
            uid_next: if doubtful {
                Uid::MIN
            } else {
                Uid::new(uid_next).unwrap_or(Uid::MAX)
            },
            highest_modseq: restart.unwrap_or(highest_modseq),
            keywords: Arc::clone(&self.keywords.names),
            rows: kept,
        };
        self.history = match restart {
            Some(modseq) => History::new(modseq),
            None => history,
        };
        let unchanged = healed.is_empty() && gone.is_empty() && !unknown && !doubtful;
        if !doubtful {
            self.forget_dead(uid_next);
            let mut gone: Vec<Uid> = gone.into_iter().collect();
            gone.sort_unstable();
            self.remember_expunged(&gone);
        }
        if let Some(settled) = settled.filter(|_| unchanged) {
            self.continue_settled(&settled);
        }
        healed
    }
    /// For each of the file's keywords its index here, and whether one could not be
    /// taken over.
    fn own_keywords(&mut self, keywords: &[Keyword]) -> (Vec<Option<u16>>, bool) {
        let own: Vec<Option<u16>> = keywords
            .iter()
            .map(|name| self.keywords.index(name))
            .collect();
        let mut numbers = vec![None; self.keywords.names.len()];
        for (number, own) in own.iter().enumerate() {
            let slot = own.and_then(|own| numbers.get_mut(usize::from(own)));
            if let (Some(slot), Ok(number)) = (slot, u16::try_from(number)) {
                *slot = Some(number);
            }
        }
        if let Some(index) = &mut self.index {
            index.know_keywords(numbers);
        }
        let unknown = own.contains(&None);
        (own, unknown)
    }
    /// Whether the UID list has this row; a row it lost is added, with what the index
    /// knows of its record.
    fn place_in_list(&mut self, row: &MessageRow<'_>, fields: &HashMap<u32, Box<str>>) -> InList {
        let uid = row.uid.get();
        match self.uidlist.records.get(&uid) {
            Some(record) if *record.name == *row.unique_name => return InList::Listed,
            Some(_) => return InList::Otherwise,
            None if self.uidlist.uid_of(row.unique_name).is_some() => return InList::Otherwise,
            None => {}
        }
        self.uidlist.insert_indexed(row, fields);
        InList::Added
    }
    /// Records below the next UID told that no message has are of messages that went.
    fn forget_dead(&mut self, uid_next: u32) {
        let dead: Vec<u32> = self
            .uidlist
            .records
            .range(..uid_next)
            .filter(|(_, record)| self.named(&record.name).is_none())
            .map(|(uid, _)| *uid)
            .collect();
        for uid in dead {
            self.uidlist.forget(uid);
        }
    }
    /// Takes the directories for read as they were then, where the other files are
    /// as they were.
    fn continue_settled(&mut self, settled: &Settled) {
        let age = now_seconds().checked_sub(settled.scanned_seconds);
        let scanned = age
            .and_then(|age| u64::try_from(age).ok())
            .and_then(|age| Instant::now().checked_sub(Duration::from_secs(age)));
        // After a start of the machine its clock may not reach back: not needed where
        // nothing own hides anything.
        let scanned = match scanned {
            None if !settled.own_changes => Some(Instant::now()),
            scanned => scanned,
        };
        if settled.keywords != self.keywords.stamps(&self.directory)
            || settled.uidlist != self.uidlist.stamp()
        {
            return;
        }
        for half in 0..2 {
            self.seen[half] = Seen {
                stamp: settled.halves[half],
                doubtful: settled.doubtful[half],
            };
        }
        self.scanned = scanned;
        self.own_changes = settled.own_changes;
        self.must_scan = scanned.is_none();
        self.unsynced = [false; 2];
    }
    /// Makes the index that is missing; without one the mailbox works all the same.
    pub(super) fn make_index(&mut self) {
        let picture = picture(&self.snapshot, &self.history, &self.uidlist);
        match Index::create(&self.directory, picture) {
            Ok(index) => self.index = Some(index),
            Err(error) => {
                tracing::warn!(directory = %self.directory.display(), %error, "no index can be written");
            }
        }
    }
    /// Writes what changed; before any of it is told.
    pub(super) fn commit(&mut self) {
        let Some(index) = &mut self.index else {
            self.abandon_index();
            return;
        };
        let fields_changed = std::mem::take(&mut self.uidlist.fields_changed);
        let committed = index.commit();
        let wants_rewrite = index.wants_rewrite() || fields_changed;
        let result = committed.and_then(|()| match wants_rewrite {
            true => self.rewrite_index(),
            false => Ok(()),
        });
        if let Err(error) = result {
            self.warn_of_index(&error);
            self.lose_index();
        }
    }
    /// Makes a new index in place of the one that is open, unless that place is another
    /// mailbox's: then the open one lacks nothing that is told of this mailbox.
    fn rewrite_index(&mut self) -> io::Result<()> {
        match self.look_for_another() {
            Ok(()) => {}
            Err(Error::NonExistent) => return Ok(()),
            Err(error) => return Err(io::Error::other(error)),
        }
        let picture = picture(&self.snapshot, &self.history, &self.uidlist);
        match &mut self.index {
            Some(index) => index.rewrite(&self.directory, picture),
            None => Ok(()),
        }
    }
    fn warn_of_index(&self, error: &io::Error) {
        tracing::warn!(directory = %self.directory.display(), %error, "the index cannot be written and is removed");
    }
    /// Does without an index, and removes the one that is there: it will lack what is told.
    pub(super) fn lose_index(&mut self) {
        self.stale_index = match (self.index.take(), &self.stale_index) {
            (Some(index), _) => StaleIndex::Open(Box::new(index)),
            (None, StaleIndex::Open(_)) => return self.abandon_index(),
            (None, _) => StaleIndex::Left,
        };
        self.abandon_index();
    }
    /// Spoils or removes an index that is stale, if there is one.
    fn abandon_index(&mut self) {
        let open = match &self.stale_index {
            StaleIndex::None => return,
            StaleIndex::Left => None,
            StaleIndex::Open(index) => Some(&**index),
        };
        match index::abandon(&self.directory, open) {
            Ok(()) => self.stale_index = StaleIndex::None,
            Err(error) => {
                tracing::error!(directory = %self.directory.display(), %error, "a stale index is left");
            }
        }
    }
    /// Writes the UID list anew if that is worth it.
    pub(super) fn compact_list(&mut self) {
        if !self.uidlist.is_wasteful(&self.snapshot.rows) {
            return;
        }
        match self.rewrite_list() {
            Ok(()) => self.settle_header(),
            Err(error) => {
                tracing::warn!(directory = %self.directory.display(), %error, "the UID list stays as it is");
            }
        }
    }
    /// At the end: what is known now can be relied on by the next opening.
    pub(super) fn close(&mut self) {
        if self.unsynced.contains(&true) && self.own_changes {
            // Failing this costs nothing but certainty.
            if let Err(error) = self.sync_halves(self.unsynced) {
                tracing::warn!(%error, "flags may not be durable");
            }
        }
        self.commit();
        let age = self.scanned.map_or(i64::MAX, |scanned| {
            i64::try_from(scanned.elapsed().as_secs()).unwrap_or(i64::MAX)
        });
        let must_scan = self.must_scan || self.scanned.is_none();
        let settled = Settled {
            halves: self.seen.map(|seen| seen.stamp),
            doubtful: self.seen.map(|seen| seen.doubtful || must_scan),
            own_changes: self.own_changes,
            scanned_seconds: now_seconds().saturating_sub(age),
            // Only where the rows have all of it can the index speak for the list.
            uidlist: self
                .uidlist
                .stamp()
                .filter(|_| self.uidlist.records.is_empty()),
            keywords: self.keywords.stamps(&self.directory),
            uid_next: self.snapshot.uid_next.get(),
            dead: u32::try_from(self.uidlist.dead).unwrap_or(u32::MAX),
        };
        if let Some(index) = &mut self.index
            && let Err(error) = index.settle(settled)
        {
            self.warn_of_index(&error);
            self.lose_index();
        }
    }
}

/// What the UID list says of a row of the index.
enum InList {
    Listed,
    /// It did not know it, and does now.
    Added,
    /// The UID is another message's, or the message has another UID.
    Otherwise,
}

/// Gives rows of an index the mailbox's own keywords, and a mod-sequence if one is said.
fn restate(rows: &mut Rows, own: &[Option<u16>], restart: Option<ModSeq>) {
    let same = |(number, own): (usize, &Option<u16>)| own.map(usize::from) == Some(number);
    let translates = !own.iter().enumerate().all(same);
    let is_affected = |row: &MessageRow<'_>| {
        let translates = translates || !row.keywords.is_sorted();
        restart.is_some() || (translates && !row.keywords.is_empty())
    };
    let affected = rows.iter().filter(is_affected);
    let changes: Vec<(Uid, Vec<u16>)> = affected
        .map(|row| (row.uid, translate(row.keywords, own)))
        .collect();
    for (uid, keywords) in changes {
        let change = RowChange {
            keywords: Some(&keywords),
            modseq: restart,
            ..RowChange::default()
        };
        rows.change(uid, &change);
    }
}

fn translate(keywords: &[u16], own: &[Option<u16>]) -> Vec<u16> {
    let mut translated: Vec<u16> = keywords
        .iter()
        .filter_map(|keyword| own.get(usize::from(*keyword)).copied().flatten())
        .collect();
    translated.sort_unstable();
    translated.dedup();
    translated
}

fn picture<'a>(
    snapshot: &'a Snapshot,
    history: &'a History,
    uidlist: &'a Uidlist,
) -> Picture<'a, impl Iterator<Item = MessageRow<'a>>> {
    Picture {
        uid_validity: snapshot.uid_validity,
        guid: uidlist.guid,
        uid_next: snapshot.uid_next,
        highest_modseq: snapshot.highest_modseq,
        keywords: &snapshot.keywords,
        history,
        rows: snapshot.rows(),
        fields: &uidlist.fields,
    }
}
