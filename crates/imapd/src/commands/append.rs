//! APPEND (RFC 3501 section 6.3.11, RFC 9755 section 4) of one message or more (RFC 3502), binary ones too
//! (RFC 3516), and of what is catenated (RFC 4469); REPLACE (RFC 8508).

use super::catenate::{self, Sources};
use super::store_flags::expunged;
use super::{Outcome, Ran, destination};
use crate::capability::{Capabilities, Capability, Enabled};
use crate::grammar::command::{AppendContent, AppendMessage, CatenatePart, Literal, PartList};
use crate::limit::MessageLimit;
use crate::response::{Writer, show_set};
use crate::view::View;
use std::sync::Arc;
use store::{Account, Incoming, Mailbox, Uid, UidValidity};

/// Why a command is given up (RFC 3502 section 6.3.11).
const EMPTY: &str = "[CANNOT] An empty message aborts APPEND";
/// So many messages hold a descriptor until they are synced, all at the same time: the disk
/// is waited for once, as all of them are on their way to it when the first is asked for.
pub const SYNCED_TOGETHER: usize = 64;

/// An APPEND or REPLACE under way.
pub struct Appending {
    mailbox: Arc<Mailbox>,
    /// The message to be replaced.
    replaced: Option<Uid>,
    /// The biggest message that is taken, in octets.
    limit_octets: u64,
    messages: Vec<Incoming>,
    /// How many of them are whole and hold a descriptor until they are synced.
    unsynced: usize,
    headers: Headers,
    header: Header,
    limit: MessageLimit,
    /// How many parts of the last message were taken, or announced.
    parts: usize,
    /// How many octets they have.
    octets: u64,
    /// What octets the literal announced last may have.
    literal: Literal,
    /// The mailbox that the last URL named.
    source: Option<Arc<Mailbox>>,
    failure: Option<Outcome>,
}

/// What headers of appended messages may hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Headers {
    /// Any octets.
    #[default]
    Any,
    /// ASCII, of a client that could have enabled UTF-8, and did not.
    Ascii,
}

/// Where in a message's header the octets that come are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Header {
    /// At a line's beginning, or behind a CR that stands there.
    LineBegins,
    /// Within a line.
    InLine,
    /// Behind it.
    Over,
}

impl Header {
    /// Takes further octets; says whether the header has one that is not ASCII among them.
    fn has_8bit(&mut self, octets: &[u8]) -> bool {
        let mut rest = octets;
        while *self != Self::Over && !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest);
            let (line, after) = rest.split_at(end.unwrap_or(rest.len()));
            if !line.is_ascii() {
                return true;
            }
            if !line.is_empty() && line != b"\r" {
                *self = Self::InLine;
            }
            if end.is_some() {
                *self = match self {
                    Self::InLine => Self::LineBegins,
                    Self::LineBegins | Self::Over => Self::Over,
                };
            }
            rest = after.get(1..).unwrap_or_default();
        }
        false
    }
}

impl Appending {
    /// Begins an APPEND to a mailbox, or a REPLACE.
    pub fn begin(
        account: &Account,
        mailbox: &str,
        replaced: Option<Uid>,
        limit_octets: u64,
    ) -> Result<Self, Outcome> {
        Ok(Self {
            mailbox: destination(account, mailbox)?,
            replaced,
            limit_octets,
            messages: Vec::new(),
            unsynced: 0,
            headers: Headers::Any,
            header: Header::Over,
            limit: MessageLimit::None,
            parts: 0,
            octets: 0,
            literal: Literal::Text,
            source: None,
            failure: None,
        })
    }

    /// Takes such headers only, and so many messages.
    pub fn taking(self, headers: Headers, limit: MessageLimit) -> Self {
        Self {
            headers,
            limit,
            ..self
        }
    }

    /// Where the messages go.
    pub fn mailbox(&self) -> Arc<Mailbox> {
        Arc::clone(&self.mailbox)
    }

