//! Commands cut at every octet, refusals, messages.

use super::*;

/// Polls all events; accepts messages.
fn events(buffer: &mut CommandBuffer, out: &mut Vec<Need>) {
    loop {
        let need = buffer.poll();
        match &need {
            Need::More => return,
            Need::AppendLiteral { .. } => buffer.accept_append(),
            Need::AppendOctets(octets) => {
                if let Some(Need::AppendOctets(before)) = out.last_mut() {
                    before.extend_from_slice(octets);
                    continue;
                }
            }
            _ => {}
        }
        if need == Need::Hopeless {
            if out.last() != Some(&need) {
                out.push(need);
            }
            return;
        }
        out.push(need);
    }
}

fn run(input: &[u8], limits: Limits) -> Vec<Need> {
    let mut whole = Vec::new();
    let mut buffer = CommandBuffer::new(limits);
    buffer.push(input);
    events(&mut buffer, &mut whole);
    for cut in 0..=input.len() {
        let mut parts = Vec::new();
        let mut buffer = CommandBuffer::new(limits);
        buffer.push(&input[..cut]);
        events(&mut buffer, &mut parts);
        buffer.push(&input[cut..]);
        events(&mut buffer, &mut parts);
        assert_eq!(parts, whole, "cut at {cut}");
    }
    let mut single = Vec::new();
    let mut buffer = CommandBuffer::new(limits);
    for octet in input {
        buffer.push(std::slice::from_ref(octet));
        events(&mut buffer, &mut single);
    }
    assert_eq!(single, whole);
    whole
}

fn complete(text: &str) -> Need {
    Need::Complete(text.as_bytes().to_vec())
}

#[test]
fn cuts_commands_with_literals() {
    let got = run(
        b"a NOOP\r\nb LOGIN {3}\r\nfoo {3+}\r\nb\r\n\r\nc NOOP\n",
        Limits::before_login(),
    );
    assert_eq!(
        got,
        [
            complete("a NOOP"),
            Need::Continuation,
            complete("b LOGIN {3}\r\nfoo {3+}\r\nb\r\n"),
            complete("c NOOP"),
        ]
    );
}

#[test]
fn streams_messages() {
    let got = run(
        b"a APPEND {5+}\r\nINBOX (\\Seen) {6+}\r\nhi\r\n\r\n {2}\r\nyo\r\nb NOOP\r\n",
        Limits::after_login(10),
    );
    assert_eq!(
        got,
        [
            Need::AppendLiteral {
                command: b"a APPEND {5+}\r\nINBOX (\\Seen) {6+}\r\n".to_vec(),
                octets: 6,
                sync: Sync::Comes
            },
            Need::AppendOctets(b"hi\r\n\r\n".to_vec()),
            Need::AppendLiteral {
                command: b"a APPEND {5+}\r\nINBOX (\\Seen) {6+}\r\n {2}\r\n".to_vec(),
                octets: 2,
                sync: Sync::Waits
            },
            Need::AppendOctets(b"yo".to_vec()),
            complete("a APPEND {5+}\r\nINBOX (\\Seen) {6+}\r\n {2}\r\n"),
            complete("b NOOP"),
        ]
    );
}

#[test]
fn parts_are_messages_and_urls_are_not() {
    let begin = "a UID REPLACE 1 Drafts CATENATE (URL {5+}\r\n/a;/b TEXT {3+}\r\n";
    let got = run(
        format!("{begin}one URL /c TEXT {{4}}\r\ntwo\n)\r\nb APPEND URL {{2+}}\r\nhi\r\n")
            .as_bytes(),
        Limits::after_login(10),
    );
    let announced = |command: &str, octets, sync| Need::AppendLiteral {
        command: command.as_bytes().to_vec(),
        octets,
        sync,
    };
    let second = format!("{begin} URL /c TEXT {{4}}\r\n");
    assert_eq!(
        got,
        [
            announced(begin, 3, Sync::Comes),
            Need::AppendOctets(b"one".to_vec()),
            announced(&second, 4, Sync::Waits),
            Need::AppendOctets(b"two\n".to_vec()),
            complete(&format!("{second})")),
            announced("b APPEND URL {2+}\r\n", 2, Sync::Comes),
            Need::AppendOctets(b"hi".to_vec()),
            complete("b APPEND URL {2+}\r\n"),
        ]
    );
}

