//! `dovecot-uidlist`: which UID each unique name has. Version 3 is read and
//! written, version 1 read. Records are appended under the lock; a rewrite
//! replaces the whole file. Nothing unknown in it is lost.

mod header;
mod reading;
mod record;
mod writing;

use header::Header;
use record::LAST_UID;
pub(crate) use record::Record;
use writing::stamp_of;

use crate::disk::Stamp;
use crate::index::Contents;
use crate::snapshot::{Listed, MessageRow, Rows};
use crate::{Error, Result, UidValidity};
use std::collections::{BTreeMap, HashMap};
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

/// The list in memory. What it says of the mailbox's messages stands in their rows;
/// here is what does not fit there, and the records that no row has taken.
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
    /// Records by UID that no message's row has taken.
    pub(crate) records: BTreeMap<u32, Record>,
    /// The highest UID of each name among them.
    by_name: HashMap<Arc<str>, u32>,
    /// Fields of messages whose rows say [`Listed::OTHER`].
    pub(crate) fields: HashMap<u32, Box<str>>,
    /// Whether what is listed of messages changed since the index was told.
    pub(crate) fields_changed: bool,
    /// The lowest UID among records that other programs wrote while the mailbox was open
    /// and whose messages nobody has looked for.
    unsought: Option<u32>,
    /// Whether its last line had no end when it was read: somebody died there, or writes it.
    pub(crate) is_cut: bool,
    /// How many records of the file are of messages that are gone.
    pub(crate) dead: usize,
    /// The file as last read or written.
    stamp: Option<Stamp>,
    /// The file as others wrote it, when its header was found to be this list's.
    checked: Option<Stamp>,
    /// Whether the list of another mailbox stands in its place; it is never written then.
    pub(crate) is_anothers: bool,
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
        let mut list = Self::of_header(Header {
            version: 3,
            uid_validity,
            uid_next: 1,
            guid: None,
            unknown_keys: Vec::new(),
        })?;
        list.needs_rewrite = true;
        Ok(list)
    }
    /// The list that an index knows: every UID, unique-id and other field as of when it
    /// was read last. Others may have listed more since.
    pub(crate) fn of_index(contents: &Contents) -> Result<Self> {
        let mut list = Self::of_header(Header {
            version: 3,
            uid_validity: UidValidity::new(contents.uid_validity).unwrap_or(UidValidity::MIN),
            uid_next: contents.uid_next.saturating_add(HEALING_GAP).min(LAST_UID),
            guid: Some(contents.guid),
            unknown_keys: Vec::new(),
        })?;
        list.needs_rewrite = true;
        for row in contents.rows.iter() {
            list.insert_indexed(&row, &contents.fields);
        }
        Ok(list)
    }
    /// Adds the record that an index knows of a message; `fields` is what it has whole of
    /// some.
    pub(crate) fn insert_indexed(&mut self, row: &MessageRow<'_>, fields: &HashMap<u32, Box<str>>) {
        let mut record = Record {
            name: Arc::from(row.unique_name),
            fields: listed_fields(row, fields, self.uid_validity),
        };
        if super::filename::size_field(row.unique_name, 'W').is_none()
            && record.field('W').is_none()
            && let Some(size_octets) = row.recorded_octets()
        {
            record.set_field('W', &size_octets.to_string());
        }
        self.insert(row.uid.get(), record);
    }
    /// The list of an index that was settled when the file was as it is now: only its
    /// header is read. `None` if the file changed.
    pub(crate) fn settled(directory: &Path, contents: &Contents) -> Result<Option<Self>> {
        let Some(settled) = &contents.settled else {
            return Ok(None);
        };
        let Some((Some(header), stamp)) = Header::read(directory)? else {
            return Ok(None);
        };
        let theirs = (header.uid_validity.get(), header.guid);
        let is_whole = header.version == 3;
        if settled.uidlist != Some(stamp)
            || theirs != (contents.uid_validity, Some(contents.guid))
            || !is_whole
        {
            return Ok(None);
        }
        let mut list = Self::of_header(header)?;
        list.uid_next = list.uid_next.max(contents.uid_next);
        list.dead = usize::try_from(settled.dead).unwrap_or_default();
        list.stamp = Some(stamp);
        Ok(Some(list))
    }
    /// A list without records.
    fn of_header(header: Header) -> Result<Self> {
        let guid = match header.guid {
            Some(guid) => guid,
            None => new_guid()?,
        };
        Ok(Self {
            uid_validity: header.uid_validity,
            uid_next: header.uid_next.max(1),
            guid,
            unknown_keys: header.unknown_keys,
            records: BTreeMap::new(),
            by_name: HashMap::new(),
            fields: HashMap::new(),
            fields_changed: false,
            unsought: None,
            is_cut: false,
            dead: 0,
            stamp: None,
            checked: None,
            is_anothers: false,
            needs_rewrite: header.guid.is_none() || header.version != 3,
        })
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
    /// Lists names, in order, with the UIDs that they are going to get; the file stays as
    /// it is.
    pub(crate) fn foresee(&mut self, names: &[Arc<str>], known_next: u32) {
        self.uid_next = self.uid_next.max(known_next);
        for name in names {
            if self.uid_of(name).is_none_or(|uid| uid < known_next) && self.uid_next < LAST_UID {
                let record = Record {
                    name: Arc::clone(name),
                    fields: None,
                };
                self.insert(self.uid_next, record);
            }
        }
    }
    /// The UID of a name.
    pub(crate) fn uid_of(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }
    /// Forgets a record, or a message that is gone; its line stays until the next rewrite.
    pub(crate) fn forget(&mut self, uid: u32) {
        self.dead += 1;
        self.fields.remove(&uid);
        self.take_record(uid);
    }
    pub(in crate::maildir::uidlist) fn take_record(&mut self, uid: u32) -> Option<Record> {
        let record = self.records.remove(&uid)?;
        if self.by_name.get(&record.name) == Some(&uid) {
            self.by_name.remove(&record.name);
        }
        Some(record)
    }
    /// The next UID as far as it can be told: what others listed may still turn up with the
    /// UIDs they gave, and no message comes below what was told (RFC 3501 section 2.3.1.1).
    pub(crate) fn next_to_tell(&self) -> u32 {
        let next = self.uid_next.max(1);
        self.unsought.map_or(next, |unsought| next.min(unsought))
    }
    /// Whether there are records by others whose messages nobody has looked for.
    pub(crate) fn has_unsought(&self) -> bool {
        self.unsought.is_some()
    }
    /// The UIDs and names of those records.
    pub(crate) fn unsought(&self) -> Vec<(u32, Arc<str>)> {
        let first = self.unsought.unwrap_or(u32::MAX);
        let records = self.records.range(first..);
        records
            .map(|(uid, record)| (*uid, Arc::clone(&record.name)))
            .collect()
    }
    /// They were looked for, and what was found of them is about to be admitted.
    pub(crate) fn end_search(&mut self) {
        self.unsought = None;
    }
    /// A message's row takes its record; gives what the row is to say of it.
    pub(crate) fn claim(&mut self, uid: u32, size_octets: u64) -> Listed {
        let record = self.take_record(uid);
        let fields = record.and_then(|record| record.fields);
        self.describe(uid, fields.as_deref(), size_octets)
    }
    /// The rows of an index take their records; `fields` is what the index has of theirs.
    pub(crate) fn take_over(&mut self, rows: &mut Rows, fields: &HashMap<u32, Box<str>>) {
        let mut otherwise = Vec::new();
        for row in rows.iter() {
            let uid = row.uid.get();
            let listed = self.claim(uid, row.size_octets);
            if listed != row.listed {
                otherwise.push((row.uid, listed));
            }
            self.fields_changed |= self.fields.get(&uid) != fields.get(&uid);
        }
        for (uid, listed) in otherwise {
            self.relist(uid, listed, rows);
        }
    }
    /// What a row is to say of these fields; they are kept where it cannot.
    fn describe(&mut self, uid: u32, fields: Option<&str>, size_octets: u64) -> Listed {
        let mut listed = Listed::default();
        let all = fields.unwrap_or_default();
        for field in all.split(' ').filter(|field| !field.is_empty()) {
            let known = match field.split_at_checked(1) {
                Some(("P", text)) if text == default_unique_id(uid, self.uid_validity) => {
                    Listed::UNIQUE_ID
                }
                Some(("W", text)) if text == size_octets.to_string() => Listed::SIZE,
                _ => Listed::OTHER,
            };
            if known == Listed::OTHER || listed.has(known) {
                self.fields.insert(uid, Box::from(all));
                return Listed::OTHER;
            }
            listed = listed.with(known);
        }
        self.fields.remove(&uid);
        listed
    }
    /// The fields of a message's record.
    fn fields_of(&self, row: &MessageRow<'_>) -> Option<Box<str>> {
        listed_fields(row, &self.fields, self.uid_validity)
    }
    /// A message's record.
    pub(crate) fn record_of(&self, row: &MessageRow<'_>) -> Record {
        Record {
            name: Arc::from(row.unique_name),
            fields: self.fields_of(row),
        }
    }
    /// A message's GUID: its unique name unless another is listed.
    pub(crate) fn guid_of<'a>(&'a self, row: &MessageRow<'a>) -> &'a str {
        let fields = self.fields.get(&row.uid.get());
        let listed = fields.filter(|_| row.listed.has(Listed::OTHER));
        let mut listed = listed.map_or("", |fields| &**fields).split(' ');
        let guid = listed.find_map(|field| field.strip_prefix('G'));
        guid.filter(|guid| !guid.is_empty())
            .unwrap_or(row.unique_name)
    }
    /// Lists a unique-id for a message that has none; gives what its row is to say then.
    pub(crate) fn list_unique_id(&mut self, row: &MessageRow<'_>, unique_id: &str) -> Listed {
        self.fields_changed = true;
        let uid = row.uid.get();
        let is_usual = unique_id == default_unique_id(uid, self.uid_validity);
        if is_usual && !row.listed.has(Listed::OTHER) {
            return row.listed.with(Listed::UNIQUE_ID);
        }
        let mut record = self.record_of(row);
        record.set_field('P', unique_id);
        self.fields
            .extend(record.fields.map(|fields| (uid, fields)));
        Listed::OTHER
    }
    /// The mailbox GUID that the list in a directory says.
    pub(crate) fn guid_at(directory: &Path) -> Result<Option<[u8; 16]>> {
        Ok(Header::read(directory)?.and_then(|(header, _)| header?.guid))
    }
    /// Whether a list is in its place; [`Uidlist::is_anothers`] is whether that is another
    /// mailbox's now. Other servers may have written this one anew. Where the file is as it
    /// was read or written nothing of it is read.
    pub(crate) fn is_there(&mut self, directory: &Path) -> Result<bool> {
        let stamp = stamp_of(&directory.join(NAME))?;
        let Some(stamp) = stamp.map(Some) else {
            return Ok(false);
        };
        if stamp == self.stamp || stamp == self.checked {
            return Ok(true);
        }
        let Some((header, stamp)) = Header::read(directory)? else {
            return Ok(false);
        };
        match header {
            Some(header) if !header.is_of(self) => self.is_anothers = true,
            _ => self.checked = Some(stamp),
        }
        Ok(true)
    }
    /// The file as last read or written.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }
    /// Whether a rewrite is worth it.
    pub(crate) fn is_wasteful(&self, rows: &Rows) -> bool {
        self.needs_rewrite || (self.dead > 256 && self.dead > rows.len() / 3)
    }
}

