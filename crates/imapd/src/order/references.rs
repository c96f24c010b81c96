//! [`References`]: which message is an answer to which (RFC 5256 section 3, REFERENCES,
//! steps 1 to 3).

use super::forest::Forest;
use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;

/// So many messages that are not there can be referred to, and four for each that is; what
/// else is referred to does not count. A header names a hundred at no cost.
const ABSENT: usize = 100_000;
/// No message, no node.
const NONE: u32 = u32::MAX;

/// What messages tell of one another, as they come.
#[derive(Debug)]
pub struct References {
    /// The nodes of Message IDs.
    ids: HashMap<u128, u32>,
    /// Keys nobody can know, so that no two IDs can be made to have one hash.
    keys: [RandomState; 2],
    forest: Forest,
    /// The message of each node; none for one that is not there.
    messages: Vec<u32>,
    /// The node of each message.
    nodes: Vec<u32>,
    absent: usize,
    most_absent: usize,
}

/// Where a message belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// At the top.
    None,
    /// Below this message.
    Message(u32),
    /// Together with others below one that is not there: the number is its.
    Absent(u32),
}

impl References {
    /// For about so many messages.
    pub fn new(messages: usize) -> Self {
        Self {
            ids: HashMap::new(),
            keys: [RandomState::new(), RandomState::new()],
            forest: Forest::default(),
            messages: Vec::new(),
            nodes: Vec::with_capacity(messages),
            absent: 0,
            most_absent: ABSENT.max(messages.saturating_mul(4)),
        }
    }

    /// Adds the next message (step 1).
    pub fn add(&mut self, message_id: Option<&[u8]>, references: &[&[u8]]) {
        let message = u32::try_from(self.nodes.len()).unwrap_or(NONE);
        let node = self.own_node(message, message_id);
        self.nodes.push(node);
        // Step 1.A.
        let mut before = None;
        for reference in references {
            let Some(referred) = self.node_of(reference) else {
                continue;
            };
            if let Some(before) = before {
                self.forest.link(referred, before);
            }
            before = Some(referred);
        }
        // Step 1.B.
        self.forest.cut(node);
        if let Some(last) = before {
            self.forest.link(node, last);
        }
    }

    /// The node of a message: that of its ID, unless another message has it.
    fn own_node(&mut self, message: u32, message_id: Option<&[u8]>) -> u32 {
        let known = message_id.map(|id| self.ids.entry(hash(&self.keys, id)));
        let node = match known {
            Some(Entry::Occupied(known)) => {
                let node = *known.get();
                let of_node = self.messages.get_mut(index(node));
                if let Some(of_node) = of_node.filter(|message| **message == NONE) {
                    *of_node = message;
                    self.absent = self.absent.saturating_sub(1);
                    return node;
                }
                self.forest.add()
            }
            Some(Entry::Vacant(unknown)) => *unknown.insert(self.forest.add()),
            None => self.forest.add(),
        };
        self.messages.push(message);
        node
    }

    /// The node of a message that is referred to.
    fn node_of(&mut self, message_id: &[u8]) -> Option<u32> {
        match self.ids.entry(hash(&self.keys, message_id)) {
            Entry::Occupied(known) => Some(*known.get()),
            Entry::Vacant(_) if self.absent >= self.most_absent => None,
            Entry::Vacant(unknown) => {
                self.absent += 1;
                self.messages.push(NONE);
                Some(*unknown.insert(self.forest.add()))
            }
        }
    }

    /// Each message's parent (steps 2 and 3): nodes without message are taken out, and
    /// stay at the top only where they hold several together.
    pub fn into_parents(self) -> Vec<Parent> {
        // What is above each node without message: a node with one, or the uppermost.
        let mut above = vec![NONE; self.forest.len()];
        let mut path = Vec::new();
        let mut parents: Vec<Parent> = Vec::with_capacity(self.nodes.len());
        let mut members: HashMap<u32, u32> = HashMap::new();
        for node in &self.nodes {
            let mut at = match self.forest.parent(*node) {
                None => {
                    parents.push(Parent::None);
                    continue;
                }
                Some(parent) => parent,
            };
            let end = loop {
                if self.message(at) != NONE {
                    break at;
                }
                match above.get(index(at)) {
                    Some(known) if *known != NONE => break *known,
                    _ => path.push(at),
                }
                match self.forest.parent(at) {
                    Some(parent) => at = parent,
                    None => break at,
                }
            };
            for node in path.drain(..) {
                if let Some(above) = above.get_mut(index(node)) {
                    *above = end;
                }
            }
            parents.push(match self.message(end) {
                NONE => {
                    *members.entry(end).or_default() += 1;
                    Parent::Absent(end)
                }
                message => Parent::Message(message),
            });
        }
        for parent in &mut parents {
            if let Parent::Absent(node) = parent
                && members.get(node) == Some(&1)
            {
                *parent = Parent::None;
            }
        }
        parents
    }