#[test]
fn swallows_what_it_refuses() {
    let refused = |tag: &str, refusal| Need::Refused {
        tag: Some(tag.to_owned()),
        refusal,
    };
    let got = run(
        b"a APPEND x {11+}\r\nz LOGOUT\r\n1 {9+}\r\ny LOGOUT\n\r\nb NOOP\r\nc APPEND x {11}\r\nd NOOP\r\n",
        Limits::after_login(10),
    );
    assert_eq!(
        got,
        [
            refused("a", Refusal::MessageTooBig),
            complete("b NOOP"),
            refused("c", Refusal::MessageTooBig),
            complete("d NOOP"),
        ]
    );
    let limits = Limits {
        line_octets: 40,
        ..Limits::before_login()
    };
    let mut input = b"a ".to_vec();
    input.extend(std::iter::repeat_n(b'x', 200));
    input.extend_from_slice(
        b" {10+}\r\nz LOGOUT\r\n\r\nb NOOP\r\nc SELECT {3}\r\nd LOGIN {2000}\r\n",
    );
    assert_eq!(
        run(&input, limits),
        [
            refused("a", Refusal::LineTooLong),
            complete("b NOOP"),
            refused("c", Refusal::NotBeforeLogin),
            refused("d", Refusal::LiteralTooBig),
        ]
    );
    let got = run(
        b"a LOGIN {99999999999999999999999+}\r\n",
        Limits::before_login(),
    );
    assert_eq!(got, [Need::Hopeless]);
    let got = run(
        b"a LOGIN {99999999999999999999999}\r\n",
        Limits::before_login(),
    );
    assert_eq!(got, [refused("a", Refusal::LiteralTooBig)]);
}

#[test]
fn what_does_not_wait_is_bounded() {
    let refused = |tag: &str| Need::Refused {
        tag: Some(tag.to_owned()),
        refusal: Refusal::NotAsked,
    };
    let limits = |unasked_octets| Limits {
        unasked_octets,
        ..Limits::after_login(10)
    };
    let input = b"a SELECT {3+}\r\nabc\r\nb SELECT {4+}\r\nabcd {1+}\r\nz\r\nc SELECT {4}\r\nabcd\r\nd APPEND x {4+}\r\nabcd\r\n";
    assert_eq!(
        run(input, limits(Some(3))),
        [
            complete("a SELECT {3+}\r\nabc"),
            refused("b"),
            Need::Continuation,
            complete("c SELECT {4}\r\nabcd"),
            refused("d"),
        ]
    );
    assert_eq!(
        run(b"a SELECT {0+}\r\n\r\nb NOOP\r\n", limits(None)),
        [refused("a"), complete("b NOOP")]
    );
    let big = b"a APPEND x {9+}\r\n123456789\r\n";
    assert_eq!(run(big, limits(Some(u64::MAX))).len(), 3);
}

#[test]
fn refusing_a_message_swallows_the_command() {
    let mut buffer = CommandBuffer::new(Limits::after_login(100));
    buffer.push(b"a APPEND x {9+}\r\nz LOGOUT\n {3+}\r\nabc\r\nb NOOP\r\n");
    assert!(matches!(
        buffer.poll(),
        Need::AppendLiteral { octets: 9, .. }
    ));
    buffer.refuse_append();
    assert_eq!(buffer.poll(), complete("b NOOP"));
    buffer.push(b"c APPEND x {9}\r\n");
    assert!(matches!(
        buffer.poll(),
        Need::AppendLiteral { octets: 9, .. }
    ));
    buffer.refuse_append();
    buffer.push(b"d NOOP\r\n");
    assert_eq!(buffer.poll(), complete("d NOOP"));
}

#[test]
fn takes_plain_lines() {
    let mut buffer = CommandBuffer::new(Limits::before_login());
    buffer.push(b"DO");
    assert_eq!(buffer.poll_line(), Line::More);
    buffer.push(b"NE\r\nx {3}\r\n");
    assert_eq!(buffer.poll_line(), Line::Whole(b"DONE".to_vec()));
    assert_eq!(buffer.poll_line(), Line::Whole(b"x {3}".to_vec()));
    buffer.push(&[b'x'; 9000]);
    assert_eq!(buffer.poll_line(), Line::TooLong);
}

#[test]
fn brief_commands_are_known_by_their_first_line() {
    let is = |octets: &[u8]| {
        let mut buffer = CommandBuffer::new(Limits::after_login(100));
        buffer.push(octets);
        match buffer.brief() {
            None => "no".to_owned(),
            Some(Brief::Here) => "here".to_owned(),
            Some(Brief::Opens(name)) => String::from_utf8_lossy(name).into_owned(),
        }
    };
    for line in [
        "a noop",
        "a FETCH 1 FLAGS",
        "a UID store 1 FLAGS ()",
        "x IDLE",
    ] {
        assert_eq!(is(format!("{line}\r\n").as_bytes()), "here", "{line}");
        // It may be another when all of it is here.
        assert_eq!(is(line.as_bytes()), "no", "{line}");
    }
    for line in [
        "a SELECT INBOX",
        "a examine \"INBOX\"",
        "a STATUS INBOX (MESSAGES)",
    ] {
        assert_eq!(is(format!("{line}\r\n").as_bytes()), "INBOX", "{line}");
    }
    assert_eq!(is(b"a SELECT {5}\r\n"), "{5}");
    for line in [
        "",
        "a",
        "a UID",
        "a SEARCH ALL",
        "a LIST \"\" *",
        "a APPEND x {3}",
        "DONE",
    ] {
        assert_eq!(is(format!("{line}\r\n").as_bytes()), "no", "{line}");
    }
    let mut buffer = CommandBuffer::new(Limits::after_login(100));
    buffer.push(b"a LOGIN {3}\r\n");
    assert_eq!(buffer.poll(), Need::Continuation);
    buffer.push(b"a NOOP\r\n");
    assert_eq!(buffer.brief(), None);
}
