//! What survives closing, killing and losing power.

use super::*;
use crate::index::{self, Found, Index};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

fn open(path: &Path) -> Arc<Mailbox> {
    Mailbox::open(path.to_owned(), || Ok(crate::UidValidity::MIN)).unwrap()
}

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

fn put(mailbox: &Mailbox, flags: Flags, keywords: &[&str]) -> Uid {
    let mut incoming = mailbox.begin_append().unwrap();
    incoming.write(b"A: b\n\nc\n").unwrap();
    let keywords = keywords.iter().map(|name| Keyword::from(*name)).collect();
    incoming.describe(flags, keywords, None);
    mailbox.append(vec![incoming]).unwrap()[0]
}

fn add(mailbox: &Mailbox, number: u32, flags: Flags, keywords: &[&str]) {
    let keywords: Vec<Keyword> = keywords.iter().map(|name| Keyword::from(*name)).collect();
    mailbox
        .store_flags(&[uid(number)], FlagAction::Add, flags, &keywords, None)
        .unwrap();
}

/// Makes the directories look as if nothing happened in them for long.
fn age(path: &Path) {
    for half in ["new", "cur"] {
        let directory = std::fs::File::open(path.join(half)).unwrap();
        directory.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
}

/// The name of a message's file in `cur`.
fn file(path: &Path, mailbox: &Mailbox, number: u32) -> String {
    let snapshot = mailbox.snapshot();
    let row = snapshot.row(snapshot.index_of(uid(number)).unwrap());
    let unique = row.unwrap().unique_name;
    let names = disk::list_messages(&path.join("cur")).unwrap();
    names
        .into_iter()
        .find(|name| name.starts_with(unique))
        .unwrap()
}

/// All that clients see of the messages.
fn shown(snapshot: &Snapshot) -> Vec<String> {
    snapshot
        .rows()
        .map(|row| {
            let mut names: Vec<&str> = row
                .keywords
                .iter()
                .map(|keyword| &*snapshot.keywords()[usize::from(*keyword)])
                .collect();
            names.sort_unstable();
            let (uid, size, date) = (row.uid, row.size_octets, row.internal_date.0);
            let (flags, modseq) = (row.flags, row.modseq);
            format!(
                "{uid} {modseq} {flags:?} {names:?} {size} {date} {}",
                row.recent
            )
        })
        .collect()
}

fn changed_since(snapshot: &Snapshot, modseq: ModSeq) -> Vec<u32> {
    snapshot
        .rows()
        .filter(|row| row.modseq > modseq)
        .map(|row| row.uid.get())
        .collect()
}

fn vanished(mailbox: &Mailbox, modseq: ModSeq) -> Option<Vec<u32>> {
    match mailbox.vanished_since(modseq) {
        Vanished::Exactly(uids) => Some(uids.iter().map(|uid| uid.get()).collect()),
        Vanished::Unknown => None,
    }
}

#[test]
fn an_unchanged_mailbox_is_the_same_when_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mailbox = open(path);
    put(&mailbox, Flags::SEEN, &["$Work", "Later"]);
    put(&mailbox, Flags::default(), &[]);
    put(&mailbox, Flags::DRAFT, &[]);
    let before = mailbox.snapshot().highest_modseq();
    add(&mailbox, 3, Flags::SEEN, &["Later"]);
    mailbox.expunge(&[uid(1)]).unwrap();
    let last = mailbox.sync().unwrap();
    drop(mailbox);
    // Whatever hides behind times that are too fresh: it is looked at.
    let again = open(path);
    assert_eq!(shown(&again.snapshot()), shown(&last));
    drop(again);
    age(path);
    drop(open(path));
    let octets = std::fs::read(path.join(index::NAME)).unwrap();
    for _ in 0..3 {
        let again = open(path);
        assert!(!again.state.lock().must_scan);
        let snapshot = again.sync().unwrap();
        assert_eq!(shown(&snapshot), shown(&last));
        assert_eq!(snapshot.highest_modseq(), last.highest_modseq());
        assert_eq!(snapshot.uid_next(), uid(4));
        assert_eq!(changed_since(&snapshot, before), [3]);
        assert_eq!(vanished(&again, before), Some(vec![1]));
        assert_eq!(vanished(&again, last.highest_modseq()), Some(Vec::new()));
    }
    assert_eq!(std::fs::read(path.join(index::NAME)).unwrap(), octets);
    // Directories with other times are read, and nothing is found to have changed.
    let half = std::fs::File::open(path.join("cur")).unwrap();
    half.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1))
        .unwrap();
    let again = open(path);
    assert_eq!(again.snapshot().highest_modseq(), last.highest_modseq());
    assert_eq!(shown(&again.snapshot()), shown(&last));
}

