//! SEARCH, SORT and THREAD (RFC 3501 section 6.4.4, RFC 4731, RFC 5182, RFC 5256, RFC 5267,
//! RFC 7162, RFC 9394).

use super::{Outcome, Ran};
use crate::capability::Enabled;
use crate::contexts::{Context, Refused, ResultOrder};
use crate::grammar::command::{
    FetchItem, Numbers, ReturnOption, Search, SearchKey, Sort, SortCriterion, SortKey, Thread,
    ThreadAlgorithm,
};
use crate::grammar::sequence::{Bound, SequenceSet};
use crate::limit::{MessageLimit, Reached};
use crate::order::collation::Comparator;
use crate::order::{Candidate, KeptOrder, Sorting, Threading};
use crate::progress::Measure;
use crate::response::{
    ExtendedSearch, More, Writer, write_extended_search, write_search, write_sort, write_thread,
};
use crate::search::{Evaluation, Manner, Scope};
use crate::view::{View, gather};
use std::num::NonZeroU32;
use std::ops::{Range, RangeInclusive};
use std::time::{SystemTime, UNIX_EPOCH};
use store::{Snapshot, Uid};

/// A SEARCH, SORT or THREAD under way.
pub struct Searching {
    asked: Asked,
    returns: Option<Vec<ReturnOption>>,
    stage: Stage,
    numbers: Numbers,
    names_modseq: bool,
    comparator: Comparator,
    found: Vec<Found>,
    /// What is looked for and where, if the result is to be kept up to date.
    updated: Option<(SearchKey, Snapshot)>,
    /// What is fetched then of new messages.
    update_items: Vec<FetchItem>,
    /// More messages were named than may be looked at.
    reached: Option<Reached>,
}

/// What is to become of the messages that are found.
enum Asked {
    Search,
    Sort(Vec<SortCriterion>),
    Thread(ThreadAlgorithm),
}

/// What is done to them.
enum Stage {
    Looking(Box<Evaluation>),
    Sorting(Box<Sorting>),
    /// The places of what was found, in order.
    Sorted(Vec<u32>),
    Threading(Box<Threading>),
    Done,
}

/// What a session searches with.
pub struct Searcher<'a> {
    /// What is switched on: searching for MODSEQ switches CONDSTORE on.
    pub enabled: &'a mut Enabled,
    /// The active comparator (RFC 5255 section 4.2).
    pub comparator: Comparator,
    /// On how many messages SEARCH may work, and THREAD, which refuses more. SORT looks at
    /// all: what it sorts by is kept (RFC 9738 section 3.3).
    pub limit: MessageLimit,
}

/// SEARCH and UID SEARCH.
pub fn search(view: &View, search: &Search, session: Searcher<'_>) -> Ran {
    begin(view, Asked::Search, search, session)
}

/// SORT and UID SORT.
pub fn sort(view: &View, sort: &Sort, session: Searcher<'_>) -> Ran {
    let asked = Asked::Sort(sort.criteria.clone());
    begin(view, asked, &sort.search, session)
}

/// THREAD and UID THREAD.
pub fn thread(view: &View, thread: &Thread, session: Searcher<'_>) -> Ran {
    let asked = Asked::Thread(thread.algorithm);
    begin(view, asked, &thread.search, session)
}

/// CANCELUPDATE: nothing ends if one of the tags names nothing.
pub fn cancel_update(view: &mut View, tags: &[String]) -> Ran {
    if !tags.iter().all(|tag| view.contexts().has(tag)) {
        return Err(Outcome::bad("No search with such a tag is kept up to date"));
    }
    for tag in tags {
        view.cancel_context(tag);
    }
    Ok(Outcome::ok("CANCELUPDATE completed"))
}

