//! Sequence sets (RFC 3501 section 9, `sequence-set`; RFC 5182 for `$`).

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
}
