//! Watching mailboxes for changes by other programs: one inotify instance and one
//! thread for the process; where there is no inotify, a look each second.

use crate::Mailbox;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

/// A name that came to or went from a directory.
#[derive(Debug)]
pub(crate) struct Event {
    /// `new` rather than `cur`.
    pub(crate) in_new: bool,
    /// Whether it came.
    pub(crate) appeared: bool,
    /// The file's name.
    pub(crate) name: String,
}

/// Mailboxes that are looked at each second.
#[derive(Debug, Default)]
struct Polled {
    mailboxes: HashMap<u64, Weak<Mailbox>>,
    running: bool,
}

static POLLED: OnceLock<Mutex<Polled>> = OnceLock::new();

fn poll(mailbox: &Arc<Mailbox>) {
    let polled = POLLED.get_or_init(Mutex::default);
    let mut polled = polled.lock();
    polled
        .mailboxes
        .insert(mailbox.id(), Arc::downgrade(mailbox));
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
            .mailboxes
            .values()
            .filter_map(Weak::upgrade)
            .collect();
        for mailbox in mailboxes {
            if let Err(error) = mailbox.sync() {
                tracing::warn!(%error, "a watched mailbox cannot be read");
            }
        }
    }
}

fn stop_polling(id: u64) {
    if let Some(polled) = POLLED.get() {
        polled.lock().mailboxes.remove(&id);
    }
}

/// Watches a mailbox until [`remove`] or [`forget`].
pub(crate) fn add(mailbox: &Arc<Mailbox>) {
    if !kernel::add(mailbox) {
        poll(mailbox);
    }
}

/// Ends the watching of a mailbox.
pub(crate) fn remove(mailbox: &Arc<Mailbox>) {
    forget(mailbox.id());
}

/// Ends the watching of a mailbox by its number.
pub(crate) fn forget(id: u64) {
    kernel::forget(id);
    stop_polling(id);
}

#[cfg(target_os = "linux")]
mod kernel {
    use super::{Event, Mailbox, Mutex};
    use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask, Watches};
    use std::collections::HashMap;
    use std::sync::{Arc, OnceLock, Weak};
    use std::time::Duration;

    /// How long events are gathered before the mailbox hears of them.
    const DEBOUNCE: Duration = Duration::from_millis(3);

    struct Watcher {
        watches: Watches,
        table: Mutex<Table>,
    }

    #[derive(Default)]
    struct Table {
        by_descriptor: HashMap<WatchDescriptor, (u64, Weak<Mailbox>, bool)>,
        by_mailbox: HashMap<u64, Vec<WatchDescriptor>>,
    }

    static WATCHER: OnceLock<Option<Watcher>> = OnceLock::new();

    fn watcher() -> Option<&'static Watcher> {
        WATCHER
            .get_or_init(|| {
                let inotify = Inotify::init()
                    .inspect_err(|error| tracing::warn!(%error, "no inotify; mailboxes are polled"))
                    .ok()?;
                let watches = inotify.watches();
                std::thread::Builder::new()
                    .name("mailbox watch".to_owned())
                    .spawn(move || watch_forever(inotify))
                    .ok()?;
                Some(Watcher {
                    watches,
                    table: Mutex::default(),
                })
            })
            .as_ref()
    }

    /// Tells whether the kernel watches it now.
    pub(super) fn add(mailbox: &Arc<Mailbox>) -> bool {
        let Some(watcher) = watcher() else {
            return false;
        };
        let mask = WatchMask::CREATE
            | WatchMask::MOVED_TO
            | WatchMask::MOVED_FROM
            | WatchMask::DELETE
            | WatchMask::ONLYDIR;
        let halves = mailbox.halves();
        let id = mailbox.id();
        let mut table = watcher.table.lock();
        for (half, path) in halves.into_iter().enumerate() {
            match watcher.watches.clone().add(&path, mask) {
                Ok(descriptor) => {
                    let entry = (id, Arc::downgrade(mailbox), half == 0);
                    table.by_descriptor.insert(descriptor.clone(), entry);
                    table.by_mailbox.entry(id).or_default().push(descriptor);
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "cannot be watched; polled");
                    return false;
                }
            }
        }
        true
    }

    pub(super) fn forget(id: u64) {
        let Some(Some(watcher)) = WATCHER.get() else {
            return;
        };
        let mut table = watcher.table.lock();
        for descriptor in table.by_mailbox.remove(&id).unwrap_or_default() {
            // The same directory may be another mailbox object's by now.
            let own = table
                .by_descriptor
                .get(&descriptor)
                .is_some_and(|(owner, ..)| *owner == id);
            if own {
                table.by_descriptor.remove(&descriptor);
                let _ = watcher.watches.clone().remove(descriptor);
            }
        }
    }

    fn watch_forever(mut inotify: Inotify) {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let mut events = Vec::new();
            let mut overflow = false;
            match inotify.read_events_blocking(&mut buffer) {
                Ok(read) => gather(read, &mut events, &mut overflow),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!(%error, "watching mailboxes failed");
                    std::thread::sleep(Duration::from_secs(1));
                    overflow = true;
                }
            }
            std::thread::sleep(DEBOUNCE);
            while events.len() < 100_000 {
                match inotify.read_events(&mut buffer) {
                    Ok(read) => gather(read, &mut events, &mut overflow),
                    Err(_) => break,
                }
            }
            tell(events, overflow);
        }
    }

    fn gather(
        read: inotify::Events<'_>,
        events: &mut Vec<(WatchDescriptor, bool, String)>,
        overflow: &mut bool,
    ) {
        for event in read {
            if event.mask.contains(EventMask::Q_OVERFLOW) {
                *overflow = true;
                continue;
            }
            let appeared = event
                .mask
                .intersects(EventMask::CREATE | EventMask::MOVED_TO);
            if let Some(name) = event.name.and_then(|name| name.to_str()) {
                events.push((event.wd, appeared, name.to_owned()));
            }
        }
    }

    fn tell(events: Vec<(WatchDescriptor, bool, String)>, overflow: bool) {
        let Some(Some(watcher)) = WATCHER.get() else {
            return;
        };
        let mut told: HashMap<u64, (Arc<Mailbox>, Vec<Event>)> = HashMap::new();
        {
            let table = watcher.table.lock();
            if overflow {
                for (id, mailbox, _) in table.by_descriptor.values() {
                    if let Some(mailbox) = mailbox.upgrade() {
                        told.insert(*id, (mailbox, Vec::new()));
                    }
                }
            }
            for (descriptor, appeared, name) in events {
                let Some((id, mailbox, in_new)) = table.by_descriptor.get(&descriptor) else {
                    continue;
                };
                let Some(mailbox) = mailbox.upgrade() else {
                    continue;
                };
                let entry = told.entry(*id).or_insert_with(|| (mailbox, Vec::new()));
                entry.1.push(Event {
                    in_new: *in_new,
                    appeared,
                    name,
                });
            }
        }
        for (mailbox, events) in told.into_values() {
            mailbox.notice(&events, overflow);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    pub(super) fn add(_mailbox: &std::sync::Arc<super::Mailbox>) -> bool {
        false
    }
    pub(super) fn forget(_id: u64) {}
}
