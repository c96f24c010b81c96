//! What the records of an index add up to.

use super::checksum::crc32;
use super::history::History;
use super::record::{FRAME, MAX_PAYLOAD, Reader, Settled, kind};
use crate::snapshot::Rows;
use crate::{Keyword, ModSeq, Uid};
use std::collections::{HashMap, HashSet};
use std::io::{self, BufReader, Read};

/// Octets of the header: magic, version, UIDVALIDITY, GUID, inode, checksum.
pub(super) const HEADER: usize = 44;
const MAGIC: &[u8; 8] = b"pillarbx";
/// Another version is rebuilt, not read.
const VERSION: u32 = 2;

/// What the file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) uid_validity: u32,
    pub(super) guid: [u8; 16],
    /// The inode number it was made with: a copy is not the file whose
    /// mod-sequences were told.
    pub(super) inode: u64,
}

impl Header {
    pub(super) fn octets(&self) -> [u8; HEADER] {
        let mut octets = Vec::with_capacity(HEADER);
        octets.extend_from_slice(MAGIC);
        octets.extend_from_slice(&VERSION.to_le_bytes());
        octets.extend_from_slice(&self.uid_validity.to_le_bytes());
        octets.extend_from_slice(&self.guid);
        octets.extend_from_slice(&self.inode.to_le_bytes());
        octets.extend_from_slice(&crc32(0, &octets).to_le_bytes());
        let mut header = [0; HEADER];
        for (to, from) in header.iter_mut().zip(octets) {
            *to = from;
        }
        header
    }
    /// The header and its checksum.
    fn read(octets: &[u8]) -> Result<(Self, u32), &'static str> {
        const SHORT: &str = "its header is incomplete";
        let header = octets.get(..HEADER).ok_or(SHORT)?;
        let (content, checksum) = header.split_last_chunk::<4>().ok_or(SHORT)?;
        let mut reader = Reader(content);
        if reader.array::<8>().as_ref() != Some(MAGIC) {
            return Err("it is no index");
        }
        if reader.u32() != Some(VERSION) {
            return Err("it is of another version");
        }
        let checksum = u32::from_le_bytes(*checksum);
        if checksum != crc32(0, content) {
            return Err("its header is damaged");
        }
        let header = Self {
            uid_validity: reader.u32().ok_or(SHORT)?,
            guid: reader.array().ok_or(SHORT)?,
            inode: reader.u64().ok_or(SHORT)?,
        };
        Ok((header, checksum))
    }
}

/// What an index said about its mailbox.
#[derive(Debug)]
pub(crate) struct Contents {
    /// The UIDVALIDITY it belongs to.
    pub(crate) uid_validity: u32,
    /// The mailbox GUID it belongs to.
    pub(crate) guid: [u8; 16],
    /// Messages in UID order; their keywords are indices into `keywords`.
    pub(crate) rows: Rows,
    /// What the UID list has whole of some of them, by UID.
    pub(crate) fields: HashMap<u32, Box<str>>,
    /// Names of keywords.
    pub(crate) keywords: Vec<Keyword>,
    /// What was expunged.
    pub(crate) history: History,
    /// The highest mod-sequence told.
    pub(crate) highest_modseq: ModSeq,
    /// The next UID told, or higher than all that are known.
    pub(crate) uid_next: u32,
    /// How the directories were, if nothing changed since that was written.
    pub(crate) settled: Option<Settled>,
}

/// Contents, and where the file ends.
#[derive(Debug)]
pub(super) struct Replay {
    pub(super) contents: Contents,
    pub(super) inode: u64,
    /// The boot under which changes were being made, if the file was not settled.
    pub(super) boot: Option<[u8; 16]>,
    /// Where the snapshot ends and where the last valid record does.
    pub(super) snapshot_octets: usize,
    pub(super) end: usize,
    /// The checksum of the last valid record.
    pub(super) chain: u32,
    /// Whether something else than zeros follows.
    pub(super) torn: bool,
}

/// Why an index cannot be read.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// What it says, in words.
    Content(&'static str),
    Disk(io::Error),
}

