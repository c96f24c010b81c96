//! [`Stuffed`]: a message as a multi-line response (RFC 1939 section 3).

use std::io::{self, Read};

/// How many octets are read at once.
const PIECE_OCTETS: usize = 16 * 1024;
/// Lines are mostly longer.
const LINE_OCTETS: usize = 32;

/// Reads a message (CRLF line ends) with dots stuffed, ended by CRLF `.` CRLF.
pub struct Stuffed<R> {
    source: R,
    /// What was made and not yet given.
    ready: Vec<u8>,
    given: usize,
    piece: Box<[u8]>,
    extent: Extent,
    /// The octet before is LF, or there was none.
    at_line_start: bool,
    /// The octet before is CR.
    after_return: bool,
    /// The line under way holds nothing but CR.
    line_is_empty: bool,
    part: Part,
    finished: bool,
}

/// Appends a whole message as it is stored, every line end made CRLF, dots stuffed, and
/// the last line: what [`Stuffed`] gives of [`Extent::Whole`].
pub fn stuff(stored: &[u8], out: &mut Vec<u8>) {
    out.reserve(stored.len() + stored.len() / LINE_OCTETS);
    if stored.first() == Some(&b'.') {
        out.push(b'.');
    }
    let mut from = 0;
    for place in memchr::memchr_iter(b'\n', stored) {
        let before = place.checked_sub(1).and_then(|before| stored.get(before));
        let (is_bare, dot) = (before != Some(&b'\r'), stored.get(place + 1) == Some(&b'.'));
        if is_bare || dot {
            out.extend_from_slice(stored.get(from..place).unwrap_or_default());
            // The LF goes with what follows.
            from = place;
        }
        if is_bare {
            out.push(b'\r');
        }
        if dot {
            out.extend_from_slice(b"\n.");
            from = place + 1;
        }
    }
    out.extend_from_slice(stored.get(from..).unwrap_or_default());
    match stored.last() {
        None | Some(b'\n') => {}
        Some(b'\r') => out.push(b'\n'),
        Some(_) => out.extend_from_slice(b"\r\n"),
    }
    out.extend_from_slice(b".\r\n");
}

/// Puts 0x80 in the place of NUL.
pub fn replace_nul(octets: &mut [u8]) {
    octets
        .iter_mut()
        .filter(|octet| **octet == 0)
        .for_each(|octet| *octet = 0x80);
}

/// A reader's octets with 0x80 in the place of NUL.
pub struct WithoutNul<R>(pub R);

impl<R: Read> Read for WithoutNul<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(into)?;
        replace_nul(into.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

/// How much of a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All (RETR).
    Whole,
    /// The header, the empty line and so many lines of the body (TOP).
    BodyLines(u64),
}

enum Part {
    Header,
    /// The body, with the lines sent so far.
    Body(u64),
}

impl<R: Read> Stuffed<R> {
    /// Stuffs what `source` gives.
    pub fn new(source: R, extent: Extent) -> Self {
        Self {
            source,
            ready: Vec::new(),
            given: 0,
            piece: vec![0; PIECE_OCTETS].into_boxed_slice(),
            extent,
            at_line_start: true,
            after_return: false,
            line_is_empty: true,
            part: Part::Header,
            finished: false,
        }
    }

