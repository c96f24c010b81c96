//! STORE (RFC 3501 section 6.4.6, RFC 7162 section 3.1.3), EXPUNGE, UID EXPUNGE.

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
use store::{FlagAction, Flags, Uid};

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
pub fn store(
    view: &mut View,
    store: &Store,
    (enabled, limit): (&mut Enabled, MessageLimit),
) -> Ran {
    need_write(view)?;
    let (ranges, reached) = limit.cut(view, view.resolve(&store.set, store.numbers)?);
    if store.unchanged_since.is_some() {
        enabled.enable_condstore();
    }
    let uids = view.uids(&ranges);
    let before = view.mailbox().snapshot();
    let outcome = view.mailbox().store_flags(
        &uids,
        store.action,
        store.flags,
        &store.keywords,
        store.unchanged_since,
    )?;
    let left: HashSet<Uid> = outcome
        .modified
        .iter()
        .chain(&outcome.expunged)
        .copied()
        .collect();
    if store.silent == Silent::Yes {
        let after = view.mailbox().snapshot();
        for uid in uids.iter().filter(|uid| !left.contains(uid)) {
            let row = |snapshot: &store::Snapshot| {
                let row = snapshot.of_uid(*uid)?;
                Some((row.modseq, row.flags))
            };
            // What another session changed meanwhile is still to be told.
            if let (Some((old_modseq, old)), Some((modseq, flags))) = (row(&before), row(&after))
                && view.knows(*uid, old_modseq)
                && flags == applied(old, store)
            {
                view.note(*uid, modseq);
            }
        }
    }
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
    let reply = if !outcome.modified.is_empty() {
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
        format!(
            "OK [MODIFIED {}] Conditional STORE failed",
            show_set(modified)
        )
    } else if !outcome.expunged.is_empty() && store.numbers == Numbers::Sequence {
        // RFC 2180 section 4.2.1: with .SILENT all that could be done was done.
        match store.silent {
            Silent::Yes => "OK [EXPUNGEISSUED] Some of the messages were expunged".to_owned(),
            Silent::No => "NO [EXPUNGEISSUED] Some of the messages were expunged".to_owned(),
        }
    } else {
        "OK STORE completed".to_owned()
    };
    let silent_without_news = store.silent == Silent::Yes && !enabled.condstore();
    let ranges = if silent_without_news {
        Vec::new()
    } else if reached.is_some() {
        descending(gather(told))
    } else {
        gather(told)
    };
    Ok(Outcome::Fetching(Box::new(Fetching::stored(
        (ranges, reached),
        items,
        reply,
    ))))
}

fn applied(flags: Flags, store: &Store) -> Flags {
    match store.action {
        FlagAction::Add => flags.with(store.flags),
        FlagAction::Remove => flags.without(store.flags),
        FlagAction::Replace => store.flags,
    }
}

/// Removes what is marked `\Deleted`, of a set of UIDs or of all.
/// EXPUNGE and CLOSE have no limit (RFC 9738 section 3.1).
pub fn expunge(
    view: &View,
    set: Option<&SequenceSet>,
    limit: MessageLimit,
) -> Result<Option<Reached>, Outcome> {
    let current = view.mailbox().snapshot();
    let among: Option<HashSet<Uid>> = match set {
        Some(set) => {
            let ranges = view.resolve(set, Numbers::Uid)?;
            Some(view.uids(&ranges).into_iter().collect())
        }
        None => None,
    };
    let uids: Vec<Uid> = current
        .rows()
        .filter(|row| row.flags.contains(Flags::DELETED))
        .map(|row| row.uid)
        .filter(|uid| among.as_ref().is_none_or(|among| among.contains(uid)))
        .collect();
    let (uids, reached) = match set {
        Some(_) => limit.cut_uids(uids),
        None => (uids, None),
    };
    if !uids.is_empty() {
        view.mailbox().expunge(&uids)?;
    }
    Ok(reached)
}

/// EXPUNGE and UID EXPUNGE (RFC 4315).
pub fn expunge_command(
    view: &View,
    set: Option<&SequenceSet>,
    (enabled, limit): (Enabled, MessageLimit),
    out: &mut Writer,
) -> Ran {
    need_write(view)?;
    let reached = expunge(view, set, limit)?;
    let outcome = expunged(view, enabled, "EXPUNGE completed");
    Ok(match reached {
        Some(reached) => reached.told_with(outcome, out),
        None => outcome,
    })
}

/// OK after expunging: with the highest mod-sequence where the client follows those
/// (RFC 7162 section 3.2.7).
pub fn expunged(view: &View, enabled: Enabled, text: &str) -> Outcome {
    if enabled.condstore() {
        let modseq = view.mailbox().snapshot().highest_modseq();
        return Outcome::Ok(format!("[HIGHESTMODSEQ {modseq}] {text}"));
    }
    Outcome::ok(text)
}
