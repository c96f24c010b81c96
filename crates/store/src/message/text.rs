//! Looking for a string in a message's text (SEARCH TEXT and BODY).

use super::decode::decode_header;
use super::header::{HEADER_OCTETS, fields};
use super::html::HtmlText;
use super::{Content, Extent, Part, Summary};
use crate::{OpenedMessage, Result};
use std::borrow::Cow;
use std::io::Read;
use std::ops::ControlFlow;
use unicode_normalization::char::decompose_compatible;

/// How many octets of one text part are looked at.
const PART_OCTETS: u64 = 64 << 20;
/// So much of a message is read as HTML, which costs more than other text; what follows
/// is looked at as it stands.
const HTML_OCTETS: usize = 8 << 20;
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

/// How text is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Folding {
    /// As [`fold`] does.
    #[default]
    Full,
    /// Only ASCII letters differ in case alone (i;ascii-casemap, RFC 4790).
    Ascii,
    /// Nothing does (i;octet).
    None,
}

impl Folding {
    /// A text in the form in which it is compared.
    pub fn fold(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Full => Cow::Owned(fold(text)),
            Self::Ascii => Cow::Owned(text.to_ascii_lowercase()),
            Self::None => Cow::Borrowed(text),
        }
    }
}

/// Folds text for comparing, near i;unicode-casemap (RFC 5051): characters are taken
/// apart (full-width letters and ligatures become plain ones, accents stand behind their
/// letters), and what differs in case only is folded to one form. Syllables of Hangul
/// stay whole, as they do there.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\0'..='\x7f' => folded.push(character.to_ascii_lowercase()),
            // Unified ideographs and Hangul: what most text of this kind consists of.
            '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' => folded.push(character),
            _ => decompose_compatible(character, |part| {
                // Some are the small form of one and have no other, as the capital sharp s.
                let small = part.to_lowercase();
                let capital = small.flat_map(char::to_uppercase);
                folded.extend(capital.flat_map(char::to_lowercase));
            }),
        }
    }
    folded
}

/// Whether a message's text holds a string: every text part, attached or not, decoded
/// (transfer encoding and charset) and folded, of HTML what [`HtmlText`] takes for its
/// text. `needle` comes folded in the same way.
///
/// # Errors
/// When the file cannot be read.
pub fn text_contains(
    message: &OpenedMessage,
    summary: &Summary,
    needle: &str,
    (with_headers, folding): (WithHeaders, Folding),
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
    let mut over = say_body(message, summary, folding, &mut look)?;
    if with_headers == WithHeaders::Yes && over.is_continue() {
        over = say_header(message, &summary.root, folding, &mut look)?;
    }
    debug_assert_eq!(is_found, over.is_break());
    Ok(is_found)
}

