use super::*;
use crate::grammar::command::{Direction, SortCriterion, SortKey};
use crate::order::Sorting;
use crate::response::Writer;
use store::{Account, Flags, InternalDate, Layout, MailboxName};

/// A mailbox with these headers, which came a day after one another.
fn mailbox(directory: &std::path::Path, headers: &[String]) -> std::sync::Arc<Mailbox> {
    let layout = Layout {
        delimiter: '/',
        prefix: String::new(),
    };
    let account = Account::open(&directory.join("Maildir"), layout).expect("account");
    let mailbox = account.mailbox(&MailboxName::inbox()).expect("INBOX");
    for (day, header) in headers.iter().enumerate() {
        let mut incoming = mailbox.begin_append().expect("begun");
        let text = format!("{header}\r\ntext\r\n");
        incoming.write(text.as_bytes()).expect("written");
        let date = InternalDate(day as i64 * 86_400);
        incoming.describe(Flags::default(), Vec::new(), Some(date));
        mailbox.append(vec![incoming]).expect("appended");
    }
    mailbox
}

fn candidates(mailbox: &Mailbox) -> Vec<Candidate> {
    let snapshot = mailbox.sync().expect("synced");
    let rows = snapshot.rows();
    rows.map(|row| Candidate::of(&row, 100)).collect()
}

fn threaded(mailbox: &Mailbox, algorithm: ThreadAlgorithm) -> String {
    let candidates = candidates(mailbox);
    let numbers = candidates
        .iter()
        .map(|candidate| candidate.uid.get())
        .collect();
    let mut threading = Threading::new(candidates, algorithm, Comparator::default());
    while threading.step(mailbox).expect("threaded") == More::Follows {}
    let mut out = Writer::new();
    out.produced(threading.into_threads().numbered(numbers));
    String::from_utf8(out.into_octets()).expect("ASCII")
}

fn sorted(mailbox: &Mailbox, criteria: &[(SortKey, Direction)]) -> Vec<u32> {
    let criteria: Vec<SortCriterion> = criteria
        .iter()
        .map(|(key, direction)| SortCriterion {
            key: *key,
            direction: *direction,
        })
        .collect();
    let mut sorting = Sorting::new(candidates(mailbox), &criteria, Comparator::default());
    while sorting.step(mailbox).expect("sorted") == More::Follows {}
    sorting
        .into_sorted()
        .iter()
        .map(|place| place + 1)
        .collect()
}

/// A header: Subject, second of the Date, Message-ID and References in words.
fn header(subject: &str, second: u32, id: &str, references: &str) -> String {
    let references: Vec<String> = references
        .split_whitespace()
        .map(|id| format!("<{id}@x>"))
        .collect();
    let mut header = format!(
        "Subject: {subject}\r\nDate: 1 Jan 2026 10:00:{second:02} +0000\r\nMessage-ID: <{id}@x>\r\n"
    );
    if !references.is_empty() {
        header += &format!("References: {}\r\n", references.join(" "));
    }
    header
}

/// The same, made anew and with what was kept of it.
fn all_threads(headers: &[String]) -> [String; 3] {
    let directory = tempfile::tempdir().expect("directory");
    let mailbox = mailbox(directory.path(), headers);
    let threads = || {
        [
            ThreadAlgorithm::OrderedSubject,
            ThreadAlgorithm::References,
            ThreadAlgorithm::Refs,
        ]
        .map(|algorithm| threaded(&mailbox, algorithm))
    };
    let first = threads();
    assert_eq!(threads(), first);
    first
}

#[test]
fn subjects_and_references_make_threads() {
    let headers = [
        header("a", 1, "1", ""),
        header("Re: b", 3, "2", "gone other"),
        header("RE: A", 2, "3", "1"),
        header("b", 4, "4", "gone other"),
        header("Re: a", 5, "5", ""),
        header("", 6, "6", ""),
        header("", 7, "7", ""),
    ];
    let [ordered, references, refs] = all_threads(&headers);
    assert_eq!(ordered, "(1 (3)(5))(2 4)(6 7)");
    assert_eq!(references, "(1 (3)(5))((2)(4))(6)(7)");
    assert_eq!(refs, "(1 3)((2)(4))(5)(6)(7)");
}

