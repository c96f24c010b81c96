//! Drives sessions through text, whole and cut at every octet.

use crate::capability::Capabilities;
use crate::session::{ImapSession, Login, Options, StartTls};
use std::io::Read;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};
use store::{Account, Layout, MailboxName};
use wire::{Action, Denial, Event, Load, Security, Session};

fn options(security: Security) -> Options {
    Options {
        security,
        starttls: StartTls::Offered,
        capabilities: Capabilities::all(),
        offer: wire::sasl::Offer {
            mechanisms: wire::sasl::Mechanisms::PASSWORDS,
            ..Default::default()
        },
        login_seconds: 60,
        idle_seconds: 1800,
        append_limit_octets: 1000,
        message_limit: crate::MessageLimit::None,
        appended_headers: crate::AppendedHeaders::Any,
        idle_note_seconds: 120,
        progress_every: Duration::from_secs(10),
        server_metadata: crate::session::ServerMetadata::default(),
        session_id: "s1".to_owned(),
        peer: String::new(),
        waker: Waker::noop().clone(),
    }
}

/// A session with what it would have on a server.
pub(crate) struct Client {
    pub(crate) session: ImapSession,
    account: Arc<Account>,
    pub(crate) now: Instant,
    closed: bool,
    load: Load,
}

impl Client {
    fn new(account: &Arc<Account>, security: Security) -> Self {
        let now = Instant::now();
        Self {
            session: ImapSession::new(options(security), now),
            account: Arc::clone(account),
            now,
            closed: false,
            load: Load::Free,
        }
    }

    pub(crate) fn logged_in(account: &Arc<Account>) -> Self {
        let mut client = Self::new(account, Security::Tls);
        client.drain();
        let answer = client.say("in LOGIN anna secret\r\n");
        assert!(
            answer.starts_with("in OK [CAPABILITY IMAP4rev1 "),
            "{answer}"
        );
        client
    }

