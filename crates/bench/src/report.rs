//! The table.

use crate::sample::{Sample, Samples, Unit, median};
use crate::workload::{Row, Scale, Target, Workload};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Between these lines of the file the table is; what stands around them is written by
/// people and stays.
const BEGIN: &str = "<!-- measured -->\n";
const END: &str = "<!-- end -->\n";

/// What was measured on what.
pub struct About {
    pub scale: Scale,
    pub rounds: usize,
    /// Octets of the corpus.
    pub octets: u64,
    /// Dovecot's version.
    pub dovecot: Option<String>,
}

/// Writes what was measured, as Markdown.
pub fn write(about: &About, workloads: &[&Workload], samples: &Samples) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}\n", machine());
    let _ = writeln!(
        text,
        "Pillarbox {} and {}; {} messages of {} MB in a mailbox, {} in a big one; {} rounds, each on all in turn; medians, with the smallest and the biggest in brackets.\n",
        env!("CARGO_PKG_VERSION"),
        about
            .dovecot
            .as_ref()
            .map_or("nothing else".to_owned(), |version| format!(
                "Dovecot {version}"
            )),
        about.scale.messages,
        about.octets / 1_000_000,
        about.scale.big,
        about.rounds,
    );
    text += "| | pillarbox | dovecot | ratio | to reach | | cpu of pillarbox, dovecot | memory |\n";
    text += "| --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for row in workloads.iter().flat_map(|workload| workload.rows) {
        if let Some(line) = line(row, samples) {
            text += &line;
        }
    }
    text
}

fn line(row: &Row, samples: &Samples) -> Option<String> {
    let of = samples.get(row.id)?;
    let ours = of.get("pillarbox")?;
    let theirs = of.get("dovecot");
    let ratio = |theirs: &Vec<Sample>| ratio(row.unit, middle(ours), middle(theirs));
    let against_default = theirs.map(ratio);
    let against_tuned = of.get("dovecot, tuned").map(ratio);
    let mine = middle(ours);
    let (target, is_reached) = match row.target {
        Target::Ratio(wanted) => (
            format!("{wanted}x"),
            against_default.map(|ratio| ratio >= wanted),
        ),
        Target::Ratios(wanted, tuned) => (
            format!("{wanted}x; {tuned}x tuned"),
            against_default
                .zip(against_tuned)
                .map(|(to_default, to_tuned)| to_default >= wanted && to_tuned >= tuned),
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
    Some(format!(
        "| {} | {} | {} | {shown_ratio} | {target} | {mark} | {} | {} |\n",
        row.what,
        spread(row.unit, ours),
        theirs.map_or(String::new(), |theirs| spread(row.unit, theirs)),
        both(&processor),
        both(&memory),
    ))
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

/// Puts the table into a file, in the place of the one before.
///
/// # Errors
/// When the file cannot be written.
pub fn replace(file: &Path, table: &str) -> anyhow::Result<()> {
    let old = fs::read_to_string(file).unwrap_or_else(|_| format!("# Benchmarks\n\n{BEGIN}{END}"));
    let begin = old.find(BEGIN).map(|place| place + BEGIN.len());
    let end = old.find(END);
    let (Some(begin), Some(end)) = (begin, end) else {
        anyhow::bail!("{} has no lines {BEGIN:?} and {END:?}", file.display());
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
        fs::write(file.path(), format!("before\n{BEGIN}old\n{END}after\n")).expect("written");
        replace(file.path(), "new\n").expect("replaced");
        let text = fs::read_to_string(file.path()).expect("read");
        assert_eq!(text, format!("before\n{BEGIN}new\n{END}after\n"));
    }
}
