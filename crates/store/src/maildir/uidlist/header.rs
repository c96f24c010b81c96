//! The first line of a UID list: whose list it is.

use super::{NAME, Uidlist};
use crate::control_file::failed;
use crate::disk::{self, Stamp};
use crate::{Result, UidValidity};
use std::io::ErrorKind;
use std::path::Path;

/// A header is not longer.
const HEADER_OCTETS: usize = 4 << 10;

/// What the first line of a list says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// 3, or 1.
    pub(super) version: u8,
    pub(super) uid_validity: UidValidity,
    pub(super) uid_next: u32,
    /// The mailbox GUID, where it is said.
    pub(super) guid: Option<[u8; 16]>,
    /// Keys nobody here knows.
    pub(super) unknown_keys: Vec<String>,
}

impl Header {
    /// Reads a first line, without its end; `None` if it is none.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(line)
            .ok()?
            .split(' ')
            .filter(|word| !word.is_empty());
        let mut uid_validity = None;
        let mut uid_next = 1;
        let mut guid = None;
        let mut unknown_keys = Vec::new();
        let version = match words.next()? {
            "3" => {
                for word in words {
                    if let Some(value) = word.strip_prefix('V') {
                        uid_validity = value.parse().ok();
                    } else if let Some(value) = word.strip_prefix('N') {
                        uid_next = value.parse().unwrap_or(1);
                    } else if let Some(value) = word.strip_prefix('G') {
                        guid = parse_guid(value);
                    } else {
                        unknown_keys.push(word.to_owned());
                    }
                }
                3
            }
            "1" => {
                uid_validity = words.next()?.parse().ok();
                uid_next = words.next().and_then(|word| word.parse().ok()).unwrap_or(1);
                1
            }
            _ => return None,
        };
        Some(Self {
            version,
            uid_validity: uid_validity?,
            uid_next,
            guid,
            unknown_keys,
        })
    }
    /// Reads the first line of the list in a directory, and the file's stamp; no file is
    /// none, a line that says nothing is no header.
    pub(super) fn read(directory: &Path) -> Result<Option<(Option<Self>, Stamp)>> {
        let path = directory.join(NAME);
        let mut octets = vec![0; HEADER_OCTETS];
        let read = disk::open_regular(&path).and_then(|(file, metadata)| {
            let length = file.read_at(&mut octets, 0)?;
            octets.truncate(length);
            Ok(metadata.stamp)
        });
        let stamp = match read {
            Ok(stamp) => stamp,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &path, error)),
        };
        let end = memchr::memchr(b'\n', &octets);
        let line = end.and_then(|end| octets.get(..end));
        Ok(Some((line.and_then(Self::parse), stamp)))
    }
    /// Whether it is the header of this list: of the same mailbox with the same UIDs.
    pub(super) fn is_of(&self, list: &Uidlist) -> bool {
        self.uid_validity == list.uid_validity && self.guid.is_none_or(|guid| guid == list.guid)
    }
}

fn parse_guid(text: &str) -> Option<[u8; 16]> {
    let number = u128::from_str_radix(text, 16).ok()?;
    (text.len() == 32).then(|| number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_whose_list_it_is() {
        let header = |line: &str| Header::parse(line.as_bytes());
        let guid = "000102030405060708090a0b0c0d0e0f";
        let ours = Uidlist::parse(format!("3 V7 N9 G{guid}\n").as_bytes());
        let ours = ours.unwrap().unwrap();
        for (line, is_ours) in [
            (format!("3 V7 N900 G{guid} Xother"), true),
            ("3 V7 N9".to_owned(), true),
            ("1 7 3".to_owned(), true),
            ("1 8 3".to_owned(), false),
            (format!("3 V8 N9 G{guid}"), false),
            (format!("3 V7 N9 Gff{}", &guid[2..]), false),
        ] {
            assert_eq!(header(&line).unwrap().is_of(&ours), is_ours, "{line}");
        }
        for nothing in ["", "3", "3 V0", "1 x", "2 V7", "3 N9 V"] {
            assert_eq!(header(nothing), None, "{nothing}");
        }
    }
}
