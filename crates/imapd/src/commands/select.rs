//! SELECT and EXAMINE (RFC 3501 section 6.3.1, RFC 7162 section 3.2.5, RFC 9051 section
//! 6.3.2).

use super::fetch::Fetching;
use super::{Outcome, Ran, list};
use crate::capability::{Capabilities, Capability, Enabled};
use crate::dialect::{Messages, Revision};
use crate::grammar::command::{Condstore, Numbers, Qresync, Select, SequenceMatch};
use crate::grammar::sequence::{Bound, SequenceSet};
use crate::response::{Produce, Runs, Writer, show_identifier};
use crate::view::{Access, View};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::task::Waker;
use std::time::Instant;
use store::{Account, Uid, Vanished};

/// Opens a mailbox, which the client called `supplied`, and tells of it. The view is there
/// unless the command failed.
pub fn select(
    (account, supplied): (&Account, &str),
    select: &Select,
    access: Access,
    (on, enabled): (Capabilities, &mut Enabled),
    (waker, now): (Waker, Instant),
    out: &mut Writer,
) -> Result<(View, Outcome), Outcome> {
    let name = account.parse_name(&select.mailbox)?;
    let view = View::open(account, name, access, &waker, now)?;
    if select.condstore == Condstore::Asked {
        enabled.enable_condstore();
    }
    write_state(&view, on, out);
    if out.dialect().revision == Revision::Rev2 {
        list::write_one(account, view.name(), supplied, out)?;
    }
    let text = match access {
        Access::ReadWrite => "[READ-WRITE] SELECT completed",
        Access::ReadOnly => "[READ-ONLY] EXAMINE completed",
    };
    let outcome = match &select.qresync {
        Some(known) if known.uid_validity == view.told().uid_validity() => {
            resynchronize(&view, known, text, out)?
        }
        _ => Outcome::ok(text),
    };
    Ok((view, outcome))
}

fn write_state(view: &View, on: Capabilities, out: &mut Writer) {
    let told = view.told();
    view.write_flag_names(told, out);
    let count = told.len() as u64;
    out.text("* ").number(count).text(" EXISTS").crlf();
    let dialect = out.dialect();
    if dialect.revision == Revision::Rev1 {
        let recent = view.recent_count() as u64;
        out.text("* ").number(recent).text(" RECENT").crlf();
    }
    // RFC 9051 has no UNSEEN, and RFC 9586 section 3 no sequence numbers.
    if dialect.revision == Revision::Rev1
        && dialect.messages == Messages::BySequence
        && let Some(index) = told.first_unseen()
    {
        let number = index as u64 + 1;
        out.text("* OK [UNSEEN ")
            .number(number)
            .text("] ")
            .human("First unseen message")
            .crlf();
    }
    let validity = u64::from(told.uid_validity().get());
    out.text("* OK [UIDVALIDITY ")
        .number(validity)
        .text("] ")
        .human("UIDs valid")
        .crlf();
    let next = u64::from(told.uid_next().get());
    out.text("* OK [UIDNEXT ")
        .number(next)
        .text("] ")
        .human("Predicted next UID")
        .crlf();
    if on.has(Capability::Condstore) {
        view.write_highest_modseq(out);
    }
    if on.has(Capability::ObjectId) {
        // RFC 8474 section 4.2.
        out.text("* OK [MAILBOXID (")
            .text(&show_identifier(&view.mailbox().guid()))
            .text(")] ")
            .human("Mailbox identifier")
            .crlf();
    }
}

/// Tells what changed since the client was here last.
fn resynchronize(view: &View, known: &Qresync, text: &str, out: &mut Writer) -> Ran {
    let everything = SequenceSet::Ranges(vec![(Bound::Number(NonZeroU32::MIN), Bound::Star)]);
    let known_uids = known.known_uids.as_ref();
    let largest = view.told().uid_next().get().saturating_sub(1);
    let ranges = known_uids.unwrap_or(&everything).resolve(largest);
    let ranges = above(&ranges, settled(view, &known.sequence_match));
    write_vanished_earlier(view, known.modseq, &ranges, out);
    let indices = view.resolve(known_uids.unwrap_or(&everything), Numbers::Uid)?;
    Ok(Outcome::Fetching(Box::new(Fetching::changes(
        view,
        indices,
        known.modseq,
        text,
    ))))
}

