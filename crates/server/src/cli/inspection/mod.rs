//! Looking at a Maildir on disk without changing it, for `pillarbox check`: what a
//! running server, which forgives much, would pass over in silence.

mod control;

use control::{Uidlist, inspect_keywords};
use nix::fcntl::OFlag;
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Files in `tmp/` older than this are nobody's.
const TMP_AGE: Duration = Duration::from_secs(36 * 3600);
/// Where messages lie.
const HALVES: [&str; 2] = ["new", "cur"];

/// What can be done about a fault without losing anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Somebody has to look; the fault's text says at what.
    None,
    /// Make this directory.
    MakeDirectory(PathBuf),
    /// Give this file, which has the unique name of another, one of its own.
    OwnName(PathBuf),
    /// Remove a second name of the same file.
    RemoveLink(SecondName),
    /// Remove the index of the mailbox in this directory, unless a server has it open; it is
    /// made again when the mailbox is opened.
    RemoveIndex(PathBuf),
    /// Open the mailbox: the store then mends its list.
    Open,
}

/// A name that a message has besides another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SecondName {
    pub(super) path: PathBuf,
    /// The name that it keeps.
    pub(super) first: PathBuf,
    /// The file that both were names of.
    pub(super) file: FileId,
}

/// Which file a name leads to: device and inode.
pub(super) type FileId = (u64, u64);

