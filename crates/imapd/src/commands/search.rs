//! SEARCH (RFC 3501 section 6.4.4, RFC 4731, RFC 5182, RFC 7162).

use super::{Outcome, Ran};
use crate::capability::Enabled;
use crate::grammar::command::{Numbers, ReturnOption, Search, SearchKey};
use crate::grammar::sequence::{Bound, SequenceSet};
use crate::response::{ExtendedSearch, More, Writer, write_extended_search, write_search};
use crate::search::{Evaluation, Scope};
use crate::view::View;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::{SystemTime, UNIX_EPOCH};
use store::Uid;

/// A SEARCH under way.
pub struct Searching {
    evaluation: Evaluation,
    numbers: Numbers,
    returns: Option<Vec<ReturnOption>>,
    names_modseq: bool,
    found: Vec<Found>,
}

/// Begins SEARCH and UID SEARCH: messages the client knows are found by their flags
/// as they are now.
pub fn search(view: &View, search: &Search, enabled: &mut Enabled) -> Ran {
    let names_modseq = search.key.names_modseq();
    if names_modseq {
        enabled.enable_condstore();
    }
    if search.key.looks_into_text() {
        view.mailbox().begin_texts();
    }
    let current = view.mailbox().snapshot();
    let key = by_uid(view, &search.key);
    Ok(Outcome::Searching(Box::new(Searching {
        evaluation: Evaluation::new(current, &key, now_seconds()),
        numbers: search.numbers,
        returns: search.returns.clone(),
        names_modseq,
        found: Vec::new(),
    })))
}

impl Searching {
    fn asks(&self, option: ReturnOption) -> bool {
        self.returns
            .as_ref()
            .is_some_and(|options| options.contains(&option))
    }

    /// Looks at some messages.
    pub fn step(&mut self, view: &mut View) -> Result<More, Outcome> {
        let told = view.told();
        let scope = Scope {
            mailbox: view.mailbox(),
            recent: &|uid| view.is_recent(uid),
            saved: view.saved(),
        };
        let found = &mut self.found;
        let stepped = self.evaluation.step(&scope, |row| {
            if let Some(index) = told.index_of(row.uid) {
                found.push(Found {
                    index,
                    uid: row.uid,
                    modseq: row.modseq,
                });
            }
        });
        if stepped.is_err() && self.asks(ReturnOption::Save) {
            view.save(Vec::new());
        }
        Ok(stepped?)
    }

    /// Writes what was found, and saves it if asked to.
    pub fn finish(self, view: &mut View, tag: &str, out: &mut Writer) -> Outcome {
        let number = |found: &Found| match self.numbers {
            Numbers::Sequence => u32::try_from(found.index + 1).unwrap_or(u32::MAX),
            Numbers::Uid => found.uid.get(),
        };
        let numbers: Vec<u32> = self.found.iter().map(number).collect();
        let returns = self.returns.as_deref();
        let told = reported(&self.found, returns.unwrap_or(&[ReturnOption::All]));
        let modseq = self
            .names_modseq
            .then(|| told.iter().map(|found| found.modseq).max())
            .flatten();
        if self.asks(ReturnOption::Save) {
            view.save(told.iter().map(|found| found.uid).collect());
        }
        match returns {
            Some(returns) => write_extended_search(
                out,
                &ExtendedSearch {
                    tag,
                    numbers: self.numbers,
                    returns,
                    found: &numbers,
                    modseq,
                },
            ),
            None => write_search(out, numbers, modseq),
        }
        Outcome::ok("SEARCH completed")
    }
}

struct Found {
    index: usize,
    uid: Uid,
    modseq: u64,
}

/// What MIN and MAX alone speak of, otherwise all (RFC 5182 section 2.1).
fn reported<'a>(found: &'a [Found], returns: &[ReturnOption]) -> Vec<&'a Found> {
    let asks = |option| returns.contains(&option);
    let (least, most) = (asks(ReturnOption::Min), asks(ReturnOption::Max));
    if (!least && !most) || asks(ReturnOption::All) || asks(ReturnOption::Count) {
        return found.iter().collect();
    }
    let first = found.first().filter(|_| least);
    let last = found.last().filter(|_| most && (!least || found.len() > 1));
    first.into_iter().chain(last).collect()
}

/// Turns sequence numbers, which are the client's, into UIDs, which are
/// everyone's. The grammar caps how deep keys nest.
fn by_uid(view: &View, key: &SearchKey) -> SearchKey {
    match key {
        SearchKey::And(keys) => SearchKey::And(keys.iter().map(|key| by_uid(view, key)).collect()),
        SearchKey::Or(left, right) => {
            SearchKey::Or(Box::new(by_uid(view, left)), Box::new(by_uid(view, right)))
        }
        SearchKey::Not(key) => SearchKey::Not(Box::new(by_uid(view, key))),
        SearchKey::Sequence(set) if *set != SequenceSet::Saved => {
            let told = view.told();
            let largest = u32::try_from(told.len()).unwrap_or(u32::MAX);
            let uid = |number: u32| {
                let index = usize::try_from(number).ok()?.checked_sub(1)?;
                told.row(index).map(|row| row.uid)
            };
            let ranges = set.resolve(largest).into_iter().filter_map(|range| {
                let last = (*range.end()).min(largest);
                Some(uid(*range.start())?.get()..=uid(last)?.get())
            });
            SearchKey::Uid(ranges_as_set(ranges))
        }
        SearchKey::Uid(set) if set.has_star() => {
            SearchKey::Uid(ranges_as_set(set.resolve(view.largest_uid()).into_iter()))
        }
        other => other.clone(),
    }
}

fn ranges_as_set(ranges: impl Iterator<Item = RangeInclusive<u32>>) -> SequenceSet {
    let bound = |number| NonZeroU32::new(number).map(Bound::Number);
    SequenceSet::Ranges(
        ranges
            .filter_map(|range| Some((bound(*range.start())?, bound(*range.end())?)))
            .collect(),
    )
}

fn now_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn min_and_max_save_what_they_name() {
        let found: Vec<Found> = (1..=3_u32)
            .map(|number| Found {
                index: number as usize,
                uid: Uid::new(number).expect("not 0"),
                modseq: 1,
            })
            .collect();
        let saved = |returns: &[ReturnOption]| -> Vec<u32> {
            reported(&found, returns)
                .iter()
                .map(|found| found.uid.get())
                .collect()
        };
        assert_eq!(saved(&[ReturnOption::Save]), [1, 2, 3]);
        assert_eq!(saved(&[ReturnOption::Min, ReturnOption::Save]), [1]);
        assert_eq!(saved(&[ReturnOption::Min, ReturnOption::Max]), [1, 3]);
        assert_eq!(saved(&[ReturnOption::Max, ReturnOption::Count]), [1, 2, 3]);
        assert!(reported(&[], &[ReturnOption::Min]).is_empty());
    }
}
