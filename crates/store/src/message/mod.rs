//! What FETCH, SEARCH and TOP read in a message.

mod a_label;
mod address;
mod ascii_field;
mod base64;
mod casemap;
mod continuation;
mod date;
mod decode;
mod decoded;
mod downgrade;
mod entity;
mod facts;
mod folded;
mod header;
mod html;
mod parameter;
mod part;
mod preview;
mod quoted_printable;
mod scan;
mod section;
mod stored;
mod surrogate;
mod text;

use crate::{Error, OpenedMessage, Result};

pub use casemap::casemap;
pub use continuation::join_parameters;
pub use date::parse_date;
pub use decode::{TransferEncoding, decode_header};
pub use decoded::{DecodedReader, Measured};
pub(crate) use folded::{FoldedText, Searched, is_searchable, kept_text, look};
pub(crate) use header::{count_line_ends, fields};
pub use header::{header_values, select_fields};
pub use stored::StoredText;
pub use surrogate::{AsciiForm, Surrogate};
pub(crate) use text::say_folded;
pub use text::{Folding, WithHeaders, fold, text_contains};

/// How much of a file is scanned for structure.
const SCANNED_OCTETS: u64 = 64 << 20;
/// More memory is not kept for the next message.
const KEPT_OCTETS: usize = 1 << 20;

/// The fields that clients ask for to show a list of messages.
pub const LISTED_FIELDS: [&[u8]; 24] = [
    b"from",
    b"to",
    b"cc",
    b"bcc",
    b"reply-to",
    b"sender",
    b"subject",
    b"date",
    b"message-id",
    b"in-reply-to",
    b"references",
    b"newsgroups",
    b"priority",
    b"x-priority",
    b"importance",
    b"content-type",
    b"list-id",
    b"list-post",
    b"list-unsubscribe",
    b"precedence",
    b"received-spf",
    b"x-spam-flag",
    b"x-label",
    b"disposition-notification-to",
];
/// Longer listed fields are not kept.
const LISTED_OCTETS: usize = 4 << 10;

/// A value and its parameters (of Content-Disposition, for one), names as written.
pub type Disposition = (Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>);

/// A message's envelope, body structure and offsets.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The envelope.
    pub envelope: Envelope,
    /// The outermost part (the message itself).
    pub root: Part,
    /// Octets of the whole message as sent, line ends being CRLF.
    pub size_octets: u64,
    /// The fields of the header that [`LISTED_FIELDS`] names, as
    /// [`select_fields`] gives them; none where they are long.
    pub listed_header: Option<Vec<u8>>,
    /// Its first words on one line, 200 characters at most (RFC 8970); empty where there
    /// are none.
    pub preview: String,
}

/// RFC 3501 section 7.4.2. Strings are raw header octets, unfolded, encoded words left as they are.
#[derive(Debug, Clone, Default)]
pub struct Envelope {
    pub date: Option<Vec<u8>>,
    pub subject: Option<Vec<u8>>,
    pub from: Vec<Address>,
    pub sender: Vec<Address>,
    pub reply_to: Vec<Address>,
    pub to: Vec<Address>,
    pub cc: Vec<Address>,
    pub bcc: Vec<Address>,
    pub in_reply_to: Option<Vec<u8>>,
    pub message_id: Option<Vec<u8>>,
}

impl Envelope {
    /// The lists of addresses, in the order of RFC 3501 section 7.4.2.
    pub fn address_lists(&self) -> [&[Address]; 6] {
        [
            &self.from,
            &self.sender,
            &self.reply_to,
            &self.to,
            &self.cc,
            &self.bcc,
        ]
    }
}

/// One address. A group starts with `host: None, mailbox: Some(name)` and ends with all None.
/// (`sender` and `reply_to` are already defaulted to `from` where absent or empty.)
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Address {
    pub name: Option<Vec<u8>>,
    pub route: Option<Vec<u8>>,
    pub mailbox: Option<Vec<u8>>,
    pub host: Option<Vec<u8>>,
}

/// One part of the MIME tree.
#[derive(Debug, Clone)]
pub struct Part {
    /// Type and subtype as written; `text`/`plain` where absent or broken.
    pub media_type: Vec<u8>,
    pub media_subtype: Vec<u8>,
    /// Content-Type parameters in order, names as written, values unquoted.
    pub parameters: Vec<(Vec<u8>, Vec<u8>)>,
    pub id: Option<Vec<u8>>,
    pub description: Option<Vec<u8>>,
    /// As written, `7bit` where absent.
    pub encoding: Vec<u8>,
    pub md5: Option<Vec<u8>>,
    /// Content-Disposition (RFC 2183).
    pub disposition: Option<Disposition>,
    pub language: Vec<Vec<u8>>,
    pub location: Option<Vec<u8>>,
    /// Where its header begins in the file, in octets on disk.
    pub header_start: u64,
    /// Where its body begins on disk (after the empty line).
    pub body_start: u64,
    /// Where it ends on disk (before the line end that belongs to the boundary).
    pub end: u64,
    /// Octets of header (empty line included) and body as sent with CRLF.
    pub header_octets: u64,
    pub body_octets: u64,
    /// Line ends in the body (the `body lines` of RFC 3501 section 7.4.2).
    pub body_lines: u64,
    /// What it contains.
    pub content: Content,
}

