//! SEARCH's, SORT's and THREAD's arguments (RFC 3501 section 6.4.4, RFC 4731, 5032, 5182,
//! 5256, 5957, 7162).

use super::command::{
    Direction, Esearch, FetchItem, Numbers, ReturnOption, Search, SearchKey, Sort, SortCriterion,
    SortKey, Source, Thread, ThreadAlgorithm,
};
use super::cursor::{Cursor, Fault, Parsed};
use super::notify::mailboxes;
use super::parser::Saved;
use super::reading::{CharsetArgument, Reading, UidBounds};
use super::sequence::{Bound, SequenceSet};
use super::{date, fetch};
use crate::dialect::Revision;
use encoding_rs::Encoding;
use std::num::NonZeroU32;
use store::Flags;

/// How deep keys may nest.
const NESTING: u32 = 100;
/// How many keys a command may have.
const KEYS: u32 = 5000;
/// How many of them may be TEXT and BODY: each reads the whole message.
const TEXTS: u32 = 100;

/// Why SEARCH's arguments cannot be read.
pub(super) enum SearchFault {
    /// Bad syntax.
    Syntax(Fault),
    /// The charset is unknown, or a string is not in it.
    BadCharset(Saved),
}

impl From<Fault> for SearchFault {
    fn from(fault: Fault) -> Self {
        Self::Syntax(fault)
    }
}

impl SearchFault {
    /// Why it is, where the result was to be saved (RFC 5182 section 2.1).
    fn emptying(self, saves: bool) -> Self {
        match self {
            Self::BadCharset(_) if saves => Self::BadCharset(Saved::Emptied),
            fault => fault,
        }
    }
}

fn saves(returns: Option<&[ReturnOption]>) -> bool {
    returns.is_some_and(|options| options.contains(&ReturnOption::Save))
}

type Found<T> = Result<T, SearchFault>;

