use super::*;
use crate::model::InternalDate;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::task::Wake;
use std::time::{Duration, Instant};

pub(super) fn open(path: &Path) -> Arc<Mailbox> {
    Mailbox::open(path.to_owned(), || Ok(crate::UidValidity::MIN)).unwrap()
}

pub(super) fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

pub(super) fn put(mailbox: &Mailbox, text: &[u8], flags: Flags, keywords: &[&str]) -> Uid {
    let mut incoming = mailbox.begin_append().unwrap();
    for octet in text {
        incoming.write(&[*octet]).unwrap();
    }
    let keywords = keywords.iter().map(|name| Keyword::from(*name)).collect();
    incoming.describe(flags, keywords, Some(InternalDate(1_000_000_000)));
    mailbox.append(vec![incoming]).unwrap()[0]
}

/// Appends a message without flags.
pub(super) fn put_text(mailbox: &Mailbox, text: &[u8]) -> Uid {
    put(mailbox, text, Flags::default(), &[])
}

pub(super) fn deliver(path: &Path, name: &str) {
    std::fs::write(path.join("tmp").join(name), "A: b\n\nc\n").unwrap();
    std::fs::rename(path.join("tmp").join(name), path.join("new").join(name)).unwrap();
}

pub(super) fn files(path: &Path, half: &str) -> Vec<String> {
    let mut names = disk::list_messages(&path.join(half)).unwrap();
    names.sort();
    names
}

#[test]
fn append_and_reopen_keep_uids() {
    let directory = tempfile::tempdir().unwrap();
    let mailbox = open(directory.path());
    let first = put(&mailbox, b"A: b\r\n\r\nc\rd\r\n\r", Flags::SEEN, &["Work"]);
    let second = put(&mailbox, b"x\n", Flags::default(), &[]);
    assert_eq!((first, second), (uid(1), uid(2)));
    let guid = mailbox.guid();
    drop(mailbox);
    let mailbox = open(directory.path());
    let snapshot = mailbox.sync().unwrap();
    assert_eq!(mailbox.guid(), guid);
    assert_eq!(snapshot.uid_next(), uid(3));
    let row = snapshot.row(0).unwrap();
    assert_eq!(row.size_octets, 14);
    assert_eq!(row.flags, Flags::SEEN);
    assert_eq!(row.internal_date, InternalDate(1_000_000_000));
    let keyword = usize::from(row.keywords[0]);
    assert_eq!(&*snapshot.keywords()[keyword], "Work");
    assert_eq!(snapshot.row(1).unwrap().size_octets, 3);
    let opened = mailbox.open_message(first).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut &*opened.file, &mut text).unwrap();
    assert_eq!(text, "A: b\n\nc\rd\n\r");
}

#[test]
fn dropped_incoming_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mailbox = open(directory.path());
    let mut incoming = mailbox.begin_append().unwrap();
    incoming.write(b"x").unwrap();
    assert_eq!(files(directory.path(), "tmp").len(), 1);
    drop(incoming);
    assert!(files(directory.path(), "tmp").is_empty());
    assert!(mailbox.sync().unwrap().is_empty());
}

