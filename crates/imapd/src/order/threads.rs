//! [`Threads`]: what THREAD answers, and how it is written (RFC 5256 section 4).

use super::references::Parent;
use crate::response::{More, Produce, Writer};
use std::collections::HashMap;

/// Nothing.
const NONE: u32 = u32::MAX;

/// Threads of messages, ready to be written.
#[derive(Debug, Default)]
pub struct Threads {
    /// The messages' numbers; what has a place behind them is not there and holds
    /// messages together.
    numbers: Vec<u32>,
    /// The first below each.
    first: Vec<u32>,
    last: Vec<u32>,
    /// The next beside each.
    next: Vec<u32>,
    /// The uppermost.
    roots: Vec<u32>,
    /// What is written next.
    pending: u32,
    /// What follows each parenthesis that is open.
    open: Vec<u32>,
    /// How many messages are still to be written.
    left: usize,
}

impl Threads {
    /// Puts messages below their parents. They come in the order in which siblings stand;
    /// what is not there stands where the first that it holds together would stand.
    pub fn new(parents: &[Parent], ordered: &[u32]) -> Self {
        let mut threads = Self {
            first: vec![NONE; parents.len()],
            last: vec![NONE; parents.len()],
            next: vec![NONE; parents.len()],
            pending: NONE,
            ..Self::default()
        };
        let mut absent: HashMap<u32, u32> = HashMap::new();
        for message in ordered {
            match parents.get(index(*message)) {
                None => {}
                Some(Parent::None) => threads.roots.push(*message),
                Some(Parent::Message(parent)) => threads.put_below(*parent, *message),
                Some(Parent::Absent(number)) => {
                    let place = *absent
                        .entry(*number)
                        .or_insert_with(|| threads.add_absent());
                    threads.put_below(place, *message);
                }
            }
        }
        threads
    }

    fn add_absent(&mut self) -> u32 {
        let place = u32::try_from(self.first.len()).unwrap_or(NONE);
        for links in [&mut self.first, &mut self.last, &mut self.next] {
            links.push(NONE);
        }
        self.roots.push(place);
        place
    }

    fn put_below(&mut self, parent: u32, message: u32) {
        let before = self.last.get(index(parent)).copied().unwrap_or(NONE);
        let links = match before {
            NONE => self.first.get_mut(index(parent)),
            before => self.next.get_mut(index(before)),
        };
        if let Some(link) = links {
            *link = message;
        }
        if let Some(last) = self.last.get_mut(index(parent)) {
            *last = message;
        }
    }

    /// The uppermost, in their order.
    pub fn roots(&self) -> &[u32] {
        &self.roots
    }

    /// Sorts the uppermost by the highest of what their messages have; equal ones stay as
    /// they stand.
    pub fn sort_by_highest(&mut self, values: &[i64]) {
        let mut keyed: Vec<(i64, u32)> = Vec::with_capacity(self.roots.len());
        let mut waiting = Vec::new();
        for root in &self.roots {
            let mut highest = i64::MIN;
            waiting.push(*root);
            while let Some(at) = waiting.pop() {
                highest = highest.max(values.get(index(at)).copied().unwrap_or(i64::MIN));
                let mut below = self.first(at);
                while below != NONE {
                    waiting.push(below);
                    below = self.next(below);
                }
            }
            keyed.push((highest, *root));
        }
        keyed.sort_by_key(|(highest, _)| *highest);
        self.roots = keyed.into_iter().map(|(_, root)| root).collect();
    }

    /// A message at the top, or the first of those that one holds together that is not
    /// there.
    pub fn first_message(&self, root: u32, messages: usize) -> u32 {
        match index(root) < messages {
            true => root,
            false => self.first(root),
        }
    }

    /// Makes the places numbers, to be written.
    pub fn numbered(mut self, numbers: Vec<u32>) -> Self {
        self.left = numbers.len();
        self.numbers = numbers;
        self.roots.reverse();
        self
    }

    fn first(&self, at: u32) -> u32 {
        self.first.get(index(at)).copied().unwrap_or(NONE)
    }

    fn next(&self, at: u32) -> u32 {
        self.next.get(index(at)).copied().unwrap_or(NONE)
    }