#[test]
fn what_others_did_meanwhile_is_told_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mailbox = open(path);
    for _ in 0..5 {
        put(&mailbox, Flags::SEEN, &[]);
    }
    let highest = mailbox.snapshot().highest_modseq();
    let [second, third, fifth] = [2, 3, 5].map(|number| file(path, &mailbox, number));
    drop(mailbox);
    let cur = path.join("cur");
    std::fs::rename(cur.join(&second), cur.join(second.clone() + "T")).unwrap();
    // A letter that says nothing new.
    std::fs::rename(cur.join(&third), cur.join(third.clone() + ",x")).unwrap();
    std::fs::remove_file(cur.join(fifth)).unwrap();
    std::fs::write(path.join("new/9.M1P1.h"), "x\n").unwrap();
    let mailbox = open(path);
    let snapshot = mailbox.snapshot();
    assert_eq!(changed_since(&snapshot, highest), [2, 6]);
    assert_eq!(vanished(&mailbox, highest), Some(vec![5]));
    assert_eq!(file(path, &mailbox, 3), third + ",x");
    let highest = snapshot.highest_modseq();
    drop(mailbox);
    // A keyword letter that another program gave a name.
    std::fs::rename(
        cur.join(second.clone() + "T"),
        cur.join(second.clone() + "Tc"),
    )
    .unwrap();
    std::fs::write(path.join("dovecot-keywords"), "2 Named\n").unwrap();
    let mailbox = open(path);
    assert_eq!(changed_since(&mailbox.snapshot(), highest), [2]);
    let highest = mailbox.snapshot().highest_modseq();
    drop(mailbox);
    std::fs::write(path.join("dovecot-keywords"), "2 Otherwise\n").unwrap();
    let mailbox = open(path);
    assert_eq!(changed_since(&mailbox.snapshot(), highest), [2]);
    assert!(shown(&mailbox.snapshot())[1].contains("Otherwise"));
}

/// Puts a mailbox on the disk back to how it was before it was closed.
fn kill(path: &Path, mailbox: Arc<Mailbox>) {
    let octets = std::fs::read(path.join(index::NAME)).unwrap();
    drop(mailbox);
    std::fs::write(path.join(index::NAME), octets).unwrap();
}

#[test]
fn a_killed_process_loses_no_modseq() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mailbox = open(path);
    put(&mailbox, Flags::SEEN, &[]);
    put(&mailbox, Flags::SEEN, &[]);
    let before = mailbox.snapshot().highest_modseq();
    add(&mailbox, 2, Flags::FLAGGED, &["K"]);
    mailbox.expunge(&[uid(1)]).unwrap();
    let last = mailbox.snapshot();
    kill(path, mailbox);
    let mailbox = open(path);
    let snapshot = mailbox.snapshot();
    assert_eq!(shown(&snapshot), shown(&last));
    assert_eq!(snapshot.highest_modseq(), last.highest_modseq());
    assert_eq!(vanished(&mailbox, before), Some(vec![1]));
    // Renamed, and killed before that was written down: told as new.
    let name = file(path, &mailbox, 2);
    kill(path, mailbox);
    let cur = path.join("cur");
    std::fs::rename(cur.join(&name), cur.join(name.replace("FS", "S"))).unwrap();
    let mailbox = open(path);
    assert_eq!(
        changed_since(&mailbox.snapshot(), last.highest_modseq()),
        [2]
    );
}

