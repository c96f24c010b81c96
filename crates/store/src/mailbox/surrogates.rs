//! `pillarbox.surrogates`: which messages have headers in UTF-8, and how many octets more
//! (or less) their surrogates have. A cache, never synced: the sizes POP3 lists to clients
//! that know ASCII headers only are those it sends, and no message is looked at twice.
//!
//! The first line has version, UIDVALIDITY and the UID below which all messages were looked
//! at; each further one a UID and its growth, or `-` for a message that has no surrogate;
//! the last one the checksum of those before.

use super::ahead::{MESSAGES_PER_THREAD, Unknown};
use super::{Mailbox, OpenedMessage};
use crate::control_file;
use crate::disk;
use crate::message::AsciiForm;
use crate::{Error, Result, Snapshot, Uid, UidValidity, processors};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

const NAME: &str = "pillarbox.surrogates";
const FRESH_NAME: &str = "pillarbox.surrogates.pillarbox-new";
const VERSION: &str = "pillarbox-surrogates 2";

/// How a message with headers in UTF-8 is sent to a client that knows ASCII only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsciiSize {
    /// As a surrogate that has so many octets more than the message.
    Grown(i64),
    /// Not at all.
    Impossible,
}

/// What is known of a mailbox's messages.
#[derive(Debug, Default)]
pub(super) struct Surrogates {
    is_read: bool,
    /// All messages below this UID were looked at.
    known_below: u32,
    sizes: BTreeMap<Uid, AsciiSize>,
}

impl Mailbox {
    /// Looks whether headers of messages are in UTF-8, at so many that were not looked at
    /// before; tells whether all of the snapshot are known now. Nothing is durable, nor
    /// need be: after a crash the file is the old one, the new one or unreadable, and then
    /// the messages are looked at again.
    ///
    /// # Errors
    /// When a message cannot be read.
    pub fn look_for_surrogates(&self, snapshot: &Snapshot, most: usize) -> Result<bool> {
        let directory = self.state.lock().directory.clone();
        let mut surrogates = self.surrogates.lock();
        if !surrogates.is_read {
            surrogates.read(&directory, snapshot.uid_validity());
        }
        let first = Uid::new(surrogates.known_below).unwrap_or(Uid::MIN);
        let begin = snapshot.index_at_or_after(first);
        let end = begin.saturating_add(most).min(snapshot.len());
        let rows = (begin..end).filter_map(|index| snapshot.row(index));
        let unknown: Vec<Unknown> = rows.map(|row| Unknown::of(&row)).collect();
        for (message, found) in unknown.iter().zip(self.look_at(&unknown)) {
            match found.map_or_else(|| self.ascii_size(message.uid), Ok) {
                Ok(Some(size)) => drop(surrogates.sizes.insert(message.uid, size)),
                // What is gone needs no surrogate.
                Ok(None) | Err(Error::Expunged) => {}
                Err(error) => return Err(error),
            }
            surrogates.known_below = message.uid.get().saturating_add(1);
        }
        let is_complete = end == snapshot.len();
        if is_complete && begin < end {
            let there = |uid: &Uid| snapshot.index_of(*uid).is_some();
            surrogates.sizes.retain(|uid, _| there(uid));
            surrogates.keep(&directory, snapshot.uid_validity());
        }
        Ok(is_complete)
    }

    /// The messages that are not sent as they are to a client that knows ASCII headers
    /// only, of those looked at.
    pub fn surrogates(&self) -> BTreeMap<Uid, AsciiSize> {
        self.surrogates.lock().sizes.clone()
    }

    /// How each of these messages is sent, on all processors that are free; `None` for one
    /// that is not where it was.
    fn look_at(&self, messages: &[Unknown]) -> Vec<Option<Option<AsciiSize>>> {
        if messages.is_empty() {
            return Vec::new();
        }
        let halves = self.state.lock().halves(messages.len());
        let look = |message: &Unknown, memory: &mut Vec<u8>| {
            let (file, metadata) = halves[message.half].open_regular(&message.file_name).ok()?;
            let opened = OpenedMessage {
                file: Arc::new(file),
                file_octets: metadata.stamp.size_octets,
            };
            Some(size_of(opened.ascii_form_by_way_of(memory).ok()?))
        };
        processors::map(messages, MESSAGES_PER_THREAD, look)
    }

    fn ascii_size(&self, uid: Uid) -> Result<Option<AsciiSize>> {
        let form = self
            .open_message(uid)?
            .ascii_form_by_way_of(&mut Vec::new());
        form.map(size_of)
    }
}

fn size_of(form: AsciiForm) -> Option<AsciiSize> {
    match form {
        AsciiForm::AsStored => None,
        AsciiForm::Surrogate(surrogate) => Some(AsciiSize::Grown(surrogate.growth())),
        AsciiForm::Impossible => Some(AsciiSize::Impossible),
    }
}

