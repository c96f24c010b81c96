//! How a mailbox learns what others did in its directories.

use super::follow::Coverage;
use super::incoming::unended_octets;
use super::state::{NAMES, Seen, State, failed};
use crate::control_file;
use crate::disk;
use crate::maildir::filename::{self, Info};
use crate::maildir::watch;
use crate::message::count_line_ends;
use crate::model::InternalDate;
use crate::snapshot::{Listed, OwnedRow, RowChange};
use crate::{Error, ModSeq, Result, Uid, processors};
use std::collections::{HashMap, HashSet};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// After own changes a look at the directory is due this often, should a foreign
/// change have hidden behind one of them.
const RESCAN_AFTER: Duration = Duration::from_secs(60);
/// So much of a file is read at once.
const COUNTED_OCTETS: usize = 64 << 10;
/// Fewer files are not worth another thread.
const FILES_PER_THREAD: usize = 250;

impl State {
    /// Whether the directories must be read.
    fn needs_scan(&self) -> Result<bool> {
        let due = self
            .scanned
            .is_none_or(|scanned| self.own_changes && scanned.elapsed() > RESCAN_AFTER);
        if self.must_scan || due {
            return Ok(true);
        }
        for (half, seen) in self.seen.iter().enumerate() {
            if seen.doubtful {
                return Ok(true);
            }
            let path = self.directory.join(NAMES[half]);
            let stamp = disk::stamp(&path).map_err(|error| failed("look at", &path, error))?;
            if stamp != Some(seen.stamp) {
                return Ok(true);
            }
        }
        Ok(false)
    }
    /// Learns what others did; tells whether anything changed. What they removed of the
    /// mailbox's own directories is made again, as when it is opened.
    pub(super) fn refresh(&mut self) -> Result<bool> {
        self.look_for_another()?;
        self.heed_others()?;
        match self.look_around() {
            Err(Error::Io { source, .. })
                if source.kind() == ErrorKind::NotFound && self.make_missing()? =>
            {
                self.look_around()
            }
            looked => looked,
        }
    }
    /// Makes `tmp` and `new` where someone removed them; tells whether it did. Without
    /// `cur` there is no mailbox any more. A crash leaves them or not, empty.
    pub(super) fn make_missing(&mut self) -> Result<bool> {
        if !control_file::is_directory(&self.half(false))? {
            return Ok(false);
        }
        let mut made = false;
        for part in ["tmp", "new"] {
            made |= control_file::make_directory(&self.directory.join(part))?;
        }
        if made {
            tracing::warn!(directory = %self.directory.display(), "tmp or new was removed and is made again");
            control_file::sync_directory(&self.directory)?;
            self.must_scan = true;
            if self.coverage != Coverage::None {
                self.watch();
            }
        }
        Ok(made)
    }
    fn look_around(&mut self) -> Result<bool> {
        let due = |state: &Self| {
            let long_ago = |scanned: Instant| scanned.elapsed() > RESCAN_AFTER;
            let scanned = state.scanned;
            scanned.is_none_or(|scanned| state.own_changes && long_ago(scanned))
        };
        if self.coverage == Coverage::Full && !self.must_scan && !due(self) {
            if let Some(changed) = self.follow_events()? {
                return Ok(changed);
            }
        } else if !self.needs_scan()? {
            // No event tells of what hides behind an own change from before the watch.
            if self.coverage == Coverage::Begun && self.hides {
                return self.read_directories();
            }
            if self.coverage == Coverage::Begun {
                self.coverage = Coverage::Full;
            }
            return Ok(false);
        }
        self.read_directories()
    }
    /// Reads both directories.
    pub(super) fn read_directories(&mut self) -> Result<bool> {
        if self.coverage != Coverage::None {
            // What happened until now is going to be read.
            watch::gather();
            self.queue.take();
            self.coverage = Coverage::Begun;
        }
        let initial = self.scanned.is_none();
        let letters_changed = self.keywords.refresh(&self.directory)? || initial;
        let mut found = HashMap::new();
        self.doubles.clear();
        let seen = self.scan(&mut found)?;
        // A rename during the reading can hide a file: what seems gone is looked for again.
        if self
            .snapshot
            .rows()
            .any(|row| !found.contains_key(row.unique_name))
        {
            self.scan(&mut found)?;
        }
        self.seen = seen;
        self.must_scan = false;
        self.own_changes = false;
        self.hides = false;
        // Should it panic, which is a mistake of ours, the next look reads all of it again.
        self.scanned = None;
        let scanned = Instant::now();
        let result = self.take_over(found, letters_changed, initial);
        self.scanned = Some(scanned);
        if result.is_err() {
            self.must_scan = true;
        } else if self.coverage == Coverage::Begun {
            self.coverage = Coverage::Full;
        }
        result
    }
    /// Reads both directories, `new` first. Of two files of one unique name the one
    /// known stays, else the first.
    fn scan(&mut self, found: &mut HashMap<Box<str>, (bool, Box<str>)>) -> Result<[Seen; 2]> {
        let mut seen = [Seen::default(); 2];
        for (half, name) in NAMES.into_iter().enumerate() {
            let path = self.directory.join(name);
            let taken = SystemTime::now();
            let stamp = disk::stamp(&path)
                .and_then(|stamp| stamp.ok_or_else(|| ErrorKind::NotFound.into()))
                .map_err(|error| failed("look at", &path, error))?;
            seen[half] = Seen {
                stamp,
                doubtful: stamp.is_too_fresh(taken),
            };
            let names = disk::list_messages(&path).map_err(|error| failed("read", &path, error))?;
            for file in names {
                let unique = filename::unique_name(&file);
                let suffix = file.get(unique.len()..).unwrap_or_default();
                let entry = (half == 0, Box::from(suffix));
                match found.get_mut(unique) {
                    None => {
                        found.insert(Box::from(unique), entry);
                    }
                    Some(other) if *other == entry => {}
                    Some(other) => {
                        // Moved between two reads, or a second copy: the one that is there.
                        let first = self
                            .directory
                            .join(if other.0 { "new" } else { "cur" })
                            .join(format!("{unique}{}", other.1));
                        if matches!(disk::stamp(&first), Ok(None)) {
                            *other = entry;
                            continue;
                        }
                        self.doubles.insert(Box::from(unique));
                        let known = self.named(unique);
                        if known.is_some_and(|row| (row.in_new, row.suffix) == (entry.0, &entry.1))
                        {
                            *other = entry;
                        }
                    }
                }
            }
        }
        Ok(seen)
    }
    /// Brings rows in line with the files found.
    fn take_over(
        &mut self,
        found: HashMap<Box<str>, (bool, Box<str>)>,
        letters_changed: bool,
        initial: bool,
    ) -> Result<bool> {
        let mut changed = false;
        let gone: HashSet<Uid> = self
            .snapshot
            .rows()
            .filter(|row| !found.contains_key(row.unique_name))
            .map(|row| row.uid)
            .collect();
        if !gone.is_empty() {
            self.forget(&gone);
            changed = true;
        }
        let mut fresh = Vec::new();
        for (unique, (in_new, suffix)) in found {
            match self.named(&unique) {
                None => fresh.push((Arc::<str>::from(unique), in_new, suffix)),
                Some(row) => {
                    let moved = row.in_new != in_new;
                    if !moved && *row.suffix == *suffix && !letters_changed {
                        continue;
                    }
                    changed |= self.follow(row.uid, in_new, &suffix);
                }
            }
        }
        if !fresh.is_empty() {
            changed |= self.take_in(fresh)?;
        }
        if initial {
            self.forget_unlisted();
        }
        self.settle_header();
        Ok(changed)
    }
    /// A known message under another name: flags follow it.
    pub(super) fn follow(&mut self, uid: Uid, in_new: bool, suffix: &str) -> bool {
        let Some(row) = self.find(uid) else {
            return false;
        };
        let info = Info::parse(suffix);
        let keywords = self.keywords.of(row.unique_name, info.letters);
        let moved = row.in_new != in_new || row.suffix != suffix;
        let recent = match in_new {
            // What was claimed may wait there to be moved.
            true => row.recent || !row.in_new,
            false => self.recent_in_cur.contains(&uid),
        };
        let changed = row.flags != info.flags || *row.keywords != *keywords;
        if !changed && !moved && row.recent == recent {
            return false;
        }
        let change = RowChange {
            in_new: Some(in_new),
            suffix: Some(suffix),
            recent: Some(recent),
            ..RowChange::default()
        };
        if !changed {
            self.change_row(uid, &change);
            return false;
        }
        let modseq = self.tick();
        let change = RowChange {
            flags: Some(info.flags),
            keywords: Some(&keywords),
            modseq: Some(modseq),
            ..change
        };
        self.change_row(uid, &change);
        true
    }
    /// New files: measured, given UIDs where they have none, and shown. Their names
    /// are made durable before: who delivered them, or a process of ours that died,
    /// may not have done so, and a UID once told stays with its message.
    pub(super) fn take_in(&mut self, fresh: Vec<Fresh>) -> Result<bool> {
        let (mut found, _) = self.measure(fresh);
        let unlisted = || found.iter().filter(|file| !file.listed);
        let mut names: Vec<_> = unlisted().map(|file| Arc::clone(&file.unique)).collect();
        names.sort_by(|a, b| filename::delivery_order(a).cmp(&filename::delivery_order(b)));
        if self.is_inspected {
            let known_next = self.snapshot.uid_next.get();
            self.uidlist.foresee(&names, known_next);
        } else if !names.is_empty() || self.uidlist.has_unsought() {
            let lie_in = |in_new| unlisted().any(|file| file.in_new == in_new);
            let halves = [true, false].map(lie_in);
            let sizes = unlisted().filter(|file| file.is_counted);
            let sizes = sizes.map(|file| (Arc::clone(&file.unique), file.size.octets));
            let sizes = sizes.collect();
            let own = found.iter().map(|file| Arc::clone(&file.unique)).collect();
            let given = self.give_uids(&names, &sizes, &own, halves)?;
            found.extend(given.others);
        }
        if found.is_empty() {
            return Ok(false);
        }
        let modseq = self.tick();
        let rows = self.rows_of(found, modseq);
        self.admit(rows);
        Ok(true)
    }
    /// Measures files; those that are not there any more are left out, and those that
    /// cannot be read, whose unique names are given besides.
    pub(super) fn measure(&mut self, fresh: Vec<Fresh>) -> (Vec<Found>, Vec<Arc<str>>) {
        let known_next = self.snapshot.uid_next.get();
        let files: Vec<Unmeasured> = fresh
            .iter()
            .map(|(unique, in_new, suffix)| {
                let listed = self.uidlist.uid_of(unique).filter(|uid| *uid >= known_next);
                let known_size = filename::size_field(unique, 'W').or_else(|| {
                    let record = self.uidlist.records.get(&listed?)?;
                    record.field('W')?.parse().ok()
                });
                Unmeasured {
                    path: self.half(*in_new).join(format!("{unique}{suffix}")),
                    listed,
                    known_size,
                }
            })
            .collect();
        let results = measure_all(&files);
        let mut found = Vec::with_capacity(fresh.len());
        let mut unreadable = Vec::new();
        for (((unique, in_new, suffix), file), result) in fresh.into_iter().zip(files).zip(results)
        {
            let Unmeasured {
                path,
                listed,
                known_size,
            } = file;
            let (size, internal_date) = match result {
                Ok(Some(measured)) => measured,
                Ok(None) => continue,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    // Renamed or gone since: the next look will tell.
                    self.must_scan |= self.coverage != Coverage::Full;
                    continue;
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "a message cannot be read");
                    // Whoever may not read it now may not in a minute.
                    self.must_scan |= error.kind() != ErrorKind::PermissionDenied;
                    unreadable.push(unique);
                    continue;
                }
            };
            let is_counted = known_size.is_none() && size.unended_octets == 0;
            // Measured once; the next writing of the list keeps it.
            if is_counted
                && let Some(record) = listed.and_then(|uid| self.uidlist.records.get_mut(&uid))
            {
                record.set_field('W', &size.octets.to_string());
                self.uidlist.needs_rewrite = true;
            }
            found.push(Found {
                unique,
                in_new,
                suffix,
                size,
                internal_date,
                listed: listed.is_some(),
                is_counted,
            });
        }
        (found, unreadable)
    }
    /// The rows of files that were measured and have UIDs.
    pub(super) fn rows_of(&self, found: Vec<Found>, modseq: ModSeq) -> Vec<OwnedRow> {
        let mut rows = Vec::with_capacity(found.len());
        for file in found {
            let Some(uid) = self.uidlist.uid_of(&file.unique).and_then(Uid::new) else {
                continue;
            };
            let info = Info::parse(&file.suffix);
            rows.push(OwnedRow {
                uid,
                flags: info.flags,
                recent: file.in_new,
                keywords: self.keywords.of(&file.unique, info.letters),
                modseq,
                size_octets: file.size.octets,
                unended_octets: file.size.unended_octets,
                internal_date: file.internal_date,
                unique_name: Box::from(&*file.unique),
                in_new: file.in_new,
                suffix: file.suffix,
                listed: Listed::default(),
            });
        }
        rows
    }
    /// After the first look: records without a file are of messages that are gone.
    fn forget_unlisted(&mut self) {
        let dead: Vec<u32> = self
            .uidlist
            .records
            .iter()
            .filter(|(_, record)| self.named(&record.name).is_none())
            .map(|(uid, _)| *uid)
            .collect();
        if self.must_scan {
            // Something moved while we looked: do not decide now.
            return;
        }
        for uid in dead {
            self.uidlist.forget(uid);
        }
    }
}

