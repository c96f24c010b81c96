//! The machine's own disk.

use super::directory::Opened;
use super::{Disk, File, Kind, Listed, Metadata, Opening};
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, ErrorKind};
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
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        std::fs::File::open(path)?.sync_all()
    }
}
