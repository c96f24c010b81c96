//! Giving UIDs beside other programs that do so, too: what they listed has the UID that they
//! gave, and is taken in together with what gets its UID here, or before it. A message that
//! came later with a lower UID than one that was told would be out of order for ever.

use super::scan::{Found, Fresh};
use super::state::{NAMES, State, failed, sync_each};
use crate::Result;
use crate::disk;
use crate::maildir::filename;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::thread;

/// What came of giving UIDs.
pub(super) struct Given {
    /// The UIDs of the names that were said, in their order.
    pub(super) uids: Vec<u32>,
    /// The messages of others, which are to be admitted at once.
    pub(super) others: Vec<Found>,
}

/// Messages that others listed.
struct Sought {
    found: Vec<Fresh>,
    /// The UIDs of those that are not there any more.
    missing: Vec<u32>,
}

impl State {
    /// Gives UIDs to names, in order, durably, with the sizes of those that had to be
    /// measured ([`crate::maildir::uidlist::Uidlist::assign`] says what a crash leaves).
    /// Gives also what others listed meanwhile and that is not among `own`, the names that
    /// are about to be admitted. The names of the files are made durable, too, in `new`
    /// (first) and `cur` where asked: at the same time as the list, which a disk does in
    /// hardly more than it takes for one of both. A crash leaves any part of that: files
    /// without UID, or UIDs without a file. None of them was told to anyone.
    pub(super) fn give_uids(
        &mut self,
        names: &[Arc<str>],
        sizes: &HashMap<Arc<str>, u64>,
        own: &HashSet<Arc<str>>,
        asked: [bool; 2],
    ) -> Result<Given> {
        let rows = &mut self.snapshot.rows;
        let lock = self
            .uidlist
            .lock(&self.directory, rows, self.lock_patience)?;
        let Sought { found, missing } = self.seek(own)?;
        let others = self.measure(found);
        let lie_in = |in_new| others.iter().any(|other| other.in_new == in_new);
        let halves = [true, false].map(lie_in);
        let halves = self.halves_to_sync([0, 1].map(|half| asked[half] || halves[half]));
        let known_next = self.snapshot.uid_next.get();
        let rows = &self.snapshot.rows;
        let (uidlist, directory) = (&mut self.uidlist, &self.directory);
        let (uids, synced) = thread::scope(|scope| {
            let sync = || sync_each(&halves);
            let syncing = match halves.is_empty() {
                true => None,
                // Where there can be no thread it is done here.
                false => thread::Builder::new().spawn_scoped(scope, sync).ok(),
            };
            let uids = uidlist.assign(directory, names, sizes, rows, known_next, &lock);
            let synced = match syncing.map(thread::ScopedJoinHandle::join) {
                Some(Ok(synced)) => synced,
                Some(Err(panic)) => std::panic::resume_unwind(panic),
                None => sync(),
            };
            (uids, synced)
        });
        self.note_synced(synced)?;
        let uids = uids?;
        for uid in missing {
            self.uidlist.forget(uid);
        }
        self.uidlist.end_search();
        Ok(Given { uids, others })
    }
    /// Looks for the files of messages that others listed and nobody looked for.
    fn seek(&mut self, own: &HashSet<Arc<str>>) -> Result<Sought> {
        let unsought = self.uidlist.unsought().into_iter();
        let mut wanted: HashMap<Arc<str>, u32> = unsought
            .filter(|(_, name)| !own.contains(name) && self.named(name).is_none())
            .map(|(uid, name)| (name, uid))
            .collect();
        let mut found = Vec::with_capacity(wanted.len());
        if !wanted.is_empty() {
            self.read_letters()?;
        }
        // A rename during the reading can hide a file: what is absent is looked for again.
        for _ in 0..2 {
            for (half, name) in NAMES.into_iter().enumerate() {
                if wanted.is_empty() {
                    break;
                }
                let path = self.directory.join(name);
                let files =
                    disk::list_messages(&path).map_err(|error| failed("read", &path, error))?;
                for file in files {
                    let unique = filename::unique_name(&file);
                    if let Some((name, _)) = wanted.remove_entry(unique) {
                        let suffix = file.get(unique.len()..).unwrap_or_default();
                        found.push((name, half == 0, Box::from(suffix)));
                    }
                }
            }
        }
        let missing = wanted.into_values().collect();
        Ok(Sought { found, missing })
    }
}

#[cfg(test)]
mod tests {
    use crate::maildir::{dotlock, uidlist};
    use crate::{Account, Flags, Layout, Mailbox, Uid};
    use std::fs;
    use std::io::Write;
    use std::path::Path;
    use std::sync::Arc;

