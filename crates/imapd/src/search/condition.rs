//! [`Condition`]: a SEARCH key made ready for a mailbox.

use super::Manner;
use crate::fuzzy::Words;
use crate::grammar::command::{Date, SearchKey};
use crate::grammar::sequence::SequenceSet;
use memchr::memmem::Finder;
use std::ops::RangeInclusive;
use store::message::{Folding, LISTED_FIELDS, WithHeaders, decode_header, fold};
use store::{Flags, Snapshot, Uid};

/// Seconds of a day.
pub(super) const DAY_SECONDS: i64 = 86_400;

/// A key made ready: sets resolved, strings folded, keywords looked up, cheap
/// conditions first.
pub(super) enum Condition {
    Always,
    Never,
    All(Vec<Condition>),
    Either(Box<(Condition, Condition)>),
    Not(Box<Condition>),
    Flagged(Flags),
    Recent,
    Keyword(u16),
    Days(RangeInclusive<i64>),
    SentDays(RangeInclusive<i64>),
    SaveDays(RangeInclusive<i64>),
    EmailId(String),
    Dates(RangeInclusive<i64>),
    Sizes(RangeInclusive<u64>),
    Indices(Vec<RangeInclusive<u32>>),
    Uids(Vec<RangeInclusive<u32>>),
    Saved,
    ModSeq(u64),
    Header(HeaderCondition),
    /// Folded already, if text is folded in full.
    Text(String, WithHeaders, Folding),
    /// In the field of this name, in lower case.
    FuzzyHeader(String, Words),
    FuzzyText(Words, WithHeaders),
}

pub(super) struct HeaderCondition {
    /// In lower case.
    pub(super) name: String,
    /// Boxed: a finder is big. `None` asks for the field only.
    value: Option<Box<Finder<'static>>>,
    folding: Folding,
}

impl Condition {
    /// What a condition costs: 0 memory only, 1 a cached summary, 2 the header, 3 the text.
    fn cost(&self) -> u32 {
        match self {
            Self::All(conditions) => conditions.iter().map(Self::cost).max().unwrap_or(0),
            Self::Either(conditions) => conditions.0.cost().max(conditions.1.cost()),
            Self::Not(condition) => condition.cost(),
            Self::SentDays(_) => 1,
            Self::Header(header) if header.is_listed() => 1,
            Self::Header(_) => 2,
            Self::FuzzyHeader(name, _) if is_listed(name) => 1,
            Self::FuzzyHeader(..) => 2,
            Self::Text(..) | Self::FuzzyText(..) => 3,
            _ => 0,
        }
    }

    fn text(text: &str, with_headers: WithHeaders, folding: Folding) -> Self {
        let text = match folding {
            Folding::Full => fold(text),
            Folding::Ascii | Folding::None => text.to_owned(),
        };
        Self::Text(text, with_headers, folding)
    }

    /// How many conditions it is made of.
    pub(super) fn count(&self) -> u64 {
        match self {
            Self::All(conditions) => 1 + conditions.iter().map(Self::count).sum::<u64>(),
            Self::Either(conditions) => 1 + conditions.0.count() + conditions.1.count(),
            Self::Not(condition) => 1 + condition.count(),
            _ => 1,
        }
    }
}

impl HeaderCondition {
    fn is_listed(&self) -> bool {
        is_listed(&self.name)
    }

    pub(super) fn matches(&self, raw: &[u8]) -> bool {
        self.value.as_ref().is_none_or(|value| {
            let text = decode_header(raw);
            let text = self.folding.fold(&text);
            value.find(text.as_bytes()).is_some()
        })
    }
}

/// Whether summaries keep a field, named in lower case.
pub(super) fn is_listed(name: &str) -> bool {
    LISTED_FIELDS.contains(&name.as_bytes())
}

/// A key that FUZZY stands before. What is not of words is what it is without (RFC 6203
/// section 5).
fn prepare_fuzzy(snapshot: &Snapshot, manner: Manner, key: &SearchKey) -> Condition {
    match key {
        SearchKey::And(keys) => {
            let conditions = keys.iter().map(|key| prepare_fuzzy(snapshot, manner, key));
            let mut conditions: Vec<Condition> = conditions.collect();
            conditions.sort_by_key(Condition::cost);
            Condition::All(conditions)
        }
        SearchKey::Or(left, right) => Condition::Either(Box::new((
            prepare_fuzzy(snapshot, manner, left),
            prepare_fuzzy(snapshot, manner, right),
        ))),
        SearchKey::Not(key) => not(prepare_fuzzy(snapshot, manner, key)),
        SearchKey::Fuzzy(key) => prepare_fuzzy(snapshot, manner, key),
        SearchKey::Header { name, value } => match Words::of(value) {
            Some(words) => Condition::FuzzyHeader(name.to_ascii_lowercase(), words),
            None => prepare(snapshot, manner, key),
        },
        SearchKey::Body(text) | SearchKey::Text(text) => match (Words::of(text), key) {
            (Some(words), SearchKey::Body(_)) => Condition::FuzzyText(words, WithHeaders::No),
            (Some(words), _) => Condition::FuzzyText(words, WithHeaders::Yes),
            (None, _) => prepare(snapshot, manner, key),
        },
        key => prepare(snapshot, manner, key),
    }
}

