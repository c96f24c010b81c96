//! Modified UTF-7 of mailbox names (RFC 3501 section 5.1.3).

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// Writes a Unicode string in modified UTF-7. The result is canonical, printable
/// US-ASCII.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut shifted: Vec<u8> = Vec::new();
    for character in text.chars() {
        if matches!(character, ' '..='~') {
            flush(&mut shifted, &mut out);
            out.push(character);
            if character == '&' {
                out.push('-');
            }
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                shifted.extend_from_slice(&unit.to_be_bytes());
            }
        }
    }
    flush(&mut shifted, &mut out);
    out
}

/// Writes collected UTF-16 octets as one shifted run.
fn flush(shifted: &mut Vec<u8>, out: &mut String) {
    if shifted.is_empty() {
        return;
    }
    out.push('&');
    let (mut bits, mut count) = (0u32, 0u32);
    for octet in shifted.drain(..) {
        bits = (bits << 8 | u32::from(octet)) & 0xffff;
        count += 8;
        while count >= 6 {
            count -= 6;
            out.push(digit(bits >> count));
        }
    }
    if count > 0 {
        out.push(digit(bits << (6 - count)));
    }
    out.push('-');
}

fn digit(value: u32) -> char {
    char::from(ALPHABET[(value & 63) as usize])
}

/// Reads modified UTF-7. `None` unless it is canonical: printable US-ASCII, no
/// encoded US-ASCII, no lone surrogate, every run ended, no two runs in a row,
/// padding bits zero.
pub fn decode(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut after_run = false;
    while let Some(character) = rest.chars().next() {
        rest = rest.get(character.len_utf8()..)?;
        if !matches!(character, ' '..='~') {
            return None;
        }
        if character != '&' {
            out.push(character);
            after_run = false;
            continue;
        }
        let (run, after) = rest.split_once('-')?;
        rest = after;
        if run.is_empty() {
            out.push('&');
            after_run = false;
            continue;
        }
        if after_run {
            return None;
        }
        decode_run(run, &mut out)?;
        after_run = true;
    }
    Some(out)
}

fn decode_run(run: &str, out: &mut String) -> Option<()> {
    let mut units = Vec::with_capacity(run.len() * 6 / 16);
    let (mut bits, mut count) = (0u32, 0u32);
    for octet in run.bytes() {
        let value = match octet {
            b'A'..=b'Z' => octet - b'A',
            b'a'..=b'z' => octet - b'a' + 26,
            b'0'..=b'9' => octet - b'0' + 52,
            b'+' => 62,
            b',' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 16 {
            count -= 16;
            units.push(u16::try_from(bits >> count & 0xffff).ok()?);
            bits &= (1 << count) - 1;
        }
    }
    if count >= 6 || bits != 0 || units.is_empty() {
        return None;
    }
    for character in char::decode_utf16(units) {
        let character = character.ok()?;
        if matches!(character, ' '..='~') {
            return None;
        }
        out.push(character);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn examples_of_rfc_3501() {
        let mixed = "~peter/mail/\u{53f0}\u{5317}/\u{65e5}\u{672c}\u{8a9e}";
        assert_eq!(encode(mixed), "~peter/mail/&U,BTFw-/&ZeVnLIqe-");
        assert_eq!(
            decode("~peter/mail/&U,BTFw-/&ZeVnLIqe-").as_deref(),
            Some(mixed)
        );
        // "&Jjo!" and "&U,BTFw-&ZeVnLIqe-" are named there as invalid.
        assert_eq!(decode("&Jjo!"), None);
        assert_eq!(decode("&U,BTFw-&ZeVnLIqe-"), None);
        assert_eq!(decode("&Jjo-!").as_deref(), Some("\u{263a}!"));
        assert_eq!(
            decode("&U,BTF2XlZyyKng-").as_deref(),
            Some("\u{53f0}\u{5317}\u{65e5}\u{672c}\u{8a9e}")
        );
        assert_eq!(encode("A&B"), "A&-B");
        assert_eq!(decode("A&-B").as_deref(), Some("A&B"));
    }

    #[test]
    fn refuses_what_is_not_canonical() {
        for text in [
            "&", "a&", "&AGE-", "&2D0-", "&APw", "&APx-", "&A-", "&AP-", "&APwA-", "&AP/-",
            "\u{fc}", "a\tb", "&APw=-",
        ] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn round_trips(text in any::<String>()) {
            let encoded = encode(&text);
            prop_assert!(encoded.bytes().all(|octet| (0x20..0x7f).contains(&octet)));
            prop_assert_eq!(decode(&encoded), Some(text));
        }

        #[test]
        fn what_decodes_is_canonical(text in "[&A-Da-z,+!-]{0,12}") {
            if let Some(decoded) = decode(&text) {
                prop_assert_eq!(encode(&decoded), text);
            }
        }
    }
}
