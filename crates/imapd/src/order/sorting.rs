//! [`Sorting`]: a SORT under way (RFC 5256 section 3).

use super::collation::{Comparator, Prepared, Strings};
use super::facts::{Facts, Text, WithReferences};
use super::merge::{Merge, key_of};
use super::reading::{Candidate, Reading};
use crate::grammar::command::{Direction, SortCriterion, SortKey};
use crate::response::More;
use std::cmp::Ordering;
use store::{Mailbox, Result};

/// Messages being sorted.
#[derive(Debug)]
pub struct Sorting {
    candidates: Vec<Candidate>,
    comparator: Comparator,
    columns: Vec<Column>,
    strings: Strings,
    most_octets: usize,
    reading: Option<Reading>,
    /// Begun when all is read.
    merge: Option<Merge>,
}

/// What one criterion sorts by, for each message.
#[derive(Debug)]
struct Column {
    criterion: SortCriterion,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Numbers(Vec<i64>),
    Texts(Text, Vec<Prepared>),
}

impl Sorting {
    /// Begins to sort messages that stand in mailbox order.
    pub fn new(
        candidates: Vec<Candidate>,
        criteria: &[SortCriterion],
        comparator: Comparator,
    ) -> Self {
        let count = candidates.len();
        Self::among(candidates, criteria, comparator, count)
    }

    /// As [`Sorting::new`], in the order in which they stand among `count` messages.
    pub(super) fn among(
        candidates: Vec<Candidate>,
        criteria: &[SortCriterion],
        comparator: Comparator,
        count: usize,
    ) -> Self {
        let mut columns: Vec<Column> = Vec::new();
        for criterion in criteria {
            // What was compared before decides nothing.
            if !columns
                .iter()
                .any(|column| column.criterion.key == criterion.key)
            {
                columns.push(Column::new(*criterion, &candidates));
            }
        }
        let is_text = |column: &&Column| matches!(column.values, Values::Texts(..));
        let texts = columns.iter().filter(is_text).count();
        let reads = columns
            .iter()
            .any(|column| column.criterion.key.is_of_facts());
        Self {
            comparator,
            columns,
            strings: Strings::default(),
            most_octets: Strings::most_octets(count.saturating_mul(texts)),
            reading: reads.then(Reading::default),
            merge: None,
            candidates,
        }
    }

    /// Goes on.
    ///
    /// # Errors
    /// When a message cannot be read.
    pub fn step(&mut self, mailbox: &Mailbox) -> Result<More> {
        let Self {
            candidates,
            comparator,
            columns,
            strings,
            most_octets,
            reading,
            merge,
        } = self;
        if let Some(under_way) = reading {
            let read =
                under_way.step(mailbox, candidates, WithReferences::No, |place, facts| {
                    let candidate = candidates.get(place);
                    let internal_date = candidate.map_or(0, |candidate| candidate.internal_date);
                    for column in columns.iter_mut() {
                        let mut add = |text: &str| strings.add(text, *comparator, *most_octets);
                        column.take(facts, internal_date, &mut add);
                    }
                })?;
            if read == More::Nothing {
                *reading = None;
            }
            return Ok(More::Follows);
        }
        let merge = merge.get_or_insert_with(|| {
            let keys = |column: &Column| -> Vec<u64> { column.keys(*comparator).collect() };
            let none = || vec![0; candidates.len()];
            Merge::new(columns.first().map_or_else(none, keys).into_iter())
        });
        Ok(merge.step(|a, b| {
            let differ = columns
                .iter()
                .map(|column| column.compare(a, b, strings, *comparator));
            let differ = differ.fold(Ordering::Equal, Ordering::then);
            differ.then(a.cmp(&b))
        }))
    }

    /// The places of the messages, in order.
    pub fn into_sorted(self) -> Vec<u32> {
        self.merge.map(Merge::into_sorted).unwrap_or_default()
    }
}

impl SortKey {
    /// Whether it needs more than a mailbox knows of each message.
    pub(super) fn is_of_facts(self) -> bool {
        !matches!(self, Self::Arrival | Self::Size | Self::Relevancy)
    }
}

impl Column {
    fn new(criterion: SortCriterion, candidates: &[Candidate]) -> Self {
        let texts = |text| Values::Texts(text, Vec::with_capacity(candidates.len()));
        let numbers = |number: fn(&Candidate) -> i64| {
            Values::Numbers(candidates.iter().map(number).collect())
        };
        let values = match criterion.key {
            // RFC 6203 section 6: the highest is first.
            SortKey::Relevancy => numbers(|candidate| -i64::from(candidate.relevancy)),
            SortKey::Arrival => numbers(|candidate| candidate.internal_date),
            SortKey::Size => {
                numbers(|candidate| i64::try_from(candidate.size_octets).unwrap_or(i64::MAX))
            }
            SortKey::Date => Values::Numbers(Vec::with_capacity(candidates.len())),
            SortKey::Subject => texts(Text::Subject),
            SortKey::From => texts(Text::From),
            SortKey::To => texts(Text::To),
            SortKey::Cc => texts(Text::Cc),
            SortKey::DisplayFrom => texts(Text::DisplayFrom),
            SortKey::DisplayTo => texts(Text::DisplayTo),
        };
        Self { criterion, values }
    }

    /// Takes what the next message is sorted by.
    fn take(
        &mut self,
        facts: &Facts<'_>,
        internal_date: i64,
        add: &mut dyn FnMut(&str) -> Prepared,
    ) {
        match &mut self.values {
            // RFC 5256 section 2.2: the internal date stands in for the sent date.
            Values::Numbers(numbers) if self.criterion.key == SortKey::Date => {
                numbers.push(facts.sent.unwrap_or(internal_date));
            }
            Values::Numbers(_) => {}
            Values::Texts(text, texts) => texts.push(add(facts.text(*text))),
        }
    }

    /// Numbers that are in the order of [`Column::compare`], for each message; the same
    /// where they do not tell two apart.
    fn keys(&self, comparator: Comparator) -> impl Iterator<Item = u64> {
        let (numbers, texts) = match &self.values {
            Values::Numbers(numbers) => (Some(numbers.iter()), None),
            Values::Texts(_, texts) => (None, Some(texts.iter())),
        };
        let of_numbers = numbers.into_iter().flatten().map(|number| key_of(*number));
        let of_texts = texts.into_iter().flatten().map(move |text| {
            let backwards = comparator.directed(Ordering::Less) == Ordering::Greater;
            match backwards {
                true => !text.beginning(),
                false => text.beginning(),
            }
        });
        let is_reverse = self.criterion.direction == Direction::Reverse;
        let keys = of_numbers.chain(of_texts);
        keys.map(move |key| if is_reverse { !key } else { key })
    }

    fn compare(&self, a: u32, b: u32, strings: &Strings, comparator: Comparator) -> Ordering {
        let index = |place: u32| usize::try_from(place).unwrap_or(usize::MAX);
        let (a, b) = (index(a), index(b));
        let ordering = match &self.values {
            Values::Numbers(numbers) => numbers.get(a).cmp(&numbers.get(b)),
            Values::Texts(_, texts) => match (texts.get(a), texts.get(b)) {
                (Some(a), Some(b)) => comparator.directed(strings.compare(*a, *b)),
                _ => Ordering::Equal,
            },
        };
        match self.criterion.direction {
            Direction::Forward => ordering,
            Direction::Reverse => ordering.reverse(),
        }
    }
}
