//! APPEND in a session (RFC 3501 section 6.3.11): messages come in pieces, and those of
//! commands that a client sends without waiting are committed together.

use crate::commands::Outcome;
use crate::commands::append::{self, Appending, SYNCED_TOGETHER};
use crate::grammar::command::Command;
use crate::grammar::framing::Sync;
use crate::grammar::{Need, parse_as};
use crate::rules::{self, Told};
use crate::session::{ImapSession, refused};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::Mailbox;

/// How long an APPEND that is whole waits for the end of the next one, of which a part is
/// here already.
const PATIENCE: Duration = Duration::from_millis(5);

/// The APPENDs of a session.
#[derive(Default)]
pub(crate) struct Appends {
    /// The one whose messages are coming.
    under_way: Option<Appending>,
    /// Those that are whole and wait to be committed and answered, all to one mailbox.
    whole: Vec<(String, Appending)>,
    /// When they are committed, whatever comes.
    until: Option<Instant>,
    /// Where this session appended last: kept open, so that what is `\Recent`
    /// there stays so until someone selects it.
    appended: Option<Arc<Mailbox>>,
}

impl Appends {
    /// Whether messages are coming.
    pub(crate) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }
    /// Whether some are whole and wait.
    pub(crate) fn wait(&self) -> bool {
        !self.whole.is_empty()
    }
    /// Takes octets of the message that was announced last.
    pub(crate) fn write(&mut self, octets: &[u8]) {
        if let Some(appending) = &mut self.under_way {
            appending.write(octets);
        }
    }
    /// Forgets the one whose messages are coming.
    pub(crate) fn give_up(&mut self) {
        self.under_way = None;
    }
    /// Whether an APPEND there would be committed with those that wait.
    fn go_to(&self, mailbox: &Arc<Mailbox>) -> bool {
        let to = |(_, first): &(String, Appending)| Arc::ptr_eq(&first.mailbox(), mailbox);
        self.whole.first().is_none_or(to)
    }
}

impl ImapSession {
    /// Until when the APPENDs that are whole wait for more of the next one. Where what
    /// comes next is none that could join them they are committed and answered.
    pub(crate) fn appends_until(&mut self, need: &Need) -> Option<Instant> {
        let joins = match need {
            Need::AppendOctets(_) => true,
            Need::AppendLiteral { sync, .. } => *sync == Sync::Comes,
            Need::Complete(_) => self.appends.is_under_way(),
            Need::More => {
                let more = self.buffer.in_command() || !self.buffer.is_empty();
                let until = self.appends.until.filter(|until| more && self.now < *until);
                if until.is_some() {
                    return until;
                }
                false
            }
            Need::Continuation | Need::Refused { .. } | Need::Hopeless => false,
        };
        if !joins {
            self.commit_appends();
        }
        None
    }

    /// A message of an APPEND was announced.
    pub(crate) fn announce(&mut self, command: &[u8], sync: Sync) {
        let (tag, outcome) = match parse_as(command, self.reading()) {
            Err(malformed) => (malformed.tag.clone(), refused(malformed)),
            Ok(tagged) => match self.announced(tagged.command) {
                Ok(appending) => {
                    self.appends.under_way = Some(appending);
                    if sync == Sync::Waits {
                        self.out.text("+ OK").crlf();
                    }
                    return self.buffer.accept_append();
                }
                Err(outcome) => (Some(tagged.tag), outcome),
            },
        };
        self.appends.under_way = None;
        self.buffer.refuse_append();
        self.commit_appends();
        let tag = tag.unwrap_or_else(|| "*".to_owned());
        self.finish(&tag, Told::All, &outcome);
    }

    /// Begins an APPEND or goes on with it: makes ready for the message announced last.
    fn announced(&mut self, mut command: Command) -> Result<Appending, Outcome> {
        self.normalise_names(&mut command);
        let (headers, limit) = (self.appended_headers(), self.message_limit());
        if let Some(text) = rules::refusal(&command, self.on()) {
            return Err(Outcome::Bad(text));
        }
        let (Command::Append { mailbox, messages }, Some(login)) = (command, &self.login) else {
            return Err(Outcome::bad("A message was not expected"));
        };
        let mut appending = match self.appends.under_way.take() {
            Some(appending) => appending,
            None => {
                let appending = Appending::begin(&login.account, &mailbox)?;
                let appending = appending.taking(headers, limit);
                if !self.appends.go_to(&appending.mailbox()) {
                    self.commit_appends();
                }
                appending
            }
        };
        match messages.last() {
            Some(message) => appending.announce(message)?,
            None => return Err(Outcome::bad("A message was expected")),
        }
        Ok(appending)
    }

    /// The APPEND under way is whole. It waits for those that come behind it at once, so
    /// that they share what the disk has to do (RFC 3501 section 5.5 allows a client to
    /// send them without waiting; they are answered in their order).
    pub(crate) fn append(&mut self, command: &[u8]) {
        let Some(appending) = self.appends.under_way.take() else {
            return;
        };
        let tagged = match parse_as(command, self.reading()) {
            Ok(tagged) => tagged,
            Err(malformed) => {
                self.commit_appends();
                return self.refuse(malformed);
            }
        };
        self.appends.appended = Some(appending.mailbox());
        self.appends.whole.push((tagged.tag, appending));
        self.appends.until.get_or_insert(self.now + PATIENCE);
        let whole = &self.appends.whole;
        let unsynced: usize = whole.iter().map(|(_, append)| append.unsynced()).sum();
        let more = !self.buffer.is_empty();
        if !more || unsynced >= SYNCED_TOGETHER {
            self.commit_appends();
        }
    }

    /// Commits the APPENDs that wait, and answers each.
    pub(crate) fn commit_appends(&mut self) {
        self.appends.until = None;
        let whole = std::mem::take(&mut self.appends.whole);
        let (tags, appends): (Vec<_>, Vec<_>) = whole.into_iter().unzip();
        let Some(mailbox) = appends.first().map(Appending::mailbox) else {
            return;
        };
        let outcomes = append::commit(appends, self.on());
        // All are there by now, and are told with the first reply.
        for (_, uids) in &outcomes {
            self.note_arrivals(&mailbox, uids);
        }
        for (tag, (outcome, _)) in tags.iter().zip(outcomes) {
            self.finish(tag, Told::All, &outcome);
        }
    }
}
