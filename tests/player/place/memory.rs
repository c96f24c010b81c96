//! Sessions in memory: no socket and no server process, only what the server does for
//! a session.

use super::{Conversation, Place};
use crate::common::{self, mailbox};
use crate::player::{Peer, Protocol, Transcript};
use pillarbox::accounts::{Accounts, Entrant};
use pillarbox::config::Config;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};
use wire::sasl::{Channel, Offer};
use wire::{Action, Denial, Event, Security, Session};

/// How often a change is looked for.
const LOOK: Duration = Duration::from_millis(1);

/// Where clients come from.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What all sessions share.
struct World {
    config: Config,
    accounts: Arc<Accounts>,
    runtime: tokio::runtime::Runtime,
    _keep: tempfile::TempDir,
}

impl World {
    fn offer(&self) -> Offer {
        Offer {
            mechanisms: self.accounts.mechanisms(),
            channel: Channel::default(),
        }
    }
}

/// A mailbox that sessions in memory are opened on.
pub struct Memory {
    world: Arc<World>,
}

impl Memory {
    pub fn new(transcript: &Transcript) -> Self {
        let keep = mailbox::directory();
        let directory = keep.path();
        mailbox::fill(directory, transcript.messages, transcript.aged);
        let users_file = directory.join("users.yaml");
        common::save_users(&users_file, &transcript.devices);
        let file = directory.join("pillarbox.yaml");
        let text = format!(
            "mail_root: {}/mail/%u/Maildir\nusers_file: {}\n{}\n",
            directory.display(),
            users_file.display(),
            transcript.config.join("\n")
        );
        std::fs::write(&file, text).expect("configuration");
        let config = Config::load(&file).expect("a good configuration");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("runtime");
        let world = World {
            accounts: Arc::new(Accounts::open(&config).expect("accounts")),
            config,
            runtime,
            _keep: keep,
        };
        Self {
            world: Arc::new(world),
        }
    }
}

impl Place for Memory {
    fn peer(&self) -> Peer {
        Peer::Pillarbox
    }

    /// That is the server's part.
    fn compresses(&self) -> bool {
        false
    }

    fn open(&self, protocol: Protocol) -> Box<dyn Conversation> {
        let world = Arc::clone(&self.world);
        let limits = &world.config.limits;
        let alarm = Arc::new(Alarm(AtomicBool::new(false)));
        let now = Instant::now();
        match protocol {
            Protocol::Imap => {
                let options = imapd::Options {
                    security: Security::PlainWithPasswords,
                    starttls: imapd::StartTls::Offered,
                    capabilities: world.config.imap_capabilities(None),
                    offer: world.offer(),
                    login_seconds: limits.login_seconds,
                    idle_seconds: limits.imap_idle_seconds,
                    append_limit_octets: limits.append_octets,
                    message_limit: limits.message_limit(),
                    appended_headers: world.config.appended_headers(),
                    idle_note_seconds: world.config.clients.idle_note_seconds,
                    progress_every: world.config.clients.progress_every(),
                    server_metadata: world.config.server_metadata(),
                    session_id: "memory".to_owned(),
                    peer: String::new(),
                    waker: Waker::from(Arc::clone(&alarm)),
                };
                let session = imapd::ImapSession::new(options, now);
                let enter = |world: &World, entrant: Entrant, account| imapd::Login {
                    capabilities: world.config.imap_capabilities(Some(&entrant.user)),
                    user: entrant.user,
                    account,
                };
                Box::new(Talk::new(session, world, alarm, protocol, enter))
            }
            Protocol::Pop3 => {
                let options = pop3d::Options {
                    security: Security::PlainWithPasswords,
                    starttls: pop3d::StartTls::Offered,
                    capabilities: world.config.pop3_capabilities(None),
                    offer: world.offer(),
                    login_delay_seconds: world.config.pop3.login_delay_seconds,
                    language: world.config.pop3.language.into(),
                    login_seconds: limits.login_seconds,
                    idle_seconds: limits.pop3_idle_seconds,
                    session_id: "memory".to_owned(),
                    peer: String::new(),
                };
                let session = pop3d::Pop3Session::new(options, now);
                let session = session.with_expiry(world.config.inbox_days());
                let enter = |world: &World, entrant: Entrant, account| pop3d::Login {
                    capabilities: world.config.pop3_capabilities(Some(&entrant.user)),
                    device: world.accounts.device(&entrant),
                    user: entrant.user,
                    account,
                    policy: world.config.pop3_policy(),
                };
                Box::new(Talk::new(session, world, alarm, protocol, enter))
            }
        }
    }
}