#[test]
fn after_any_doubt_everything_is_above_what_was_told() {
    let lose: [fn(&Path); 4] = [
        |file| std::fs::remove_file(file).unwrap(),
        |file| std::fs::write(file, "pillarbx and nothing else").unwrap(),
        |file| {
            let octets = std::fs::read(file).unwrap();
            std::fs::rename(file, file.with_extension("old")).unwrap();
            std::fs::write(file, octets).unwrap();
        },
        |file| {
            let mut octets = std::fs::read(file).unwrap();
            octets[8] ^= 0xff;
            std::fs::write(file, octets).unwrap();
        },
    ];
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mailbox = open(path);
    put(&mailbox, Flags::SEEN, &["K"]);
    put(&mailbox, Flags::SEEN, &[]);
    let mut last = mailbox.snapshot();
    drop(mailbox);
    for lose in lose {
        lose(&path.join(index::NAME));
        let mailbox = open(path);
        let snapshot = mailbox.snapshot();
        assert_eq!(changed_since(&snapshot, last.highest_modseq()), [1, 2]);
        assert_eq!(vanished(&mailbox, last.highest_modseq()), None);
        assert_eq!(snapshot.row(0).unwrap().keywords.len(), 1);
        assert_eq!(snapshot.uid_next(), uid(3));
        drop(mailbox);
        let again = open(path);
        assert_eq!(again.snapshot().highest_modseq(), snapshot.highest_modseq());
        last = snapshot;
    }
}

#[test]
fn a_loss_of_power_never_makes_a_modseq_mean_two_things() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    // The octets of the index before the changes begin, and how much was synced.
    disk::OTHER_BOOT.set(Some([1; 16]));
    let mailbox = open(path);
    for _ in 0..3 {
        put(&mailbox, Flags::SEEN, &[]);
    }
    drop(mailbox);
    let mailbox = open(path);
    let settled_octets = std::fs::read(path.join(index::NAME)).unwrap();
    // For each message what was told last, with its mod-sequence.
    let mut told: BTreeMap<u32, (ModSeq, Flags)> = BTreeMap::new();
    let mut tell = |mailbox: &Mailbox| {
        for row in mailbox.snapshot().rows() {
            told.insert(row.uid.get(), (row.modseq, row.flags));
        }
    };
    tell(&mailbox);
    for (number, flags) in [
        (1, Flags::FLAGGED),
        (2, Flags::DELETED),
        (1, Flags::ANSWERED),
        (3, Flags::DRAFT),
    ] {
        add(&mailbox, number, flags, &["K"]);
        tell(&mailbox);
    }
    let highest = mailbox.snapshot().highest_modseq();
    let octets = std::fs::read(path.join(index::NAME)).unwrap();
    drop(mailbox);
    let names = disk::list_messages(&path.join("cur")).unwrap();
    // The record that changes begin was synced: it follows what was settled, 8 octets
    // of frame and 17 of payload.
    let settled_end = settled_octets
        .iter()
        .rposition(|octet| *octet != 0)
        .unwrap()
        + 1;
    let synced = (settled_end..octets.len())
        .find(|end| octets[..*end].ends_with(&[1; 16]))
        .unwrap();
    let written = octets.iter().rposition(|octet| *octet != 0).unwrap() + 1;
    assert!(written > synced + 100);
    let mut restarted = highest;
    for length in synced..=written {
        for name in disk::list_messages(&path.join("cur")).unwrap() {
            std::fs::remove_file(path.join("cur").join(name)).unwrap();
        }
        // The last flag of message 3 was lost as well, but it was told.
        for name in &names {
            let name = name.replace("DS", "S");
            std::fs::write(path.join("cur").join(name), "A: b\n\nc\n").unwrap();
        }
        std::fs::write(path.join(index::NAME), &octets[..length]).unwrap();
        disk::OTHER_BOOT.set(Some([2; 16]));
        let mailbox = open(path);
        for row in mailbox.snapshot().rows() {
            let before = told.get(&row.uid.get()).copied();
            assert!(row.modseq > restarted, "{length}: {before:?} {row:?}");
        }
        assert_eq!(vanished(&mailbox, highest), None);
        restarted = mailbox.snapshot().highest_modseq();
        drop(mailbox);
        // A start of the machine after closing raises no doubt.
        disk::OTHER_BOOT.set(Some([3; 16]));
        assert_eq!(open(path).snapshot().highest_modseq(), restarted);
    }
    disk::OTHER_BOOT.set(None);
}

