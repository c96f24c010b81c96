//! [`Merge`]: sorting in steps, so that other sessions have their turn in between.

use crate::response::More;
use std::cmp::Ordering;

/// So many are sorted at once.
const RUN: usize = 4096;
/// So many are moved in one step.
const STEP: usize = 65_536;

/// A merge sort of places, smallest first. The order must tell any two apart.
#[derive(Debug, Default)]
pub struct Merge {
    /// Those to be put into runs.
    loose: Vec<u32>,
    /// Sorted runs of one length, but for the last.
    runs: Vec<Vec<u32>>,
    /// Runs of twice that length.
    merged: Vec<Vec<u32>>,
    /// What is being merged: the next of each run, and what came of it.
    under_way: Option<(std::vec::IntoIter<u32>, std::vec::IntoIter<u32>, Vec<u32>)>,
}

impl Merge {
    /// Sorts the places from 0 up to a count.
    pub fn new(count: usize) -> Self {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            loose: (0..count).rev().collect(),
            ..Self::default()
        }
    }

    /// Goes on sorting.
    pub fn step(&mut self, mut compare: impl FnMut(u32, u32) -> Ordering) -> More {
        let mut left = STEP;
        while left > 0 {
            if !self.loose.is_empty() {
                let mut run = self.loose.split_off(self.loose.len().saturating_sub(RUN));
                run.sort_unstable_by(|a, b| compare(*a, *b));
                // Sorting costs about so many moves each.
                left = left.saturating_sub(run.len() * 12);
                self.runs.push(run);
                continue;
            }
            if let Some((first, second, out)) = &mut self.under_way {
                while left > 0 {
                    let next = match (first.as_slice().first(), second.as_slice().first()) {
                        (Some(a), Some(b)) if compare(*b, *a) == Ordering::Less => second.next(),
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
        self.runs.pop().unwrap_or_default()
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
            let mut merge = Merge::new(count);
            let mut steps = 1;
            while merge.step(|a, b| (key(a), a).cmp(&(key(b), b))) == More::Follows {
                steps += 1;
            }
            let sorted = merge.into_sorted();
            let mut expected: Vec<u32> = (0..count as u32).collect();
            expected.sort_by_key(|place| key(*place));
            assert_eq!(sorted, expected, "{count}");
            assert!(steps <= 2 + count / 1000, "{steps} for {count}");
        }
    }
}
