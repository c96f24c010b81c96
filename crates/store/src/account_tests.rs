use super::*;

pub(super) fn account() -> (tempfile::TempDir, Arc<Account>) {
    let directory = tempfile::tempdir().unwrap();
    let account = reopen(directory.path());
    (directory, account)
}

fn reopen(directory: &Path) -> Arc<Account> {
    let layout = Layout {
        delimiter: '/',
        prefix: String::new(),
    };
    Account::open(&directory.join("Maildir"), layout).unwrap()
}

pub(super) fn name(text: &str) -> MailboxName {
    MailboxName::new(text.split('/').map(str::to_owned).collect()).unwrap()
}

pub(super) fn append(mailbox: &Mailbox, text: &str) -> Uid {
    let mut incoming = mailbox.begin_append().unwrap();
    incoming.write(text.as_bytes()).unwrap();
    mailbox.append(vec![incoming]).unwrap()[0]
}

/// The listing in short: `n` not selectable, `x` absent, `c` children, `s` subscribed.
fn listing(account: &Account) -> Vec<String> {
    let entries = account.list().unwrap().into_iter();
    let short = entries.map(|entry| {
        let mut text = account.show_name(&entry.name);
        for (mark, holds) in [
            (":n", !entry.selectable),
            (":x", !entry.exists),
            (":c", entry.has_children),
            (":s", entry.subscribed),
        ] {
            if holds {
                text.push_str(mark);
            }
        }
        text
    });
    short.collect()
}

#[test]
fn makes_the_maildir() {
    use std::os::unix::fs::PermissionsExt;
    let (directory, account) = account();
    for part in ["cur", "new", "tmp"] {
        let metadata = std::fs::metadata(directory.path().join("Maildir").join(part)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o700);
    }
    assert_eq!(listing(&account), ["INBOX"]);
}

#[test]
fn lists_what_is_there() {
    let (directory, account) = account();
    let root = directory.path().join("Maildir");
    for made in [
        ".A.B.C",
        ".a&b",
        ".Entw\u{fc}rfe",
        ".A..B",
        "..DOVECOT-TRASHED",
        ".Inbox",
    ] {
        std::fs::create_dir_all(root.join(made).join("cur")).unwrap();
    }
    std::fs::create_dir_all(root.join(".nocur")).unwrap();
    std::os::unix::fs::symlink(root.join(".A.B.C"), root.join(".link")).unwrap();
    account.set_subscribed(&name("gone"), true).unwrap();
    account.set_subscribed(&name("A/B/C"), true).unwrap();
    assert_eq!(
        listing(&account),
        [
            "INBOX",
            "A:n:c",
            "A/B:n:c",
            "A/B/C:s",
            "Entw\u{fc}rfe",
            "a&b",
            "gone:n:x:s"
        ]
    );
    assert!(account.mailbox(&name("a&b")).is_ok());
    for absent in ["A", "gone", "nocur", "link"] {
        let opened = account.mailbox(&name(absent));
        assert!(matches!(opened, Err(Error::NonExistent)), "{absent}");
    }
}

#[test]
fn creates_and_shares() {
    let (directory, account) = account();
    let made = account
        .create(&name("A/B"), Some(SpecialUse::Archive))
        .unwrap();
    let opened = account.mailbox(&name("A/B")).unwrap();
    assert!(Arc::ptr_eq(&made, &opened));
    assert!(directory.path().join("Maildir/.A.B/maildirfolder").exists());
    for taken in ["A/B", "INBOX"] {
        let made = account.create(&name(taken), None);
        assert!(matches!(made, Err(Error::AlreadyExists)));
    }
    account.create(&name("A"), None).unwrap();
    assert_eq!(listing(&account), ["INBOX", "A:c", "A/B"]);
    let listed = account.list().unwrap();
    assert_eq!(listed[2].special_use, Some(SpecialUse::Archive));
}

#[test]
fn a_name_made_again_gets_a_new_uid_validity() {
    let (directory, account) = account();
    let first = account.create(&name("A"), None).unwrap();
    let inferior = account.create(&name("A/B"), None).unwrap();
    account.set_subscribed(&name("A"), true).unwrap();
    let before = first.snapshot().uid_validity();
    assert_ne!(before, inferior.snapshot().uid_validity());
    account.delete(&name("A")).unwrap();
    assert!(first.is_gone() && !inferior.is_gone());
    assert_eq!(listing(&account), ["INBOX", "A:n:c:s", "A/B"]);
    assert!(matches!(
        account.delete(&name("A")),
        Err(Error::NonExistent)
    ));
    assert!(matches!(
        account.delete(&MailboxName::inbox()),
        Err(Error::CannotDo(_))
    ));
    let second = account.create(&name("A"), None).unwrap();
    assert!(second.snapshot().uid_validity() > before);
    let left = std::fs::read_dir(directory.path().join("Maildir")).unwrap();
    let left = left.filter(|e| {
        e.as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with("..")
    });
    assert_eq!(left.count(), 0);
}

