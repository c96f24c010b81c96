//! The file `subscriptions` as Dovecot keeps it. Version 1 has one storage name
//! per line; version 2 starts with `V<TAB>2` and an empty line, then has names with
//! TAB between levels. A version 1 file stays one. Lines we cannot read are kept.

use super::names::{decode_level, encode_level};
use crate::control_file::{self, failed};
use crate::disk;
use crate::{MailboxName, Result};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

const FILE: &str = "subscriptions";
const LOCK: &str = "subscriptions.lock";
const HEADER: &[u8] = b"V\t2";
/// After this long a lock counts as left over by a crash.
const LOCK_STALE: Duration = Duration::from_secs(30);
const LOCK_WAIT: Duration = Duration::from_secs(40);

/// A subscriptions file in memory.
#[derive(Debug, Default)]
struct Subscriptions {
    version_two: bool,
    lines: Vec<Vec<u8>>,
}

/// The subscribed names. Those of Courier (`courierimapsubscribed`) are taken
/// where there is no `subscriptions` yet.
pub(crate) fn read(root: &Path) -> Result<BTreeSet<MailboxName>> {
    let subscriptions = Subscriptions::load(root)?;
    let lines = subscriptions.lines.iter();
    Ok(lines.filter_map(|line| subscriptions.name(line)).collect())
}

/// Adds or removes a name. After a crash the file has its old or its new content.
pub(crate) fn set(root: &Path, name: &MailboxName, subscribed: bool) -> Result<()> {
    change(root, |subscriptions| match subscribed {
        true => subscriptions.add(name),
        false => subscriptions.remove(name),
    })
}

/// Adds names, all at once. After a crash the file has its old or its new content.
pub(crate) fn add(root: &Path, names: &[MailboxName]) -> Result<()> {
    change(root, |subscriptions| {
        let added = names.iter().filter(|name| subscriptions.add(name));
        added.count() > 0
    })
}

/// Changes the file if `change` says that there is a change to write.
fn change(root: &Path, change: impl FnOnce(&mut Subscriptions) -> bool) -> Result<()> {
    let lock = root.join(LOCK);
    acquire(&lock)?;
    let written = rewrite(root, change);
    // When it was renamed into place it is not there any more.
    if !matches!(written, Ok(true)) {
        control_file::remove_if_there(&lock)?;
    }
    if written? {
        control_file::sync_directory(root)?;
    }
    Ok(())
}

/// Rewrites the file through its lock file, the new name not yet durable; tells
/// whether it had to.
fn rewrite(root: &Path, change: impl FnOnce(&mut Subscriptions) -> bool) -> Result<bool> {
    let mut subscriptions = Subscriptions::load(root)?;
    if !change(&mut subscriptions) {
        return Ok(false);
    }
    let lock = root.join(LOCK);
    disk::open_for_update(&lock)
        .and_then(|file| {
            file.write_at(&subscriptions.octets(), 0)?;
            file.sync()
        })
        .map_err(|error| failed("write", &lock, error))?;
    let path = root.join(FILE);
    disk::rename(&lock, &path).map_err(|error| failed("replace", &path, error))?;
    Ok(true)
}

/// Makes the lock file, waiting for another process that has it.
fn acquire(lock: &Path) -> Result<()> {
    let started = Instant::now();
    loop {
        match disk::create_new(lock) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let age = disk::metadata(lock)
                    .ok()
                    .and_then(|metadata| metadata.age());
                if age.is_some_and(|age| age > LOCK_STALE) {
                    control_file::remove_if_there(lock)?;
                } else if started.elapsed() > LOCK_WAIT {
                    return Err(failed("lock", lock, error));
                } else {
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
            Err(error) => return Err(failed("lock", lock, error)),
        }
    }
}

impl Subscriptions {
    fn load(root: &Path) -> Result<Self> {
        if let Some(octets) = control_file::read(&root.join(FILE))? {
            return Ok(Self::parse(&octets));
        }
        let courier = control_file::read(&root.join("courierimapsubscribed"))?;
        Ok(Self::from_courier(&courier.unwrap_or_default()))
    }

    /// Whether the name was not there yet.
    fn add(&mut self, name: &MailboxName) -> bool {
        if self.lines.iter().any(|line| self.is(line, name)) {
            return false;
        }
        self.lines.push(self.line(name));
        true
    }

    /// Whether the name was there.
    fn remove(&mut self, name: &MailboxName) -> bool {
        let mut lines = std::mem::take(&mut self.lines);
        let before = lines.len();
        lines.retain(|line| !self.is(line, name));
        self.lines = lines;
        self.lines.len() < before
    }

    /// Whether the line is that name's.
    fn is(&self, line: &[u8], name: &MailboxName) -> bool {
        self.name(line).as_ref() == Some(name)
    }

    fn parse(octets: &[u8]) -> Self {
        let mut lines: Vec<&[u8]> = octets.split(|octet| *octet == b'\n').collect();
        if lines.last().is_some_and(|line| line.is_empty()) {
            lines.pop();
        }
        let version_two = lines.first().copied() == Some(HEADER);
        if version_two {
            lines.remove(0);
            if lines.first().is_some_and(|line| line.is_empty()) {
                lines.remove(0);
            }
        }
        Self {
            version_two,
            lines: lines.into_iter().map(<[u8]>::to_vec).collect(),
        }
    }

