//! A file of records about a mailbox's messages, in the order they came: a cache.

use crate::disk::{self, File};
use crate::index::crc32;
use crate::{Snapshot, Uid, UidValidity};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// What the records of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Summaries.
    Summaries,
    /// What a protocol makes of a summary to list a message.
    Listings,
    /// What a protocol makes of a message to sort and thread it.
    Sorting,
    /// Text to be searched.
    Texts,
}

impl Kind {
    /// The file's name.
    pub(crate) fn file_name(self) -> &'static str {
        match self {
            Self::Summaries => "pillarbox.summaries",
            Self::Listings => "pillarbox.listings",
            Self::Sorting => "pillarbox.sorting",
            Self::Texts => "pillarbox.texts",
        }
    }
    /// The first octets; the digit is the form of what follows.
    fn magic(self) -> &'static [u8; 8] {
        match self {
            Self::Summaries => b"pbsums3\n",
            Self::Listings => b"pblist1\n",
            Self::Sorting => b"pbsort1\n",
            Self::Texts => b"pbtext3\n",
        }
    }
    /// A longer record is not kept.
    pub(super) fn record_octets(self) -> usize {
        match self {
            Self::Summaries | Self::Listings | Self::Sorting => 64 << 10,
            Self::Texts => 2 << 20,
        }
    }
    /// Nothing more is kept in a file of this size.
    fn file_octets(self) -> u64 {
        match self {
            Self::Summaries | Self::Listings | Self::Sorting => 1 << 30,
            Self::Texts => u32::MAX as u64,
        }
    }
    /// What stands before the records: for texts also what [`RecordFile::know_below`] notes.
    fn header_octets(self) -> usize {
        match self {
            Self::Summaries | Self::Listings | Self::Sorting => HEADER,
            Self::Texts => HEADER + NOTE,
        }
    }
    /// How much is read to find the next record: all, where records are short.
    fn step_octets(self) -> usize {
        match self {
            Self::Summaries | Self::Listings | Self::Sorting => PIECE_OCTETS,
            Self::Texts => RECORD_HEADER,
        }
    }
}

/// Magic, UIDVALIDITY and GUID.
const HEADER: usize = 8 + 4 + 16;
/// A UID, how long the file was, checksum of both.
const NOTE: usize = 12;
/// UID, length, checksum of the octets, checksum of these three.
const RECORD_HEADER: usize = 16;
/// So much is read at once, and written at once.
const PIECE_OCTETS: usize = 64 << 10;
/// A file is long that takes over a millisecond to open.
const LONG_OCTETS: u64 = 2 << 20;
/// Nothing is behind the end of a file.
const NOWHERE: u32 = u32::MAX;
/// Less than this wasted is not worth writing a file anew.
const WASTE_OCTETS: u64 = 1 << 20;

/// Whose records a file has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner {
    pub(crate) uid_validity: UidValidity,
    pub(crate) guid: [u8; 16],
}

impl Owner {
    fn header(self, kind: Kind) -> Vec<u8> {
        let mut header = vec![0; kind.header_octets()];
        header[..8].copy_from_slice(kind.magic());
        header[8..12].copy_from_slice(&self.uid_validity.get().to_le_bytes());
        header[12..HEADER].copy_from_slice(&self.guid);
        header
    }
}

/// Where a record is.
#[derive(Debug, Clone, Copy)]
struct Place {
    uid: u32,
    /// Where its header begins.
    start: u32,
    /// How long it is without header.
    octets: u32,
}

/// A file of records. Nothing of it is ever synced: what a crash tears has a wrong
/// checksum and is as if it had never been there.
#[derive(Debug)]
pub(crate) struct RecordFile {
    file: File,
    kind: Kind,
    /// Where the messages' records are, by UID.
    places: Vec<Place>,
    /// After the place that was asked for last: mostly messages are asked for in order.
    near: usize,
    /// Below this UID all messages have records, as far as was noted.
    known_below: u32,
    /// Where the next record goes.
    end: u64,
    /// Records to be written there.
    pending: Vec<u8>,
    /// A piece of the file, and where it begins.
    window: (u64, Vec<u8>),
}

/// What there is of a mailbox's texts.
#[derive(Debug)]
pub(super) enum LookedAt {
    /// No file.
    Absent,
    /// A file that is none of the mailbox's, or none of texts.
    NotOfTheMailbox,
    /// Theirs.
    Opened(RecordFile),
}

