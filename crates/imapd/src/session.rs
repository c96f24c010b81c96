//! [`ImapSession`]: octets in, actions out.

use crate::appends::Appends;
use crate::capability::{self, Capabilities, Capability, Circumstances, Compressed, Enabled};
use crate::commands::Outcome;
use crate::commands::append::Headers;
use crate::commands::changing::Changing;
use crate::commands::fetch::Fetching;
use crate::commands::multisearch::MultiSearching;
use crate::commands::search::Searching;
use crate::grammar::{CommandBuffer, Limits, Line, Malformed, Need, Reply, Saved, parse_as};
use crate::language::Language;
use crate::limit::MessageLimit;
use crate::news::Notifying;
use crate::notify::Notify;
use crate::order::collation::Comparator;
use crate::progress::{Measure, Progress};
use crate::response::{Segment, Writer};
use crate::rules::Told;
use crate::unasked::Announcing;
use crate::view::{Look, View};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};
use store::Account;
use wire::sasl::{Exchange, Identity};
use wire::{Action, Cost, Denial, Event, Meanwhile, Security, Session};

/// So many bad commands in a row before login end the connection.
const BAD_COMMANDS_BEFORE_LOGIN: u32 = 10;
/// So many bad commands in a row after login end the connection.
const BAD_COMMANDS_AFTER_LOGIN: u32 = 20;

/// Who logged in.
pub struct Login {
    /// The user's name.
    pub user: String,
    /// The user's mailboxes.
    pub account: Arc<Account>,
    /// What is on for the user.
    pub capabilities: Capabilities,
}

/// Whether STARTTLS can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartTls {
    /// It can.
    Offered,
    /// There is no certificate.
    Absent,
}

/// What the server tells of itself (RFC 5464 section 3.2.1.1).
#[derive(Debug, Clone, Default)]
pub struct ServerMetadata {
    /// `/shared/comment`.
    pub comment: Option<String>,
    /// `/shared/admin`: a URI.
    pub admin: Option<String>,
}

/// What the server tells a session at its beginning.
#[derive(Debug, Clone)]
pub struct Options {
    /// How the connection is protected.
    pub security: Security,
    /// Whether STARTTLS can be had.
    pub starttls: StartTls,
    /// What is on before login.
    pub capabilities: Capabilities,
    /// What a client may log in with.
    pub offer: wire::sasl::Offer,
    /// Seconds a client has to log in.
    pub login_seconds: u64,
    /// Seconds without input after which the connection ends; RFC 3501 section
    /// 5.4 asks for 1800 at least.
    pub idle_seconds: u64,
    /// The biggest message that is taken, in octets.
    pub append_limit_octets: u64,
    /// On how many messages one command may work.
    pub message_limit: MessageLimit,
    /// What headers of messages a client may append that did not enable UTF-8.
    pub appended_headers: Headers,
    /// After so many seconds of silence a client in IDLE is told that the connection
    /// stands; 0 is never.
    pub idle_note_seconds: u64,
    /// How often the progress of a command is told; RFC 9585 section 4 recommends 10 to 15
    /// seconds.
    pub progress_every: Duration,
    /// What the server tells of itself.
    pub server_metadata: ServerMetadata,
    /// What the log calls this session.
    pub session_id: String,
    /// The client's address, for the log.
    pub peer: String,
    /// Woken when the selected mailbox changes.
    pub waker: Waker,
}