    /// Closes what ends after a message without messages below it, and opens what comes
    /// next.
    fn close(&mut self, out: &mut Writer) {
        while let Some(beside) = self.open.pop() {
            out.text(")");
            if beside != NONE {
                self.begin(beside, out);
                return;
            }
        }
    }

    fn begin(&mut self, at: u32, out: &mut Writer) {
        out.text("(");
        let beside = self.next(at);
        self.open.push(beside);
        self.pending = at;
    }
}

impl Produce for Threads {
    fn items(&self) -> usize {
        self.left
    }

    /// Writes one place and the parentheses around it. How deep threads nest is bounded
    /// by nothing but memory.
    fn produce(&mut self, out: &mut Writer) -> More {
        if self.pending == NONE {
            let Some(root) = self.roots.pop() else {
                return More::Nothing;
            };
            self.begin(root, out);
        }
        let at = std::mem::replace(&mut self.pending, NONE);
        let number = self.numbers.get(index(at));
        if let Some(number) = number {
            out.number((*number).into());
            self.left = self.left.saturating_sub(1);
        }
        let below = self.first(at);
        if below == NONE {
            self.close(out);
        } else {
            if number.is_some() {
                out.text(" ");
            }
            match self.next(below) {
                NONE => self.pending = below,
                _ => self.begin(below, out),
            }
        }
        More::Follows
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(parents: &[Parent], numbers: &[u32]) -> String {
        let ordered: Vec<u32> = (0..parents.len() as u32).collect();
        let threads = Threads::new(parents, &ordered).numbered(numbers.to_vec());
        let mut writer = Writer::new();
        writer.produced(threads);
        String::from_utf8(writer.into_octets()).expect("ASCII")
    }

    #[test]
    fn rfc_5256_section_4() {
        use Parent::{Absent, Message, None};
        let parents = [
            None,
            None,
            Message(1),
            Message(2),
            Message(3),
            Message(2),
            Message(5),
            Message(6),
        ];
        let shown = written(&parents, &[2, 3, 6, 4, 23, 44, 7, 96]);
        assert_eq!(shown, "(2)(3 6 (4 23)(44 7 96))");
        assert_eq!(written(&[Absent(9), Absent(9)], &[3, 5]), "((3)(5))");
        let parents = [Absent(9), Absent(9), Message(1), Message(1), None];
        assert_eq!(written(&parents, &[1, 2, 3, 4, 5]), "((1)(2 (3)(4)))(5)");
        assert_eq!(written(&[], &[]), "");
    }

    #[test]
    fn depth_is_no_matter() {
        let count = 200_000;
        let chain: Vec<Parent> = (0..count)
            .map(|number: u32| number.checked_sub(1).map_or(Parent::None, Parent::Message))
            .collect();
        let ordered: Vec<u32> = (0..count).collect();
        let threads = Threads::new(&chain, &ordered).numbered(ordered.clone());
        let mut out = Writer::new();
        let mut threads = threads;
        while threads.produce(&mut out) == More::Follows {}
        let text = String::from_utf8(out.into_octets()).expect("ASCII");
        assert!(text.starts_with("(0 1 2 ") && text.ends_with("199999)"));
        // A comb: each has two below it.
        let comb: Vec<Parent> = (0..count)
            .map(|number: u32| {
                let above = number.checked_sub(1).map(|above| above / 2 * 2);
                above.map_or(Parent::None, Parent::Message)
            })
            .collect();
        let mut threads = Threads::new(&comb, &ordered).numbered(ordered);
        let mut out = Writer::new();
        while threads.produce(&mut out) == More::Follows {}
        let text = String::from_utf8(out.into_octets()).expect("ASCII");
        let count = |octet| text.bytes().filter(|other| *other == octet).count();
        assert_eq!(count(b'('), count(b')'));
    }

    #[test]
    fn the_uppermost_are_sorted_by_their_newest() {
        use Parent::{Message, None};
        let parents = [None, None, Message(0), None];
        let ordered = [0, 1, 2, 3];
        let mut threads = Threads::new(&parents, &ordered);
        threads.sort_by_highest(&[1, 5, 9, 5]);
        assert_eq!(threads.roots(), [1, 3, 0]);
    }
}
