//! The table.

use crate::process::can_forget_files;
use crate::sample::{Sample, Samples, Unit, median};
use crate::workload::{self, Row, Scale, Target, Workload};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Between two lines of the file a table is; what stands around them is written by people
/// and stays.
pub struct Part {
    begin: &'static str,
    end: &'static str,
}

/// The workloads.
pub const MEASURED: Part = Part {
    begin: "<!-- measured -->\n",
    end: "<!-- end -->\n",
};
/// How cost grows.
pub const GROWTH: Part = Part {
    begin: "<!-- growth -->\n",
    end: "<!-- end of growth -->\n",
};

/// What was measured on what.
pub struct About {
    pub scale: Scale,
    pub rounds: usize,
    /// Octets of the corpus.
    pub octets: u64,
    /// What else was measured, with versions.
    pub peers: Vec<String>,
}

/// Writes what was measured, as Markdown.
pub fn write(about: &About, workloads: &[&Workload], samples: &Samples) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}\n", machine());
    let mut compared = vec![format!("Pillarbox {}", env!("CARGO_PKG_VERSION"))];
    compared.extend(about.peers.iter().cloned());
    let _ = writeln!(
        text,
        "{}; {} messages of {} MB in a mailbox, {} in a big one; {} rounds, each on all in turn; medians, with the smallest and the biggest in brackets.\n",
        compared.join(", "),
        about.scale.messages,
        about.octets / 1_000_000,
        about.scale.big,
        about.rounds,
    );
    let others = others(samples.values());
    let first = others.first().copied().unwrap_or("nothing");
    let _ = write!(
        text,
        "| | pillarbox | {first} | ratio | to reach | | cpu of pillarbox, {first} | memory |"
    );
    for other in others.iter().skip(1) {
        let _ = write!(text, " {other} | ratio |");
    }
    let columns = 7 + 2 * others.len().saturating_sub(1);
    let _ = writeln!(text, "\n| --- |{}", " --- |".repeat(columns));
    for row in workloads.iter().flat_map(|workload| workload.rows) {
        if let Some(line) = line(row, samples, &others) {
            text += &line;
        }
    }
    text
}

/// The servers that were measured beside Pillarbox, each with the settings it comes with.
fn others<'a>(
    rows: impl Iterator<Item = &'a BTreeMap<&'static str, Vec<Sample>>> + Clone,
) -> Vec<&'static str> {
    let all = ["dovecot", "courier", "cyrus"].into_iter();
    all.filter(|peer| rows.clone().any(|of| of.contains_key(peer)))
        .collect()
}

fn line(row: &Row, samples: &Samples, others: &[&str]) -> Option<String> {
    let of = samples.get(row.id)?;
    let ours = of.get("pillarbox")?;
    let theirs = others.first().and_then(|first| of.get(first));
    let ratio = |theirs: &Vec<Sample>| ratio(row.unit, middle(ours), middle(theirs));
    let against_default = theirs.map(ratio);
    let against_tuned = of.get("dovecot, tuned").map(ratio);
    let mine = middle(ours);
    // What is to be reached is said of Dovecot.
    let (against_dovecot, tuned) = match others.first() {
        Some(&"dovecot") => (against_default, against_tuned),
        _ => (None, None),
    };
    let (target, is_reached) = match row.target {
        Target::Ratio(wanted) => (
            format!("{wanted}x"),
            against_dovecot.map(|ratio| ratio >= wanted),
        ),
        Target::Ratios(wanted, wanted_tuned) => (
            format!("{wanted}x; {wanted_tuned}x tuned"),
            against_dovecot
                .zip(tuned)
                .map(|(to_default, to_tuned)| to_default >= wanted && to_tuned >= wanted_tuned),
        ),
        Target::AtMost(most) => (format!("<= {}", number(most)), Some(mine <= most)),
        Target::Told => (String::new(), None),
    };
    let mark = match is_reached {
        Some(true) => "yes",
        Some(false) => "**no**",
        None => "",
    };
    let shown_ratio = match (against_default, against_tuned) {
        (Some(default), Some(tuned)) => format!("{default:.1}x; {tuned:.1}x tuned"),
        (Some(default), None) => format!("{default:.1}x"),
        _ => String::new(),
    };
    let processor = |samples: &Vec<Sample>| {
        let milliseconds = median(
            samples
                .iter()
                .map(|sample| sample.processor.as_secs_f64() * 1_000.0),
        );
        if milliseconds > 0.0 {
            number(milliseconds)
        } else {
            "-".to_owned()
        }
    };
    let memory = |samples: &Vec<Sample>| {
        let octets = median(samples.iter().map(|sample| sample.memory as f64));
        if octets > 0.0 {
            format!("{:.0}", octets / 1e6)
        } else {
            "-".to_owned()
        }
    };
    let both = |show: &dyn Fn(&Vec<Sample>) -> String| {
        let theirs = theirs.map_or("-".to_owned(), show);
        match (show(ours), theirs) {
            (ours, theirs) if ours == "-" && theirs == "-" => String::new(),
            (ours, theirs) => format!("{ours}, {theirs}"),
        }
    };
    let mut line = format!(
        "| {} | {} | {} | {shown_ratio} | {target} | {mark} | {} | {} |",
        row.what,
        spread(row.unit, ours),
        theirs.map_or(String::new(), |theirs| spread(row.unit, theirs)),
        both(&processor),
        both(&memory),
    );
    for theirs in others.iter().skip(1).map(|other| of.get(other)) {
        let measured = theirs.map(|theirs| (spread(row.unit, theirs), ratio(theirs)));
        let (measured, ratio) = measured.map_or_else(Default::default, |(measured, ratio)| {
            (measured, format!("{ratio:.1}x"))
        });
        let _ = write!(line, " {measured} | {ratio} |");
    }
    line.push('\n');
    Some(line)
}

