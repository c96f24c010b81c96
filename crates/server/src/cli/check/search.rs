//! `pillarbox check --search`: whether the texts that are kept for searching are those
//! of the messages.

use super::super::inspection;
use super::{Progress, Tally};
use crate::config::Config;
use anyhow::Context;
use std::path::Path;
use store::{MailboxName, TextFault, TextFileFault, TextFindings, Uid};

/// So many ranges of UIDs are told in a line.
const RANGES: usize = 10;

const FAULTS: [(TextFault, &str); 3] = [
    (TextFault::Differs, "is not the message's"),
    (TextFault::Damaged, "is damaged"),
    (TextFault::Missing, "is missing"),
];

/// Compares the texts of one user's mailboxes with their messages. A repair makes anew
/// what is wrong, and what lacks with it.
pub(super) fn check(
    config: &Config,
    (user, root): (&str, &Path),
    repair: bool,
    progress: &mut Progress,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    for (name, directory) in inspection::mailboxes(root)?.mailboxes {
        let shown = format!("{user} {name:?}");
        let found = store::inspect_texts(&directory, &mut |number| progress.draw(&shown, number));
        let found = match found {
            Ok(Some(found)) => found,
            Ok(None) => continue,
            Err(error) => {
                tally.faults += 1;
                progress.tell(&format!("{shown}: texts not compared: {error}"))?;
                continue;
            }
        };
        tally.faults += found.count();
        progress.tell(&format!(
            "{shown}: {} texts kept and right, {} not made yet, {} faults",
            found.right,
            found.lacking.len(),
            found.count()
        ))?;
        tell_faults(&found, progress)?;
        if repair && found.count() > 0 {
            match remake(config, root, &directory, &found) {
                Ok(made) => {
                    let left = store::inspect_texts(&directory, &mut |_| {})?;
                    let left = left.map_or(0, |left| left.count());
                    tally.repaired += found.count().saturating_sub(left);
                    progress.tell(&format!("{shown}: {made} texts made anew, {left} faults left"))?;
                }
                Err(error) => progress.tell(&format!(
                    "{shown}: texts not made anew: {error:#}; if a server runs, stop it and run this again"
                ))?,
            }
        }
    }
    Ok(())
}

fn tell_faults(found: &TextFindings, progress: &mut Progress) -> std::io::Result<()> {
    let lost = found.lost.len();
    match found.file {
        None => {}
        Some(TextFileFault::NotOfTheMailbox) => progress.tell(
            "  pillarbox.texts is garbage, or another mailbox's: nothing of it is used, and a search makes it anew",
        )?,
        Some(TextFileFault::CannotBeReadFrom(octet)) => progress.tell(&format!(
            "  pillarbox.texts cannot be read from octet {octet} on: {lost} texts that were kept are lost"
        ))?,
    }
    for (fault, what) in FAULTS {
        let of_kind = found.faults.iter().filter(|(_, other)| *other == fault);
        let uids: Vec<Uid> = of_kind.map(|(uid, _)| *uid).collect();
        if !uids.is_empty() {
            progress.tell(&format!(
                "  UID {}: the text kept for searching {what}",
                ranges(&uids)
            ))?;
        }
    }
    Ok(())
}

/// Makes the texts of a mailbox anew that are wrong or lack; tells how many.
fn remake(
    config: &Config,
    root: &Path,
    directory: &Path,
    found: &TextFindings,
) -> anyhow::Result<usize> {
    let name = match directory.file_name().filter(|_| directory != root) {
        Some(level) => MailboxName::from_directory_name(level).context("it has no name")?,
        None => MailboxName::inbox(),
    };
    let account = super::super::mailbox::open(config, root)?;
    Ok(account.mailbox(&name)?.remake_texts(&found.to_make())?)
}

