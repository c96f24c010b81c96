//! [`Contexts`]: searches and sorts whose results a client keeps, and is told what comes to
//! them and goes (RFC 5267 section 4.3).

use crate::dialect::Messages;
use crate::grammar::command::{FetchItem, Numbers, SearchKey, SortCriterion};
use crate::order::collation::Comparator;
use crate::order::{Candidate, Sorting};
use crate::response::{Change, More, ResultUpdate, Writer, write_result_update};
use crate::search::{Evaluation, Manner, Scope};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use store::{Error, Mailbox, Result, Snapshot, Uid};

/// So many searches of a session are kept up to date.
const CONTEXTS: usize = 8;
/// Over so many results no search is.
const RESULTS: usize = 1_000_000;
/// What looking at one message and one context costs at least, beside what it reads.
const LOOK_COST: u64 = 200;
/// What finding a message's place among those that are sorted costs.
const PLACE_COST: u64 = 50_000;
/// What one step may cost; see [`Evaluation::step`].
const STEP_COST: u64 = 4 << 20;

/// So many messages that changed are remembered before each is remembered once.
const PENDING: usize = 100_000;

/// The order of a context's results.
#[derive(Debug, Clone)]
pub enum ResultOrder {
    /// As they stand in the mailbox.
    Mailbox,
    /// By these criteria.
    Sorted(Vec<SortCriterion>),
}

/// A search to be kept up to date.
#[derive(Debug)]
pub struct Context {
    /// The tag of the command that asked.
    pub tag: String,
    /// What results are told as.
    pub numbers: Numbers,
    /// What is looked for; without sequence numbers and `$`, which mean what they meant
    /// when they were sent.
    pub key: SearchKey,
    /// How it is compared.
    pub comparator: Comparator,
    /// The order of the results.
    pub order: ResultOrder,
    /// What is fetched of new messages that are results (RFC 5465 section 7).
    pub items: Vec<FetchItem>,
}

/// A search that is kept up to date, and its results as the client has them.
#[derive(Debug)]
struct Kept {
    context: Context,
    /// Which bit stands for it.
    bit: u8,
    /// New messages that are results, which is told after their attributes.
    held: BTreeSet<Uid>,
    /// Ascending.
    members: Vec<Uid>,
    /// In the order asked for, where that is not the mailbox's.
    sorted: Vec<Uid>,
}

/// Why a search is not kept up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A search with this tag is already (RFC 5267 section 4.3).
    TagInUse,
    /// They are too many, or too many results.
    TooMany,
}

/// The searches of a session that are kept up to date, in one selected mailbox.
#[derive(Debug, Default)]
pub struct Contexts {
    contexts: Vec<Kept>,
    /// The mailbox up to which changes were taken note of.
    known: Option<Snapshot>,
    /// Messages that came or changed, to be looked at.
    pending: VecDeque<Uid>,
    /// Those of them that the client was not told of.
    untold: VecDeque<Uid>,
    /// Those of them that are new to the client, and not its own doing.
    arrived: BTreeSet<Uid>,
    /// New messages that are results, and for which searches attributes are to be told: a
    /// bit each.
    to_fetch: BTreeMap<Uid, u8>,
}

/// What a session knows of the mailbox.
pub struct Known<'a> {
    /// The mailbox.
    pub mailbox: &'a Mailbox,
    /// What the client was told of: only this can be named.
    pub told: &'a Snapshot,
    /// What is `\Recent` in the session.
    pub recent: &'a BTreeSet<Uid>,
    /// For OLDER and YOUNGER, in seconds since 1970.
    pub now_seconds: i64,
}

impl Contexts {
    /// Whether nothing is kept up to date.
    pub fn is_empty(&self) -> bool {
        self.contexts.is_empty()
    }

    /// Whether one of this tag is there.
    pub fn has(&self, tag: &str) -> bool {
        self.contexts.iter().any(|kept| kept.context.tag == tag)
    }

