//! [`Writer`]: atoms, strings, lists, sets and dates as RFC 3501 writes them.

use super::stream::{More, Produce, Produced, Segment};
use crate::dialect::{Dialect, Messages, Revision, Text};
use crate::grammar::command::StatusItem;
use crate::grammar::date::{MONTHS, civil_from_days};
use crate::language::Language;
use std::fmt::Write as _;
use std::io::Read;
use store::message::{Address, Envelope};
use store::{Flags, InternalDate, MailboxStatus, SpecialUse, Uid};

/// The longest string that is quoted; longer ones are literals.
const QUOTED_OCTETS: usize = 1000;
/// Output is handed over when it exceeds this.
const LONG_OCTETS: usize = 64 * 1024;
/// What has more items than this is made while it is sent.
const WRITTEN_ITEMS: usize = 1000;

/// Collects the octets of responses.
#[derive(Default)]
pub struct Writer {
    /// What comes before `octets`.
    before: Vec<Segment>,
    octets: Vec<u8>,
    language: Language,
    dialect: Dialect,
}

/// A place in what is written.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    segments: usize,
    octets: usize,
}

/// What becomes of NUL in a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nul {
    /// There is none, or it is replaced.
    Replaced,
    /// It stays: the literal is a literal8.
    Kept,
}

/// A literal cannot hold NUL (RFC 3501 section 9, CHAR8).
pub fn replace_nul(octets: &mut [u8]) {
    if memchr::memchr(0, octets).is_none() {
        return;
    }
    for octet in octets {
        if *octet == 0 {
            *octet = 0x80;
        }
    }
}

impl Writer {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty one for a client that speaks this dialect.
    pub fn speaking(dialect: Dialect) -> Self {
        Self {
            dialect,
            ..Self::default()
        }
    }

    /// What the client speaks.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Goes on in another dialect.
    pub fn speak(&mut self, dialect: Dialect) {
        self.dialect = dialect;
    }

    /// What was written, where all of it was written at once.
    pub fn into_octets(self) -> Vec<u8> {
        self.octets
    }

    /// What was written, in pieces.
    pub fn into_segments(mut self) -> Vec<Segment> {
        self.cut();
        self.before
    }

    /// Where the next octet will be written; see [`Writer::rewind`].
    pub fn mark(&self) -> Mark {
        Mark {
            segments: self.before.len(),
            octets: self.octets.len(),
        }
    }

    /// Takes back what was written since a mark.
    pub fn rewind(&mut self, mark: Mark) {
        // What was cut off since begins with the octets written before.
        let mut since = self.before.drain(mark.segments.min(self.before.len())..);
        match since.next() {
            Some(Segment::Octets(octets)) => self.octets = octets,
            Some(Segment::Reader(_)) => self.octets.clear(),
            None => {}
        }
        drop(since);
        self.octets.truncate(mark.octets);
    }

