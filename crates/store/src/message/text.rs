//! Looking for a string in a message's text (SEARCH TEXT and BODY).

use super::decode::{base64, decode_header, quoted_printable, to_unicode};
use super::header::fields;
use super::{Content, Extent, Part, Summary};
use crate::{OpenedMessage, Result};
use std::io::Read;

/// How many octets of one text part are looked at.
const PART_OCTETS: u64 = 64 << 20;

/// SEARCH TEXT or BODY (RFC 3501 section 6.4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithHeaders {
    /// TEXT: the message's header and those of its parts count.
    Yes,
    /// BODY.
    No,
}

/// Folds case for comparing, near i;unicode-casemap (RFC 5051): what differs in
/// case only is folded to one form.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}

/// Whether a message's text holds a string: every text part decoded (transfer
/// encoding and charset) and folded. `needle` comes folded by [`fold`].
///
/// # Errors
/// When the file cannot be read.
pub fn text_contains(
    message: &OpenedMessage,
    summary: &Summary,
    needle: &str,
    with_headers: WithHeaders,
) -> Result<bool> {
    // The header of the message itself is no part of BODY, those of its parts are
    // as much text as the rest.
    let mut waiting = vec![(&summary.root, with_headers)];
    while let Some((part, with_headers)) = waiting.pop() {
        if with_headers == WithHeaders::Yes && header_contains(message, part, needle)? {
            return Ok(true);
        }
        match &part.content {
            Content::Multipart(parts) => {
                waiting.extend(parts.iter().map(|part| (part, WithHeaders::Yes)))
            }
            Content::Message(inner) => waiting.push((&inner.1, WithHeaders::Yes)),
            Content::Single if part.media_type.eq_ignore_ascii_case(b"text") => {
                if body_contains(message, part, needle)? {
                    return Ok(true);
                }
            }
            Content::Single => {}
        }
    }
    Ok(false)
}

fn read(message: &OpenedMessage, start: u64, end: u64, octets: u64) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let extent = Extent { start, end, octets };
    let mut reader = message.reader(extent, 0, octets.min(PART_OCTETS))?;
    reader
        .read_to_end(&mut text)
        .map_err(|error| crate::Error::io("read a message", error))?;
    Ok(text)
}

fn header_contains(message: &OpenedMessage, part: &Part, needle: &str) -> Result<bool> {
    let header = read(
        message,
        part.header_start,
        part.body_start,
        part.header_octets,
    )?;
    Ok(fields(&header).any(|field| {
        let line = format!(
            "{}:{}",
            String::from_utf8_lossy(field.name),
            decode_header(field.value)
        );
        fold(&line).contains(needle)
    }))
}

fn body_contains(message: &OpenedMessage, part: &Part, needle: &str) -> Result<bool> {
    let raw = read(message, part.body_start, part.end, part.body_octets)?;
    let octets = if part.encoding.eq_ignore_ascii_case(b"base64") {
        base64(&raw)
    } else if part.encoding.eq_ignore_ascii_case(b"quoted-printable") {
        quoted_printable(&raw)
    } else {
        raw
    };
    let charset = part
        .parameters
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(b"charset"));
    let text = to_unicode(&octets, charset.map(|(_, label)| label.as_slice()));
    Ok(fold(&text).contains(needle))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn contains(text: &[u8], needle: &str, with_headers: WithHeaders) -> bool {
        let mut file = tempfile::tempfile().expect("file");
        file.write_all(text).expect("write");
        let message = OpenedMessage::from_file(file).expect("opened");
        let summary = Summary::read(&message).expect("summary");
        text_contains(&message, &summary, &fold(needle), with_headers).expect("readable")
    }

    #[test]
    fn decoded_text_is_searched() {
        let text = b"Subject: =?utf-8?b?5LiW55WM?=\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nGR=DC=\n=DFE\n--b\nContent-Type: application/octet-stream\n\nhidden\n--b--\n";
        assert!(contains(text, "gr\u{fc}\u{df}e", WithHeaders::No));
        assert!(!contains(text, "hidden", WithHeaders::Yes));
        assert!(contains(text, "\u{4e16}\u{754c}", WithHeaders::Yes));
        assert!(!contains(text, "\u{4e16}\u{754c}", WithHeaders::No));
        assert!(contains(text, "quoted-PRINTABLE", WithHeaders::No));
    }
}