    /// Keeps a search up to date from now on; its results, in the order asked for, are
    /// those of a snapshot that the client was told of.
    pub fn add(
        &mut self,
        context: Context,
        results: Vec<Uid>,
        (told, snapshot): (&Snapshot, &Snapshot),
    ) -> std::result::Result<(), Refused> {
        if self.has(&context.tag) {
            return Err(Refused::TagInUse);
        }
        if self.contexts.len() >= CONTEXTS || results.len() > RESULTS {
            return Err(Refused::TooMany);
        }
        match self.known.take() {
            // What changed until this search looked is news to the others.
            Some(known) if !self.contexts.is_empty() => self.note_changes(&known, snapshot),
            _ => *self = Self::default(),
        }
        self.known = Some(snapshot.clone());
        // Neither results nor changes from here on: to be looked at when they are told.
        let untold = told.difference(snapshot).added;
        let untold = untold.filter_map(|index| snapshot.row(index));
        self.untold.extend(untold.map(|row| row.uid));
        let mut bits = (0..u8::BITS).map(|place| 1 << place);
        let is_free = |bit: &u8| self.contexts.iter().all(|kept| kept.bit != *bit);
        let mut kept = Kept {
            members: results.clone(),
            sorted: Vec::new(),
            bit: bits.find(is_free).ok_or(Refused::TooMany)?,
            held: BTreeSet::new(),
            context,
        };
        kept.members.sort_unstable();
        if kept.is_sorted() {
            kept.sorted = results;
        }
        self.contexts.push(kept);
        Ok(())
    }

    /// Ends updates; says whether there was one of this tag (RFC 5267 section 4.3.5).
    pub fn cancel(&mut self, tag: &str) -> bool {
        let before = self.contexts.len();
        self.contexts.retain(|kept| kept.context.tag != tag);
        if self.contexts.is_empty() {
            *self = Self::default();
        }
        let bits = self.contexts.iter().fold(0, |bits, kept| bits | kept.bit);
        self.to_fetch.retain(|_, wanted| {
            *wanted &= bits;
            *wanted != 0
        });
        self.contexts.len() < before
    }

    /// The client was told that these messages are there, which are not its own doing.
    pub fn note_arrived(&mut self, uids: impl Iterator<Item = Uid>) {
        if self.fetches() {
            self.arrived.extend(uids);
        }
    }

    /// Whether attributes of new messages are to be told for any of them.
    pub fn fetches(&self) -> bool {
        let fetches = |kept: &Kept| !kept.context.items.is_empty();
        self.contexts.iter().any(fetches)
    }

    /// Whether attributes of new messages are to be told now.
    pub fn has_arrivals(&self) -> bool {
        !self.to_fetch.is_empty()
    }

    /// Takes the new messages whose attributes are to be told, with a bit for each search
    /// that asks for them: see [`Contexts::items_of`]. [`Contexts::tell_held`] is to follow.
    pub fn take_arrivals(&mut self) -> BTreeMap<Uid, u8> {
        std::mem::take(&mut self.to_fetch)
    }

    /// What is to be told for the searches of these bits, each item once.
    pub fn items_of(&self, bits: u8, items: &mut Vec<FetchItem>) {
        for kept in self.contexts.iter().filter(|kept| kept.bit & bits != 0) {
            for item in &kept.context.items {
                if !items.contains(item) {
                    items.push(item.clone());
                }
            }
        }
    }

    /// Tells which new messages came to results, after their attributes.
    ///
    /// # Errors
    /// When a message cannot be read.
    pub fn tell_held(&mut self, known: &Known<'_>, out: &mut Writer) -> Result<()> {
        for kept in &mut self.contexts {
            let held = std::mem::take(&mut kept.held).into_iter();
            let held: Vec<Uid> = held
                .filter(|uid| known.told.index_of(*uid).is_some() && !kept.holds(*uid))
                .collect();
            let added = kept.put_in(&held, known)?;
            kept.write(Change::AddTo, &added, known.told, out);
        }
        Ok(())
    }

    /// Whether messages are to be looked at that the client knows of.
    pub fn is_behind(&self) -> bool {
        !self.contexts.is_empty() && !self.pending.is_empty()
    }

    /// Tells that messages are gone, before their numbers go (RFC 5267 section 4.3.4).
    /// `expunged` are their places in what was told, ascending.
    pub fn remove_expunged(&mut self, told: &Snapshot, expunged: &[usize], out: &mut Writer) {
        if self.contexts.is_empty() {
            return;
        }
        let rows = expunged.iter().filter_map(|index| told.row(*index));
        let gone: Vec<Uid> = rows.map(|row| row.uid).collect();
        for kept in &mut self.contexts {
            let changes = kept.take_out(&gone);
            kept.write(Change::RemoveFrom, &changes, told, out);
        }
        self.pending.retain(|uid| gone.binary_search(uid).is_err());
        for uid in &gone {
            self.arrived.remove(uid);
            self.to_fetch.remove(uid);
            for kept in &mut self.contexts {
                kept.held.remove(uid);
            }
        }
    }

