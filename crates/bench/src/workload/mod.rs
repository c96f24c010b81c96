//! Workloads. Each is played against every server in turn, on mail of its own, and
//! checks what it is answered.

mod append;
mod asked;
mod big;
mod change;
mod growth;
mod idle;
mod login;
mod many;
mod memory;
mod pop3;
mod reading;
mod search;

use crate::corpus::Corpus;
use crate::peer::{Delivery, Peer, Running, Site};
use crate::process;
use crate::sample::{Sample, Samples, Unit};
use std::path::Path;
use std::time::Instant;

/// After so long a session that logged out is gone.
const GONE: std::time::Duration = std::time::Duration::from_millis(200);

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// A short name, unique.
    pub id: &'static str,
    /// What was done.
    pub what: &'static str,
    pub unit: Unit,
    /// What is to be reached.
    pub target: Target,
}

/// A time, and so many times Dovecot's speed to reach.
const fn time(id: &'static str, what: &'static str, ratio: f64) -> Row {
    Row {
        id,
        what,
        unit: Unit::Milliseconds,
        target: Target::Ratio(ratio),
    }
}

/// A rate, and so many times Dovecot's to reach.
const fn rate(id: &'static str, what: &'static str, unit: Unit, ratio: f64) -> Row {
    Row {
        id,
        what,
        unit,
        target: Target::Ratio(ratio),
    }
}

/// What is to be no more than so much.
const fn at_most(id: &'static str, what: &'static str, unit: Unit, most: f64) -> Row {
    Row {
        id,
        what,
        unit,
        target: Target::AtMost(most),
    }
}

/// What is told for what it is worth.
const fn told(id: &'static str, what: &'static str, unit: Unit) -> Row {
    Row {
        id,
        what,
        unit,
        target: Target::Told,
    }
}

/// What is to be reached.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// So many times as good as Dovecot's default settings.
    Ratio(f64),
    /// That, and so many times as good as tuned Dovecot.
    Ratios(f64, f64),
    /// No more than this, in the row's unit.
    AtMost(f64),
    /// Nothing: it is told for what it is worth.
    Told,
}

/// Rows that are measured in one go.
pub struct Workload {
    pub name: &'static str,
    pub rows: &'static [Row],
    /// How often it is played where all are played so often.
    pub rounds: fn(usize) -> usize,
    pub play: fn(&mut Stage) -> anyhow::Result<()>,
}

/// In each round.
fn always(rounds: usize) -> usize {
    rounds
}

/// Once: it takes long, and gives nearly the same each time.
fn once(rounds: usize) -> usize {
    rounds.min(1)
}

/// All of them, in the order they are played.
pub const ALL: [&Workload; 10] = [
    &login::WORKLOAD,
    &append::WORKLOAD,
    &reading::WORKLOAD,
    &search::WORKLOAD,
    &change::WORKLOAD,
    &pop3::WORKLOAD,
    &idle::WORKLOAD,
    &memory::WORKLOAD,
    &big::WORKLOAD,
    &many::WORKLOAD,
];

/// What is played with mailboxes of several sizes, for a table of its own.
pub const GROWTH: &Workload = &growth::WORKLOAD;

/// How big everything is.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Messages in a mailbox.
    pub messages: usize,
    /// Messages in a big one.
    pub big: usize,
    /// Connections that idle.
    pub idle: usize,
}

/// A server and its mail, while a workload plays.
pub struct Stage<'a> {
    pub peer: &'a dyn Peer,
    pub corpus: &'a Corpus,
    pub scale: Scale,
    below: &'a Path,
    // Before the site, so that it ends before its mail goes.
    server: Option<Running>,
    /// Where its mail is.
    pub site: Site,
    samples: &'a mut Samples,
}