/// What a part contains.
#[derive(Debug, Clone)]
pub enum Content {
    /// A leaf.
    Single,
    /// Parts, at least one.
    Multipart(Vec<Part>),
    /// message/rfc822 and message/global: the message's envelope and its outermost part.
    Message(Box<(Envelope, Part)>),
}

/// A piece of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /** BODY[] */
    Whole,
    /** HEADER */
    Header,
    /** TEXT */
    Text,
    /** n.MIME */
    Mime,
    /** BODY[n] */
    Body,
}

/// A piece's extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /** On disk. */
    pub start: u64,
    /** On disk. */
    pub end: u64,
    /** As sent with CRLF. */
    pub octets: u64,
}

/// The header of a part as its file has it: of one over 1 MiB the beginning.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn header_octets(message: &OpenedMessage, part: &Part) -> Result<Vec<u8>> {
    let octets = part.body_start.saturating_sub(part.header_start);
    let octets = usize::try_from(octets).unwrap_or(usize::MAX);
    let mut header = vec![0; octets.min(header::HEADER_OCTETS)];
    let mut filled = 0;
    while filled < header.len() {
        let position = part.header_start + filled as u64;
        let count = message.file.read_at(&mut header[filled..], position);
        match count.map_err(|error| Error::io("read a message", error))? {
            0 => break,
            count => filled += count,
        }
    }
    header.truncate(filled);
    Ok(header)
}

/// A text as it is sent: a line end without CR gets one.
fn with_crlf(text: &[u8]) -> Vec<u8> {
    let mut sent = Vec::with_capacity(text.len() + text.len() / 32);
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(line) if !line.ends_with(b"\r") => {
                sent.extend_from_slice(line);
                sent.extend_from_slice(b"\r\n");
            }
            _ => sent.extend_from_slice(line),
        }
    }
    sent
}

/// What a scan tells of a message.
#[cfg(test)]
pub(crate) fn tests_scan(text: &[u8]) -> Summary {
    scan::scan(text)
}

impl Summary {
    /// Reads a message. Never fails on content: what is broken is plain text. Of
    /// a file over 64 MiB the structure of the beginning is read, and the rest
    /// belongs to the part that was open there.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(message: &OpenedMessage) -> Result<Self> {
        Self::read_by_way_of(&mut Vec::new(), message)
    }

    /// As [`Summary::read`], by way of memory that is used again for the next message.
    pub(crate) fn read_by_way_of(memory: &mut Vec<u8>, message: &OpenedMessage) -> Result<Self> {
        let size = usize::try_from(message.file_octets.min(SCANNED_OCTETS)).unwrap_or_default();
        if memory.len() < size || memory.len() > KEPT_OCTETS.max(size) {
            *memory = vec![0; size];
        }
        let mut filled = 0;
        while filled < size {
            let count = message
                .file
                .read_at(&mut memory[filled..size], filled as u64);
            match count.map_err(|error| Error::io("read a message", error))? {
                0 => break,
                count => filled += count,
            }
        }
        let text = &memory[..filled];
        let mut summary = scan::scan(text);
        if message.file_octets > SCANNED_OCTETS {
            let rest = message.count_from(filled as u64, text.last().copied())?;
            summary.extend(filled as u64, &rest);
        }
        summary.listed_header = summary.list_header(text);
        summary.preview = preview::preview(text, &summary.root);
        Ok(summary)
    }

    /// The listed fields of a message whose beginning is `text`.
    fn list_header(&self, text: &[u8]) -> Option<Vec<u8>> {
        let (start, end) = (self.root.header_start, self.root.body_start);
        let header = text.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)?;
        if header.len() >= header::HEADER_OCTETS {
            return None;
        }
        let header = with_crlf(header);
        let listed = select_fields(&header, &LISTED_FIELDS, true);
        (listed.len() <= LISTED_OCTETS).then_some(listed)
    }

    /// Gives the rest of a file, of which `scanned` octets were scanned, to the part that was open there and all around it.
    fn extend(&mut self, scanned: u64, rest: &section::Rest) {
        self.size_octets += rest.octets;
        let mut waiting = Some(&mut self.root);
        while let Some(part) = waiting.take() {
            part.end = rest.end;
            part.body_octets += rest.octets;
            part.body_lines += rest.line_ends;
            let inner = match &mut part.content {
                Content::Multipart(parts) => parts.last_mut(),
                Content::Message(inner) => Some(&mut inner.1),
                Content::Single => None,
            };
            waiting = inner.filter(|inner| inner.end == scanned);
        }
    }
}
