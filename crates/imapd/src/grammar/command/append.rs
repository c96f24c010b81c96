//! The messages of an APPEND (RFC 3502, RFC 4469).

use store::{Flags, InternalDate, Keyword};

/// One message of an APPEND. Its octets are not in the command: the session
/// gets them from [`CommandBuffer`](crate::grammar::framing::CommandBuffer).
#[derive(Debug, Clone)]
pub struct AppendMessage {
    /// System flags.
    pub flags: Flags,
    /// Keywords.
    pub keywords: Vec<Keyword>,
    /// The internal date, if given.
    pub date: Option<InternalDate>,
    /// What it consists of.
    pub content: AppendContent,
}

/// What a message of an APPEND consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendContent {
    /// A literal.
    Literal {
        /// Its length in octets.
        octets: u64,
        /// What octets it may have.
        literal: Literal,
    },
    /// Parts to catenate (RFC 4469).
    Catenate {
        /// The parts so far.
        parts: Vec<CatenatePart>,
        /// Whether there may be more.
        list: PartList,
    },
}

/// A part to catenate (RFC 4469 section 5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatenatePart {
    /// TEXT: a literal of so many octets.
    Text(u64),
    /// URL, as it was sent.
    Url(Vec<u8>),
}

/// Whether a list of parts is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartList {
    /// It ends with the literal that was announced last.
    Open,
    /// It had its `)`.
    Closed,
}

/// What octets a literal may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Literal {
    /// `{n}`: any but NUL.
    Text,
    /// `~{n}`, a literal8 (RFC 3516): any.
    Binary,
}
