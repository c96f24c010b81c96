//! [`AsciiField`]: a header field while it is written in ASCII, folded.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

/// A line with encoded words has no more octets (RFC 2047 section 2).
pub(super) const LINE_OCTETS: usize = 76;
/// How many octets of text an encoded word holds, so that it has 75 with the blank before it
/// and two octets after it.
const WORD_OCTETS: usize = 45;
/// What an encoded word has around its text, and what may be attached to it.
const AROUND: usize = "=?utf-8?b??=:;".len();

/// A header field while it is written.
pub(super) struct AsciiField {
    text: String,
    /// How long the last line is.
    column: usize,
    /// Whether it has nothing but the blank it begins with.
    is_fresh: bool,
}

impl AsciiField {
    /// A field of that name, without value.
    pub(super) fn named(name: &str) -> Self {
        let mut field = Self::unnamed();
        field.attach(name);
        field.attach(":");
        field
    }

    /// What comes within a field that is written otherwise.
    pub(super) fn unnamed() -> Self {
        Self {
            text: String::new(),
            column: 0,
            is_fresh: false,
        }
    }

    /// Goes on where it is.
    pub(super) fn attach(&mut self, text: &str) -> &mut Self {
        self.is_fresh = false;
        self.text.push_str(text);
        self.column = match text.rfind('\n') {
            Some(end) => text.len() - end - 1,
            None => self.column + text.len(),
        };
        self
    }

    /// After a blank, on the next line where this one is full.
    pub(super) fn push(&mut self, token: &str) -> &mut Self {
        let first = token.find('\r').unwrap_or(token.len());
        if !self.is_fresh {
            match self.column + 1 + first > LINE_OCTETS {
                true => self.next_line(),
                false => self.attach(" "),
            };
        }
        self.attach(token)
    }

    /// Begins a line.
    pub(super) fn next_line(&mut self) -> &mut Self {
        self.attach("\r\n ");
        self.is_fresh = true;
        self
    }

    /// A text as encoded words (RFC 2047 section 2), after a blank. Nothing of an empty one.
    pub(super) fn words(&mut self, text: &str) -> &mut Self {
        let mut rest = text;
        while !rest.is_empty() {
            let blank = if self.is_fresh { "" } else { " " };
            let room = LINE_OCTETS.saturating_sub(self.column + blank.len() + AROUND);
            let mut end = (room / 4 * 3).min(WORD_OCTETS).min(rest.len());
            while !rest.is_char_boundary(end) {
                end -= 1;
            }
            if end == 0 {
                self.next_line();
                continue;
            }
            let (word, after) = rest.split_at(end);
            self.attach(blank);
            self.attach(&format!("=?utf-8?b?{}?=", BASE64.encode(word)));
            rest = after;
        }
        self
    }

    /// What is written.
    pub(super) fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::decode_header;

    #[test]
    fn words_are_short_and_cut_between_characters() {
        for (name, text) in [
            ("Subject", "\u{4f60}".repeat(100)),
            (&*"X".repeat(70), "\u{1f600}".repeat(9)),
            (&*"X".repeat(200), "\u{fc}".to_owned()),
        ] {
            let mut field = AsciiField::named(name);
            field.words(&text);
            let written = field.into_text();
            for line in written.split("\r\n").filter(|line| line.contains("=?")) {
                assert!(line.len() <= LINE_OCTETS, "{line}");
                assert!(line.contains(" =?"), "{line}");
            }
            let (_, value) = written.split_once(':').expect("a name");
            assert_eq!(decode_header(value.trim().as_bytes()), text);
        }
    }
}
