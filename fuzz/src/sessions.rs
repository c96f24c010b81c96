//! Whole sessions over a small mailbox.

use std::io::Read;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;
use wire::{Action, Event, Security, Session};

fn account() -> (tempfile::TempDir, Arc<store::Account>) {
    let directory = tempfile::tempdir().expect("directory");
    for folder in ["cur", "new", "tmp"] {
        std::fs::create_dir(directory.path().join(folder)).expect("directory");
    }
    for number in 1..=3 {
        let text = format!("From: Ben <ben@example.org>\nSubject: {number}\n\nbody\n.dot\n");
        std::fs::write(directory.path().join(format!("new/{number}.a.b")), text).expect("write");
    }
    let layout = store::Layout {
        delimiter: '/',
        prefix: String::new(),
    };
    let account = store::Account::open(directory.path(), layout).expect("opens");
    (directory, account)
}

/// Drives a session with octets; gives all it sent.
fn play<Login>(
    session: &mut dyn Session<Login>,
    input: &[u8],
    mut log_in: impl FnMut() -> Login,
) -> Vec<u8> {
    let mut sent = Vec::new();
    let now = Instant::now();
    let mut pieces = input.chunks(7);
    for _ in 0..100_000 {
        // What is told of a step that takes its time stands between whole responses.
        if let Some(meanwhile) = session.meanwhile(now) {
            assert!(sent.ends_with(b"\r\n") && meanwhile.octets.ends_with(b"\r\n"));
            sent.extend(meanwhile.octets);
        }
        match session.next(now) {
            Action::Send(octets) => sent.extend(octets),
            Action::SendFrom(mut reader) => {
                reader
                    .read_to_end(&mut sent)
                    .expect("the promised octets come");
            }
            Action::StartTls => session.resume(Event::TlsStarted(Default::default())),
            Action::CheckPassword { .. } => session.resume(Event::Authenticated(log_in())),
            Action::FindScramKeys { digest, .. } => {
                session.resume(Event::ScramKeys(wire::sasl::ScramKeys::derive(
                    digest, b"x", b"salt", 1,
                )));
            }
            Action::CheckToken(_) => session.resume(Event::TokenRefused(b"{}".to_vec())),
            Action::Enter(_) | Action::Refuse { .. } => {
                session.resume(Event::Denied(wire::Denial::BadCredentials));
            }
            Action::AskLoad => session.resume(Event::Load(wire::Load::Busy)),
            // Octets are played as they are before compression.
            Action::Yield
            | Action::StartCompression
            | Action::Unauthenticate
            | Action::EndCompression => {}
            Action::Wait { .. } => match pieces.next() {
                Some(piece) => session.receive(piece),
                None => return sent,
            },
            Action::Close => return sent,
        }
    }
    panic!("the session never waits");
}

/// Every mechanism, on a connection that carries all of them.
fn offer() -> wire::sasl::Offer {
    wire::sasl::Offer {
        mechanisms: wire::sasl::Mechanism::ALL
            .into_iter()
            .fold(wire::sasl::Mechanisms::NONE, wire::sasl::Mechanisms::with),
        channel: wire::sasl::Channel {
            exporter: Some([1; 32]),
            server_end_point: Some(vec![2; 32]),
            certificate_user: Some("anna".into()),
        },
    }
}

/// An IMAP session, logged in: what it sends is lines and literals.
pub fn imap_session(input: &[u8]) {
    let (_directory, account) = account();
    let options = imapd::Options {
        security: Security::Tls,
        starttls: imapd::StartTls::Absent,
        capabilities: imapd::Capabilities::all(),
        offer: offer(),
        login_seconds: 60,
        idle_seconds: 1_800,
        append_limit_octets: 1_000,
        message_limit: imapd::MessageLimit::None,
        appended_headers: imapd::AppendedHeaders::Ascii,
        idle_note_seconds: 120,
        progress_every: std::time::Duration::from_secs(10),
        server_metadata: imapd::ServerMetadata::default(),
        session_id: "fuzz".into(),
        peer: String::new(),
        waker: Waker::noop().clone(),
    };
    let mut session = imapd::ImapSession::new(options, Instant::now());
    let mut script = b"l LOGIN anna secret\r\ns SELECT INBOX\r\n".to_vec();
    script.extend_from_slice(input);
    let sent = play(&mut session, &script, || imapd::Login {
        user: "anna".into(),
        account: Arc::clone(&account),
        capabilities: imapd::Capabilities::all(),
    });
    let mut rest = sent.as_slice();
    while !rest.is_empty() {
        let end = rest
            .windows(2)
            .position(|pair| pair == b"\r\n")
            .expect("lines end with CRLF");
        let (line, after) = (&rest[..end], &rest[end + 2..]);
        assert!(
            !line.contains(&0),
            "NUL in {:?}",
            String::from_utf8_lossy(line)
        );
        let literal = line.strip_suffix(b"}").and_then(|line| {
            let start = line.iter().rposition(|octet| *octet == b'{')?;
            std::str::from_utf8(&line[start + 1..])
                .ok()?
                .parse::<usize>()
                .ok()
        });
        rest = &after[literal.unwrap_or(0).min(after.len())..];
    }
}

/// A POP3 session, logged in: what it sends is lines.
pub fn pop3_session(input: &[u8]) {
    let (_directory, account) = account();
    let options = pop3d::Options {
        security: Security::Tls,
        starttls: pop3d::StartTls::Absent,
        capabilities: pop3d::Capabilities::all(),
        offer: offer(),
        login_delay_seconds: 0,
        language: Default::default(),
        login_seconds: 60,
        idle_seconds: 600,
        session_id: "fuzz".into(),
        peer: String::new(),
    };
    let mut session = pop3d::Pop3Session::new(options, Instant::now());
    let mut script = b"USER anna\r\nPASS secret\r\n".to_vec();
    script.extend_from_slice(input);
    let sent = play(&mut session, &script, || pop3d::Login {
        user: "anna".into(),
        account: Arc::clone(&account),
        policy: pop3d::Policy::default(),
        capabilities: pop3d::Capabilities::all(),
        device: None,
    });
    assert!(sent.ends_with(b"\r\n"));
}

/// Every mechanism: the input's lines are a client's messages, one after the other.
pub fn sasl(input: &[u8]) {
    use wire::sasl::{Exchange, Identity, Mechanism, ScramKeys, Step};
    for mechanism in Mechanism::ALL {
        let exchange = Exchange::start(mechanism.name(), &offer(), Security::Tls);
        let mut exchange = exchange.expect("it is offered");
        let _ = exchange.initial_challenge();
        for message in input.split(|octet| *octet == b'\n') {
            let mut step = exchange.step(message);
            if let Step::FindScramKeys { digest, .. } = step {
                step = exchange.scram_keys(ScramKeys::derive(digest, b"x", b"salt", 1));
            }
            match step {
                Step::Challenge(_) => {}
                Step::CheckPassword { user, .. } | Step::Enter(Identity { user, .. }) => {
                    assert!(!user.is_empty());
                    break;
                }
                // Nobody guesses a proof.
                Step::Proven { .. } => panic!("proven"),
                Step::CheckToken(bearer) => {
                    let token = bearer.token.expose();
                    assert!(token.iter().all(u8::is_ascii_graphic));
                    break;
                }
                Step::FindScramKeys { .. } | Step::Refused { .. } | Step::Malformed(_) => break,
            }
        }
    }
}