    /// Takes what of a command was not taken before, up to the literal that is announced
    /// at its end.
    pub fn take(
        &mut self,
        sources: &Sources<'_>,
        messages: &[AppendMessage],
    ) -> Result<(), Outcome> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let begun = self.messages.len();
        for (number, message) in (1..).zip(messages).skip(begun.saturating_sub(1)) {
            if number > begun {
                self.begin_message(message)?;
            }
            match &message.content {
                AppendContent::Literal { octets, literal } if number > begun => {
                    self.announce(*octets, *literal)?;
                }
                AppendContent::Literal { .. } => {}
                AppendContent::Catenate { parts, .. } => self.catenate(sources, parts)?,
            }
        }
        Ok(())
    }

    fn begin_message(&mut self, message: &AppendMessage) -> Result<(), Outcome> {
        self.limit.admit_appended(self.messages.len() + 1)?;
        if let Some(before) = self.messages.last_mut() {
            if self.octets == 0 {
                return Err(Outcome::no(EMPTY));
            }
            self.mailbox.seal(before)?;
            self.unsynced += 1;
        }
        if self.unsynced >= SYNCED_TOGETHER {
            let first = self.messages.len().saturating_sub(self.unsynced);
            Incoming::sync_all(self.messages.get_mut(first..).unwrap_or_default())?;
            self.unsynced = 0;
        }
        let mut incoming = self.mailbox.begin_append()?;
        incoming.describe(message.flags, message.keywords.clone(), message.date);
        self.messages.push(incoming);
        self.header = match self.headers {
            Headers::Any => Header::Over,
            Headers::Ascii => Header::LineBegins,
        };
        (self.parts, self.octets, self.literal) = (0, 0, Literal::Text);
        Ok(())
    }

    /// A message that is a literal.
    fn announce(&mut self, octets: u64, literal: Literal) -> Result<(), Outcome> {
        if octets == 0 {
            return Err(Outcome::no(EMPTY));
        }
        self.grow(octets)?;
        self.literal = literal;
        if let (Literal::Binary, Some(message)) = (literal, self.messages.last_mut()) {
            message.take_binary();
        }
        Ok(())
    }

    /// Parts of a message; of those taken before, all but the last are behind it.
    fn catenate(&mut self, sources: &Sources<'_>, parts: &[CatenatePart]) -> Result<(), Outcome> {
        for part in parts.iter().skip(self.parts) {
            self.parts += 1;
            match part {
                CatenatePart::Text(octets) => self.grow(*octets)?,
                CatenatePart::Url(url) => {
                    let (piece, mailbox) = catenate::find(sources, url)?;
                    self.source = Some(mailbox);
                    self.grow(piece.octets())?;
                    if let Some(message) = self.messages.last_mut() {
                        piece.copy_to(message)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Counts octets of the last message (RFC 4469 section 4.2).
    fn grow(&mut self, octets: u64) -> Result<(), Outcome> {
        self.octets = self.octets.saturating_add(octets);
        if self.octets > self.limit_octets {
            return Err(Outcome::no("[TOOBIG] Message too big"));
        }
        Ok(())
    }

    /// Takes octets of the literal announced last. What fails is told at its end.
    pub fn write(&mut self, octets: &[u8]) {
        if self.failure.is_some() {
            return;
        }
        if self.header.has_8bit(octets) {
            self.messages.clear();
            // RFC 9755 section 4.
            let text = "[CANNOT] The header is not ASCII; ENABLE UTF8=ACCEPT or IMAP4rev2 first";
            self.failure = Some(Outcome::no(text));
            return;
        }
        if self.literal == Literal::Text && memchr::memchr(0, octets).is_some() {
            // RFC 3501 section 9, CHAR8.
            self.messages.clear();
            self.failure = Some(Outcome::bad("NUL needs a literal8 (RFC 3516)"));
            return;
        }
        if let Some(message) = self.messages.last_mut()
            && let Err(error) = message.write(octets)
        {
            self.messages.clear();
            self.failure = Some(error.into());
        }
    }

    /// How many messages wait to be synced.
    pub fn unsynced(&self) -> usize {
        self.unsynced + usize::from(!self.messages.is_empty())
    }

    /// Whether a message is to be replaced.
    pub fn replaces(&self) -> bool {
        self.replaced.is_some()
    }

    /// Replaces the message. APPENDUID comes before the expunge (RFC 8508 section 4.3).
    pub fn replace(
        mut self,
        view: &mut View,
        (enabled, on, out): (Enabled, Capabilities, &mut Writer),
    ) -> Ran {
        let (Some(replaced), Some(message)) = (self.replaced, self.messages.pop()) else {
            return Err(Outcome::bad("REPLACE needs a message"));
        };
        let uid = view.mailbox().replace(replaced, &self.mailbox, message)?;
        view.note_arrivals(Arc::clone(&self.mailbox), vec![uid]);
        let validity = self.mailbox.snapshot().uid_validity();
        out.text("* OK ")
            .text(&append_uid(validity, &[uid], on))
            .human("Replacement message ready")
            .crlf();
        Ok(expunged(view, enabled, "REPLACE completed"))
    }

    /// All of the command was taken: nothing may be missing.
    pub fn end(&mut self, messages: &[AppendMessage]) -> Result<(), Outcome> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let is_open = |message: &AppendMessage| match message.content {
            AppendContent::Catenate { list, .. } => list == PartList::Open,
            AppendContent::Literal { .. } => false,
        };
        if messages.iter().any(is_open) {
            return Err(Outcome::bad("A ) is missing"));
        }
        if self.octets == 0 {
            return Err(Outcome::no(EMPTY));
        }
        Ok(())
    }
}

/// Commits APPENDs to one mailbox together, each all or none; gives their outcomes in
/// their order, which tell the UIDs where UIDPLUS is on (RFC 4315), and the UIDs.
pub fn commit(appends: Vec<Appending>, on: Capabilities) -> Vec<(Outcome, Vec<Uid>)> {
    let Some(mailbox) = appends.first().map(Appending::mailbox) else {
        return Vec::new();
    };
    let mut outcomes = Vec::with_capacity(appends.len());
    let mut all = Vec::with_capacity(appends.len());
    for appending in appends {
        outcomes.push(appending.failure);
        all.push(appending.messages);
    }
    let appended = mailbox.append_each(all);
    let validity = mailbox.snapshot().uid_validity();
    let outcome = |(failure, uids): (Option<Outcome>, store::Result<Vec<Uid>>)| {
        if let Some(failure) = failure {
            return (failure, Vec::new());
        }
        let uids = match uids {
            Ok(uids) => uids,
            Err(error) => return (error.into(), Vec::new()),
        };
        let code = append_uid(validity, &uids, on);
        (Outcome::Ok(format!("{code}APPEND completed")), uids)
    };
    outcomes.into_iter().zip(appended).map(outcome).collect()
}

/// APPENDUID with the space after it, where UIDPLUS is on (RFC 4315).
fn append_uid(validity: UidValidity, uids: &[Uid], on: Capabilities) -> String {
    if !on.has(Capability::UidPlus) {
        return String::new();
    }
    let set = show_set(uids.iter().map(|uid| uid.get()));
    format!("[APPENDUID {validity} {set}] ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::{Flags, Layout};

    #[test]
    fn only_headers_are_looked_at() {
        let first_8bit = |message: &[u8], cut: usize| {
            let mut header = Header::LineBegins;
            let (before, after) = message.split_at(cut.min(message.len()));
            header.has_8bit(before) || header.has_8bit(after)
        };
        for cut in 0..20 {
            for plain in [
                &b"A: b\r\n\r\n\xff"[..],
                b"A: b\n\n\xff",
                b"\r\n\xff",
                b"\n\xff",
                b"A: b\r\n c\r\n\r\n\xff",
            ] {
                assert!(!first_8bit(plain, cut), "{plain:?} {cut}");
            }
            for other in [
                &b"A: \xc3\xa4\r\n\r\n"[..],
                b"A: b\r\n \xff",
                b"\xff",
                b"A: b\r\r\n\xff",
                b"A: b\n\rx\n\xff",
            ] {
                assert!(first_8bit(other, cut), "{other:?} {cut}");
            }
        }
    }

    #[test]
    fn messages_that_wait_hold_few_files() {
        let directory = tempfile::tempdir().expect("directory");
        let layout = Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let account = Account::open(&directory.path().join("Maildir"), layout).expect("account");
        let Ok(mut appending) = Appending::begin(&account, "INBOX", None, 1 << 20) else {
            panic!("refused");
        };
        let message = AppendMessage {
            flags: Flags::default(),
            keywords: Vec::new(),
            date: None,
            content: AppendContent::Literal {
                octets: 5,
                literal: Literal::Text,
            },
        };
        let messages = vec![message; 3 * SYNCED_TOGETHER];
        let sources = Sources {
            account: &account,
            selected: None,
        };
        for count in 1..=3 * SYNCED_TOGETHER {
            assert!(appending.take(&sources, &messages[..count]).is_ok());
            appending.write(b"\r\nab\r");
            let held = appending
                .messages
                .iter()
                .filter(|message| message.is_held());
            assert_eq!(held.count(), (count - 1) % SYNCED_TOGETHER + 1);
            assert!(appending.unsynced() <= SYNCED_TOGETHER);
        }
        let long = vec![b'x'; 100_000];
        assert!(appending.messages[0].write(&long).is_err());
        let last = appending.messages.len() - 1;
        assert!(appending.messages[last - 1].write(&long).is_err());
        assert!(appending.messages[last].write(&long).is_ok());
        let [(Outcome::Ok(_), _)] = &*commit(vec![appending], Capabilities::all()) else {
            panic!("not appended");
        };
        let inbox = destination(&account, "INBOX").unwrap_or_else(|_| panic!("INBOX"));
        let sizes: Vec<u64> = inbox.snapshot().rows().map(|row| row.size_octets).collect();
        assert_eq!(sizes.len(), 3 * SYNCED_TOGETHER);
        assert_eq!((sizes[0], sizes[last]), (5, 100_005));
    }
}
