//! STARTTLS, LOGIN and AUTHENTICATE (RFC 3501 section 6.2, RFC 4959).

use crate::commands::Outcome;
use crate::rules::Told;
use crate::session::{ImapSession, StartTls, Work};
use wire::sasl::{
    Exchange, Identity, ScramKeys, Step, UNKNOWN_MECHANISM, WITHOUT_TLS, decode_base64,
    encode_base64,
};
use wire::{Action, Secret, Security};

const PRIVACY_REQUIRED: &str = "[PRIVACYREQUIRED] Use STARTTLS first";

impl ImapSession {
    fn end_login(&mut self, tag: &str, outcome: &Outcome) {
        self.finish(tag, Told::Nothing, outcome);
    }

    pub(crate) fn start_tls(&mut self, tag: &str) {
        if self.options.security == Security::Tls || self.options.starttls == StartTls::Absent {
            return self.end_login(tag, &Outcome::bad("STARTTLS is not offered"));
        }
        self.end_login(tag, &Outcome::ok("Begin TLS negotiation now"));
        // What was pipelined may come from someone else (RFC 3501 section 6.2.1).
        self.buffer.clear();
        self.work = Work::StartingTls;
        self.enqueue(Action::StartTls);
    }

    pub(crate) fn log_in(&mut self, tag: String, user: Vec<u8>, password: Secret) {
        if self.options.security == Security::Plain {
            self.log_refused(WITHOUT_TLS);
            return self.end_login(&tag, &Outcome::no(PRIVACY_REQUIRED));
        }
        match String::from_utf8(user) {
            Ok(user) if !user.is_empty() => {
                self.check_password(tag, (user, None), password);
            }
            _ => {
                let text = "[AUTHENTICATIONFAILED] Authentication failed";
                self.end_login(&tag, &Outcome::no(text));
                self.count_bad();
            }
        }
    }

    /// Tells the log once why a login is refused whoever it is: who asks again and again
    /// fills no disk.
    fn log_refused(&mut self, why: &str) {
        if !std::mem::replace(&mut self.told_refused, true) {
            tracing::warn!(session = %self.options.session_id, peer = %self.options.peer, protocol = "imap", "login refused: {why}");
        }
    }

    /// Has a user's password checked, who may want to act as another.
    fn check_password(
        &mut self,
        tag: String,
        (user, acts_as): (String, Option<String>),
        password: Secret,
    ) {
        self.conclude(
            tag,
            Action::CheckPassword {
                user,
                password,
                acts_as,
            },
        );
    }

    pub(crate) fn authenticate(&mut self, tag: String, mechanism: &str, initial: Option<&[u8]>) {
        if self.options.security == Security::Plain {
            self.log_refused(WITHOUT_TLS);
            return self.end_login(&tag, &Outcome::no(PRIVACY_REQUIRED));
        }
        let offer = &self.options.offer;
        let Some(exchange) = Exchange::start(mechanism, offer, self.options.security) else {
            self.log_refused(UNKNOWN_MECHANISM);
            return self.end_login(&tag, &Outcome::no("[CANNOT] Unknown mechanism"));
        };
        let exchange = Box::new(exchange);
        match initial {
            Some(b"=") => self.step_exchange(tag, exchange, b""),
            Some(response) => self.take_response(tag, exchange, response),
            None => {
                let challenge = exchange.initial_challenge();
                self.challenge(&challenge);
                self.work = Work::Challenged { tag, exchange };
            }
        }
    }

    fn challenge(&mut self, octets: &[u8]) {
        self.out.text("+ ").text(&encode_base64(octets)).crlf();
    }

    /// Takes a response in base64.
    pub(crate) fn take_response(&mut self, tag: String, exchange: Box<Exchange>, line: &[u8]) {
        if line == b"*" {
            return self.end_login(&tag, &Outcome::bad("Authentication cancelled"));
        }
        match decode_base64(line) {
            Some(response) => self.step_exchange(tag, exchange, &response),
            None => self.end_login(&tag, &Outcome::bad("Invalid base64")),
        }
    }

    fn step_exchange(&mut self, tag: String, mut exchange: Box<Exchange>, response: &[u8]) {
        let step = exchange.step(response);
        self.take_step(tag, exchange, step);
    }

    fn take_step(&mut self, tag: String, exchange: Box<Exchange>, step: Step) {
        match step {
            Step::Challenge(octets) => {
                self.challenge(&octets);
                self.work = Work::Challenged { tag, exchange };
            }
            Step::CheckPassword {
                user,
                password,
                acts_as,
            } => self.check_password(tag, (user, acts_as), password),
            Step::FindScramKeys { user, digest } => {
                self.work = Work::FindingKeys { tag, exchange };
                self.enqueue(Action::FindScramKeys { user, digest });
            }
            Step::Proven {
                identity,
                server_final,
            } => {
                self.challenge(&server_final);
                self.work = Work::Proven { tag, identity };
            }
            Step::Enter(identity) => self.conclude(tag, Action::Enter(identity)),
            Step::CheckToken(bearer) => self.conclude(tag, Action::CheckToken(bearer)),
            Step::Refused {
                user,
                mechanism,
                denial,
            } => self.conclude(
                tag,
                Action::Refuse {
                    user,
                    mechanism,
                    denial,
                },
            ),
            Step::Malformed(why) => {
                self.end_login(&tag, &Outcome::bad(why));
            }
        }
    }

    /// Has the server end the login.
    fn conclude(&mut self, tag: String, action: Action) {
        self.work = Work::LoggingIn { tag };
        self.enqueue(action);
    }

    /// Takes the empty response to the server's last SCRAM message.
    pub(crate) fn take_acknowledgement(&mut self, tag: String, identity: Identity, line: &[u8]) {
        if line.is_empty() {
            self.conclude(tag, Action::Enter(identity));
        } else {
            self.end_login(&tag, &Outcome::bad("Authentication cancelled"));
        }
    }

    /// Tells why an access token was refused (RFC 7628 section 3.2.3).
    pub(crate) fn refuse_token(&mut self, why: &[u8]) {
        match std::mem::replace(&mut self.work, Work::Ready) {
            Work::LoggingIn { tag } => {
                self.challenge(why);
                self.work = Work::Refused { tag };
            }
            work => self.work = work,
        }
    }

    /// Takes the response to that, which says nothing: the login fails.
    pub(crate) fn end_refused(&mut self, tag: &str) {
        let text = "[AUTHENTICATIONFAILED] Authentication failed";
        self.end_login(tag, &Outcome::no(text));
        self.count_bad();
    }

    /// Takes the keys the server found.
    pub(crate) fn take_keys(&mut self, keys: ScramKeys) {
        match std::mem::replace(&mut self.work, Work::Ready) {
            Work::FindingKeys { tag, mut exchange } => {
                let step = exchange.scram_keys(keys);
                self.take_step(tag, exchange, step);
            }
            work => self.work = work,
        }
    }
}
