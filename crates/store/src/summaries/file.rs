//! The file of a mailbox's summaries: records in the order they came, a cache.

use super::codec;
use crate::disk::{self, File};
use crate::index::crc32;
use crate::message::Summary;
use crate::{Snapshot, Uid, UidValidity};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// The file's name.
pub(crate) const NAME: &str = "pillarbox.summaries";
/// The first octets; the digit is the form of what follows.
const MAGIC: &[u8; 8] = b"pbsums1\n";
/// Magic, UIDVALIDITY and GUID.
const HEADER: usize = 8 + 4 + 16;
/// UID, length, checksum of the summary, checksum of these three.
const RECORD_HEADER: usize = 16;
/// A longer summary is not kept.
const RECORD_OCTETS: usize = 64 << 10;
/// Nothing more is kept in a file of this size.
const FILE_OCTETS: u64 = 1 << 30;
/// So much is read at once, and written at once.
const PIECE_OCTETS: usize = 64 << 10;
/// A file is long that takes over a millisecond to open.
const LONG_OCTETS: u64 = 2 << 20;
/// Less than this wasted is not worth writing a file anew.
const WASTE_OCTETS: u64 = 1 << 20;

/// Whose summaries a file has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner {
    pub(crate) uid_validity: UidValidity,
    pub(crate) guid: [u8; 16],
}

impl Owner {
    fn header(self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        header[8..12].copy_from_slice(&self.uid_validity.get().to_le_bytes());
        header[12..].copy_from_slice(&self.guid);
        header
    }
}

/// A file of summaries. Nothing of it is ever synced: what a crash tears has a wrong
/// checksum and is as if it had never been there.
#[derive(Debug)]
pub(crate) struct SummaryFile {
    file: File,
    /// Where each message's record begins, and its length without header.
    places: BTreeMap<u32, (u32, u32)>,
    /// Where the next record goes.
    end: u64,
    /// Records to be written there.
    pending: Vec<u8>,
    /// A piece of the file, and where it begins.
    window: (u64, Vec<u8>),
}

