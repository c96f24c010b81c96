//! The README's table of capabilities, the rows in the code and what sessions announce
//! are the same.

use imapd::MessageLimit;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;
use store::{Account, Layout};
use wire::capability::{Capability, Row};
use wire::sasl::{Channel, Mechanism, Mechanisms, Offer};
use wire::{Action, Event, Security, Session};

const SECURITIES: [Security; 3] = [Security::Plain, Security::PlainWithPasswords, Security::Tls];

fn row_text<C: Capability>(prefix: &str, row: &Row<C>) -> String {
    let rfcs: Vec<String> = row.rfcs.iter().map(u16::to_string).collect();
    let mut text = format!(
        "| `{prefix}{}` | {} | {} |",
        row.name,
        rfcs.join(", "),
        row.since
    );
    let always_on = C::FIXED.contains(&row.capability).then_some("always on");
    let notes = [always_on.unwrap_or_default(), row.notes];
    let notes: Vec<&str> = notes.into_iter().filter(|note| !note.is_empty()).collect();
    match notes.join(": ").as_str() {
        "" => text.push_str(" |"),
        notes => write!(text, " {notes} |").expect("a string"),
    }
    text.replace("|  |", "| |")
}

/// What is new since the last release has the version of the one that is made.
#[test]
fn no_capability_is_of_a_later_version_than_the_program() {
    let version = env!("CARGO_PKG_VERSION");
    let numbers = |text: &str| -> Vec<u32> {
        let numbers = text.split('-').next().unwrap_or_default().split('.');
        numbers.filter_map(|number| number.parse().ok()).collect()
    };
    let readme = include_str!("../README.md");
    let rows = readme.lines().filter(|line| line.starts_with("| `"));
    let since = rows.filter_map(|row| row.split('|').nth(3).map(str::trim));
    let mut count = 0;
    for since in since.filter(|since| since.starts_with("0.")) {
        assert!(
            numbers(since) <= numbers(version)[..2].to_vec(),
            "{since} and {version}"
        );
        count += 1;
    }
    assert!(count > 50, "{count} rows");
}

#[test]
fn the_readme_has_every_row_and_no_other() {
    let readme = include_str!("../README.md");
    let section = readme
        .split("\n## ")
        .find(|part| part.starts_with("Capabilities\n"));
    let section = section.expect("a section Capabilities");
    let told: Vec<&str> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let imap = imapd::Capability::TABLE.iter().map(|row| row_text("", row));
    let pop3 = pop3d::Capability::TABLE
        .iter()
        .map(|row| row_text("POP3:", row));
    let rows: Vec<String> = imap.chain(pop3).collect();
    assert_eq!(told, rows, "the README should say:\n{}", rows.join("\n"));
}

fn account(directory: &tempfile::TempDir) -> Arc<Account> {
    let layout = Layout {
        delimiter: '/',
        prefix: String::new(),
    };
    Account::open(&directory.path().join("Maildir"), layout).expect("an account")
}

/// What a session says until it waits; whoever logs in is let in.
fn play<L>(session: &mut impl Session<L>, said: &str, login: impl Fn() -> L) -> String {
    session.receive(said.as_bytes());
    let mut text = String::new();
    loop {
        match session.next(Instant::now()) {
            Action::Send(octets) => text.push_str(&String::from_utf8(octets).expect("text")),
            Action::CheckPassword { .. } => session.resume(Event::Authenticated(login())),
            Action::Wait { .. } | Action::Close => return text,
            _ => {}
        }
    }
}

/// Every mechanism, on a connection that carries all of them once TLS is on.
fn offer() -> Offer {
    Offer {
        mechanisms: Mechanism::ALL
            .into_iter()
            .fold(Mechanisms::NONE, Mechanisms::with),
        channel: Channel {
            exporter: Some([0; 32]),
            server_end_point: None,
            certificate_user: Some("anna".into()),
        },
    }
}

