//! [`Pop3Session`]: lines in, actions out, through the three states.

use crate::authorization::{Authorization, Request};
use crate::capability::{self, Capabilities, Capability};
use crate::command::{Command, Problem};
use crate::language::Language;
use crate::maildrop::Listing;
use crate::policy::Login;
use crate::reply::{Code, Reply};
use crate::transaction::{Answer, Opening, Transaction};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::Mailbox;
use wire::capability::Capability as _;
use wire::line::{Line, LineBuffer};
use wire::{Action, Cost, Event, Security, Session};

/// The longest command line in octets. RFC 2449 section 4 asks for 255.
const COMMAND_OCTETS: usize = 1024;
/// The longest command line before login. Access tokens come as initial responses, though
/// RFC 5034 section 4 would have them wait for the challenge.
const LOGIN_COMMAND_OCTETS: usize = 8 * 1024;
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
    /// What is on before login.
    pub capabilities: Capabilities,
    /// What a client may log in with.
    pub offer: wire::sasl::Offer,
    /// Seconds between two logins of a user; 0 is no such rule.
    pub login_delay_seconds: u64,
    /// The language that `LANG *` means.
    pub language: Language,
    /// Seconds a client has to log in.
    pub login_seconds: u64,
    /// Seconds without a command after which the connection ends; RFC 1939
    /// section 3 asks for 600 at least.
    pub idle_seconds: u64,
    /// What the log calls this session; told with temporary failures.
    pub session_id: String,
    /// The client's address, for the log.
    pub peer: String,
}

/// Whether STLS can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartTls {
    /// It can.
    Offered,
    /// There is no certificate, or TLS is on already.
    Absent,
}

/// Which headers a client knows (RFC 6856 section 2.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HeaderForm {
    /// Those in ASCII: messages with others are sent as surrogates.
    #[default]
    Ascii,
    /// Those in UTF-8 too: it said UTF8.
    Utf8,
}

