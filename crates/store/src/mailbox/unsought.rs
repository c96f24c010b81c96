//! Giving UIDs beside other programs that do so, too: what they listed has the UID that they
//! gave, and is taken in together with what gets its UID here, or before it. A message that
//! came later with a lower UID than one that was told would be out of order for ever.

use super::ATTEMPTS;
use super::scan::{Found, Fresh};
use super::state::{NAMES, State, failed, sync_each};
use crate::disk;
use crate::maildir::filename;
use crate::{Result, Uid};
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
        let (others, missing) = self.find_others(own)?;
        let lie_in = |in_new| others.iter().any(|other| other.in_new == in_new);
        let halves = [true, false].map(lie_in);
        let halves = self.halves_to_sync([0, 1].map(|half| asked[half] || halves[half]));
        let known_next = self.snapshot.uid_next.get();
        let rows = &self.snapshot.rows;
        let next = self.uidlist.uid_next.max(known_next);
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
        let uids = match (uids, self.note_synced(synced)) {
            (Ok(uids), Err(error)) => {
                // What is listed is taken for durable by who finds it.
                let fresh = uids.into_iter().filter(|uid| *uid >= next);
                fresh.for_each(|uid| self.uidlist.forget(uid));
                return Err(error);
            }
            (uids, synced) => {
                synced?;
                uids?
            }
        };
        for uid in missing {
            self.uidlist.forget(uid);
        }
        self.uidlist.end_search();
        Ok(Given { uids, others })
    }
    /// The messages that others listed and nobody looked for, measured, and the UIDs of those
    /// that are not there any more. A flag that is changed meanwhile gives a file another
    /// name: what was found and is not there is looked for again, as it would get another
    /// UID otherwise.
    fn find_others(&mut self, own: &HashSet<Arc<str>>) -> Result<(Vec<Found>, Vec<u32>)> {
        let mut others: Vec<Found> = Vec::new();
        let mut known = own.clone();
        for _ in 0..ATTEMPTS {
            let Sought { found, missing } = self.seek(&known)?;
            let count = found.len();
            let (measured, unreadable) = self.measure(found);
            let all = measured.len() + unreadable.len() == count;
            known.extend(unreadable);
            known.extend(measured.iter().map(|other| Arc::clone(&other.unique)));
            others.extend(measured);
            if all {
                return Ok((others, missing));
            }
        }
        // It goes from name to name all the time.
        Ok((others, Vec::new()))
    }
    /// Another program that did not see a file for a moment has listed its message anew: here
    /// it goes and comes with that UID, too, as two of one message would be told by the two.
    fn follow_relisted(&mut self, known: &HashSet<Arc<str>>) {
        let listed = self.uidlist.unsought().into_iter();
        let earlier = listed.filter_map(|(uid, name)| {
            let row = self.named(&name).filter(|_| !known.contains(&name))?;
            (row.uid.get() < uid).then_some(row.uid)
        });
        let earlier: HashSet<Uid> = earlier.collect();
        if !earlier.is_empty() {
            tracing::warn!(directory = %self.directory.display(), messages = earlier.len(), "another program gave messages new UIDs");
            self.forget(&earlier);
        }
    }
    /// Looks for the files of messages that others listed and nobody looked for.
    fn seek(&mut self, known: &HashSet<Arc<str>>) -> Result<Sought> {
        self.follow_relisted(known);
        let unsought = self.uidlist.unsought().into_iter();
        let mut wanted: HashMap<Arc<str>, u32> = unsought
            .filter(|(_, name)| !known.contains(name) && self.named(name).is_none())
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
    use crate::disk::simulated::{Fault, Simulated};
    use crate::maildir::{dotlock, uidlist};
    use crate::{Account, Error, FlagAction, Flags, Layout, Mailbox, Uid, Vanished};
    use std::fs;
    use std::io::Write;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Waker;
    use std::time::Duration;

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

    /// A file whose flags others change goes from name to name.
    #[test]
    fn what_others_listed_keeps_its_uid_while_its_flags_change() {
        const COUNT: u32 = 300;
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let (_account, mailbox) = inbox(root);
        assert_eq!(append(&mailbox), 1);
        let name = |number: u32| format!("{number}.M1P1.o{number}");
        for number in 2..2 + COUNT {
            deliver(root, number, &format!("cur/{}:2,", name(number)));
        }
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut flags = ["", "S"];
                while !is_over.load(Ordering::SeqCst) {
                    for number in 2..2 + COUNT {
                        let [from, to] =
                            flags.map(|flag| root.join(format!("cur/{}:2,{flag}", name(number))));
                        fs::rename(from, to).unwrap();
                    }
                    flags.reverse();
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            let own = append(&mailbox);
            is_over.store(true, Ordering::SeqCst);
            assert_eq!(own, 2 + COUNT);
        });
        let told = uids(&mailbox);
        let expected = (2..2 + COUNT).map(|number| (number, format!("o{number}")));
        assert!(
            expected.eq(told[1..told.len() - 1].iter().cloned()),
            "{told:?}"
        );
    }

    /// What hides behind an own change: it came between that and the look after it.
    #[test]
    fn what_came_beside_an_own_change_is_found_when_somebody_comes_to_wait() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let (_account, mailbox) = inbox(root);
        assert_eq!(append(&mailbox), 1);
        uids(&mailbox);
        {
            let mut state = mailbox.state.lock();
            for seen in &mut state.seen {
                seen.doubtful = false;
            }
            let before = state.before_change();
            assert_eq!(before.settled, [true; 2]);
            fs::write(root.join("new/1.M1P1.hidden"), "Subject: x\n\n").unwrap();
            // Nothing of our own came there.
            state.settle(&before, [false, true]);
            assert_eq!(state.before_change().settled, [false, true]);
            // It came between two of our own.
            std::thread::sleep(Duration::from_millis(2));
            state.settle(&before, [true; 2]);
            assert_eq!(state.before_change().settled, [true; 2]);
        }
        assert_eq!(uids(&mailbox).len(), 1);
        let waits = mailbox.subscribe(Waker::noop().clone());
        assert_eq!(uids(&mailbox)[1], (2, "hidden".to_owned()));
        drop(waits);
    }

    /// Where somebody waited in vain those who come after it do not.
    #[test]
    fn waits_for_a_lock_do_not_add_up() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let (_account, mailbox) = inbox(root);
        assert_eq!(append(&mailbox), 1);
        let patience = || mailbox.patience(&mailbox.state.lock());
        let lock = root.join(dotlock::UIDLIST);
        fs::write(&lock, "1:elsewhere.example").unwrap();
        assert_eq!(patience(), dotlock::PATIENCE);
        let group = mailbox.change(|state| {
            state.with_patience(Duration::ZERO, |state| {
                let mut message = crate::Incoming::begin(root).unwrap();
                message.sync().unwrap();
                let outcome = state.append(vec![vec![message]]).pop().unwrap();
                outcome.map(drop)
            })
        });
        assert!(matches!(group, Err(Error::Locked(_))));
        assert_eq!(patience(), Duration::ZERO);
        // What needs no lock changes nothing of that.
        let uids = [Uid::MIN];
        let stored = mailbox.store_flags(&uids, FlagAction::Add, Flags::SEEN, &[], None);
        assert_eq!(stored.unwrap().stored.len(), 1);
        assert_eq!(patience(), Duration::ZERO);
        let mut message = mailbox.begin_append().unwrap();
        message.write(b"x").unwrap();
        assert!(matches!(
            mailbox.append(vec![message]),
            Err(Error::Locked(_))
        ));
        // Another lock is another's.
        fs::remove_file(&lock).unwrap();
        fs::write(&lock, "12:elsewhere.example").unwrap();
        assert_eq!(patience(), dotlock::PATIENCE);
        fs::remove_file(&lock).unwrap();
        assert_eq!(patience(), dotlock::PATIENCE);
        assert_eq!(append(&mailbox), 2);
    }

    /// A list that cannot be written anew lists nothing: others may give those UIDs.
    #[test]
    fn what_is_refused_has_no_uid() {
        let disk = Simulated::new();
        let root = disk.root().join("mail");
        crate::disk::make_directory(&root).unwrap();
        let (_account, mailbox) = inbox(&root);
        assert_eq!(append(&mailbox), 1);
        mailbox.state.lock().uidlist.needs_rewrite = true;
        for operation in 0.. {
            let mut message = mailbox.begin_append().unwrap();
            message.write(b"x").unwrap();
            message.sync().unwrap();
            disk.arm(Some(Fault::Fail {
                operation,
                errno: 28,
                lasting: false,
            }));
            let outcome = mailbox.append(vec![message]);
            let fired = disk.fired();
            disk.arm(None);
            if !fired {
                assert!(outcome.is_ok());
                break;
            }
            if outcome.is_ok() {
                mailbox.state.lock().uidlist.needs_rewrite = true;
                continue;
            }
            let state = mailbox.state.lock();
            let uidlist = &state.uidlist;
            let highest = uidlist.records.keys().max().copied().unwrap_or_default();
            assert!(
                highest <= state.snapshot.last_uid().map_or(0, Uid::get),
                "{operation}"
            );
            // Unless it is on the disk all the same.
            let on_disk = uidlist::Uidlist::read(&root, None).unwrap().unwrap();
            assert!(uidlist.uid_next <= on_disk.uid_next, "{operation}");
        }
    }

    /// Dovecot does so with a file that is renamed while it reads the directory.
    #[test]
    fn what_others_list_anew_has_their_uid() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let (_account, mailbox) = inbox(root);
        assert_eq!(append(&mailbox), 1);
        let before = mailbox.snapshot().highest_modseq();
        let name = mailbox.snapshot().row(0).unwrap().unique_name.to_owned();
        list(root, 9, &name);
        assert_eq!(append(&mailbox), 10);
        let told: Vec<u32> = uids(&mailbox).into_iter().map(|(uid, _)| uid).collect();
        assert_eq!(told, [9, 10]);
        assert!(
            matches!(mailbox.vanished_since(before), Vanished::Exactly(gone) if gone == [Uid::MIN])
        );
        drop((_account, mailbox));
        let (_account, mailbox) = inbox(root);
        let told: Vec<u32> = uids(&mailbox).into_iter().map(|(uid, _)| uid).collect();
        assert_eq!(told, [9, 10]);
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