#[test]
fn foreign_changes_are_seen() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mailbox = open(path);
    deliver(path, "20.M1P1.h");
    deliver(path, "3.M1P1.h");
    let snapshot = mailbox.sync().unwrap();
    assert_eq!(snapshot.row(0).unwrap().unique_name, "3.M1P1.h");
    assert_eq!(snapshot.row(0).unwrap().size_octets, 11);
    assert!(snapshot.row(0).unwrap().recent);
    std::fs::rename(path.join("new/3.M1P1.h"), path.join("cur/3.M1P1.h:2,FPS")).unwrap();
    let later = mailbox.sync().unwrap();
    let row = later.row(0).unwrap();
    assert_eq!(row.flags, Flags::SEEN.with(Flags::FLAGGED));
    assert!(!row.recent && row.modseq > snapshot.highest_modseq());
    assert_eq!(snapshot.difference(&later).changed, [uid(1)]);
    mailbox
        .store_flags(&[uid(1)], FlagAction::Remove, Flags::SEEN, &[], None)
        .unwrap();
    assert_eq!(files(path, "cur"), ["3.M1P1.h:2,FP"]);
    std::fs::remove_file(path.join("new/20.M1P1.h")).unwrap();
    let last = mailbox.sync().unwrap();
    assert_eq!((last.len(), last.uid_next()), (1, uid(3)));
    let vanished = mailbox.vanished_since(later.highest_modseq());
    assert!(matches!(vanished, Vanished::Exactly(uids) if uids == [uid(2)]));
    assert!(matches!(mailbox.vanished_since(1), Vanished::Unknown));
    assert!(matches!(mailbox.open_message(uid(2)), Err(Error::Expunged)));
    // The same name again is another message.
    deliver(path, "20.M1P1.h");
    assert_eq!(mailbox.sync().unwrap().row(1).unwrap().uid, uid(3));
}

#[test]
fn one_name_twice_is_one_message_and_oddities_are_ignored() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mailbox = open(path);
    std::fs::write(path.join("cur/1.a.h:2,S"), "x").unwrap();
    std::fs::write(path.join("cur/1.a.h:2,"), "x").unwrap();
    std::fs::write(path.join("cur/.hidden"), "x").unwrap();
    std::fs::write(path.join("cur/2.a\n.h"), "x").unwrap();
    std::fs::create_dir(path.join("cur/3.a.h")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", path.join("cur/4.a.h")).unwrap();
    assert_eq!(mailbox.sync().unwrap().len(), 1);
}

#[test]
fn an_unreadable_directory_is_no_empty_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mailbox = open(path);
    put(&mailbox, b"x", Flags::SEEN, &[]);
    std::fs::rename(path.join("cur"), path.join("away")).unwrap();
    assert!(mailbox.sync().is_err());
    assert_eq!(mailbox.snapshot().len(), 1);
    std::fs::rename(path.join("away"), path.join("cur")).unwrap();
    assert_eq!(mailbox.sync().unwrap().row(0).unwrap().uid, uid(1));
}

#[test]
fn flags_that_do_not_change_cost_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mailbox = open(directory.path());
    let one = put(&mailbox, b"x", Flags::default(), &[]);
    let store = |action, flags, names: &[&str], since| {
        let names: Vec<Keyword> = names.iter().map(|name| Keyword::from(*name)).collect();
        mailbox.store_flags(&[one, uid(99)], action, flags, &names, since)
    };
    store(FlagAction::Add, Flags::SEEN, &["$Junk"], None).unwrap();
    let before = mailbox.snapshot();
    assert!(before.row(0).unwrap().recent);
    let outcome = store(FlagAction::Replace, Flags::SEEN, &["$JUNK"], None).unwrap();
    assert_eq!(outcome.expunged, [uid(99)]);
    assert_eq!(
        mailbox.sync().unwrap().highest_modseq(),
        before.highest_modseq()
    );
    let since = before.highest_modseq() - 1;
    let outcome = store(FlagAction::Add, Flags::DRAFT, &[], Some(since)).unwrap();
    assert_eq!(outcome.modified, [one]);
    assert_eq!(mailbox.claim_recent().unwrap(), [one]);
    assert!(mailbox.claim_recent().unwrap().is_empty());
}

#[test]
fn only_what_is_deleted_when_its_turn_comes_is_expunged_as_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let mailbox = open(directory.path());
    let one = put(&mailbox, b"1", Flags::DELETED, &[]);
    let two = put(&mailbox, b"2", Flags::SEEN, &[]);
    let expunged = mailbox.expunge_deleted(&[one, two]).unwrap();
    assert_eq!(expunged, [one]);
    assert_eq!(mailbox.expunge_deleted(&[one, two]).unwrap(), []);
    assert_eq!(mailbox.expunge(&[two]).unwrap(), [two]);
}

