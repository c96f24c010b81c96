//! STORE (RFC 3501 section 6.4.6, RFC 7162 section 3.1.3), EXPUNGE, UID EXPUNGE.

use super::changing::{Change, Changing};
use super::fetch::Fetching;
use super::{Outcome, Ran};
use crate::capability::Enabled;
use crate::dialect::Messages;
use crate::grammar::command::{FetchItem, Numbers, Silent, Store};
use crate::grammar::sequence::SequenceSet;
use crate::limit::{MessageLimit, Reached, descending};
use crate::response::{Writer, show_set};
use crate::view::{Access, View, gather};
use std::collections::HashSet;
use std::ops::Range;
use store::{FlagOutcome, Flags, Uid};

/// Why nothing can be changed.
const READ_ONLY: &str = "[CANNOT] The mailbox is selected read-only";

/// Fails unless the mailbox was selected read-write.
pub fn need_write(view: &View) -> Result<(), Outcome> {
    match view.access() {
        Access::ReadWrite => Ok(()),
        Access::ReadOnly => Err(Outcome::no(READ_ONLY)),
    }
}

/// STORE and UID STORE.
pub fn store(view: &View, store: Store, (enabled, limit): (&mut Enabled, MessageLimit)) -> Ran {
    need_write(view)?;
    let (ranges, reached) = limit.cut(view, view.resolve(&store.set, store.numbers)?);
    if store.unchanged_since.is_some() {
        enabled.enable_condstore();
    }
    let uids = view.uids(&ranges);
    let storing = Storing {
        store,
        ranges,
        reached,
        outcome: FlagOutcome::default(),
    };
    Ok(Changing::begin(uids, Change::Store(storing)))
}

/// A STORE under way.
pub struct Storing {
    store: Store,
    /// What it works on, as indices of what the client knows.
    ranges: Vec<Range<usize>>,
    /// More messages were named than it may work on.
    reached: Option<Reached>,
    outcome: FlagOutcome,
}

impl Storing {
    /// Changes some messages.
    pub(super) fn step(&mut self, view: &View, uids: &[Uid]) -> Result<(), Outcome> {
        let store = &self.store;
        let outcome = view.mailbox().store_flags(
            uids,
            store.action,
            store.flags,
            &store.keywords,
            store.unchanged_since,
        )?;
        if store.silent == Silent::Yes {
            self.outcome.stored.extend(outcome.stored);
        }
        self.outcome.modified.extend(outcome.modified);
        self.outcome.expunged.extend(outcome.expunged);
        Ok(())
    }

    /// Tells what was done. Who stored silently knows what it came to, unless another session
    /// changed the message before and that is still to be told.
    pub(super) fn finish(self, view: &mut View, enabled: Enabled) -> Outcome {
        let Self {
            store,
            ranges,
            reached,
            outcome,
        } = self;
        for stored in &outcome.stored {
            if view.knows(stored.uid, stored.before) {
                view.note(stored.uid, stored.modseq);
            }
        }
        let left = left(&outcome);
        let told: Vec<usize> = ranges
            .iter()
            .cloned()
            .flatten()
            .filter(|index| {
                let row = view.told().row(*index);
                row.is_some_and(|row| !left.contains(&row.uid))
            })
            .collect();
        let mut items = Vec::new();
        let is_uid_told = enabled.dialect().messages == Messages::ByUid;
        if !is_uid_told && (store.numbers == Numbers::Uid || enabled.condstore()) {
            items.push(FetchItem::Uid);
        }
        if store.silent == Silent::No {
            items.push(FetchItem::Flags);
        }
        if enabled.condstore() {
            items.push(FetchItem::ModSeq);
        }
        let reply = reply(&store, &outcome, view);
        let silent_without_news = store.silent == Silent::Yes && !enabled.condstore();
        let ranges = if silent_without_news {
            Vec::new()
        } else if reached.is_some() {
            descending(gather(told))
        } else {
            gather(told)
        };
        Outcome::Fetching(Box::new(Fetching::stored((ranges, reached), items, reply)))
    }
}

/// What was not changed.
fn left(outcome: &FlagOutcome) -> HashSet<Uid> {
    let left = outcome.modified.iter().chain(&outcome.expunged);
    left.copied().collect()
}

