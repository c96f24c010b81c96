//! The records of an index: their octets, both ways.
//!
//! A record is `length: u32, checksum: u32, payload`, all numbers little-endian.
//! The payload begins with its kind. The checksum is the CRC-32 of the payload
//! continued from the record before it, so that a record is valid in one place only;
//! a length of zero ends the file.

use super::checksum::crc32;
use crate::disk::Stamp;
use crate::snapshot::{Listed, MessageRow, RowChange};
use crate::{Flags, InternalDate, ModSeq, Uid};

/// Octets before a payload.
pub(super) const FRAME: usize = 8;
/// No payload is longer.
pub(super) const MAX_PAYLOAD: usize = 1 << 20;

/// What a payload begins with.
pub(super) mod kind {
    /// A keyword's name; rows mean it by its number in the file.
    pub(crate) const KEYWORD: u8 = 1;
    /// Messages that came, UIDs ascending and above all before.
    pub(crate) const ROWS: u8 = 2;
    /// A message whose flags, keywords or file name changed.
    pub(crate) const CHANGE: u8 = 3;
    /// Messages that went.
    pub(crate) const EXPUNGED: u8 = 4;
    /// The end of the snapshot: all before it was written at once.
    pub(crate) const COMPLETE: u8 = 5;
    /// Changes follow, made under this boot of the machine.
    pub(crate) const OPENED: u8 = 6;
    /// All is told and written; how the directories were.
    pub(crate) const SETTLED: u8 = 7;
}

/// How the mailbox was when it was closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settled {
    /// `new` and `cur` as last read.
    pub(crate) halves: [Stamp; 2],
    /// Whether a change may hide behind an equal stamp.
    pub(crate) doubtful: [bool; 2],
    /// Whether there were own changes since the directories were read.
    pub(crate) own_changes: bool,
    /// When they were read, seconds since 1970 UTC.
    pub(crate) scanned_seconds: i64,
    /// `dovecot-uidlist`.
    pub(crate) uidlist: Option<Stamp>,
    /// `dovecot-keywords` and the keywords without letter.
    pub(crate) keywords: [Option<Stamp>; 2],
    /// The next UID told.
    pub(crate) uid_next: u32,
    /// How many records of the UID list are of messages that are gone.
    pub(crate) dead: u32,
}

/// The record that ends a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Complete {
    pub(super) rows: u32,
    pub(super) highest_modseq: ModSeq,
    pub(super) floor: ModSeq,
    pub(super) uid_next: u32,
}

/// A change to a row that is there.
pub(super) struct Change<'a> {
    pub(super) uid: Uid,
    pub(super) modseq: ModSeq,
    pub(super) row: RowChange<'a>,
}

/// Records being put together, framed and chained.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) octets: Vec<u8>,
    /// The checksum of the last record.
    chain: u32,
    /// Where the record being written begins.
    begun: usize,
}

