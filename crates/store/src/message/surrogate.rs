//! Surrogates: messages with UTF-8 in their headers as clients can read them that know
//! ASCII headers only (RFC 6857, RFC 6858). Made when they are sent, never stored.
//!
//! Header fields are those of [`super::downgrade`], of the message and of all its parts, with
//! the recipients of delivery status notifications. Other bodies stay as they are. So do
//! headers that are neither ASCII nor UTF-8: they are of mailers from before, and clients
//! know them.

use super::downgrade;
use super::header::HEADER_OCTETS;
use super::{Content, Extent, Part, Summary};
use crate::{Error, OpenedMessage, Result};
use std::io::Read;

/// So much of a message is read at once to see whether it is ASCII.
const PIECE_OCTETS: usize = 64 << 10;
/// How a message is sent to a client that knows ASCII headers only.
#[derive(Debug)]
pub enum AsciiForm {
    /// As it is stored.
    AsStored,
    /// As this.
    Surrogate(Surrogate),
    /// Not at all: a header that is not ASCII is longer than any header should be.
    Impossible,
}

/// A message with other headers.
#[derive(Debug)]
pub struct Surrogate {
    /// What gives way to other octets, in order.
    rewritten: Vec<Rewritten>,
}

#[derive(Debug)]
struct Rewritten {
    extent: Extent,
    instead: Vec<u8>,
}

impl Surrogate {
    /// How many octets more (or less) it has than the message, both as sent.
    pub fn growth(&self) -> i64 {
        let octets = |octets: u64| i64::try_from(octets).unwrap_or(i64::MAX);
        self.rewritten.iter().fold(0, |growth, rewritten| {
            growth
                .saturating_add(octets(rewritten.instead.len() as u64))
                .saturating_sub(octets(rewritten.extent.octets))
        })
    }

    /// Reads it as it is sent, in bounded memory.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn reader(self, message: &OpenedMessage) -> Result<Box<dyn Read + Send>> {
        let mut reader: Box<dyn Read + Send> = Box::new(std::io::empty());
        let mut position = 0;
        for rewritten in self.rewritten {
            let between = message.extent_between(position, rewritten.extent.start)?;
            let before = message.reader(between, 0, between.octets)?;
            reader = Box::new(
                reader
                    .chain(before)
                    .chain(std::io::Cursor::new(rewritten.instead)),
            );
            position = rewritten.extent.end;
        }
        let whole = message.whole()?;
        let rest = message.extent_between(position, whole.end)?;
        let rest = message.reader(rest, 0, rest.octets)?;
        Ok(Box::new(reader.chain(rest)))
    }
}

impl OpenedMessage {
    /// How this message, of that summary, is sent to a client that knows ASCII headers
    /// only.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn ascii_form(&self, summary: &Summary) -> Result<AsciiForm> {
        let mut all: Vec<Rewritten> = Vec::new();
        let mut position = 0;
        for (extent, rewrite) in parts(&summary.root).into_iter().flat_map(places) {
            if extent.start < position || extent.end <= extent.start {
                continue;
            }
            position = extent.end;
            let (text, is_whole) = self.text(extent)?;
            match rewrite(&text) {
                None => {}
                Some(_) if !is_whole => return Ok(AsciiForm::Impossible),
                Some(instead) => all.push(Rewritten { extent, instead }),
            }
        }
        Ok(match all.is_empty() {
            true => AsciiForm::AsStored,
            false => AsciiForm::Surrogate(Surrogate { rewritten: all }),
        })
    }

    /// As [`OpenedMessage::ascii_form`], of a message of which nothing is known yet, by way
    /// of memory that is used again for the next. Most have nothing but ASCII, and no parts
    /// need be found in them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn ascii_form_by_way_of(&self, memory: &mut Vec<u8>) -> Result<AsciiForm> {
        if self.is_ascii(memory)? {
            return Ok(AsciiForm::AsStored);
        }
        self.ascii_form(&Summary::read_by_way_of(memory, self)?)
    }

    /// Whether no octet of the message is other than ASCII.
    fn is_ascii(&self, memory: &mut Vec<u8>) -> Result<bool> {
        if memory.len() < PIECE_OCTETS {
            memory.resize(PIECE_OCTETS, 0);
        }
        let mut position = 0;
        loop {
            let count = self.file.read_at(memory, position);
            let count = count.map_err(|error| Error::io("read a message", error))?;
            let read = memory.get(..count).unwrap_or_default();
            if !read.is_ascii() {
                return Ok(false);
            }
            position += count as u64;
            if count == 0 || position >= self.file_octets {
                return Ok(true);
            }
        }
    }

    /// What a header or as short a body has in it as stored, and whether it is all of it.
    fn text(&self, extent: Extent) -> Result<(Vec<u8>, bool)> {
        let octets = usize::try_from(extent.end - extent.start).unwrap_or(usize::MAX);
        let mut text = vec![0; octets.min(HEADER_OCTETS)];
        let mut read = 0;
        while let Some(into) = text.get_mut(read..).filter(|into| !into.is_empty()) {
            let count = self.file.read_at(into, extent.start + read as u64);
            match count.map_err(|error| Error::io("read a message", error))? {
                0 => break,
                count => read += count,
            }
        }
        text.truncate(read);
        Ok((text, read == octets))
    }
}

