//! What happens beside a mailbox whose UID list another program has locked.

use super::tests::{account, append, name};
use super::*;
use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Wake;
use std::time::Duration;

/// Long after whatever does not wait is done.
const NEVER: Duration = Duration::from_secs(10);

struct Told(Sender<()>);

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(());
    }
}

fn watched(account: &Arc<Account>, text: &str) -> (Arc<Mailbox>, Subscription, Receiver<()>) {
    let (sender, told) = channel();
    let waker = Waker::from(Arc::new(Told(sender)));
    let (mailbox, subscription) = account.watched_mailbox(&name(text), &waker).unwrap();
    (mailbox, subscription, told)
}

fn deliver(directory: &Path, file: &str) {
    let new = directory.join("new").join(file);
    let tmp = directory.join("tmp").join(file);
    std::fs::write(&tmp, "Subject: x\n\nx\n").unwrap();
    std::fs::rename(&tmp, &new).unwrap();
}

/// Waits until a mailbox shows so many messages.
fn await_messages(mailbox: &Mailbox, told: &Receiver<()>, messages: usize) {
    while mailbox.snapshot().len() < messages {
        told.recv_timeout(NEVER).expect("it is told");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn others_are_told_what_comes() {
    let (directory, account) = account();
    let root = directory.path().join("Maildir");
    account.create(&name("free"), None).unwrap();
    let (inbox, _watch, inbox_told) = watched(&account, "INBOX");
    let (free, _other_watch, free_told) = watched(&account, "free");
    inbox.waits_for_nobody();
    let lock = root.join(dotlock::UIDLIST);
    std::fs::write(&lock, "1:another-host").unwrap();
    deliver(&root, "1.M1P1.h");
    // The watch has tried the one before it turns to the other.
    while !inbox.is_behind() {
        std::thread::yield_now();
    }
    deliver(&root.join(".free"), "1.M1P1.h");
    await_messages(&free, &free_told, 1);
    deliver(&root, "2.M1P1.h");
    assert!(inbox.snapshot().is_empty());
    // Who asks is shown what was there.
    assert!(inbox.sync().unwrap().is_empty());
    std::fs::remove_file(&lock).unwrap();
    await_messages(&inbox, &inbox_told, 2);
    assert!(!inbox.is_behind());
}

/// What came before anybody listened is told as well.
#[test]
fn who_comes_meanwhile_is_told_afterwards() {
    let (directory, account) = account();
    let root = directory.path().join("Maildir");
    let open = account.mailbox(&name("INBOX")).unwrap();
    open.waits_for_nobody();
    let lock = root.join(dotlock::UIDLIST);
    std::fs::write(&lock, "1:another-host").unwrap();
    deliver(&root, "1.M1P1.h");
    let (inbox, _watch, told) = watched(&account, "INBOX");
    assert!(inbox.snapshot().is_empty() && inbox.is_behind());
    std::fs::remove_file(&lock).unwrap();
    await_messages(&inbox, &told, 1);
}

/// Whoever asked before, and waited in vain.
#[test]
fn who_comes_after_one_who_waited_is_told_afterwards() {
    let (directory, account) = account();
    let root = directory.path().join("Maildir");
    let open = account.mailbox(&name("INBOX")).unwrap();
    let lock = root.join(dotlock::UIDLIST);
    std::fs::write(&lock, "1:another-host").unwrap();
    deliver(&root, "1.M1P1.h");
    assert!(open.sync().unwrap().is_empty() && open.is_behind());
    let (inbox, _watch, told) = watched(&account, "INBOX");
    assert!(inbox.snapshot().is_empty());
    std::fs::remove_file(&lock).unwrap();
    await_messages(&inbox, &told, 1);
}

/// What others do to messages that have their UIDs needs no lock.
#[test]
fn what_needs_no_lock_is_seen_while_there_is_one() {
    let (directory, account) = account();
    let root = directory.path().join("Maildir");
    let inbox = account.mailbox(&name("INBOX")).unwrap();
    append(&inbox, "Subject: a\r\n\r\n");
    append(&inbox, "Subject: b\r\n\r\n");
    let lock = root.join(dotlock::UIDLIST);
    std::fs::write(&lock, "1:another-host").unwrap();
    deliver(&root, "1.M1P1.h");
    inbox.waits_for_nobody();
    assert!(inbox.sync().unwrap().len() == 2 && inbox.is_behind());
    let uids: Vec<Uid> = inbox.snapshot().rows().map(|row| row.uid).collect();
    let file = |uid: &Uid| {
        let snapshot = inbox.snapshot();
        let row = snapshot.of_uid(*uid).unwrap();
        let half = if row.in_new { "new" } else { "cur" };
        (
            root.join(half).join(row.file_name()),
            row.unique_name.to_owned(),
        )
    };
    let (path, unique) = file(&uids[0]);
    std::fs::rename(path, root.join(format!("cur/{unique}:2,F"))).unwrap();
    assert!(inbox.open_message(uids[0]).is_ok());
    let (path, _) = file(&uids[1]);
    std::fs::remove_file(path).unwrap();
    let snapshot = inbox.sync().unwrap();
    assert_eq!(snapshot.len(), 1);
    assert!(
        snapshot
            .row(0)
            .unwrap()
            .flags
            .contains(crate::Flags::FLAGGED)
    );
}

/// Another program is about to list a message: its UID is that message's.
#[test]
fn who_opens_a_mailbox_waits_for_the_end_of_a_line() {
    let (directory, account) = account();
    let root = directory.path().join("Maildir");
    append(
        &account.mailbox(&name("INBOX")).unwrap(),
        "Subject: x\r\n\r\n",
    );
    let lock = root.join(dotlock::UIDLIST);
    std::fs::write(&lock, "1:another-host").unwrap();
    std::fs::write(root.join("cur/1.M1P1.other:2,S"), "Subject: other\n\n").unwrap();
    let mut list = std::fs::OpenOptions::new()
        .append(true)
        .open(root.join("dovecot-uidlist"))
        .unwrap();
    list.write_all(b"7 :1.M1P1").unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Time for who opens it to read the list.
            std::thread::sleep(Duration::from_millis(50));
            list.write_all(b".other\n").unwrap();
            std::fs::remove_file(&lock).unwrap();
        });
        let inbox = account.mailbox(&name("INBOX")).unwrap();
        let uids: Vec<u32> = inbox
            .sync()
            .unwrap()
            .rows()
            .map(|row| row.uid.get())
            .collect();
        assert_eq!(uids, [1, 7]);
    });
}

