//! Comparing the texts that are kept with the messages, for `pillarbox check --search`.

use super::file::{LookedAt, Owner, RecordFile, texts_known_below};
use crate::control_file::failed;
use crate::disk;
use crate::maildir::filename;
use crate::maildir::uidlist::Uidlist;
use crate::message::{FoldedText, Summary};
use crate::{OpenedMessage, Result, Uid};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is wrong with a text that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFault {
    /// It is not the message's text.
    Differs,
    /// Its checksum is not its own.
    Damaged,
    /// It was kept, as the file notes, and is not there.
    Missing,
}

/// What is wrong with a file of texts as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFileFault {
    /// It does not begin as a file of this mailbox's texts does: nothing of it is used.
    NotOfTheMailbox,
    /// From this octet on it cannot be read, and so texts that were kept are lost.
    CannotBeReadFrom(u64),
}

/// What was found of a mailbox's texts.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TextFindings {
    /// How many are kept and right.
    pub right: usize,
    /// The messages whose texts are not made yet, which is no fault.
    pub lacking: Vec<Uid>,
    /// What is wrong with the file.
    pub file: Option<TextFileFault>,
    /// The messages whose texts went with what is wrong with the file.
    pub lost: Vec<Uid>,
    /// What else is wrong, by UID.
    pub faults: Vec<(Uid, TextFault)>,
}

impl TextFindings {
    /// How many faults there are: what is wrong with the file is one.
    pub fn count(&self) -> usize {
        self.faults.len() + usize::from(self.file.is_some())
    }

    /// The messages whose texts are to be made.
    pub fn to_make(&self) -> Vec<Uid> {
        let wrong = self.faults.iter().map(|(uid, _)| uid);
        let all = wrong.chain(&self.lost).chain(&self.lacking);
        let mut uids: Vec<Uid> = all.copied().collect();
        uids.sort_unstable();
        uids
    }
}

/// Compares the texts that are kept of a mailbox with what its messages yield, all of
/// which are read; changes nothing. `None` if none are kept. `tick` is called with each
/// message before it is read.
///
/// # Errors
/// When texts, list or messages cannot be read.
pub fn inspect_texts(
    directory: &Path,
    tick: &mut dyn FnMut(usize),
) -> Result<Option<TextFindings>> {
    let Some(list) = Uidlist::read(directory, None)? else {
        return Ok(None);
    };
    let owner = Owner {
        uid_validity: list.uid_validity,
        guid: list.guid,
    };
    let looked = RecordFile::look_at_texts(directory, owner, |uid| list.records.contains_key(&uid));
    let looked = looked.map_err(|error| failed("read the texts in", directory, error))?;
    let mut findings = TextFindings::default();
    let mut texts = match looked {
        LookedAt::Absent => return Ok(None),
        LookedAt::NotOfTheMailbox => {
            findings.file = Some(TextFileFault::NotOfTheMailbox);
            findings.lost = list.records.keys().copied().filter_map(Uid::new).collect();
            return Ok(Some(findings));
        }
        LookedAt::Opened(texts) => texts,
    };
    let known_below = texts_known_below(directory, owner).unwrap_or(0);
    let broken = texts
        .broken_at()
        .map_err(|error| failed("read the texts in", directory, error))?;
    let paths = paths(directory)?;
    for (number, (uid, record)) in list.records.iter().enumerate() {
        let (Some(uid), Some(path)) = (Uid::new(*uid), paths.get(&*record.name)) else {
            continue;
        };
        tick(number);
        let Some(text) = text_of(path)? else {
            continue;
        };
        let is_right = texts.get(uid, |kept| Some(kept == text.octets()));
        match is_right {
            Some(true) => findings.right += 1,
            Some(false) => findings.faults.push((uid, TextFault::Differs)),
            None if texts.was_there(uid) => findings.faults.push((uid, TextFault::Damaged)),
            None if uid.get() >= known_below => findings.lacking.push(uid),
            None if broken.is_some() => findings.lost.push(uid),
            None => findings.faults.push((uid, TextFault::Missing)),
        }
    }
    // What a crash tore off is made again, and no fault where nothing was counted on it.
    if let Some(octet) = broken.filter(|_| !findings.lost.is_empty()) {
        findings.file = Some(TextFileFault::CannotBeReadFrom(octet));
    }
    Ok(Some(findings))
}

/// Where the messages are, by unique name.
fn paths(directory: &Path) -> Result<HashMap<String, PathBuf>> {
    let mut paths = HashMap::new();
    for half in ["new", "cur"] {
        let half = directory.join(half);
        let names = disk::list_messages(&half).map_err(|error| failed("read", &half, error))?;
        for name in names {
            paths.insert(filename::unique_name(&name).to_owned(), half.join(&name));
        }
    }
    Ok(paths)
}

/// What a message yields now; `None` if it was renamed or removed since.
fn text_of(path: &Path) -> Result<Option<FoldedText>> {
    let (file, metadata) = match disk::open_regular(path) {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", path, error)),
    };
    let message = OpenedMessage {
        file: Arc::new(file),
        file_octets: metadata.stamp.size_octets,
    };
    let summary = Summary::read(&message)?;
    FoldedText::read(&message, &summary).map(Some)
}
