//! MIME parameters that were cut in pieces or have a charset (RFC 2231).

use encoding_rs::Encoding;
use std::collections::HashMap;

/// A parameter's name and value.
type Parameter = (Vec<u8>, Vec<u8>);

type Parameters = Vec<Parameter>;

/// Joins what was cut in pieces: `a*0`, `a*1` become `a`. What has a charset (`a*`, or
/// `a*0*` and what follows) is converted to UTF-8 and becomes `a*` (RFC 9051 section
/// 7.5.2). What lacks a piece, or is in an unknown charset, stays as it was written.
pub fn join_parameters(parameters: &[(Vec<u8>, Vec<u8>)]) -> Parameters {
    let mut groups: HashMap<Vec<u8>, Vec<Piece<'_>>> = HashMap::new();
    for (place, (name, value)) in parameters.iter().enumerate() {
        if let Some((base, section, is_extended)) = split(name) {
            groups
                .entry(base.to_ascii_lowercase())
                .or_default()
                .push(Piece {
                    place,
                    section,
                    is_extended,
                    value,
                });
        }
    }
    // At the place of a group's first piece what they make together; the other places
    // are left out.
    let mut joined: HashMap<usize, Option<Parameter>> = HashMap::new();
    for pieces in groups.values_mut() {
        pieces.sort_by_key(|piece| piece.section);
        let Some((value, is_extended)) = join(pieces) else {
            continue;
        };
        let first = pieces.iter().map(|piece| piece.place).min();
        let base = first.and_then(|place| split(&parameters.get(place)?.0));
        let (Some(first), Some((base, ..))) = (first, base) else {
            continue;
        };
        let mut name = base.to_vec();
        name.extend(is_extended.then_some(b'*'));
        joined.extend(pieces.iter().map(|piece| (piece.place, None)));
        joined.insert(first, Some((name, value)));
    }
    let at = |(place, parameter): (usize, &Parameter)| match joined.get(&place) {
        Some(joined) => joined.clone(),
        None => Some(parameter.clone()),
    };
    parameters.iter().enumerate().filter_map(at).collect()
}

/// One piece of a parameter.
struct Piece<'a> {
    /// Where it stands.
    place: usize,
    /// Its number.
    section: u32,
    /// Whether its value is percent-encoded.
    is_extended: bool,
    value: &'a [u8],
}

/// The attribute, the section (0 where there is one piece) and whether the value is
/// extended; `None` for a regular name.
fn split(name: &[u8]) -> Option<(&[u8], u32, bool)> {
    let (name, is_extended) = match name.strip_suffix(b"*") {
        Some(name) => (name, true),
        None => (name, false),
    };
    match name.iter().position(|octet| *octet == b'*') {
        None => is_extended.then_some((name, 0, true)),
        Some(star) => {
            let (base, section) = (name.get(..star)?, name.get(star + 1..)?);
            let is_number = !section.is_empty() && section.iter().all(u8::is_ascii_digit);
            let is_canonical = section.len() == 1 || section.first() != Some(&b'0');
            let section = std::str::from_utf8(section).ok()?;
            (is_number && is_canonical).then_some((base, section.parse().ok()?, is_extended))
        }
    }
    .filter(|(base, ..)| !base.is_empty())
}

/// The value of pieces in order, and whether it is in UTF-8 now.
fn join(pieces: &[Piece<'_>]) -> Option<(Vec<u8>, bool)> {
    let is_whole = pieces
        .iter()
        .enumerate()
        .all(|(place, piece)| usize::try_from(piece.section) == Ok(place));
    if !is_whole {
        return None;
    }
    let mut encoding = None;
    let mut octets = Vec::new();
    for (place, piece) in pieces.iter().enumerate() {
        let mut value = piece.value;
        if place == 0 && piece.is_extended {
            let mut parts = value.splitn(3, |octet| *octet == b'\'');
            let (charset, _, rest) = (parts.next()?, parts.next()?, parts.next()?);
            encoding = Some(Encoding::for_label(charset)?);
            value = rest;
        }
        match piece.is_extended {
            true => decode_percents(value, &mut octets),
            false => octets.extend_from_slice(value),
        }
    }
    match encoding {
        None if pieces.iter().any(|piece| piece.is_extended) => None,
        None => Some((octets, false)),
        Some(encoding) => {
            let (text, _) = encoding.decode_without_bom_handling(&octets);
            Some((text.replace('\0', " ").into_bytes(), true))
        }
    }
}

fn decode_percents(value: &[u8], octets: &mut Vec<u8>) {
    let digit = |octet: &u8| char::from(*octet).to_digit(16);
    let mut rest = value;
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        if *octet == b'%'
            && let [high, low, after @ ..] = rest
            && let (Some(high), Some(low)) = (digit(high), digit(low))
            && let Ok(decoded) = u8::try_from(high * 16 + low)
        {
            octets.push(decoded);
            rest = after;
        } else {
            octets.push(*octet);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(parameters: &[(&str, &str)]) -> Vec<(String, String)> {
        let octets = |text: &str| text.as_bytes().to_vec();
        let parameters: Vec<_> = parameters
            .iter()
            .map(|(name, value)| (octets(name), octets(value)))
            .collect();
        let text = |octets: Vec<u8>| String::from_utf8(octets).expect("UTF-8");
        join_parameters(&parameters)
            .into_iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        expected.iter().map(own).collect()
    }

    /// The examples of RFC 2231 sections 3 and 4.1.
    #[test]
    fn joins_as_rfc_2231_shows() {
        assert_eq!(
            joined(&[
                ("access-type", "URL"),
                ("URL*1", "cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar"),
                ("URL*0", "ftp://"),
            ]),
            pairs(&[
                ("access-type", "URL"),
                (
                    "URL",
                    "ftp://cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar"
                ),
            ])
        );
        assert_eq!(
            joined(&[
                ("title*0*", "us-ascii'en'This%20is%20even%20more%20"),
                ("title*1*", "%2A%2A%2Afun%2A%2A%2A%20"),
                ("title*2", "isn't it!"),
            ]),
            pairs(&[("title*", "This is even more ***fun*** isn't it!")])
        );
        assert_eq!(
            joined(&[("name*", "iso-8859-1'de'Gr%FC%dfe%2"), ("charset", "x")]),
            pairs(&[("name*", "Gr\u{fc}\u{df}e%2"), ("charset", "x")])
        );
    }

    #[test]
    fn what_cannot_be_joined_stays() {
        for broken in [
            &[("a*1", "x"), ("a*2", "y")][..],
            &[("a*0", "x"), ("a*0", "y")],
            &[("a*0", "x"), ("a*2", "y")],
            &[("a*00", "x")],
            &[("a*b", "x"), ("*0", "y"), ("*", "z")],
            &[("a*", "no charset")],
            &[("a*0", "x"), ("a*1*", "%41")],
            &[("a*", "x-none''%41")],
            &[("a*4294967296", "x")],
        ] {
            assert_eq!(joined(broken), pairs(broken));
        }
    }
}