    /// Takes all output until the session waits.
    pub(crate) fn drain(&mut self) -> String {
        let mut text = Vec::new();
        loop {
            match self.session.next(self.now) {
                Action::Send(octets) => text.extend(octets),
                Action::SendFrom(mut reader) => {
                    reader.read_to_end(&mut text).expect("readable");
                }
                Action::CheckPassword { password, .. } => {
                    let event = if password.expose() == b"secret" {
                        Event::Authenticated(Login {
                            user: "anna".to_owned(),
                            account: Arc::clone(&self.account),
                            capabilities: Capabilities::all(),
                        })
                    } else {
                        Event::Denied(Denial::BadCredentials)
                    };
                    self.session.resume(event);
                }
                Action::StartTls => self.session.resume(Event::TlsStarted(Default::default())),
                Action::FindScramKeys { .. }
                | Action::Enter(_)
                | Action::Refuse { .. }
                | Action::CheckToken(_) => {
                    self.session.resume(Event::Denied(Denial::BadCredentials));
                }
                Action::AskLoad => self.session.resume(Event::Load(self.load)),
                Action::Yield
                | Action::StartCompression
                | Action::Unauthenticate
                | Action::EndCompression => {}
                Action::Wait { .. } => break,
                Action::Close => {
                    self.closed = true;
                    break;
                }
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    pub(crate) fn say(&mut self, text: &str) -> String {
        self.session.receive(text.as_bytes());
        self.drain()
    }
}

pub(crate) fn account(directory: &tempfile::TempDir) -> Arc<Account> {
    let layout = Layout {
        delimiter: '/',
        prefix: String::new(),
    };
    Account::open(&directory.path().join("Maildir"), layout).expect("an account")
}

/// What a fresh account's client gets for `input`, cut in two at `cut`.
fn played(input: &str, cut: usize) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let mut client = Client::logged_in(&account(&directory));
    let (first, second) = input.as_bytes().split_at(cut);
    client.session.receive(first);
    let mut answer = client.drain();
    client.session.receive(second);
    answer.push_str(&client.drain());
    answer
}

/// UIDVALIDITY, mod-sequences and identifiers differ from run to run.
fn steady(answer: &str) -> String {
    let mut text = String::new();
    for word in answer.split_inclusive([' ', ']', '\n']) {
        let digits = word.trim_end_matches([' ', ']', '\n', '\r']);
        let identifier = digits.trim_matches(['(', ')']);
        let is_identifier =
            identifier.len() == 32 && identifier.bytes().all(|octet| octet.is_ascii_hexdigit());
        let is_number = digits.len() > 6 && digits.bytes().all(|octet| octet.is_ascii_digit());
        if is_identifier || is_number {
            text.push('#');
            text.push_str(word.get(digits.len()..).unwrap_or_default());
        } else {
            text.push_str(word);
        }
    }
    text
}

/// Plays whole, and cut at every octet with the same result.
fn play(input: &str) -> String {
    let whole = steady(&played(input, 0));
    for cut in 1..input.len() {
        assert_eq!(steady(&played(input, cut)), whole, "cut at {cut}");
    }
    whole
}

const MAIL: &str = "From: a@b\r\nSubject: one\r\n\r\nHello\r\nyou\r\n";

fn append(tag: &str, arguments: &str) -> String {
    format!("{tag} APPEND {arguments} {{{}+}}\r\n{MAIL}\r\n", MAIL.len())
}

#[test]
fn before_login() {
    let directory = tempfile::tempdir().expect("a directory");
    let account = account(&directory);
    let mut client = Client::new(&account, Security::Plain);
    assert!(
        client
            .drain()
            .contains("STARTTLS LOGINDISABLED] Pillarbox ready\r\n")
    );
    assert_eq!(
        client.say("a LOGIN anna secret\r\n"),
        "a NO [PRIVACYREQUIRED] Use STARTTLS first\r\n"
    );
    assert_eq!(
        client.say("b STARTTLS\r\nc LOGIN anna secret\r\n"),
        "b OK Begin TLS negotiation now\r\n"
    );
    let answer = client.say("d CAPABILITY\r\ne STARTTLS\r\n");
    assert!(answer.contains("AUTH=PLAIN") && !answer.contains("STARTTLS LOGIN"));
    assert!(answer.contains("e BAD"));
    let answer = client.say("f LOGIN anna wrong\r\ng SELECT INBOX\r\n");
    assert!(answer.starts_with("f NO [AUTHENTICATIONFAILED]") && answer.contains("g BAD"));
    let answer = client.say("h AUTHENTICATE PLAIN\r\nAGFubmEAc2VjcmV0\r\n");
    assert!(answer.starts_with("+ \r\nh OK [CAPABILITY"), "{answer}");
    assert!(client.say("i LOGIN anna secret\r\n").starts_with("i BAD"));
}

#[test]
fn bad_commands_and_time_end_a_session() {
    let directory = tempfile::tempdir().expect("a directory");
    let account = account(&directory);
    let mut client = Client::new(&account, Security::Tls);
    let answer = client.say(&"x NONSENSE\r\n".repeat(10));
    assert!(answer.contains("* BYE") && client.closed);
    let mut client = Client::new(&account, Security::Tls);
    client.drain();
    client.now += Duration::from_secs(61);
    assert!(client.drain().starts_with("* BYE Autologout") && client.closed);
    let mut client = Client::logged_in(&account);
    client.now += Duration::from_secs(61);
    assert_eq!(client.drain(), "");
    // News that come late, with nothing selected, are nothing.
    client.say("a IDLE\r\n");
    client.session.resume(Event::MailboxChanged);
    assert_eq!(client.drain(), "");
    client.session.resume(Event::Shutdown);
    assert_eq!(client.drain(), "* BYE Server shutting down\r\n");
    assert!(client.closed);
}

#[test]
fn mailboxes() {
    let answer = play(concat!(
        "a CREATE \"Z&APw-rich/2026\"\r\nb LIST \"\" \"Z*\"\r\nc SUBSCRIBE \"Z&APw-rich/2026\"\r\n",
        "d LSUB \"\" %\r\ne RENAME \"Z&APw-rich\" Old\r\nf LIST \"\" {5}\r\nOld/%\r\n",
        "g DELETE INBOX\r\nh DELETE Nowhere\r\ni LIST \"\" \"\"\r\nj STATUS Old/2026 (MESSAGES UIDNEXT)\r\n",
    ));
    for line in [
        "* LIST (\\Noselect \\HasChildren) \"/\" \"Z&APw-rich\"\r\n",
        "* LIST (\\HasNoChildren) \"/\" \"Z&APw-rich/2026\"\r\n",
        "* LSUB (\\Noselect) \"/\" \"Z&APw-rich\"\r\n",
        "* LIST (\\HasNoChildren) \"/\" Old/2026\r\n",
        "g NO [CANNOT]",
        "h NO [NONEXISTENT]",
        "* LIST (\\Noselect) \"/\" \"\"\r\n",
        "* STATUS Old/2026 (MESSAGES 0 UIDNEXT 1)\r\n",
    ] {
        let line = line.replace("\"Z&APw-rich\"", "Z&APw-rich");
        let line = line.replace("\"Z&APw-rich/2026\"", "Z&APw-rich/2026");
        assert!(answer.contains(&line), "{line} in {answer}");
    }
}

#[test]
fn append_select_fetch() {
    let input = append("a", "INBOX (\\Seen $Label)")
        + &append("b", "Nowhere")
        + &append("c", "INBOX")
        + concat!(
            "d SELECT INBOX\r\n",
            "e FETCH 1:2 (FLAGS RFC822.SIZE BODY.PEEK[HEADER.FIELDS (Subject)])\r\n",
            "f UID FETCH 2 BODY[TEXT]<7.3>\r\n",
            "g FETCH 3 FLAGS\r\n",
            "h FETCH 1 (ENVELOPE BODY)\r\n",
            "i FETCH 1 BODY[2]\r\n",
        );
    let answer = play(&input);
    for line in [
        "a OK [APPENDUID # 1] APPEND completed\r\n",
        "b NO [TRYCREATE]",
        "* 2 EXISTS\r\n* 2 RECENT\r\n",
        "* OK [UNSEEN 2]",
        "$Label) RFC822.SIZE 39 BODY[HEADER.FIELDS (Subject)] {16}\r\nSubject: one\r\n\r\n)\r\n",
        "* 2 FETCH (UID 2 BODY[TEXT]<7> {3}\r\nyou FLAGS (\\Seen \\Recent))\r\nf OK",
        "g BAD",
        "* 1 FETCH (ENVELOPE (NIL \"one\" ((NIL NIL \"a\" \"b\"))",
        "* 1 FETCH (FLAGS (\\Seen \\Recent $Label)",
        "* 1 FETCH (BODY[2] NIL)\r\n",
    ] {
        assert!(answer.contains(line), "{line} in {answer}");
    }
}

#[test]
fn keywords_are_bounded_and_the_client_is_told() {
    let store = |tag: &str, numbers: std::ops::Range<u32>| {
        let names: Vec<String> = numbers.map(|number| format!("k{number}")).collect();
        format!("{tag} STORE 1 FLAGS.SILENT ({})\r\n", names.join(" "))
    };
    let input = append("a", "INBOX")
        + "b SELECT INBOX\r\n"
        + &store("c", 0..1000)
        + &store("d", 1000..1023)
        + &store("e", 1023..1024)
        + &store("f", 1024..1025)
        + "g SELECT INBOX\r\n";
    let answer = played(&input, 0);
    assert!(answer.contains("k1022 \\*)]"), "{answer}");
    assert_eq!(answer.matches(" k1023)] Flags").count(), 2, "{answer}");
    assert!(answer.contains("f NO ["), "{answer}");
}

#[test]
fn store_search_expunge_move() {
    let input = append("a", "INBOX")
        + &append("b", "INBOX")
        + &append("c", "INBOX")
        + concat!(
            "d CREATE Work\r\nd SELECT INBOX\r\n",
            "e STORE 2 +FLAGS (\\Deleted)\r\n",
            "f STORE 1 +FLAGS.SILENT (\\Flagged)\r\n",
            "g SEARCH FLAGGED\r\n",
            "h UID SEARCH RETURN (SAVE COUNT) NOT DELETED\r\n",
            "i UID FETCH $ UID\r\n",
            "j EXPUNGE\r\n",
            "k UID MOVE 3 Work\r\n",
            "l UID MOVE 99 Work\r\n",
            "m COPY 1 Nowhere\r\n",
            "n COPY 5 Work\r\n",
            "o UNSELECT\r\np FETCH 1 FLAGS\r\n",
        );
    let answer = play(&input);
    for line in [
        "* 2 FETCH (FLAGS (\\Deleted \\Recent))\r\ne OK STORE completed\r\nf OK STORE completed\r\n* SEARCH 1\r\ng OK",
        "* ESEARCH (TAG \"h\") UID COUNT 2\r\n",
        "* 1 FETCH (UID 1)\r\n* 3 FETCH (UID 3)\r\ni OK",
        "* 2 EXPUNGE\r\nj OK",
        "* OK [COPYUID # 3 1] Moved\r\n* 2 EXPUNGE\r\nk OK",
        "l OK",
        "m NO [TRYCREATE]",
        "n BAD",
        "p BAD",
    ] {
        assert!(answer.contains(line), "{line} in {answer}");
    }
}

#[test]
fn two_sessions() {
    let directory = tempfile::tempdir().expect("a directory");
    let account = account(&directory);
    let mut first = Client::logged_in(&account);
    let mut second = Client::logged_in(&account);
    for tag in ["a", "b", "c"] {
        first.say(&append(tag, "INBOX"));
    }
    first.say("d SELECT INBOX\r\n");
    let answer = second.say("d ENABLE QRESYNC\r\ne SELECT INBOX\r\nf IDLE\r\n");
    assert!(answer.contains("* ENABLED QRESYNC\r\n") && answer.ends_with("+ idling\r\n"));
    first.say("e STORE 2 +FLAGS.SILENT (\\Deleted)\r\nf EXPUNGE\r\n");
    second.session.resume(Event::MailboxChanged);
    assert_eq!(second.drain(), "* VANISHED 2\r\n");
    assert!(second.say("done\r\n").ends_with("f OK IDLE completed\r\n"));
    second.say(
        "g UID STORE 3 +FLAGS.SILENT (\\Deleted)\r\nh EXPUNGE\r\ni UID STORE 1 +FLAGS (\\Seen)\r\n",
    );
    // Sequence numbers stay while they are used, flags are told once.
    let answer = first.say("g FETCH 2 UID\r\nh FETCH 2 UID\r\n");
    assert_eq!(
        answer,
        "* 2 FETCH (UID 3)\r\n* 1 FETCH (FLAGS (\\Seen \\Recent))\r\ng OK FETCH completed\r\n* 2 FETCH (UID 3)\r\nh OK FETCH completed\r\n"
    );
    assert_eq!(
        first.say("i NOOP\r\n"),
        "* 2 EXPUNGE\r\ni OK NOOP completed\r\n"
    );
    first.say("j CREATE Gone\r\nk SELECT Gone\r\n");
    second.say("j DELETE Gone\r\n");
    assert!(first.say("l NOOP\r\n").starts_with("* BYE") && first.closed);
}

#[test]
fn resynchronization() {
    let directory = tempfile::tempdir().expect("a directory");
    let account = account(&directory);
    let mut client = Client::logged_in(&account);
    for tag in ["a", "b", "c"] {
        client.say(&append(tag, "INBOX"));
    }
    // While someone has the mailbox open, mod-sequences stay.
    let mut keeper = Client::logged_in(&account);
    keeper.say("a EXAMINE INBOX\r\n");
    let number = |answer: &str, code: &str| -> u64 {
        let at = answer.find(code).expect("the code") + code.len() + 1;
        let rest = answer.get(at..).unwrap_or_default();
        let end = rest.find(']').expect("its end");
        rest[..end].parse().expect("a number")
    };
    let answer = client.say("d SELECT INBOX\r\n");
    let (validity, modseq) = (
        number(&answer, "UIDVALIDITY"),
        number(&answer, "HIGHESTMODSEQ"),
    );
    client.say(
        "e STORE 2 +FLAGS (\\Deleted)\r\nf EXPUNGE\r\ng STORE 1 +FLAGS (\\Seen)\r\nh CLOSE\r\n",
    );
    assert!(
        client
            .say(&format!(
                "i SELECT INBOX (QRESYNC ({validity} {modseq}))\r\n"
            ))
            .starts_with("i BAD")
    );
    let answer = client.say(&format!(
        "j ENABLE QRESYNC\r\nk SELECT INBOX (QRESYNC ({validity} {modseq}))\r\n"
    ));
    assert!(
        answer.contains("* VANISHED (EARLIER) 2\r\n* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ ("),
        "{answer}"
    );
    assert!(!answer.contains("* 2 FETCH"), "{answer}");
    let answer = client.say(&format!(
        "l STORE 1 (UNCHANGEDSINCE {modseq}) +FLAGS (\\Flagged)\r\n"
    ));
    assert_eq!(answer, "l OK [MODIFIED 1] Conditional STORE failed\r\n");
    let answer = client.say(&format!(
        "m UID FETCH 1:* (FLAGS) (CHANGEDSINCE {modseq} VANISHED)\r\n"
    ));
    assert!(
        answer.starts_with("* VANISHED (EARLIER) 2\r\n* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ ("),
        "{answer}"
    );
}

#[test]
fn appends_that_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut client = Client::logged_in(&account(&directory));
    assert!(
        client
            .say("a APPEND Nowhere {5}\r\n")
            .starts_with("a NO [TRYCREATE]")
    );
    assert!(
        client
            .say("b APPEND INBOX {1001}\r\n")
            .starts_with("b NO [TOOBIG]")
    );
    assert!(client.say("c APPEND INBOX {0}\r\n").starts_with("c NO"));
    assert_eq!(client.say("d APPEND INBOX {1}\r\n"), "+ OK\r\n");
    assert_eq!(client.say("x (\\Seen) {1}\r\n"), "+ OK\r\n");
    let answer = client.say("y\r\ne STATUS INBOX (MESSAGES UNSEEN)\r\n");
    assert!(
        answer.starts_with("d OK [APPENDUID ") && answer.contains(" 1:2]"),
        "{answer}"
    );
    assert!(answer.contains("(MESSAGES 2 UNSEEN 1)"), "{answer}");
}

/// Many long pieces of one message: no more of them is in memory than is being sent.
#[test]
fn long_headers_are_read_when_they_are_sent() {
    let directory = tempfile::tempdir().expect("a directory");
    let account = account(&directory);
    let inbox = account.mailbox(&MailboxName::inbox()).expect("INBOX");
    let field = format!("X-Long: {}\r\n", "x".repeat(70));
    let header = field.repeat(2500);
    let mut incoming = inbox.begin_append().expect("incoming");
    let text = format!("Subject: s\r\n{header}\r\nbody\r\n");
    incoming.write(text.as_bytes()).expect("written");
    inbox.append(vec![incoming]).expect("appended");
    let mut client = Client::logged_in(&account);
    client.say("a EXAMINE INBOX\r\n");
    let items: String = (0..90)
        .map(|number| format!(" BODY.PEEK[HEADER.FIELDS.NOT (Subject X{number})]"))
        .collect();
    let command = format!("b FETCH 1 (BODY.PEEK[HEADER.FIELDS (x-LONG)]<8.20000>{items})\r\n");
    client.session.receive(command.as_bytes());
    let (mut kept, mut read) = (0, 0);
    loop {
        match client.session.next(client.now) {
            Action::Send(octets) => kept += octets.len(),
            Action::SendFrom(mut reader) => {
                let mut octets = String::new();
                reader.read_to_string(&mut octets).expect("readable");
                assert!(octets.starts_with("X-Long: xxx") || octets.len() == 20_000);
                read += octets.len();
            }
            Action::Wait { .. } => break,
            _ => {}
        }
    }
    assert_eq!(read, 20_000 + 90 * (header.len() + 2));
    assert!(kept < 10_000, "{kept}");
    let items: String = (1..=101).map(|n| format!(" BODY.PEEK[]<{n}.1>")).collect();
    let answer = client.say(&format!("d FETCH 1 ({})\r\n", items.trim()));
    assert!(answer.starts_with("d BAD "), "{answer}");
}

#[test]
fn a_background_download_is_postponed_where_others_are_at_work() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut client = Client::logged_in(&account(&directory));
    let id = "ID (\"name\" \"Mail\" \"event\" \"indexer\")\r\n";
    let answer = client.say(&format!("a {id}"));
    assert!(answer.ends_with("a OK ID completed\r\n"), "{answer}");
    client.load = Load::Busy;
    // What is sent together with it is answered all the same.
    let answer = client.say(&format!("b {id}c ID NIL\r\n"));
    assert!(answer.starts_with("b NO [UNAVAILABLE] "), "{answer}");
    assert!(answer.ends_with("c OK ID completed\r\n"), "{answer}");
}

