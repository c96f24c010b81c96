//! Watching many mailboxes at once, without having them open.

use super::{Account, MailboxStatus};
use crate::maildir::watch::sentry::{Notices, Sentry};
use crate::{Error, Mailbox, MailboxName, Result};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::task::Waker;

/// A mailbox that is watched, for all who watch it.
#[derive(Debug)]
struct Post {
    name: MailboxName,
    sentry: Arc<Sentry>,
    /// What STATUS told, and at which generation.
    status: Mutex<Option<(u64, MailboxStatus)>>,
}

/// The posts of an account.
#[derive(Debug, Default)]
pub(super) struct Posts(Mutex<HashMap<MailboxName, Weak<Post>>>);

impl Posts {
    /// The sentry of a mailbox that is opened: what is done to it here is told at once.
    pub(super) fn attach(&self, name: &MailboxName, mailbox: &Mailbox) {
        if let Some(post) = self.0.lock().get(name).and_then(Weak::upgrade) {
            mailbox.alert(&post.sentry);
        }
    }

    /// What had this name has it no more: who watches the name from now on watches another
    /// directory.
    pub(super) fn end(&self, name: &MailboxName) {
        self.0.lock().remove(name);
    }
}

/// How a mailbox is watched from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// As before.
    Kept,
    /// It was not watched before, or another mailbox of that name was.
    Begun,
    /// Not at all: too many are watched by all.
    Refused,
}

/// What one session watches.
#[derive(Debug)]
pub struct Lookout {
    account: Arc<Account>,
    notices: Arc<Notices>,
    posts: BTreeMap<MailboxName, Arc<Post>>,
    names: HashMap<u64, MailboxName>,
}

impl Account {
    /// Watches nothing yet; the waker is woken when a watched mailbox changed.
    pub fn lookout(self: &Arc<Self>, waker: Waker) -> Lookout {
        Lookout {
            account: Arc::clone(self),
            notices: Arc::new(Notices::new(waker)),
            posts: BTreeMap::new(),
            names: HashMap::new(),
        }
    }

    /// The name that an open mailbox has now, which is most likely this one; none if it
    /// is gone.
    pub fn name_of(&self, mailbox: &Arc<Mailbox>, likely: &MailboxName) -> Option<MailboxName> {
        let is_it = |open: &Weak<Mailbox>| std::ptr::eq(open.as_ptr(), Arc::as_ptr(mailbox));
        if self.open.get(likely).is_some_and(|open| is_it(&open)) {
            return Some(likely.clone());
        }
        let found = self.open.iter().find(|open| is_it(open.value()));
        found.map(|open| open.key().clone())
    }

    fn post(&self, name: &MailboxName) -> Result<Option<Arc<Post>>> {
        let _changing = self.changing.lock();
        let directory = self.directory(name)?.ok_or(Error::NonExistent)?;
        let mut posts = self.posts.0.lock();
        let known = posts.get(name).and_then(Weak::upgrade);
        if let Some(post) = known.filter(|post| post.sentry.is_at(&directory)) {
            drop(posts);
            post.sentry.follow();
            return Ok(Some(post));
        }
        let Some(sentry) = Sentry::post(&directory) else {
            return Ok(None);
        };
        let post = Arc::new(Post {
            name: name.clone(),
            sentry,
            status: Mutex::default(),
        });
        if posts.len().is_power_of_two() {
            posts.retain(|_, post| post.strong_count() > 0);
        }
        posts.insert(name.clone(), Arc::downgrade(&post));
        drop(posts);
        let open = self.open.get(name).and_then(|mailbox| mailbox.upgrade());
        if let Some(mailbox) = open {
            mailbox.alert(&post.sentry);
        }
        Ok(Some(post))
    }
}

impl Lookout {
    /// Watches a mailbox from now on.
    ///
    /// # Errors
    /// `NonExistent` where it cannot be selected.
    pub fn watch(&mut self, name: &MailboxName) -> Result<Watch> {
        let Some(post) = self.account.post(name)? else {
            return Ok(Watch::Refused);
        };
        if let Some(before) = self.posts.get(name) {
            if Arc::ptr_eq(before, &post) {
                return Ok(Watch::Kept);
            }
            self.names.remove(&before.sentry.id());
        }
        post.sentry.tell(&self.notices);
        self.names.insert(post.sentry.id(), name.clone());
        self.posts.insert(name.clone(), post);
        Ok(Watch::Begun)
    }

    /// Watches a mailbox no longer.
    pub fn forget(&mut self, name: &MailboxName) {
        if let Some(post) = self.posts.remove(name) {
            self.names.remove(&post.sentry.id());
        }
    }

    /// Whether no watched mailbox changed since [`Lookout::take_changed`].
    pub fn is_quiet(&self) -> bool {
        self.notices.is_empty()
    }

