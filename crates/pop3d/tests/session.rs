//! Sessions driven over strings, each dialogue also cut at every octet.

use hmac::{Hmac, KeyInit, Mac};
use pop3d::{
    Access, DeletePolicy, Login, NulPolicy, Options, Policy, Pop3Session, SeenPolicy, StartTls,
};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{Account, Flags, Layout, MailboxName};
use wire::sasl::{Mechanism, Mechanisms, Offer, ScramKeys, decode_base64, encode_base64};
use wire::{Action, Denial, Event, Security, Session};

/// A session with what the server would do for it.
struct Client {
    session: Pop3Session,
    account: Option<Arc<Account>>,
    policy: Policy,
    now: Instant,
    closed: bool,
    tls: usize,
}

impl Client {
    fn new(security: Security, account: Option<Arc<Account>>, policy: Policy) -> Self {
        let now = Instant::now();
        let options = Options {
            security,
            starttls: StartTls::Offered,
            capabilities: pop3d::Capabilities::all(),
            offer: Offer {
                mechanisms: Mechanisms::PASSWORDS
                    .with(Mechanism::Scram(wire::sasl::Digest::Sha256)),
                ..Offer::default()
            },
            login_delay_seconds: 0,
            language: Default::default(),
            login_seconds: 60,
            idle_seconds: 600,
            session_id: String::new(),
            peer: String::new(),
        };
        Self {
            session: Pop3Session::new(options, now),
            account,
            policy,
            now,
            closed: false,
            tls: 0,
        }
    }

    fn decide(&self, good: bool) -> Event<Login> {
        match &self.account {
            Some(account) if good => Event::Authenticated(Login {
                user: "anna".to_owned(),
                account: Arc::clone(account),
                policy: self.policy,
                capabilities: pop3d::Capabilities::all(),
                device: None,
            }),
            _ => Event::Denied(Denial::BadCredentials),
        }
    }

    /// Does what the session says until it waits for the client.
    fn run(&mut self) -> String {
        let mut output = Vec::new();
        loop {
            match self.session.next(self.now) {
                Action::Send(octets) => output.extend(octets),
                Action::SendFrom(mut reader) => {
                    reader.read_to_end(&mut output).unwrap();
                }
                Action::StartTls => {
                    self.tls += 1;
                    self.session.receive(b"QUIT\r\n");
                    self.session.resume(Event::TlsStarted(Default::default()));
                }
                Action::CheckPassword { user, password, .. } => {
                    let good = user == "anna" && password.expose() == b"secret";
                    let event = self.decide(good);
                    self.session.resume(event);
                }
                Action::FindScramKeys { digest, .. } => {
                    let keys = ScramKeys::derive(digest, b"secret", b"salt", 4096);
                    self.session.resume(Event::ScramKeys(keys));
                }
                Action::Enter(identity) => {
                    let event = self.decide(identity.user == "anna");
                    self.session.resume(event);
                }
                Action::Refuse { denial, .. } => self.session.resume(Event::Denied(denial)),
                Action::CheckToken(_) => self.session.resume(Event::TokenRefused(b"{}".to_vec())),
                Action::Yield
                | Action::AskLoad
                | Action::StartCompression
                | Action::EndCompression
                | Action::Unauthenticate => {}
                Action::Wait { .. } => break,
                Action::Close => {
                    self.closed = true;
                    break;
                }
            }
        }
        String::from_utf8_lossy(&output).into_owned()
    }

    fn send(&mut self, text: &str) -> String {
        self.session.receive(text.as_bytes());
        self.run()
    }
}

/// Runs a dialogue whole and cut at every octet; all must give the same.
fn dialogue(security: Security, input: &str) -> String {
    let run = |pieces: &[&str]| {
        let mut client = Client::new(security, None, Policy::default());
        let mut output = client.run();
        for piece in pieces {
            output += &client.send(piece);
        }
        output
    };
    let whole = run(&[input]);
    for cut in 1..input.len() {
        let (first, second) = input.split_at(cut);
        assert_eq!(run(&[first, second]), whole, "cut at {cut}");
    }
    whole
}

