//! How many connections there may be, by address and by user.

use crate::accounts::throttle::Source;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts of something by key, none kept at zero.
#[derive(Debug)]
pub struct Counter<K: Eq + Hash>(Mutex<HashMap<K, usize>>);

impl<K: Eq + Hash> Default for Counter<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// One place taken; given back when dropped.
#[derive(Debug)]
pub struct Place<K: Eq + Hash> {
    counter: Arc<Counter<K>>,
    key: Option<K>,
}

impl<K: Eq + Hash + Clone> Counter<K> {
    /// Takes a place, unless `limit` are taken.
    pub fn take(self: &Arc<Self>, key: K, limit: usize) -> Option<Place<K>> {
        let mut counts = self.0.lock();
        let count = counts.entry(key.clone()).or_insert(0);
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(Place {
            counter: Arc::clone(self),
            key: Some(key),
        })
    }

    /// How many are taken in all.
    pub fn total(&self) -> usize {
        self.0.lock().values().sum()
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            let mut counts = self.counter.0.lock();
            if let Some(count) = counts.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&key);
                }
            }
        }
    }
}

/// How many sessions are at work: from a client's octets until what they asked for is
/// answered and sent.
#[derive(Debug, Default)]
pub struct AtWork(AtomicUsize);

/// One session at work, until dropped.
#[derive(Debug)]
pub struct Working(Arc<AtWork>);

impl AtWork {
    /// Counts one more.
    pub fn enter(self: &Arc<Self>) -> Working {
        self.0.fetch_add(1, Ordering::Relaxed);
        Working(Arc::clone(self))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Connections by source and sessions by user.
#[derive(Debug, Default)]
pub struct Connections {
    /// By the source they come from.
    pub sources: Arc<Counter<Source>>,
    /// By the user logged in.
    pub users: Arc<Counter<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_works_is_counted() {
        let at_work = Arc::new(AtWork::default());
        let working = (at_work.enter(), at_work.enter());
        assert_eq!(at_work.count(), 2);
        drop(working);
        assert_eq!(at_work.count(), 0);
    }

    #[test]
    fn places_are_limited_and_given_back() {
        let counter = Arc::new(Counter::default());
        let first = counter.take("a", 1).expect("free");
        assert!(counter.take("a", 1).is_none());
        assert!(counter.take("b", 1).is_some());
        drop(first);
        assert_eq!(counter.total(), 0);
        assert!(counter.take("a", 1).is_some());
    }
}
