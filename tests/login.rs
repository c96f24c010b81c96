//! Logging in over real sockets: SCRAM-SHA-256 in both protocols, STARTTLS and STLS
//! with commands slipped in before the handshake, lines that are too long.

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::Server;
use common::tls::{self, Tls};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A conversation by lines, over TCP or TLS.
struct Talk<S> {
    stream: S,
}

impl Talk<TcpStream> {
    fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("timeout");
        Self { stream }
    }

    /// Does the handshake, trusting the server's own certificate only.
    fn begin_tls(self, server: &Server) -> Talk<Tls> {
        let certificate = server.directory().join("cert.pem");
        Talk {
            stream: tls::begin(self.stream, &certificate),
        }
    }
}

impl<S: Read + Write> Talk<S> {
    fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).expect("sent");
        self.stream.flush().expect("flushed");
    }

    /// Reads octet by octet, so that nothing of a handshake is read ahead.
    fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut octet = [0];
            self.stream.read_exact(&mut octet).expect("a line");
            line.push(octet[0]);
        }
        line.truncate(line.len() - 2);
        String::from_utf8(line).expect("text")
    }

    /// Reads a line that begins so.
    fn expect(&mut self, start: &str) -> String {
        let line = self.line();
        assert!(line.starts_with(start), "wanted {start:?} and got {line:?}");
        line
    }
}

fn mac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

fn xor(left: [u8; 32], right: [u8; 32]) -> [u8; 32] {
    std::array::from_fn(|place| left[place] ^ right[place])
}

/// `Hi` of RFC 5802 section 2.2.
fn salted(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
    let mut round = mac(password, &[salt, &[0, 0, 0, 1]].concat());
    let mut sum = round;
    for _ in 1..iterations {
        round = mac(password, &round);
        sum = xor(sum, round);
    }
    sum
}

/// A client's side of SCRAM-SHA-256 (RFC 5802 section 3).
struct Scram {
    first_bare: String,
    /// What the server is to prove.
    signature: [u8; 32],
}

impl Scram {
    fn new(user: &str) -> Self {
        Self {
            first_bare: format!("n={user},r=fyko+d2lbbFgONRv9qkxdawL"),
            signature: [0; 32],
        }
    }

    fn first(&self) -> String {
        BASE64.encode(format!("n,,{}", self.first_bare))
    }

    /// The answer to the server's challenge (after `+ `).
    fn last(&mut self, challenge: &str, password: &str) -> String {
        let challenge = BASE64.decode(challenge.strip_prefix("+ ").expect("a challenge"));
        let challenge = String::from_utf8(challenge.expect("base64")).expect("text");
        let attribute = |name: &str| {
            let mut parts = challenge.split(',');
            let found = parts.find_map(|part| part.strip_prefix(name));
            found.expect("the attribute").to_owned()
        };
        let salt = BASE64.decode(attribute("s=")).expect("a salt");
        let iterations = attribute("i=").parse().expect("a number");
        let salted = salted(password.as_bytes(), &salt, iterations);
        let client_key = mac(&salted, b"Client Key");
        let stored_key: [u8; 32] = Sha256::digest(client_key).into();
        let without_proof = format!("c=biws,r={}", attribute("r="));
        let message = format!("{},{challenge},{without_proof}", self.first_bare);
        let proof = xor(client_key, mac(&stored_key, message.as_bytes()));
        self.signature = mac(&mac(&salted, b"Server Key"), message.as_bytes());
        BASE64.encode(format!("{without_proof},p={}", BASE64.encode(proof)))
    }

    /// Checks the server's own proof (after `+ `).
    fn verify(&self, line: &str) {
        let expected = format!("v={}", BASE64.encode(self.signature));
        assert_eq!(line, format!("+ {}", BASE64.encode(expected)));
    }
}