impl Writer {
    /// Continues after a record whose checksum this is.
    pub(super) fn after(chain: u32) -> Self {
        Self {
            chain,
            ..Self::default()
        }
    }
    pub(super) fn begin(&mut self, kind: u8) -> &mut Self {
        self.begun = self.octets.len();
        self.octets.extend_from_slice(&[0; FRAME]);
        self.u8(kind)
    }
    /// The octets of the record being written, its frame not counted.
    pub(super) fn payload_octets(&self) -> usize {
        self.octets.len() - self.begun - FRAME
    }
    pub(super) fn end(&mut self) {
        let (_, record) = self.octets.split_at_mut(self.begun);
        let (frame, payload) = record.split_at_mut(FRAME);
        self.chain = crc32(self.chain, payload);
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let (front, back) = frame.split_at_mut(4);
        front.copy_from_slice(&length.to_le_bytes());
        back.copy_from_slice(&self.chain.to_le_bytes());
    }
    pub(super) fn u8(&mut self, number: u8) -> &mut Self {
        self.octets.push(number);
        self
    }
    pub(super) fn u16(&mut self, number: u16) -> &mut Self {
        self.octets.extend_from_slice(&number.to_le_bytes());
        self
    }
    pub(super) fn u32(&mut self, number: u32) -> &mut Self {
        self.octets.extend_from_slice(&number.to_le_bytes());
        self
    }
    pub(super) fn u64(&mut self, number: u64) -> &mut Self {
        self.octets.extend_from_slice(&number.to_le_bytes());
        self
    }
    pub(super) fn i64(&mut self, number: i64) -> &mut Self {
        self.octets.extend_from_slice(&number.to_le_bytes());
        self
    }
    pub(super) fn raw(&mut self, octets: &[u8]) -> &mut Self {
        self.octets.extend_from_slice(octets);
        self
    }
    /// A text of at most 65535 octets; file names and keywords are far shorter.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        self.u16(length);
        let octets = text.as_bytes();
        self.raw(octets.get(..usize::from(length)).unwrap_or(octets))
    }
    fn keywords(&mut self, keywords: &[u16]) -> &mut Self {
        let length = u16::try_from(keywords.len()).unwrap_or(u16::MAX);
        self.u16(length);
        for keyword in keywords.iter().take(usize::from(length)) {
            self.u16(*keyword);
        }
        self
    }
    /// One message of a ROWS record; `keywords` are numbers of the file, `fields` what the
    /// UID list has of it whole.
    pub(super) fn row(&mut self, row: &MessageRow<'_>, keywords: &[u16], fields: &str) {
        self.u32(row.uid.get())
            .u64(row.modseq)
            .u64(row.size_octets)
            .i64(row.internal_date.0)
            .u8(row.flags.0)
            .u8(bits(row) | row.unended_octets.min(2) << 2 | row.listed.0 << 4)
            .keywords(keywords)
            .text(row.unique_name)
            .text(row.suffix);
        if row.listed.has(Listed::OTHER) {
            self.text(fields);
        }
    }
    pub(super) fn change(&mut self, row: &MessageRow<'_>, keywords: &[u16]) {
        self.begin(kind::CHANGE)
            .u32(row.uid.get())
            .u64(row.modseq)
            .u8(row.flags.0)
            .u8(bits(row))
            .keywords(keywords)
            .text(row.suffix)
            .end();
    }
    fn stamp(&mut self, stamp: &Stamp) -> &mut Self {
        self.u64(stamp.device)
            .u64(stamp.inode)
            .u64(stamp.size_octets)
            .i64(stamp.seconds)
            .i64(stamp.nanoseconds)
    }
    fn optional_stamp(&mut self, stamp: Option<&Stamp>) -> &mut Self {
        self.u8(u8::from(stamp.is_some()))
            .stamp(stamp.unwrap_or(&Stamp::default()))
    }
    pub(super) fn complete(&mut self, complete: Complete) {
        self.begin(kind::COMPLETE)
            .u32(complete.rows)
            .u64(complete.highest_modseq)
            .u64(complete.floor)
            .u32(complete.uid_next)
            .end();
    }
    pub(super) fn opened(&mut self, boot: [u8; 16]) {
        self.begin(kind::OPENED).raw(&boot).end();
    }
    pub(super) fn settled(&mut self, settled: &Settled) {
        self.begin(kind::SETTLED);
        for (stamp, doubtful) in settled.halves.iter().zip(settled.doubtful) {
            self.stamp(stamp).u8(u8::from(doubtful));
        }
        self.u8(u8::from(settled.own_changes))
            .i64(settled.scanned_seconds)
            .optional_stamp(settled.uidlist.as_ref());
        for stamp in &settled.keywords {
            self.optional_stamp(stamp.as_ref());
        }
        self.u32(settled.uid_next).u32(settled.dead).end();
    }
}

fn bits(row: &MessageRow<'_>) -> u8 {
    u8::from(row.recent) | u8::from(row.in_new) << 1
}

