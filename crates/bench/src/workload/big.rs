//! How cost grows with the mailbox.

use super::asked::{come_back, fetch, select};
use super::{Row, Stage, Workload, at_most, rate, told};
use crate::client::imap::Imap;
use crate::corpus::{CHINESE, Corpus, RARE};
use crate::peer::Extension;
use crate::process;
use crate::sample::Unit;
use anyhow::ensure;
use std::time::Instant;

const RESTART: Row = at_most(
    "big-restart",
    "big mailbox: server restart, then SELECT",
    Unit::ProcessorMilliseconds,
    50.0,
);
const FLAGS: Row = rate(
    "big-flags",
    "big mailbox: FETCH FLAGS of all",
    Unit::Milliseconds,
    1.5,
);
const STORE: Row = at_most(
    "big-store",
    "big mailbox: one STORE, to one in 1,000 messages",
    Unit::Times,
    1.5,
);
const QRESYNC: Row = at_most(
    "big-qresync",
    "big mailbox: SELECT (QRESYNC) after 10 changes",
    Unit::ProcessorMilliseconds,
    2.0,
);
const BODY: Row = told(
    "big-search-first",
    "big mailbox: the first SEARCH BODY",
    Unit::Milliseconds,
);
const BODY_CHINESE: Row = rate(
    "big-search-chinese",
    "big mailbox: SEARCH BODY of two Chinese characters, later",
    Unit::Milliseconds,
    30.0,
);
const MEMORY: Row = at_most(
    "big-memory",
    "big mailbox: memory it adds, selected in one session (PSS)",
    Unit::Kibibytes,
    15_000.0,
);

pub const WORKLOAD: Workload = Workload {
    name: "big",
    rows: &[RESTART, MEMORY, FLAGS, STORE, QRESYNC, BODY, BODY_CHINESE],
    rounds: super::always,
    play,
};

fn play(stage: &mut Stage) -> anyhow::Result<()> {
    let small = single_store(stage, 1_000)?;
    let big = single_store(stage, stage.scale.big)?;
    stage.tell(&STORE, big / small);
    stage.restart()?;
    let process = stage.running().process();
    let mut session = Imap::login(stage.imap(), "user1")?;
    let before = process::memory(process);
    let mut other = Imap::login(stage.imap(), "anna")?;
    drop(session);
    let count = stage.scale.big;
    stage.measure(&RESTART, |_| select(&mut other, count))?;
    stage.tell(
        &MEMORY,
        process::memory(process).saturating_sub(before) as f64 / 1_024.0,
    );
    session = other;
    stage.measure(&FLAGS, |_| fetch(&mut session, "FETCH 1:* FLAGS", count))?;
    if stage.peer.has(Extension::Qresync) {
        return_to_changes(stage, &mut session)?;
    }
    // The corpus comes round again and again.
    let rounds = count / stage.corpus.count();
    let found = |per_round: usize, rest: usize| rounds * per_round + rest;
    let rest = count % stage.corpus.count();
    let whole = stage.corpus.count();
    let searches = [
        (
            &BODY,
            format!("SEARCH BODY {RARE}"),
            found(Corpus::rare(whole), Corpus::rare(rest)),
        ),
        (
            &BODY_CHINESE,
            format!("SEARCH CHARSET UTF-8 BODY \"{CHINESE}\""),
            found(Corpus::chinese(whole), Corpus::chinese(rest)),
        ),
    ];
    for (row, command, expected) in &searches {
        stage.measure(row, |_| {
            let found = session.run(command)?.found;
            ensure!(found == *expected, "{found} and not {expected}");
            Ok(1.0)
        })?;
    }
    Ok(())
}

/// A client comes back to ten changed flags.
fn return_to_changes(stage: &mut Stage, session: &mut Imap) -> anyhow::Result<()> {
    session.run("ENABLE QRESYNC")?;
    let known = session.run("SELECT INBOX")?;
    session.run("STORE 200:209 +FLAGS.SILENT (\\Draft)")?;
    come_back(stage, &QRESYNC, &known, (10, 0))
}

/// Milliseconds of one STORE in a mailbox of so many.
fn single_store(stage: &mut Stage, count: usize) -> anyhow::Result<f64> {
    const TIMES: usize = 200;
    stage.begin(&["anna"], "cur", count)?;
    let mut session = Imap::selected(stage.imap(), "anna", "INBOX")?;
    session.run("STORE 1 +FLAGS.SILENT (\\Answered)")?;
    let began = Instant::now();
    for number in 1..=TIMES {
        session.run(&format!("STORE {number} +FLAGS.SILENT (\\Flagged)"))?;
    }
    Ok(began.elapsed().as_secs_f64() * 1_000.0 / TIMES as f64)
}