#[test]
fn authorization_refuses_and_cancels() {
    let output = dialogue(
        Security::Tls,
        "STAT\r\nUSER anna\r\nPASS wrong\r\nPASS x\r\nAUTH PLAIN\r\n*\r\nAUTH PLAIN =\r\n\
         AUTH X\r\nAUTH LOGIN\r\nYW5uYQ==\r\nd3Jvbmc=\r\nAUTH PLAIN !\r\nQUIT\r\nSTAT\r\n",
    );
    assert_eq!(
        output,
        "+OK Pillarbox POP3 ready\r\n\
         -ERR log in first\r\n\
         +OK send PASS\r\n\
         -ERR [AUTH] Authentication failed.\r\n\
         -ERR send USER first\r\n\
         + \r\n\
         -ERR authentication cancelled\r\n\
         -ERR PLAIN needs two NUL octets\r\n\
         -ERR unknown authentication mechanism\r\n\
         + VXNlcm5hbWU6\r\n\
         + UGFzc3dvcmQ6\r\n\
         -ERR [AUTH] Authentication failed.\r\n\
         -ERR the response is not base64\r\n\
         +OK Pillarbox signing off\r\n"
    );
}

#[test]
fn without_tls_no_password_is_taken() {
    let output = dialogue(
        Security::Plain,
        "CAPA\r\nUSER anna\r\nAUTH\r\nAUTH PLAIN\r\n",
    );
    assert!(output.contains("STLS\r\n"));
    assert!(!output.contains("\nUSER\r\n") && !output.contains("SASL"));
    assert_eq!(output.matches("-ERR logging in needs TLS").count(), 3);
    let output = dialogue(Security::Tls, "CAPA\r\nAUTH\r\nSTLS\r\n");
    assert!(output.contains("USER\r\nSASL SCRAM-SHA-256 PLAIN LOGIN\r\n"));
    assert!(output.contains("EXPIRE NEVER\r\n") && !output.contains("\r\nSTLS"));
    assert!(output.contains("SCRAM-SHA-256\r\nPLAIN\r\nLOGIN\r\n.\r\n-ERR TLS is on already"));
}

#[test]
fn what_came_before_the_handshake_is_forgotten() {
    let mut client = Client::new(Security::Plain, None, Policy::default());
    client.run();
    assert_eq!(
        client.send("STLS\r\nQUIT\r\n"),
        "+OK Begin TLS negotiation\r\n"
    );
    assert_eq!((client.tls, client.closed), (1, false));
    assert!(client.send("USER anna\r\n").starts_with("+OK"));
}

#[test]
fn bad_commands_idleness_and_shutdown_end_the_connection() {
    let mut client = Client::new(Security::Tls, None, Policy::default());
    client.run();
    for _ in 0..9 {
        assert_eq!(client.send("HELO\r\n"), "-ERR unknown command\r\n");
    }
    assert_eq!(client.send("HELO\r\n"), "-ERR too many bad commands\r\n");
    assert!(client.closed);

    let mut client = Client::new(Security::Tls, None, Policy::default());
    client.run();
    client.now += Duration::from_secs(61);
    assert_eq!(client.run(), "");
    assert!(client.closed);

    let mut client = Client::new(Security::Tls, None, Policy::default());
    client.run();
    client.session.resume(Event::Shutdown);
    assert_eq!(client.run(), "-ERR [SYS/TEMP] server is shutting down\r\n");
    assert!(client.closed);
}

#[test]
fn an_overlong_line_is_refused_once() {
    let mut client = Client::new(Security::Tls, None, Policy::default());
    client.run();
    let output = client.send(&format!("USER {}\r\nNOOP\r\n", "x".repeat(9000)));
    assert_eq!(output, "-ERR the line is too long\r\n-ERR log in first\r\n");
}

struct Fixture {
    account: Arc<Account>,
    _root: tempfile::TempDir,
}

fn fixture(bodies: &[&str]) -> Fixture {
    let root = tempfile::tempdir().unwrap();
    let layout = Layout {
        delimiter: '/',
        prefix: String::new(),
    };
    let account = Account::open(root.path(), layout).unwrap();
    let inbox = account.mailbox(&MailboxName::inbox()).unwrap();
    for body in bodies {
        let mut incoming = inbox.begin_append().unwrap();
        let text = format!("Subject: x\r\n\r\n{body}");
        incoming.write(text.as_bytes()).unwrap();
        inbox.append(vec![incoming]).unwrap();
    }
    Fixture {
        account,
        _root: root,
    }
}

impl Fixture {
    fn login(&self, policy: Policy) -> Client {
        let mut client = self.connect(policy);
        let output = client.send("USER anna\r\nPASS secret\r\n");
        assert!(output.contains("+OK maildrop has"), "{output}");
        client
    }