    fn from_courier(octets: &[u8]) -> Self {
        let mut subscriptions = Self {
            version_two: true,
            lines: Vec::new(),
        };
        let mut seen = BTreeSet::new();
        for line in octets.split(|octet| *octet == b'\n') {
            let Ok(line) = std::str::from_utf8(line.trim_ascii_end()) else {
                continue;
            };
            let storage = match line.split_at_checked(6) {
                Some((prefix, rest)) if prefix.eq_ignore_ascii_case("INBOX.") => rest,
                _ if line.eq_ignore_ascii_case("INBOX") => line,
                _ => continue,
            };
            if let Some(name) = MailboxName::from_storage_name(storage)
                && seen.insert(name.clone())
            {
                subscriptions.lines.push(subscriptions.line(&name));
            }
        }
        subscriptions
    }

    fn name(&self, line: &[u8]) -> Option<MailboxName> {
        let line = std::str::from_utf8(line).ok()?;
        if !self.version_two {
            return MailboxName::from_storage_name(line);
        }
        let levels = line
            .split('\t')
            .map(|level| Some(decode_level(&tab_unescape(level)?)));
        let name = MailboxName::new(levels.collect::<Option<_>>()?);
        name.ok()
    }

    fn line(&self, name: &MailboxName) -> Vec<u8> {
        if !self.version_two {
            return name.storage_name().into_bytes();
        }
        let levels: Vec<_> = name.levels().iter().map(|l| encode_level(l)).collect();
        levels.join("\t").into_bytes()
    }

    fn octets(&self) -> Vec<u8> {
        let mut octets = Vec::new();
        if self.version_two {
            octets.extend_from_slice(HEADER);
            octets.extend_from_slice(b"\n\n");
        }
        for line in &self.lines {
            octets.extend_from_slice(line);
            octets.push(b'\n');
        }
        octets
    }
}

/// Undoes Dovecot's TAB-escaping (`\x01` and one of `01tnr`).
fn tab_unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        out.push(match character {
            '\x01' => match characters.next()? {
                '0' => '\0',
                '1' => '\x01',
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                _ => return None,
            },
            other => other,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(storage: &str) -> MailboxName {
        MailboxName::from_storage_name(storage).unwrap()
    }

    fn content(root: &Path) -> String {
        std::fs::read_to_string(root.join(FILE)).unwrap()
    }

    #[test]
    fn a_new_file_is_version_two() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        assert!(read(root).unwrap().is_empty());
        set(root, &name("Entw&APw-rfe.A"), true).unwrap();
        set(root, &MailboxName::inbox(), true).unwrap();
        set(root, &MailboxName::inbox(), true).unwrap();
        assert_eq!(content(root), "V\t2\n\nEntw&APw-rfe\tA\nINBOX\n");
        assert_eq!(
            read(root).unwrap(),
            BTreeSet::from([MailboxName::inbox(), name("Entw&APw-rfe.A")])
        );
        set(root, &name("Entw&APw-rfe.A"), false).unwrap();
        set(root, &name("absent"), false).unwrap();
        assert_eq!(content(root), "V\t2\n\nINBOX\n");
        assert!(!root.join(LOCK).exists());
    }

    #[test]
    fn version_one_stays_and_odd_lines_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        std::fs::write(root.join(FILE), b"Sent\nA..B\n\xff\xfe\nA.B\nSent").unwrap();
        assert_eq!(
            read(root).unwrap(),
            BTreeSet::from([name("Sent"), name("A.B")])
        );
        set(root, &name("C"), true).unwrap();
        set(root, &name("Sent"), false).unwrap();
        assert_eq!(
            std::fs::read(root.join(FILE)).unwrap(),
            b"A..B\n\xff\xfe\nA.B\nC\n"
        );
    }

    #[test]
    fn takes_what_courier_had() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let lines = "INBOX\nINBOX.Sent\n#shared.x\nINBOX.A.B\n";
        std::fs::write(root.join("courierimapsubscribed"), lines).unwrap();
        assert_eq!(read(root).unwrap().len(), 3);
        set(root, &name("Sent"), false).unwrap();
        assert_eq!(content(root), "V\t2\n\nINBOX\nA\tB\n");
        set(root, &name("A.B"), false).unwrap();
        assert_eq!(read(root).unwrap(), BTreeSet::from([MailboxName::inbox()]));
    }

    #[test]
    fn a_stale_lock_is_broken() {
        let root = tempfile::tempdir().unwrap();
        let lock = root.path().join(LOCK);
        let file = std::fs::File::create(&lock).unwrap();
        file.set_modified(std::time::SystemTime::now() - LOCK_STALE * 2)
            .unwrap();
        set(root.path(), &name("A"), true).unwrap();
        assert_eq!(read(root.path()).unwrap().len(), 1);
    }
}
