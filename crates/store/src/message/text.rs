//! Looking for a string in a message's text (SEARCH TEXT and BODY).

use super::decode::{Transfer, Unicode, decode_header};
use super::header::{HEADER_OCTETS, fields};
use super::{Content, Extent, Part, Summary};
use crate::{OpenedMessage, Result};
use std::io::Read;

/// How many octets of one text part are looked at.
const PART_OCTETS: u64 = 64 << 20;
/// How much of it is decoded at once.
const PIECE_OCTETS: usize = 64 * 1024;

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
    let mut folded = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() {
            folded.push(character.to_ascii_lowercase());
        } else {
            folded.extend(character.to_uppercase().flat_map(char::to_lowercase));
        }
    }
    folded
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
    if needle.is_empty() {
        return Ok(true);
    }
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

fn header_contains(message: &OpenedMessage, part: &Part, needle: &str) -> Result<bool> {
    let extent = Extent {
        start: part.header_start,
        end: part.body_start,
        octets: part.header_octets,
    };
    let mut header = Vec::new();
    let mut reader = message.reader(extent, 0, HEADER_OCTETS as u64)?;
    reader.read_to_end(&mut header).map_err(failed)?;
    Ok(fields(&header).any(|field| {
        let line = format!(
            "{}:{}",
            String::from_utf8_lossy(field.name),
            decode_header(field.value)
        );
        fold(&line).contains(needle)
    }))
}

/// Decodes a part piece by piece, keeping of what is past only as much as the
/// beginning of a match may take.
fn body_contains(message: &OpenedMessage, part: &Part, needle: &str) -> Result<bool> {
    let extent = Extent {
        start: part.body_start,
        end: part.end,
        octets: part.body_octets,
    };
    let mut reader = message.reader(extent, 0, PART_OCTETS)?;
    let charset = part
        .parameters
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(b"charset"));
    let mut transfer = Transfer::new(&part.encoding);
    let mut unicode = Unicode::new(charset.map(|(_, label)| label.as_slice()));
    let finder = memchr::memmem::Finder::new(needle);
    let mut piece = vec![0; PIECE_OCTETS];
    let (mut text, mut window) = (String::new(), String::new());
    loop {
        let count = reader.read(&mut piece).map_err(failed)?;
        let octets = transfer.decode(piece.get(..count).unwrap_or_default(), count == 0);
        text.clear();
        unicode.decode(&octets, count == 0, &mut text);
        window.push_str(&fold(&text));
        if finder.find(window.as_bytes()).is_some() {
            return Ok(true);
        }
        if count == 0 {
            return Ok(false);
        }
        let mut past = window.len().saturating_sub(needle.len());
        while !window.is_char_boundary(past) {
            past -= 1;
        }
        window.drain(..past);
    }
}

fn failed(error: std::io::Error) -> crate::Error {
    crate::Error::io("read a message", error)
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

    #[test]
    fn text_is_found_wherever_it_lies() {
        for before in (PIECE_OCTETS - 8..PIECE_OCTETS + 8).chain(0..2) {
            let text = format!("Subject: x\n\n{}GR\u{dc}N", "\u{e9}".repeat(before / 2));
            assert!(
                contains(text.as_bytes(), "gr\u{fc}n", WithHeaders::No),
                "{before}"
            );
            assert!(!contains(text.as_bytes(), "gr\u{fc}nn", WithHeaders::No));
        }
        assert!(contains(b"Subject: x\n\n", "", WithHeaders::No));
    }
}
