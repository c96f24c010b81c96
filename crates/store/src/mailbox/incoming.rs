//! Messages on their way in.

use super::binary;
use super::state::failed;
use crate::disk::{self, File};
use crate::maildir::filename;
use crate::{Error, Flags, InternalDate, Keyword, OpenedMessage, Result};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Octets kept back before they are written.
const BUFFER_OCTETS: usize = 64 << 10;
/// Why nothing more can be written.
const WHOLE: &str = "the message is whole already";

/// How far a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Octets are still to come.
    Open,
    /// All is written; the disk may not have it.
    Whole,
    /// It is durable.
    Durable,
}

/// A message on its way in: a file in `tmp/`, removed when dropped unused. A crash
/// leaves that file, which a later opening removes when it is 36 hours old.
#[derive(Debug)]
pub struct Incoming {
    /// Closed once the message is durable.
    file: Option<File>,
    stage: Stage,
    pub(super) path: PathBuf,
    buffer: Vec<u8>,
    octets: Octets,
    /// Whether a CR waits for what follows it.
    pending_cr: bool,
    pub(super) file_octets: u64,
    pub(super) size_octets: u64,
    /// The octet stored last.
    last: Option<u8>,
    pub(super) flags: Flags,
    pub(super) keywords: Vec<Keyword>,
    pub(super) date: Option<InternalDate>,
    /// Whether it left `tmp/`.
    pub(super) placed: bool,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Octets {
    /// Text: lines.
    Text,
    /// Any, kept as they are until the message is whole.
    Any,
}

impl Incoming {
    pub(super) fn begin(directory: &Path) -> Result<Self> {
        let path = directory.join("tmp").join(filename::fresh());
        let file = disk::create_new(&path).map_err(|error| failed("create", &path, error))?;
        Ok(Self {
            file: Some(file),
            stage: Stage::Open,
            path,
            buffer: Vec::new(),
            octets: Octets::Text,
            pending_cr: false,
            file_octets: 0,
            size_octets: 0,
            last: None,
            flags: Flags::default(),
            keywords: Vec::new(),
            date: None,
            placed: false,
        })
    }
    /// From now on what is written may hold NUL, and parts that are called binary keep
    /// their line ends (RFC 3516): once whole, the message is written anew with such
    /// parts in base64.
    pub fn take_binary(&mut self) {
        self.octets = Octets::Any;
    }
    /// Adds octets (any line ends; stored as given with CRLF turned into LF).
    pub fn write(&mut self, octets: &[u8]) -> Result<()> {
        if self.stage != Stage::Open {
            return Err(Error::CannotDo(WHOLE));
        }
        if self.octets == Octets::Any {
            return self.store(octets);
        }
        let mut rest = octets;
        if self.pending_cr && !rest.is_empty() {
            self.pending_cr = false;
            if rest.first() != Some(&b'\n') {
                self.store(b"\r")?;
            }
        }
        while let Some(at) = memchr::memchr(b'\r', rest) {
            let (before, from_cr) = rest.split_at(at);
            let after = from_cr.get(1..).unwrap_or_default();
            self.store(before)?;
            match after.first() {
                Some(b'\n') => {}
                Some(_) => self.store(b"\r")?,
                None => self.pending_cr = true,
            }
            rest = after;
        }
        self.store(rest)
    }
    fn store(&mut self, octets: &[u8]) -> Result<()> {
        let line_ends = memchr::memchr_iter(b'\n', octets).count();
        self.file_octets += octets.len() as u64;
        self.last = octets.last().copied().or(self.last);
        self.size_octets += (octets.len() + line_ends) as u64;
        self.buffer.extend_from_slice(octets);
        if self.buffer.len() >= BUFFER_OCTETS {
            self.flush()?;
        }
        Ok(())
    }
    fn flush(&mut self) -> Result<()> {
        let Some(file) = &mut self.file else {
            return Err(Error::CannotDo(WHOLE));
        };
        file.write_all(&self.buffer)
            .map_err(|error| failed("write", &self.path, error))?;
        self.buffer.clear();
        Ok(())
    }
    /// How many octets of a CRLF the last line lacks.
    pub(super) fn unended_octets(&self) -> u8 {
        unended_octets(self.last)
    }
    /// Sets what the message is to have.
    pub fn describe(&mut self, flags: Flags, keywords: Vec<Keyword>, date: Option<InternalDate>) {
        self.flags = flags;
        self.keywords = keywords;
        self.date = date;
    }
    /// Writes what is left and has the system begin to write it to the disk: a message
    /// that waits to be synced together with others holds a descriptor and no buffer.
    /// Nothing can be written after it. A crash leaves any part of the file in `tmp/`.
    pub fn seal(&mut self) -> Result<()> {
        if self.stage != Stage::Open {
            return Ok(());
        }
        if std::mem::take(&mut self.pending_cr) {
            self.store(b"\r")?;
        }
        self.flush()?;
        if self.octets == Octets::Any {
            self.make_text()?;
        }
        self.buffer = Vec::new();
        let Some(file) = &self.file else {
            return Err(Error::CannotDo(WHOLE));
        };
        if let Some(date) = self.date {
            file.set_modified(date.0)
                .map_err(|error| failed("date", &self.path, error))?;
        }
        file.begin_sync();
        self.stage = Stage::Whole;
        Ok(())
    }
    /// Puts a file of text in the place of what was written. A crash leaves both in
    /// `tmp/`.
    fn make_text(&mut self) -> Result<()> {
        let (file, metadata) =
            disk::open_regular(&self.path).map_err(|error| failed("open", &self.path, error))?;
        let written = OpenedMessage {
            file: Arc::new(file),
            file_octets: metadata.stamp.size_octets,
        };
        let tmp = self.path.parent().and_then(Path::parent);
        let mut text = Self::begin(tmp.unwrap_or(Path::new("")))?;
        binary::make_text(&written, &mut text)?;
        text.describe(self.flags, std::mem::take(&mut self.keywords), self.date);
        if std::mem::take(&mut text.pending_cr) {
            text.store(b"\r")?;
        }
        text.flush()?;
        // What was written goes with the old one.
        *self = text;
        Ok(())
    }
    /// Seals the message, makes its file durable and closes it. A crash leaves the file
    /// in `tmp/`.
    pub fn sync(&mut self) -> Result<()> {
        self.seal()?;
        let Some(file) = self.file.take() else {
            return match self.stage {
                Stage::Durable => Ok(()),
                // It could not be synced before.
                Stage::Open | Stage::Whole => Err(Error::CannotDo(WHOLE)),
            };
        };
        file.sync()
            .map_err(|error| failed("sync", &self.path, error))?;
        let metadata = file
            .metadata()
            .map_err(|error| failed("look at", &self.path, error))?;
        self.date = Some(InternalDate(metadata.stamp.seconds));
        self.stage = Stage::Durable;
        Ok(())
    }
    /// The mailbox is in this directory now: it may have been renamed meanwhile.
    pub(super) fn follow(&mut self, directory: &Path) {
        if let Some(name) = self.path.file_name() {
            self.path = directory.join("tmp").join(name);
        }
    }
    /// Whether it holds a descriptor.
    pub fn is_held(&self) -> bool {
        self.file.is_some()
    }
    /// The internal date, once the message is durable.
    pub(super) fn durable_date(&self) -> Result<InternalDate> {
        match (self.stage, self.date) {
            (Stage::Durable, Some(date)) => Ok(date),
            _ => Err(Error::CannotDo("the message is not durable yet")),
        }
    }
}

/// How many octets of a CRLF are missing after this last octet of a message.
pub(super) fn unended_octets(last: Option<u8>) -> u8 {
    match last {
        None | Some(b'\n') => 0,
        Some(b'\r') => 1,
        Some(_) => 2,
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.placed {
            let _ = disk::unlink(&self.path);
        }
    }
}
