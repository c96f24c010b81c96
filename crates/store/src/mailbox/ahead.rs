//! Summaries made before they are asked for, many at once.

use super::{Mailbox, OpenedMessage};
use crate::message::Summary;
use crate::summaries::{Summaries, encode};
use crate::{MessageRow, Uid, processors};
use std::sync::Arc;

/// For fewer messages no thread is worth its start.
pub(super) const MESSAGES_PER_THREAD: usize = 16;

/// A message of which nothing is known yet.
pub(super) struct Unknown {
    pub(super) uid: Uid,
    /// 0 for `new`, 1 for `cur`.
    pub(super) half: usize,
    pub(super) file_name: String,
}

impl Unknown {
    pub(super) fn of(row: &MessageRow<'_>) -> Self {
        Self {
            uid: row.uid,
            half: usize::from(!row.in_new),
            file_name: row.file_name(),
        }
    }
}

impl Mailbox {
    /// Summarises those of these messages (ascending) that are not yet, on all processors
    /// that are free, and keeps what `make` makes of each summary as [`Mailbox::listing`]
    /// does. What cannot be read, or is too long to be kept, is left to whoever asks for
    /// it: in memory is no more than what is kept.
    pub fn summarise_ahead(&self, uids: &[Uid], make: Option<fn(&Summary) -> Vec<u8>>) {
        let unknown: Vec<Unknown> = {
            let summaries = self.summaries();
            let ends = [uids.first(), uids.last()].into_iter().flatten();
            // Mostly all are known or none; a look at each would cost who comes again.
            if !summaries.keeps() || ends.into_iter().all(|uid| summaries.knows(*uid)) {
                return;
            }
            let snapshot = self.snapshot();
            let unknown = uids.iter().filter(|uid| !summaries.knows(**uid));
            let rows = unknown.filter_map(|uid| snapshot.of_uid(*uid));
            rows.map(|row| Unknown::of(&row)).collect()
        };
        if unknown.is_empty() {
            return;
        }
        let halves = self.state.lock().halves(unknown.len());
        let read = |message: &Unknown, text: &mut Vec<u8>| {
            let (file, metadata) = halves[message.half].open_regular(&message.file_name).ok()?;
            let opened = OpenedMessage {
                file: Arc::new(file),
                file_octets: metadata.stamp.size_octets,
            };
            made_of(&Summary::read_by_way_of(text, &opened).ok()?, make)
        };
        let made = processors::map(&unknown, MESSAGES_PER_THREAD, read);
        let mut summaries = self.summaries();
        for (message, made) in unknown.iter().zip(made) {
            if let Some((summary, listing)) = made {
                summaries.put_encoded(message.uid, &summary);
                if let Some(listing) = listing {
                    summaries.put_listing(message.uid, &listing);
                }
            }
        }
    }
}

/// What is kept of a summary: itself, if it is short enough, and what `make` makes of it,
/// if that is.
fn made_of(
    summary: &Summary,
    make: Option<fn(&Summary) -> Vec<u8>>,
) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let encoded = encode(summary);
    if !Summaries::takes(&encoded) {
        return None;
    }
    let listing = make.map(|make| make(summary));
    Some((encoded, listing.filter(|listing| Summaries::takes(listing))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn subject(summary: &Summary) -> Vec<u8> {
        summary.envelope.subject.clone().unwrap_or_default()
    }

    fn deliver(path: &Path, half: &str, number: u32) {
        let name = format!(
            "{}.M1P1.x{}",
            1_000 + number,
            if half == "cur" { ":2," } else { "" }
        );
        let text = format!(
            "Subject: {number}\nTo: x\n\n{}",
            "text\n".repeat(number as usize)
        );
        std::fs::write(path.join(half).join(name), text).unwrap();
    }

    #[test]
    fn what_is_too_long_to_be_kept_is_dropped_at_once() {
        let of_parts = |count: usize| {
            let part = format!("--b\nContent-Description: {}\n\nt\n", "x".repeat(2_000));
            let text = format!(
                "Subject: s\nContent-Type: multipart/mixed; boundary=b\n\n{}--b--\n",
                part.repeat(count)
            );
            crate::message::tests_scan(text.as_bytes())
        };
        let (few, many) = (of_parts(3), of_parts(1_500));
        let long: fn(&Summary) -> Vec<u8> = |_| vec![0; 1 << 20];
        let (summary, listing) = made_of(&few, Some(subject)).unwrap();
        assert!(summary.len() > 6_000 && listing == Some(b"s".to_vec()));
        assert_eq!(made_of(&few, Some(long)).unwrap(), (summary, None));
        assert!(encode(&many).len() > 1 << 20);
        assert_eq!(made_of(&many, Some(subject)), None);
    }

    #[test]
    fn what_was_made_ahead_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let open = || Mailbox::open(path.to_owned(), || Ok(crate::UidValidity::MIN)).unwrap();
        let mailbox = open();
        for number in 0..200 {
            let half = if number % 3 == 0 { "new" } else { "cur" };
            deliver(path, half, number);
        }
        let snapshot = mailbox.sync().unwrap();
        let uids: Vec<Uid> = snapshot.rows().map(|row| row.uid).collect();
        // One is summarised already, one is gone, one is not among them.
        assert_eq!(mailbox.listing(uids[7], subject).unwrap(), b"7");
        std::fs::remove_file(path.join("cur/1008.M1P1.x:2,")).unwrap();
        mailbox.summarise_ahead(&uids[..199], Some(subject));
        for half in ["new", "cur"] {
            std::fs::rename(path.join(half), path.join(format!("{half}-away"))).unwrap();
            std::fs::create_dir(path.join(half)).unwrap();
        }
        let never = |_: &Summary| -> Vec<u8> { panic!("made again") };
        for (number, uid) in uids.iter().enumerate() {
            let is_kept = !matches!(number, 8 | 199);
            let listing = is_kept.then(|| mailbox.listing(*uid, never).unwrap());
            let expected = is_kept.then(|| number.to_string().into_bytes());
            assert_eq!(listing, expected);
            let summary = is_kept.then(|| mailbox.summary(*uid).unwrap());
            let lines = summary.map(|summary| summary.root.body_lines);
            assert_eq!(lines, is_kept.then_some(number as u64));
        }
        assert!(mailbox.summary(uids[8]).is_err());
    }
}
