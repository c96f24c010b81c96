//! A mailbox that cannot be read keeps nobody from the others.

use super::{Account, Layout};
use crate::disk::simulated::{EACCES, EIO, Simulated};
use crate::{Error, MailboxName};
use std::path::Path;
use std::sync::Arc;

fn open(root: &Path) -> Arc<Account> {
    let layout = Layout {
        delimiter: '/',
        prefix: String::new(),
    };
    Account::open(root, layout).unwrap()
}

fn name(text: &str) -> MailboxName {
    MailboxName::new(vec![text.to_owned()]).unwrap()
}

/// Whether the default mailboxes were made or are asked for now.
#[test]
fn the_others_are_there() {
    for (errno, is_new) in [(EACCES, true), (EACCES, false), (EIO, true), (EIO, false)] {
        let disk = Simulated::new();
        let root = disk.root().join("m");
        let account = open(&root);
        if !is_new {
            account.make_default_mailboxes().unwrap();
        }
        let [work, closed] = ["Work", "Closed"].map(name);
        for name in [&work, &closed] {
            account.create(name, None).unwrap();
        }
        drop(account);
        disk.close(Some((root.join(".Closed"), errno)));
        let account = open(&root);
        account.make_default_mailboxes().unwrap();
        let listed = account.list().unwrap();
        for name in [&work, &closed, &MailboxName::inbox()] {
            let entry = listed.iter().find(|entry| entry.name == *name);
            assert!(entry.is_some_and(|entry| entry.selectable), "{name:?}");
        }
        account.mailbox(&work).unwrap();
        account.status(&MailboxName::inbox()).unwrap();
        account.create(&name("New"), None).unwrap();
        account.rename(&work, &name("Play")).unwrap();
        account.delete(&name("Play")).unwrap();
        let error = account.mailbox(&closed).unwrap_err();
        assert!(error.to_string().contains("/.Closed/"), "{error}");
        assert_eq!(error.is_forbidden(), errno == EACCES);
        let uid = format!("uid {} ", rustix::process::geteuid().as_raw());
        assert_eq!(error.remedy().contains(&uid), errno == EACCES);
        // It is there, and its name is given to no other.
        let again = account.create(&closed, None);
        assert!(matches!(again, Err(Error::Io { .. })), "{again:?}");
        disk.close(None);
        account.mailbox(&closed).unwrap();
    }
}