/// Ascending UIDs as a client would write them: the first of them, and how many there are
/// besides.
fn ranges(uids: &[Uid]) -> String {
    let mut text = String::new();
    let mut told = 0;
    let runs = uids.chunk_by(|one, next| next.get() - one.get() == 1);
    for run in runs.take(RANGES) {
        if let [first, .., last] | [first @ last] = run {
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(&first.to_string());
            if last > first {
                text.push_str(&format!(":{last}"));
            }
        }
        told += run.len();
    }
    match uids.len() - told {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const NAME: &str = "pillarbox.texts";

    fn check_all(root: &Path, repair: bool) -> (usize, usize) {
        let mut tally = Tally::default();
        check(
            &Config::default(),
            ("anna", root),
            repair,
            &mut Progress::new(),
            &mut tally,
        )
        .expect("checked");
        (tally.faults, tally.repaired)
    }

    /// CRC-32, as records have it.
    fn checksum(octets: &[u8]) -> [u8; 4] {
        let sum = octets.iter().fold(u32::MAX, |sum, octet| {
            (0..8).fold(sum ^ u32::from(*octet), |sum, _| {
                (sum >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(sum & 1))
            })
        });
        (!sum).to_le_bytes()
    }

    /// Alters a text in the file so that nothing but the message tells.
    fn falsify(file: &Path, from: &[u8], to: &[u8]) {
        let mut octets = std::fs::read(file).expect("texts");
        let place = octets
            .windows(from.len())
            .position(|window| window == from)
            .expect("the text");
        octets[place..place + to.len()].copy_from_slice(to);
        // Before a text is how long its body is, and before that the record's header.
        let header = place - 4 - 16;
        let number = |at: usize| {
            let octets = octets[header + at..header + at + 4]
                .try_into()
                .expect("four");
            usize::try_from(u32::from_le_bytes(octets)).expect("small")
        };
        let (start, end) = (header + 16, header + 16 + number(4));
        let sum = checksum(&octets[start..end]);
        octets[header + 8..header + 12].copy_from_slice(&sum);
        let sum = checksum(&octets[header..header + 12]);
        octets[header + 12..header + 16].copy_from_slice(&sum);
        std::fs::write(file, octets).expect("written");
    }

    #[test]
    fn a_text_that_only_the_message_contradicts_is_found_and_made_anew() {
        let directory = tempfile::tempdir().expect("directory");
        let root = directory.path();
        for half in [".Sent/cur", "cur"] {
            std::fs::create_dir_all(root.join(half)).expect("part");
            for number in 1..=4 {
                let text = format!("Subject: s\n\nword{number}\n");
                let file = format!("{half}/{number}.a:2,S");
                std::fs::write(root.join(file), text).expect("message");
            }
        }
        let layout = store::Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let account = store::Account::open(root, layout).expect("account");
        let name = account.parse_name("Sent").expect("name");
        let search = |number: u32, needle: &str| {
            let mailbox = account.mailbox(&name).expect("Sent");
            let uid = Uid::new(number).expect("not 0");
            let headers = store::message::WithHeaders::No;
            mailbox
                .text_contains(uid, needle, headers)
                .expect("searched")
        };
        assert_eq!(check_all(root, false), (0, 0), "none are kept");
        // Of the last nobody made one.
        for number in 1..=3 {
            assert!(search(number, "word"));
        }
        assert_eq!(check_all(root, false), (0, 0));
        let file = root.join(".Sent").join(NAME);
        falsify(&file, b"word2", b"other");
        assert!(search(2, "other"), "it is believed");
        let wrong = std::fs::read(&file).expect("texts");
        assert_eq!(check_all(root, false), (1, 0));
        assert_eq!(std::fs::read(&file).expect("texts"), wrong, "a look");
        assert_eq!(check_all(root, true), (1, 1));
        assert!(search(2, "word2") && !search(2, "other"));
        // One that is merely damaged.
        let mut octets = std::fs::read(&file).expect("texts");
        let place = octets.windows(5).position(|five| five == b"word3");
        octets[place.expect("the text")] ^= 1;
        std::fs::write(&file, octets).expect("written");
        assert_eq!(check_all(root, false), (1, 0));
        assert_eq!(check_all(root, true), (1, 1));
        assert_eq!(check_all(root, false), (0, 0));
        // A file that is none of texts is one fault, however many texts it had.
        for garbage in ["", "garbage"] {
            std::fs::write(&file, garbage).expect("written");
            assert_eq!(check_all(root, false), (1, 0));
            assert_eq!(check_all(root, true), (1, 1));
            assert_eq!(check_all(root, false), (0, 0));
        }
    }

    #[test]
    fn uids_are_told_in_ranges() {
        let uids = |numbers: &[u32]| -> Vec<Uid> {
            let uids = numbers.iter().map(|number| Uid::new(*number));
            uids.collect::<Option<_>>().expect("not 0")
        };
        assert_eq!(ranges(&uids(&[1, 2, 3, 7, 9, 10])), "1:3,7,9:10");
        let odd: Vec<u32> = (0..1_000).map(|number| 2 * number + 1).collect();
        let told = ranges(&uids(&odd));
        assert!(
            told.starts_with("1,3,5,7,") && told.ends_with(" and 990 more"),
            "{told}"
        );
        assert_eq!(ranges(&[]), "");
    }
}
