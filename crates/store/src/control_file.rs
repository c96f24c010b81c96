//! Small text files beside the mail: read whole, replaced whole, durably.

use crate::disk::{self, Kind};
use crate::{Error, Result};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

/// No control file is read beyond this many octets.
pub(crate) const MAX_OCTETS: u64 = 64 << 20;

/// An error naming the path.
pub(crate) fn failed(what: &str, path: &Path, source: std::io::Error) -> Error {
    Error::io(format!("{what} {}", path.display()), source)
}

/// Reads a file; `None` if there is none. Links are not followed.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let file = match disk::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", path, error)),
    };
    let mut octets = Vec::new();
    file.take(MAX_OCTETS + 1)
        .read_to_end(&mut octets)
        .map_err(|error| failed("read", path, error))?;
    if octets.len() as u64 > MAX_OCTETS {
        let error = std::io::Error::new(ErrorKind::FileTooLarge, "larger than any such file");
        return Err(failed("read", path, error));
    }
    Ok(Some(octets))
}

/// What a file is called until it replaces another; a word of the process's own follows.
const FRESH: &str = ".pillarbox-new";
/// What other processes called so is theirs for so long.
const FRESH_FOR: Duration = Duration::from_secs(3600);

/// A word that no other process has: what one is writing another does not touch.
fn own_word() -> Result<&'static str> {
    static WORD: OnceLock<String> = OnceLock::new();
    Ok(match WORD.get() {
        Some(word) => word,
        None => {
            let word = random_name()?;
            WORD.get_or_init(|| word)
        }
    })
}

/// Replaces the file `name` in `directory` by these octets. After a crash it has
/// its old or its new content; at most `<name>.pillarbox-new-<word>` is left over, which
/// [`remove_left_over`] removes.
pub(crate) fn replace(directory: &Path, name: &str, octets: &[u8]) -> Result<()> {
    let fresh = directory.join(format!("{name}{FRESH}-{}", own_word()?));
    remove_if_there(&fresh)?;
    write_new(&fresh, octets)?;
    let path = directory.join(name);
    disk::rename(&fresh, &path).map_err(|error| failed("replace", &path, error))?;
    sync_directory(directory)
}

/// Removes what processes left that died while they replaced a file here. A crash leaves
/// any of it.
pub(crate) fn remove_left_over(directory: &Path) {
    for listed in disk::list(directory).unwrap_or_default() {
        let name = listed.name.to_str().filter(|name| name.contains(FRESH));
        let Some(path) = name.map(|name| directory.join(name)) else {
            continue;
        };
        let age = disk::metadata(&path).ok().and_then(|found| found.age());
        if listed.kind == Kind::File
            && age.is_some_and(|age| age > FRESH_FOR)
            && let Err(error) = remove_if_there(&path)
        {
            tracing::warn!(%error, "what a process left that died stays");
        }
    }
}

/// Writes and syncs a file that must not exist yet (mode 0600).
pub(crate) fn write_new(path: &Path, octets: &[u8]) -> Result<()> {
    let mut file = disk::create_new(path).map_err(|error| failed("create", path, error))?;
    file.write_all(octets)
        .and_then(|()| file.sync())
        .map_err(|error| failed("write", path, error))
}

/// Removes a file; none there is no error.
pub(crate) fn remove_if_there(path: &Path) -> Result<()> {
    match disk::unlink(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", path, error)),
        _ => Ok(()),
    }
}

/// Makes names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<()> {
    disk::sync_directory(path).map_err(|error| failed("sync", path, error))
}

/// Makes a directory (mode 0700) if it is absent; tells whether it did.
pub(crate) fn make_directory(path: &Path) -> Result<bool> {
    match disk::make_directory(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed("make directory", path, error)),
    }
}

/// Makes one of the directories that messages lie in if it is absent; tells whether it
/// did.
///
/// # Errors
/// When there is something else, a link to another directory above all: what lies there is
/// another mailbox's, and taking it in would move it here.
pub(crate) fn make_part(path: &Path) -> Result<bool> {
    if make_directory(path)? {
        return Ok(true);
    }
    match is_directory(path)? {
        true => Ok(false),
        false => Err(failed("use", path, disk::not_a_part())),
    }
}

/// Whether the path is a directory itself, not a link to one. That it cannot be told
/// is an error: what is there is not to be taken for absent.
pub(crate) fn is_directory(path: &Path) -> Result<bool> {
    match disk::metadata(path) {
        Ok(metadata) => Ok(metadata.kind == Kind::Directory),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(failed("look at", path, error)),
    }
}

/// Twenty-four random hex digits.
pub(crate) fn random_name() -> Result<String> {
    let mut octets = [0; 12];
    getrandom::fill(&mut octets)
        .map_err(|error| Error::io("random number", std::io::Error::other(error)))?;
    Ok(octets.iter().map(|octet| format!("{octet:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::time::SystemTime;

    /// What another process is writing stays, until it must have died.
    #[test]
    fn replaces_beside_another_process() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        let theirs = [
            "name.pillarbox-new",
            "name.pillarbox-new-0123",
            "name.pillarbox-new-4567",
        ];
        for name in theirs {
            fs::write(place(name), "half").unwrap();
        }
        for text in ["one", "two"] {
            replace(directory.path(), "name", text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(place("name")).unwrap(), text);
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 4);
        for name in &theirs[..2] {
            let file = File::options().write(true).open(place(name)).unwrap();
            let old = SystemTime::now() - 2 * FRESH_FOR;
            file.set_modified(old).unwrap();
        }
        remove_left_over(directory.path());
        assert!(!place(theirs[0]).exists() && !place(theirs[1]).exists());
        assert!(place(theirs[2]).exists() && place("name").exists());
    }
}
