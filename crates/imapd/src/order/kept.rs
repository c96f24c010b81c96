//! [`KeptOrder`]: what SORT found, for who sorts again: webmail does so whenever it shows a
//! mailbox, each time in a new session, and mostly little has come since.

use super::collation::Comparator;
use super::reading::Candidate;
use super::sorting::Sorting;
use crate::grammar::command::{SortCriterion, SortKey};
use crate::response::More;
use std::cmp::Ordering;
use std::sync::Arc;
use store::mailbox::Ranked;
use store::{Mailbox, Result, Snapshot, Uid};

/// Fewer messages are sorted as quickly.
const LEAST: usize = 64;
/// If more came since, all are sorted.
const MOST_NEW: usize = 64;

/// An order that a mailbox keeps.
#[derive(Debug)]
pub struct KeptOrder<'a> {
    mailbox: &'a Mailbox,
    /// The messages that count, in the state the client knows.
    snapshot: &'a Snapshot,
    criteria: &'a [SortCriterion],
    comparator: Comparator,
    name: String,
}

impl<'a> KeptOrder<'a> {
    /// The order by these criteria; `None` where none is kept: what costs nothing to read
    /// is as quickly sorted, and how relevant a message is depends on what was searched.
    pub fn new(
        mailbox: &'a Mailbox,
        snapshot: &'a Snapshot,
        criteria: &'a [SortCriterion],
        comparator: Comparator,
    ) -> Option<Self> {
        let mut keys = criteria.iter().map(|criterion| criterion.key);
        let is_by_relevancy = keys.clone().any(|key| key == SortKey::Relevancy);
        if is_by_relevancy || !keys.any(SortKey::is_of_facts) {
            return None;
        }
        let name = format!(
            "{} {} {criteria:?}",
            snapshot.uid_validity(),
            comparator.name()
        );
        Some(Self {
            mailbox,
            snapshot,
            criteria,
            comparator,
            name,
        })
    }

    /// The places of messages that stand in mailbox order, sorted; `None` where nothing is
    /// kept that is of use.
    ///
    /// # Errors
    /// When a message that came since cannot be read.
    pub fn sort(&self, candidates: &[Candidate]) -> Result<Option<Vec<u32>>> {
        let Some(mut order) = self.mailbox.order(&self.name) else {
            return Ok(None);
        };
        let (mut places, new) = found_in(&order, candidates);
        if new.len() > MOST_NEW {
            return Ok(None);
        }
        if !new.is_empty() {
            order = by_uid(&self.with(&order, &new)?).into();
            self.mailbox
                .keep_order(self.name.clone(), Arc::clone(&order));
            (places, _) = found_in(&order, candidates);
        }
        Ok(Some(places))
    }

    /// Keeps messages as they were sorted, unless they are few of the mailbox's.
    pub fn keep(self, sorted: &[Uid]) {
        if sorted.len() >= LEAST && sorted.len() >= self.snapshot.len() / 2 {
            self.mailbox.keep_order(self.name, by_uid(sorted).into());
        }
    }

    /// The order with further messages, and without those that are gone.
    fn with(&self, order: &[Ranked], new: &[Candidate]) -> Result<Vec<Uid>> {
        let mut sorted = vec![None; order.len()];
        for ranked in order {
            let place = usize::try_from(ranked.rank).unwrap_or(usize::MAX);
            if self.snapshot.index_of(ranked.uid).is_some()
                && let Some(place) = sorted.get_mut(place)
            {
                *place = Some(ranked.uid);
            }
        }
        let mut sorted: Vec<Uid> = sorted.into_iter().flatten().collect();
        for candidate in new {
            let (mut low, mut high) = (0, sorted.len());
            while low < high {
                let middle = low + (high - low) / 2;
                let Some(uid) = sorted.get(middle) else { break };
                match self.compare(*uid, candidate, sorted.len())? {
                    Ordering::Less => low = middle + 1,
                    _ => high = middle,
                }
            }
            sorted.insert(low, candidate.uid);
        }
        Ok(sorted)
    }

    /// How a message of the snapshot stands to another, among so many.
    fn compare(&self, uid: Uid, other: &Candidate, count: usize) -> Result<Ordering> {
        let row = self
            .snapshot
            .index_of(uid)
            .and_then(|index| self.snapshot.row(index));
        let Some(row) = row else {
            return Ok(Ordering::Less);
        };
        let mut both = vec![Candidate::of(&row, other.relevancy), *other];
        both.sort_unstable_by_key(|candidate| candidate.uid);
        let first_is_other = uid > other.uid;
        let mut sorting = Sorting::among(both, self.criteria, self.comparator, count);
        while sorting.step(self.mailbox)? == More::Follows {}
        let first = sorting.into_sorted().first().copied().unwrap_or_default();
        Ok(match (first == 0) == first_is_other {
            true => Ordering::Greater,
            false => Ordering::Less,
        })
    }
}

/// The places of messages, as they are in the order, and those that are not in it. Both
/// are by UID.
fn found_in(order: &[Ranked], candidates: &[Candidate]) -> (Vec<u32>, Vec<Candidate>) {
    let mut new = Vec::new();
    let mut places = vec![None; order.len()];
    let mut rest = order.iter().peekable();
    for (place, candidate) in (0..).zip(candidates) {
        while rest.next_if(|ranked| ranked.uid < candidate.uid).is_some() {}
        match rest.next_if(|ranked| ranked.uid == candidate.uid) {
            None => new.push(*candidate),
            Some(ranked) => {
                let rank = usize::try_from(ranked.rank).unwrap_or(usize::MAX);
                if let Some(found) = places.get_mut(rank) {
                    *found = Some(place);
                }
            }
        }
    }
    (places.into_iter().flatten().collect(), new)
}