    /// What was written after the last long piece.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.octets.is_empty()
    }

    /// Whether it should be sent before more is written.
    pub fn is_long(&self) -> bool {
        !self.before.is_empty() || self.octets.len() >= LONG_OCTETS
    }

    fn cut(&mut self) {
        let octets = std::mem::take(&mut self.octets);
        if !octets.is_empty() {
            self.before.push(Segment::Octets(octets));
        }
    }

    /// What a reader gives, when it is sent.
    pub fn reader(&mut self, reader: Box<dyn Read + Send>) -> &mut Self {
        self.cut();
        self.before.push(Segment::Reader(reader));
        self
    }

    /// Octets that are no text, as they are.
    pub fn raw(&mut self, octets: &[u8]) -> &mut Self {
        self.octets.extend_from_slice(octets);
        self
    }

    /// A literal of so many octets, which `write` appends.
    pub fn literal(&mut self, octets: u64, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        self.literal_announcement(octets);
        let begin = self.octets.len();
        if self.octets.capacity() - begin < usize::try_from(octets).unwrap_or_default() {
            // Until it is long further ones follow, mostly.
            self.octets.reserve(LONG_OCTETS);
        }
        write(&mut self.octets);
        replace_nul(self.octets.get_mut(begin..).unwrap_or_default());
        self
    }

    /// What a producer writes: now if it has few items, otherwise when it is sent.
    pub fn produced(&mut self, mut producer: impl Produce + 'static) -> &mut Self {
        if producer.items() > WRITTEN_ITEMS {
            return self.reader(Box::new(Produced {
                producer,
                more: More::Follows,
                piece: Vec::new(),
                given: 0,
                dialect: self.dialect,
            }));
        }
        while producer.produce(self) == More::Follows {}
        self
    }

    /// Text that is syntax or printable ASCII by construction. Control and 8-bit
    /// characters, which are a mistake here, become `?`.
    pub fn text(&mut self, text: &str) -> &mut Self {
        let is_printable = |octet: u8| (0x20..0x7f).contains(&octet);
        if text.bytes().all(is_printable) {
            return self.raw(text.as_bytes());
        }
        self.octets
            .extend(text.chars().map(|character| match u8::try_from(character) {
                Ok(octet) if is_printable(octet) => octet,
                _ => b'?',
            }));
        self
    }

    /// From here on people are spoken to in this language.
    pub fn set_language(&mut self, language: Language) {
        self.language = language;
    }

    /// A writer of its own that speaks as this one does.
    pub fn alike(&self) -> Self {
        Self {
            language: self.language,
            dialect: self.dialect,
            ..Self::default()
        }
    }

    /// What was written, in pieces; what follows is in the same language.
    pub fn take_segments(&mut self) -> Vec<Segment> {
        let next = self.alike();
        std::mem::replace(self, next).into_segments()
    }

    /// Text for people, in their language (RFC 5255 section 3.5, UTF8-TEXT-CHAR).
    pub fn human(&mut self, english: &str) -> &mut Self {
        self.spoken(&self.language.say(english))
    }

    /// A status without its tag, with its code and text: `NO [CODE] text`.
    pub fn status_text(&mut self, status: &str) -> &mut Self {
        let (condition, mut rest) = status.split_once(' ').unwrap_or((status, ""));
        self.text(condition).text(" ");
        if rest.starts_with('[')
            && let Some(end) = rest.find("] ")
            && let Some((code, text)) = rest.split_at_checked(end + 2)
        {
            self.text(code);
            rest = text;
        }
        let said = match condition {
            "BAD" => self.language.say_bad(rest),
            _ => self.language.say(rest),
        };
        self.spoken(&said)
    }

    /// Text in UTF-8 on one line.
    fn spoken(&mut self, text: &str) -> &mut Self {
        match self.language {
            Language::Default => self.text(text),
            Language::English | Language::SimplifiedChinese => {
                let is_control = |character: char| character.is_control();
                let text = text.replace(is_control, "?");
                self.raw(text.as_bytes())
            }
        }
    }

    /// A number.
    pub fn number(&mut self, number: u64) -> &mut Self {
        // No u64 has more digits.
        let mut digits = [b'0'; 20];
        let (mut left, mut first) = (number, digits.len() - 1);
        for (place, digit) in digits.iter_mut().enumerate().rev() {
            *digit += (left % 10) as u8;
            first = place;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        self.raw(digits.get(first..).unwrap_or_default())
    }

    /// A line's end.
    pub fn crlf(&mut self) -> &mut Self {
        self.octets.extend_from_slice(b"\r\n");
        self
    }

    /// `string`: quoted if short and printable, otherwise a literal. NUL, which neither
    /// may hold, is left out. What is not ASCII is quoted only for a client that takes
    /// UTF-8 there (RFC 9051 appendix A, RFC 9755 section 3).
    pub fn string(&mut self, octets: &[u8]) -> &mut Self {
        if is_quotable(octets, self.dialect.text) {
            self.octets.push(b'"');
            for octet in octets {
                if matches!(octet, b'"' | b'\\') {
                    self.octets.push(b'\\');
                }
                self.octets.push(*octet);
            }
            self.octets.push(b'"');
            return self;
        }
        let nuls = octets.iter().filter(|octet| **octet == 0).count();
        self.literal_announcement((octets.len() - nuls) as u64);
        self.octets
            .extend(octets.iter().copied().filter(|octet| *octet != 0));
        self
    }

    /// `{n}` and its line end; the octets follow from elsewhere.
    pub fn literal_announcement(&mut self, octets: u64) -> &mut Self {
        self.text("{").number(octets).text("}").crlf()
    }

    /// `{n}`, or `~{n}` where the octets hold NUL (RFC 3516 section 4.3), and its line
    /// end; the octets follow from elsewhere.
    pub fn literal8_announcement(&mut self, octets: u64, nul: Nul) -> &mut Self {
        if nul == Nul::Kept {
            self.text("~");
        }
        self.literal_announcement(octets)
    }

    /// `nstring`.
    pub fn nstring(&mut self, octets: Option<&[u8]>) -> &mut Self {
        match octets {
            Some(octets) => self.string(octets),
            None => self.text("NIL"),
        }
    }

    /// `nstring` or, where it holds NUL, `literal8` (RFC 4466 section 6).
    pub fn nstring8(&mut self, octets: Option<&[u8]>) -> &mut Self {
        match octets {
            Some(octets) if octets.contains(&0) => self
                .text("~")
                .literal_announcement(octets.len() as u64)
                .raw(octets),
            octets => self.nstring(octets),
        }
    }

    /// A mailbox's name, in modified UTF-7 unless the client takes UTF-8: an atom where
    /// that is possible and plain, otherwise a string.
    pub fn mailbox(&mut self, name: &str) -> &mut Self {
        let name = match self.dialect.text {
            Text::Ascii => store::modified_utf7::encode(name),
            Text::Utf8 => name.to_owned(),
        };
        let plain = !name.is_empty()
            && !name.eq_ignore_ascii_case("NIL")
            && name
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || b"./_-&+#,".contains(&octet));
        if plain {
            self.text(&name)
        } else {
            self.string(name.as_bytes())
        }
    }

    /// `(\Seen $Label)`: system flags, keywords and, before IMAP4rev2, `\Recent`.
    pub fn flags<'a>(
        &mut self,
        flags: Flags,
        recent: Recent,
        keywords: impl IntoIterator<Item = &'a str>,
    ) -> &mut Self {
        self.text("(");
        let mut space = "";
        let names = [
            (Flags::ANSWERED, "\\Answered"),
            (Flags::FLAGGED, "\\Flagged"),
            (Flags::DELETED, "\\Deleted"),
            (Flags::SEEN, "\\Seen"),
            (Flags::DRAFT, "\\Draft"),
        ];
        for (flag, name) in names {
            if flags.contains(flag) {
                self.text(space).text(name);
                space = " ";
            }
        }
        if recent == Recent::Yes && self.dialect.revision == Revision::Rev1 {
            self.text(space).text("\\Recent");
            space = " ";
        }
        for keyword in keywords {
            // The keyword may stem from a file; only an atom can be shown.
            if !keyword.is_empty() && keyword.bytes().all(crate::grammar::is_atom_char) {
                self.text(space).text(keyword);
                space = " ";
            }
        }
        self.text(")")
    }

    /// `ENVELOPE`'s value (RFC 3501 section 7.4.2).
    pub fn envelope(&mut self, envelope: &Envelope) -> &mut Self {
        self.text("(")
            .nstring(envelope.date.as_deref())
            .text(" ")
            .nstring(envelope.subject.as_deref());
        for addresses in envelope.address_lists() {
            self.text(" ").addresses(addresses);
        }
        self.text(" ")
            .nstring(envelope.in_reply_to.as_deref())
            .text(" ")
            .nstring(envelope.message_id.as_deref())
            .text(")")
    }

    fn addresses(&mut self, addresses: &[Address]) -> &mut Self {
        if addresses.is_empty() {
            return self.text("NIL");
        }
        self.text("(");
        for address in addresses {
            self.text("(")
                .nstring(address.name.as_deref())
                .text(" ")
                .nstring(address.route.as_deref())
                .text(" ")
                .nstring(address.mailbox.as_deref())
                .text(" ")
                .nstring(address.host.as_deref())
                .text(")");
        }
        self.text(")")
    }

    /// An untagged STATUS response (RFC 3501 section 7.2.4, RFC 8438, RFC 8474),
    /// line end included. `name` is shown as it is to appear; every mailbox has the
    /// same limit for messages (RFC 7889).
    pub fn status(
        &mut self,
        name: &str,
        (status, append_limit_octets): (&MailboxStatus, u64),
        items: &[StatusItem],
    ) -> &mut Self {
        self.text("* STATUS ").mailbox(name).text(" (");
        let mut space = "";
        for item in items {
            self.text(space);
            space = " ";
            match item {
                StatusItem::Messages => self.text("MESSAGES ").number(status.messages.into()),
                StatusItem::Recent => self.text("RECENT ").number(status.recent.into()),
                StatusItem::UidNext => self.text("UIDNEXT ").number(status.uid_next.get().into()),
                StatusItem::UidValidity => self
                    .text("UIDVALIDITY ")
                    .number(status.uid_validity.get().into()),
                StatusItem::Unseen => self.text("UNSEEN ").number(status.unseen.into()),
                StatusItem::HighestModSeq => {
                    self.text("HIGHESTMODSEQ ").number(status.highest_modseq)
                }
                StatusItem::Size => self.text("SIZE ").number(status.size_octets),
                StatusItem::Deleted => self.text("DELETED ").number(status.deleted.into()),
                StatusItem::AppendLimit => self.text("APPENDLIMIT ").number(append_limit_octets),
                StatusItem::MailboxId => self
                    .text("MAILBOXID (")
                    .text(&show_identifier(&status.mailbox_id))
                    .text(")"),
            };
        }
        self.text(")").crlf()
    }

    /// The beginning of a FETCH response, or of a UIDFETCH response for a client that
    /// knows UIDs only (RFC 9586 section 3.3).
    pub fn fetch(&mut self, sequence: u64, uid: Uid) -> &mut Self {
        self.text("* ");
        match self.dialect.messages {
            Messages::BySequence => self.number(sequence).text(" FETCH ("),
            Messages::ByUid => self.number(uid.get().into()).text(" UIDFETCH ("),
        }
    }

    /// An untagged LIST response with its line end for a mailbox that the client called
    /// `old_name` (RFC 9051 section 6.3.9.7).
    pub fn list_renamed(
        &mut self,
        attributes: &[&str],
        delimiter: char,
        name: &str,
        old_name: Option<&str>,
    ) -> &mut Self {
        self.list_beginning(ListResponse::List, attributes, Some(delimiter), name);
        if let Some(old_name) = old_name {
            self.text(" (\"OLDNAME\" (").mailbox(old_name).text("))");
        }
        self.crlf()
    }

    /// An untagged LIST or LSUB response with its line end. Attributes come with
    /// their backslash; `child_info` adds `CHILDINFO` (RFC 5258 section 4).
    pub fn list(
        &mut self,
        response: ListResponse,
        attributes: &[&str],
        delimiter: Option<char>,
        name: &str,
        child_info: ChildInfo,
    ) -> &mut Self {
        self.list_beginning(response, attributes, delimiter, name);
        if child_info == ChildInfo::Subscribed {
            self.text(" (\"CHILDINFO\" (\"SUBSCRIBED\"))");
        }
        self.crlf()
    }

    fn list_beginning(
        &mut self,
        response: ListResponse,
        attributes: &[&str],
        delimiter: Option<char>,
        name: &str,
    ) -> &mut Self {
        self.text(match response {
            ListResponse::List => "* LIST (",
            ListResponse::Lsub => "* LSUB (",
        })
        .text(&attributes.join(" "))
        .text(") ");
        match delimiter {
            Some(delimiter) => {
                let mut buffer = [0; 4];
                self.string(delimiter.encode_utf8(&mut buffer).as_bytes())
            }
            None => self.text("NIL"),
        };
        self.text(" ").mailbox(name)
    }
}

