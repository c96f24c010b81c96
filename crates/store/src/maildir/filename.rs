//! Names of message files: `<secs>.M<usecs>P<pid>.<host>,S=<n>,W=<n>:2,<flags>`.

use crate::Flags;
use crate::disk::host_name;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// What follows the unique name, taken apart. Nothing in it is lost when the name
/// is written again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Info {
    /// The system flags.
    pub(crate) flags: Flags,
    /// Keyword letters as bits, `a` being bit 0.
    pub(crate) letters: u32,
    /// Letters nobody here knows.
    pub(crate) unknown: String,
    /// A comma after the flags and all that follows.
    pub(crate) trailer: String,
}

/// The system flags with their letters, in ASCII order.
const LETTERS: [(u8, Flags); 5] = [
    (b'D', Flags::DRAFT),
    (b'F', Flags::FLAGGED),
    (b'R', Flags::ANSWERED),
    (b'S', Flags::SEEN),
    (b'T', Flags::DELETED),
];

/// The unique name: all before the first `:`.
pub(crate) fn unique_name(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

/// Unique name and what follows it of a file that may be a message: no dot name, no
/// empty unique name, no line ends.
pub(crate) fn of_message(name: &str) -> Option<(&str, &str)> {
    if name.starts_with(['.', ':']) || name.contains(['\r', '\n']) {
        return None;
    }
    name.split_at_checked(unique_name(name).len())
}

impl Info {
    /// Reads what follows the last `:`, if it begins with `2,`.
    pub(crate) fn parse(name: &str) -> Self {
        let mut info = Self::default();
        let Some(text) = name
            .rsplit_once(':')
            .and_then(|(_, info)| info.strip_prefix("2,"))
        else {
            return info;
        };
        let flags = match text.find(',') {
            Some(comma) => {
                let (flags, trailer) = text.split_at(comma);
                info.trailer = trailer.to_owned();
                flags
            }
            None => text,
        };
        for letter in flags.chars() {
            let known = LETTERS
                .iter()
                .find(|(known, _)| char::from(*known) == letter);
            if let Some((_, flag)) = known {
                info.flags = info.flags.with(*flag);
            } else if letter.is_ascii_lowercase() {
                info.letters |= 1 << (u32::from(letter) - u32::from('a'));
            } else if !info.unknown.contains(letter) {
                info.unknown.push(letter);
            }
        }
        info
    }
    /// Writes `:2,<flags>`, letters in ASCII order.
    pub(crate) fn suffix(&self) -> String {
        let mut letters: Vec<char> = self.unknown.chars().collect();
        for (letter, flag) in LETTERS {
            if self.flags.contains(flag) {
                letters.push(char::from(letter));
            }
        }
        for (bit, letter) in (b'a'..=b'z').enumerate() {
            if self.letters & (1 << bit) != 0 {
                letters.push(char::from(letter));
            }
        }
        letters.sort_unstable();
        let mut suffix = String::with_capacity(3 + letters.len() + self.trailer.len());
        suffix.push_str(":2,");
        suffix.extend(letters);
        suffix.push_str(&self.trailer);
        suffix
    }
}

/// A size field of a unique name: `,S=` octets on disk, `,W=` octets as sent.
pub(crate) fn size_field(unique: &str, letter: char) -> Option<u64> {
    unique.split(',').skip(1).find_map(|field| {
        let digits = field.strip_prefix(letter)?.strip_prefix('=')?;
        if digits.is_empty() || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
            return None;
        }
        digits.parse().ok()
    })
}

/// The seconds a unique name begins with, 0 if it begins with no number.
pub(crate) fn seconds(unique: &str) -> u64 {
    delivery_order(unique).0
}

/// The order in which new messages get UIDs: leading seconds, then `M`
/// microseconds, then octets.
pub(crate) fn delivery_order(unique: &str) -> (u64, u64, &str) {
    let digits = |text: &str| -> u64 {
        let end = text
            .bytes()
            .position(|octet| !octet.is_ascii_digit())
            .unwrap_or(text.len());
        text.get(..end)
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(0)
    };
    let micros = unique
        .split('.')
        .nth(1)
        .and_then(|part| part.find('M').and_then(|at| part.get(at + 1..)))
        .map_or(0, digits);
    (digits(unique), micros, unique)
}