/// The tagged reply, condition included.
fn reply(store: &Store, outcome: &FlagOutcome, view: &View) -> String {
    const GONE: &str = "Some of the messages were expunged";
    let is_gone = !outcome.expunged.is_empty() && store.numbers == Numbers::Sequence;
    // RFC 2180 section 4.2: with .SILENT all that could be done was done.
    let condition = match store.silent {
        Silent::No if is_gone => "NO",
        _ => "OK",
    };
    if !outcome.modified.is_empty() {
        let mut modified: Vec<u32> = match store.numbers {
            Numbers::Uid => outcome.modified.iter().map(|uid| uid.get()).collect(),
            Numbers::Sequence => outcome
                .modified
                .iter()
                .filter_map(|uid| view.told().index_of(*uid))
                .filter_map(|index| u32::try_from(index + 1).ok())
                .collect(),
        };
        modified.sort_unstable();
        // RFC 7162 section 3.1.3, example 11: the code goes with NO too.
        let text = match condition {
            "NO" => GONE,
            _ => "Conditional STORE failed",
        };
        format!("{condition} [MODIFIED {}] {text}", show_set(modified))
    } else if is_gone {
        format!("{condition} [EXPUNGEISSUED] {GONE}")
    } else {
        "OK STORE completed".to_owned()
    }
}

/// EXPUNGE, and UID EXPUNGE (RFC 4315) of a set. EXPUNGE and CLOSE have no limit (RFC 9738
/// section 3.1).
pub fn expunge(view: &View, set: Option<&SequenceSet>, limit: MessageLimit) -> Ran {
    need_write(view)?;
    let uids = marked(view, set)?;
    let (uids, reached) = match set {
        Some(_) => limit.cut_uids(uids),
        None => (uids, None),
    };
    let expunging = Expunging {
        reached,
        after: After::Stays,
    };
    Ok(Changing::begin(uids, Change::Expunge(expunging)))
}

/// CLOSE of a mailbox that was selected read-write.
pub fn close(view: &View) -> Ran {
    let expunging = Expunging {
        reached: None,
        after: After::Closed,
    };
    Ok(Changing::begin(
        marked(view, None)?,
        Change::Expunge(expunging),
    ))
}

/// What is marked `\Deleted`, of a set of UIDs or of all.
fn marked(view: &View, set: Option<&SequenceSet>) -> Result<Vec<Uid>, Outcome> {
    let among: Option<HashSet<Uid>> = match set {
        Some(set) => {
            let ranges = view.resolve(set, Numbers::Uid)?;
            Some(view.uids(&ranges).into_iter().collect())
        }
        None => None,
    };
    let current = view.mailbox().snapshot();
    let marked = current
        .rows()
        .filter(|row| row.flags.contains(Flags::DELETED))
        .map(|row| row.uid);
    let is_among = |uid: &Uid| among.as_ref().is_none_or(|among| among.contains(uid));
    Ok(marked.filter(is_among).collect())
}

/// What becomes of the mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// It stays selected.
    Stays,
    /// It is closed, and nothing is told of it (RFC 3501 section 6.4.2).
    Closed,
}

/// An EXPUNGE or CLOSE under way.
pub struct Expunging {
    /// More messages were named than it may work on.
    reached: Option<Reached>,
    after: After,
}

impl Expunging {
    /// The text of the tagged reply.
    pub(super) fn completed(&self) -> &'static str {
        match self.after {
            After::Stays => "EXPUNGE completed",
            After::Closed => "CLOSE completed",
        }
    }

    /// Whether the mailbox is closed with it.
    pub(super) fn closes(&self) -> bool {
        self.after == After::Closed
    }

    pub(super) fn finish(self, view: &View, enabled: Enabled, out: &mut Writer) -> Outcome {
        let outcome = match self.after {
            After::Stays => expunged(view, enabled, self.completed()),
            After::Closed => Outcome::ok(self.completed()),
        };
        match self.reached {
            Some(reached) => reached.told_with(outcome, out),
            None => outcome,
        }
    }
}

/// OK after expunging: with the highest mod-sequence where the client follows those
/// (RFC 7162 section 3.2.7).
pub fn expunged(view: &View, enabled: Enabled, text: &str) -> Outcome {
    if enabled.condstore() {
        let modseq = view.highest_modseq();
        return Outcome::Ok(format!("[HIGHESTMODSEQ {modseq}] {text}"));
    }
    Outcome::ok(text)
}