/// The file a name leads to now; none if there is no such name.
///
/// # Errors
/// When that cannot be told.
pub(super) fn file_of(path: &Path) -> io::Result<Option<FileId>> {
    match path.symlink_metadata() {
        Ok(metadata) => Ok(Some((metadata.dev(), metadata.ino()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// What it is, and what to do where no remedy is known.
    pub(super) text: String,
    /// What can be done.
    pub(super) remedy: Remedy,
}

/// What a mailbox was found to hold.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Messages that clients see.
    pub(super) messages: usize,
    /// What is wrong.
    pub(super) faults: Vec<Fault>,
    /// What is worth telling, and no fault.
    pub(super) remarks: Vec<String>,
}

impl Findings {
    fn add(&mut self, remedy: Remedy, text: impl Into<String>) {
        let text = text.into();
        self.faults.push(Fault { text, remedy });
    }
}

/// A message file.
#[derive(Debug)]
struct MessageFile {
    path: PathBuf,
    metadata: Metadata,
}

impl MessageFile {
    fn id(&self) -> FileId {
        (self.metadata.dev(), self.metadata.ino())
    }
}

/// Octets as stored and as sent, every LF being CRLF.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Octets {
    pub(super) stored: u64,
    pub(super) sent: u64,
}

/// The mailboxes in a Maildir.
#[derive(Debug)]
pub(super) struct Tree {
    /// Their directories by the name they are shown under, INBOX, the root, first.
    pub(super) mailboxes: Vec<(String, PathBuf)>,
    /// What is wrong with the names of directories.
    pub(super) faults: Vec<Fault>,
}

/// Finds the mailboxes in a Maildir, and those whose directories the Maildir's owner may
/// not use, where that can be told.
///
/// # Errors
/// When the root cannot be read.
pub(super) fn mailboxes(root: &Path) -> io::Result<Tree> {
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut findings = Findings::default();
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let Some(text) = file_name.to_str() else {
            findings.add(
                Remedy::None,
                format!("{file_name:?} is no text, so it is no mailbox; rename it"),
            );
            continue;
        };
        let kind = entry.file_type()?;
        let Some(levels) = text.strip_prefix('.').filter(|levels| !levels.is_empty()) else {
            continue;
        };
        // Mailboxes being made or deleted; what a crash left is removed at opening.
        if levels.starts_with('.') {
            continue;
        }
        let path = entry.path();
        if kind.is_symlink() && path.join("cur").is_dir() {
            findings.add(
                Remedy::None,
                format!("{file_name:?} is a link and passed over; move the mailbox itself here"),
            );
        }
        if !kind.is_dir() {
            continue;
        }
        let has_part = |half| is_there(&path.join(half), Metadata::is_dir);
        if !HALVES.iter().any(has_part) && !is_there(&path.join("maildirfolder"), |_| true) {
            continue;
        }
        if levels.split('.').any(str::is_empty) {
            findings.add(
                Remedy::None,
                format!("{file_name:?} has an empty level, so clients do not see it; rename it"),
            );
            continue;
        }
        let shown = shown_name(levels);
        if levels
            .split('.')
            .any(|level| store::modified_utf7::decode(level).is_none())
        {
            findings.add(
                Remedy::None,
                format!(
                    "{file_name:?} is no modified UTF-7 and shown as it stands; make a mailbox of the right name and move the mail"
                ),
            );
        }
        if let Some(other) = found.insert(shown.clone(), path) {
            findings.add(
                Remedy::None,
                format!(
                    "{file_name:?} and {:?} are both {shown:?}, and clients see one; rename one",
                    other.file_name().unwrap_or_default()
                ),
            );
        }
    }
    let mut mailboxes = vec![("INBOX".to_owned(), root.to_owned())];
    mailboxes.extend(found);
    if nix::unistd::Uid::effective().is_root() {
        inspect_access(root, &mailboxes, &mut findings)?;
    }
    Ok(Tree {
        mailboxes,
        faults: findings.faults,
    })
}

/// Whether something of that kind is there; what cannot be looked at counts.
fn is_there(path: &Path, is_it: fn(&Metadata) -> bool) -> bool {
    match path.metadata() {
        Ok(metadata) => is_it(&metadata),
        Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    }
}

/// Looks for mailboxes whose directories the owner of the Maildir may not use: whoever is
/// root does not notice.
fn inspect_access(
    root: &Path,
    mailboxes: &[(String, PathBuf)],
    findings: &mut Findings,
) -> io::Result<()> {
    let owner = root.metadata()?;
    for (_, directory) in mailboxes {
        let parts = ["cur", "new", "tmp"].map(|part| directory.join(part));
        let mut directories = std::iter::once(directory).chain(&parts);
        let closed = directories.find(|path| {
            let metadata = path.symlink_metadata().ok().filter(Metadata::is_dir);
            metadata.is_some_and(|metadata| !is_open_to(&metadata, &owner, 0o7))
        });
        if let Some(closed) = closed {
            let (uid, closed) = (owner.uid(), closed.display());
            findings.add(
                Remedy::None,
                format!(
                    "{closed} cannot be used by the mail's owner; chown -R {uid} it, and chmod -R u+rwX"
                ),
            );
        }
    }
    Ok(())
}

/// A directory's name as people read it.
fn shown_name(levels: &str) -> String {
    let levels: Vec<String> = levels
        .split('.')
        .map(|level| store::modified_utf7::decode(level).unwrap_or_else(|| level.to_owned()))
        .collect();
    levels.join("/")
}

/// Looks at one mailbox; `tick` is called with each message before it is read.
///
/// # Errors
/// When a directory cannot be read.
pub(super) fn inspect(directory: &Path, tick: &mut dyn FnMut(usize)) -> io::Result<Findings> {
    let mut findings = Findings::default();
    let mut is_part = [false; 3];
    for (part, is_part) in ["cur", "new", "tmp"].into_iter().zip(&mut is_part) {
        let path = directory.join(part);
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => *is_part = true,
            Ok(_) => findings.add(
                Remedy::None,
                format!("{part} is no directory; move it away and have one made with --repair"),
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => findings.add(
                Remedy::MakeDirectory(path),
                format!("{part}/ is missing, and so the mailbox cannot be opened or filled"),
            ),
            Err(error) => return Err(error),
        }
    }
    let owner = directory.metadata()?;
    let mut files: BTreeMap<String, Vec<MessageFile>> = BTreeMap::new();
    // cur/ first: of two files of one name the one that has flags keeps it.
    // What a link leads to is not this mailbox's.
    for (half, _) in ["cur", "new"]
        .iter()
        .zip(is_part)
        .filter(|(_, is_part)| *is_part)
    {
        list(&directory.join(half), &mut files, &mut findings)?;
    }
    let list = Uidlist::look(directory, |name| files.contains_key(name), &mut findings);
    match store::inspect_index(directory) {
        Ok(Some(text)) => findings.add(Remedy::RemoveIndex(directory.to_owned()), text),
        Ok(None) => {}
        Err(error) => findings.add(Remedy::RemoveIndex(directory.to_owned()), error.to_string()),
    }
    let mut letters: BTreeMap<char, usize> = BTreeMap::new();
    for (number, (unique, copies)) in files.into_iter().enumerate() {
        tick(number);
        let copies = still_there(copies)?;
        let Some((first, others)) = copies.split_first() else {
            continue;
        };
        for letter in keyword_letters(&first.path) {
            *letters.entry(letter).or_default() += 1;
        }
        for other in others {
            let (name, of) = (named(&other.path), named(&first.path));
            if first.id() == other.id() {
                let second = SecondName {
                    path: other.path.clone(),
                    first: first.path.clone(),
                    file: first.id(),
                };
                findings.add(
                    Remedy::RemoveLink(second),
                    format!("{name} is a second name of {of}"),
                );
            } else {
                findings.add(
                    Remedy::OwnName(other.path.clone()),
                    format!("{name} has the unique name of {of}, and clients see one of the two"),
                );
            }
        }
        let is_seen = inspect_message(&unique, first, &owner, &list, &mut findings);
        findings.messages += usize::from(is_seen);
    }
    inspect_keywords(directory, &letters, &mut findings);
    if let [_, _, true] = is_part {
        inspect_temporaries(&directory.join("tmp"), &mut findings)?;
    }
    Ok(findings)
}

/// Sorts the files of `new/` or `cur/` by unique name.
fn list(
    half: &Path,
    files: &mut BTreeMap<String, Vec<MessageFile>>,
    findings: &mut Findings,
) -> io::Result<()> {
    let entries = match std::fs::read_dir(half) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let name = match entry.file_name().into_string() {
            Ok(name) if !name.contains(['\r', '\n']) && !name.starts_with(':') => name,
            Ok(_) => {
                let text = format!(
                    "{} is a name that cannot be listed; rename it",
                    named(&path)
                );
                findings.add(Remedy::None, text);
                continue;
            }
            Err(_) => {
                findings.add(
                    Remedy::None,
                    format!(
                        "{} is no text, so clients do not see it; rename it",
                        named(&path)
                    ),
                );
                continue;
            }
        };
        if name.starts_with('.') {
            continue;
        }
        let metadata = match path.symlink_metadata() {
            Ok(metadata) => metadata,
            // Renamed or expunged since.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if !metadata.is_file() {
            let what = if metadata.is_dir() {
                "a directory"
            } else if metadata.is_symlink() {
                "a link"
            } else {
                "no regular file"
            };
            findings.add(
                Remedy::None,
                format!(
                    "{} is {what} and passed over; move it elsewhere",
                    named(&path)
                ),
            );
            continue;
        }
        let unique = name.split(':').next().unwrap_or(&name).to_owned();
        files
            .entry(unique)
            .or_default()
            .push(MessageFile { path, metadata });
    }
    Ok(())
}

