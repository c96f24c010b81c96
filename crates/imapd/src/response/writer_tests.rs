//! What is written, and that nothing breaks out of it.

use super::*;

fn written(write: impl FnOnce(&mut Writer)) -> String {
    let mut writer = Writer::new();
    write(&mut writer);
    String::from_utf8_lossy(writer.octets()).into_owned()
}

type Write = fn(&mut Writer, Box<dyn Read + Send>);

#[test]
fn what_is_taken_back_leaves_nothing() {
    let reader = || Box::new(&b"reader"[..]) as Box<dyn Read + Send>;
    let rests: [Write; 4] = [
        |_, _| {},
        |writer, _| {
            writer.text("rest");
        },
        |writer, reader| {
            writer.reader(reader).text("rest");
        },
        |writer, reader| {
            writer.text("more").reader(reader);
        },
    ];
    let begins: [Write; 4] = [
        |_, _| {},
        |writer, _| {
            writer.text("begin");
        },
        |writer, reader| {
            writer.text("begin").reader(reader);
        },
        |writer, reader| {
            writer.reader(reader).text("begin");
        },
    ];
    for begin in begins {
        for rest in rests {
            let (mut writer, mut expected) = (Writer::new(), Writer::new());
            begin(&mut writer, reader());
            begin(&mut expected, reader());
            let mark = writer.mark();
            rest(&mut writer, reader());
            writer.rewind(mark);
            assert_eq!(all(writer), all(expected));
        }
    }
}

fn all(writer: Writer) -> String {
    let mut text = String::new();
    for segment in writer.into_segments() {
        match segment {
            Segment::Octets(octets) => text.push_str(&String::from_utf8_lossy(&octets)),
            Segment::Reader(mut reader) => {
                reader.read_to_string(&mut text).expect("readable");
            }
        }
        text.push('|');
    }
    text
}

#[test]
fn strings_cannot_break_out() {
    assert_eq!(
        written(|w| {
            w.string(b"a\"\\b");
        }),
        r#""a\"\\b""#
    );
    assert_eq!(
        written(|w| {
            w.string(b"a\r\nb\0");
        }),
        "{4}\r\na\r\nb"
    );
    assert_eq!(
        written(|w| {
            w.string(b"");
        }),
        "\"\""
    );
    assert_eq!(
        written(|w| {
            w.nstring(None);
        }),
        "NIL"
    );
    assert_eq!(
        written(|w| {
            w.text("a\r\n\u{e4}");
        }),
        "a???"
    );
    assert_eq!(
        written(|w| {
            w.mailbox("nil");
        }),
        "\"nil\""
    );
    assert_eq!(
        written(|w| {
            w.mailbox("a b\u{e4}");
        }),
        "\"a b&AOQ-\""
    );
    assert_eq!(
        written(|w| {
            w.flags(
                Flags::SEEN.with(Flags::DRAFT),
                Recent::Yes,
                ["$A", "b c", ""],
            );
        }),
        "(\\Seen \\Draft \\Recent $A)"
    );
}

#[test]
fn sets_and_dates() {
    assert_eq!(show_set([1, 2, 3, 5, 7, 8]), "1:3,5,7:8");
    assert_eq!(show_set([u32::MAX - 1, u32::MAX]), "4294967294:4294967295");
    assert_eq!(show_set([]), "");
    assert_eq!(
        show_internal_date(InternalDate(837_596_665)),
        "\"17-Jul-1996 09:44:25 +0000\""
    );
    assert_eq!(
        show_internal_date(InternalDate(0)),
        "\" 1-Jan-1970 00:00:00 +0000\""
    );
    assert_eq!(show_internal_date(InternalDate(i64::MAX)).len(), 28);
    assert_eq!(show_internal_date(InternalDate(i64::MIN)).len(), 28);
}

#[test]
fn lists_a_mailbox() {
    assert_eq!(
        written(|w| {
            w.list(
                ListResponse::List,
                &["\\HasNoChildren", "\\Sent"],
                Some('/'),
                "a/b",
                ChildInfo::Subscribed,
            );
        }),
        "* LIST (\\HasNoChildren \\Sent) \"/\" a/b (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n"
    );
}

#[test]
fn what_is_not_ascii_is_quoted_for_who_takes_it() {
    let utf8 = Dialect {
        text: Text::Utf8,
        ..Dialect::default()
    };
    let written = |dialect, octets: &[u8]| {
        let mut writer = Writer::speaking(dialect);
        writer.string(octets);
        String::from_utf8_lossy(writer.octets()).into_owned()
    };
    let umlaut = "\u{e4}\"".as_bytes();
    assert_eq!(written(Dialect::default(), umlaut), "{3}\r\n\u{e4}\"");
    assert_eq!(written(utf8, umlaut), "\"\u{e4}\\\"\"");
    for literal in [&b"\xe4"[..], b"\xc3\xa4\r\n", "\u{85}".as_bytes()] {
        assert!(written(utf8, literal).starts_with('{'), "{literal:?}");
    }
    let mut writer = Writer::speaking(utf8);
    writer.mailbox("a&b").text(" ").mailbox("\u{e4}");
    assert_eq!(writer.octets(), "a&b \"\u{e4}\"".as_bytes());
}

#[test]
fn messages_are_named_as_the_client_knows_them() {
    let written = |messages, revision| {
        let mut writer = Writer::speaking(Dialect {
            messages,
            revision,
            ..Dialect::default()
        });
        let uid = Uid::new(25996).expect("not 0");
        writer.fetch(7, uid).text("FLAGS ");
        writer.flags(Flags::SEEN, Recent::Yes, []);
        String::from_utf8_lossy(writer.octets()).into_owned()
    };
    assert_eq!(
        written(Messages::BySequence, Revision::Rev1),
        "* 7 FETCH (FLAGS (\\Seen \\Recent)"
    );
    assert_eq!(
        written(Messages::ByUid, Revision::Rev2),
        "* 25996 UIDFETCH (FLAGS (\\Seen)"
    );
}
