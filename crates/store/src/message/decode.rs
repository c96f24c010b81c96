//! Decoding: encoded words (RFC 2047), transfer encodings (RFC 2045), charsets.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// How much of one header value is decoded.
const VALUE_OCTETS: usize = 16 * 1024;
/// How long an encoded word may be; RFC 2047 allows 75, mailers write more.
const WORD_OCTETS: usize = 2_000;

/// Turns octets into Unicode by charset label; without a usable label as UTF-8
/// where they are, otherwise as windows-1252.
pub(crate) fn to_unicode(octets: &[u8], charset: Option<&[u8]>) -> String {
    let named = charset
        .and_then(Encoding::for_label)
        .filter(|encoding| *encoding != UTF_8);
    match (named, std::str::from_utf8(octets)) {
        (Some(encoding), _) => encoding.decode_without_bom_handling(octets).0.into_owned(),
        (None, Ok(text)) => text.to_owned(),
        (None, Err(_)) if charset.is_some_and(|label| label.eq_ignore_ascii_case(b"utf-8")) => {
            String::from_utf8_lossy(octets).into_owned()
        }
        (None, Err(_)) => WINDOWS_1252
            .decode_without_bom_handling(octets)
            .0
            .into_owned(),
    }
}

/// Decodes encoded words and 8-bit text to Unicode; of a longer value the first
/// 16 KiB. Blanks between two encoded words go (RFC 2047 section 6.2), and two
/// neighbours of one charset are decoded together, since mailers cut characters.
pub fn decode_header(value: &[u8]) -> String {
    let mut rest = &value[..value.len().min(VALUE_OCTETS)];
    let mut text = String::new();
    let mut pending: Option<(Vec<u8>, Vec<u8>)> = None;
    while !rest.is_empty() {
        let start = memchr::memmem::find(rest, b"=?").unwrap_or(rest.len());
        let (plain, at) = rest.split_at(start);
        let word = encoded_word(at);
        let joins = pending.is_some() && word.is_some() && plain.trim_ascii().is_empty();
        if !joins {
            if let Some((charset, octets)) = pending.take() {
                text.push_str(&to_unicode(&octets, Some(&charset)));
            }
            push_plain(&mut text, plain);
        }
        match word {
            Some(word) => {
                match &mut pending {
                    Some((charset, octets)) if charset.eq_ignore_ascii_case(word.charset) => {
                        octets.extend(word.octets)
                    }
                    _ => {
                        if let Some((charset, octets)) =
                            pending.replace((word.charset.to_vec(), word.octets))
                        {
                            text.push_str(&to_unicode(&octets, Some(&charset)));
                        }
                    }
                }
                rest = &at[word.length..];
            }
            None if at.is_empty() => rest = at,
            None => {
                text.push_str("=?");
                rest = &at[2..];
            }
        }
    }
    if let Some((charset, octets)) = pending {
        text.push_str(&to_unicode(&octets, Some(&charset)));
    }
    text
}

fn push_plain(text: &mut String, plain: &[u8]) {
    let unfolded: Vec<u8> = plain
        .iter()
        .copied()
        .filter(|octet| !matches!(octet, b'\r' | b'\n'))
        .collect();
    text.push_str(&to_unicode(&unfolded, None));
}

struct EncodedWord<'a> {
    charset: &'a [u8],
    octets: Vec<u8>,
    length: usize,
}

/// The encoded word at the beginning, if there is one.
fn encoded_word(at: &[u8]) -> Option<EncodedWord<'_>> {
    let window = &at[..at.len().min(WORD_OCTETS)];
    let inner = window.strip_prefix(b"=?")?;
    let charset_end = memchr::memchr(b'?', inner)?;
    let charset = inner[..charset_end].split(|octet| *octet == b'*').next()?;
    let (encoding, content) = inner.get(charset_end + 1..)?.split_first()?;
    let content = content.strip_prefix(b"?")?;
    let end = memchr::memmem::find(content, b"?=")?;
    let raw = &content[..end];
    if charset.is_empty() || raw.contains(&b'?') {
        return None;
    }
    let octets = match encoding {
        b'B' | b'b' => base64(raw),
        b'Q' | b'q' => {
            let spaced: Vec<u8> = raw
                .iter()
                .map(|octet| if *octet == b'_' { b' ' } else { *octet })
                .collect();
            quoted_printable(&spaced)
        }
        _ => return None,
    };
    Some(EncodedWord {
        charset,
        octets,
        length: 2 + charset_end + 3 + end + 2,
    })
}

/// Decodes base64, passing over what is not its alphabet.
pub(crate) fn base64(raw: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(raw.len() / 4 * 3 + 3);
    let (mut bits, mut count) = (0_u32, 0);
    for octet in raw {
        let value = match octet {
            b'A'..=b'Z' => octet - b'A',
            b'a'..=b'z' => octet - b'a' + 26,
            b'0'..=b'9' => octet - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                (bits, count) = (0, 0);
                continue;
            }
            _ => continue,
        };
        bits = (bits << 6 | u32::from(value)) & 0xff_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            octets.push((bits >> count & 0xff) as u8);
        }
    }
    octets
}

/// Decodes quoted-printable; broken escapes stay as they are.
pub(crate) fn quoted_printable(raw: &[u8]) -> Vec<u8> {
    let digit = |octet: u8| {
        (octet as char)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let mut octets = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(position) = memchr::memchr(b'=', rest) {
        octets.extend_from_slice(&rest[..position]);
        rest = &rest[position + 1..];
        match rest {
            [b'\r', b'\n', after @ ..] | [b'\n', after @ ..] => rest = after,
            [high, low, after @ ..] => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    octets.push(high << 4 | low);
                    rest = after;
                }
                _ => octets.push(b'='),
            },
            _ => octets.push(b'='),
        }
    }
    octets.extend_from_slice(rest);
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words() {
        assert_eq!(
            decode_header(b"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?= c"),
            "ab c"
        );
        assert_eq!(decode_header(b"=?ISO-8859-1?Q?a_b?="), "a b");
        assert_eq!(
            decode_header(b"x =?utf-8?b?5LiW?=\r\n =?UTF-8?B?55WM?= y"),
            "x \u{4e16}\u{754c} y"
        );
        assert_eq!(
            decode_header(b"=?utf-8?b?5Lg=?= =?utf-8?b?lg==?="),
            "\u{4e16}"
        );
        assert_eq!(
            decode_header(b"=?x =?utf-8?q?=C3=A4?= caf\xe9"),
            "=?x \u{e4} caf\u{e9}"
        );
        assert_eq!(decode_header(b"=?utf-8?x?abc?="), "=?utf-8?x?abc?=");
    }

    #[test]
    fn hostile_values_stay_linear() {
        assert_eq!(decode_header(&b"=?".repeat(200_000)).len(), VALUE_OCTETS);
    }

    #[test]
    fn transfer_encodings_are_tolerant() {
        assert_eq!(base64(b"aGVs\r\nbG8=!!aGk="), b"hellohi");
        assert_eq!(quoted_printable(b"a=3D=\r\nb=zz="), b"a=b=zz=");
    }
}