/// How strings are encoded.
#[derive(Clone, Copy)]
enum Charset {
    /// No CHARSET, or US-ASCII. UTF-8 is understood all the same.
    Ascii,
    /// Any that is known.
    Known(&'static Encoding),
}

impl Charset {
    fn decode(self, octets: &[u8]) -> Found<String> {
        let encoding = match self {
            Self::Ascii => encoding_rs::UTF_8,
            Self::Known(encoding) => encoding,
        };
        encoding
            .decode_without_bom_handling_and_without_replacement(octets)
            .map(std::borrow::Cow::into_owned)
            .ok_or(SearchFault::BadCharset(Saved::Kept))
    }
}

/// Reads what follows `SEARCH`.
pub(super) fn arguments(cursor: &mut Cursor<'_>, numbers: Numbers) -> Found<Search> {
    cursor.space()?;
    let (returns, update_items) = return_options(cursor)?;
    let saves = saves(returns.as_deref());
    let key = key(cursor).map_err(|fault| fault.emptying(saves))?;
    let search = Search {
        numbers,
        returns,
        update_items,
        key,
    };
    needs_fuzzy(&search, &[])?;
    Ok(search)
}

/// What is wrong with a RELEVANCY that nothing has.
pub(crate) const NEEDS_FUZZY: &str = "RELEVANCY needs FUZZY";

fn needs_fuzzy(search: &Search, criteria: &[SortCriterion]) -> Found<()> {
    match search.lacks_fuzzy(criteria) {
        true => Err(SearchFault::Syntax(NEEDS_FUZZY.into())),
        false => Ok(()),
    }
}

/// How many mailboxes ESEARCH may name.
const MAILBOXES: usize = 1000;

/// Reads what follows `ESEARCH` (RFC 7377 section 4).
pub(super) fn esearch_arguments(cursor: &mut Cursor<'_>) -> Found<Esearch> {
    let mut ahead = cursor.clone();
    ahead.space()?;
    let mut sources = vec![Source::Selected];
    if ahead.eat_word("IN") && ahead.eat(b' ') {
        ahead.skip_spaces();
        sources = self::sources(&mut ahead)?;
        *cursor = ahead;
    }
    let mut search = arguments(cursor, Numbers::Uid)?;
    // Section 2.1.
    search
        .returns
        .get_or_insert_with(|| vec![ReturnOption::All]);
    Ok(Esearch { sources, search })
}

/// `"(" source-mbox ")"`. There are no scope options.
fn sources(cursor: &mut Cursor<'_>) -> Found<Vec<Source>> {
    cursor.expect(b'(', "A ( was expected")?;
    cursor.skip_spaces();
    let mut sources = Vec::new();
    let mut named = 0;
    while !cursor.eat(b')') {
        let source = match cursor.word()?.as_str() {
            "SELECTED" => Source::Selected,
            "INBOXES" => Source::Inboxes,
            "PERSONAL" => Source::Personal,
            "SUBSCRIBED" => Source::Subscribed,
            "SUBTREE" => Source::Subtree(mailboxes(cursor)?),
            "SUBTREE-ONE" => Source::SubtreeOne(mailboxes(cursor)?),
            "MAILBOXES" => Source::Mailboxes(mailboxes(cursor)?),
            _ => return Err(SearchFault::Syntax("Unknown ESEARCH source".into())),
        };
        named += match &source {
            Source::Subtree(names) | Source::SubtreeOne(names) | Source::Mailboxes(names) => {
                names.len()
            }
            Source::Selected | Source::Inboxes | Source::Personal | Source::Subscribed => 1,
        };
        if named > MAILBOXES {
            return Err(SearchFault::Syntax("Too many mailboxes".into()));
        }
        sources.push(source);
        if cursor.peek() != Some(b')') {
            cursor.space()?;
        }
    }
    if sources.is_empty() {
        return Err(SearchFault::Syntax("A source was expected".into()));
    }
    Ok(sources)
}

/// How many criteria SORT may have.
const CRITERIA: usize = 50;

/// Reads what follows `SORT`.
pub(super) fn sort_arguments(cursor: &mut Cursor<'_>, numbers: Numbers) -> Found<Sort> {
    cursor.space()?;
    let (returns, update_items) = return_options(cursor)?;
    cursor.expect(b'(', "Sort criteria were expected")?;
    let mut criteria = Vec::new();
    cursor.skip_spaces();
    while !cursor.eat(b')') {
        if criteria.len() >= CRITERIA {
            return Err(SearchFault::Syntax("Too many sort criteria".into()));
        }
        criteria.push(criterion(cursor)?);
        if cursor.peek() != Some(b')') {
            cursor.space()?;
        }
    }
    if criteria.is_empty() {
        return Err(SearchFault::Syntax("A sort criterion was expected".into()));
    }
    let saves = saves(returns.as_deref());
    let mut search = in_charset(cursor, numbers).map_err(|fault| fault.emptying(saves))?;
    search.returns = returns;
    search.update_items = update_items;
    needs_fuzzy(&search, &criteria)?;
    Ok(Sort { criteria, search })
}

/// `sort-criterion`.
fn criterion(cursor: &mut Cursor<'_>) -> Found<SortCriterion> {
    let mut word = cursor.word()?;
    let mut direction = Direction::Forward;
    if word == "REVERSE" {
        direction = Direction::Reverse;
        cursor.space()?;
        word = cursor.word()?;
    }
    let key = match word.as_str() {
        "ARRIVAL" => SortKey::Arrival,
        "CC" => SortKey::Cc,
        "DATE" => SortKey::Date,
        "DISPLAYFROM" => SortKey::DisplayFrom,
        "DISPLAYTO" => SortKey::DisplayTo,
        "FROM" => SortKey::From,
        "RELEVANCY" => SortKey::Relevancy,
        "SIZE" => SortKey::Size,
        "SUBJECT" => SortKey::Subject,
        "TO" => SortKey::To,
        _ => return Err(SearchFault::Syntax("Unknown sort criterion".into())),
    };
    Ok(SortCriterion { key, direction })
}

/// Reads what follows `THREAD`.
pub(super) fn thread_arguments(cursor: &mut Cursor<'_>, numbers: Numbers) -> Found<Thread> {
    cursor.space()?;
    let algorithm = match cursor.word()?.as_str() {
        "ORDEREDSUBJECT" => ThreadAlgorithm::OrderedSubject,
        "REFERENCES" => ThreadAlgorithm::References,
        "REFS" => ThreadAlgorithm::Refs,
        _ => return Err(SearchFault::Syntax("Unknown threading algorithm".into())),
    };
    let search = in_charset(cursor, numbers)?;
    Ok(Thread { algorithm, search })
}

/// `search-criteria` of RFC 5256: a charset and keys.
fn in_charset(cursor: &mut Cursor<'_>, numbers: Numbers) -> Found<Search> {
    cursor.space()?;
    if cursor.how().charset == CharsetArgument::Refused
        && !cursor.clone().astring()?.eq_ignore_ascii_case(b"UTF-8")
    {
        // RFC 9755 section 3: a charset must stand here.
        return Err(SearchFault::Syntax(
            "The charset must be UTF-8 after ENABLE UTF8=ACCEPT".into(),
        ));
    }
    let charset = charset_name(cursor)?;
    Ok(Search {
        numbers,
        returns: None,
        update_items: Vec::new(),
        key: keys_in(cursor, charset)?,
    })
}

/// The charset and all keys.
fn key(cursor: &mut Cursor<'_>) -> Found<SearchKey> {
    let charset = charset(cursor)?;
    keys_in(cursor, charset)
}

/// All keys, up to the end of the command.
fn keys_in(cursor: &mut Cursor<'_>, charset: Charset) -> Found<SearchKey> {
    let mut reader = KeyReader::new(cursor, charset);
    let key = reader.keys(0)?;
    reader.cursor.end()?;
    Ok(key)
}

/// What a filter holds.
pub(crate) struct Criteria {
    /// What is looked for.
    pub(crate) key: SearchKey,
    /// How many keys that are.
    pub(crate) keys: u32,
    /// How many of them are TEXT and BODY.
    pub(crate) texts: u32,
}

/// How many keys the filters that a command names may have together, and how many TEXT and
/// BODY: as many as the command itself.
pub(crate) const FILTERED: (u32, u32) = (KEYS, TEXTS);

/// Reads `search-criteria` (RFC 5466 section 4), in UTF-8, that stand so deep in others.
///
/// # Errors
/// Why they cannot be read.
pub(crate) fn criteria(text: &[u8], reading: Reading, depth: u32) -> Parsed<Criteria> {
    let mut cursor = Cursor::reading(text, reading);
    let mut reader = KeyReader::new(&mut cursor, Charset::Known(encoding_rs::UTF_8));
    let read = reader.keys(depth).and_then(|key| {
        reader.cursor.end()?;
        Ok(Criteria {
            key,
            keys: reader.keys,
            texts: reader.texts,
        })
    });
    read.map_err(|fault| match fault {
        SearchFault::Syntax(fault) => fault,
        SearchFault::BadCharset(_) => "A string is not in UTF-8".into(),
    })
}

/// The options after RETURN, and what UPDATE is to fetch (RFC 5465 section 8,
/// `modifier-update`).
fn return_options(cursor: &mut Cursor<'_>) -> Found<(Option<Vec<ReturnOption>>, Vec<FetchItem>)> {
    let mut update_items = Vec::new();
    let mut ahead = cursor.clone();
    if !ahead.eat_word("RETURN") || !ahead.eat(b' ') {
        return Ok((None, update_items));
    }
    ahead.skip_spaces();
    *cursor = ahead;
    cursor.expect(b'(', "RETURN options were expected")?;
    let mut options = Vec::new();
    cursor.skip_spaces();
    while !cursor.eat(b')') {
        let option = match cursor.word()?.as_str() {
            "MIN" => ReturnOption::Min,
            "MAX" => ReturnOption::Max,
            "ALL" => ReturnOption::All,
            "COUNT" => ReturnOption::Count,
            "SAVE" => ReturnOption::Save,
            "CONTEXT" => ReturnOption::Context,
            "UPDATE" => {
                let mut ahead = cursor.clone();
                ahead.skip_spaces();
                if ahead.peek() == Some(b'(') {
                    *cursor = ahead;
                    update_items = fetch::attributes(cursor)?;
                }
                ReturnOption::Update
            }
            "RELEVANCY" => ReturnOption::Relevancy,
            "PARTIAL" => {
                cursor.space()?;
                ReturnOption::Partial(cursor.partial_range()?)
            }
            _ => return Err(SearchFault::Syntax("Unknown SEARCH return option".into())),
        };
        if !options.contains(&option) {
            options.push(option);
        }
        if cursor.peek() != Some(b')') {
            cursor.space()?;
        }
    }
    if options.is_empty() {
        options.push(ReturnOption::All);
    }
    // RFC 9394 section 3.1.
    let is_part =
        |option: &&ReturnOption| matches!(option, ReturnOption::All | ReturnOption::Partial(_));
    if options.iter().filter(is_part).count() > 1 {
        let text = "Only one of PARTIAL and ALL can be asked for";
        return Err(SearchFault::Syntax(text.into()));
    }
    cursor.space()?;
    Ok((Some(options), update_items))
}

fn charset(cursor: &mut Cursor<'_>) -> Found<Charset> {
    let mut ahead = cursor.clone();
    if !ahead.eat_word("CHARSET") || !ahead.eat(b' ') {
        return Ok(Charset::Ascii);
    }
    ahead.skip_spaces();
    if cursor.how().charset == CharsetArgument::Refused {
        return Err(SearchFault::Syntax(
            "CHARSET is not allowed after ENABLE UTF8=ACCEPT".into(),
        ));
    }
    *cursor = ahead;
    charset_name(cursor)
}

/// A charset's name, and a space.
fn charset_name(cursor: &mut Cursor<'_>) -> Found<Charset> {
    let name = cursor.astring()?;
    cursor.space()?;
    if name.eq_ignore_ascii_case(b"US-ASCII") || name.eq_ignore_ascii_case(b"ASCII") {
        return Ok(Charset::Ascii);
    }
    match Encoding::for_label(&name) {
        Some(encoding) if encoding != encoding_rs::REPLACEMENT => Ok(Charset::Known(encoding)),
        _ => Err(SearchFault::BadCharset(Saved::Kept)),
    }
}

struct KeyReader<'a, 'b> {
    cursor: &'a mut Cursor<'b>,
    charset: Charset,
    keys: u32,
    texts: u32,
}

impl<'a, 'b> KeyReader<'a, 'b> {
    fn new(cursor: &'a mut Cursor<'b>, charset: Charset) -> Self {
        Self {
            cursor,
            charset,
            keys: 0,
            texts: 0,
        }
    }

