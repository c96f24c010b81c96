//! Looking for a string in a message's text (SEARCH TEXT and BODY).

use super::decode::{Transfer, Unicode, decode_header};
use super::header::{HEADER_OCTETS, fields};
use super::{Content, Extent, Part, Summary};
use crate::{OpenedMessage, Result};
use std::io::Read;
use std::ops::ControlFlow;

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
    if needle.is_empty() {
        return Ok(true);
    }
    let finder = memchr::memmem::Finder::new(needle);
    let mut window = String::new();
    let mut is_found = false;
    // Of what is past only as much is kept as the beginning of a match may take.
    let mut look = |said: Said<'_>| {
        let Said::Text(text) = said else {
            window.clear();
            return ControlFlow::Continue(());
        };
        window.push_str(text);
        if finder.find(window.as_bytes()).is_some() {
            is_found = true;
            return ControlFlow::Break(());
        }
        let mut past = window.len().saturating_sub(needle.len());
        while !window.is_char_boundary(past) {
            past -= 1;
        }
        window.drain(..past);
        ControlFlow::Continue(())
    };
    let mut over = say_body(message, summary, &mut look)?;
    if with_headers == WithHeaders::Yes && over.is_continue() {
        over = say_header(message, &summary.root, &mut look)?;
    }
    debug_assert_eq!(is_found, over.is_break());
    Ok(is_found)
}

/// A message's text in order.
pub(super) enum Said<'a> {
    /// More of what is under way, folded.
    Text(&'a str),
    /// A field or part ends: no match goes beyond it.
    End,
}

type Listener<'a> = dyn FnMut(Said<'_>) -> ControlFlow<()> + 'a;

/// Says all that BODY looks at: the text of all parts and their headers. The header of
/// the message itself is no part of it.
pub(super) fn say_body(
    message: &OpenedMessage,
    summary: &Summary,
    listener: &mut Listener<'_>,
) -> Result<ControlFlow<()>> {
    let mut waiting = vec![(&summary.root, WithHeaders::No)];
    while let Some((part, with_headers)) = waiting.pop() {
        let mut over = ControlFlow::Continue(());
        if with_headers == WithHeaders::Yes {
            over = say_header(message, part, listener)?;
        }
        match &part.content {
            Content::Multipart(parts) => {
                waiting.extend(parts.iter().map(|part| (part, WithHeaders::Yes)));
            }
            Content::Message(inner) => waiting.push((&inner.1, WithHeaders::Yes)),
            Content::Single
                if over.is_continue() && part.media_type.eq_ignore_ascii_case(b"text") =>
            {
                over = say_text(message, part, listener)?;
            }
            Content::Single => {}
        }
        if over.is_break() {
            return Ok(over);
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Says the fields of a part's header, each for itself.
pub(super) fn say_header(
    message: &OpenedMessage,
    part: &Part,
    listener: &mut Listener<'_>,
) -> Result<ControlFlow<()>> {
    let extent = Extent {
        start: part.header_start,
        end: part.body_start,
        octets: part.header_octets,
    };
    let mut header = Vec::new();
    let mut reader = message.reader(extent, 0, HEADER_OCTETS as u64)?;
    reader.read_to_end(&mut header).map_err(failed)?;
    for field in fields(&header) {
        let line = format!(
            "{}:{}",
            String::from_utf8_lossy(field.name),
            decode_header(field.value)
        );
        for said in [Said::Text(&fold(&line)), Said::End] {
            if listener(said).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Decodes a part piece by piece and says it.
fn say_text(
    message: &OpenedMessage,
    part: &Part,
    listener: &mut Listener<'_>,
) -> Result<ControlFlow<()>> {
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
    let size = usize::try_from(part.body_octets).unwrap_or(PIECE_OCTETS);
    let mut piece = vec![0; size.clamp(1, PIECE_OCTETS)];
    let mut text = String::new();
    loop {
        let count = reader.read(&mut piece).map_err(failed)?;
        let octets = transfer.decode(piece.get(..count).unwrap_or_default(), count == 0);
        text.clear();
        unicode.decode(&octets, count == 0, &mut text);
        if listener(Said::Text(&fold(&text))).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        if count == 0 {
            return Ok(listener(Said::End));
        }
    }
}

fn failed(error: std::io::Error) -> crate::Error {
    crate::Error::io("read a message", error)
}

#[cfg(test)]
mod tests {
    use super::super::FoldedText;
    use super::*;
    use std::io::Write;

    fn contains(text: &[u8], needle: &str, with_headers: WithHeaders) -> bool {
        let mut file = tempfile::tempfile().expect("file");
        file.write_all(text).expect("write");
        let message = OpenedMessage::from_file(file).expect("opened");
        let summary = Summary::read(&message).expect("summary");
        let needle = fold(needle);
        let found = text_contains(&message, &summary, &needle, with_headers).expect("readable");
        let kept = FoldedText::read(&message, &summary).expect("readable");
        let kept = kept.expect("a short text");
        let in_kept = super::super::contains(kept.octets(), &needle, with_headers);
        assert_eq!(in_kept, Some(found));
        found
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
