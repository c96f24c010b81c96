//! Watches a mailbox that need not be open: it says that something happened there, and
//! nothing of what. So hundreds of mailboxes can be watched without having one of them in
//! memory.

use super::NAMES;
use crate::disk::{self, Stamp};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::Waker;
use std::time::Duration;

/// So many mailboxes are watched in this way at a time.
const MOST: usize = 8192;
/// How often mailboxes that the system does not watch are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Where it is said which mailboxes changed.
#[derive(Debug)]
pub(crate) struct Notices {
    waker: Waker,
    changed: Mutex<BTreeSet<u64>>,
}

impl Notices {
    pub(crate) fn new(waker: Waker) -> Self {
        Self {
            waker,
            changed: Mutex::default(),
        }
    }
    /// Takes the numbers of the sentries that saw something.
    pub(crate) fn take(&self) -> BTreeSet<u64> {
        std::mem::take(&mut *self.changed.lock())
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.changed.lock().is_empty()
    }
}

/// Watches one mailbox for all who want to know.
#[derive(Debug)]
pub(crate) struct Sentry {
    id: u64,
    halves: [PathBuf; 2],
    generation: AtomicU64,
    notices: Mutex<Vec<Weak<Notices>>>,
    /// What the directories looked like: where they are looked at, at the last look, else
    /// when watching them began.
    stamps: Mutex<[Option<Stamp>; 2]>,
}

static NUMBER: AtomicUsize = AtomicUsize::new(0);

impl Sentry {
    /// Watches the mailbox in a directory, whichever it is; `None` if there are too many.
    pub(crate) fn post(directory: &Path) -> Option<Arc<Self>> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        if NUMBER.fetch_add(1, Ordering::AcqRel) >= MOST {
            NUMBER.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        let sentry = Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            halves: NAMES.map(|name| directory.join(name)),
            generation: AtomicU64::new(0),
            notices: Mutex::default(),
            stamps: Mutex::default(),
        });
        sentry.begin();
        Some(sentry)
    }
    fn begin(self: &Arc<Self>) {
        *self.stamps.lock() = self.stamps();
        if !watch(self) {
            look_at(self);
        }
    }
    /// Watches what is in its place now, should another program have put another mailbox
    /// there, or the same one back.
    pub(crate) fn follow(self: &Arc<Self>) {
        let is_same = |(before, now): (&Option<Stamp>, &Option<Stamp>)| match (before, now) {
            (Some(before), Some(now)) => before.is_same_file(now),
            (before, now) => before.is_none() && now.is_none(),
        };
        let now = self.stamps();
        if self.stamps.lock().iter().zip(&now).all(is_same) {
            return;
        }
        #[cfg(target_os = "linux")]
        super::kernel::dismiss(self.id);
        self.begin();
        self.alert();
    }
    /// The name of the mailbox's directory, and where that is.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "inotify only"))]
    pub(super) fn place(&self) -> Option<(&Path, &OsStr)> {
        let directory = self.halves.first()?.parent()?;
        Some((directory.parent()?, directory.file_name()?))
    }
    /// Its number, which no other has.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }
    /// Whether it watches the mailbox in this directory.
    pub(crate) fn is_at(&self, directory: &Path) -> bool {
        let [new, _] = &self.halves;
        new.parent() == Some(directory)
    }
    /// How often something happened.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
    /// Has it said there from now on.
    pub(crate) fn tell(&self, notices: &Arc<Notices>) {
        let mut all = self.notices.lock();
        // A client may ask again and again.
        all.retain(|notices| notices.strong_count() > 0);
        all.push(Arc::downgrade(notices));
    }
    /// Something happened in the mailbox.
    pub(crate) fn alert(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.notices.lock().retain(|notices| {
            let Some(notices) = notices.upgrade() else {
                return false;
            };
            if notices.changed.lock().insert(self.id) {
                notices.waker.wake_by_ref();
            }
            true
        });
    }
    fn stamps(&self) -> [Option<Stamp>; 2] {
        [0, 1].map(|half: usize| {
            let path = self.halves.get(half)?;
            disk::stamp(path).ok().flatten()
        })
    }
}

