//! Sequence sets (RFC 3501 section 9, `sequence-set`; RFC 5182 for `$`).

use super::command::SequenceMatch;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;

/// One end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// A number.
    Number(NonZeroU32),
    /// `*`: the largest number in use.
    Star,
}

impl Bound {
    /// Its number when the largest in use is `largest`.
    pub fn resolve(self, largest: u32) -> u32 {
        match self {
            Self::Number(number) => number.get(),
            Self::Star => largest,
        }
    }
}

/// A set of sequence numbers or UIDs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SequenceSet {
    /// `$`: the saved search result (RFC 5182).
    Saved,
    /// Ranges as written; single numbers have two equal ends.
    Ranges(Vec<(Bound, Bound)>),
}

impl SequenceSet {
    /// The numbers as disjoint ascending ranges, when the largest in use is
    /// `largest` (0 if there is none: `*` then names nothing). `$` gives none:
    /// the session knows what it saved.
    pub fn resolve(&self, largest: u32) -> Vec<RangeInclusive<u32>> {
        let Self::Ranges(ranges) = self else {
            return Vec::new();
        };
        let mut pairs: Vec<(u32, u32)> = ranges
            .iter()
            .map(|(first, last)| (first.resolve(largest), last.resolve(largest)))
            .map(|(first, last)| (first.min(last), first.max(last)))
            .filter(|(_, last)| *last > 0)
            .map(|(first, last)| (first.max(1), last))
            .collect();
        pairs.sort_unstable();
        let mut merged: Vec<RangeInclusive<u32>> = Vec::with_capacity(pairs.len());
        for (first, last) in pairs {
            match merged.last_mut() {
                Some(range) if first <= range.end().saturating_add(1) => {
                    *range = *range.start()..=last.max(*range.end());
                }
                _ => merged.push(first..=last),
            }
        }
        merged
    }

    /// The largest number written (not `*`), 0 if none: for refusing sequence
    /// numbers beyond the mailbox.
    pub fn largest_written(&self) -> u32 {
        let Self::Ranges(ranges) = self else {
            return 0;
        };
        ranges
            .iter()
            .flat_map(|(first, last)| [first.resolve(0), last.resolve(0)])
            .max()
            .unwrap_or(0)
    }

    /// Whether `*` occurs in it.
    pub fn has_star(&self) -> bool {
        match self {
            Self::Saved => false,
            Self::Ranges(ranges) => ranges
                .iter()
                .any(|(first, last)| *first == Bound::Star || *last == Bound::Star),
        }
    }
}

/// Pairs the numbers of two sets. `None` unless both are strictly ascending as
/// written, without `*`, and of equal size.
pub(super) fn pairs(sequences: &SequenceSet, uids: &SequenceSet) -> Option<Vec<SequenceMatch>> {
    let (mut sequences, mut uids) = (ascending(sequences)?, ascending(uids)?);
    let mut pairs = Vec::new();
    let (mut left, mut right) = (sequences.next(), uids.next());
    loop {
        let ((sequence, last_sequence), (uid, last_uid)) = match (left, right) {
            (Some(sequences), Some(uids)) => (sequences, uids),
            (None, None) => return Some(pairs),
            _ => return None,
        };
        // One less than there are, so that it cannot overflow.
        let more = (last_sequence - sequence).min(last_uid - uid);
        pairs.push(SequenceMatch {
            sequence,
            uid,
            count: more.saturating_add(1),
        });
        let rest = |first: u32, last: u32| {
            let next = first + more;
            (next < last).then(|| (next + 1, last))
        };
        left = rest(sequence, last_sequence).or_else(|| sequences.next());
        right = rest(uid, last_uid).or_else(|| uids.next());
    }
}

/// The ranges of a set if they ascend as written.
fn ascending(set: &SequenceSet) -> Option<std::vec::IntoIter<(u32, u32)>> {
    let SequenceSet::Ranges(ranges) = set else {
        return None;
    };
    let mut before = 0;
    let mut numbers = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        let (Bound::Number(first), Bound::Number(last)) = (first, last) else {
            return None;
        };
        let (first, last) = (first.get(), last.get());
        if first <= before || last < first {
            return None;
        }
        before = last;
        numbers.push((first, last));
    }
    Some(numbers.into_iter())
}

/// Whether ascending disjoint ranges hold a number.
pub fn holds(ranges: &[RangeInclusive<u32>], number: u32) -> bool {
    let after = ranges.partition_point(|range| *range.start() <= number);
    after
        .checked_sub(1)
        .and_then(|index| ranges.get(index))
        .is_some_and(|range| *range.end() >= number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: u32) -> Bound {
        Bound::Number(NonZeroU32::new(value).expect("not 0"))
    }

    #[test]
    fn resolves_and_merges() {
        let set = SequenceSet::Ranges(vec![
            (number(7), number(5)),
            (number(2), number(2)),
            (number(3), number(3)),
            (number(9), Bound::Star),
        ]);
        assert_eq!(set.resolve(12), vec![2..=3, 5..=7, 9..=12]);
        // RFC 3501: `9:*` with fewer messages names the last one too.
        assert_eq!(set.resolve(8), vec![2..=3, 5..=9]);
        assert_eq!(set.largest_written(), 9);
        assert!(set.has_star());
        let star = SequenceSet::Ranges(vec![(Bound::Star, Bound::Star)]);
        assert!(star.resolve(0).is_empty());
        assert!(SequenceSet::Saved.resolve(5).is_empty());
        let ranges = set.resolve(12);
        assert!(holds(&ranges, 6) && holds(&ranges, 12));
        assert!(!holds(&ranges, 4) && !holds(&ranges, 1) && !holds(&ranges, 13));
    }

    #[test]
    fn pairs_two_sets() {
        let set = |ranges: &[(u32, u32)]| {
            let ends = |(first, last): &(u32, u32)| (number(*first), number(*last));
            SequenceSet::Ranges(ranges.iter().map(ends).collect())
        };
        let paired = |sequences: &[(u32, u32)], uids: &[(u32, u32)]| {
            let pairs = pairs(&set(sequences), &set(uids))?;
            let shown = |pair: &SequenceMatch| (pair.sequence, pair.uid, pair.count);
            Some(pairs.iter().map(shown).collect::<Vec<_>>())
        };
        assert_eq!(
            paired(&[(1, 3), (7, 7)], &[(2, 2), (5, 7)]),
            Some(vec![(1, 2, 1), (2, 5, 2), (7, 7, 1)])
        );
        assert_eq!(
            paired(&[(1, u32::MAX)], &[(1, u32::MAX)]),
            Some(vec![(1, 1, u32::MAX)])
        );
        assert_eq!(paired(&[(1, 3)], &[(2, 3)]), None);
        assert_eq!(paired(&[(3, 3), (2, 2)], &[(2, 3)]), None);
        assert_eq!(paired(&[(3, 2)], &[(2, 3)]), None);
        assert_eq!(paired(&[(1, 1), (1, 1)], &[(2, 3)]), None);
    }
}