struct Alarm(AtomicBool);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// A session and the octets it has said.
struct Talk<S, L> {
    session: S,
    world: Arc<World>,
    alarm: Arc<Alarm>,
    protocol: Protocol,
    enter: fn(&World, Entrant, Arc<store::Account>) -> L,
    said: std::collections::VecDeque<u8>,
    closed: bool,
    /// Whom the SCRAM keys that were looked up last let in.
    claimed: Vec<Entrant>,
    patience: Duration,
}

impl<L, S: Session<L>> Talk<S, L> {
    fn new(
        session: S,
        world: Arc<World>,
        alarm: Arc<Alarm>,
        protocol: Protocol,
        enter: fn(&World, Entrant, Arc<store::Account>) -> L,
    ) -> Self {
        Self {
            session,
            world,
            alarm,
            protocol,
            enter,
            said: std::collections::VecDeque::new(),
            closed: false,
            claimed: Vec::new(),
            patience: Duration::ZERO,
        }
    }

    /// Lets the session work until it waits.
    fn work(&mut self) {
        if self.alarm.0.swap(false, Ordering::Acquire) {
            self.session.resume(Event::MailboxChanged);
        }
        while !self.closed {
            match self.session.next(Instant::now()) {
                Action::Send(octets) => self.said.extend(octets),
                Action::SendFrom(mut reader) => {
                    let mut octets = Vec::new();
                    reader.read_to_end(&mut octets).expect("readable");
                    self.said.extend(octets);
                }
                Action::StartTls => self.session.resume(Event::TlsStarted(Channel::default())),
                Action::CheckPassword {
                    user,
                    password,
                    acts_as,
                } => {
                    let world = &self.world;
                    let verified = world
                        .runtime
                        .block_on(world.accounts.verify(&user, password, HERE));
                    self.conclude(verified.and_then(|entrant| {
                        let acting = world.accounts.acting(entrant, acts_as.as_deref());
                        acting.map_err(|refusal| refusal.denial)
                    }));
                }
                Action::FindScramKeys { user, digest } => {
                    let claim = self.world.accounts.claim(&user, digest);
                    self.claimed = claim.entrants;
                    self.session.resume(Event::ScramKeys(claim.keys));
                }
                Action::Enter(identity) => {
                    let entered = self.world.accounts.enter(&identity, &self.claimed, HERE);
                    self.conclude(entered.map_err(|refusal| refusal.denial));
                }
                Action::Refuse { denial, .. } => self.conclude(Err(denial)),
                Action::CheckToken(bearer) => {
                    let world = &self.world;
                    let checked = world
                        .runtime
                        .block_on(world.accounts.check_token(&bearer, HERE));
                    self.conclude(checked.map_err(|refusal| refusal.denial));
                }
                // Nobody else is at work.
                Action::AskLoad => self.session.resume(Event::Load(wire::Load::Free)),
                Action::Yield
                | Action::StartCompression
                | Action::Unauthenticate
                | Action::EndCompression => {}
                Action::Wait { .. } => return,
                Action::Close => self.closed = true,
            }
        }
    }

    fn conclude(&mut self, verdict: Result<Entrant, Denial>) {
        let world = &self.world;
        let delay = Duration::from_secs(world.config.pop3.login_delay_seconds);
        let entered = verdict.and_then(|entrant| {
            let user = &entrant.user;
            if self.protocol == Protocol::Pop3 {
                world.accounts.visit(user, delay, Instant::now())?;
            }
            let account = world.accounts.account(user, &world.config);
            let account = account.map_err(|_| Denial::Unavailable)?;
            world.accounts.expunge_aged(user, &account, &world.config);
            Ok((self.enter)(world, entrant, account))
        });
        self.session.resume(match entered {
            Ok(login) => Event::Authenticated(login),
            Err(denial) => Event::Denied(denial),
        });
    }
}

impl<L, S: Session<L>> Write for Talk<S, L> {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.session.receive(octets);
        self.work();
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<L, S: Session<L>> Read for Talk<S, L> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let began = Instant::now();
        loop {
            self.work();
            if !self.said.is_empty() {
                return self.said.read(into);
            }
            if self.closed {
                return Ok(0);
            }
            if began.elapsed() >= self.patience {
                return Err(ErrorKind::WouldBlock.into());
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl<L, S: Session<L>> Conversation for Talk<S, L> {
    fn wait_for(&mut self, patience: Duration) {
        self.patience = patience;
    }
}
