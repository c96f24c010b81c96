//! APPEND (RFC 3501 section 6.3.11) and REPLACE (RFC 8508) in a session: messages come in
//! pieces, and those of commands that a client sends without waiting are committed together.

use crate::commands::append::{self, Appending, SYNCED_TOGETHER};
use crate::commands::catenate::Sources;
use crate::commands::store_flags::need_write;
use crate::commands::{Outcome, Ran, list};
use crate::grammar::command::{AppendContent, AppendMessage, Command, Numbers};
use crate::grammar::framing::Sync;
use crate::grammar::{Bound, Need, parse_as};
use crate::rules::{self, Told};
use crate::session::{ImapSession, refused};
use crate::view::{OutOfRange, View};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::Mailbox;

/// What a command brings.
struct Arrival<'a> {
    mailbox: &'a str,
    messages: &'a [AppendMessage],
    /// The message to be replaced.
    replaced: Option<(Bound, Numbers)>,
}

impl<'a> Arrival<'a> {
    fn of(command: &'a Command) -> Result<Self, Outcome> {
        match command {
            Command::Append { mailbox, messages } => Ok(Self {
                mailbox,
                messages,
                replaced: None,
            }),
            Command::Replace(replace) => Ok(Self {
                mailbox: &replace.mailbox,
                messages: std::slice::from_ref(&replace.message),
                replaced: Some((replace.number, replace.numbers)),
            }),
            _ => Err(Outcome::bad("A message was not expected")),
        }
    }
    /// Whether it is put together of others.
    fn catenates(&self) -> bool {
        let mut contents = self.messages.iter().map(|message| &message.content);
        contents.any(|content| matches!(content, AppendContent::Catenate { .. }))
    }
}

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
    /// The tag of the first that is whole and waits.
    pub(crate) fn first_tag(&self) -> Option<&str> {
        self.whole.first().map(|(tag, _)| tag.as_str())
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
            Ok(mut tagged) => {
                self.normalise_names(&mut tagged.command);
                match self.announced(&tagged.command) {
                    Ok(appending) => {
                        self.appends.under_way = Some(appending);
                        if sync == Sync::Waits {
                            self.out.text("+ OK").crlf();
                        }
                        return self.buffer.accept_append();
                    }
                    Err(outcome) => (Some(tagged.tag), outcome),
                }
            }
        };
        self.appends.under_way = None;
        self.buffer.refuse_append();
        self.commit_appends();
        let tag = tag.unwrap_or_else(|| "*".to_owned());
        self.finish(&tag, Told::All, &outcome);
    }

    /// Begins an APPEND or REPLACE or goes on with it: makes ready for the message, or the
    /// part of one, that was announced last.
    fn announced(&mut self, command: &Command) -> Result<Appending, Outcome> {
        let arrival = self.arrival(command)?;
        let mut appending = match self.appends.under_way.take() {
            Some(appending) => appending,
            None => {
                let appending = self.begin_appending(&arrival)?;
                if arrival.replaced.is_some() || !self.appends.go_to(&appending.mailbox()) {
                    self.commit_appends();
                }
                appending
            }
        };
        self.fill(&mut appending, &arrival)?;
        Ok(appending)
    }

    /// What a command brings, if all it asks for is on.
    fn arrival<'a>(&self, command: &'a Command) -> Result<Arrival<'a>, Outcome> {
        match rules::refusal(command, self.on()) {
            Some(text) => Err(Outcome::Bad(text)),
            None => {
                self.need_uids(command)?;
                Arrival::of(command)
            }
        }
    }

    fn begin_appending(&self, arrival: &Arrival<'_>) -> Result<Appending, Outcome> {
        let Some(login) = &self.login else {
            return Err(Outcome::bad("Log in first"));
        };
        let mut replaced = None;
        if let Some((number, numbers)) = arrival.replaced {
            let Some(view) = &self.view else {
                return Err(Outcome::bad("Select a mailbox first"));
            };
            need_write(view)?;
            let found = view.find(number, numbers);
            replaced = Some(found.ok_or_else(|| match numbers {
                Numbers::Sequence => OutOfRange.into(),
                Numbers::Uid => Outcome::no("[NONEXISTENT] No message has such a UID"),
            })?);
        }
        let octets = self.options.append_limit_octets;
        let appending = Appending::begin(&login.account, arrival.mailbox, replaced, octets)?;
        Ok(appending.taking(self.appended_headers(), self.message_limit()))
    }

    /// Takes what a command brings, as far as it came. A URL may name what waits to be
    /// committed.
    fn fill(&mut self, appending: &mut Appending, arrival: &Arrival<'_>) -> Result<(), Outcome> {
        if arrival.catenates() {
            self.commit_appends();
        }
        let Some(login) = &self.login else {
            return Err(Outcome::bad("Log in first"));
        };
        let sources = Sources {
            account: &login.account,
            selected: self.view.as_ref().map(View::mailbox),
        };
        appending.take(&sources, arrival.messages)
    }

    /// Takes the rest of a command that is whole. Where its mailbox's name was normalised,
    /// `supplied` is the client's.
    fn end_appending(
        &mut self,
        appending: &mut Appending,
        command: &Command,
        supplied: Option<&str>,
    ) -> Result<(), Outcome> {
        let arrival = self.arrival(command)?;
        self.fill(appending, &arrival)?;
        self.appends.appended = Some(appending.mailbox());
        appending.end(arrival.messages)?;
        let Some(login) = &self.login else {
            return Err(Outcome::bad("Log in first"));
        };
        let name = login.account.parse_name(arrival.mailbox)?;
        list::write_normalised(&login.account, &name, supplied, &mut self.out)
    }

    fn replace(&mut self, appending: Appending) -> Ran {
        let on = self.on();
        self.expunging = true;
        self.note_wanted();
        let Some(view) = &mut self.view else {
            return Err(Outcome::bad("Select a mailbox first"));
        };
        let ran = appending.replace(view, (self.enabled, on, &mut self.out));
        self.note_saved();
        ran
    }

    /// A whole APPEND or REPLACE that had no literal to wait for: all it brings are URLs.
    pub(crate) fn append_at_once(&mut self, command: &Command, supplied: Option<&str>) -> Ran {
        let arrival = self.arrival(command)?;
        let mut appending = self.begin_appending(&arrival)?;
        self.end_appending(&mut appending, command, supplied)?;
        if appending.replaces() {
            return self.replace(appending);
        }
        let mailbox = appending.mailbox();
        let mut outcomes = append::commit(vec![appending], self.on());
        let Some((outcome, uids)) = outcomes.pop() else {
            return Err(Outcome::bad("APPEND needs a message"));
        };
        self.note_arrivals(&mailbox, &uids);
        Ok(outcome)
    }

    /// The APPEND under way is whole. It waits for those that come behind it at once, so
    /// that they share what the disk has to do (RFC 3501 section 5.5 allows a client to
    /// send them without waiting; they are answered in their order).
    pub(crate) fn append(&mut self, command: &[u8]) {
        let Some(mut appending) = self.appends.under_way.take() else {
            return;
        };
        let mut tagged = match parse_as(command, self.reading()) {
            Ok(tagged) => tagged,
            Err(malformed) => {
                self.commit_appends();
                return self.refuse(malformed);
            }
        };
        let supplied = self.normalise_names(&mut tagged.command);
        let ended = self.end_appending(&mut appending, &tagged.command, supplied.as_deref());
        let replaces = appending.replaces();
        let outcome = match ended {
            Ok(()) if replaces => {
                self.commit_appends();
                self.replace(appending).unwrap_or_else(|outcome| outcome)
            }
            Ok(()) => return self.let_wait(tagged.tag, appending),
            Err(outcome) => {
                self.commit_appends();
                outcome
            }
        };
        self.finish(&tagged.tag, Told::All, &outcome);
    }

    /// Lets an APPEND that is whole wait for more.
    fn let_wait(&mut self, tag: String, appending: Appending) {
        self.appends.whole.push((tag, appending));
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
