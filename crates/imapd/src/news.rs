//! Tells what others did to mailboxes that are not selected, and to the server.

use crate::commands::metadata::write_changed;
use crate::session::ImapSession;
use store::News;
use store::news::Acting;

impl ImapSession {
    /// Listens from now on, if it does not yet.
    pub(crate) fn listen(&mut self) {
        if let (None, Some(login)) = (&self.listener, &self.login) {
            let waker = self.options.waker.clone();
            self.listener = Some(login.account.listen(&login.user, waker));
        }
    }

    /// What is done until the guard drops is this session's doing.
    pub(crate) fn act(&self) -> Option<Acting> {
        self.listener.as_ref().map(store::Listener::act)
    }

    /// Tells what was heard, as far as the client wants to know.
    pub(crate) fn tell_news(&mut self) {
        let (Some(listener), Some(login)) = (&self.listener, &self.login) else {
            return;
        };
        let heard = listener.take();
        if heard.overflow {
            // RFC 5465 section 5.8 has the code; RFC 5464 has none.
            self.out
                .text("* OK [NOTIFICATIONOVERFLOW] ")
                .human("Some changes of metadata are not told")
                .crlf();
        }
        for news in heard.news {
            match news {
                News::Metadata {
                    mailbox, entries, ..
                } if self.enabled.metadata() => {
                    let shown = mailbox.map(|name| login.account.show_name(&name));
                    write_changed(&shown.unwrap_or_default(), &entries, &mut self.out);
                }
                News::Metadata { .. }
                | News::Created(_)
                | News::Deleted(_)
                | News::Renamed { .. }
                | News::Subscription(_) => {}
            }
        }
    }
}