/// Of files that were found under one unique name those that are there. A server or a
/// mail program that changes flags while a directory is read shows one file under its old
/// name and its new one: they are looked at a second time, and a file that has a single
/// name by its own count has the last of them that leads there.
///
/// # Errors
/// When one cannot be looked at.
fn still_there(copies: Vec<MessageFile>) -> io::Result<Vec<MessageFile>> {
    if copies.len() < 2 {
        return Ok(copies);
    }
    let mut there: Vec<MessageFile> = Vec::with_capacity(copies.len());
    for mut copy in copies {
        let seen = copy.id();
        match copy.path.symlink_metadata() {
            Ok(metadata) if (metadata.dev(), metadata.ino()) == seen => copy.metadata = metadata,
            Ok(_) => continue,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        }
        if copy.metadata.nlink() < 2 {
            // Seen under another name before, and renamed again between the two looks.
            there.retain(|other| other.id() != seen);
        }
        there.push(copy);
    }
    Ok(there)
}

/// Reads a message; tells whether clients see it.
fn inspect_message(
    unique: &str,
    message: &MessageFile,
    owner: &Metadata,
    list: &Uidlist,
    findings: &mut Findings,
) -> bool {
    let name = named(&message.path);
    if nix::unistd::Uid::effective().is_root() && !is_open_to(&message.metadata, owner, 0o4) {
        findings.add(
            Remedy::None,
            format!(
                "{name} cannot be read by the mailbox's owner; chown {} it, or chmod u+r",
                owner.uid()
            ),
        );
    }
    let (octets, is_compressed) = match measure(&message.path) {
        Ok(measured) => measured,
        Err(error) if error.kind() == ErrorKind::NotFound => return false,
        Err(error) => {
            findings.add(
                Remedy::None,
                format!("{name} cannot be read ({error}); see to its owner and mode"),
            );
            return false;
        }
    };
    if octets.stored == 0 {
        findings.add(
            Remedy::None,
            format!("{name} is empty, as after a crash of the machine; restore it from a backup"),
        );
        return true;
    }
    if is_compressed {
        findings.add(
            Remedy::None,
            format!("{name} is compressed, as Dovecot's zlib plugin does; uncompress it"),
        );
        return true;
    }
    let listed = list.fields.get(unique).copied().unwrap_or_default();
    for (letter, real, what) in [('S', octets.stored, "stored"), ('W', octets.sent, "sent")] {
        let told = [
            ("its name", size_field(unique, letter)),
            ("the list", if letter == 'S' { listed.0 } else { listed.1 }),
        ];
        for (source, told) in told {
            if let Some(told) = told.filter(|told| *told != real) {
                findings.add(
                    Remedy::None,
                    format!(
                        "{name}: {source} tells {told} octets as {what}, the file has {real}; it was changed or cut, restore it or deliver it anew"
                    ),
                );
            }
        }
    }
    true
}

