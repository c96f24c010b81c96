//! Opening a mailbox and reading what is in it.

use super::asked::{LIST, fetch, select};
use super::{Row, Stage, Workload, rate, time};
use crate::client::imap::Imap;
use crate::peer::Extension;
use crate::sample::Unit;
use anyhow::ensure;

const SELECT_CUR: Row = time("select-unknown", "SELECT of a Maildir never seen", 1.5);
const SELECT_NEW: Row = time("select-new", "first SELECT after deliveries to new/", 4.0);
const SELECT_WARM: Row = time(
    "select-warm",
    "SELECT again, in 50 new sessions one after another",
    3.0,
);
const SELECT_SHARED: Row = time(
    "select-shared",
    "the same while another session has it selected",
    3.0,
);
const FLAGS: Row = time("fetch-flags", "FETCH FLAGS of all", 1.5);
const LIST_FIRST: Row = time(
    "list-first",
    "first list: UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE",
    3.0,
);
const LIST_SECOND: Row = time("list-second", "the same again", 10.0);
const LIST_SESSION: Row = time("list-session", "the same in a new session", 10.0);
const HEADERS_FIRST: Row = time("headers-first", "HEADER.FIELDS of all", 3.0);
const HEADERS_LATER: Row = time("headers-later", "the same again", 2.0);
const BODIES: Row = rate("bodies", "BODY.PEEK[] of all", Unit::Megabytes, 4.0);
const SINGLE: Row = rate(
    "single",
    "BODY.PEEK[] of one message at a time",
    Unit::PerSecond,
    2.0,
);

pub const WORKLOAD: Workload = Workload {
    name: "reading",
    rows: &[
        SELECT_CUR,
        SELECT_NEW,
        SELECT_WARM,
        SELECT_SHARED,
        FLAGS,
        LIST_FIRST,
        LIST_SECOND,
        LIST_SESSION,
        HEADERS_FIRST,
        HEADERS_LATER,
        BODIES,
        SINGLE,
    ],
    rounds: super::always,
    play,
};

const HEADERS: &str =
    "FETCH 1:* BODY.PEEK[HEADER.FIELDS (DATE FROM TO CC SUBJECT MESSAGE-ID REFERENCES)]";
const SINGLES: usize = 1_000;
/// So many sessions open the mailbox one after another.
const SELECTS: u32 = 50;

fn play(stage: &mut Stage) -> anyhow::Result<()> {
    let count = stage.scale.messages;
    let has_maildirs = stage.peer.has(Extension::Maildir);
    if has_maildirs {
        stage.begin(&["anna"], "cur", count)?;
        let mut session = Imap::login(stage.imap(), "anna")?;
        stage.measure(&SELECT_CUR, |_| select(&mut session, count))?;
    }
    stage.begin(&["anna"], "new", count)?;
    let mut session = Imap::login(stage.imap(), "anna")?;
    if has_maildirs {
        stage.measure(&SELECT_NEW, |_| select(&mut session, count))?;
    } else {
        select(&mut session, count)?;
    }
    stage.measure(&FLAGS, |_| fetch(&mut session, "FETCH 1:* FLAGS", count))?;
    stage.measure(&LIST_FIRST, |_| fetch(&mut session, LIST, count))?;
    stage.measure(&LIST_SECOND, |_| fetch(&mut session, LIST, count))?;
    session.run("LOGOUT")?;
    stage.settle();
    // Whoever comes first sees that all is settled.
    Imap::selected(stage.imap(), "anna", "INBOX")?.run("LOGOUT")?;
    // Nobody has it then, for a server that closes it.
    std::thread::sleep(super::GONE);
    let login = |stage: &Stage| Imap::login(stage.imap(), "anna");
    let logout = |mut session: Imap| session.run("LOGOUT").map(drop);
    let again = |session: &mut Imap| select(session, count);
    stage.measure_each(&SELECT_WARM, SELECTS, login, again, logout)?;
    let mut session = login(stage)?;
    select(&mut session, count)?;
    stage.measure_each(&SELECT_SHARED, SELECTS, login, again, logout)?;
    stage.measure(&LIST_SESSION, |_| fetch(&mut session, LIST, count))?;
    stage.measure(&HEADERS_FIRST, |_| fetch(&mut session, HEADERS, count))?;
    stage.measure(&HEADERS_LATER, |_| fetch(&mut session, HEADERS, count))?;
    // What is read first finds the files in no server's memory, and all in the system's.
    for _ in 0..2 {
        stage.measure(&BODIES, |stage| {
            let answer = session.run("FETCH 1:* BODY.PEEK[]")?;
            ensure!(answer.fetched == count, "{} messages", answer.fetched);
            ensure!(
                answer.literal_octets == stage.corpus.octets,
                "{} octets",
                answer.literal_octets
            );
            Ok(answer.literal_octets as f64)
        })?;
    }
    stage.measure(&SINGLE, |_| {
        let mut random = fastrand::Rng::with_seed(2);
        for _ in 0..SINGLES {
            let answer = session.run(&format!(
                "UID FETCH {} BODY.PEEK[]",
                random.usize(1..=count)
            ))?;
            ensure!(answer.fetched == 1, "no message");
        }
        Ok(SINGLES as f64)
    })
}
