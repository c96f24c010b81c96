//! Commands as RFC 3501 and its extensions show them, and wrong ones.

use super::super::*;
use super::*;

fn read(text: &str) -> Command {
    match parse(text.as_bytes()) {
        Ok(tagged) => tagged.command,
        Err(malformed) => panic!("{text}: {malformed:?}"),
    }
}

fn shown(text: &str) -> String {
    format!("{:?}", read(text))
}

fn reply(text: &[u8]) -> String {
    let malformed = parse(text).expect_err("must be refused");
    assert_eq!(malformed.tag.as_deref(), Some("a"));
    malformed.reply.text()
}

#[test]
fn reads_what_clients_send() {
    for text in [
        "a CAPABILITY",
        "a noop  ",
        "a ID (\"name\" \"x\" \"version\" NIL)",
        "a id nil",
        "a LOGIN mrc secret",
        "a LOGIN {3}\r\nmrc {6+}\r\nse\ncre",
        "a ENABLE CONDSTORE X-GOOD",
        "a CREATE Sent (USE (\\Sent))",
        "a LIST \"\" %",
        "a LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (\"INBOX\" Sent/%) RETURN (CHILDREN STATUS (MESSAGES SIZE))",
        "a list (subscribed) \"\" \"*\"",
        "a LIST \"\" \"\"",
        "a LSUB \"#news.\" \"comp.mail.*\"",
        "a STATUS blurdybloop (UIDNEXT MESSAGES)",
        "a SELECT INBOX (CONDSTORE)",
        "a SELECT INBOX (QRESYNC (67890007 20050715194045000 41,43:211,214:541 (1,5 41,47)))",
        "a SELECT INBOX (QRESYNC (67890007 90060115194045000))",
        "a APPEND saved-messages (\\Seen $Label1) \"17-Jul-1996 02:44:25 -0700\" {310}\r\n",
        "a APPEND x {1+}\r\n (\\Flagged) {2}\r\n ",
        "a FETCH 2:4 ALL",
        "a FETCH 1 (FLAGS BODY[HEADER.FIELDS (DATE FROM)])",
        "a FETCH 1 (BODY.PEEK[1.2.HEADER.FIELDS.NOT (\"x\" y)]<0.2048> BODY[4.1.MIME] BODY[]<5.1>)",
        "a UID FETCH 300:500 (FLAGS) (CHANGEDSINCE 12345 VANISHED)",
        "a STORE 2:4 +FLAGS (\\Deleted)",
        "a STORE 1 (UNCHANGEDSINCE 12121230045) +FLAGS.SILENT \\Seen kw",
        "a UID STORE 1:* +Flags ()",
        "a UID COPY 2:4 \"MEETING\"",
        "a MOVE $ x",
        "a UID EXPUNGE 3000:3002",
        "a SEARCH FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"",
        "a SEARCH CHARSET UTF-8 TEXT {6}\r\n\u{43f}\u{440}\u{438}",
        "a SEARCH RETURN (MIN COUNT) OR (SUBJECT a BODY b) UID 1:3,*",
        "a SEARCH RETURN () $ 1:* UNKEYWORD $Junk",
        "a UID SEARCH MODSEQ \"/flags/\\\\draft\" all 620162338",
        "a SEARCH CHARSET utf-8 (HEADER Message-ID \"\") OLDER 5 LARGER 10",
        "a AUTHENTICATE plain AHRlc3QAdGVzdA==",
        "a AUTHENTICATE SCRAM-SHA-256",
        "a AUTHENTICATE EXTERNAL =",
        "a]b NOOP",
    ] {
        read(text);
    }
}