#[test]
fn renames_with_inferiors() {
    let (_directory, account) = account();
    let mailbox = account.create(&name("A"), Some(SpecialUse::Junk)).unwrap();
    let inferior = account.create(&name("A/B"), None).unwrap();
    account.create(&name("taken/B"), None).unwrap();
    let uid = append(&mailbox, "Subject: a\n\n");
    account.set_subscribed(&name("A/B"), true).unwrap();
    let taken = account.rename(&name("A"), &name("taken"));
    assert!(matches!(taken, Err(Error::AlreadyExists)));
    let own = account.rename(&name("A"), &name("A/C"));
    assert!(matches!(own, Err(Error::CannotDo(_))));
    let absent = account.rename(&name("C"), &name("D"));
    assert!(matches!(absent, Err(Error::NonExistent)));
    account.rename(&name("A"), &name("X/Y")).unwrap();
    assert_eq!(
        listing(&account),
        [
            "INBOX",
            "A/B:n:x:s",
            "X:n:c",
            "X/Y:c",
            "X/Y/B",
            "taken:n:c",
            "taken/B"
        ]
    );
    let renamed = account.mailbox(&name("X/Y")).unwrap();
    assert!(Arc::ptr_eq(&mailbox, &renamed) && !mailbox.is_gone());
    assert!(renamed.open_message(uid).is_ok());
    assert!(Arc::ptr_eq(
        &inferior,
        &account.mailbox(&name("X/Y/B")).unwrap()
    ));
    let junk = account.list().unwrap();
    let junk = junk
        .iter()
        .find(|entry| entry.special_use == Some(SpecialUse::Junk));
    assert_eq!(junk.unwrap().name, name("X/Y"));
    // A superior's place, with an inferior of the same name.
    account.create(&name("X/Y/Y"), None).unwrap();
    account.rename(&name("X/Y"), &name("X")).unwrap();
    assert!(
        account
            .mailbox(&name("X"))
            .unwrap()
            .open_message(uid)
            .is_ok()
    );
    assert!(account.mailbox(&name("X/Y")).unwrap().snapshot().is_empty());
    assert!(account.mailbox(&name("X/B")).is_ok());
}

/// What lies below takes places that others lie below have left, deep ones too.
#[test]
fn renames_to_a_superior() {
    let (_directory, account) = account();
    for text in ["a/b", "a/b/b", "a/b/b/x", "a/b/x", "a/b/b/x/b"] {
        let mailbox = account.create(&name(text), None).unwrap();
        append(&mailbox, &format!("Subject: {text}\r\n\r\n"));
    }
    account.rename(&name("a/b"), &name("a")).unwrap();
    for (text, was) in [
        ("a", "a/b"),
        ("a/b", "a/b/b"),
        ("a/b/x", "a/b/b/x"),
        ("a/x", "a/b/x"),
        ("a/b/x/b", "a/b/b/x/b"),
    ] {
        let mailbox = account.mailbox(&name(text)).unwrap();
        let uid = mailbox.snapshot().last_uid().unwrap();
        let subject = mailbox.summary(uid).unwrap().envelope.subject.clone();
        assert_eq!(subject.as_deref(), Some(was.as_bytes()));
    }
    assert!(account.mailbox(&name("a/b/b")).is_err());
}

#[test]
fn a_renamed_mailbox_keeps_the_use_its_name_told() {
    let (_directory, account) = account();
    account.make_default_mailboxes().unwrap();
    account.rename(&name("Sent"), &name("Gesendet")).unwrap();
    account.create(&name("Sent"), None).unwrap();
    let uses: Vec<_> = account
        .list()
        .unwrap()
        .into_iter()
        .filter(|entry| entry.special_use == Some(SpecialUse::Sent))
        .map(|entry| account.show_name(&entry.name))
        .collect();
    assert_eq!(uses, ["Gesendet"]);
}

