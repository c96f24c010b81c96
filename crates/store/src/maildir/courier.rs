//! What Courier's files say about a mailbox: `courierimapuiddb` (UIDs),
//! `courierimapkeywords/` and, in INBOX only, `courierpop3dsizelist` (unique-ids).

use super::imported::Imported;
use crate::control_file::{self, failed};
use crate::disk;
use crate::{Result, UidValidity};
use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// A POP3 unique-id has at most this many octets (RFC 1939 section 7).
const MAX_UNIQUE_ID_OCTETS: usize = 70;

/// Reads what Courier left in a mailbox directory; `None` if it left neither UIDs
/// nor unique-ids. Lines that make no sense are passed over.
pub(crate) fn import(directory: &Path) -> Result<Option<Imported>> {
    let uids = control_file::read(&directory.join("courierimapuiddb"))?;
    let uids = uids.and_then(|octets| read_uids(&octets));
    let pop3 = control_file::read(&directory.join("courierpop3dsizelist"))?;
    let pop3 = pop3.map_or_else(HashMap::new, |octets| read_unique_ids(&octets));
    let keywords = read_keywords(&directory.join("courierimapkeywords"))?;
    if uids.is_none() && pop3.is_empty() && keywords.is_empty() {
        return Ok(None);
    }
    // No IMAP client has seen it without uiddb: UIDs start anew.
    let (uid_validity, uid_next, uids) = uids.unwrap_or_else(|| (now(), 1, Vec::new()));
    Ok(Some(Imported {
        uid_validity,
        uid_next,
        uids,
        keywords,
        pop3,
    }))
}

fn now() -> UidValidity {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = since.map_or(1, |since| {
        u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
    });
    UidValidity::new(seconds).unwrap_or(UidValidity::MIN)
}

/// The base of a file name, before its info.
fn base(name: &str) -> &str {
    name.split_once(':').map_or(name, |(base, _)| base)
}

fn lines(octets: &[u8]) -> impl Iterator<Item = &str> {
    let lines = octets.split(|octet| *octet == b'\n');
    lines.map(|line| std::str::from_utf8(line).unwrap_or_default())
}

type Uids = (UidValidity, u32, Vec<(u32, String)>);

/// `1 <uidvalidity> <next uid>`, then `<uid> <base name>` lines.
fn read_uids(octets: &[u8]) -> Option<Uids> {
    let mut lines = lines(octets);
    let mut header = lines.next()?.split_ascii_whitespace();
    if header.next()? != "1" {
        return None;
    }
    let uid_validity: UidValidity = header.next()?.parse().ok()?;
    let mut uid_next: u32 = header.next()?.parse().ok()?;
    let mut uids: Vec<(u32, String)> = Vec::new();
    let mut names = HashSet::new();
    for line in lines {
        let Some((uid, name)) = line.split_once(' ') else {
            continue;
        };
        let Ok(uid) = uid.parse::<u32>() else {
            continue;
        };
        let name = base(name);
        if uid == 0 || uid == u32::MAX || name.is_empty() || !names.insert(name) {
            continue;
        }
        uid_next = uid_next.max(uid + 1);
        uids.push((uid, name.to_owned()));
    }
    uids.sort_by_key(|(uid, _)| *uid);
    uids.dedup_by_key(|(uid, _)| *uid);
    Some((uid_validity, uid_next.max(1), uids))
}

/// `/3 <next n> <uidv>` or `/2 ...`, then
/// `<file name> <octets> <n>:<uidv>[:<is utf8>]` lines.
fn read_unique_ids(octets: &[u8]) -> HashMap<String, String> {
    let mut unique_ids = HashMap::new();
    let mut lines = lines(octets);
    let version = lines.next().unwrap_or_default();
    if !version.starts_with("/2") && !version.starts_with("/3") {
        return unique_ids;
    }
    let mut shown = HashSet::new();
    for line in lines {
        let mut fields = line.rsplitn(3, ' ');
        let (Some(numbers), Some(_octets), Some(name)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let mut numbers = numbers.split(':').map(str::parse::<u64>);
        let (Some(Ok(number)), Some(Ok(validity))) = (numbers.next(), numbers.next()) else {
            continue;
        };
        let name = base(name);
        if name.is_empty() {
            continue;
        }
        let unique_id = match (number, validity) {
            (0, _) => name_as_unique_id(name),
            (_, 0) => format!("UID{number}"),
            _ => format!("UID{number}-{validity}"),
        };
        if unique_id.len() <= MAX_UNIQUE_ID_OCTETS && shown.insert(unique_id.clone()) {
            unique_ids.insert(name.to_owned(), unique_id);
        }
    }
    unique_ids
}

/// How Courier shows a file name as unique-id.
fn name_as_unique_id(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for octet in name.bytes() {
        match octet {
            b'\'' | b'"' | b'+' => out.push_str(&format!("+{octet:02X}")),
            0x21..=0x7e => out.push(char::from(octet)),
            _ => out.push_str(&format!("+{octet:02X}")),
        }
    }
    out
}

/// `:list`, then the overlays: `<base>` wins over `.N.<base>`, of which the largest
/// N wins.
fn read_keywords(directory: &Path) -> Result<HashMap<String, Vec<String>>> {
    let mut keywords = match control_file::read(&directory.join(":list"))? {
        Some(octets) => read_keyword_list(&octets),
        None => HashMap::new(),
    };
    let entries = match disk::list(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(keywords);
        }
        Err(error) => return Err(failed("list", directory, error)),
    };
    let mut overlays: HashMap<String, (u64, std::path::PathBuf)> = HashMap::new();
    for entry in entries {
        let path = directory.join(&entry.name);
        let is_file = entry.kind == disk::Kind::File;
        let Some(name) = entry.name.to_str().filter(|_| is_file) else {
            continue;
        };
        let (age, name) = match name.strip_prefix('.') {
            Some(numbered) => match numbered.split_once('.') {
                Some((number, name)) => match number.parse::<u64>() {
                    Ok(number) => (number.min(u64::MAX - 1), name),
                    Err(_) => continue,
                },
                None => continue,
            },
            None => (u64::MAX, name),
        };
        if name.starts_with(':') || name.is_empty() {
            continue;
        }
        let newest = overlays.get(name).is_none_or(|(known, _)| *known <= age);
        if newest {
            overlays.insert(base(name).to_owned(), (age, path));
        }
    }
    for (name, (_, path)) in overlays {
        let octets = control_file::read(&path)?.unwrap_or_default();
        let set: Vec<_> = lines(&octets).filter_map(keyword).collect();
        if set.is_empty() {
            keywords.remove(&name);
        } else {
            keywords.insert(name, set);
        }
    }
    Ok(keywords)
}

