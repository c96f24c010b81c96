//! [`ExclusiveAccess`]: the lock of RFC 1939 section 4, within this process.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

static HELD: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());

/// Exclusive access to a maildrop until dropped.
#[derive(Debug)]
pub struct ExclusiveAccess(u64);

impl ExclusiveAccess {
    /// Takes the access, or `None` if another session has it.
    pub fn take(mailbox_id: u64) -> Option<Self> {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        // Made only when taken: dropping one gives the access back.
        held.insert(mailbox_id).then(|| Self(mailbox_id))
    }
}

impl Drop for ExclusiveAccess {
    fn drop(&mut self) {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        held.remove(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_session_waits_for_the_first_to_end() {
        let first = ExclusiveAccess::take(u64::MAX);
        assert!(first.is_some());
        assert!(ExclusiveAccess::take(u64::MAX).is_none());
        drop(first);
        assert!(ExclusiveAccess::take(u64::MAX).is_some());
    }
}
