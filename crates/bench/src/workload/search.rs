//! Looking for words, and putting messages in order.

use super::{Row, Stage, Workload, time};
use crate::client::imap::Imap;
use crate::corpus::{ABSENT, CHINESE, Corpus, RARE, SENDER, SUBJECT};
use anyhow::ensure;

const UNSEEN: Row = time("search-unseen", "SEARCH UNSEEN", 1.0);
const BY_SUBJECT: Row = time("search-subject", "SEARCH SUBJECT, warm", 2.0);
const BY_SENDER: Row = time("search-from", "SEARCH FROM, warm", 2.0);
const BODY: Row = time("search-body", "SEARCH BODY of a rare word", 30.0);
const BODY_CHINESE: Row = time(
    "search-chinese",
    "SEARCH BODY of two Chinese characters",
    30.0,
);
const TEXT_ABSENT: Row = time("search-absent", "SEARCH TEXT of what is nowhere", 30.0);

const SORT_DATE: Row = time("sort-date", "SORT (REVERSE DATE) of all, warm", 2.0);
const SORT_SUBJECT: Row = time("sort-subject", "SORT (SUBJECT) of all, warm", 2.0);
const THREAD: Row = time("thread", "THREAD REFERENCES of all, warm", 2.0);

pub const WORKLOAD: Workload = Workload {
    name: "search",
    rows: &[
        UNSEEN,
        BY_SUBJECT,
        BY_SENDER,
        BODY,
        BODY_CHINESE,
        TEXT_ABSENT,
        SORT_DATE,
        SORT_SUBJECT,
        THREAD,
    ],
    rounds: super::always,
    play,
};

fn play(stage: &mut Stage) -> anyhow::Result<()> {
    let count = stage.scale.messages;
    stage.begin(&["anna"], "new", count)?;
    let mut session = Imap::selected(stage.imap(), "anna", "INBOX")?;
    session.run("FETCH 1:* (FLAGS ENVELOPE)")?;
    // Once without being measured: what is kept from the first time counts as warm.
    let chinese = format!("SEARCH CHARSET UTF-8 BODY \"{CHINESE}\"");
    let searches = [
        (&UNSEEN, "SEARCH UNSEEN".to_owned(), count),
        (
            &BY_SUBJECT,
            format!("SEARCH SUBJECT {SUBJECT}"),
            Corpus::subjects(count),
        ),
        (
            &BY_SENDER,
            format!("SEARCH FROM {SENDER}"),
            Corpus::senders(count),
        ),
        (&BODY, format!("SEARCH BODY {RARE}"), Corpus::rare(count)),
        (&BODY_CHINESE, chinese, Corpus::chinese(count)),
        (&TEXT_ABSENT, format!("SEARCH TEXT {ABSENT}"), 0),
        (
            &SORT_DATE,
            "SORT (REVERSE DATE) UTF-8 ALL".to_owned(),
            count,
        ),
        (&SORT_SUBJECT, "SORT (SUBJECT) UTF-8 ALL".to_owned(), count),
        (&THREAD, "THREAD REFERENCES UTF-8 ALL".to_owned(), count),
    ];
    for (row, command, expected) in &searches {
        search(&mut session, command, *expected)?;
        stage.measure(row, |_| search(&mut session, command, *expected))?;
    }
    Ok(())
}

fn search(session: &mut Imap, command: &str, expected: usize) -> anyhow::Result<f64> {
    let found = session.run(command)?.found;
    ensure!(
        found == expected,
        "{command} finds {found} and not {expected}"
    );
    Ok(1.0)
}
