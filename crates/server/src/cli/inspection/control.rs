//! The files beside the mail, `dovecot-uidlist` and `dovecot-keywords`, looked at
//! more strictly than the server reads them.

use super::{Findings, Remedy, open_regular};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

/// The list's name.
const NAME: &str = "dovecot-uidlist";
/// No other control file is read beyond this many octets.
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

/// A line of the list is not longer.
const LINE_OCTETS: u64 = 32 << 10;
/// So many lines that are out of order are told one by one.
const TOLD: usize = 10;

impl Uidlist {
    /// Reads the list, however long, and tells its faults and the sizes of messages that
    /// are there. Records of files that are gone are no fault: they stay until the list is
    /// next rewritten.
    pub(super) fn look(
        directory: &Path,
        is_there: impl Fn(&str) -> bool,
        findings: &mut Findings,
    ) -> Self {
        let mut list = Self::default();
        let read = match open_regular(&directory.join(NAME)) {
            Ok(file) => list.read(BufReader::new(file), is_there, findings),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // Never opened: UIDs are given then.
                if directory.join("pillarbox-uidlist").exists() {
                    findings.add(
                        Remedy::Open,
                        format!("{NAME} is missing; it is restored from pillarbox-uidlist"),
                    );
                }
                Ok(())
            }
            Err(error) => Err(error),
        };
        if let Err(error) = read {
            findings.add(
                Remedy::None,
                format!("{NAME} cannot be read ({error}); see to its owner and mode"),
            );
        }
        list
    }

    fn read(
        &mut self,
        mut file: impl BufRead,
        is_there: impl Fn(&str) -> bool,
        findings: &mut Findings,
    ) -> io::Result<()> {
        let mut line = Vec::new();
        read_line(&mut file, &mut line)?;
        let header = String::from_utf8_lossy(&line);
        let mut words = header
            .trim_end_matches('\n')
            .split(' ')
            .filter(|word| !word.is_empty());
        let version = words.next().map(str::to_owned);
        let is_header = match version.as_deref() {
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
            return Ok(());
        }
        let has_fields = version.as_deref() == Some("3");
        let (mut highest, mut number) = (0, 1);
        let (mut bad, mut first_bad, mut out_of_order) = (0, 0, 0);
        while read_line(&mut file, &mut line)? {
            number += 1;
            // What follows the last line end was cut, and what is left of it is not believed.
            let whole = line.strip_suffix(b"\n");
            if whole.is_some_and(<[u8]>::is_empty) {
                continue;
            }
            let text = whole.map(String::from_utf8_lossy);
            match text
                .as_deref()
                .and_then(|text| parse_record(text, has_fields))
            {
                None => {
                    bad += 1;
                    first_bad = if bad == 1 { number } else { first_bad };
                }
                Some((uid, _, _)) if uid <= highest => {
                    out_of_order += 1;
                    if out_of_order <= TOLD {
                        findings.add(
                            Remedy::None,
                            format!(
                                "{NAME} line {number}: UID {uid} comes after {highest}; the later line counts, Dovecot would make a new list"
                            ),
                        );
                    }
                }
                Some((uid, name, sizes)) => {
                    highest = uid;
                    if is_there(name) {
                        self.fields.insert(name.to_owned(), sizes);
                    }
                }
            }
        }
        if out_of_order > TOLD {
            let text = format!("{NAME} has {} more such lines", out_of_order - TOLD);
            findings.add(Remedy::None, text);
        }
        if bad > 0 {
            findings.add(
                Remedy::Open,
                format!("{NAME} has {bad} lines that are no records, the first is {first_bad}"),
            );
        }
        Ok(())
    }
}

/// Reads a line with its end; one that is too long without, and past it. False at the end.
fn read_line(file: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    file.by_ref().take(LINE_OCTETS).read_until(b'\n', line)?;
    let is_there = !line.is_empty();
    let mut rest = Vec::new();
    while line.len() as u64 == LINE_OCTETS && line.last() != Some(&b'\n') {
        rest.clear();
        file.by_ref()
            .take(LINE_OCTETS)
            .read_until(b'\n', &mut rest)?;
        if rest.is_empty() || rest.last() == Some(&b'\n') {
            break;
        }
    }
    Ok(is_there)
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