    fn message(&self, node: u32) -> u32 {
        self.messages.get(index(node)).copied().unwrap_or(NONE)
    }
}

fn hash(keys: &[RandomState; 2], message_id: &[u8]) -> u128 {
    let [first, second] = keys;
    u128::from(first.hash_one(message_id)) << 64 | u128::from(second.hash_one(message_id))
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages as their ID and references, in words.
    fn parents(messages: &[(&str, &str)]) -> Vec<Parent> {
        let mut references = References::new(messages.len());
        for (id, referred) in messages {
            let referred: Vec<&[u8]> = referred.split_whitespace().map(str::as_bytes).collect();
            let id = Some(id.as_bytes()).filter(|id| !id.is_empty());
            references.add(id, &referred);
        }
        references.into_parents()
    }

    #[test]
    fn answers_are_below_what_they_answer() {
        use Parent::{Absent, Message, None};
        // In any order they come.
        assert_eq!(
            parents(&[("c", "a b"), ("a", ""), ("b", "a")]),
            [Message(2), None, Message(1)]
        );
        // Who is not there joins what refers to it, but never one message alone.
        let both = parents(&[("b", "x y"), ("c", "x y")]);
        assert!(matches!(both[..], [Absent(a), Absent(b)] if a == b));
        assert_eq!(parents(&[("b", "x y"), ("", "")]), [None, None]);
        assert_eq!(parents(&[("a", ""), ("b", "a x y z")]), [None, Message(0)]);
        // Of several with one ID the first has it.
        assert_eq!(
            parents(&[("a", ""), ("a", ""), ("b", "a")]),
            [None, None, Message(0)]
        );
        // A message's own last reference counts more than what others tell (step 1.B).
        assert_eq!(
            parents(&[("c", "a b"), ("b", "x"), ("a", "")])[..2],
            [Message(1), None]
        );
    }

    #[test]
    fn no_circle_is_closed() {
        use Parent::{Message, None};
        assert_eq!(parents(&[("a", "a")]), [None]);
        assert_eq!(parents(&[("a", "b"), ("b", "a")]), [Message(1), None]);
        assert_eq!(
            parents(&[("a", "c"), ("b", "a"), ("c", "b")]),
            [Message(2), Message(0), None]
        );
        parents(&[("a", "b c a b c"), ("b", "c a b"), ("c", "a b c a")]);
    }

    /// What only a hostile sender makes: long chains that name one another.
    #[test]
    fn hostile_references_take_about_linear_time() {
        const COUNT: usize = 100_000;
        let ids: Vec<String> = (0..COUNT).map(|number| number.to_string()).collect();
        let mut references = References::new(COUNT);
        for (number, id) in ids.iter().enumerate() {
            // Backwards, in circles, and to the beginning.
            let referred: Vec<&[u8]> = (0..20)
                .map(|step| ids[(number * 7 + step * 4_999) % COUNT].as_bytes())
                .chain([ids[(number + 1) % COUNT].as_bytes()])
                .collect();
            references.add(Some(id.as_bytes()), &referred);
        }
        assert_eq!(references.into_parents().len(), COUNT);
        let mut references = References::new(10);
        for number in 0..3_000 {
            let absent: Vec<String> = (0..100).map(|step| format!("{number}-{step}")).collect();
            let referred: Vec<&[u8]> = absent.iter().map(|id| id.as_bytes()).collect();
            references.add(None, &referred);
        }
        assert_eq!(references.forest.len(), ABSENT + 3_000);
        assert_eq!(references.into_parents(), vec![Parent::None; 3_000]);
    }
}