/// Keyword names, an empty line, then `<base name>:<index> <index> ...`.
fn read_keyword_list(octets: &[u8]) -> HashMap<String, Vec<String>> {
    let mut lines = lines(octets);
    let names: Vec<_> = lines
        .by_ref()
        .take_while(|line| !line.is_empty())
        .map(keyword)
        .collect();
    let mut keywords = HashMap::new();
    for line in lines {
        let Some((name, indices)) = line.rsplit_once(':') else {
            continue;
        };
        let set: Vec<String> = indices
            .split_ascii_whitespace()
            .filter_map(|index| names.get(index.parse::<usize>().ok()?)?.clone())
            .collect();
        if !set.is_empty() {
            keywords.insert(base(name).to_owned(), set);
        }
    }
    keywords
}

/// A line as keyword, if it is an atom.
fn keyword(line: &str) -> Option<String> {
    let keyword = line.trim_ascii();
    let atom = keyword
        .bytes()
        .all(|octet| octet.is_ascii_graphic() && !b"(){%*\"\\]".contains(&octet));
    (atom && !keyword.is_empty()).then(|| keyword.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_everything_courier_keeps() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert!(import(path).unwrap().is_none());
        let uids = "1 123456 9\n7 100.M2.host,S=5\n3 100.M1.host:2,S\nx y\n0 z\n";
        std::fs::write(path.join("courierimapuiddb"), uids).unwrap();
        let list = "/3 5 1600\n100.M1.host:2,S 10 3:1600:0\n100.M2.host,S=5 20 4:0:1\n\
                    100.M+3 5 0:0:0\nbroken\n";
        std::fs::write(path.join("courierpop3dsizelist"), list).unwrap();
        let keywords = path.join("courierimapkeywords");
        std::fs::create_dir(&keywords).unwrap();
        let names = "$Label1\nwork\n\n100.M1.host:0 1\n100.M2.host,S=5:1 9\n100.M4:0\n";
        std::fs::write(keywords.join(":list"), names).unwrap();
        std::fs::write(keywords.join("100.M4"), "").unwrap();
        std::fs::write(keywords.join(".7.100.M4"), "old\n").unwrap();
        std::fs::write(keywords.join(".7.100.M5"), "old\n").unwrap();
        std::fs::write(keywords.join(".10.100.M5"), "new\nb\n").unwrap();

        let imported = import(path).unwrap().unwrap();
        assert_eq!(imported.uid_validity.get(), 123_456);
        assert_eq!(imported.uid_next, 9);
        let uids = [
            (3, "100.M1.host".to_owned()),
            (7, "100.M2.host,S=5".to_owned()),
        ];
        assert_eq!(imported.uids, uids);
        assert_eq!(imported.pop3["100.M1.host"], "UID3-1600");
        assert_eq!(imported.pop3["100.M2.host,S=5"], "UID4");
        assert_eq!(imported.pop3["100.M+3"], "100.M+2B3");
        assert_eq!(imported.pop3.len(), 3);
        assert_eq!(imported.keywords["100.M1.host"], ["$Label1", "work"]);
        assert_eq!(imported.keywords["100.M2.host,S=5"], ["work"]);
        assert_eq!(imported.keywords["100.M5"], ["new", "b"]);
        assert_eq!(imported.keywords.len(), 3);
    }

    #[test]
    fn reads_old_lists() {
        let ids = read_unique_ids(b"/2 5 1600\na 10 3:1600\nb c 10 4:1600\n");
        assert_eq!(ids["a"], "UID3-1600");
        assert_eq!(ids["b c"], "UID4-1600");
        assert!(read_unique_ids(b"5 1600\na 10 3:1600\n").is_empty());
        assert!(read_uids(b"3 V1 N2\n").is_none());
        assert!(read_uids(b"1 0 2\n").is_none());
        assert_eq!(read_uids(b"1 5 2\n9 a\n").unwrap().1, 10);
    }
}