/// Begins to search: messages the client knows are found by their flags as they are now.
fn begin(view: &View, asked: Asked, search: &Search, session: Searcher<'_>) -> Ran {
    let names_modseq = search.key.names_modseq();
    if names_modseq || search.update_items.contains(&FetchItem::ModSeq) {
        session.enabled.enable_condstore();
    }
    if search.key.looks_into_text() {
        view.mailbox().begin_texts();
    }
    let current = view.mailbox().snapshot();
    let key = by_uid(view, &search.key);
    let manner = Manner {
        now_seconds: now_seconds(),
        folding: session.comparator.folding(),
    };
    let (looked_at, reached) = match asked {
        Asked::Search => session.limit.cut_in(&current, named(view, &current, &key)),
        Asked::Thread(_) => {
            let named = named(view, &current, &key);
            session.limit.admit_threaded(&current, named)?;
            (Vec::new(), None)
        }
        Asked::Sort(_) => (Vec::new(), None),
    };
    let first = match reached {
        Some(_) => looked_at.first().map_or(0, |range| range.start),
        None => 0,
    };
    let evaluation = Evaluation::new(current, &key, manner).starting_at(first);
    // RFC 9051 section 6.4.4: SEARCH has no answer but ESEARCH.
    let is_extended = matches!(asked, Asked::Search) && session.enabled.rev2();
    let returns = search
        .returns
        .clone()
        .or_else(|| is_extended.then(|| vec![ReturnOption::All]));
    let is_updated = returns
        .iter()
        .flatten()
        .any(|option| *option == ReturnOption::Update);
    Ok(Outcome::Searching(Box::new(Searching {
        asked,
        reached,
        returns,
        updated: is_updated.then(|| (without_saved(view, key), evaluation.snapshot().clone())),
        update_items: search.update_items.clone(),
        stage: Stage::Looking(Box::new(evaluation)),
        numbers: search.numbers,
        names_modseq,
        comparator: session.comparator,
        found: Vec::new(),
    })))
}

impl Searching {
    fn asks(&self, option: ReturnOption) -> bool {
        self.returns.iter().flatten().any(|asked| *asked == option)
    }