#[test]
fn a_search_that_takes_long_tells_how_far_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let account = account(&directory);
    let inbox = account.mailbox(&MailboxName::inbox()).expect("INBOX");
    let message = |number: u32| {
        let mut incoming = inbox.begin_append().expect("incoming");
        let text = format!("Subject: {number}\r\n\r\ntext\r\n");
        incoming.write(text.as_bytes()).expect("written");
        incoming.seal().expect("sealed");
        incoming
    };
    inbox
        .append((0..400).map(message).collect())
        .expect("appended");
    let mut client = Client::logged_in(&account);
    client.say("a SELECT INBOX\r\n");
    client.session.receive(b"b SEARCH TEXT nothing\r\n");
    let mut told = Vec::new();
    // As if each step took so long.
    let mut took = Duration::from_secs(10);
    loop {
        match client.session.next(client.now) {
            Action::Send(octets) => told.extend(octets),
            Action::Yield => client.now += std::mem::replace(&mut took, Duration::from_millis(500)),
            _ => break,
        }
    }
    let told = String::from_utf8(told).expect("text");
    let (progress, rest) = told.split_once("\r\n").expect("lines");
    assert!(progress.starts_with("* OK [INPROGRESS (\"b\" "), "{told}");
    assert!(progress.ends_with(" 400)] Still at work"), "{told}");
    assert_eq!(rest, "* SEARCH\r\nb OK SEARCH completed\r\n");
}