/// RENAME and DELETE of a mailbox in which something waits keep nobody from the others.
#[test]
fn other_mailboxes_are_opened_and_subscribed() {
    for deletes in [false, true] {
        let (_directory, account) = account();
        account.create(&name("busy"), None).unwrap();
        account.create(&name("free"), None).unwrap();
        let busy = account.mailbox(&name("busy")).unwrap();
        append(&busy, "Subject: x\r\n\r\n");
        let at_work = busy.hold().unwrap();
        std::thread::scope(|scope| {
            let (sender, done) = channel();
            let changing = scope.spawn(|| match deletes {
                true => account.delete(&name("busy")),
                false => account.rename(&name("busy"), &name("renamed")),
            });
            // It has the set of mailboxes for a moment, again and again or once.
            std::thread::sleep(Duration::from_millis(20));
            let others = Arc::clone(&account);
            std::thread::spawn(move || {
                others.set_subscribed(&name("free"), true).unwrap();
                others.mailbox(&name("free")).unwrap();
                sender.send(()).unwrap();
            });
            let told = done.recv_timeout(NEVER);
            assert!(!changing.is_finished());
            drop(at_work);
            changing.join().unwrap().unwrap();
            told.expect("nobody waits for the busy one");
        });
        assert!(account.mailbox(&name("busy")).is_err());
        assert_eq!(account.mailbox(&name("renamed")).is_err(), deletes);
    }
}

/// Who opens the one that is locked keeps nobody from the others either.
#[test]
fn opening_waits_alone() {
    let (directory, account) = account();
    let root = directory.path().join("Maildir");
    account.create(&name("busy"), None).unwrap();
    drop(account.mailbox(&name("busy")).unwrap());
    deliver(&root.join(".busy"), "1.M1P1.h");
    let lock = root.join(".busy").join(dotlock::UIDLIST);
    std::fs::write(&lock, "1:another-host").unwrap();
    std::thread::scope(|scope| {
        let opening = scope.spawn(|| account.mailbox(&name("busy")));
        let (sender, done) = channel();
        let others = Arc::clone(&account);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            others.create(&name("free"), None).unwrap();
            sender.send(()).unwrap();
        });
        let told = done.recv_timeout(NEVER);
        let waits = !opening.is_finished();
        std::fs::remove_file(&lock).unwrap();
        let opened = opening.join().unwrap().unwrap();
        told.expect("nobody waits for the locked one");
        assert!(waits);
        assert_eq!(opened.snapshot().len(), 1);
    });
}
