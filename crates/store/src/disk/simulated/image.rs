//! What is on a simulated disk: as programs see it, and as it is durable.

use super::{Draw, Kind, Listed, Loss, Metadata, Stamp};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The directory at the mount point.
const ROOT: u64 = 1;
/// When the disk's clock starts, before now: no time on it is too fresh to be trusted.
const PAST: Duration = Duration::from_secs(3600);
/// How far the clock goes on at each change.
const TICK: Duration = Duration::from_micros(10);

#[derive(Debug, Clone)]
pub(super) struct Image {
    inodes: BTreeMap<u64, Inode>,
    next: u64,
    /// Since 1970.
    clock: Duration,
}

#[derive(Debug, Clone)]
struct Inode {
    kind: Kind,
    /// The device it is on: nothing is renamed or linked from one to another.
    device: u64,
    now: Content,
    durable: Content,
    /// How `now` came from `durable`.
    steps: Vec<Step>,
}

/// What a file or directory holds.
#[derive(Debug, Clone, Default)]
struct Content {
    octets: Vec<u8>,
    names: BTreeMap<String, u64>,
    modified: Duration,
    changed: Duration,
}

/// One change of a file or directory, whole or not at all (but a write may be torn).
#[derive(Debug, Clone)]
enum Step {
    Write {
        offset: u64,
        octets: Vec<u8>,
        at: Duration,
    },
    Length {
        octets: u64,
        at: Duration,
    },
    Modified {
        time: Duration,
        at: Duration,
    },
    Names {
        changes: Vec<(String, Option<u64>)>,
        at: Duration,
        /// The directory a name went to, and the step there.
        went_to: Option<(u64, Duration)>,
    },
}

impl Content {
    fn apply(&mut self, step: &Step) {
        match step {
            Step::Write { offset, octets, at } => {
                let offset = usize::try_from(*offset).expect("small");
                let end = offset + octets.len();
                if self.octets.len() < end {
                    self.octets.resize(end, 0);
                }
                self.octets[offset..end].copy_from_slice(octets);
                self.modified = *at;
                self.changed = *at;
            }
            Step::Length { octets, at } => {
                let length = usize::try_from(*octets).expect("small");
                if self.octets.len() != length {
                    self.octets.resize(length, 0);
                    self.modified = *at;
                    self.changed = *at;
                }
            }
            Step::Modified { time, at } => {
                self.modified = *time;
                self.changed = *at;
            }
            Step::Names { changes, at, .. } => {
                for (name, inode) in changes {
                    match inode {
                        Some(inode) => {
                            self.names.insert(name.clone(), *inode);
                        }
                        None => {
                            self.names.remove(name);
                        }
                    }
                }
                self.modified = *at;
                self.changed = *at;
            }
        }
    }
}

impl Inode {
    fn take(&mut self, step: Step) {
        self.now.apply(&step);
        self.steps.push(step);
    }
    /// What a loss leaves that keeps so many steps.
    fn after(&self, loss: Loss, kept: usize, draw: &mut Draw) -> Content {
        let mut content = self.durable.clone();
        match loss {
            Loss::Nothing | Loss::NothingByLuck => return self.now.clone(),
            Loss::Everything => {}
            Loss::Tails(_) => {
                for step in &self.steps[..kept] {
                    content.apply(step);
                }
                // Of the next write a part, or only room for it.
                if let Some(Step::Write { offset, octets, at }) = self.steps.get(kept) {
                    let whole = draw.below(octets.len() + 1);
                    let zeros = draw.below(2) * (octets.len() - whole);
                    let mut torn = octets[..whole].to_vec();
                    let end = usize::try_from(*offset).expect("small") + whole;
                    if end >= content.octets.len() {
                        torn.resize(whole + zeros, 0);
                    }
                    content.apply(&Step::Write {
                        offset: *offset,
                        octets: torn,
                        at: *at,
                    });
                }
            }
        }
        content
    }
}

