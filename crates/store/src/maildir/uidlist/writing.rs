//! The file of a UID list: assigned UIDs are appended, and what became wasteful is
//! written anew.

use super::reading::ListFile;
use super::record::{LAST_UID, Record, write_record};
use super::{NAME, SECOND_NAME, Uidlist, default_unique_id};
use crate::control_file;
use crate::disk::{self, Stamp};
use crate::maildir::dotlock::{self, Dotlock};
use crate::snapshot::{Listed, RowChange, Rows};
use crate::{Error, Result, Uid};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

impl Uidlist {
    /// Takes the lock, and over what others wrote before: they, too, write under it.
    ///
    /// # Errors
    /// [`Error::Locked`] if another program has it for longer than `patience`, else as
    /// reading does.
    pub(crate) fn lock(
        &mut self,
        directory: &Path,
        rows: &mut Rows,
        patience: Duration,
    ) -> Result<Dotlock> {
        let lock = Dotlock::take(directory, dotlock::UIDLIST, patience)?;
        self.merge(directory, rows)?;
        Ok(lock)
    }
    /// Gives UIDs to names, in order, and appends them durably, with the sizes as sent
    /// (`W`) of those that had to be measured. Names that another
    /// program listed meanwhile keep what it gave them if `known_next` or higher.
    ///
    /// A crash before the append leaves files without UID, which the next scan finds
    /// as new mail; one within it leaves a torn last line, which readers skip and the
    /// next append ends; none of these UIDs was told to anyone.
    pub(crate) fn assign(
        &mut self,
        directory: &Path,
        names: &[Arc<str>],
        sizes: &HashMap<Arc<str>, u64>,
        rows: &Rows,
        known_next: u32,
        _lock: &Dotlock,
    ) -> Result<Vec<u32>> {
        let mut uids = Vec::with_capacity(names.len());
        let mut lines = Vec::new();
        let mut fresh = Vec::new();
        let mut next = self.uid_next.max(known_next);
        for name in names {
            if let Some(uid) = self.uid_of(name).filter(|uid| *uid >= known_next) {
                uids.push(uid);
                continue;
            }
            if next >= LAST_UID {
                return Err(Error::CannotDo("the mailbox has no UIDs left"));
            }
            let mut fields = format!("P{}", default_unique_id(next, self.uid_validity));
            if let Some(size_octets) = sizes.get(name) {
                fields.push_str(&format!(" W{size_octets}"));
            }
            let record = Record {
                name: Arc::clone(name),
                fields: Some(fields.into_boxed_str()),
            };
            record.write(next, &mut lines);
            fresh.push((next, record));
            uids.push(next);
            next += 1;
        }
        // A name listed by another program with a UID below what was told here is
        // out of order and gets a new one; then those taken over stay ascending only
        // if the caller sorts, which it does.
        if fresh.is_empty() {
            match self.needs_rewrite {
                true => self.rewrite_locked(directory, rows)?,
                false => self.sync(directory)?,
            }
            return Ok(uids);
        }
        if self.stamp.is_none() || self.needs_rewrite {
            let before = self.uid_next;
            let given: Vec<u32> = fresh.iter().map(|(uid, _)| *uid).collect();
            for (uid, record) in fresh {
                self.insert(uid, record);
            }
            return match self.rewrite_locked(directory, rows) {
                Ok(()) => Ok(uids),
                Err(error) => {
                    // Others may give these UIDs. Where they are on the disk all the same
                    // they are taken over from there.
                    for uid in given {
                        self.take_record(uid);
                    }
                    self.uid_next = before;
                    self.needs_rewrite = true;
                    Err(error)
                }
            };
        }
        let path = directory.join(NAME);
        if !ends_with_line_end(&path)? {
            lines.insert(0, b'\n');
        }
        match disk::append(&path, &lines) {
            Ok(stamp) => self.stamp = Some(stamp),
            Err(error) => {
                // What can be read of it now need not be what is on the disk (a failed
                // sync is not tried again by the next): a new file takes its place.
                // Until then nobody is to read UIDs there that were given to nothing.
                self.needs_rewrite = true;
                if let Some(stamp) = self.stamp {
                    let cut = disk::open_for_update(&path).and_then(|file| {
                        file.truncate(stamp.size_octets)?;
                        file.sync_data()
                    });
                    if let Err(error) = cut {
                        tracing::error!(path = %path.display(), %error, "cannot be cut back");
                    }
                }
                return Err(Error::io(format!("append to {}", path.display()), error));
            }
        }
        for (uid, record) in fresh {
            self.insert(uid, record);
        }
        Ok(uids)
    }
    /// Makes durable what others wrote, or a process of ours that died: a UID is told
    /// to nobody before.
    pub(crate) fn sync(&self, directory: &Path) -> Result<()> {
        let path = directory.join(NAME);
        let synced = disk::open_regular(&path).and_then(|(file, _)| file.sync_data());
        match synced {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(control_file::failed("sync", &path, error))
            }
            _ => Ok(()),
        }
    }
    /// Takes over what other programs wrote since: records at or above our next UID,
    /// and a higher next UID. A file that is gone is written again.
    ///
    /// # Errors
    /// [`Error::NonExistent`] if it is another mailbox's, or this one's with another
    /// UIDVALIDITY: then it stays as it is, and [`Uidlist::is_anothers`].
    fn merge(&mut self, directory: &Path, rows: &mut Rows) -> Result<()> {
        let path = directory.join(NAME);
        let stamp = stamp_of(&path)?;
        if stamp.is_some() && stamp == self.stamp {
            return Ok(());
        }
        let mut file = ListFile::open(path)?;
        let header = match &mut file {
            Some(file) => file.header()?,
            None => None,
        };
        if header.as_ref().is_some_and(|header| !header.is_of(self)) {
            self.is_anothers = true;
        }
        if self.is_anothers {
            return Err(Error::NonExistent);
        }
        match file.zip(header) {
            Some((file, header)) => {
                let stamp = file.stamp;
                let theirs = file.records(directory, header, Some(rows))?;
                self.dead += theirs.dead;
                let next = self.uid_next;
                for (uid, record) in theirs.records {
                    let row = Uid::new(uid).and_then(|uid| rows.of_uid(uid));
                    if uid >= next {
                        let lowest = self.unsought.map_or(uid, |lowest| lowest.min(uid));
                        self.unsought = Some(lowest);
                        self.insert(uid, record);
                    } else if let Some(own) = self.records.get_mut(&uid) {
                        if own.name == record.name {
                            *own = record;
                        }
                    } else if let Some(row) = row {
                        if *record.name == *row.unique_name {
                            let was = self.fields_of(&row);
                            let fields = record.fields.as_deref();
                            let listed = self.describe(uid, fields, row.size_octets);
                            if listed != row.listed || was.as_deref() != fields {
                                self.relist(row.uid, listed, rows);
                            }
                        }
                    } else {
                        self.dead += 1;
                    }
                }
                self.uid_next = self.uid_next.max(theirs.uid_next);
                self.unknown_keys = theirs.unknown_keys;
                self.needs_rewrite |= theirs.guid != self.guid || theirs.needs_rewrite;
                self.stamp = Some(stamp);
            }
            None => self.stamp = None,
        }
        Ok(())
    }
    pub(super) fn relist(&mut self, uid: Uid, listed: Listed, rows: &mut Rows) {
        let change = RowChange {
            listed: Some(listed),
            ..RowChange::default()
        };
        rows.change(uid, &change);
        self.fields_changed = true;
    }
    /// Writes the list anew, under the lock.
    pub(crate) fn rewrite(
        &mut self,
        directory: &Path,
        rows: &mut Rows,
        patience: Duration,
    ) -> Result<()> {
        let _lock = self.lock(directory, rows, patience)?;
        self.rewrite_locked(directory, rows)
    }
    /// A crash leaves the old or the new list, never part of one.
    fn rewrite_locked(&mut self, directory: &Path, rows: &Rows) -> Result<()> {
        let mut octets = format!("3 V{} N{} G", self.uid_validity, self.uid_next).into_bytes();
        for octet in self.guid {
            octets.extend_from_slice(format!("{octet:02x}").as_bytes());
        }
        for key in &self.unknown_keys {
            octets.push(b' ');
            octets.extend_from_slice(key.as_bytes());
        }
        octets.push(b'\n');
        let mut waiting = self.records.iter().peekable();
        for row in rows.iter() {
            let uid = row.uid.get();
            while let Some((uid, record)) = waiting.next_if(|(other, _)| **other < uid) {
                record.write(*uid, &mut octets);
            }
            let fields = self.fields_of(&row);
            write_record(uid, fields.as_deref(), row.unique_name, &mut octets);
        }
        for (uid, record) in waiting {
            record.write(*uid, &mut octets);
        }
        let stamp =
            disk::replace(directory, NAME, "dovecot-uidlist.tmp", &octets).map_err(|error| {
                Error::io(format!("write uidlist in {}", directory.display()), error)
            })?;
        self.stamp = Some(stamp);
        self.dead = 0;
        self.needs_rewrite = false;
        keep_second_name(directory, stamp.inode);
        Ok(())
    }
    /// Makes the second name lead to the list as it is now.
    pub(crate) fn keep_second_name(&self, directory: &Path) {
        if let Some(stamp) = self.stamp {
            keep_second_name(directory, stamp.inode);
        }
    }
}

/// Links the second name to the list. Where links are impossible there is none.
fn keep_second_name(directory: &Path, inode: u64) {
    let second = directory.join(SECOND_NAME);
    if let Ok(Some(stamp)) = disk::stamp(&second) {
        if stamp.inode == inode {
            return;
        }
        let _ = disk::unlink(&second);
    }
    let _ = disk::link(&directory.join(NAME), &second);
}

/// The stamp of the file; none if there is none.
pub(super) fn stamp_of(path: &Path) -> Result<Option<Stamp>> {
    disk::stamp(path).map_err(|error| Error::io(format!("look at {}", path.display()), error))
}

fn ends_with_line_end(path: &Path) -> Result<bool> {
    let failed = |error| Error::io(format!("read {}", path.display()), error);
    let (file, metadata) = disk::open_regular(path).map_err(failed)?;
    let Some(last) = metadata.stamp.size_octets.checked_sub(1) else {
        return Ok(true);
    };
    let mut octet = [0];
    match file.read_at(&mut octet, last) {
        Ok(0) => Ok(true),
        Ok(_) => Ok(octet == *b"\n"),
        Err(error) => Err(failed(error)),
    }
}
