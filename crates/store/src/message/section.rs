//! Pieces of a message by section path, and reading them as they are sent.

use super::header::count_line_ends;
use super::{Content, Extent, Part, Piece, Summary};
use crate::disk::File;
use crate::{Error, OpenedMessage, Result};
use std::io::Read;
use std::sync::Arc;

/// How much is read from a file at once.
const BLOCK_OCTETS: usize = 32 * 1024;
/// How much is read at once where line ends are counted only.
const COUNTED_OCTETS: usize = 128 * 1024;

/// What a file holds from some offset on.
pub(crate) struct Rest {
    /// Its end on disk.
    pub end: u64,
    /// Octets as sent.
    pub octets: u64,
    pub line_ends: u64,
}

impl Part {
    fn header(&self) -> Extent {
        Extent {
            start: self.header_start,
            end: self.body_start,
            octets: self.header_octets,
        }
    }

    fn body(&self) -> Extent {
        Extent {
            start: self.body_start,
            end: self.end,
            octets: self.body_octets,
        }
    }

    /// A part within this one (RFC 3501 section 6.4.5): number 1 of what is no
    /// multipart is its own body.
    fn child(&self, number: u32) -> Option<&Part> {
        let place = usize::try_from(number).ok()?.checked_sub(1)?;
        match &self.content {
            Content::Multipart(parts) => parts.get(place),
            Content::Message(inner) => match &inner.1.content {
                Content::Multipart(parts) => parts.get(place),
                _ => (place == 0).then_some(&inner.1),
            },
            Content::Single => None,
        }
    }
}

impl Summary {
    /// The part at a path; the message itself for the empty path.
    pub fn part(&self, path: &[u32]) -> Option<&Part> {
        let Some((first, rest)) = path.split_first() else {
            return Some(&self.root);
        };
        let top = match &self.root.content {
            Content::Multipart(_) => self.root.child(*first)?,
            _ => (*first == 1).then_some(&self.root)?,
        };
        rest.iter()
            .try_fold(top, |part, number| part.child(*number))
    }

    /// Finds a piece by section path (RFC 3501 section 6.4.5): `path` empty for
    /// the message itself (then `Whole`, `Header`, `Text`); otherwise part numbers
    /// with `Body`, `Mime`, or `Header` and `Text` of message/rfc822 parts.
    pub fn locate(&self, path: &[u32], piece: Piece) -> Option<Extent> {
        let part = self.part(path)?;
        match (path.is_empty(), piece) {
            (true, Piece::Whole | Piece::Body) => Some(Extent {
                start: 0,
                end: self.root.end,
                octets: self.size_octets,
            }),
            (true, Piece::Header | Piece::Mime) => Some(part.header()),
            (true, Piece::Text) => Some(part.body()),
            (false, Piece::Whole | Piece::Body) => Some(part.body()),
            (false, Piece::Mime) => Some(part.header()),
            (false, Piece::Header | Piece::Text) => match &part.content {
                Content::Message(inner) if piece == Piece::Header => Some(inner.1.header()),
                Content::Message(inner) => Some(inner.1.body()),
                _ => None,
            },
        }
    }
}

impl OpenedMessage {
    /// Takes an open regular file.
    ///
    /// # Errors
    /// When its size cannot be told.
    pub fn from_file(file: std::fs::File) -> Result<Self> {
        let metadata = file
            .metadata()
            .map_err(|error| Error::io("read a message's size", error))?;
        Ok(Self {
            file: Arc::new(file.into()),
            file_octets: metadata.len(),
        })
    }

