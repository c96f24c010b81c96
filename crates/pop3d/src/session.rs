//! [`Pop3Session`]: lines in, actions out, through the three states.

use crate::authorization::{Authorization, Request};
use crate::command::{Command, Problem};
use crate::maildrop::Listing;
use crate::policy::Login;
use crate::reply::{Code, Reply};
use crate::transaction::{Answer, Transaction};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use wire::line::{Line, LineBuffer};
use wire::{Action, Event, Security, Session};

/// The longest command line in octets. RFC 2449 section 4 asks for 255;
/// passwords and initial responses are known to be longer.
const COMMAND_OCTETS: usize = 1024;
/// The longest response in an AUTH exchange, in octets of base64 (RFC 5034).
const RESPONSE_OCTETS: usize = 12_288;
/// So many bad commands in a row before login end the connection.
const BAD_COMMANDS_BEFORE_LOGIN: u32 = 10;
/// So many bad commands in a row after login end the connection.
const BAD_COMMANDS_AFTER_LOGIN: u32 = 20;

/// What the server tells a session at its beginning.
#[derive(Debug, Clone)]
pub struct Options {
    /// How the connection is protected.
    pub security: Security,
    /// Whether STLS can be had.
    pub starttls: StartTls,
    /// Whether SCRAM-SHA-256 is announced.
    pub scram: wire::sasl::Scram,
    /// Seconds between two logins of a user; 0 is no such rule.
    pub login_delay_seconds: u64,
    /// Seconds a client has to log in.
    pub login_seconds: u64,
    /// Seconds without a command after which the connection ends; RFC 1939
    /// section 3 asks for 600 at least.
    pub idle_seconds: u64,
    /// What the log calls this session; told with temporary failures.
    pub session_id: String,
}

/// Whether STLS can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartTls {
    /// It can.
    Offered,
    /// There is no certificate, or TLS is on already.
    Absent,
}

enum State {
    Authorization(Authorization),
    Transaction(Box<Transaction>),
    /// The last reply is on its way.
    Over,
}

/// What the session waits for besides the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaiting {
    Client,
    /// The answer to a login.
    Login,
    /// SCRAM keys.
    Keys,
    /// The handshake.
    Tls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Running,
    Stopping,
}

/// A POP3 session.
pub struct Pop3Session {
    options: Options,
    lines: LineBuffer,
    state: State,
    awaiting: Awaiting,
    queue: VecDeque<Action>,
    listing: Option<Listing>,
    /// A login that is yet to open its maildrop.
    login: Option<Login>,
    bad_commands: u32,
    /// After how many days messages may be removed, told before login.
    expiry_days: Option<u32>,
    service: Service,
    login_deadline: Instant,
    /// When the client last sent a command or took a reply.
    active: Instant,
}

impl Pop3Session {
    /// A session that begins now, with the greeting.
    pub fn new(options: Options, now: Instant) -> Self {
        let login_deadline = now + Duration::from_secs(options.login_seconds);
        let mut session = Self {
            options,
            lines: LineBuffer::new(COMMAND_OCTETS),
            state: State::Authorization(Authorization::default()),
            awaiting: Awaiting::Client,
            queue: VecDeque::new(),
            listing: None,
            login: None,
            bad_commands: 0,
            expiry_days: None,
            service: Service::Running,
            login_deadline,
            active: now,
        };
        session.say(Reply::ok("Pillarbox POP3 ready"));
        session
    }

    /// Has CAPA tell before login that all users' messages may be removed after so many
    /// days (RFC 2449 section 6.7). Without it NEVER is told.
    #[must_use]
    pub fn with_expiry(mut self, days: Option<u32>) -> Self {
        self.expiry_days = days;
        self
    }

    fn say(&mut self, reply: Reply) {
        let reply = match reply {
            Reply::Err(Some(Code::SysTemp), text) if !self.options.session_id.is_empty() => {
                let text = format!("{text} ({})", self.options.session_id);
                Reply::err_with(Code::SysTemp, text)
            }
            reply => reply,
        };
        self.queue.push_back(Action::Send(reply.into_octets()));
    }

    fn end_with(&mut self, reply: Reply) {
        self.state = State::Over;
        self.say(reply);
        self.queue.push_back(Action::Close);
    }

