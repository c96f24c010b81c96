//! A disk in memory that can stop, lose what was not synced, and fail.
//!
//! Every file and directory is kept twice: as programs see it, and as the platter
//! has it, with the steps between the two in their order. A sync takes the steps of
//! one file or one directory over; a reboot keeps some of the rest, or all, or none.
//! Steps within one directory are atomic (a rename there leaves the old or the new
//! name); a rename between two directories is a step in each, and both are durable or
//! none, as file systems with a journal have it.
//!
//! A simulated disk is mounted at a path of its own, so that the store needs not know.

mod draw;
mod image;

pub(crate) use draw::Draw;

use super::directory::Opened;
use super::{Disk, File, Kind, Listed, Metadata, Opening, Stamp};
use image::Image;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

/// Simulated disks are mounted beneath this path, by number.
const MOUNTS: &str = "/simulated-disk";
/// No space left on device.
pub(crate) const ENOSPC: i32 = 28;
/// Input or output error.
pub(crate) const EIO: i32 = 5;
/// Permission denied.
pub(crate) const EACCES: i32 = 13;

/// What is to go wrong; operations are counted from when it is armed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// The machine stops in front of the change with this number, counted from 0;
    /// of a write the first half is done.
    Stop { change: u64 },
    /// The operation with this number fails, counted from 0.
    Fail {
        operation: u64,
        errno: i32,
        /// Whether all after it fail as well, until disarmed.
        lasting: bool,
    },
    /// Whoever does the operation with this number panics, counted from 0.
    Panic { operation: u64 },
}

/// What a reboot loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Nothing: only the process died.
    Nothing,
    /// Nothing, although the machine stopped.
    NothingByLuck,
    /// All that was not synced.
    Everything,
    /// Of each file and directory the steps after some point, drawn by this seed.
    Tails(u64),
}

/// A disk in memory.
#[derive(Debug)]
pub(crate) struct Simulated {
    number: u64,
    machine: Mutex<Machine>,
}

#[derive(Debug)]
struct Machine {
    image: Image,
    fault: Option<Fault>,
    /// How much was done since the fault was armed.
    counted: u64,
    /// Whether the fault happened.
    fired: bool,
    stopped: bool,
    /// What was done since the fault was armed.
    journal: Vec<String>,
    /// A directory that nothing can be looked up in, and what is said then.
    closed: Option<(PathBuf, i32)>,
    /// The handle that has each locked file locked.
    locks: HashMap<u64, u64>,
    handles: u64,
}

/// A kind of operation, as far as faults tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// Changes nothing.
    Look,
    /// Changes something, in place.
    Change,
    /// Changes something and needs space.
    Grow,
}

/// How an operation does not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    Stops,
    Fails,
}

fn mounted() -> &'static Mutex<HashMap<u64, Weak<Simulated>>> {
    static MOUNTED: OnceLock<Mutex<HashMap<u64, Weak<Simulated>>>> = OnceLock::new();
    MOUNTED.get_or_init(Mutex::default)
}

/// The simulated disk that this path is on.
pub(super) fn at(path: &Path) -> Option<Arc<Simulated>> {
    let beneath = path.strip_prefix(MOUNTS).ok()?;
    let number: u64 = beneath
        .components()
        .next()?
        .as_os_str()
        .to_str()?
        .parse()
        .ok()?;
    mounted().lock().get(&number)?.upgrade()
}

