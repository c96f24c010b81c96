//! The one door to the disk: whatever the store opens, renames, links, removes,
//! lists or syncs goes through here. Behind it is the machine's own disk; in tests
//! of crashes a simulated one that forgets what was not synced.
//!
//! Each function that changes something is a step a crash can fall before, into or
//! behind. What is durable when it returns is only what it says. Callers say what is
//! left behind at each of their steps.

mod directory;
mod file;
mod real;
#[cfg(test)]
pub(crate) mod simulated;

pub(crate) use directory::Directory;
pub(crate) use file::File;

use crate::maildir::filename;
use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What a disk can do. Nothing but [`Disk::sync_directory`] and the syncs of
/// [`File`] makes anything durable.
trait Disk {
    /// What is known of what is there; links are not followed.
    fn metadata(&self, path: &Path) -> io::Result<Metadata>;
    /// Whether it is a directory or leads to one.
    fn leads_to_directory(&self, path: &Path) -> bool;
    /// Opens a file; links are not followed.
    fn open(&self, path: &Path, opening: Opening) -> io::Result<File>;
    /// Opens a directory to look names up in.
    fn open_directory(&self, path: &Path) -> io::Result<directory::Opened>;
    /// Renames; what is at `to` is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes a hard link that must not exist yet.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a name of a file.
    fn unlink(&self, path: &Path) -> io::Result<()>;
    /// Makes a directory (mode 0700) that must not exist yet.
    fn make_directory(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory with all that is in it.
    fn remove_tree(&self, path: &Path) -> io::Result<()>;
    /// All names in a directory, in no order.
    fn list(&self, path: &Path) -> io::Result<Vec<Listed>>;
    /// The same of a directory that is no link: whatever else is there is
    /// [`ErrorKind::NotADirectory`].
    fn list_itself(&self, path: &Path) -> io::Result<Vec<Listed>>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
}

/// The disk a path is on.
#[cfg(not(test))]
fn disk(_path: &Path) -> impl Disk {
    real::Real
}

/// The disk a path is on.
#[cfg(test)]
fn disk(path: &Path) -> Box<dyn Disk> {
    match simulated::at(path) {
        Some(simulated) => Box::new(simulated),
        None => Box::new(real::Real),
    }
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opening {
    /// For reading; a FIFO does not block.
    Read,
    /// For reading and writing in place; a FIFO does not block.
    Update,
    /// For writing at its end.
    Append,
    /// Made, mode 0600, for writing; it must not exist yet.
    New,
}

/// What has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    /// A link, a FIFO or a device.
    Other,
}

impl Kind {
    fn of(kind: std::fs::FileType) -> Self {
        if kind.is_file() {
            Self::File
        } else if kind.is_dir() {
            Self::Directory
        } else {
            Self::Other
        }
    }
}

/// A name in a directory.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) name: OsString,
    pub(crate) kind: Kind,
}

/// What is known of a file or directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metadata {
    pub(crate) kind: Kind,
    /// Octets, and when they were written last.
    pub(crate) stamp: Stamp,
    /// When it was changed, renamed or linked last: seconds since 1970 UTC.
    pub(crate) changed_seconds: i64,
}

impl Metadata {
    fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            kind: Kind::of(metadata.file_type()),
            stamp: Stamp {
                device: metadata.dev(),
                inode: metadata.ino(),
                size_octets: metadata.size(),
                seconds: metadata.mtime(),
                nanoseconds: metadata.mtime_nsec(),
            },
            changed_seconds: metadata.ctime(),
        }
    }
    /// How long ago it was written last; none if the clock says it will be.
    pub(crate) fn age(&self) -> Option<Duration> {
        SystemTime::now().duration_since(self.stamp.modified()).ok()
    }
}

/// What tells two versions of a file or directory apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stamp {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size_octets: u64,
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: i64,
}

impl Stamp {
    /// Whether it is of the same file or directory, changed or not.
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
    /// When it was written last; times before 1970 are 1970.
    fn modified(&self) -> SystemTime {
        let seconds = u64::try_from(self.seconds).unwrap_or(0);
        let nanoseconds = u32::try_from(self.nanoseconds).unwrap_or(0) % 1_000_000_000;
        SystemTime::UNIX_EPOCH + Duration::new(seconds.min(1 << 40), nanoseconds)
    }
    /// Whether a change right after the stamp was taken could leave it equal: file
    /// systems with whole seconds are distrusted for two, others for 50 ms.
    pub(crate) fn is_too_fresh(&self, taken: SystemTime) -> bool {
        let window = if self.nanoseconds == 0 {
            Duration::from_secs(2)
        } else {
            Duration::from_millis(50)
        };
        match taken.duration_since(self.modified()) {
            Ok(age) => age < window,
            // A time ahead of the clock: fresh if only just ahead.
            Err(ahead) => ahead.duration() < window,
        }
    }
}