/// Whether `\Recent` is among the flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recent {
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// Which response lists a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListResponse {
    /// LIST.
    List,
    /// LSUB.
    Lsub,
}

/// Whether a listed mailbox is there for inferiors that match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildInfo {
    /// An inferior is subscribed.
    Subscribed,
    /// Nothing is told.
    Absent,
}

/// A special use as its attribute, backslash included.
pub fn special_use_attribute(special_use: SpecialUse) -> &'static str {
    match special_use {
        SpecialUse::Archive => "\\Archive",
        SpecialUse::Drafts => "\\Drafts",
        SpecialUse::Junk => "\\Junk",
        SpecialUse::Sent => "\\Sent",
        SpecialUse::Trash => "\\Trash",
        SpecialUse::Flagged => "\\Flagged",
        SpecialUse::Important => "\\Important",
        SpecialUse::All => "\\All",
    }
}

/// An object identifier (RFC 8474): octets in hexadecimal.
pub fn show_identifier(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// An internal date as `"17-Jul-1996 02:44:25 +0000"`, quotes included.
pub fn show_internal_date(date: InternalDate) -> String {
    // A file's time can be anything; a year has four digits.
    const FIRST: i64 = -62_167_219_200;
    const LAST: i64 = 253_402_300_799;
    let seconds = date.0.clamp(FIRST, LAST);
    let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
    let time = seconds.rem_euclid(86_400);
    let name = usize::try_from(month)
        .ok()
        .and_then(|month| MONTHS.get(month.wrapping_sub(1)))
        .unwrap_or(&"Jan");
    format!(
        "\"{day:2}-{name}-{year:04} {:02}:{:02}:{:02} +0000\"",
        time / 3600,
        time / 60 % 60,
        time % 60
    )
}

/// Ascending numbers as a set: `1:3,5`. Empty for none.
pub fn show_set(numbers: impl IntoIterator<Item = u32>) -> String {
    let mut text = String::new();
    for (first, last) in runs(numbers) {
        if !text.is_empty() {
            text.push(',');
        }
        let _ = if first == last {
            write!(text, "{first}")
        } else {
            write!(text, "{first}:{last}")
        };
    }
    text
}

/// Numbers as first and last of runs.
pub(super) fn runs(numbers: impl IntoIterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if number == *last => {}
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => runs.push((number, number)),
        }
    }
    runs
}

fn is_quotable(octets: &[u8], text: Text) -> bool {
    if octets.len() > QUOTED_OCTETS {
        return false;
    }
    octets.iter().all(|octet| (0x20..0x7f).contains(octet))
        || text == Text::Utf8
            && std::str::from_utf8(octets).is_ok_and(|text| !text.contains(char::is_control))
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