#[test]
fn reads_values() {
    assert!(matches!(
        read("a LOGIN joe \"a\\\"b\""),
        Command::Login { user, password } if user == b"joe" && password.expose() == b"a\"b"
    ));
    let Command::Append { mailbox, messages } =
        read("a APPEND {3}\r\nA b (\\Seen kw KW) {7}\r\n \"1-Jan-1970 00:00:09 +0000\" {8+}\r\n")
    else {
        panic!("not APPEND");
    };
    assert_eq!((mailbox.as_str(), messages.len()), ("A b", 2));
    assert_eq!(messages[0].flags, Flags::SEEN);
    assert_eq!(messages[0].keywords.len(), 1);
    let eight = AppendContent::Literal {
        octets: 8,
        literal: Literal::Text,
    };
    assert_eq!(messages[1].content, eight);
    assert_eq!(messages[1].date, Some(store::InternalDate(9)));
    let Command::Fetch(fetch) = read("a FETCH 1 full") else {
        panic!("not FETCH");
    };
    assert_eq!(fetch.items.len(), 5);
    let Command::Fetch(fetch) = read("a UID FETCH 1 (UID BODY.PEEK[2.3.TEXT]<5.6>)") else {
        panic!("not FETCH");
    };
    assert_eq!(
        fetch.items[1],
        FetchItem::Section(Section {
            path: vec![2, 3],
            text: SectionText::Text,
            peek: Peek::Yes,
            partial: Some((5, 6)),
        })
    );
    assert_eq!(
        shown("a SEARCH 1 OR NOT SEEN SUBJECT x"),
        "Search(Search { numbers: Sequence, returns: None, update_items: [], key: And([\
         Sequence(Ranges([(Number(1), Number(1))])), \
         Or(Not(Flagged(Flags(8))), Header { name: \"Subject\", value: \"x\" })]) })"
    );
    assert!(shown("a SEARCH CHARSET ISO-8859-1 BODY \"x\"").contains("Body(\"x\")"));
    assert!(matches!(
        parse(b"a SEARCH CHARSET latin1 BODY {1}\r\n\xe4").map(|tagged| tagged.command),
        Ok(Command::Search(Search { key: SearchKey::Body(text), .. })) if text == "\u{e4}"
    ));
    assert!(
        matches!(read("a DELETE &ZeVnLIqe-"), Command::Delete(name) if name == "\u{65e5}\u{672c}\u{8a9e}")
    );
}

