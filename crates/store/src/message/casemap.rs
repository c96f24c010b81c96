//! i;unicode-casemap (RFC 5051).

use unicode_normalization::char::decompose_compatible;

/// Appends a text in the form in which i;unicode-casemap compares octets: each character
/// in title case, and taken apart.
pub fn casemap(text: &str, canonical: &mut Vec<u8>) {
    let begin = canonical.len();
    if text.is_ascii() {
        canonical.extend_from_slice(text.as_bytes());
        canonical[begin..].make_ascii_uppercase();
        return;
    }
    let mut push = |part: char| {
        canonical.extend_from_slice(part.encode_utf8(&mut [0; 4]).as_bytes());
    };
    for character in text.chars() {
        match character {
            '\0'..='\x7f' => push(character.to_ascii_uppercase()),
            // Unified ideographs are their own title case and have no parts.
            '\u{3400}'..='\u{9fff}' => push(character),
            // Syllables of Hangul have no decomposition property in UnicodeData.txt.
            '\u{ac00}'..='\u{d7a3}' => push(character),
            _ => decompose_compatible(title_case(character), &mut push),
        }
    }
}

/// The simple title case mapping of UnicodeData.txt. It is the upper case mapping but for
/// the digraphs that have a form of their own, Greek with iota beneath, and Georgian.
fn title_case(character: char) -> char {
    match character {
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        '\u{10d0}'..='\u{10fa}' | '\u{10fd}'..='\u{10ff}' => character,
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => {
            char::from_u32(u32::from(character) + 8).unwrap_or(character)
        }
        '\u{1fb3}' => '\u{1fbc}',
        '\u{1fc3}' => '\u{1fcc}',
        '\u{1ff3}' => '\u{1ffc}',
        _ => {
            // What becomes several has no simple mapping.
            let mut capitals = character.to_uppercase();
            match (capitals.next(), capitals.next()) {
                (Some(capital), None) => capital,
                _ => character,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        let mut octets = b"before".to_vec();
        casemap(text, &mut octets);
        String::from_utf8(octets[6..].to_vec()).unwrap()
    }

    #[test]
    fn rfc_5051_section_2() {
        // Its example.
        assert_eq!(canonical("\u{1c4}"), "Dz\u{30c}");
        for (text, expected) in [
            ("abc_Z", "ABC_Z"),
            ("gr\u{fc}n", "GRU\u{308}N"),
            ("stra\u{df}e", "STRA\u{df}E"),
            ("\u{3c3}\u{3c2}", "\u{3a3}\u{3a3}"),
            ("\u{131}", "I"),
            ("\u{1f80}", "\u{391}\u{313}\u{345}"),
            ("\u{10d0}", "\u{10d0}"),
            ("\u{fb01}", "fi"),
            ("\u{ff41}", "A"),
            ("\u{4e16}\u{d55c}", "\u{4e16}\u{d55c}"),
        ] {
            assert_eq!(canonical(text), expected, "{text}");
        }
    }
}
