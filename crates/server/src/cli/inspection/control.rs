//! The files beside the mail, `dovecot-uidlist` and `dovecot-keywords`, looked at
//! more strictly than the server reads them.

use super::{Findings, Remedy, open_regular};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// No control file is read beyond this many octets.
const MAX_CONTROL_OCTETS: u64 = 64 << 20;

/// Reads a control file; `None` where there is none.
fn read_control(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match open_regular(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut octets = Vec::new();
    file.take(MAX_CONTROL_OCTETS + 1).read_to_end(&mut octets)?;
    if octets.len() as u64 > MAX_CONTROL_OCTETS {
        return Err(io::Error::new(
            ErrorKind::FileTooLarge,
            "larger than any such file",
        ));
    }
    Ok(Some(octets))
}

/// What `dovecot-uidlist` tells about sizes, by unique name: stored, sent.
#[derive(Debug, Default)]
pub(super) struct Uidlist {
    pub(super) fields: HashMap<String, (Option<u64>, Option<u64>)>,
}

impl Uidlist {
    /// Reads the list and tells its faults. Records of files that are gone are none:
    /// they stay until the list is next rewritten.
    pub(super) fn look(directory: &Path, findings: &mut Findings) -> Self {
        const NAME: &str = "dovecot-uidlist";
        let mut list = Self::default();
        let octets = match read_control(&directory.join(NAME)) {
            Ok(Some(octets)) => octets,
            Ok(None) if directory.join("pillarbox-uidlist").exists() => {
                findings.add(
                    Remedy::Open,
                    format!("{NAME} is missing; it is restored from pillarbox-uidlist"),
                );
                return list;
            }
            // Never opened: UIDs are given then.
            Ok(None) => return list,
            Err(error) => {
                findings.add(
                    Remedy::None,
                    format!("{NAME} cannot be read ({error}); see to its owner and mode"),
                );
                return list;
            }
        };
        let text = String::from_utf8_lossy(&octets);
        let mut lines = text.split('\n').enumerate();
        let header = lines.next().map_or("", |(_, line)| line);
        let mut words = header.split(' ').filter(|word| !word.is_empty());
        let version = words.next();
        let is_header = match version {
            Some("3") => words.any(|word| {
                word.strip_prefix('V')
                    .is_some_and(|value| value.parse::<u32>().is_ok_and(|value| value > 0))
            }),
            Some("1") => words.next().is_some_and(|word| word.parse::<u32>().is_ok()),
            _ => false,
        };
        if !is_header {
            let what = format!("{NAME} line 1 is no header, so the UIDVALIDITY is lost");
            findings.add(
                Remedy::Open,
                format!("{what}; pillarbox-uidlist is taken, or all UIDs are given anew"),
            );
            return list;
        }
        let mut highest = 0;
        let mut bad = Vec::new();
        // What follows the last line end was cut, and what is left of it is not believed.
        let cut = text.split('\n').count();
        for (index, line) in lines.filter(|(_, line)| !line.is_empty()) {
            let number = index + 1;
            match parse_record(line, version == Some("3")).filter(|_| number < cut) {
                None => bad.push(number),
                Some((uid, _, _)) if uid <= highest => findings.add(
                    Remedy::None,
                    format!(
                        "{NAME} line {number}: UID {uid} comes after {highest}; the later line counts, Dovecot would make a new list"
                    ),
                ),
                Some((uid, name, sizes)) => {
                    highest = uid;
                    list.fields.insert(name.to_owned(), sizes);
                }
            }
        }
        if let Some(first) = bad.first() {
            findings.add(
                Remedy::Open,
                format!(
                    "{NAME} has {} lines that are no records, the first is {first}",
                    bad.len()
                ),
            );
        }
        list
    }
}

type Sizes = (Option<u64>, Option<u64>);

/// UID, unique name and sizes of a record.
fn parse_record(line: &str, has_fields: bool) -> Option<(u32, &str, Sizes)> {
    let (uid, rest) = line.split_once(' ')?;
    let uid = uid.parse().ok().filter(|uid| *uid > 0 && *uid < u32::MAX)?;
    let (fields, name) = if has_fields {
        match rest.strip_prefix(':') {
            Some(name) => ("", name),
            None => rest.split_once(" :")?,
        }
    } else {
        ("", rest)
    };
    let field = |letter: char| {
        fields
            .split(' ')
            .find_map(|field| field.strip_prefix(letter)?.parse().ok())
    };
    let name = name.split(':').next().filter(|name| !name.is_empty())?;
    Some((uid, name, (field('S'), field('W'))))
}

/// Looks at `dovecot-keywords`, given how many messages have each letter.
pub(super) fn inspect_keywords(
    directory: &Path,
    letters: &BTreeMap<char, usize>,
    findings: &mut Findings,
) {
    const NAME: &str = "dovecot-keywords";
    let octets = match read_control(&directory.join(NAME)) {
        Ok(octets) => octets.unwrap_or_default(),
        Err(error) => {
            findings.add(
                Remedy::None,
                format!("{NAME} cannot be read ({error}); see to its owner and mode"),
            );
            return;
        }
    };
    let mut names: BTreeMap<u8, &str> = BTreeMap::new();
    let text = String::from_utf8_lossy(&octets);
    for (index, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
    {
        let number = index + 1;
        let pair = line.split_once(' ').and_then(|(place, name)| {
            let place: u8 = place.parse().ok()?;
            (!name.is_empty()).then_some((place, name))
        });
        let Some((place, name)) = pair else {
            findings.add(
                Remedy::None,
                format!("{NAME} line {number} is no number and name; remove it"),
            );
            continue;
        };
        if place > 25 {
            // Dovecot keeps those in its index.
            continue;
        }
        if names.values().any(|other| other.eq_ignore_ascii_case(name)) {
            findings.add(
                Remedy::None,
                format!("{NAME} line {number} names {name:?} a second time; remove one of them"),
            );
        }
        if names.insert(place, name).is_some() {
            findings.add(
                Remedy::None,
                format!("{NAME} line {number} gives number {place} a second time; remove one"),
            );
        }
    }
    for (letter, count) in letters {
        let place = u8::try_from(*letter).map_or(0, |letter| letter.saturating_sub(b'a'));
        if !names.contains_key(&place) {
            findings.add(
                Remedy::None,
                format!(
                    "{count} messages have the keyword letter {letter}, which {NAME} does not name; add a line \"{place} NAME\""
                ),
            );
        }
    }
}