    fn connect(&self, policy: Policy) -> Client {
        let account = Some(Arc::clone(&self.account));
        let mut client = Client::new(Security::Tls, account, policy);
        client.run();
        client
    }

    fn count(&self) -> usize {
        let inbox = self.account.mailbox(&MailboxName::inbox()).unwrap();
        inbox.sync().unwrap().len()
    }
}

#[test]
fn a_transaction_cut_at_every_octet() {
    let fixture = fixture(&["one\r\n", ".two\r\nx", "three\r\n"]);
    let input = "STAT\r\nLIST\r\nRETR 2\r\nTOP 1 0\r\nDELE 2\r\nDELE 2\r\nLIST 2\r\nLIST\r\n\
                 DELE 0\r\nRETR 4\r\nRSET\r\nNOOP\r\nSTAT\r\nUSER a\r\n";
    let expected = "+OK 3 63\r\n\
        +OK maildrop has 3 messages (63 octets)\r\n1 19\r\n2 23\r\n3 21\r\n.\r\n\
        +OK 23 octets\r\nSubject: x\r\n\r\n..two\r\nx\r\n.\r\n\
        +OK top of message follows\r\nSubject: x\r\n\r\n.\r\n\
        +OK message 2 deleted\r\n-ERR no such message\r\n-ERR no such message\r\n\
        +OK maildrop has 2 messages (40 octets)\r\n1 19\r\n3 21\r\n.\r\n\
        -ERR no such message\r\n-ERR no such message\r\n\
        +OK maildrop has 3 messages (63 octets)\r\n+OK nothing done\r\n+OK 3 63\r\n\
        -ERR not allowed after login\r\n";
    for cut in 0..input.len() {
        let mut client = fixture.login(Policy::default());
        let (first, second) = input.split_at(cut);
        let output = client.send(first) + &client.send(second);
        assert_eq!(output, expected, "cut at {cut}");
    }
}

#[test]
fn only_quit_removes() {
    let fixture = fixture(&["one", "two"]);
    let mut client = fixture.login(Policy::default());
    client.send("DELE 1\r\n");
    drop(client);
    let mut client = fixture.login(Policy::default());
    client.send("DELE 1\r\n");
    client.now += Duration::from_secs(601);
    client.run();
    assert!(client.closed);
    let mut client = fixture.login(Policy::default());
    client.send("DELE 1\r\n");
    client.session.resume(Event::Shutdown);
    client.run();
    assert!(client.closed);
    assert_eq!(fixture.count(), 2);

    let mut client = fixture.login(Policy::default());
    let mut other = fixture.login(Policy::default());
    assert!(
        client
            .send("DELE 1\r\nQUIT\r\n")
            .ends_with("+OK Pillarbox signing off\r\n")
    );
    assert!(client.closed);
    assert_eq!(fixture.count(), 1);
    // The other view is frozen, and removing what is gone is no error.
    assert_eq!(
        other.send("RETR 1\r\n"),
        "-ERR message 1 was removed by another session\r\n"
    );
    assert!(other.send("STAT\r\n").starts_with("+OK 2 "));
    assert!(other.send("RETR 2\r\n").contains("two"));
    assert!(
        other
            .send("DELE 1\r\nQUIT\r\n")
            .ends_with("+OK Pillarbox signing off\r\n")
    );
    assert_eq!(fixture.count(), 1);
}

#[test]
fn the_policy_says_what_removing_means() {
    let setting = fixture(&["one", "two"]);
    let trash = Policy {
        delete: DeletePolicy::Trash,
        ..Policy::default()
    };
    assert!(
        setting
            .login(trash)
            .send("DELE 1\r\nQUIT\r\n")
            .contains("signing off")
    );
    assert_eq!(setting.count(), 1);
    let name = setting.account.parse_name("Trash").unwrap();
    let trash = setting.account.mailbox(&name).unwrap();
    assert_eq!(trash.sync().unwrap().len(), 1);

    let setting = fixture(&["one", "two"]);
    let hide = Policy {
        delete: DeletePolicy::Hide,
        ..Policy::default()
    };
    assert!(
        setting
            .login(hide)
            .send("DELE 1\r\nQUIT\r\n")
            .contains("signing off")
    );
    assert_eq!(setting.count(), 2);
    assert!(setting.login(hide).send("STAT\r\n").starts_with("+OK 1 "));
    assert!(setting.login(hide).send("RETR 1\r\n").contains("two"));
}

