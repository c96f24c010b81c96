//! Looking at a mailbox without opening it: nothing is locked, made or written, so a
//! server may be at work on it.

use super::open::take_over;
use super::state::State;
use crate::control_file;
use crate::index;
use crate::maildir::courier;
use crate::maildir::keywords::KeywordTable;
use crate::maildir::uidlist::Uidlist;
use crate::maildir::watch::Queue;
use crate::{Error, Result, Snapshot, UidValidity};
use std::path::PathBuf;
use std::sync::Arc;

/// A mailbox as it is on the disk. Messages that have no UIDs yet are shown with those
/// that they would get; mod-sequences mean nothing.
#[derive(Debug)]
pub struct Inspected {
    /// Its messages.
    pub snapshot: Snapshot,
    /// The UIDVALIDITY; none if it was never opened.
    pub uid_validity: Option<UidValidity>,
}

impl Inspected {
    /// Looks at the mailbox at `directory`.
    ///
    /// # Errors
    /// [`Error::NonExistent`] if there is none, and when it cannot be read.
    pub(crate) fn read(directory: PathBuf) -> Result<Self> {
        if !control_file::is_directory(&directory.join("cur"))? {
            return Err(Error::NonExistent);
        }
        let contents = index::look(&directory)?;
        let indexed = contents.as_ref().map(|contents| &contents.rows);
        let list = Uidlist::read(&directory, indexed)?;
        let contents = contents.filter(|contents| {
            list.as_ref().is_none_or(|list| {
                (list.uid_validity.get(), list.guid) == (contents.uid_validity, contents.guid)
            })
        });
        let known = match (list, &contents) {
            (Some(list), _) => Some(list),
            (None, Some(contents)) => Some(Uidlist::of_index(contents)?),
            (None, None) => courier::import(&directory)?.map(take_over).transpose()?,
        };
        let uid_validity = known.as_ref().map(|list| list.uid_validity);
        let list = match known {
            Some(list) => list,
            None => Uidlist::new(UidValidity::MIN)?,
        };
        let keywords = KeywordTable::read(&directory)?;
        let mut state = State::new(directory, list, keywords, 1, Arc::new(Queue::new(0)));
        state.is_inspected = true;
        if let Some(contents) = contents {
            state.take_from_index(contents, None, None, true);
        }
        state.read_directories()?;
        Ok(Self {
            snapshot: state.snapshot,
            uid_validity,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::{FlagAction, Mailbox};
    use crate::{Flags, Keyword, Uid};
    use std::path::Path;

    /// Every file beneath a directory, with its content and when it was written.
    fn all_of(root: &Path) -> Vec<(PathBuf, Vec<u8>, std::time::SystemTime)> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(root).unwrap() {
            let path = entry.unwrap().path();
            let modified = path.metadata().unwrap().modified().unwrap();
            match path.is_dir() {
                true => {
                    all.extend(all_of(&path));
                    all.push((path, Vec::new(), modified));
                }
                false => all.push((path.clone(), std::fs::read(&path).unwrap(), modified)),
            }
        }
        all.sort();
        all
    }

    fn shown(snapshot: &Snapshot) -> Vec<String> {
        let row = |row: crate::MessageRow<'_>| {
            let keywords = row.keywords.iter();
            let names = keywords.map(|index| &*snapshot.keywords()[usize::from(*index)]);
            format!(
                "{} {:?} {:?} {} {}",
                row.uid,
                row.flags,
                names.collect::<Vec<_>>(),
                row.recent,
                row.size_octets
            )
        };
        snapshot.rows().map(row).collect()
    }

    #[test]
    fn it_is_seen_as_who_has_it_open_sees_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let open = || Mailbox::open(path.to_owned(), || Ok(UidValidity::MIN)).unwrap();
        let mailbox = open();
        for number in 0..3 {
            std::fs::write(path.join(format!("new/{number}.M1P1.h")), "A: b\n\nc\n").unwrap();
        }
        mailbox.sync().unwrap();
        let [one, two] = [1, 2].map(|number| Uid::new(number).unwrap());
        let keywords = [Keyword::from("$Odd")];
        mailbox
            .store_flags(&[one], FlagAction::Add, Flags::SEEN, &keywords, None)
            .unwrap();
        mailbox.expunge(&[two]).unwrap();
        let told = mailbox.snapshot();
        let before = all_of(path);
        let seen = Inspected::read(path.to_owned()).unwrap();
        assert_eq!(shown(&seen.snapshot), shown(&told));
        assert_eq!(seen.snapshot.uid_next(), told.uid_next());
        assert_eq!(seen.uid_validity, Some(told.uid_validity()));
        assert_eq!(all_of(path), before, "something was written");
        // What nobody has listed has the UID that it is going to have.
        std::fs::write(path.join("new/9.M1P1.h"), "A: b\n\nc\n").unwrap();
        let before = all_of(path);
        let seen = Inspected::read(path.to_owned()).unwrap();
        assert_eq!(all_of(path), before, "something was written");
        let told = mailbox.sync().unwrap();
        assert_eq!(shown(&seen.snapshot), shown(&told));
        assert_eq!(seen.snapshot.uid_next(), told.uid_next());
        // Without the index it is the same but for what only that knows.
        drop(mailbox);
        std::fs::remove_file(path.join(index::NAME)).unwrap();
        let seen = Inspected::read(path.to_owned()).unwrap();
        assert_eq!(shown(&seen.snapshot), shown(&open().snapshot()));
    }

    #[test]
    fn one_that_was_never_opened_stays_so() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let missing = Inspected::read(path.to_owned());
        assert!(matches!(missing, Err(Error::NonExistent)));
        for half in ["cur", "new"] {
            std::fs::create_dir(path.join(half)).unwrap();
        }
        std::fs::write(path.join("cur/1.M1P1.h:2,S"), "A: b\n\nc\n").unwrap();
        let before = all_of(path);
        let seen = Inspected::read(path.to_owned()).unwrap();
        assert_eq!(seen.snapshot.len(), 1);
        assert_eq!(seen.uid_validity, None);
        assert_eq!(all_of(path), before, "something was written");
    }
}