/// A panic, wherever it comes, hides no mail.
#[test]
fn after_a_panic_new_mail_is_found() {
    use crate::disk::simulated::{Fault, Simulated};
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let text = info.payload().downcast_ref::<String>();
        if !text.is_some_and(|text| text.starts_with("a mistake of ours")) {
            hook(info);
        }
    }));
    for operation in 0.. {
        let disk = Simulated::new();
        let path = disk.root().join("mail");
        disk::make_directory(&path).unwrap();
        let mailbox = open(&path);
        for number in 0..3 {
            drop(disk::create_new(&path.join(format!("new/{number}.a"))).unwrap());
        }
        disk.arm(Some(Fault::Panic { operation }));
        let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| mailbox.sync()));
        assert_eq!(looked.is_err(), disk.fired(), "{operation}");
        let fired = disk.fired();
        disk.arm(None);
        assert_eq!(mailbox.sync().unwrap().len(), 3, "{operation}");
        if !fired {
            break;
        }
    }
}

#[test]
fn a_watch_stands_until_nobody_is_told_and_the_mailbox_is_settled() {
    struct Nobody;
    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }
    let directory = tempfile::tempdir().unwrap();
    let mailbox = open(directory.path());
    let waker = || Waker::from(Arc::new(Nobody));
    let is_watched = || mailbox.wakers.lock().is_watched;
    let last = mailbox.subscribe(waker());
    let state = mailbox.state.lock();
    std::thread::scope(|scope| {
        // Who leaves waits for nobody who works on it.
        let ending = scope.spawn(|| drop(last));
        let deadline = Instant::now() + Duration::from_secs(10);
        while !ending.is_finished() && Instant::now() < deadline {}
        let waited = !ending.is_finished();
        drop(state);
        assert!(!waited && ending.join().is_ok());
    });
    assert!(is_watched());
    // What comes is known to who comes next.
    mailbox.sync().unwrap();
    drop(disk::create_new(&directory.path().join("new/1.a")).unwrap());
    let again = mailbox.subscribe(waker());
    assert_eq!(mailbox.sync().unwrap().len(), 1);
    mailbox.settle();
    assert!(is_watched());
    drop(again);
    mailbox.settle();
    assert!(!is_watched());
    drop(disk::create_new(&directory.path().join("new/2.a")).unwrap());
    assert_eq!(mailbox.sync().unwrap().len(), 2);
    // Subscriptions that come and go while it is settled leave a watch while there is one.
    for _ in 0..50 {
        std::thread::scope(|scope| {
            let come_and_go = || {
                drop(mailbox.subscribe(waker()));
                mailbox.settle();
            };
            scope.spawn(come_and_go);
            scope.spawn(come_and_go);
            let stays = mailbox.subscribe(waker());
            assert!(is_watched());
            come_and_go();
            assert!(is_watched());
            drop(stays);
        });
        mailbox.settle();
        assert!(!is_watched());
    }
}

#[test]
fn caches_are_written_before_the_index_is_given_back() {
    use crate::disk::simulated::{Fault, Simulated};
    let disk = Simulated::new();
    let path = disk.root().join("mail");
    disk::make_directory(&path).unwrap();
    let mailbox = open(&path);
    let uid = put_text(&mailbox, b"Subject: x\n\ny\n");
    mailbox.listing(uid, |_| b"listed".to_vec()).unwrap();
    // Only to have a journal.
    disk.arm(Some(Fault::Panic {
        operation: u64::MAX,
    }));
    drop(mailbox);
    let journal = disk.journal();
    let lines: Vec<&str> = journal.lines().collect();
    let inode_of = |name: &str| disk::stamp(&path.join(name)).unwrap().unwrap().inode;
    let last_write_of = |name: &str| {
        let inode = format!("of inode {}", inode_of(name));
        let is_write = |line: &&str| line.contains(" write ") && line.ends_with(&inode);
        lines.iter().rposition(is_write)
    };
    let index = last_write_of(crate::index::NAME);
    for name in ["pillarbox.summaries", "pillarbox.listings"] {
        let written = last_write_of(name);
        assert!(written.is_some() && written < index, "{name}:\n{journal}");
    }
}

