//! Following foreign changes by name gives what reading the directories gives.

use super::follow::Coverage;
use super::*;
use crate::maildir::watch;

struct Watched {
    directory: tempfile::TempDir,
    mailbox: Arc<Mailbox>,
    _subscription: Subscription,
}

/// A watched mailbox with messages 1 to 5 in `cur`, looked at once.
fn watched() -> Watched {
    let directory = tempfile::tempdir().unwrap();
    for name in ["new", "cur", "tmp"] {
        std::fs::create_dir(directory.path().join(name)).unwrap();
    }
    for number in 1..=5 {
        let name = format!("cur/{number}.M1P1.h:2,");
        std::fs::write(directory.path().join(name), "x\n").unwrap();
    }
    let open = Mailbox::open(directory.path().to_owned(), || Ok(crate::UidValidity::MIN));
    let mailbox = open.unwrap();
    let subscription = mailbox.subscribe(Waker::noop().clone());
    mailbox.state.lock().must_scan = true;
    mailbox.sync().unwrap();
    Watched {
        directory,
        mailbox,
        _subscription: subscription,
    }
}

impl Watched {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
    fn write(&self, name: &str) {
        std::fs::write(self.path(name), "x\n").unwrap();
    }
    fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.path(from), self.path(to)).unwrap();
    }
    fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).unwrap();
    }
    /// Does something, all at once for the watch, and looks; tells what is there then,
    /// and whether the directories were read for it.
    fn after(&self, change: impl FnOnce(&Self)) -> (Vec<String>, bool) {
        let state = self.mailbox.state.lock();
        let before = state.scanned;
        change(self);
        drop(state);
        let shown = shown(&self.mailbox.sync().unwrap());
        let read = self.mailbox.state.lock().scanned != before;
        (shown, read)
    }
    /// Reading the directories must find nothing that names had not told.
    fn verify(&self) {
        let before = self.mailbox.sync().unwrap();
        self.mailbox.state.lock().must_scan = true;
        let after = self.mailbox.sync().unwrap();
        assert_eq!(shown(&before), shown(&after));
        assert_eq!(before.highest_modseq(), after.highest_modseq());
    }
}

fn shown(snapshot: &Snapshot) -> Vec<String> {
    let mut shown = Vec::new();
    for row in snapshot.rows() {
        let keywords = row.keywords.iter();
        let names: Vec<&str> = keywords
            .map(|keyword| &*snapshot.keywords()[usize::from(*keyword)])
            .collect();
        let (uid, flags, recent) = (row.uid, row.flags.0, row.recent);
        shown.push(format!(
            "{uid} {} {flags} {names:?} {recent}",
            row.unique_name
        ));
    }
    shown
}

fn numbers(shown: &[String]) -> Vec<&str> {
    let first = |row: &'_ String| row.find(' ').unwrap_or_default();
    shown.iter().map(|row| &row[..first(row)]).collect()
}

