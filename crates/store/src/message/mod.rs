//! What FETCH, SEARCH and TOP read in a message.

use crate::{OpenedMessage, Result};

/// A message's envelope, body structure and offsets.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The envelope.
    pub envelope: Envelope,
    /// The outermost part (the message itself).
    pub root: Part,
    /// Octets of the whole message as sent, line ends being CRLF.
    pub size_octets: u64,
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
    pub disposition: Option<(Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>)>,
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
    /// Lines of the body.
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
    /// message/rfc822: the message's envelope and its outermost part.
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

impl Summary {
    /// Parses a message. Never fails on content: what is broken is plain text.
    pub fn read(message: &OpenedMessage) -> Result<Self> {
        let _ = message;
        todo!()
    }
    /// Finds a piece by section path (RFC 3501 section 6.4.5): `path` empty for the
    /// message itself (then `Whole`, `Header`, `Text`); otherwise part numbers with
    /// `Body`, `Mime`, or `Header`/`Text` (only of message/rfc822 parts).
    pub fn locate(&self, path: &[u32], piece: Piece) -> Option<Extent> {
        let _ = (path, piece);
        todo!()
    }
    /// The part at a path; the message itself for the empty path.
    pub fn part(&self, path: &[u32]) -> Option<&Part> {
        let _ = path;
        todo!()
    }
}

impl OpenedMessage {
    /// Reads a piece as sent (CRLF line ends), from octet `offset` of what is sent,
    /// `length` octets at most; a reader of bounded memory.
    pub fn reader(
        &self,
        extent: Extent,
        offset: u64,
        length: u64,
    ) -> Result<Box<dyn std::io::Read + Send>> {
        let _ = (extent, offset, length);
        todo!()
    }
    /// The whole message: its extent (size measured if need be).
    pub fn whole(&self) -> Result<Extent> {
        todo!()
    }
}

/// The values of a header field, raw but unfolded, of a raw header block, in order.
pub fn header_values(header: &[u8], name: &[u8]) -> Vec<Vec<u8>> {
    let _ = (header, name);
    todo!()
}
/// The lines of a header block (CRLF) whose names are (or are not) among `names`, with the closing empty line.
pub fn select_fields(header: &[u8], names: &[&[u8]], listed: bool) -> Vec<u8> {
    let _ = (header, names, listed);
    todo!()
}
/// Decodes encoded words (RFC 2047) and 8-bit text to Unicode; input is capped.
pub fn decode_header(value: &[u8]) -> String {
    let _ = value;
    todo!()
}
/// The Date field as seconds since 1970 UTC and its own zone offset in seconds.
pub fn parse_date(value: &[u8]) -> Option<(i64, i32)> {
    let _ = value;
    todo!()
}
/// Whether a message's text holds a string: every text part decoded (transfer encoding and charset),
/// case folded; `with_headers` for TEXT, without for BODY. `needle` comes folded by `fold`.
pub fn text_contains(
    message: &OpenedMessage,
    summary: &Summary,
    needle: &str,
    with_headers: WithHeaders,
) -> Result<bool> {
    let _ = (message, summary, needle, with_headers);
    todo!()
}
/// SEARCH TEXT or BODY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithHeaders {
    /** TEXT */
    Yes,
    /** BODY */
    No,
}
/// Folds case for comparing (i;unicode-casemap, RFC 5051).
pub fn fold(text: &str) -> String {
    let _ = text;
    todo!()
}