/// What is under way.
pub(crate) enum Work {
    /// Reading commands.
    Ready,
    /// The server checks a login.
    LoggingIn { tag: String },
    /// The server looks SCRAM keys up.
    FindingKeys {
        tag: String,
        exchange: Box<Exchange>,
    },
    /// The client is to answer a challenge.
    Challenged {
        tag: String,
        exchange: Box<Exchange>,
    },
    /// The client is to acknowledge the server's last SCRAM message.
    Proven { tag: String, identity: Identity },
    /// The client is to acknowledge that its access token was refused.
    Refused { tag: String },
    /// The server does the TLS handshake.
    StartingTls,
    /// The server tells whether a background download may go on.
    AskingLoad { tag: String },
    /// Messages are being sent.
    Fetching {
        tag: String,
        told: Told,
        fetching: Box<Fetching>,
    },
    /// Messages are being changed.
    Changing {
        tag: String,
        told: Told,
        changing: Box<Changing>,
    },
    /// A mailbox is being searched.
    Searching {
        tag: String,
        told: Told,
        searching: Box<Searching>,
    },
    /// Several mailboxes are being searched.
    MultiSearching {
        tag: String,
        told: Told,
        searching: Box<MultiSearching>,
    },
    /// Mailboxes that are to be watched are being looked at.
    Notifying { tag: String, notifying: Notifying },
    /// Attributes of new messages are being told that nobody asked for now.
    Announcing {
        announcing: Box<Announcing>,
        /// What comes then: reading commands, or IDLE.
        then: Box<Work>,
    },
    /// IDLE.
    Idling { tag: String },
    /// The end.
    Over,
}

/// Whether the server goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Running,
    Stopping,
    /// To this client no more: the login was taken back.
    Refused,
}

/// How long a command goes on after the session heard that the server stops. The server
/// waits for its sessions somewhat longer.
const LAST_STEPS: Duration = Duration::from_secs(5);

/// An IMAP session.
pub struct ImapSession {
    pub(crate) options: Options,
    pub(crate) buffer: CommandBuffer,
    pub(crate) out: Writer,
    pub(crate) queue: VecDeque<Action>,
    pub(crate) login: Option<Login>,
    pub(crate) view: Option<View>,
    pub(crate) enabled: Enabled,
    /// The active comparator (RFC 5255 section 4.2).
    pub(crate) comparator: Comparator,
    pub(crate) compressed: Compressed,
    pub(crate) progress: Progress,
    pub(crate) work: Work,
    /// Hears what others do to the user's mailboxes, if that is to be told.
    pub(crate) listener: Option<store::Listener>,
    /// What the client asked for by NOTIFY, if it ever did.
    pub(crate) notify: Option<Notify>,
    /// The command under way expunges: its client is told, whatever it wants to be told.
    pub(crate) expunging: bool,
    pub(crate) appends: Appends,
    pub(crate) bad_commands: u32,
    /// The log was told that a login is refused whoever it is.
    pub(crate) told_refused: bool,
    pub(crate) service: Service,
    /// When commands under way end before their time, because the server stops.
    pub(crate) ends_by: Option<Instant>,
    pub(crate) login_deadline: Instant,
    /// When the client last sent something.
    pub(crate) active: Instant,
    /// When the client was last sent something.
    pub(crate) spoke: Instant,
    /// What is to be sent is no more than that the connection stands.
    pub(crate) only_notes: bool,
    pub(crate) now: Instant,
    /// Something came since `next` was called last.
    pub(crate) received: bool,
    /// The selected mailbox changed since it was looked at.
    pub(crate) changed: bool,
}

impl ImapSession {
    /// A session that begins now, with the greeting.
    pub fn new(mut options: Options, now: Instant) -> Self {
        let on = options.capabilities;
        options.offer = options
            .offer
            .only(|mechanism| capability::has_mechanism(on, mechanism));
        let mut session = Self {
            buffer: CommandBuffer::new(Limits::before_login()),
            out: Writer::new(),
            queue: VecDeque::new(),
            login: None,
            view: None,
            enabled: Enabled::default(),
            comparator: Comparator::default(),
            compressed: Compressed::No,
            progress: Progress::new(now, options.progress_every),
            work: Work::Ready,
            listener: None,
            notify: None,
            expunging: false,
            appends: Appends::default(),
            bad_commands: 0,
            told_refused: false,
            service: Service::Running,
            ends_by: None,
            login_deadline: now + Duration::from_secs(options.login_seconds),
            active: now,
            spoke: now,
            only_notes: false,
            now,
            received: false,
            changed: false,
            options,
        };
        session.buffer.set_limits(session.limits());
        let capabilities = session.capabilities();
        session
            .out
            .text("* OK [CAPABILITY ")
            .text(&capabilities)
            .text("] Pillarbox ready")
            .crlf();
        session
    }