#[test]
fn binary_content_comes_back_as_it_was_sent() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut client = Client::logged_in(&account(&directory));
    let content: String = (0..800)
        .map(|place| char::from(place as u8 & 127))
        .collect();
    let header = "MIME-Version: 1.0\r\nContent-Transfer-Encoding: binary\r\n\r\n";
    let octets = header.len() + content.len();
    for (tag, plus) in [("a", ""), ("b", "+")] {
        let announced = client.say(&format!("{tag} APPEND INBOX ~{{{octets}{plus}}}\r\n"));
        assert_eq!(announced, if plus.is_empty() { "+ OK\r\n" } else { "" });
        let answer = client.say(&format!("{header}{content}\r\n"));
        assert!(
            answer.starts_with(&format!("{tag} OK [APPENDUID")),
            "{answer}"
        );
    }
    let answer = client.say("c APPEND INBOX {5+}\r\na\0b\r\n\r\nd NOOP\r\n");
    assert!(
        answer.starts_with("c BAD ") && answer.contains("d OK"),
        "{answer}"
    );
    let answer = client.say("e APPEND INBOX ~{8+}\r\nX: \0\r\n\r\n\r\nf NOOP\r\n");
    assert!(answer.starts_with("e NO [UNKNOWN-CTE] "), "{answer}");
    client.say("g EXAMINE INBOX\r\n");
    for number in 1..3 {
        let answer = client.say(&format!("h FETCH {number} (BINARY.SIZE[1] BINARY[1])\r\n"));
        let expected = format!(
            "* {number} FETCH (BINARY.SIZE[1] 800 BINARY[1] ~{{800}}\r\n{content})\r\nh OK FETCH completed\r\n"
        );
        assert_eq!(answer, expected);
        let answer = client.say(&format!("i FETCH {number} (BODY.PEEK[] BODY)\r\n"));
        assert!(answer.contains("Content-Transfer-Encoding: base64\r\n\r\nAAECAw"));
        assert!(
            answer.contains(" \"base64\" ") && !answer.contains('\0'),
            "{answer}"
        );
    }
}