impl Surrogates {
    fn read(&mut self, directory: &Path, uid_validity: UidValidity) {
        self.is_read = true;
        let read = control_file::read(&directory.join(NAME));
        let octets = read.ok().flatten().unwrap_or_default();
        if let Some((known_below, sizes)) = parse(&octets, uid_validity) {
            self.known_below = known_below;
            self.sizes = sizes;
        }
    }

    /// Writes what is known; that it cannot be written costs only time.
    fn keep(&self, directory: &Path, uid_validity: UidValidity) {
        let text = show(self.known_below, &self.sizes, uid_validity);
        let fresh = directory.join(FRESH_NAME);
        let written = control_file::remove_if_there(&fresh).and_then(|()| {
            disk::create_new(&fresh)
                .and_then(|mut file| file.write_all(text.as_bytes()))
                .and_then(|()| disk::rename(&fresh, &directory.join(NAME)))
                .map_err(|error| control_file::failed("write", &fresh, error))
        });
        if let Err(error) = written {
            tracing::warn!(%error, "which headers are in UTF-8 is not kept");
        }
    }
}

fn show(known_below: u32, sizes: &BTreeMap<Uid, AsciiSize>, uid_validity: UidValidity) -> String {
    let mut text = format!("{VERSION} {uid_validity} {known_below}\n");
    for (uid, size) in sizes {
        // Writing to a string cannot fail.
        let _ = match size {
            AsciiSize::Grown(growth) => writeln!(text, "{uid} {growth}"),
            AsciiSize::Impossible => writeln!(text, "{uid} -"),
        };
    }
    let checksum = crc32fast::hash(text.as_bytes());
    let _ = writeln!(text, "{checksum:08x}");
    text
}

fn parse(octets: &[u8], uid_validity: UidValidity) -> Option<(u32, BTreeMap<Uid, AsciiSize>)> {
    let text = std::str::from_utf8(octets).ok()?.strip_suffix('\n')?;
    let last = text.rfind('\n')? + 1;
    let (checked, checksum) = text.split_at_checked(last)?;
    if u32::from_str_radix(checksum, 16).ok()? != crc32fast::hash(checked.as_bytes()) {
        return None;
    }
    let mut lines = checked.lines();
    let known_below = lines
        .next()?
        .strip_prefix(&format!("{VERSION} {uid_validity} "))?
        .parse()
        .ok()?;
    let sizes = lines.map(|line| {
        let (uid, size) = line.split_once(' ')?;
        let size = match size {
            "-" => AsciiSize::Impossible,
            growth => AsciiSize::Grown(growth.parse().ok()?),
        };
        Some((uid.parse().ok()?, size))
    });
    Some((known_below, sizes.collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Account, Layout, MailboxName};

    #[test]
    fn what_is_known_is_kept_and_what_is_broken_looked_at_again() {
        let directory = tempfile::tempdir().expect("directory");
        let open = || {
            let layout = Layout {
                delimiter: '/',
                prefix: String::new(),
            };
            let account = Account::open(directory.path(), layout).expect("an account");
            account.mailbox(&MailboxName::inbox()).expect("INBOX")
        };
        let inbox = open();
        for subject in ["one", "zwei \u{fc}", "three", "\u{56db}"] {
            let mut incoming = inbox.begin_append().expect("incoming");
            let text = format!("Subject: {subject}\r\n\r\n");
            incoming.write(text.as_bytes()).expect("written");
            inbox.append(vec![incoming]).expect("appended");
        }
        let snapshot = inbox.sync().expect("a snapshot");
        assert!(!inbox.look_for_surrogates(&snapshot, 3).expect("looked"));
        assert!(inbox.look_for_surrogates(&snapshot, 3).expect("looked"));
        let uid = |number| Uid::new(number).expect("not 0");
        let found = inbox.surrogates();
        let uids: Vec<_> = found.keys().copied().collect();
        assert_eq!(uids, [uid(2), uid(4)]);
        inbox.expunge(&[uid(2)]).expect("expunged");
        drop(inbox);

        let file = directory.path().join(NAME);
        let kept = std::fs::read(&file).expect("kept");
        assert!(parse(&kept, snapshot.uid_validity()).expect("good").1 == found);
        let other = UidValidity::new(7).expect("not 0");
        assert!(parse(&kept, other).is_none());
        for place in 0..kept.len() {
            let mut broken = kept.clone();
            broken[place] ^= 1;
            assert!(parse(&broken, snapshot.uid_validity()).is_none(), "{place}");
            assert!(parse(&kept[..place], snapshot.uid_validity()).is_none());
        }
        for content in [kept, b"nonsense".to_vec()] {
            std::fs::write(&file, content).expect("written");
            let inbox = open();
            let snapshot = inbox.sync().expect("a snapshot");
            assert!(inbox.look_for_surrogates(&snapshot, 9).expect("looked"));
            assert!(inbox.surrogates().contains_key(&uid(4)));
        }
    }
}