    /// Keys that are all to match, up to `)` or the end.
    fn keys(&mut self, depth: u32) -> Found<SearchKey> {
        let mut keys = vec![self.key(depth)?];
        loop {
            let mut ahead = self.cursor.clone();
            ahead.skip_spaces();
            if ahead.is_at_end() || ahead.peek() == Some(b')') {
                *self.cursor = ahead;
                break;
            }
            self.cursor.space()?;
            keys.push(self.key(depth)?);
        }
        match keys.pop() {
            Some(key) if keys.is_empty() => Ok(key),
            last => {
                keys.extend(last);
                Ok(SearchKey::And(keys))
            }
        }
    }

    /// One key. `depth` is capped, so recursion is.
    fn key(&mut self, depth: u32) -> Found<SearchKey> {
        if depth > NESTING {
            return Err(SearchFault::Syntax(
                "SEARCH keys are nested too deep".into(),
            ));
        }
        self.keys += 1;
        if self.keys > KEYS {
            return Err(SearchFault::Syntax("Too many SEARCH keys".into()));
        }
        match self.cursor.peek() {
            Some(b'(') => {
                self.cursor.eat(b'(');
                self.cursor.skip_spaces();
                let key = self.keys(depth + 1)?;
                self.cursor.expect(b')', "A ) is missing")?;
                return Ok(key);
            }
            Some(b'0'..=b'9' | b'*' | b'$') => {
                return Ok(SearchKey::Sequence(self.cursor.sequence_set()?));
            }
            _ => {}
        }
        let name = self
            .cursor
            .word()
            .map_err(|_| Fault::from("A SEARCH key was expected"))?;
        let is_rev1 = self.cursor.how().revision == Revision::Rev1;
        let has_uid_bounds = self.cursor.how().uid_bounds == UidBounds::Known;
        Ok(match name.as_str() {
            "ALL" => SearchKey::All,
            "ANSWERED" => SearchKey::Flagged(Flags::ANSWERED),
            "DELETED" => SearchKey::Flagged(Flags::DELETED),
            "DRAFT" => SearchKey::Flagged(Flags::DRAFT),
            "FLAGGED" => SearchKey::Flagged(Flags::FLAGGED),
            "SEEN" => SearchKey::Flagged(Flags::SEEN),
            "UNANSWERED" => SearchKey::Unflagged(Flags::ANSWERED),
            "UNDELETED" => SearchKey::Unflagged(Flags::DELETED),
            "UNDRAFT" => SearchKey::Unflagged(Flags::DRAFT),
            "UNFLAGGED" => SearchKey::Unflagged(Flags::FLAGGED),
            "UNSEEN" => SearchKey::Unflagged(Flags::SEEN),
            // RFC 9051 has no \Recent.
            "NEW" if is_rev1 => SearchKey::New,
            "OLD" if is_rev1 => SearchKey::Old,
            "RECENT" if is_rev1 => SearchKey::Recent,
            "KEYWORD" => SearchKey::Keyword(self.keyword()?),
            "UNKEYWORD" => SearchKey::Unkeyword(self.keyword()?),
            "BEFORE" => SearchKey::Before(self.date()?),
            "ON" => SearchKey::On(self.date()?),
            "SINCE" => SearchKey::Since(self.date()?),
            "SENTBEFORE" => SearchKey::SentBefore(self.date()?),
            "SENTON" => SearchKey::SentOn(self.date()?),
            "SENTSINCE" => SearchKey::SentSince(self.date()?),
            "SAVEDBEFORE" => SearchKey::SavedBefore(self.date()?),
            "SAVEDON" => SearchKey::SavedOn(self.date()?),
            "SAVEDSINCE" => SearchKey::SavedSince(self.date()?),
            "SAVEDATESUPPORTED" => SearchKey::SaveDateSupported,
            "EMAILID" => SearchKey::EmailId(self.object_id()?),
            "THREADID" => SearchKey::ThreadId(self.object_id()?),
            "OLDER" => SearchKey::Older(self.interval()?),
            "YOUNGER" => SearchKey::Younger(self.interval()?),
            "LARGER" => SearchKey::Larger(self.number()?),
            "SMALLER" => SearchKey::Smaller(self.number()?),
            "SUBJECT" => self.header("Subject")?,
            "FROM" => self.header("From")?,
            "TO" => self.header("To")?,
            "CC" => self.header("Cc")?,
            "BCC" => self.header("Bcc")?,
            "HEADER" => {
                self.cursor.space()?;
                let name = self.cursor.astring()?;
                let name = String::from_utf8(name)
                    .map_err(|_| Fault::from("Invalid header field name"))?;
                self.header(&name)?
            }
            "BODY" => SearchKey::Body(self.whole_text()?),
            "TEXT" => SearchKey::Text(self.whole_text()?),
            "UID" => {
                self.cursor.space()?;
                SearchKey::Uid(self.cursor.sequence_set()?)
            }
            "UIDAFTER" if has_uid_bounds => self.uid_after()?,
            "UIDBEFORE" if has_uid_bounds => self.uid_before()?,
            "MODSEQ" => self.modseq()?,
            "FILTER" => SearchKey::Filter(self.filter_name()?),
            "FUZZY" => {
                self.cursor.space()?;
                SearchKey::Fuzzy(Box::new(self.key(depth + 1)?))
            }
            "NOT" => {
                self.cursor.space()?;
                SearchKey::Not(Box::new(self.key(depth + 1)?))
            }
            "OR" => {
                self.cursor.space()?;
                let left = self.key(depth + 1)?;
                self.cursor.space()?;
                let right = self.key(depth + 1)?;
                SearchKey::Or(Box::new(left), Box::new(right))
            }
            _ => return Err(SearchFault::Syntax("Unknown SEARCH key".into())),
        })
    }

