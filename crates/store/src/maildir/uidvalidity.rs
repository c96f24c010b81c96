//! Where new mailboxes get their UIDVALIDITY from, as Dovecot keeps it:
//! `dovecot-uidvalidity` (8 lower-case hex digits, the last value given) and an
//! empty marker `dovecot-uidvalidity.<8 hex>` whose renaming to the next value
//! reserves it. Values only rise, so a name made again never gets an old one.

use crate::control_file::{self, failed};
use crate::disk;
use crate::{Result, UidValidity};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

const FILE: &str = "dovecot-uidvalidity";
/// How often another process may be faster than us.
const MAX_TRIES: u32 = 64;

/// Takes the next value of the account whose root this is. After a crash a value
/// may be skipped, but none is given twice.
pub(crate) fn next(root: &Path) -> Result<UidValidity> {
    let mut tries = 0;
    loop {
        let (last, markers) = last_given(root)?;
        let value = match last {
            Some(last) => UidValidity::new(last.wrapping_add(1)).unwrap_or(UidValidity::MIN),
            None => now(),
        };
        let newest = markers.iter().copied().max();
        let fresh = marker(root, value.get());
        let reserved = match newest {
            Some(newest) => disk::rename(&marker(root, newest), &fresh),
            None => disk::create_new(&fresh).map(drop),
        };
        tries += 1;
        match reserved {
            Ok(()) => {
                for stale in markers {
                    if Some(stale) != newest && stale != value.get() {
                        control_file::remove_if_there(&marker(root, stale))?;
                    }
                }
                control_file::replace(root, FILE, format!("{value:08x}").as_bytes())?;
                return Ok(value);
            }
            // Another process took it: look again.
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists)
                    && tries < MAX_TRIES => {}
            Err(error) => return Err(failed("reserve", &fresh, error)),
        }
    }
}

/// The last value given, from the file and the markers, and all markers.
fn last_given(root: &Path) -> Result<(Option<u32>, Vec<u32>)> {
    let mut last = control_file::read(&root.join(FILE))?
        .and_then(|octets| parse(octets.trim_ascii()))
        .filter(|value| *value != 0);
    let mut markers = Vec::new();
    let listed = disk::list(root).map_err(|error| failed("list", root, error))?;
    for entry in listed {
        let value = entry
            .name
            .to_str()
            .and_then(|name| name.strip_prefix("dovecot-uidvalidity."))
            .and_then(|digits| parse(digits.as_bytes()));
        if let Some(value) = value {
            markers.push(value);
            last = last.max(Some(value));
        }
    }
    Ok((last, markers))
}

/// Reads eight lower-case hex digits.
fn parse(digits: &[u8]) -> Option<u32> {
    let fits = digits.len() == 8
        && digits
            .iter()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    fits.then(|| std::str::from_utf8(digits).ok())
        .flatten()
        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
}

fn marker(root: &Path, value: u32) -> PathBuf {
    root.join(format!("{FILE}.{value:08x}"))
}

/// Unix time, where a new account starts.
fn now() -> UidValidity {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(1, |since| since.as_secs());
    UidValidity::new(u32::try_from(seconds).unwrap_or(u32::MAX)).unwrap_or(UidValidity::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(root: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(root)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn starts_at_the_time_and_rises() {
        let root = tempfile::tempdir().unwrap();
        let first = next(root.path()).unwrap();
        assert!(first >= UidValidity::new(now().get() - 5).unwrap());
        let second = next(root.path()).unwrap();
        assert_eq!(second.get(), first.get() + 1);
        let digits = format!("{second:08x}");
        assert_eq!(
            names(root.path()),
            [FILE.to_owned(), format!("{FILE}.{digits}")]
        );
        assert_eq!(
            std::fs::read_to_string(root.path().join(FILE)).unwrap(),
            digits
        );
    }

    #[test]
    fn goes_on_from_what_is_left() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("dovecot-uidvalidity.00000010"), "").unwrap();
        std::fs::write(root.path().join("dovecot-uidvalidity.00000005"), "").unwrap();
        assert_eq!(next(root.path()).unwrap().get(), 0x11);
        assert_eq!(names(root.path()), [FILE, "dovecot-uidvalidity.00000011"]);
        std::fs::remove_file(root.path().join("dovecot-uidvalidity.00000011")).unwrap();
        assert_eq!(next(root.path()).unwrap().get(), 0x12);
        std::fs::write(root.path().join(FILE), "000000ff").unwrap();
        assert_eq!(next(root.path()).unwrap().get(), 0x100);
    }

    #[test]
    fn never_gives_zero() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join(FILE), "ffffffff").unwrap();
        assert_eq!(next(root.path()).unwrap().get(), 1);
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join(FILE), "00000000").unwrap();
        assert!(next(root.path()).unwrap().get() > 1_000_000_000);
    }
}