impl RecordFile {
    /// Opens the file of this mailbox, or makes it; what is not the mailbox's, broken
    /// or mostly of messages that are gone is made anew.
    ///
    /// # Errors
    /// When it cannot be read or written: then there is no cache.
    pub(crate) fn open(
        directory: &Path,
        kind: Kind,
        owner: Owner,
        snapshot: &Snapshot,
    ) -> io::Result<Self> {
        let path = directory.join(kind.file_name());
        let is_there = |uid: u32| Uid::new(uid).is_some_and(|uid| snapshot.index_of(uid).is_some());
        let read = match disk::open_for_update(&path) {
            Ok(file) => Self::read(file, kind, owner, is_there)?,
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        match read {
            Some(mut kept) => {
                let records = kept.places.iter();
                let used: u64 = records
                    .map(|place| u64::from(place.octets) + RECORD_HEADER as u64)
                    .sum();
                let wasted = kept.end.saturating_sub(used);
                if wasted < WASTE_OCTETS || wasted < used {
                    return Ok(kept);
                }
                let mut fresh = Self::create(directory, kind, owner)?;
                for place in kept.places.clone() {
                    if let Some(octets) = kept.read_record(place, <[u8]>::to_vec) {
                        fresh.push(place.uid, &octets)?;
                    }
                }
                fresh.flush()?;
                Ok(fresh)
            }
            None => Self::create(directory, kind, owner),
        }
    }
    /// Opens the file of texts, as [`RecordFile::open`].
    pub(crate) fn open_texts(
        directory: &Path,
        owner: Owner,
        snapshot: &Snapshot,
    ) -> io::Result<Self> {
        Self::open(directory, Kind::Texts, owner, snapshot)
    }
    /// Opens the file of texts to look into it only. `is_there` tells which messages there
    /// are.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn look_at_texts(
        directory: &Path,
        owner: Owner,
        is_there: impl Fn(u32) -> bool,
    ) -> io::Result<LookedAt> {
        let file = match disk::open_regular(&directory.join(Kind::Texts.file_name())) {
            Ok((file, _)) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(LookedAt::Absent),
            Err(error) => return Err(error),
        };
        let read = Self::read(file, Kind::Texts, owner, is_there)?;
        Ok(read.map_or(LookedAt::NotOfTheMailbox, LookedAt::Opened))
    }
    /// From which octet on the file, as it was opened, cannot be read, if it has more.
    pub(super) fn broken_at(&mut self) -> io::Result<Option<u64>> {
        let more = self.view(self.end, 1, 1)?;
        Ok(more.is_some().then_some(self.end))
    }
    /// A crash leaves the old file, the new one, or none; any part of the new one.
    fn create(directory: &Path, kind: Kind, owner: Owner) -> io::Result<Self> {
        disk::replace_unsynced(directory, kind.file_name(), &owner.header(kind))?;
        let file = disk::open_for_update(&directory.join(kind.file_name()))?;
        Ok(Self::empty(file, kind))
    }
    /// A file no record of which is known yet.
    fn empty(file: File, kind: Kind) -> Self {
        Self {
            file,
            kind,
            places: Vec::new(),
            near: 0,
            known_below: 0,
            end: kind.header_octets() as u64,
            pending: Vec::new(),
            window: (0, Vec::new()),
        }
    }
    /// Finds the records of the mailbox's messages; `None` if the file is not this mailbox's.
    fn read(
        file: File,
        kind: Kind,
        owner: Owner,
        is_there: impl Fn(u32) -> bool,
    ) -> io::Result<Option<Self>> {
        // A file may hold any number of records, in any order: what is kept of them is
        // bounded by the messages.
        let mut places = BTreeMap::new();
        let mut kept = Self::empty(file, kind);
        let length = kind.header_octets();
        let Some(header) = kept.view(0, length, kind.step_octets())? else {
            return Ok(None);
        };
        if header.get(..HEADER) != owner.header(kind).get(..HEADER) {
            return Ok(None);
        }
        let note = header.get(HEADER..).and_then(read_note);
        while kept.end < kind.file_octets() {
            let Some(header) = kept.view(kept.end, RECORD_HEADER, kind.step_octets())? else {
                break;
            };
            let Some((uid, length, _)) = read_header(header, kind) else {
                break;
            };
            let Ok(start) = u32::try_from(kept.end) else {
                break;
            };
            if is_there(uid) {
                let octets = length;
                places.insert(uid, Place { uid, start, octets });
            }
            kept.end += RECORD_HEADER as u64 + u64::from(length);
        }
        kept.places = places.into_values().collect();
        if let Some((uid, end)) = note
            && u64::from(end) <= kept.end
        {
            kept.known_below = uid;
        }
        Ok(Some(kept))
    }
    /// Octets of the file; `None` behind its end. At least `piece` are read at once.
    fn view(&mut self, start: u64, length: usize, piece: usize) -> io::Result<Option<&[u8]>> {
        let within = |window: &(u64, Vec<u8>)| {
            let first = usize::try_from(start.checked_sub(window.0)?).ok()?;
            let last = first.checked_add(length)?;
            (last <= window.1.len()).then_some(first..last)
        };
        if within(&self.window).is_none() {
            let wanted = length.max(piece);
            let octets = &mut self.window.1;
            octets.resize(wanted, 0);
            let mut filled = 0;
            while filled < wanted {
                match self
                    .file
                    .read_at(&mut octets[filled..], start + filled as u64)
                {
                    Ok(0) => break,
                    Ok(count) => filled += count,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => {
                        octets.clear();
                        return Err(error);
                    }
                }
            }
            octets.truncate(filled);
            self.window.0 = start;
        }
        Ok(within(&self.window).map(|range| &self.window.1[range]))
    }
    /// Notes where a record is; a later one of the same message counts.
    fn place(&mut self, uid: u32, start: u32, octets: u32) {
        let place = Place { uid, start, octets };
        // Mostly they come in order.
        match self.places.last() {
            Some(last) if last.uid >= uid => match self.find(uid) {
                Ok(index) => self.places[index] = place,
                Err(index) => self.places.insert(index, place),
            },
            _ => self.places.push(place),
        }
    }
    fn find(&self, uid: u32) -> std::result::Result<usize, usize> {
        self.places.binary_search_by_key(&uid, |place| place.uid)
    }
    /// What `take` makes of a record, if it is whole.
    fn read_record<T>(&mut self, place: Place, take: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let (start, kind) = (u64::from(place.start), self.kind);
        let whole = RECORD_HEADER + usize::try_from(place.octets).ok()?;
        let record = match start.checked_sub(self.end) {
            Some(pending) => {
                let first = usize::try_from(pending).ok()?;
                self.pending.get(first..first + whole)?
            }
            None => self.view(start, whole, PIECE_OCTETS).ok()??,
        };
        let (header, octets) = record.split_at_checked(RECORD_HEADER)?;
        let (found, _, checksum) = read_header(header, kind)?;
        (found == place.uid && crc32(0, octets) == checksum).then(|| take(octets))
    }
    /// What `take` makes of a message's record, if there is one that it takes.
    pub(crate) fn get<T>(&mut self, uid: Uid, take: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        let is_near = |place: &Place| place.uid == uid.get();
        let index = match self.places.get(self.near).is_some_and(is_near) {
            true => self.near,
            false => self.find(uid.get()).ok()?,
        };
        self.near = index + 1;
        let taken = self.read_record(self.places[index], take).flatten();
        if taken.is_none() {
            // Taking it out would cost the rest.
            self.places[index].start = NOWHERE;
        }
        taken
    }
    /// Whether there is a record of a message, as far as one knows without reading it.
    pub(crate) fn knows(&self, uid: Uid) -> bool {
        let found = self.find(uid.get());
        found.is_ok_and(|index| self.places[index].start != u32::MAX)
    }
    /// Whether further records are kept.
    pub(crate) fn has_room(&self) -> bool {
        self.end + (self.pending.len() as u64) < self.kind.file_octets()
    }
    /// Keeps a message's record, unless there is no room for it.
    ///
    /// # Errors
    /// When it cannot be written; the file is not to be used any more.
    pub(crate) fn put(&mut self, uid: Uid, octets: &[u8]) -> io::Result<()> {
        self.push(uid.get(), octets)
    }
    fn push(&mut self, uid: u32, octets: &[u8]) -> io::Result<()> {
        let place = self.end + self.pending.len() as u64;
        let (Ok(length), Ok(place)) = (u32::try_from(octets.len()), u32::try_from(place)) else {
            return Ok(());
        };
        if octets.len() > self.kind.record_octets() || u64::from(place) > self.kind.file_octets() {
            return Ok(());
        }
        let mut header = [0; RECORD_HEADER];
        header[..4].copy_from_slice(&uid.to_le_bytes());
        header[4..8].copy_from_slice(&length.to_le_bytes());
        header[8..12].copy_from_slice(&crc32(0, octets).to_le_bytes());
        let checksum = crc32(0, &header[..12]);
        header[12..].copy_from_slice(&checksum.to_le_bytes());
        self.pending.write_all(&header)?;
        self.pending.write_all(octets)?;
        self.place(uid, place, length);
        if self.pending.len() >= PIECE_OCTETS {
            self.flush()?;
        }
        Ok(())
    }
    /// Whether a message has a record; what it is worth is seen when it is read.
    pub(crate) fn has(&self, uid: Uid) -> bool {
        let found = self.find(uid.get());
        found.is_ok_and(|index| self.places[index].start != NOWHERE)
    }
    /// Whether a message's record was found when the file was opened, or kept since.
    pub(super) fn was_there(&self, uid: Uid) -> bool {
        self.find(uid.get()).is_ok()
    }
    /// Whether the next record may find no room.
    pub(crate) fn is_full(&self) -> bool {
        let end = self.end + self.pending.len() as u64 + self.kind.record_octets() as u64;
        end > self.kind.file_octets()
    }
    /// Below this UID all messages have records, as far as was noted.
    pub(crate) fn known_below(&self) -> u32 {
        self.known_below
    }
    /// Notes that below this UID all messages have records, so that nobody has to look
    /// for them. A crash leaves the old note, the new one, which does not count in a
    /// shorter file than it was made in, or none.
    ///
    /// # Errors
    /// As [`RecordFile::put`].
    pub(crate) fn know_below(&mut self, uid: u32) -> io::Result<()> {
        self.flush()?;
        if let Ok(end) = u32::try_from(self.end)
            && self.known_below != uid
            && self.kind.header_octets() > HEADER
        {
            self.known_below = uid;
            self.file.write_at(&note(uid, end), HEADER as u64)?;
        }
        Ok(())
    }
    /// Writes what is to be written.
    ///
    /// # Errors
    /// As [`RecordFile::put`].
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            self.file.write_at(&self.pending, self.end)?;
            self.end += self.pending.len() as u64;
            self.pending.clear();
            // It may have shown what was behind the end.
            self.window.1.clear();
        }
        Ok(())
    }
    /// Gives back the memory that only speeds things up.
    pub(crate) fn rest(&mut self) -> io::Result<()> {
        self.flush()?;
        self.pending = Vec::new();
        self.window = (0, Vec::new());
        Ok(())
    }
}

