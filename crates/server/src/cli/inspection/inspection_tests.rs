use super::*;

fn maildir() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("directory");
    for part in ["cur", "new", "tmp"] {
        std::fs::create_dir(directory.path().join(part)).expect("part");
    }
    directory
}

fn put(directory: &Path, name: &str, text: &str) {
    std::fs::write(directory.join(name), text).expect("write");
}

fn faults(directory: &Path) -> Vec<Fault> {
    inspect(directory, &mut |_| {}).expect("inspected").faults
}

fn one(directory: &Path) -> Fault {
    let mut faults = faults(directory);
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.remove(0)
}

#[test]
fn a_sound_mailbox_has_no_faults() {
    let directory = maildir();
    let path = directory.path();
    put(path, "new/1.M1P1.h", "x\n");
    put(path, "cur/2.M1P1.h,S=4,W=6:2,Sa", "a\nb\n");
    put(path, "cur/3.M1P1.h,S=3,W=3:2,", "a\r\n");
    put(path, "dovecot-keywords", "0 $Forwarded\n30 rest\n");
    put(
        path,
        "dovecot-uidlist",
        "3 V1 N9\n1 :gone\n2 P1 W3 :1.M1P1.h\n5 :2.M1P1.h,S=4,W=6\n",
    );
    let findings = inspect(path, &mut |_| {}).expect("inspected");
    assert_eq!(findings.faults, []);
    assert_eq!(findings.messages, 3);
}

#[test]
fn what_a_delivery_may_be_writing_is_no_fault() {
    let directory = maildir();
    put(directory.path(), "tmp/1.M1P1.h", "half");
    let findings = inspect(directory.path(), &mut |_| {}).expect("inspected");
    assert_eq!(findings.faults, []);
    assert_eq!(findings.remarks.len(), 1, "{findings:?}");
    assert!(findings.remarks[0].contains("tmp/ has 1 files"));
}

#[test]
fn wrong_sizes_are_told() {
    let directory = maildir();
    put(directory.path(), "new/1.M1P1.h,S=3,W=4", "a\n");
    assert_eq!(faults(directory.path()).len(), 2);
    std::fs::remove_file(directory.path().join("new/1.M1P1.h,S=3,W=4")).expect("remove");
    put(directory.path(), "new/1.M1P1.h", "a\n");
    put(
        directory.path(),
        "dovecot-uidlist",
        "3 V1 N2\n1 W9 :1.M1P1.h\n",
    );
    assert!(one(directory.path()).text.contains("the list tells 9"));
}

#[test]
fn copies_and_second_names_are_told_apart() {
    let directory = maildir();
    let path = directory.path();
    put(path, "cur/1.a:2,S", "first");
    put(path, "new/1.a", "second");
    assert_eq!(one(path).remedy, Remedy::OwnName(path.join("new/1.a")));
    std::fs::remove_file(path.join("new/1.a")).expect("remove");
    std::fs::hard_link(path.join("cur/1.a:2,S"), path.join("new/1.a")).expect("link");
    let second = SecondName {
        path: path.join("new/1.a"),
        first: path.join("cur/1.a:2,S"),
        file: file_of(&path.join("new/1.a"))
            .expect("seen")
            .expect("there"),
    };
    assert_eq!(one(path).remedy, Remedy::RemoveLink(second));
}

/// A directory is read while a server changes flags: one file under two names.
#[test]
fn a_file_that_was_renamed_meanwhile_has_one_name() {
    let directory = maildir();
    let path = directory.path();
    let [old, new] = ["cur/1.a:2,", "cur/1.a:2,S"].map(|name| path.join(name));
    std::fs::write(&old, "first").expect("write");
    let seen = |path: &Path, metadata: &Metadata| MessageFile {
        path: path.to_owned(),
        metadata: metadata.clone(),
    };
    let metadata = old.symlink_metadata().expect("there");
    let found = || vec![seen(&old, &metadata), seen(&new, &metadata)];
    let left = |found| {
        let left = still_there(found).expect("looked at");
        left.into_iter().map(|file| file.path).collect::<Vec<_>>()
    };
    assert_eq!(left(found()), std::slice::from_ref(&old));
    std::fs::rename(&old, &new).expect("renamed");
    assert_eq!(left(found()), std::slice::from_ref(&new));
    // Another that has its name by now, and a real second name.
    std::fs::write(&old, "second").expect("write");
    assert_eq!(left(found()), std::slice::from_ref(&new));
    std::fs::remove_file(&old).expect("removed");
    std::fs::hard_link(&new, &old).expect("linked");
    assert_eq!(left(found()), [old, new]);
}