impl SummaryFile {
    /// Opens the file of this mailbox, or makes it; what is not the mailbox's, broken
    /// or mostly of messages that are gone is made anew.
    ///
    /// # Errors
    /// When it cannot be read or written: then there is no cache.
    pub(crate) fn open(directory: &Path, owner: Owner, snapshot: &Snapshot) -> io::Result<Self> {
        let path = directory.join(NAME);
        let read = match disk::open_for_update(&path) {
            Ok(file) => Self::read(file, owner)?,
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        match read {
            Some(mut kept) => {
                let is_gone =
                    |uid: &u32| Uid::new(*uid).is_none_or(|uid| snapshot.index_of(uid).is_none());
                kept.places.retain(|uid, _| !is_gone(uid));
                let records = kept.places.values();
                let used: u64 = records
                    .map(|(_, length)| u64::from(*length) + RECORD_HEADER as u64)
                    .sum();
                let wasted = kept.end.saturating_sub(used);
                if wasted < WASTE_OCTETS || wasted < used {
                    return Ok(kept);
                }
                let mut fresh = Self::create(directory, owner)?;
                let uids: Vec<u32> = kept.places.keys().copied().collect();
                for uid in uids {
                    if let Some(octets) = kept.octets(uid) {
                        fresh.push(uid, &octets)?;
                    }
                }
                fresh.flush()?;
                Ok(fresh)
            }
            None => Self::create(directory, owner),
        }
    }
    /// A crash leaves the old file, the new one, or none; any part of the new one.
    fn create(directory: &Path, owner: Owner) -> io::Result<Self> {
        disk::replace_unsynced(directory, NAME, &owner.header())?;
        Ok(Self {
            file: disk::open_for_update(&directory.join(NAME))?,
            places: BTreeMap::new(),
            end: HEADER as u64,
            pending: Vec::new(),
            window: (0, Vec::new()),
        })
    }
    /// Finds all records; `None` if the file is not this mailbox's.
    fn read(file: File, owner: Owner) -> io::Result<Option<Self>> {
        let mut kept = Self {
            file,
            places: BTreeMap::new(),
            end: HEADER as u64,
            pending: Vec::new(),
            window: (0, Vec::new()),
        };
        if kept.view(0, HEADER)? != Some(&owner.header()[..]) {
            return Ok(None);
        }
        while kept.end < FILE_OCTETS {
            let Some(header) = kept.view(kept.end, RECORD_HEADER)? else {
                break;
            };
            let Some((uid, length, _)) = read_header(header) else {
                break;
            };
            let Ok(place) = u32::try_from(kept.end) else {
                break;
            };
            kept.places.insert(uid, (place, length));
            kept.end += RECORD_HEADER as u64 + u64::from(length);
        }
        Ok(Some(kept))
    }
    /// Octets of the file; `None` behind its end.
    fn view(&mut self, start: u64, length: usize) -> io::Result<Option<&[u8]>> {
        let within = |window: &(u64, Vec<u8>)| {
            let first = usize::try_from(start.checked_sub(window.0)?).ok()?;
            let last = first.checked_add(length)?;
            (last <= window.1.len()).then_some(first..last)
        };
        if within(&self.window).is_none() {
            let wanted = length.max(PIECE_OCTETS);
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
    /// A message's record, if it is whole.
    fn octets(&mut self, uid: u32) -> Option<Vec<u8>> {
        let (place, length) = *self.places.get(&uid)?;
        let start = u64::from(place);
        let whole = RECORD_HEADER + usize::try_from(length).ok()?;
        let record = match start.checked_sub(self.end) {
            Some(pending) => {
                let first = usize::try_from(pending).ok()?;
                self.pending.get(first..first + whole)?
            }
            None => self.view(start, whole).ok()??,
        };
        let (header, octets) = record.split_at_checked(RECORD_HEADER)?;
        let (found, _, checksum) = read_header(header)?;
        (found == uid && crc32(0, octets) == checksum).then(|| octets.to_vec())
    }
    /// A message's summary, if it is kept.
    pub(crate) fn get(&mut self, uid: Uid) -> Option<Summary> {
        let summary = self
            .octets(uid.get())
            .and_then(|octets| codec::decode(&octets));
        if summary.is_none() {
            self.places.remove(&uid.get());
        }
        summary
    }
    /// Keeps a message's summary, unless there is no room for it.
    ///
    /// # Errors
    /// When it cannot be written; the file is not to be used any more.
    pub(crate) fn put(&mut self, uid: Uid, summary: &Summary) -> io::Result<()> {
        self.push(uid.get(), &codec::encode(summary))
    }
    fn push(&mut self, uid: u32, octets: &[u8]) -> io::Result<()> {
        let place = self.end + self.pending.len() as u64;
        let (Ok(length), Ok(place)) = (u32::try_from(octets.len()), u32::try_from(place)) else {
            return Ok(());
        };
        if octets.len() > RECORD_OCTETS || u64::from(place) > FILE_OCTETS {
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
        self.places.insert(uid, (place, length));
        if self.pending.len() >= PIECE_OCTETS {
            self.flush()?;
        }
        Ok(())
    }
    /// Writes what is to be written.
    ///
    /// # Errors
    /// As [`SummaryFile::put`].
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

/// Whether opening the file costs more than summarising a few messages later.
pub(crate) fn is_long(directory: &Path) -> bool {
    let stamp = disk::stamp(&directory.join(NAME));
    matches!(stamp, Ok(Some(stamp)) if stamp.size_octets > LONG_OCTETS)
}

/// UID, length and checksum of a record; `None` for what is no header of one.
fn read_header(header: &[u8]) -> Option<(u32, u32, u32)> {
    let number = |at: usize| {
        let octets = header.get(at..at + 4)?;
        Some(u32::from_le_bytes(octets.try_into().ok()?))
    };
    let (uid, length, checksum) = (number(0)?, number(4)?, number(8)?);
    let is_header = crc32(0, header.get(..12)?) == number(12)?;
    let fits = usize::try_from(length).is_ok_and(|length| length <= RECORD_OCTETS);
    (is_header && fits && uid != 0).then_some((uid, length, checksum))
}
