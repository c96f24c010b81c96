//! The index of a mailbox, `pillarbox.index`: what the Maildir cannot hold
//! (mod-sequences, the history of expunged messages) and what is costly to find out
//! again (sizes, dates, file names).
//!
//! The file is a header, a snapshot (all rows, written at once), and a log of what
//! changed since, appended record by record into space allocated beforehand. A
//! rewrite makes a new file and renames it over the old one. It is a cache: when it
//! is lost, no message, UID or flag is.
//!
//! # Mod-sequences
//! A mod-sequence must never be told twice for different states (RFC 7162 section
//! 3.1), and the one told as highest must not rise while nothing changes.
//!
//! - A record is written before what it says is told. The octets survive the death
//!   of the process, so under the same boot of the machine the log is exact whatever
//!   happened.
//! - It is not synced: a loss of power may take the end of the log. Therefore an
//!   OPENED record is made durable before the first change after a SETTLED one is
//!   told. A file whose last word is OPENED, under another boot, is in doubt:
//!   everything gets a mod-sequence above all that were ever told.
//! - A file is only ever replaced when it says OPENED durably, so should the
//!   replacement be lost with the power, the old one does not look settled.
//! - A copy (a restored backup) has another inode number and is in doubt as well.
//! - A file that cannot be written any more is removed: no index is better than one
//!   that lacks what was told.
//! - Who opens a mailbox whose index another keeps locked tells mod-sequences that no
//!   index knows. Where they begin is durable before, in `pillarbox-modseq`: an index
//!   that knows no mod-sequence as high is in doubt. Who has that index open sees that
//!   file change, begins above it and gives the index up; from then on both go by the
//!   clock.
//!
//! A lock on the file keeps other processes, and a predecessor in this one that is
//! still closing, from writing it at the same time.

pub(crate) mod checksum;
mod history;
mod inspect;
mod record;
mod replay;
#[cfg(test)]
mod tests;

pub(crate) use checksum::crc32;
pub(crate) use history::History;
pub(crate) use inspect::look;
pub use inspect::{inspect_index, is_open_elsewhere, remove_index};
pub(crate) use record::Settled;
pub(crate) use replay::Contents;

use crate::disk::{self, File};
use crate::snapshot::{MessageRow, Rows};
use crate::{Keyword, ModSeq, Uid, UidValidity};
use record::{Complete, MAX_PAYLOAD, Writer, kind};
use replay::{HEADER, Header, Unreadable};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::time::{Duration, Instant};

/// The file's name.
pub(crate) const NAME: &str = "pillarbox.index";
const TEMPORARY_NAME: &str = "pillarbox.index.new";
/// No larger index is read.
const MAX_OCTETS: u64 = 1 << 31;
/// A log shorter than this is not worth a rewrite.
const LOG_OCTETS: u64 = 256 << 10;
/// How long to wait for another who has the index open.
const PATIENCE: Duration = Duration::from_secs(1);
/// Rows of a snapshot are written in pieces of about this many octets.
const PIECE_OCTETS: usize = 64 << 10;
/// Keywords named; more come from names that nobody uses any more.
const NAMED: u16 = 8192;
/// UIDs in one record.
const RECORD_UIDS: usize = 100_000;

/// What was found beside a mailbox.
#[derive(Debug)]
pub(crate) enum Found {
    /// No index.
    Nothing,
    /// One that says nothing, and why.
    Unreadable(&'static str),
    /// Another has it open.
    Busy,
    /// An index, exact: what it says was told, all of it and nothing else.
    Exact(Box<Index>, Contents),
    /// An index whose end may be lost: its mod-sequences and its history say nothing.
    Doubtful(Contents),
    /// An exact one, but higher mod-sequences than it knows were told while it was busy.
    Outrun(Contents),
}

impl Found {
    /// The rows it has, told or not.
    pub(crate) fn rows(&self) -> Option<&Rows> {
        match self {
            Self::Exact(_, contents) | Self::Doubtful(contents) | Self::Outrun(contents) => {
                Some(&contents.rows)
            }
            Self::Nothing | Self::Unreadable(_) | Self::Busy => None,
        }
    }
}

/// All that a snapshot holds.
pub(crate) struct Picture<'a, I> {
    pub(crate) uid_validity: UidValidity,
    pub(crate) guid: [u8; 16],
    pub(crate) uid_next: Uid,
    pub(crate) highest_modseq: ModSeq,
    pub(crate) keywords: &'a [Keyword],
    pub(crate) history: &'a History,
    /// In UID order.
    pub(crate) rows: I,
    /// What the UID list has whole of some of them, by UID.
    pub(crate) fields: &'a HashMap<u32, Box<str>>,
}

