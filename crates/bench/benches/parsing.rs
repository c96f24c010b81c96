//! Parsers: commands, message structure, header fields.

use divan::{Bencher, black_box};
use imapd::grammar::framing::{CommandBuffer, Limits, Need};
use std::fmt::Write as _;
use std::io::Write as _;
use store::OpenedMessage;
use store::message::Summary;

fn main() {
    divan::main();
}

/// Frames and parses one command.
#[divan::bench(args = [
    "a NOOP\r\n",
    "a UID FETCH 1:*,5,7:9 (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (DATE FROM)])\r\n",
    "a UID SEARCH RETURN (ALL) OR (FROM anna SUBJECT \"x y\") (NOT SEEN SINCE 1-Jan-2026 LARGER 1000)\r\n",
])]
fn command(line: &str) {
    let mut buffer = CommandBuffer::new(Limits::after_login(1_000));
    buffer.push(black_box(line.as_bytes()));
    let Need::Complete(command) = buffer.poll() else {
        panic!("no whole command");
    };
    let _ = black_box(imapd::grammar::parse(&command));
}

/// A message of so many parts, in a file.
fn message(parts: usize) -> OpenedMessage {
    let mut text = String::from(
        "From: Anna <anna@example.org>\nTo: ben@example.org, Carla <carla@example.org>\nSubject: =?utf-8?Q?caf=C3=A9?=\n\
         Date: Mon, 2 Nov 2026 10:00:00 +0000\nMessage-ID: <1@example.org>\nMIME-Version: 1.0\n\
         Content-Type: multipart/mixed; boundary=\"=_b\"\n\n",
    );
    for number in 0..parts {
        let line = "a line of text that is about as long as lines are in mail\n".repeat(50);
        let _ = write!(
            text,
            "--=_b\nContent-Type: text/plain; charset=utf-8; name=\"{number}\"\n\n{line}\n"
        );
    }
    text.push_str("--=_b--\n");
    let mut file = tempfile::tempfile().expect("temporary file");
    file.write_all(text.as_bytes()).expect("written");
    OpenedMessage::from_file(file).expect("a regular file")
}

/// Envelope and structure of a message of so many parts.
#[divan::bench(args = [1, 10, 100])]
fn structure(bencher: Bencher, parts: usize) {
    let message = message(parts);
    bencher.bench_local(|| Summary::read(black_box(&message)).expect("readable"));
}

/// Looking through the text of ten parts.
#[divan::bench]
fn text(bencher: Bencher) {
    let message = message(10);
    let summary = Summary::read(&message).expect("readable");
    bencher.bench_local(|| {
        store::message::text_contains(
            &message,
            &summary,
            black_box("zebrafinch"),
            (
                store::message::WithHeaders::No,
                store::message::Folding::Full,
            ),
        )
    });
}

/// The fields that a client lists by.
#[divan::bench]
fn fields() -> Vec<u8> {
    let header = "Received: from a\n\tby b\n".repeat(5)
        + "Subject: x\nFrom: a@b\nTo: c@d\nDate: Mon, 2 Nov 2026 10:00:00 +0000\n\n";
    store::message::select_fields(
        black_box(header.as_bytes()),
        &[b"subject", b"from", b"date"],
        true,
    )
}