/// What is long is decoded while it is sent.
#[test]
fn long_content_is_not_in_memory() {
    let directory = tempfile::tempdir().expect("a directory");
    let account = account(&directory);
    let inbox = account.mailbox(&MailboxName::inbox()).expect("INBOX");
    for ending in ["=41", "=00"] {
        let mut incoming = inbox.begin_append().expect("incoming");
        let header = "Content-Transfer-Encoding: quoted-printable\r\n\r\n";
        let text = format!("{header}{}{ending}", "x=3D=\r\n".repeat(50_000));
        incoming.write(text.as_bytes()).expect("written");
        inbox.append(vec![incoming]).expect("appended");
    }
    let mut client = Client::logged_in(&account);
    client.say("a EXAMINE INBOX\r\n");
    for (command, literal) in [
        ("b FETCH 1 BINARY[1]\r\n", "BINARY[1] {100001}"),
        ("c FETCH 2 BINARY[1]\r\n", "BINARY[1] ~{100001}"),
        ("d FETCH 2 BINARY[1]<1.50000>\r\n", "BINARY[1]<1> {50000}"),
    ] {
        client.session.receive(command.as_bytes());
        let (mut kept, mut read) = (String::new(), Vec::new());
        loop {
            match client.session.next(client.now) {
                Action::Send(octets) => kept.push_str(&String::from_utf8_lossy(&octets)),
                Action::SendFrom(mut reader) => drop(reader.read_to_end(&mut read)),
                Action::Wait { .. } => break,
                _ => {}
            }
        }
        assert!(kept.contains(literal) && kept.len() < 200, "{kept}");
        assert!(literal.contains(&format!("{{{}}}", read.len())));
        assert!(read.starts_with(if command.contains('<') {
            b"=x=x"
        } else {
            b"x=x="
        }));
    }
}