/// An open index, locked until dropped.
#[derive(Debug)]
pub(crate) struct Index {
    file: File,
    /// Where the next record goes.
    end: u64,
    /// Space is allocated up to here.
    allocated: u64,
    /// Where the snapshot ends.
    snapshot_octets: u64,
    /// Whether something that is no record follows the end.
    torn: bool,
    /// Whether an OPENED record stands after the last SETTLED one.
    opened: bool,
    /// Whether the OPENED record is among those not written yet.
    opening: bool,
    settled: Option<Settled>,
    pending: Writer,
    /// The number in the file of each of the mailbox's keywords.
    numbers: Vec<Option<u16>>,
    /// How many keywords the file names.
    named: u16,
}

impl Index {
    /// Opens, locks and reads the index of this directory. An exact one is continued
    /// with the mailbox's keywords once [`Index::know_keywords`] told it of them.
    pub(crate) fn open(directory: &Path) -> io::Result<Found> {
        let path = directory.join(NAME);
        let mut file = match lock(&path)? {
            Locked::Nothing => return Ok(Found::Nothing),
            Locked::Busy => return Ok(Found::Busy),
            Locked::File(file) => file,
        };
        let length = file.metadata()?.stamp.size_octets;
        if length > MAX_OCTETS {
            return Ok(Found::Unreadable("it is too large"));
        }
        let replay = match replay::replay((&mut file).take(MAX_OCTETS)) {
            Ok(replay) => replay,
            Err(Unreadable::Content(reason)) => return Ok(Found::Unreadable(reason)),
            Err(Unreadable::Disk(error)) => return Err(error),
        };
        let own = file.metadata()?.stamp.inode == replay.inode;
        let settled = replay.boot.is_none() && replay.contents.settled.is_some();
        let same_boot = replay.boot == Some(disk::boot_id());
        if !own || !(settled || same_boot) {
            return Ok(Found::Doubtful(replay.contents));
        }
        if !settled {
            // The process that wrote OPENED may have died before it was durable.
            file.sync_data()?;
        }
        let index = Self {
            file,
            end: replay.end as u64,
            allocated: length,
            snapshot_octets: replay.snapshot_octets as u64,
            torn: replay.torn,
            opened: !settled,
            opening: false,
            settled: replay.contents.settled.clone(),
            pending: Writer::after(replay.chain),
            numbers: Vec::new(),
            named: u16::try_from(replay.contents.keywords.len()).unwrap_or(u16::MAX),
        };
        Ok(Found::Exact(Box::new(index), replay.contents))
    }
    /// Makes a new index in place of any there is. A crash leaves the old or the new
    /// one; with the power the new one may be lost, whole or in part, as any other
    /// index may.
    pub(crate) fn create<'a>(
        directory: &Path,
        picture: Picture<'_, impl Iterator<Item = MessageRow<'a>>>,
    ) -> io::Result<Self> {
        let temporary = directory.join(TEMPORARY_NAME);
        match disk::unlink(&temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = disk::create_new(&temporary)?;
        file.try_lock()?;
        let written = Self::write_new(file, picture)
            .and_then(|index| disk::rename(&temporary, &directory.join(NAME)).map(|()| index));
        if written.is_err() {
            let _ = disk::unlink(&temporary);
        }
        written
    }
    fn write_new<'a>(
        file: File,
        picture: Picture<'_, impl Iterator<Item = MessageRow<'a>>>,
    ) -> io::Result<Self> {
        let header = Header {
            uid_validity: picture.uid_validity.get(),
            guid: picture.guid,
            inode: file.metadata()?.stamp.inode,
        }
        .octets();
        let chain = header
            .last_chunk::<4>()
            .map_or(0, |checksum| u32::from_le_bytes(*checksum));
        file.write_at(&header, 0)?;
        let mut index = Self {
            file,
            end: HEADER as u64,
            allocated: 0,
            snapshot_octets: 0,
            torn: false,
            opened: true,
            opening: false,
            settled: None,
            pending: Writer::after(chain),
            numbers: Vec::new(),
            named: 0,
        };
        for name in picture.keywords {
            index.name_keyword(name);
        }
        let mut count = 0;
        let mut rows = picture.rows.peekable();
        while rows.peek().is_some() {
            index.pending.begin(kind::ROWS);
            while index.pending.payload_octets() < PIECE_OCTETS
                && let Some(row) = rows.next()
            {
                // The file's numbers are the mailbox's as all names were written.
                let fields = fields_of(&row, picture.fields);
                index.pending.row(&row, row.keywords, fields);
                count += 1;
            }
            index.pending.end();
            index.write_pending()?;
        }
        let mut history = picture.history.iter().peekable();
        while let Some((modseq, _)) = history.peek().copied() {
            index.pending.begin(kind::EXPUNGED).u64(modseq);
            let mut uids = 0;
            while uids < RECORD_UIDS
                && let Some((_, uid)) = history.next_if(|(when, _)| *when == modseq)
            {
                index.pending.u32(uid.get());
                uids += 1;
            }
            index.pending.end();
            if index.pending.octets.len() > PIECE_OCTETS {
                index.write_pending()?;
            }
        }
        index.pending.complete(Complete {
            rows: count,
            highest_modseq: picture.highest_modseq,
            floor: picture.history.floor(),
            uid_next: picture.uid_next.get(),
        });
        index.snapshot_octets = index.end + index.pending.octets.len() as u64;
        index.pending.opened(disk::boot_id());
        index.write_pending()?;
        Ok(index)
    }
    /// Tells which name of the file each of the mailbox's keywords is: `numbers[k]`
    /// for the keyword with index k.
    pub(crate) fn know_keywords(&mut self, numbers: Vec<Option<u16>>) {
        self.numbers = numbers;
    }
    /// Messages came, UIDs ascending and above all before.
    pub(crate) fn came<'a>(
        &mut self,
        rows: impl Iterator<Item = MessageRow<'a>>,
        names: &[Keyword],
        fields: &HashMap<u32, Box<str>>,
    ) {
        for row in rows {
            let keywords = self.begin(row.keywords, names);
            self.pending.begin(kind::ROWS);
            self.pending.row(&row, &keywords, fields_of(&row, fields));
            self.pending.end();
        }
    }
    /// A message's flags, keywords, recency or file name changed.
    pub(crate) fn changed(&mut self, row: &MessageRow<'_>, names: &[Keyword]) {
        let keywords = self.begin(row.keywords, names);
        self.pending.change(row, &keywords);
    }
    /// Messages went.
    pub(crate) fn expunged(&mut self, modseq: ModSeq, uids: &[Uid]) {
        self.begin(&[], &[]);
        for uids in uids.chunks(RECORD_UIDS) {
            self.pending.begin(kind::EXPUNGED).u64(modseq);
            for uid in uids {
                self.pending.u32(uid.get());
            }
            self.pending.end();
        }
    }
    /// Before a change: says that changes follow, names keywords that are new, gives
    /// the numbers of these.
    fn begin(&mut self, keywords: &[u16], names: &[Keyword]) -> Vec<u16> {
        if !self.opened {
            self.opened = true;
            self.opening = true;
            self.pending.opened(disk::boot_id());
        }
        let mut numbers = Vec::with_capacity(keywords.len());
        for keyword in keywords {
            let place = usize::from(*keyword);
            if self.numbers.len() <= place {
                self.numbers.resize(place + 1, None);
            }
            let known = self.numbers.get(place).copied().flatten();
            let number = match (known, names.get(place)) {
                (Some(number), _) => number,
                (None, Some(name)) => {
                    let number = self.name_keyword(name);
                    if let Some(slot) = self.numbers.get_mut(place) {
                        *slot = Some(number);
                    }
                    number
                }
                (None, None) => continue,
            };
            numbers.push(number);
        }
        numbers
    }
    fn name_keyword(&mut self, name: &Keyword) -> u16 {
        self.pending.begin(kind::KEYWORD).text(name).end();
        let number = self.named;
        if usize::from(number) == self.numbers.len() {
            self.numbers.push(Some(number));
        }
        self.named = self.named.saturating_add(1);
        number
    }
    /// Writes what changed; must succeed before any of it is told. After a failure
    /// the index is to be abandoned.
    pub(crate) fn commit(&mut self) -> io::Result<()> {
        if self.pending.octets.is_empty() {
            return Ok(());
        }
        self.settled = None;
        self.write_pending()?;
        if std::mem::take(&mut self.opening) {
            self.file.sync_data()?;
        }
        Ok(())
    }
    fn write_pending(&mut self) -> io::Result<()> {
        let length = self.pending.octets.len() as u64;
        if std::mem::take(&mut self.torn) {
            self.file.truncate(self.end)?;
            self.allocated = self.end;
        }
        if self.snapshot_octets != 0 && self.end + length > self.allocated {
            let more = (self.end / 8).clamp(4 << 10, 64 << 10).max(length);
            // The next multiple of 4096.
            let until = (self.end + more) | 0xfff;
            self.file.allocate(self.end, until + 1 - self.end);
            self.allocated = until + 1;
        }
        self.file.write_at(&self.pending.octets, self.end)?;
        self.end += length;
        self.pending.octets.clear();
        self.pending.octets.shrink_to(PIECE_OCTETS);
        Ok(())
    }
    /// Whether the log became so long that a new snapshot is worth its cost.
    pub(crate) fn wants_rewrite(&self) -> bool {
        let log = self.end.saturating_sub(self.snapshot_octets);
        log > LOG_OCTETS.max(self.snapshot_octets / 2) || self.named > NAMED
    }
    /// Makes a new snapshot with an empty log.
    pub(crate) fn rewrite<'a>(
        &mut self,
        directory: &Path,
        picture: Picture<'_, impl Iterator<Item = MessageRow<'a>>>,
    ) -> io::Result<()> {
        if !self.opened {
            // What is replaced must not look settled.
            self.begin(&[], &[]);
            self.commit()?;
        }
        *self = Self::create(directory, picture)?;
        Ok(())
    }
    /// At the end: says how the directories were, if that is news.
    pub(crate) fn settle(&mut self, settled: Settled) -> io::Result<()> {
        let known = self.settled.as_ref().is_some_and(|known| {
            let scanned_seconds = known.scanned_seconds;
            *known
                == Settled {
                    scanned_seconds,
                    ..settled.clone()
                }
        });
        if !self.opened && known {
            return Ok(());
        }
        self.pending.settled(&settled);
        self.write_pending()?;
        self.opened = false;
        self.settled = Some(settled);
        Ok(())
    }
}