    fn text(&mut self) -> Found<String> {
        self.cursor.space()?;
        let octets = self.cursor.astring()?;
        self.charset.decode(&octets)
    }

    /// What TEXT or BODY looks for.
    fn whole_text(&mut self) -> Found<String> {
        self.texts += 1;
        if self.texts > TEXTS {
            return Err(SearchFault::Syntax("Too many TEXT and BODY keys".into()));
        }
        self.text()
    }

    fn header(&mut self, name: &str) -> Found<SearchKey> {
        Ok(SearchKey::Header {
            name: name.to_owned(),
            value: self.text()?,
        })
    }

    fn keyword(&mut self) -> Found<String> {
        self.cursor.space()?;
        Ok(self.cursor.atom()?)
    }

    /// `objectid` (RFC 8474 section 7).
    fn object_id(&mut self) -> Found<String> {
        self.cursor.space()?;
        let id = self.cursor.atom()?;
        let fits = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-');
        if id.len() > 255 || !id.bytes().all(fits) {
            return Err(SearchFault::Syntax("Invalid object identifier".into()));
        }
        Ok(id)
    }

    /// `filter-name` (RFC 5466 section 4). What it holds is in UTF-8 (section 3.1).
    fn filter_name(&mut self) -> Found<String> {
        self.cursor.space()?;
        let name = self.cursor.atom()?;
        if name.contains('/') {
            return Err(SearchFault::Syntax("Invalid filter name".into()));
        }
        match self.charset {
            Charset::Known(encoding) if encoding != encoding_rs::UTF_8 => {
                let text = "[BADCHARSET (US-ASCII UTF-8)] FILTER needs UTF-8";
                Err(SearchFault::Syntax(text.into()))
            }
            Charset::Known(_) | Charset::Ascii => Ok(name),
        }
    }

