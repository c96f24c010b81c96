//! Plays every file in `tests/transcripts/` against the built server over TCP,
//! first line by line, then again with every octet in a write of its own.
//!
//! A transcript begins with header lines, ends them with an empty line, and
//! goes on with what is sent and expected:
//!
//! ```text
//! mailbox: INBOX 3 messages      three known messages wait in new/
//! login: yes                     log in first (IMAP in `imap` and `both`, POP3 in `pop3`)
//! aged: 1                        the first of them came in the year 2000
//! config: pop3: { delete: trash } a line of the configuration
//!
//! C: a NOOP                      sent, CRLF added
//! S: a OK $rest...               expected; $name matches one word and must match
//!                                the same later, a trailing `...` matches the rest
//! 2C: / 2S:                      a second connection
//! PC: / PS:                      a POP3 connection beside IMAP, QC: / QS: another
//! S(                             the S lines until `S)` may come in any order
//! ```
//!
//! Nothing extra is tolerated: at the end no connection may hold unread octets.

mod common;

use common::Server;
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Clone, Copy, PartialEq)]
enum Cut {
    Whole,
    EveryOctet,
}

struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
        stream.set_nodelay(true).expect("nodelay");
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("timeout");
        Self {
            reader: BufReader::new(stream),
        }
    }

    fn send(&mut self, text: &str, cut: Cut) {
        let line = format!("{text}\r\n");
        let stream = self.reader.get_mut();
        match cut {
            Cut::Whole => stream.write_all(line.as_bytes()).expect("send"),
            Cut::EveryOctet => {
                for octet in line.as_bytes() {
                    stream.write_all(std::slice::from_ref(octet)).expect("send");
                }
            }
        }
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

    fn expect_silence(&mut self) {
        assert!(
            self.reader.buffer().is_empty(),
            "unread: {:?}",
            String::from_utf8_lossy(self.reader.buffer())
        );
        self.reader
            .get_mut()
            .set_read_timeout(Some(Duration::from_millis(30)))
            .expect("timeout");
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

/// Matches a line against a pattern, binding `$name`s.
fn matches(pattern: &str, line: &str, names: &mut HashMap<String, String>) -> bool {
    let (mut pattern, mut line) = (pattern, line);
    let mut bound = names.clone();
    while let Some(position) = pattern.find(['$', '.']) {
        if pattern[position..] == *"..." {
            if !line.starts_with(&pattern[..position]) {
                return false;
            }
            *names = bound;
            return true;
        }
        let Some(rest) = line.strip_prefix(&pattern[..position]) else {
            return false;
        };
        line = rest;
        pattern = &pattern[position..];
        let length = pattern[1..]
            .find(|c: char| !c.is_ascii_lowercase())
            .map_or(pattern.len(), |end| end + 1);
        if !pattern.starts_with('$') || length == 1 {
            let Some(rest) = line.strip_prefix(&pattern[..1]) else {
                return false;
            };
            line = rest;
            pattern = &pattern[1..];
            continue;
        }
        let name = pattern[1..length].to_owned();
        pattern = &pattern[length..];
        let end = line.find([' ', ']', ')', '(']).unwrap_or(line.len());
        let value = line[..end].to_owned();
        if value.is_empty() || bound.get(&name).is_some_and(|known| *known != value) {
            return false;
        }
        line = &line[end..];
        bound.insert(name, value);
    }
    if pattern != line {
        return false;
    }
    *names = bound;
    true
}

fn substitute(text: &str, names: &HashMap<String, String>) -> String {
    let mut text = text.to_owned();
    let mut known: Vec<_> = names.iter().collect();
    known.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    for (name, value) in known {
        text = text.replace(&format!("${name}"), value);
    }
    text
}

fn play(file: &Path, cut: Cut) {
    let text = fs::read_to_string(file).expect("transcript");
    let pop3 = file.parent().is_some_and(|folder| folder.ends_with("pop3"));
    let (header, body) = text
        .split_once("\n\n")
        .expect("a transcript has header lines and an empty line");
    let mut messages = 0;
    let mut login = true;
    let mut aged = 0;
    let mut config = Vec::new();
    for line in header.lines().filter(|line| !line.starts_with('#')) {
        match line.split_once(": ") {
            Some(("mailbox", value)) => {
                messages = value
                    .split(' ')
                    .nth(1)
                    .and_then(|count| count.parse().ok())
                    .expect("mailbox: INBOX n messages");
            }
            Some(("login", value)) => login = value == "yes",
            Some(("aged", value)) => aged = value.parse().expect("aged: n"),
            Some(("config", value)) => config.push(value),
            _ => panic!("{}: header line {line:?}", file.display()),
        }
    }
    let server = Server::start_with(messages, aged, &config);
    let mut connections: HashMap<&str, Connection> = HashMap::new();
    let mut names = HashMap::new();
    let mut open_block: Option<(&str, Vec<String>)> = None;
    for (number, line) in body.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let place = format!("{} line {} after the header", file.display(), number + 1);
        if let Some((key, wanted)) = &mut open_block {
            if line.ends_with("S)") {
                let connection = connections.get_mut(key).expect("connection");
                while !wanted.is_empty() {
                    let got = connection.line(&wanted.join(" | "));
                    let found = wanted
                        .iter()
                        .position(|pattern| matches(pattern, &got, &mut names));
                    wanted.remove(
                        found.unwrap_or_else(|| panic!("{place}: none of {wanted:?} is {got:?}")),
                    );
                }
                open_block = None;
            } else {
                wanted.push(
                    line.split_once("S: ")
                        .expect("an S line in a block")
                        .1
                        .to_owned(),
                );
            }
            continue;
        }
        let (key, rest) = match line.find(['C', 'S']) {
            Some(0) => ("", line),
            Some(1) => (&line[..1], &line[1..]),
            _ => panic!("{place}: {line:?}"),
        };
        let pop3 = pop3 || key.starts_with(|key: char| key.is_ascii_uppercase());
        let connection = connections.entry(key).or_insert_with(|| {
            let mut connection = Connection::open(if pop3 { server.pop3 } else { server.imap });
            if login {
                connection.line("greeting");
                if pop3 {
                    connection.send("USER anna", Cut::Whole);
                    connection.line("+OK");
                    connection.send("PASS secret", Cut::Whole);
                    assert!(
                        connection.line("+OK").starts_with("+OK"),
                        "{place}: POP3 login"
                    );
                } else {
                    connection.send("login LOGIN anna secret", Cut::Whole);
                    assert!(
                        connection.line("login OK").starts_with("login OK"),
                        "{place}: IMAP login"
                    );
                }
            }
            connection
        });
        if rest == "S(" {
            open_block = Some((key, Vec::new()));
        } else if let Some(text) = rest.strip_prefix("C:") {
            connection.send(
                &substitute(text.strip_prefix(' ').unwrap_or(text), &names),
                cut,
            );
        } else if let Some(pattern) = rest.strip_prefix("S:") {
            let pattern = pattern.strip_prefix(' ').unwrap_or(pattern);
            let got = connection.line(pattern);
            assert!(
                matches(pattern, &got, &mut names),
                "{place}: wanted {pattern:?}, got {got:?}, known {names:?}"
            );
        } else {
            panic!("{place}: {line:?}");
        }
    }
    for connection in connections.values_mut() {
        connection.expect_silence();
    }
}

fn files(folder: &str) -> Vec<PathBuf> {
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
    files
}

fn play_all(folder: &str, cut: Cut) {
    let mut failed = Vec::new();
    for file in files(folder) {
        if std::panic::catch_unwind(|| play(&file, cut)).is_err() {
            failed.push(file);
        }
    }
    assert!(failed.is_empty(), "failed: {failed:?}");
}

#[test]
fn imap() {
    play_all("imap", Cut::Whole);
}

#[test]
fn imap_cut_at_every_octet() {
    play_all("imap", Cut::EveryOctet);
}

#[test]
fn pop3() {
    play_all("pop3", Cut::Whole);
}

#[test]
fn pop3_cut_at_every_octet() {
    play_all("pop3", Cut::EveryOctet);
}

#[test]
fn both() {
    play_all("both", Cut::Whole);
}

#[test]
fn both_cut_at_every_octet() {
    play_all("both", Cut::EveryOctet);
}

#[test]
fn the_matcher_can_fail() {
    let mut names = HashMap::new();
    assert!(matches(
        "* OK [UIDVALIDITY $v] ...",
        "* OK [UIDVALIDITY 7] x",
        &mut names
    ));
    assert!(!matches("x $v", "x 8", &mut names));
    assert!(matches("x $v", "x 7", &mut names));
    assert!(!matches("a", "ab", &mut names));
    assert!(!matches("a.b", "acb", &mut names));
}
