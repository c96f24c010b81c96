//! What happens to an account's mailboxes, told to those who listen: mailboxes made,
//! deleted, renamed and subscribed, and metadata set. What happens in a mailbox is told
//! by the mailbox itself.

use crate::MailboxName;
use crate::metadata::{EntryName, Scope};
use parking_lot::Mutex;
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

/// So much news waits for one listener at most.
const QUEUED: usize = 1000;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A mailbox was made.
    Created(MailboxName),
    /// A mailbox was deleted.
    Deleted(MailboxName),
    /// A mailbox was renamed, with its inferiors.
    Renamed {
        /// The name it had; INBOX stays all the same.
        from: MailboxName,
        /// The name it has.
        to: MailboxName,
    },
    /// A name was subscribed, or is no more.
    Subscription(MailboxName),
    /// Entries of metadata were set or taken away.
    Metadata {
        /// What they are about; `None` for the server.
        mailbox: Option<MailboxName>,
        /// Their names.
        entries: Vec<EntryName>,
        /// Who did it, who alone sees private ones.
        user: String,
    },
}

/// What was heard.
#[derive(Debug, Default)]
pub struct Heard {
    /// In the order it happened.
    pub news: VecDeque<News>,
    /// Whether something was lost, as too much waited.
    pub overflow: bool,
}

#[derive(Debug)]
struct Ear {
    user: String,
    waker: Waker,
    heard: Heard,
}

/// Those who listen to an account.
#[derive(Debug, Default)]
pub(crate) struct Feed(Mutex<Ears>);

#[derive(Debug, Default)]
struct Ears {
    next: u64,
    ears: BTreeMap<u64, Ear>,
}

thread_local! {
    /// Which listener does what is done in this thread, 0 for none.
    static ACTING: Cell<(usize, u64)> = const { Cell::new((0, 0)) };
}

impl Feed {
    /// Tells all but the one who did it, and wakes them.
    pub(crate) fn publish(&self, news: &News) {
        let mut ears = self.0.lock();
        let acting = ACTING.get();
        for (number, ear) in &mut ears.ears {
            if acting == (self.identity(), *number) {
                continue;
            }
            let Some(news) = heard_by(&ear.user, news) else {
                continue;
            };
            if ear.heard.news.len() >= QUEUED {
                ear.heard.news.clear();
                ear.heard.overflow = true;
            }
            if !ear.heard.overflow {
                ear.heard.news.push_back(news);
            }
            ear.waker.wake_by_ref();
        }
    }

    fn identity(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    pub(crate) fn listen(self: &Arc<Self>, user: &str, waker: Waker) -> Listener {
        let mut ears = self.0.lock();
        ears.next += 1;
        let number = ears.next;
        let ear = Ear {
            user: user.to_owned(),
            waker,
            heard: Heard::default(),
        };
        ears.ears.insert(number, ear);
        Listener {
            feed: Arc::clone(self),
            number,
        }
    }
}

/// What a user may hear of it.
fn heard_by(user: &str, news: &News) -> Option<News> {
    let News::Metadata {
        mailbox,
        entries,
        user: author,
    } = news
    else {
        return Some(news.clone());
    };
    let is_seen = |name: &&EntryName| name.scope() == Scope::Shared || author == user;
    let entries: Vec<EntryName> = entries.iter().filter(is_seen).cloned().collect();
    (!entries.is_empty()).then(|| News::Metadata {
        mailbox: mailbox.clone(),
        entries,
        user: author.clone(),
    })
}

/// Hears what others do to an account, until it is dropped.
#[derive(Debug)]
pub struct Listener {
    feed: Arc<Feed>,
    number: u64,
}

impl Listener {
    /// Takes what was heard.
    pub fn take(&self) -> Heard {
        let mut ears = self.feed.0.lock();
        let ear = ears.ears.get_mut(&self.number);
        ear.map(|ear| std::mem::take(&mut ear.heard))
            .unwrap_or_default()
    }

    /// Whether nothing was heard.
    pub fn is_empty(&self) -> bool {
        let ears = self.feed.0.lock();
        let ear = ears.ears.get(&self.number);
        ear.is_none_or(|ear| ear.heard.news.is_empty() && !ear.heard.overflow)
    }

    /// What this thread does until the guard drops is this listener's own doing, which it
    /// does not hear of.
    pub fn act(&self) -> Acting {
        Acting {
            before: ACTING.replace((self.feed.identity(), self.number)),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.feed.0.lock().ears.remove(&self.number);
    }
}

/// See [`Listener::act`].
#[derive(Debug)]
pub struct Acting {
    before: (usize, u64),
}

impl Drop for Acting {
    fn drop(&mut self) {
        ACTING.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> MailboxName {
        MailboxName::new(vec![text.to_owned()]).expect("a name")
    }

    fn metadata(entry: &str, user: &str) -> News {
        News::Metadata {
            mailbox: None,
            entries: vec![EntryName::new(entry).expect("a name")],
            user: user.to_owned(),
        }
    }

    #[test]
    fn others_hear_what_they_may() {
        let feed = Arc::new(Feed::default());
        let anna = feed.listen("anna", Waker::noop().clone());
        let again = feed.listen("anna", Waker::noop().clone());
        let bert = feed.listen("bert", Waker::noop().clone());
        {
            let _acting = anna.act();
            feed.publish(&News::Created(name("a")));
            feed.publish(&metadata("/private/x", "anna"));
            feed.publish(&metadata("/shared/x", "anna"));
        }
        feed.publish(&News::Deleted(name("a")));
        assert_eq!(anna.take().news, [News::Deleted(name("a"))]);
        assert_eq!(again.take().news.len(), 4);
        assert_eq!(bert.take().news.len(), 3);
        assert!(anna.is_empty());
    }

    #[test]
    fn what_waits_is_bounded() {
        let feed = Arc::new(Feed::default());
        let listener = feed.listen("anna", Waker::noop().clone());
        for _ in 0..=QUEUED {
            feed.publish(&News::Created(name("a")));
        }
        let heard = listener.take();
        assert!(heard.overflow && heard.news.is_empty());
        assert!(listener.is_empty());
    }
}
