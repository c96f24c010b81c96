//! `dovecot-uidlist`: which UID each unique name has. Version 3 is read and
//! written, version 1 read. Records are appended under the lock; a rewrite
//! replaces the whole file. Nothing unknown in it is lost.

use super::dotlock::Dotlock;
use crate::control_file;
use crate::disk::{self, Stamp};
use crate::index::Contents;
use crate::{Error, Result, UidValidity};
use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

/// The file's name.
pub(crate) const NAME: &str = "dovecot-uidlist";
/// A second name (hard link) of the same file: what is deleted by accident is
/// found here again.
const SECOND_NAME: &str = "pillarbox-uidlist";
/// How far UIDs jump when the list had to be taken from its second name, which may
/// lack what others appended.
const HEALING_GAP: u32 = 10_000;
/// The highest UID.
const LAST_UID: u32 = u32::MAX - 1;

/// One message's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Its unique name.
    pub(crate) name: Arc<str>,
    /// Its fields (`P<id> O<n> ...`), space between them.
    pub(crate) fields: Option<Box<str>>,
}

impl Record {
    /// A field's value.
    pub(crate) fn field(&self, letter: char) -> Option<&str> {
        self.fields
            .as_deref()?
            .split(' ')
            .find_map(|field| field.strip_prefix(letter))
    }
    /// Sets a field, others stay.
    pub(crate) fn set_field(&mut self, letter: char, value: &str) {
        let mut fields: Vec<String> = self
            .fields
            .as_deref()
            .unwrap_or_default()
            .split(' ')
            .filter(|field| !field.is_empty() && !field.starts_with(letter))
            .map(str::to_owned)
            .collect();
        fields.push(format!("{letter}{value}"));
        self.fields = Some(fields.join(" ").into_boxed_str());
    }
    fn write(&self, uid: u32, into: &mut Vec<u8>) {
        into.extend_from_slice(uid.to_string().as_bytes());
        if let Some(fields) = self.fields.as_deref().filter(|fields| !fields.is_empty()) {
            into.push(b' ');
            into.extend_from_slice(fields.as_bytes());
        }
        into.extend_from_slice(b" :");
        into.extend_from_slice(self.name.as_bytes());
        into.push(b'\n');
    }
}

/// The list in memory.
#[derive(Debug, Clone)]
pub(crate) struct Uidlist {
    /// The UIDVALIDITY.
    pub(crate) uid_validity: UidValidity,
    /// The next UID; never falls.
    pub(crate) uid_next: u32,
    /// The mailbox GUID.
    pub(crate) guid: [u8; 16],
    /// Header keys nobody here knows.
    unknown_keys: Vec<String>,
    /// Records by UID.
    pub(crate) records: BTreeMap<u32, Record>,
    /// The highest UID of each name.
    by_name: HashMap<Arc<str>, u32>,
    /// How many records of the file are of messages that are gone.
    dead: usize,
    /// The file as last read or written.
    stamp: Option<Stamp>,
    /// Whether the file must be rewritten (older version, no GUID, bad lines).
    pub(crate) needs_rewrite: bool,
}

/// The POP3 unique-id given to a message that has none stored.
pub(crate) fn default_unique_id(uid: u32, uid_validity: UidValidity) -> String {
    format!("{uid:08x}{uid_validity:08x}")
}

