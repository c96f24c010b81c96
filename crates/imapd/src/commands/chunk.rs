//! Messages that are looked at together.

use std::collections::VecDeque;
use std::ops::Range;
use store::Snapshot;

/// Of so many octets they are together, but for the last of them: whoever waits for the
/// first waits until all are read.
const OCTETS: u64 = 32 << 20;

/// Takes the next of the messages in these ranges of a snapshot, at most so many, and
/// fewer where they are large; none only where none are left.
pub fn take(
    ranges: &mut VecDeque<Range<usize>>,
    snapshot: &Snapshot,
    most: usize,
) -> VecDeque<usize> {
    let mut chunk = VecDeque::new();
    let mut octets = 0_u64;
    while chunk.len() < most && octets < OCTETS {
        let Some(range) = ranges.front_mut() else {
            break;
        };
        match range.next() {
            Some(index) => {
                let size_octets = snapshot.row(index).map_or(0, |row| row.size_octets);
                octets = octets.saturating_add(size_octets);
                chunk.push_back(index);
            }
            None => {
                ranges.pop_front();
            }
        }
    }
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::{Account, Layout, MailboxName};

    #[test]
    fn large_messages_are_few() {
        let directory = tempfile::tempdir().expect("directory");
        let root = directory.path();
        let layout = Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let account = Account::open(root, layout).expect("account");
        for (number, octets) in [10, OCTETS / 2, OCTETS / 2, OCTETS * 9, 10, 10]
            .iter()
            .enumerate()
        {
            // As their names say.
            let name = format!("cur/{number}.M1P1.h,W={octets}:2,");
            std::fs::write(root.join(name), "x\n").expect("written");
        }
        let mailbox = account.mailbox(&MailboxName::inbox()).expect("INBOX");
        let snapshot = mailbox.snapshot();
        let mut ranges = VecDeque::from([0..2, 2..2, 2..6]);
        let mut taken = Vec::new();
        loop {
            let chunk = take(&mut ranges, &snapshot, 2 + taken.len());
            if chunk.is_empty() {
                break;
            }
            taken.push(chunk);
        }
        assert_eq!(taken, [vec![0, 1], vec![2, 3], vec![4, 5]]);
    }
}