#[test]
fn unique_ids_last_and_seen_follows_the_policy() {
    let fixture = fixture(&["one", "two"]);
    let mut client = fixture.login(Policy::default());
    let before = client.send("UIDL\r\n");
    assert_eq!(before.lines().count(), 4);
    let second = client.send("UIDL 2\r\n");
    assert!(before.contains(second.trim_start_matches("+OK ")));
    client.send("RETR 1\r\n");
    assert_eq!(fixture.login(Policy::default()).send("UIDL\r\n"), before);

    let flags = || {
        let inbox = fixture.account.mailbox(&MailboxName::inbox()).unwrap();
        inbox.snapshot().row(0).unwrap().flags
    };
    assert!(!flags().contains(Flags::SEEN));
    let mark = Policy {
        mark_seen: SeenPolicy::Mark,
        expire_days: Some(30),
        ..Policy::default()
    };
    let mut client = fixture.login(mark);
    assert!(client.send("CAPA\r\n").contains("\r\nEXPIRE 30\r\n"));
    client.send("RETR 1\r\n");
    assert!(flags().contains(Flags::SEEN));
}

#[test]
fn nul_octets_are_sent_or_replaced() {
    let fixture = fixture(&["a\0b"]);
    let replace = Policy {
        nul: NulPolicy::Replace,
        ..Policy::default()
    };
    for (policy, text) in [(Policy::default(), "a\0b"), (replace, "a\u{fffd}b")] {
        let mut client = fixture.login(policy);
        for command in ["RETR 1\r\n", "TOP 1 1\r\n"] {
            let output = client.send(command);
            assert!(output.contains(text), "{output:?}");
        }
    }
}

#[test]
fn exclusive_access_is_told_in_use() {
    let fixture = fixture(&[]);
    let exclusive = Policy {
        access: Access::Exclusive,
        ..Policy::default()
    };
    let first = fixture.login(exclusive);
    let mut second = fixture.connect(exclusive);
    let output = second.send("USER anna\r\nPASS secret\r\n");
    assert!(output.contains("-ERR [IN-USE] "), "{output}");
    drop(first);
    let output = second.send("USER anna\r\nPASS secret\r\nSTAT\r\n");
    assert!(output.ends_with("+OK 0 0\r\n"), "{output}");
}

/// The last message of a SCRAM-SHA-256 client that knows `password`.
fn client_final(password: &[u8], client_first_bare: &str, server_first: &str) -> String {
    let mac = |key: &[u8], text: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text);
        <[u8; 32]>::from(mac.finalize().into_bytes())
    };
    let mut salted = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(password, b"salt", 4096, &mut salted);
    let client_key = mac(&salted, b"Client Key");
    let stored_key = Sha256::digest(client_key);
    let without_proof = format!("c=biws,{}", server_first.split(',').next().unwrap());
    let message = format!("{client_first_bare},{server_first},{without_proof}");
    let signature = mac(&stored_key, message.as_bytes());
    let proof: Vec<u8> = client_key
        .iter()
        .zip(signature)
        .map(|(a, b)| a ^ b)
        .collect();
    format!("{without_proof},p={}", encode_base64(&proof))
}

#[test]
fn scram_logs_in_after_the_server_proved_itself() {
    let fixture = fixture(&[]);
    for password in ["secret", "wrong"] {
        let mut client = fixture.connect(Policy::default());
        let first = encode_base64(b"n,,n=anna,r=abc");
        let challenge = client.send(&format!("AUTH SCRAM-SHA-256 {first}\r\n"));
        let challenge = decode_base64(&challenge.trim().as_bytes()[2..]).unwrap();
        let challenge = String::from_utf8(challenge).unwrap();
        let last = client_final(password.as_bytes(), "n=anna,r=abc", &challenge);
        let output = client.send(&format!("{}\r\n", encode_base64(last.as_bytes())));
        if password == "wrong" {
            assert_eq!(output, "-ERR [AUTH] Authentication failed.\r\n");
            continue;
        }
        let proof = decode_base64(&output.trim().as_bytes()[2..]).unwrap();
        assert!(proof.starts_with(b"v="), "{output}");
        assert_eq!(
            client.send("\r\nSTAT\r\n"),
            "+OK maildrop has 0 messages (0 octets)\r\n+OK 0 0\r\n"
        );
    }
}