#[test]
fn scram_logs_in_to_imap() {
    let server = Server::start(1);
    let mut talk = Talk::open(server.imap);
    talk.expect("* OK ");
    // With an initial response (RFC 4959) and without; a wrong password, an unknown user.
    let mut scram = Scram::new("anna");
    talk.send(&format!(
        "a AUTHENTICATE SCRAM-SHA-256 {}\r\n",
        scram.first()
    ));
    let last = scram.last(&talk.expect("+ "), "wrong");
    talk.send(&format!("{last}\r\n"));
    talk.expect("a NO [AUTHENTICATIONFAILED] ");
    let mut scram = Scram::new("nobody");
    talk.send(&format!(
        "b AUTHENTICATE SCRAM-SHA-256 {}\r\n",
        scram.first()
    ));
    let last = scram.last(&talk.expect("+ "), "secret");
    talk.send(&format!("{last}\r\n"));
    talk.expect("b NO [AUTHENTICATIONFAILED] ");
    let mut scram = Scram::new("anna");
    talk.send("c AUTHENTICATE SCRAM-SHA-256\r\n");
    assert_eq!(talk.line(), "+ ");
    talk.send(&format!("{}\r\n", scram.first()));
    let last = scram.last(&talk.expect("+ "), "secret");
    talk.send(&format!("{last}\r\n"));
    scram.verify(&talk.expect("+ "));
    // Cancelled after the proof: nobody is logged in.
    talk.send("*\r\n");
    talk.expect("c BAD ");
    talk.send("d SELECT INBOX\r\n");
    talk.expect("d BAD ");
    let mut scram = Scram::new("anna");
    talk.send(&format!(
        "e AUTHENTICATE SCRAM-SHA-256 {}\r\n",
        scram.first()
    ));
    let last = scram.last(&talk.expect("+ "), "secret");
    talk.send(&format!("{last}\r\n"));
    scram.verify(&talk.expect("+ "));
    talk.send("\r\nf STATUS INBOX (MESSAGES)\r\n");
    talk.expect("e OK [CAPABILITY ");
    assert_eq!(talk.line(), "* STATUS INBOX (MESSAGES 1)");
    talk.expect("f OK ");
}

#[test]
fn scram_logs_in_to_pop3() {
    let server = Server::start(1);
    let mut talk = Talk::open(server.pop3);
    talk.expect("+OK ");
    let mut scram = Scram::new("anna");
    talk.send(&format!("AUTH SCRAM-SHA-256 {}\r\n", scram.first()));
    let last = scram.last(&talk.expect("+ "), "wrong");
    talk.send(&format!("{last}\r\n"));
    talk.expect("-ERR [AUTH] ");
    let mut scram = Scram::new("anna");
    talk.send("AUTH SCRAM-SHA-256\r\n");
    assert_eq!(talk.line(), "+ ");
    talk.send(&format!("{}\r\n", scram.first()));
    let last = scram.last(&talk.expect("+ "), "secret");
    talk.send(&format!("{last}\r\n"));
    scram.verify(&talk.expect("+ "));
    talk.send("\r\nSTAT\r\n");
    talk.expect("+OK ");
    assert_eq!(talk.line(), "+OK 1 181");
}

#[test]
fn what_was_slipped_in_before_the_handshake_is_not_run() {
    let server = Server::start(1);
    let mut talk = Talk::open(server.imap);
    talk.expect("* OK [CAPABILITY ");
    talk.send("a STARTTLS\r\nb LOGIN anna secret\r\nc NOOP\r\nd AUTHENTICATE PLAIN {9");
    talk.expect("a OK ");
    let mut talk = talk.begin_tls(&server);
    talk.send("e CAPABILITY\r\nf SELECT INBOX\r\ng STARTTLS\r\nh LOGIN anna secret\r\n");
    let capabilities = talk.expect("* CAPABILITY IMAP4rev1 ");
    assert!(!capabilities.contains("STARTTLS"), "{capabilities}");
    talk.expect("e OK ");
    talk.expect("f BAD ");
    talk.expect("g BAD ");
    talk.expect("h OK ");

    let mut talk = Talk::open(server.pop3);
    talk.expect("+OK ");
    // The name told before the handshake is forgotten too (RFC 2595 section 4).
    talk.send("USER anna\r\nSTLS\r\nUSER anna\r\nPASS secret\r\nAUTH PLA");
    talk.expect("+OK ");
    talk.expect("+OK ");
    let mut talk = talk.begin_tls(&server);
    talk.send("PASS secret\r\nSTAT\r\nSTLS\r\nUSER anna\r\nPASS secret\r\nSTAT\r\n");
    talk.expect("-ERR ");
    talk.expect("-ERR ");
    talk.expect("-ERR ");
    talk.expect("+OK ");
    talk.expect("+OK ");
    assert_eq!(talk.line(), "+OK 1 181");
}

#[test]
fn a_response_without_end_is_not_collected() {
    let server = Server::start(0);
    let long = "A".repeat(20_000);
    let mut talk = Talk::open(server.imap);
    talk.expect("* OK ");
    talk.send("a AUTHENTICATE PLAIN\r\n");
    talk.expect("+ ");
    // Little more than is taken, so that all of it is read before the connection ends.
    talk.send(&long[..8300]);
    talk.expect("* BYE ");

    let mut talk = Talk::open(server.pop3);
    talk.expect("+OK ");
    talk.send("AUTH PLAIN\r\n");
    talk.expect("+ ");
    talk.send(&format!("{long}\r\nNONSENSE\r\n"));
    talk.expect("-ERR ");
    talk.expect("-ERR ");
    talk.send("USER anna\r\nPASS secret\r\n");
    talk.expect("+OK ");
    talk.expect("+OK ");
}