#[test]
fn renaming_inbox_moves_its_messages() {
    let (_directory, account) = account();
    let inbox = account.mailbox(&MailboxName::inbox()).unwrap();
    append(&inbox, "Subject: a\n\n");
    append(&inbox, "Subject: b\n\n");
    account.create(&name("INBOX/x"), None).unwrap();
    account.rename(&MailboxName::inbox(), &name("Old")).unwrap();
    assert!(inbox.sync().unwrap().is_empty() && !inbox.is_gone());
    assert_eq!(account.status(&name("Old")).unwrap().messages, 2);
    assert_eq!(listing(&account), ["INBOX:c", "INBOX/x", "Old"]);
}

#[test]
fn default_mailboxes_are_made_once() {
    let (directory, account) = account();
    account.make_default_mailboxes().unwrap();
    let listed = account.list().unwrap();
    assert_eq!(listed.len(), 6);
    let uses = listed
        .iter()
        .filter(|e| e.subscribed && e.special_use.is_some());
    assert_eq!(uses.count(), 5);
    for entry in listed.iter().skip(1) {
        account.delete(&entry.name).unwrap();
    }
    drop(account);
    let account = reopen(directory.path());
    account.make_default_mailboxes().unwrap();
    assert!(account.mailbox(&name("Sent")).is_err());
    // Interrupted while making them: the rest is made.
    let marker = directory.path().join("Maildir").join(DEFAULTS_MARKER);
    std::fs::write(marker, DEFAULTS_BEGUN).unwrap();
    account.create(&name("Sent"), None).unwrap();
    account.make_default_mailboxes().unwrap();
    assert!(account.mailbox(&name("Junk")).is_ok());
}

#[test]
fn status_counts_without_claiming() {
    let (directory, account) = account();
    let root = directory.path().join("Maildir");
    std::fs::write(root.join("new/1.a.h"), "Subject: a\n\nx\n").unwrap();
    std::fs::write(root.join("cur/2.b.h:2,S"), "Subject: b\n\n").unwrap();
    std::fs::write(root.join("cur/3.c.h:2,ST"), "Subject: c\n\n").unwrap();
    for _ in 0..2 {
        let status = account.status(&MailboxName::inbox()).unwrap();
        let counts = (
            status.messages,
            status.recent,
            status.unseen,
            status.deleted,
        );
        assert_eq!(counts, (3, 1, 1, 1));
        assert_eq!(status.uid_next.get(), 4);
        assert_eq!(status.size_octets, 17 + 14 + 14);
    }
    assert!(root.join("new/1.a.h").exists());
}

#[test]
fn left_over_directories_are_removed() {
    let (directory, account) = account();
    drop(account);
    let root = directory.path().join("Maildir");
    for left in [format!("{TRASHED}1"), format!("{UNFINISHED}2")] {
        std::fs::create_dir_all(root.join(left).join("cur")).unwrap();
    }
    let account = reopen(directory.path());
    assert_eq!(listing(&account), ["INBOX"]);
    assert_eq!(std::fs::read_dir(&root).unwrap().count(), 3);
}

/// What is linked to is another mailbox's, and selecting would take its mail.
#[test]
fn a_mailbox_whose_directories_are_links_is_refused() {
    let (directory, account) = account();
    let root = directory.path().join("Maildir");
    drop(account.create(&name("Victim"), None).unwrap());
    let secret = root.join(".Victim/cur/1.M1P1.h:2,S");
    std::fs::write(secret, "Subject: secret\n\nx\n").unwrap();
    let mail = || disk::list_messages(&root.join(".Victim/cur")).unwrap();
    let before = mail();
    let link = |mailbox: &Path, part: &str| {
        let path = mailbox.join(part);
        std::fs::rename(&path, mailbox.join(format!("was-{part}"))).unwrap();
        std::os::unix::fs::symlink(root.join(".Victim/cur"), &path).unwrap();
    };
    for part in ["cur", "new", "tmp"] {
        let one = name(&format!("Linked {part}"));
        drop(account.create(&one, None).unwrap());
        let place = root.join(one.directory_name().unwrap());
        link(&place, part);
        let opened = account.mailbox(&one);
        assert!(opened.is_err(), "{part}");
        std::fs::remove_file(place.join(part)).unwrap();
        std::fs::rename(place.join(format!("was-{part}")), place.join(part)).unwrap();
        // One that is open is not looked into either.
        let opened = account.mailbox(&one).unwrap();
        link(&place, part);
        let told = opened.sync();
        assert!(told.is_err() || told.unwrap().is_empty(), "{part}");
    }
    link(&root, "new");
    let told = account.mailbox(&MailboxName::inbox()).unwrap_err();
    assert!(told.to_string().contains("it is a link"), "{told}");
    drop(account);
    let account = reopen(directory.path());
    assert!(account.mailbox(&MailboxName::inbox()).is_err());
    assert_eq!(mail(), before);
}
