//! [`SearchTexts`]: of which mailboxes texts are kept for searching, and which wait for
//! theirs to be completed.

use crate::Mailbox;
use crate::mailbox::TextCompletion;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many mailboxes wait at most, since they stay open meanwhile. Who finds no place
/// asks again when it is searched or opened next.
const WAITING: usize = 64;

/// Of which mailboxes texts are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeepTexts {
    /// Of none; what was kept before is left as it is and not looked at.
    Never,
    /// Of those in which somebody searched for text, from then on.
    #[default]
    Searched,
    /// Of all that are opened.
    Always,
}

/// Shared by the accounts of a process and by the thread that completes texts.
#[derive(Debug, Default)]
pub struct SearchTexts {
    work: Mutex<Work>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Work {
    keep: KeepTexts,
    waiting: VecDeque<Arc<Mailbox>>,
    has_ended: bool,
}

impl SearchTexts {
    /// Nothing waits yet.
    pub fn new(keep: KeepTexts) -> Self {
        let texts = Self::default();
        texts.set_keep(keep);
        texts
    }
    /// Of which mailboxes texts are kept.
    pub fn keep(&self) -> KeepTexts {
        self.work.lock().keep
    }
    /// From now on texts are kept of others; mailboxes that are open learn of it when
    /// they are searched next.
    pub fn set_keep(&self, keep: KeepTexts) {
        self.work.lock().keep = keep;
    }
    /// Has a mailbox's texts completed, when its turn comes.
    pub(crate) fn complete(&self, mailbox: Arc<Mailbox>) {
        let mut work = self.work.lock();
        let waits = |other: &Arc<Mailbox>| other.id() == mailbox.id();
        if work.has_ended || work.waiting.len() >= WAITING || work.waiting.iter().any(waits) {
            drop(work);
            return;
        }
        work.waiting.push_back(mailbox);
        self.changed.notify_all();
    }
    /// Waits for a mailbox whose texts are to be completed; `None` when it is all over.
    pub fn next(&self) -> Option<TextCompletion> {
        let mut work = self.work.lock();
        while !work.has_ended {
            if let Some(mailbox) = work.waiting.pop_front() {
                drop(work);
                return Some(TextCompletion::new(mailbox));
            }
            self.changed.wait(&mut work);
        }
        None
    }
    /// Whether a mailbox waits.
    #[cfg(test)]
    pub(crate) fn is_asked(&self) -> bool {
        !self.work.lock().waiting.is_empty()
    }
    /// Waits so long, or until it is all over: then it is false.
    pub fn pause(&self, duration: Duration) -> bool {
        let until = Instant::now() + duration;
        let mut work = self.work.lock();
        while !work.has_ended && !self.changed.wait_until(&mut work, until).timed_out() {}
        !work.has_ended
    }
    /// Ends it: nobody waits any more, and mailboxes that waited are given back.
    pub fn end(&self) {
        let mut work = self.work.lock();
        work.has_ended = true;
        let waiting = std::mem::take(&mut work.waiting);
        drop(work);
        self.changed.notify_all();
        // The last of them closes its mailbox, which takes the disk.
        drop(waiting);
    }
}
