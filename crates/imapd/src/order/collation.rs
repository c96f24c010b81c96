//! Comparators (RFC 4790, RFC 5255 section 4): in which order strings stand, and which
//! are equal.

use crate::grammar::command::Direction;
use std::cmp::Ordering;
use store::message::{Folding, casemap};

/// What strings are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Collation {
    /// i;unicode-casemap (RFC 5051).
    UnicodeCasemap,
    /// i;ascii-casemap (RFC 4790 section 9.2).
    AsciiCasemap,
    /// i;octet (RFC 4790 section 9.3), of text in UTF-8.
    Octet,
}

/// All of them, what matches first is preferred.
const COLLATIONS: [(Collation, &str); 3] = [
    (Collation::UnicodeCasemap, "i;unicode-casemap"),
    (Collation::AsciiCasemap, "i;ascii-casemap"),
    (Collation::Octet, "i;octet"),
];

/// No name of a comparator is longer, in octets (RFC 4790 section 3.1).
const NAME_OCTETS: usize = 254;

/// A comparator that SEARCH, SORT and THREAD use. Without COMPARATOR it is
/// i;unicode-casemap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparator {
    collation: Collation,
    direction: Direction,
}

impl Default for Comparator {
    fn default() -> Self {
        Self {
            collation: Collation::UnicodeCasemap,
            direction: Direction::Forward,
        }
    }
}

impl Comparator {
    /// Its name, with a sign if it orders backwards (RFC 4790 section 3.4,
    /// `collation-selected`).
    pub fn name(self) -> String {
        let names = COLLATIONS.iter();
        let mut named = names.filter(|(collation, _)| *collation == self.collation);
        let name = named.next().map_or("", |(_, name)| *name);
        match self.direction {
            Direction::Forward => name.to_owned(),
            Direction::Reverse => format!("-{name}"),
        }
    }

    /// The comparators that an order names (`collation-order`, in which `*` is any text),
    /// or "default"; `None` if it is no such order.
    pub fn matching(order: &str) -> Option<Vec<Self>> {
        if order.eq_ignore_ascii_case("default") {
            return Some(vec![Self::default()]);
        }
        let (direction, pattern) = match (order.strip_prefix('+'), order.strip_prefix('-')) {
            (_, Some(pattern)) => (Direction::Reverse, pattern),
            (Some(pattern), _) => (Direction::Forward, pattern),
            _ => (Direction::Forward, order),
        };
        let is_pattern = |octet: u8| octet.is_ascii_alphanumeric() || b"-;=.*".contains(&octet);
        if pattern.is_empty() || order.len() > NAME_OCTETS || !pattern.bytes().all(is_pattern) {
            return None;
        }
        let matching = COLLATIONS.iter().filter(|(_, name)| matches(pattern, name));
        let comparator = |(collation, _): &(Collation, &str)| Self {
            collation: *collation,
            direction,
        };
        Some(matching.map(comparator).collect())
    }

    /// How SEARCH compares. That of i;unicode-casemap also takes for one what differs in
    /// full case folding only, as sharp s and `ss`.
    pub fn folding(self) -> Folding {
        match self.collation {
            Collation::UnicodeCasemap => Folding::Full,
            Collation::AsciiCasemap => Folding::Ascii,
            Collation::Octet => Folding::None,
        }
    }

    /// An ordering of what was prepared, the right way round.
    pub fn directed(self, ordering: Ordering) -> Ordering {
        match self.direction {
            Direction::Forward => ordering,
            Direction::Reverse => ordering.reverse(),
        }
    }

    /// Appends a text in the form whose octets are compared.
    ///
    /// All text has become Unicode before, by guessing where a charset is unknown: step
    /// (b) of RFC 5255 section 4.6 never fails.
    pub fn prepare(self, text: &str, prepared: &mut Vec<u8>) {
        let start = prepared.len();
        match self.collation {
            Collation::UnicodeCasemap => casemap(text, prepared),
            Collation::Octet => prepared.extend_from_slice(text.as_bytes()),
            Collation::AsciiCasemap => {
                prepared.extend_from_slice(text.as_bytes());
                if let Some(added) = prepared.get_mut(start..) {
                    added.make_ascii_uppercase();
                }
            }
        }
    }
}

