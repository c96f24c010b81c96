//! What a session's next step may cost.

use crate::grammar::framing::Brief;
use crate::session::{ImapSession, Service, Work};
use crate::view::View;
use std::time::Instant;
use wire::Cost;

impl ImapSession {
    /// Output that waits is given out first, and a session that only waits looks at
    /// nothing: neither is worth a thread of its own, the less if hundreds idle on one
    /// mailbox and all wake at once.
    pub(crate) fn next_cost(&self, now: Instant) -> Cost {
        if self.login.is_none() || !self.queue.is_empty() || !self.out.is_empty() {
            return Cost::Memory;
        }
        if self.appends.wait() || self.service != Service::Running || self.is_behind() {
            return Cost::Long;
        }
        let comes = self.received || !self.buffer.is_empty();
        match self.work {
            Work::Ready if comes && self.is_brief() => Cost::Disk,
            Work::Idling { .. } if comes && self.is_free() => Cost::Disk,
            // So many messages as make a piece of output.
            Work::Fetching { .. } if self.is_free() => Cost::Disk,
            _ if comes => Cost::Long,
            _ => self.cost_of_waiting(now),
        }
    }

    /// Whether what comes is a command that is mostly over soon, and waits for nobody who
    /// works on the mailbox, or for one that is opened.
    fn is_brief(&self) -> bool {
        let opens = match self.buffer.brief() {
            None => return false,
            Some(Brief::Here) => return self.is_free(),
            Some(Brief::Opens(name)) => std::str::from_utf8(name),
        };
        let (Ok(opens), Some(login)) = (opens, &self.login) else {
            return false;
        };
        let name = login.account.parse_name(opens);
        self.is_free() && name.is_ok_and(|name| login.account.has_free(&name))
    }

    /// Whether nobody works on the selected mailbox.
    fn is_free(&self) -> bool {
        let view = self.view.as_ref();
        view.is_none_or(|view| !view.mailbox().is_busy())
    }

    /// Whether something is to be told first that may have to be read.
    fn is_behind(&self) -> bool {
        let is_behind = |view: &View| view.contexts().is_behind() || view.has_announced();
        self.view.as_ref().is_some_and(is_behind)
    }

    /// Nothing came from the client.
    fn cost_of_waiting(&self, now: Instant) -> Cost {
        let is_due = now >= self.deadline() || self.unmoved().is_some();
        let is_long = match self.work {
            Work::Over
            | Work::LoggingIn { .. }
            | Work::FindingKeys { .. }
            | Work::AskingLoad { .. }
            | Work::StartingTls => false,
            Work::Ready => {
                let tells = self.notify.is_some() && (self.changed || self.has_news(now));
                tells || is_due
            }
            Work::Idling { .. } => {
                // What comes to a search that is kept up to date may have to be read.
                let must_read = |view: &View| view.must_touch_disk() || !view.contexts().is_empty();
                let news_on_disk = || self.view.as_ref().is_some_and(must_read);
                is_due || self.has_news(now) || self.changed && news_on_disk()
            }
            Work::Fetching { .. }
            | Work::Changing { .. }
            | Work::Searching { .. }
            | Work::MultiSearching { .. }
            | Work::Notifying { .. }
            | Work::Announcing { .. }
            | Work::Challenged { .. }
            | Work::Proven { .. }
            | Work::Refused { .. } => true,
        };
        match is_long {
            true => Cost::Long,
            false => Cost::Memory,
        }
    }
}
