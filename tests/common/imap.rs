//! A small IMAP client for tests, over a socket without TLS.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A logged-in session of anna's.
pub struct Imap {
    reader: BufReader<TcpStream>,
}

impl Imap {
    /// Connects and logs in.
    pub fn login(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
        stream.set_nodelay(true).expect("nodelay");
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .expect("timeout");
        let mut session = Self {
            reader: BufReader::new(stream),
        };
        session.line().expect("greeting");
        let answer = session.command("LOGIN anna secret").expect("login");
        assert!(
            answer.last().is_some_and(|line| line.starts_with("a OK")),
            "{answer:?}"
        );
        session
    }

    /// The next line; `None` where the connection ended.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(count) if count > 0 && line.ends_with("\r\n") => Some(line.trim_end().to_owned()),
            _ => None,
        }
    }

    /// Sends a command and gives all lines to its tagged one.
    pub fn command(&mut self, text: &str) -> Option<Vec<String>> {
        self.reader
            .get_mut()
            .write_all(format!("a {text}\r\n").as_bytes())
            .ok()?;
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            let last = line.starts_with("a ");
            lines.push(line);
            if last {
                return Some(lines);
            }
        }
    }

    /// The same, which must end with OK.
    pub fn ok(&mut self, text: &str) -> Vec<String> {
        let lines = self
            .command(text)
            .unwrap_or_else(|| panic!("the server closed at {text}"));
        assert!(
            lines.last().is_some_and(|line| line.starts_with("a OK")),
            "{text}: {lines:?}"
        );
        lines
    }

    /// Appends to INBOX; gives UIDVALIDITY and UID.
    pub fn append(&mut self, text: &str) -> Option<(u32, u32)> {
        let lines = self.command(&format!("APPEND INBOX {{{}+}}\r\n{text}", text.len()))?;
        let code = lines
            .last()?
            .split("APPENDUID ")
            .nth(1)?
            .split(']')
            .next()?
            .to_owned();
        let (validity, uid) = code.split_once(' ')?;
        Some((validity.parse().ok()?, uid.parse().ok()?))
    }

    /// A message as it is sent.
    pub fn body(&mut self, uid: u32) -> String {
        let command = format!("a UID FETCH {uid} BODY.PEEK[]\r\n");
        self.reader
            .get_mut()
            .write_all(command.as_bytes())
            .expect("send");
        let mut head = self.line().expect("fetch");
        while !head.ends_with('}') {
            assert!(!head.starts_with("a "), "UID {uid} is gone: {head}");
            head = self.line().expect("fetch");
        }
        let octets = head
            .rsplit_once('{')
            .and_then(|(_, rest)| rest.trim_end_matches('}').parse().ok());
        let mut body = vec![0; octets.expect("a literal")];
        self.reader.read_exact(&mut body).expect("body");
        while !self.line().expect("end of fetch").starts_with("a ") {}
        String::from_utf8(body).expect("text")
    }
}