/// A file nobody knows: its unique name, whether it lies in `new`, its suffix.
pub(super) type Fresh = (Arc<str>, bool, Box<str>);

/// A file that was measured.
pub(super) struct Found {
    pub(super) unique: Arc<str>,
    pub(super) in_new: bool,
    suffix: Box<str>,
    size: Size,
    internal_date: InternalDate,
    /// Whether it has a UID, which it can keep.
    listed: bool,
    /// Whether its size was counted, and could be kept.
    is_counted: bool,
}

/// A message's size.
struct Size {
    /// As sent: a line end without CR counts two.
    octets: u64,
    /// What of a CRLF the last line lacks.
    unended_octets: u8,
}

/// The octets of a message's file as a mailbox takes them: those its name says, else
/// those counted.
pub(crate) fn measured_octets(path: &Path) -> std::io::Result<u64> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let known = filename::size_field(filename::unique_name(&name), 'W');
    let measured = measure(path, known, &mut Vec::new())?;
    measured
        .map(|(size, _)| size.octets)
        .ok_or_else(|| ErrorKind::NotFound.into())
}

/// A file that is to be measured.
struct Unmeasured {
    path: PathBuf,
    /// Its UID, where it is listed.
    listed: Option<u32>,
    /// Its size, where that is known.
    known_size: Option<u64>,
}