#[test]
fn unique_ids_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for name in ["cur", "new", "tmp"] {
        std::fs::create_dir(path.join(name)).unwrap();
    }
    for name in ["a", "b", "c"] {
        std::fs::write(path.join("cur").join(format!("{name}:2,")), "x\n").unwrap();
    }
    let guid = "000102030405060708090a0b0c0d0e0f";
    let list = format!("3 V255 N40 G{guid} Xy\n17 O2 Zq :a\n18 Pold O1 :b\n19 :c\n");
    std::fs::write(path.join("dovecot-uidlist"), list).unwrap();
    let mailbox = open(path);
    let snapshot = mailbox.sync().unwrap();
    let expected = [
        (18, "old"),
        (17, "00000011000000ff"),
        (19, "00000013000000ff"),
    ];
    let listing = mailbox.unique_id_listing(&snapshot).unwrap();
    let listing: Vec<_> = listing.iter().map(|(uid, id)| (uid.get(), &**id)).collect();
    assert_eq!(listing, expected);
    let stored = std::fs::read_to_string(path.join("dovecot-uidlist")).unwrap();
    assert!(stored.starts_with(&format!(
        "3 V255 N40 G{guid} Xy\n17 O2 Zq W3 P00000011000000ff :a\n"
    )));
    let stamp = disk::stamp(&path.join("dovecot-uidlist")).unwrap();
    mailbox.unique_id_listing(&snapshot).unwrap();
    assert_eq!(disk::stamp(&path.join("dovecot-uidlist")).unwrap(), stamp);
    assert_eq!(put(&mailbox, b"x", Flags::default(), &[]), uid(40));
}