/// Whether a name is what a pattern stands for.
fn matches(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let mut rest = name;
    let Some(last) = pieces.next_back() else {
        return false;
    };
    let Some(first) = pieces.next() else {
        return name == last;
    };
    match rest.strip_prefix(first) {
        Some(after) => rest = after,
        None => return false,
    }
    for piece in pieces {
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Strings that were prepared, one after the other.
#[derive(Debug, Default)]
pub struct Strings {
    octets: Vec<u8>,
}

/// One of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Prepared {
    /// The first octets as a number: mostly it tells two strings apart.
    beginning: u64,
    start: u32,
    length: u32,
}

impl Prepared {
    /// The first octets as a number: of two strings, the one with the lower is the lesser.
    pub fn beginning(self) -> u64 {
        self.beginning
    }
}

/// How much memory strings take about, in octets, unless they are very many.
const STRINGS_OCTETS: usize = 64 << 20;
/// No string is cut shorter.
const SHORTEST: usize = 64;
/// No string need be longer: longer ones are not kept.
const LONGEST: usize = 4000;

impl Strings {
    /// How much of each of so many strings is looked at: all, unless they are very many.
    pub fn most_octets(count: usize) -> usize {
        (STRINGS_OCTETS / count.max(1)).clamp(SHORTEST, LONGEST)
    }

    /// Adds the beginning of a text.
    pub fn add(&mut self, text: &str, comparator: Comparator, most_octets: usize) -> Prepared {
        let start = self.octets.len();
        comparator.prepare(text, &mut self.octets);
        self.octets.truncate(start + most_octets);
        let added = self.octets.get(start..).unwrap_or_default();
        let mut beginning = [0; 8];
        for (octet, of_text) in beginning.iter_mut().zip(added) {
            *octet = *of_text;
        }
        let (Ok(start), Ok(length)) = (u32::try_from(start), u32::try_from(added.len())) else {
            // So many messages that 64 octets of each are too much.
            self.octets.truncate(start);
            return Prepared::default();
        };
        Prepared {
            beginning: u64::from_be_bytes(beginning),
            start,
            length,
        }
    }

    /// A string's octets.
    pub fn get(&self, string: Prepared) -> &[u8] {
        let start = usize::try_from(string.start).unwrap_or(usize::MAX);
        let length = usize::try_from(string.length).unwrap_or_default();
        let rest = self.octets.get(start..).unwrap_or_default();
        rest.get(..length).unwrap_or_default()
    }

    /// Compares octets; the empty string stands first.
    pub fn compare(&self, a: Prepared, b: Prepared) -> Ordering {
        let by_beginning = a.beginning.cmp(&b.beginning);
        by_beginning.then_with(|| self.get(a).cmp(self.get(b)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_compare_as_their_octets() {
        let texts = [
            "",
            "\u{0}",
            "a",
            "A",
            "ab",
            "abcdefgh",
            "abcdefghi",
            "ABCDEFGHJ",
            "_",
            "\u{e9}",
        ];
        let mut strings = Strings::default();
        let prepared: Vec<Prepared> = texts
            .iter()
            .map(|text| strings.add(text, Comparator::default(), 20))
            .collect();
        for (text, string) in texts.iter().zip(&prepared) {
            for (other, other_string) in texts.iter().zip(&prepared) {
                let (mut a, mut b) = (Vec::new(), Vec::new());
                casemap(text, &mut a);
                casemap(other, &mut b);
                assert_eq!(strings.compare(*string, *other_string), a.cmp(&b));
            }
        }
    }

    #[test]
    fn comparators_are_named_by_patterns() {
        let named = |order| {
            let matching = Comparator::matching(order)?;
            Some(
                matching
                    .into_iter()
                    .map(Comparator::name)
                    .collect::<Vec<_>>(),
            )
        };
        let unicode = "i;unicode-casemap";
        assert_eq!(named("default"), Some(vec![unicode.to_owned()]));
        assert_eq!(named(unicode), Some(vec![unicode.to_owned()]));
        assert_eq!(named("+i;octet"), Some(vec!["i;octet".to_owned()]));
        assert_eq!(named("-i;octet"), Some(vec!["-i;octet".to_owned()]));
        assert_eq!(named("i;*-casemap").map(|found| found.len()), Some(2));
        assert_eq!(named("*").map(|found| found.len()), Some(3));
        assert_eq!(named("i;*o*t").map(|found| found.len()), Some(1));
        assert_eq!(named("cz;*"), Some(Vec::new()));
        assert_eq!(named("i;basic"), Some(Vec::new()));
        for wrong in ["", "+", "i octet", "\u{e4}", &"*".repeat(300)] {
            assert_eq!(named(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn comparators_differ() {
        let prepared = |order, text: &str| {
            let mut prepared = Vec::new();
            let matching = Comparator::matching(order).expect("an order");
            matching
                .first()
                .expect("known")
                .prepare(text, &mut prepared);
            String::from_utf8(prepared).expect("text")
        };
        assert_eq!(prepared("i;octet", "a\u{e9}"), "a\u{e9}");
        assert_eq!(prepared("i;ascii-casemap", "a\u{e9}"), "A\u{e9}");
        assert_eq!(prepared("i;unicode-casemap", "a\u{e9}"), "AE\u{301}");
    }

    #[test]
    fn memory_is_bounded() {
        assert_eq!(Strings::most_octets(100), LONGEST);
        assert_eq!(Strings::most_octets(usize::MAX), SHORTEST);
        let mut strings = Strings::default();
        let long = "x".repeat(1000);
        for _ in 0..100 {
            strings.add(&long, Comparator::default(), 64);
        }
        assert_eq!(strings.octets.len(), 6400);
    }
}
