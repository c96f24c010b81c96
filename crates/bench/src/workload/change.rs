//! Changing flags, copying, moving, expunging.

use super::asked::come_back;
use super::{Row, Stage, Workload, rate, time, told};
use crate::client::imap::Imap;
use crate::peer::Extension;
use crate::sample::Unit;
use anyhow::ensure;

const STORE_ALL: Row = time("store-all", "STORE of all", 1.5);
const STORE_PIPELINED: Row = rate(
    "store-pipelined",
    "STORE of one, 1,000 pipelined",
    Unit::PerSecond,
    3.0,
);
const STORE_ONE: Row = rate(
    "store-one",
    "STORE of one, one by one",
    Unit::PerSecond,
    10.0,
);
const COPY: Row = rate("copy", "COPY of all", Unit::PerSecond, 1.2);
const MOVE: Row = rate("move", "MOVE of all", Unit::PerSecond, 1.2);
const EXPUNGE: Row = rate("expunge", "EXPUNGE of all", Unit::PerSecond, 1.2);
const QRESYNC: Row = told(
    "qresync",
    "SELECT (QRESYNC) after 10 changes and 5 expunges",
    Unit::Milliseconds,
);

pub const WORKLOAD: Workload = Workload {
    name: "change",
    rows: &[
        STORE_ALL,
        STORE_PIPELINED,
        STORE_ONE,
        QRESYNC,
        COPY,
        MOVE,
        EXPUNGE,
    ],
    rounds: super::always,
    play,
};

fn play(stage: &mut Stage) -> anyhow::Result<()> {
    let count = stage.scale.messages;
    stage.begin(&["anna"], "cur", count)?;
    let mut session = Imap::selected(stage.imap(), "anna", "INBOX")?;
    stage.measure(&STORE_ALL, |_| {
        session.run("STORE 1:* +FLAGS.SILENT (\\Seen)")?;
        Ok(1.0)
    })?;
    let pipelined = count.min(1_000);
    stage.measure(&STORE_PIPELINED, |_| {
        let store = |number| format!("a STORE {number} +FLAGS.SILENT (\\Answered)\r\n");
        let octets: String = (1..=pipelined).map(store).collect();
        session.pipeline(octets.into_bytes(), pipelined)?;
        Ok(pipelined as f64)
    })?;
    let singly = count.min(500);
    stage.measure(&STORE_ONE, |_| {
        for number in 1..=singly {
            session.run(&format!("STORE {number} +FLAGS.SILENT (\\Flagged)"))?;
        }
        Ok(singly as f64)
    })?;
    let has_qresync = stage.peer.has(Extension::Qresync);
    if has_qresync {
        qresync(stage, &mut session)?;
    }
    let left = if has_qresync { count - 5 } else { count };
    let [copies, moved] = ["Copies", "Moved"].map(|name| format!("{}{name}", stage.peer.prefix()));
    for mailbox in [&copies, &moved] {
        session.run(&format!("CREATE {mailbox}"))?;
    }
    stage.measure(&COPY, |_| {
        session.run(&format!("COPY 1:* {copies}"))?;
        Ok(left as f64)
    })?;
    let there = session.run(&format!("SELECT {copies}"))?.exists;
    ensure!(there == Some(left), "{there:?} were copied");
    if stage.peer.has(Extension::Move) {
        stage.measure(&MOVE, |_| {
            let gone = session.run(&format!("MOVE 1:* {moved}"))?.expunged;
            ensure!(gone == left, "{gone} were moved");
            Ok(left as f64)
        })?;
        let there = session.run(&format!("SELECT {moved}"))?.exists;
        ensure!(there == Some(left), "{there:?} arrived");
    }
    session.run("STORE 1:* +FLAGS.SILENT (\\Deleted)")?;
    stage.measure(&EXPUNGE, |_| {
        let gone = session.run("EXPUNGE")?.expunged;
        ensure!(gone == left, "{gone} went");
        Ok(left as f64)
    })
}

/// A client comes back to ten changed flags and five messages less.
fn qresync(stage: &mut Stage, session: &mut Imap) -> anyhow::Result<()> {
    session.run("ENABLE QRESYNC")?;
    let known = session.run("SELECT INBOX (CONDSTORE)")?;
    session.run("STORE 20:29 +FLAGS.SILENT (\\Draft)")?;
    session.run("STORE 1:5 +FLAGS.SILENT (\\Deleted)")?;
    session.run("EXPUNGE")?;
    stage.settle();
    Imap::selected(stage.imap(), "anna", "INBOX")?.run("LOGOUT")?;
    come_back(stage, &QRESYNC, &known, (10, 5))
}
