//! Which messages were expunged, and when; bounded.

use crate::{ModSeq, Uid};
use std::collections::VecDeque;

/// How many expunged UIDs are remembered.
const LIMIT: usize = 100_000;

/// Expunged UIDs in the order they went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct History {
    expunged: VecDeque<(ModSeq, Uid)>,
    /// What went at or before this mod-sequence is not remembered.
    floor: ModSeq,
}

impl History {
    /// Knows nothing of what went at or before `floor`.
    pub(crate) fn new(floor: ModSeq) -> Self {
        Self {
            expunged: VecDeque::new(),
            floor,
        }
    }
    /// Remembers that these went; mod-sequences never fall.
    pub(crate) fn push(&mut self, modseq: ModSeq, uid: Uid) {
        self.expunged.push_back((modseq, uid));
        if self.expunged.len() > LIMIT
            && let Some((modseq, _)) = self.expunged.pop_front()
        {
            self.floor = modseq;
        }
    }
    /// What went after this mod-sequence, UIDs ascending; `None` if memory does not
    /// reach back so far.
    pub(crate) fn since(&self, modseq: ModSeq) -> Option<Vec<Uid>> {
        if modseq < self.floor {
            return None;
        }
        let start = self.expunged.partition_point(|(when, _)| *when <= modseq);
        let mut uids: Vec<Uid> = self.expunged.range(start..).map(|(_, uid)| *uid).collect();
        uids.sort_unstable();
        Some(uids)
    }
    /// What went at or before it is not remembered.
    pub(crate) fn floor(&self) -> ModSeq {
        self.floor
    }
    /// All that is remembered.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ModSeq, Uid)> {
        self.expunged.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_the_oldest_and_says_so() {
        let mut history = History::new(5);
        assert_eq!(history.since(4), None);
        assert_eq!(history.since(5), Some(Vec::new()));
        for number in 1..=LIMIT as u32 {
            history.push(5 + u64::from(number.div_ceil(2)), Uid::new(number).unwrap());
        }
        assert_eq!(history.since(5).map(|uids| uids.len()), Some(LIMIT));
        history.push(1_000_000, Uid::MAX);
        // Half of what went at 6 is forgotten: nobody who was before it may rely on it.
        assert_eq!(history.since(5), None);
        assert_eq!(history.since(6).map(|uids| uids.len()), Some(LIMIT - 1));
        assert_eq!(history.since(999_999), Some(vec![Uid::MAX]));
        assert_eq!(history.since(1_000_000), Some(Vec::new()));
    }
}
