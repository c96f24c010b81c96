//! APPEND (RFC 3501 section 6.3.11) of one message or more (RFC 3502).

use super::{Outcome, Ran, destination};
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

    /// Appends all.
    pub fn finish(self) -> Ran {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let uids = self.mailbox.append(self.messages)?;
        let validity = self.mailbox.snapshot().uid_validity();
        let set = show_set(uids.iter().map(|uid| uid.get()));
        Ok(Outcome::Ok(format!(
            "[APPENDUID {validity} {set}] APPEND completed"
        )))
    }
}
