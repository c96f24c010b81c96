//! Mailbox names as directory names of Maildir++, and as clients write them.
//!
//! `A/B` is `.A.B` beside INBOX, each level in modified UTF-7. What a level cannot
//! hold there is written as Dovecot's listescape does: `.` as `\2e`, `/` as `\2f`
//! and the backslash as `\5c`.

use crate::account::Layout;
use crate::{Error, MailboxName, Result, modified_utf7};

/// How many octets a directory's name may have.
const MAX_DIRECTORY_OCTETS: usize = 255;
/// How many levels a name may have.
const MAX_LEVELS: usize = 64;

impl MailboxName {
    /// Makes a name of its levels, outermost first. INBOX at the first level is
    /// taken in any case. Fails with [`Error::InvalidName`] for what cannot be the
    /// name of one directory.
    pub fn new(levels: Vec<String>) -> Result<Self> {
        let name = Self::normalised(levels)?;
        if !name.is_inbox() && name.storage_name().len() >= MAX_DIRECTORY_OCTETS {
            return Err(Error::InvalidName("name is too long"));
        }
        Ok(name)
    }

    /// As `new`, but of any length: names found on disk may be written otherwise
    /// than we would.
    fn normalised(mut levels: Vec<String>) -> Result<Self> {
        if levels.len() > MAX_LEVELS {
            return Err(Error::InvalidName("name has too many levels"));
        }
        for level in &levels {
            check_level(level)?;
        }
        let first = levels
            .first_mut()
            .ok_or(Error::InvalidName("name is empty"))?;
        if first.eq_ignore_ascii_case("INBOX") {
            first.make_ascii_uppercase();
        }
        Ok(Self(levels))
    }

    /// Reads a name as a client writes it (in Unicode).
    pub(crate) fn parse(text: &str, layout: &Layout) -> Result<Self> {
        let delimiter = layout.delimiter;
        let text = text.strip_suffix(delimiter).unwrap_or(text);
        if text.eq_ignore_ascii_case("INBOX") {
            return Ok(Self::inbox());
        }
        let rest = match text.split_at_checked(layout.prefix.len()) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case(&layout.prefix) => rest,
            _ => return Err(Error::InvalidName("name lacks the namespace's prefix")),
        };
        let name = Self::new(rest.split(delimiter).map(unescape).collect())?;
        if name.is_inbox() {
            return Err(Error::InvalidName("INBOX has no prefix"));
        }
        Ok(name)
    }

    /// The reverse of `parse`. A delimiter inside a level is shown escaped.
    pub(crate) fn show(&self, layout: &Layout) -> String {
        if self.is_inbox() {
            return "INBOX".to_owned();
        }
        let mut text = layout.prefix.clone();
        for (index, level) in self.0.iter().enumerate() {
            if index > 0 {
                text.push(layout.delimiter);
            }
            let mut rest = level.as_str();
            while let Some(character) = rest.chars().next() {
                let ambiguous = character == '\\' && escaped_at(rest).is_some();
                if character == layout.delimiter || ambiguous {
                    text.push_str(escape(character).unwrap_or_default());
                } else {
                    text.push(character);
                }
                rest = rest.get(character.len_utf8()..).unwrap_or_default();
            }
        }
        text
    }

    /// The levels as stored, with `.` between them; `INBOX` for INBOX.
    pub(crate) fn storage_name(&self) -> String {
        let levels: Vec<_> = self.0.iter().map(|level| encode_level(level)).collect();
        levels.join(".")
    }

    /// Reads a storage name. What cannot be decoded is taken as it stands, so that
    /// no directory is lost; `None` for what can be no mailbox's name.
    pub(crate) fn from_storage_name(text: &str) -> Option<Self> {
        Self::normalised(text.split('.').map(decode_level).collect()).ok()
    }

    /// The name of its directory in the root; `None` for INBOX, which is the root,
    /// and for what is too long. It is always one component and never `.` or `..`.
    pub(crate) fn directory_name(&self) -> Option<String> {
        let name = format!(".{}", self.storage_name());
        (!self.is_inbox() && name.len() <= MAX_DIRECTORY_OCTETS).then_some(name)
    }

    /// The mailbox that a directory of the root is, if it can be one's.
    pub fn from_directory_name(name: &std::ffi::OsStr) -> Option<Self> {
        let name = name.to_string_lossy();
        Self::from_storage_name(name.strip_prefix('.')?).filter(|name| !name.is_inbox())
    }

    /// Whether this name lies below `other` in the hierarchy.
    pub fn is_inferior_of(&self, other: &Self) -> bool {
        self.0.len() > other.0.len() && self.0.starts_with(&other.0)
    }
}

fn check_level(level: &str) -> Result<()> {
    if level.is_empty() {
        return Err(Error::InvalidName("name has an empty level"));
    }
    if level == "." || level == ".." {
        return Err(Error::InvalidName("name has a level . or .."));
    }
    let forbidden = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if level.contains(forbidden) {
        return Err(Error::InvalidName("name has a control character"));
    }
    Ok(())
}

fn escape(character: char) -> Option<&'static str> {
    match character {
        '.' => Some("\\2e"),
        '/' => Some("\\2f"),
        '\\' => Some("\\5c"),
        _ => None,
    }
}

