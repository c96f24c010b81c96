//! APPEND (RFC 3501 section 6.3.11, RFC 9755 section 4) of one message or more (RFC 3502).

use super::{Outcome, destination};
use crate::capability::{Capabilities, Capability};
use crate::grammar::command::AppendMessage;
use crate::limit::MessageLimit;
use crate::response::show_set;
use std::sync::Arc;
use store::{Account, Incoming, Mailbox, Uid};

/// So many messages hold a descriptor until they are synced, one right after the other.
pub const SYNCED_TOGETHER: usize = 16;

/// An APPEND under way.
pub struct Appending {
    mailbox: Arc<Mailbox>,
    messages: Vec<Incoming>,
    /// How many of them are whole and hold a descriptor until they are synced.
    unsynced: usize,
    headers: Headers,
    header: Header,
    limit: MessageLimit,
    failure: Option<Outcome>,
}

/// What headers may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Headers {
    /// Any octets.
    Any,
    /// ASCII: the client could have enabled UTF-8, and did not.
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
    /// Begins an APPEND to a mailbox.
    pub fn begin(account: &Account, mailbox: &str) -> Result<Self, Outcome> {
        Ok(Self {
            mailbox: destination(account, mailbox)?,
            messages: Vec::new(),
            unsynced: 0,
            headers: Headers::Any,
            header: Header::Over,
            limit: MessageLimit::None,
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

    /// Takes the announcement of a message.
    pub fn announce(&mut self, message: &AppendMessage) -> Result<(), Outcome> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if message.octets == 0 {
            return Err(Outcome::no("[CANNOT] An empty message aborts APPEND"));
        }
        self.limit.admit_appended(self.messages.len() + 1)?;
        if let Some(before) = self.messages.last_mut() {
            before.seal()?;
            self.unsynced += 1;
        }
        if self.unsynced >= SYNCED_TOGETHER {
            self.messages.iter_mut().try_for_each(Incoming::sync)?;
            self.unsynced = 0;
        }
        let mut incoming = self.mailbox.begin_append()?;
        incoming.describe(message.flags, message.keywords.clone(), message.date);
        self.messages.push(incoming);
        self.header = match self.headers {
            Headers::Any => Header::Over,
            Headers::Ascii => Header::LineBegins,
        };
        Ok(())
    }

    /// Takes octets of the message announced last. What fails is told at its end.
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
        if !on.has(Capability::UidPlus) {
            return (Outcome::ok("APPEND completed"), uids);
        }
        let set = show_set(uids.iter().map(|uid| uid.get()));
        let text = format!("[APPENDUID {validity} {set}] APPEND completed");
        (Outcome::Ok(text), uids)
    };
    outcomes.into_iter().zip(appended).map(outcome).collect()
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
        let Ok(mut appending) = Appending::begin(&account, "INBOX") else {
            panic!("refused");
        };
        let message = AppendMessage {
            flags: Flags::default(),
            keywords: Vec::new(),
            date: None,
            octets: 5,
        };
        for count in 1..=3 * SYNCED_TOGETHER {
            assert!(appending.announce(&message).is_ok());
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
