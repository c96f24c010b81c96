//! One connection: carries octets and events between a socket and a session.

mod kind;

use crate::accounts::throttle::Source;
use crate::accounts::{Entrant, Refusal};
use crate::compression::{self, Decompressor};
use crate::config::{Plaintext, Protocol, TlsMode};
use crate::outlet::Outlet;
use crate::relief::Pace;
use crate::serve::Server;
use crate::steps::SharedOutlet;
use crate::stream::{Incoming, Stream};
use kind::{Happening, Kind};
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;
use wire::sasl::{Channel, Form, Mechanism, Offer};
use wire::{Action, Denial, Load, Security};

/// How much of a long answer is in memory.
const SEND_OCTETS: usize = 64 * 1024;
/// After how long without octets a compressed connection gives memory back.
const REST: Duration = Duration::from_secs(5);
/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);

/// Wakes a connection's task when the store publishes a change.
struct Alarm(Notify);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

/// One connection under way.
pub struct Connection {
    server: Arc<Server>,
    outlet: SharedOutlet,
    peer: SocketAddr,
    id: String,
    kind: Kind,
    alarm: Arc<Alarm>,
    /// What comes is compressed.
    decompressor: Option<Box<Decompressor>>,
    /// What came behind the end of what was compressed.
    plain: Vec<u8>,
    /// When octets were compressed or came last.
    active: Instant,
    shutdown: watch::Receiver<bool>,
    /// How many octets came, as they are on the wire.
    received: u64,
    user: Option<crate::limits::Place<String>>,
    protocol: Protocol,
    /// Who logged in.
    entrant: Option<Entrant>,
    /// Whom the SCRAM keys that were looked up last let in.
    claimed: Vec<Entrant>,
    /// Told when it may be that they no longer could.
    changes: watch::Receiver<()>,
    /// How long its steps take.
    pace: Pace,
}

/// Refuses a connection in the words of its protocol, over TLS where that is what
/// the client expects.
pub async fn refuse(
    server: &Server,
    stream: TcpStream,
    protocol: Protocol,
    tls: TlsMode,
    why: &str,
) -> std::io::Result<()> {
    let words = match protocol {
        Protocol::Imap => format!("* BYE {why}\r\n"),
        Protocol::Pop3 => format!("-ERR [SYS/TEMP] {why}\r\n"),
    };
    let mut stream = Stream::Plain(stream);
    if tls == TlsMode::Implicit {
        (stream, _) = handshake(server, stream).await?;
    }
    stream.write_all(words.as_bytes()).await?;
    stream.flush().await?;
    stream.shutdown().await
}

/// Whether the peer is the client itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Its address is the client's.
    Client,
    /// It is a proxy that does not say whom it speaks for.
    Proxy,
}