/// The character whose escape this text starts with.
fn escaped_at(text: &str) -> Option<char> {
    let octets = text.as_bytes().get(..3)?;
    if octets.eq_ignore_ascii_case(b"\\2e") {
        Some('.')
    } else if octets.eq_ignore_ascii_case(b"\\2f") {
        Some('/')
    } else if octets.eq_ignore_ascii_case(b"\\5c") {
        Some('\\')
    } else {
        None
    }
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let (shown, octets) = match escaped_at(rest) {
            Some(escaped) => (escaped, 3),
            None => (character, character.len_utf8()),
        };
        out.push(shown);
        rest = rest.get(octets..).unwrap_or_default();
    }
    out
}

/// One level as stored.
pub(crate) fn encode_level(level: &str) -> String {
    let mut out = String::with_capacity(level.len());
    for character in modified_utf7::encode(level).chars() {
        match escape(character) {
            Some(escaped) => out.push_str(escaped),
            None => out.push(character),
        }
    }
    out
}

/// One level from the disk; as it stands when it is no modified UTF-7.
pub(crate) fn decode_level(text: &str) -> String {
    match modified_utf7::decode(text) {
        Some(decoded) => unescape(&decoded),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ffi::OsStr;

    fn layout(delimiter: char, prefix: &str) -> Layout {
        Layout {
            delimiter,
            prefix: prefix.to_owned(),
        }
    }

    fn name(levels: &[&str]) -> MailboxName {
        MailboxName::new(levels.iter().map(|level| (*level).to_owned()).collect()).unwrap()
    }

    #[test]
    fn maps_to_directories() {
        for (levels, directory) in [
            (&["A", "B"][..], ".A.B"),
            (&["Entw\u{fc}rfe"], ".Entw&APw-rfe"),
            (&["v1.2", "a/b"], ".v1\\2e2.a\\2fb"),
            (&["a\\2eb"], ".a\\5c2eb"),
            (&["inBox", "x"], ".INBOX.x"),
        ] {
            let name = name(levels);
            assert_eq!(name.directory_name().as_deref(), Some(directory));
            let read = MailboxName::from_directory_name(OsStr::new(directory));
            assert_eq!(read, Some(name));
        }
        assert_eq!(MailboxName::inbox().directory_name(), None);
    }

    #[test]
    fn keeps_undecodable_directories() {
        for (directory, level) in [
            (".Entw\u{fc}rfe", "Entw\u{fc}rfe"),
            (".A&B", "A&B"),
            (".a\\b", "a\\b"),
        ] {
            let read = MailboxName::from_directory_name(OsStr::new(directory)).unwrap();
            assert_eq!(read.levels(), [level]);
        }
        for directory in [
            "..DOVECOT-TRASHED",
            ".A..B",
            ".",
            "..",
            ".inbox",
            ".A.",
            "cur",
        ] {
            assert_eq!(
                MailboxName::from_directory_name(OsStr::new(directory)),
                None
            );
        }
    }

    #[test]
    fn parses_and_shows() {
        let slash = layout('/', "");
        assert_eq!(
            MailboxName::parse("iNbOx", &slash).unwrap(),
            MailboxName::inbox()
        );
        assert_eq!(
            MailboxName::parse("inbox/x/", &slash).unwrap(),
            name(&["INBOX", "x"])
        );
        assert_eq!(
            MailboxName::parse("a.b/c", &slash).unwrap(),
            name(&["a.b", "c"])
        );
        assert_eq!(name(&["a.b", "c"]).show(&slash), "a.b/c");
        let courier = layout('.', "INBOX.");
        assert_eq!(
            MailboxName::parse("Inbox.Sent", &courier).unwrap(),
            name(&["Sent"])
        );
        assert_eq!(
            MailboxName::parse("INBOX.", &courier).unwrap(),
            MailboxName::inbox()
        );
        assert_eq!(name(&["Sent", "2024"]).show(&courier), "INBOX.Sent.2024");
        assert_eq!(name(&["a.b"]).show(&courier), "INBOX.a\\2eb");
        for text in ["Sent", "INBOX.INBOX", "INBOX..a", ""] {
            assert!(MailboxName::parse(text, &courier).is_err(), "{text}");
        }
        let long = "x".repeat(255);
        let deep = "a/".repeat(65);
        for text in [
            "", "/", "/a", "a//b", "..", "a/../b", ".", "a\0b", "a\nb", "a//", &long, &deep,
        ] {
            assert!(MailboxName::parse(text, &slash).is_err(), "{text:?}");
        }
        assert!(MailboxName::parse(&"x".repeat(254), &slash).is_ok());
    }

    proptest! {
        #[test]
        fn accepted_names_round_trip(
            levels in proptest::collection::vec("(\\PC|[./\\\\&25cef~]){0,6}|.{0,5}", 0..5)
        ) {
            let Ok(name) = MailboxName::new(levels) else { return Ok(()) };
            for layout in [layout('/', ""), layout('.', ""), layout('.', "INBOX.")] {
                prop_assert_eq!(MailboxName::parse(&name.show(&layout), &layout).unwrap(), name.clone());
            }
            let Some(directory) = name.directory_name() else {
                prop_assert!(name.is_inbox());
                return Ok(());
            };
            prop_assert!(directory.len() <= 255 && !directory.contains(['/', '\0']));
            let components: Vec<_> = std::path::Path::new(&directory).components().collect();
            prop_assert!(matches!(components[..], [std::path::Component::Normal(_)]));
            prop_assert_eq!(MailboxName::from_directory_name(OsStr::new(&directory)), Some(name));
        }
    }
}
