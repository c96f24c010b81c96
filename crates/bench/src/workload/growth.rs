//! What one mailbox costs, cold and warm: played with mailboxes of several sizes, so that
//! the table shows how cost grows.

use super::asked::{LIST, come_back, fetch, pop3_list, select};
use super::{Row, Stage, Workload, told};
use crate::client::imap::Imap;
use crate::corpus::{Corpus, RARE};
use crate::peer::Extension;
use crate::process;
use crate::sample::Unit;
use anyhow::ensure;

const fn row(id: &'static str, what: &'static str) -> Row {
    told(id, what, Unit::Milliseconds)
}

const SELECT_COLD: Row = row("growth-select-cold", "SELECT, cold");
const LIST_COLD: Row = row("growth-list-cold", "list of all, cold");
const SELECT: Row = row("growth-select", "SELECT in a new session");
const FLAGS: Row = row("growth-flags", "FETCH FLAGS of all");
const LIST_FIRST: Row = row("growth-list-first", "first list of all");
const LIST_LATER: Row = row("growth-list-later", "the same again");
const BODY_FIRST: Row = row("growth-body-first", "first SEARCH BODY");
const BODY_LATER: Row = row("growth-body-later", "SEARCH BODY later");
const STORE: Row = row("growth-store", "one STORE");
const APPEND: Row = row("growth-append", "one APPEND");
const POP3: Row = row("growth-pop3", "POP3 login, UIDL and LIST");
const QRESYNC: Row = row("growth-qresync", "SELECT (QRESYNC) after 10 changes");

pub const WORKLOAD: Workload = Workload {
    name: "growth",
    rows: &[
        SELECT_COLD,
        LIST_COLD,
        SELECT,
        FLAGS,
        LIST_FIRST,
        LIST_LATER,
        BODY_FIRST,
        BODY_LATER,
        STORE,
        APPEND,
        POP3,
        QRESYNC,
    ],
    rounds: super::always,
    play,
};

/// So many appends are measured together.
const APPENDS: usize = 20;
/// So many stores.
const STORES: usize = 100;

fn play(stage: &mut Stage) -> anyhow::Result<()> {
    let count = stage.scale.messages;
    stage.begin(&["anna"], "cur", count)?;
    let mut session = Imap::selected(stage.imap(), "anna", "INBOX")?;
    stage.measure(&LIST_FIRST, |_| fetch(&mut session, LIST, count))?;
    stage.measure(&LIST_LATER, |_| fetch(&mut session, LIST, count))?;
    stage.measure(&FLAGS, |_| fetch(&mut session, "FETCH 1:* FLAGS", count))?;
    let expected = Corpus::rare(stage.corpus.count()) * (count / stage.corpus.count())
        + Corpus::rare(count % stage.corpus.count());
    for row in [&BODY_FIRST, &BODY_LATER] {
        stage.measure(row, |_| {
            let found = session.run(&format!("SEARCH BODY {RARE}"))?.found;
            ensure!(found == expected, "{found} and not {expected}");
            Ok(1.0)
        })?;
    }
    session.run("STORE 1 +FLAGS.SILENT (\\Answered)")?;
    stage.measure(&STORE, |_| {
        for number in 1..=STORES {
            session.run(&format!("STORE {number} +FLAGS.SILENT (\\Flagged)"))?;
        }
        Ok(STORES as f64)
    })?;
    if stage.peer.has(Extension::Qresync) {
        return_to_changes(stage, &mut session)?;
    }
    drop(session);
    pop3_list(stage, count)?;
    stage.measure(&POP3, |stage| pop3_list(stage, count))?;
    let message = stage.corpus.message(1)?;
    stage.measure(&APPEND, |stage| {
        let mut session = Imap::login(stage.imap(), "anna")?;
        for _ in 0..APPENDS {
            session.append("INBOX", &message)?;
        }
        Ok(APPENDS as f64)
    })?;
    cold(stage, count + APPENDS)
}

/// A server that was just started, over mail that the system has forgotten.
fn cold(stage: &mut Stage, count: usize) -> anyhow::Result<()> {
    // All knows of what was appended, and has written what it keeps.
    let mut session = Imap::selected(stage.imap(), "anna", "INBOX")?;
    fetch(&mut session, LIST, count)?;
    session.run("LOGOUT")?;
    stage.settle();
    Imap::selected(stage.imap(), "anna", "INBOX")?.run("LOGOUT")?;
    stage.restart()?;
    process::forget_files();
    let mut session = Imap::login(stage.imap(), "anna")?;
    stage.measure(&SELECT_COLD, |_| select(&mut session, count))?;
    stage.measure(&LIST_COLD, |_| fetch(&mut session, LIST, count))?;
    session.run("LOGOUT")?;
    // Nobody has it then, for a server that closes it.
    std::thread::sleep(super::GONE);
    let mut session = Imap::login(stage.imap(), "anna")?;
    stage.measure(&SELECT, |_| select(&mut session, count))
}

/// A client comes back to ten changed flags.
fn return_to_changes(stage: &mut Stage, session: &mut Imap) -> anyhow::Result<()> {
    session.run("ENABLE QRESYNC")?;
    let known = session.run("SELECT INBOX")?;
    session.run("STORE 20:29 +FLAGS.SILENT (\\Draft)")?;
    stage.settle();
    Imap::selected(stage.imap(), "anna", "INBOX")?.run("LOGOUT")?;
    come_back(stage, &QRESYNC, &known, (10, 0))
}