    /// What is on.
    pub(crate) fn on(&self) -> Capabilities {
        match &self.login {
            Some(login) => login.capabilities,
            None => self.options.capabilities,
        }
    }

    /// Whether a capability is on.
    pub(crate) fn has(&self, capability: Capability) -> bool {
        self.on().has(capability)
    }

    /// What CAPABILITY announces now.
    pub(crate) fn capabilities(&self) -> String {
        let circumstances = Circumstances {
            after_login: self.login.is_some(),
            security: self.options.security,
            starttls: self.options.starttls,
            mechanisms: self.options.offer.on(self.options.security),
            append_limit_octets: self.options.append_limit_octets,
            message_limit: self.options.message_limit,
            compressed: self.compressed,
        };
        capability::announce(self.on(), &circumstances)
    }

    /// Puts an action behind what was written.
    pub(crate) fn enqueue(&mut self, action: Action) {
        self.flush();
        self.queue.push_back(action);
    }

    fn flush(&mut self) {
        for segment in self.out.take_segments() {
            self.queue.push_back(match segment {
                Segment::Octets(octets) => Action::Send(octets),
                Segment::Reader(reader) => Action::SendFrom(reader),
            });
        }
    }

    /// Says goodbye.
    pub(crate) fn bye(&mut self, text: &str) {
        self.out.text("* BYE ").human(text).crlf();
        self.end();
    }

    /// Closes after what was written.
    pub(crate) fn end(&mut self) {
        self.work = Work::Over;
        self.appends = Appends::default();
        self.view = None;
    }

    /// Writes a tagged reply, after what may be told of the mailbox.
    pub(crate) fn finish(&mut self, tag: &str, told: Told, outcome: &Outcome) {
        self.log_failure(outcome);
        self.tell_news();
        self.tell(told, Look::WhenDue);
        self.expunging = false;
        if matches!(self.work, Work::Over) {
            return;
        }
        let reply = outcome.reply(&self.options.session_id);
        self.out.text(tag).text(" ").status_text(&reply).crlf();
        match outcome {
            Outcome::Bad(_) => self.count_bad(),
            // A refused login counts too.
            _ if self.login.is_none() => {}
            _ => self.bad_commands = 0,
        }
    }

    pub(crate) fn log_failure(&self, outcome: &Outcome) {
        if let Outcome::Failed(error) = outcome {
            let (session, remedy) = (&self.options.session_id, error.remedy());
            tracing::error!(%session, %error, "command failed{remedy}");
        }
    }

    /// Counts a bad command; too many in a row end the connection.
    pub(crate) fn count_bad(&mut self) {
        self.bad_commands += 1;
        let most = match self.login {
            Some(_) => BAD_COMMANDS_AFTER_LOGIN,
            None => BAD_COMMANDS_BEFORE_LOGIN,
        };
        if self.bad_commands >= most {
            self.bye("Too many bad commands");
        }
    }

    /// Goes on with what is under way. `None` means look again.
    fn step(&mut self) -> Option<Action> {
        self.announce_new();
        match std::mem::replace(&mut self.work, Work::Ready) {
            Work::Over => {
                self.work = Work::Over;
                Some(Action::Close)
            }
            Work::Fetching {
                tag,
                told,
                fetching,
            } => {
                self.step_fetching(tag, told, fetching);
                None
            }
            Work::Changing {
                tag,
                told,
                changing,
            } if self.is_out_of_time() => {
                changing.give_up(self.on(), &mut self.out);
                self.end_early(&tag, told)
            }
            Work::Searching { tag, told, .. } | Work::MultiSearching { tag, told, .. }
                if self.is_out_of_time() =>
            {
                self.end_early(&tag, told)
            }
            Work::Changing {
                tag,
                told,
                changing,
            } => self.step_changing(tag, told, changing),
            Work::Searching {
                tag,
                told,
                searching,
            } => self.step_searching(tag, told, searching),
            Work::MultiSearching {
                tag,
                told,
                searching,
            } => self.step_multi_searching(tag, told, searching),
            Work::Announcing { announcing, then } => {
                self.step_announcing(announcing, then);
                None
            }
            Work::Notifying { tag, mut notifying } => {
                if self.step_notifying(&mut notifying) {
                    self.finish(&tag, Told::All, &Outcome::ok("NOTIFY completed"));
                    return None;
                }
                self.tell_progress(&tag, Measure::Unknown);
                self.work = Work::Notifying { tag, notifying };
                Some(Action::Yield)
            }
            work @ (Work::LoggingIn { .. }
            | Work::FindingKeys { .. }
            | Work::StartingTls
            | Work::AskingLoad { .. }) => {
                self.work = work;
                Some(Action::Wait { until: None })
            }
            _ if self.service != Service::Running => {
                self.commit_appends();
                self.bye(match self.service {
                    Service::Refused => "The login is no longer valid",
                    Service::Running | Service::Stopping => "Server shutting down",
                });
                None
            }
            Work::Ready => self.step_ready(),
            work @ (Work::Idling { .. }
            | Work::Challenged { .. }
            | Work::Proven { .. }
            | Work::Refused { .. }) => self.step_line(work),
        }
    }