impl Simulated {
    /// An empty disk.
    pub(crate) fn new() -> Arc<Self> {
        Self::mount(Image::new())
    }
    fn mount(image: Image) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let disk = Arc::new(Self {
            number,
            machine: Mutex::new(Machine {
                image,
                fault: None,
                counted: 0,
                fired: false,
                stopped: false,
                journal: Vec::new(),
                closed: None,
                locks: HashMap::new(),
                handles: 0,
            }),
        });
        let mut mounted = mounted().lock();
        mounted.retain(|_, disk| disk.strong_count() > 0);
        mounted.insert(number, Arc::downgrade(&disk));
        disk
    }
    /// Where it is mounted.
    pub(crate) fn root(&self) -> PathBuf {
        Path::new(MOUNTS).join(self.number.to_string())
    }
    /// Has the disk's clock go on from so long ago.
    pub(crate) fn set_clock(&self, ago: Duration) {
        self.machine.lock().image.set_clock(ago);
    }
    /// Has a directory, with all in it, be on a device of its own from now on.
    pub(crate) fn set_apart(&self, path: &Path) -> io::Result<()> {
        let place = beneath(path)?;
        let image = &mut self.machine.lock().image;
        let directory = image.find(&place)?;
        image.set_apart(directory);
        Ok(())
    }
    /// Has all fail that is asked of what is in a directory, with this number, or of none.
    pub(crate) fn close(&self, closed: Option<(PathBuf, i32)>) {
        self.machine.lock().closed = closed;
    }
    /// Lets something go wrong from now on, or nothing more.
    pub(crate) fn arm(&self, fault: Option<Fault>) {
        let mut machine = self.machine.lock();
        machine.fault = fault;
        machine.counted = 0;
        machine.fired = false;
        machine.journal.clear();
    }
    /// Whether the machine stopped.
    pub(crate) fn stopped(&self) -> bool {
        self.machine.lock().stopped
    }
    /// Whether what was armed happened.
    pub(crate) fn fired(&self) -> bool {
        self.machine.lock().fired
    }
    /// What was done since the fault was armed, a line each.
    pub(crate) fn journal(&self) -> String {
        self.machine.lock().journal.join("\n")
    }
    /// The same disk after the machine or the process stopped and was started again,
    /// mounted elsewhere. Who has files of this one open keeps them, to no effect on
    /// the other.
    pub(crate) fn reboot(&self, loss: Loss) -> Arc<Self> {
        Self::mount(self.machine.lock().image.after(loss))
    }
    /// Runs one operation on the image, or what is to go wrong instead.
    fn run<T>(
        &self,
        sort: Sort,
        name: impl FnOnce() -> String,
        halfway: impl FnOnce(&mut Image, Broken),
        operation: impl FnOnce(&mut Image) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut machine = self.machine.lock();
        if machine.stopped {
            return Err(io::Error::other("the machine stopped"));
        }
        let number = machine.counted;
        let fails = match machine.fault {
            None => None,
            Some(Fault::Stop { change }) => {
                machine.counted += u64::from(sort != Sort::Look);
                (sort != Sort::Look && number == change).then_some(0)
            }
            Some(Fault::Panic { operation }) => {
                machine.counted += 1;
                if number == operation {
                    machine.fired = true;
                    drop(machine);
                    panic!("a mistake of ours at {}", name());
                }
                None
            }
            Some(Fault::Fail {
                operation,
                errno,
                lasting,
            }) => {
                let counts = errno != ENOSPC || sort == Sort::Grow;
                machine.counted += u64::from(counts);
                let hit = number == operation || (lasting && number > operation);
                (counts && hit).then_some(errno)
            }
        };
        if machine.fault.is_some() {
            let mark = if fails.is_some() { " FAULT" } else { "" };
            machine.journal.push(format!("{number} {}{mark}", name()));
        }
        let Some(errno) = fails else {
            return operation(&mut machine.image);
        };
        machine.fired = true;
        if errno == 0 {
            halfway(&mut machine.image, Broken::Stops);
            machine.stopped = true;
            return Err(io::Error::other("the machine stops"));
        }
        halfway(&mut machine.image, Broken::Fails);
        Err(io::Error::from_raw_os_error(errno))
    }
    fn simply<T>(
        &self,
        sort: Sort,
        name: &str,
        path: &Path,
        operation: impl FnOnce(&mut Image, &[&str]) -> io::Result<T>,
    ) -> io::Result<T> {
        let place = beneath(path)?;
        let closed = self.machine.lock().closed.clone();
        if let Some((closed, errno)) = closed
            && path.starts_with(&closed)
            && (path != closed || name != "stat")
        {
            return Err(io::Error::from_raw_os_error(errno));
        }
        self.run(
            sort,
            || format!("{name} {}", place.join("/")),
            |_, _| {},
            |image| operation(image, &place),
        )
    }
}

/// The names that lead to a path, from the mount point.
fn beneath(path: &Path) -> io::Result<Vec<&str>> {
    let mut names = Vec::new();
    for component in path
        .strip_prefix(MOUNTS)
        .unwrap_or(path)
        .components()
        .skip(1)
    {
        match component {
            Component::Normal(name) => names.push(name.to_str().ok_or(ErrorKind::InvalidInput)?),
            _ => return Err(ErrorKind::InvalidInput.into()),
        }
    }
    Ok(names)
}

impl Disk for Arc<Simulated> {
    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.simply(Sort::Look, "stat", path, |image, place| {
            image.metadata(image.find(place)?)
        })
    }
    fn leads_to_directory(&self, path: &Path) -> bool {
        self.metadata(path)
            .is_ok_and(|found| found.kind == Kind::Directory)
    }
    fn open(&self, path: &Path, opening: Opening) -> io::Result<File> {
        let inode = if opening == Opening::New {
            self.simply(Sort::Grow, "create", path, |image, place| {
                image.create(place, Kind::File)
            })?
        } else {
            self.simply(Sort::Look, "open", path, |image, place| image.find(place))?
        };
        let mut machine = self.machine.lock();
        machine.handles += 1;
        Ok(File::Simulated(OpenFile {
            disk: Arc::clone(self),
            inode,
            handle: machine.handles,
            position: AtomicU64::new(0),
            at_end: opening == Opening::Append,
        }))
    }
    fn open_directory(&self, path: &Path) -> io::Result<Opened> {
        let inode = self.simply(Sort::Look, "open directory", path, |image, place| {
            let inode = image.find(place)?;
            image.list(inode).map(|_| inode)
        })?;
        Ok(Opened::Simulated(OpenDirectory {
            disk: Arc::clone(self),
            inode,
        }))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (beneath(from)?, beneath(to)?);
        self.run(
            Sort::Grow,
            || format!("rename {} to {}", from.join("/"), to.join("/")),
            |_, _| {},
            |image| image.rename(&from, &to),
        )
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (beneath(from)?, beneath(to)?);
        self.run(
            Sort::Grow,
            || format!("link {} to {}", from.join("/"), to.join("/")),
            |_, _| {},
            |image| image.link(&from, &to),
        )
    }
    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.simply(Sort::Change, "unlink", path, |image, place| {
            image.remove(place, Kind::File)
        })
    }
    fn make_directory(&self, path: &Path) -> io::Result<()> {
        self.simply(Sort::Grow, "mkdir", path, |image, place| {
            image.create(place, Kind::Directory).map(drop)
        })
    }
    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        for listed in self.list(path)? {
            let path = path.join(listed.name);
            match listed.kind {
                Kind::Directory => self.remove_tree(&path)?,
                _ => self.unlink(&path)?,
            }
        }
        self.simply(Sort::Change, "rmdir", path, |image, place| {
            image.remove(place, Kind::Directory)
        })
    }
    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        self.simply(Sort::Look, "list", path, |image, place| {
            image.list(image.find(place)?)
        })
    }
    fn list_itself(&self, path: &Path) -> io::Result<Vec<Listed>> {
        // There are no links.
        self.list(path)
    }
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.simply(Sort::Change, "sync directory", path, |image, place| {
            let inode = image.find(place)?;
            image.sync(inode)
        })
    }
}