type Rewrite = fn(&[u8]) -> Option<Vec<u8>>;

/// What may be other than ASCII in a part and has to be, in order.
fn places(part: &Part) -> Vec<(Extent, Rewrite)> {
    let header = Extent {
        start: part.header_start,
        end: part.body_start,
        octets: part.header_octets,
    };
    let body = Extent {
        start: part.body_start,
        end: part.end,
        octets: part.body_octets,
    };
    let mut places: Vec<(Extent, Rewrite)> = vec![(header, downgrade::header)];
    if is_delivery_status(part) {
        places.push((body, downgrade::delivery_status));
    }
    places
}

/// Whether a part has fields of a delivery status notification (RFC 3464, RFC 6533) that can
/// be read as they are.
fn is_delivery_status(part: &Part) -> bool {
    let is = |octets: &[u8], words: &[&str]| {
        words
            .iter()
            .any(|word| octets.eq_ignore_ascii_case(word.as_bytes()))
    };
    is(&part.media_type, &["message"])
        && is(
            &part.media_subtype,
            &["delivery-status", "global-delivery-status"],
        )
        && is(&part.encoding, &["7bit", "8bit", "binary"])
        && matches!(part.content, Content::Single)
        && part.end - part.body_start.min(part.end) <= HEADER_OCTETS as u64
}

