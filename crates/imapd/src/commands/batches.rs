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
    let told = view.told();
    let uid = |index: usize| told.row(index).map(|row| row.uid.get());
    let ranges = ranges(told.len(), asked, uid);
    out.produced(Batches::new(ranges)).crlf();
    Ok(Outcome::ok("UIDBATCHES completed"))
}

/// The highest and lowest UID of each batch. The last one ends with 1, by which clients
/// know it (section 3.1.4).
fn ranges(
    messages: usize,
    asked: UidBatches,
    uid: impl Fn(usize) -> Option<u32>,
) -> Vec<(u32, u32)> {
    let size = usize::try_from(asked.size.get()).unwrap_or(usize::MAX);
    let (first, last) = asked
        .range
        .map_or((1, u32::MAX), |(first, last)| (first.get(), last.get()));
    let mut ranges = Vec::new();
    for batch in first..=last {
        let before = usize::try_from(batch - 1).unwrap_or(usize::MAX);
        let end = messages.saturating_sub(size.saturating_mul(before));
        let begin = end.saturating_sub(size);
        let Some(highest) = end.checked_sub(1).and_then(&uid) else {
            break;
        };
        match begin {
            0 => ranges.push((highest, 1)),
            begin => ranges.push((highest, uid(begin).unwrap_or(1))),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    /// The batches of 2000, in a mailbox where each message's UID is what this makes of its
    /// sequence number.
    fn batches(
        messages: u32,
        range: Option<(u32, u32)>,
        uid: impl Fn(u32) -> u32,
    ) -> Vec<(u32, u32)> {
        let number = |number| NonZeroU32::new(number).expect("not 0");
        let asked = UidBatches {
            size: number(2_000),
            range: range.map(|(first, last)| (number(first), number(last))),
        };
        let uid_at = |index: usize| u32::try_from(index).ok().map(|index| uid(index + 1));
        ranges(messages as usize, asked, uid_at)
    }

    #[test]
    fn the_examples_of_section_3_1() {
        // Section 3.1.1: the highest and the lowest message of each batch have these UIDs.
        let told = [
            (6_823, 215_295),
            (4_824, 99_696),
            (4_823, 99_695),
            (2_824, 20_351),
            (2_823, 20_350),
            (824, 7_830),
            (823, 7_829),
        ];
        let uid = |number| {
            told.iter()
                .find(|(there, _)| *there == number)
                .map_or(number, |(_, uid)| *uid)
        };
        assert_eq!(
            batches(6_823, None, uid),
            [
                (215_295, 99_696),
                (99_695, 20_351),
                (20_350, 7_830),
                (7_829, 1)
            ]
        );
        // Section 3.1.5.
        let of_many = batches(100_000, Some((10, 20)), |number| number);
        assert_eq!(of_many.len(), 11);
        assert_eq!(of_many.first(), Some(&(82_000, 80_001)));
        assert_eq!(of_many.last(), Some(&(62_000, 60_001)));
        assert_eq!(batches(7_000, Some((1, 5)), |number| number).len(), 4);
        // Section 3.1.6.
        assert_eq!(batches(7_000, Some((6, 8)), |number| number), []);
        assert_eq!(batches(0, None, |number| number), []);
    }
}
