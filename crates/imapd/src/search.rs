//! Evaluates SEARCH keys over a mailbox (RFC 3501 section 6.4.4).

use crate::fuzzy::Words;
use crate::grammar::command::{Date, SearchKey};
use crate::grammar::sequence::{SequenceSet, holds};
use crate::progress::Measure;
use crate::response::More;
use memchr::memmem::Finder;
use std::io::Read;
use std::ops::RangeInclusive;
use std::sync::Arc;
use store::message::{
    Folding, LISTED_FIELDS, Piece, Summary, WithHeaders, decode_header, fold, header_values,
    parse_date,
};
use store::{Error, Flags, Mailbox, MessageRow, OpenedMessage, Result, Snapshot, Uid};

/// How much of a message's header is looked at.
const HEADER_OCTETS: u64 = 1 << 20;
/// Seconds of a day.
const DAY_SECONDS: i64 = 86_400;

/// What one step may cost; see [`Candidate::cost`].
const STEP_COST: u64 = 4 << 20;
/// What a test of what is in memory costs.
const MEMORY_COST: u64 = 20;
/// What looking at a header that is kept costs.
const LOOKUP_COST: u64 = 2_000;
/// What opening a message's file costs.
const OPENING_COST: u64 = 40_000;

/// What the session knows of the messages.
pub struct Scope<'a> {
    /// The mailbox the messages are in.
    pub mailbox: &'a Mailbox,
    /// Whether a message is `\Recent` in the session.
    pub recent: &'a dyn Fn(Uid) -> bool,
    /// The saved result that `$` names, ascending.
    pub saved: &'a [Uid],
}

/// How keys are understood.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    /// Now, in seconds since 1970: for OLDER and YOUNGER.
    pub now_seconds: i64,
    /// How strings are compared.
    pub folding: Folding,
}

/// A search under way, step by step: other sessions have their turn in between.
pub struct Evaluation {
    snapshot: Snapshot,
    test: Test,
    /// How many tests `test` is made of.
    tests: u64,
    next: usize,
}

impl Evaluation {
    /// Begins to look for what matches in a snapshot.
    pub fn new(snapshot: Snapshot, key: &SearchKey, manner: Manner) -> Self {
        let test = prepare(&snapshot, manner, key);
        Self {
            tests: test.count(),
            test,
            snapshot,
            next: 0,
        }
    }

    /// Passes over the messages before this index.
    pub fn starting_at(self, next: usize) -> Self {
        Self { next, ..self }
    }

    /// How far it is.
    pub fn measure(&self) -> Measure {
        Measure::Of {
            done: self.next as u64,
            all: self.snapshot.len() as u64,
        }
    }

    /// Looks at some messages and gives those that match, with their relevancy from 1 to
    /// 100 (RFC 6203 section 4); a message that vanished meanwhile does not. Errors are the
    /// disk's.
    pub fn step(
        &mut self,
        scope: &Scope<'_>,
        mut found: impl FnMut(&MessageRow<'_>, u8),
    ) -> Result<More> {
        let mut cost = 0;
        while cost < STEP_COST {
            let Some(row) = self.snapshot.row(self.next) else {
                return Ok(More::Nothing);
            };
            let mut candidate = Candidate::new(scope, self.next, row);
            self.next += 1;
            match candidate.matches(&self.test) {
                Ok(true) => found(&row, candidate.relevancy()),
                Ok(false) | Err(Error::Expunged) => {}
                Err(error) => return Err(error),
            }
            cost += self.tests * MEMORY_COST + candidate.cost();
        }
        Ok(More::Follows)
    }

    /// Whether one message matches; `None` if it is not in the snapshot. What it takes is
    /// added to `cost`.
    ///
    /// # Errors
    /// The disk's, and that the message vanished meanwhile.
    pub fn matches(&self, scope: &Scope<'_>, uid: Uid, cost: &mut u64) -> Result<Option<bool>> {
        let found = self.snapshot.index_of(uid);
        let Some((index, row)) = found.and_then(|index| Some((index, self.snapshot.row(index)?)))
        else {
            return Ok(None);
        };
        let mut candidate = Candidate::new(scope, index, row);
        let matches = candidate.matches(&self.test);
        *cost += self.tests * MEMORY_COST + candidate.cost();
        matches.map(Some)
    }

    /// Where it looks.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }
}

/// A key made ready: sets resolved, strings folded, keywords looked up, cheap
/// tests first.
enum Test {
    Always,
    Never,
    All(Vec<Test>),
    Either(Box<(Test, Test)>),
    Not(Box<Test>),
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
    Header(HeaderTest),
    /// Folded already, if text is folded in full.
    Text(String, WithHeaders, Folding),
    /// In the field of this name, in lower case.
    FuzzyHeader(String, Words),
    FuzzyText(Words, WithHeaders),
}

struct HeaderTest {
    /// In lower case.
    name: String,
    /// Boxed: a finder is big. `None` asks for the field only.
    value: Option<Box<Finder<'static>>>,
    folding: Folding,
}

impl Test {
    /// What a test costs: 0 memory only, 1 a cached summary, 2 the header, 3 the text.
    fn cost(&self) -> u32 {
        match self {
            Self::All(tests) => tests.iter().map(Self::cost).max().unwrap_or(0),
            Self::Either(tests) => tests.0.cost().max(tests.1.cost()),
            Self::Not(test) => test.cost(),
            Self::SentDays(_) => 1,
            Self::Header(header) if header.is_listed() => 1,
            Self::Header(_) => 2,
            Self::FuzzyHeader(name, _) if is_listed(name) => 1,
            Self::FuzzyHeader(..) => 2,
            Self::Text(..) | Self::FuzzyText(..) => 3,
            _ => 0,
        }
    }
}

impl Test {
    fn text(text: &str, with_headers: WithHeaders, folding: Folding) -> Self {
        let text = match folding {
            Folding::Full => fold(text),
            Folding::Ascii | Folding::None => text.to_owned(),
        };
        Self::Text(text, with_headers, folding)
    }

