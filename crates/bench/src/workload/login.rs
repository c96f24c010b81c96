//! Logging in and out.

use super::{Row, Stage, Target, Workload};
use crate::client::imap::Imap;
use crate::client::pop3::Pop3;
use crate::sample::Unit;
use std::time::{Duration, Instant};

/// How long each is done.
const TIME: Duration = Duration::from_millis(1_500);

const fn row(id: &'static str, what: &'static str) -> Row {
    Row {
        id,
        what,
        unit: Unit::PerSecond,
        target: Target::Ratios(20.0, 1.5),
    }
}

const IMAP_1: Row = row("imap-login-1", "IMAP LOGIN and LOGOUT, one at a time");
const IMAP_8: Row = row("imap-login-8", "IMAP LOGIN and LOGOUT, eight at a time");
const POP3_1: Row = row(
    "pop3-session-1",
    "POP3 USER, PASS, STAT, QUIT, one at a time",
);
const POP3_8: Row = row(
    "pop3-session-8",
    "POP3 USER, PASS, STAT, QUIT, eight at a time",
);

pub const WORKLOAD: Workload = Workload {
    name: "login",
    rows: &[IMAP_1, IMAP_8, POP3_1, POP3_8],
    rounds: super::always,
    play,
};

fn play(stage: &mut Stage) -> anyhow::Result<()> {
    let users: Vec<String> = (1..=8).map(|number| format!("user{number}")).collect();
    let names: Vec<&str> = users.iter().map(String::as_str).collect();
    stage.begin(&names, "cur", 100)?;
    // The first login of each makes files; sessions afterwards are what is measured.
    for user in &users {
        imap_session(stage.imap(), user)?;
        pop3_session(stage.pop3(), user)?;
    }
    stage.measure(&IMAP_1, |stage| {
        repeat(&names[..1], |user| imap_session(stage.imap(), user))
    })?;
    stage.measure(&IMAP_8, |stage| {
        repeat(&names, |user| imap_session(stage.imap(), user))
    })?;
    stage.measure(&POP3_1, |stage| {
        repeat(&names[..1], |user| pop3_session(stage.pop3(), user))
    })?;
    stage.measure(&POP3_8, |stage| {
        repeat(&names, |user| pop3_session(stage.pop3(), user))
    })
}

fn imap_session(port: u16, user: &str) -> anyhow::Result<()> {
    Imap::login(port, user)?.run("LOGOUT")?;
    Ok(())
}

fn pop3_session(port: u16, user: &str) -> anyhow::Result<()> {
    let mut session = Pop3::login(port, user)?;
    let state = session.run("STAT")?;
    anyhow::ensure!(state.starts_with("100 "), "STAT says {state:?}");
    session.run("QUIT")?;
    Ok(())
}

/// One thread a user, over and over; gives how often in all.
fn repeat(
    users: &[&str],
    session: impl Fn(&str) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<f64> {
    let began = Instant::now();
    std::thread::scope(|scope| {
        let work = |user: &'_ str| -> anyhow::Result<u32> {
            let mut done = 0;
            while began.elapsed() < TIME {
                session(user)?;
                done += 1;
            }
            Ok(done)
        };
        let threads: Vec<_> = users
            .iter()
            .map(|user| scope.spawn(move || work(user)))
            .collect();
        let mut done = 0.0;
        for thread in threads {
            done += f64::from(
                thread
                    .join()
                    .map_err(|_| anyhow::anyhow!("a client panicked"))??,
            );
        }
        Ok(done)
    })
}
