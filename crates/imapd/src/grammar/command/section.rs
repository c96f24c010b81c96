//! The parts of a message that FETCH names (RFC 3501 section 6.4.5, RFC 3516).

/// A body section (RFC 3501 section 6.4.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The part's number; empty for the message itself.
    pub path: Vec<u32>,
    /// What of the part.
    pub text: SectionText,
    /// Whether fetching sets `\Seen`.
    pub peek: Peek,
    /// First octet and length (not 0), as asked.
    pub partial: Option<(u64, u64)>,
}

/// What of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SectionText {
    /// `[]` or `[1.2]`: all of the message, or the part's body.
    Whole,
    /// HEADER.
    Header,
    /// HEADER.FIELDS, the names as written.
    HeaderFields(Vec<Vec<u8>>),
    /// HEADER.FIELDS.NOT.
    HeaderFieldsNot(Vec<Vec<u8>>),
    /// TEXT.
    Text,
    /// MIME.
    Mime,
}

/// A part's content without its transfer encoding (RFC 3516 section 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// The part's number; empty for the message itself.
    pub path: Vec<u32>,
    /// Whether fetching sets `\Seen`.
    pub peek: Peek,
    /// First octet and length (not 0) of what is decoded, as asked.
    pub partial: Option<(u64, u64)>,
}

/// Whether fetching a section sets `\Seen`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peek {
    /// `BODY.PEEK[...]`: it does not.
    Yes,
    /// `BODY[...]`: it does.
    No,
}
