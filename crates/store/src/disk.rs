//! The operations on message files and uidlists, each one a step a crash can fall
//! between. Callers say what is left behind at each step.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

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
    /// The stamp of open metadata.
    pub(crate) fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size_octets: metadata.size(),
            seconds: metadata.mtime(),
            nanoseconds: metadata.mtime_nsec(),
        }
    }
    /// Whether a change right after the stamp was taken could leave it equal: file
    /// systems with whole seconds are distrusted for two, others for 50 ms.
    pub(crate) fn is_too_fresh(&self, taken: SystemTime) -> bool {
        let window = if self.nanoseconds == 0 {
            Duration::from_secs(2)
        } else {
            Duration::from_millis(50)
        };
        let seconds = u64::try_from(self.seconds).unwrap_or(0);
        let nanoseconds = u32::try_from(self.nanoseconds).unwrap_or(0) % 1_000_000_000;
        let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds.min(1 << 40), nanoseconds);
        match taken.duration_since(changed) {
            Ok(age) => age < window,
            // A time ahead of the clock: fresh if only just ahead.
            Err(ahead) => ahead.duration() < window,
        }
    }
}

/// The stamp of a path, links not followed; `None` if nothing is there.
pub(crate) fn stamp(path: &Path) -> io::Result<Option<Stamp>> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(Stamp::of(&metadata))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens a regular file for reading; links are not followed, a FIFO does not block.
pub(crate) fn open_regular(path: &Path) -> io::Result<(File, std::fs::Metadata)> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    Ok((file, metadata))
}

/// Makes a file that must not exist yet (mode 0600).
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Renames; what is at `to` is replaced.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}

/// Makes a hard link that must not exist yet.
pub(crate) fn link(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::hard_link(from, to)
}

/// Removes a file.
pub(crate) fn unlink(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)
}

/// Makes a file's octets durable.
pub(crate) fn sync_file(file: &File) -> io::Result<()> {
    file.sync_all()
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Appends to a file and makes it durable. A crash leaves any prefix of `octets`.
pub(crate) fn append(path: &Path, octets: &[u8]) -> io::Result<Stamp> {
    let flags = rustix::fs::OFlags::NOFOLLOW;
    let mut file = OpenOptions::new()
        .append(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    file.write_all(octets)?;
    file.sync_data()?;
    Ok(Stamp::of(&file.metadata()?))
}

/// Replaces `name` in `directory` by way of `temporary`. A crash leaves the old or
/// the new content, and perhaps the temporary file, which the next call replaces.
pub(crate) fn replace(
    directory: &Path,
    name: &str,
    temporary: &str,
    octets: &[u8],
) -> io::Result<Stamp> {
    let fresh = directory.join(temporary);
    match unlink(&fresh) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = create_new(&fresh)?;
    file.write_all(octets)?;
    sync_file(&file)?;
    rename(&fresh, &directory.join(name))?;
    sync_directory(directory)?;
    Ok(Stamp::of(&file.metadata()?))
}

/// Sets a file's modification time, seconds since 1970 UTC.
pub(crate) fn set_modified(file: &File, seconds: i64) -> io::Result<()> {
    let time = rustix::fs::Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = rustix::fs::Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::futimens(file, &times)?;
    Ok(())
}

/// The names of what may be messages in a directory: no dot names, none with line
/// ends, none that is not text, no directories. Any failure is an error: a
/// directory that cannot be read is never an empty one.
pub(crate) fn list_messages(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            tracing::warn!(directory = %path.display(), "a file name that is not text was ignored");
            continue;
        };
        if name.starts_with(['.', ':']) || name.contains(['\r', '\n']) {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_file() => names.push(name),
            Ok(_) => {}
            // Gone between two system calls.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(names)
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

/// Opens a regular file for reading and writing in place; links are not followed.
pub(crate) fn open_for_update(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    if !file.metadata()?.is_file() {
        let kind = ErrorKind::InvalidInput;
        return Err(io::Error::new(kind, "not a regular file"));
    }
    Ok(file)
}

/// Locks an open file against other openings of it, until it is closed; false if
/// another has it locked.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    use rustix::fs::FlockOperation::NonBlockingLockExclusive;
    match rustix::fs::flock(file, NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Writes at a place of an open file. A crash leaves any prefix of `octets`, once
/// the file is synced all of it.
pub(crate) fn write_at(file: &File, offset: u64, octets: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, octets, offset)
}

/// Makes a file's octets and length durable, not its times.
pub(crate) fn sync_data(file: &File) -> io::Result<()> {
    file.sync_data()
}

/// Cuts an open file to this length.
pub(crate) fn truncate(file: &File, octets: u64) -> io::Result<()> {
    file.set_len(octets)
}

/// Allocates space, filled with zeros, so that writing there needs none. Where that
/// is not possible nothing happens.
pub(crate) fn allocate(file: &File, offset: u64, octets: u64) {
    let _ = rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), offset, octets);
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
