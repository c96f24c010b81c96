//! Letters for keywords, which other programs give, too.

use super::state::State;
use crate::maildir::dotlock::{self, Dotlock};
use crate::{Keyword, Result, Uid};

impl State {
    /// Indices for names, ascending; new names get a letter while there is one, which is
    /// written durably before any file name uses it. What other programs named is read
    /// first, under the locks that Dovecot writes it under.
    ///
    /// A crash leaves the names as they were or as they are to be.
    pub(super) fn intern(&mut self, names: &[Keyword]) -> Result<Vec<u16>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        self.read_letters()?;
        let mut locks = None;
        if self.keywords.lacks_letter(names) {
            let take = |name| Dotlock::take(&self.directory, name, self.lock_patience);
            // Given back in the other order.
            let list = take(dotlock::UIDLIST)?;
            locks = Some((take(dotlock::KEYWORDS)?, list));
            self.read_letters()?;
        }
        let interned = self.keywords.intern(&self.directory, names);
        drop(locks);
        interned
    }
    /// Reads the names of keyword letters, should another program have changed them;
    /// tells whether a message has other keywords by that.
    pub(super) fn read_letters(&mut self) -> Result<bool> {
        if !self.keywords.refresh(&self.directory)? {
            return Ok(false);
        }
        let places: Vec<(Uid, bool, String)> = self
            .snapshot
            .rows()
            .map(|row| (row.uid, row.in_new, row.suffix.to_owned()))
            .collect();
        let mut changed = false;
        for (uid, in_new, suffix) in places {
            changed |= self.follow(uid, in_new, &suffix);
        }
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use crate::maildir::dotlock;
    use crate::{Account, Error, FlagAction, Flags, Layout, Mailbox, Uid};
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    fn inbox_with_a_message(root: &Path) -> (Arc<Account>, Arc<Mailbox>) {
        let layout = Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let account = Account::open(root, layout).unwrap();
        fs::write(root.join("cur/1.M1P1.h:2,"), "Subject: x\n\n").unwrap();
        let mailbox = account.mailbox(&account.parse_name("INBOX").unwrap());
        (account, mailbox.unwrap())
    }

    fn keywords(mailbox: &Mailbox, uid: u32) -> Vec<String> {
        let snapshot = mailbox.sync().unwrap();
        let row = snapshot.of_uid(Uid::new(uid).unwrap()).unwrap();
        let name = |index: &u16| snapshot.keywords()[usize::from(*index)].to_string();
        row.keywords.iter().map(name).collect()
    }

    /// Another program gives a letter after the names were read.
    #[test]
    fn letters_that_others_gave_stay() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let (_account, mailbox) = inbox_with_a_message(root);
        fs::write(root.join("dovecot-keywords"), "0 $Junk\n").unwrap();
        fs::rename(root.join("cur/1.M1P1.h:2,"), root.join("cur/1.M1P1.h:2,a")).unwrap();
        let mut message = mailbox.begin_append().unwrap();
        message.write(b"Subject: own\r\n\r\n").unwrap();
        message.describe(Flags::default(), vec!["$Work".into()], None);
        mailbox.append(vec![message]).unwrap();
        let names = fs::read_to_string(root.join("dovecot-keywords")).unwrap();
        assert_eq!(names, "0 $Junk\n1 $Work\n");
        assert_eq!(keywords(&mailbox, 1), ["$Junk"]);
        assert_eq!(keywords(&mailbox, 2), ["$Work"]);
        // And the other way round, by STORE.
        fs::write(root.join("dovecot-keywords"), format!("{names}2 Later\n")).unwrap();
        let add = FlagAction::Add;
        let uid = Uid::new(2).unwrap();
        let stored = mailbox.store_flags(&[uid], add, Flags::default(), &["Own".into()], None);
        stored.unwrap();
        let names = fs::read_to_string(root.join("dovecot-keywords")).unwrap();
        assert_eq!(names, "0 $Junk\n1 $Work\n2 Later\n3 Own\n");
        assert_eq!(keywords(&mailbox, 2), ["$Work", "Own"]);
    }

    /// Dovecot reads the names again when their time is another second than before.
    #[test]
    fn the_time_of_the_names_increases() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let (_account, mailbox) = inbox_with_a_message(root);
        let mut seconds = Vec::new();
        for name in ["one", "two", "three"] {
            let uid = Uid::MIN;
            let add = FlagAction::Add;
            let stored = mailbox.store_flags(&[uid], add, Flags::default(), &[name.into()], None);
            stored.unwrap();
            let stamp = crate::disk::stamp(&root.join("dovecot-keywords")).unwrap();
            seconds.push(stamp.unwrap().seconds);
        }
        assert!(seconds.is_sorted_by(|a, b| a < b), "{seconds:?}");
    }

    /// No letter is given while another program has either lock.
    #[test]
    fn letters_are_given_under_both_locks() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let (_account, mailbox) = inbox_with_a_message(root);
        mailbox.state.lock().lock_patience = Duration::ZERO;
        let store = || {
            let names = ["$Work".into()];
            mailbox.store_flags(&[Uid::MIN], FlagAction::Add, Flags::default(), &names, None)
        };
        for lock in [dotlock::UIDLIST, dotlock::KEYWORDS] {
            fs::write(root.join(lock), "1:another-host").unwrap();
            assert!(matches!(store(), Err(Error::Locked(_))), "{lock}");
            assert!(!root.join("dovecot-keywords").exists());
            fs::remove_file(root.join(lock)).unwrap();
        }
        store().unwrap();
        assert_eq!(keywords(&mailbox, 1), ["$Work"]);
        assert!(!root.join(dotlock::UIDLIST).exists() && !root.join(dotlock::KEYWORDS).exists());
    }
}
