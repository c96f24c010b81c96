//! UIDBATCHES (RFC 10022): UID ranges that divide the mailbox into batches.

use super::{Outcome, Ran};
use crate::grammar::command::UidBatches;
use crate::response::{Batches, Writer};
use crate::view::View;

/// The smallest batch (section 3.1.3.2).
const LEAST: u32 = 500;
/// So many messages the batches of a range may have together (section 3.1.5).
const MOST: u64 = 100_000;

/// UIDBATCHES: batch 1 has the highest UIDs.
pub fn uid_batches(view: &mut View, asked: UidBatches, tag: &str, out: &mut Writer) -> Ran {
    let size = asked.size.get();
    if let Some((first, last)) = asked.range {
        if last < first {
            return Err(Outcome::bad("[CLIENTBUG] Invalid batch range"));
        }
        let batches = u64::from(last.get() - first.get()) + 1;
        if size >= LEAST && batches * u64::from(size) > MOST {
            return Err(Outcome::no("[TOOMANY] Too many messages"));
        }
    }
    if size < LEAST {
        return Err(Outcome::no("[TOOFEW] Minimum batch size is 500"));
    }
    if !view.may_batch(asked) {
        return Err(Outcome::no(
            "[LIMIT] The batches are as they were told, or nearly so",
        ));
    }
    out.text("* UIDBATCHES (TAG ")
        .string(tag.as_bytes())
        .text(")");
    out.produced(Batches::new(ranges(view, asked))).crlf();
    Ok(Outcome::ok("UIDBATCHES completed"))
}

/// The highest and lowest UID of each batch. The last one ends with 1, by which clients
/// know it (section 3.1.4).
fn ranges(view: &View, asked: UidBatches) -> Vec<(u32, u32)> {
    let told = view.told();
    let uid = |index: usize| told.row(index).map(|row| row.uid.get());
    let size = usize::try_from(asked.size.get()).unwrap_or(usize::MAX);
    let (first, last) = asked
        .range
        .map_or((1, u32::MAX), |(first, last)| (first.get(), last.get()));
    let mut ranges = Vec::new();
    for batch in first..=last {
        let before = usize::try_from(batch - 1).unwrap_or(usize::MAX);
        let end = told.len().saturating_sub(size.saturating_mul(before));
        let begin = end.saturating_sub(size);
        let Some(highest) = end.checked_sub(1).and_then(uid) else {
            break;
        };
        match begin {
            0 => ranges.push((highest, 1)),
            begin => ranges.push((highest, uid(begin).unwrap_or(1))),
        }
    }
    ranges
}