pub(crate) enum State {
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
pub(crate) enum Service {
    Running,
    Stopping,
    /// To this client no more: the login was taken back.
    Refused,
}

/// A POP3 session.
pub struct Pop3Session {
    options: Options,
    /// What is on now.
    on: Capabilities,
    pub(crate) lines: LineBuffer,
    pub(crate) state: State,
    awaiting: Awaiting,
    pub(crate) queue: VecDeque<Action>,
    pub(crate) listing: Option<Listing>,
    /// A login that is yet to open its maildrop.
    pub(crate) login: Option<Login>,
    /// Its mailbox while messages in it are looked at: what is known of them so far stays
    /// with it.
    looked_at: Option<Arc<Mailbox>>,
    pub(crate) bad_commands: u32,
    /// After how many days messages may be removed, told before login.
    expiry_days: Option<u32>,
    pub(crate) service: Service,
    language: Language,
    header_form: HeaderForm,
    login_deadline: Instant,
    /// When the client last sent a command or took a reply.
    active: Instant,
}

impl Pop3Session {
    /// A session that begins now, with the greeting.
    pub fn new(mut options: Options, now: Instant) -> Self {
        let on = options.capabilities;
        options.offer = options
            .offer
            .only(|mechanism| capability::has_mechanism(on, mechanism));
        let login_deadline = now + Duration::from_secs(options.login_seconds);
        let mut session = Self {
            on: options.capabilities,
            options,
            lines: LineBuffer::new(LOGIN_COMMAND_OCTETS),
            state: State::Authorization(Authorization::default()),
            awaiting: Awaiting::Client,
            queue: VecDeque::new(),
            listing: None,
            login: None,
            looked_at: None,
            bad_commands: 0,
            expiry_days: None,
            service: Service::Running,
            language: Language::default(),
            header_form: HeaderForm::default(),
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
        let id = &self.options.session_id;
        let reply = match reply.in_language(self.language) {
            Reply::Err(Some(code), text) if !self.tells(code) => Reply::err(text),
            Reply::Err(Some(code), text) if code.is_in_log() && !id.is_empty() => {
                Reply::err_with(code, format!("{text} ({id})"))
            }
            reply => reply,
        };
        self.queue.push_back(Action::Send(reply.into_octets()));
    }

    /// Whether a response code is told.
    fn tells(&self, code: Code) -> bool {
        self.on.has(match code {
            Code::Auth | Code::SysTemp | Code::SysPerm => Capability::AuthRespCode,
            Code::InUse | Code::LoginDelay | Code::Utf8 => Capability::RespCodes,
        })
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
        let is_off = |command: &Command| {
            capability::needed(command).is_some_and(|needed| !self.on.has(needed))
        };
        match parsed {
            Ok(command) if is_off(&command) => self.take_problem(Problem::Unknown),
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
            Command::Utf8 => self.use_utf8(),
            Command::Lang(range) => self.choose_language(range.as_deref()),
            Command::Capa => {
                self.say(Reply::ok("capability list follows"));
                let capabilities = self.capabilities();
                self.queue.push_back(Action::Send(capabilities));
            }
            command => match &mut self.state {
                State::Authorization(_) if matches!(command, Command::Stls) => self.start_tls(),
                State::Authorization(authorization) => {
                    let (security, offer) = (self.options.security, &self.options.offer);
                    authorization.log_refused(&command, &self.options);
                    let request = authorization.run(command, security, offer);
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

    /// How messages are sent: where UTF8 is switched off, as they are.
    fn sent_form(&self) -> HeaderForm {
        match self.options.capabilities.has(Capability::Utf8) {
            true => self.header_form,
            false => HeaderForm::Utf8,
        }
    }

    /// UTF8 (RFC 6856 section 2.1).
    fn use_utf8(&mut self) {
        if matches!(self.state, State::Authorization(_)) {
            self.header_form = HeaderForm::Utf8;
            self.say(Reply::ok("UTF8 is on"));
        } else {
            self.say(Reply::err("UTF8 is for before login"));
        }
    }

    /// LANG (RFC 6856 section 3.2).
    fn choose_language(&mut self, range: Option<&str>) {
        let Some(range) = range else {
            self.say(Reply::ok("language listing follows"));
            let mut listing = String::new();
            for language in Language::ALL {
                listing.push_str(&format!("{} {}\r\n", language.tag(), language.own_name()));
            }
            listing.push_str(".\r\n");
            self.queue.push_back(Action::Send(listing.into_bytes()));
            return;
        };
        let chosen = match range {
            "*" => Some(self.options.language),
            range => Language::matching(range),
        };
        let Some(language) = chosen else {
            return self.say(Reply::err("no such language"));
        };
        self.language = language;
        if let State::Transaction(transaction) = &mut self.state {
            transaction.set_language(language);
        }
        let text = language.say("Language changed");
        self.say(Reply::ok(format!("{} {text}", language.tag())));
    }

    fn start_tls(&mut self) {
        if self.header_form == HeaderForm::Utf8 {
            // RFC 6856 section 2.1.
            self.say(Reply::err("STLS goes before UTF8"));
        } else if self.options.security == Security::Tls {
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
            Request::Listing(reply, listing) => {
                self.say(reply);
                self.queue.push_back(Action::Send(listing));
            }
            Request::Find(action) => {
                self.awaiting = Awaiting::Keys;
                self.queue.push_back(action);
            }
            Request::Conclude(action) => {
                self.awaiting = Awaiting::Login;
                self.queue.push_back(action);
            }
        }
        self.limit_lines();
    }

    fn is_logged_in(&self) -> bool {
        self.login.is_some() || matches!(self.state, State::Transaction(_))
    }

    /// Lets lines be as long as what may come now.
    fn limit_lines(&mut self) {
        let maximum = match &self.state {
            State::Authorization(authorization) if authorization.is_in_exchange() => {
                RESPONSE_OCTETS
            }
            State::Authorization(_) => LOGIN_COMMAND_OCTETS,
            State::Transaction(_) | State::Over => COMMAND_OCTETS,
        };
        self.lines.set_maximum(maximum);
    }

    /// What follows the first line of CAPA (RFC 2449 section 5).
    fn capabilities(&self) -> Vec<u8> {
        let after_login = !matches!(self.state, State::Authorization(_));
        let mut text = String::new();
        for row in capability::Capability::TABLE {
            if self.on.has(row.capability)
                && row.announced.is_told(after_login)
                && let Some(line) = self.line_of(row.capability, row.name)
            {
                text.push_str(&line);
                text.push_str("\r\n");
            }
        }
        text.push_str(".\r\n");
        text.into_bytes()
    }

    /// The line of a capability that is on, if it is to be told now.
    fn line_of(&self, capability: Capability, name: &str) -> Option<String> {
        let passwords = self.options.security != Security::Plain;
        let line = match capability {
            Capability::Expire => {
                let days = match &self.state {
                    State::Transaction(transaction) => transaction.policy().expire_days,
                    State::Authorization(_) | State::Over => self.expiry_days,
                };
                days.map_or_else(|| format!("{name} NEVER"), |days| format!("{name} {days}"))
            }
            Capability::LoginDelay => {
                let seconds = Some(self.options.login_delay_seconds).filter(|delay| *delay > 0);
                format!("{name} {}", seconds?)
            }
            Capability::Stls => {
                let is_offered = self.options.security != Security::Tls
                    && self.options.starttls == StartTls::Offered;
                is_offered.then(|| name.to_owned())?
            }
            Capability::User => passwords.then(|| name.to_owned())?,
            Capability::Sasl => {
                let offer = self.options.offer.clone();
                let offer = offer.only(|one| capability::has_mechanism(self.on, one));
                let names = offer.on(self.options.security).names();
                (!names.is_empty()).then(|| format!("{name} {names}"))?
            }
            // Told with SASL.
            Capability::SaslExternal
            | Capability::SaslScramSha256Plus
            | Capability::SaslScramSha1Plus
            | Capability::SaslScramSha256
            | Capability::SaslScramSha1
            | Capability::SaslOAuthBearer
            | Capability::SaslXOAuth2
            | Capability::SaslPlain
            | Capability::SaslLogin => return None,
            // RFC 6856 section 2.2: names and passwords may be in UTF-8.
            Capability::Utf8 => format!("{name} USER"),
            Capability::Implementation => format!("{name} Pillarbox"),
            Capability::Top
            | Capability::Uidl
            | Capability::RespCodes
            | Capability::AuthRespCode
            | Capability::Pipelining
            | Capability::Lang => name.to_owned(),
        };
        Some(line)
    }

    /// Opens the maildrop of a login. To a client that knows ASCII headers only sizes are
    /// told of what it is sent: messages that came since the last time are looked at
    /// before, in steps, and the login waits while there are more.
    fn open(&mut self, login: Login) {
        let capabilities = login.capabilities;
        let user = login.user.clone();
        let opening = Transaction::open(login, self.sent_form(), self.language);
        self.looked_at = None;
        match opening {
            Opening::LooksAt(mailbox, login) => {
                self.looked_at = Some(mailbox);
                self.login = Some(login);
            }
            Opening::Ended(Ok(transaction)) => {
                self.on = capabilities;
                let reply = transaction.summary();
                self.bad_commands = 0;
                self.state = State::Transaction(Box::new(transaction));
                self.limit_lines();
                self.say(reply);
            }
            Opening::Ended(Err(reply)) => {
                tracing::warn!(session = %self.options.session_id, user, "the maildrop is not opened: {reply}");
                if let State::Authorization(authorization) = &mut self.state {
                    authorization.restart();
                }
                // Who is not in keeps nothing of the login.
                self.queue.push_back(Action::Unauthenticate);
                self.say(reply);
            }
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
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
                    self.limit_lines();
                    self.say(reply);
                }
            }
            (Event::TokenRefused(why), Awaiting::Login) => {
                self.awaiting = Awaiting::Client;
                if let State::Authorization(authorization) = &mut self.state {
                    let reply = authorization.token_refused(&why);
                    self.limit_lines();
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
            (Event::TlsStarted(channel), Awaiting::Tls) => {
                self.awaiting = Awaiting::Client;
                self.options.offer.channel = channel;
                self.options.security = Security::Tls;
                self.lines.clear();
                self.state = State::Authorization(Authorization::default());
                self.language = Language::default();
                self.limit_lines();
            }
            (Event::Shutdown, _) => self.service = Service::Stopping,
            // Before login, and after one that came to nothing, there is none to be taken back.
            (Event::LoginRevoked, _) if self.is_logged_in() => self.service = Service::Refused,
            // A maildrop is frozen; anything else was not asked for.
            (
                Event::MailboxChanged
                | Event::LoginRevoked
                | Event::Authenticated(_)
                | Event::Denied(_)
                | Event::ScramKeys(_)
                | Event::TokenRefused(_)
                | Event::Load(_)
                | Event::ToldMeanwhile(_)
                | Event::TlsStarted(_),
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
                match self.looked_at {
                    Some(_) => return Action::Yield,
                    None => continue,
                }
            }
            if self.awaiting != Awaiting::Client {
                return Action::Wait { until: None };
            }
            match self.service {
                Service::Running => {}
                Service::Stopping => {
                    let text = "server is shutting down";
                    self.end_with(Reply::err_with(Code::SysTemp, text));
                    continue;
                }
                Service::Refused => {
                    let text = "the login is no longer valid";
                    self.end_with(Reply::err_with(Code::Auth, text));
                    continue;
                }
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
            if let State::Transaction(transaction) = &mut self.state {
                transaction.rest();
            }
            return Action::Wait {
                until: Some(deadline),
            };
        }
    }

    fn cost(&self, now: Instant) -> Cost {
        self.next_cost(now)
    }

    fn has_mailbox(&self) -> bool {
        self.looked_at.is_some() || matches!(self.state, State::Transaction(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::{Account, Flags, Layout, MailboxName};

    #[test]
    fn who_waits_for_the_client_has_no_message_in_memory() {
        let directory = tempfile::tempdir().expect("directory");
        let layout = Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let account = Account::open(directory.path(), layout).expect("account");
        let mailbox = account.mailbox(&MailboxName::inbox()).expect("INBOX");
        let mut incoming = mailbox.begin_append().expect("begun");
        incoming.write(b"A: b\r\n\r\nc\r\n").expect("written");
        incoming.describe(Flags::default(), Vec::new(), None);
        mailbox.append(vec![incoming]).expect("appended");
        let options = Options {
            security: Security::Tls,
            starttls: StartTls::Absent,
            capabilities: Capabilities::all(),
            offer: wire::sasl::Offer::default(),
            login_delay_seconds: 0,
            language: Language::English,
            login_seconds: 60,
            idle_seconds: 600,
            session_id: String::new(),
            peer: String::new(),
        };
        let now = Instant::now();
        let mut session = Pop3Session::new(options, now);
        session.login = Some(Login {
            user: "anna".to_owned(),
            account,
            policy: crate::Policy::default(),
            device: None,
            capabilities: Capabilities::all(),
        });
        session.receive(b"RETR 1\r\n");
        let held = |session: &Pop3Session| match &session.state {
            State::Transaction(transaction) => transaction.stored.stored().len(),
            _ => 0,
        };
        let (mut sent, mut most) = (Vec::new(), 0);
        loop {
            let action = session.next(now);
            most = most.max(held(&session));
            match action {
                Action::Send(octets) => sent.extend(octets),
                Action::Wait { .. } => break,
                _ => panic!("neither output nor waiting"),
            }
        }
        assert!(sent.ends_with(b"A: b\r\n\r\nc\r\n.\r\n"));
        assert!(most > 0 && held(&session) == 0);
    }
}