    /// The text of the tagged reply.
    pub fn completed(&self) -> &'static str {
        match self.asked {
            Asked::Search => "SEARCH completed",
            Asked::Sort(_) => "SORT completed",
            Asked::Thread(_) => "THREAD completed",
        }
    }

    /// How far it is.
    pub fn measure(&self) -> Measure {
        match &self.stage {
            Stage::Looking(evaluation) => evaluation.measure(),
            Stage::Sorting(_) | Stage::Sorted(_) | Stage::Threading(_) | Stage::Done => {
                Measure::Unknown
            }
        }
    }

    /// Looks at some messages.
    pub fn step(&mut self, view: &mut View) -> Result<More, Outcome> {
        Ok(match &mut self.stage {
            Stage::Looking(_) => match self.look(view)? {
                More::Follows => More::Follows,
                More::Nothing => self.put_in_order(view)?,
            },
            Stage::Sorting(sorting) => sorting.step(view.mailbox())?,
            Stage::Threading(threading) => threading.step(view.mailbox())?,
            Stage::Sorted(_) | Stage::Done => More::Nothing,
        })
    }

    fn look(&mut self, view: &mut View) -> Result<More, Outcome> {
        let Stage::Looking(evaluation) = &mut self.stage else {
            return Ok(More::Nothing);
        };
        let told = view.told();
        let scope = Scope {
            mailbox: view.mailbox(),
            recent: &|uid| view.is_recent(uid),
            saved: view.saved(),
        };
        let found = &mut self.found;
        let stepped = evaluation.step(&scope, |row, relevancy| {
            let next = found.last().map_or(0, |found| found.index + 1);
            if let Some(index) = told.index_near(row.uid, next) {
                found.push(Found {
                    index,
                    uid: row.uid,
                    modseq: row.modseq,
                    relevancy,
                });
            }
        });
        if stepped.is_err() && self.asks(ReturnOption::Save) {
            view.save(Vec::new());
        }
        Ok(stepped?)
    }

    /// Goes on with what was found.
    fn put_in_order(&mut self, view: &View) -> Result<More, Outcome> {
        let told = view.told();
        let candidates = || -> Vec<Candidate> {
            let candidate = |found: &Found| {
                let row = told.row(found.index)?;
                Some(Candidate::of(&row, found.relevancy))
            };
            self.found.iter().filter_map(candidate).collect()
        };
        let comparator = self.comparator;
        self.stage = match &self.asked {
            Asked::Search => {
                self.stage = Stage::Done;
                return Ok(More::Nothing);
            }
            Asked::Sort(criteria) => {
                let candidates = candidates();
                let kept = KeptOrder::new(view.mailbox(), told, criteria, comparator);
                let sorted = kept.map(|kept| kept.sort(&candidates)).transpose()?;
                match sorted.flatten() {
                    Some(sorted) => Stage::Sorted(sorted),
                    None => {
                        Stage::Sorting(Box::new(Sorting::new(candidates, criteria, comparator)))
                    }
                }
            }
            Asked::Thread(algorithm) => Stage::Threading(Box::new(Threading::new(
                candidates(),
                *algorithm,
                comparator,
            ))),
        };
        Ok(More::Follows)
    }

    /// Writes what was found, and saves it if asked to.
    pub fn finish(mut self, view: &mut View, tag: &str, out: &mut Writer) -> Outcome {
        if self.updated.is_some() && view.contexts().has(tag) {
            return Outcome::bad("This tag is that of a search with UPDATE");
        }
        let completed = Outcome::ok(self.completed());
        let numbers = self.numbers;
        let stage = std::mem::replace(&mut self.stage, Stage::Done);
        if let Stage::Threading(threading) = stage {
            let numbers = self
                .found
                .iter()
                .map(|found| found.number(numbers))
                .collect();
            write_thread(out, threading.into_threads().numbered(numbers));
            return completed;
        }
        let is_new_order = matches!(stage, Stage::Sorting(_));
        let sorted = match stage {
            Stage::Sorting(sorting) => Some(sorting.into_sorted()),
            Stage::Sorted(sorted) => Some(sorted),
            Stage::Looking(_) | Stage::Threading(_) | Stage::Done => None,
        };
        if let Some(sorted) = sorted {
            let places = sorted
                .iter()
                .filter_map(|place| usize::try_from(*place).ok());
            let sorted = places.filter_map(|place| self.found.get(place).copied());
            self.found = sorted.collect();
            if is_new_order {
                self.keep_order(view);
            }
        }
        let returns = self.returns.as_deref();
        let reported = reported(&self.found, returns.unwrap_or(&[ReturnOption::All]));
        let modseq = self
            .names_modseq
            .then(|| reported.iter().map(|found| found.modseq).max())
            .flatten();
        if self.asks(ReturnOption::Save) {
            let mut saved: Vec<Uid> = reported.iter().map(|found| found.uid).collect();
            saved.sort_unstable();
            saved.dedup();
            view.save(saved);
        }
        let relevancies: Vec<u8> = self.found.iter().map(|found| found.relevancy).collect();
        let found: Vec<u32> = self
            .found
            .iter()
            .map(|found| found.number(numbers))
            .collect();
        match (&self.asked, returns) {
            (_, Some(returns)) => write_extended_search(
                out,
                &ExtendedSearch {
                    tag,
                    mailbox: None,
                    numbers,
                    returns,
                    found: &found,
                    relevancies: &relevancies,
                    modseq,
                },
            ),
            (Asked::Sort(_), None) => write_sort(out, found, modseq),
            (_, None) => write_search(out, found, modseq),
        }
        let reached = self.reached;
        self.keep_up_to_date(view, tag, out);
        match reached {
            Some(reached) => reached.told_with(completed, out),
            None => completed,
        }
    }

    /// Keeps the order in which all stands that was found.
    fn keep_order(&self, view: &View) {
        if let Asked::Sort(criteria) = &self.asked
            && let Some(kept) =
                KeptOrder::new(view.mailbox(), view.told(), criteria, self.comparator)
        {
            let sorted: Vec<Uid> = self.found.iter().map(|found| found.uid).collect();
            kept.keep(&sorted);
        }
    }

    /// Has the result kept up to date if that was asked for, or tells that it is not (RFC
    /// 5267 section 4.3.1).
    fn keep_up_to_date(self, view: &mut View, tag: &str, out: &mut Writer) {
        let Some((key, snapshot)) = self.updated else {
            return;
        };
        let context = Context {
            tag: tag.to_owned(),
            numbers: self.numbers,
            key,
            comparator: self.comparator,
            order: match self.asked {
                Asked::Sort(criteria) => ResultOrder::Sorted(criteria),
                Asked::Search | Asked::Thread(_) => ResultOrder::Mailbox,
            },
            items: self.update_items,
        };
        let results = self.found.iter().map(|found| found.uid).collect();
        let added = match is_by_relevancy(&context) {
            // The relevancy of what comes is not compared with that of what is there.
            true => Err(Refused::TooMany),
            false => view.add_context(context, results, &snapshot),
        };
        match added {
            Ok(()) => {}
            Err(Refused::TagInUse | Refused::TooMany) => write_no_update(tag, out),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Found {
    index: usize,
    uid: Uid,
    modseq: u64,
    relevancy: u8,
}

impl Found {
    fn number(&self, numbers: Numbers) -> u32 {
        match numbers {
            Numbers::Sequence => u32::try_from(self.index + 1).unwrap_or(u32::MAX),
            Numbers::Uid => self.uid.get(),
        }
    }
}

/// What MIN, MAX and PARTIAL alone speak of, otherwise all (RFC 5182 section 2.1, RFC 9394
/// section 3.2).
pub fn reported<'a, T>(found: &'a [T], returns: &[ReturnOption]) -> Vec<&'a T> {
    let asks = |option| returns.contains(&option);
    let (least, most) = (asks(ReturnOption::Min), asks(ReturnOption::Max));
    let part = returns.iter().find_map(|option| match option {
        ReturnOption::Partial(range) => Some(range.of(found.len())),
        _ => None,
    });
    let is_part = least || most || part.is_some();
    if !is_part || asks(ReturnOption::All) || asks(ReturnOption::Count) {
        return found.iter().collect();
    }
    let first = found.first().filter(|_| least);
    let last = found.last().filter(|_| most);
    let part = part.and_then(|part| found.get(part)).unwrap_or_default();
    first.into_iter().chain(last).chain(part).collect()
}

