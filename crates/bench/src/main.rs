//! Measures Pillarbox side by side with other servers and writes `BENCHMARKS.md`.

mod client;
mod corpus;
mod peer;
mod process;
mod report;
mod sample;
mod workload;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use corpus::{Corpus, LineEnds};
use peer::{Courier, Cyrus, Dovecot, Peer, Pillarbox, Tuning};
use sample::Samples;
use std::path::{Path, PathBuf};
use workload::{Scale, Stage, Workload};

/// Against what to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Against {
    /// Debian's Dovecot, with default settings and tuned.
    Dovecot,
    /// Debian's Courier.
    Courier,
    /// Debian's Cyrus, which has no Maildirs: rows about those are left empty.
    Cyrus,
    /// Nothing.
    None,
}

/// Measures Pillarbox side by side with another server.
///
/// Every workload runs on all servers in turn, round after round, with mail made up
/// from one seed; all answers are checked. Read ratios, not times: machines differ, and
/// other work on the same machine slows all alike.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  cargo run --release -p bench -- --against dovecot\n  cargo run --release -p bench -- --against none --only search --messages 1000"
)]
struct Arguments {
    /// Against what; several with commas
    #[arg(long, value_enum, value_delimiter = ',', default_value = "dovecot")]
    against: Vec<Against>,
    /// Messages in a mailbox
    #[arg(long, default_value_t = 10_000)]
    messages: usize,
    /// Messages in a big mailbox
    #[arg(long, default_value_t = 100_000)]
    big: usize,
    /// Connections that idle
    #[arg(long, default_value_t = 1_000)]
    idle: usize,
    /// How often each workload runs on each server
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only these workloads
    #[arg(long)]
    only: Vec<String>,
    /// Also how cost grows with the mailbox, in a table of its own: some minutes more
    #[arg(long)]
    growth: bool,
    /// Where the table goes besides standard output; BENCHMARKS.md where all workloads run
    #[arg(long)]
    output: Option<PathBuf>,
    /// Below which directory mail is made; it needs about 2 GB
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    below: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let chosen: Vec<&Workload> = workload::ALL
        .into_iter()
        .filter(|workload| {
            arguments.only.is_empty() || arguments.only.iter().any(|only| only == workload.name)
        })
        .collect();
    let names: Vec<&str> = workload::ALL.iter().map(|workload| workload.name).collect();
    let grows = arguments.growth || arguments.only.iter().any(|only| only == "growth");
    anyhow::ensure!(
        grows || !chosen.is_empty(),
        "no such workload; there are {}, growth",
        names.join(", ")
    );
    let pillarbox = Pillarbox::build()?;
    let mut peers: Vec<Box<dyn Peer>> = vec![Box::new(pillarbox)];
    let mut versions = Vec::new();
    if arguments.against.contains(&Against::Dovecot) {
        let dovecot = Dovecot::install(Tuning::Default)?;
        versions.push(format!("Dovecot {}", dovecot.version()));
        peers.push(Box::new(dovecot));
        peers.push(Box::new(Dovecot::install(Tuning::Reused)?));
    }
    if arguments.against.contains(&Against::Courier) {
        let courier = Courier::unpack()?;
        versions.push(format!("Courier {}", courier.version()));
        peers.push(Box::new(courier));
    }
    let has_cyrus = arguments.against.contains(&Against::Cyrus);
    if has_cyrus {
        let cyrus = Cyrus::unpack()?;
        versions.push(format!("Cyrus {}", cyrus.version()));
        peers.push(Box::new(cyrus));
    }
    eprintln!("making {} messages", arguments.messages);
    let lines = match has_cyrus {
        true => LineEnds::Both,
        false => LineEnds::Unix,
    };
    let corpus = Corpus::make(&arguments.below, arguments.messages, lines, peer::owner()?)
        .with_context(|| format!("cannot make mail below {}", arguments.below.display()))?;
    let scale = Scale {
        messages: arguments.messages,
        big: arguments.big,
        idle: arguments.idle,
    };
    let mut samples = Samples::new();
    let course = Course {
        peers: &peers,
        corpus: &corpus,
        below: &arguments.below,
    };
    for workload in &chosen {
        course.play(workload, scale, arguments.rounds, &mut samples)?;
    }
    let mut growth = Vec::new();
    if grows {
        for messages in [scale.messages / 10, scale.messages, scale.big] {
            let scale = Scale { messages, ..scale };
            // The biggest takes minutes.
            let rounds = if messages == scale.big {
                1
            } else {
                arguments.rounds
            };
            let mut samples = Samples::new();
            course.play(workload::GROWTH, scale, rounds, &mut samples)?;
            growth.push((messages, samples));
        }
    }
    let about = report::About {
        scale,
        rounds: arguments.rounds,
        octets: corpus.octets,
        peers: versions,
    };
    let table = report::write(&about, &chosen, &samples);
    let growth = report::write_growth(&growth);
    print!("{table}\n{growth}");
    let whole = arguments.only.is_empty() && arguments.against == [Against::Dovecot];
    let output = arguments.output.or_else(|| {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../BENCHMARKS.md");
        whole.then(|| PathBuf::from(file))
    });
    if let Some(output) = output {
        let parts = [
            (&report::MEASURED, table, !chosen.is_empty()),
            (&report::GROWTH, growth, grows),
        ];
        for (part, text, _) in parts.iter().filter(|(.., measured)| *measured) {
            report::replace(&output, part, text)
                .with_context(|| format!("cannot write {}", output.display()))?;
        }
    }
    Ok(())
}

/// The servers, and with what they are measured.
struct Course<'a> {
    peers: &'a [Box<dyn Peer>],
    corpus: &'a Corpus,
    below: &'a Path,
}

impl Course<'_> {
    /// Plays a workload on all servers in turn, round after round.
    fn play(
        &self,
        workload: &Workload,
        scale: Scale,
        rounds: usize,
        samples: &mut Samples,
    ) -> anyhow::Result<()> {
        let rounds = (workload.rounds)(rounds);
        for round in 1..=rounds {
            for peer in self.peers {
                // Tuning is about logins and processes.
                if peer.name() == "dovecot, tuned" && workload.name != "login" {
                    continue;
                }
                let name = peer.name();
                eprintln!("{} {round}/{rounds}: {name}", workload.name);
                let mut stage = Stage::new(peer.as_ref(), self.corpus, scale, self.below, samples)?;
                (workload.play)(&mut stage)
                    .with_context(|| format!("{} on {name}", workload.name))?;
            }
        }
        Ok(())
    }
}