#[test]
fn a_lost_or_cut_list_is_healed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mailbox = open(path);
    for _ in 0..4 {
        put(&mailbox, Flags::SEEN, &[]);
    }
    mailbox.expunge(&[uid(1), uid(4)]).unwrap();
    let snapshot = mailbox.snapshot();
    let uids = shown(&snapshot);
    let guid = mailbox.guid();
    drop(mailbox);
    let list = path.join("dovecot-uidlist");
    let text = std::fs::read_to_string(&list).unwrap();
    let header = text.lines().next().unwrap().to_owned() + "\n";
    // What is left of the last record reads like one of another message.
    let third = text.find("\n3 ").unwrap() + 1;
    let end = third + text[third..].find('\n').unwrap();
    // In place, so that the second name shows the same; then both are gone.
    for cut in [
        &text[..end - 2],
        &text[..end],
        &header,
        "",
        "\0\0\0\0",
        "3 V",
    ] {
        std::fs::write(&list, cut).unwrap();
        let mailbox = Mailbox::open(path.to_owned(), || panic!("{cut:?}")).unwrap();
        assert_eq!(shown(&mailbox.sync().unwrap()), uids, "{cut:?}");
        assert_eq!(mailbox.guid(), guid);
        assert!(mailbox.snapshot().uid_next() >= uid(5));
        drop(mailbox);
        let again = std::fs::read_to_string(&list).unwrap();
        assert_eq!(again.lines().count(), 3, "{again}");
        assert!(again.ends_with('\n'));
    }
    std::fs::remove_file(&list).unwrap();
    std::fs::remove_file(path.join("pillarbox-uidlist")).unwrap();
    let mailbox = Mailbox::open(path.to_owned(), || panic!()).unwrap();
    assert_eq!(shown(&mailbox.snapshot()), uids);
    let next = mailbox.snapshot().uid_next();
    assert!(put(&mailbox, Flags::SEEN, &[]) >= next);
}

#[test]
fn what_was_told_without_the_index_is_never_told_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let holder = open(path);
    put(&holder, Flags::SEEN, &[]);
    put(&holder, Flags::SEEN, &[]);
    let highest = holder.snapshot().highest_modseq();
    let octets = std::fs::read(path.join(index::NAME)).unwrap();
    let without = open(path);
    assert!(without.snapshot().highest_modseq() > highest);
    assert_eq!(without.snapshot().len(), 2);
    add(&without, 1, Flags::FLAGGED, &[]);
    let told = without.snapshot();
    drop(without);
    // The holder's file is its own, and as whoever is slow to close leaves it.
    assert_eq!(std::fs::read(path.join(index::NAME)).unwrap(), octets);
    drop(holder);
    let again = open(path);
    let snapshot = again.snapshot();
    assert!(snapshot.highest_modseq() > told.highest_modseq());
    assert_eq!(changed_since(&snapshot, told.highest_modseq()), [1, 2]);
    assert_eq!(vanished(&again, highest), None);
    drop(again);
    // That was once: from then on the index is believed.
    let last = open(path).snapshot();
    assert_eq!(last.highest_modseq(), snapshot.highest_modseq());
}