    /// Whether TOP has sent all it should.
    fn is_complete(&self) -> bool {
        match (self.extent, &self.part) {
            (Extent::BodyLines(wanted), Part::Body(sent)) => *sent >= wanted,
            _ => false,
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.given = 0;
        let count = loop {
            match self.source.read(&mut self.piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        let piece = std::mem::take(&mut self.piece);
        for octet in piece.iter().take(count) {
            if self.is_complete() {
                break;
            }
            self.take(*octet);
        }
        self.piece = piece;
        if count == 0 || self.is_complete() {
            self.finish();
        }
        Ok(())
    }

    fn take(&mut self, octet: u8) {
        if self.at_line_start && octet == b'.' {
            self.ready.push(b'.');
        }
        self.ready.push(octet);
        match octet {
            b'\n' => {
                self.part = match self.part {
                    Part::Header if self.line_is_empty => Part::Body(0),
                    Part::Header => Part::Header,
                    Part::Body(sent) => Part::Body(sent.saturating_add(1)),
                };
                self.at_line_start = true;
                self.line_is_empty = true;
            }
            b'\r' => self.at_line_start = false,
            _ => {
                self.at_line_start = false;
                self.line_is_empty = false;
            }
        }
        self.after_return = octet == b'\r';
    }

    fn finish(&mut self) {
        if !self.at_line_start {
            let end: &[u8] = if self.after_return { b"\n" } else { b"\r\n" };
            self.ready.extend_from_slice(end);
        }
        self.ready.extend_from_slice(b".\r\n");
        self.finished = true;
    }
}

impl<R: Read> Read for Stuffed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.given == self.ready.len() {
            if self.finished {
                return Ok(0);
            }
            self.fill()?;
        }
        let rest = self.ready.get(self.given..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(rest) {
            *to = *from;
        }
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one octet at a time.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(1);
            self.0.read(&mut buffer[..count])
        }
    }

    fn stuffed(text: &str, extent: Extent) -> String {
        let mut whole = String::new();
        let mut reader = Stuffed::new(text.as_bytes(), extent);
        reader.read_to_string(&mut whole).unwrap();
        let mut slow = String::new();
        let mut reader = Stuffed::new(Drops(text.as_bytes()), extent);
        reader.read_to_string(&mut slow).unwrap();
        assert_eq!(whole, slow);
        if extent == Extent::Whole {
            let mut at_once = Vec::new();
            stuff(text.as_bytes(), &mut at_once);
            assert_eq!(at_once, whole.as_bytes());
            let mut of_bare = Vec::new();
            stuff(text.replace("\r\n", "\n").as_bytes(), &mut of_bare);
            assert_eq!(of_bare, at_once);
        }
        whole
    }

    #[test]
    fn dots_at_line_starts_are_doubled() {
        for (text, sent) in [
            ("", ".\r\n"),
            (".", "..\r\n.\r\n"),
            ("a\r\n.\r\n..b\r\nc.\r\n", "a\r\n..\r\n...b\r\nc.\r\n.\r\n"),
            ("no end", "no end\r\n.\r\n"),
            ("half\r", "half\r\n.\r\n"),
            ("\r\n\r\n.\r\n\r\n", "\r\n\r\n..\r\n\r\n.\r\n"),
        ] {
            assert_eq!(stuffed(text, Extent::Whole), sent, "{text:?}");
        }
    }

    #[test]
    fn top_counts_lines_of_the_body_only() {
        let text = "A: b\r\nC: d\r\n\r\n1\r\n\r\n.3\r\nrest";
        let header = "A: b\r\nC: d\r\n\r\n";
        for (lines, body) in [
            (0, ""),
            (1, "1\r\n"),
            (2, "1\r\n\r\n"),
            (3, "1\r\n\r\n..3\r\n"),
            (4, "1\r\n\r\n..3\r\nrest\r\n"),
            (u64::MAX, "1\r\n\r\n..3\r\nrest\r\n"),
        ] {
            assert_eq!(
                stuffed(text, Extent::BodyLines(lines)),
                format!("{header}{body}.\r\n")
            );
        }
        assert_eq!(stuffed("A: b\r\n", Extent::BodyLines(0)), "A: b\r\n.\r\n");
    }

    #[test]
    fn a_long_message_goes_through() {
        let text = ".line\r\n".repeat(20_000);
        assert_eq!(
            stuffed(&text, Extent::Whole),
            "..line\r\n".repeat(20_000) + ".\r\n"
        );
    }
}
