//! Plays a transcript at a place.

use super::matching::{matches, substitute};
use super::{Peer, Protocol, Step, Transcript, What, differences};
use crate::player::place::{Conversation, Place};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::time::Duration;

/// How long a line is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long nothing may come at the end.
const SILENCE: Duration = Duration::from_millis(30);

/// In what pieces a client sends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cut {
    Whole,
    EveryOctet,
}

struct Connection {
    reader: BufReader<Box<dyn Conversation>>,
    cut: Cut,
}

impl Connection {
    fn open(place: &dyn Place, protocol: Protocol, cut: Cut) -> Self {
        let mut conversation = place.open(protocol);
        conversation.wait_for(PATIENCE);
        Self {
            reader: BufReader::new(conversation),
            cut,
        }
    }

    fn send(&mut self, text: &str) {
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

    fn expect_silence(&mut self) {
        assert!(
            self.reader.buffer().is_empty(),
            "unread: {:?}",
            String::from_utf8_lossy(self.reader.buffer())
        );
        self.reader.get_mut().wait_for(SILENCE);
        let mut rest = [0; 256];
        if let Ok(count) = self.reader.read(&mut rest) {
            assert_eq!(
                count,
                0,
                "unread: {:?}",
                String::from_utf8_lossy(&rest[..count])
            );
        }
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
        let connection = connections.entry(&step.key).or_insert_with(|| {
            let mut connection = Connection::open(place, protocol, cut);
            if transcript.login {
                connection.log_in(protocol);
            }
            connection
        });
        take(step, connection, place, &mut names, &where_);
    }
    for connection in connections.values_mut() {
        connection.expect_silence();
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
        What::ExpectAll(expected) => {
            let mut wanted: Vec<&String> = expected.iter().flat_map(|one| one.of(peer)).collect();
            while !wanted.is_empty() {
                let shown = format!("{wanted:?}");
                let got = next_line(connection, peer, &shown);
                let found = wanted
                    .iter()
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
        if peer == Peer::Pillarbox || !differences::is_beside(wanted, &line) {
            return line;
        }
    }
}