/// The UID up to which the client knows of every expunge: that of the last pair that
/// is still right (RFC 7162 section 3.2.5.2), 0 if none is.
fn settled(view: &View, pairs: &[SequenceMatch]) -> u32 {
    let told = view.told();
    let in_place = |pair: &SequenceMatch| {
        // From one message to the next a UID grows by 1 at least: within a run the
        // messages whose UID is no larger than the client says come first.
        let sequence_at = |offset: u32| pair.sequence.checked_add(offset);
        let uid_now = |offset: u32| {
            let index = usize::try_from(sequence_at(offset)?).ok()?.checked_sub(1)?;
            told.row(index).map(|row| row.uid.get())
        };
        let is_past = |offset| match (uid_now(offset), pair.uid.checked_add(offset)) {
            (Some(now), Some(said)) => now > said,
            _ => true,
        };
        let (mut first, mut end) = (0, pair.count);
        while first < end {
            let middle = first + (end - first) / 2;
            if is_past(middle) {
                end = middle;
            } else {
                first = middle + 1;
            }
        }
        let last = first.checked_sub(1)?;
        let said = pair.uid.checked_add(last)?;
        (uid_now(last) == Some(said)).then_some(said)
    };
    pairs.iter().rev().find_map(in_place).unwrap_or_default()
}

/// What of ascending disjoint ranges lies above a number.
fn above(ranges: &[RangeInclusive<u32>], number: u32) -> Vec<RangeInclusive<u32>> {
    let clipped = |range: &RangeInclusive<u32>| {
        let first = (*range.start()).max(number.checked_add(1)?);
        (first <= *range.end()).then(|| first..=*range.end())
    };
    ranges.iter().filter_map(clipped).collect()
}

/// Writes VANISHED (EARLIER) for the UIDs of these ascending disjoint ranges that
/// were expunged after a mod-sequence.
pub fn write_vanished_earlier(
    view: &View,
    modseq: u64,
    ranges: &[RangeInclusive<u32>],
    out: &mut Writer,
) {
    let told = view.told();
    let gone = match view.mailbox().vanished_since(modseq) {
        Vanished::Exactly(uids) => Runs::new(
            uids.into_iter()
                .map(Uid::get)
                .filter(|uid| crate::grammar::sequence::holds(ranges, *uid))
                .filter(|uid| Uid::new(*uid).is_some_and(|uid| told.index_of(uid).is_none())),
        ),
        Vanished::Unknown => {
            let last = told.uid_next().get().saturating_sub(1);
            Runs::of(gaps(ranges, last, told.rows().map(|row| row.uid.get())))
        }
    };
    if gone.items() > 0 {
        out.text("* VANISHED (EARLIER) ").produced(gone).crlf();
    }
}

/// The numbers of the ranges up to `last` that are not among `present`
/// (ascending), as runs.
fn gaps(
    ranges: &[RangeInclusive<u32>],
    last: u32,
    present: impl Iterator<Item = u32>,
) -> Vec<(u32, u32)> {
    let mut present = present.peekable();
    let mut gaps = Vec::new();
    for range in ranges {
        let mut first = *range.start();
        let end = (*range.end()).min(last);
        while first <= end {
            while present.next_if(|uid| *uid < first).is_some() {}
            let stop = present.peek().copied().filter(|uid| *uid <= end);
            let gap_end = stop.map_or(end, |uid| uid - 1);
            if first <= gap_end {
                gaps.push((first, gap_end));
            }
            match stop.unwrap_or(end).checked_add(1) {
                Some(next) => first = next,
                None => return gaps,
            }
        }
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::{above, gaps};

    #[test]
    fn what_lies_above() {
        assert_eq!(above(&[1..=3, 5..=7], 0), [1..=3, 5..=7]);
        assert_eq!(above(&[1..=3, 5..=7], 5), [6..=7]);
        assert!(above(&[1..=u32::MAX], u32::MAX).is_empty());
    }

    #[test]
    fn gaps_are_what_is_not_there() {
        let show = |ranges: &[_], last| gaps(ranges, last, [2, 3, 7, 9].into_iter());
        assert_eq!(show(&[1..=20], 12), [(1, 1), (4, 6), (8, 8), (10, 12)]);
        assert_eq!(show(&[2..=3, 5..=7], 12), [(5, 6)]);
        assert_eq!(
            show(&[1..=u32::MAX], u32::MAX),
            [(1, 1), (4, 6), (8, 8), (10, u32::MAX)]
        );
        assert!(show(&[5..=20], 4).is_empty());
    }
}
