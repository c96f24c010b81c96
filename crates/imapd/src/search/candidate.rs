//! [`Candidate`]: a message that is tested.

use super::Scope;
use super::condition::{Condition, DAY_SECONDS, HeaderCondition, is_listed};
use crate::grammar::sequence::holds;
use std::io::Read;
use std::sync::Arc;
use store::message::{Folding, Piece, Summary, decode_header, fold, header_values, parse_date};
use store::{Error, MessageRow, OpenedMessage, Result};

/// How much of a message's header is looked at.
const HEADER_OCTETS: u64 = 1 << 20;
/// What looking at a header that is kept costs.
const LOOKUP_COST: u64 = 2_000;
/// What opening a message's file costs.
const OPENING_COST: u64 = 40_000;

/// A message that is looked at; what is read of it is kept until the next.
pub(super) struct Candidate<'a> {
    scope: &'a Scope<'a>,
    index: usize,
    row: MessageRow<'a>,
    summary: Option<Arc<Summary>>,
    listed_header: Option<Option<Arc<Vec<u8>>>>,
    texts_searched: u64,
    opened: Option<OpenedMessage>,
    header: Option<Arc<Vec<u8>>>,
    /// The sum of how relevant it is by what was matched fuzzily, and by how much.
    relevancies: (u32, u32),
}

impl<'a> Candidate<'a> {
    pub(super) fn new(scope: &'a Scope<'a>, index: usize, row: MessageRow<'a>) -> Self {
        Self {
            scope,
            index,
            row,
            summary: None,
            listed_header: None,
            texts_searched: 0,
            opened: None,
            header: None,
            relevancies: (0, 0),
        }
    }

    /// How relevant it is, from 1 to 100: all that was matched fuzzily counts alike.
    pub(super) fn relevancy(&self) -> u8 {
        let (sum, count) = self.relevancies;
        let mean = sum.checked_div(count).unwrap_or(100);
        u8::try_from(mean.clamp(1, 100)).unwrap_or(100)
    }

    /// Takes note of how well words were found; says whether they were.
    fn is_found(&mut self, relevancy: Option<u8>) -> bool {
        if let Some(relevancy) = relevancy {
            self.relevancies.0 += u32::from(relevancy);
            self.relevancies.1 += 1;
        }
        relevancy.is_some()
    }

    pub(super) fn matches(&mut self, condition: &Condition) -> Result<bool> {
        Ok(match condition {
            Condition::Always => true,
            Condition::Never => false,
            Condition::All(conditions) => {
                for condition in conditions {
                    if !self.matches(condition)? {
                        return Ok(false);
                    }
                }
                true
            }
            Condition::Either(conditions) => {
                self.matches(&conditions.0)? || self.matches(&conditions.1)?
            }
            Condition::Not(condition) => !self.matches(condition)?,
            Condition::Flagged(flags) => self.row.flags.contains(*flags),
            Condition::Recent => (self.scope.recent)(self.row.uid),
            Condition::Keyword(index) => self.row.keywords.contains(index),
            Condition::Days(days) => {
                days.contains(&self.row.internal_date.0.div_euclid(DAY_SECONDS))
            }
            Condition::SentDays(days) => self.sent_day()?.is_some_and(|day| days.contains(&day)),
            Condition::SaveDays(days) => {
                days.contains(&self.row.saved_date().0.div_euclid(DAY_SECONDS))
            }
            Condition::EmailId(id) => self.scope.mailbox.email_id(&self.row)? == *id,
            Condition::Dates(dates) => dates.contains(&self.row.internal_date.0),
            Condition::Sizes(sizes) => sizes.contains(&self.row.size_octets),
            Condition::Indices(ranges) => u32::try_from(self.index)
                .ok()
                .and_then(|index| index.checked_add(1))
                .is_some_and(|number| holds(ranges, number)),
            Condition::Uids(ranges) => holds(ranges, self.row.uid.get()),
            Condition::Saved => self.scope.saved.binary_search(&self.row.uid).is_ok(),
            Condition::ModSeq(modseq) => self.row.modseq >= *modseq,
            Condition::Header(header) => self.header_matches(header)?,
            Condition::FuzzyHeader(name, words) => {
                let values = self.header_values(name)?;
                let best = values.iter().filter_map(|value| {
                    let mut looking = words.looking();
                    looking.push(&fold(&decode_header(value)));
                    looking.relevancy()
                });
                let best = best.max();
                self.is_found(best)
            }
            Condition::FuzzyText(words, with_headers) => {
                self.texts_searched += 1;
                let mut looking = words.looking();
                let mut take = |text: &str| looking.push(text);
                let uid = self.row.uid;
                self.scope.mailbox.say_text(uid, *with_headers, &mut take)?;
                // A word counts more in a field that was asked for than in all the text.
                let relevancy = looking.relevancy().map(|found| (found / 10 * 7).max(1));
                self.is_found(relevancy)
            }
            Condition::Text(needle, with_headers, folding) => {
                self.texts_searched += 1;
                let (mailbox, uid) = (self.scope.mailbox, self.row.uid);
                match folding {
                    Folding::Full => mailbox.text_contains(uid, needle, *with_headers)?,
                    Folding::Ascii | Folding::None => {
                        mailbox.text_contains_by(uid, needle, *with_headers, *folding)?
                    }
                }
            }
        })
    }