fn fields_of<'f>(row: &MessageRow<'_>, fields: &'f HashMap<u32, Box<str>>) -> &'f str {
    fields.get(&row.uid.get()).map_or("", |fields| fields)
}

/// Gives up an index that cannot be written, durably: it lacks what is going to be
/// told, and must not be believed after a loss of power. Fails if it may be.
///
/// One that is open is spoiled wherever its directory is by now. Where none is open, one
/// that is not found is no longer there only if the directory is.
pub(crate) fn abandon(directory: &Path, open: Option<&Index>) -> io::Result<()> {
    let path = directory.join(NAME);
    // Overwriting the header needs no space; removing needs a directory that can be
    // written. One of both does.
    let spoil = |file: &File| {
        file.write_at(&[0; HEADER], 0)?;
        file.sync_data()
    };
    let remove = || disk::unlink(&path).and_then(|()| disk::sync_directory(directory));
    let Some(index) = open else {
        let spoiled = disk::open_for_update(&path).and_then(|file| spoil(&file));
        return match (spoiled, remove()) {
            (Err(error), Err(_)) if error.kind() == ErrorKind::NotFound => {
                disk::metadata(directory).map(drop)
            }
            (Err(error), Err(_)) => Err(error),
            _ => Ok(()),
        };
    };
    let spoiled = spoil(&index.file);
    // What has its name may be another mailbox's.
    let is_there = index.file.metadata().is_ok_and(|own| {
        let named = disk::stamp(&path);
        matches!(named, Ok(Some(named)) if named.is_same_file(&own.stamp))
    });
    match (spoiled, is_there.then(remove)) {
        (Ok(()), _) | (_, Some(Ok(()))) => Ok(()),
        (Err(error), _) => Err(error),
    }
}

/// Whether another has the index of this directory open now.
pub(crate) fn is_busy(directory: &Path) -> io::Result<bool> {
    match disk::open_for_update(&directory.join(NAME)) {
        Ok(file) => Ok(!file.try_lock()?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

enum Locked {
    Nothing,
    Busy,
    File(File),
}

/// Opens and locks the file that has this name then.
fn lock(path: &Path) -> io::Result<Locked> {
    let began = Instant::now();
    loop {
        let file = match disk::open_for_update(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Locked::Nothing),
            Err(error) => return Err(error),
        };
        if file.try_lock()? {
            let stamp = file.metadata()?.stamp;
            match disk::stamp(path)? {
                Some(now) if now.inode == stamp.inode && now.device == stamp.device => {
                    return Ok(Locked::File(file));
                }
                // It was replaced meanwhile.
                _ => continue,
            }
        }
        if began.elapsed() > PATIENCE {
            return Ok(Locked::Busy);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What a payload may be at most is more than any name with all keywords takes.
const _: () = assert!(MAX_PAYLOAD > 4 * RECORD_UIDS + 16 && MAX_PAYLOAD > 2 * PIECE_OCTETS);
