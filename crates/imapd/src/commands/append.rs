//! APPEND (RFC 3501 section 6.3.11) of one message or more (RFC 3502).

use super::{Outcome, Ran, destination};
use crate::capability::{Capabilities, Capability};
use crate::grammar::command::AppendMessage;
use crate::response::show_set;
use std::sync::Arc;
use store::{Account, Incoming, Mailbox};

/// An APPEND under way.
pub struct Appending {
    mailbox: Arc<Mailbox>,
    messages: Vec<Incoming>,
    failure: Option<Outcome>,
}

impl Appending {
    /// Begins an APPEND to a mailbox.
    pub fn begin(account: &Account, mailbox: &str) -> Result<Self, Outcome> {
        Ok(Self {
            mailbox: destination(account, mailbox)?,
            messages: Vec::new(),
            failure: None,
        })
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
        if let Some(before) = self.messages.last_mut() {
            before.seal()?;
        }
        let mut incoming = self.mailbox.begin_append()?;
        incoming.describe(message.flags, message.keywords.clone(), message.date);
        self.messages.push(incoming);
        Ok(())
    }

    /// Takes octets of the message announced last. What fails is told at its end.
    pub fn write(&mut self, octets: &[u8]) {
        if self.failure.is_some() {
            return;
        }
        if let Some(message) = self.messages.last_mut()
            && let Err(error) = message.write(octets)
        {
            self.messages.clear();
            self.failure = Some(error.into());
        }
    }

    /// Appends all; tells the UIDs where UIDPLUS is on (RFC 4315).
    pub fn finish(self, on: Capabilities) -> Ran {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let uids = self.mailbox.append(self.messages)?;
        if !on.has(Capability::UidPlus) {
            return Ok(Outcome::ok("APPEND completed"));
        }
        let validity = self.mailbox.snapshot().uid_validity();
        let set = show_set(uids.iter().map(|uid| uid.get()));
        Ok(Outcome::Ok(format!(
            "[APPENDUID {validity} {set}] APPEND completed"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::{Flags, Layout};

    #[test]
    fn messages_that_wait_hold_no_file() {
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
        for _ in 0..2 {
            assert!(appending.announce(&message).is_ok());
            appending.write(b"\r\nab\r");
        }
        let long = vec![b'x'; 100_000];
        assert!(appending.messages[0].write(&long).is_err());
        assert!(appending.messages[1].write(&long).is_ok());
        assert!(appending.finish(Capabilities::all()).is_ok());
        let inbox = destination(&account, "INBOX").unwrap_or_else(|_| panic!("INBOX"));
        let sizes: Vec<u64> = inbox.snapshot().rows().map(|row| row.size_octets).collect();
        assert_eq!(sizes, [5, 100_005]);
    }
}
