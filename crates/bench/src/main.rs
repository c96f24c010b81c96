//! Measures Pillarbox side by side with Dovecot and writes `BENCHMARKS.md`.

mod client;
mod corpus;
mod peer;
mod process;
mod report;
mod sample;
mod workload;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use corpus::Corpus;
use peer::{Dovecot, Peer, Pillarbox, Tuning};
use sample::Samples;
use std::path::PathBuf;
use workload::{Scale, Stage, Workload};

/// Against what to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Against {
    /// Debian's Dovecot, with default settings and tuned.
    Dovecot,
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
    /// Against what
    #[arg(long, value_enum, default_value_t = Against::Dovecot)]
    against: Against,
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
    anyhow::ensure!(
        !chosen.is_empty(),
        "no such workload; there are {}",
        names.join(", ")
    );
    let pillarbox = Pillarbox::build()?;
    let mut peers: Vec<Box<dyn Peer>> = vec![Box::new(pillarbox)];
    let mut version = None;
    if arguments.against == Against::Dovecot {
        let dovecot = Dovecot::install(Tuning::Default)?;
        version = Some(dovecot.version().to_owned());
        peers.push(Box::new(dovecot));
        peers.push(Box::new(Dovecot::install(Tuning::Reused)?));
    }
    eprintln!("making {} messages", arguments.messages);
    let corpus = Corpus::make(&arguments.below, arguments.messages, peer::owner()?)
        .with_context(|| format!("cannot make mail below {}", arguments.below.display()))?;
    let scale = Scale {
        messages: arguments.messages,
        big: arguments.big,
        idle: arguments.idle,
    };
    let mut samples = Samples::new();
    for workload in &chosen {
        for round in 1..=arguments.rounds {
            for peer in &peers {
                // Tuning is about logins and processes.
                if peer.name() == "dovecot, tuned" && workload.name != "login" {
                    continue;
                }
                eprintln!(
                    "{} {round}/{}: {}",
                    workload.name,
                    arguments.rounds,
                    peer.name()
                );
                let mut stage = Stage::new(
                    peer.as_ref(),
                    &corpus,
                    scale,
                    &arguments.below,
                    &mut samples,
                )?;
                (workload.play)(&mut stage)
                    .with_context(|| format!("{} on {}", workload.name, peer.name()))?;
            }
        }
    }
    let about = report::About {
        scale,
        rounds: arguments.rounds,
        octets: corpus.octets,
        dovecot: version,
    };
    let text = report::write(&about, &chosen, &samples);
    print!("{text}");
    let whole = arguments.only.is_empty() && arguments.against == Against::Dovecot;
    let output = arguments.output.or_else(|| {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../BENCHMARKS.md");
        whole.then(|| PathBuf::from(file))
    });
    if let Some(output) = output {
        report::replace(&output, &text)
            .with_context(|| format!("cannot write {}", output.display()))?;
    }
    Ok(())
}