    /// Takes note of what came and changed, and tells of it what can be told at once.
    ///
    /// # Errors
    /// When a message cannot be read.
    pub fn update(&mut self, known: &Known<'_>, out: &mut Writer) -> Result<()> {
        if self.contexts.is_empty() {
            return Ok(());
        }
        let current = known.mailbox.snapshot();
        if let Some(before) = self.known.replace(current.clone()) {
            self.note_changes(&before, &current);
        }
        self.pending.append(&mut self.untold);
        if self.pending.len() > PENDING {
            let pending = self.pending.make_contiguous();
            pending.sort_unstable();
            let mut once: Vec<Uid> = pending.to_vec();
            once.dedup();
            self.pending = once.into();
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        let stepped = self.step(known, &current, out);
        if self.pending.is_empty() {
            self.arrived.clear();
        }
        stepped
    }

    fn note_changes(&mut self, before: &Snapshot, current: &Snapshot) {
        let difference = before.difference(current);
        self.pending.extend(difference.changed);
        let added = difference.added.filter_map(|index| current.row(index));
        self.pending.extend(added.map(|row| row.uid));
    }

    /// Looks at some messages. What was told of none waits until it is.
    fn step(&mut self, known: &Known<'_>, current: &Snapshot, out: &mut Writer) -> Result<()> {
        let evaluation = |kept: &Kept| {
            let manner = Manner {
                now_seconds: known.now_seconds,
                folding: kept.context.comparator.folding(),
            };
            Evaluation::new(current.clone(), &kept.context.key, manner)
        };
        let evaluations: Vec<Evaluation> = self.contexts.iter().map(evaluation).collect();
        let mut came = vec![Vec::new(); self.contexts.len()];
        let mut went = vec![Vec::new(); self.contexts.len()];
        let mut cost = 0;
        let mut looked = Ok(());
        'messages: while cost < STEP_COST {
            let Some(uid) = self.pending.pop_front() else {
                break;
            };
            if known.told.index_of(uid).is_none() {
                if current.index_of(uid).is_some() {
                    self.untold.push_back(uid);
                }
                continue;
            }
            let has_arrived = self.arrived.remove(&uid);
            let contexts = self.contexts.iter_mut().zip(&evaluations);
            for (((kept, evaluation), came), went) in contexts.zip(&mut came).zip(&mut went) {
                let scope = Scope {
                    mailbox: known.mailbox,
                    recent: &|uid| known.recent.contains(&uid),
                    saved: &[],
                };
                cost += LOOK_COST;
                let matches = match evaluation.matches(&scope, uid, &mut cost) {
                    Ok(Some(matches)) => matches,
                    // It is gone, but that is yet to be told.
                    Ok(None) | Err(Error::Expunged) => continue,
                    Err(error) => {
                        looked = Err(error);
                        break 'messages;
                    }
                };
                match (matches, kept.holds(uid)) {
                    (true, false) => {
                        if kept.is_sorted() {
                            cost += PLACE_COST;
                        }
                        if kept.held.contains(&uid) {
                            continue;
                        }
                        // What only changed its flags is not fetched (RFC 5465 section 7).
                        if has_arrived && !kept.context.items.is_empty() {
                            kept.held.insert(uid);
                            *self.to_fetch.entry(uid).or_default() |= kept.bit;
                        } else {
                            came.push(uid);
                        }
                    }
                    (false, true) => went.push(uid),
                    (false, false) => {
                        kept.held.remove(&uid);
                    }
                    (true, true) => {}
                }
            }
        }
        for ((kept, came), went) in self.contexts.iter_mut().zip(&mut came).zip(&mut went) {
            went.sort_unstable();
            went.dedup();
            let removed = kept.take_out(went);
            kept.write(Change::RemoveFrom, &removed, known.told, out);
            came.sort_unstable();
            came.dedup();
            let added = kept.put_in(came, known)?;
            kept.write(Change::AddTo, &added, known.told, out);
        }
        looked
    }
}

/// Messages and the position that the first of them has, from 1; 0 where the mailbox has
/// the order.
type Run = (usize, Vec<Uid>);