    /// Reads a piece as sent (CRLF line ends), from octet `offset` of what is
    /// sent, `length` octets at most, in bounded memory. Where the file changed
    /// under it the reader fails rather than send a wrong count.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn reader(&self, extent: Extent, offset: u64, length: u64) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.sent_reader(extent, offset, length)?))
    }

    /// As [`OpenedMessage::reader`].
    pub(super) fn sent_reader(
        &self,
        extent: Extent,
        offset: u64,
        length: u64,
    ) -> Result<SentReader> {
        let length = length.min(extent.octets.saturating_sub(offset));
        let as_stored = extent.octets == extent.end - extent.start;
        let mut reader = SentReader {
            file: Arc::clone(&self.file),
            position: extent.start,
            end: extent.end,
            last: None,
            raw: Vec::new(),
            block: Vec::new(),
            used: 0,
            conversion: if as_stored {
                Conversion::None
            } else {
                Conversion::LfToCrlf
            },
            skip: offset,
            left: length,
        };
        if as_stored {
            reader.position += offset.min(extent.octets);
            reader.skip = 0;
        } else if extent.start > 0 && length > 0 {
            let mut before = [0];
            let read = self.file.read_at(&mut before, extent.start - 1);
            if read.map_err(|error| Error::io("read a message", error))? == 1 {
                reader.last = Some(before[0]);
            }
        }
        Ok(reader)
    }

    /// The whole message, its size as sent counted.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn whole(&self) -> Result<Extent> {
        let rest = self.count_from(0, None)?;
        Ok(Extent {
            start: 0,
            end: rest.end,
            octets: rest.octets,
        })
    }

    /// Counts what the file holds from `start` on; `before` is the octet before.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn count_from(&self, start: u64, before: Option<u8>) -> Result<Rest> {
        self.count(start, u64::MAX, before)
    }

    /// A piece of the file, its octets as sent counted.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn extent_between(&self, start: u64, end: u64) -> Result<Extent> {
        let mut before = [0];
        let before = match start.checked_sub(1) {
            Some(place) => {
                let read = self.file.read_at(&mut before, place);
                let read = read.map_err(|error| Error::io("read a message", error))?;
                (read == 1).then_some(before[0])
            }
            None => None,
        };
        let counted = self.count(start, end, before)?;
        Ok(Extent {
            start,
            end: counted.end,
            octets: counted.octets,
        })
    }

    fn count(&self, start: u64, end: u64, before: Option<u8>) -> Result<Rest> {
        let (mut position, mut last) = (start, before);
        let (mut line_ends, mut bare) = (0, 0);
        let mut block = vec![0; COUNTED_OCTETS];
        loop {
            let left = usize::try_from(end.saturating_sub(position)).unwrap_or(usize::MAX);
            let wanted = left.min(block.len());
            let count = self
                .file
                .read_at(&mut block[..wanted], position)
                .map_err(|error| Error::io("read a message", error))?;
            if count == 0 {
                return Ok(Rest {
                    end: position,
                    octets: position - start + bare,
                    line_ends,
                });
            }
            let counted = count_line_ends(&block[..count], last);
            line_ends += counted.0;
            bare += counted.1;
            last = block[..count].last().copied();
            position += count as u64;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conversion {
    None,
    LfToCrlf,
}

/// What [`OpenedMessage::reader`] reads; a clone reads on by itself.
#[derive(Debug, Clone)]
pub(super) struct SentReader {
    file: Arc<File>,
    /// The next octet to read from the file.
    position: u64,
    end: u64,
    /// The octet before `position`.
    last: Option<u8>,
    /// Octets as read.
    raw: Vec<u8>,
    /// Octets as sent, of which the first `used` are gone.
    block: Vec<u8>,
    used: usize,
    conversion: Conversion,
    /// Octets as sent to pass over.
    skip: u64,
    /// Octets as sent still to give.
    left: u64,
}

impl SentReader {
    /// Reads the next `limit` octets at most into `raw`.
    fn read_raw(&mut self, limit: usize) -> std::io::Result<()> {
        let wanted = self.end.saturating_sub(self.position).min(limit as u64);
        self.raw.resize(usize::try_from(wanted).unwrap_or(limit), 0);
        let count = self.file.read_at(&mut self.raw, self.position)?;
        if count == 0 {
            return Err(std::io::Error::new(
                std::io::ErrorKind::UnexpectedEof,
                "the message is shorter than it was",
            ));
        }
        self.raw.truncate(count);
        self.position += count as u64;
        Ok(())
    }

    /// Passes over what lies wholly before the first octet to give, counting line
    /// ends only.
    fn pass(&mut self) -> std::io::Result<()> {
        while self.skip >= 2 * COUNTED_OCTETS as u64 {
            self.read_raw(COUNTED_OCTETS)?;
            let (_, bare) = count_line_ends(&self.raw, self.last);
            self.skip -= self.raw.len() as u64 + bare;
            self.last = self.raw.last().copied();
        }
        Ok(())
    }

    fn fill(&mut self) -> std::io::Result<()> {
        self.pass()?;
        self.read_raw(BLOCK_OCTETS)?;
        self.used = 0;
        if self.conversion == Conversion::None {
            std::mem::swap(&mut self.raw, &mut self.block);
            return Ok(());
        }
        self.block.clear();
        let mut from = 0;
        for place in memchr::memchr_iter(b'\n', &self.raw) {
            let before = place
                .checked_sub(1)
                .map_or(self.last, |place| self.raw.get(place).copied());
            self.block.extend_from_slice(&self.raw[from..place]);
            self.block.extend_from_slice(if before == Some(b'\r') {
                b"\n"
            } else {
                b"\r\n"
            });
            from = place + 1;
        }
        self.block.extend_from_slice(&self.raw[from..]);
        self.last = self.raw.last().copied();
        Ok(())
    }
}

impl Read for SentReader {
    fn read(&mut self, target: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 || target.is_empty() {
            (self.raw, self.block, self.used) = (Vec::new(), Vec::new(), 0);
            return Ok(0);
        }
        loop {
            let ready = self.block.len() - self.used;
            if self.skip > 0 && ready > 0 {
                let passed = ready.min(usize::try_from(self.skip).unwrap_or(usize::MAX));
                self.used += passed;
                self.skip -= passed as u64;
            } else if ready > 0 {
                let count = ready
                    .min(target.len())
                    .min(usize::try_from(self.left).unwrap_or(usize::MAX));
                target[..count].copy_from_slice(&self.block[self.used..self.used + count]);
                self.used += count;
                self.left -= count as u64;
                return Ok(count);
            } else {
                self.fill()?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn opened(text: &[u8]) -> OpenedMessage {
        let mut file = tempfile::tempfile().expect("file");
        file.write_all(text).expect("write");
        OpenedMessage::from_file(file).expect("opened")
    }

    fn sent(message: &OpenedMessage, extent: Extent, offset: u64, length: u64) -> Vec<u8> {
        let mut octets = Vec::new();
        message
            .reader(extent, offset, length)
            .expect("reader")
            .read_to_end(&mut octets)
            .expect("read");
        octets
    }

    fn canonical(text: &[u8]) -> Vec<u8> {
        let mut canonical = Vec::new();
        for octet in text {
            if *octet == b'\n' && canonical.last() != Some(&b'\r') {
                canonical.push(b'\r');
            }
            canonical.push(*octet);
        }
        canonical
    }

    #[test]
    fn paths_lead_where_rfc_3501_says() {
        let text = b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nfirst\n--b\nContent-Type: message/rfc822\n\nSubject: inner\n\nsecond\n--b--\n";
        let message = opened(text);
        let summary = Summary::read(&message).expect("summary");
        let piece = |path: &[u32], piece| {
            summary
                .locate(path, piece)
                .map(|extent| String::from_utf8(sent(&message, extent, 0, u64::MAX)).expect("text"))
        };
        assert_eq!(piece(&[1], Piece::Body).as_deref(), Some("first"));
        assert_eq!(piece(&[1], Piece::Mime).as_deref(), Some("\r\n"));
        assert_eq!(piece(&[1], Piece::Header), None);
        assert_eq!(
            piece(&[2], Piece::Header).as_deref(),
            Some("Subject: inner\r\n\r\n")
        );
        assert_eq!(piece(&[2], Piece::Text).as_deref(), Some("second"));
        assert_eq!(piece(&[2, 1], Piece::Body).as_deref(), Some("second"));
        assert_eq!(piece(&[2, 2], Piece::Body), None);
        assert_eq!(piece(&[3], Piece::Body), None);
        assert_eq!(piece(&[0], Piece::Body), None);
        let plain = opened(b"Subject: x\n\nbody\n");
        let summary = Summary::read(&plain).expect("summary");
        assert_eq!(
            sent(
                &plain,
                summary.locate(&[1], Piece::Body).expect("part 1"),
                0,
                9
            ),
            b"body\r\n"
        );
        assert_eq!(summary.locate(&[1, 1], Piece::Body), None);
    }

    /// Every part's pieces read as long as announced, lie within the part around
    /// them, and nothing kept of them breaks a line of a reply.
    fn check_part(
        message: &OpenedMessage,
        part: &Part,
        around: (u64, u64),
    ) -> std::result::Result<(), TestCaseError> {
        let header = sent(message, part.header(), 0, u64::MAX);
        let body = sent(message, part.body(), 0, u64::MAX);
        prop_assert_eq!(header.len() as u64, part.header_octets);
        prop_assert_eq!(body.len() as u64, part.body_octets);
        let lines = body.iter().filter(|octet| **octet == b'\n').count();
        prop_assert_eq!(lines as u64, part.body_lines);
        prop_assert!(around.0 <= part.header_start && part.header_start <= part.body_start);
        prop_assert!(part.body_start <= part.end && part.end <= around.1);
        for (name, value) in &part.parameters {
            for text in [name, value] {
                prop_assert!(!text.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0)));
            }
        }
        let inner = (part.body_start, part.end);
        match &part.content {
            Content::Multipart(parts) => {
                prop_assert!(!parts.is_empty());
                parts
                    .iter()
                    .try_for_each(|part| check_part(message, part, inner))
            }
            Content::Message(content) => {
                prop_assert_eq!(
                    content.1.header_octets + content.1.body_octets,
                    part.body_octets
                );
                check_part(message, &content.1, inner)
            }
            Content::Single => Ok(()),
        }
    }

    fn structured() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            3 => Just("--a"),
            2 => Just("--ab"),
            1 => Just("--a--"),
            1 => Just("--ab-- \t"),
            1 => Just("--abc"),
            3 => Just(""),
            2 => Just("Content-Type: multipart/mixed; boundary=a"),
            2 => Just("Content-Type: multipart/digest; boundary=\"ab\""),
            2 => Just("Content-Type: message/rfc822"),
            1 => Just("Content-Type: text/plain; x=\"\\"),
            1 => Just(" folded\"; y=z"),
            1 => Just("From: \"a\\\0\" <b@c>, d: e;"),
            2 => Just("text"),
        ];
        let line_end =
            prop_oneof![4 => Just("\n"), 4 => Just("\r\n"), 1 => Just("\r"), 1 => Just("\r\r\n")];
        proptest::collection::vec((line, line_end), 0..40).prop_map(|lines| {
            let mut text = String::from("Content-Type: multipart/mixed; boundary=a\n");
            for (line, line_end) in lines {
                text += line;
                text += line_end;
            }
            text.into_bytes()
        })
    }

    #[test]
    fn pieces_far_from_the_beginning_are_right() {
        for line in [&b"0123456789\n"[..], b"01234\r\n56789\n"] {
            let text = line.repeat(100_000);
            let (message, expected) = (opened(&text), canonical(&text));
            let whole = message.whole().expect("whole");
            assert_eq!(whole.octets, expected.len() as u64);
            for offset in [0, 262_143, 262_144, 700_001, expected.len() - 5] {
                let end = (offset + 100).min(expected.len());
                assert_eq!(
                    sent(&message, whole, offset as u64, 100),
                    &expected[offset..end],
                    "{offset}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn all_parts_are_as_announced(text in structured()) {
            let message = opened(&text);
            let summary = Summary::read(&message).expect("summary");
            prop_assert_eq!(sent(&message, message.whole().expect("whole"), 0, u64::MAX), canonical(&text));
            prop_assert_eq!(summary.root.header_octets + summary.root.body_octets, summary.size_octets);
            check_part(&message, &summary.root, (0, text.len() as u64))?;
        }

        #[test]
        fn the_rest_of_a_long_file_belongs_to_what_was_open(text in structured(), cut in 0_usize..400) {
            let cut = cut.min(text.len());
            let message = opened(&text);
            let mut summary = crate::message::scan::scan(&text[..cut]);
            let last = text[..cut].last().copied();
            let rest = message.count_from(cut as u64, last).expect("rest");
            summary.extend(cut as u64, &rest);
            prop_assert_eq!(summary.size_octets, canonical(&text).len() as u64);
            prop_assert_eq!(summary.root.end, text.len() as u64);
            check_part(&message, &summary.root, (0, text.len() as u64))?;
        }
        #[test]
        fn sizes_and_octets_agree(
            text in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'a'), Just(b':'), Just(b'-')], 0..400),
            offset in 0_u64..300,
            length in 0_u64..300,
        ) {
            let message = opened(&text);
            let summary = Summary::read(&message).expect("summary");
            let expected = canonical(&text);
            let whole = summary.locate(&[], Piece::Whole).expect("whole");
            prop_assert_eq!(summary.size_octets, expected.len() as u64);
            prop_assert_eq!(message.whole().expect("whole").octets, expected.len() as u64);
            prop_assert_eq!(&sent(&message, whole, 0, u64::MAX), &expected);
            let from = usize::try_from(offset).expect("small").min(expected.len());
            let to = (from + usize::try_from(length).expect("small")).min(expected.len());
            prop_assert_eq!(&sent(&message, whole, offset, length), &expected[from..to]);
            let mut glued = sent(&message, summary.locate(&[], Piece::Header).expect("header"), 0, u64::MAX);
            glued.extend(sent(&message, summary.locate(&[], Piece::Text).expect("text"), 0, u64::MAX));
            prop_assert_eq!(&glued, &expected);
        }
    }
}
