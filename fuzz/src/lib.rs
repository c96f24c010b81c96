//! What is fuzzed, each entrance a function of octets that panics where a promise
//! is broken. `cargo fuzz run NAME --features libfuzzer` drives one with coverage;
//! `cargo test` drives all of them with seeds and mutations.

mod compression;
/// The one file of the program that is fuzzed; the program itself would be much to build.
#[path = "../../crates/server/src/compression.rs"]
pub mod deflate;
mod sessions;

pub use compression::compression;
pub use sessions::{imap_session, pop3_session, sasl};

use std::io::{Read, Write};
use std::path::Path;
use store::message::{Content, Part, Piece, Summary};

/// What is called with octets, and its name.
pub type Entrance = (&'static str, fn(&[u8]));

/// Every entrance.
pub const ENTRANCES: [Entrance; 10] = [
    ("imap_command", imap_command),
    ("imap_session", imap_session),
    ("pop3_session", pop3_session),
    ("message", message),
    ("headers", headers),
    ("control_files", control_files),
    ("names", names),
    ("sasl", sasl),
    ("urls", urls),
    ("compression", compression),
];

/// The IMAP command grammar and what cuts commands: the same commands however
/// the octets arrive.
pub fn imap_command(input: &[u8]) {
    use imapd::grammar::framing::{CommandBuffer, Limits, Need};
    let commands = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut buffer = CommandBuffer::new(Limits::after_login(1_000));
        let mut seen = Vec::new();
        for piece in pieces {
            buffer.push(piece);
            loop {
                match buffer.poll() {
                    Need::More => break,
                    Need::Hopeless => return seen,
                    Need::Complete(command) => {
                        for reading in readings() {
                            let _ = imapd::grammar::parse_as(&command, reading);
                        }
                        seen.push(command);
                    }
                    Need::AppendLiteral { .. } => buffer.refuse_append(),
                    _ => {}
                }
            }
        }
        seen
    };
    let whole = commands(&mut std::iter::once(input));
    let cut = commands(&mut input.chunks(1));
    assert_eq!(whole, cut, "commands depend on how octets arrive");
}

/// Every way a command is read.
fn readings() -> impl Iterator<Item = imapd::grammar::Reading> {
    use imapd::dialect::Revision;
    use imapd::grammar::reading::{CharsetArgument, Names, Reading, UidBounds};
    let newest = Reading {
        names: Names::Utf8,
        charset: CharsetArgument::Refused,
        revision: Revision::Rev2,
        uid_bounds: UidBounds::Known,
    };
    let oldest = Reading::default();
    let between = Reading {
        names: Names::Either,
        ..oldest
    };
    [oldest, between, newest].into_iter()
}

fn check_part(message: &store::OpenedMessage, summary: &Summary, path: &mut Vec<u32>, part: &Part) {
    assert!(part.header_start <= part.body_start && part.body_start <= part.end);
    let joined = store::message::join_parameters(&part.parameters);
    assert!(joined.len() <= part.parameters.len());
    for piece in [
        Piece::Whole,
        Piece::Header,
        Piece::Text,
        Piece::Mime,
        Piece::Body,
    ] {
        if let Some(extent) = summary.locate(path, piece) {
            let mut octets = Vec::new();
            message
                .reader(extent, 0, u64::MAX)
                .expect("readable")
                .read_to_end(&mut octets)
                .expect("readable");
            assert_eq!(octets.len() as u64, extent.octets, "{path:?} {piece:?}");
        }
    }
    if let Some((extent, Some(encoding))) = summary.content(path) {
        let reader = message.decoded(extent, encoding, 0).expect("readable");
        let measured = reader.measure(u64::MAX).expect("readable");
        let mut octets = Vec::new();
        let mut whole = reader;
        whole.read_to_end(&mut octets).expect("readable");
        assert_eq!(octets.len() as u64, measured.octets, "{path:?}");
        assert_eq!(octets.contains(&0), measured.holds_nul, "{path:?}");
        let first = measured.octets / 2;
        let mut rest = Vec::new();
        let mut from = message.decoded(extent, encoding, first).expect("readable");
        from.read_to_end(&mut rest).expect("readable");
        let skipped = usize::try_from(first).expect("in memory");
        assert_eq!(rest, octets[skipped..], "{path:?}");
    }
    let parts: &[Part] = match &part.content {
        Content::Multipart(parts) => parts,
        Content::Message(inner) => std::slice::from_ref(&inner.1),
        Content::Single => &[],
    };
    for (number, part) in (1..).zip(parts.iter().take(8)) {
        path.push(number);
        check_part(message, summary, path, part);
        path.pop();
    }
}

/// Message structure: announced sizes are those read, replies are well-formed.
pub fn message(input: &[u8]) {
    let mut file = tempfile::tempfile().expect("temporary file");
    file.write_all(input).expect("write");
    let message = store::OpenedMessage::from_file(file).expect("a regular file");
    let summary = Summary::read(&message).expect("readable");
    let whole = message.whole().expect("readable");
    assert_eq!(summary.size_octets, whole.octets);
    assert!(summary.preview.chars().count() <= 200);
    assert!(!summary.preview.contains(char::is_control));
    check_part(&message, &summary, &mut Vec::new(), &summary.root);
    check_ascii_form(&message, &summary, whole.octets);
    let _ = store::message::text_contains(
        &message,
        &summary,
        "needle",
        (
            store::message::WithHeaders::Yes,
            store::message::Folding::Full,
        ),
    );
}

