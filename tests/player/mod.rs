//! Transcripts: what clients send and what they are to be told.
//!
//! A transcript begins with header lines, ends them with an empty line, and
//! goes on with what is sent and expected:
//!
//! ```text
//! mailbox: INBOX 3 messages      three known messages wait in new/
//! login: yes                     log in first (IMAP in `imap` and `both`, POP3 in `pop3`)
//! aged: 1                        the first of them came in the year 2000
//! devices: phone tablet          anna has these devices, whose passwords are their names
//! config: pop3: { delete: trash } a line of the configuration
//! tls: no, <why>                 not played over TLS
//! dovecot: no, <why>             not played against Dovecot
//!
//! C: a NOOP                      sent, CRLF added
//! S: a OK $rest...               expected; $name matches one word and must match
//!                                the same later, a trailing `...` matches the rest
//! D: a NO ...                    what Dovecot says instead of the S line before, in one
//!                                or more lines, or with nothing after `D:` that it does not
//!                                say it; a comment tells why (`differences.rs` has what is
//!                                different everywhere)
//! 2C: / 2S:                      a second connection
//! PC: / PS:                      a POP3 connection beside IMAP, QC: / QS: another
//! S(                             the S lines until `S)` may come in any order
//! S[                             those until `S]` come in this order, Dovecot's in any
//! ```
//!
//! After an OK to `COMPRESS DEFLATE` the player compresses too, where the place does.
//!
//! A transcript with `config:` is not played against Dovecot: what it asks for is our own.
//!
//! Nothing extra is tolerated, but for the MAILBOXID that every SELECT tells, where a
//! transcript does not name it: at the end no connection may hold unread octets, those that
//! were ended (`* BYE`, QUIT) are closed, and all others are open.

mod compressed;
mod differences;
mod matching;
pub mod place;
mod play;

pub use matching::matches;
pub use play::{Cut, play};

use std::fs;
use std::path::{Path, PathBuf};

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Imap,
    Pop3,
}

/// Which server is played against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Pillarbox,
    Dovecot,
}

/// A line that is expected.
#[derive(Debug, Clone)]
pub struct Expected {
    ours: String,
    /// Instead of it, where that is different.
    dovecot: Option<Vec<String>>,
}

impl Expected {
    /// What this server is to say.
    fn of(&self, peer: Peer) -> &[String] {
        match (&self.dovecot, peer) {
            (Some(theirs), Peer::Dovecot) => theirs,
            _ => std::slice::from_ref(&self.ours),
        }
    }

    fn add_dovecots(&mut self, line: &str) {
        let theirs = self.dovecot.get_or_insert_default();
        theirs.extend(
            Some(line)
                .filter(|line| !line.is_empty())
                .map(str::to_owned),
        );
    }
}

/// What happens on a connection.
#[derive(Debug)]
pub enum What {
    Send(String),
    Expect(Expected),
    ExpectAll(Vec<Expected>, Order),
}

/// In which order lines of a block come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// In any.
    Any,
    /// As they stand; Dovecot's in any.
    Ours,
}

/// One step of a transcript.
#[derive(Debug)]
pub struct Step {
    /// The line in the file, from 1.
    line: usize,
    /// The connection: what stands before `C` or `S`.
    key: String,
    what: What,
}

/// A transcript as the file has it.
#[derive(Debug)]
pub struct Transcript {
    pub file: PathBuf,
    /// What connections without a letter speak.
    pub protocol: Protocol,
    pub messages: u32,
    pub aged: u32,
    pub login: bool,
    /// Devices of anna's.
    pub devices: Vec<String>,
    pub config: Vec<String>,
    /// Why it is not played over TLS.
    pub not_over_tls: Option<String>,
    /// Why it is not played against Dovecot.
    pub not_with_dovecot: Option<String>,
    steps: Vec<Step>,
}

