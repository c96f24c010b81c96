//! Lock files beside the files that other servers write too, `dovecot-uidlist.lock` and
//! `dovecot-keywords.lock`.

use crate::disk::{self, Directory, File, Metadata, Stamp, host_name};
use crate::{Error, Result};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// A lock untouched this long is nobody's.
const STALE_AFTER: Duration = Duration::from_secs(120);
/// A lock without content this old was left by a crash between two steps.
const EMPTY_STALE_AFTER: Duration = Duration::from_secs(5);
/// How long to wait for a living holder, where nobody else waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The lock of a UID list, and of all that is written together with it.
pub(crate) const UIDLIST: &str = "dovecot-uidlist.lock";
/// The lock of the names of keywords; taken by who has that of the UID list.
pub(crate) const KEYWORDS: &str = "dovecot-keywords.lock";

/// Held until dropped, wherever the directory is then.
///
/// While it is held its file is locked (flock) as well: another process of ours that finds
/// an old one, or one of a process number that means nothing to it, sees that it lives.
#[derive(Debug)]
pub(crate) struct Dotlock {
    directory: Directory,
    name: &'static str,
    file: File,
}

impl Dotlock {
    /// Takes a lock of this directory. A crash while it is held leaves
    /// the file; its process number tells the next taker that it is stale.
    ///
    /// # Errors
    /// [`Error::Locked`] if another program has it for longer than `patience`.
    pub(crate) fn take(directory: &Path, name: &'static str, patience: Duration) -> Result<Self> {
        let directory = Directory::opened(directory.to_owned());
        let path = directory.path_of(name);
        let began = Instant::now();
        let mut pause = Duration::from_millis(2);
        loop {
            match directory.create_new(name) {
                Ok(file) => {
                    // Who looks at it in this moment, as it has no content, sees that it is new.
                    let _ = file.try_lock();
                    let mut lock = Self {
                        directory,
                        name,
                        file,
                    };
                    let owner = format!("{}:{}", std::process::id(), host_name());
                    lock.file
                        .write_all(owner.as_bytes())
                        .map_err(|error| Error::io(format!("write {}", path.display()), error))?;
                    return Ok(lock);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(Error::io(format!("lock {}", path.display()), error));
                }
            }
            let stale = Stale::find(&directory, name);
            if stale.is_some_and(|stale| stale.remove(&directory, name)) {
                tracing::warn!(path = %path.display(), "a stale lock was removed");
                continue;
            }
            if began.elapsed() >= patience {
                if !patience.is_zero() {
                    tracing::warn!(path = %path.display(), "another program does not give it back");
                }
                return Err(Error::Locked(path.display().to_string()));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }
    /// Waits until nobody has a lock of this directory, not longer than `patience`; tells
    /// whether that is so then.
    pub(crate) fn await_free(directory: &Path, name: &'static str, patience: Duration) -> bool {
        let began = Instant::now();
        while Self::is_taken(directory, name) {
            if began.elapsed() >= patience {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }
    /// What tells a lock of this directory from those before and after it; `None` where there
    /// is none.
    pub(crate) fn stamp(directory: &Path, name: &'static str) -> Option<Stamp> {
        disk::stamp(&directory.join(name)).ok().flatten()
    }
    /// Whether another program has a lock of this directory.
    pub(crate) fn is_taken(directory: &Path, name: &'static str) -> bool {
        let directory = Directory::at(directory.to_owned());
        let is_dead = || Stale::find(&directory, name).is_some_and(|stale| !stale.lives());
        !matches!(disk::stamp(&directory.path_of(name)), Ok(None)) && !is_dead()
    }
}

impl Drop for Dotlock {
    fn drop(&mut self) {
        // Another program may have taken it for stale, and have its own there now.
        if is_at(&self.file, &self.directory, self.name) {
            let _ = self.directory.unlink(self.name);
        }
    }
}

/// Whether this is the file of this name.
fn is_at(file: &File, directory: &Directory, name: &str) -> bool {
    let here = directory.open_regular(name);
    match (file.metadata(), here) {
        (Ok(metadata), Ok((_, here))) => metadata.stamp.is_same_file(&here.stamp),
        _ => false,
    }
}

/// A lock whose holder seems to be gone.
struct Stale(File);

impl Stale {
    /// Looks whether the lock that is there seems to be stale.
    fn find(directory: &Directory, name: &str) -> Option<Self> {
        let (file, metadata) = directory.open_regular(name).ok()?;
        is_stale(&file, &metadata).then_some(Self(file))
    }
    /// Whether a process of ours has it after all, or is about to remove it. Some network
    /// file systems do not tell.
    fn lives(&self) -> bool {
        matches!(self.0.try_lock(), Ok(false))
    }
    /// Removes it; false if it lives, or is not there any more: another may have removed
    /// it as well, and have its own there by now. Whoever removes one has it locked.
    fn remove(self, directory: &Directory, name: &str) -> bool {
        !self.lives() && is_at(&self.0, directory, name) && directory.unlink(name).is_ok()
    }
}

/// Whether what a lock says is of a holder that is gone. Our own process number is stale
/// as well: within the process the mailbox's mutex comes first.
fn is_stale(file: &File, metadata: &Metadata) -> bool {
    let age = metadata.age().unwrap_or_default();
    if age > STALE_AFTER {
        return true;
    }
    let mut text = String::new();
    if file.take(256).read_to_string(&mut text).is_err() {
        return false;
    }
    let text = text.trim();
    if text.is_empty() {
        return age > EMPTY_STALE_AFTER;
    }
    let (number, host) = text.split_once(':').unwrap_or((text, host_name()));
    let Ok(number) = number.parse::<i32>() else {
        return false;
    };
    if host != host_name() {
        return false;
    }
    if u32::try_from(number) == Ok(std::process::id()) {
        return true;
    }
    rustix::process::Pid::from_raw(number).is_some_and(|process| {
        rustix::process::test_kill_process(process) == Err(rustix::io::Errno::SRCH)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(directory: &Path) -> Result<Dotlock> {
        Dotlock::take(directory, UIDLIST, Duration::ZERO)
    }

    /// A process number that is nobody's.
    fn left_behind(directory: &Path) {
        let content = format!("{}:{}", i32::MAX, host_name());
        std::fs::write(directory.join(UIDLIST), content).unwrap();
    }

    /// Two find the same stale lock; the one that comes later does not remove the lock
    /// that the other has taken by then.
    #[test]
    fn a_living_lock_is_not_removed_for_the_stale_one_before_it() {
        let directory = tempfile::tempdir().unwrap();
        left_behind(directory.path());
        let place = Directory::at(directory.path().to_owned());
        let stale = Stale::find(&place, UIDLIST).unwrap();
        let living = take(directory.path()).unwrap();
        assert!(!stale.remove(&place, UIDLIST));
        assert!(Dotlock::is_taken(directory.path(), UIDLIST));
        assert!(matches!(take(directory.path()), Err(Error::Locked(_))));
        drop(living);
        assert!(!directory.path().join(UIDLIST).exists());
        drop(take(directory.path()).unwrap());
    }

    /// Who holds it for too long, or after the machine slept, is alive all the same.
    #[test]
    fn a_lock_that_is_held_is_not_stale() {
        let directory = tempfile::tempdir().unwrap();
        let living = take(directory.path()).unwrap();
        living.file.set_modified(1_000_000_000).unwrap();
        assert!(matches!(take(directory.path()), Err(Error::Locked(_))));
        drop(living);
        left_behind(directory.path());
        drop(take(directory.path()).unwrap());
    }

    /// Who lost it to another does not take it from that one.
    #[test]
    fn only_its_own_lock_is_given_back() {
        let directory = tempfile::tempdir().unwrap();
        let lost = take(directory.path()).unwrap();
        std::fs::remove_file(directory.path().join(UIDLIST)).unwrap();
        let other = take(directory.path()).unwrap();
        drop(lost);
        assert!(directory.path().join(UIDLIST).exists());
        drop(other);
    }
}
