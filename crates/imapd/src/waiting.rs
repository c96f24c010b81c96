//! What a session does while the client sends nothing: moves what it claimed, keeps searches
//! up to date, and ends when that lasts too long.

use crate::commands::search::now_seconds;
use crate::session::{ImapSession, Work};
use crate::view::Access;
use std::time::{Duration, Instant};
use store::Mailbox;
use wire::Action;

/// How long a client has sent nothing before what it claimed is moved to `cur/`: the
/// commands that follow a SELECT are not to wait for that, from far away either.
const CLAIMED_WAIT: Duration = Duration::from_millis(500);

impl ImapSession {
    /// Waits for the client, or ends a connection that waited too long.
    pub(crate) fn wait(&mut self) -> Option<Action> {
        let deadline = self.deadline();
        if self.now >= deadline {
            self.bye("Autologout; idle for too long");
            return None;
        }
        if self.note() {
            return None;
        }
        if let Some(view) = self
            .view
            .as_mut()
            .filter(|view| view.contexts().is_behind())
        {
            if let Err(error) = view.update_contexts(now_seconds(), &mut self.out) {
                tracing::error!(session = %self.options.session_id, %error, "a search is not kept up to date");
            }
            return Some(Action::Yield);
        }
        let dues = [self.move_claimed(), self.note_due(), self.news_due()];
        let until = dues.into_iter().flatten().fold(deadline, Instant::min);
        Some(Action::Wait { until: Some(until) })
    }

    /// When a client that sends nothing is sent away.
    pub(crate) fn deadline(&self) -> Instant {
        match self.login {
            Some(_) => self.active + Duration::from_secs(self.options.idle_seconds),
            None => self.login_deadline,
        }
    }

    /// Moves some of what this session claimed, where the client lets it; says when there
    /// is more to be moved.
    fn move_claimed(&mut self) -> Option<Instant> {
        let mailbox = self.unmoved()?;
        let due = self.active + CLAIMED_WAIT;
        if self.now < due {
            return Some(due);
        }
        if let Err(error) = mailbox.move_claimed() {
            tracing::error!(session = %self.options.session_id, %error, "new mail cannot be moved");
            return None;
        }
        // The client goes first: what it sends is looked for in between.
        Some(self.now)
    }

    /// The selected mailbox, if it has something to be moved.
    pub(crate) fn unmoved(&self) -> Option<&Mailbox> {
        let view = self.view.as_ref()?;
        let mailbox = view.mailbox();
        (view.access() == Access::ReadWrite && mailbox.has_unmoved()).then_some(mailbox)
    }

    /// When a client in IDLE is to hear that the connection stands. Routers at home and
    /// of mobile networks forget connections that say nothing for some minutes, without a
    /// word to either end: the client would wait for news that cannot reach it. An untagged
    /// OK may come at any time (RFC 3501 section 7.1.1).
    fn note_due(&self) -> Option<Instant> {
        let every = Some(self.options.idle_note_seconds).filter(|seconds| *seconds > 0)?;
        let idling = matches!(self.work, Work::Idling { .. });
        idling.then(|| self.spoke + Duration::from_secs(every))
    }

    /// Says it, if it is time; what is said so is no activity of the client.
    fn note(&mut self) -> bool {
        let is_due = self.note_due().is_some_and(|due| self.now >= due);
        if is_due {
            self.out.text("* ").status_text("OK Still here").crlf();
            self.only_notes = true;
        }
        is_due
    }
}
