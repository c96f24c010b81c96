//! APPEND (RFC 3501 section 6.3.11) of one message or more (RFC 3502).

use super::{Outcome, destination};
use crate::capability::{Capabilities, Capability};
use crate::grammar::command::AppendMessage;
use crate::response::show_set;
use std::sync::Arc;
use store::{Account, Incoming, Mailbox};

/// So many messages hold a descriptor until they are synced, one right after the other.
pub const SYNCED_TOGETHER: usize = 16;

/// An APPEND under way.
pub struct Appending {
    mailbox: Arc<Mailbox>,
    messages: Vec<Incoming>,
    /// How many of them are whole and hold a descriptor until they are synced.
    unsynced: usize,
    failure: Option<Outcome>,
}

impl Appending {
    /// Begins an APPEND to a mailbox.
    pub fn begin(account: &Account, mailbox: &str) -> Result<Self, Outcome> {
        Ok(Self {
            mailbox: destination(account, mailbox)?,
            messages: Vec::new(),
            unsynced: 0,
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
            self.unsynced += 1;
        }
        if self.unsynced >= SYNCED_TOGETHER {
            self.messages.iter_mut().try_for_each(Incoming::sync)?;
            self.unsynced = 0;
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

    /// How many messages wait to be synced.
    pub fn unsynced(&self) -> usize {
        self.unsynced + usize::from(!self.messages.is_empty())
    }
}

/// Commits APPENDs to one mailbox together, each all or none; gives their outcomes in
/// their order, with the UIDs where UIDPLUS is on (RFC 4315).
pub fn commit(appends: Vec<Appending>, on: Capabilities) -> Vec<Outcome> {
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
    let outcome = |(failure, uids): (Option<Outcome>, store::Result<Vec<store::Uid>>)| {
        if let Some(failure) = failure {
            return failure;
        }
        let uids = match uids {
            Ok(uids) => uids,
            Err(error) => return error.into(),
        };
        if !on.has(Capability::UidPlus) {
            return Outcome::ok("APPEND completed");
        }
        let set = show_set(uids.iter().map(|uid| uid.get()));
        Outcome::Ok(format!("[APPENDUID {validity} {set}] APPEND completed"))
    };
    outcomes.into_iter().zip(appended).map(outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::{Flags, Layout};

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
        let [Outcome::Ok(_)] = &*commit(vec![appending], Capabilities::all()) else {
            panic!("not appended");
        };
        let inbox = destination(&account, "INBOX").unwrap_or_else(|_| panic!("INBOX"));
        let sizes: Vec<u64> = inbox.snapshot().rows().map(|row| row.size_octets).collect();
        assert_eq!(sizes.len(), 3 * SYNCED_TOGETHER);
        assert_eq!((sizes[0], sizes[last]), (5, 100_005));
    }
}
