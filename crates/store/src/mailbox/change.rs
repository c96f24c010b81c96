//! Own changes to a mailbox: each commits to the disk, then shows in the snapshot.

use super::renames::Renames;
use super::state::{Before, State, failed};
use super::unsought::Given;
use super::{FlagAction, FlagOutcome, Incoming, Stored};
use crate::disk;
use crate::maildir::filename::{self, Info};
use crate::snapshot::{Listed, MessageRow, OwnedRow, RowChange};
use crate::{Error, Flags, Keyword, ModSeq, Result, Uid};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often a file that keeps changing its name is looked for.
const ATTEMPTS: usize = 10;

/// A message to copy or move, as its source knows it.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) uid: Uid,
    path: PathBuf,
    row: OwnedRow,
    keywords: Vec<Keyword>,
    unknown: String,
    trailer: String,
    /// What identifies its content.
    identifier: String,
}

/// Whether the source keeps its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transfer {
    Copy,
    Move,
}

/// Which of the messages that are named go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doomed {
    All,
    /// Those that are `\Deleted`.
    Deleted,
}

/// What came of taking messages in.
pub(super) struct Received {
    /// Source and destination UIDs.
    pub(super) pairs: Vec<(Uid, Uid)>,
    /// UIDs whose files were not where they were said to be.
    pub(super) missing: Vec<Uid>,
    /// Source UIDs whose files had to be copied: a move has still to remove them.
    pub(super) copied: HashSet<Uid>,
}

/// How a file came to its new place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placed {
    /// By a new name: a move leaves none in the source.
    Named,
    /// As a copy: the source has its file.
    Copied,
    /// It was not there.
    Gone,
}