    fn date(&mut self) -> Found<super::command::Date> {
        self.cursor.space()?;
        Ok(date::date(self.cursor)?)
    }

    fn number(&mut self) -> Found<u64> {
        self.cursor.space()?;
        Ok(self.cursor.number64()?)
    }

    fn interval(&mut self) -> Found<u32> {
        self.cursor.space()?;
        Ok(self.cursor.nz_number()?.get())
    }

    /// UIDAFTER (RFC 9738 section 3.2), as a set of UIDs.
    fn uid_after(&mut self) -> Found<SearchKey> {
        self.cursor.space()?;
        Ok(match self.cursor.nz_number()?.checked_add(1) {
            Some(first) => uids(first, NonZeroU32::MAX),
            None => SearchKey::Not(Box::new(SearchKey::All)),
        })
    }

    /// UIDBEFORE (RFC 9738 section 3.2), as a set of UIDs.
    fn uid_before(&mut self) -> Found<SearchKey> {
        self.cursor.space()?;
        let uid = self.cursor.nz_number()?;
        Ok(match NonZeroU32::new(uid.get() - 1) {
            Some(last) => uids(NonZeroU32::MIN, last),
            None => SearchKey::Not(Box::new(SearchKey::All)),
        })
    }

    /// `MODSEQ ["entry" type] value`; the entry is read and not told apart.
    fn modseq(&mut self) -> Found<SearchKey> {
        self.cursor.space()?;
        if self.cursor.peek() == Some(b'"') {
            self.cursor.string()?;
            self.cursor.space()?;
            if !matches!(self.cursor.word()?.as_str(), "PRIV" | "SHARED" | "ALL") {
                return Err(SearchFault::Syntax("Invalid MODSEQ entry type".into()));
            }
            self.cursor.space()?;
        }
        Ok(SearchKey::ModSeq(self.cursor.number64()?))
    }
}

fn uids(first: NonZeroU32, last: NonZeroU32) -> SearchKey {
    let range = (Bound::Number(first), Bound::Number(last));
    SearchKey::Uid(SequenceSet::Ranges(vec![range]))
}
