//! Directories in which many names are changed one after the other.

use super::{File, Metadata};
use std::io;
use std::path::PathBuf;

/// A directory. Where it is open, names are looked up in it, and nobody walks its path
/// from the root for each of them; what happens is the same.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    opened: Option<std::fs::File>,
}

impl Directory {
    /// A directory by its path: for a few names.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path, opened: None }
    }
    /// A directory that is kept open, where that is possible: for many names.
    pub(crate) fn opened(path: PathBuf) -> Self {
        // Without a descriptor, or a directory, each name tells by itself what is wrong.
        let opened = super::open_directory(&path).ok().flatten();
        Self { path, opened }
    }
    /// The path of a name in it.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
    /// As [`super::open_regular`].
    pub(crate) fn open_regular(&self, name: &str) -> io::Result<(File, Metadata)> {
        use rustix::fs::{Mode, OFlags};
        match &self.opened {
            Some(directory) => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let file = rustix::fs::openat(directory, name, flags, Mode::empty())?;
                super::regular(std::fs::File::from(file).into())
            }
            None => super::open_regular(&self.path_of(name)),
        }
    }
    /// As [`super::rename`].
    pub(crate) fn rename(&self, name: &str, to: &Self, new_name: &str) -> io::Result<()> {
        match (&self.opened, &to.opened) {
            (Some(from), Some(to)) => Ok(rustix::fs::renameat(from, name, to, new_name)?),
            _ => super::rename(&self.path_of(name), &to.path_of(new_name)),
        }
    }
    /// As [`super::unlink`].
    pub(crate) fn unlink(&self, name: &str) -> io::Result<()> {
        match &self.opened {
            Some(directory) => {
                let flags = rustix::fs::AtFlags::empty();
                Ok(rustix::fs::unlinkat(directory, name, flags)?)
            }
            None => super::unlink(&self.path_of(name)),
        }
    }
}
