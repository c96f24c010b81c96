//! Cuts a client's octets into whole commands, literals included.
//!
//! Use by the session:
//!
//! 1. [`CommandBuffer::push`] what arrived, then call [`CommandBuffer::poll`]
//!    until it says [`Need::More`].
//! 2. [`Need::Continuation`]: send `+ OK`, poll again.
//! 3. [`Need::Complete`]: give the octets to [`super::parse`] and run the command.
//! 4. [`Need::AppendLiteral`]: an APPEND or REPLACE announced a message, or a part of
//!    one. `command` parses with [`super::parse`] to a `Command::Append` or
//!    `Command::Replace` whose last message is the one announced. Call [`CommandBuffer::accept_append`] (after sending `+ OK` if
//!    `sync` says so) or answer with a tagged reply and call
//!    [`CommandBuffer::refuse_append`]: the rest of the command is then swallowed
//!    without another event. Until one of both is called `poll` repeats the event.
//! 5. After accepting come [`Need::AppendOctets`] until the literal ends, then
//!    [`Need::AppendLiteral`] for a further message or [`Need::Complete`] with
//!    the whole command (messages' octets left out).
//! 6. [`Need::Refused`]: answer with the refusal's text under the tag, poll on.
//! 7. [`Need::Hopeless`]: say BYE and close.
//!
//! A line that is no command (DONE, a SASL response) is taken with
//! [`CommandBuffer::poll_line`].

use super::parser::announces_argument;
use store::metadata::METADATA_VALUE_OCTETS;

/// What a client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of a command outside literals.
    pub line_octets: usize,
    /// Octets of one literal that is no message.
    pub literal_octets: u64,
    /// Octets of all literals of a command, messages not counted.
    pub literals_octets: u64,
    /// How many literals a command may have, messages included.
    pub literals: usize,
    /// Octets of one message of an APPEND.
    pub append_octets: u64,
    /// Octets of one literal, messages too, that does not wait to be asked for
    /// (RFC 7888); `None` where none is taken.
    pub unasked_octets: Option<u64>,
    /// Which commands may have literals.
    pub phase: Phase,
}

/// Whether the client is logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It is not: only LOGIN, AUTHENTICATE and ID may have literals.
    BeforeLogin,
    /// It is.
    AfterLogin,
}

/// How big a literal may be that does not wait, where LITERAL- is announced (RFC 7888
/// section 5).
pub const LITERAL_MINUS_OCTETS: u64 = 4096;

impl Limits {
    /// Before login: 8 KB of line, literals of 1 KB, 8 of them.
    pub fn before_login() -> Self {
        Self {
            line_octets: 8 * 1024,
            literal_octets: 1024,
            literals_octets: 8 * 1024,
            literals: 8,
            append_octets: 0,
            unasked_octets: Some(LITERAL_MINUS_OCTETS),
            phase: Phase::BeforeLogin,
        }
    }

    /// After login: 64 KB of line, literals of 128 KB, 1 MB and 1000 in all.
    pub fn after_login(append_octets: u64) -> Self {
        Self {
            line_octets: 64 * 1024,
            literal_octets: 128 * 1024,
            literals_octets: 1024 * 1024,
            literals: 1000,
            append_octets,
            unasked_octets: Some(LITERAL_MINUS_OCTETS),
            phase: Phase::AfterLogin,
        }
    }
}

/// Whether a literal waits for the server's `+`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// `{n}`: it does.
    Waits,
    /// `{n+}` (RFC 7888): it comes at once.
    Comes,
}

/// Why a command is refused before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its line is too long.
    LineTooLong,
    /// A literal is too big, or there are too many.
    LiteralTooBig,
    /// A message is bigger than the server takes.
    MessageTooBig,
    /// A value is bigger than metadata may have (RFC 5464 section 4.3).
    ValueTooBig,
    /// A literal is too big to be sent without waiting (RFC 7888 section 5).
    NotAsked,
    /// Literals are not taken by this command before login.
    NotBeforeLogin,
}

impl Refusal {
    /// The tagged reply's text without the tag, `BAD` or `NO` included.
    pub fn reply(self) -> &'static str {
        match self {
            Self::LineTooLong => "BAD [TOOBIG] Command line too long",
            Self::LiteralTooBig => "BAD [TOOBIG] Literal too big",
            Self::MessageTooBig => "NO [TOOBIG] Message too big",
            Self::ValueTooBig => "NO [METADATA MAXSIZE 65536] The value is too large",
            Self::NotAsked => "BAD [TOOBIG] Literal too big to come without waiting for +",
            Self::NotBeforeLogin => "BAD Literals are not taken here before login",
        }
    }
}

