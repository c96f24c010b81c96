//! Directories and files that only the server may read.

use std::fs::{DirBuilder, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown};
use std::path::Path;

/// Makes a directory and the missing ones above it, mode 0700.
///
/// # Errors
/// What the system says.
pub fn create_private_directories(path: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Replaces a file as a whole: written beside it, synced, renamed. A crash leaves the old
/// file or the new one. The owner and the mode of a file that was there stay (what root
/// changes the server still reads); a new one has mode 0600.
///
/// # Errors
/// What the system says.
pub fn replace_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    replace_private_for(path, content, None)
}

/// As [`replace_private`]; a file that was not there before is `owner`'s (user and
/// group).
///
/// The directory may belong to a user who is trusted less than who writes: the new file
/// has a name nobody knows before and is never one that was there, and links are not
/// followed.
///
/// # Errors
/// What the system says.
pub fn replace_private_for(
    path: &Path,
    content: &[u8],
    owner: Option<(u32, u32)>,
) -> std::io::Result<()> {
    let parent = path.parent();
    let parent = parent.filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".pillarbox-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(parent)?;
    let old = std::fs::symlink_metadata(path).ok();
    let old = old.filter(|old| old.is_file() && old.nlink() == 1);
    let mode = old.as_ref().map(|old| old.mode() & 0o777);
    let owner = old.map(|old| (old.uid(), old.gid())).or(owner);
    let new = file.as_file().metadata()?;
    if let Some((user, group)) = owner.filter(|owner| *owner != (new.uid(), new.gid())) {
        fchown(file.as_file(), Some(user), Some(group))?;
    }
    file.write_all(content)?;
    // Only now, as changing the owner takes bits away.
    if let Some(mode) = mode {
        file.as_file()
            .set_permissions(Permissions::from_mode(mode))?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{chown, symlink};

    #[test]
    fn links_that_others_planted_are_not_followed() {
        let directory = tempfile::tempdir().expect("directory");
        let victim = directory.path().join("victim");
        std::fs::write(&victim, "keep").expect("written");
        let path = directory.path().join("file");
        symlink(&victim, &path).expect("linked");
        // As older versions named it.
        let known = format!("file.{}.tmp", std::process::id());
        symlink(&victim, directory.path().join(known)).expect("linked");
        replace_private(&path, b"new").expect("replaced");
        assert_eq!(std::fs::read(&victim).expect("read"), b"keep");
        assert_eq!(std::fs::read(&path).expect("read"), b"new");
        let metadata = std::fs::symlink_metadata(&path).expect("there");
        assert!(metadata.is_file() && metadata.mode() & 0o777 == 0o600);
        let left = std::fs::read_dir(directory.path()).expect("listed").count();
        assert_eq!(left, 3, "nothing of its own is left");
    }

    #[test]
    fn the_mode_stays() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("file");
        let mode = || std::fs::metadata(&path).expect("there").mode() & 0o777;
        replace_private(&path, b"1").expect("made");
        assert_eq!(mode(), 0o600);
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("set");
        replace_private(&path, b"2").expect("replaced");
        assert_eq!(mode(), 0o640);
    }

    #[test]
    fn the_owner_stays() {
        if !nix::unistd::Uid::effective().is_root() {
            return;
        }
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("file");
        let owner = || {
            let metadata = std::fs::metadata(&path).expect("there");
            (metadata.uid(), metadata.gid())
        };
        replace_private_for(&path, b"1", Some((7, 8))).expect("made");
        assert_eq!(owner(), (7, 8));
        replace_private_for(&path, b"2", Some((9, 9))).expect("replaced");
        assert_eq!(owner(), (7, 8));
        chown(&path, Some(5), Some(6)).expect("given");
        replace_private(&path, b"3").expect("replaced");
        assert_eq!(owner(), (5, 6));
    }
}
