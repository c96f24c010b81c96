//! [`LineBuffer`]: cuts what a client sends into lines, in bounded memory.

use zeroize::Zeroizing;

/// A line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A whole line.
    Complete(Vec<u8>),
    /// A line longer than allowed; all of it was swallowed.
    TooLong,
}

/// Collects octets and gives lines; CRLF or a bare LF ends one.
pub struct LineBuffer {
    octets: Zeroizing<Vec<u8>>,
    /// Where the first line not yet given begins.
    start: usize,
    /// Up to where there is no LF.
    searched: usize,
    /// The most octets a line may have, its end not counted.
    maximum: usize,
    /// The beginning of the line under way was swallowed.
    swallowing: bool,
}

impl LineBuffer {
    /// A buffer for lines of at most `maximum` octets, line end not counted.
    pub fn new(maximum: usize) -> Self {
        Self {
            octets: Zeroizing::new(Vec::new()),
            start: 0,
            searched: 0,
            maximum,
            swallowing: false,
        }
    }

    /// Changes the longest line allowed, from the next line on.
    pub fn set_maximum(&mut self, maximum: usize) {
        self.maximum = maximum;
    }

    /// Adds octets. Memory stays bounded if [`LineBuffer::next_line`] is called
    /// until it gives nothing before more is added.
    pub fn push(&mut self, octets: &[u8]) {
        if self.start > 0 {
            self.octets.drain(..self.start);
            self.searched = self.searched.saturating_sub(self.start);
            self.start = 0;
        }
        self.octets.extend_from_slice(octets);
    }

    /// What [`LineBuffer::next_line`] is going to give next, with its end, if there is one
    /// and whatever its length.
    pub fn peek(&self) -> Option<&[u8]> {
        let searched = self.octets.get(self.searched..)?;
        let end = searched.iter().position(|octet| *octet == b'\n')?;
        self.octets.get(self.start..=self.searched + end)
    }

    /// Gives the next whole line, if there is one.
    pub fn next_line(&mut self) -> Option<Line> {
        let rest = self.octets.get(self.searched..).unwrap_or_default();
        let Some(found) = rest.iter().position(|octet| *octet == b'\n') else {
            self.searched = self.octets.len();
            // One octet more than the maximum may be the CR of the line end.
            if self.octets.len() - self.start > self.maximum + 1 {
                self.forget();
                self.swallowing = true;
            }
            return None;
        };
        let end = self.searched + found;
        let line = self.octets.get(self.start..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = if self.swallowing || line.len() > self.maximum {
            Line::TooLong
        } else {
            Line::Complete(line.to_vec())
        };
        self.swallowing = false;
        self.start = end + 1;
        self.searched = self.start;
        if self.start == self.octets.len() {
            self.forget();
        }
        Some(line)
    }

    /// Forgets everything, as STARTTLS demands.
    pub fn clear(&mut self) {
        self.forget();
        self.swallowing = false;
    }

    fn forget(&mut self) {
        self.octets = Zeroizing::new(Vec::new());
        self.start = 0;
        self.searched = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next_as_seen(buffer: &mut LineBuffer) -> Option<Line> {
        let seen = buffer.peek().map(<[u8]>::to_vec);
        let given = buffer.next_line();
        assert_eq!(seen.is_some(), given.is_some());
        if let (Some(seen), Some(Line::Complete(given))) = (seen, &given) {
            assert_eq!(seen.trim_ascii_end(), given);
        }
        given
    }

    fn cut(input: &[u8], size: usize) -> Vec<Line> {
        let mut buffer = LineBuffer::new(5);
        let mut lines = Vec::new();
        for piece in input.chunks(size) {
            buffer.push(piece);
            while let Some(line) = next_as_seen(&mut buffer) {
                lines.push(line);
            }
        }
        lines
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        let input = b"one\r\ntwo\n\r\n12345\r\n123456\r\nxxxxxxxxxxxxxxxxxxxxxxx\r\nend\r\nrest";
        let line = |text: &[u8]| Line::Complete(text.to_vec());
        for size in 1..=input.len() {
            assert_eq!(
                cut(input, size),
                [
                    line(b"one"),
                    line(b"two"),
                    line(b""),
                    line(b"12345"),
                    Line::TooLong,
                    Line::TooLong,
                    line(b"end"),
                ],
                "cut at {size}"
            );
        }
    }

    #[test]
    fn an_endless_line_is_not_kept() {
        let mut buffer = LineBuffer::new(10);
        for _ in 0..1000 {
            buffer.push(&[b'x'; 100]);
            assert_eq!(buffer.next_line(), None);
            assert!(buffer.octets.len() <= 200);
        }
        buffer.push(b"\nok\n");
        assert_eq!(buffer.next_line(), Some(Line::TooLong));
        assert_eq!(buffer.next_line(), Some(Line::Complete(b"ok".to_vec())));
    }
}