    /// Runs the command or response a line holds.
    fn take_line(&mut self, line: Line) {
        if let State::Authorization(authorization) = &mut self.state
            && authorization.is_in_exchange()
        {
            let request = match line {
                Line::Complete(line) => authorization.respond(&line),
                Line::TooLong => authorization.respond_too_long(),
            };
            return self.fulfil(request);
        }
        let parsed = match line {
            Line::Complete(line) => Command::parse(&line),
            Line::TooLong => Err(Problem::Arguments("the line is too long")),
        };
        match parsed {
            Ok(command) => {
                self.bad_commands = 0;
                self.run(command);
            }
            Err(Problem::NoSuchMessage) if matches!(self.state, State::Transaction(_)) => {
                self.bad_commands = 0;
                self.say(Reply::err(Problem::NoSuchMessage.to_string()));
            }
            Err(problem) => self.take_problem(problem),
        }
    }

    fn take_problem(&mut self, problem: Problem) {
        self.bad_commands += 1;
        let most = match self.state {
            State::Authorization(_) => BAD_COMMANDS_BEFORE_LOGIN,
            State::Transaction(_) | State::Over => BAD_COMMANDS_AFTER_LOGIN,
        };
        if self.bad_commands >= most {
            self.end_with(Reply::err("too many bad commands"));
        } else {
            self.say(Reply::err(problem.to_string()));
        }
    }

    fn run(&mut self, command: Command) {
        match command {
            Command::Quit => self.quit(),
            Command::Capa => {
                let capabilities = self.capabilities();
                self.queue.push_back(Action::Send(capabilities));
            }
            command => match &mut self.state {
                State::Authorization(_) if matches!(command, Command::Stls) => self.start_tls(),
                State::Authorization(authorization) => {
                    let request =
                        authorization.run(command, self.options.security, self.options.scram);
                    self.fulfil(request);
                }
                State::Transaction(transaction) => match transaction.run(command) {
                    Answer::Line(reply) => self.say(reply),
                    Answer::Listing(reply, listing) => {
                        self.say(reply);
                        self.listing = Some(listing);
                    }
                    Answer::Message(reply, message) => {
                        self.say(reply);
                        self.queue.push_back(Action::SendFrom(message));
                    }
                    Answer::Octets(octets) => self.queue.push_back(Action::Send(octets)),
                },
                State::Over => {}
            },
        }
    }

    fn quit(&mut self) {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Transaction(transaction) => {
                let reply = transaction.quit().run();
                self.end_with(reply);
            }
            State::Authorization(_) | State::Over => {
                self.end_with(Reply::ok("Pillarbox signing off"));
            }
        }
    }

    fn start_tls(&mut self) {
        if self.options.security == Security::Tls {
            self.say(Reply::err("TLS is on already"));
        } else if self.options.starttls == StartTls::Absent {
            self.say(Reply::err("TLS is not available"));
        } else {
            self.say(Reply::ok("Begin TLS negotiation"));
            self.lines.clear();
            self.queue.push_back(Action::StartTls);
            self.awaiting = Awaiting::Tls;
        }
    }

    fn fulfil(&mut self, request: Request) {
        match request {
            Request::Line(reply) => self.say(reply),
            Request::Lines(lines) => self.queue.push_back(Action::Send(lines)),
            Request::CheckPassword { user, password } => {
                self.awaiting = Awaiting::Login;
                self.queue
                    .push_back(Action::CheckPassword { user, password });
            }
            Request::FindScramKeys { user } => {
                self.awaiting = Awaiting::Keys;
                self.queue.push_back(Action::FindScramKeys { user });
            }
            Request::ScramFinished { user, proven } => {
                self.awaiting = Awaiting::Login;
                self.queue.push_back(Action::ScramFinished { user, proven });
            }
        }
        let maximum = match &self.state {
            State::Authorization(authorization) if authorization.is_in_exchange() => {
                RESPONSE_OCTETS
            }
            State::Authorization(_) | State::Transaction(_) | State::Over => COMMAND_OCTETS,
        };
        self.lines.set_maximum(maximum);
    }

    /// CAPA (RFC 2449 section 5).
    fn capabilities(&self) -> Vec<u8> {
        let mut text = String::from(
            "+OK capability list follows\r\n\
             TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n",
        );
        let expiry_days = match &self.state {
            State::Transaction(transaction) => transaction.policy().expire_days,
            State::Authorization(_) | State::Over => self.expiry_days,
        };
        text.push_str(&match expiry_days {
            Some(days) => format!("EXPIRE {days}\r\n"),
            None => "EXPIRE NEVER\r\n".to_owned(),
        });
        if self.options.login_delay_seconds > 0 {
            // RFC 2449 section 6.5.
            text.push_str(&format!(
                "LOGIN-DELAY {}\r\n",
                self.options.login_delay_seconds
            ));
        }
        if matches!(self.state, State::Authorization(_))
            && self.options.security != Security::Tls
            && self.options.starttls == StartTls::Offered
        {
            text.push_str("STLS\r\n");
        }
        if self.options.security != Security::Plain {
            text.push_str("USER\r\nSASL ");
            text.push_str(&wire::sasl::mechanisms(self.options.scram).join(" "));
            text.push_str("\r\n");
        }
        text.push_str("IMPLEMENTATION Pillarbox\r\n.\r\n");
        text.into_bytes()
    }

    /// Opens the maildrop of a login.
    fn open(&mut self, login: Login) {
        match Transaction::open(login) {
            Ok(transaction) => {
                let reply = transaction.summary();
                self.bad_commands = 0;
                self.state = State::Transaction(Box::new(transaction));
                self.say(reply);
            }
            Err(reply) => {
                if let State::Authorization(authorization) = &mut self.state {
                    authorization.restart();
                }
                self.say(reply);
            }
        }
    }

    fn deadline(&self) -> Instant {
        let idle = self.active + Duration::from_secs(self.options.idle_seconds);
        match self.state {
            State::Authorization(_) => idle.min(self.login_deadline),
            State::Transaction(_) | State::Over => idle,
        }
    }

    /// What is ready to be done, or `None`.
    fn ready(&mut self) -> Option<Action> {
        if let Some(action) = self.queue.pop_front() {
            return Some(action);
        }
        if let (Some(listing), State::Transaction(transaction)) = (self.listing.take(), &self.state)
        {
            let (piece, rest) = transaction.next_piece(listing);
            self.listing = rest;
            return Some(Action::Send(piece));
        }
        None
    }
}

