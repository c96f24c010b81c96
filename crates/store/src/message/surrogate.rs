//! Surrogates: messages with UTF-8 in their headers as clients can read them that know
//! ASCII headers only (RFC 6857, RFC 6858). Made when they are sent, never stored.
//!
//! Text becomes encoded words (RFC 2047), parameters of MIME get their extended form
//! (RFC 2231), an address that is not ASCII gives way to one that is nobody's, with the
//! real one in its display name (RFC 6858 section 2.1); other fields are left out (section
//! 2.4). Bodies stay as they are. So do headers that are neither ASCII nor UTF-8: they are
//! of mailers from before, and clients know them.

use super::address;
use super::decode::decode_header;
use super::header::{HEADER_OCTETS, fields, is_empty_line, line_end};
use super::parameter;
use super::{Address, Content, Extent, Part, Summary, with_crlf};
use crate::{Error, OpenedMessage, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::io::Read;

/// Whose address one becomes that ASCII cannot show (RFC 6858 section 2.1).
const NOBODY: &str = "invalid@internationalized-address.invalid";
/// How many octets of text an encoded word holds, so that it has 75 (RFC 2047 section 2).
const WORD_OCTETS: usize = 45;
/// So much of a message is read at once to see whether it is ASCII.
const PIECE_OCTETS: usize = 64 << 10;
/// How many addresses of a field are taken.
const ADDRESSES: usize = 10_000;
/// How many parameters of a field are taken.
const PARAMETERS: usize = 128;
/// Longer extended parameters are left out: a line has 998 octets at most.
const PARAMETER_OCTETS: usize = 900;

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
    /// Headers that give way to others, in order.
    headers: Vec<Header>,
}

#[derive(Debug)]
struct Header {
    extent: Extent,
    instead: Vec<u8>,
}

impl Surrogate {
    /// How many octets more (or less) it has than the message, both as sent.
    pub fn growth(&self) -> i64 {
        let octets = |octets: u64| i64::try_from(octets).unwrap_or(i64::MAX);
        let headers = self.headers.iter();
        headers.fold(0, |growth, header| {
            growth
                .saturating_add(octets(header.instead.len() as u64))
                .saturating_sub(octets(header.extent.octets))
        })
    }

