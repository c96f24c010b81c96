//! What is told of the selected mailbox though nobody asks for it now: what NOTIFY says
//! (RFC 5465 sections 3.1, 5.2 and 6.1).

use crate::commands::fetch::Fetching;
use crate::grammar::command::MessageEvents;
use crate::notify::Expunges;
use crate::response::More;
use crate::rules::Told;
use crate::session::{ImapSession, Work};
use crate::view::{Look, Wanted, WantedAttributes, WantedFlags};

impl ImapSession {
    /// What is told of the selected mailbox; nothing if NOTIFY said so.
    pub(crate) fn wanted(&self) -> Option<Wanted> {
        let Some(notify) = &self.notify else {
            return Some(Wanted::USUAL);
        };
        let flags = match notify.selected.events {
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
        let (Some(view), Some(notify)) = (&mut self.view, &self.notify) else {
            return;
        };
        if !is_free || !view.has_announced() {
            return;
        }
        let ranges = view.take_announced();
        let items = notify.selected.items.clone();
        let fetching = Box::new(Fetching::unasked(view, ranges, items));
        let then = Box::new(std::mem::replace(&mut self.work, Work::Ready));
        self.work = Work::Announcing { fetching, then };
    }

    /// Tells attributes of new messages until there is enough output. One that is gone is
    /// passed over.
    pub(crate) fn step_announcing(&mut self, mut fetching: Box<Fetching>, then: Box<Work>) {
        while let Some(view) = &mut self.view {
            if fetching.next(view, self.enabled, &mut self.out) == More::Nothing {
                break;
            }
            if self.out.is_long() {
                self.work = Work::Announcing { fetching, then };
                return;
            }
        }
        self.work = *then;
        if let Err(outcome) = fetching.into_failure(&mut self.out) {
            self.log_failure(&outcome);
        }
    }
}
