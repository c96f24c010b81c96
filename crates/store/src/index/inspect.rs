//! Looking at an index without opening its mailbox, for `pillarbox check` and others.

use super::replay::{self, Contents, Unreadable};
use super::{MAX_OCTETS, NAME};
use crate::Result;
use crate::control_file::failed;
use crate::disk;
use crate::mailbox::measured_octets;
use crate::maildir::uidlist::Uidlist;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// So many differences are told.
const TOLD: usize = 3;

/// What the index beside a mailbox says, if one is there that can be read. Another may be
/// writing it: of what is being written nothing or all is seen. How the directories were
/// it does not say: they are to be read.
pub(crate) fn look(directory: &Path) -> Result<Option<Contents>> {
    let path = directory.join(NAME);
    let (file, metadata) = match disk::open_regular(&path) {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", &path, error)),
    };
    if metadata.stamp.size_octets > MAX_OCTETS {
        return Ok(None);
    }
    match replay::replay(file.take(MAX_OCTETS)) {
        Ok(replay) => Ok(Some(Contents {
            settled: None,
            ..replay.contents
        })),
        Err(Unreadable::Content(_)) => Ok(None),
        Err(Unreadable::Disk(error)) => Err(failed("read", &path, error)),
    }
}

/// Whether a server, or another program of ours, has the mailbox of this directory open
/// now, as its locked index tells.
///
/// # Errors
/// When the index cannot be looked at.
pub fn is_open_elsewhere(directory: &Path) -> Result<bool> {
    let path = directory.join(NAME);
    super::is_busy(directory).map_err(|error| failed("look at", &path, error))
}

/// What the index beside a mailbox says that the UID list or the files contradict, in
/// words; `None` if there is no index or nothing speaks against it. That it lacks
/// what came last is no contradiction. The index may be removed: what it says is found
/// out again when the mailbox is opened.
///
/// # Errors
/// When index, list or files cannot be read.
pub fn inspect_index(directory: &Path) -> Result<Option<String>> {
    let path = directory.join(NAME);
    let (file, metadata) = match disk::open_regular(&path) {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", &path, error)),
    };
    if metadata.stamp.size_octets > MAX_OCTETS {
        return Ok(Some("the index is too large".to_owned()));
    }
    let replay = match replay::replay(file.take(MAX_OCTETS)) {
        Ok(replay) => replay,
        Err(Unreadable::Content(reason)) => {
            return Ok(Some(format!("the index cannot be read: {reason}")));
        }
        Err(Unreadable::Disk(error)) => return Err(failed("read", &path, error)),
    };
    let contents = replay.contents;
    let Some(list) = Uidlist::read(directory, Some(&contents.rows))? else {
        return Ok(None);
    };
    if list.uid_validity.get() != contents.uid_validity || list.guid != contents.guid {
        return Ok(Some("the index is another mailbox's".to_owned()));
    }
    let mut differences = Vec::new();
    for row in contents.rows.iter() {
        let (uid, name) = (row.uid, row.unique_name);
        if let Some(record) = list.records.get(&uid.get())
            && *record.name != *name
        {
            differences.push(format!("UID {uid} is {name}, in the list {}", record.name));
            continue;
        }
        let half = directory.join(if row.in_new { "new" } else { "cur" });
        let path = half.join(format!("{name}{}", row.suffix));
        match measured_octets(&path) {
            Ok(octets) if octets != row.size_octets => differences.push(format!(
                "UID {uid} has {} octets, its file {octets}",
                row.size_octets
            )),
            Ok(_) => {}
            // Renamed or removed since.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed("read", &path, error)),
        }
    }
    Ok(match differences.len() {
        0 => None,
        count => {
            differences.truncate(TOLD);
            let told = differences.join("; ");
            Some(format!(
                "the index has {count} messages otherwise than they are: {told}"
            ))
        }
    })
}
