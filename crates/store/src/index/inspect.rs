//! Looking at an index without opening its mailbox, for `pillarbox check` and others.

use super::replay::{self, Contents, Unreadable};
use super::{Locked, MAX_OCTETS, NAME};
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

/// Removes the index beside a mailbox, unless a server has the mailbox open: that one would
/// go on with a file that has no name, and what it writes there, mod-sequences and which
/// messages were expunged, would be lost when it closes the mailbox. False then. Nobody opens
/// the mailbox meanwhile. A crash leaves it or not.
///
/// # Errors
/// When it cannot be removed.
pub fn remove_index(directory: &Path) -> Result<bool> {
    let path = directory.join(NAME);
    let failed = |error| failed("remove", &path, error);
    // What nobody can open nobody has open.
    let locked = match super::lock(&path) {
        Ok(Locked::Nothing) => return Ok(true),
        Ok(Locked::Busy) => return Ok(false),
        Ok(Locked::File(file)) => Some(file),
        Err(_) => None,
    };
    disk::unlink(&path).map_err(failed)?;
    drop(locked);
    Ok(true)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FlagAction, Flags, Keyword, Mailbox, ModSeq, Uid, UidValidity, Vanished};
    use std::fs;
    use std::sync::Arc;

    fn open(directory: &Path) -> Arc<Mailbox> {
        Mailbox::open(directory.to_owned(), || Ok(UidValidity::MIN)).unwrap()
    }

    /// A mailbox with three messages, open.
    fn make(directory: &Path) -> Arc<Mailbox> {
        fs::create_dir(directory.join("new")).unwrap();
        for number in 1..=3 {
            fs::write(
                directory.join(format!("new/{number}.M1P1.h")),
                "A: b\n\nc\n",
            )
            .unwrap();
        }
        let mailbox = open(directory);
        mailbox.sync().unwrap();
        mailbox
    }

    /// Changes flags of the second message and expunges the first; gives what is told then,
    /// and what was before.
    fn change(mailbox: &Mailbox) -> (Vec<String>, [ModSeq; 2]) {
        let before = mailbox.snapshot().highest_modseq();
        let [one, two] = [1, 2].map(|number| Uid::new(number).unwrap());
        let keywords = [Keyword::from("$Odd")];
        mailbox
            .store_flags(&[two], FlagAction::Add, Flags::SEEN, &keywords, None)
            .unwrap();
        mailbox.expunge(&[one]).unwrap();
        let told = mailbox.snapshot();
        (shown(&told), [before, told.highest_modseq()])
    }

    fn shown(snapshot: &crate::Snapshot) -> Vec<String> {
        let row =
            |row: crate::MessageRow<'_>| format!("{} {:?} {:?}", row.uid, row.flags, row.keywords);
        let validity = snapshot.uid_validity();
        let head = format!("{validity} {}", snapshot.uid_next());
        std::iter::once(head)
            .chain(snapshot.rows().map(row))
            .collect()
    }

    /// What a server has open stays, whatever is wrong with it, so that what it tells is
    /// known afterwards: who asks since a mod-sequence hears of what changed, and of nothing
    /// else.
    #[test]
    fn an_index_that_is_open_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let mailbox = make(path);
        assert!(!remove_index(path).unwrap());
        assert!(path.join(NAME).exists());
        let (told, [before, highest]) = change(&mailbox);
        drop(mailbox);
        let mailbox = open(path);
        let again = mailbox.snapshot();
        assert_eq!(shown(&again), told);
        assert_eq!(again.highest_modseq(), highest);
        let gone = mailbox.vanished_since(before);
        assert!(matches!(gone, Vanished::Exactly(uids) if uids == [Uid::MIN]));
        let changed = again.rows().filter(|row| row.modseq > before);
        assert_eq!(changed.map(|row| row.uid.get()).collect::<Vec<_>>(), [2]);
        drop((again, mailbox));
        assert!(remove_index(path).unwrap() && remove_index(path).unwrap());
        assert!(!path.join(NAME).exists());
        assert_eq!(shown(&open(path).snapshot()), told);
    }

    /// What other programs do, whatever they are told: an index that goes while a server has
    /// it open costs no message, UID or flag, and no mod-sequence falls, not even where
    /// another opens the mailbox beside the server. Everything is new to who comes back.
    #[test]
    fn an_open_index_that_goes_costs_no_mail() {
        for has_other in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path();
            let mailbox = make(path);
            fs::remove_file(path.join(NAME)).unwrap();
            let other = has_other.then(|| open(path));
            let (told, [before, highest]) = change(&mailbox);
            let beside = other.map(|other| {
                let seen = other.sync().unwrap();
                assert_eq!(shown(&seen), told);
                seen.highest_modseq()
            });
            mailbox.sync().unwrap();
            let highest = mailbox.snapshot().highest_modseq().max(highest);
            drop(mailbox);
            let mailbox = open(path);
            let again = mailbox.snapshot();
            assert_eq!(shown(&again), told, "{has_other}");
            let lowest = again.rows().map(|row| row.modseq).min().unwrap();
            assert!(lowest > highest.max(beside.unwrap_or(0)), "{has_other}");
            assert!(hears_of_it(&mailbox, before), "{has_other}");
        }
    }

    /// Whether who was told all up to a mod-sequence hears that the first message went.
    fn hears_of_it(mailbox: &Mailbox, since: ModSeq) -> bool {
        match mailbox.vanished_since(since) {
            Vanished::Exactly(uids) => uids == [Uid::MIN],
            // Then all that are not there are told.
            Vanished::Unknown => true,
        }
    }
}
