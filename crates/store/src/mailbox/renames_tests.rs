use super::tests::{deliver, files, open, uid};
use super::*;

#[test]
fn claiming_empties_new() {
    let directory = tempfile::tempdir().unwrap();
    let mailbox = open(directory.path());
    deliver(directory.path(), "1.a.h");
    mailbox.sync().unwrap();
    assert_eq!(mailbox.claim_recent().unwrap(), [uid(1)]);
    assert_eq!(files(directory.path(), "cur"), ["1.a.h:2,"]);
    assert!(!mailbox.sync().unwrap().row(0).unwrap().recent);
}

#[test]
fn many_claimed_messages_are_moved_bit_by_bit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    drop(open(path));
    for number in 0..700 {
        std::fs::write(path.join(format!("new/{number}.a")), "x\n").unwrap();
    }
    let count = |half: &str| std::fs::read_dir(path.join(half)).unwrap().count();
    let mailbox = open(path);
    assert!(!mailbox.has_unmoved());
    assert_eq!(mailbox.claim_recent().unwrap().len(), 700);
    assert!(mailbox.has_unmoved() && count("new") > 0);
    // Claimed they stay, whoever asks, and also where they are moved by a change.
    assert_eq!(mailbox.sync().unwrap().recent_uids().count(), 0);
    assert!(mailbox.claim_recent().unwrap().is_empty());
    let (before, last) = (count("new"), uid(700));
    mailbox
        .store_flags(&[last], FlagAction::Add, Flags::SEEN, &[], None)
        .unwrap();
    assert_eq!(count("new"), before - 1);
    mailbox.expunge(&[uid(699)]).unwrap();
    // Another process goes on where this one ended.
    drop(mailbox);
    let mailbox = open(path);
    assert_eq!(mailbox.sync().unwrap().recent_uids().count(), 0);
    let mut turns = 0;
    while mailbox.has_unmoved() {
        mailbox.move_claimed().unwrap();
        turns += 1;
    }
    assert_eq!(turns, 2);
    assert_eq!((count("new"), count("cur")), (0, 699));
    assert_eq!(mailbox.sync().unwrap().len(), 699);
    let row = mailbox.snapshot();
    assert_eq!(row.of_uid(last).unwrap().flags, Flags::SEEN);
}

#[test]
fn a_full_disk_ends_the_moving() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    drop(open(path));
    for number in 0..300 {
        std::fs::write(path.join(format!("new/{number}.a")), "x\n").unwrap();
    }
    let mailbox = open(path);
    mailbox.claim_recent().unwrap();
    assert!(mailbox.has_unmoved());
    // Nothing can be moved there.
    std::fs::remove_dir_all(path.join("cur")).unwrap();
    std::fs::write(path.join("cur"), "").unwrap();
    mailbox.move_claimed().unwrap();
    assert!(!mailbox.has_unmoved());
}

#[test]
fn claimed_messages_that_others_take_do_not_end_the_moving() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    drop(open(path));
    for number in 1_000..1_900 {
        std::fs::write(path.join(format!("new/{number}.a")), "x\n").unwrap();
    }
    let mailbox = open(path);
    mailbox.claim_recent().unwrap();
    // Removed; moved, as another reader does; and all of a turn removed.
    std::fs::remove_file(path.join("new/1300.a")).unwrap();
    std::fs::rename(path.join("new/1301.a"), path.join("cur/1301.a:2,S")).unwrap();
    for number in 1_500..1_800 {
        std::fs::remove_file(path.join(format!("new/{number}.a"))).unwrap();
    }
    while mailbox.has_unmoved() {
        mailbox.move_claimed().unwrap();
    }
    assert!(files(path, "new").is_empty());
    assert_eq!(files(path, "cur").len(), 599);
    let snapshot = mailbox.snapshot();
    assert_eq!(snapshot.len(), 599);
    let moved = snapshot.rows().find(|row| row.unique_name == "1301.a");
    assert_eq!(moved.unwrap().flags, Flags::SEEN);
}

#[test]
fn what_kept_messages_in_new_may_be_over() {
    use crate::disk::simulated::{ENOSPC, Fault, Simulated};
    let disk = Simulated::new();
    let path = disk.root().join("mail");
    disk::make_directory(&path).unwrap();
    let mailbox = open(&path);
    let deliver = |number: u32| drop(disk::create_new(&path.join(format!("new/{number}.a"))));
    (0..300).for_each(deliver);
    mailbox.sync().unwrap();
    mailbox.claim_recent().unwrap();
    disk.arm(Some(Fault::Fail {
        operation: 0,
        errno: ENOSPC,
        lasting: true,
    }));
    mailbox.move_claimed().unwrap();
    assert!(!mailbox.has_unmoved());
    disk.arm(None);
    // The next look that finds anything new has them moved.
    deliver(300);
    assert_eq!(mailbox.sync().unwrap().recent_uids().count(), 1);
    assert!(mailbox.has_unmoved());
    while mailbox.has_unmoved() {
        mailbox.move_claimed().unwrap();
    }
    assert_eq!(mailbox.snapshot().unmoved_uids().count(), 0);
    assert_eq!(disk::list_messages(&path.join("new")).unwrap().len(), 1);
}
