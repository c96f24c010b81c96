//! Open files.

use super::Metadata;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

/// An open file. Every write to it is a step that a crash can fall into; until the
/// file is synced, a loss of power may take any of it.
#[derive(Debug)]
pub(crate) enum File {
    /// One of the machine's.
    Real(std::fs::File),
    /// One of a simulated disk.
    #[cfg(test)]
    Simulated(super::simulated::OpenFile),
}

impl From<std::fs::File> for File {
    fn from(file: std::fs::File) -> Self {
        Self::Real(file)
    }
}

impl File {
    /// What is known of it now.
    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        match self {
            Self::Real(file) => Ok(Metadata::of(&file.metadata()?)),
            #[cfg(test)]
            Self::Simulated(file) => file.metadata(),
        }
    }
    /// Reads at a place, as much as comes at once; 0 at the end.
    pub(crate) fn read_at(&self, octets: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Self::Real(file) => file.read_at(octets, offset),
            #[cfg(test)]
            Self::Simulated(file) => file.read_at(octets, offset),
        }
    }
    /// Writes at a place. A crash leaves any prefix of `octets`, once the file is
    /// synced all of it.
    pub(crate) fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<()> {
        match self {
            Self::Real(file) => file.write_all_at(octets, offset),
            #[cfg(test)]
            Self::Simulated(file) => file.write_at(octets, offset),
        }
    }
    /// Has the system begin to write to the disk what it holds of the file, where it can
    /// be asked to; waits for nothing and makes nothing durable. The syncs of many files
    /// that were all begun share what the disk does: on ext4 the first commits the
    /// journal for all (half the time of syncs one by one).
    pub(crate) fn begin_sync(&self) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Real(file) => {
                // What is not on the disk yet is written, not dropped.
                let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
            }
            #[cfg(not(target_os = "linux"))]
            Self::Real(_) => {}
            #[cfg(test)]
            Self::Simulated(_) => {}
        }
    }
    /// Makes octets, length and times durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match self {
            Self::Real(file) => file.sync_all(),
            #[cfg(test)]
            Self::Simulated(file) => file.sync(),
        }
    }
    /// Makes octets and length durable, not the times.
    pub(crate) fn sync_data(&self) -> io::Result<()> {
        match self {
            Self::Real(file) => file.sync_data(),
            #[cfg(test)]
            Self::Simulated(file) => file.sync(),
        }
    }
    /// Cuts it to this length.
    pub(crate) fn truncate(&self, octets: u64) -> io::Result<()> {
        match self {
            Self::Real(file) => file.set_len(octets),
            #[cfg(test)]
            Self::Simulated(file) => file.truncate(octets),
        }
    }
    /// Allocates space, filled with zeros, so that writing there needs none. Where
    /// that is not possible nothing happens.
    pub(crate) fn allocate(&self, offset: u64, octets: u64) {
        match self {
            Self::Real(file) => {
                let flags = rustix::fs::FallocateFlags::empty();
                let _ = rustix::fs::fallocate(file, flags, offset, octets);
            }
            #[cfg(test)]
            Self::Simulated(file) => file.allocate(offset, octets),
        }
    }
    /// Sets its times, seconds since 1970 UTC.
    pub(crate) fn set_modified(&self, seconds: i64) -> io::Result<()> {
        match self {
            Self::Real(file) => {
                let time = rustix::fs::Timespec {
                    tv_sec: seconds,
                    tv_nsec: 0,
                };
                let times = rustix::fs::Timestamps {
                    last_access: time,
                    last_modification: time,
                };
                Ok(rustix::fs::futimens(file, &times)?)
            }
            #[cfg(test)]
            Self::Simulated(file) => file.set_modified(seconds),
        }
    }
    /// Locks it against other openings of it, until it is closed; false if another
    /// has it locked.
    pub(crate) fn try_lock(&self) -> io::Result<bool> {
        use rustix::fs::FlockOperation::NonBlockingLockExclusive;
        match self {
            Self::Real(file) => match rustix::fs::flock(file, NonBlockingLockExclusive) {
                Ok(()) => Ok(true),
                Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
                Err(error) => Err(error.into()),
            },
            #[cfg(test)]
            Self::Simulated(file) => file.try_lock(),
        }
    }
}

impl Read for &File {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        match self {
            File::Real(file) => (&*file).read(octets),
            #[cfg(test)]
            File::Simulated(file) => file.read(octets),
        }
    }
}

impl Read for File {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        (&*self).read(octets)
    }
}

impl Write for File {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Real(file) => file.write(octets),
            #[cfg(test)]
            Self::Simulated(file) => file.write(octets),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