/// A fresh `<secs>.M<usecs>P<pid>.<host>`, never given before in this process.
pub(crate) fn fresh() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| u64::try_from(age.as_micros()).unwrap_or(0));
    let mut given = now;
    let _ = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
        given = now.max(last + 1);
        Some(given)
    });
    format!(
        "{}.M{}P{}.{}",
        given / 1_000_000,
        given % 1_000_000,
        std::process::id(),
        host_name()
    )
}

/// A fresh unique name with the sizes to be recorded.
pub(crate) fn fresh_sized(file_octets: Option<u64>, size_octets: Option<u64>) -> String {
    let mut name = fresh();
    for (letter, octets) in [('S', file_octets), ('W', size_octets)] {
        if let Some(octets) = octets {
            name.push_str(&format!(",{letter}={octets}"));
        }
    }
    name
}

/// The field of a unique name that says of which message it is a copy.
const ORIGINAL: &str = "I=";
/// Octets of a digest that identifies a message.
const IDENTIFIER_OCTETS: usize = 16;

/// What identifies the content of a message (RFC 8474), copied or moved wherever: what a
/// copy's unique name tells of its original, or else a digest of the name. `guid` is its
/// GUID, which is its unique name unless the UID list has another (`G`).
pub(crate) fn identifier(guid: &str) -> String {
    let mut fields = guid.split(',').skip(1);
    let original = fields.find_map(|field| field.strip_prefix(ORIGINAL));
    if let Some(original) = original.filter(|id| is_identifier(id)) {
        return original.to_owned();
    }
    let digest = Sha256::digest(guid.as_bytes());
    URL_SAFE_NO_PAD.encode(&digest[..IDENTIFIER_OCTETS])
}

fn is_identifier(text: &str) -> bool {
    let fits = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-');
    text.len() == (IDENTIFIER_OCTETS * 8).div_ceil(6) && text.bytes().all(fits)
}

/// The unique name of a copy: a fresh one with sizes, and what identifies the original.
pub(crate) fn fresh_copy(
    file_octets: Option<u64>,
    size_octets: Option<u64>,
    identifier: &str,
) -> String {
    let mut name = fresh_sized(file_octets, size_octets);
    name.push(',');
    name.push_str(ORIGINAL);
    name.push_str(identifier);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_letters_and_trailers_stay() {
        let name = "1.M2P3.h,S=4,W=5:2,SPac,x=1";
        let mut info = Info::parse(name);
        assert_eq!(unique_name(name), "1.M2P3.h,S=4,W=5");
        assert_eq!(info.flags, Flags::SEEN);
        assert_eq!(info.letters, 0b101);
        info.flags = info.flags.with(Flags::DRAFT);
        assert_eq!(info.suffix(), ":2,DPSac,x=1");
        assert_eq!(Info::parse("x:1,S"), Info::default());
    }

    #[test]
    fn sizes_and_order() {
        assert_eq!(size_field("1.2.h,S=4,W=5", 'W'), Some(5));
        assert_eq!(size_field("1.2.h,S=4,W=", 'W'), None);
        assert_eq!(size_field("1.2.h,W=99999999999999999999999", 'W'), None);
        assert!(delivery_order("9.M5P1.h") < delivery_order("10.M1P1.h"));
        assert!(delivery_order("9.M5P1.h") < delivery_order("9.M10P1.h"));
    }

    #[test]
    fn a_copy_is_identified_as_its_original() {
        let id = identifier("1.M2P3.h,S=4,W=5");
        assert!(is_identifier(&id));
        assert_ne!(id, identifier("1.M2P3.h,S=4,W=6"));
        let copy = fresh_copy(Some(4), None, &id);
        assert_eq!(size_field(&copy, 'S'), Some(4));
        assert_eq!(identifier(&copy), id);
        assert_eq!(identifier(&fresh_copy(None, None, &identifier(&copy))), id);
        // What only looks like one is part of a name.
        for other in [
            "1.h,I=short",
            "1.h,I=",
            "I=AAAAAAAAAAAAAAAAAAAAAA",
            "1.h,I=AAAAAAAAAAAAAAAAAAAAA+",
        ] {
            assert_ne!(
                identifier(other),
                other[other.len() - 22.min(other.len())..]
            );
            assert!(is_identifier(&identifier(other)));
        }
    }

    #[test]
    fn fresh_names_differ() {
        assert_ne!(fresh(), fresh());
    }
}