#[test]
fn what_is_no_message_is_told() {
    let directory = maildir();
    let path = directory.path();
    std::fs::create_dir(path.join("cur/1.dir")).expect("directory");
    std::os::unix::fs::symlink("/etc/passwd", path.join("cur/2.link")).expect("link");
    put(path, "new/3.empty", "");
    put(path, "new/4.line\nend", "x");
    std::fs::write(path.join("new/5.gz"), [0x1f, 0x8b, 8, 0]).expect("write");
    put(path, "new/.hidden", "");
    let faults = faults(path);
    assert_eq!(faults.len(), 5, "{faults:?}");
    assert!(faults.iter().all(|fault| !fault.text.contains('\n')));
}

#[test]
fn another_mailbox_that_is_linked_to_is_not_looked_into() {
    let (own, other) = (maildir(), maildir());
    put(other.path(), "cur/1.a:2,", "x");
    put(other.path(), "new/1.a", "y");
    for part in ["cur", "new", "tmp"] {
        std::fs::remove_dir(own.path().join(part)).expect("removed");
        let to = other.path().join(part);
        std::os::unix::fs::symlink(to, own.path().join(part)).expect("linked");
    }
    let findings = inspect(own.path(), &mut |_| {}).expect("inspected");
    assert_eq!((findings.messages, findings.faults.len()), (0, 3));
    let has_no_remedy = |fault: &Fault| fault.remedy == Remedy::None;
    assert!(findings.faults.iter().all(has_no_remedy), "{findings:?}");
}

#[test]
fn damaged_lists_and_missing_directories_can_be_mended() {
    let directory = maildir();
    let path = directory.path();
    put(path, "dovecot-uidlist", "3 V1 N9\nnonsense\n4 :a\n");
    assert_eq!(one(path).remedy, Remedy::Open);
    put(path, "dovecot-uidlist", "3 V1 N9\n4 :a");
    assert_eq!(one(path).remedy, Remedy::Open);
    put(path, "dovecot-uidlist", "3 N9\n4 :a\n");
    assert_eq!(one(path).remedy, Remedy::Open);
    put(path, "dovecot-uidlist", "3 V1 N9\n4 :a\n3 :b\n");
    assert!(one(path).text.contains("UID 3 comes after 4"));
    std::fs::remove_file(path.join("dovecot-uidlist")).expect("remove");
    std::fs::remove_dir(path.join("cur")).expect("remove");
    assert_eq!(one(path).remedy, Remedy::MakeDirectory(path.join("cur")));
}

#[test]
fn keywords_without_names_are_told() {
    let directory = maildir();
    put(directory.path(), "cur/1.a:2,Sab", "x");
    put(
        directory.path(),
        "dovecot-keywords",
        "0 one\n0 two\n3 TWO\nx\n",
    );
    let faults = faults(directory.path());
    assert_eq!(faults.len(), 4, "{faults:?}");
    assert!(faults[3].text.contains("letter b"), "{faults:?}");
}

#[test]
fn directories_are_named_and_odd_ones_told() {
    let directory = maildir();
    for name in [
        ".Sent",
        ".Entw&APw-rfe.2026",
        ".a..b",
        ".bad&name",
        "..DOVECOT-TRASHED-1",
    ] {
        std::fs::create_dir_all(directory.path().join(name).join("cur")).expect("mailbox");
    }
    std::fs::create_dir(directory.path().join(".notmail")).expect("directory");
    let Tree {
        mailboxes: found,
        faults,
    } = mailboxes(directory.path()).expect("listed");
    let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["INBOX", "Entw\u{fc}rfe/2026", "Sent", "bad&name"]);
    assert_eq!(faults.len(), 2, "{faults:?}");
}

#[test]
fn an_index_that_contradicts_the_files_is_told() {
    let directory = maildir();
    let root = directory.path();
    put(root, "new/1.M1P1.h", "Subject: x\n\nbody\n");
    put(root, "new/2.M1P1.h", "Subject: y\n\nbody\n");
    let open = || {
        let layout = store::Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let account = store::Account::open(root, layout).expect("account");
        let name = account.parse_name("INBOX").expect("name");
        account.mailbox(&name).expect("mailbox").snapshot().len()
    };
    assert_eq!(open(), 2);
    assert_eq!(faults(root), []);
    // Written in place, so that no directory tells of it.
    put(root, "new/1.M1P1.h", "Subject: x\n\nanother body\n");
    let found = faults(root);
    let fault = found
        .iter()
        .find(|fault| fault.text.contains("UID 1 has 20 octets, its file 28"))
        .expect("a fault of the index");
    let index = root.join("pillarbox.index");
    assert_eq!(fault.remedy, Remedy::RemoveIndex(root.to_owned()));
    std::fs::write(&index, "junk").expect("written");
    let unreadable = |fault: &Fault| fault.text.contains("cannot be read");
    assert!(faults(root).iter().any(unreadable));
    std::fs::remove_file(&index).expect("removed");
    assert!(!faults(root).iter().any(unreadable));
    assert_eq!(open(), 2);
}