/// What the buffer needs or has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// More octets from the client.
    More,
    /// A `+` continuation request sent to the client.
    Continuation,
    /// A decision about a message an APPEND announced.
    AppendLiteral {
        /// The command up to and with the announcement.
        command: Vec<u8>,
        /// The message's length in octets.
        octets: u64,
        /// Whether the client waits.
        sync: Sync,
    },
    /// Here are octets of the message accepted last.
    AppendOctets(Vec<u8>),
    /// A whole command, its last line end left out.
    Complete(Vec<u8>),
    /// A command was swallowed: answer it with a tagged reply.
    Refused {
        /// Its tag; `None` where unreadable (answer untagged).
        tag: Option<String>,
        /// Why.
        refusal: Refusal,
    },
    /// What comes cannot be followed: say BYE and close.
    Hopeless,
}

/// A line that is no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// It is not whole yet.
    More,
    /// The line without its end.
    Whole(Vec<u8>),
    /// It is longer than the limit: say BYE and close.
    TooLong,
}

/// A literal beyond this is not even swallowed.
const SWALLOWED_LITERAL_OCTETS: u64 = 1 << 30;
/// Nor is a line beyond this.
const SWALLOWED_LINE_OCTETS: u64 = 4 << 20;
/// How much of an overlong line's end is kept to see a literal announced there.
const KEPT_TAIL_OCTETS: usize = 32;
/// The longest tag that is repeated in a refusal.
const TAG_OCTETS: usize = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Reading a line.
    Line,
    /// A message was announced and the session has not decided.
    Offered { octets: u64, sync: Sync },
    /// Reading a literal into the command.
    Literal { left: u64 },
    /// Handing a message on.
    Append { left: u64 },
    /// Dropping a literal.
    Swallow { left: u64 },
    /// Nothing more is read.
    Hopeless,
}

/// Why a command is being swallowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Swallowed {
    /// To be answered at its end.
    Unanswered(Refusal),
    /// The session answered it already.
    Answered,
}

/// The octets of a client that are no whole command yet.
#[derive(Debug)]
pub struct CommandBuffer {
    limits: Limits,
    /// What came and was not taken.
    input: Vec<u8>,
    /// How much of `input` was taken.
    taken: usize,
    /// How much of `input` after `taken` has no line end.
    searched: usize,
    /// The command so far.
    command: Vec<u8>,
    /// Octets of it outside literals.
    line_octets: u64,
    literals: usize,
    literals_octets: u64,
    swallowed: Option<Swallowed>,
    /// The tag, once the command is being swallowed.
    tag: Option<String>,
    state: State,
}

