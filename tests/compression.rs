//! COMPRESS and UNAUTHENTICATE over real sockets (RFC 4978, RFC 8437), with and without
//! TLS: long answers, news while nothing is sent, commands by the thousand, bombs, and
//! what is not compressed any more.

mod common;

use common::{Server, tls};
use pillarbox::compression::{Compressor, Decompressor, Piece};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

/// A client that compresses when told to.
struct Client {
    wire: Box<dyn Wire>,
    compressor: Option<Compressor>,
    decompressor: Option<Decompressor>,
    /// What was said and not read.
    said: Vec<u8>,
    /// Octets on the wire.
    received: usize,
}

impl Client {
    fn open(server: &Server, over_tls: bool) -> Self {
        let port = if over_tls { server.imaps } else { server.imap };
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
        stream.set_nodelay(true).expect("nodelay");
        let patience = Some(Duration::from_secs(30));
        stream.set_read_timeout(patience).expect("timeout");
        let wire: Box<dyn Wire> = match over_tls {
            true => Box::new(tls::begin(stream, &server.directory().join("cert.pem"))),
            false => Box::new(stream),
        };
        let mut client = Self {
            wire,
            compressor: None,
            decompressor: None,
            said: Vec::new(),
            received: 0,
        };
        client.until("* OK");
        client
    }

    fn logged_in(server: &Server, over_tls: bool) -> Self {
        let mut client = Self::open(server, over_tls);
        client.say("l LOGIN anna secret");
        client.until("l OK");
        client
    }

    /// Compresses from now on.
    fn compress(&mut self) {
        self.say("z COMPRESS DEFLATE");
        let told = self.until("z ");
        assert!(told.contains("z OK"), "{told}");
        self.compressor = Some(Compressor::default());
        self.decompressor = Some(Decompressor::default());
    }

    fn say(&mut self, text: &str) {
        self.send(format!("{text}\r\n").as_bytes());
    }

    fn send(&mut self, octets: &[u8]) {
        let octets = match &mut self.compressor {
            None => octets.to_vec(),
            Some(compressor) => {
                let mut compressed = compressor.compress(octets).expect("compressed");
                compressed.extend(compressor.flush().expect("flushed"));
                compressed
            }
        };
        self.wire.write_all(&octets).expect("sent");
        self.wire.flush().expect("flushed");
    }

    /// Reads what is there; whether the connection ended.
    fn read(&mut self) -> bool {
        if self.inflate() {
            return false;
        }
        let mut octets = [0; 16 << 10];
        let count = match self.wire.read(&mut octets) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => 0,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            read => read.expect("answered in time"),
        };
        self.received += count;
        match &mut self.decompressor {
            None => self.said.extend_from_slice(&octets[..count]),
            Some(decompressor) => decompressor.push(&octets[..count]),
        }
        count == 0
    }

    /// Takes the next piece of what was read; whether there was one.
    fn inflate(&mut self) -> bool {
        let Some(decompressor) = &mut self.decompressor else {
            return false;
        };
        match decompressor.next_piece().expect("DEFLATE") {
            Piece::Octets(octets) => self.said.extend(octets),
            Piece::Plain(octets) => {
                self.said.extend(octets);
                self.decompressor = None;
            }
            Piece::Nothing => return false,
        }
        true
    }

    /// All up to the end of the line that begins so.
    fn until(&mut self, start: &str) -> String {
        loop {
            let mut from = 0;
            while let Some(end) = self.said[from..].windows(2).position(|two| two == b"\r\n") {
                let end = from + end + 2;
                if self.said[from..end].starts_with(start.as_bytes()) {
                    let rest = self.said.split_off(end);
                    let told = std::mem::replace(&mut self.said, rest);
                    return String::from_utf8(told).expect("text");
                }
                from = end;
            }
            let is_over = self.read();
            let said = String::from_utf8_lossy(&self.said);
            assert!(!is_over, "closed before {start:?}: {said}");
        }
    }

    /// Ends compression as UNAUTHENTICATE has it: the last octets are those of its line.
    fn unauthenticate(&mut self, behind: &str) {
        let compressor = self.compressor.take().expect("compressing");
        let mut octets = compressor_end(compressor, b"u UNAUTHENTICATE\r\n");
        octets.extend_from_slice(behind.as_bytes());
        self.wire.write_all(&octets).expect("sent");
        self.wire.flush().expect("flushed");
        let told = self.until("u ");
        assert!(told.ends_with("Logged in no more\r\n"), "{told}");
        if let Some(decompressor) = &mut self.decompressor {
            decompressor.end();
        }
    }
}

