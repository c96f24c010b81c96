//! A session of either protocol.

use crate::accounts::Entrant;
use crate::relief::{Pace, Relief};
use crate::serve::Server;
use crate::steps::{SharedOutlet, Step, Steps};
use std::sync::Arc;
use std::time::Instant;
use wire::{Action, Cost, Denial, Event, Load, Meanwhile, Session};

/// What is spoken.
pub(super) enum Kind {
    Imap(Box<imapd::ImapSession>),
    Pop3(Box<pop3d::Pop3Session>),
    /// A session that panicked: what is left to tell its client.
    Broken(Option<&'static str>),
}

impl Kind {
    /// Lets a session work. Should it panic, which is a mistake of ours, this one
    /// connection ends in the words of its protocol and all others go on.
    pub(super) fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let farewell = match self {
            Self::Imap(_) => "* BYE Internal error, the log tells more\r\n",
            Self::Pop3(_) => "-ERR [SYS/PERM] Internal error, the log tells more\r\n",
            Self::Broken(_) => "",
        };
        let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(self)));
        if worked.is_err() {
            *self = Self::Broken(Some(farewell));
        }
        worked.ok()
    }

    /// What to do now; a client that waits for it is told so.
    pub(super) fn next(
        &mut self,
        now: Instant,
        (steps, pace): (&Steps, &mut Pace),
        outlet: &SharedOutlet,
    ) -> Action {
        fn step<'a, L>(
            session: &mut impl Session<L>,
            now: Instant,
            (relief, pace): (&Relief, &mut Pace),
            begin: impl FnOnce(Meanwhile) -> Step<'a>,
        ) -> Action {
            let cost = session.cost(now);
            if cost == Cost::Memory {
                return session.next(now);
            }
            let step = session.meanwhile(now).map(begin);
            let action = match cost {
                Cost::Memory | Cost::Disk => relief.run(pace, || session.next(now)),
                Cost::Long => tokio::task::block_in_place(|| session.next(now)),
            };
            if let Some(told) = step.and_then(Step::end) {
                session.resume(Event::ToldMeanwhile(told));
            }
            action
        }
        let begin = |meanwhile| steps.begin(outlet, meanwhile);
        let action = self.guarded(|kind| match kind {
            Self::Imap(session) => step(&mut **session, now, (&steps.relief, pace), begin),
            Self::Pop3(session) => step(&mut **session, now, (&steps.relief, pace), begin),
            Self::Broken(farewell) => match farewell.take() {
                Some(farewell) => Action::Send(farewell.as_bytes().to_vec()),
                None => Action::Close,
            },
        });
        action.unwrap_or(Action::Yield)
    }

    /// Whether a session's end may take the disk.
    pub(super) fn has_mailbox(&self) -> bool {
        match self {
            Self::Imap(session) => session.has_mailbox(),
            Self::Pop3(session) => session.has_mailbox(),
            Self::Broken(_) => false,
        }
    }

    pub(super) fn receive(&mut self, octets: &[u8]) {
        self.guarded(|kind| match kind {
            Self::Imap(session) => session.receive(octets),
            Self::Pop3(session) => session.receive(octets),
            Self::Broken(_) => {}
        });
    }

    pub(super) fn authenticated(
        &mut self,
        entrant: Entrant,
        account: Arc<store::Account>,
        server: &Server,
    ) {
        let device = server.accounts.device(&entrant);
        let user = entrant.user;
        self.guarded(|kind| match kind {
            Self::Imap(session) => {
                let capabilities = server.config().imap_capabilities(Some(&user));
                session.resume(Event::Authenticated(imapd::Login {
                    user,
                    account,
                    capabilities,
                }));
            }
            Self::Pop3(session) => {
                let policy = server.config().pop3_policy();
                let capabilities = server.config().pop3_capabilities(Some(&user));
                session.resume(Event::Authenticated(pop3d::Login {
                    user,
                    account,
                    policy,
                    capabilities,
                    device,
                }));
            }
            Self::Broken(_) => {}
        });
    }

    /// Tells a session what happened, where it is the same for both protocols.
    pub(super) fn resume(&mut self, happening: Happening) {
        self.guarded(|kind| match kind {
            Self::Imap(session) => session.resume(happening.into()),
            Self::Pop3(session) => session.resume(happening.into()),
            Self::Broken(_) => {}
        });
    }
}

/// What can happen to a session of any protocol.
pub(super) enum Happening {
    Denied(Denial),
    ScramKeys(wire::sasl::ScramKeys),
    TokenRefused(Vec<u8>),
    TlsStarted(wire::sasl::Channel),
    Load(Load),
    MailboxChanged,
    Shutdown,
    LoginRevoked,
}

impl<A> From<Happening> for Event<A> {
    fn from(happening: Happening) -> Self {
        match happening {
            Happening::Denied(denial) => Self::Denied(denial),
            Happening::ScramKeys(keys) => Self::ScramKeys(keys),
            Happening::TokenRefused(why) => Self::TokenRefused(why),
            Happening::TlsStarted(channel) => Self::TlsStarted(channel),
            Happening::Load(load) => Self::Load(load),
            Happening::MailboxChanged => Self::MailboxChanged,
            Happening::Shutdown => Self::Shutdown,
            Happening::LoginRevoked => Self::LoginRevoked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outlet::Outlet;
    use crate::stream::Stream;
    use wire::Security;
    use wire::sasl::Offer;

    #[test]
    fn a_panic_ends_its_own_session_in_words() {
        let options = pop3d::Options {
            security: Security::Tls,
            starttls: pop3d::StartTls::Absent,
            capabilities: pop3d::Capabilities::all(),
            offer: Offer::default(),
            login_delay_seconds: 0,
            language: pop3d::Language::English,
            login_seconds: 60,
            idle_seconds: 600,
            session_id: "s".into(),
            peer: String::new(),
        };
        let session = pop3d::Pop3Session::new(options, Instant::now());
        let mut kind = Kind::Pop3(Box::new(session));
        assert!(kind.guarded(|_| -> u8 { panic!("a mistake") }).is_none());
        kind.receive(b"QUIT\r\n");
        let (steps, mut pace) = (Steps::default(), Pace::default());
        let outlet = Outlet::new(Stream::Gone);
        let outlet = Arc::new(tokio::sync::Mutex::new(outlet));
        let Action::Send(octets) = kind.next(Instant::now(), (&steps, &mut pace), &outlet) else {
            panic!("no farewell");
        };
        assert!(octets.starts_with(b"-ERR [SYS/PERM] Internal error"));
        let end = kind.next(Instant::now(), (&steps, &mut pace), &outlet);
        assert!(matches!(end, Action::Close));
    }
}