#[test]
fn a_lazy_preview_reads_no_message() {
    let directory = tempfile::tempdir().expect("a directory");
    let maildir = directory.path().join("Maildir");
    std::fs::create_dir_all(maildir.join("cur")).expect("made");
    for number in 0..100 {
        let file = maildir.join(format!("cur/{number:03}:2,"));
        std::fs::write(file, format!("Subject: x\n\n{number} is the number\n")).expect("written");
    }
    let mut client = Client::logged_in(&account(&directory));
    client.say("a EXAMINE INBOX\r\n");
    let fetch = |client: &mut Client, item: &str| client.say(&format!("b FETCH 7 ({item})\r\n"));
    for (item, preview) in [
        ("PREVIEW (LAZY)", "NIL"),
        ("PREVIEW", "\"6 is the number\""),
        ("PREVIEW (LAZY)", "\"6 is the number\""),
    ] {
        let expected = format!("* 7 FETCH (PREVIEW {preview})\r\nb OK FETCH completed\r\n");
        assert_eq!(fetch(&mut client, item), expected);
    }
    // A list opens no message whose preview is known.
    client.say("c FETCH 1:* PREVIEW\r\n");
    std::fs::rename(maildir.join("cur"), maildir.join("away")).expect("moved");
    let answer = client.say("d FETCH 1:* PREVIEW\r\n");
    assert_eq!(answer.matches(" is the number").count(), 100, "{answer}");
}