/// All parts, in the order of their headers.
fn parts(root: &Part) -> Vec<&Part> {
    let mut found = Vec::new();
    let mut waiting = vec![root];
    while let Some(part) = waiting.pop() {
        found.push(part);
        match &part.content {
            Content::Single => {}
            Content::Multipart(parts) => waiting.extend(parts.iter().rev()),
            Content::Message(inner) => waiting.push(&inner.1),
        }
    }
    found.sort_by_key(|part| part.header_start);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn message(text: &str) -> OpenedMessage {
        let mut file = tempfile::tempfile().expect("file");
        file.write_all(text.as_bytes()).expect("written");
        OpenedMessage::from_file(file).expect("opened")
    }

    /// The surrogate as sent; `None` where the message goes as it is.
    fn surrogate(text: &str) -> Option<String> {
        let message = message(text);
        let summary = Summary::read(&message).expect("read");
        match message.ascii_form(&summary).expect("read") {
            AsciiForm::AsStored => None,
            AsciiForm::Impossible => panic!("impossible"),
            AsciiForm::Surrogate(surrogate) => {
                let growth = surrogate.growth();
                let mut sent = String::new();
                let mut reader = surrogate.reader(&message).expect("a reader");
                reader.read_to_string(&mut sent).expect("text");
                let whole = message.whole().expect("counted").octets;
                assert_eq!(sent.len() as i64, whole as i64 + growth);
                Some(sent)
            }
        }
    }

    #[test]
    fn headers_become_ascii_and_bodies_stay() {
        let text = "From: J\u{fc}rgen <jo@example.org>\nTo: Fred <fr\u{e9}d@example.com>, b@c.d\n\
            Subject: Gr\u{fc}\u{df}e\nX-Odd: \u{e4}\nDate: Mon, 2 Nov 2026 10:00:00 +0000\n\
            \n\u{fc}ber\n.\n";
        let sent = surrogate(text).expect("a surrogate");
        assert_eq!(
            sent,
            "From: =?utf-8?b?SsO8cmdlbg==?= <jo@example.org>\r\n\
             To: =?utf-8?b?RnJlZCBmcsOpZEBleGFtcGxlLmNvbQ==?=\r\n \
             <invalid@internationalized-address.invalid>,\r\n b@c.d\r\n\
             Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\n\
             X-Odd: =?utf-8?b?w6Q=?=\r\n\
             Date: Mon, 2 Nov 2026 10:00:00 +0000\r\n\r\n\u{fc}ber\r\n.\r\n"
        );
        assert_eq!(surrogate("Subject: plain\n\n\u{fc}ber\n"), None);
    }

    #[test]
    fn headers_of_parts_become_ascii_too() {
        let text = "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\nbefore\n--b\n\
            Content-Disposition: attachment; filename=\"\u{e4} 1.txt\"; size=7\n\none\n--b\n\
            Content-Type: message/rfc822\n\nSubject: \u{4f60}\u{597d}\n\ninner\n--b--\nafter\n";
        let sent = surrogate(text).expect("a surrogate");
        assert_eq!(
            sent,
            "Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\nbefore\r\n--b\r\n\
             Content-Disposition: attachment;\r\n filename*=utf-8''%C3%A4%201.txt;\r\n \
             size=\"7\"\r\n\r\none\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n\
             Subject: =?utf-8?b?5L2g5aW9?=\r\n\r\ninner\r\n--b--\r\nafter\r\n"
        );
    }

    #[test]
    fn recipients_of_delivery_status_notifications_become_ascii() {
        let text = "Content-Type: multipart/report; boundary=b\n\n--b\n\
            Content-Type: message/global-delivery-status\nContent-Transfer-Encoding: 8bit\n\n\
            Reporting-MTA: dns; x.example\n\n\
            Original-Recipient: utf-8; f\u{f6}+o@x.example (\u{e4})\n\
            Final-Recipient: x400; f\u{f6}o\nDiagnostic-Code: smtp; \u{fc}\n--b--\n";
        let sent = surrogate(text).expect("a surrogate");
        assert_eq!(
            sent,
            "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\
             Content-Type: message/global-delivery-status\r\n\
             Content-Transfer-Encoding: 8bit\r\n\r\n\
             Reporting-MTA: dns; x.example\r\n\r\n\
             Original-Recipient: utf-8; f\\x{F6}\\x{2B}o@x.example (\r\n =?utf-8?b?w6Q=?=)\r\n\
             Downgraded-Final-Recipient: =?utf-8?b?eDQwMDsgZsO2bw==?=\r\n\
             Diagnostic-Code: smtp; \u{fc}\r\n--b--\r\n"
        );
    }

    #[test]
    fn odd_headers_stay_well_formed() {
        for text in [
            "\u{e4}",
            "\u{e4}: b",
            "Subject: \u{e4}",
            "From: \u{e4}\n",
            "To: \u{e4}@,<\u{e4}>;:;\n\n",
            "Content-Type: \u{e4}/x; a=b\n\n",
            "Content-Type: text/plain; \u{e4}=b; a=\"\u{e4}\n\n",
            "Subject: =?utf-8?q?=C3=A4?= \u{e4}\n\n",
        ] {
            if let Some(sent) = surrogate(text) {
                assert!(sent.is_ascii(), "{sent:?}");
            }
        }
    }
}