    fn step_ready(&mut self) -> Option<Action> {
        let need = self.buffer.poll();
        if let Some(until) = self.appends_until(&need) {
            return Some(Action::Wait { until: Some(until) });
        }
        match need {
            Need::More if self.tells_between_commands() => {}
            Need::More => return self.wait(),
            Need::Continuation => {
                self.out.text("+ OK").crlf();
            }
            Need::AppendLiteral { command, sync, .. } => self.announce(&command, sync),
            Need::AppendOctets(octets) => self.appends.write(&octets),
            Need::Complete(command) if self.appends.is_under_way() => self.append(&command),
            Need::Complete(command) => self.take(&command),
            Need::Refused { tag, refusal } => {
                self.appends.give_up();
                let tag = tag.unwrap_or_else(|| "*".to_owned());
                let reply = refusal.reply();
                self.out.text(&tag).text(" ").status_text(reply).crlf();
                self.count_bad();
            }
            Need::Hopeless => self.bye("What you send cannot be followed"),
        }
        None
    }

    /// Runs a whole command.
    fn take(&mut self, command: &[u8]) {
        match parse_as(command, self.reading()) {
            Err(malformed) => self.refuse(malformed),
            Ok(tagged) => self.run(tagged),
        }
    }

    /// Answers a command that cannot be read.
    pub(crate) fn refuse(&mut self, malformed: Malformed) {
        let tag = malformed.tag.clone().unwrap_or_else(|| "*".to_owned());
        if let (Reply::BadCharset(Saved::Emptied), Some(view)) = (&malformed.reply, &mut self.view)
        {
            view.save(Vec::new());
        }
        self.finish(&tag, Told::Nothing, &refused(malformed));
    }

    /// Takes a line that is no command.
    fn step_line(&mut self, work: Work) -> Option<Action> {
        match (self.buffer.poll_line(), work) {
            (Line::More, work) => {
                let idling = matches!(work, Work::Idling { .. });
                self.work = work;
                if idling && self.has_news(self.now) {
                    self.tell_news();
                    return None;
                }
                if idling && self.changed {
                    self.tell(Told::All, Look::AtPublished);
                    return None;
                }
                return self.wait();
            }
            (Line::TooLong, _) => self.bye("The line is too long"),
            (Line::Whole(line), Work::Idling { tag }) => {
                if line.eq_ignore_ascii_case(b"DONE") {
                    self.finish(&tag, Told::All, &Outcome::ok("IDLE completed"));
                } else {
                    self.finish(&tag, Told::All, &Outcome::bad("DONE was expected"));
                }
            }
            (Line::Whole(line), Work::Challenged { tag, exchange }) => {
                self.take_response(tag, exchange, &line);
            }
            (Line::Whole(line), Work::Proven { tag, identity }) => {
                self.take_acknowledgement(tag, identity, &line);
            }
            (Line::Whole(_), Work::Refused { tag }) => self.end_refused(&tag),
            // Not reached: no other work takes lines.
            (Line::Whole(_), work) => self.work = work,
        }
        None
    }

