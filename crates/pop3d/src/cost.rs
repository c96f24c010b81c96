//! What a session's next step may cost.

use crate::command::Need;
use crate::session::{Pop3Session, Service, State};
use std::time::Instant;
use store::MailboxName;
use wire::Cost;

impl Pop3Session {
    /// What is ready is given out first, and most commands need nothing of the disk; who
    /// is at its end leaves the maildrop.
    pub(crate) fn next_cost(&self, now: Instant) -> Cost {
        if !self.queue.is_empty() || self.listing.is_some() {
            return Cost::Memory;
        }
        let State::Transaction(transaction) = &self.state else {
            return match &self.login {
                Some(login) if login.account.has_free(&MailboxName::inbox()) => Cost::Disk,
                // A maildrop is opened.
                Some(_) => Cost::Long,
                None => Cost::Memory,
            };
        };
        if self.service != Service::Running || now >= self.deadline() {
            return Cost::Long;
        }
        let line = self.lines.peek();
        let cost = match line.map(Need::of) {
            None | Some(Need::Memory) => Cost::Memory,
            Some(Need::Message) => Cost::Disk,
            Some(Need::Update) if !transaction.has_update() => Cost::Disk,
            Some(Need::Update | Need::Any) => Cost::Long,
        };
        let notes = transaction.notes_what_was_sent() || self.bad_commands > 0;
        match cost {
            Cost::Memory if !notes => Cost::Memory,
            Cost::Memory | Cost::Disk if transaction.is_free() => Cost::Disk,
            _ => Cost::Long,
        }
    }
}