/// What measuring a file gives; `None` if it is no regular file.
type Measured = std::io::Result<Option<(Size, InternalDate)>>;

/// Measures files, many of them on the processors that are free.
fn measure_all(files: &[Unmeasured]) -> Vec<Measured> {
    processors::map(files, FILES_PER_THREAD, |file, buffer: &mut Vec<u8>| {
        measure(&file.path, file.known_size, buffer)
    })
}

/// A file's size and its internal date; `None` if it is no regular file. A size that
/// is known speaks of a message whose last line ends.
fn measure(path: &Path, known_size: Option<u64>, buffer: &mut Vec<u8>) -> Measured {
    let metadata = match known_size {
        Some(_) => None,
        None => disk::open_regular(path).ok(),
    };
    if let Some((file, metadata)) = metadata {
        let size = count(file, metadata.stamp.size_octets, buffer)?;
        return Ok(Some((size, InternalDate(metadata.stamp.seconds))));
    }
    let metadata = disk::metadata(path)?;
    if metadata.kind != disk::Kind::File {
        return Ok(None);
    }
    let size = match known_size {
        Some(octets) => Size {
            octets,
            unended_octets: 0,
        },
        // What it was that could not be opened is told by trying again.
        None => {
            let (file, metadata) = disk::open_regular(path)?;
            count(file, metadata.stamp.size_octets, buffer)?
        }
    };
    Ok(Some((size, InternalDate(metadata.stamp.seconds))))
}

/// Reads a file of so many octets for its size as sent.
fn count(mut file: disk::File, file_octets: u64, buffer: &mut Vec<u8>) -> std::io::Result<Size> {
    buffer.resize(COUNTED_OCTETS, 0);
    let (mut read, mut bare) = (0, 0);
    let mut last = None;
    while read < file_octets {
        let length = match file.read(buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let piece = buffer.get(..length).unwrap_or_default();
        read += length as u64;
        bare += count_line_ends(piece, last).1;
        last = piece.last().copied();
    }
    Ok(Size {
        octets: read + bare,
        unended_octets: unended_octets(last),
    })
}