    /// How many tests it is made of.
    fn count(&self) -> u64 {
        match self {
            Self::All(tests) => 1 + tests.iter().map(Self::count).sum::<u64>(),
            Self::Either(tests) => 1 + tests.0.count() + tests.1.count(),
            Self::Not(test) => 1 + test.count(),
            _ => 1,
        }
    }
}

impl HeaderTest {
    fn is_listed(&self) -> bool {
        is_listed(&self.name)
    }

    fn matches(&self, raw: &[u8]) -> bool {
        self.value.as_ref().is_none_or(|value| {
            let text = decode_header(raw);
            let text = self.folding.fold(&text);
            value.find(text.as_bytes()).is_some()
        })
    }
}

/// Whether summaries keep a field, named in lower case.
fn is_listed(name: &str) -> bool {
    LISTED_FIELDS.contains(&name.as_bytes())
}

/// A key that FUZZY stands before. What is not of words is what it is without (RFC 6203
/// section 5).
fn prepare_fuzzy(snapshot: &Snapshot, manner: Manner, key: &SearchKey) -> Test {
    match key {
        SearchKey::And(keys) => {
            let tests = keys.iter().map(|key| prepare_fuzzy(snapshot, manner, key));
            let mut tests: Vec<Test> = tests.collect();
            tests.sort_by_key(Test::cost);
            Test::All(tests)
        }
        SearchKey::Or(left, right) => Test::Either(Box::new((
            prepare_fuzzy(snapshot, manner, left),
            prepare_fuzzy(snapshot, manner, right),
        ))),
        SearchKey::Not(key) => not(prepare_fuzzy(snapshot, manner, key)),
        SearchKey::Fuzzy(key) => prepare_fuzzy(snapshot, manner, key),
        SearchKey::Header { name, value } => match Words::of(value) {
            Some(words) => Test::FuzzyHeader(name.to_ascii_lowercase(), words),
            None => prepare(snapshot, manner, key),
        },
        SearchKey::Body(text) | SearchKey::Text(text) => match (Words::of(text), key) {
            (Some(words), SearchKey::Body(_)) => Test::FuzzyText(words, WithHeaders::No),
            (Some(words), _) => Test::FuzzyText(words, WithHeaders::Yes),
            (None, _) => prepare(snapshot, manner, key),
        },
        key => prepare(snapshot, manner, key),
    }
}

/// The grammar caps how deep keys nest, so recursion is bounded.
fn prepare(snapshot: &Snapshot, manner: Manner, key: &SearchKey) -> Test {
    let Manner {
        now_seconds,
        folding,
    } = manner;
    match key {
        SearchKey::All => Test::Always,
        SearchKey::And(keys) => {
            let mut tests: Vec<Test> = keys
                .iter()
                .map(|key| prepare(snapshot, manner, key))
                .collect();
            tests.sort_by_key(Test::cost);
            Test::All(tests)
        }
        SearchKey::Or(left, right) => {
            let (mut left, mut right) = (
                prepare(snapshot, manner, left),
                prepare(snapshot, manner, right),
            );
            if right.cost() < left.cost() {
                std::mem::swap(&mut left, &mut right);
            }
            Test::Either(Box::new((left, right)))
        }
        SearchKey::Not(key) => not(prepare(snapshot, manner, key)),
        SearchKey::Flagged(flags) => Test::Flagged(*flags),
        SearchKey::Unflagged(flags) => not(Test::Flagged(*flags)),
        SearchKey::Recent => Test::Recent,
        SearchKey::New => Test::All(vec![not(Test::Flagged(Flags::SEEN)), Test::Recent]),
        SearchKey::Old => not(Test::Recent),
        SearchKey::Keyword(name) => keyword(snapshot, name),
        SearchKey::Unkeyword(name) => not(keyword(snapshot, name)),
        SearchKey::Before(date) => Test::Days(before(*date)),
        SearchKey::On(date) => Test::Days(date.0..=date.0),
        SearchKey::Since(date) => Test::Days(date.0..=i64::MAX),
        SearchKey::SentBefore(date) => Test::SentDays(before(*date)),
        SearchKey::SentOn(date) => Test::SentDays(date.0..=date.0),
        SearchKey::SentSince(date) => Test::SentDays(date.0..=i64::MAX),
        SearchKey::SavedBefore(date) => Test::SaveDays(before(*date)),
        SearchKey::SavedOn(date) => Test::SaveDays(date.0..=date.0),
        SearchKey::SavedSince(date) => Test::SaveDays(date.0..=i64::MAX),
        SearchKey::SaveDateSupported => Test::Always,
        SearchKey::EmailId(id) => Test::EmailId(id.clone()),
        // RFC 8474 section 5.2: nothing has one.
        SearchKey::ThreadId(_) => Test::Never,
        SearchKey::Older(seconds) => {
            Test::Dates(i64::MIN..=now_seconds.saturating_sub(i64::from(*seconds)))
        }
        SearchKey::Younger(seconds) => {
            Test::Dates(now_seconds.saturating_sub(i64::from(*seconds))..=i64::MAX)
        }
        SearchKey::Larger(octets) => match octets.checked_add(1) {
            Some(least) => Test::Sizes(least..=u64::MAX),
            None => Test::Never,
        },
        SearchKey::Smaller(octets) => match octets.checked_sub(1) {
            Some(most) => Test::Sizes(0..=most),
            None => Test::Never,
        },
        SearchKey::Header { name, value } => Test::Header(HeaderTest {
            name: name.to_ascii_lowercase(),
            value: (!value.is_empty())
                .then(|| Box::new(Finder::new(folding.fold(value).as_bytes()).into_owned())),
            folding,
        }),
        SearchKey::Body(text) | SearchKey::Text(text) if text.is_empty() => Test::Always,
        SearchKey::Body(text) => Test::text(text, WithHeaders::No, folding),
        SearchKey::Text(text) => Test::text(text, WithHeaders::Yes, folding),
        SearchKey::Sequence(SequenceSet::Saved) | SearchKey::Uid(SequenceSet::Saved) => Test::Saved,
        SearchKey::Sequence(set) => {
            let largest = u32::try_from(snapshot.len()).unwrap_or(u32::MAX);
            Test::Indices(set.resolve(largest))
        }
        SearchKey::Uid(set) => {
            let largest = snapshot.last_uid();
            Test::Uids(set.resolve(largest.map_or(0, Uid::get)))
        }
        SearchKey::ModSeq(modseq) => Test::ModSeq(*modseq),
        SearchKey::Fuzzy(key) => prepare_fuzzy(snapshot, manner, key),
        // What it holds stands in its place before.
        SearchKey::Filter(_) => Test::Never,
    }
}

fn not(test: Test) -> Test {
    match test {
        Test::Always => Test::Never,
        Test::Never => Test::Always,
        Test::Not(test) => *test,
        test => Test::Not(Box::new(test)),
    }
}

fn before(date: Date) -> RangeInclusive<i64> {
    i64::MIN..=date.0.saturating_sub(1)
}

fn keyword(snapshot: &Snapshot, name: &str) -> Test {
    snapshot
        .keywords()
        .iter()
        .position(|keyword| keyword.eq_ignore_ascii_case(name))
        .and_then(|index| u16::try_from(index).ok())
        .map_or(Test::Never, Test::Keyword)
}

/// A message under test; what is read of it is kept until the next.
struct Candidate<'a> {
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
    fn new(scope: &'a Scope<'a>, index: usize, row: MessageRow<'a>) -> Self {
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
    fn relevancy(&self) -> u8 {
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

    fn matches(&mut self, test: &Test) -> Result<bool> {
        Ok(match test {
            Test::Always => true,
            Test::Never => false,
            Test::All(tests) => {
                for test in tests {
                    if !self.matches(test)? {
                        return Ok(false);
                    }
                }
                true
            }
            Test::Either(tests) => self.matches(&tests.0)? || self.matches(&tests.1)?,
            Test::Not(test) => !self.matches(test)?,
            Test::Flagged(flags) => self.row.flags.contains(*flags),
            Test::Recent => (self.scope.recent)(self.row.uid),
            Test::Keyword(index) => self.row.keywords.contains(index),
            Test::Days(days) => days.contains(&self.row.internal_date.0.div_euclid(DAY_SECONDS)),
            Test::SentDays(days) => self.sent_day()?.is_some_and(|day| days.contains(&day)),
            Test::SaveDays(days) => days.contains(&self.row.saved_date().0.div_euclid(DAY_SECONDS)),
            Test::EmailId(id) => self.scope.mailbox.email_id(&self.row)? == *id,
            Test::Dates(dates) => dates.contains(&self.row.internal_date.0),
            Test::Sizes(sizes) => sizes.contains(&self.row.size_octets),
            Test::Indices(ranges) => u32::try_from(self.index)
                .ok()
                .and_then(|index| index.checked_add(1))
                .is_some_and(|number| holds(ranges, number)),
            Test::Uids(ranges) => holds(ranges, self.row.uid.get()),
            Test::Saved => self.scope.saved.binary_search(&self.row.uid).is_ok(),
            Test::ModSeq(modseq) => self.row.modseq >= *modseq,
            Test::Header(header) => self.header_matches(header)?,
            Test::FuzzyHeader(name, words) => {
                let values = self.header_values(name)?;
                let best = values.iter().filter_map(|value| {
                    let mut looking = words.looking();
                    looking.push(&fold(&decode_header(value)));
                    looking.relevancy()
                });
                let best = best.max();
                self.is_found(best)
            }
            Test::FuzzyText(words, with_headers) => {
                self.texts_searched += 1;
                let mut looking = words.looking();
                let mut take = |text: &str| looking.push(text);
                let uid = self.row.uid;
                self.scope.mailbox.say_text(uid, *with_headers, &mut take)?;
                // A word counts more in a field that was asked for than in all the text.
                let relevancy = looking.relevancy().map(|found| (found / 10 * 7).max(1));
                self.is_found(relevancy)
            }
            Test::Text(needle, with_headers, folding) => {
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
    fn header_matches(&mut self, test: &HeaderTest) -> Result<bool> {
        let values = self.header_values(&test.name)?;
        Ok(values.iter().any(|value| test.matches(value)))
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
    fn cost(&self) -> u64 {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::{Command, parse};
    use store::{Account, InternalDate, Layout, MailboxName};

    /// What a SEARCH finds among three messages, as sequence numbers.
    fn found(mailbox: &Mailbox, keys: &str, folding: Folding) -> Vec<usize> {
        let command = parse(format!("a SEARCH {keys}").as_bytes()).map(|tagged| tagged.command);
        let Ok(Command::Search(asked)) = command else {
            panic!("{keys}");
        };
        let snapshot = mailbox.sync().expect("synced");
        let saved = [Uid::new(2).expect("not 0")];
        let scope = Scope {
            mailbox,
            recent: &|uid| uid.get() == 3,
            saved: &saved,
        };
        let mut found = Vec::new();
        let manner = Manner {
            now_seconds: 10 * DAY_SECONDS,
            folding,
        };
        let mut evaluation = Evaluation::new(snapshot, &asked.key, manner);
        let more = evaluation.step(&scope, |row, _| found.push(row.uid.get() as usize));
        assert_eq!(more.expect("searched"), More::Nothing);
        found
    }

    #[test]
    fn finds_by_every_kind_of_key() {
        let directory = tempfile::tempdir().expect("directory");
        let layout = Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let account = Account::open(&directory.path().join("Maildir"), layout).expect("account");
        let mailbox = account.mailbox(&MailboxName::inbox()).expect("INBOX");
        let messages = [
            (
                "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nFrom: Ann <ann@example.org>\r\n\
                 Date: Fri, 02 Jan 1970 23:30:00 -0500\r\n\r\nHello wide world\r\n",
                Flags::SEEN,
                1,
            ),
            (
                "Subject: two\r\nX-Mark:\r\nSubject: again\r\n\r\nsecond\r\n",
                Flags::DELETED,
                5,
            ),
            ("\r\nno header at all\r\n", Flags::default(), 9),
        ];
        for (text, flags, day) in messages {
            let mut incoming = mailbox.begin_append().expect("begun");
            incoming.write(text.as_bytes()).expect("written");
            let date = InternalDate(day * DAY_SECONDS);
            incoming.describe(flags, vec![Arc::from(format!("day{day}"))], Some(date));
            mailbox.append(vec![incoming]).expect("appended");
        }
        let cases: [(&str, &[usize]); 32] = [
            ("ALL", &[1, 2, 3]),
            ("SEEN", &[1]),
            ("UNSEEN UNDELETED", &[3]),
            ("RECENT", &[3]),
            ("OLD", &[1, 2]),
            ("NEW", &[3]),
            ("OR SEEN DELETED", &[1, 2]),
            ("NOT 2", &[1, 3]),
            ("*", &[3]),
            ("$", &[2]),
            ("UID 2:*", &[2, 3]),
            ("KEYWORD DAY5", &[2]),
            ("UNKEYWORD day5", &[1, 3]),
            ("KEYWORD absent", &[]),
            ("ON 6-Jan-1970", &[2]),
            ("BEFORE 6-Jan-1970", &[1]),
            ("SINCE 6-Jan-1970", &[2, 3]),
            ("SENTON 2-Jan-1970", &[1]),
            ("YOUNGER 86400", &[3]),
            ("OLDER 432000", &[1, 2]),
            ("SMALLER 25", &[3]),
            ("SUBJECT {7+}\r\nGR\u{dc}\u{df}E", &[1]),
            ("SUBJECT again", &[2]),
            ("FROM ANN@example", &[1]),
            ("HEADER X-Mark \"\"", &[2]),
            ("BODY WIDE", &[1]),
            ("TEXT two", &[2]),
            ("FUZZY BODY \"world wode\"", &[]),
            ("FUZZY BODY \"worlb helo\"", &[]),
            ("FUZZY BODY \"worlb hello\"", &[1]),
            ("FUZZY SUBJECT agian", &[2]),
            ("FUZZY (OR FROM an TEXT \"header number at all\")", &[]),
        ];
        for (keys, expected) in cases {
            let found = found(&mailbox, keys, Folding::Full);
            assert_eq!(found, expected, "{keys}");
        }
        // By other comparators.
        for (keys, ascii, octet) in [
            ("SUBJECT TWO", 1, 0),
            ("TEXT TWO", 1, 0),
            ("BODY wide", 1, 1),
            ("SUBJECT {6+}\r\nGr\u{fc}\u{df}", 1, 1),
            ("SUBJECT {6+}\r\nGR\u{fc}\u{df}", 1, 0),
            ("SUBJECT {6+}\r\nGR\u{dc}\u{df}", 0, 0),
            ("TEXT {6+}\r\nGR\u{fc}\u{df}", 1, 0),
        ] {
            assert_eq!(found(&mailbox, keys, Folding::Ascii).len(), ascii, "{keys}");
            assert_eq!(found(&mailbox, keys, Folding::None).len(), octet, "{keys}");
        }
    }

    #[test]
    fn a_long_search_goes_in_steps() {
        let directory = tempfile::tempdir().expect("directory");
        let maildir = directory.path().join("Maildir");
        std::fs::create_dir_all(maildir.join("cur")).expect("made");
        for number in 0..250 {
            let file = maildir.join(format!("cur/{number:03}:2,"));
            std::fs::write(file, format!("\n{number} is the number\n")).expect("written");
        }
        let layout = Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let account = Account::open(&maildir, layout).expect("account");
        let mailbox = account.mailbox(&MailboxName::inbox()).expect("INBOX");
        let snapshot = mailbox.sync().expect("synced");
        let scope = Scope {
            mailbox: &mailbox,
            recent: &|_| false,
            saved: &[],
        };
        let key = SearchKey::Body("number".to_owned());
        let mut evaluation = Evaluation::new(snapshot, &key, Manner::default());
        let mut uids = Vec::new();
        let mut steps = 1;
        while evaluation
            .step(&scope, |row, _| uids.push(row.uid.get()))
            .expect("searched")
            == More::Follows
        {
            steps += 1;
        }
        assert_eq!(uids, (1..=250).collect::<Vec<u32>>());
        assert!((3..10).contains(&steps), "{steps}");
    }
}
