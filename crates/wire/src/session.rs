//! The seam: [`Session`], [`Action`] and [`Event`].

use crate::Secret;
use crate::sasl::{Bearer, Channel, Digest, Identity, Mechanism};
use std::io::Read;
use std::time::{Duration, Instant};

/// One client's conversation, driven from outside.
///
/// `Login` is what the server hands over when a login succeeds; for Pillarbox
/// the account and what its owner may do.
pub trait Session<Login>: Send {
    /// Takes bytes the client sent. The server calls it only when the last
    /// [`Action`] was [`Action::Wait`]: unread input is the back-pressure.
    fn receive(&mut self, bytes: &[u8]);

    /// Takes the answer to an action, or news from outside.
    fn resume(&mut self, event: Event<Login>);

    /// What to do now. It may touch the disk, so the server calls it where
    /// blocking is allowed. It runs a further command only when the output of
    /// the one before was taken, so it is to be called until it says `Wait` or
    /// `Close`.
    fn next(&mut self, now: Instant) -> Action;

    /// What `next`, called now, may cost: where the server is to call it.
    fn cost(&self, now: Instant) -> Cost;

    /// Whether it has a mailbox open: who is the last to leave one may have to close it,
    /// which takes the disk.
    fn has_mailbox(&self) -> bool;

    /// What the client is told if `next`, called now, takes its time; `None` where nothing
    /// may be said, as in a protocol that has nothing but replies. All that `next` gave
    /// before must have been taken.
    fn meanwhile(&self, _now: Instant) -> Option<Meanwhile> {
        None
    }
}

/// What a step of a session may have to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Nothing: a network thread may take it.
    Memory,
    /// The disk, for what the system mostly has in memory, and not for much of it.
    Disk,
    /// The disk, until it has what is written; or it is a part of work that takes long.
    Long,
}

/// What a client is told while `next` does not come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meanwhile {
    /// Whole lines.
    pub octets: Vec<u8>,
    /// When they are sent.
    pub due: Instant,
    /// How long after that they are sent again, and again.
    pub every: Duration,
}

/// What the server is to do for a session.
pub enum Action {
    /// Send these octets, then call `next` again.
    Send(Vec<u8>),
    /// Send all that this reader gives (it ends by itself), then call `next`
    /// again. A read error closes the connection: the length was promised.
    SendFrom(Box<dyn Read + Send>),
    /// Send what is pending, discard everything the client sent before the
    /// handshake, do the TLS handshake, resume with [`Event::TlsStarted`].
    StartTls,
    /// Send what is pending; from then on send compressed (DEFLATE, RFC 4978) and take
    /// what comes as compressed.
    StartCompression,
    /// Nobody is logged in any more (RFC 8437): give back what the login took, before the
    /// client is told.
    Unauthenticate,
    /// Send what is pending, end compression in both directions, if there is any.
    EndCompression,
    /// A client announced work that nobody waits for; resume with [`Event::Load`].
    AskLoad,
    /// Check a password; resume with `Authenticated` or `Denied`.
    CheckPassword {
        /// The user name as the client gave it.
        user: String,
        /// The password as the client gave it.
        password: Secret,
        /// As whom it wants to act; none where as that user.
        acts_as: Option<String>,
    },
    /// Find a user's SCRAM keys; resume with [`Event::ScramKeys`] (invented but stable
    /// ones for a user who has none).
    FindScramKeys {
        /// The user name as the client gave it.
        user: String,
        /// Of which digest the keys are to be.
        digest: Digest,
    },
    /// The client proved who it is. Resume with `Authenticated` or `Denied`.
    Enter(Identity),
    /// The exchange failed: the server notes it, lets it wait as any failed login, and
    /// resumes with `Denied` and this denial.
    Refuse {
        /// The user name as the client gave it.
        user: String,
        /// By which mechanism it wanted to prove it.
        mechanism: Mechanism,
        /// Why.
        denial: Denial,
    },
    /// Check an access token; resume with `Authenticated`, `Denied` or
    /// [`Event::TokenRefused`].
    CheckToken(Bearer),
    /// There is more to do: let others have their turn, then call `next` again.
    Yield,
    /// Nothing to do until the client sends, an event comes, or `until`.
    Wait {
        /// When to call `next` again though nothing came; the session then
        /// closes for idleness or does what was due.
        until: Option<Instant>,
    },
    /// Close the connection after what was sent.
    Close,
}

/// What happened outside a session.
pub enum Event<Login> {
    /// The login is good.
    Authenticated(Login),
    /// The login is refused.
    Denied(Denial),
    /// The keys asked for with [`Action::FindScramKeys`].
    ScramKeys(crate::sasl::ScramKeys),
    /// The access token is not good: a challenge with this JSON tells the client why,
    /// and the login fails after its response, whatever that is (RFC 7628 section 3.2.3).
    TokenRefused(Vec<u8>),
    /// The TLS handshake is done.
    TlsStarted(Channel),
    /// Whether there is room for work that can wait.
    Load(Load),
    /// A mailbox this session subscribed to changed.
    MailboxChanged,
    /// The server is stopping: say goodbye after the command under way.
    Shutdown,
    /// Whoever logged in may be here no longer: say goodbye after the command under way.
    LoginRevoked,
    /// `next` took so long that the client was told [`Meanwhile`], then for the last time.
    ToldMeanwhile(Instant),
}

/// Whether there is room for work that can wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// There is.
    Free,
    /// Many sessions are at work.
    Busy,
}

/// Why a login is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// Unknown user or wrong password: one text for both.
    BadCredentials,
    /// The client was told that there is no channel binding, though there is: somebody
    /// changed what was announced (RFC 5802 section 6).
    Downgraded,
    /// The client's end of the TLS connection is another than this one's (RFC 5802
    /// section 6).
    OtherChannel,
    /// The client proved to be one user and wants to act for another, which nobody may (RFC
    /// 4422 section 3.4.1).
    OtherIdentity,
    /// Too many connections of this user.
    TooManyConnections,
    /// The user logged in less than so many seconds ago (RFC 2449 section 8.1.1).
    TooSoon(u64),
    /// The server cannot check now (queue full, mail root unreadable).
    Unavailable,
    /// The system does not let the server have the user's mail.
    Forbidden,
}

/// As the log tells it.
impl std::fmt::Display for Denial {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BadCredentials => to.write_str("wrong user name or password"),
            Self::Downgraded => to.write_str(
                "the client was told of no channel binding, though there is: somebody in between changes what is announced",
            ),
            Self::OtherChannel => {
                to.write_str("the client ends TLS elsewhere: somebody is in between")
            }
            Self::OtherIdentity => to.write_str("the client wants to act for another user"),
            Self::TooManyConnections => {
                to.write_str("the user has as many connections as limits.connections_per_user")
            }
            Self::TooSoon(seconds) => {
                write!(to, "the last login was less than {seconds} seconds ago")
            }
            Self::Unavailable => to.write_str("not possible now"),
            Self::Forbidden => to.write_str("the server may not use the user's mail"),
        }
    }
}

/// How the connection is protected when a session begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// No TLS, and passwords are refused until STARTTLS.
    Plain,
    /// No TLS, but passwords are allowed (loopback, or configured).
    PlainWithPasswords,
    /// TLS from the first byte or after STARTTLS.
    Tls,
}