fn imap_session(
    security: Security,
    on: imapd::Capabilities,
    message_limit: imapd::MessageLimit,
) -> imapd::ImapSession {
    let options = imapd::Options {
        security,
        starttls: imapd::StartTls::Offered,
        capabilities: on,
        offer: offer(),
        login_seconds: 60,
        idle_seconds: 1_800,
        append_limit_octets: 1_000,
        message_limit,
        appended_headers: imapd::AppendedHeaders::Any,
        idle_note_seconds: 0,
        progress_every: std::time::Duration::from_secs(10),
        server_metadata: imapd::ServerMetadata::default(),
        session_id: "s".into(),
        peer: String::new(),
        waker: Waker::noop().clone(),
    };
    imapd::ImapSession::new(options, Instant::now())
}

/// The names in all CAPABILITY responses before and after login.
fn imap_announces(security: Security, on: imapd::Capabilities) -> BTreeSet<String> {
    let directory = tempfile::tempdir().expect("directory");
    let account = account(&directory);
    let login = || imapd::Login {
        user: "anna".into(),
        account: Arc::clone(&account),
        capabilities: on,
    };
    let script = "a CAPABILITY\r\nb LOGIN anna secret\r\nc CAPABILITY\r\n";
    let some = NonZeroU32::new(1_000).expect("not 0");
    let limits = [MessageLimit::EveryCommand(some), MessageLimit::Saves(some)];
    let said = limits.map(|limit| play(&mut imap_session(security, on, limit), script, login));
    let text = said.concat();
    let told = text
        .lines()
        .filter_map(|line| line.strip_prefix("* CAPABILITY "));
    let words = told.flat_map(str::split_whitespace);
    // Limits have their values with them.
    let name = |word: &str| match word.split_once("LIMIT=") {
        Some((name, _)) => format!("{name}LIMIT"),
        None => word.to_owned(),
    };
    words.map(name).collect()
}

fn pop3_announces(security: Security, on: pop3d::Capabilities) -> BTreeSet<String> {
    let directory = tempfile::tempdir().expect("directory");
    let account = account(&directory);
    let options = pop3d::Options {
        security,
        starttls: pop3d::StartTls::Offered,
        capabilities: on,
        offer: offer(),
        login_delay_seconds: 5,
        language: pop3d::Language::English,
        login_seconds: 60,
        idle_seconds: 600,
        session_id: "s".into(),
        peer: String::new(),
    };
    let login = || pop3d::Login {
        user: "anna".into(),
        account: Arc::clone(&account),
        policy: pop3d::Policy::default(),
        device: None,
        capabilities: on,
    };
    let mut session = pop3d::Pop3Session::new(options, Instant::now());
    let text = play(
        &mut session,
        "CAPA\r\nUSER anna\r\nPASS secret\r\nCAPA\r\n",
        login,
    );
    let mut names = BTreeSet::new();
    for line in text
        .lines()
        .filter(|line| !line.starts_with(['+', '-', '.']))
    {
        let mut words = line.split_whitespace();
        let name = words.next().expect("a name");
        names.insert(name.to_owned());
        if name == "SASL" {
            names.extend(words.map(|mechanism| format!("SASL {mechanism}")));
        }
    }
    names
}

/// All that is on is announced somewhere, nothing else is, and nothing that is off.
fn compare<C: Capability>(
    announces: impl Fn(Security, wire::capability::Set<C>) -> BTreeSet<String>,
) {
    let names = |on: wire::capability::Set<C>| -> BTreeSet<String> {
        SECURITIES
            .iter()
            .flat_map(|security| announces(*security, on))
            .collect()
    };
    let all = wire::capability::Set::<C>::all();
    let mut missing: BTreeSet<String> = C::TABLE.iter().map(|row| row.name.to_owned()).collect();
    for row in C::TABLE {
        let on = all.without(row.capability);
        let told = names(on);
        assert!(!told.contains(row.name), "{} is off and told", row.name);
        for other in &told {
            let known = wire::capability::find::<C>(other);
            let known = known.unwrap_or_else(|| panic!("{other} is no row"));
            assert!(on.has(known.capability), "{other} goes with {}", row.name);
            missing.remove(other);
        }
    }
    assert!(missing.is_empty(), "never told: {missing:?}");
}

#[test]
fn imap_sessions_announce_what_is_on() {
    compare(imap_announces);
}

#[test]
fn pop3_sessions_announce_what_is_on() {
    compare(pop3_announces);
}
