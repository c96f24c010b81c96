//! What a process and its children cost.

use std::fs;
use std::time::Duration;

/// All processes, with the fields of each.
fn all() -> impl Iterator<Item = (u32, Vec<String>)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let process = entry.file_name().to_str()?.parse().ok()?;
        Some((process, fields(process)?))
    })
}

/// The processes of a process group that have not ended.
pub fn group(leader: u32) -> Vec<u32> {
    let leader = leader.to_string();
    let is_of_it = |fields: &[String]| {
        fields.first().is_some_and(|state| state != "Z") && fields.get(2) == Some(&leader)
    };
    all()
        .filter(|(_, fields)| is_of_it(fields))
        .map(|(process, _)| process)
        .collect()
}

/// The processes of a tree, the root first.
fn tree(root: u32) -> Vec<u32> {
    let pairs: Vec<(u32, u32)> = all()
        .filter_map(|(process, fields)| Some((process, fields.get(1)?.parse().ok()?)))
        .collect();
    let mut found = vec![root];
    let mut place = 0;
    while let Some(parent) = found.get(place).copied() {
        found.extend(
            pairs
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(process, _)| *process),
        );
        place += 1;
    }
    found
}

/// The fields of `/proc/PID/stat` after the name: state, parent, group and so on.
fn fields(process: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    Some(rest.split(' ').map(str::to_owned).collect())
}

/// Processor time of a tree: of those that live to the nanosecond, of children that
/// ended in ticks.
pub fn processor_time(root: u32) -> Duration {
    let ticks = |process: u32| {
        let fields = fields(process)?;
        let ended: u64 =
            fields.get(13)?.parse::<u64>().ok()? + fields.get(14)?.parse::<u64>().ok()?;
        Some(Duration::from_millis(ended * 10))
    };
    let living = |process: u32| {
        let pid = nix::unistd::Pid::from_raw(process.cast_signed());
        let time = nix::time::clock_getcpuclockid(pid).ok()?.now().ok()?;
        Some(Duration::from(time))
    };
    tree(root)
        .into_iter()
        .map(|process| living(process).unwrap_or_default() + ticks(process).unwrap_or_default())
        .sum()
}

/// Memory of a tree in octets: what is shared counts in parts (PSS).
pub fn memory(root: u32) -> u64 {
    let of = |process: u32| {
        let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
        let line = rollup.lines().find(|line| line.starts_with("Pss:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    tree(root).into_iter().filter_map(of).sum::<u64>() * 1024
}

/// Where the system is told to forget what it has read.
const FORGET: &str = "/proc/sys/vm/drop_caches";

/// Lets the system forget files, their names and their directories, where it may be told.
pub fn forget_files() {
    nix::unistd::sync();
    let _ = fs::write(FORGET, "3");
}

/// Whether [`forget_files`] does what it says.
pub fn can_forget_files() -> bool {
    fs::OpenOptions::new().write(true).open(FORGET).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_costs_something() {
        let own = std::process::id();
        let began = processor_time(own);
        let mut sum = 0_u64;
        while processor_time(own) < began + Duration::from_millis(5) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(memory(own) > 100_000);
    }

    #[test]
    fn a_group_is_gone_when_it_has_ended() {
        use std::os::unix::process::CommandExt;
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .process_group(0)
            .spawn()
            .expect("started");
        assert_eq!(group(child.id()), [child.id()]);
        child.kill().expect("ended");
        child.wait().expect("waited for");
        assert!(group(child.id()).is_empty());
    }
}
