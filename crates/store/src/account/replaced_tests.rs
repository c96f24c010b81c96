//! Other programs move mailboxes, and put others in their places; our own RENAME and
//! DELETE meet what is under way.

use super::tests::{account, append, name};
use super::*;
use crate::{FlagAction, Flags};
use std::fs;
use std::time::Duration;

const THEIRS: &str = "3 V1500000000 N500 G00112233445566778899aabbccddeeff\n\
    101 PUID7-1234 :1600000001.M1P1.h\n400 PUID9-1234 :1600000003.M1P1.h\n";

fn kept() -> (tempfile::TempDir, Arc<Account>) {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout {
        delimiter: '/',
        prefix: String::new(),
    };
    let shared = Shared {
        kept_open: Some(Arc::default()),
        ..Shared::default()
    };
    let account = Account::open_with(directory.path(), layout, shared).unwrap();
    (directory, account)
}

/// Puts the mail and the UID list of another server there.
fn migrate(into: &Path) {
    for part in ["cur", "new", "tmp"] {
        fs::create_dir_all(into.join(part)).unwrap();
    }
    for number in [1, 3] {
        let file = format!("cur/160000000{number}.M1P1.h:2,S");
        fs::write(into.join(file), "Subject: a\n\nb\n").unwrap();
    }
    let list = into.join("dovecot-uidlist");
    fs::write(into.join("theirs"), THEIRS).unwrap();
    fs::rename(into.join("theirs"), list).unwrap();
}

fn uids(mailbox: &Mailbox) -> Vec<u32> {
    mailbox.snapshot().rows().map(|row| row.uid.get()).collect()
}

fn list(directory: &Path) -> String {
    fs::read_to_string(directory.join("dovecot-uidlist")).unwrap()
}

#[test]
fn a_maildir_put_in_the_place_of_one_kept_open_keeps_its_uids() {
    for had_mail in [false, true] {
        let (directory, account) = kept();
        let inbox = account.mailbox(&MailboxName::inbox()).unwrap();
        if had_mail {
            append(&inbox, "Subject: before\n\n");
        }
        let before = MailboxStatus::of(&inbox.snapshot(), inbox.guid());
        drop(inbox);
        migrate(directory.path());
        let inbox = account.mailbox(&MailboxName::inbox()).unwrap();
        let status = account.status(&MailboxName::inbox()).unwrap();
        assert_eq!(status.uid_validity.get(), 1_500_000_000);
        assert_ne!(status.mailbox_id, before.mailbox_id);
        assert_eq!(uids(&inbox)[..2], [101, 400]);
        assert_eq!(uids(&inbox).len(), 2 + usize::from(had_mail));
        let unique_ids = inbox.unique_id_listing(&inbox.snapshot()).unwrap();
        assert_eq!(&*unique_ids[1].1, "UID9-1234");
        assert!(list(directory.path()).starts_with("3 V1500000000 "));
    }
}

#[test]
fn who_has_it_selected_is_told_that_it_is_gone_and_writes_nothing() {
    let (directory, account) = kept();
    let work = account.create(&name("Work"), None).unwrap();
    let uid = append(&work, "Subject: a\n\nb");
    let place = directory.path().join(".Work");
    let begun = work.begin_append().unwrap();
    fs::rename(&place, directory.path().join("away")).unwrap();
    migrate(&place);
    // The UID list of another mailbox is not written to, whatever is done first.
    let mut keywords = vec![crate::Keyword::from("odd")];
    let stored = work.store_flags(&[uid], FlagAction::Add, Flags::SEEN, &keywords, None);
    assert!(matches!(stored, Err(Error::NonExistent)));
    assert!(work.is_gone());
    assert!(matches!(work.append(vec![begun]), Err(Error::NonExistent)));
    assert!(matches!(work.begin_append(), Err(Error::NonExistent)));
    assert!(matches!(work.expunge(&[uid]), Err(Error::NonExistent)));
    assert!(matches!(
        work.copy_to(&[uid], &account.mailbox(&MailboxName::inbox()).unwrap()),
        Err(Error::NonExistent)
    ));
    assert_eq!(work.sync().unwrap().len(), 1);
    assert_eq!(list(&place), THEIRS);
    assert!(!place.join("dovecot-keywords").exists());
    // Who comes anew has the other one, and keywords as well.
    let there = account.mailbox(&name("Work")).unwrap();
    assert_eq!(uids(&there), [101, 400]);
    keywords.push("even".into());
    let uids = [Uid::new(101).unwrap()];
    there
        .store_flags(&uids, FlagAction::Add, Flags::SEEN, &keywords, None)
        .unwrap();
}