/// What is known of a path, links not followed.
pub(crate) fn metadata(path: &Path) -> io::Result<Metadata> {
    disk(path).metadata(path)
}

/// The stamp of a path, links not followed; `None` if nothing is there.
pub(crate) fn stamp(path: &Path) -> io::Result<Option<Stamp>> {
    match metadata(path) {
        Ok(metadata) => Ok(Some(metadata.stamp)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a regular file is there, links not followed.
pub(crate) fn is_regular(path: &Path) -> io::Result<bool> {
    match metadata(path) {
        Ok(metadata) => Ok(metadata.kind == Kind::File),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a path is a directory or a link that leads to one.
pub(crate) fn leads_to_directory(path: &Path) -> bool {
    disk(path).leads_to_directory(path)
}

/// Opens a file for reading, a regular one or not; links are not followed.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    disk(path).open(path, Opening::Read)
}

/// Opens a regular file for reading; links are not followed, a FIFO does not block.
pub(crate) fn open_regular(path: &Path) -> io::Result<(File, Metadata)> {
    regular(disk(path).open(path, Opening::Read)?)
}

/// Opens a regular file for reading and writing in place; links are not followed.
pub(crate) fn open_for_update(path: &Path) -> io::Result<File> {
    Ok(regular(disk(path).open(path, Opening::Update)?)?.0)
}

fn regular(file: File) -> io::Result<(File, Metadata)> {
    let metadata = file.metadata()?;
    if metadata.kind != Kind::File {
        let kind = ErrorKind::InvalidInput;
        return Err(io::Error::new(kind, "not a regular file"));
    }
    Ok((file, metadata))
}

/// Makes a file that must not exist yet (mode 0600). A crash leaves it or not, empty.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    disk(path).open(path, Opening::New)
}

fn open_directory(path: &Path) -> io::Result<directory::Opened> {
    disk(path).open_directory(path)
}

/// Renames; what is at `to` is replaced. A crash leaves the file under one name or
/// the other; with the power, and where the names are in two directories of which one
/// was synced since, under none or both.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    disk(from).rename(from, to)
}

/// Makes a hard link that must not exist yet.
pub(crate) fn link(from: &Path, to: &Path) -> io::Result<()> {
    disk(from).link(from, to)
}

/// Removes a file.
pub(crate) fn unlink(path: &Path) -> io::Result<()> {
    disk(path).unlink(path)
}

/// Makes a directory (mode 0700) that must not exist yet.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    disk(path).make_directory(path)
}

/// Makes a directory and those above it (mode 0700), where absent, and makes their
/// names durable, also those of directories that a process which died may have made.
/// A crash leaves any number of them.
pub(crate) fn make_directories(path: &Path) -> io::Result<()> {
    let mut made = Vec::new();
    for directory in path.ancestors() {
        if directory.as_os_str().is_empty() || leads_to_directory(directory) {
            break;
        }
        made.push(directory);
    }
    for directory in made.iter().rev() {
        match make_directory(directory) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    for (above, directory) in path.ancestors().skip(1).enumerate() {
        let directory = match directory.as_os_str().is_empty() {
            true => Path::new("."),
            false => directory,
        };
        match sync_directory(directory) {
            Err(error) if above < made.len() => return Err(error),
            // What was there before may be no one's to read.
            _ => {}
        }
    }
    Ok(())
}

/// Removes a directory with all that is in it. A crash leaves any part of it.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    disk(path).remove_tree(path)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    disk(path).sync_directory(path)
}

/// Appends to a file and makes it durable. A crash leaves any prefix of `octets`.
pub(crate) fn append(path: &Path, octets: &[u8]) -> io::Result<Stamp> {
    let mut file = disk(path).open(path, Opening::Append)?;
    file.write_all(octets)?;
    file.sync_data()?;
    Ok(file.metadata()?.stamp)
}

/// Replaces `name` in `directory` by way of `temporary`. A crash leaves the old or
/// the new content, and perhaps the temporary file, which the next call replaces.
pub(crate) fn replace(
    directory: &Path,
    name: &str,
    temporary: &str,
    octets: &[u8],
) -> io::Result<Stamp> {
    replace_dated(directory, [name, temporary], octets, i64::MIN)
}

/// As [`replace`], by way of `<name>.tmp`, with a time that is later than `before`, in
/// seconds since 1970 UTC.
pub(crate) fn replace_later(
    directory: &Path,
    name: &str,
    octets: &[u8],
    before: i64,
) -> io::Result<Stamp> {
    replace_dated(directory, [name, &format!("{name}.tmp")], octets, before)
}

fn replace_dated(
    directory: &Path,
    [name, temporary]: [&str; 2],
    octets: &[u8],
    before: i64,
) -> io::Result<Stamp> {
    let fresh = directory.join(temporary);
    match unlink(&fresh) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = create_new(&fresh)?;
    file.write_all(octets)?;
    if file.metadata()?.stamp.seconds <= before {
        file.set_modified(before.saturating_add(1))?;
    }
    // Without this a loss of power may leave the new name with nothing in it.
    file.sync()?;
    rename(&fresh, &directory.join(name))?;
    sync_directory(directory)?;
    Ok(file.metadata()?.stamp)
}

/// As [`replace`], but nothing is made durable: a loss of power leaves old, new or
/// no content.
pub(crate) fn replace_unsynced(directory: &Path, name: &str, octets: &[u8]) -> io::Result<Stamp> {
    let fresh = directory.join(format!("{name}.tmp"));
    match unlink(&fresh) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = create_new(&fresh)?;
    file.write_all(octets)?;
    rename(&fresh, &directory.join(name))?;
    Ok(file.metadata()?.stamp)
}

/// All names in a directory, in no order. Any failure is an error: a directory that
/// cannot be read is never an empty one.
pub(crate) fn list(path: &Path) -> io::Result<Vec<Listed>> {
    disk(path).list(path)
}

/// The names of what may be messages in a directory: no dot names, none with line
/// ends, none that is not text, no directories. A link to a directory is refused: messages
/// there are not this mailbox's.
pub(crate) fn list_messages(path: &Path) -> io::Result<Vec<String>> {
    let all = match disk(path).list_itself(path) {
        Err(error) if error.kind() == ErrorKind::NotADirectory => return Err(not_a_part()),
        all => all?,
    };
    let mut names = Vec::new();
    for listed in all {
        let Ok(name) = listed.name.into_string() else {
            tracing::warn!(directory = %path.display(), "a file name that is not text was ignored");
            continue;
        };
        if listed.kind == Kind::File && filename::of_message(&name).is_some() {
            names.push(name);
        }
    }
    Ok(names)
}

/// That something else is where a directory of messages is to be.
pub(crate) fn not_a_part() -> io::Error {
    let text = "it is a link, or no directory; mail lies in the mailbox itself";
    io::Error::new(io::ErrorKind::NotADirectory, text)
}

/// This machine's name, as file names can hold it.
pub(crate) fn host_name() -> &'static str {
    static HOST: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    HOST.get_or_init(|| {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let mut host = String::new();
        for letter in name.trim().chars().take(64) {
            match letter {
                '/' => host.push_str("\\057"),
                ':' => host.push_str("\\072"),
                ',' => host.push_str("\\054"),
                _ if letter.is_ascii_graphic() => host.push(letter),
                _ => host.push('_'),
            }
        }
        if host.is_empty() {
            host.push_str("localhost");
        }
        host
    })
}

/// What differs after each start of the machine. Octets written to files survive
/// everything else. Where the system does not tell, each process has its own.
pub(crate) fn boot_id() -> [u8; 16] {
    static BOOT: std::sync::OnceLock<[u8; 16]> = std::sync::OnceLock::new();
    #[cfg(test)]
    if let Some(boot) = OTHER_BOOT.get() {
        return boot;
    }
    *BOOT.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        match u128::from_str_radix(&digits, 16) {
            Ok(number) => number.to_be_bytes(),
            Err(_) => {
                let mut octets = [0; 16];
                // Without random octets it is all zeros, as after no start.
                let _ = getrandom::fill(&mut octets);
                octets
            }
        }
    })
}

#[cfg(test)]
thread_local! {
    /// What this thread takes for the start of the machine, if not the real one.
    pub(crate) static OTHER_BOOT: std::cell::Cell<Option<[u8; 16]>> =
        const { std::cell::Cell::new(None) };
}
