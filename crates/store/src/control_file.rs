//! Small text files beside the mail: read whole, replaced whole, durably.

use crate::disk::{self, Kind};
use crate::{Error, Result};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

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

/// Replaces the file `name` in `directory` by these octets. After a crash it has
/// its old or its new content; at most `<name>.pillarbox-new` is left over, which
/// the next replacement overwrites.
pub(crate) fn replace(directory: &Path, name: &str, octets: &[u8]) -> Result<()> {
    let fresh = directory.join(format!("{name}.pillarbox-new"));
    remove_if_there(&fresh)?;
    write_new(&fresh, octets)?;
    let path = directory.join(name);
    disk::rename(&fresh, &path).map_err(|error| failed("replace", &path, error))?;
    sync_directory(directory)
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