/// Carries one connection to its end.
pub async fn carry(
    server: Arc<Server>,
    stream: TcpStream,
    (peer, origin): (SocketAddr, Origin),
    protocol: Protocol,
    tls: TlsMode,
    shutdown: watch::Receiver<bool>,
) {
    let id = session_id();
    let _ = stream.set_nodelay(true);
    let config = server.config();
    let mut stream = Stream::Plain(stream);
    let mut channel = Channel::default();
    if tls == TlsMode::Implicit {
        (stream, channel) = match handshake(&server, stream).await {
            Ok(started) => started,
            Err(error) => {
                tracing::info!(session = id, peer = %peer.ip(), protocol = protocol.as_str(), "TLS handshake failed: {error}{}", handshake_remedy(&error));
                return;
            }
        };
    }
    let passwords = match config.plaintext_login {
        Plaintext::Never => false,
        Plaintext::Loopback => origin == Origin::Client && peer.ip().to_canonical().is_loopback(),
        Plaintext::Always => true,
    };
    let security = match (tls, passwords) {
        (TlsMode::Implicit, _) => Security::Tls,
        (_, true) => Security::PlainWithPasswords,
        (_, false) => Security::Plain,
    };
    let offered = tls == TlsMode::StartTls && server.tls().is_some();
    let alarm = Arc::new(Alarm(Notify::new()));
    let now = Instant::now();
    let limits = &config.limits;
    let offer = Offer {
        mechanisms: server.accounts.mechanisms(),
        channel,
    };
    let kind = match protocol {
        Protocol::Imap => Kind::Imap(Box::new(imapd::ImapSession::new(
            imapd::Options {
                security,
                starttls: if offered {
                    imapd::StartTls::Offered
                } else {
                    imapd::StartTls::Absent
                },
                capabilities: config.imap_capabilities(None),
                offer,
                login_seconds: limits.login_seconds,
                idle_seconds: limits.imap_idle_seconds,
                append_limit_octets: limits.append_octets,
                message_limit: limits.message_limit(),
                appended_headers: config.appended_headers(),
                idle_note_seconds: config.clients.idle_note_seconds,
                progress_every: config.clients.progress_every(),
                server_metadata: config.server_metadata(),
                session_id: id.clone(),
                peer: peer.ip().to_string(),
                waker: Waker::from(Arc::clone(&alarm)),
            },
            now,
        ))),
        Protocol::Pop3 => {
            let session = pop3d::Pop3Session::new(
                pop3d::Options {
                    security,
                    starttls: if offered {
                        pop3d::StartTls::Offered
                    } else {
                        pop3d::StartTls::Absent
                    },
                    capabilities: config.pop3_capabilities(None),
                    offer,
                    login_delay_seconds: config.pop3.login_delay_seconds,
                    language: config.pop3.language.into(),
                    login_seconds: limits.login_seconds,
                    idle_seconds: limits.pop3_idle_seconds,
                    session_id: id.clone(),
                    peer: peer.ip().to_string(),
                },
                now,
            );
            Kind::Pop3(Box::new(session.with_expiry(config.inbox_days())))
        }
    };
    let changes = server.accounts.changes();
    let mut connection = Connection {
        server,
        outlet: Arc::new(tokio::sync::Mutex::new(Outlet::new(stream))),
        peer,
        id,
        kind,
        alarm,
        decompressor: None,
        plain: Vec::new(),
        active: now,
        shutdown,
        received: 0,
        user: None,
        protocol,
        entrant: None,
        claimed: Vec::new(),
        changes,
        pace: Pace::default(),
    };
    let ended = match connection.run().await {
        // TLS without its closing alert: many clients do so.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok("the client closed"),
        ended => ended,
    };
    connection.leave();
    let (received, sent) = (connection.received, connection.outlet.lock().await.sent);
    match ended {
        Ok(why) => {
            tracing::info!(session = connection.id, peer = %peer.ip(), protocol = protocol.as_str(), received, sent, "disconnected: {why}")
        }
        Err(error) => {
            tracing::info!(session = connection.id, peer = %peer.ip(), protocol = protocol.as_str(), received, sent, "disconnected: {error}{}", handshake_remedy(&error))
        }
    }
}

async fn handshake(server: &Server, stream: Stream) -> std::io::Result<(Stream, Channel)> {
    let (Stream::Plain(stream), Some(tls)) = (stream, server.tls()) else {
        return Err(std::io::Error::other("no certificate is configured"));
    };
    let accepted = tokio::time::timeout(
        HANDSHAKE_TIMEOUT,
        TlsAcceptor::from(tls.config()).accept(stream),
    )
    .await;
    let stream = accepted.map_err(|_| std::io::ErrorKind::TimedOut)??;
    let channel = tls.channel(stream.get_ref().1);
    Ok((Stream::Tls(Box::new(stream)), channel))
}