impl CommandBuffer {
    /// An empty buffer.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            input: Vec::new(),
            taken: 0,
            searched: 0,
            command: Vec::new(),
            line_octets: 0,
            literals: 0,
            literals_octets: 0,
            swallowed: None,
            tag: None,
            state: State::Line,
        }
    }

    /// Sets limits for the commands to come.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Adds what the client sent.
    pub fn push(&mut self, octets: &[u8]) {
        if self.taken > 0 {
            self.input.drain(..self.taken);
            self.taken = 0;
        }
        self.input.extend_from_slice(octets);
    }

    /// Forgets all that came (STARTTLS: what came before the handshake).
    pub fn clear(&mut self) {
        *self = Self::new(self.limits);
    }

    /// Whether nothing is waiting to be taken.
    pub fn is_empty(&self) -> bool {
        self.rest().is_empty()
    }

    /// Whether a command is begun and not whole (its client is not idle).
    pub fn in_command(&self) -> bool {
        self.state != State::Line || !self.command.is_empty() || self.swallowed.is_some()
    }

    /// The tag of the command that `poll` goes on with, once its first line is here.
    pub fn tag(&self) -> Option<String> {
        let line = match self.command.is_empty() {
            true => self.rest(),
            false => &self.command,
        };
        let is_read = self.swallowed.is_none() && memchr::memchr(b'\n', line).is_some();
        is_read.then(|| read_tag(line)).flatten()
    }

    /// The command that `poll` goes on with, if it is mostly over soon: it reads what the
    /// system mostly has in memory, or changes a little that need not be on the disk when it
    /// is answered.
    pub fn brief(&self) -> Option<Brief<'_>> {
        let line = self.rest();
        let is_first = !self.in_command() && memchr::memchr(b'\n', line).is_some();
        is_first.then(|| Brief::of(line)).flatten()
    }

    /// The next event.
    pub fn poll(&mut self) -> Need {
        loop {
            match self.state {
                State::Hopeless => return Need::Hopeless,
                State::Offered { octets, sync } => {
                    return Need::AppendLiteral {
                        command: self.command.clone(),
                        octets,
                        sync,
                    };
                }
                State::Literal { left: 0 }
                | State::Append { left: 0 }
                | State::Swallow { left: 0 } => {
                    self.state = State::Line;
                    self.searched = 0;
                }
                State::Literal { left } => match self.take(left) {
                    Some(octets) => {
                        self.state = State::Literal {
                            left: left - octets.len() as u64,
                        };
                        self.command.extend_from_slice(&octets);
                    }
                    None => return Need::More,
                },
                State::Append { left } => match self.take(left) {
                    Some(octets) => {
                        self.state = State::Append {
                            left: left - octets.len() as u64,
                        };
                        return Need::AppendOctets(octets);
                    }
                    None => return Need::More,
                },
                State::Swallow { left } => match self.take(left) {
                    Some(octets) => {
                        self.state = State::Swallow {
                            left: left - octets.len() as u64,
                        };
                    }
                    None => return Need::More,
                },
                State::Line => {
                    if let Some(need) = self.poll_command_line() {
                        return need;
                    }
                }
            }
        }
    }

    /// Takes one line as it is, when no command is expected.
    pub fn poll_line(&mut self) -> Line {
        let limit = self.limits.line_octets;
        let rest = self.rest();
        match memchr::memchr(b'\n', rest) {
            Some(end) if end <= limit => {
                let line = rest.get(..end).unwrap_or_default();
                let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
                self.advance(end + 1);
                Line::Whole(line)
            }
            None if rest.len() <= limit => Line::More,
            _ => Line::TooLong,
        }
    }

    /// Takes the message announced: its octets follow as events.
    pub fn accept_append(&mut self) {
        if let State::Offered { octets, .. } = self.state {
            self.state = State::Append { left: octets };
        }
    }

    /// Refuses the message announced; the session has sent the tagged reply.
    pub fn refuse_append(&mut self) {
        if let State::Offered { octets, sync } = self.state {
            self.refuse(Swallowed::Answered);
            match sync {
                // The client reads the reply in place of `+` and sends nothing.
                Sync::Waits => self.begin_command(),
                Sync::Comes => self.swallow(octets),
            }
        }
    }

    fn rest(&self) -> &[u8] {
        self.input.get(self.taken..).unwrap_or_default()
    }

    fn advance(&mut self, octets: usize) {
        self.taken = self.taken.saturating_add(octets).min(self.input.len());
        self.searched = 0;
        if self.taken == self.input.len() {
            self.input.clear();
            self.taken = 0;
            // A big read is not kept for an idle client.
            self.input.shrink_to(4096);
        }
    }

    /// Takes up to `most` octets; `None` if there is none.
    fn take(&mut self, most: u64) -> Option<Vec<u8>> {
        let rest = self.rest();
        let count = usize::try_from(most).map_or(rest.len(), |most| most.min(rest.len()));
        if count == 0 {
            return None;
        }
        let octets = rest.get(..count)?.to_vec();
        self.advance(count);
        Some(octets)
    }

    fn begin_command(&mut self) {
        self.command = Vec::new();
        self.line_octets = 0;
        self.literals = 0;
        self.literals_octets = 0;
        self.swallowed = None;
        self.tag = None;
        self.state = State::Line;
        self.searched = 0;
    }

    /// Goes on dropping the command; the first reason stays.
    fn refuse(&mut self, swallowed: Swallowed) {
        if self.swallowed.is_none() {
            self.swallowed = Some(swallowed);
            if self.tag.is_none() {
                self.tag = read_tag(&self.command);
            }
        }
        self.command = Vec::new();
    }

    fn swallow(&mut self, octets: u64) {
        self.state = if octets > SWALLOWED_LITERAL_OCTETS {
            State::Hopeless
        } else {
            State::Swallow { left: octets }
        };
    }

    /// Ends a swallowed command.
    fn finish_refused(&mut self) -> Option<Need> {
        let need = match self.swallowed {
            Some(Swallowed::Unanswered(refusal)) => Some(Need::Refused {
                tag: self.tag.take(),
                refusal,
            }),
            _ => None,
        };
        self.begin_command();
        need
    }

    /// Reads on in a line; `None` to look at the state again.
    fn poll_command_line(&mut self) -> Option<Need> {
        let rest = self.rest();
        let from = self.searched.min(rest.len());
        let found = memchr::memchr(b'\n', rest.get(from..).unwrap_or_default());
        let Some(end) = found.map(|offset| from + offset + 1) else {
            let pending = rest.len();
            self.searched = pending;
            if self.line_octets.saturating_add(pending as u64) > self.limits.line_octets as u64 {
                return self.drop_overlong();
            }
            return Some(Need::More);
        };
        let line = rest.get(..end).unwrap_or_default().to_vec();
        self.advance(end);
        self.line_octets = self.line_octets.saturating_add(line.len() as u64);
        if self.line_octets > self.limits.line_octets as u64 && self.swallowed.is_none() {
            self.tag = read_tag(if self.command.is_empty() {
                &line
            } else {
                &self.command
            });
            self.refuse(Swallowed::Unanswered(Refusal::LineTooLong));
        }
        let announced = announcement(&line);
        if self.swallowed.is_some() {
            return match announced {
                Announcement::Literal(octets, Sync::Comes) => {
                    self.swallow(octets);
                    None
                }
                // The refusal is what the client reads in place of `+`.
                Announcement::Literal(_, Sync::Waits) | Announcement::None => self.finish_refused(),
                Announcement::Hopeless => {
                    self.state = State::Hopeless;
                    None
                }
            };
        }
        self.command.extend_from_slice(&line);
        match announced {
            Announcement::None => {
                let mut command = std::mem::take(&mut self.command);
                if command.last() == Some(&b'\n') {
                    command.pop();
                }
                if command.last() == Some(&b'\r') {
                    command.pop();
                }
                self.begin_command();
                Some(Need::Complete(command))
            }
            Announcement::Hopeless => {
                self.state = State::Hopeless;
                None
            }
            Announcement::Literal(octets, sync) => self.announce(octets, sync),
        }
    }

    /// A literal was announced at the end of `command`.
    fn announce(&mut self, octets: u64, sync: Sync) -> Option<Need> {
        self.literals += 1;
        let word = command_word(&self.command, 1);
        let is_message = takes_messages(&self.command) && !announces_argument(&self.command);
        let allowed = self.limits.phase == Phase::AfterLogin
            || [&b"LOGIN"[..], b"AUTHENTICATE", b"ID"]
                .iter()
                .any(|name| word.eq_ignore_ascii_case(name));
        if !is_message {
            self.literals_octets = self.literals_octets.saturating_add(octets);
        }
        let refusal = if !allowed {
            Some(Refusal::NotBeforeLogin)
        } else if is_message && octets > self.limits.append_octets {
            Some(Refusal::MessageTooBig)
        } else if octets > METADATA_VALUE_OCTETS as u64 && word.eq_ignore_ascii_case(b"SETMETADATA")
        {
            Some(Refusal::ValueTooBig)
        } else if sync == Sync::Comes && self.limits.unasked_octets.is_none_or(|most| octets > most)
        {
            Some(Refusal::NotAsked)
        } else if self.literals > self.limits.literals
            || (!is_message
                && (octets > self.limits.literal_octets
                    || self.literals_octets > self.limits.literals_octets))
        {
            Some(Refusal::LiteralTooBig)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.refuse(Swallowed::Unanswered(refusal));
            return match sync {
                Sync::Waits => self.finish_refused(),
                Sync::Comes => {
                    self.swallow(octets);
                    None
                }
            };
        }
        if is_message {
            self.state = State::Offered { octets, sync };
            return None;
        }
        self.state = State::Literal { left: octets };
        (sync == Sync::Waits).then_some(Need::Continuation)
    }

    /// The line is longer than allowed and has no end yet: drops it but for the
    /// tail, where a literal may be announced.
    fn drop_overlong(&mut self) -> Option<Need> {
        if self.swallowed.is_none() {
            self.tag = if self.command.is_empty() {
                read_tag(self.rest())
            } else {
                read_tag(&self.command)
            };
            self.refuse(Swallowed::Unanswered(Refusal::LineTooLong));
        }
        let dropped = self.rest().len().saturating_sub(KEPT_TAIL_OCTETS);
        if dropped > 0 {
            self.advance(dropped);
            self.searched = self.rest().len();
            self.line_octets = self.line_octets.saturating_add(dropped as u64);
        }
        if self.line_octets > SWALLOWED_LINE_OCTETS {
            self.state = State::Hopeless;
            return Some(Need::Hopeless);
        }
        Some(Need::More)
    }
}

