//! One device that downloads.

use super::asked::pop3_list;
use super::{Row, Stage, Workload, rate, time, told};
use crate::client::pop3::Pop3;
use crate::sample::Unit;
use anyhow::ensure;

const LIST_FIRST: Row = time("pop3-list-first", "POP3 login, UIDL and LIST, first", 5.0);
const LIST_LATER: Row = time("pop3-list-later", "the same later", 3.0);
const RETR: Row = rate(
    "pop3-retr",
    "RETR of all, one at a time",
    Unit::Megabytes,
    3.0,
);
const RETR_PIPELINED: Row = rate(
    "pop3-retr-pipelined",
    "RETR of all, 64 pipelined",
    Unit::Megabytes,
    3.0,
);
const DELE: Row = told("pop3-dele", "DELE of all, and QUIT", Unit::PerSecond);

pub const WORKLOAD: Workload = Workload {
    name: "pop3",
    rows: &[LIST_FIRST, LIST_LATER, RETR, RETR_PIPELINED, DELE],
    rounds: super::always,
    play,
};

fn play(stage: &mut Stage) -> anyhow::Result<()> {
    let count = stage.scale.messages;
    stage.begin(&["anna"], "new", count)?;
    stage.measure(&LIST_FIRST, |stage| pop3_list(stage, count))?;
    stage.settle();
    pop3_list(stage, count)?;
    stage.measure(&LIST_LATER, |stage| pop3_list(stage, count))?;
    for (row, window) in [(&RETR, 1), (&RETR_PIPELINED, 64)] {
        stage.measure(row, |stage| {
            let commands: Vec<String> =
                (1..=count).map(|number| format!("RETR {number}")).collect();
            let mut session = Pop3::login(stage.pop3(), "anna")?;
            let octets = session.pipeline(&commands, window, true)?;
            ensure!(octets == stage.corpus.octets, "{octets} octets");
            session.run("QUIT")?;
            Ok(octets as f64)
        })?;
    }
    stage.measure(&DELE, |stage| {
        let commands: Vec<String> = (1..=count).map(|number| format!("DELE {number}")).collect();
        let mut session = Pop3::login(stage.pop3(), "anna")?;
        session.pipeline(&commands, 64, false)?;
        session.run("QUIT")?;
        Ok(count as f64)
    })?;
    let left = Pop3::login(stage.pop3(), "anna")?.run("STAT")?;
    ensure!(left.starts_with("0 0"), "STAT says {left:?}");
    Ok(())
}
