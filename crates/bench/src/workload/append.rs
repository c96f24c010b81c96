//! Messages that clients bring.

use super::{Row, Stage, Workload, rate};
use crate::client::imap::Imap;
use crate::peer::Extension;
use crate::sample::Unit;
use anyhow::ensure;

const ONE: Row = rate("append-1", "APPEND, one connection", Unit::PerSecond, 1.3);
const EIGHT: Row = rate(
    "append-8",
    "APPEND, eight connections into one mailbox",
    Unit::PerSecond,
    5.0,
);
const PIPELINED: Row = rate(
    "append-pipelined",
    "APPEND with LITERAL+, pipelined",
    Unit::PerSecond,
    3.0,
);
const MULTI: Row = rate(
    "append-multi",
    "MULTIAPPEND, 50 messages a command",
    Unit::PerSecond,
    3.0,
);

pub const WORKLOAD: Workload = Workload {
    name: "append",
    rows: &[ONE, EIGHT, PIPELINED, MULTI],
    rounds: super::always,
    play,
};

const EACH: usize = 200;

fn play(stage: &mut Stage) -> anyhow::Result<()> {
    stage.begin(&[], "new", 0)?;
    let messages: Vec<Vec<u8>> = (1..=EACH)
        .map(|number| stage.corpus.message(number))
        .collect::<Result<_, _>>()?;
    stage.measure(&ONE, |stage| {
        let mut session = Imap::login(stage.imap(), "anna")?;
        for message in &messages {
            session.append("INBOX", message)?;
        }
        Ok(EACH as f64)
    })?;
    expect(stage, EACH)?;
    stage.measure(&EIGHT, |stage| {
        std::thread::scope(|scope| {
            let threads: Vec<_> = messages
                .chunks(EACH / 8)
                .map(|own| {
                    scope.spawn(move || -> anyhow::Result<()> {
                        let mut session = Imap::login(stage.imap(), "anna")?;
                        own.iter()
                            .try_for_each(|message| session.append("INBOX", message))
                    })
                })
                .collect();
            for thread in threads {
                thread
                    .join()
                    .map_err(|_| anyhow::anyhow!("a client panicked"))??;
            }
            Ok(EACH as f64)
        })
    })?;
    expect(stage, 2 * EACH)?;
    if !stage.peer.has(Extension::LiteralPlus) || !stage.peer.has(Extension::MultiAppend) {
        return Ok(());
    }
    stage.measure(&PIPELINED, |stage| {
        let mut octets = Vec::new();
        for message in &messages {
            octets.extend(format!("a APPEND INBOX {{{}+}}\r\n", message.len()).bytes());
            octets.extend(message.iter().chain(b"\r\n"));
        }
        Imap::login(stage.imap(), "anna")?.pipeline(octets, EACH)?;
        Ok(EACH as f64)
    })?;
    expect(stage, 3 * EACH)?;
    stage.measure(&MULTI, |stage| {
        let mut session = Imap::login(stage.imap(), "anna")?;
        for batch in messages.chunks(50) {
            let mut octets = b"a APPEND INBOX".to_vec();
            for message in batch {
                octets.extend(format!(" {{{}+}}\r\n", message.len()).bytes());
                octets.extend(message);
            }
            octets.extend(b"\r\n");
            session.pipeline(octets, 1)?;
        }
        Ok(EACH as f64)
    })?;
    expect(stage, 4 * EACH)
}

fn expect(stage: &Stage, count: usize) -> anyhow::Result<()> {
    let exists = Imap::login(stage.imap(), "anna")?
        .run("EXAMINE INBOX")?
        .exists;
    ensure!(
        exists == Some(count),
        "{count} messages were appended, and there are {exists:?}"
    );
    Ok(())
}