    /// The Date field's day, in its own zone (RFC 3501: disregarding time and zone).
    fn sent_day(&mut self) -> Result<Option<i64>> {
        let summary = self.summary()?;
        let date = summary.envelope.date.as_deref().and_then(parse_date);
        Ok(date.map(|(seconds, zone)| {
            seconds
                .saturating_add(i64::from(zone))
                .div_euclid(DAY_SECONDS)
        }))
    }

    /// Any field of that name counts (RFC 3501 section 6.4.4); those that the summary
    /// keeps need no file.
    fn header_matches(&mut self, condition: &HeaderCondition) -> Result<bool> {
        let values = self.header_values(&condition.name)?;
        Ok(values.iter().any(|value| condition.matches(value)))
    }

    /// All fields of a name, which is in lower case.
    fn header_values(&mut self, name: &str) -> Result<Vec<Vec<u8>>> {
        let listed = match is_listed(name) {
            true => self.listed_header()?,
            false => None,
        };
        Ok(match listed {
            Some(listed) => header_values(&listed, name.as_bytes()),
            None => header_values(&self.header()?, name.as_bytes()),
        })
    }

    /// What looking at it cost, about in octets read.
    pub(super) fn cost(&self) -> u64 {
        let opened = match &self.opened {
            None if self.summary.is_some() => OPENING_COST,
            None if self.listed_header.is_some() => LOOKUP_COST,
            None => 0,
            Some(_) => OPENING_COST.saturating_add(self.row.size_octets),
        };
        // As if none were kept.
        let text_cost = OPENING_COST.saturating_add(self.row.size_octets);
        let texts = self.texts_searched.saturating_mul(text_cost);
        let opened = opened.saturating_add(texts);
        let header = self.header.as_ref().map_or(0, |header| header.len() as u64);
        opened.saturating_add(header)
    }

    fn listed_header(&mut self) -> Result<Option<Arc<Vec<u8>>>> {
        if let Some(listed) = &self.listed_header {
            return Ok(listed.clone());
        }
        let listed = self.scope.mailbox.listed_header(self.row.uid)?;
        let listed = listed.map(Arc::new);
        self.listed_header = Some(listed.clone());
        Ok(listed)
    }

    fn summary(&mut self) -> Result<Arc<Summary>> {
        if let Some(summary) = &self.summary {
            return Ok(Arc::clone(summary));
        }
        let summary = self.scope.mailbox.summary(self.row.uid)?;
        self.summary = Some(Arc::clone(&summary));
        Ok(summary)
    }

    fn opened(&mut self) -> Result<OpenedMessage> {
        if let Some(opened) = &self.opened {
            return Ok(opened.clone());
        }
        let opened = self.scope.mailbox.open_message(self.row.uid)?;
        self.opened = Some(opened.clone());
        Ok(opened)
    }

    fn header(&mut self) -> Result<Arc<Vec<u8>>> {
        if let Some(header) = &self.header {
            return Ok(Arc::clone(header));
        }
        let mut octets = Vec::new();
        if let Some(extent) = self.summary()?.locate(&[], Piece::Header) {
            self.opened()?
                .reader(extent, 0, HEADER_OCTETS)?
                .read_to_end(&mut octets)
                .map_err(|error| Error::io("reading a message's header", error))?;
        }
        let header = Arc::new(octets);
        self.header = Some(Arc::clone(&header));
        Ok(header)
    }
}
