//! Watching mailboxes for changes by other programs, name by name: one inotify
//! instance and one thread for the process. Systems without inotify tell that
//! something changed, and the directories are read; where nothing tells, they are
//! looked at each second.
//!
//! The kernel queues an event before the system call that caused it returns. So who
//! looks at a directory's time first and gathers events then has every change that
//! the time tells of, but for one whose call has not returned yet; its event follows.

#![cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "only inotify tells names")
)]

#[cfg(any(not(target_os = "linux"), test))]
mod elsewhere;
pub(crate) mod sentry;

use crate::Mailbox;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

/// The directories that are watched.
const NAMES: [&str; 2] = ["new", "cur"];
/// More events than this are not kept: the directories are read again instead.
const LIMIT: usize = 100_000;

/// What happened to a name in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It came: made, linked or renamed.
    Appeared,
    /// It was renamed to somewhere.
    MovedAway,
    /// It was removed.
    Removed,
}

/// A name that came to or went from a directory.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// `new` rather than `cur`.
    pub(crate) in_new: bool,
    pub(crate) kind: Kind,
    /// The file's name.
    pub(crate) name: Box<str>,
}

/// What was gathered for one mailbox.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    /// In the order they happened.
    pub(crate) events: Vec<Event>,
    /// Whether events were lost.
    pub(crate) overflow: bool,
}

/// Where the events of one mailbox wait.
#[derive(Debug)]
pub(crate) struct Queue {
    /// The mailbox's number.
    id: u64,
    mailbox: OnceLock<Weak<Mailbox>>,
    gathered: Mutex<Gathered>,
}

impl Queue {
    pub(crate) fn new(id: u64) -> Self {
        Self {
            id,
            mailbox: OnceLock::new(),
            gathered: Mutex::default(),
        }
    }
    /// Says who is to be told of events; only the first says so.
    pub(crate) fn belongs_to(&self, mailbox: &Arc<Mailbox>) {
        let _ = self.mailbox.set(Arc::downgrade(mailbox));
    }
    fn mailbox(&self) -> Option<Arc<Mailbox>> {
        self.mailbox.get()?.upgrade()
    }
    pub(crate) fn is_empty(&self) -> bool {
        let gathered = self.gathered.lock();
        gathered.events.is_empty() && !gathered.overflow
    }
    /// Takes what was gathered.
    pub(crate) fn take(&self) -> Gathered {
        std::mem::take(&mut *self.gathered.lock())
    }
    fn push(&self, event: Event) {
        let mut gathered = self.gathered.lock();
        if gathered.events.len() >= LIMIT {
            gathered.overflow = true;
        }
        if gathered.overflow {
            gathered.events.clear();
        } else {
            gathered.events.push(event);
        }
    }
    /// Events were lost.
    pub(crate) fn lose(&self) {
        let mut gathered = self.gathered.lock();
        gathered.events.clear();
        gathered.overflow = true;
    }
}

/// Mailboxes that are looked at each second.
#[derive(Debug, Default)]
struct Polled {
    queues: HashMap<u64, Weak<Queue>>,
    running: bool,
}

static POLLED: OnceLock<Mutex<Polled>> = OnceLock::new();

fn poll(queue: &Arc<Queue>) {
    let polled = POLLED.get_or_init(Mutex::default);
    let mut polled = polled.lock();
    polled.queues.insert(queue.id, Arc::downgrade(queue));
    if !polled.running {
        polled.running = std::thread::Builder::new()
            .name("mailbox poll".to_owned())
            .spawn(poll_forever)
            .is_ok();
    }
}

fn poll_forever() {
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let mailboxes: Vec<Arc<Mailbox>> = POLLED
            .get_or_init(Mutex::default)
            .lock()
            .queues
            .values()
            .filter_map(Weak::upgrade)
            .filter_map(|queue| queue.mailbox())
            .collect();
        for mailbox in mailboxes {
            // Who cannot look now does so in a second.
            mailbox.notice();
        }
    }
}

/// Watches a mailbox's `new` and `cur` until [`remove`]. Tells whether every event
/// from now on will be in its queue; if not it is looked at each second.
pub(crate) fn add(queue: &Arc<Queue>, halves: &[PathBuf; 2]) -> bool {
    #[cfg(target_os = "linux")]
    {
        if kernel::add(queue, halves) {
            return true;
        }
        kernel::remove(queue.id);
    }
    #[cfg(not(target_os = "linux"))]
    if elsewhere::add(queue, halves) {
        return false;
    }
    poll(queue);
    false
}