    /// Reads it as it is sent, in bounded memory.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn reader(self, message: &OpenedMessage) -> Result<Box<dyn Read + Send>> {
        let mut reader: Box<dyn Read + Send> = Box::new(std::io::empty());
        let mut position = 0;
        for header in self.headers {
            let between = message.extent_between(position, header.extent.start)?;
            let before = message.reader(between, 0, between.octets)?;
            reader = Box::new(
                reader
                    .chain(before)
                    .chain(std::io::Cursor::new(header.instead)),
            );
            position = header.extent.end;
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
        let mut headers: Vec<Header> = Vec::new();
        let mut position = 0;
        for part in parts(&summary.root) {
            let extent = Extent {
                start: part.header_start,
                end: part.body_start,
                octets: part.header_octets,
            };
            if extent.start < position || extent.end <= extent.start {
                continue;
            }
            position = extent.end;
            let (text, is_whole) = self.header_text(extent)?;
            match rewritten(&text) {
                None => {}
                Some(_) if !is_whole => return Ok(AsciiForm::Impossible),
                Some(instead) => headers.push(Header { extent, instead }),
            }
        }
        Ok(match headers.is_empty() {
            true => AsciiForm::AsStored,
            false => AsciiForm::Surrogate(Surrogate { headers }),
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

    /// A header as it is stored, and whether it is all of it.
    fn header_text(&self, extent: Extent) -> Result<(Vec<u8>, bool)> {
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

/// A header in ASCII, with CRLF line ends; `None` where it is already, or is no UTF-8.
fn rewritten(header: &[u8]) -> Option<Vec<u8>> {
    if header.is_ascii() || std::str::from_utf8(header).is_err() {
        return None;
    }
    let mut ascii = Vec::with_capacity(header.len());
    for field in fields(header) {
        if field.lines.is_ascii() {
            ascii.extend_from_slice(&with_crlf(field.lines));
            continue;
        }
        let name = field.name.to_ascii_lowercase();
        let value = match name.as_slice() {
            b"bcc"
            | b"cc"
            | b"from"
            | b"reply-to"
            | b"resent-bcc"
            | b"resent-cc"
            | b"resent-from"
            | b"resent-reply-to"
            | b"resent-sender"
            | b"resent-to"
            | b"return-path"
            | b"sender"
            | b"to"
            | b"disposition-notification-to" => Some(addresses(field.value)),
            b"subject" | b"comments" | b"content-description" => {
                Some(encoded_words(&decode_header(field.value)))
            }
            b"content-type" | b"content-disposition" => parameters(field.value),
            _ => None,
        };
        if let (Some(value), true) = (value, field.name.is_ascii()) {
            ascii.extend_from_slice(field.name);
            ascii.extend_from_slice(b": ");
            ascii.extend_from_slice(value.as_bytes());
            ascii.extend_from_slice(b"\r\n");
        }
    }
    if ends_with_empty_line(header) {
        ascii.extend_from_slice(b"\r\n");
    }
    Some(ascii)
}

fn ends_with_empty_line(header: &[u8]) -> bool {
    let without_end = header.strip_suffix(b"\n").unwrap_or(header);
    let start = without_end
        .iter()
        .rposition(|octet| *octet == b'\n')
        .map_or(0, |place| place + 1);
    let last = header.get(start..line_end(header, start));
    last.is_some_and(is_empty_line)
}

/// Text as encoded words, each on a line of its own (RFC 2047 section 2).
fn encoded_words(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let mut end = rest.len().min(WORD_OCTETS);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (word, after) = rest.split_at(end);
        words.push(format!("=?utf-8?b?{}?=", BASE64.encode(word)));
        rest = after;
    }
    words.join("\r\n ")
}

fn addresses(value: &[u8]) -> String {
    let mut text = String::new();
    let mut in_group = false;
    let mut is_first = true;
    for address in address::parse(value, ADDRESSES) {
        match (&address.host, &address.mailbox) {
            (None, Some(group)) => {
                separate(&mut text, &mut is_first);
                text.push_str(&phrase(group));
                text.push(':');
                (in_group, is_first) = (true, true);
            }
            (None, None) => {
                text.push(';');
                (in_group, is_first) = (false, false);
            }
            _ => {
                separate(&mut text, &mut is_first);
                text.push_str(&one_address(&address));
            }
        }
    }
    if in_group {
        text.push(';');
    }
    text
}

fn separate(text: &mut String, is_first: &mut bool) {
    match (std::mem::replace(is_first, false), text.is_empty()) {
        (_, true) => {}
        (true, false) => text.push_str("\r\n "),
        (false, false) => text.push_str(",\r\n "),
    }
}

fn one_address(address: &Address) -> String {
    let octets = |part: &Option<Vec<u8>>| part.clone().unwrap_or_default();
    let (mailbox, host) = (octets(&address.mailbox), octets(&address.host));
    let name = octets(&address.name);
    if mailbox.is_ascii() && host.is_ascii() {
        let mailbox = local_part(&String::from_utf8_lossy(&mailbox));
        let plain = match host.is_empty() {
            true => mailbox,
            false => format!("{mailbox}@{}", String::from_utf8_lossy(&host)),
        };
        return match name.is_empty() {
            true => plain,
            false => format!("{} <{plain}>", phrase(&name)),
        };
    }
    let real = format!(
        "{} {}@{}",
        decode_header(&name),
        String::from_utf8_lossy(&mailbox),
        String::from_utf8_lossy(&host)
    );
    format!("{}\r\n <{NOBODY}>", encoded_words(&real))
}

/// A local part, quoted where it has to be (RFC 5322 section 3.4.1).
fn local_part(mailbox: &str) -> String {
    let is_atom = |atom: &str| !atom.is_empty() && atom.bytes().all(is_atext);
    match mailbox.split('.').all(is_atom) {
        true => mailbox.to_owned(),
        false => quoted(mailbox),
    }
}

/// A display name (RFC 5322 section 3.2.5).
fn phrase(name: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(name) else {
        return encoded_words(&String::from_utf8_lossy(name));
    };
    if !text.is_ascii() {
        return encoded_words(&decode_header(name));
    }
    let is_plain = |octet: u8| is_atext(octet) || octet == b' ';
    match text.contains("=?") || text.bytes().all(is_plain) {
        true => text.to_owned(),
        false => quoted(text),
    }
}

fn is_atext(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet)
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars().filter(|character| !character.is_control()) {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted + "\""
}

/// A value with parameters; those that are not ASCII in their extended form (RFC 2231
/// section 4). `None` where the value itself is not ASCII.
fn parameters(value: &[u8]) -> Option<String> {
    let (kind, parameters) = parameter::parse(value, PARAMETERS);
    let mut text = String::from_utf8(kind)
        .ok()
        .filter(|kind| kind.is_ascii())?;
    for (name, value) in parameters {
        let (Ok(name), Ok(value)) = (String::from_utf8(name), String::from_utf8(value)) else {
            continue;
        };
        let is_token =
            |octet: u8| octet.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&octet);
        if name.is_empty() || !name.bytes().all(is_token) {
            continue;
        }
        let parameter = match (value.is_ascii(), name.ends_with('*')) {
            (true, true) if value.bytes().all(is_token) => format!("{name}={value}"),
            (true, false) => format!("{name}={}", quoted(&value)),
            (false, false) => format!("{name}*=utf-8''{}", percent_encoded(&value)),
            _ => continue,
        };
        if parameter.len() <= PARAMETER_OCTETS {
            text.push_str(";\r\n ");
            text.push_str(&parameter);
        }
    }
    Some(text)
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for octet in text.bytes() {
        // attribute-char (RFC 2231 section 7).
        if octet.is_ascii_alphanumeric() || b"!#$&+-.^_`{|}~".contains(&octet) {
            encoded.push(octet.into());
        } else {
            encoded.push_str(&format!("%{octet:02X}"));
        }
    }
    encoded
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
    fn words_are_short_and_cut_between_characters() {
        let text = "\u{4f60}".repeat(100);
        let sent = surrogate(&format!("Subject: {text}\n\n")).expect("a surrogate");
        for line in sent.lines().filter(|line| !line.is_empty()) {
            assert!(
                line.len() <= 76 + "Subject:".len() && line.is_ascii(),
                "{line}"
            );
        }
        let value = sent.strip_prefix("Subject:").expect("a subject");
        assert_eq!(decode_header(value.trim().as_bytes()), text);
    }

    #[test]
    fn odd_addresses_and_headers_stay_well_formed() {
        for (value, ascii) in [
            ("\u{e4}: a@b, c@d;", "=?utf-8?b?w6Q=?=:\r\n a@b,\r\n c@d;"),
            (
                "\"a \\\"q\\\"\" <x@y>, \u{e4} <z@y>",
                "\"a \\\"q\\\"\" <x@y>,\r\n =?utf-8?b?w6Q=?= <z@y>",
            ),
        ] {
            assert_eq!(addresses(value.as_bytes()), ascii, "{value}");
        }
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
        // Neither ASCII nor UTF-8: as it is.
        assert!(rewritten(b"Subject: \xe4\r\n\r\n").is_none());
    }
}
