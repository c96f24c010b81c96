//! PARTIAL: a part of results, counted from either end (RFC 9394).

use std::num::NonZeroU32;
use std::ops::Range;

/// A part of the results, by their positions (RFC 9394 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartialRange {
    /// From where positions count.
    pub from: Side,
    /// One end as it was written.
    pub first: NonZeroU32,
    /// The other.
    pub last: NonZeroU32,
}

/// From where positions count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// 1 is the first result.
    Start,
    /// -1 is the last.
    End,
}

impl PartialRange {
    /// The positions from 0 among so many results.
    pub fn of(self, count: usize) -> Range<usize> {
        let position = |number: NonZeroU32| usize::try_from(number.get()).unwrap_or(usize::MAX);
        let (first, last) = (position(self.first), position(self.last));
        let (low, high) = (first.min(last), first.max(last));
        let (start, end) = match self.from {
            Side::Start => (low - 1, high.min(count)),
            Side::End => (count.saturating_sub(high), (count + 1).saturating_sub(low)),
        };
        start.min(end)..end
    }

    /// The part of ascending index ranges that PARTIAL names (RFC 9394 section 3.3).
    pub fn of_ranges(self, ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
        let positions = self.of(ranges.iter().map(Range::len).sum());
        let mut before = 0;
        let mut part = Vec::new();
        for range in ranges {
            // Where the range's indices stand among all.
            let start = positions.start.saturating_sub(before).min(range.len());
            let end = positions.end.saturating_sub(before).min(range.len());
            before += range.len();
            if start < end {
                part.push(range.start + start..range.start + end);
            }
        }
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_cut_from_ranges() {
        let number = |number| NonZeroU32::new(number).expect("not 0");
        let part = |from, first, last| {
            let (first, last) = (number(first), number(last));
            PartialRange { from, first, last }.of_ranges(vec![0..3, 5..6, 10..14])
        };
        assert_eq!(part(Side::Start, 3, 5), [2..3, 5..6, 10..11]);
        assert_eq!(part(Side::End, 1, 5), [5..6, 10..14]);
        assert!(
            part(Side::End, 8, 100)
                .into_iter()
                .eq(std::iter::once(0..1))
        );
        assert!(part(Side::Start, 9, 10).is_empty());
    }
}