/// Turns sequence numbers, which are the client's, into UIDs, which are
/// everyone's. The grammar caps how deep keys nest.
pub fn by_uid(view: &View, key: &SearchKey) -> SearchKey {
    match key {
        SearchKey::And(keys) => SearchKey::And(keys.iter().map(|key| by_uid(view, key)).collect()),
        SearchKey::Or(left, right) => {
            SearchKey::Or(Box::new(by_uid(view, left)), Box::new(by_uid(view, right)))
        }
        SearchKey::Not(key) => SearchKey::Not(Box::new(by_uid(view, key))),
        SearchKey::Fuzzy(key) => SearchKey::Fuzzy(Box::new(by_uid(view, key))),
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

/// A key with what `$` names now in its place. The grammar caps how deep keys nest.
pub fn without_saved(view: &View, key: SearchKey) -> SearchKey {
    let without = |key: Box<SearchKey>| Box::new(without_saved(view, *key));
    match key {
        SearchKey::And(keys) => SearchKey::And(
            keys.into_iter()
                .map(|key| without_saved(view, key))
                .collect(),
        ),
        SearchKey::Or(left, right) => SearchKey::Or(without(left), without(right)),
        SearchKey::Not(key) => SearchKey::Not(without(key)),
        SearchKey::Fuzzy(key) => SearchKey::Fuzzy(without(key)),
        SearchKey::Sequence(SequenceSet::Saved) | SearchKey::Uid(SequenceSet::Saved) => {
            let saved = view.saved().iter();
            SearchKey::Uid(ranges_as_set(saved.map(|uid| uid.get()..=uid.get())))
        }
        key => key,
    }
}

/// The indices of a snapshot that the sets of a key leave, where all keys are to match: the
/// messages that are looked at, match or not (RFC 9738 section 3.1).
fn named(view: &View, snapshot: &Snapshot, key: &SearchKey) -> Vec<Range<usize>> {
    let all = || std::iter::once(0..snapshot.len()).collect();
    match key {
        SearchKey::And(keys) => keys
            .iter()
            .map(|key| named(view, snapshot, key))
            .reduce(|left, right| common(&left, &right))
            .unwrap_or_else(all),
        SearchKey::Sequence(SequenceSet::Saved) | SearchKey::Uid(SequenceSet::Saved) => {
            let indices = view
                .saved()
                .iter()
                .filter_map(|uid| snapshot.index_of(*uid));
            gather(indices)
        }
        SearchKey::Uid(set) => {
            let at_or_after = |uid: Option<Uid>| {
                uid.map_or(snapshot.len(), |uid| snapshot.index_at_or_after(uid))
            };
            let ranges = set.resolve(view.largest_uid()).into_iter();
            let indices = |range: RangeInclusive<u32>| {
                let after = range.end().checked_add(1).and_then(Uid::new);
                at_or_after(Uid::new(*range.start()))..at_or_after(after)
            };
            let ranges = ranges.map(indices);
            ranges.filter(|range| !range.is_empty()).collect()
        }
        _ => all(),
    }
}

/// What is in both of two lists of ascending ranges.
fn common(left: &[Range<usize>], right: &[Range<usize>]) -> Vec<Range<usize>> {
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    let mut common = Vec::new();
    while let (Some(one), Some(other)) = (left.peek(), right.peek()) {
        let both = one.start.max(other.start)..one.end.min(other.end);
        let one_ends_first = one.end <= other.end;
        if !both.is_empty() {
            common.push(both);
        }
        if one_ends_first {
            left.next();
        } else {
            right.next();
        }
    }
    common
}

fn ranges_as_set(ranges: impl Iterator<Item = RangeInclusive<u32>>) -> SequenceSet {
    let bound = |number| NonZeroU32::new(number).map(Bound::Number);
    SequenceSet::Ranges(
        ranges
            .filter_map(|range| Some((bound(*range.start())?, bound(*range.end())?)))
            .collect(),
    )
}

/// Tells that a result is not kept up to date (RFC 5267 section 4.3.1).
pub fn write_no_update(tag: &str, out: &mut Writer) {
    out.text("* NO [NOUPDATE ")
        .string(tag.as_bytes())
        .text("] ");
    out.human("Too many searches are kept up to date").crlf();
}

fn is_by_relevancy(context: &Context) -> bool {
    match &context.order {
        ResultOrder::Mailbox => false,
        ResultOrder::Sorted(criteria) => criteria
            .iter()
            .any(|criterion| criterion.key == SortKey::Relevancy),
    }
}

/// Seconds since 1970.
pub fn now_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::command::{PartialRange, Side};

    #[test]
    fn what_two_lists_share() {
        let shared = |left: &[(usize, usize)], right: &[(usize, usize)]| -> Vec<(usize, usize)> {
            let ranges = |pairs: &[(usize, usize)]| -> Vec<Range<usize>> {
                pairs.iter().map(|(start, end)| *start..*end).collect()
            };
            let shared = common(&ranges(left), &ranges(right));
            shared
                .iter()
                .map(|range| (range.start, range.end))
                .collect()
        };
        assert_eq!(shared(&[(0, 9)], &[(1, 3), (5, 20)]), [(1, 3), (5, 9)]);
        assert_eq!(shared(&[(1, 3), (4, 6)], &[(2, 5)]), [(2, 3), (4, 5)]);
        assert!(shared(&[(1, 3)], &[(3, 4)]).is_empty());
    }

    #[test]
    fn min_and_max_save_what_they_name() {
        let found: Vec<Found> = (1..=3_u32)
            .map(|number| Found {
                index: number as usize,
                uid: Uid::new(number).expect("not 0"),
                modseq: 1,
                relevancy: 100,
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
        let number = |number| NonZeroU32::new(number).expect("not 0");
        let part = ReturnOption::Partial(PartialRange {
            from: Side::End,
            first: number(1),
            last: number(2),
        });
        assert_eq!(saved(&[part, ReturnOption::Save]), [2, 3]);
        assert_eq!(saved(&[part, ReturnOption::Min]), [1, 2, 3]);
        assert_eq!(saved(&[part, ReturnOption::Max]), [3, 2, 3]);
        assert_eq!(saved(&[part, ReturnOption::Count]), [1, 2, 3]);
        assert_eq!(saved(&[ReturnOption::Max, ReturnOption::Count]), [1, 2, 3]);
        assert!(reported::<Found>(&[], &[ReturnOption::Min]).is_empty());
    }
}