/// Gives `take` the folded text that [`text_contains`] looks at, in pieces; a NUL stands
/// where a field or part ends.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn say_folded(
    message: &OpenedMessage,
    summary: &Summary,
    with_headers: WithHeaders,
    take: &mut dyn FnMut(&str),
) -> Result<()> {
    let mut listener = |said: Said<'_>| {
        match said {
            Said::Text(text) => take(text),
            Said::End => take("\0"),
        }
        ControlFlow::Continue(())
    };
    // It never breaks off.
    let _ = say_body(message, summary, Folding::Full, &mut listener)?;
    if with_headers == WithHeaders::Yes {
        let _ = say_header(message, &summary.root, Folding::Full, &mut listener)?;
    }
    Ok(())
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
    folding: Folding,
    listener: &mut Listener<'_>,
) -> Result<ControlFlow<()>> {
    let mut waiting = vec![(&summary.root, WithHeaders::No)];
    let mut html_octets = HTML_OCTETS;
    while let Some((part, with_headers)) = waiting.pop() {
        let mut over = ControlFlow::Continue(());
        if with_headers == WithHeaders::Yes {
            over = say_header(message, part, folding, listener)?;
        }
        match &part.content {
            Content::Multipart(parts) => {
                waiting.extend(parts.iter().map(|part| (part, WithHeaders::Yes)));
            }
            Content::Message(inner) => waiting.push((&inner.1, WithHeaders::Yes)),
            Content::Single if over.is_continue() && is_text(part) => {
                over = say_text(message, part, (folding, &mut html_octets), listener)?;
            }
            Content::Single => {}
        }
        if over.is_break() {
            return Ok(over);
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Whether a part is text: `text/*`, and of `message/*` what is no message, as a report
/// of a delivery that failed (RFC 3464).
fn is_text(part: &Part) -> bool {
    let types: [&[u8]; 2] = [b"text", b"message"];
    let mut types = types.into_iter();
    types.any(|text| part.media_type.eq_ignore_ascii_case(text))
}

/// Says the fields of a part's header, each for itself.
pub(super) fn say_header(
    message: &OpenedMessage,
    part: &Part,
    folding: Folding,
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
        for said in [Said::Text(&folding.fold(&line)), Said::End] {
            if listener(said).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Decodes a part piece by piece and says it. `html_octets` may still be read as HTML.
fn say_text(
    message: &OpenedMessage,
    part: &Part,
    (folding, html_octets): (Folding, &mut usize),
    listener: &mut Listener<'_>,
) -> Result<ControlFlow<()>> {
    let extent = Extent {
        start: part.body_start,
        end: part.end,
        octets: part.body_octets,
    };
    let mut reader = message.reader(extent, 0, PART_OCTETS)?;
    let (mut transfer, mut unicode) = part.decoders();
    let size = usize::try_from(part.body_octets).unwrap_or(PIECE_OCTETS);
    let mut piece = vec![0; size.clamp(1, PIECE_OCTETS)];
    let mut html = part.is(b"text", b"html").then(HtmlText::default);
    let (mut text, mut source) = (String::new(), String::new());
    loop {
        let count = reader.read(&mut piece).map_err(failed)?;
        let octets = transfer.decode(piece.get(..count).unwrap_or_default(), count == 0);
        text.clear();
        match &mut html {
            None => unicode.decode(&octets, count == 0, &mut text),
            Some(reader) => {
                source.clear();
                unicode.decode(&octets, count == 0, &mut source);
                reader.push(&source, &mut text);
                *html_octets = html_octets.saturating_sub(source.len());
                if count == 0 || *html_octets == 0 {
                    reader.finish(&mut text);
                    html = None;
                }
            }
        }
        if listener(Said::Text(&folding.fold(&text))).is_break() {
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
    use super::super::{FoldedText, Searched, look};
    use super::*;
    use std::io::Write;

    fn contains(text: &[u8], needle: &str, with_headers: WithHeaders) -> bool {
        let mut file = tempfile::tempfile().expect("file");
        file.write_all(text).expect("write");
        let message = OpenedMessage::from_file(file).expect("opened");
        let summary = Summary::read(&message).expect("summary");
        let needle = fold(needle);
        let found = text_contains(&message, &summary, &needle, (with_headers, Folding::Full))
            .expect("readable");
        let kept = FoldedText::read(&message, &summary).expect("readable");
        let searched = look(kept.octets(), &needle, with_headers);
        let expected = match found {
            true => Searched::Contains,
            false => Searched::Lacks,
        };
        assert_eq!(searched, Some(expected));
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
    fn html_is_searched_as_it_is_read() {
        let html = "<html><head><style>p { color: red }</style><title>Title</title></head>\
            <body class=\"content\"><p>Hel<b>lo</b>,&nbsp;caf&eacute;\n  world</p>\
            <a href=\"https://example.org/?a=1&amp;b=2\">link</a>\
            <script>var hidden;</script><!-- comment --><img alt='a cat'></body></html>";
        let text = format!(
            "Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: TEXT/Html; charset=utf-8\n\n{html}\n--b--\n"
        );
        let is_found = |needle| contains(text.as_bytes(), needle, WithHeaders::No);
        for needle in [
            "hello, caf\u{e9} WORLD",
            "example.org/?a=1&b=2",
            "A CAT",
            "title",
        ] {
            assert!(is_found(needle), "{needle}");
        }
        for needle in [
            "color",
            "content\"",
            "class",
            "<b>",
            "hidden",
            "comment",
            "titlehello",
        ] {
            assert!(!is_found(needle), "{needle}");
        }
        // What is no HTML is searched as it stands.
        let plain = text.replace("TEXT/Html", "text/plain");
        assert!(contains(plain.as_bytes(), "hel<b>lo", WithHeaders::No));
    }

    #[test]
    fn long_html_is_searched_to_its_end() {
        let mut text = b"Content-Type: text/html\n\n<p>Hel<b>lo</b></p>".to_vec();
        while text.len() < HTML_OCTETS + PIECE_OCTETS {
            text.extend_from_slice(b"<div class=secret>more than enough of it</div>\n");
        }
        text.extend_from_slice(b"the<b>end");
        let mut file = tempfile::tempfile().expect("file");
        file.write_all(&text).expect("write");
        let message = OpenedMessage::from_file(file).expect("opened");
        let summary = Summary::read(&message).expect("summary");
        let is_found = |needle: &str| {
            let found = text_contains(
                &message,
                &summary,
                &fold(needle),
                (WithHeaders::No, Folding::Full),
            );
            found.expect("readable")
        };
        assert!(is_found("hello") && is_found("the<b>end") && !is_found("never"));
    }

    #[test]
    fn attachments_messages_and_reports_are_searched() {
        let text = "Subject: outer\nContent-Type: multipart/mixed; boundary=b\n\n\
            --b\nContent-Type: text/csv; name=\"=?utf-8?q?t=C3=A4glich=2Ecsv?=\"\nContent-Disposition: attachment\nContent-Transfer-Encoding: base64\n\nw4RwZmVsO0Jpcm5lbg==\n\
            --b\nContent-Type: message/rfc822\nContent-Disposition: attachment\n\nSubject: =?iso-8859-1?q?=DCberblick?=\nContent-Type: text/plain; charset=gb18030\nContent-Transfer-Encoding: quoted-printable\n\n=CA=C0=BD=\n=E7=B5=C4\n\
            --b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; relay.example\n\
            --b\nContent-Type: application/json\n\n\"opaque\"\n--b--\n";
        let is_found = |needle| contains(text.as_bytes(), needle, WithHeaders::No);
        for needle in [
            "\u{e4}pfel;birnen",
            "t\u{c4}glich.csv",
            "subject:\u{a0}\u{fc}BERBLICK",
            "\u{4e16}\u{754c}",
            "RELAY.example",
        ] {
            assert!(is_found(needle), "{needle}");
        }
        for needle in ["outer", "opaque", "\u{754c}\u{4e16}", "w4RwZmVs"] {
            assert!(!is_found(needle), "{needle}");
        }
        assert!(contains(text.as_bytes(), "OUTER", WithHeaders::Yes));
        // No match goes from one part into the next.
        assert!(!is_found("birnen--b"));
    }

    #[test]
    fn what_differs_in_case_or_form_is_one() {
        for (text, other) in [
            ("STRASSE", "stra\u{df}e"),
            ("STRA\u{1e9e}E", "strasse"),
            (
                "\u{3a3}\u{3af}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c2}",
                "\u{3c3}\u{399}\u{301}\u{3c3}\u{3a5}\u{3c6}\u{3bf}\u{3c3}",
            ),
            ("Cafe\u{301}", "CAF\u{c9}"),
            ("\u{ff21}\u{ff22}", "ab"),
            ("\u{fb01}n", "FIN"),
            ("\u{416}", "\u{436}"),
            ("a\u{a0}b", "A B"),
        ] {
            assert_eq!(fold(text), fold(other));
        }
        assert_eq!(fold("\u{4e16}\u{d55c}"), "\u{4e16}\u{d55c}");
        assert_ne!(fold("\u{e9}"), fold("e"));
    }

    #[test]
    fn folded_text_stays_as_it_is() {
        for character in '\0'..=char::MAX {
            let folded = fold(character.encode_utf8(&mut [0; 4]));
            assert_eq!(fold(&folded), folded);
        }
    }

    proptest::proptest! {
        /// Whatever the parts: kept and read texts tell the same, and a needle from the
        /// text of a part is found.
        #[test]
        fn kept_texts_tell_what_reading_tells(
            parts in proptest::collection::vec(
                (
                    proptest::sample::select(vec!["plain", "html", "csv"]),
                    proptest::sample::select(vec!["utf-8", "gb18030", "iso-2022-jp", "x-unknown"]),
                    proptest::sample::select(vec!["8bit", "base64", "quoted-printable"]),
                    "[a-cA-C<>&;é世界 \\n]{0,60}",
                ),
                0..4,
            ),
            subject in "[a-c世 ]{0,10}",
            needle in "[a-c<&世界é]{1,3}",
        ) {
            let mut text = format!("Subject: {subject}\nContent-Type: multipart/mixed; boundary=b\n\n").into_bytes();
            for (subtype, charset, encoding, content) in &parts {
                let charset_of = encoding_rs::Encoding::for_label(charset.as_bytes());
                let octets = charset_of.unwrap_or(encoding_rs::UTF_8).encode(content).0;
                let header = format!("--b\nContent-Type: text/{subtype}; charset={charset}\nContent-Transfer-Encoding: {encoding}\n\n");
                text.extend_from_slice(header.as_bytes());
                text.extend(encoded(encoding, &octets));
                text.push(b'\n');
            }
            text.extend_from_slice(b"--b--\n");
            for with_headers in [WithHeaders::Yes, WithHeaders::No] {
                let found = contains(&text, &needle, with_headers);
                let is_there = parts.iter().any(|(subtype, charset, _, content)| {
                    *subtype != "html" && *charset != "iso-2022-jp"
                        && fold(content).contains(&fold(&needle))
                });
                proptest::prop_assert!(found || !is_there);
            }
        }
    }

    /// Octets in a transfer encoding.
    fn encoded(encoding: &str, octets: &[u8]) -> Vec<u8> {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        match encoding {
            "base64" => octets
                .chunks(3)
                .flat_map(|three| {
                    let bits = (0..3).fold(0, |bits: usize, place| {
                        bits << 8 | usize::from(three.get(place).copied().unwrap_or_default())
                    });
                    (0..4).map(move |place| match place <= three.len() {
                        true => ALPHABET[bits >> (18 - 6 * place) & 63],
                        false => b'=',
                    })
                })
                .collect(),
            "quoted-printable" => octets
                .iter()
                .flat_map(|octet| format!("={octet:02X}").into_bytes())
                .collect(),
            _ => octets.to_vec(),
        }
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