/// What a line's end announces.
enum Announcement {
    None,
    Literal(u64, Sync),
    /// A number that cannot be counted.
    Hopeless,
}

/// Reads `{n}` or `{n+}` at a line's end.
fn announcement(line: &[u8]) -> Announcement {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let Some(line) = line.strip_suffix(b"}") else {
        return Announcement::None;
    };
    let (line, sync) = match line.strip_suffix(b"+") {
        Some(line) => (line, Sync::Comes),
        None => (line, Sync::Waits),
    };
    let digits = line
        .iter()
        .rev()
        .take_while(|octet| octet.is_ascii_digit())
        .count();
    let (before, number) = line.split_at(line.len() - digits);
    if digits == 0 || before.last() != Some(&b'{') {
        // An overlong number has lost its brace with the rest of the line.
        return if digits >= KEPT_TAIL_OCTETS - 4 {
            Announcement::Hopeless
        } else {
            Announcement::None
        };
    }
    match std::str::from_utf8(number)
        .ok()
        .and_then(|number| number.parse::<u64>().ok())
    {
        Some(octets) if octets <= u64::from(u32::MAX) => Announcement::Literal(octets, sync),
        // A waiting client can be told; one that sends cannot be followed.
        Some(octets) if sync == Sync::Waits => Announcement::Literal(octets, sync),
        None if sync == Sync::Waits => Announcement::Literal(u64::MAX, sync),
        _ => Announcement::Hopeless,
    }
}