#[test]
fn refuses_what_is_wrong() {
    for text in [
        "a",
        "a ",
        "a FOO",
        "a NOOP x",
        "a LOGIN joe",
        "a LOGIN joe \"x",
        "a LOGIN joe {5}\r\nabc",
        "a SELECT",
        "a SELECT x (FOO)",
        "a SELECT (x)",
        "a SELECT \u{e4}",
        "a FETCH 0 FLAGS",
        "a FETCH 1 ()",
        "a FETCH 1 (FLAGS",
        "a FETCH 1 BODY[MIME]",
        "a FETCH 1 BODY[0]",
        "a FETCH 1 BODY[1.]",
        "a FETCH 1 BODY[]<1.0>",
        "a FETCH 1 (FLAGS) (VANISHED)",
        "a FETCH 1,, FLAGS",
        "a STORE 1 FLAGS",
        "a STORE 1 FLAGS (\\Foo)",
        "a STORE 1 FLAGS.LOUD (x)",
        "a SEARCH",
        "a SEARCH (ALL",
        "a SEARCH FOO",
        "a SEARCH SINCE 31-Feb-2020",
        "a SEARCH YOUNGER 0",
        "a STATUS x ()",
        "a LIST (RECURSIVEMATCH) \"\" *",
        "a LIST \"\" * RETURN (FOO)",
        "a UID NOOP",
        "a APPEND x (\\Seen)",
        "a SELECT INBOX (QRESYNC (0 1))",
    ] {
        assert!(reply(text.as_bytes()).starts_with("BAD "), "{text}");
    }
    assert!(reply(b"a SEARCH CHARSET klingon ALL").starts_with("NO [BADCHARSET ("));
    assert!(reply(b"a SEARCH CHARSET UTF-8 BODY {1}\r\n\xff").starts_with("NO [BADCHARSET ("));
    assert!(reply(b"a CREATE x (USE (\\Foo))").starts_with("NO [USEATTR]"));
    for untagged in [&b""[..], b"* NOOP", b"+ NOOP", b"a\0 NOOP", b" NOOP"] {
        assert_eq!(parse(untagged).expect_err("refused").tag, None);
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("a SEARCH {}ALL{}", "(".repeat(depth), ")".repeat(depth));
    read(&nested(100));
    assert!(reply(nested(101).as_bytes()).starts_with("BAD"));
    assert!(reply(format!("a SEARCH {}ALL", "NOT ".repeat(9000)).as_bytes()).starts_with("BAD"));
    assert!(reply(format!("a SEARCH {}ALL", "OR ".repeat(9000)).as_bytes()).starts_with("BAD"));
}

#[test]
fn keys_that_read_whole_messages_are_few() {
    let texts = |count: usize| format!("a SEARCH {}ALL", "NOT TEXT x BODY y ".repeat(count / 2));
    read(&texts(100));
    assert!(reply(texts(102).as_bytes()).starts_with("BAD"));
}

#[test]
fn reads_as_the_client_enabled() {
    use crate::dialect::Revision;
    use crate::grammar::reading::{CharsetArgument, Names, Reading, UidBounds};
    let utf8 = Reading {
        names: Names::Utf8,
        charset: CharsetArgument::Refused,
        revision: Revision::Rev2,
        uid_bounds: UidBounds::Known,
    };
    let offered = Reading {
        names: Names::Either,
        ..Reading::default()
    };
    let is_read = |text: &[u8], reading| parse_as(text, reading).is_ok();
    for (text, before, after) in [
        (&b"a SELECT \"\xc3\xa4\""[..], true, true),
        (b"a SELECT {2}\r\n\xc3\xa4", true, true),
        (b"a SELECT \"\xe4\"", false, false),
        (b"a SELECT {1}\r\n\xe4", false, false),
        (b"a SELECT &AOQ-", true, true),
        (b"a SELECT a&b", false, true),
        (b"a SEARCH SUBJECT \"\xe4\"", false, false),
        (b"a SEARCH CHARSET UTF-8 ALL", true, false),
        (b"a SEARCH NEW", true, false),
        (b"a SEARCH OR SEEN OLD", true, false),
        (b"a STATUS x (RECENT)", true, false),
        (b"a LIST \"\" % RETURN (STATUS (RECENT))", true, false),
        (b"a UID SEARCH UIDAFTER 3", false, true),
        (b"a SEARCH UIDBEFORE 1", false, true),
        (b"a SEARCH UIDBEFORE *", false, false),
        (b"a APPEND x UTF8 (~{5}\r\n", false, true),
        (b"a APPEND x (\\Seen) utf8 (~{5+}\r\n)", false, true),
        (b"a APPEND x UTF8 ({5}\r\n)", false, false),
        (b"a APPEND x UTF8 (~{5}\r\n) x", false, false),
        (b"a UIDBATCHES 500", true, true),
        (b"a UIDBATCHES 500 1:2", true, true),
        (b"a UIDBATCHES 500 1:*", false, false),
        (b"a UIDBATCHES 0", false, false),
    ] {
        let shown = String::from_utf8_lossy(text);
        assert_eq!(is_read(text, offered), before, "{shown}");
        assert_eq!(is_read(text, utf8), after, "{shown}");
    }
    assert!(!is_read(b"a SELECT \"\xc3\xa4\"", Reading::default()));
    assert!(is_read(b"a LOGIN x \"\xe4\"", Reading::default()));
}

#[test]
fn catenated_parts() {
    let content = |text: &str| match read(text) {
        Command::Append { messages, .. } => messages.last().expect("one").content.clone(),
        Command::Replace(replace) => replace.message.content,
        _ => panic!("{text}"),
    };
    let parts = |list| AppendContent::Catenate {
        parts: vec![
            CatenatePart::Url(b"/a/;UID=1".to_vec()),
            CatenatePart::Text(42),
        ],
        list,
    };
    let open = "a APPEND x (\\Seen) CATENATE (URL /a/;UID=1 text {42}\r\n";
    assert_eq!(content(open), parts(PartList::Open));
    assert_eq!(content(&format!("{open})")), parts(PartList::Closed));
    let url = "a UID REPLACE 5 x CATENATE (URL {9}\r\n/a/;UID=1 TEXT {42+}\r\n )";
    assert_eq!(content(url), parts(PartList::Closed));
    let Command::Replace(replace) = read("a REPLACE * Drafts ~{5}\r\n") else {
        panic!("not REPLACE");
    };
    assert_eq!(
        (replace.number, replace.numbers),
        (Bound::Star, Numbers::Sequence)
    );
    let binary = AppendContent::Literal {
        octets: 5,
        literal: Literal::Binary,
    };
    assert_eq!(replace.message.content, binary);
    for wrong in [
        "a APPEND x CATENATE ()",
        "a APPEND x CATENATE URL y",
        "a APPEND x CATENATE (URL y",
        "a APPEND x CATENATE (TEXT ~{5}\r\n)",
        "a APPEND x CATENATE (TEXT {5}\r\n) y",
        "a APPEND x CATENATE (URL y) CATENATE (NONE z)",
        "a REPLACE 1:2 x {5}\r\n",
        "a REPLACE $ x {5}\r\n",
        "a REPLACE 0 x {5}\r\n",
        "a REPLACE 1 x {5}\r\n {6}\r\n",
        "a REPLACE 1 x",
    ] {
        assert!(parse(wrong.as_bytes()).is_err(), "{wrong}");
    }
    let many = "URL y ".repeat(251);
    assert!(parse(format!("a APPEND x CATENATE ({many})").as_bytes()).is_err());
}