/// Takes a payload apart; every getter is `None` at the end or for nonsense.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub(super) fn raw(&mut self, length: usize) -> Option<&'a [u8]> {
        let (front, back) = self.0.split_at_checked(length)?;
        self.0 = back;
        Some(front)
    }
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, back) = self.0.split_first_chunk::<N>()?;
        self.0 = back;
        Some(*front)
    }
    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }
    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }
    pub(super) fn uid(&mut self) -> Option<Uid> {
        self.u32().and_then(Uid::new)
    }
    fn bool(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = self.u16()?;
        std::str::from_utf8(self.raw(usize::from(length))?).ok()
    }
    /// Keywords, each below `known`, ascending; put into `keywords`.
    fn keywords<'k>(&mut self, known: usize, keywords: &'k mut Vec<u16>) -> Option<&'k [u16]> {
        keywords.clear();
        let length = usize::from(self.u16()?);
        let mut octets = Reader(self.raw(length * 2)?);
        while let Some(keyword) = octets.u16() {
            keywords.push(keyword);
        }
        let usable = keywords.iter().all(|keyword| usize::from(*keyword) < known);
        usable.then_some(keywords)
    }
    /// `recent` and `in_new`.
    fn bits(&mut self) -> Option<(bool, bool)> {
        let bits = self.u8()?;
        (bits < 4).then_some((bits & 1 != 0, bits & 2 != 0))
    }
    fn flags(&mut self) -> Option<Flags> {
        self.u8().filter(|flags| *flags < 32).map(Flags)
    }
    /// What may follow a unique name.
    fn suffix(&mut self) -> Option<&'a str> {
        self.text().filter(|suffix| {
            (suffix.is_empty() || suffix.starts_with(':'))
                && !suffix.contains(['/', '\n', '\r', '\0'])
        })
    }
    /// What the UID list may say of a message.
    fn fields(&mut self) -> Option<&'a str> {
        self.text()
            .filter(|fields| !fields.contains(['\n', '\r', '\0']) && !fields.contains(" :"))
    }
    /// What a file may be called before its suffix.
    fn unique_name(&mut self) -> Option<&'a str> {
        self.text().filter(|name| {
            !name.is_empty()
                && !name.starts_with('.')
                && !name.contains(['/', ':', '\n', '\r', '\0'])
        })
    }
    /// One message, its keywords put into `keywords`, and what the UID list has of it whole.
    pub(super) fn row<'r>(
        &mut self,
        known_keywords: usize,
        keywords: &'r mut Vec<u16>,
    ) -> Option<(MessageRow<'r>, Option<&'a str>)>
    where
        'a: 'r,
    {
        let uid = self.uid()?;
        let modseq = self.u64()?;
        let size_octets = self.u64()?;
        let internal_date = InternalDate(self.i64()?);
        let flags = self.flags()?;
        let bits = self.u8().filter(|bits| *bits < 128 && *bits & 12 != 12)?;
        let row = MessageRow {
            uid,
            flags,
            recent: bits & 1 != 0,
            keywords: self.keywords(known_keywords, keywords)?,
            modseq,
            size_octets,
            unended_octets: bits >> 2 & 3,
            internal_date,
            unique_name: self.unique_name()?,
            in_new: bits & 2 != 0,
            suffix: self.suffix()?,
            listed: Listed(bits >> 4),
        };
        let fields = match row.listed.has(Listed::OTHER) {
            true => Some(self.fields()?),
            false => None,
        };
        Some((row, fields))
    }
    /// A change to a message, its keywords put into `keywords`.
    pub(super) fn change<'r>(
        &mut self,
        known_keywords: usize,
        keywords: &'r mut Vec<u16>,
    ) -> Option<Change<'r>>
    where
        'a: 'r,
    {
        let (uid, modseq, flags) = (self.uid()?, self.u64()?, self.flags()?);
        let (recent, in_new) = self.bits()?;
        let row = RowChange {
            flags: Some(flags),
            recent: Some(recent),
            in_new: Some(in_new),
            modseq: Some(modseq),
            keywords: Some(self.keywords(known_keywords, keywords)?),
            suffix: Some(self.suffix()?),
            listed: None,
        };
        Some(Change { uid, modseq, row })
    }
    fn stamp(&mut self) -> Option<Stamp> {
        Some(Stamp {
            device: self.u64()?,
            inode: self.u64()?,
            size_octets: self.u64()?,
            seconds: self.i64()?,
            nanoseconds: self.i64()?,
        })
    }
    fn optional_stamp(&mut self) -> Option<Option<Stamp>> {
        let there = self.bool()?;
        let stamp = self.stamp()?;
        Some(there.then_some(stamp))
    }
    pub(super) fn complete(&mut self) -> Option<Complete> {
        Some(Complete {
            rows: self.u32()?,
            highest_modseq: self.u64()?,
            floor: self.u64()?,
            uid_next: self.u32()?,
        })
    }
    pub(super) fn settled(&mut self) -> Option<Settled> {
        let (new, new_doubtful) = (self.stamp()?, self.bool()?);
        let (cur, cur_doubtful) = (self.stamp()?, self.bool()?);
        Some(Settled {
            halves: [new, cur],
            doubtful: [new_doubtful, cur_doubtful],
            own_changes: self.bool()?,
            scanned_seconds: self.i64()?,
            uidlist: self.optional_stamp()?,
            keywords: [self.optional_stamp()?, self.optional_stamp()?],
            uid_next: self.u32()?,
            dead: self.u32()?,
        })
    }
}