fn compressor_end(mut compressor: Compressor, octets: &[u8]) -> Vec<u8> {
    let mut compressed = compressor.compress(octets).expect("compressed");
    compressed.extend(compressor.finish().expect("finished"));
    compressed
}

fn everywhere(test: impl Fn(&Server, bool)) {
    for over_tls in [false, true] {
        let server = Server::start(3);
        test(&server, over_tls);
    }
}

#[test]
fn long_answers_come_whole_and_smaller() {
    everywhere(|server, over_tls| {
        let mut text = String::from("Subject: long\r\n\r\n");
        for line in 0..30_000 {
            text.push_str(&format!("Line {line} of a text that is not short.\r\n"));
        }
        let mut client = Client::logged_in(server, over_tls);
        client.compress();
        client.say(&format!("a APPEND INBOX {{{}}}", text.len()));
        client.until("+ ");
        client.send(text.as_bytes());
        client.say("");
        client.until("a OK");
        client.say("b SELECT INBOX");
        client.until("b OK");
        let before = client.received;
        client.say("c FETCH 4 BODY.PEEK[]");
        let told = client.until("c OK");
        assert!(told.contains(&text), "{} octets", told.len());
        let wire = client.received - before;
        assert!(wire < text.len() / 3, "{wire} of {}", text.len());
    });
}

#[test]
fn news_come_while_nothing_is_sent() {
    everywhere(|server, over_tls| {
        let mut idle = Client::logged_in(server, over_tls);
        idle.compress();
        idle.say("a SELECT INBOX");
        idle.until("a OK");
        idle.say("b IDLE");
        idle.until("+ ");
        // Longer than it takes a connection to give its memory back.
        std::thread::sleep(Duration::from_secs(6));
        for number in 4..=5 {
            let mut other = Client::logged_in(server, over_tls);
            other.say("a APPEND INBOX {9+}\r\nA: b\r\n\r\nc");
            other.until("a OK");
            let began = Instant::now();
            idle.until(&format!("* {number} EXISTS"));
            assert!(began.elapsed() < Duration::from_secs(5));
        }
        idle.say("DONE");
        idle.until("b OK");
        idle.say("c FETCH 1:5 FLAGS");
        assert_eq!(idle.until("c OK").lines().count(), 6);
    });
}

#[test]
fn a_thousand_commands_are_answered_in_order() {
    everywhere(|server, over_tls| {
        for compressed in [false, true] {
            let mut client = Client::logged_in(server, over_tls);
            if compressed {
                client.compress();
            }
            client.say("s SELECT INBOX");
            client.until("s OK");
            let mut commands = String::new();
            for number in 0..1_000 {
                let command = match number % 4 {
                    0 => "NOOP".to_owned(),
                    1 => format!("FETCH {} (UID FLAGS)", number % 3 + 1),
                    2 => format!("UID SEARCH UID {}", number % 3 + 1),
                    _ => "STATUS INBOX (MESSAGES)".to_owned(),
                };
                commands.push_str(&format!("n{number} {command}\r\n"));
            }
            client.send(commands.as_bytes());
            let told = client.until("n999 ");
            let tagged = told.lines().filter(|line| line.starts_with('n'));
            for (number, line) in tagged.enumerate() {
                assert!(line.starts_with(&format!("n{number} OK")), "{line}");
            }
            assert_eq!(told.lines().count(), 1_000 + 750);
        }
    });
}