impl From<&'static str> for Unreadable {
    fn from(reason: &'static str) -> Self {
        Self::Content(reason)
    }
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// Reads an index, record by record. What follows the last valid record is left out; a
/// snapshot that is not whole, or a valid record that contradicts what came before it,
/// makes the file unreadable.
pub(super) fn replay(file: impl Read) -> Result<Replay, Unreadable> {
    let mut records = Records {
        file: BufReader::with_capacity(BUFFER_OCTETS, file),
        record: Vec::new(),
    };
    records.fill(HEADER)?;
    let (header, mut chain) = Header::read(&records.record)?;
    let mut replaying = Replaying::new(header);
    let mut end = HEADER;
    while let Some(payload) = records.next(chain)? {
        chain = crc32(chain, payload);
        end += FRAME + payload.len();
        replaying.take(payload, end)?;
    }
    let torn = records.is_torn()?;
    Ok(replaying.finish(header.inode, end, chain, torn)?)
}

/// So much is read at once.
const BUFFER_OCTETS: usize = 64 << 10;

/// The records of a file, one after another.
struct Records<R> {
    file: BufReader<R>,
    /// What was read last, with its frame.
    record: Vec<u8>,
}

impl<R: Read> Records<R> {
    /// Reads up to so many octets of what is being read, less where the file ends.
    fn fill(&mut self, octets: usize) -> io::Result<()> {
        let missing = octets.saturating_sub(self.record.len());
        let missing = u64::try_from(missing).unwrap_or_default();
        (&mut self.file)
            .take(missing)
            .read_to_end(&mut self.record)
            .map(drop)
    }
    /// The payload of the record that is next, if one is valid.
    fn next(&mut self, chain: u32) -> io::Result<Option<&[u8]>> {
        self.record.clear();
        self.fill(FRAME)?;
        let mut frame = Reader(&self.record);
        let (Some(length), Some(checksum)) = (frame.u32(), frame.u32()) else {
            return Ok(None);
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length == 0 || length > MAX_PAYLOAD {
            return Ok(None);
        }
        self.fill(FRAME + length)?;
        let payload = self.record.get(FRAME..).unwrap_or_default();
        let valid = payload.len() == length && crc32(chain, payload) == checksum;
        Ok(valid.then_some(payload))
    }
    /// Whether what was read last, or what follows it, is something else than zeros.
    fn is_torn(&mut self) -> io::Result<bool> {
        loop {
            if self.record.iter().any(|octet| *octet != 0) {
                return Ok(true);
            }
            self.record.clear();
            self.fill(BUFFER_OCTETS)?;
            if self.record.is_empty() {
                return Ok(false);
            }
        }
    }
}

struct Replaying {
    contents: Contents,
    /// Rows that went.
    gone: HashSet<Uid>,
    /// Keywords of the row being read.
    keywords: Vec<u16>,
    /// When the last that went did; this never falls.
    expunged_modseq: ModSeq,
    boot: Option<[u8; 16]>,
    /// Where the snapshot ends, once that is known.
    complete: Option<usize>,
}

impl Replaying {
    fn new(header: Header) -> Self {
        Self {
            contents: Contents {
                uid_validity: header.uid_validity,
                guid: header.guid,
                rows: Rows::default(),
                fields: HashMap::new(),
                keywords: Vec::new(),
                history: History::default(),
                highest_modseq: 0,
                uid_next: 1,
                settled: None,
            },
            gone: HashSet::new(),
            keywords: Vec::new(),
            expunged_modseq: 0,
            boot: None,
            complete: None,
        }
    }
    fn take(&mut self, payload: &[u8], end: usize) -> Result<(), &'static str> {
        let mut reader = Reader(payload);
        let kind = reader.u8();
        let changes = matches!(
            kind,
            Some(kind::ROWS | kind::CHANGE | kind::EXPUNGED | kind::KEYWORD)
        );
        if changes && self.complete.is_some() && self.boot.is_none() {
            return Err("a change was written after the end");
        }
        let read = match kind {
            Some(kind::KEYWORD) => self.keyword(&mut reader),
            Some(kind::ROWS) => self.rows(&mut reader),
            Some(kind::CHANGE) => self.change(&mut reader),
            Some(kind::EXPUNGED) => self.expunged(&mut reader),
            Some(kind::COMPLETE) => self.complete(&mut reader, end),
            Some(kind::OPENED) => self.opened(&mut reader),
            Some(kind::SETTLED) => self.settled(&mut reader),
            _ => None,
        };
        match read {
            Some(()) if reader.is_empty() => Ok(()),
            _ => Err("a record says what cannot be"),
        }
    }
    fn keyword(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let name = reader.text().filter(|name| !name.is_empty())?;
        self.contents.keywords.push(Keyword::from(name));
        self.contents.settled = None;
        Some(())
    }
    fn rows(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let mut keywords = std::mem::take(&mut self.keywords);
        while !reader.is_empty() {
            let (row, fields) = reader.row(self.contents.keywords.len(), &mut keywords)?;
            let last = self.contents.rows.last_uid();
            if last.is_some_and(|last| last >= row.uid) {
                return None;
            }
            self.tell(row.modseq, row.uid)?;
            self.contents.rows.push(&row);
            if let Some(fields) = fields {
                let fields = Box::from(fields);
                self.contents.fields.insert(row.uid.get(), fields);
            }
        }
        self.keywords = keywords;
        Some(())
    }
    /// A mod-sequence and a UID were told.
    fn tell(&mut self, modseq: ModSeq, uid: Uid) -> Option<()> {
        self.contents.highest_modseq = self.contents.highest_modseq.max(modseq);
        self.contents.uid_next = self.contents.uid_next.max(uid.get().checked_add(1)?);
        self.contents.settled = None;
        (modseq < 1 << 63).then_some(())
    }
    fn is_there(&self, uid: Uid) -> bool {
        self.contents.rows.index_of(uid).is_some() && !self.gone.contains(&uid)
    }
    fn change(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let mut keywords = std::mem::take(&mut self.keywords);
        let change = reader.change(self.contents.keywords.len(), &mut keywords)?;
        self.tell(change.modseq, change.uid)?;
        if !self.is_there(change.uid) {
            return None;
        }
        self.contents.rows.change(change.uid, &change.row);
        self.keywords = keywords;
        Some(())
    }
    /// In the snapshot it is history; after it messages that are there go.
    fn expunged(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let modseq = reader.u64()?;
        if modseq < self.expunged_modseq {
            return None;
        }
        self.expunged_modseq = modseq;
        while !reader.is_empty() {
            let uid = reader.uid()?;
            self.tell(modseq, uid)?;
            if self.complete.is_some() {
                if !self.is_there(uid) {
                    return None;
                }
                self.gone.insert(uid);
            }
            self.contents.history.push(modseq, uid);
        }
        Some(())
    }
    fn complete(&mut self, reader: &mut Reader<'_>, end: usize) -> Option<()> {
        let complete = reader.complete()?;
        let contents = &mut self.contents;
        let whole = usize::try_from(complete.rows) == Ok(contents.rows.len())
            && complete.highest_modseq >= contents.highest_modseq
            && complete.highest_modseq < 1 << 63
            && complete.uid_next >= contents.uid_next;
        if self.complete.is_some() || !whole {
            return None;
        }
        let mut history = History::new(complete.floor);
        for (modseq, uid) in contents.history.iter() {
            history.push(modseq, uid);
        }
        contents.history = history;
        contents.highest_modseq = complete.highest_modseq;
        contents.uid_next = complete.uid_next;
        self.complete = Some(end);
        Some(())
    }
    fn opened(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        self.complete?;
        self.boot = Some(reader.array()?);
        Some(())
    }
    fn settled(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        self.complete?;
        let settled = reader.settled()?;
        let contents = &mut self.contents;
        contents.uid_next = contents.uid_next.max(settled.uid_next);
        contents.settled = Some(settled);
        self.boot = None;
        Some(())
    }
    fn finish(
        mut self,
        inode: u64,
        end: usize,
        chain: u32,
        torn: bool,
    ) -> Result<Replay, &'static str> {
        let snapshot_octets = self.complete.ok_or("its snapshot is incomplete")?;
        if self.boot.is_some() {
            // Something may have been done that was not written here any more.
            self.contents.settled = None;
        }
        if !self.gone.is_empty() {
            self.contents.rows.remove(&self.gone);
            for uid in &self.gone {
                self.contents.fields.remove(&uid.get());
            }
        }
        Ok(Replay {
            contents: self.contents,
            inode,
            boot: self.boot,
            snapshot_octets,
            end,
            chain,
            torn,
        })
    }
}