/// Writes what mailboxes of several sizes cost, as Markdown.
pub fn write_growth(growth: &[(usize, Samples)]) -> String {
    let mut text = String::new();
    let others = others(growth.iter().flat_map(|(_, samples)| samples.values()));
    let peers = std::iter::once("pillarbox").chain(others);
    let columns: Vec<(&str, usize, &Samples)> = peers
        .flat_map(|peer| {
            growth
                .iter()
                .map(move |(messages, samples)| (peer, *messages, samples))
        })
        .collect();
    if columns.is_empty() {
        return text;
    }
    let cold = if can_forget_files() {
        "the server was just started and the system has no file in memory"
    } else {
        "the server was just started (the system may have files in memory: it was not to be told to forget)"
    };
    let _ = writeln!(
        text,
        "Milliseconds. Cold: {cold}; all else with the mail in memory. The big mailbox has each file of the corpus several times, by hard links.\n"
    );
    text += "| |";
    for (peer, messages, _) in &columns {
        let _ = write!(text, " {peer}, {messages} |");
    }
    let _ = writeln!(text, "\n| --- |{}", " --- |".repeat(columns.len()));
    for row in workload::GROWTH.rows {
        let _ = write!(text, "| {} |", row.what);
        for (peer, _, samples) in &columns {
            let measured = samples.get(row.id).and_then(|of| of.get(peer));
            let value = measured.map_or(String::new(), |samples| number(middle(samples)));
            let _ = write!(text, " {value} |");
        }
        text.push('\n');
    }
    text
}

fn middle(samples: &[Sample]) -> f64 {
    median(samples.iter().map(|sample| sample.value))
}

/// How many times as good the first is.
fn ratio(unit: Unit, ours: f64, theirs: f64) -> f64 {
    if unit.is_rate() {
        ours / theirs
    } else {
        theirs / ours
    }
}

fn spread(unit: Unit, samples: &[Sample]) -> String {
    let values = || samples.iter().map(|sample| sample.value);
    let least = values().fold(f64::INFINITY, f64::min);
    let most = values().fold(f64::NEG_INFINITY, f64::max);
    format!(
        "{} {} [{} - {}]",
        number(middle(samples)),
        unit.name(),
        number(least),
        number(most)
    )
}

/// Three digits, or all before the point.
fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let after = |text: &str, key: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(key))
            .unwrap_or_default()
            .to_owned();
        line.split_once(':')
            .map_or(String::new(), |(_, value)| value.trim().to_owned())
    };
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let model = after(&read("/proc/cpuinfo"), "model name");
    let memory = after(&read("/proc/meminfo"), "MemTotal");
    let kernel = read("/proc/sys/kernel/osrelease");
    let system = read("/etc/os-release");
    let system = system
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .unwrap_or_default();
    let load = read("/proc/loadavg");
    let date = std::process::Command::new("date").arg("+%Y-%m-%d").output();
    let date = date
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default();
    format!(
        "{date}: {processors} cores ({model}), {memory}, {}, kernel {}, load {} at the end.",
        system.trim_matches('"'),
        kernel.trim(),
        load.split(' ').next().unwrap_or_default()
    )
}

/// Puts a table into a file, in the place of the one before.
///
/// # Errors
/// When the file cannot be written.
pub fn replace(file: &Path, part: &Part, table: &str) -> anyhow::Result<()> {
    let empty = || {
        let parts = [MEASURED, GROWTH].map(|part| format!("{}{}", part.begin, part.end));
        format!("# Benchmarks\n\n{}", parts.join("\n"))
    };
    let old = fs::read_to_string(file).unwrap_or_else(|_| empty());
    let begin = old.find(part.begin).map(|place| place + part.begin.len());
    let end = old.find(part.end);
    let (Some(begin), Some(end)) = (begin, end) else {
        anyhow::bail!(
            "{} has no lines {:?} and {:?}",
            file.display(),
            part.begin,
            part.end
        );
    };
    Ok(fs::write(
        file,
        format!("{}{table}{}", &old[..begin], &old[end..]),
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_better_or_less() {
        assert!((ratio(Unit::Milliseconds, 2.0, 6.0) - 3.0).abs() < 1e-9);
        assert!((ratio(Unit::PerSecond, 6.0, 2.0) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn what_people_wrote_stays() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let around = |growth: &str| {
            let (measured, grown) = (&MEASURED, &GROWTH);
            format!(
                "before\n{}table\n{}between\n{}{growth}{}after\n",
                measured.begin, measured.end, grown.begin, grown.end
            )
        };
        fs::write(file.path(), around("old\n")).expect("written");
        replace(file.path(), &GROWTH, "new\n").expect("replaced");
        let text = fs::read_to_string(file.path()).expect("read");
        assert_eq!(text, around("new\n"));
    }
}