/// The mailbox is open without its index, tells a change and the power fails; and again
/// after each change to the disk that the next opening makes.
#[test]
fn what_was_told_without_the_index_survives_the_power() {
    use crate::disk::simulated::{Fault, Loss, Simulated};
    let base = Simulated::new();
    let root = |disk: &Simulated| disk.root().join("mail");
    disk::OTHER_BOOT.set(Some([11; 16]));
    disk::make_directory(&root(&base)).unwrap();
    disk::sync_directory(&base.root()).unwrap();
    let holder = open(&root(&base));
    put(&holder, Flags::SEEN, &[]);
    drop(holder);
    let holder = open(&root(&base));
    let without = open(&root(&base));
    put(&without, Flags::SEEN, &[]);
    let told = without.snapshot().highest_modseq();
    for loss in [Loss::Everything, Loss::Tails(1), Loss::NothingByLuck] {
        for change in 0.. {
            disk::OTHER_BOOT.set(Some([12; 16]));
            let stopped = base.reboot(loss);
            stopped.arm(Some(Fault::Stop { change }));
            let opened = Mailbox::open(root(&stopped), || panic!("lost"));
            let told = match &opened {
                Ok(mailbox) => mailbox.snapshot().highest_modseq(),
                Err(_) => told,
            };
            drop(opened);
            disk::OTHER_BOOT.set(Some([13; 16]));
            let again = open(&root(&stopped.reboot(Loss::Everything)));
            let now = again.snapshot().highest_modseq();
            assert!(now >= told, "{loss:?} {change}: {now} below {told}");
            if !stopped.fired() {
                break;
            }
        }
    }
    drop((without, holder));
    disk::OTHER_BOOT.set(None);
}

/// Two processes have a mailbox open, a third comes, and sessions go from one to the other.
#[test]
fn who_comes_from_another_process_misses_no_change() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let first = open(path);
    for _ in 0..3 {
        put(&first, Flags::default(), &[]);
    }
    first.settle();
    let second = open(path);
    assert!(first.has_index() && !second.has_index());
    add(&second, 1, Flags::SEEN, &[]);
    let told = second.sync().unwrap().highest_modseq();
    let highest = first.sync().unwrap().highest_modseq();
    assert!(highest > told);
    // What either does from here on is above all that the other told.
    add(&second, 2, Flags::FLAGGED, &[]);
    let told = second.snapshot().highest_modseq();
    assert!(told > highest);
    add(&first, 3, Flags::DRAFT, &[]);
    assert!(changed_since(&first.snapshot(), told).contains(&3));
    first.sync().unwrap();
    drop(first);
    let third = open(path);
    assert!(third.has_index());
    assert!(third.snapshot().highest_modseq() > second.snapshot().highest_modseq());
    // The third has its index, and learns that it is not alone.
    second.sync().unwrap();
    let told = second.snapshot().highest_modseq();
    assert!(third.sync().unwrap().highest_modseq() > told);
    assert!(!third.has_index());
    add(&second, 1, Flags::DELETED, &[]);
    let told = second.snapshot().highest_modseq();
    add(&third, 2, Flags::DELETED, &[]);
    assert!(changed_since(&third.snapshot(), told).contains(&2));
    // Nothing rises while nothing happens.
    let sync = || [&second, &third].map(|mailbox| mailbox.sync().unwrap().highest_modseq());
    sync();
    let told = sync();
    assert_eq!([sync(), sync()], [told; 2]);
    drop((second, third));
    let last = open(path);
    assert!(last.has_index());
    assert!(
        told.iter()
            .all(|told| last.snapshot().highest_modseq() > *told)
    );
}

#[test]
fn status_raises_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let layout = crate::Layout {
        delimiter: '/',
        prefix: String::new(),
    };
    let account = crate::Account::open(directory.path(), layout).unwrap();
    let name = account.parse_name("Sent").unwrap();
    let mailbox = account.create(&name, None).unwrap();
    put(&mailbox, Flags::SEEN, &[]);
    let highest = mailbox.snapshot().highest_modseq();
    drop(mailbox);
    for _ in 0..3 {
        assert_eq!(account.status(&name).unwrap().highest_modseq, highest);
    }
}