/// The fields of a message's record as its row says, or as they are kept whole.
fn listed_fields(
    row: &MessageRow<'_>,
    whole: &HashMap<u32, Box<str>>,
    uid_validity: UidValidity,
) -> Option<Box<str>> {
    let uid = row.uid.get();
    if row.listed.has(Listed::OTHER) {
        return whole.get(&uid).cloned();
    }
    let mut fields = String::new();
    if row.listed.has(Listed::UNIQUE_ID) {
        fields.push('P');
        fields.push_str(&default_unique_id(uid, uid_validity));
    }
    if row.listed.has(Listed::SIZE) {
        let space = if fields.is_empty() { "" } else { " " };
        fields.push_str(&format!("{space}W{}", row.size_octets));
    }
    (!fields.is_empty()).then(|| fields.into_boxed_str())
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
    use crate::disk;
    use std::time::Duration;

    /// Gives UIDs from 9 on.
    fn assign(
        list: &mut Uidlist,
        directory: &Path,
        names: &[Arc<str>],
        sizes: &HashMap<Arc<str>, u64>,
        rows: &mut Rows,
    ) -> Result<Vec<u32>> {
        let lock = list.lock(directory, rows, Duration::ZERO)?;
        list.assign(directory, names, sizes, rows, 9, &lock)
    }

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
        list.rewrite(directory.path(), &mut Rows::default(), Duration::ZERO)
            .unwrap();
        let text = std::fs::read_to_string(directory.path().join(NAME)).unwrap();
        assert_eq!(
            text,
            "3 V7 N10 G000102030405060708090a0b0c0d0e0f Xkeep\n4 :b\n6 :a,S=1\n9 Zkeep O2 Px :c\n"
        );
    }

    /// Whatever is to be written, the list of another mailbox stays as it is.
    #[test]
    fn never_writes_over_anothers() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NAME);
        let own = || Uidlist::parse(LIST.as_bytes()).unwrap().unwrap();
        let other_guid = LIST.replace("G0001", "G0002");
        let other_validity = LIST.replace("V7", "V8");
        for theirs in [&other_guid, &other_validity] {
            std::fs::write(&path, theirs).unwrap();
            let (mut appended, mut rewritten) = (own(), own());
            let (names, rows) = (["new".into()], &mut Rows::default());
            let sizes = HashMap::new();
            let assigned = assign(&mut appended, directory.path(), &names, &sizes, rows);
            assert!(matches!(assigned, Err(Error::NonExistent)));
            let written = rewritten.rewrite(directory.path(), rows, Duration::ZERO);
            assert!(matches!(written, Err(Error::NonExistent)));
            assert!(appended.is_anothers && rewritten.is_anothers);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), *theirs);
        }
        // What another server appends, or writes anew, is still this one's.
        std::fs::write(&path, format!("{LIST}10 :more\n")).unwrap();
        let mut list = own();
        assert!(list.is_there(directory.path()).unwrap() && !list.is_anothers);
        let (names, rows) = (["new".into()], &mut Rows::default());
        let uids = assign(&mut list, directory.path(), &names, &HashMap::new(), rows);
        assert_eq!(uids.unwrap(), [11]);
        assert_eq!(list.uid_of("more"), Some(10));
        std::fs::remove_file(&path).unwrap();
        assert!(!list.is_there(directory.path()).unwrap() && !list.is_anothers);
        list.rewrite(directory.path(), rows, Duration::ZERO)
            .unwrap();
        assert!(path.exists());
    }

    #[test]
    fn version_1_and_garbage() {
        let list = Uidlist::parse(b"1 5 3\n1 x:2,S\n2 y\n").unwrap().unwrap();
        assert_eq!((list.uid_of("x"), list.uid_next), (Some(1), 3));
        assert!(list.needs_rewrite);
        assert!(Uidlist::parse(b"").unwrap().is_none());
        assert!(Uidlist::parse(b"3 V0 N1\n").unwrap().is_none());
    }

    /// A name that was cut is the name of nothing, or of another message.
    #[test]
    fn a_cut_last_line_is_no_record() {
        for cut in ["7", "7 ", "7 Px", "7 Px :", "7 Px :a", "7 Px :a,S=1"] {
            let list = Uidlist::parse(format!("{LIST}{cut}").as_bytes());
            let list = list.unwrap().unwrap();
            assert_eq!(list.uid_of("a,S=1"), Some(6), "{cut}");
            assert_eq!(list.uid_of("a"), None, "{cut}");
            assert!(list.needs_rewrite, "{cut}");
        }
        let list = Uidlist::parse(b"3 V7 N2\n12 :a\n13 :na").unwrap().unwrap();
        assert_eq!((list.uid_of("na"), list.uid_next), (None, 14));
        let header = Uidlist::parse(b"3 V7 N2").unwrap().unwrap();
        assert_eq!((header.uid_next, header.records.len()), (2, 0));
    }

    #[test]
    fn appends_after_a_torn_line_and_honours_others() {
        let directory = tempfile::tempdir().unwrap();
        let mut list = Uidlist::new(UidValidity::MIN).unwrap();
        list.rewrite(directory.path(), &mut Rows::default(), Duration::ZERO)
            .unwrap();
        let path = directory.path().join(NAME);
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("1 :theirs\n2 :to");
        std::fs::write(&path, text).unwrap();
        std::fs::write(
            directory.path().join("dovecot-uidlist.lock"),
            format!("2147483000:{}", disk::host_name()),
        )
        .unwrap();
        let rows = &mut Rows::default();
        let lock = list.lock(directory.path(), rows, Duration::ZERO).unwrap();
        let names = ["theirs".into(), "ours".into()];
        let sizes = HashMap::new();
        let uids = list.assign(directory.path(), &names, &sizes, rows, 1, &lock);
        let uids = uids.unwrap();
        assert_eq!(uids, [1, 3]);
        // The torn line is not ended, which would make a record of it.
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(":to"), "{text}");
        let again = Uidlist::read(directory.path(), None).unwrap().unwrap();
        assert_eq!(again.uid_of("ours"), Some(3));
        std::fs::remove_file(&path).unwrap();
        let healed = Uidlist::read(directory.path(), None).unwrap().unwrap();
        assert_eq!(healed.uid_of("ours"), Some(3));
        assert!(healed.uid_next > 4);
    }
}
