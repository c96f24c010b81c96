//! [`Merge`]: sorting in steps, so that other sessions have their turn in between.

use crate::response::More;
use std::cmp::Ordering;

/// So many are sorted at once.
const RUN: usize = 4096;
/// So many are moved in one step.
const STEP: usize = 65_536;

/// What is sorted.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Mostly it tells two apart: looking there is quicker than comparing what they are.
    key: u64,
    place: u32,
}

/// A merge sort of places, smallest first. The order must tell any two apart.
#[derive(Debug, Default)]
pub struct Merge {
    /// Those to be put into runs.
    loose: Vec<Entry>,
    /// Sorted runs of one length, but for the last.
    runs: Vec<Vec<Entry>>,
    /// Runs of twice that length.
    merged: Vec<Vec<Entry>>,
    /// What is being merged: the next of each run, and what came of it.
    under_way: Option<UnderWay>,
}

type UnderWay = (
    std::vec::IntoIter<Entry>,
    std::vec::IntoIter<Entry>,
    Vec<Entry>,
);

/// The key of a number: in the same order.
pub fn key_of(number: i64) -> u64 {
    number.cast_unsigned() ^ (1 << 63)
}

impl Merge {
    /// Sorts the places from 0 up, by keys that are in their order first.
    pub fn new(keys: impl Iterator<Item = u64>) -> Self {
        let entries = (0..).zip(keys);
        let mut loose: Vec<Entry> = entries.map(|(place, key)| Entry { key, place }).collect();
        loose.reverse();
        Self {
            loose,
            ..Self::default()
        }
    }

    /// Goes on sorting; `compare` tells places apart whose keys are the same.
    pub fn step(&mut self, mut compare: impl FnMut(u32, u32) -> Ordering) -> More {
        let mut compare = |a: &Entry, b: &Entry| {
            let by_key = a.key.cmp(&b.key);
            by_key.then_with(|| compare(a.place, b.place))
        };
        let mut left = STEP;
        while left > 0 {
            if !self.loose.is_empty() {
                let mut run = self.loose.split_off(self.loose.len().saturating_sub(RUN));
                run.sort_unstable_by(&mut compare);
                // Sorting costs about so many moves each.
                left = left.saturating_sub(run.len() * 12);
                self.runs.push(run);
                continue;
            }
            if let Some((first, second, out)) = &mut self.under_way {
                while left > 0 {
                    let next = match (first.as_slice().first(), second.as_slice().first()) {
                        (Some(a), Some(b)) if compare(b, a) == Ordering::Less => second.next(),
                        (Some(_), _) => first.next(),
                        (None, _) => second.next(),
                    };
                    let Some(next) = next else {
                        let whole = std::mem::take(out);
                        self.merged.push(whole);
                        self.under_way = None;
                        break;
                    };
                    out.push(next);
                    left -= 1;
                }
                continue;
            }
            if self.runs.is_empty() {
                // They were taken from the end.
                self.merged.reverse();
                self.runs = std::mem::take(&mut self.merged);
            }
            match (self.runs.len(), self.merged.len()) {
                (0, _) | (1, 0) => return More::Nothing,
                (1, _) => self.merged.extend(self.runs.pop()),
                _ => {
                    let (second, first) = (self.runs.pop(), self.runs.pop());
                    let (first, second) = (first.unwrap_or_default(), second.unwrap_or_default());
                    let out = Vec::with_capacity(first.len() + second.len());
                    self.under_way = Some((first.into_iter(), second.into_iter(), out));
                }
            }
        }
        More::Follows
    }

    /// What is sorted.
    pub fn into_sorted(mut self) -> Vec<u32> {
        let sorted = self.runs.pop().unwrap_or_default();
        sorted.into_iter().map(|entry| entry.place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_any_number_in_steps() {
        for count in [
            0,
            1,
            2,
            RUN - 1,
            RUN,
            RUN + 1,
            3 * RUN,
            5 * RUN + 7,
            100_000,
        ] {
            let key = |place: u32| place.wrapping_mul(2_654_435_761) % 1_000;
            let mut expected: Vec<u32> = (0..count as u32).collect();
            expected.sort_by_key(|place| key(*place));
            // Keys that tell all, nothing, or something.
            for divisor in [1, 100, u32::MAX] {
                let keys = (0..count as u32).map(|place| u64::from(key(place) / divisor));
                let mut merge = Merge::new(keys);
                let mut steps = 1;
                while merge.step(|a, b| (key(a), a).cmp(&(key(b), b))) == More::Follows {
                    steps += 1;
                }
                assert_eq!(merge.into_sorted(), expected, "{count}");
                assert!(steps <= 2 + count / 1000, "{steps} for {count}");
            }
        }
    }
}