impl<'a> Stage<'a> {
    /// A stage with nothing on it.
    ///
    /// # Errors
    /// When the site cannot be made.
    pub fn new(
        peer: &'a dyn Peer,
        corpus: &'a Corpus,
        scale: Scale,
        below: &'a Path,
        samples: &'a mut Samples,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            peer,
            corpus,
            scale,
            below,
            site: Site::new(below)?,
            server: None,
            samples,
        })
    }

    /// Ends the server, if there is one, and begins with new mail: `count` messages in
    /// a folder of every named user's Maildir.
    fn begin(&mut self, users: &[&str], folder: &str, count: usize) -> anyhow::Result<()> {
        let delivery = |user| Delivery {
            user,
            mailbox: None,
            folder,
            count,
        };
        let deliveries: Vec<Delivery> = users.iter().copied().map(delivery).collect();
        self.begin_with(&deliveries)
    }

    /// Ends the server, if there is one, and begins with the mail that is delivered now.
    fn begin_with(&mut self, deliveries: &[Delivery]) -> anyhow::Result<()> {
        self.server = None;
        self.site = Site::new(self.below)?;
        self.peer.deliver(&self.site, self.corpus, deliveries)?;
        // An MTA has synced what it delivered.
        nix::unistd::sync();
        self.restart()
    }

    /// Ends the server and starts it again.
    fn restart(&mut self) -> anyhow::Result<()> {
        self.server = None;
        self.server = Some(self.peer.start(&self.site)?);
        Ok(())
    }

    /// Waits until what was changed last is no news. Dovecot reads a directory again that
    /// changed within the last seconds, which is not what a mailbox at rest costs.
    fn settle(&self) {
        std::thread::sleep(std::time::Duration::from_secs(5));
    }

    fn running(&self) -> &Running {
        self.server
            .as_ref()
            .unwrap_or_else(|| unreachable!("a workload begins first"))
    }

    fn imap(&self) -> u16 {
        self.running().imap
    }

    fn pop3(&self) -> u16 {
        self.running().pop3
    }

    /// Measures how long work takes. It gives how many things it did; rows of rates
    /// say how many a second.
    fn measure(
        &mut self,
        row: &Row,
        work: impl FnOnce(&Self) -> anyhow::Result<f64>,
    ) -> anyhow::Result<()> {
        let process = self.running().process();
        let before = process::processor_time(process);
        let began = Instant::now();
        let done = work(self)?;
        let seconds = began.elapsed().as_secs_f64();
        let processor = process::processor_time(process).saturating_sub(before);
        let value = match row.unit {
            Unit::Milliseconds => seconds * 1_000.0 / done,
            Unit::ProcessorMilliseconds => processor.as_secs_f64() * 1_000.0 / done,
            Unit::PerSecond => done / seconds,
            Unit::Megabytes => done / 1e6 / seconds,
            Unit::Kibibytes | Unit::Times => done,
        };
        let memory = process::memory(process);
        self.keep(
            row,
            Sample {
                value,
                processor,
                memory,
            },
        );
        Ok(())
    }

    /// Measures how long something takes that is over too soon to be measured once: the mean
    /// of `times` times, one after another, without what comes before and after each.
    fn measure_each<T>(
        &mut self,
        row: &Row,
        times: u32,
        begin: impl Fn(&Self) -> anyhow::Result<T>,
        work: impl Fn(&mut T) -> anyhow::Result<f64>,
        end: impl Fn(T) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let process = self.running().process();
        let (mut seconds, mut processor) = (0.0, std::time::Duration::ZERO);
        for _ in 0..times {
            let mut begun = begin(self)?;
            let before = process::processor_time(process);
            let began = Instant::now();
            work(&mut begun)?;
            seconds += began.elapsed().as_secs_f64();
            processor += process::processor_time(process).saturating_sub(before);
            end(begun)?;
        }
        let sample = Sample {
            value: seconds * 1_000.0 / f64::from(times),
            processor: processor / times,
            memory: process::memory(process),
        };
        self.keep(row, sample);
        Ok(())
    }

    /// Notes what a workload found out by itself.
    fn tell(&mut self, row: &Row, value: f64) {
        let sample = Sample {
            value,
            processor: std::time::Duration::ZERO,
            memory: 0,
        };
        self.keep(row, sample);
    }

    fn keep(&mut self, row: &Row, sample: Sample) {
        let by_peer = self.samples.entry(row.id).or_default();
        by_peer.entry(self.peer.name()).or_default().push(sample);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_names_of_their_own() {
        let mut seen = std::collections::HashSet::new();
        for row in ALL
            .iter()
            .chain([&GROWTH])
            .flat_map(|workload| workload.rows)
        {
            assert!(seen.insert(row.id), "{}", row.id);
        }
    }
}