#[test]
fn an_index_speaks_for_the_list_until_that_changes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let list = path.join("dovecot-uidlist");
    let mailbox = open(path);
    for _ in 0..4 {
        put(&mailbox, Flags::SEEN, &[]);
    }
    drop(mailbox);
    let unlisted = |text: &str| text.replace(" P00000002", " Zq P00000002");
    let read = || std::fs::read_to_string(&list).unwrap();
    // Another server adds a field and takes one away.
    let text = unlisted(&read());
    let third = text.lines().nth(3).unwrap().to_owned();
    let (uid, rest) = third.split_once(' ').unwrap();
    let name = rest.split_once(" :").unwrap().1;
    let text = text.replace(&third, &format!("{uid} :{name}"));
    std::fs::write(&list, &text).unwrap();
    // Once it is read, and from then on the index has it.
    for _ in 0..3 {
        age(path);
        drop(open(path));
    }
    assert_eq!(read(), text);
    let mailbox = open(path);
    let expunged = Uid::new(4).unwrap();
    mailbox.expunge(&[expunged]).unwrap();
    let listing = mailbox.unique_id_listing(&mailbox.snapshot()).unwrap();
    assert_eq!(listing.len(), 3);
    drop(mailbox);
    let lines: Vec<String> = read().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[2].contains(" Zq P00000002"), "{lines:?}");
    assert!(lines[3].starts_with("3 P00000003"), "{lines:?}");
    assert_eq!(&lines[1], text.lines().nth(1).unwrap());
    // The index knows of what was listed since: nothing is written again.
    let stamp = disk::stamp(&list).unwrap();
    let mailbox = open(path);
    mailbox.unique_id_listing(&mailbox.snapshot()).unwrap();
    assert_eq!(disk::stamp(&list).unwrap(), stamp);
}

#[test]
fn a_list_that_is_healed_has_the_unique_ids_of_before() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let list = path.join("dovecot-uidlist");
    let mailbox = open(path);
    for _ in 0..3 {
        put(&mailbox, Flags::SEEN, &[]);
    }
    drop(mailbox);
    // As another server may have listed them.
    let text = std::fs::read_to_string(&list).unwrap();
    let text = text.replace(" P00000002", " Ptheirs-2 O7 Zq :");
    let lines: Vec<String> = text
        .lines()
        .map(|line| match line.split_once("Zq :") {
            Some((before, after)) => {
                let name = after.split_once(" :").unwrap().1;
                format!("{before}Zq :{name}\n")
            }
            None => format!("{line}\n"),
        })
        .collect();
    let text = lines.concat();
    assert!(text.contains("\n2 Ptheirs-2 O7 Zq :"), "{text}");
    std::fs::write(&list, &text).unwrap();
    let listing = |mailbox: &Mailbox| {
        let listing = mailbox.unique_id_listing(&mailbox.sync().unwrap());
        listing.unwrap()
    };
    let mailbox = open(path);
    let before = listing(&mailbox);
    assert_eq!(&*before[0].1, "theirs-2");
    drop(mailbox);
    let header = text.lines().next().unwrap().to_owned() + "\n";
    for cut in [Some(header.as_str()), Some(""), None] {
        match cut {
            Some(cut) => std::fs::write(&list, cut).unwrap(),
            None => {
                std::fs::remove_file(&list).unwrap();
                std::fs::remove_file(path.join("pillarbox-uidlist")).unwrap();
            }
        }
        let mailbox = Mailbox::open(path.to_owned(), || panic!("{cut:?}")).unwrap();
        assert_eq!(listing(&mailbox), before, "{cut:?}");
        drop(mailbox);
        let again = std::fs::read_to_string(&list).unwrap();
        assert!(again.contains("\n2 Ptheirs-2 O7 Zq"), "{cut:?}: {again}");
    }
}

