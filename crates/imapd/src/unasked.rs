//! What is told of the selected mailbox though nobody asks for it now: what changed, as far
//! as NOTIFY wants it told (RFC 5465 sections 3.1, 5.2 and 6.1), and attributes of new
//! messages.

use crate::commands::fetch::Fetching;
use crate::commands::search::now_seconds;
use crate::grammar::command::MessageEvents;
use crate::notify::Expunges;
use crate::response::More;
use crate::rules::Told;
use crate::session::{ImapSession, Work};
use crate::view::{Announced, Look, Wanted, WantedAttributes, WantedFlags};
use std::collections::VecDeque;

/// Attributes of new messages that are being told.
pub(crate) struct Announcing {
    rest: VecDeque<Announced>,
    fetching: Option<Fetching>,
}

impl ImapSession {
    /// What is told of the selected mailbox; nothing if NOTIFY said so.
    fn wanted(&self) -> Option<Wanted> {
        let Some(notify) = &self.notify else {
            return Some(Wanted::USUAL);
        };
        let flags = match notify.selected.events {
            // The answer to a command is no notification.
            MessageEvents::None if !self.expunging => return None,
            MessageEvents::None | MessageEvents::Counts => WantedFlags::None,
            MessageEvents::WithFlags => WantedFlags::WithUid,
        };
        Some(Wanted {
            flags,
            attributes: match notify.selected.items.is_empty() {
                true => WantedAttributes::None,
                false => WantedAttributes::Some,
            },
        })
    }

    /// Notes what is not to be told of the selected mailbox by the command that begins.
    pub(crate) fn note_wanted(&mut self) {
        let wanted = self.wanted();
        if let Some(view) = &mut self.view {
            view.note_withholds(wanted.is_none_or(|wanted| wanted.flags == WantedFlags::None));
        }
    }

    /// Tells what changed in the mailbox, as far as permitted and wanted.
    ///
    /// What comes to a search that is kept up to date, and goes, is told all the same where
    /// nothing else is: RFC 5465 does not end it, CANCELUPDATE does. It is told of messages
    /// that the client knows (RFC 5267 section 4.3.3).
    pub(crate) fn tell(&mut self, told: Told, look: Look) {
        if told == Told::Nothing {
            return;
        }
        self.changed = false;
        let wanted = self.wanted();
        let Some(view) = &mut self.view else {
            return;
        };
        let mut result = match wanted.is_some() || !view.contexts().is_empty() {
            true => view.look(look, self.now),
            false => Ok(()),
        };
        if view.is_gone() {
            return self.bye("The selected mailbox was deleted");
        }
        if let (Ok(()), Some(wanted)) = (&result, wanted) {
            result = view.tell(told, self.enabled, wanted, &mut self.out);
        } else {
            view.settle(self.enabled, &mut self.out);
        }
        if result.is_ok() {
            result = view.update_contexts(now_seconds(), &mut self.out);
        }
        // SELECTED has told what this command could not as soon as it is over.
        let is_immediate =
            |notify: &crate::notify::Notify| notify.selected.expunges == Expunges::Immediate;
        self.changed = view.holds_back() && self.notify.as_ref().is_some_and(is_immediate);
        if let Err(error) = result {
            tracing::error!(session = %self.options.session_id, %error, "cannot look for changes");
        }
    }

    /// After NOTIFY: tells what happened though no command is under way. Whether there was
    /// anything to look at.
    pub(crate) fn tells_between_commands(&mut self) -> bool {
        let Some(notify) = &self.notify else {
            return false;
        };
        let told = match notify.selected.expunges {
            Expunges::Immediate => Told::All,
            Expunges::Delayed => Told::NotExpunges,
        };
        let has_news = self.has_news(self.now);
        if self.buffer.in_command() || !(has_news || self.changed) {
            return false;
        }
        if has_news {
            self.tell_news();
        }
        if self.changed {
            self.tell(told, Look::AtPublished);
        }
        true
    }

    /// Begins to tell the attributes of new messages, where nothing else is under way.
    pub(crate) fn announce_new(&mut self) {
        let is_free = matches!(self.work, Work::Ready | Work::Idling { .. });
        let Some(view) = self.view.as_mut().filter(|view| view.has_announced()) else {
            return;
        };
        if !is_free || self.buffer.in_command() {
            return;
        }
        let items = self.notify.as_ref().map(|notify| &notify.selected.items);
        let rest = view.take_announced(items.map(Vec::as_slice).unwrap_or_default());
        self.work = Work::Announcing {
            announcing: Box::new(Announcing {
                rest,
                fetching: None,
            }),
            then: Box::new(std::mem::replace(&mut self.work, Work::Ready)),
        };
    }

    /// Tells attributes of new messages until there is enough output. One that is gone is
    /// passed over.
    ///
    /// Where a search asks for attributes, what came to its results is told after them, as
    /// RFC 5465 section 7 wants it; else before them, as section 5.2 wants it. The two
    /// contradict each other where both are asked for (erratum 4833).
    pub(crate) fn step_announcing(&mut self, mut announcing: Box<Announcing>, then: Box<Work>) {
        while let Some(view) = &mut self.view {
            let begun = announcing.fetching.take();
            let begin = |announced| Fetching::unasked(view, announced, self.enabled);
            let Some(mut fetching) = begun.or_else(|| announcing.rest.pop_front().map(begin))
            else {
                view.settle(self.enabled, &mut self.out);
                if let Err(error) = view.tell_held(now_seconds(), &mut self.out) {
                    tracing::error!(session = %self.options.session_id, %error, "a search is not kept up to date");
                }
                break;
            };
            if fetching.next(view, self.enabled, &mut self.out) == More::Nothing {
                if let Err(outcome) = fetching.into_failure(&mut self.out) {
                    self.log_failure(&outcome);
                }
                continue;
            }
            announcing.fetching = Some(fetching);
            if self.out.is_long() {
                self.work = Work::Announcing { announcing, then };
                return;
            }
        }
        self.work = *then;
    }
}
