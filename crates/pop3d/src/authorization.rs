//! [`Authorization`]: the AUTHORIZATION state (RFC 1939 section 4, RFC 5034).

use crate::command::Command;
use crate::reply::{Code, Reply};
use crate::session::Options;
use crate::transaction;
use wire::sasl::{self, Exchange, Identity, Offer, ScramKeys, Step};
use wire::{Action, Denial, Secret, Security};

/// What the session is to do after a command or response.
pub enum Request {
    /// Send a line.
    Line(Reply),
    /// Send a line and what follows it.
    Listing(Reply, Vec<u8>),
    /// Have the server find SCRAM keys, which come back with
    /// [`Authorization::scram_keys`].
    Find(Action),
    /// Have the server end the login.
    Conclude(Action),
}

/// A client that is not logged in.
#[derive(Default)]
pub struct Authorization {
    /// The name of a USER command.
    user: Option<String>,
    exchange: Option<Dialogue>,
    /// The log was told that a login is refused whoever it is.
    told_refused: bool,
}

/// An AUTH exchange under way.
enum Dialogue {
    /// The client's response goes to the mechanism.
    Mechanism(Exchange),
    /// The server proved itself; an empty response ends the exchange.
    Proven(Identity),
    /// The access token was refused; any response ends the exchange.
    Refused,
}

impl Authorization {
    /// Whether the next line is a response to a challenge, not a command.
    pub fn is_in_exchange(&self) -> bool {
        self.exchange.is_some()
    }

    /// Forgets what the client said (STLS).
    pub fn restart(&mut self) {
        *self = Self::default();
    }

    /// Tells the log once why a login is refused whoever it is: who asks again and again
    /// fills no disk.
    pub fn log_refused(&mut self, command: &Command, options: &Options) {
        let security = options.security;
        let why = if security == Security::Plain
            && matches!(command, Command::Auth { .. } | Command::User(_))
        {
            sasl::WITHOUT_TLS
        } else if let Command::Auth { mechanism, .. } = command
            && !options.offer.has(mechanism, security)
        {
            sasl::UNKNOWN_MECHANISM
        } else {
            return;
        };
        if !std::mem::replace(&mut self.told_refused, true) {
            tracing::warn!(session = %options.session_id, peer = %options.peer, protocol = "pop3", "login refused: {why}");
        }
    }

    /// Runs a command. `QUIT`, `CAPA`, `STLS`, `UTF8` and `LANG` are the session's.
    pub fn run(&mut self, command: Command, security: Security, offer: &Offer) -> Request {
        match command {
            Command::AuthList | Command::Auth { .. } | Command::User(_) | Command::Pass(_)
                if security == Security::Plain =>
            {
                Request::Line(Reply::err("logging in needs TLS, use STLS first"))
            }
            Command::AuthList => {
                let mut lines = Vec::new();
                for mechanism in offer.on(security).iter() {
                    lines.extend_from_slice(mechanism.name().as_bytes());
                    lines.extend_from_slice(b"\r\n");
                }
                lines.extend_from_slice(b".\r\n");
                Request::Listing(Reply::ok("mechanisms follow"), lines)
            }
            Command::Auth {
                mechanism,
                initial_response,
            } => {
                self.user = None;
                match Exchange::start(&mechanism, offer, security) {
                    Some(exchange) => self.begin(exchange, initial_response),
                    None => Request::Line(Reply::err("unknown authentication mechanism")),
                }
            }
            Command::User(user) => {
                self.user = Some(user);
                Request::Line(Reply::ok("send PASS"))
            }
            // RFC 6856 section 2.2.
            Command::Pass(password) if std::str::from_utf8(password.expose()).is_err() => {
                self.user = None;
                Request::Line(Reply::err("passwords are in UTF-8"))
            }
            Command::Pass(password) => match self.user.take() {
                Some(user) => Request::Conclude(Action::CheckPassword {
                    user,
                    password,
                    acts_as: None,
                }),
                None => Request::Line(Reply::err("send USER first")),
            },
            Command::Capa
            | Command::Stls
            | Command::Utf8
            | Command::Lang(_)
            | Command::Stat
            | Command::List(_)
            | Command::Uidl(_)
            | Command::Retr(_)
            | Command::Top { .. }
            | Command::Dele(_)
            | Command::Noop
            | Command::Rset
            | Command::Quit => Request::Line(Reply::err("log in first")),
        }
    }