    /// The server's answer to a login.
    fn logged_in(&mut self, login: Login) {
        let Work::LoggingIn { tag } = std::mem::replace(&mut self.work, Work::Ready) else {
            return;
        };
        self.login = Some(login);
        self.active = self.now;
        self.buffer.set_limits(self.limits());
        let text = format!("[CAPABILITY {}] Logged in", self.capabilities());
        self.finish(&tag, Told::Nothing, &Outcome::Ok(text));
    }

    fn denied(&mut self, denial: Denial) {
        let Work::LoggingIn { tag } = std::mem::replace(&mut self.work, Work::Ready) else {
            return;
        };
        let text = match denial {
            Denial::BadCredentials => "[AUTHENTICATIONFAILED] Authentication failed",
            Denial::Downgraded => {
                "[AUTHENTICATIONFAILED] Channel binding is offered here; somebody hid that"
            }
            Denial::OtherChannel => {
                "[AUTHENTICATIONFAILED] The channel binding is of another connection"
            }
            Denial::OtherIdentity => "[AUTHORIZATIONFAILED] You may act for yourself only",
            Denial::TooManyConnections => "[LIMIT] Too many connections",
            Denial::TooSoon(_) => "[UNAVAILABLE] Too soon after the last login",
            Denial::Unavailable => "[UNAVAILABLE] Authentication is not possible now",
            Denial::Forbidden => "[CONTACTADMIN] The server may not use your mail, see its log",
        };
        self.finish(&tag, Told::Nothing, &Outcome::no(text));
        self.count_bad();
    }
}

/// The outcome of a command that cannot be read.
pub(crate) fn refused(malformed: Malformed) -> Outcome {
    let text = malformed.reply.text();
    match text.split_once(' ') {
        Some(("NO", rest)) => Outcome::no(rest),
        Some((_, rest)) => Outcome::bad(rest),
        None => Outcome::Bad(text),
    }
}

impl Session<Login> for ImapSession {
    fn receive(&mut self, bytes: &[u8]) {
        self.received = true;
        self.buffer.push(bytes);
    }

    fn resume(&mut self, event: Event<Login>) {
        match event {
            Event::Authenticated(login) => self.logged_in(login),
            Event::Denied(denial) => self.denied(denial),
            Event::ScramKeys(keys) => self.take_keys(keys),
            Event::TokenRefused(why) => self.refuse_token(&why),
            Event::TlsStarted(channel) => {
                if matches!(self.work, Work::StartingTls) {
                    self.work = Work::Ready;
                    self.options.security = Security::Tls;
                    self.options.offer.channel = channel;
                    self.buffer.clear();
                    // Who asked for it was not known (RFC 5255 section 3.1).
                    self.out.set_language(Language::Default);
                }
            }
            Event::Load(load) => self.take_load(load),
            Event::MailboxChanged => self.changed = true,
            Event::Shutdown => {
                self.service = Service::Stopping;
                self.ends_by = Some(self.now + LAST_STEPS);
            }
            // After UNAUTHENTICATE nobody is logged in (RFC 8437).
            Event::LoginRevoked if self.login.is_some() => self.service = Service::Refused,
            Event::LoginRevoked => {}
            Event::ToldMeanwhile(at) => self.note_told_meanwhile(at),
        }
    }

    fn next(&mut self, now: Instant) -> Action {
        self.now = now;
        if std::mem::take(&mut self.received) {
            self.active = now;
        }
        loop {
            if let Some(action) = self.queue.pop_front() {
                self.spoke = now;
                // A long answer is no idleness.
                if !std::mem::take(&mut self.only_notes) {
                    self.active = now;
                }
                return action;
            }
            if !self.out.is_empty() {
                self.flush();
                continue;
            }
            if let Some(action) = self.step() {
                return action;
            }
        }
    }

    fn has_mailbox(&self) -> bool {
        self.login.is_some()
    }

    fn cost(&self, now: Instant) -> Cost {
        self.next_cost(now)
    }

    /// Where all that was written was taken the client has whole responses, each step
    /// ends with one.
    fn meanwhile(&self, now: Instant) -> Option<Meanwhile> {
        let is_taken = self.queue.is_empty() && self.out.is_empty();
        is_taken.then(|| self.tells_meanwhile(now)).flatten()
    }
}