#[test]
fn names_tell_what_others_do() {
    let watched = watched();
    let (shown, read) = watched.after(|w| {
        w.write("tmp/8.M1P1.h");
        w.rename("tmp/8.M1P1.h", "new/8.M1P1.h");
        w.write("tmp/7.M1P1.h");
        w.rename("tmp/7.M1P1.h", "new/7.M1P1.h");
    });
    assert_eq!(numbers(&shown), ["1", "2", "3", "4", "5", "6", "7"]);
    assert_eq!((&*shown[5], read), ("6 7.M1P1.h 0 [] true", false));
    watched.verify();
    let (shown, read) = watched.after(|w| {
        w.rename("new/7.M1P1.h", "cur/7.M1P1.h:2,F");
        w.rename("cur/7.M1P1.h:2,F", "cur/7.M1P1.h:2,FS");
        w.rename("cur/2.M1P1.h:2,", "cur/2.M1P1.h:2,R");
        w.rename("cur/2.M1P1.h:2,R", "cur/2.M1P1.h:2,");
        w.remove("cur/3.M1P1.h:2,");
    });
    assert_eq!(numbers(&shown), ["1", "2", "4", "5", "6", "7"]);
    assert_eq!((&*shown[4], read), ("6 7.M1P1.h 10 [] false", false));
    watched.verify();
    // As mutt renames: a link, then the old name goes.
    let (shown, read) = watched.after(|w| {
        std::fs::hard_link(w.path("cur/1.M1P1.h:2,"), w.path("cur/1.M1P1.h:2,T")).unwrap();
        w.remove("cur/1.M1P1.h:2,");
    });
    assert_eq!((&*shown[0], read), ("1 1.M1P1.h 16 [] false", false));
    // A message that came and went, and what is no message.
    let (again, read) = watched.after(|w| {
        w.write("new/9.M1P1.h");
        w.remove("new/9.M1P1.h");
        w.write("cur/.hidden");
        std::fs::create_dir(w.path("cur/9.M2P1.h")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", w.path("cur/9.M3P1.h")).unwrap();
    });
    assert_eq!((again, read), (shown, false));
    // Keyword letters get their names before files have them.
    let (shown, read) = watched.after(|w| {
        std::fs::write(w.path("dovecot-keywords"), "0 Work\n").unwrap();
        w.rename("cur/1.M1P1.h:2,T", "cur/1.M1P1.h:2,Ta");
        w.write("cur/9.M4P1.h:2,a");
    });
    assert_eq!(&*shown[0], "1 1.M1P1.h 16 [\"Work\"] false");
    assert_eq!(&*shown[6], "8 9.M4P1.h 0 [\"Work\"] false");
    assert!(!read);
    watched.verify();
}

#[test]
fn own_changes_are_no_news() {
    let watched = watched();
    let mailbox = &watched.mailbox;
    let uids: Vec<Uid> = (1..=5).filter_map(Uid::new).collect();
    let highest = |mailbox: &Mailbox| mailbox.snapshot().highest_modseq();
    let scanned = mailbox.state.lock().scanned;
    for action in [FlagAction::Add, FlagAction::Remove, FlagAction::Add] {
        mailbox
            .store_flags(&uids, action, Flags::SEEN, &[], None)
            .unwrap();
        watch::gather();
        let before = highest(mailbox);
        mailbox.sync().unwrap();
        assert_eq!(highest(mailbox), before);
    }
    let mut incoming = mailbox.begin_append().unwrap();
    incoming.write(b"x").unwrap();
    mailbox.append(vec![incoming]).unwrap();
    mailbox.expunge(&uids[..2]).unwrap();
    mailbox.copy_to(&uids[2..], mailbox).unwrap();
    mailbox.claim_recent().unwrap();
    watch::gather();
    let before = highest(mailbox);
    assert_eq!(mailbox.sync().unwrap().len(), 7);
    assert_eq!(highest(mailbox), before);
    assert_eq!(mailbox.state.lock().scanned, scanned);
    assert!(!mailbox.state.lock().own_changes);
    watched.verify();
}

#[test]
fn doubt_has_the_directories_read() {
    let watched = watched();
    // Moved to where nobody watches.
    let (shown, read) = watched.after(|w| w.rename("cur/1.M1P1.h:2,", "tmp/away"));
    assert_eq!((numbers(&shown), read), (vec!["2", "3", "4", "5"], true));
    // Two files of one name: when the known one goes, the other is the message.
    let (shown, read) = watched.after(|w| w.write("cur/2.M1P1.h:2,S"));
    assert_eq!((&*shown[0], read), ("2 2.M1P1.h 0 [] false", false));
    let (shown, _) = watched.after(|w| w.remove("cur/2.M1P1.h:2,"));
    assert_eq!(&*shown[0], "2 2.M1P1.h 8 [] false");
    // Events that were lost.
    watched.remove("cur/3.M1P1.h:2,");
    watch::gather();
    {
        let state = watched.mailbox.state.lock();
        state.queue.take();
        state.queue.lose();
    }
    let (shown, read) = watched.after(|_| {});
    assert_eq!((numbers(&shown), read), (vec!["2", "4", "5"], true));
    // Other directories in their place are watched in turn.
    let (shown, read) = watched.after(|w| {
        w.rename("cur", "old");
        std::fs::create_dir(w.path("cur")).unwrap();
        w.rename("old/4.M1P1.h:2,", "cur/4.M1P1.h:2,");
    });
    assert_eq!((numbers(&shown), read), (vec!["4"], true));
    let (shown, read) = watched.after(|w| w.write("cur/6.M1P1.h:2,"));
    assert_eq!((numbers(&shown), read), (vec!["4", "6"], false));
    watched.verify();
}

#[test]
fn nothing_is_lost_where_watching_ends() {
    let mut watched = watched();
    let scanned = watched.mailbox.state.lock().scanned;
    watched.write("new/6.M1P1.h");
    watched._subscription = {
        let other = watched.mailbox.subscribe(Waker::noop().clone());
        drop(std::mem::replace(&mut watched._subscription, other));
        // Still watched for the other; then for nobody.
        watched.mailbox.subscribe(Waker::noop().clone())
    };
    assert_ne!(watched.mailbox.state.lock().coverage, Coverage::None);
    drop(watched.mailbox.clone());
    watched.mailbox.state.lock().end_watch();
    assert_eq!(watched.mailbox.state.lock().coverage, Coverage::None);
    let snapshot = watched.mailbox.sync().unwrap();
    assert_eq!(snapshot.len(), 6);
    assert!(watched.mailbox.state.lock().scanned >= scanned);
    watched.verify();
}

#[test]
fn any_order_of_changes_comes_out_right() {
    let watched = watched();
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % 1000).unwrap_or_default() % below
    };
    let suffixes = [":2,", ":2,S", ":2,FS", ":2,T", ""];
    for step in 0..400 {
        let half = ["new", "cur"][random(2)];
        let names = disk::list_messages(&watched.path(half)).unwrap();
        let chosen = (!names.is_empty()).then(|| names[random(names.len())].clone());
        let unique = format!("{}.M{step}P1.h", random(9));
        match (random(8), chosen) {
            (0, _) => watched.write(&format!("new/{unique}")),
            (1, _) => watched.write(&format!("cur/{unique}:2,F")),
            (2, Some(name)) => watched.remove(&format!("{half}/{name}")),
            (3 | 4, Some(name)) => {
                let (unique, _) = crate::maildir::filename::of_message(&name).unwrap();
                let to = ["new", "cur"][random(2)];
                let to = format!("{to}/{unique}{}", suffixes[random(suffixes.len())]);
                watched.rename(&format!("{half}/{name}"), &to);
            }
            (5, Some(name)) => {
                let (unique, _) = crate::maildir::filename::of_message(&name).unwrap();
                let to = watched.path(&format!("cur/{unique}{}", suffixes[random(4)]));
                // The same name, or one that is there already, is no second one.
                let _ = std::fs::hard_link(watched.path(&format!("{half}/{name}")), to);
            }
            (6, _) => {
                let snapshot = watched.mailbox.snapshot();
                if let Some(row) = snapshot.row(random(snapshot.len().max(1))) {
                    let flags = Flags(u8::try_from(random(32)).unwrap_or_default());
                    watched
                        .mailbox
                        .store_flags(&[row.uid], FlagAction::Replace, flags, &[], None)
                        .unwrap();
                }
            }
            (7, _) => {
                watched.mailbox.claim_recent().unwrap();
            }
            _ => {}
        }
        if random(3) == 0 {
            watched.mailbox.sync().unwrap();
        }
        if random(20) == 0 {
            watched.verify();
        }
    }
    watched.verify();
}