/// Whether opening the file of summaries costs more than summarising a few messages later.
pub(crate) fn is_long(directory: &Path) -> bool {
    let stamp = disk::stamp(&directory.join(Kind::Summaries.file_name()));
    matches!(stamp, Ok(Some(stamp)) if stamp.size_octets > LONG_OCTETS)
}

/// Below which UID all messages' texts are kept, if texts are; 0 where that was not
/// noted or the file has to be made anew.
pub(crate) fn texts_known_below(directory: &Path, owner: Owner) -> Option<u32> {
    let kind = Kind::Texts;
    let (file, metadata) = disk::open_regular(&directory.join(kind.file_name())).ok()?;
    let mut header = vec![0; kind.header_octets()];
    let count = file.read_at(&mut header, 0).unwrap_or_default();
    let is_ours = count == header.len() && header.get(..HEADER) == owner.header(kind).get(..HEADER);
    let noted = header.get(HEADER..).and_then(read_note);
    let noted = noted.filter(|(_, end)| u64::from(*end) <= metadata.stamp.size_octets);
    Some(noted.filter(|_| is_ours).map_or(0, |(uid, _)| uid))
}

fn note(uid: u32, end: u32) -> [u8; NOTE] {
    let mut note = [0; NOTE];
    note[..4].copy_from_slice(&uid.to_le_bytes());
    note[4..8].copy_from_slice(&end.to_le_bytes());
    let checksum = crc32(0, &note[..8]);
    note[8..].copy_from_slice(&checksum.to_le_bytes());
    note
}

fn read_note(octets: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize| {
        let octets = octets.get(at..at + 4)?;
        Some(u32::from_le_bytes(octets.try_into().ok()?))
    };
    let (uid, end, checksum) = (number(0)?, number(4)?, number(8)?);
    (crc32(0, octets.get(..8)?) == checksum).then_some((uid, end))
}

/// UID, length and checksum of a record; `None` for what is no header of one.
fn read_header(header: &[u8], kind: Kind) -> Option<(u32, u32, u32)> {
    let number = |at: usize| {
        let octets = header.get(at..at + 4)?;
        Some(u32::from_le_bytes(octets.try_into().ok()?))
    };
    let (uid, length, checksum) = (number(0)?, number(4)?, number(8)?);
    let is_header = crc32(0, header.get(..12)?) == number(12)?;
    let fits = usize::try_from(length).is_ok_and(|length| length <= kind.record_octets());
    (is_header && fits && uid != 0).then_some((uid, length, checksum))
}