#[test]
fn a_mailbox_moved_over_another_is_what_it_was() {
    let (directory, account) = kept();
    let [a, b] = ["a", "b"].map(|text| account.create(&name(text), None).unwrap());
    append(&a, "Subject: a\n\n");
    append(&b, "Subject: b\n\n");
    append(&b, "Subject: b\n\n");
    drop((a, b));
    let before = account.status(&name("b")).unwrap();
    let [place, other] = ["a", "b"].map(|text| directory.path().join(format!(".{text}")));
    fs::rename(&place, directory.path().join("away")).unwrap();
    fs::rename(&other, &place).unwrap();
    // Its index comes along, though it was open under the other name.
    assert_eq!(account.status(&name("a")).unwrap(), before);
    assert!(matches!(
        account.status(&name("b")),
        Err(Error::NonExistent)
    ));
}

#[test]
fn a_list_written_anew_by_another_server_is_the_same_mailbox() {
    let (directory, account) = kept();
    let mailbox = account.create(&name("a"), None).unwrap();
    append(&mailbox, "Subject: a\n\n");
    let place = directory.path().join(".a");
    let path = place.join("dovecot-uidlist");
    let text = list(&place);
    fs::write(place.join("x"), text.replace("\n1 ", " Xodd\n1 ")).unwrap();
    fs::rename(place.join("x"), &path).unwrap();
    append(&mailbox, "Subject: b\n\n");
    assert!(list(&place).lines().next().unwrap().ends_with(" Xodd"));
    // Removed, it is written again with the same UIDs.
    fs::remove_file(&path).unwrap();
    append(&mailbox, "Subject: c\n\n");
    let again = account.mailbox(&name("a")).unwrap();
    assert!(Arc::ptr_eq(&mailbox, &again) && uids(&again) == [1, 2, 3]);
    assert_eq!(list(&place).lines().count(), 4);
    // Its directories may be made anew as long as the list is its own.
    fs::rename(place.join("cur"), place.join("old")).unwrap();
    fs::create_dir(place.join("cur")).unwrap();
    let again = account.mailbox(&name("a")).unwrap();
    assert!(Arc::ptr_eq(&mailbox, &again));
    // Without a list another directory is another mailbox.
    fs::rename(&place, directory.path().join("away")).unwrap();
    for part in ["", "cur", "new", "tmp"] {
        fs::create_dir(place.join(part)).unwrap();
    }
    let other = account.mailbox(&name("a")).unwrap();
    assert!(mailbox.is_gone() && other.guid() != mailbox.guid());
    assert!(other.snapshot().uid_validity() > mailbox.snapshot().uid_validity());
}

#[test]
fn what_was_removed_by_others_takes_no_new_name() {
    let (directory, account) = kept();
    let to = account.create(&name("to"), None).unwrap();
    append(&to, "Subject: a\n\n");
    drop(to);
    fs::remove_dir_all(directory.path().join(".to")).unwrap();
    migrate(&directory.path().join(".from"));
    account.rename(&name("from"), &name("to")).unwrap();
    let to = account.mailbox(&name("to")).unwrap();
    assert_eq!(append(&to, "Subject: b\n\n").get(), 500);
    assert_eq!(uids(&to), [101, 400, 500]);
    let first = to.guid();
    fs::remove_dir_all(directory.path().join(".to")).unwrap();
    let made = account.create(&name("to"), None).unwrap();
    assert!(made.guid() != first && made.snapshot().is_empty());
}

