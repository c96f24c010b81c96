//! The lock file beside a uidlist, `dovecot-uidlist.lock`.

use crate::disk::{Directory, host_name};
use crate::{Error, Result};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// A lock untouched this long is nobody's.
const STALE_AFTER: Duration = Duration::from_secs(120);
/// A lock without content this old was left by a crash between two steps.
const EMPTY_STALE_AFTER: Duration = Duration::from_secs(5);
/// How long to wait for a living holder.
const PATIENCE: Duration = Duration::from_secs(30);

/// The file's name.
const NAME: &str = "dovecot-uidlist.lock";

/// Held until dropped, wherever the directory is then.
#[derive(Debug)]
pub(crate) struct Dotlock {
    directory: Directory,
}

impl Dotlock {
    /// Takes the lock of this directory's uidlist. A crash while it is held leaves
    /// the file; its process number tells the next taker that it is stale.
    pub(crate) fn take(directory: &Path) -> Result<Self> {
        let directory = Directory::opened(directory.to_owned());
        let path = directory.path_of(NAME);
        let began = Instant::now();
        let mut pause = Duration::from_millis(2);
        loop {
            match directory.create_new(NAME) {
                Ok(mut file) => {
                    let lock = Self { directory };
                    let owner = format!("{}:{}", std::process::id(), host_name());
                    file.write_all(owner.as_bytes())
                        .map_err(|error| Error::io("write uidlist lock", error))?;
                    return Ok(lock);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(Error::io(format!("lock {}", path.display()), error));
                }
            }
            if is_stale(&directory) {
                tracing::warn!(path = %path.display(), "a stale lock was removed");
                let _ = directory.unlink(NAME);
                continue;
            }
            if began.elapsed() > PATIENCE {
                let error = std::io::Error::new(ErrorKind::TimedOut, "another program holds it");
                return Err(Error::io(format!("lock {}", path.display()), error));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }
}

impl Drop for Dotlock {
    fn drop(&mut self) {
        let _ = self.directory.unlink(NAME);
    }
}

/// Whether a lock's holder is gone. Our own process number is stale as well: within
/// the process the mailbox's mutex comes first.
fn is_stale(directory: &Directory) -> bool {
    let Ok((file, metadata)) = directory.open_regular(NAME) else {
        return false;
    };
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