impl Kept {
    fn is_sorted(&self) -> bool {
        matches!(self.context.order, ResultOrder::Sorted(_))
    }

    /// Whether a message is among the results.
    fn holds(&self, uid: Uid) -> bool {
        self.members.binary_search(&uid).is_ok()
    }

    /// Takes out what is among the results of these, which are ascending. Runs are in the
    /// order in which they are to be told: from the end, so that none moves another.
    fn take_out(&mut self, uids: &[Uid]) -> Vec<Run> {
        let gone: Vec<Uid> = uids
            .iter()
            .copied()
            .filter(|uid| self.holds(*uid))
            .collect();
        if gone.is_empty() {
            return Vec::new();
        }
        let stays = |uid: &Uid| gone.binary_search(uid).is_err();
        self.members.retain(stays);
        if !self.is_sorted() {
            return vec![(0, gone)];
        }
        let mut runs: Vec<Run> = Vec::new();
        let mut before = None;
        for (place, uid) in self.sorted.iter().enumerate() {
            if stays(uid) {
                continue;
            }
            match runs.last_mut() {
                Some((_, run)) if before == place.checked_sub(1) => run.push(*uid),
                _ => runs.push((place + 1, vec![*uid])),
            }
            before = Some(place);
        }
        self.sorted.retain(stays);
        runs.reverse();
        runs
    }

    /// Puts in these, which are ascending and not among the results.
    fn put_in(&mut self, uids: &[Uid], known: &Known<'_>) -> Result<Vec<Run>> {
        if uids.is_empty() {
            return Ok(Vec::new());
        }
        let ResultOrder::Sorted(criteria) = &self.context.order else {
            self.members.extend(uids);
            self.members.sort_unstable();
            return Ok(vec![(0, uids.to_vec())]);
        };
        let mut runs: Vec<Run> = Vec::new();
        for uid in uids {
            let (mut first, mut end) = (0, self.sorted.len());
            while first < end {
                let middle = first.midpoint(end);
                let other = self.sorted.get(middle).copied().unwrap_or(*uid);
                match stands_first(known, criteria, self.context.comparator, (*uid, other))? {
                    true => end = middle,
                    false => first = middle + 1,
                }
            }
            self.sorted.insert(first.min(self.sorted.len()), *uid);
            match runs.last_mut() {
                Some((position, run)) if *position + run.len() == first + 1 => run.push(*uid),
                _ => runs.push((first + 1, vec![*uid])),
            }
        }
        self.members.extend(uids);
        self.members.sort_unstable();
        Ok(runs)
    }

    fn write(&self, change: Change, runs: &[Run], told: &Snapshot, out: &mut Writer) {
        let numbers = match out.dialect().messages {
            // RFC 9586 section 3: what was asked for before has no numbers any more either.
            Messages::ByUid => Numbers::Uid,
            Messages::BySequence => self.context.numbers,
        };
        let number = |uid: &Uid| match numbers {
            Numbers::Uid => Some(uid.get()),
            Numbers::Sequence => u32::try_from(told.index_of(*uid)? + 1).ok(),
        };
        let runs: Vec<(usize, Vec<u32>)> = runs
            .iter()
            .map(|(position, uids)| (*position, uids.iter().filter_map(number).collect()))
            .collect();
        if !runs.is_empty() {
            let update = ResultUpdate {
                tag: &self.context.tag,
                numbers,
                change,
                runs: &runs,
            };
            write_result_update(out, &update);
        }
    }
}

/// Whether a message stands before another.
fn stands_first(
    known: &Known<'_>,
    criteria: &[SortCriterion],
    comparator: Comparator,
    (uid, other): (Uid, Uid),
) -> Result<bool> {
    // Of equal ones the first in the mailbox is first.
    let pair = [uid.min(other), uid.max(other)];
    let candidates: Vec<Candidate> = pair
        .iter()
        .filter_map(|uid| known.told.row(known.told.index_of(*uid)?))
        .map(|row| Candidate::of(&row, 100))
        .collect();
    let mut sorting = Sorting::new(candidates, criteria, comparator);
    while sorting.step(known.mailbox)? == More::Follows {}
    let first = sorting.into_sorted().first().copied();
    let first = first.and_then(|place| pair.get(usize::try_from(place).ok()?));
    Ok(first == Some(&uid))
}
