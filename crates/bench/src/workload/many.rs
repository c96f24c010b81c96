//! Many big mailboxes at once.

use super::{Row, Stage, Workload, at_most};
use crate::client::imap::Imap;
use crate::peer::Delivery;
use crate::process;
use crate::sample::Unit;
use anyhow::ensure;

const MEMORY: Row = at_most(
    "many-memory",
    "memory with ten big mailboxes selected in ten sessions (PSS of all processes)",
    Unit::Kibibytes,
    // 150 MB.
    146_484.0,
);

pub const WORKLOAD: Workload = Workload {
    name: "many",
    rows: &[MEMORY],
    rounds: super::once,
    play,
};

const MAILBOXES: usize = 10;

fn play(stage: &mut Stage) -> anyhow::Result<()> {
    let count = stage.scale.big;
    let names: Vec<String> = (1..=MAILBOXES)
        .map(|number| format!("Big{number}"))
        .collect();
    let delivery = |name| Delivery {
        user: "anna",
        mailbox: Some(name),
        folder: "cur",
        count,
    };
    let deliveries: Vec<Delivery> = names.iter().map(String::as_str).map(delivery).collect();
    stage.begin_with(&deliveries)?;
    // The first who come make what servers keep beside mailboxes.
    for name in &names {
        let name = format!("{}{name}", stage.peer.prefix());
        Imap::selected(stage.imap(), "anna", &name)?.run("LOGOUT")?;
    }
    stage.restart()?;
    let mut sessions = Vec::new();
    for name in &names {
        let mut session = Imap::login(stage.imap(), "anna")?;
        let exists = session
            .run(&format!("SELECT {}{name}", stage.peer.prefix()))?
            .exists;
        ensure!(exists == Some(count), "there are {exists:?} in {name}");
        sessions.push(session);
    }
    // What is given back after work is given back.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let memory = process::memory(stage.running().process());
    stage.tell(&MEMORY, memory as f64 / 1_024.0);
    Ok(())
}