/// An order, its messages by UID.
fn by_uid(sorted: &[Uid]) -> Vec<Ranked> {
    let ranked = (0..).zip(sorted);
    let mut order: Vec<Ranked> = ranked
        .map(|(rank, uid)| Ranked { uid: *uid, rank })
        .collect();
    order.sort_unstable_by_key(|ranked| ranked.uid);
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::command::Direction;
    use store::{Account, Flags, Layout, MailboxName};

    fn inbox(directory: &std::path::Path) -> Arc<Mailbox> {
        let layout = Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let account = Account::open(directory, layout).expect("account");
        account.mailbox(&MailboxName::inbox()).expect("INBOX")
    }

    fn append(mailbox: &Mailbox, subjects: impl Iterator<Item = u32>) {
        let incoming = subjects.map(|number| {
            let mut incoming = mailbox.begin_append().expect("begun");
            let from = number % 3;
            let text = format!("Subject: Re: {number}\r\nFrom: {from}@x\r\n\r\ntext\r\n");
            incoming.write(text.as_bytes()).expect("written");
            incoming.describe(Flags::default(), Vec::new(), None);
            incoming
        });
        mailbox.append(incoming.collect()).expect("appended");
    }

    const CRITERIA: [SortCriterion; 2] = [
        SortCriterion {
            key: SortKey::From,
            direction: Direction::Reverse,
        },
        SortCriterion {
            key: SortKey::Subject,
            direction: Direction::Forward,
        },
    ];

    /// Sorts messages as the mailbox keeps them, where it does, and keeps the order; tells
    /// whether it was kept. All is as if it were not.
    fn check(mailbox: &Mailbox, is_asked: impl Fn(usize) -> bool) -> bool {
        let snapshot = mailbox.snapshot();
        let rows = snapshot.rows().enumerate();
        let rows = rows.filter(|(index, _)| is_asked(*index));
        let candidates: Vec<Candidate> = rows.map(|(_, row)| Candidate::of(&row, 1)).collect();
        let comparator = Comparator::default();
        let mut sorting = Sorting::new(candidates.clone(), &CRITERIA, comparator);
        while sorting.step(mailbox).expect("sorted") == More::Follows {}
        let sorted = sorting.into_sorted();
        let kept = KeptOrder::new(mailbox, &snapshot, &CRITERIA, comparator).expect("kept");
        match kept.sort(&candidates).expect("sorted") {
            Some(places) => {
                assert_eq!(places, sorted);
                true
            }
            None => {
                let uid = |place: &u32| candidates[*place as usize].uid;
                kept.keep(&sorted.iter().map(uid).collect::<Vec<Uid>>());
                false
            }
        }
    }

    #[test]
    fn an_order_is_kept_and_grows() {
        let directory = tempfile::tempdir().expect("directory");
        let mailbox = inbox(directory.path());
        let numbers = |seed: u32| (0..).map(move |step: u32| (step * 7919 + seed) % 40);
        append(&mailbox, numbers(1).take(120));
        // Of few of them none is kept.
        assert!(!check(&mailbox, |index| index < 10));
        assert!(!check(&mailbox, |_| true));
        assert!(check(&mailbox, |_| true));
        assert!(check(&mailbox, |index| index % 7 == 3));
        append(&mailbox, numbers(5).take(MOST_NEW));
        assert!(check(&mailbox, |index| index % 2 == 1));
        assert!(check(&mailbox, |_| true));
        let gone: Vec<Uid> = mailbox.snapshot().rows().map(|row| row.uid).collect();
        let gone: Vec<Uid> = gone.into_iter().step_by(3).collect();
        mailbox.expunge(&gone).expect("expunged");
        assert!(check(&mailbox, |_| true));
        append(&mailbox, numbers(9).take(1));
        assert!(check(&mailbox, |_| true));
        let name = |snapshot: &Snapshot| {
            let kept = KeptOrder::new(&mailbox, snapshot, &CRITERIA, Comparator::default());
            kept.expect("kept").name
        };
        let order = mailbox.order(&name(&mailbox.snapshot())).expect("an order");
        assert_eq!(
            order.len(),
            mailbox.snapshot().len(),
            "what is gone is not kept"
        );
        append(&mailbox, numbers(2).take(MOST_NEW + 1));
        assert!(!check(&mailbox, |_| true));
        assert!(check(&mailbox, |_| true));
    }

    #[test]
    fn not_every_order_is_kept() {
        let directory = tempfile::tempdir().expect("directory");
        let mailbox = inbox(directory.path());
        let snapshot = mailbox.snapshot();
        let is_kept = |keys: &[SortKey]| {
            let criterion = |key: &SortKey| SortCriterion {
                key: *key,
                direction: Direction::Forward,
            };
            let criteria: Vec<SortCriterion> = keys.iter().map(criterion).collect();
            KeptOrder::new(&mailbox, &snapshot, &criteria, Comparator::default()).is_some()
        };
        assert!(is_kept(&[SortKey::Size, SortKey::Subject]));
        assert!(!is_kept(&[SortKey::Size, SortKey::Arrival]));
        assert!(!is_kept(&[SortKey::Subject, SortKey::Relevancy]));
    }
}