/// A surrogate is as long as it says, and its header ASCII in whole lines.
fn check_ascii_form(message: &store::OpenedMessage, summary: &Summary, octets: u64) {
    let form = message.ascii_form(summary).expect("readable");
    let store::message::AsciiForm::Surrogate(surrogate) = form else {
        return;
    };
    let growth = surrogate.growth();
    let mut sent = Vec::new();
    let mut reader = surrogate.reader(message).expect("readable");
    reader.read_to_end(&mut sent).expect("readable");
    let promised = i64::try_from(octets).expect("octets") + growth;
    assert_eq!(i64::try_from(sent.len()), Ok(promised));
    let mut file = tempfile::tempfile().expect("temporary file");
    file.write_all(&sent).expect("write");
    let again = store::OpenedMessage::from_file(file).expect("a regular file");
    let read = Summary::read(&again).expect("readable");
    let header = usize::try_from(read.root.body_start).expect("a header");
    let is_text = std::str::from_utf8(&sent[..header]).is_ok();
    assert!(
        !is_text || sent[..header].is_ascii(),
        "a header in UTF-8 is left"
    );
}

/// Header fields, encoded words, dates.
pub fn headers(input: &[u8]) {
    let _ = store::message::header_values(input, b"subject");
    let listed = store::message::select_fields(input, &[b"to"], true);
    // Whole lines; without fields and without an empty line there is nothing.
    assert!(listed.is_empty() || listed.ends_with(b"\n"));
    let text = store::message::decode_header(input);
    let _ = store::message::fold(&text);
    let _ = store::message::parse_date(input);
    let (base, _) = imapd::order::base_subject(&text);
    assert!(
        base.len() <= text.len(),
        "a base subject is a part of the subject"
    );
    for id in imapd::order::message_ids(input) {
        assert!(id.contains(&b'@') && id.len() < 999);
    }
}

/// The control files beside a mailbox: any content is read, and mail stays.
pub fn control_files(input: &[u8]) {
    const FILES: [&str; 11] = [
        "dovecot-uidlist",
        "dovecot-keywords",
        "subscriptions",
        "courierimapuiddb",
        "courierpop3dsizelist",
        "courierimapsubscribed",
        "dovecot-uidvalidity",
        "dovecot-attributes",
        "pillarbox-metadata",
        "pillarbox-server-metadata",
        "pillarbox-special-use",
    ];
    let Some((which, content)) = input.split_first() else {
        return;
    };
    let directory = tempfile::tempdir().expect("directory");
    let write = |path: &Path, content: &[u8]| std::fs::write(path, content).expect("write");
    for folder in ["cur", "new", "tmp"] {
        std::fs::create_dir(directory.path().join(folder)).expect("directory");
    }
    write(
        &directory.path().join("cur/1.a.b:2,Sa"),
        b"Subject: x\n\ny\n",
    );
    write(
        &directory
            .path()
            .join(FILES[usize::from(*which) % FILES.len()]),
        content,
    );
    let layout = store::Layout {
        delimiter: '/',
        prefix: String::new(),
    };
    let account = store::Account::open(directory.path(), layout).expect("opens");
    let _ = account.list().expect("lists");
    let mailbox = account
        .mailbox(&store::MailboxName::inbox())
        .expect("opens");
    let snapshot = mailbox.sync().expect("syncs");
    assert_eq!(snapshot.len(), 1, "the message stays");
    let listing = mailbox.unique_id_listing(&snapshot).expect("lists");
    let shown = listing[0].1.as_bytes();
    assert!(
        (1..=70).contains(&shown.len()) && shown.iter().all(|octet| (0x21..=0x7e).contains(octet)),
        "{shown:?}"
    );
    let inbox = store::MailboxName::inbox();
    for of in [store::Annotated::Server, store::Annotated::Mailbox(&inbox)] {
        account.metadata(of, "anna").expect("metadata is read");
    }
    account.special_use(&inbox).expect("uses are read");
    let _ = account.create(&account.parse_name("x").expect("name"), None);
}

/// Modified UTF-7 and mailbox names.
pub fn names(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Some(name) = store::modified_utf7::decode(&text) {
        assert_eq!(
            store::modified_utf7::encode(&name),
            text,
            "only the one form is taken"
        );
    }
    let encoded = store::modified_utf7::encode(&text);
    assert_eq!(
        store::modified_utf7::decode(&encoded).as_deref(),
        Some(&*text)
    );
}

/// URLs of messages, and of what they lack.
pub fn urls(input: &[u8]) {
    if let Some(url) = imapd::grammar::url::MessageUrl::parse(input) {
        assert!(url.mailbox.is_none_or(|name| !name.is_empty()));
    }
}