impl Uidlist {
    /// An empty list with a new GUID, not written yet.
    pub(crate) fn new(uid_validity: UidValidity) -> Result<Self> {
        Ok(Self {
            uid_validity,
            uid_next: 1,
            guid: new_guid()?,
            unknown_keys: Vec::new(),
            records: BTreeMap::new(),
            by_name: HashMap::new(),
            dead: 0,
            stamp: None,
            needs_rewrite: true,
        })
    }
    /// The list that an index knows: no stored unique-ids, no unknown fields, but every
    /// UID. Others may have listed more since.
    pub(crate) fn of_index(contents: &Contents) -> Self {
        let mut list = Self {
            uid_validity: UidValidity::new(contents.uid_validity).unwrap_or(UidValidity::MIN),
            uid_next: contents.uid_next.saturating_add(HEALING_GAP).min(LAST_UID),
            guid: contents.guid,
            unknown_keys: Vec::new(),
            records: BTreeMap::new(),
            by_name: HashMap::new(),
            dead: 0,
            stamp: None,
            needs_rewrite: true,
        };
        for row in contents.rows.iter() {
            let mut record = Record {
                name: Arc::from(row.unique_name),
                fields: None,
            };
            if super::filename::size_field(row.unique_name, 'W').is_none()
                && let Some(size_octets) = row.recorded_octets()
            {
                record.set_field('W', &size_octets.to_string());
            }
            list.insert(row.uid.get(), record);
        }
        list
    }
    /// Reads the list; `None` if there is none or its header says nothing. Then its
    /// second name is read.
    pub(crate) fn read(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(NAME);
        let stamp = stamp_of(&path)?;
        if let Some(octets) = control_file::read(&path)? {
            if let Some(mut list) = Self::parse(&octets)? {
                list.stamp = stamp;
                return Ok(Some(list));
            }
            tracing::error!(path = %path.display(), "unreadable; kept as dovecot-uidlist.damaged");
            let _ = disk::link(&path, &directory.join("dovecot-uidlist.damaged"));
        }
        let Some(octets) = control_file::read(&directory.join(SECOND_NAME))? else {
            return Ok(None);
        };
        let list = Self::parse(&octets)?;
        Ok(list.map(|mut list| {
            tracing::warn!(path = %path.display(), "healed from its second name");
            list.uid_next = list.uid_next.saturating_add(HEALING_GAP).min(LAST_UID);
            list.needs_rewrite = true;
            list
        }))
    }
    /// Reads the octets of a list; `None` if the header is none.
    pub(crate) fn parse(octets: &[u8]) -> Result<Option<Self>> {
        let mut lines = octets.split(|octet| *octet == b'\n');
        let header = lines
            .next()
            .and_then(|line| std::str::from_utf8(line).ok())
            .unwrap_or_default();
        let mut words = header.split(' ').filter(|word| !word.is_empty());
        let version = words.next();
        let mut uid_validity = None;
        let mut uid_next = 1;
        let mut guid = None;
        let mut unknown_keys = Vec::new();
        match version {
            Some("3") => {
                for word in words {
                    if let Some(value) = word.strip_prefix('V') {
                        uid_validity = value.parse().ok();
                    } else if let Some(value) = word.strip_prefix('N') {
                        uid_next = value.parse().unwrap_or(1);
                    } else if let Some(value) = word.strip_prefix('G') {
                        guid = parse_guid(value);
                    } else {
                        unknown_keys.push(word.to_owned());
                    }
                }
            }
            Some("1") => {
                uid_validity = words.next().and_then(|word| word.parse().ok());
                uid_next = words.next().and_then(|word| word.parse().ok()).unwrap_or(1);
            }
            _ => return Ok(None),
        }
        let Some(uid_validity) = uid_validity else {
            return Ok(None);
        };
        let mut list = Self {
            uid_validity,
            uid_next,
            guid: match guid {
                Some(guid) => guid,
                None => new_guid()?,
            },
            unknown_keys,
            records: BTreeMap::new(),
            by_name: HashMap::new(),
            dead: 0,
            stamp: None,
            needs_rewrite: guid.is_none() || version != Some("3"),
        };
        for line in lines.filter(|line| !line.is_empty()) {
            let record = std::str::from_utf8(line)
                .ok()
                .and_then(|line| parse_record(line, version == Some("3")));
            match record {
                Some((uid, record)) => list.insert(uid, record),
                None => list.needs_rewrite = true,
            }
        }
        list.uid_next = list.uid_next.max(1);
        Ok(Some(list))
    }
    /// Adds a record; of one name only the highest UID counts.
    pub(crate) fn insert(&mut self, uid: u32, record: Record) {
        self.uid_next = self.uid_next.max(uid.saturating_add(1));
        let name = Arc::clone(&record.name);
        if let Some(old) = self.records.insert(uid, record) {
            self.dead += 1;
            if self.by_name.get(&old.name) == Some(&uid) {
                self.by_name.remove(&old.name);
            }
        }
        match self.by_name.get(&name).copied() {
            Some(other) if other > uid => {
                self.records.remove(&uid);
                self.dead += 1;
            }
            Some(other) if other < uid => {
                self.records.remove(&other);
                self.dead += 1;
                self.by_name.insert(name, uid);
            }
            _ => {
                self.by_name.insert(name, uid);
            }
        }
    }
    /// The UID of a name.
    pub(crate) fn uid_of(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }
    /// Forgets a message that is gone; its line stays until the next rewrite.
    pub(crate) fn forget(&mut self, uid: u32) {
        if let Some(record) = self.records.remove(&uid) {
            self.dead += 1;
            if self.by_name.get(&record.name) == Some(&uid) {
                self.by_name.remove(&record.name);
            }
        }
    }
    /// The file as last read or written.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }
    /// Whether a rewrite is worth it.
    pub(crate) fn is_wasteful(&self) -> bool {
        self.needs_rewrite || (self.dead > 256 && self.dead > self.records.len() / 3)
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
        known_next: u32,
    ) -> Result<Vec<u32>> {
        let _lock = Dotlock::take(directory)?;
        self.merge(directory)?;
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
                true => self.rewrite_locked(directory)?,
                false => self.sync(directory)?,
            }
            return Ok(uids);
        }
        if self.stamp.is_none() || self.needs_rewrite {
            for (uid, record) in fresh {
                self.insert(uid, record);
            }
            self.rewrite_locked(directory)?;
            return Ok(uids);
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
    fn merge(&mut self, directory: &Path) -> Result<()> {
        let path = directory.join(NAME);
        let stamp = stamp_of(&path)?;
        if stamp.is_some() && stamp == self.stamp {
            return Ok(());
        }
        let theirs = match control_file::read(&path)? {
            Some(octets) => Self::parse(&octets)?,
            None => None,
        };
        match theirs {
            Some(theirs) if theirs.uid_validity == self.uid_validity => {
                let next = self.uid_next;
                for (uid, record) in theirs.records {
                    if uid >= next {
                        self.insert(uid, record);
                    } else if let Some(own) = self.records.get_mut(&uid) {
                        if own.name == record.name {
                            *own = record;
                        }
                    } else {
                        self.dead += 1;
                    }
                }
                self.uid_next = self.uid_next.max(theirs.uid_next);
                self.unknown_keys = theirs.unknown_keys;
                if theirs.guid != self.guid {
                    self.needs_rewrite = true;
                }
                self.stamp = stamp;
            }
            Some(_) => {
                tracing::error!(path = %path.display(), "another UIDVALIDITY was written; ours stays");
                self.needs_rewrite = true;
            }
            None => self.stamp = None,
        }
        Ok(())
    }
    /// Writes the list anew, under the lock.
    pub(crate) fn rewrite(&mut self, directory: &Path) -> Result<()> {
        let _lock = Dotlock::take(directory)?;
        if self.stamp.is_some() {
            self.merge(directory)?;
        }
        self.rewrite_locked(directory)
    }
    /// A crash leaves the old or the new list, never part of one.
    fn rewrite_locked(&mut self, directory: &Path) -> Result<()> {
        let mut octets = format!("3 V{} N{} G", self.uid_validity, self.uid_next).into_bytes();
        for octet in self.guid {
            octets.extend_from_slice(format!("{octet:02x}").as_bytes());
        }
        for key in &self.unknown_keys {
            octets.push(b' ');
            octets.extend_from_slice(key.as_bytes());
        }
        octets.push(b'\n');
        for (uid, record) in &self.records {
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

fn stamp_of(path: &Path) -> Result<Option<Stamp>> {
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

fn parse_record(line: &str, with_fields: bool) -> Option<(u32, Record)> {
    let (uid, rest) = line.split_once(' ')?;
    let uid: u32 = uid
        .parse()
        .ok()
        .filter(|uid| (1..=LAST_UID).contains(uid))?;
    let (fields, name) = if with_fields {
        match rest.strip_prefix(':') {
            Some(name) => (None, name),
            None => {
                let (fields, name) = rest.split_once(" :")?;
                (Some(fields.to_owned().into_boxed_str()), name)
            }
        }
    } else {
        (None, rest)
    };
    let name = super::filename::unique_name(name);
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return None;
    }
    let record = Record {
        name: Arc::from(name),
        fields,
    };
    Some((uid, record))
}

fn parse_guid(text: &str) -> Option<[u8; 16]> {
    let number = u128::from_str_radix(text, 16).ok()?;
    (text.len() == 32).then(|| number.to_be_bytes())
}

fn new_guid() -> Result<[u8; 16]> {
    let mut guid = [0; 16];
    getrandom::fill(&mut guid)
        .map_err(|error| Error::io("random number", std::io::Error::other(error)))?;
    Ok(guid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "3 V7 N9 G000102030405060708090a0b0c0d0e0f Xkeep\n\
                        1 Pab O2 Zkeep :a,S=1\n4 :b\n6 :a,S=1\nbroken\n";

    #[test]
    fn keeps_what_it_does_not_know() {
        let directory = tempfile::tempdir().unwrap();
        let mut list = Uidlist::parse(LIST.as_bytes()).unwrap().unwrap();
        assert_eq!(list.uid_of("a,S=1"), Some(6));
        assert_eq!(list.uid_next, 9);
        list.insert(
            9,
            Record {
                name: "c".into(),
                fields: Some("Zkeep O2".into()),
            },
        );
        if let Some(record) = list.records.get_mut(&9) {
            record.set_field('P', "x");
        }
        list.rewrite(directory.path()).unwrap();
        let text = std::fs::read_to_string(directory.path().join(NAME)).unwrap();
        assert_eq!(
            text,
            "3 V7 N10 G000102030405060708090a0b0c0d0e0f Xkeep\n4 :b\n6 :a,S=1\n9 Zkeep O2 Px :c\n"
        );
    }

    #[test]
    fn version_1_and_garbage() {
        let list = Uidlist::parse(b"1 5 3\n1 x:2,S\n2 y\n").unwrap().unwrap();
        assert_eq!((list.uid_of("x"), list.uid_next), (Some(1), 3));
        assert!(list.needs_rewrite);
        assert!(Uidlist::parse(b"").unwrap().is_none());
        assert!(Uidlist::parse(b"3 V0 N1\n").unwrap().is_none());
    }

    #[test]
    fn appends_after_a_torn_line_and_honours_others() {
        let directory = tempfile::tempdir().unwrap();
        let mut list = Uidlist::new(UidValidity::MIN).unwrap();
        list.rewrite(directory.path()).unwrap();
        let path = directory.path().join(NAME);
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("1 :theirs\n2 :to");
        std::fs::write(&path, text).unwrap();
        std::fs::write(
            directory.path().join("dovecot-uidlist.lock"),
            format!("2147483000:{}", disk::host_name()),
        )
        .unwrap();
        let uids = list
            .assign(
                directory.path(),
                &["theirs".into(), "ours".into()],
                &HashMap::new(),
                1,
            )
            .unwrap();
        assert_eq!(uids, [1, 3]);
        let again = Uidlist::read(directory.path()).unwrap().unwrap();
        assert_eq!(again.uid_of("ours"), Some(3));
        std::fs::remove_file(&path).unwrap();
        let healed = Uidlist::read(directory.path()).unwrap().unwrap();
        assert_eq!(healed.uid_of("ours"), Some(3));
        assert!(healed.uid_next > 4);
    }
}
