//! Watching on systems without inotify, by what `notify` has for them: it tells that
//! a directory changed, and both directories of its mailbox are read again.

use super::Queue;
use crate::mailbox::Noticed;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};

/// The mailboxes that are watched, by their directories.
#[derive(Debug, Default)]
struct Table {
    queues: HashMap<PathBuf, Weak<Queue>>,
    halves: HashMap<u64, [PathBuf; 2]>,
}

static TABLE: OnceLock<Mutex<Table>> = OnceLock::new();
static WATCHER: OnceLock<Option<Mutex<RecommendedWatcher>>> = OnceLock::new();

fn table() -> &'static Mutex<Table> {
    TABLE.get_or_init(Mutex::default)
}

fn watcher() -> Option<&'static Mutex<RecommendedWatcher>> {
    let watcher = WATCHER.get_or_init(|| match notify::recommended_watcher(notice) {
        Ok(watcher) => Some(Mutex::new(watcher)),
        Err(error) => {
            tracing::warn!(%error, "mailboxes are looked at each second");
            None
        }
    });
    watcher.as_ref()
}

/// Watches until [`remove`]; tells whether it does.
pub(super) fn add(queue: &Arc<Queue>, halves: &[PathBuf; 2]) -> bool {
    let Some(watcher) = watcher() else {
        return false;
    };
    {
        let mut table = table().lock();
        table.halves.insert(queue.id, halves.clone());
        for half in halves {
            table.queues.insert(half.clone(), Arc::downgrade(queue));
        }
    }
    let watched = halves
        .iter()
        .try_for_each(|half| watcher.lock().watch(half, RecursiveMode::NonRecursive));
    if let Err(error) = watched {
        tracing::warn!(%error, "a mailbox is looked at each second");
        remove(queue.id);
        return false;
    }
    true
}

/// Ends the watching of a mailbox.
pub(super) fn remove(id: u64) {
    let Some(halves) = table().lock().halves.remove(&id) else {
        return;
    };
    for half in halves {
        table().lock().queues.remove(&half);
        if let Some(watcher) = watcher() {
            // It may be gone, and the watch with it.
            let _ = watcher.lock().unwatch(&half);
        }
    }
}

/// Has the mailboxes read that an event is of; all of them where events were lost.
fn notice(event: notify::Result<Event>) {
    let queues: Vec<Arc<Queue>> = {
        let table = table().lock();
        let found: Vec<&Weak<Queue>> = match &event {
            Ok(event) if matches!(event.kind, EventKind::Access(_)) => return,
            Ok(event) => event
                .paths
                .iter()
                .filter_map(|path| queue_of(&table, path))
                .collect(),
            Err(_) => table.queues.values().collect(),
        };
        found.into_iter().filter_map(Weak::upgrade).collect()
    };
    for queue in queues {
        let noticed = queue.mailbox().map(|mailbox| mailbox.notice());
        if matches!(noticed, Some(Noticed::Busy | Noticed::Locked)) {
            // Nothing tells of it again.
            super::poll(&queue);
        }
    }
}

/// The queue of a directory, or of the one that a file is in.
fn queue_of<'a>(table: &'a Table, path: &Path) -> Option<&'a Weak<Queue>> {
    table
        .queues
        .get(path)
        .or_else(|| table.queues.get(path.parent()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Account, Layout};
    use std::time::{Duration, Instant};

    #[test]
    fn a_delivery_is_seen_until_the_watch_ends() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("Maildir");
        let layout = Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let account = Account::open(&root, layout).unwrap();
        let mailbox = account
            .mailbox(&account.parse_name("INBOX").unwrap())
            .unwrap();
        let queue = Arc::new(Queue::new(u64::MAX));
        queue.belongs_to(&mailbox);
        let halves = [root.join("new"), root.join("cur")];
        assert!(add(&queue, &halves));
        let deliver = |name: &str| {
            std::fs::write(root.join("tmp").join(name), "Subject: x\n\ny\n").unwrap();
            std::fs::rename(root.join("tmp").join(name), root.join("new").join(name)).unwrap();
        };
        deliver("1.M1P1.h");
        let began = Instant::now();
        while mailbox.snapshot().is_empty() {
            assert!(began.elapsed() < Duration::from_secs(20), "not noticed");
            std::thread::sleep(Duration::from_millis(5));
        }
        remove(queue.id);
        deliver("2.M1P1.h");
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(mailbox.snapshot().len(), 1);
        assert_eq!(mailbox.sync().unwrap().len(), 2);
    }
}
