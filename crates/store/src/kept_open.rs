//! [`KeptOpen`]: mailboxes that stay open for a while after the last who used them.
//!
//! Opening a mailbox reads its index, which takes longer the more messages there are;
//! clients leave a mailbox and come back to it all the time: they log in once a mailbox,
//! switch between two, ask for the status of each. What is kept is settled as if it were
//! closed, so that neither a crash nor a loss of power costs more than it would then.

use crate::Mailbox;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a mailbox that nobody uses stays open.
const UNUSED: Duration = Duration::from_secs(60);
/// So many mailboxes that nobody uses stay open at most: each has some files open.
const MAILBOXES: usize = 32;
/// So many messages they have in all at most: about 120 octets each.
const MESSAGES: usize = 100_000;

/// Shared by the accounts of a process.
#[derive(Debug, Default)]
pub struct KeptOpen(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    mailboxes: HashMap<u64, Kept>,
    has_ended: bool,
}

#[derive(Debug)]
struct Kept {
    mailbox: Arc<Mailbox>,
    /// Since when nobody has used it, as the last look saw it; it is settled then.
    unused_since: Option<Instant>,
}

impl Kept {
    /// Whether nobody else has it.
    fn is_unused(&self) -> bool {
        Arc::strong_count(&self.mailbox) == 1
    }
}

impl KeptOpen {
    /// Somebody uses this mailbox, and it stays open after that.
    pub(crate) fn keep(&self, mailbox: &Arc<Mailbox>) {
        let mut open = self.0.lock();
        if open.has_ended || mailbox.is_gone() || !mailbox.has_index() {
            // Without its index it is to be opened again by who comes next.
            let kept = open.mailboxes.remove(&mailbox.id());
            drop(open);
            drop(kept);
            return;
        }
        if let Some(kept) = open.mailboxes.get_mut(&mailbox.id()) {
            kept.unused_since = None;
            return;
        }
        let kept = Kept {
            mailbox: Arc::clone(mailbox),
            unused_since: None,
        };
        open.mailboxes.insert(mailbox.id(), kept);
        let excess = match open.mailboxes.len() > MAILBOXES {
            true => open.take_excess(Instant::now()),
            false => Vec::new(),
        };
        drop(open);
        // The last to have a mailbox closes it, which takes the disk.
        drop(excess);
    }
    /// A mailbox is no more.
    pub(crate) fn let_go(&self, mailbox: &Mailbox) {
        let kept = self.0.lock().mailboxes.remove(&mailbox.id());
        drop(kept);
    }
    /// Settles what came to be unused since the last look, and closes what was unused
    /// for long. To be called every few seconds; it touches the disk.
    pub fn look(&self, now: Instant) {
        let mut open = self.0.lock();
        let mut to_settle = Vec::new();
        for kept in open.mailboxes.values_mut() {
            if !kept.is_unused() {
                kept.unused_since = None;
            } else if kept.unused_since.is_none() {
                kept.unused_since = Some(now);
                to_settle.push(kept.mailbox.id());
            }
        }
        let is_over = |kept: &mut Kept| {
            let unused = kept
                .unused_since
                .is_some_and(|since| now.saturating_duration_since(since) >= UNUSED);
            let is_worth = kept.mailbox.has_index() && !unused;
            kept.mailbox.is_gone() || (!is_worth && kept.is_unused())
        };
        let over = open.mailboxes.extract_if(|_, kept| is_over(kept));
        let mut closed: Vec<Kept> = over.map(|(_, kept)| kept).collect();
        closed.extend(open.take_excess(now));
        let kept = |id: &u64| Some(Arc::clone(&open.mailboxes.get(id)?.mailbox));
        let to_settle: Vec<Arc<Mailbox>> = to_settle.iter().filter_map(kept).collect();
        drop(open);
        for mailbox in to_settle {
            mailbox.settle();
        }
        drop(closed);
    }
    /// Closes all that nobody uses; from now on nothing is kept.
    pub fn end(&self) {
        let mut open = self.0.lock();
        open.has_ended = true;
        let closed = std::mem::take(&mut open.mailboxes);
        drop(open);
        drop(closed);
    }
}

impl Open {
    /// Takes out what is more than may be kept: what was unused for the longest time, and
    /// what is too large.
    fn take_excess(&mut self, now: Instant) -> Vec<Kept> {
        let unused = self.mailboxes.values().filter(|kept| kept.is_unused());
        let mut unused: Vec<(Instant, u64, usize)> = unused
            .map(|kept| {
                let messages = kept.mailbox.snapshot().len();
                let since = kept.unused_since.unwrap_or(now);
                (since, kept.mailbox.id(), messages)
            })
            .collect();
        // The latest first.
        unused.sort_unstable_by_key(|(since, id, _)| std::cmp::Reverse((*since, *id)));
        let sizes = unused.into_iter().map(|(_, id, messages)| (id, messages));
        let excess = excess(sizes).into_iter();
        excess.filter_map(|id| self.mailboxes.remove(&id)).collect()
    }
}