#[test]
fn unique_ids_are_made_as_the_server_before_made_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for name in ["cur", "new", "tmp"] {
        std::fs::create_dir(path.join(name)).unwrap();
    }
    for name in ["a", "b", "c", "d"] {
        std::fs::write(path.join("cur").join(format!("{name}:2,")), "x\n").unwrap();
    }
    let guid = "000102030405060708090a0b0c0d0e0f";
    let list = format!("3 V255 N40 G{guid}\n17 Gother O1 :a\n18 Pold :b\n19 :c\n20 W3 :d\n");
    std::fs::write(path.join("dovecot-uidlist"), list).unwrap();
    let shown = |mailbox: &Mailbox, format: &str| {
        let format = UniqueIdFormat::parse(format).unwrap();
        let listing = mailbox
            .unique_id_listing_as(&mailbox.sync().unwrap(), &format)
            .unwrap();
        let ids: Vec<String> = listing.iter().map(|(_, id)| id.to_string()).collect();
        ids
    };
    let expected = ["17-other", "old", "19-c", "20-d"];
    {
        let mailbox = open(path);
        assert_eq!(shown(&mailbox, "%u-%g"), expected);
        // They are saved, so what the format is later is the same to them; new mail never
        // had another server's.
        put(&mailbox, b"x", Flags::default(), &[]);
        let later = shown(&mailbox, "%v.%u");
        assert_eq!(later[..4], expected);
        assert_eq!(later[4], "00000028000000ff");
    }
    let stored = std::fs::read_to_string(path.join("dovecot-uidlist")).unwrap();
    assert!(
        stored.contains("P19-c") && stored.contains("P20-d"),
        "{stored}"
    );
    assert_eq!(shown(&open(path), "%08Xu%08Xv")[..4], expected);
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn wait(mailbox: &Mailbox, count: &Count, before: usize, length: usize) {
    let began = Instant::now();
    while count.0.load(Ordering::SeqCst) == before || mailbox.snapshot().len() != length {
        // A busy machine gets more than the 100 ms that are usual.
        assert!(began.elapsed() < Duration::from_secs(2), "nobody was woken");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn subscribers_are_woken() {
    let directory = tempfile::tempdir().unwrap();
    let mailbox = open(directory.path());
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let subscription = mailbox.subscribe(Waker::from(Arc::clone(&count)));
    deliver(directory.path(), "1.a.h");
    wait(&mailbox, &count, 0, 1);
    let before = count.0.load(Ordering::SeqCst);
    put(&mailbox, b"x", Flags::default(), &[]);
    wait(&mailbox, &count, before, 2);
    let before = count.0.load(Ordering::SeqCst);
    std::fs::remove_file(directory.path().join("new/1.a.h")).unwrap();
    wait(&mailbox, &count, before, 1);
    drop(subscription);
    let before = count.0.load(Ordering::SeqCst);
    put(&mailbox, b"y", Flags::default(), &[]);
    assert_eq!(count.0.load(Ordering::SeqCst), before);
}

#[test]
fn another_program_reads_it() {
    let directory = tempfile::tempdir().unwrap();
    let mailbox = open(directory.path());
    put(
        &mailbox,
        b"Subject: s\r\n\r\nx\r\n",
        Flags::SEEN.with(Flags::ANSWERED),
        &[],
    );
    put(&mailbox, b"Subject: t\r\n\r\nx\r\n", Flags::default(), &[]);
    let other = maildir::Maildir::from(directory.path().to_owned());
    assert_eq!((other.count_cur(), other.count_new()), (1, 1));
    let entry = other.list_cur().next().unwrap().unwrap();
    assert!(entry.is_seen() && entry.is_replied() && !entry.is_draft());
    other
        .move_new_to_cur(other.list_new().next().unwrap().unwrap().id())
        .unwrap();
    let snapshot = mailbox.sync().unwrap();
    assert_eq!(snapshot.len(), 2);
    assert!(!snapshot.row(1).unwrap().recent);
}

#[test]
fn sizes_are_measured_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mailbox = open(path);
    deliver(path, "1.a.h");
    assert_eq!(mailbox.sync().unwrap().row(0).unwrap().size_octets, 11);
    let list = std::fs::read_to_string(path.join("dovecot-uidlist")).unwrap();
    assert!(list.ends_with("1 P0000000100000001 W11 :1.a.h\n"), "{list}");
    drop(mailbox);
    std::fs::write(path.join("dovecot-uidlist"), list.replace("W11", "W12")).unwrap();
    std::fs::remove_file(path.join(crate::index::NAME)).unwrap();
    assert_eq!(open(path).snapshot().row(0).unwrap().size_octets, 12);
}

#[test]
fn a_last_line_without_end_is_known_with_and_without_the_index() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mailbox = open(path);
    put(&mailbox, b"A: b\r\n\r\nno end", Flags::SEEN, &[]);
    put(&mailbox, b"A: b\r\n\r\nhalf\r", Flags::SEEN, &[]);
    put(&mailbox, b"A: b\r\n\r\nend\r\n", Flags::SEEN, &[]);
    std::fs::write(path.join("new/9.M1P1.h"), "A: b\n\nno end").unwrap();
    let shown = |mailbox: &Mailbox| -> Vec<(u64, u64)> {
        let snapshot = mailbox.sync().unwrap();
        let sizes = |row: crate::MessageRow<'_>| (row.size_octets, row.octets_in_lines());
        snapshot.rows().map(sizes).collect()
    };
    let expected = [(14, 16), (13, 14), (13, 13), (14, 16)];
    assert_eq!(shown(&mailbox), expected);
    drop(mailbox);
    assert_eq!(shown(&open(path)), expected);
    std::fs::remove_file(path.join(crate::index::NAME)).unwrap();
    assert_eq!(shown(&open(path)), expected);
}

