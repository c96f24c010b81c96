//! Directories in which many names are changed one after the other.

use super::{File, Metadata};
use std::io;
use std::path::PathBuf;

/// A directory. Where it is open, names are looked up in it, and nobody walks its path
/// from the root for each of them; what happens is the same.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    opened: Option<Opened>,
}

/// An open directory.
#[derive(Debug)]
pub(super) enum Opened {
    /// One of the machine's.
    Real(std::fs::File),
    /// One of a simulated disk.
    #[cfg(test)]
    Simulated(super::simulated::OpenDirectory),
}

impl Directory {
    /// A directory by its path: for a few names.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path, opened: None }
    }
    /// A directory that is kept open, where that is possible: for many names.
    pub(crate) fn opened(path: PathBuf) -> Self {
        // Without a descriptor, or a directory, each name tells by itself what is wrong.
        let opened = super::open_directory(&path).ok();
        Self { path, opened }
    }
    /// The path of a name in it.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
    /// The path of a name where the directory is now.
    fn place_of(&self, name: &str) -> io::Result<PathBuf> {
        match &self.opened {
            #[cfg(test)]
            Some(Opened::Simulated(directory)) => Ok(directory.path()?.join(name)),
            _ => Ok(self.path_of(name)),
        }
    }
    /// As [`super::open_regular`].
    pub(crate) fn open_regular(&self, name: &str) -> io::Result<(File, Metadata)> {
        use rustix::fs::{Mode, OFlags};
        match &self.opened {
            Some(Opened::Real(directory)) => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let file = rustix::fs::openat(directory, name, flags, Mode::empty())?;
                super::regular(std::fs::File::from(file).into())
            }
            _ => super::open_regular(&self.place_of(name)?),
        }
    }
    /// As [`super::create_new`].
    pub(crate) fn create_new(&self, name: &str) -> io::Result<File> {
        use rustix::fs::{Mode, OFlags};
        match &self.opened {
            Some(Opened::Real(directory)) => {
                let new = OFlags::CREATE | OFlags::EXCL;
                let flags = OFlags::WRONLY | new | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = rustix::fs::openat(directory, name, flags, Mode::RUSR | Mode::WUSR)?;
                Ok(std::fs::File::from(file).into())
            }
            _ => super::create_new(&self.place_of(name)?),
        }
    }
    /// As [`super::rename`].
    pub(crate) fn rename(&self, name: &str, to: &Self, new_name: &str) -> io::Result<()> {
        match (&self.opened, &to.opened) {
            (Some(Opened::Real(from)), Some(Opened::Real(to))) => {
                Ok(rustix::fs::renameat(from, name, to, new_name)?)
            }
            _ => super::rename(&self.place_of(name)?, &to.place_of(new_name)?),
        }
    }
    /// As [`super::unlink`].
    pub(crate) fn unlink(&self, name: &str) -> io::Result<()> {
        match &self.opened {
            Some(Opened::Real(directory)) => {
                let flags = rustix::fs::AtFlags::empty();
                Ok(rustix::fs::unlinkat(directory, name, flags)?)
            }
            _ => super::unlink(&self.place_of(name)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{self, simulated::Simulated};
    use std::path::Path;

    /// What is done in directories that are renamed meanwhile.
    fn done_in(root: &Path) -> Vec<String> {
        for name in ["one", "two"] {
            disk::make_directory(&root.join(name)).unwrap();
        }
        let [one, two] = ["one", "two"].map(|name| Directory::opened(root.join(name)));
        for name in ["a", "b", "c"] {
            drop(disk::create_new(&one.path_of(name)).unwrap());
        }
        disk::rename(&root.join("two"), &root.join("moved")).unwrap();
        one.rename("a", &two, "A").unwrap();
        disk::rename(&root.join("one"), &root.join("two")).unwrap();
        one.rename("b", &one, "B").unwrap();
        drop(two.create_new("d").unwrap());
        one.unlink("c").unwrap();
        let mut done = Vec::new();
        for error in [
            one.unlink("c").unwrap_err(),
            one.rename("a", &two, "A").unwrap_err(),
            one.open_regular("A").unwrap_err(),
            two.create_new("A").unwrap_err(),
        ] {
            done.push(format!("{:?}", error.kind()));
        }
        assert!(one.open_regular("B").is_ok() && two.open_regular("A").is_ok());
        for name in ["two", "moved"] {
            let names = disk::list(&root.join(name)).unwrap();
            let mut names: Vec<_> = names.into_iter().map(|listed| listed.name).collect();
            names.sort();
            done.push(format!("{name}: {names:?}"));
        }
        done
    }

    #[test]
    fn the_simulated_disk_does_what_the_real_one_does() {
        let directory = tempfile::tempdir().unwrap();
        let simulated = Simulated::new();
        let done = done_in(directory.path());
        assert_eq!(done, done_in(&simulated.root()));
        assert_eq!(done[4..], [r#"two: ["B"]"#, r#"moved: ["A", "d"]"#]);
    }
}