    fn begin(&mut self, mut exchange: Exchange, initial_response: Option<Secret>) -> Request {
        let Some(response) = initial_response else {
            let challenge = exchange.initial_challenge();
            self.exchange = Some(Dialogue::Mechanism(exchange));
            return Request::Line(Reply::Challenge(sasl::encode_base64(&challenge)));
        };
        let decoded = match response.expose() {
            b"=" => Some(Vec::new()),
            response => sasl::decode_base64(response),
        };
        let Some(decoded) = decoded.map(Secret::new) else {
            return not_base64();
        };
        let step = exchange.step(decoded.expose());
        self.follow(exchange, step)
    }

    /// Takes a line that answers a challenge.
    pub fn respond(&mut self, line: &[u8]) -> Request {
        let dialogue = self.exchange.take();
        if matches!(dialogue, Some(Dialogue::Refused)) {
            return Request::Line(Reply::err_with(Code::Auth, "Authentication failed."));
        }
        if line == b"*" {
            return Request::Line(Reply::err("authentication cancelled"));
        }
        let Some(decoded) = sasl::decode_base64(line).map(Secret::new) else {
            return not_base64();
        };
        match dialogue {
            None | Some(Dialogue::Refused) => {
                Request::Line(Reply::err("no authentication is under way"))
            }
            Some(Dialogue::Proven(identity)) if decoded.expose().is_empty() => {
                Request::Conclude(Action::Enter(identity))
            }
            Some(Dialogue::Proven(_)) => {
                Request::Line(Reply::err("an empty response was expected"))
            }
            Some(Dialogue::Mechanism(mut exchange)) => {
                let step = exchange.step(decoded.expose());
                self.follow(exchange, step)
            }
        }
    }

    /// Takes an overlong response: the exchange is over.
    pub fn respond_too_long(&mut self) -> Request {
        self.exchange = None;
        Request::Line(Reply::err("the response is too long"))
    }

    /// Takes the keys asked for.
    pub fn scram_keys(&mut self, keys: ScramKeys) -> Request {
        match self.exchange.take() {
            Some(Dialogue::Mechanism(mut exchange)) => {
                let step = exchange.scram_keys(keys);
                self.follow(exchange, step)
            }
            Some(Dialogue::Proven(_) | Dialogue::Refused) | None => {
                Request::Line(Reply::err("no authentication is under way"))
            }
        }
    }

    /// Takes the refusal of an access token: tells why (RFC 7628 section 3.2.3).
    pub fn token_refused(&mut self, why: &[u8]) -> Reply {
        self.exchange = Some(Dialogue::Refused);
        Reply::Challenge(sasl::encode_base64(why))
    }

    /// Takes a refusal.
    pub fn denied(&mut self, denial: Denial) -> Reply {
        self.restart();
        match denial {
            Denial::BadCredentials => Reply::err_with(Code::Auth, "Authentication failed."),
            Denial::Downgraded => Reply::err_with(
                Code::Auth,
                "channel binding is offered here; somebody hid that",
            ),
            Denial::OtherChannel => {
                Reply::err_with(Code::Auth, "the channel binding is of another connection")
            }
            Denial::OtherIdentity => Reply::err("you may act for yourself only"),
            Denial::TooManyConnections => {
                Reply::err_with(Code::InUse, "too many connections of this user")
            }
            Denial::TooSoon(seconds) => Reply::err_with(
                Code::LoginDelay,
                format!("wait {seconds} seconds between logins"),
            ),
            Denial::Unavailable => {
                Reply::err_with(Code::SysTemp, "logging in is not possible now, try later")
            }
            Denial::Forbidden => transaction::forbidden(),
        }
    }

    fn follow(&mut self, exchange: Exchange, step: Step) -> Request {
        match step {
            Step::Challenge(challenge) => {
                self.exchange = Some(Dialogue::Mechanism(exchange));
                Request::Line(Reply::Challenge(sasl::encode_base64(&challenge)))
            }
            Step::CheckPassword {
                user,
                password,
                acts_as,
            } => Request::Conclude(Action::CheckPassword {
                user,
                password,
                acts_as,
            }),
            Step::FindScramKeys { user, digest } => {
                self.exchange = Some(Dialogue::Mechanism(exchange));
                Request::Find(Action::FindScramKeys { user, digest })
            }
            Step::Proven {
                identity,
                server_final,
            } => {
                self.exchange = Some(Dialogue::Proven(identity));
                Request::Line(Reply::Challenge(sasl::encode_base64(&server_final)))
            }
            Step::Enter(identity) => Request::Conclude(Action::Enter(identity)),
            Step::CheckToken(bearer) => Request::Conclude(Action::CheckToken(bearer)),
            Step::Refused {
                user,
                mechanism,
                denial,
            } => Request::Conclude(Action::Refuse {
                user,
                mechanism,
                denial,
            }),
            Step::Malformed(problem) => Request::Line(Reply::err(problem)),
        }
    }
}

fn not_base64() -> Request {
    Request::Line(Reply::err("the response is not base64"))
}