/// Ends the watching of a mailbox.
pub(crate) fn remove(queue: &Queue) {
    #[cfg(target_os = "linux")]
    kernel::remove(queue.id);
    #[cfg(not(target_os = "linux"))]
    elsewhere::remove(queue.id);
    if let Some(polled) = POLLED.get() {
        polled.lock().queues.remove(&queue.id);
    }
}

/// Has a watched mailbox told that something happened, as if there were an event.
pub(crate) fn tell_again(queue: &Arc<Queue>) {
    #[cfg(target_os = "linux")]
    kernel::tell_again(queue);
    #[cfg(not(target_os = "linux"))]
    poll(queue);
}

/// Puts the events there are into the queues.
pub(crate) fn gather() {
    #[cfg(target_os = "linux")]
    kernel::gather();
}

#[cfg(target_os = "linux")]
mod kernel {
    use super::sentry::Sentry;
    use super::{Event, Kind, Mutex, Queue};
    use crate::mailbox::Noticed;
    use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask, Watches};
    use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
    use std::collections::HashMap;
    use std::ffi::OsString;
    use std::os::fd::{AsFd, OwnedFd};
    use std::path::PathBuf;
    use std::sync::{Arc, OnceLock, Weak};
    use std::time::{Duration, Instant};

    /// How long events are gathered before mailboxes hear of them, after they just did:
    /// the first after a silence waits for nothing.
    const DEBOUNCE: Duration = Duration::from_millis(3);
    /// How soon a mailbox that was busy is told again.
    const AGAIN: Duration = Duration::from_millis(5);

    /// How soon a mailbox is told again whose UID list another program has locked.
    const UNLOCKED: Duration = Duration::from_millis(100);

    struct Watcher {
        watches: Watches,
        /// The same instance, for waiting.
        waiting: OwnedFd,
        /// Ends the waiting: someone else gathered events.
        poke: OwnedFd,
        reading: Mutex<Reading>,
        table: Mutex<Table>,
    }

    struct Reading {
        inotify: Inotify,
        buffer: Vec<u8>,
    }

    #[derive(Default)]
    struct Table {
        by_descriptor: HashMap<WatchDescriptor, Watched>,
        by_mailbox: HashMap<u64, Vec<WatchDescriptor>>,
        by_sentry: HashMap<u64, Vec<WatchDescriptor>>,
        /// Mailboxes with events they do not know of.
        untold: HashMap<u64, Weak<Queue>>,
        /// Sentries who do not know that something happened.
        unalerted: HashMap<u64, Weak<Sentry>>,
        /// Sentries of mailboxes whose directories came or went.
        moved: HashMap<u64, Weak<Sentry>>,
    }

    /// Who watches a directory: the mailbox while it is open, which hears of names, and
    /// a sentry; where mailboxes are, their sentries.
    #[derive(Default)]
    struct Watched {
        queue: Option<(Weak<Queue>, bool)>,
        sentry: Option<(u64, Weak<Sentry>)>,
        /// Sentries of mailboxes in it, by the names of their directories.
        mailboxes: HashMap<OsString, (u64, Weak<Sentry>)>,
    }

    fn mask() -> WatchMask {
        WatchMask::CREATE
            | WatchMask::MOVED_TO
            | WatchMask::MOVED_FROM
            | WatchMask::DELETE
            | WatchMask::ONLYDIR
    }

    static WATCHER: OnceLock<Option<Watcher>> = OnceLock::new();

    fn watcher() -> Option<&'static Watcher> {
        let watcher = WATCHER
            .get_or_init(|| {
                start()
                    .inspect_err(|error| tracing::warn!(%error, "no inotify; mailboxes are polled"))
                    .ok()
            })
            .as_ref()?;
        static THREAD: OnceLock<bool> = OnceLock::new();
        let running = THREAD.get_or_init(|| {
            std::thread::Builder::new()
                .name("mailbox watch".to_owned())
                .spawn(move || watch_forever(watcher))
                .is_ok()
        });
        running.then_some(watcher)
    }

    fn start() -> std::io::Result<Watcher> {
        let inotify = Inotify::init()?;
        Ok(Watcher {
            watches: inotify.watches(),
            waiting: inotify.as_fd().try_clone_to_owned()?,
            poke: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            reading: Mutex::new(Reading {
                inotify,
                buffer: vec![0; 64 << 10],
            }),
            table: Mutex::default(),
        })
    }

    /// Tells whether the kernel watches it now.
    pub(super) fn add(queue: &Arc<Queue>, halves: &[PathBuf; 2]) -> bool {
        let Some(watcher) = watcher() else {
            return false;
        };
        let mut table = watcher.table.lock();
        for (half, path) in halves.iter().enumerate() {
            match watcher.watches.clone().add(path, mask()) {
                Ok(descriptor) => {
                    let entry = (Arc::downgrade(queue), half == 0);
                    let watched = table.by_descriptor.entry(descriptor.clone());
                    watched.or_default().queue = Some(entry);
                    let descriptors = table.by_mailbox.entry(queue.id).or_default();
                    if !descriptors.contains(&descriptor) {
                        descriptors.push(descriptor);
                    }
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "cannot be watched; polled");
                    return false;
                }
            }
        }
        true
    }

    pub(super) fn remove(id: u64) {
        let Some(Some(watcher)) = WATCHER.get() else {
            return;
        };
        let mut table = watcher.table.lock();
        table.untold.remove(&id);
        for descriptor in table.by_mailbox.remove(&id).unwrap_or_default() {
            // The same directory may be another mailbox object's by now.
            let is_own = |queue: &Weak<Queue>| queue.upgrade().is_none_or(|queue| queue.id == id);
            if let Some(watched) = table.by_descriptor.get_mut(&descriptor) {
                watched.queue.take_if(|(queue, _)| is_own(queue));
            }
            table.end_if_unwatched(watcher, descriptor);
        }
    }

    /// Has a sentry alerted of what happens; tells whether it will be.
    pub(super) fn post(sentry: &Arc<Sentry>, id: u64, halves: &[PathBuf; 2]) -> bool {
        let Some(watcher) = watcher() else {
            return false;
        };
        let mut table = watcher.table.lock();
        for path in halves {
            match watcher.watches.clone().add(path, mask()) {
                Ok(descriptor) => {
                    let watched = table.by_descriptor.entry(descriptor.clone());
                    watched.or_default().sentry = Some((id, Arc::downgrade(sentry)));
                    table.by_sentry.entry(id).or_default().push(descriptor);
                }
                Err(error) => {
                    // There may be none at this moment.
                    if error.kind() != std::io::ErrorKind::NotFound {
                        tracing::warn!(path = %path.display(), %error, "cannot be watched; looked at");
                    }
                    drop(table);
                    dismiss(id);
                    return false;
                }
            }
        }
        let Some((above, name)) = sentry.place() else {
            return true;
        };
        match watcher.watches.clone().add(above, mask()) {
            Ok(descriptor) => {
                let watched = table.by_descriptor.entry(descriptor.clone()).or_default();
                let entry = (id, Arc::downgrade(sentry));
                watched.mailboxes.insert(name.to_owned(), entry);
                table.by_sentry.entry(id).or_default().push(descriptor);
            }
            // That another mailbox takes its place is then found when somebody asks.
            Err(error) => {
                tracing::debug!(path = %above.display(), %error, "cannot be watched");
            }
        }
        true
    }

    pub(super) fn dismiss(id: u64) {
        let Some(Some(watcher)) = WATCHER.get() else {
            return;
        };
        let mut table = watcher.table.lock();
        table.unalerted.remove(&id);
        table.moved.remove(&id);
        for descriptor in table.by_sentry.remove(&id).unwrap_or_default() {
            if let Some(watched) = table.by_descriptor.get_mut(&descriptor) {
                watched.sentry.take_if(|(other, _)| *other == id);
                watched.mailboxes.retain(|_, (other, _)| *other != id);
            }
            table.end_if_unwatched(watcher, descriptor);
        }
    }

    pub(super) fn gather() {
        if let Some(Some(watcher)) = WATCHER.get()
            && watcher.gather()
        {
            // What the others got they hear of from the thread.
            watcher.poke();
        }
    }

    pub(super) fn tell_again(queue: &Arc<Queue>) {
        if let Some(Some(watcher)) = WATCHER.get() {
            let mut table = watcher.table.lock();
            table.untold.insert(queue.id, Arc::downgrade(queue));
            drop(table);
            watcher.poke();
        }
    }

    impl Watcher {
        /// Has the thread look.
        fn poke(&self) {
            let _ = rustix::io::write(&self.poke, &1_u64.to_ne_bytes());
        }
        /// Reads all events into the queues; tells whether there were any.
        fn gather(&self) -> bool {
            let mut reading = self.reading.lock();
            let Reading { inotify, buffer } = &mut *reading;
            let mut any = false;
            loop {
                match inotify.read_events(buffer) {
                    Ok(events) => {
                        any = true;
                        self.hand_out(events);
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return any,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        tracing::error!(%error, "watching mailboxes failed");
                        self.table.lock().overflow();
                        return true;
                    }
                }
            }
        }
        fn hand_out(&self, events: inotify::Events<'_>) {
            let mut table = self.table.lock();
            for event in events {
                if event.mask.contains(EventMask::Q_OVERFLOW) {
                    table.overflow();
                    continue;
                }
                let Some(name) = event.name else {
                    continue;
                };
                if event.mask.contains(EventMask::ISDIR)
                    && let Some(watched) = table.by_descriptor.get(&event.wd)
                    && let Some((id, sentry)) = watched.mailboxes.get(name).cloned()
                {
                    table.moved.insert(id, sentry);
                }
                let Some(name) = name.to_str() else {
                    continue;
                };
                let kind = if event.mask.contains(EventMask::DELETE) {
                    Kind::Removed
                } else if event.mask.contains(EventMask::MOVED_FROM) {
                    Kind::MovedAway
                } else {
                    Kind::Appeared
                };
                let Some(watched) = table.by_descriptor.get(&event.wd) else {
                    continue;
                };
                let (queue, sentry) = (watched.queue.clone(), watched.sentry.clone());
                if let Some((id, sentry)) = sentry {
                    table.unalerted.insert(id, sentry);
                }
                let Some((queue, in_new)) = queue else {
                    continue;
                };
                if let Some(there) = queue.upgrade() {
                    there.push(Event {
                        in_new,
                        kind,
                        name: Box::from(name),
                    });
                    table.untold.insert(there.id, queue);
                }
            }
        }
        /// Waits until there may be events, not longer than asked.
        fn wait(&self, timeout: Option<Duration>) {
            let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
            let mut sources = [
                PollFd::new(&self.waiting, PollFlags::IN),
                PollFd::new(&self.poke, PollFlags::IN),
            ];
            match poll(&mut sources, timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "waiting for changes failed");
                    std::thread::sleep(Duration::from_secs(1));
                }
            }
            let _ = rustix::io::read(&self.poke, &mut [0; 8]);
        }
    }

    impl Table {
        fn end_if_unwatched(&mut self, watcher: &Watcher, descriptor: WatchDescriptor) {
            let is_watched = |watched: &Watched| {
                watched.queue.is_some() || watched.sentry.is_some() || !watched.mailboxes.is_empty()
            };
            if self
                .by_descriptor
                .get(&descriptor)
                .is_some_and(|watched| !is_watched(watched))
            {
                self.by_descriptor.remove(&descriptor);
                let _ = watcher.watches.clone().remove(descriptor);
            }
        }
        /// Nobody knows what happened.
        fn overflow(&mut self) {
            for watched in self.by_descriptor.values() {
                for (id, sentry) in watched.mailboxes.values() {
                    self.moved.insert(*id, Weak::clone(sentry));
                }
                if let Some((id, sentry)) = &watched.sentry {
                    self.unalerted.insert(*id, Weak::clone(sentry));
                }
                if let Some((queue, _)) = &watched.queue
                    && let Some(there) = queue.upgrade()
                {
                    there.lose();
                    self.untold.insert(there.id, Weak::clone(queue));
                }
            }
        }
    }

    fn watch_forever(watcher: &'static Watcher) {
        let mut busy = false;
        // Mailboxes that cannot look yet, and when they are told again.
        let mut locked: HashMap<u64, Weak<Queue>> = HashMap::new();
        let mut unlocked = Instant::now();
        let mut told = Instant::now();
        loop {
            let again = match (busy, locked.is_empty()) {
                (true, _) => Some(AGAIN),
                (false, false) => Some(unlocked.saturating_duration_since(Instant::now())),
                (false, true) => None,
            };
            watcher.wait(again);
            std::thread::sleep(DEBOUNCE.saturating_sub(told.elapsed()));
            watcher.gather();
            let (untold, unalerted, moved) = {
                let mut table = watcher.table.lock();
                let mut untold = std::mem::take(&mut table.untold);
                if Instant::now() >= unlocked {
                    untold.extend(locked.drain());
                }
                untold.retain(|id, _| !locked.contains_key(id));
                let unalerted = std::mem::take(&mut table.unalerted);
                (untold, unalerted, std::mem::take(&mut table.moved))
            };
            busy = false;
            for (id, queue) in untold {
                let mailbox = queue.upgrade().and_then(|there| there.mailbox());
                match mailbox.map(|mailbox| mailbox.notice()) {
                    None | Some(Noticed::Done) => {}
                    Some(Noticed::Busy) => {
                        watcher.table.lock().untold.insert(id, queue);
                        busy = true;
                    }
                    Some(Noticed::Locked) => {
                        unlocked = Instant::now() + UNLOCKED;
                        locked.insert(id, queue);
                    }
                }
            }
            for sentry in moved.values().filter_map(Weak::upgrade) {
                sentry.follow();
            }
            // After the mailboxes that are open: who is alerted asks them.
            for sentry in unalerted.values().filter_map(Weak::upgrade) {
                sentry.alert();
            }
            told = Instant::now();
        }
    }
}
