//! The machine's own disk.

use super::directory::Opened;
use super::{Disk, File, Kind, Listed, Metadata, Opening};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::ffi::{CStr, OsStr};
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// The machine's own disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Real;

impl Disk for Real {
    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        Ok(Metadata::of(&std::fs::symlink_metadata(path)?))
    }
    fn leads_to_directory(&self, path: &Path) -> bool {
        path.is_dir()
    }
    fn open(&self, path: &Path, opening: Opening) -> io::Result<File> {
        use rustix::fs::OFlags;
        let mut options = OpenOptions::new();
        let mut flags = OFlags::NOFOLLOW;
        match opening {
            Opening::Read => {
                options.read(true);
                flags |= OFlags::NONBLOCK;
            }
            Opening::Update => {
                options.read(true).write(true);
                flags |= OFlags::NONBLOCK;
            }
            Opening::Append => {
                options.append(true);
            }
            Opening::New => {
                options.write(true).create_new(true).mode(0o600);
            }
        }
        options.custom_flags(flags.bits().cast_signed());
        Ok(File::Real(options.open(path)?))
    }
    fn open_directory(&self, path: &Path) -> io::Result<Opened> {
        let flags = rustix::fs::OFlags::DIRECTORY;
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(flags.bits().cast_signed());
        options.open(path).map(Opened::Real)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }
    fn unlink(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
    fn make_directory(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)
    }
    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir_all(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let kind = match entry.file_type() {
                Ok(kind) => Kind::of(kind),
                // Gone between two system calls.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let name = entry.file_name();
            listed.push(Listed { name, kind });
        }
        Ok(listed)
    }
    fn list_itself(&self, path: &Path) -> io::Result<Vec<Listed>> {
        use rustix::fs::{Dir, Mode, OFlags};
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = match rustix::fs::open(path, flags, Mode::empty()) {
            // What systems say of a link.
            Err(Errno::LOOP | Errno::MLINK) => return Err(ErrorKind::NotADirectory.into()),
            opened => opened?,
        };
        // Between a look at the path and another opening of it a link might take its place.
        let mut directory = Dir::new(opened)?;
        let mut listed = Vec::new();
        while let Some(entry) = directory.read() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let kind = match entry.file_type() {
                // Not all file systems say it there.
                FileType::Unknown => match kind_of(&directory, name) {
                    // Gone between two system calls.
                    Err(Errno::NOENT) => continue,
                    kind => kind?,
                },
                kind => kind,
            };
            listed.push(Listed {
                name: OsStr::from_bytes(name.to_bytes()).to_owned(),
                kind: match kind {
                    FileType::RegularFile => Kind::File,
                    FileType::Directory => Kind::Directory,
                    _ => Kind::Other,
                },
            });
        }
        Ok(listed)
    }
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        std::fs::File::open(path)?.sync_all()
    }
}

/// What a name in an open directory is of; links are not followed.
fn kind_of(directory: &rustix::fs::Dir, name: &CStr) -> Result<FileType, Errno> {
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    let stat = rustix::fs::statat(directory.fd()?, name, flags)?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::super::{list_messages, make_directory};
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    /// A link that takes the place of a directory at any moment is never listed.
    #[test]
    fn a_link_that_comes_meanwhile_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        for (name, file) in [("cur", "own"), ("other", "another's")] {
            make_directory(&place(name)).unwrap();
            std::fs::write(place(name).join(file), "").unwrap();
        }
        std::os::unix::fs::symlink(place("other"), place("link")).unwrap();
        let ends = AtomicBool::new(false);
        let mut seen = [0; 2];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let [cur, link] = [place("cur"), place("link")];
                while !ends.load(Ordering::Relaxed) {
                    renameat_with(CWD, &cur, CWD, &link, RenameFlags::EXCHANGE).unwrap();
                }
            });
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(500) || seen.contains(&0) {
                let listed = list_messages(&place("cur"));
                seen[usize::from(listed.is_ok())] += 1;
                if listed.is_ok_and(|names| names != ["own"]) {
                    seen = [usize::MAX, 1];
                    break;
                }
            }
            ends.store(true, Ordering::Relaxed);
        });
        assert_ne!(seen[0], usize::MAX, "what a link leads to was listed");
    }
}