/// The tag at a command's beginning.
pub(super) fn read_tag(command: &[u8]) -> Option<String> {
    let end = command
        .iter()
        .position(|octet| matches!(octet, b' ' | b'\r' | b'\n'))
        .unwrap_or(command.len());
    let tag = command.get(..end)?;
    let readable = !tag.is_empty()
        && tag.len() <= TAG_OCTETS
        && tag.iter().all(|octet| super::cursor::is_tag_char(*octet));
    readable.then(|| String::from_utf8_lossy(tag).into_owned())
}

/// A command that is mostly over soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brief<'a> {
    /// Whatever is selected.
    Here,
    /// If this mailbox, as it was written, is open.
    Opens(&'a [u8]),
}

impl<'a> Brief<'a> {
    fn of(line: &'a [u8]) -> Option<Self> {
        let is_uid = command_word(line, 1).eq_ignore_ascii_case(b"UID");
        let number = if is_uid { 2 } else { 1 };
        match &*command_word(line, number).to_ascii_uppercase() {
            b"NOOP" | b"CHECK" | b"FETCH" | b"STORE" | b"UNSELECT" | b"IDLE" | b"NAMESPACE"
            | b"CAPABILITY" | b"LOGOUT" => Some(Self::Here),
            b"SELECT" | b"EXAMINE" | b"STATUS" => {
                let name = command_word(line, 2);
                let quoted = name.strip_prefix(b"\"");
                let quoted = quoted.and_then(|name| name.strip_suffix(b"\""));
                Some(Self::Opens(quoted.unwrap_or(name)))
            }
            _ => None,
        }
    }
}

/// A word of a command's first line; the tag is number 0.
fn command_word(command: &[u8], number: usize) -> &[u8] {
    command
        .split(|octet| matches!(octet, b' ' | b'\r' | b'\n'))
        .filter(|word| !word.is_empty())
        .nth(number)
        .unwrap_or_default()
}

/// Whether a command brings messages: APPEND, REPLACE and UID REPLACE.
fn takes_messages(command: &[u8]) -> bool {
    let is = |number, name: &[u8]| command_word(command, number).eq_ignore_ascii_case(name);
    is(1, b"APPEND") || is(1, b"REPLACE") || (is(1, b"UID") && is(2, b"REPLACE"))
}

#[cfg(test)]
#[path = "framing_tests.rs"]
mod tests;