impl State {
    /// Makes appends of what is durable in `tmp/`, each all or none: what one of them
    /// cannot have, or a file that is gone, fails that one, what the disk refuses at the
    /// end fails all. A crash before the directories and the uidlist are synced, which
    /// happens at the same time, leaves files in `tmp/`, messages that the next look takes
    /// for newly delivered, or UIDs of no message. None was acknowledged.
    pub(super) fn append(&mut self, appends: Vec<Vec<Incoming>>) -> Vec<Result<Vec<Uid>>> {
        let before = self.before_change();
        let (mut rows, mut placed) = (Vec::new(), Vec::new());
        let mut shares = Vec::with_capacity(appends.len());
        let mut patience = self.lock_patience;
        for mut messages in appends {
            let kept = placed.len();
            let own = self.with_patience(patience, |state| {
                state.place_append(&mut messages, &mut placed)
            });
            if matches!(own, Err(Error::Locked(_))) {
                // The others wait with it, not after it.
                patience = Duration::ZERO;
            }
            shares.push(own.map(|own| {
                let count = own.len();
                rows.extend(own);
                count
            }));
            if matches!(shares.last(), Some(Err(_))) {
                self.take_back(placed.split_off(kept));
            }
        }
        self.settle(&before, halves_of(&rows));
        let committed = match rows.is_empty() {
            true => Ok(Vec::new()),
            false => self.with_patience(patience, |state| state.commit_new(rows)),
        };
        if committed.is_err() {
            self.take_back(placed);
        }
        let mut committed = committed.map(Vec::into_iter);
        let share = |share: Result<usize>| match (share, &mut committed) {
            (Ok(count), Ok(uids)) => Ok(uids.by_ref().take(count).collect()),
            (Ok(_), Err(error)) => Err(error.share()),
            (Err(error), _) => Err(error),
        };
        shares.into_iter().map(share).collect()
    }
    /// Removes files that were placed for nothing.
    fn take_back(&mut self, placed: Vec<PathBuf>) {
        undo(placed.iter().map(|path| (path.as_path(), None)));
        self.must_scan = true;
    }
    /// Brings the messages of one append from `tmp/` to their places.
    fn place_append(
        &mut self,
        messages: &mut [Incoming],
        placed: &mut Vec<PathBuf>,
    ) -> Result<Vec<OwnedRow>> {
        for message in messages.iter_mut() {
            message.follow(&self.directory);
        }
        let mut prepared = Vec::with_capacity(messages.len());
        for message in messages.iter() {
            let date = message.durable_date()?;
            let indices = self.intern(&message.keywords)?;
            prepared.push((date, indices));
        }
        let mut rows = Vec::with_capacity(messages.len());
        for (message, (internal_date, indices)) in messages.iter_mut().zip(prepared) {
            let unended_octets = message.unended_octets();
            let recorded = (unended_octets == 0).then_some(message.size_octets);
            let unique: Arc<str> =
                filename::fresh_sized(Some(message.file_octets), recorded).into();
            let (in_new, suffix) = self.suffix_for(&unique, message.flags, &indices, "", "");
            let path = self.half(in_new).join(format!("{unique}{suffix}"));
            disk::rename(&message.path, &path).map_err(|error| failed("place", &path, error))?;
            message.placed = true;
            placed.push(path);
            rows.push(OwnedRow {
                uid: Uid::MIN,
                flags: message.flags,
                recent: true,
                keywords: indices,
                modseq: 0,
                size_octets: message.size_octets,
                unended_octets,
                internal_date,
                unique_name: Box::from(&*unique),
                in_new,
                suffix,
                listed: Listed::default(),
            });
        }
        Ok(rows)
    }
    /// The suffix of a new message, and whether it goes to `new/`: only there when
    /// it has no flag at all.
    fn suffix_for(
        &mut self,
        unique: &str,
        flags: Flags,
        indices: &[u16],
        unknown: &str,
        trailer: &str,
    ) -> (bool, Box<str>) {
        let letters = self.keywords.set(unique, 0, indices);
        let info = Info {
            flags,
            letters,
            unknown: unknown.to_owned(),
            trailer: trailer.to_owned(),
        };
        if info == Info::default() && indices.is_empty() {
            (true, Box::from(""))
        } else {
            (false, info.suffix().into_boxed_str())
        }
    }
    /// Syncs the directories and lists the UIDs durably, shows the messages, and those that
    /// others listed before.
    fn commit_new(&mut self, mut rows: Vec<OwnedRow>) -> Result<Vec<Uid>> {
        let halves = halves_of(&rows);
        self.keywords.save(&self.directory)?;
        let names: Vec<Arc<str>> = rows
            .iter()
            .map(|row| Arc::from(&*row.unique_name))
            .collect();
        let own = names.iter().cloned().collect();
        let Given { uids, others } = self.give_uids(&names, &HashMap::new(), &own, halves)?;
        let modseq = self.tick();
        let mut given = Vec::with_capacity(uids.len());
        for (row, uid) in rows.iter_mut().zip(uids) {
            let uid = Uid::new(uid).ok_or(Error::CannotDo("the mailbox has no UIDs left"))?;
            row.uid = uid;
            row.modseq = modseq;
            given.push(uid);
        }
        rows.extend(self.rows_of(others, modseq));
        self.admit(rows);
        Ok(given)
    }
    /// Changes flags and keywords. Nothing is synced: if the process dies midway some
    /// messages have their old flags; with a loss of power the changes of the last
    /// seconds may go, never a message.
    pub(super) fn store_flags(
        &mut self,
        uids: &[Uid],
        action: FlagAction,
        flags: Flags,
        keywords: &[Keyword],
        unchanged_since: Option<ModSeq>,
    ) -> Result<FlagOutcome> {
        let is_stale =
            |row: &MessageRow<'_>| unchanged_since.is_some_and(|since| row.modseq > since);
        let changes = uids
            .iter()
            .any(|uid| self.find(*uid).is_some_and(|row| !is_stale(&row)));
        let indices = match action {
            // What changes no message makes no keyword.
            _ if !changes => Vec::new(),
            FlagAction::Remove => {
                let mut known: Vec<u16> = keywords
                    .iter()
                    .filter_map(|name| self.keywords.known(name))
                    .collect();
                known.sort_unstable();
                known.dedup();
                known
            }
            FlagAction::Add | FlagAction::Replace => self.intern(keywords)?,
        };
        let mut outcome = FlagOutcome::default();
        let mut failure = None;
        let mut modseq = None;
        let mut renames = self.begin_renames(uids.len());
        for &uid in uids {
            match self.find(uid) {
                Some(row) if is_stale(&row) => {
                    outcome.modified.push(uid);
                    continue;
                }
                Some(_) => {}
                None => {
                    outcome.expunged.push(uid);
                    continue;
                }
            }
            match self.store_one(uid, action, (flags, &indices), &mut modseq, &mut renames) {
                Ok(Some(stored)) => outcome.stored.push(stored),
                Ok(None) => outcome.expunged.push(uid),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        self.end_renames(renames);
        // Rows may have names of keywords that are new.
        self.settle_header();
        if let Err(error) = self.keywords.save(&self.directory) {
            failure.get_or_insert(error);
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(outcome),
        }
    }
    /// Changes one message; `None` if it is gone.
    fn store_one(
        &mut self,
        uid: Uid,
        action: FlagAction,
        (flags, indices): (Flags, &[u16]),
        modseq: &mut Option<ModSeq>,
        renames: &mut Renames,
    ) -> Result<Option<Stored>> {
        for attempt in 0..ATTEMPTS {
            let Some(row) = self.find(uid) else {
                return Ok(None);
            };
            let before = row.modseq;
            let stored = |modseq| {
                Some(Stored {
                    uid,
                    before,
                    modseq,
                })
            };
            let old = row.keywords;
            let (new_flags, new_keywords): (Flags, Vec<u16>) = match action {
                FlagAction::Replace => (flags, indices.to_vec()),
                FlagAction::Add => {
                    let mut all = old.to_vec();
                    all.extend(indices);
                    all.sort_unstable();
                    all.dedup();
                    (row.flags.with(flags), all)
                }
                FlagAction::Remove => {
                    let left = old.iter().filter(|index| !indices.contains(index));
                    (row.flags.without(flags), left.copied().collect())
                }
            };
            if new_flags == row.flags && *new_keywords == *old {
                return Ok(stored(before));
            }
            let row = row.to_owned();
            let mut info = Info::parse(&row.suffix);
            info.flags = new_flags;
            info.letters = self
                .keywords
                .set(&row.unique_name, info.letters, &new_keywords);
            let suffix = info.suffix();
            let renamed = self.rename_to_cur(renames, &row.row(), &suffix);
            if renamed.is_err() {
                self.keywords.set(&row.unique_name, 0, &row.keywords);
            }
            match renamed {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    self.look_for_lost(attempt)?;
                    continue;
                }
                Err(error) => return Err(failed("rename", &self.path(&row.row()), error)),
            }
            if row.recent && row.in_new {
                self.recent_in_cur.insert(uid);
            }
            let modseq = match *modseq {
                Some(modseq) => modseq,
                None => *modseq.insert(self.tick()),
            };
            let change = RowChange {
                flags: Some(new_flags),
                keywords: Some(&new_keywords),
                modseq: Some(modseq),
                in_new: Some(false),
                suffix: Some(&suffix),
                ..RowChange::default()
            };
            self.change_row(uid, &change);
            return Ok(stored(modseq));
        }
        Err(Error::CannotDo(
            "the message's file keeps changing its name",
        ))
    }
    /// Removes messages. A crash leaves some of them in place.
    pub(super) fn expunge(&mut self, uids: &[Uid], doomed: Doomed) -> Result<Vec<Uid>> {
        let mut removed = HashSet::new();
        let mut touched = [false; 2];
        let mut failure = None;
        let before = self.before_change();
        let halves = self.halves(uids.len());
        'messages: for &uid in uids {
            for attempt in 0..ATTEMPTS {
                let Some(row) = self.find(uid) else {
                    continue 'messages;
                };
                let is_spared = doomed == Doomed::Deleted && !row.flags.contains(Flags::DELETED);
                if is_spared || removed.contains(&uid) {
                    continue 'messages;
                }
                let half = usize::from(!row.in_new);
                let name = row.file_name();
                match halves[half].unlink(&name) {
                    Ok(()) => {
                        touched[half] = true;
                        removed.insert(uid);
                        continue 'messages;
                    }
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        // What was removed so far must not be counted as foreign.
                        self.forget(&removed);
                        if let Err(error) = self.look_for_lost(attempt) {
                            // What was forgotten is told to others: not before it is durable.
                            failure = Some(error);
                            break 'messages;
                        }
                    }
                    Err(error) => {
                        failure = Some(failed("remove", &halves[half].path_of(&name), error));
                        break 'messages;
                    }
                }
            }
        }
        self.settle(&before, touched);
        // What came to `cur` from `new` must not come back there, where the file system
        // has no journal either.
        touched[0] |= touched[1] && self.unsynced[0];
        if let Err(error) = self.sync_halves(touched) {
            failure.get_or_insert(error);
        }
        self.forget(&removed);
        match failure {
            Some(error) => Err(error),
            None => Ok(uids
                .iter()
                .copied()
                .filter(|uid| removed.remove(uid))
                .collect()),
        }
    }
    /// What is known of messages that are to be copied or moved.
    pub(super) fn take(&self, uids: &[Uid]) -> Vec<Taken> {
        let mut taken = Vec::with_capacity(uids.len());
        for &uid in uids {
            let Some(row) = self.find(uid) else {
                continue;
            };
            let info = Info::parse(row.suffix);
            taken.push(Taken {
                uid,
                path: self.path(&row),
                row: row.to_owned(),
                keywords: row
                    .keywords
                    .iter()
                    .filter_map(|index| self.snapshot.keywords.get(usize::from(*index)).cloned())
                    .collect(),
                unknown: info.unknown,
                trailer: info.trailer,
                identifier: filename::identifier(self.uidlist.guid_of(&row)),
            });
        }
        taken
    }
    /// Takes messages of another mailbox (or of this one) in. Gives pairs of source
    /// and destination UID, and the UIDs whose files were not where they were said
    /// to be. A crash leaves a message in the source or in both: renamed files
    /// without UID are newly delivered mail to the next look. What had to be copied, as
    /// the source is on another device, is in the source after it too.
    pub(super) fn receive(&mut self, taken: &[Taken], transfer: Transfer) -> Result<Received> {
        let before = self.before_change();
        let mut rows = Vec::with_capacity(taken.len());
        let mut sources = Vec::with_capacity(taken.len());
        let mut missing = Vec::new();
        let mut copied = HashSet::new();
        let mut placed: Vec<(PathBuf, Option<PathBuf>)> = Vec::with_capacity(taken.len());
        let mut result = Ok(());
        for message in taken {
            let file_octets = filename::size_field(&message.row.unique_name, 'S');
            let size_octets = message.row.row().recorded_octets();
            let unique: Arc<str> =
                filename::fresh_copy(file_octets, size_octets, &message.identifier).into();
            let indices = match self.intern(&message.keywords) {
                Ok(indices) => indices,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            };
            let (in_new, suffix) = self.suffix_for(
                &unique,
                message.row.flags,
                &indices,
                &message.unknown,
                &message.trailer,
            );
            let path = self.half(in_new).join(format!("{unique}{suffix}"));
            match self.place(&message.path, &path, transfer, message.row.internal_date.0) {
                Ok(Placed::Named) => {
                    let back = (transfer == Transfer::Move).then(|| message.path.clone());
                    placed.push((path, back));
                }
                Ok(Placed::Copied) => {
                    placed.push((path, None));
                    copied.insert(message.uid);
                }
                Ok(Placed::Gone) => {
                    self.keywords.forget(&unique);
                    missing.push(message.uid);
                    continue;
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
            sources.push(message.uid);
            rows.push(OwnedRow {
                uid: Uid::MIN,
                recent: true,
                keywords: indices,
                modseq: 0,
                unique_name: Box::from(&*unique),
                in_new,
                suffix,
                ..message.row.clone()
            });
        }
        self.settle(&before, halves_of(&rows));
        let committed = match result {
            Ok(()) if rows.is_empty() => Ok(Vec::new()),
            Ok(()) => self.commit_new(rows),
            Err(error) => Err(error),
        };
        if committed.is_err() {
            undo(
                placed
                    .iter()
                    .map(|(path, back)| (path.as_path(), back.as_deref())),
            );
            self.must_scan = true;
        }
        let pairs = sources.into_iter().zip(committed?).collect();
        Ok(Received {
            pairs,
            missing,
            copied,
        })
    }
    /// Brings one file here: a rename or a hard link, a copy where neither can be. The
    /// copy is durable but for its name; the file that was copied stays until that is.
    fn place(&self, from: &Path, to: &Path, transfer: Transfer, date: i64) -> Result<Placed> {
        let tried = match transfer {
            Transfer::Copy => disk::link(from, to),
            Transfer::Move => disk::rename(from, to),
        };
        match tried {
            Ok(()) => return Ok(Placed::Named),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Placed::Gone),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::CrossesDevices
                        | ErrorKind::TooManyLinks
                        | ErrorKind::PermissionDenied
                        | ErrorKind::Unsupported
                ) => {}
            Err(error) => return Err(failed("place", to, error)),
        }
        let (mut source, _) = match disk::open_regular(from) {
            Ok(opened) => opened,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Placed::Gone),
            Err(error) => return Err(failed("open", from, error)),
        };
        let temporary = self.directory.join("tmp").join(filename::fresh());
        let copied = disk::create_new(&temporary).and_then(|mut file| {
            std::io::copy(&mut source, &mut file)?;
            file.set_modified(date)?;
            file.sync()?;
            disk::rename(&temporary, to)
        });
        if let Err(error) = copied {
            let _ = disk::unlink(&temporary);
            return Err(failed("copy", to, error));
        }
        Ok(Placed::Copied)
    }
    /// After a move: syncs the source's directories and forgets what was renamed.
    pub(super) fn release(&mut self, uids: &[Uid], before: &Before) -> Result<()> {
        let half_of = |uid: &Uid| self.find(*uid).map(|row| row.in_new);
        let lay_in = |in_new| uids.iter().any(|uid| half_of(uid) == Some(in_new));
        let touched = [true, false].map(lay_in);
        self.settle(before, touched);
        let gone: HashSet<Uid> = uids.iter().copied().collect();
        let synced = self.sync_halves([true; 2]);
        self.forget(&gone);
        synced
    }
}

/// Whether some lie in `new` (first) and in `cur`.
fn halves_of(rows: &[OwnedRow]) -> [bool; 2] {
    [true, false].map(|in_new| rows.iter().any(|row| row.in_new == in_new))
}

/// Takes files that were placed away again, or back to where they were, durably: after
/// a loss of power what was refused does not turn up. What fails is only told to the
/// log, as the operation failed already.
fn undo<'a>(placed: impl Iterator<Item = (&'a Path, Option<&'a Path>)>) {
    let mut sources = BTreeSet::new();
    let mut places = BTreeSet::new();
    for (path, back) in placed {
        let undone = match back {
            Some(source) => {
                sources.extend(source.parent());
                disk::rename(path, source)
            }
            None => disk::unlink(path),
        };
        if let Err(error) = undone {
            tracing::error!(path = %path.display(), %error, "cannot be undone");
        }
        places.extend(path.parent());
    }
    // Back in the one directory before it is gone from the other.
    for directory in sources.into_iter().chain(places) {
        if let Err(error) = disk::sync_directory(directory) {
            tracing::error!(path = %directory.display(), %error, "may come back after a crash");
        }
    }
}
