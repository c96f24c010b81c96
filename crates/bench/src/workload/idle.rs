//! Waiting for news, and not being held up by others.

use super::{Row, Stage, Workload, at_most, told};
use crate::client::imap::Imap;
use crate::client::listeners::Listeners;
use crate::peer::Extension;
use crate::sample::{Unit, median, percentile};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Median and p99 of one kind of news.
struct Rows {
    median: Row,
    slow: Row,
}

const fn rows(median: [&'static str; 2], slow: &'static str) -> Rows {
    let [id, what] = median;
    Rows {
        median: at_most(id, what, Unit::Milliseconds, 10.0),
        slow: at_most(slow, "the same, p99", Unit::Milliseconds, 50.0),
    }
}

const DROP_1: Rows = rows(
    [
        "idle-1-drop",
        "a file in new/ to EXISTS in IDLE, 1 listener, median",
    ],
    "idle-1-drop-p99",
);
const APPEND_1: Rows = rows(
    [
        "idle-1-append",
        "APPEND to EXISTS in IDLE, 1 listener, median",
    ],
    "idle-1-append-p99",
);
const FLAG_1: Rows = rows(
    ["idle-1-flag", "STORE to FETCH in IDLE, 1 listener, median"],
    "idle-1-flag-p99",
);
const DROP_500: Rows = rows(
    [
        "idle-500-drop",
        "a file in new/ to EXISTS in IDLE, 500 listeners (others: 100), median",
    ],
    "idle-500-drop-p99",
);
const APPEND_500: Rows = rows(
    [
        "idle-500-append",
        "APPEND to EXISTS in IDLE, 500 listeners (others: 100), median",
    ],
    "idle-500-append-p99",
);
const FLAG_500: Rows = rows(
    [
        "idle-500-flag",
        "STORE to FETCH in IDLE, 500 listeners (others: 100), median",
    ],
    "idle-500-flag-p99",
);
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
        DROP_1.median,
        DROP_1.slow,
        APPEND_1.median,
        APPEND_1.slow,
        FLAG_1.median,
        FLAG_1.slow,
        DROP_500.median,
        DROP_500.slow,
        APPEND_500.median,
        APPEND_500.slow,
        FLAG_500.median,
        FLAG_500.slow,
        NOOP_ALONE,
        NOOP_BUSY,
    ],
    rounds: super::always,
    play,
};

const MANY: usize = 500;
/// Of a server that has a process a session: each takes an inotify instance, of which a
/// user has 128, and without one it looks every 30 seconds.
const MANY_PROCESSES: usize = 100;
const EVENTS: usize = 20;

fn play(stage: &mut Stage) -> anyhow::Result<()> {
    if !stage.peer.has(Extension::PromptIdle) {
        return fairness(stage);
    }
    news(stage, 1, &[DROP_1, APPEND_1, FLAG_1])?;
    let many = match stage.peer.name() {
        "pillarbox" => MANY,
        _ => MANY_PROCESSES,
    };
    news(stage, many, &[DROP_500, APPEND_500, FLAG_500])?;
    fairness(stage)
}

/// How long listeners wait for news of three kinds.
fn news(stage: &mut Stage, count: usize, rows: &[Rows; 3]) -> anyhow::Result<()> {
    let messages = 1_000.min(stage.scale.messages);
    stage.begin(&["anna"], "cur", messages)?;
    let mut writer = Imap::selected(stage.imap(), "anna", "INBOX")?;
    let mut listeners = Listeners::open(stage.imap(), "anna", count)?;
    let message = stage.corpus.message(1)?;
    let maildir = stage.site.maildir("anna");
    let [drop_rows, append_rows, flag_rows] = rows;
    let mut waits = Vec::new();
    let mut there = messages;
    if stage.peer.has(Extension::Maildir) {
        for number in 1..=EVENTS {
            there += 1;
            let exists = format!("* {there} EXISTS");
            waits.extend(listeners.hear(&exists, || {
                let temporary = maildir.join(format!("tmp/{number}"));
                fs::write(&temporary, &message)?;
                let delivered = format!("new/{}.M1P{number}.bench", 1_790_000_000 + number);
                Ok(fs::rename(temporary, maildir.join(delivered))?)
            })?);
        }
        note(stage, &mut waits, drop_rows);
    }
    for _ in 0..EVENTS {
        there += 1;
        let exists = format!("* {there} EXISTS");
        waits.extend(listeners.hear(&exists, || writer.append("INBOX", &message))?);
    }
    note(stage, &mut waits, append_rows);
    for number in 1..=EVENTS {
        let fetch = format!("* {number} FETCH (");
        waits.extend(listeners.hear(&fetch, || {
            writer.run(&format!("STORE {number} +FLAGS (\\Flagged)"))?;
            Ok(())
        })?);
    }
    note(stage, &mut waits, flag_rows);
    Ok(())
}

fn note(stage: &mut Stage, waits: &mut Vec<f64>, rows: &Rows) {
    stage.tell(&rows.median, median(waits.iter().copied()));
    stage.tell(&rows.slow, percentile(std::mem::take(waits), 99));
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