/// Which of these are more than may be kept, the first being the last to go. What is not
/// kept takes no room from others.
fn excess(sizes: impl Iterator<Item = (u64, usize)>) -> Vec<u64> {
    let (mut mailboxes, mut room) = (MAILBOXES, MESSAGES);
    let mut excess = Vec::new();
    for (id, messages) in sizes {
        match (mailboxes.checked_sub(1), room.checked_sub(messages)) {
            (Some(fewer), Some(left)) => (mailboxes, room) = (fewer, left),
            _ => excess.push(id),
        }
    }
    excess
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Account, Layout, Shared};
    use crate::{FlagAction, Flags, MailboxName};
    use std::sync::Weak;

    fn account(kept_open: &Arc<KeptOpen>) -> (tempfile::TempDir, Arc<Account>) {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let shared = Shared {
            kept_open: Some(Arc::clone(kept_open)),
            ..Shared::default()
        };
        let account = Account::open_with(directory.path(), layout, shared).unwrap();
        (directory, account)
    }

    fn name(text: &str) -> MailboxName {
        MailboxName::new(vec![text.to_owned()]).unwrap()
    }

    fn weak(account: &Account, text: &str) -> Weak<Mailbox> {
        Arc::downgrade(&account.mailbox(&name(text)).unwrap())
    }

    #[test]
    fn a_mailbox_stays_open_for_a_while() {
        let kept_open = Arc::new(KeptOpen::default());
        let (_directory, account) = account(&kept_open);
        account.create(&name("a"), None).unwrap();
        let a = weak(&account, "a");
        let now = Instant::now();
        let second = Duration::from_secs(1);
        kept_open.look(now);
        kept_open.look(now + UNUSED - second);
        assert_eq!(a.strong_count(), 1);
        // It is the same for who comes again, from when on the time counts.
        let again = account.mailbox(&name("a")).unwrap();
        assert_eq!(again.id(), a.upgrade().unwrap().id());
        drop(again);
        kept_open.look(now + UNUSED);
        assert_eq!(a.strong_count(), 1);
        kept_open.look(now + UNUSED * 2 - second);
        assert_eq!(a.strong_count(), 1);
        // Who uses it all the time keeps it.
        let used = account.mailbox(&name("a")).unwrap();
        kept_open.look(now + UNUSED * 4);
        kept_open.look(now + UNUSED * 8);
        assert_eq!(a.strong_count(), 2);
        drop(used);
        kept_open.look(now + UNUSED * 8);
        kept_open.look(now + UNUSED * 9);
        assert_eq!(a.strong_count(), 0);
    }

    #[test]
    fn not_more_than_some_are_kept() {
        let kept_open = Arc::new(KeptOpen::default());
        let (_directory, account) = account(&kept_open);
        let mut opened = Vec::new();
        let mut now = Instant::now();
        for number in 0..MAILBOXES + 3 {
            account.create(&name(&format!("m{number}")), None).unwrap();
            opened.push(weak(&account, &format!("m{number}")));
            now += Duration::from_millis(1);
            kept_open.look(now);
        }
        let open = |mailbox: &Weak<Mailbox>| mailbox.strong_count() > 0;
        assert_eq!(opened.iter().filter(|one| open(one)).count(), MAILBOXES);
        // The first were unused for the longest time.
        assert!(!opened.iter().take(3).any(open));
        kept_open.end();
        assert!(!opened.iter().any(open));
        assert_eq!(weak(&account, "m1").strong_count(), 0);
    }

    #[test]
    fn what_is_too_large_takes_no_room_from_others() {
        let unused = |sizes: &[usize]| {
            let sizes = sizes.iter().enumerate();
            excess(sizes.map(|(id, size)| (id as u64, *size)))
        };
        assert_eq!(unused(&[MESSAGES + 1, 7, MESSAGES - 7, 1, 0]), [0, 3]);
        assert_eq!(unused(&[60_000, 60_000, 40_000]), [1]);
        let mut many = [1; MAILBOXES + 1];
        many[0] = MESSAGES + 1;
        assert_eq!(unused(&many), [0]);
    }

    /// While another has its index it is opened again and again, until it has it.
    #[test]
    fn what_has_no_index_is_not_kept() {
        let kept_open = Arc::new(KeptOpen::default());
        let (directory, account) = account(&kept_open);
        account.create(&name("a"), None).unwrap();
        let now = Instant::now();
        kept_open.look(now);
        kept_open.look(now + UNUSED);
        let index = directory.path().join(".a/pillarbox.index");
        let other = crate::disk::open_for_update(&index).unwrap();
        assert!(other.try_lock().unwrap());
        assert_eq!(weak(&account, "a").strong_count(), 0);
        drop(other);
        let kept = weak(&account, "a");
        assert!(kept.upgrade().unwrap().has_index());
        kept_open.look(now);
        assert_eq!(kept.strong_count(), 1);
    }

    #[test]
    fn what_is_kept_is_settled_and_what_is_deleted_goes() {
        let kept_open = Arc::new(KeptOpen::default());
        let (directory, account) = account(&kept_open);
        std::fs::write(directory.path().join("cur/1.M1P1.h:2,"), "A: b\n\nc\n").unwrap();
        let inbox = account.mailbox(&MailboxName::inbox()).unwrap();
        let uids: Vec<_> = inbox.snapshot().rows().map(|row| row.uid).collect();
        inbox
            .store_flags(&uids, FlagAction::Add, Flags::SEEN, &[], None)
            .unwrap();
        let before = std::fs::read(directory.path().join("pillarbox.index")).unwrap();
        drop(inbox);
        kept_open.look(Instant::now());
        let after = std::fs::read(directory.path().join("pillarbox.index")).unwrap();
        assert_ne!(before, after, "nothing says that it is settled");
        account.create(&name("a"), None).unwrap();
        let a = weak(&account, "a");
        assert_eq!(a.strong_count(), 1);
        account.delete(&name("a")).unwrap();
        assert_eq!(a.strong_count(), 0);
    }
}
