//! Pieces of a message by section path, and reading them as they are sent.

use super::{Content, Extent, Part, Piece, Summary};
use crate::{Error, OpenedMessage, Result};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// How much is read from a file at once.
const BLOCK_OCTETS: usize = 32 * 1024;

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
    pub fn from_file(file: File) -> Result<Self> {
        let metadata = file
            .metadata()
            .map_err(|error| Error::io("read a message's size", error))?;
        Ok(Self {
            file: Arc::new(file),
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
        let length = length.min(extent.octets.saturating_sub(offset));
        let as_stored = extent.octets == extent.end - extent.start;
        let mut reader = SentReader {
            file: Arc::clone(&self.file),
            position: extent.start,
            end: extent.end,
            last: 0,
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
                reader.last = before[0];
            }
        }
        Ok(Box::new(reader))
    }

    /// The whole message, its size as sent counted.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn whole(&self) -> Result<Extent> {
        let mut bare = 0;
        let mut last = 0;
        let mut position = 0;
        let mut block = vec![0; BLOCK_OCTETS];
        loop {
            let count = self
                .file
                .read_at(&mut block, position)
                .map_err(|error| Error::io("read a message", error))?;
            if count == 0 {
                return Ok(Extent {
                    start: 0,
                    end: position,
                    octets: position + bare,
                });
            }
            for place in memchr::memchr_iter(b'\n', &block[..count]) {
                let before = place.checked_sub(1).map_or(last, |place| block[place]);
                bare += u64::from(before != b'\r');
            }
            last = block[count - 1];
            position += count as u64;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Conversion {
    None,
    LfToCrlf,
}

struct SentReader {
    file: Arc<File>,
    /// The next octet to read from the file.
    position: u64,
    end: u64,
    /// The octet before `position`.
    last: u8,
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
    fn fill(&mut self) -> std::io::Result<()> {
        let wanted = (self.end - self.position).min(BLOCK_OCTETS as u64);
        let mut raw = vec![0; usize::try_from(wanted).unwrap_or(BLOCK_OCTETS)];
        let count = self.file.read_at(&mut raw, self.position)?;
        if count == 0 {
            return Err(std::io::Error::new(
                std::io::ErrorKind::UnexpectedEof,
                "the message is shorter than it was",
            ));
        }
        raw.truncate(count);
        self.position += count as u64;
        self.used = 0;
        if self.conversion == Conversion::None {
            self.block = raw;
            return Ok(());
        }
        self.block.clear();
        let mut from = 0;
        for place in memchr::memchr_iter(b'\n', &raw) {
            let before = place.checked_sub(1).map_or(self.last, |place| raw[place]);
            self.block.extend_from_slice(&raw[from..place]);
            self.block
                .extend_from_slice(if before == b'\r' { b"\n" } else { b"\r\n" });
            from = place + 1;
        }
        self.block.extend_from_slice(&raw[from..]);
        self.last = raw[count - 1];
        Ok(())
    }
}

impl Read for SentReader {
    fn read(&mut self, target: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 || target.is_empty() {
            self.block = Vec::new();
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

    proptest! {
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
