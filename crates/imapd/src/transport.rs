//! COMPRESS (RFC 4978) and UNAUTHENTICATE (RFC 8437): what changes the connection.

use crate::appends::Appends;
use crate::capability::{self, Compressed, Enabled};
use crate::commands::Outcome;
use crate::grammar::Limits;
use crate::language::Language;
use crate::order::collation::Comparator;
use crate::rules::Told;
use crate::session::{ImapSession, Work};
use std::time::Duration;
use wire::Action;

impl ImapSession {
    /// What the client may send.
    pub(crate) fn limits(&self) -> Limits {
        let limits = match self.login {
            Some(_) => Limits::after_login(self.options.append_limit_octets),
            None => Limits::before_login(),
        };
        Limits {
            unasked_octets: capability::unasked_octets(self.on(), self.login.is_some()),
            ..limits
        }
    }

    /// UNAUTHENTICATE (RFC 8437): all that belongs to the user goes, and compression ends.
    /// What the client sent behind it is taken by a session that is not logged in.
    pub(crate) fn unauthenticate(&mut self, tag: &str) {
        self.login = None;
        self.view = None;
        self.notify = None;
        self.listener = None;
        self.expunging = false;
        self.appends = Appends::default();
        self.listener = None;
        self.enabled = Enabled::default();
        self.out.speak(self.enabled.dialect());
        self.compressed = Compressed::No;
        self.comparator = Comparator::default();
        self.changed = false;
        self.bad_commands = 0;
        self.login_deadline = self.now + Duration::from_secs(self.options.login_seconds);
        self.buffer.set_limits(self.limits());
        self.enqueue(Action::Unauthenticate);
        let text = format!("[CAPABILITY {}] Logged in no more", self.capabilities());
        self.finish(tag, Told::Nothing, &Outcome::Ok(text));
        self.out.set_language(Language::Default);
        self.enqueue(Action::EndCompression);
    }

    /// COMPRESS (RFC 4978).
    pub(crate) fn compress(&mut self, tag: &str, algorithm: &str) {
        let refusal = if algorithm != "DEFLATE" {
            Some(Outcome::bad("Unknown compression"))
        } else if self.compressed == Compressed::Yes {
            // Section 3 has BAD for this and NO for other layers; clients know the code.
            Some(Outcome::no("[COMPRESSIONACTIVE] DEFLATE is active already"))
        } else if !self.buffer.is_empty() {
            // Section 3: what follows cannot be told compressed from not compressed.
            Some(Outcome::bad(
                "Nothing may follow COMPRESS before its answer",
            ))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            return self.finish(tag, Told::All, &refusal);
        }
        self.finish(tag, Told::All, &Outcome::ok("DEFLATE active"));
        if !matches!(self.work, Work::Over) {
            self.compressed = Compressed::Yes;
            self.enqueue(Action::StartCompression);
        }
    }
}
