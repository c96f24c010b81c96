//! Plays a transcript at a place.

use super::compressed::Compressed;
use super::matching::{matches, substitute};
use super::{Order, Peer, Protocol, Step, Transcript, What, differences};
use crate::player::place::{Conversation, Place};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

/// How long a line is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long nothing may come at the end.
const SILENCE: Duration = Duration::from_millis(30);

/// For how long after a command Dovecot does not look at the selected mailbox, where NOTIFY
/// has it tell what happens there. It looks once that time is over, or at the next change.
const UNWATCHED: Duration = Duration::from_millis(1_200);

/// In what pieces a client sends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cut {
    Whole,
    EveryOctet,
}

/// Stands in while a conversation is wrapped.
struct Nobody;

impl Read for Nobody {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Ok(0)
    }
}

impl Write for Nobody {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(ErrorKind::NotConnected.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Conversation for Nobody {
    fn wait_for(&mut self, _: Duration) {}
}

struct Connection {
    reader: BufReader<Box<dyn Conversation>>,
    cut: Cut,
    protocol: Protocol,
    /// QUIT was sent, or BYE was said.
    is_over: bool,
    /// Whether COMPRESS compresses here.
    compresses: bool,
    /// The tag of a COMPRESS that was not answered.
    compressing: Option<String>,
    /// Since when nothing was sent or said, after NOTIFY SET.
    watching: Option<Instant>,
}

impl Connection {
    fn open(place: &dyn Place, protocol: Protocol, cut: Cut) -> Self {
        let mut conversation = place.open(protocol);
        conversation.wait_for(PATIENCE);
        Self {
            reader: BufReader::new(conversation),
            cut,
            protocol,
            is_over: false,
            compresses: place.compresses(),
            compressing: None,
            watching: None,
        }
    }

    fn send(&mut self, text: &str) {
        self.is_over |= self.protocol == Protocol::Pop3 && text.eq_ignore_ascii_case("QUIT");
        if let Some((tag, "COMPRESS DEFLATE")) = text.split_once(' ') {
            self.compressing = Some(format!("{tag} OK"));
        }
        if self.watching.is_some() || text.contains(" NOTIFY SET ") {
            self.watching = Some(Instant::now());
        }
        let line = format!("{text}\r\n");
        let stream = self.reader.get_mut();
        match self.cut {
            Cut::Whole => stream.write_all(line.as_bytes()).expect("send"),
            Cut::EveryOctet => {
                for octet in line.as_bytes() {
                    stream.write_all(std::slice::from_ref(octet)).expect("send");
                    stream.flush().expect("flush");
                }
            }
        }
        stream.flush().expect("flush");
    }

    fn line(&mut self, wanted: &str) -> String {
        let mut line = Vec::new();
        if let Err(error) = self.reader.read_until(b'\n', &mut line) {
            panic!(
                "waiting for `{wanted}`: {error}; so far {:?}",
                String::from_utf8_lossy(&line)
            );
        }
        assert!(
            line.ends_with(b"\r\n"),
            "waiting for `{wanted}`: got {:?}",
            String::from_utf8_lossy(&line)
        );
        line.truncate(line.len() - 2);
        self.watching = self.watching.map(|_| Instant::now());
        self.is_over |= self.protocol == Protocol::Imap && line.starts_with(b"* BYE");
        let answer = self.compressing.as_ref();
        if answer.is_some_and(|answer| line.starts_with(answer.as_bytes())) {
            self.compressing = None;
            if self.compresses {
                let nobody: Box<dyn Conversation> = Box::new(Nobody);
                let plain = std::mem::replace(&mut self.reader, BufReader::new(nobody));
                assert!(
                    plain.buffer().is_empty(),
                    "said behind the answer to COMPRESS"
                );
                let compressed: Box<dyn Conversation> =
                    Box::new(Compressed::new(plain.into_inner()));
                self.reader = BufReader::new(compressed);
            }
        }
        String::from_utf8_lossy(&line).into_owned()
    }

    fn log_in(&mut self, protocol: Protocol) {
        self.line("greeting");
        let (commands, answer): (&[&str], _) = match protocol {
            Protocol::Imap => (&["login LOGIN anna secret"], "login OK"),
            Protocol::Pop3 => (&["USER anna", "PASS secret"], "+OK"),
        };
        for command in commands {
            self.send(command);
            let line = self.line(answer);
            // Dovecot tells what changed in capabilities in a line of its own.
            let line = if line.starts_with("* CAPABILITY ") {
                self.line(answer)
            } else {
                line
            };
            assert!(line.starts_with(answer), "{command} was answered {line:?}");
        }
    }

    /// Nothing more may come. A session that was ended is closed, and no other.
    fn expect_end(&mut self, where_: &str) {
        let patience = if self.is_over { PATIENCE } else { SILENCE };
        self.reader.get_mut().wait_for(patience);
        let rest = match self.reader.fill_buf() {
            Ok(rest) => rest.to_vec(),
            // TLS that ends without its closing alert.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Vec::new(),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                assert!(!self.is_over, "{where_}: not closed at its end");
                return;
            }
            Err(error) => panic!("{where_}: {error}"),
        };
        let shown = String::from_utf8_lossy(&rest);
        assert!(rest.is_empty(), "{where_}: unread: {shown:?}");
        assert!(self.is_over, "{where_}: closed");
    }
}

/// Plays a transcript; panics where it is not as it says.
pub fn play(transcript: &Transcript, place: &dyn Place, cut: Cut) {
    let mut connections: HashMap<&str, Connection> = HashMap::new();
    let mut names = HashMap::new();
    for step in &transcript.steps {
        let where_ = format!("{}:{}", transcript.file.display(), step.line);
        let protocol = match step.key.starts_with(|key: char| key.is_ascii_uppercase()) {
            true => Protocol::Pop3,
            false => transcript.protocol,
        };
        if place.peer() == Peer::Dovecot && matches!(step.what, What::Send(_)) {
            let (own, others) = (&*step.key, connections.iter());
            let others = others.filter(|(key, _)| **key != own);
            let watching = others.filter_map(|(_, other)| other.watching).max();
            std::thread::sleep(watching.map_or(Duration::ZERO, |since| {
                UNWATCHED.saturating_sub(since.elapsed())
            }));
        }
        let connection = connections.entry(&step.key).or_insert_with(|| {
            let mut connection = Connection::open(place, protocol, cut);
            if transcript.login {
                connection.log_in(protocol);
            }
            connection
        });
        take(step, connection, place, &mut names, &where_);
    }
    for (key, connection) in &mut connections {
        connection.expect_end(&format!("{} {key}", transcript.file.display()));
    }
}

fn take(
    step: &Step,
    connection: &mut Connection,
    place: &dyn Place,
    names: &mut HashMap<String, String>,
    where_: &str,
) {
    let peer = place.peer();
    let is_said = |pattern: &str, got: &str, names: &mut HashMap<String, String>| match peer {
        Peer::Pillarbox => matches(pattern, got, names),
        Peer::Dovecot => differences::matches(pattern, got, names),
    };
    match &step.what {
        What::Send(text) => connection.send(&substitute(text, names)),
        What::Expect(expected) => {
            for pattern in expected.of(peer) {
                let got = next_line(connection, peer, pattern);
                assert!(
                    is_said(pattern, &got, names),
                    "{where_}: wanted {pattern:?}, got {got:?}, known {names:?}"
                );
            }
        }
        What::ExpectAll(expected, order) => {
            let mut wanted: Vec<&String> = expected.iter().flat_map(|one| one.of(peer)).collect();
            while !wanted.is_empty() {
                let shown = format!("{wanted:?}");
                let got = next_line(connection, peer, &shown);
                let may_come = match (order, peer) {
                    (Order::Ours, Peer::Pillarbox) => 1,
                    _ => wanted.len(),
                };
                let found = wanted
                    .iter()
                    .take(may_come)
                    .position(|pattern| is_said(pattern, &got, names));
                wanted.remove(
                    found.unwrap_or_else(|| panic!("{where_}: none of {wanted:?} is {got:?}")),
                );
            }
        }
    }
}

fn next_line(connection: &mut Connection, peer: Peer, wanted: &str) -> String {
    loop {
        let line = connection.line(wanted);
        let is_beside = match peer {
            Peer::Pillarbox => {
                line.starts_with("* OK [MAILBOXID ") && !wanted.contains("[MAILBOXID ")
            }
            Peer::Dovecot => differences::is_beside(wanted, &line),
        };
        if !is_beside {
            return line;
        }
    }
}