/// RFC 3501 and RFC 9051 section 5.5: each sees what those before it did.
#[test]
fn a_thousand_commands_at_once_are_answered_in_their_order() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut client = Client::logged_in(&account(&directory));
    client.say(&append("a", "INBOX"));
    client.say("a SELECT INBOX\r\n");
    let (mut said, mut expected) = (String::new(), String::new());
    for number in 0..250 {
        let (sign, found) = match number % 2 {
            0 => ('+', " 1"),
            _ => ('-', ""),
        };
        said += &format!(
            "a{number} STORE 1 {sign}FLAGS.SILENT (\\Flagged)\r\nb{number} SEARCH FLAGGED\r\n\
             c{number} FETCH 1 UID\r\nd{number} NOOP\r\n"
        );
        expected += &format!(
            "a{number} OK STORE completed\r\n* SEARCH{found}\r\nb{number} OK SEARCH completed\r\n\
             * 1 FETCH (UID 1)\r\nc{number} OK FETCH completed\r\nd{number} OK NOOP completed\r\n"
        );
    }
    assert_eq!(client.say(&said), expected);
}

#[test]
fn a_client_in_idle_hears_that_the_connection_stands() {
    let directory = tempfile::tempdir().expect("a directory");
    let account = account(&directory);
    let mut client = Client::logged_in(&account);
    client.say("a SELECT INBOX\r\n");
    client.now += Duration::from_secs(500);
    assert_eq!(client.drain(), "", "outside IDLE nothing is said");
    client.say("b IDLE\r\n");
    client.now += Duration::from_secs(119);
    assert_eq!(client.drain(), "");
    // News are a sign of life, too.
    let mut other = Client::logged_in(&account);
    other.say(&append("a", "INBOX"));
    client.session.resume(Event::MailboxChanged);
    assert_eq!(client.drain(), "* 1 EXISTS\r\n* 1 RECENT\r\n");
    client.now += Duration::from_secs(119);
    assert_eq!(client.drain(), "");
    for _ in 0..13 {
        client.now += Duration::from_secs(121);
        assert_eq!(client.drain(), "* OK Still here\r\n");
        assert!(!client.closed);
    }
    // It is no activity of the client: half an hour after the news the server gives up.
    client.now += Duration::from_secs(121);
    assert!(client.drain().starts_with("* BYE Autologout") && client.closed);
}

#[path = "steps_tests.rs"]
mod steps;
