//! [`Authorization`]: the AUTHORIZATION state (RFC 1939 section 4, RFC 5034).

use crate::capability::{self, Capabilities};
use crate::command::Command;
use crate::reply::{Code, Reply};
use wire::sasl::{self, Exchange, Scram, ScramKeys, Step};
use wire::{Denial, Secret, Security};

/// What the session is to do after a command or response.
pub enum Request {
    /// Send a line.
    Line(Reply),
    /// Send a line and what follows it.
    Lines(Vec<u8>),
    /// Have the password checked.
    CheckPassword {
        /// Who wants to log in.
        user: String,
        /// With which password.
        password: Secret,
    },
    /// Have the keys found.
    FindScramKeys {
        /// Who wants to log in.
        user: String,
    },
    /// Report the end of a SCRAM exchange.
    ScramFinished {
        /// Who wants to log in.
        user: String,
        /// Whether the client knew the password.
        proven: bool,
    },
}

/// What decides what is offered.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    /// How the connection is protected.
    pub security: Security,
    /// Whether every password has keys for SCRAM.
    pub scram: Scram,
    /// What is on.
    pub on: Capabilities,
}

impl Offer {
    /// The mechanisms, best first.
    fn mechanisms(self) -> impl Iterator<Item = &'static str> {
        let all = sasl::mechanisms(self.scram).iter().copied();
        all.filter(move |mechanism| capability::has_mechanism(self.on, mechanism))
    }
}

/// A client that is not logged in.
#[derive(Default)]
pub struct Authorization {
    /// The name of a USER command.
    user: Option<String>,
    exchange: Option<Dialogue>,
}

/// An AUTH exchange under way.
enum Dialogue {
    /// The client's response goes to the mechanism.
    Mechanism(Exchange),
    /// The server proved itself; an empty response ends the exchange.
    Proven {
        /// Who logs in.
        user: String,
    },
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

    /// Runs a command. `QUIT`, `CAPA` and `STLS` are the session's.
    pub fn run(&mut self, command: Command, offer: Offer) -> Request {
        match command {
            Command::AuthList | Command::Auth { .. } | Command::User(_) | Command::Pass(_)
                if offer.security == Security::Plain =>
            {
                Request::Line(Reply::err("logging in needs TLS, use STLS first"))
            }
            Command::AuthList => {
                let mut lines = b"+OK mechanisms follow\r\n".to_vec();
                for mechanism in offer.mechanisms() {
                    lines.extend_from_slice(mechanism.as_bytes());
                    lines.extend_from_slice(b"\r\n");
                }
                lines.extend_from_slice(b".\r\n");
                Request::Lines(lines)
            }
            Command::Auth {
                mechanism,
                initial_response,
            } => self.begin(&mechanism, initial_response, offer.on),
            Command::User(user) => {
                self.user = Some(user);
                Request::Line(Reply::ok("send PASS"))
            }
            Command::Pass(password) => match self.user.take() {
                Some(user) => Request::CheckPassword { user, password },
                None => Request::Line(Reply::err("send USER first")),
            },
            Command::Capa
            | Command::Stls
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

    fn begin(
        &mut self,
        mechanism: &str,
        initial_response: Option<Secret>,
        on: Capabilities,
    ) -> Request {
        self.user = None;
        let is_on = capability::has_mechanism(on, mechanism);
        let Some(mut exchange) = Exchange::start(mechanism).filter(|_| is_on) else {
            return Request::Line(Reply::err("unknown authentication mechanism"));
        };
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
        if line == b"*" {
            return Request::Line(Reply::err("authentication cancelled"));
        }
        let Some(decoded) = sasl::decode_base64(line).map(Secret::new) else {
            return not_base64();
        };
        match dialogue {
            None => Request::Line(Reply::err("no authentication is under way")),
            Some(Dialogue::Proven { user }) if decoded.expose().is_empty() => {
                Request::ScramFinished { user, proven: true }
            }
            Some(Dialogue::Proven { .. }) => {
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
            Some(Dialogue::Proven { .. }) | None => {
                Request::Line(Reply::err("no authentication is under way"))
            }
        }
    }

    /// Takes a refusal.
    pub fn denied(&mut self, denial: Denial) -> Reply {
        self.restart();
        match denial {
            Denial::BadCredentials => Reply::err_with(Code::Auth, "Authentication failed."),
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
        }
    }

    fn follow(&mut self, exchange: Exchange, step: Step) -> Request {
        match step {
            Step::Challenge(challenge) => {
                self.exchange = Some(Dialogue::Mechanism(exchange));
                Request::Line(Reply::Challenge(sasl::encode_base64(&challenge)))
            }
            Step::CheckPassword { user, password } => Request::CheckPassword { user, password },
            Step::FindScramKeys { user } => {
                self.exchange = Some(Dialogue::Mechanism(exchange));
                Request::FindScramKeys { user }
            }
            Step::ScramFinished {
                user,
                proven: true,
                server_final,
            } => {
                self.exchange = Some(Dialogue::Proven { user });
                Request::Line(Reply::Challenge(sasl::encode_base64(&server_final)))
            }
            Step::ScramFinished {
                user,
                proven: false,
                ..
            } => Request::ScramFinished {
                user,
                proven: false,
            },
            Step::OtherIdentity => Request::Line(Reply::err("you may act for yourself only")),
            Step::Malformed(problem) => Request::Line(Reply::err(problem)),
        }
    }
}

fn not_base64() -> Request {
    Request::Line(Reply::err("the response is not base64"))
}