/// An open directory of a simulated disk.
#[derive(Debug)]
pub(crate) struct OpenDirectory {
    disk: Arc<Simulated>,
    inode: u64,
}

impl OpenDirectory {
    /// Where it is now; to look there takes no operation.
    pub(super) fn path(&self) -> io::Result<PathBuf> {
        let place = self.disk.machine.lock().image.place_of(self.inode);
        let place = place.ok_or(ErrorKind::NotFound)?;
        Ok(self.disk.root().join(place))
    }
}

/// An open file of a simulated disk.
#[derive(Debug)]
pub(crate) struct OpenFile {
    disk: Arc<Simulated>,
    inode: u64,
    handle: u64,
    position: AtomicU64,
    at_end: bool,
}

impl OpenFile {
    fn run<T>(
        &self,
        sort: Sort,
        name: &str,
        operation: impl FnOnce(&mut Image) -> io::Result<T>,
    ) -> io::Result<T> {
        let name = || format!("{name} inode {}", self.inode);
        self.disk.run(sort, name, |_, _| {}, operation)
    }
    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        self.run(Sort::Look, "stat", |image| image.metadata(self.inode))
    }
    pub(super) fn read_at(&self, octets: &mut [u8], offset: u64) -> io::Result<usize> {
        self.run(Sort::Look, "read", |image| {
            image.read(self.inode, octets, offset)
        })
    }
    pub(super) fn read(&self, octets: &mut [u8]) -> io::Result<usize> {
        let read = self.read_at(octets, self.position.load(Ordering::Relaxed))?;
        self.position.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
    pub(super) fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<()> {
        self.disk.run(
            Sort::Grow,
            || {
                format!(
                    "write {} octets at {offset} of inode {}",
                    octets.len(),
                    self.inode
                )
            },
            |image, _| image.write(self.inode, &octets[..octets.len() / 2], offset),
            |image| {
                image.write(self.inode, octets, offset);
                Ok(())
            },
        )
    }
    pub(super) fn write(&self, octets: &[u8]) -> io::Result<usize> {
        let offset = if self.at_end {
            self.disk.machine.lock().image.length(self.inode)
        } else {
            self.position.load(Ordering::Relaxed)
        };
        self.write_at(octets, offset)?;
        self.position
            .store(offset + octets.len() as u64, Ordering::Relaxed);
        Ok(octets.len())
    }
    /// A failed sync is as on Linux: what was written can still be read, but is taken
    /// for durable from then on although it is not.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.disk.run(
            Sort::Change,
            || format!("sync inode {}", self.inode),
            |image, broken| match broken {
                Broken::Fails => image.fail_sync(self.inode),
                Broken::Stops => {}
            },
            |image| image.sync(self.inode),
        )
    }
    pub(super) fn truncate(&self, octets: u64) -> io::Result<()> {
        self.run(Sort::Change, "truncate", |image| {
            image.set_length(self.inode, octets);
            Ok(())
        })
    }
    pub(super) fn allocate(&self, offset: u64, octets: u64) {
        let _ = self.run(Sort::Grow, "allocate", |image| {
            let length = image.length(self.inode).max(offset + octets);
            image.set_length(self.inode, length);
            Ok(())
        });
    }
    pub(super) fn set_modified(&self, seconds: i64) -> io::Result<()> {
        self.run(Sort::Change, "set the time of", |image| {
            image.set_modified(self.inode, seconds);
            Ok(())
        })
    }
    pub(super) fn try_lock(&self) -> io::Result<bool> {
        let mut machine = self.disk.machine.lock();
        let holder = machine.locks.entry(self.inode).or_insert(self.handle);
        Ok(*holder == self.handle)
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        let mut machine = self.disk.machine.lock();
        if machine.locks.get(&self.inode) == Some(&self.handle) {
            machine.locks.remove(&self.inode);
        }
    }
}