#[test]
fn step_5_joins_threads_of_one_subject() {
    // Neither is a reply: one that is not there holds them.
    let headers = [header("s", 1, "1", ""), header("s", 2, "2", "")];
    assert_eq!(all_threads(&headers)[1], "((1)(2))");
    // A reply goes below what is none, even if that is younger.
    let headers = [
        header("Re: s", 1, "1", ""),
        header("s", 2, "2", ""),
        header("s (fwd)", 3, "3", ""),
    ];
    assert_eq!(all_threads(&headers)[1], "(2 (1)(3))");
    // Those that are not there become one.
    let headers = [
        header("s", 1, "1", "x"),
        header("t", 4, "2", "x"),
        header("Re: s", 2, "3", "y"),
        header("u", 3, "4", "y"),
        header("s", 5, "5", ""),
    ];
    assert_eq!(all_threads(&headers)[1], "((1)(3)(4)(2)(5))");
    // Two replies, and a third.
    let headers = [
        header("Re: s", 1, "1", ""),
        header("Re: s", 2, "2", ""),
        header("Re: s", 3, "3", ""),
    ];
    assert_eq!(all_threads(&headers)[1], "((1)(2)(3))");
}

#[test]
fn refs_has_the_newest_thread_last() {
    let headers = [
        header("a", 1, "1", ""),
        header("b", 2, "2", ""),
        header("b", 3, "3", ""),
        header("c", 4, "4", "1"),
        header("d", 0, "5", "1"),
    ];
    // Beside one another by the sent date, threads by when they came.
    assert_eq!(all_threads(&headers)[2], "(2)(3)(1 (5)(4))");
}

#[test]
fn messages_are_sorted_by_every_key() {
    use Direction::{Forward, Reverse};
    let directory = tempfile::tempdir().expect("directory");
    let headers = [
        "Subject: Re: Zebra\r\nFrom: \"B B\" <zoe@x>\r\nTo: c@x\r\nDate: 3 Jan 2026 00:00:00 +0000\r\n",
        "Subject: [list] apple\r\nFrom: anna@x\r\nTo: B <z@x>\r\nCc: a@x\r\nDate: 4 Jan 2026 01:00:00 +0200\r\n",
        "Subject: =?utf-8?q?=C3=84pfel?=\r\nFrom: =?utf-8?q?=C3=84nn?= <bob@x>\r\nDate: 3 Jan 2026 23:30:00 +0000\r\n",
        "X-Much: nothing\r\n",
    ]
    .map(str::to_owned);
    let mailbox = mailbox(directory.path(), &headers);
    type Case<'a> = (&'a [(SortKey, Direction)], &'a [u32]);
    let cases: [Case<'_>; 12] = [
        (&[(SortKey::Subject, Forward)], &[4, 2, 3, 1]),
        (&[(SortKey::Subject, Reverse)], &[1, 3, 2, 4]),
        (&[(SortKey::From, Forward)], &[4, 2, 3, 1]),
        (&[(SortKey::DisplayFrom, Forward)], &[4, 2, 3, 1]),
        (&[(SortKey::To, Forward)], &[3, 4, 1, 2]),
        (&[(SortKey::DisplayTo, Forward)], &[3, 4, 2, 1]),
        (&[(SortKey::Cc, Forward)], &[1, 3, 4, 2]),
        (&[(SortKey::Arrival, Reverse)], &[4, 3, 2, 1]),
        // 2 was sent at 23:00 UTC, 4 without a date counts as it came.
        (&[(SortKey::Date, Forward)], &[4, 1, 2, 3]),
        (&[(SortKey::Size, Forward)], &[4, 1, 2, 3]),
        (
            &[(SortKey::Cc, Reverse), (SortKey::Date, Reverse)],
            &[2, 3, 1, 4],
        ),
        // What is compared already decides nothing, whichever way.
        (
            &[(SortKey::Cc, Forward), (SortKey::Cc, Reverse)],
            &[1, 3, 4, 2],
        ),
    ];
    for (criteria, expected) in cases {
        assert_eq!(sorted(&mailbox, criteria), expected, "{criteria:?}");
    }
}

#[test]
fn references_of_a_long_header_are_found() {
    let many: String = (0..300)
        .map(|number| format!(" <{number}@elsewhere>\r\n"))
        .collect();
    let long = format!("Message-ID: <2@x>\r\nReferences: <1@x>\r\n{many}\r\n");
    let headers = [header("a", 1, "1", ""), long.replace("\r\n\r\n", "\r\n")];
    assert_eq!(all_threads(&headers)[2], "(1 2)");
}
