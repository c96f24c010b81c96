//! [`Reading`]: how strings, mailbox names and keys are read, by what the client enabled.

use super::cursor::Parsed;
use crate::dialect::Revision;

/// How a command is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// What mailbox names and quoted strings are in.
    pub names: Names,
    /// Whether SEARCH may name a charset.
    pub charset: CharsetArgument,
    /// Of which revision commands are.
    pub revision: Revision,
    /// Whether SEARCH knows UIDAFTER and UIDBEFORE.
    pub uid_bounds: UidBounds,
}

/// UIDAFTER and UIDBEFORE (RFC 9738 section 3.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UidBounds {
    /// They are known.
    Known,
    /// MESSAGELIMIT is not offered.
    #[default]
    Unknown,
}

/// What mailbox names and quoted strings are in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Names {
    /// Modified UTF-7 (RFC 3501 section 5.1.3), and nothing else.
    #[default]
    Utf7,
    /// Modified UTF-7, or UTF-8 where they are not ASCII: the client may be about to enable
    /// UTF8=ACCEPT (RFC 9755 section 3).
    Either,
    /// UTF-8 (RFC 9051 section 5.1).
    Utf8,
}

/// Whether SEARCH may name a charset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CharsetArgument {
    /// It may.
    #[default]
    Taken,
    /// It may not: all strings are in UTF-8 (RFC 9755 section 3).
    Refused,
}

impl Names {
    /// Decodes a mailbox's name or pattern to Unicode.
    pub(super) fn decode(self, octets: &[u8]) -> Parsed<String> {
        match self {
            Self::Utf8 => utf8(octets),
            Self::Either if !octets.is_ascii() => utf8(octets),
            Self::Utf7 | Self::Either => utf7(octets),
        }
    }
}

/// Decodes modified UTF-7; 8-bit names are refused.
fn utf7(octets: &[u8]) -> Parsed<String> {
    if octets.iter().any(|octet| !(0x20..0x7f).contains(octet)) {
        return Err("A mailbox name must be printable ASCII (modified UTF-7)".into());
    }
    std::str::from_utf8(octets)
        .ok()
        .and_then(store::modified_utf7::decode)
        .ok_or_else(|| "A mailbox name is not valid modified UTF-7".into())
}

/// Net-Unicode (RFC 5198 section 2) without control characters and separators of lines.
fn utf8(octets: &[u8]) -> Parsed<String> {
    let text =
        std::str::from_utf8(octets).map_err(|_| "A mailbox name is neither ASCII nor UTF-8")?;
    let is_forbidden = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if text.contains(is_forbidden) || text.starts_with('\u{feff}') {
        return Err("A mailbox name has a control character".into());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_the_client_writes_them() {
        let read = |names: Names, octets: &[u8]| names.decode(octets).ok();
        let umlaut = "\u{e4}";
        assert_eq!(read(Names::Utf7, b"&AOQ-").as_deref(), Some(umlaut));
        assert_eq!(read(Names::Either, b"&AOQ-").as_deref(), Some(umlaut));
        assert_eq!(read(Names::Utf8, b"&AOQ-").as_deref(), Some("&AOQ-"));
        assert_eq!(read(Names::Utf8, b"a&b").as_deref(), Some("a&b"));
        assert_eq!(read(Names::Either, b"a&b"), None);
        for names in [Names::Either, Names::Utf8] {
            assert_eq!(read(names, umlaut.as_bytes()).as_deref(), Some(umlaut));
            for wrong in [
                &b"\xe4"[..],
                b"a\xc0\x80",
                b"\xed\xa0\x80",
                b"a\0\xc3\xa4",
                "\u{85}".as_bytes(),
                "a\u{2028}".as_bytes(),
                "\u{feff}a".as_bytes(),
            ] {
                assert_eq!(read(names, wrong), None, "{wrong:?}");
            }
        }
        assert_eq!(read(Names::Utf7, umlaut.as_bytes()), None);
        assert_eq!(read(Names::Utf8, b"a\x7f"), None);
    }
}
