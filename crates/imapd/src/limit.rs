//! [`MessageLimit`]: on how many messages one command may work (RFC 9738).

use crate::commands::Outcome;
use crate::response::Writer;
use crate::view::View;
use std::num::NonZeroU32;
use std::ops::Range;
use store::{Snapshot, Uid};

/// On how many messages one command may work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MessageLimit {
    /// On any.
    #[default]
    None,
    /// FETCH, SEARCH, THREAD, STORE, COPY, MOVE, APPEND and UID EXPUNGE on so many
    /// (MESSAGELIMIT).
    EveryCommand(NonZeroU32),
    /// COPY and APPEND on so many (SAVELIMIT).
    Saves(NonZeroU32),
}

/// What a command works on, and whether that is not all.
pub type Cut = (Vec<Range<usize>>, Option<Reached>);

/// A command named more messages than it may work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    limit: NonZeroU32,
    /// The lowest UID it worked on, or would have.
    lowest: Option<Uid>,
}

impl MessageLimit {
    /// What a command works on of the messages it names, ascending index ranges of what the
    /// client knows: of too many those with the highest UIDs (section 3.1).
    pub fn cut(self, view: &View, ranges: Vec<Range<usize>>) -> Cut {
        self.cut_in(view.told(), ranges)
    }

    /// As [`MessageLimit::cut`], for index ranges of a snapshot.
    pub fn cut_in(self, snapshot: &Snapshot, ranges: Vec<Range<usize>>) -> Cut {
        match self {
            Self::EveryCommand(limit) => cut(limit, ranges, |index| {
                snapshot.row(index).map(|row| row.uid)
            }),
            Self::None | Self::Saves(_) => (ranges, None),
        }
    }

    /// As [`MessageLimit::cut`], for ascending UIDs.
    pub fn cut_uids(self, mut uids: Vec<Uid>) -> (Vec<Uid>, Option<Reached>) {
        let Self::EveryCommand(limit) = self else {
            return (uids, None);
        };
        let passed_over = uids.len().saturating_sub(size(limit));
        if passed_over == 0 {
            return (uids, None);
        }
        uids.drain(..passed_over);
        let lowest = uids.first().copied();
        (uids, Some(Reached { limit, lowest }))
    }

    /// Refuses a command that stores more messages than it may: all or none is what it
    /// does (section 3.1).
    ///
    /// # Errors
    /// NO with the limit.
    pub fn admit_saved(self, view: &View, ranges: &[Range<usize>]) -> Result<(), Outcome> {
        let Some(limit) = self.saved() else {
            return Ok(());
        };
        let uid_at = |index| view.told().row(index).map(|row| row.uid);
        match cut(limit, ranges.to_vec(), uid_at) {
            (_, None) => Ok(()),
            (_, Some(reached)) => Err(reached.refusal("Too many messages, try a smaller subset")),
        }
    }

    /// Refuses to thread more messages of a snapshot than a command may work on: threads of
    /// some of them are not those of all (section 3.3).
    ///
    /// # Errors
    /// NO with the limit.
    pub fn admit_threaded(
        self,
        snapshot: &Snapshot,
        ranges: Vec<Range<usize>>,
    ) -> Result<(), Outcome> {
        match self.cut_in(snapshot, ranges) {
            (_, None) => Ok(()),
            (_, Some(reached)) => {
                Err(reached.refusal("Too many messages to thread, try a smaller subset"))
            }
        }
    }