impl Drop for Sentry {
    fn drop(&mut self) {
        #[cfg(target_os = "linux")]
        super::kernel::dismiss(self.id);
        NUMBER.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Has the system tell what happens; whether it does.
fn watch(sentry: &Arc<Sentry>) -> bool {
    #[cfg(target_os = "linux")]
    return super::kernel::post(sentry, sentry.id, &sentry.halves);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = sentry;
        false
    }
}

/// Those that are looked at, where the system tells nothing.
static LOOKED_AT: OnceLock<Mutex<HashMap<u64, Weak<Sentry>>>> = OnceLock::new();

fn look_at(sentry: &Arc<Sentry>) {
    let looked_at = LOOKED_AT.get_or_init(|| {
        let thread = std::thread::Builder::new().name("mailbox look".to_owned());
        if let Err(error) = thread.spawn(look_forever) {
            tracing::error!(%error, "mailboxes that are not selected are not watched");
        }
        Mutex::default()
    });
    let mut looked_at = looked_at.lock();
    looked_at.insert(sentry.id, Arc::downgrade(sentry));
}

fn look_forever() {
    loop {
        std::thread::sleep(LOOK);
        let Some(looked_at) = LOOKED_AT.get() else {
            continue;
        };
        let mut sentries = Vec::new();
        looked_at.lock().retain(|_, sentry| {
            let there = sentry.upgrade();
            let is_there = there.is_some();
            sentries.extend(there);
            is_there
        });
        for sentry in sentries {
            let now = sentry.stamps();
            let before = std::mem::replace(&mut *sentry.stamps.lock(), now);
            if before != now {
                // It may be a mailbox again, or the system can watch one more.
                if now.iter().all(Option::is_some) && watch(&sentry) {
                    looked_at.lock().remove(&sentry.id);
                }
                sentry.alert();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maildir() -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a directory");
        for name in NAMES {
            std::fs::create_dir(directory.path().join(name)).expect("a directory");
        }
        directory
    }

    fn waits(notices: &Notices, sentry: &Sentry) {
        let began = std::time::Instant::now();
        while !notices.take().contains(&sentry.id) {
            assert!(began.elapsed() < Duration::from_secs(20), "nothing is said");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn says_that_something_happened() {
        let directory = maildir();
        let notices = Arc::new(Notices::new(Waker::noop().clone()));
        let sentry = Sentry::post(directory.path()).expect("a place");
        sentry.tell(&notices);
        assert!(notices.is_empty());
        for name in ["new/1.a.b", "cur/2.a.b:2,S"] {
            std::fs::write(directory.path().join(name), "x").expect("written");
            waits(&notices, &sentry);
        }
        assert!(sentry.generation() >= 2);
        // A second one of the same mailbox takes over what the first had.
        let second = Sentry::post(directory.path()).expect("a place");
        second.tell(&notices);
        drop(sentry);
        std::fs::remove_file(directory.path().join("new/1.a.b")).expect("removed");
        waits(&notices, &second);
    }

    /// Another program makes the mailbox anew, or puts another there.
    #[test]
    fn what_takes_the_place_of_a_mailbox_is_watched() {
        let directory = tempfile::tempdir().expect("a directory");
        let make = |text: &str| {
            for name in NAMES {
                let path = directory.path().join(text).join(name);
                std::fs::create_dir_all(path).expect("a directory");
            }
        };
        let path = |text: &str| directory.path().join(text);
        let notices = Arc::new(Notices::new(Waker::noop().clone()));
        for text in [".a", ".b"] {
            make(text);
        }
        let sentries = [".a", ".b"].map(|text| Sentry::post(&path(text)).expect("a place"));
        for sentry in &sentries {
            sentry.tell(&notices);
        }
        let [a, b] = &sentries;
        std::fs::rename(path(".a"), path("away")).expect("renamed");
        waits(&notices, a);
        make("other");
        std::fs::rename(path("other"), path(".a")).expect("renamed");
        waits(&notices, a);
        std::fs::write(path(".a/new/1.a.b"), "x").expect("written");
        waits(&notices, a);
        // Made step by step, it is found when it is whole.
        std::fs::remove_dir_all(path(".b")).expect("removed");
        waits(&notices, b);
        make(".b");
        waits(&notices, b);
        notices.take();
        std::fs::write(path(".b/new/1.a.b"), "x").expect("written");
        waits(&notices, b);
    }

    #[test]
    fn who_asks_again_and_again_is_known_once() {
        let directory = maildir();
        let sentry = Sentry::post(directory.path()).expect("a place");
        for _ in 0..1000 {
            sentry.tell(&Arc::new(Notices::new(Waker::noop().clone())));
        }
        assert_eq!(sentry.notices.lock().len(), 1);
    }

    #[test]
    fn looks_where_the_system_does_not() {
        let directory = maildir();
        let notices = Arc::new(Notices::new(Waker::noop().clone()));
        let sentry = Sentry::post(directory.path()).expect("a place");
        sentry.tell(&notices);
        #[cfg(target_os = "linux")]
        super::super::kernel::dismiss(sentry.id);
        look_at(&sentry);
        std::fs::write(directory.path().join("new/1.a.b"), "x").expect("written");
        waits(&notices, &sentry);
    }
}
