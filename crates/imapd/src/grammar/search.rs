//! SEARCH's arguments (RFC 3501 section 6.4.4, RFC 4731, 5032, 5182, 7162).

use super::command::{Numbers, ReturnOption, Search, SearchKey};
use super::cursor::{Cursor, Fault};
use super::date;
use super::parser::Saved;
use encoding_rs::Encoding;
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
    let returns = return_options(cursor)?;
    let saves = returns
        .as_ref()
        .is_some_and(|options| options.contains(&ReturnOption::Save));
    let key = key(cursor).map_err(|fault| match fault {
        SearchFault::BadCharset(_) if saves => SearchFault::BadCharset(Saved::Emptied),
        fault => fault,
    })?;
    Ok(Search {
        numbers,
        returns,
        key,
    })
}

/// The charset and all keys.
fn key(cursor: &mut Cursor<'_>) -> Found<SearchKey> {
    let charset = charset(cursor)?;
    let mut reader = KeyReader {
        cursor,
        charset,
        keys: 0,
        texts: 0,
    };
    let key = reader.keys(0)?;
    reader.cursor.end()?;
    Ok(key)
}

fn return_options(cursor: &mut Cursor<'_>) -> Found<Option<Vec<ReturnOption>>> {
    let mut ahead = cursor.clone();
    if !ahead.eat_word("RETURN") || !ahead.eat(b' ') {
        return Ok(None);
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
    cursor.space()?;
    Ok(Some(options))
}

fn charset(cursor: &mut Cursor<'_>) -> Found<Charset> {
    let mut ahead = cursor.clone();
    if !ahead.eat_word("CHARSET") || !ahead.eat(b' ') {
        return Ok(Charset::Ascii);
    }
    ahead.skip_spaces();
    *cursor = ahead;
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

impl KeyReader<'_, '_> {
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
            "NEW" => SearchKey::New,
            "OLD" => SearchKey::Old,
            "RECENT" => SearchKey::Recent,
            "KEYWORD" => SearchKey::Keyword(self.keyword()?),
            "UNKEYWORD" => SearchKey::Unkeyword(self.keyword()?),
            "BEFORE" => SearchKey::Before(self.date()?),
            "ON" => SearchKey::On(self.date()?),
            "SINCE" => SearchKey::Since(self.date()?),
            "SENTBEFORE" => SearchKey::SentBefore(self.date()?),
            "SENTON" => SearchKey::SentOn(self.date()?),
            "SENTSINCE" => SearchKey::SentSince(self.date()?),
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
            "MODSEQ" => self.modseq()?,
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