#[test]
fn a_bomb_is_taken_in_pieces_and_others_are_served() {
    let server = Server::start(1);
    let mut client = Client::logged_in(&server, false);
    client.compress();
    // A refused literal of 256 MB of one octet, 260 KB on the wire.
    let octets = 256 << 20;
    client.say(&format!("a SELECT {{{octets}+}}"));
    let zeros = vec![b'x'; 1 << 20];
    for _ in 0..octets >> 20 {
        client.send(&zeros);
    }
    let mut other = Client::logged_in(&server, false);
    let began = Instant::now();
    other.say("a SELECT INBOX");
    other.until("a OK");
    assert!(began.elapsed() < Duration::from_secs(5));
    client.say("");
    client.until("a BAD [TOOBIG]");
    assert!(server.memory_octets() < 100 << 20);
    client.say("b NOOP");
    client.until("b OK");
}

#[test]
fn what_is_no_deflate_ends_the_connection() {
    let server = Server::start(1);
    let mut client = Client::logged_in(&server, false);
    client.compress();
    client.compressor = None;
    client.say("a NOOP");
    while !client.read() {}
    assert_eq!(client.said, b"");
}

#[test]
fn nothing_may_follow_compress_unanswered() {
    let server = Server::start(1);
    let mut client = Client::logged_in(&server, false);
    client.send(b"a COMPRESS DEFLATE\r\nb NOOP\r\n");
    let told = client.until("b OK");
    assert!(told.starts_with("a BAD "), "{told}");
    client.compress();
    client.say("c NOOP");
    client.until("c OK");
}

#[test]
fn nobody_is_logged_in_and_nothing_compressed_after_unauthenticate() {
    let one_session = "limits: { connections_per_user: 1, failed_login_delay_seconds: 0 }";
    for over_tls in [false, true] {
        let server = Server::start_with(3, 0, &[one_session]);
        let mut client = Client::logged_in(&server, over_tls);
        client.compress();
        client.say("a SELECT INBOX");
        client.until("a OK");
        // Another session finds the user's only place taken, and then free.
        let mut other = Client::open(&server, over_tls);
        other.say("a LOGIN anna secret");
        let told = other.until("a ");
        assert!(told.starts_with("a NO [LIMIT]"), "{told}");
        client.unauthenticate("");
        other.say("b LOGIN anna secret");
        other.until("b OK");
        client.say("b LOGIN anna secret");
        let told = client.until("b ");
        assert!(told.starts_with("b NO [LIMIT]"), "{told}");
        other.say("c LOGOUT");
        other.until("c OK");
        while !other.read() {}
        // The way back in comes with the way out, not compressed.
        client.say("c LOGIN anna secret");
        client.until("c OK");
        client.compress();
        client.unauthenticate("d LOGIN anna secret\r\ne SELECT INBOX\r\n");
        client.until("d OK");
        client.until("e OK");
        client.compress();
        client.say("f NOOP");
        client.until("f OK");
    }
}

#[test]
fn what_is_told_while_a_command_waits_is_compressed_too() {
    for over_tls in [false, true] {
        let server = Server::start_with(3, 0, &["clients: { progress_seconds: 1 }"]);
        let mut client = Client::logged_in(&server, over_tls);
        client.compress();
        let maildir = server.directory().join("mail/anna/Maildir");
        let lock = maildir.join("dovecot-uidlist.lock");
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
        let owner = format!("{}:{}", std::process::id(), host.trim());
        std::fs::write(&lock, owner).expect("locked");
        client.say("a SELECT INBOX");
        for _ in 0..2 {
            let told = client.until("* ");
            assert_eq!(told, "* OK [INPROGRESS (\"a\" NIL NIL)] Still at work\r\n");
        }
        std::fs::remove_file(&lock).expect("unlocked");
        let told = client.until("a OK");
        assert!(told.contains("* 3 EXISTS\r\n"), "{told}");
        client.say("b FETCH 1 UID");
        assert!(client.until("b OK").starts_with("* 1 FETCH (UID 1)\r\n"));
    }
}
