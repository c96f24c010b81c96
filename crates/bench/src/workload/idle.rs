//! Waiting for news, and not being held up by others.

use super::{Row, Stage, Workload, at_most, told};
use crate::client::imap::Imap;
use crate::sample::{Unit, median, percentile};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const DROP: Row = at_most(
    "idle-drop",
    "a file in new/ to EXISTS in IDLE, median",
    Unit::Milliseconds,
    10.0,
);
const DROP_SLOW: Row = at_most("idle-drop-p99", "the same, p99", Unit::Milliseconds, 50.0);
const APPEND: Row = at_most(
    "idle-append",
    "APPEND to EXISTS in IDLE, median",
    Unit::Milliseconds,
    10.0,
);
const APPEND_SLOW: Row = at_most("idle-append-p99", "the same, p99", Unit::Milliseconds, 50.0);
const FLAG: Row = at_most(
    "idle-flag",
    "STORE to FETCH in IDLE, median",
    Unit::Milliseconds,
    10.0,
);
const FLAG_SLOW: Row = at_most("idle-flag-p99", "the same, p99", Unit::Milliseconds, 50.0);
const NOOP_ALONE: Row = told("noop-alone", "NOOP, alone, p99", Unit::Milliseconds);
const NOOP_BUSY: Row = at_most(
    "noop-busy",
    "NOOP while one session fetches all bodies and another searches, p99",
    Unit::Milliseconds,
    50.0,
);

pub const WORKLOAD: Workload = Workload {
    name: "idle",
    rows: &[
        DROP,
        DROP_SLOW,
        APPEND,
        APPEND_SLOW,
        FLAG,
        FLAG_SLOW,
        NOOP_ALONE,
        NOOP_BUSY,
    ],
    play,
};

const LISTENERS: usize = 20;
const EVENTS: usize = 10;

fn play(stage: &mut Stage) -> anyhow::Result<()> {
    stage.begin(&["anna"], "cur", 1_000.min(stage.scale.messages))?;
    let mut writer = Imap::selected(stage.imap(), "anna", "INBOX")?;
    let mut listeners = Vec::new();
    for _ in 0..LISTENERS {
        let mut listener = Imap::selected(stage.imap(), "anna", "INBOX")?;
        listener.send(b"a IDLE\r\n")?;
        listener.read_continuation()?;
        listeners.push(listener);
    }
    let message = stage.corpus.message(1)?;
    let maildir = stage.site.maildir("anna");
    let waits = events(&mut listeners, "EXISTS", |number| {
        let temporary = maildir.join(format!("tmp/{number}"));
        fs::write(&temporary, &message)?;
        fs::rename(
            temporary,
            maildir.join(format!("new/179000000{number}.M1P{number}.bench")),
        )?;
        Ok(())
    })?;
    note(stage, &waits, &DROP, &DROP_SLOW);
    writer.run("NOOP")?;
    let waits = events(&mut listeners, "EXISTS", |_| {
        writer.append("INBOX", &message)
    })?;
    note(stage, &waits, &APPEND, &APPEND_SLOW);
    let waits = events(&mut listeners, "FETCH", |number| {
        writer.run(&format!("STORE {} +FLAGS (\\Flagged)", number + 1))?;
        Ok(())
    })?;
    note(stage, &waits, &FLAG, &FLAG_SLOW);
    drop((listeners, writer));
    fairness(stage)
}

/// Causes events one after another; gives each listener's wait in milliseconds.
fn events(
    listeners: &mut [Imap],
    part: &str,
    mut cause: impl FnMut(usize) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<f64>> {
    let mut waits = Vec::new();
    for number in 0..EVENTS {
        for listener in listeners.iter_mut() {
            listener.drain()?;
        }
        let began = Instant::now();
        std::thread::scope(|scope| {
            let threads: Vec<_> = listeners
                .iter_mut()
                .map(|listener| {
                    scope.spawn(move || -> anyhow::Result<f64> {
                        listener.wait_for(part)?;
                        Ok(began.elapsed().as_secs_f64() * 1_000.0)
                    })
                })
                .collect();
            cause(number)?;
            for thread in threads {
                waits.push(
                    thread
                        .join()
                        .map_err(|_| anyhow::anyhow!("a listener panicked"))??,
                );
            }
            anyhow::Ok(())
        })?;
    }
    Ok(waits)
}

fn note(stage: &mut Stage, waits: &[f64], middle: &Row, slow: &Row) {
    stage.tell(middle, median(waits.iter().copied()));
    stage.tell(slow, percentile(waits.to_vec(), 99));
}

fn fairness(stage: &mut Stage) -> anyhow::Result<()> {
    stage.begin(&["anna"], "cur", stage.scale.messages)?;
    let mut quiet = Imap::selected(stage.imap(), "anna", "INBOX")?;
    let alone = noops(&mut quiet)?;
    stage.tell(&NOOP_ALONE, percentile(alone, 99));
    let mut fetching = Imap::selected(stage.imap(), "anna", "INBOX")?;
    let mut searching = Imap::selected(stage.imap(), "anna", "INBOX")?;
    let is_over = AtomicBool::new(false);
    let busy = std::thread::scope(|scope| {
        let is_over = &is_over;
        let repeat = |session: &mut Imap, command: &str| -> anyhow::Result<()> {
            while !is_over.load(Ordering::Relaxed) {
                session.run(command)?;
            }
            Ok(())
        };
        let fetch = scope.spawn(move || repeat(&mut fetching, "FETCH 1:* BODY.PEEK[]"));
        let search = scope.spawn(move || repeat(&mut searching, "SEARCH BODY qqvxqq"));
        std::thread::sleep(Duration::from_millis(100));
        let busy = noops(&mut quiet);
        is_over.store(true, Ordering::Relaxed);
        for thread in [fetch, search] {
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        busy
    })?;
    stage.tell(&NOOP_BUSY, percentile(busy, 99));
    Ok(())
}

/// A second of NOOPs, a few milliseconds apart; each one's wait in milliseconds.
fn noops(session: &mut Imap) -> anyhow::Result<Vec<f64>> {
    let began = Instant::now();
    let mut waits = Vec::new();
    while began.elapsed() < Duration::from_secs(1) {
        let asked = Instant::now();
        session.run("NOOP")?;
        waits.push(asked.elapsed().as_secs_f64() * 1_000.0);
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(waits)
}