    /// As [`MessageLimit::admit_saved`], for an APPEND of so many messages.
    ///
    /// # Errors
    /// NO with the limit.
    pub fn admit_appended(self, messages: usize) -> Result<(), Outcome> {
        match self.saved() {
            Some(limit) if messages > size(limit) => {
                let reached = Reached {
                    limit,
                    lowest: None,
                };
                Err(reached.refusal("Too many messages in one APPEND"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a FETCH whose PARTIAL names more messages than it may work on (section 3.1).
    ///
    /// # Errors
    /// NO with the limit.
    pub fn admit_part(self, ranges: &[Range<usize>]) -> Result<(), Outcome> {
        match self {
            Self::EveryCommand(limit)
                if ranges.iter().map(Range::len).sum::<usize>() > size(limit) =>
            {
                let reached = Reached {
                    limit,
                    lowest: None,
                };
                Err(reached.refusal("PARTIAL names too many messages"))
            }
            Self::EveryCommand(_) | Self::None | Self::Saves(_) => Ok(()),
        }
    }

    fn saved(self) -> Option<NonZeroU32> {
        match self {
            Self::None => None,
            Self::EveryCommand(limit) | Self::Saves(limit) => Some(limit),
        }
    }
}

impl Reached {
    /// The response code.
    fn code(self) -> String {
        match self.lowest {
            Some(lowest) => format!("MESSAGELIMIT {} {lowest}", self.limit),
            None => format!("MESSAGELIMIT {}", self.limit),
        }
    }

    fn refusal(self, text: &str) -> Outcome {
        Outcome::No(format!("[{}] {text}", self.code()))
    }

    /// Tells of it in a reply, condition included; where that has a code already, in a
    /// response before it (section 3.1).
    pub fn told_in(self, reply: &str, out: &mut Writer) -> String {
        match reply.strip_prefix("OK ") {
            Some(text) if !text.starts_with('[') => format!("OK [{}] {text}", self.code()),
            _ => {
                out.text("* NO [")
                    .text(&self.code())
                    .text("] ")
                    .human("Not all messages, the limit was reached")
                    .crlf();
                reply.to_owned()
            }
        }
    }

    /// As [`Reached::told_in`], for an outcome.
    pub fn told_with(self, outcome: Outcome, out: &mut Writer) -> Outcome {
        match outcome {
            Outcome::Ok(text) if !text.starts_with('[') => {
                Outcome::Ok(format!("[{}] {text}", self.code()))
            }
            outcome => {
                self.told_in("", out);
                outcome
            }
        }
    }
}

fn size(limit: NonZeroU32) -> usize {
    usize::try_from(limit.get()).unwrap_or(usize::MAX)
}

/// The last so many of ascending indices.
fn cut(limit: NonZeroU32, ranges: Vec<Range<usize>>, uid_at: impl Fn(usize) -> Option<Uid>) -> Cut {
    let mut left = size(limit);
    let count: usize = ranges.iter().map(Range::len).sum();
    if count <= left {
        return (ranges, None);
    }
    let mut kept = Vec::new();
    for range in ranges.into_iter().rev() {
        let taken = range.len().min(left);
        left -= taken;
        kept.push(range.end - taken..range.end);
        if left == 0 {
            break;
        }
    }
    kept.reverse();
    let lowest = kept.first().and_then(|range| uid_at(range.start));
    (kept, Some(Reached { limit, lowest }))
}

/// Indices one by one, the last first: what is worked on in part is worked on from the
/// highest UID down (section 3.1).
pub fn descending(ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let one_by_one = ranges.into_iter().rev().flat_map(Range::rev);
    one_by_one.map(|index| index..index + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The indices left of ranges, and the lowest UID told.
    fn cut_to(limit: u32, ranges: &[(usize, usize)]) -> (Vec<usize>, Option<u32>) {
        let limit = NonZeroU32::new(limit).expect("not 0");
        let uid = |index: usize| Uid::new(u32::try_from(index).ok()? * 10);
        let ranges = ranges.iter().map(|(start, end)| *start..*end).collect();
        let (kept, reached) = cut(limit, ranges, uid);
        let lowest = reached.map(|reached| reached.lowest.map_or(0, Uid::get));
        (kept.into_iter().flatten().collect(), lowest)
    }

    #[test]
    fn the_highest_are_kept() {
        assert_eq!(cut_to(3, &[(1, 3), (5, 6)]), (vec![1, 2, 5], None));
        assert_eq!(cut_to(2, &[(1, 3), (5, 6)]), (vec![2, 5], Some(20)));
        assert_eq!(cut_to(1, &[(1, 3), (5, 7)]), (vec![6], Some(60)));
        assert_eq!(cut_to(4, &[(1, 9)]), (vec![5, 6, 7, 8], Some(50)));
        assert_eq!(cut_to(1, &[]), (vec![], None));
        assert_eq!(descending(vec![1..3, 5..6]), [5..6, 2..3, 1..2]);
    }

    #[test]
    fn a_code_that_is_there_stays() {
        let reached = Reached {
            limit: NonZeroU32::new(1000).expect("not 0"),
            lowest: Uid::new(23221),
        };
        let mut out = Writer::new();
        assert_eq!(
            reached.told_in("OK FETCH completed", &mut out),
            "OK [MESSAGELIMIT 1000 23221] FETCH completed"
        );
        assert!(out.is_empty());
        let reply = "OK [EXPUNGEISSUED] Some";
        assert_eq!(reached.told_in(reply, &mut out), reply);
        assert!(out.octets().starts_with(b"* NO [MESSAGELIMIT 1000 23221] "));
    }
}
