//! [`Fields`]: some fields of a header (RFC 3501 section 6.4.5, HEADER.FIELDS).

use crate::grammar::command::SectionText;
use std::io::{self, Read};
use store::message::{Extent, LISTED_FIELDS, Piece, select_fields};
use store::{Error, OpenedMessage, Result};

/// How much of a header is looked at.
const HEADER_OCTETS: u64 = 1 << 20;

/// Whether the fields named are wanted, or the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// HEADER.FIELDS.
    Named,
    /// HEADER.FIELDS.NOT.
    Others,
}

/// Names of header fields, and whether those or all others are wanted.
type Selection<'a> = (&'a Vec<Vec<u8>>, Wanted);

/// The piece of a part that a section names, and of a header the fields.
pub fn piece(text: &SectionText) -> (Piece, Option<Selection<'_>>) {
    match text {
        SectionText::Whole => (Piece::Body, None),
        SectionText::Header => (Piece::Header, None),
        SectionText::HeaderFields(names) => (Piece::Header, Some((names, Wanted::Named))),
        SectionText::HeaderFieldsNot(names) => (Piece::Header, Some((names, Wanted::Others))),
        SectionText::Text => (Piece::Text, None),
        SectionText::Mime => (Piece::Mime, None),
    }
}

/// Some fields of a header. Reading them once more gives the same, so that a long
/// selection is not kept until it is sent.
pub struct Fields {
    /// Whose header it is.
    pub message: OpenedMessage,
    /// Where the header is.
    pub extent: Extent,
    /// The fields' names.
    pub names: Vec<Vec<u8>>,
    /// Whether they are wanted.
    pub wanted: Wanted,
    /// First octet and length, as asked.
    pub partial: Option<(u64, u64)>,
}

impl Fields {
    /// Reads and selects.
    ///
    /// # Errors
    /// When the message cannot be read.
    pub fn read(&self) -> Result<Vec<u8>> {
        let mut header = Vec::new();
        self.message
            .reader(self.extent, 0, self.extent.octets.min(HEADER_OCTETS))?
            .read_to_end(&mut header)
            .map_err(|error| Error::io("reading a message's header", error))?;
        let names: Vec<&[u8]> = self.names.iter().map(Vec::as_slice).collect();
        let selected = select_fields(&header, &names, self.wanted == Wanted::Named);
        Ok(cut(selected, self.partial))
    }

    /// Has them read when they are sent.
    pub fn into_reader(self) -> impl Read + Send {
        Later {
            fields: Some(self),
            selected: io::Cursor::new(Vec::new()),
        }
    }
}

/// Whether all these fields are among those that a summary keeps.
pub fn are_listed(names: &[Vec<u8>]) -> bool {
    let is_listed = |name: &Vec<u8>| {
        let mut listed = LISTED_FIELDS.iter();
        listed.any(|listed| listed.eq_ignore_ascii_case(name))
    };
    names.iter().all(is_listed)
}

/// The fields named of the header that a summary keeps.
pub fn listed(header: &[u8], names: &[Vec<u8>], partial: Option<(u64, u64)>) -> Vec<u8> {
    let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
    cut(select_fields(header, &names, true), partial)
}

/// First octet and length, as asked.
fn cut(mut selected: Vec<u8>, partial: Option<(u64, u64)>) -> Vec<u8> {
    if let Some((first, length)) = partial {
        let octets = |number| usize::try_from(number).unwrap_or(usize::MAX);
        selected.truncate(octets(first).saturating_add(octets(length)));
        selected.drain(..octets(first).min(selected.len()));
    }
    selected
}

struct Later {
    /// Until they are read.
    fields: Option<Fields>,
    selected: io::Cursor<Vec<u8>>,
}

impl Read for Later {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(fields) = self.fields.take() {
            self.selected = io::Cursor::new(fields.read().map_err(io::Error::other)?);
        }
        self.selected.read(buffer)
    }
}