    fn inbox(root: &Path) -> (Arc<Account>, Arc<Mailbox>) {
        let layout = Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let account = Account::open(root, layout).unwrap();
        let mailbox = account.mailbox(&account.parse_name("INBOX").unwrap());
        (account, mailbox.unwrap())
    }

    fn append(mailbox: &Mailbox) -> u32 {
        let mut message = mailbox.begin_append().unwrap();
        message.write(b"Subject: own\r\n\r\n").unwrap();
        message.describe(Flags::default(), Vec::new(), None);
        mailbox.append(vec![message]).unwrap()[0].get()
    }

    /// Another program lists a message.
    fn list(root: &Path, uid: u32, name: &str) {
        let path = root.join(uidlist::NAME);
        let mut list = fs::OpenOptions::new().append(true).open(path).unwrap();
        list.write_all(format!("{uid} :{name}\n").as_bytes())
            .unwrap();
    }

    /// Another program makes a message and lists it.
    fn deliver(root: &Path, uid: u32, place: &str) {
        fs::write(root.join(place), "Subject: other\n\n").unwrap();
        let name = place.split(['/', ':']).nth(1).unwrap();
        list(root, uid, name);
    }

    fn uids(mailbox: &Mailbox) -> Vec<(u32, String)> {
        let snapshot = mailbox.sync().unwrap();
        let name = |row: crate::MessageRow<'_>| {
            (
                row.uid.get(),
                row.unique_name.split('.').next_back().unwrap().to_owned(),
            )
        };
        snapshot.rows().map(name).collect()
    }

    fn lines(root: &Path) -> usize {
        let list = fs::read_to_string(root.join(uidlist::NAME)).unwrap();
        list.lines().count() - 1
    }

    #[test]
    fn what_others_listed_keeps_its_uid_when_a_message_is_appended() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let (_account, mailbox) = inbox(root);
        assert_eq!(append(&mailbox), 1);
        deliver(root, 2, "new/1.M1P1.other-new");
        deliver(root, 3, "cur/2.M1P1.other-cur:2,S");
        // Removed again by who listed it.
        list(root, 4, "3.M1P1.other-gone");
        assert_eq!(append(&mailbox), 5);
        let snapshot = mailbox.snapshot();
        assert_eq!(snapshot.uid_next().get(), 6);
        let uids = uids(&mailbox);
        assert_eq!(
            uids.iter().map(|(uid, _)| *uid).collect::<Vec<_>>(),
            [1, 2, 3, 5]
        );
        assert_eq!((&*uids[1].1, &*uids[2].1), ("other-new", "other-cur"));
        let flags = mailbox
            .snapshot()
            .of_uid(Uid::new(3).unwrap())
            .unwrap()
            .flags;
        assert_eq!(flags, Flags::SEEN);
        assert_eq!(lines(root), 5);
    }

    /// A message that is found while another, listed before it, is not yet: both come.
    #[test]
    fn what_others_listed_keeps_its_uid_when_mail_comes() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let (_account, mailbox) = inbox(root);
        assert_eq!(append(&mailbox), 1);
        fs::write(root.join("new/9.M1P1.delivered"), "Subject: new\n\n").unwrap();
        let mut state = mailbox.state.lock();
        deliver(root, 2, "cur/1.M1P1.other:2,");
        let fresh = ("9.M1P1.delivered".into(), true, "".into());
        assert!(state.take_in(vec![fresh]).unwrap());
        drop(state);
        let told = [
            (1, uids(&mailbox)[0].1.clone()),
            (2, "other".into()),
            (3, "delivered".into()),
        ];
        assert_eq!(uids(&mailbox), told);
        assert_eq!(lines(root), 3);
    }

    /// The list is written anew while it lists a message that nobody here knows: UIDNEXT is
    /// not told above it.
    #[test]
    fn the_next_uid_is_not_told_above_what_others_listed() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let (_account, mailbox) = inbox(root);
        assert_eq!(append(&mailbox), 1);
        deliver(root, 2, "cur/1.M1P1.other:2,");
        list(root, 3, "2.M1P1.gone");
        {
            let mut state = mailbox.state.lock();
            state.rewrite_list().unwrap();
            state.settle_header();
            assert_eq!(state.snapshot.uid_next().get(), 2);
        }
        assert_eq!(uids(&mailbox)[1], (2, "other".to_owned()));
        assert_eq!(mailbox.snapshot().uid_next().get(), 4);
        assert!(!root.join(dotlock::UIDLIST).exists());
    }
}