impl Transcript {
    /// Reads a file.
    pub fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).expect("transcript");
        let (header, body) = text
            .split_once("\n\n")
            .expect("a transcript has header lines and an empty line");
        let is_pop3 = file.parent().is_some_and(|folder| folder.ends_with("pop3"));
        let mut transcript = Self {
            file: file.to_owned(),
            protocol: if is_pop3 {
                Protocol::Pop3
            } else {
                Protocol::Imap
            },
            messages: 0,
            aged: 0,
            login: true,
            devices: Vec::new(),
            config: Vec::new(),
            not_over_tls: None,
            not_with_dovecot: None,
            steps: Vec::new(),
        };
        for line in header.lines().filter(|line| !line.starts_with('#')) {
            transcript.header(line);
        }
        let before = header.lines().count() + 2;
        let mut lines = body
            .lines()
            .enumerate()
            .map(|(place, line)| (before + place, line));
        while let Some((number, line)) = lines.next() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let place = format!("{}:{number}", file.display());
            transcript.step(number, line, &mut lines, &place);
        }
        transcript
    }

    /// Whether a client sends a line that holds this.
    pub fn sends(&self, text: &str) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| matches!(&step.what, What::Send(line) if line.contains(text)))
    }

    fn header(&mut self, line: &str) {
        let place = self.file.display();
        let why_not = |value: &str| {
            let why = value.strip_prefix("no, ");
            Some(
                why.unwrap_or_else(|| panic!("{place}: {line:?} has no reason"))
                    .to_owned(),
            )
        };
        match line.split_once(": ") {
            Some(("mailbox", value)) => {
                self.messages = value
                    .split(' ')
                    .nth(1)
                    .and_then(|count| count.parse().ok())
                    .expect("mailbox: INBOX n messages");
            }
            Some(("devices", value)) => {
                self.devices = value.split(' ').map(str::to_owned).collect();
            }
            Some(("login", value)) => self.login = value == "yes",
            Some(("aged", value)) => self.aged = value.parse().expect("aged: n"),
            Some(("config", value)) => self.config.push(value.to_owned()),
            Some(("tls", value)) => self.not_over_tls = why_not(value),
            Some(("dovecot", value)) => self.not_with_dovecot = why_not(value),
            _ => panic!("{place}: header line {line:?}"),
        }
    }

    fn step<'a>(
        &mut self,
        line: usize,
        text: &str,
        rest: &mut impl Iterator<Item = (usize, &'a str)>,
        place: &str,
    ) {
        let (key, words) = match text.find(['C', 'S', 'D']) {
            Some(0) => ("", text),
            Some(1) => text.split_at(1),
            _ => panic!("{place}: {text:?}"),
        };
        let what = if let Some((order, end)) = match words {
            "S(" => Some((Order::Any, "S)")),
            "S[" => Some((Order::Ours, "S]")),
            _ => None,
        } {
            let end = format!("{key}{end}");
            let mut expected = Vec::new();
            loop {
                let Some((_, line)) = rest.next() else {
                    panic!("{place}: a block without {end}");
                };
                if line == end {
                    break;
                }
                if !line.starts_with('#') {
                    let pattern = line.strip_prefix(key).expect("the same connection");
                    add_expected(&mut expected, pattern, place);
                }
            }
            What::ExpectAll(expected, order)
        } else if let Some(text) = words.strip_prefix("C:") {
            What::Send(text.strip_prefix(' ').unwrap_or(text).to_owned())
        } else if words.starts_with("D:") {
            let last = self.steps.last_mut().filter(|step| step.key == key);
            let Some(What::Expect(expected)) = last.map(|step| &mut step.what) else {
                panic!("{place}: D: without an S: before it");
            };
            expected.add_dovecots(after_mark(words));
            return;
        } else {
            let mut expected = Vec::new();
            add_expected(&mut expected, words, place);
            What::Expect(expected.pop().expect("one"))
        };
        self.steps.push(Step {
            line,
            key: key.to_owned(),
            what,
        });
    }
}

/// Reads an `S:` or `D:` line of a block.
fn add_expected(expected: &mut Vec<Expected>, line: &str, place: &str) {
    match line.get(..2) {
        Some("S:") => expected.push(Expected {
            ours: after_mark(line).to_owned(),
            dovecot: None,
        }),
        Some("D:") => {
            let last = expected
                .last_mut()
                .unwrap_or_else(|| panic!("{place}: D: without S:"));
            last.add_dovecots(after_mark(line));
        }
        _ => panic!("{place}: {line:?}"),
    }
}

fn after_mark(line: &str) -> &str {
    let text = &line[2..];
    text.strip_prefix(' ').unwrap_or(text)
}

/// The transcripts in a folder of `tests/transcripts`.
pub fn all(folder: &str) -> Vec<Transcript> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/transcripts")
        .join(folder);
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("transcripts")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files.iter().map(|file| Transcript::read(file)).collect()
}