impl Image {
    pub(super) fn new() -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let root = Inode {
            kind: Kind::Directory,
            device: ROOT,
            now: Content::default(),
            durable: Content::default(),
            steps: Vec::new(),
        };
        Self {
            inodes: BTreeMap::from([(ROOT, root)]),
            next: ROOT + 1,
            clock: now.saturating_sub(PAST),
        }
    }
    /// What is left after a reboot.
    pub(super) fn after(&self, loss: Loss) -> Self {
        if loss == Loss::Nothing {
            return self.clone();
        }
        let seed = match loss {
            Loss::Tails(seed) => seed,
            _ => 0,
        };
        let mut draw = Draw::new(seed);
        let kept = self.kept(&mut draw);
        let mut image = self.clone();
        for (number, inode) in &mut image.inodes {
            let before = &self.inodes[number];
            inode.now = before.after(loss, kept[number], &mut draw);
            inode.durable = inode.now.clone();
            inode.steps.clear();
        }
        image
    }
    /// How many steps each inode keeps. What file systems write by themselves of a
    /// rename between two directories is all of it or nothing.
    fn kept(&self, draw: &mut Draw) -> BTreeMap<u64, usize> {
        let draws = self.inodes.iter();
        let mut kept: BTreeMap<u64, usize> = draws
            .map(|(number, inode)| (*number, draw.below(inode.steps.len() + 1)))
            .collect();
        while let Some((number, steps)) = self.torn_rename(&kept) {
            kept.insert(number, steps);
        }
        kept
    }
    /// A rename of which one half is kept: the inode of that half, and the steps in
    /// front of it.
    fn torn_rename(&self, kept: &BTreeMap<u64, usize>) -> Option<(u64, usize)> {
        for (number, inode) in &self.inodes {
            for (left, step) in inode.steps.iter().enumerate() {
                let Step::Names {
                    went_to: Some((directory, at)),
                    ..
                } = step
                else {
                    continue;
                };
                let came = self.inodes[directory]
                    .steps
                    .iter()
                    .position(|step| matches!(step, Step::Names { at: other, .. } if other == at));
                let has_left = left < kept[number];
                match came {
                    Some(came) if has_left && came >= kept[directory] => {
                        return Some((*number, left));
                    }
                    Some(came) if !has_left && came < kept[directory] => {
                        return Some((*directory, came));
                    }
                    _ => {}
                }
            }
        }
        None
    }
    /// Has the clock go on from so long ago.
    pub(super) fn set_clock(&mut self, ago: Duration) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        self.clock = now.unwrap_or_default().saturating_sub(ago);
    }
    fn tick(&mut self) -> Duration {
        self.clock += TICK;
        self.clock
    }
    fn inode(&self, number: u64) -> &Inode {
        &self.inodes[&number]
    }
    fn inode_mut(&mut self, number: u64) -> &mut Inode {
        self.inodes
            .get_mut(&number)
            .expect("an inode that was given")
    }
    /// The inode at a place.
    pub(super) fn find(&self, place: &[&str]) -> io::Result<u64> {
        let mut number = ROOT;
        for name in place {
            let inode = self.inode(number);
            if inode.kind != Kind::Directory {
                return Err(ErrorKind::NotADirectory.into());
            }
            number = *inode.now.names.get(*name).ok_or(ErrorKind::NotFound)?;
        }
        Ok(number)
    }
    /// Where a directory is, from the root.
    pub(super) fn place_of(&self, directory: u64) -> Option<PathBuf> {
        let mut waiting = vec![(ROOT, PathBuf::new())];
        while let Some((number, place)) = waiting.pop() {
            if number == directory {
                return Some(place);
            }
            let inode = self.inode(number);
            let names = inode.now.names.iter();
            waiting.extend(names.map(|(name, number)| (*number, place.join(name))));
        }
        None
    }
    /// The directory that holds a place, and the last name.
    fn parent<'a>(&self, place: &[&'a str]) -> io::Result<(u64, &'a str)> {
        let (name, above) = place.split_last().ok_or(ErrorKind::InvalidInput)?;
        let parent = self.find(above)?;
        if self.inode(parent).kind != Kind::Directory {
            return Err(ErrorKind::NotADirectory.into());
        }
        Ok((parent, name))
    }
    fn named(&self, parent: u64, name: &str) -> Option<u64> {
        self.inode(parent).now.names.get(name).copied()
    }
    fn change_names(&mut self, parent: u64, changes: &[(&str, Option<u64>)]) -> Duration {
        self.move_names(parent, changes, None)
    }
    fn move_names(
        &mut self,
        parent: u64,
        changes: &[(&str, Option<u64>)],
        went_to: Option<(u64, Duration)>,
    ) -> Duration {
        let at = self.tick();
        let changes = changes
            .iter()
            .map(|(name, inode)| ((*name).to_owned(), *inode));
        let changes = changes.collect();
        self.inode_mut(parent).take(Step::Names {
            changes,
            at,
            went_to,
        });
        at
    }
    /// Notes that a file's names changed.
    fn touch(&mut self, number: u64) {
        let at = self.tick();
        let inode = self.inode_mut(number);
        inode.now.changed = at;
        inode.durable.changed = at;
    }
    pub(super) fn create(&mut self, place: &[&str], kind: Kind) -> io::Result<u64> {
        let (parent, name) = self.parent(place)?;
        if self.named(parent, name).is_some() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let at = self.tick();
        let number = self.next;
        self.next += 1;
        let content = Content {
            modified: at,
            changed: at,
            ..Content::default()
        };
        let inode = Inode {
            kind,
            device: self.inode(parent).device,
            now: content.clone(),
            durable: content,
            steps: Vec::new(),
        };
        self.inodes.insert(number, inode);
        self.change_names(parent, &[(name, Some(number))]);
        Ok(number)
    }
    pub(super) fn link(&mut self, from: &[&str], to: &[&str]) -> io::Result<()> {
        let number = self.find(from)?;
        let (parent, name) = self.parent(to)?;
        if self.named(parent, name).is_some() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        if self.inode(number).device != self.inode(parent).device {
            return Err(ErrorKind::CrossesDevices.into());
        }
        self.change_names(parent, &[(name, Some(number))]);
        self.touch(number);
        Ok(())
    }
    pub(super) fn rename(&mut self, from: &[&str], to: &[&str]) -> io::Result<()> {
        let number = self.find(from)?;
        let (old_parent, old_name) = self.parent(from)?;
        let (new_parent, new_name) = self.parent(to)?;
        let [device, old_device, new_device] =
            [number, old_parent, new_parent].map(|number| self.inode(number).device);
        if device != old_device {
            // Where a device begins.
            return Err(ErrorKind::ResourceBusy.into());
        }
        if device != new_device {
            return Err(ErrorKind::CrossesDevices.into());
        }
        if let Some(replaced) = self.named(new_parent, new_name) {
            if replaced == number {
                // Two names of one file stay so.
                return Ok(());
            }
            let replaced = self.inode(replaced);
            match (self.inode(number).kind, replaced.kind) {
                (Kind::Directory, Kind::Directory) if !replaced.now.names.is_empty() => {
                    return Err(ErrorKind::DirectoryNotEmpty.into());
                }
                (Kind::Directory, Kind::Directory) => {}
                (Kind::Directory, _) => return Err(ErrorKind::NotADirectory.into()),
                (_, Kind::Directory) => return Err(ErrorKind::IsADirectory.into()),
                _ => {}
            }
        }
        if old_parent == new_parent {
            self.change_names(old_parent, &[(old_name, None), (new_name, Some(number))]);
        } else {
            let at = self.change_names(new_parent, &[(new_name, Some(number))]);
            self.move_names(old_parent, &[(old_name, None)], Some((new_parent, at)));
        }
        self.touch(number);
        Ok(())
    }
    pub(super) fn remove(&mut self, place: &[&str], kind: Kind) -> io::Result<()> {
        let inode = self.inode(self.find(place)?);
        match (kind, inode.kind) {
            (Kind::Directory, Kind::Directory) if !inode.now.names.is_empty() => {
                return Err(ErrorKind::DirectoryNotEmpty.into());
            }
            (Kind::Directory, Kind::Directory) => {}
            (Kind::Directory, _) => return Err(ErrorKind::NotADirectory.into()),
            (_, Kind::Directory) => return Err(ErrorKind::IsADirectory.into()),
            _ => {}
        }
        let (parent, name) = self.parent(place)?;
        self.change_names(parent, &[(name, None)]);
        Ok(())
    }
    pub(super) fn list(&self, number: u64) -> io::Result<Vec<Listed>> {
        let inode = self.inode(number);
        if inode.kind != Kind::Directory {
            return Err(ErrorKind::NotADirectory.into());
        }
        let names = inode.now.names.iter();
        let listed = names.map(|(name, number)| Listed {
            name: name.into(),
            kind: self.inode(*number).kind,
        });
        Ok(listed.collect())
    }
    pub(super) fn metadata(&self, number: u64) -> io::Result<Metadata> {
        let inode = self.inode(number);
        let seconds = |time: Duration| i64::try_from(time.as_secs()).expect("a time");
        Ok(Metadata {
            kind: inode.kind,
            stamp: Stamp {
                device: inode.device,
                inode: number,
                size_octets: inode.now.octets.len() as u64,
                seconds: seconds(inode.now.modified),
                nanoseconds: i64::from(inode.now.modified.subsec_nanos()),
            },
            changed_seconds: seconds(inode.now.changed),
        })
    }
    /// Has a directory, with all in it, be on a device of its own.
    pub(super) fn set_apart(&mut self, directory: u64) {
        let mut waiting = vec![directory];
        while let Some(number) = waiting.pop() {
            let inode = self.inode_mut(number);
            inode.device = directory;
            waiting.extend(inode.now.names.values());
        }
    }
    pub(super) fn length(&self, number: u64) -> u64 {
        self.inode(number).now.octets.len() as u64
    }
    pub(super) fn read(&self, number: u64, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let inode = self.inode(number);
        if inode.kind == Kind::Directory {
            return Err(ErrorKind::IsADirectory.into());
        }
        let offset = usize::try_from(offset).expect("small");
        let rest = inode.now.octets.get(offset..).unwrap_or_default();
        let length = rest.len().min(into.len());
        into[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
    pub(super) fn write(&mut self, number: u64, octets: &[u8], offset: u64) {
        let at = self.tick();
        let octets = octets.to_vec();
        self.inode_mut(number)
            .take(Step::Write { offset, octets, at });
    }
    pub(super) fn set_length(&mut self, number: u64, octets: u64) {
        let at = self.tick();
        self.inode_mut(number).take(Step::Length { octets, at });
    }
    pub(super) fn set_modified(&mut self, number: u64, seconds: i64) {
        let at = self.tick();
        let time = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        self.inode_mut(number).take(Step::Modified { time, at });
    }
    /// Takes the steps of a file or directory over, and both halves of each rename
    /// between directories among them.
    pub(super) fn sync(&mut self, number: u64) -> io::Result<()> {
        let steps = self.inode(number).steps.len();
        self.commit(number, steps);
        Ok(())
    }
    /// Makes the first steps of an inode durable.
    fn commit(&mut self, number: u64, steps: usize) {
        let inode = self.inode_mut(number);
        let mut came = Vec::new();
        let mut left = Vec::new();
        for step in inode.steps.drain(..steps) {
            inode.durable.apply(&step);
            if let Step::Names { at, went_to, .. } = step {
                came.push(at);
                left.extend(went_to);
            }
        }
        for (directory, at) in left {
            let step = self
                .inode(directory)
                .steps
                .iter()
                .position(|step| matches!(step, Step::Names { at: other, .. } if *other == at));
            if let Some(step) = step {
                self.commit(directory, step + 1);
            }
        }
        let others: Vec<u64> = self.inodes.keys().copied().collect();
        for other in others {
            let step = self.inode(other).steps.iter().rposition(|step| {
                matches!(step, Step::Names { went_to: Some((to, at)), .. }
                    if *to == number && came.contains(at))
            });
            if let Some(step) = step {
                self.commit(other, step + 1);
            }
        }
    }
    /// What was written since the last sync is never written to the platter.
    pub(super) fn fail_sync(&mut self, number: u64) {
        self.inode_mut(number).steps.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(image: &Image, place: &[&str]) -> Option<Vec<u8>> {
        let number = image.find(place).ok()?;
        Some(image.inode(number).now.octets.clone())
    }

    #[test]
    fn a_reboot_loses_what_was_not_synced() {
        let mut image = Image::new();
        let directory = image.create(&["d"], Kind::Directory).unwrap();
        let file = image.create(&["d", "f"], Kind::File).unwrap();
        image.write(file, b"one", 0);
        assert!(image.after(Loss::Everything).find(&["d"]).is_err());
        image.sync(ROOT).unwrap();
        assert!(image.after(Loss::Everything).find(&["d", "f"]).is_err());
        image.sync(directory).unwrap();
        let lost = image.after(Loss::Everything);
        assert_eq!(content(&lost, &["d", "f"]), Some(Vec::new()));
        image.sync(file).unwrap();
        image.write(file, b"two", 3);
        image.rename(&["d", "f"], &["d", "g"]).unwrap();
        let lost = image.after(Loss::Everything);
        assert_eq!(content(&lost, &["d", "f"]), Some(b"one".to_vec()));
        assert_eq!(content(&lost, &["d", "g"]), None);
        for loss in [Loss::Nothing, Loss::NothingByLuck] {
            let kept = image.after(loss);
            assert_eq!(content(&kept, &["d", "g"]), Some(b"onetwo".to_vec()));
            assert_eq!(content(&kept, &["d", "f"]), None);
        }
        // A dead process leaves the rest unsynced, a stopped machine does not.
        let killed = image.after(Loss::Nothing).after(Loss::Everything);
        assert_eq!(content(&killed, &["d", "f"]), Some(b"one".to_vec()));
        let stopped = image.after(Loss::NothingByLuck).after(Loss::Everything);
        assert_eq!(content(&stopped, &["d", "g"]), Some(b"onetwo".to_vec()));
    }

    #[test]
    fn a_rename_between_directories_is_durable_whole_or_not_at_all() {
        let mut image = Image::new();
        let old = image.create(&["old"], Kind::Directory).unwrap();
        let new = image.create(&["new"], Kind::Directory).unwrap();
        image.create(&["old", "f"], Kind::File).unwrap();
        image.sync(ROOT).unwrap();
        image.sync(old).unwrap();
        image.rename(&["old", "f"], &["new", "f"]).unwrap();
        let places =
            |image: &Image| ["old", "new"].map(|directory| image.find(&[directory, "f"]).is_ok());
        for seed in 0..50 {
            let [in_old, in_new] = places(&image.after(Loss::Tails(seed)));
            assert!(in_old != in_new);
        }
        for directory in [old, new] {
            let mut image = image.clone();
            image.sync(directory).unwrap();
            assert_eq!(places(&image.after(Loss::Everything)), [false, true]);
        }
    }

    #[test]
    fn nothing_is_renamed_from_one_device_to_another() {
        let mut image = Image::new();
        image.create(&["a"], Kind::Directory).unwrap();
        let apart = image.create(&["b"], Kind::Directory).unwrap();
        image.create(&["a", "f"], Kind::File).unwrap();
        image.set_apart(apart);
        image.create(&["b", "c"], Kind::Directory).unwrap();
        image.create(&["b", "g"], Kind::File).unwrap();
        let crosses = |done: io::Result<()>| {
            done.is_err_and(|error| error.kind() == ErrorKind::CrossesDevices)
        };
        assert!(crosses(image.rename(&["a", "f"], &["b", "f"])));
        assert!(crosses(image.link(&["a", "f"], &["b", "c", "f"])));
        assert!(crosses(image.rename(&["b", "g"], &["a", "g"])));
        assert!(image.rename(&["b"], &["d"]).is_err());
        image.rename(&["b", "g"], &["b", "c", "h"]).unwrap();
    }

    #[test]
    fn tails_are_lost_at_any_point() {
        let mut image = Image::new();
        let file = image.create(&["f"], Kind::File).unwrap();
        image.sync(ROOT).unwrap();
        image.write(file, b"ab", 0);
        image.write(file, b"cd", 2);
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            seen.insert(content(&image.after(Loss::Tails(seed)), &["f"]).unwrap());
        }
        let expected = [
            &b""[..],
            b"\0\0",
            b"a",
            b"a\0",
            b"ab",
            b"ab\0\0",
            b"abc",
            b"abc\0",
            b"abcd",
        ];
        assert_eq!(seen, expected.into_iter().map(<[u8]>::to_vec).collect());
        image.fail_sync(file);
        image.write(file, b"ef", 4);
        image.sync(file).unwrap();
        assert_eq!(content(&image, &["f"]), Some(b"abcdef".to_vec()));
        let lost = image.after(Loss::Everything);
        assert_eq!(content(&lost, &["f"]), Some(b"\0\0\0\0ef".to_vec()));
    }
}