/// Whether somebody's file or directory lets the owner of the mailbox do all of this
/// (4 to read it, 2 to write it, 1 to look names up in it).
fn is_open_to(file: &Metadata, owner: &Metadata, wanted: u32) -> bool {
    let shift = if owner.uid() == 0 {
        return true;
    } else if file.uid() == owner.uid() {
        6
    } else if file.gid() == owner.gid() {
        3
    } else {
        0
    };
    (file.mode() >> shift) & wanted == wanted
}

/// Counts a file's octets and tells whether it is a gzip file.
pub(super) fn measure(path: &Path) -> io::Result<(Octets, bool)> {
    let mut file = open_regular(path)?;
    let (mut octets, mut before) = (Octets::default(), 0);
    let mut start: Vec<u8> = Vec::with_capacity(2);
    let mut block = vec![0; 64 * 1024];
    loop {
        let count = file.read(&mut block)?;
        let read = block.get(..count).unwrap_or_default();
        if read.is_empty() {
            return Ok((octets, start == [0x1f, 0x8b]));
        }
        start.extend(read.iter().take(2 - start.len().min(2)));
        let mut bare = 0;
        for octet in read {
            bare += u64::from(*octet == b'\n' && before != b'\r');
            before = *octet;
        }
        octets.stored += count as u64;
        octets.sent += count as u64 + bare;
    }
}

/// Opens a file, no link and nothing that blocks.
fn open_regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "no regular file"));
    }
    Ok(file)
}

/// The keyword letters of a file's name.
fn keyword_letters(path: &Path) -> Vec<char> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some((_, info)) = name.rsplit_once(":2,") else {
        return Vec::new();
    };
    let flags = info.split(',').next().unwrap_or_default();
    let letters: HashSet<char> = flags.chars().filter(char::is_ascii_lowercase).collect();
    letters.into_iter().collect()
}

/// Looks for what deliveries that never ended left.
fn inspect_temporaries(path: &Path, findings: &mut Findings) -> io::Result<()> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let (mut old, mut young) = (0, 0);
    for entry in entries {
        let Ok(metadata) = entry?.metadata() else {
            continue;
        };
        let changed = UNIX_EPOCH + Duration::from_secs(metadata.ctime().max(0).unsigned_abs());
        let age = SystemTime::now().duration_since(changed);
        let is_old = age.is_ok_and(|age| age > TMP_AGE);
        old += usize::from(metadata.is_file() && is_old);
        young += usize::from(metadata.is_file() && !is_old);
    }
    if old > 0 {
        findings.add(
            Remedy::Open,
            format!("tmp/ has {old} files of deliveries that ended halfway, older than 36 hours"),
        );
    }
    if young > 0 {
        findings.remarks.push(format!(
            "tmp/ has {young} files younger than 36 hours; a delivery may be writing them, so they stay"
        ));
    }
    Ok(())
}

/// A size field of a unique name.
fn size_field(unique: &str, letter: char) -> Option<u64> {
    unique.split(',').skip(1).find_map(|field| {
        let digits = field.strip_prefix(letter)?.strip_prefix('=')?;
        digits.parse().ok()
    })
}

/// A message's place below its mailbox, with what a terminal would obey escaped.
pub(super) fn named(path: &Path) -> String {
    let half = path.parent().and_then(Path::file_name).unwrap_or_default();
    let mut name = OsString::from(half);
    name.push("/");
    name.push(path.file_name().unwrap_or_default());
    format!("{name:?}")
}

#[cfg(test)]
#[path = "inspection_tests.rs"]
mod tests;