/// One of two messages that are expunged is gone already, and whatever looking for it
/// fails: what others are told to be gone does not come back.
#[test]
fn an_expunge_that_fails_midway_tells_nothing_that_is_not_durable() {
    use crate::disk::simulated::{EIO, Fault, Loss, Simulated};
    let base = Simulated::new();
    let root = |disk: &Simulated| disk.root().join("mail");
    disk::make_directory(&root(&base)).unwrap();
    disk::sync_directory(&base.root()).unwrap();
    let mailbox = open(&root(&base));
    for _ in 0..3 {
        put(&mailbox, Flags::SEEN, &[]);
    }
    drop(mailbox);
    let mut told_early = 0;
    for operation in 0.. {
        let disk = base.reboot(Loss::Nothing);
        let mailbox = open(&root(&disk));
        let other = root(&disk)
            .join("cur")
            .join(file(&root(&disk), &mailbox, 2));
        disk::unlink(&other).unwrap();
        disk.arm(Some(Fault::Fail {
            operation,
            errno: EIO,
            lasting: false,
        }));
        let done = mailbox.expunge(&[uid(1), uid(2), uid(3)]);
        let fired = disk.fired();
        // A sync that fails is told as such, and says nothing of what is durable.
        let sync_failed = disk
            .journal()
            .lines()
            .any(|line| line.contains("sync directory") && line.ends_with("FAULT"));
        disk.arm(None);
        let shown = mailbox.snapshot();
        if !sync_failed {
            let restarted = open(&root(&disk.reboot(Loss::Everything)));
            let back = restarted.snapshot();
            for number in [1, 3] {
                let is_back = back.index_of(uid(number)).is_some();
                let is_shown = shown.index_of(uid(number)).is_some();
                assert!(is_shown || !is_back, "{operation}: {number} comes back");
                told_early += usize::from(done.is_err() && !is_shown);
            }
        }
        if !fired {
            assert!(done.is_ok());
            break;
        }
    }
    assert!(told_early > 0);
}

/// Another program moves the mailbox at the worst moment: the index that cannot be written
/// anew went along, and is not believed where it is now.
#[test]
fn an_index_that_went_along_is_not_believed() {
    let directory = tempfile::tempdir().unwrap();
    let [here, there] = ["here", "there"].map(|name| directory.path().join(name));
    std::fs::create_dir(&here).unwrap();
    let mailbox = open(&here);
    put(&mailbox, Flags::SEEN, &[]);
    std::fs::rename(&here, &there).unwrap();
    let told = {
        let mut state = mailbox.state.lock();
        state.uidlist.fields_changed = true;
        state.commit();
        assert!(state.index.is_none());
        // What is told from here on no index knows.
        for _ in 0..10 {
            state.tick();
        }
        state.snapshot.highest_modseq
    };
    let found = Index::open(&there).unwrap();
    assert!(matches!(found, Found::Nothing | Found::Unreadable(_)));
    drop(mailbox);
    assert!(open(&there).snapshot().highest_modseq() > told);
    // Which directory it went to is not known where no index is open.
    assert!(index::abandon(&here, None).is_err());
    index::abandon(directory.path(), None).unwrap();
}

/// An index that stands where the open one stood is another mailbox's, and stays.
#[test]
fn only_the_index_that_is_open_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let [here, there] = ["here", "there"].map(|name| directory.path().join(name));
    for place in [&here, &there] {
        std::fs::create_dir(place).unwrap();
    }
    let mailbox = open(&here);
    put(&mailbox, Flags::SEEN, &[]);
    drop(open(&there));
    std::fs::rename(&here, directory.path().join("away")).unwrap();
    std::fs::rename(&there, &here).unwrap();
    let theirs = std::fs::read(here.join(index::NAME)).unwrap();
    mailbox.state.lock().lose_index();
    assert_eq!(std::fs::read(here.join(index::NAME)).unwrap(), theirs);
    let away = Index::open(&directory.path().join("away")).unwrap();
    assert!(matches!(away, Found::Unreadable(_)));
}