impl Session<Login> for Pop3Session {
    fn receive(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Over) && self.awaiting != Awaiting::Tls {
            self.lines.push(bytes);
        }
    }

    fn resume(&mut self, event: Event<Login>) {
        match (event, self.awaiting) {
            (Event::Authenticated(login), Awaiting::Login) => {
                self.awaiting = Awaiting::Client;
                self.login = Some(login);
            }
            (Event::Denied(denial), Awaiting::Login | Awaiting::Keys) => {
                self.awaiting = Awaiting::Client;
                if let State::Authorization(authorization) = &mut self.state {
                    let reply = authorization.denied(denial);
                    self.lines.set_maximum(COMMAND_OCTETS);
                    self.say(reply);
                }
            }
            (Event::ScramKeys(keys), Awaiting::Keys) => {
                self.awaiting = Awaiting::Client;
                if let State::Authorization(authorization) = &mut self.state {
                    let request = authorization.scram_keys(keys);
                    self.fulfil(request);
                }
            }
            (Event::TlsStarted, Awaiting::Tls) => {
                self.awaiting = Awaiting::Client;
                self.options.security = Security::Tls;
                self.lines.clear();
                self.state = State::Authorization(Authorization::default());
            }
            (Event::Shutdown, _) => self.service = Service::Stopping,
            // A maildrop is frozen; anything else was not asked for.
            (
                Event::MailboxChanged
                | Event::Authenticated(_)
                | Event::Denied(_)
                | Event::ScramKeys(_)
                | Event::TlsStarted,
                _,
            ) => {}
        }
    }

    fn next(&mut self, now: Instant) -> Action {
        loop {
            if let Some(action) = self.ready() {
                self.active = now;
                return action;
            }
            if matches!(self.state, State::Over) {
                return Action::Close;
            }
            if let State::Transaction(transaction) = &mut self.state {
                transaction.output_was_sent();
            }
            if let Some(login) = self.login.take() {
                self.open(login);
                continue;
            }
            if self.awaiting != Awaiting::Client {
                if let State::Transaction(transaction) = &mut self.state {
                    transaction.rest();
                }
                return Action::Wait { until: None };
            }
            if self.service == Service::Stopping {
                let text = "server is shutting down";
                self.end_with(Reply::err_with(Code::SysTemp, text));
                continue;
            }
            if let Some(line) = self.lines.next_line() {
                self.active = now;
                self.take_line(line);
                continue;
            }
            let deadline = self.deadline();
            if now >= deadline {
                // RFC 1939 section 3: no reply, and no UPDATE.
                self.state = State::Over;
                return Action::Close;
            }
            return Action::Wait {
                until: Some(deadline),
            };
        }
    }

    fn may_block(&self, _now: Instant) -> bool {
        self.login.is_some() || matches!(self.state, State::Transaction(_))
    }
}