fn session_id() -> String {
    let mut octets = [0; 4];
    let _ = getrandom::fill(&mut octets);
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

impl Connection {
    async fn run(&mut self) -> std::io::Result<&'static str> {
        let (mut told_shutdown, mut was_idle) = (false, false);
        let mut at_work = Some(self.server.at_work.enter());
        loop {
            if self.changes.has_changed().unwrap_or(false) {
                self.look_at_login();
            }
            let steps = (&*self.server.steps, &mut self.pace);
            let action = self.kind.next(Instant::now(), steps, &self.outlet);
            if !matches!(action, Action::Send(_) | Action::SendFrom(_)) {
                // Whatever takes its time now, the client has what was said before it.
                self.outlet.lock().await.flush_compressed().await?;
            }
            match action {
                Action::Send(octets) => self.send(&octets).await?,
                Action::SendFrom(mut reader) => loop {
                    let mut piece = Vec::new();
                    let (relief, pace) = (&self.server.steps.relief, &mut self.pace);
                    let read = self.kind.guarded(|_| {
                        relief.run(pace, || {
                            reader
                                .as_mut()
                                .take(SEND_OCTETS as u64)
                                .read_to_end(&mut piece)
                        })
                    });
                    // In the middle of an answer there are no words to end with.
                    let read = read.ok_or_else(|| std::io::Error::other("internal error"))?;
                    if read? == 0 {
                        break;
                    }
                    self.send(&piece).await?;
                },
                Action::StartTls => self.start_tls().await?,
                Action::StartCompression => {
                    self.outlet.lock().await.compressor = Some(Box::default());
                    self.decompressor = Some(Box::default());
                }
                Action::AskLoad => {
                    let limit = self.server.config().clients.postpone_indexing_at;
                    // This session is one of them.
                    let others = self.server.at_work.count().saturating_sub(1);
                    let load = match limit > 0 && others >= limit {
                        true => Load::Busy,
                        false => Load::Free,
                    };
                    self.kind.resume(Happening::Load(load));
                }
                Action::Unauthenticate => self.unauthenticate(),
                Action::EndCompression => self.end_compression().await?,
                Action::CheckPassword {
                    user,
                    password,
                    acts_as,
                } => {
                    let began = Instant::now();
                    let accounts = &self.server.accounts;
                    let verdict = accounts.verify(&user, password, self.peer.ip()).await;
                    let verdict = verdict
                        .map_err(Refusal::from)
                        .and_then(|entrant| accounts.acting(entrant, acts_as.as_deref()));
                    self.conclude(&user, "password", verdict, began).await;
                }
                Action::FindScramKeys { user, digest } => {
                    let claim = self.server.accounts.claim(&user, digest);
                    self.claimed = claim.entrants;
                    self.kind.resume(Happening::ScramKeys(claim.keys));
                }
                Action::Enter(identity) => {
                    let began = Instant::now();
                    let accounts = &self.server.accounts;
                    let verdict = accounts.enter(&identity, &self.claimed, self.peer.ip());
                    self.conclude(&identity.user, identity.mechanism.name(), verdict, began)
                        .await;
                }
                Action::Refuse {
                    user,
                    mechanism,
                    denial,
                } => {
                    let began = Instant::now();
                    self.conclude(&user, mechanism.name(), Err(denial.into()), began)
                        .await;
                }
                Action::CheckToken(bearer) => {
                    let began = Instant::now();
                    let verdict = self
                        .server
                        .accounts
                        .check_token(&bearer, self.peer.ip())
                        .await;
                    let user = bearer.user.as_deref().unwrap_or_default();
                    let mechanism = match bearer.form {
                        Form::OAuthBearer => Mechanism::OAuthBearer,
                        Form::XOAuth2 => Mechanism::XOAuth2,
                    };
                    self.conclude(user, mechanism.name(), verdict, began).await;
                }
                Action::Yield => {
                    // What goes on in steps may not wait for long.
                    if !told_shutdown && self.shutdown.has_changed().unwrap_or(false) {
                        told_shutdown = true;
                        self.kind.resume(Happening::Shutdown);
                    }
                    tokio::task::yield_now().await;
                }
                Action::Wait { until } => {
                    self.flush().await?;
                    drop(at_work.take());
                    let gone = self.wait(until, &mut told_shutdown).await?;
                    was_idle = until.is_some_and(|until| Instant::now() >= until);
                    at_work.get_or_insert_with(|| self.server.at_work.enter());
                    if gone {
                        return Ok("the client closed");
                    }
                }
                Action::Close => {
                    self.flush().await?;
                    // Who sees the connection end may come again at once.
                    self.leave();
                    let mut outlet = self.outlet.lock().await;
                    let closing = outlet.stream.shutdown();
                    let _ = tokio::time::timeout(Duration::from_secs(2), closing).await;
                    return Ok(match was_idle {
                        true => "idle for too long",
                        false => "closed",
                    });
                }
            }
        }
    }

    /// Leaves the mailbox, a maildrop with its lock, and gives back the user's place. Who
    /// is the last to leave a mailbox may have to close it, which takes the disk.
    fn leave(&mut self) {
        let session = std::mem::replace(&mut self.kind, Kind::Broken(None));
        match session.has_mailbox() {
            true => self
                .server
                .steps
                .relief
                .run(&mut self.pace, || drop(session)),
            false => drop(session),
        }
        self.user = None;
    }

    async fn send(&mut self, octets: &[u8]) -> std::io::Result<()> {
        let mut outlet = self.outlet.lock().await;
        if outlet.compressor.is_some() {
            self.active = Instant::now();
        }
        outlet.send(octets).await
    }

    async fn flush(&mut self) -> std::io::Result<()> {
        self.outlet.lock().await.flush().await
    }

    /// Waits for octets, a change, the shutdown or the time; says whether the
    /// client is gone. Nothing is allocated before there is something to read.
    async fn wait(
        &mut self,
        until: Option<Instant>,
        told_shutdown: &mut bool,
    ) -> std::io::Result<bool> {
        self.pace.wait();
        let deadline = async {
            match until {
                Some(until) => tokio::time::sleep_until(until.into()).await,
                None => std::future::pending().await,
            }
        };
        if self.decompressor.as_ref().is_some_and(|it| it.has_input()) {
            // Others have their turn, however much comes of one read.
            tokio::task::yield_now().await;
        }
        if compression::is_crowded() {
            self.rest().await;
        }
        let can_rest = self.outlet.lock().await.can_rest()
            || self.decompressor.as_ref().is_some_and(|it| it.can_rest());
        let alarm = Arc::clone(&self.alarm);
        let (outlet, received) = (&self.outlet, &mut self.received);
        let (decompressor, plain) = (&mut self.decompressor, &mut self.plain);
        let incoming = async {
            let mut outlet = outlet.lock().await;
            let incoming = Incoming {
                stream: &mut outlet.stream,
                decompressor,
                plain,
                received,
            };
            incoming.next().await
        };
        tokio::select! {
            read = incoming => {
                let octets = read?;
                if octets.is_empty() {
                    return Ok(true);
                }
                self.active = Instant::now();
                self.kind.receive(&octets);
            }
            () = tokio::time::sleep_until((self.active + REST).into()), if can_rest => {
                self.rest().await;
            }
            () = alarm.0.notified() => self.kind.resume(Happening::MailboxChanged),
            changed = self.changes.changed() => {
                // Without the accounts there would be no server.
                if changed.is_ok() {
                    self.look_at_login();
                }
            }
            changed = self.shutdown.changed(), if !*told_shutdown => {
                *told_shutdown = true;
                if changed.is_ok() {
                    self.kind.resume(Happening::Shutdown);
                }
            }
            () = deadline => {}
        }
        Ok(false)
    }

    /// Ends the session of who logged in and no longer could: the user or the device is
    /// gone, or the password is another.
    fn look_at_login(&mut self) {
        self.changes.mark_unchanged();
        let peer = self.peer.ip();
        let accounts = &self.server.accounts;
        let revoked = |entrant: &mut Entrant| !accounts.admits(entrant, peer);
        if let Some(entrant) = self.entrant.take_if(revoked) {
            let (user, device) = (&entrant.user, entrant.device.as_deref());
            tracing::info!(session = self.id, peer = %peer, protocol = self.protocol.as_str(), user, device, "the login is no longer valid");
            self.kind.resume(Happening::LoginRevoked);
        }
    }

    /// What came with the command the session has thrown away; what came after it
    /// and is no TLS record fails the handshake. Neither is ever run as a command
    /// (RFC 3501 section 6.2.1, RFC 2595 section 4).
    async fn start_tls(&mut self) -> std::io::Result<()> {
        self.flush().await?;
        let mut outlet = self.outlet.lock().await;
        let stream = std::mem::replace(&mut outlet.stream, Stream::Gone);
        let (stream, channel) = handshake(&self.server, stream).await?;
        outlet.stream = stream;
        drop(outlet);
        self.kind.resume(Happening::TlsStarted(channel));
        Ok(())
    }

    /// Gives back memory that a client at rest has no use for.
    async fn rest(&mut self) {
        let compressor = &mut self.outlet.lock().await.compressor;
        compressor.iter_mut().for_each(|it| it.rest());
        self.decompressor.iter_mut().for_each(|it| it.rest());
    }

    /// Gives back what the login took (RFC 8437).
    fn unauthenticate(&mut self) {
        self.user = None;
        let user = self.entrant.take().map(|entrant| entrant.user);
        tracing::info!(session = self.id, peer = %self.peer.ip(), protocol = self.protocol.as_str(), user, "logged in no more");
    }

    /// Ends compression in both directions (RFC 8437 section 4.1).
    async fn end_compression(&mut self) -> std::io::Result<()> {
        self.outlet.lock().await.end_compression().await?;
        if let Some(decompressor) = &mut self.decompressor {
            decompressor.end();
        }
        self.flush().await
    }

    /// Ends a login: opens the account, or delays and denies. The delay counts from
    /// when the login began, so that it does not tell what verifying cost.
    async fn conclude(
        &mut self,
        name: &str,
        mechanism: &'static str,
        verdict: Result<Entrant, Refusal>,
        began: Instant,
    ) {
        self.claimed = Vec::new();
        let server = Arc::clone(&self.server);
        let tls = self.outlet.lock().await.stream.is_tls();
        let entered = verdict.and_then(|entrant| {
            let account = self.enter(&entrant.user)?;
            Ok((entrant, account))
        });
        let refusal = match entered {
            Ok((entrant, account)) => {
                let (user, device) = (&entrant.user, entrant.device.as_deref());
                tracing::info!(session = self.id, peer = %self.peer.ip(), protocol = self.protocol.as_str(), user, device, mechanism, tls, "login");
                self.entrant = Some(entrant.clone());
                return self.kind.authenticated(entrant, account, &server);
            }
            Err(refusal) => refusal,
        };
        let shown: String = name
            .chars()
            .take(128)
            .flat_map(char::escape_default)
            .collect();
        let denial = refusal.denial;
        let found = || match denial {
            Denial::BadCredentials => {
                Some(server.accounts.why_refused(name, self.peer.ip()).to_owned())
            }
            _ => None,
        };
        let why = refusal.why.or_else(found);
        tracing::warn!(session = self.id, peer = %self.peer.ip(), protocol = self.protocol.as_str(), user = shown, why, mechanism, tls, "login failed: {denial}");
        let is_wrong = matches!(
            denial,
            Denial::BadCredentials | Denial::Downgraded | Denial::OtherChannel
        );
        if is_wrong {
            let limits = &server.config().limits;
            let wait = server.throttle.failed(
                Source::of(self.peer.ip()),
                began,
                Duration::from_secs(limits.failed_login_delay_seconds),
            );
            tokio::time::sleep_until((began + wait).into()).await;
        }
        self.kind.resume(match refusal.challenge {
            Some(challenge) => Happening::TokenRefused(challenge),
            None => Happening::Denied(denial),
        });
    }

    fn enter(&mut self, user: &str) -> Result<Arc<store::Account>, Denial> {
        let config = self.server.config();
        let place = self
            .server
            .connections
            .users
            .take(user.to_owned(), config.limits.connections_per_user);
        let place = place.ok_or(Denial::TooManyConnections)?;
        let accounts = &self.server.accounts;
        if matches!(self.kind, Kind::Pop3(_)) {
            let delay = config.pop3.login_delay_seconds;
            accounts.visit(user, Duration::from_secs(delay), Instant::now())?;
        }
        let account = self.server.steps.relief.run(&mut self.pace, || {
            let account = accounts.account(user, &config)?;
            accounts.expunge_aged(user, &account, &config);
            Ok(account)
        });
        let account = account.map_err(|error: store::Error| {
            tracing::error!(
                session = self.id,
                user,
                "cannot open the mailboxes: {error}{}",
                error.remedy()
            );
            match error.is_forbidden() {
                true => Denial::Forbidden,
                false => Denial::Unavailable,
            }
        })?;
        // Who is refused has no place.
        self.user = Some(place);
        Ok(account)
    }
}

/// What to do where a handshake failed because of a client's certificate.
fn handshake_remedy(error: &std::io::Error) -> &'static str {
    match error.to_string().contains("UnsupportedCertVersion") {
        true => {
            "; the client's certificate is of version 1: have it made anew with `openssl x509 -req ... -extfile <(echo basicConstraints=CA:FALSE)`"
        }
        false => "",
    }
}