/// Makes a key ready. The grammar caps how deep keys nest, so recursion is bounded.
pub(super) fn prepare(snapshot: &Snapshot, manner: Manner, key: &SearchKey) -> Condition {
    let Manner {
        now_seconds,
        folding,
    } = manner;
    match key {
        SearchKey::All => Condition::Always,
        SearchKey::And(keys) => {
            let mut conditions: Vec<Condition> = keys
                .iter()
                .map(|key| prepare(snapshot, manner, key))
                .collect();
            conditions.sort_by_key(Condition::cost);
            Condition::All(conditions)
        }
        SearchKey::Or(left, right) => {
            let (mut left, mut right) = (
                prepare(snapshot, manner, left),
                prepare(snapshot, manner, right),
            );
            if right.cost() < left.cost() {
                std::mem::swap(&mut left, &mut right);
            }
            Condition::Either(Box::new((left, right)))
        }
        SearchKey::Not(key) => not(prepare(snapshot, manner, key)),
        SearchKey::Flagged(flags) => Condition::Flagged(*flags),
        SearchKey::Unflagged(flags) => not(Condition::Flagged(*flags)),
        SearchKey::Recent => Condition::Recent,
        SearchKey::New => Condition::All(vec![
            not(Condition::Flagged(Flags::SEEN)),
            Condition::Recent,
        ]),
        SearchKey::Old => not(Condition::Recent),
        SearchKey::Keyword(name) => keyword(snapshot, name),
        SearchKey::Unkeyword(name) => not(keyword(snapshot, name)),
        SearchKey::Before(date) => Condition::Days(before(*date)),
        SearchKey::On(date) => Condition::Days(date.0..=date.0),
        SearchKey::Since(date) => Condition::Days(date.0..=i64::MAX),
        SearchKey::SentBefore(date) => Condition::SentDays(before(*date)),
        SearchKey::SentOn(date) => Condition::SentDays(date.0..=date.0),
        SearchKey::SentSince(date) => Condition::SentDays(date.0..=i64::MAX),
        SearchKey::SavedBefore(date) => Condition::SaveDays(before(*date)),
        SearchKey::SavedOn(date) => Condition::SaveDays(date.0..=date.0),
        SearchKey::SavedSince(date) => Condition::SaveDays(date.0..=i64::MAX),
        SearchKey::SaveDateSupported => Condition::Always,
        SearchKey::EmailId(id) => Condition::EmailId(id.clone()),
        // RFC 8474 section 5.2: nothing has one.
        SearchKey::ThreadId(_) => Condition::Never,
        SearchKey::Older(seconds) => {
            Condition::Dates(i64::MIN..=now_seconds.saturating_sub(i64::from(*seconds)))
        }
        SearchKey::Younger(seconds) => {
            Condition::Dates(now_seconds.saturating_sub(i64::from(*seconds))..=i64::MAX)
        }
        SearchKey::Larger(octets) => match octets.checked_add(1) {
            Some(least) => Condition::Sizes(least..=u64::MAX),
            None => Condition::Never,
        },
        SearchKey::Smaller(octets) => match octets.checked_sub(1) {
            Some(most) => Condition::Sizes(0..=most),
            None => Condition::Never,
        },
        SearchKey::Header { name, value } => Condition::Header(HeaderCondition {
            name: name.to_ascii_lowercase(),
            value: (!value.is_empty())
                .then(|| Box::new(Finder::new(folding.fold(value).as_bytes()).into_owned())),
            folding,
        }),
        SearchKey::Body(text) | SearchKey::Text(text) if text.is_empty() => Condition::Always,
        SearchKey::Body(text) => Condition::text(text, WithHeaders::No, folding),
        SearchKey::Text(text) => Condition::text(text, WithHeaders::Yes, folding),
        SearchKey::Sequence(SequenceSet::Saved) | SearchKey::Uid(SequenceSet::Saved) => {
            Condition::Saved
        }
        SearchKey::Sequence(set) => {
            let largest = u32::try_from(snapshot.len()).unwrap_or(u32::MAX);
            Condition::Indices(set.resolve(largest))
        }
        SearchKey::Uid(set) => {
            let largest = snapshot.last_uid();
            Condition::Uids(set.resolve(largest.map_or(0, Uid::get)))
        }
        SearchKey::ModSeq(modseq) => Condition::ModSeq(*modseq),
        SearchKey::Fuzzy(key) => prepare_fuzzy(snapshot, manner, key),
        // What it holds stands in its place before.
        SearchKey::Filter(_) => Condition::Never,
    }
}

fn not(condition: Condition) -> Condition {
    match condition {
        Condition::Always => Condition::Never,
        Condition::Never => Condition::Always,
        Condition::Not(condition) => *condition,
        condition => Condition::Not(Box::new(condition)),
    }
}

fn before(date: Date) -> RangeInclusive<i64> {
    i64::MIN..=date.0.saturating_sub(1)
}

fn keyword(snapshot: &Snapshot, name: &str) -> Condition {
    snapshot
        .keywords()
        .iter()
        .position(|keyword| keyword.eq_ignore_ascii_case(name))
        .and_then(|index| u16::try_from(index).ok())
        .map_or(Condition::Never, Condition::Keyword)
}