/// Has an append to a mailbox wait for another program that has the UID list locked, and
/// does something else meanwhile; gives what became of both.
fn beside_an_append<T: Send>(
    directory: &Path,
    mailbox: &Mailbox,
    act: impl FnOnce() -> T + Send,
) -> (Result<Vec<Uid>>, T) {
    let lock = directory.join("dovecot-uidlist.lock");
    fs::write(&lock, "1:elsewhere").unwrap();
    let in_new = || fs::read_dir(directory.join("new")).unwrap().count();
    let before = in_new();
    std::thread::scope(|scope| {
        let appended = scope.spawn(|| {
            let mut incoming = mailbox.begin_append().unwrap();
            incoming.write(b"Subject: under way\n\n").unwrap();
            mailbox.append(vec![incoming])
        });
        // It is in its place, and waits to be listed.
        while in_new() == before {
            std::thread::sleep(Duration::from_millis(1));
        }
        let acted = scope.spawn(act);
        std::thread::sleep(Duration::from_millis(50));
        fs::remove_file(&lock).unwrap();
        (appended.join().unwrap(), acted.join().unwrap())
    })
}

#[test]
fn what_is_under_way_is_complete_before_a_rename_or_a_deletion() {
    let (directory, account) = account();
    let place = |text: &str| directory.path().join(format!("Maildir/.{text}"));
    let mailbox = account.create(&name("a"), None).unwrap();
    let (appended, renamed) = beside_an_append(&place("a"), &mailbox, || {
        account.rename(&name("a"), &name("b"))
    });
    renamed.unwrap();
    assert_eq!(uids(&mailbox), [appended.unwrap()[0].get()]);
    assert!(!place("b").join("dovecot-uidlist.lock").exists());
    let other = account.create(&name("other"), None).unwrap();
    let uid = append(&other, "Subject: copied\n\n");
    let (appended, (copied, made)) = beside_an_append(&place("b"), &mailbox, || {
        std::thread::scope(|scope| {
            // It found the mailbox there, and waits for it.
            let copied = scope.spawn(|| other.copy_to(&[uid], &mailbox));
            std::thread::sleep(Duration::from_millis(20));
            account.delete(&name("b")).unwrap();
            let made = account.create(&name("b"), None).unwrap();
            (copied.join().unwrap(), made)
        })
    });
    appended.unwrap();
    assert!(matches!(copied, Ok(_) | Err(Error::NonExistent)));
    assert!(mailbox.is_gone());
    append(&made, "Subject: new\n\n");
    let validity = format!("3 V{} ", made.snapshot().uid_validity());
    assert!(list(&place("b")).starts_with(&validity));
    assert_eq!(uids(&made), [1]);
    for part in ["new", "cur"] {
        let names = fs::read_dir(place("b").join(part)).unwrap().count();
        assert_eq!(names, usize::from(part == "new"));
    }
}

/// A client renames all the time, others append and mark: nothing is refused.
#[test]
fn renames_beside_everything_else_refuse_nothing() {
    let (directory, account) = account();
    let mailbox = account.create(&name("a"), None).unwrap();
    let uid = append(&mailbox, "Subject: first\n\n");
    let told = std::thread::scope(|scope| {
        let appends = scope.spawn(|| {
            let texts = (0..150).map(|number| format!("Subject: {number}\n\n"));
            let appended = texts.map(|text| append(&mailbox, &text));
            appended.collect::<Vec<_>>()
        });
        let marks = scope.spawn(|| {
            for turn in 0..600 {
                let action = [FlagAction::Add, FlagAction::Remove][turn % 2];
                let seen = Flags::SEEN;
                mailbox
                    .store_flags(&[uid], action, seen, &[], None)
                    .unwrap();
                // Now and then the index is written anew.
                mailbox.rewrites_index_next(turn % 8 == 0);
            }
        });
        while !appends.is_finished() || !marks.is_finished() {
            account.rename(&name("a"), &name("b")).unwrap();
            account.rename(&name("b"), &name("a")).unwrap();
        }
        marks.join().unwrap();
        appends.join().unwrap()
    });
    let modseq = mailbox.sync().unwrap().highest_modseq();
    drop(mailbox);
    let mailbox = account.mailbox(&name("a")).unwrap();
    assert_eq!(uids(&mailbox).len(), told.len() + 1);
    assert_eq!(mailbox.snapshot().highest_modseq(), modseq);
    let place = directory.path().join("Maildir/.a");
    assert!(!place.join("dovecot-uidlist.lock").exists());
    assert_eq!(fs::read_dir(place.join("tmp")).unwrap().count(), 0);
}