    /// Which watched mailboxes may have changed since it was called last.
    pub fn take_changed(&self) -> BTreeSet<MailboxName> {
        let changed = self.notices.take().into_iter();
        changed
            .filter_map(|id| self.names.get(&id).cloned())
            .collect()
    }

    /// What STATUS tells of a watched mailbox. Of many who ask after a change only the
    /// first opens it.
    ///
    /// # Errors
    /// `NonExistent` where it is gone, or not watched.
    pub fn status(&self, name: &MailboxName) -> Result<MailboxStatus> {
        let post = self.posts.get(name).ok_or(Error::NonExistent)?;
        let mut known = post.status.lock();
        // Where the system does not tell of it: another may have taken its place.
        post.sentry.follow();
        let generation = post.sentry.generation();
        if let Some((at, status)) = &*known
            && *at == generation
        {
            return Ok(status.clone());
        }
        let status = self.account.status(&post.name)?;
        *known = Some((generation, status.clone()));
        Ok(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FlagAction, Flags, Layout};
    use std::time::{Duration, Instant};

    fn name(text: &str) -> MailboxName {
        MailboxName::new(vec![text.to_owned()]).expect("a name")
    }

    fn waits(lookout: &Lookout, wanted: &MailboxName) {
        let began = Instant::now();
        while !lookout.take_changed().contains(wanted) {
            assert!(began.elapsed() < Duration::from_secs(20), "nothing is said");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn what_others_do_to_closed_and_open_mailboxes_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let account = Account::open(directory.path(), layout).unwrap();
        let work = name("Work");
        account.create(&work, None).unwrap();
        let mut lookout = account.lookout(Waker::noop().clone());
        let mut second = account.lookout(Waker::noop().clone());
        assert_eq!(lookout.watch(&work).unwrap(), Watch::Begun);
        assert_eq!(lookout.watch(&work).unwrap(), Watch::Kept);
        assert_eq!(second.watch(&work).unwrap(), Watch::Begun);
        assert!(matches!(lookout.watch(&name("x")), Err(Error::NonExistent)));
        assert_eq!(lookout.status(&work).unwrap().messages, 0);
        std::fs::write(directory.path().join(".Work/new/1.a.b"), "Subject: x\n\n").unwrap();
        waits(&lookout, &work);
        waits(&second, &work);
        assert_eq!(lookout.status(&work).unwrap().messages, 1);
        assert_eq!(second.status(&work).unwrap().uid_next.get(), 2);
        // Nobody has it open between two looks.
        assert!(account.open.get(&work).unwrap().upgrade().is_none());
        let mailbox = account.mailbox(&work).unwrap();
        // More keywords than letters: no file is renamed for some of them.
        let keywords: Vec<crate::Keyword> = (0..30)
            .map(|number| crate::Keyword::from(format!("k{number}")))
            .collect();
        let uids = [crate::Uid::MIN];
        let add = FlagAction::Add;
        for keyword in keywords.chunks(1) {
            lookout.take_changed();
            let before = lookout.status(&work).unwrap().highest_modseq;
            mailbox
                .store_flags(&uids, add, Flags::default(), keyword, None)
                .unwrap();
            waits(&lookout, &work);
            assert!(lookout.status(&work).unwrap().highest_modseq > before);
        }
        account.rename(&work, &name("Play")).unwrap();
        assert!(lookout.status(&work).is_err() || lookout.watch(&work).is_err());
        assert_eq!(account.name_of(&mailbox, &work), Some(name("Play")));
        // Another mailbox that gets the name is another one to watch.
        account.create(&work, None).unwrap();
        assert_eq!(lookout.watch(&work).unwrap(), Watch::Begun);
        assert_eq!(lookout.watch(&name("Play")).unwrap(), Watch::Begun);
        lookout.forget(&work);
        lookout.take_changed();
        std::fs::write(directory.path().join(".Play/new/2.a.b"), "Subject: x\n\n").unwrap();
        waits(&lookout, &name("Play"));
        let before = lookout.status(&name("Play")).unwrap();
        assert_eq!(before.messages, 2);
        // Another program makes it anew, while it is open.
        let mailbox = account.mailbox(&name("Play")).unwrap();
        let place = directory.path().join(".Play");
        lookout.take_changed();
        std::fs::rename(&place, directory.path().join("away")).unwrap();
        for part in ["", "cur", "new", "tmp"] {
            std::fs::create_dir(place.join(part)).unwrap();
        }
        waits(&lookout, &name("Play"));
        std::fs::write(place.join("new/3.a.b"), "Subject: x\n\n").unwrap();
        let began = Instant::now();
        loop {
            waits(&lookout, &name("Play"));
            let status = lookout.status(&name("Play"));
            if let Some(status) = status.ok().filter(|status| status.messages == 1) {
                assert_ne!(status.mailbox_id, before.mailbox_id);
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "not found");
        }
        assert!(mailbox.is_gone());
    }
}
