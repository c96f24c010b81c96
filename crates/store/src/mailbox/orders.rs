//! Orders that messages were put in. What a message is sorted by never changes, and so
//! never do two messages change their places: who sorts again has to find places only for
//! what came since.

use super::Mailbox;
use crate::Uid;
use std::collections::VecDeque;
use std::sync::Arc;

/// So many orders of a mailbox are kept while it is open, in eight octets a message each.
const ORDERS: usize = 2;

/// A message, and which it is in an order, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranked {
    pub uid: Uid,
    pub rank: u32,
}

/// The latest asked for last.
#[derive(Debug, Default)]
pub(super) struct Orders(VecDeque<(String, Arc<[Ranked]>)>);

impl Mailbox {
    /// The order that was kept by this name, its messages by UID.
    pub fn order(&self, name: &str) -> Option<Arc<[Ranked]>> {
        let mut orders = self.orders.lock();
        let place = orders.0.iter().position(|(kept, _)| kept == name)?;
        let found = orders.0.remove(place)?;
        let order = Arc::clone(&found.1);
        orders.0.push_back(found);
        Some(order)
    }
    /// Keeps an order, its messages by UID, in place of one of this name or of the one
    /// that was not asked for for the longest time.
    pub fn keep_order(&self, name: String, order: Arc<[Ranked]>) {
        let mut orders = self.orders.lock();
        orders.0.retain(|(kept, _)| *kept != name);
        orders.0.push_back((name, order));
        if orders.0.len() > ORDERS {
            orders.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_asks_for_goes_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let mailbox = Mailbox::open(path, || Ok(crate::UidValidity::MIN)).unwrap();
        let order = |rank| -> Arc<[Ranked]> {
            let uid = Uid::MIN;
            Arc::new([Ranked { uid, rank }])
        };
        let ranks = || ["a", "b", "c"].map(|name| mailbox.order(name).map(|kept| kept[0].rank));
        mailbox.keep_order("a".into(), order(1));
        mailbox.keep_order("b".into(), order(2));
        mailbox.keep_order("a".into(), order(3));
        assert_eq!(ranks(), [Some(3), Some(2), None]);
        assert!(mailbox.order("a").is_some());
        mailbox.keep_order("c".into(), order(4));
        assert_eq!(ranks(), [Some(3), None, Some(4)]);
    }
}
