//! Looking for what others did: by who wants to know, and by the watch, which tells many
//! mailboxes and waits for none.

use super::Mailbox;
use super::state::State;
use crate::maildir::dotlock::{self, Dotlock};
use crate::maildir::watch;
use crate::{Error, Result, Snapshot};
use parking_lot::MutexGuard;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long the watch waits for a mailbox before it turns to others.
const BUSY: Duration = Duration::from_millis(1);
/// How long others are waited for, who have the UID list locked, by who only looks: what
/// came, and cannot have its UID yet, is then shown later.
const LOOK_PATIENCE: Duration = Duration::from_secs(1);

/// What became of telling a mailbox that something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noticed {
    Done,
    /// Somebody works on it: it is to be told again at once.
    Busy,
    /// Another program has its UID list locked: it is to be told again soon.
    Locked,
}

impl Mailbox {
    /// Looks for foreign changes (cheap when the directories did not change) and
    /// gives the state after it; of a mailbox that is gone, the last that was known. While
    /// another program has the UID list locked, what came lately is not in it.
    pub fn sync(&self) -> Result<Snapshot> {
        let state = self.state.lock();
        // What needs no lock is seen in any case; for that one another waited in vain.
        let patience = match self.is_behind() && self.is_locked(&state) {
            true => Duration::ZERO,
            false => LOOK_PATIENCE,
        };
        match self.sync_locked(state, patience) {
            Err(Error::Locked(_)) => {
                self.behind.store(true, Ordering::Release);
                let state = self.state.lock();
                if self.wakers.lock().is_watched {
                    // It looks until it is not locked any more, and wakes who waits.
                    watch::tell_again(&state.queue);
                }
                Ok(self.snapshot())
            }
            synced => synced,
        }
    }
    /// Whether another program has the UID list locked.
    pub(super) fn is_locked(&self, state: &State) -> bool {
        Dotlock::is_taken(&state.directory, dotlock::UIDLIST)
    }
    /// Whether somebody works on it: who wants to do so waits.
    pub fn is_busy(&self) -> bool {
        self.state.is_locked()
    }
    fn sync_locked(
        &self,
        mut state: MutexGuard<'_, State>,
        patience: Duration,
    ) -> Result<Snapshot> {
        if self.is_gone() {
            return Ok(self.snapshot());
        }
        let before = state.snapshot.uid_next();
        let refreshed = state.with_patience(patience, State::refresh);
        let snapshot = state.snapshot.clone();
        if matches!(refreshed, Ok(true)) {
            // Whatever kept claimed messages from being moved may be over.
            let unmoved = snapshot.unmoved_uids().next().is_some();
            self.unmoved.store(unmoved, Ordering::Release);
        }
        if refreshed.is_ok() {
            // Before anybody is woken, who would look for it.
            self.behind.store(false, Ordering::Release);
        }
        let changed = self.publish(state);
        if self.is_gone() {
            self.wake();
            return Ok(self.snapshot());
        }
        if changed {
            self.wake();
        }
        refreshed?;
        if changed {
            self.summarise_new(before, snapshot.uid_next());
        }
        Ok(snapshot)
    }
    /// There are events in the queue, or something may have happened. Who tells so has other
    /// mailboxes to tell, and waits for nobody.
    pub(crate) fn notice(&self) -> Noticed {
        if self.is_gone() {
            return Noticed::Done;
        }
        let Some(state) = self.state.try_lock_for(BUSY) else {
            return Noticed::Busy;
        };
        if self.is_behind() && self.is_locked(&state) {
            // It would be read in vain.
            return Noticed::Locked;
        }
        match self.sync_locked(state, Duration::ZERO) {
            Ok(_) => Noticed::Done,
            Err(Error::Locked(_)) => {
                self.behind.store(true, Ordering::Release);
                Noticed::Locked
            }
            Err(error) => {
                tracing::warn!(%error, "a watched mailbox cannot be read");
                // Sessions look for themselves.
                self.behind.store(true, Ordering::Release);
                self.wake();
                Noticed::Done
            }
        }
    }
}
