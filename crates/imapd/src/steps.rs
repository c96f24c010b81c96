//! What takes long goes in steps: other sessions have their turn in between.

use crate::commands::Outcome;
use crate::commands::changing::Changing;
use crate::commands::fetch::Fetching;
use crate::commands::multisearch::MultiSearching;
use crate::commands::search::Searching;
use crate::progress::Measure;
use crate::response::More;
use crate::rules::Told;
use crate::session::{ImapSession, Work};
use crate::view::Look;
use wire::Action;

impl ImapSession {
    /// Whether a command under way has to end before its time.
    pub(crate) fn is_out_of_time(&self) -> bool {
        self.ends_by.is_some_and(|ends_by| self.now >= ends_by)
    }

    /// Ends a command that would take longer than the server has. BYE follows (RFC 3501
    /// section 7.1.5).
    pub(crate) fn end_early(&mut self, tag: &str, told: Told) -> Option<Action> {
        let outcome = Outcome::no("[UNAVAILABLE] The server is shutting down");
        self.finish(tag, told, &outcome);
        None
    }

    /// Sends messages until there is enough output.
    pub(crate) fn step_fetching(&mut self, tag: String, told: Told, mut fetching: Box<Fetching>) {
        if let Some(view) = &mut self.view {
            view.tell_new_keywords(&mut self.out);
        }
        while let Some(view) = &mut self.view {
            if fetching.next(view, self.enabled, &mut self.out) == More::Nothing {
                break;
            }
            if self.out.is_long() {
                self.work = Work::Fetching {
                    tag,
                    told,
                    fetching,
                };
                return;
            }
        }
        match fetching.into_failure(&mut self.out) {
            Ok(reply) => {
                self.tell_news();
                self.tell(told, Look::WhenDue);
                // SELECT tells nothing more, but of what came meanwhile it has told what was
                // read last (RFC 7162 section 3.2).
                if let (Told::Nothing, Some(view)) = (told, &mut self.view) {
                    view.settle(self.enabled, &mut self.out);
                }
                if !matches!(self.work, Work::Over) {
                    self.out.text(&tag).text(" ").status_text(&reply).crlf();
                    self.bad_commands = 0;
                }
            }
            Err(outcome) => self.finish(&tag, told, &outcome),
        }
    }

    /// Goes on searching.
    pub(crate) fn step_searching(
        &mut self,
        tag: String,
        told: Told,
        mut searching: Box<Searching>,
    ) -> Option<Action> {
        let Some(view) = &mut self.view else {
            self.finish(&tag, told, &Outcome::bad("Select a mailbox first"));
            return None;
        };
        let outcome = match searching.step(view) {
            Ok(More::Follows) => {
                self.tell_progress(&tag, searching.measure());
                self.work = Work::Searching {
                    tag,
                    told,
                    searching,
                };
                return Some(Action::Yield);
            }
            Ok(More::Nothing) => searching.finish(view, &tag, &mut self.out),
            Err(outcome) => outcome,
        };
        self.finish(&tag, told, &outcome);
        None
    }

    /// Goes on searching several mailboxes.
    pub(crate) fn step_multi_searching(
        &mut self,
        tag: String,
        told: Told,
        mut searching: Box<MultiSearching>,
    ) -> Option<Action> {
        let outcome = match searching.step(&mut self.view, &tag, &mut self.out) {
            Ok(More::Follows) => {
                self.tell_progress(&tag, Measure::Unknown);
                self.work = Work::MultiSearching {
                    tag,
                    told,
                    searching,
                };
                return Some(Action::Yield);
            }
            Ok(More::Nothing) => Outcome::MultiSearching(searching),
            Err(outcome) => outcome,
        };
        self.finish(&tag, told, &outcome);
        None
    }

    /// Goes on changing messages.
    pub(crate) fn step_changing(
        &mut self,
        tag: String,
        told: Told,
        mut changing: Box<Changing>,
    ) -> Option<Action> {
        let (on, _acting) = (self.on(), self.act());
        let Some(view) = &mut self.view else {
            self.finish(&tag, told, &Outcome::bad("Select a mailbox first"));
            return None;
        };
        let stepped = changing.step(view, self.now);
        self.note_saved();
        if let Ok(More::Follows) = stepped {
            self.tell_progress(&tag, changing.measure());
            self.work = Work::Changing {
                tag,
                told,
                changing,
            };
            return Some(Action::Yield);
        }
        let (closes, completed) = (changing.closes(), changing.completed());
        let mut outcome = match stepped {
            Ok(_) => match &mut self.view {
                Some(view) => changing.finish(view, (self.enabled, on), &mut self.out),
                None => Outcome::bad("Select a mailbox first"),
            },
            Err(outcome) => {
                changing.give_up(on, &mut self.out);
                outcome
            }
        };
        if closes {
            // Of a mailbox that is gone there is nothing left to be removed, and CLOSE
            // knows no NO (RFC 3501 section 6.4.2).
            if self
                .view
                .as_ref()
                .is_some_and(|view| view.mailbox().is_gone())
            {
                outcome = Outcome::ok(completed);
            }
            // After a failure it stays selected.
            if matches!(outcome, Outcome::Ok(_))
                && let Some(view) = self.view.take()
            {
                self.note_departures(&view);
            }
        }
        match outcome {
            Outcome::Fetching(fetching) => {
                self.work = Work::Fetching {
                    tag,
                    told,
                    fetching,
                };
            }
            outcome => self.finish(&tag, told, &outcome),
        }
        None
    }
}