/// A mailbox that is asked after all the time is tidied up as one that is opened.
#[test]
fn what_is_kept_open_is_tidied_up() {
    let disk = disk::simulated::Simulated::new();
    let path = disk.root().join("m");
    for directory in [path.clone(), path.join("tmp")] {
        disk::make_directory(&directory).unwrap();
    }
    disk.set_clock(Duration::from_secs(48 * 3600));
    drop(disk::create_new(&path.join("tmp/old")).unwrap());
    disk.set_clock(Duration::from_secs(3600));
    let mailbox = open(&path);
    assert!(disk::is_regular(&path.join("tmp/old")).is_ok_and(|there| !there));
    disk.set_clock(Duration::from_secs(48 * 3600));
    drop(disk::create_new(&path.join("tmp/old")).unwrap());
    disk.set_clock(Duration::from_secs(3600));
    drop(disk::create_new(&path.join("tmp/new")).unwrap());
    let mut uids = Vec::new();
    for number in 0..300 {
        uids.push(put_text(&mailbox, format!("A: {number}\n\n").as_bytes()));
    }
    mailbox.expunge(&uids[..299]).unwrap();
    let lines = || {
        let list = crate::control_file::read(&path.join("dovecot-uidlist")).unwrap();
        String::from_utf8(list.unwrap()).unwrap().lines().count()
    };
    assert_eq!(lines(), 301);
    let there =
        || ["old", "new"].map(|name| disk::is_regular(&path.join("tmp").join(name)).unwrap());
    mailbox.settle();
    assert_eq!(lines(), 2);
    assert_eq!(there(), [true, true], "it was cleaned a moment ago");
    mailbox.state.lock().cleaned = None;
    mailbox.settle();
    assert_eq!(there(), [false, true]);
    // What was written anew is what the index says at the next opening.
    let told = mailbox.snapshot();
    drop(mailbox);
    let again = open(&path);
    let again = again.snapshot();
    assert_eq!(again.uid_next(), told.uid_next());
    assert_eq!(again.highest_modseq(), told.highest_modseq());
}

#[test]
fn what_is_removed_of_an_open_mailbox_is_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mailbox = open(path);
    let deliver = |number: u32| {
        let file = path.join(format!("new/{number}.M1P1.h"));
        std::fs::write(file, "A: b\n\nc\n").unwrap();
    };
    for watched in [false, true] {
        let subscription = watched.then(|| mailbox.subscribe(Waker::noop().clone()));
        deliver(1);
        assert_eq!(mailbox.sync().unwrap().len(), 1);
        // Who watches it may notice at once that new/ is gone, and makes what is missing then.
        for part in ["tmp", "new"] {
            std::fs::remove_dir_all(path.join(part)).unwrap();
        }
        assert_eq!(mailbox.sync().unwrap().len(), 0);
        deliver(2);
        assert_eq!(mailbox.sync().unwrap().len(), 1);
        std::fs::remove_dir_all(path.join("tmp")).unwrap();
        let uids = [put_text(&mailbox, b"A: b\n\nc\n")];
        assert_eq!(mailbox.sync().unwrap().len(), 2);
        mailbox.expunge(&uids).unwrap();
        std::fs::remove_file(path.join("new/2.M1P1.h")).unwrap();
        assert_eq!(mailbox.sync().unwrap().len(), 0);
        drop(subscription);
    }
    // Without cur/ it is no mailbox any more.
    for half in ["cur", "new"] {
        std::fs::remove_dir_all(path.join(half)).unwrap();
    }
    assert!(mailbox.sync().is_err());
    assert!(!path.join("new").exists());
}

#[test]
fn a_change_of_flags_tells_what_it_was_made_to() {
    let directory = tempfile::tempdir().unwrap();
    let mailbox = open(directory.path());
    let one = put_text(&mailbox, b"A: b\n\nc\n");
    let modseq = || mailbox.snapshot().of_uid(one).unwrap().modseq;
    let first = modseq();
    let add = |flags, keywords: &[Keyword]| {
        let action = FlagAction::Add;
        mailbox
            .store_flags(&[one], action, flags, keywords, None)
            .unwrap()
            .stored
    };
    let keyword = [Keyword::from("$x")];
    let stored = |before, modseq| {
        vec![Stored {
            uid: one,
            before,
            modseq,
        }]
    };
    assert_eq!(add(Flags::default(), &keyword), stored(first, modseq()));
    let second = modseq();
    assert!(second > first);
    assert_eq!(add(Flags::SEEN, &[]), stored(second, modseq()));
    let third = modseq();
    // Nothing changes.
    assert_eq!(add(Flags::SEEN, &[]), stored(third, third));
}
