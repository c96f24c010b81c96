//! [`DecodedReader`]: a part's content without its transfer encoding (RFC 3516).

use super::decode::{Transfer, TransferEncoding};
use super::section::SentReader;
use super::{Content, Extent, Piece, Summary};
use crate::{OpenedMessage, Result};
use std::io::Read;

/// How much is decoded at once.
const PIECE_OCTETS: usize = 32 * 1024;

/// What reading some decoded content will give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// How many octets.
    pub octets: u64,
    /// Whether NUL is among them.
    pub holds_nul: bool,
}

impl Summary {
    /// Where a part's content is, and how it is encoded (`None` if that is not known);
    /// the whole message for the empty path, which has no encoding. What contains parts
    /// has none either, whatever it says (RFC 2045 section 6.4).
    pub fn content(&self, path: &[u32]) -> Option<(Extent, Option<TransferEncoding>)> {
        let extent = self.locate(path, Piece::Body)?;
        let part = self.part(path).filter(|_| !path.is_empty());
        let encoding = match part {
            Some(part) if matches!(part.content, Content::Single) => {
                TransferEncoding::named(&part.encoding)
            }
            _ => Some(TransferEncoding::Identity),
        };
        Some((extent, encoding))
    }
}

impl OpenedMessage {
    /// Reads content from octet `first` of what is decoded, in bounded memory.
    ///
    /// Content is given as it was encoded: the line ends within base64 are those of the
    /// sender, and all others are CRLF, however the file has them (RFC 3516 section 6).
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn decoded(
        &self,
        extent: Extent,
        encoding: TransferEncoding,
        first: u64,
    ) -> Result<DecodedReader> {
        let begin = match encoding {
            TransferEncoding::Identity => first.min(extent.octets),
            TransferEncoding::Base64 | TransferEncoding::QuotedPrintable => 0,
        };
        let mut reader = DecodedReader {
            source: self.sent_reader(extent, begin, u64::MAX)?,
            transfer: Transfer::of(encoding),
            block: Vec::new(),
            used: 0,
            is_at_end: false,
        };
        reader.pass(first - begin).map_err(failed)?;
        Ok(reader)
    }
}

/// Content as it is decoded. A clone reads on by itself.
#[derive(Debug, Clone)]
pub struct DecodedReader {
    source: SentReader,
    transfer: Transfer,
    /// Decoded octets, of which the first `used` are gone.
    block: Vec<u8>,
    used: usize,
    is_at_end: bool,
}

impl DecodedReader {
    /// What reading `most` octets more at most will give.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn measure(&self, most: u64) -> Result<Measured> {
        let mut ahead = self.clone();
        let mut measured = Measured {
            octets: 0,
            holds_nul: false,
        };
        while measured.octets < most && ahead.fill().map_err(failed)? {
            let ready = ahead.ready(most - measured.octets);
            measured.holds_nul = measured.holds_nul || memchr::memchr(0, ready).is_some();
            let count = ready.len();
            measured.octets += count as u64;
            ahead.used += count;
        }
        Ok(measured)
    }

    /// Passes over so many octets, or to the end.
    fn pass(&mut self, octets: u64) -> std::io::Result<()> {
        let mut left = octets;
        while left > 0 && self.fill()? {
            let count = self.ready(left).len();
            left -= count as u64;
            self.used += count;
        }
        Ok(())
    }

    /// Octets that can be given at once, `most` at most.
    fn ready(&self, most: u64) -> &[u8] {
        let ready = self.block.get(self.used..).unwrap_or_default();
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        &ready[..ready.len().min(most)]
    }

    /// Decodes on until something is ready; false at the end.
    fn fill(&mut self) -> std::io::Result<bool> {
        let mut raw = Vec::new();
        while self.used >= self.block.len() && !self.is_at_end {
            raw.resize(PIECE_OCTETS, 0);
            let count = self.source.read(&mut raw)?;
            self.is_at_end = count == 0;
            self.block = self.transfer.decode(&raw[..count], self.is_at_end);
            self.used = 0;
        }
        Ok(self.used < self.block.len())
    }
}

impl Read for DecodedReader {
    fn read(&mut self, target: &mut [u8]) -> std::io::Result<usize> {
        if target.is_empty() || !self.fill()? {
            return Ok(0);
        }
        let ready = self.ready(target.len() as u64);
        let count = ready.len();
        target[..count].copy_from_slice(ready);
        self.used += count;
        Ok(count)
    }
}

fn failed(error: std::io::Error) -> crate::Error {
    crate::Error::io("read a message", error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use std::io::Write;

    fn opened(text: &[u8]) -> OpenedMessage {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        OpenedMessage::from_file(file).unwrap()
    }

    fn content(message: &OpenedMessage, path: &[u32], first: u64, length: u64) -> Vec<u8> {
        let summary = Summary::read(message).unwrap();
        let (extent, encoding) = summary.content(path).unwrap();
        let reader = message.decoded(extent, encoding.unwrap(), first).unwrap();
        let measured = reader.measure(length).unwrap();
        let mut octets = Vec::new();
        reader.take(length).read_to_end(&mut octets).unwrap();
        let expected = Measured {
            octets: octets.len() as u64,
            holds_nul: octets.contains(&0),
        };
        assert_eq!(measured, expected);
        octets
    }

    #[test]
    fn content_is_decoded_from_any_octet() {
        let octets: Vec<u8> = (0..200_000_u32)
            .map(|place| (place.wrapping_mul(place) >> 3) as u8)
            .collect();
        let lines: Vec<String> = octets
            .chunks(57)
            .map(|line| base64::engine::general_purpose::STANDARD.encode(line))
            .collect();
        let text = format!(
            "Content-Transfer-Encoding: BASE64\n\n{}\n",
            lines.join("\n")
        );
        let message = opened(text.as_bytes());
        for (first, length) in [
            (0, u64::MAX),
            (0, 1),
            (57, 57),
            (PIECE_OCTETS as u64 - 1, 70_000),
            (199_999, 2),
            (200_000, 1),
            (u64::MAX, u64::MAX),
        ] {
            let from = usize::try_from(first).unwrap().min(octets.len());
            let rest = &octets[from..];
            let count = usize::try_from(length).unwrap().min(rest.len());
            assert_eq!(content(&message, &[1], first, length), &rest[..count]);
        }
    }

    #[test]
    fn what_is_encoded_and_what_is_not() {
        let message = opened(
            b"Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\n\
              --b\nContent-Transfer-Encoding: quoted-printable\n\na=3D=\n=00b\n\n\
              --b\nContent-Transfer-Encoding: 8bit\n\nx\0\ny\n\
              --b\nContent-Transfer-Encoding: x-uuencode\n\nno\n\
              --b\nContent-Type: message/rfc822\n\nSubject: x\n\n=3D\n--b--\n",
        );
        assert_eq!(content(&message, &[1], 0, 99), b"a=\0b\r\n");
        assert_eq!(content(&message, &[1], 2, 2), b"\0b");
        assert_eq!(content(&message, &[2], 0, 99), b"x\0\r\ny");
        assert_eq!(content(&message, &[2], 2, 3), b"\r\ny");
        assert_eq!(content(&message, &[4], 0, 99), b"Subject: x\r\n\r\n=3D");
        let whole = content(&message, &[], 0, u64::MAX);
        assert_eq!(whole.len() as u64, message.whole().unwrap().octets);
        let summary = Summary::read(&message).unwrap();
        assert!(matches!(summary.content(&[3]), Some((_, None))));
        assert!(summary.content(&[5]).is_none());
    }
}
