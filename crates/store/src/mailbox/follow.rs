//! How a watched mailbox follows what others do, name by name.
//!
//! An event says only where to look: what counts is what is on the disk when we do.
//! So events may come late, twice, or of our own changes, and an event of what is
//! known already costs one look into a table. Where names cannot tell (events were
//! lost, or a file went and nobody saw where to) the directories are read.

use super::state::{NAMES, Seen, State, failed};
use crate::disk::{self, Stamp};
use crate::maildir::filename;
use crate::maildir::watch::{self, Event, Kind};
use crate::snapshot::MessageRow;
use crate::{Result, Uid};
use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// How long to wait for an event that should follow another.
const PAUSES: [Duration; 2] = [Duration::ZERO, Duration::from_millis(2)];

/// Whether events tell all that others do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coverage {
    /// Nobody watches.
    None,
    /// Events come, but something may have happened before the first.
    Begun,
    /// All that happened since the directories were read is known or in the queue.
    Full,
}

/// Names that are not settled yet.
#[derive(Default)]
struct Unsettled {
    /// Files nobody knows.
    fresh: HashMap<Box<str>, (bool, Box<str>)>,
    /// Messages whose files went from where they were known to be, and how.
    lost: HashMap<Uid, Kind>,
    /// Whether a known message changed.
    changed: bool,
}

impl State {
    /// Watches from now on, if that is possible.
    pub(super) fn watch(&mut self) {
        self.queue.take();
        let halves = [self.half(true), self.half(false)];
        self.coverage = if watch::add(&self.queue, &halves) {
            Coverage::Begun
        } else {
            Coverage::None
        };
    }
    /// Ends the watching; what it knew for certain needs no reading later.
    pub(super) fn end_watch(&mut self) {
        if self.coverage == Coverage::None {
            // It may be looked at each second.
            watch::remove(&self.queue);
            return;
        }
        let stamps = self.stamps();
        let taken = SystemTime::now();
        watch::gather();
        watch::remove(&self.queue);
        let gathered = self.queue.take();
        if std::mem::replace(&mut self.coverage, Coverage::None) != Coverage::Full {
            return;
        }
        let news = gathered.overflow || gathered.events.iter().any(|event| self.is_news(event));
        let Some(stamps) = stamps.ok().filter(|_| !news) else {
            self.must_scan = true;
            return;
        };
        if !self.own_changes {
            self.scanned = Some(Instant::now());
        }
        for (seen, stamp) in self.seen.iter_mut().zip(stamps) {
            // Should something hide behind a fresh stamp, a later reading finds it.
            self.own_changes |= stamp.is_too_fresh(taken);
            *seen = Seen {
                stamp,
                doubtful: false,
            };
        }
    }
    /// The stamps of `new` and `cur`.
    pub(super) fn stamps(&self) -> Result<[Stamp; 2]> {
        let mut stamps = [Stamp::default(); 2];
        for (stamp, name) in stamps.iter_mut().zip(NAMES) {
            let path = self.directory.join(name);
            *stamp = disk::stamp(&path)
                .and_then(|stamp| stamp.ok_or_else(|| ErrorKind::NotFound.into()))
                .map_err(|error| failed("look at", &path, error))?;
        }
        Ok(stamps)
    }
    /// With full coverage: applies what the events say. `None` if the directories
    /// must be read; else whether anything changed.
    pub(super) fn follow_events(&mut self) -> Result<Option<bool>> {
        let stamps = self.stamps()?;
        let same = |stamp: &Stamp, seen: &Seen| {
            (stamp.device, stamp.inode) == (seen.stamp.device, seen.stamp.inode)
        };
        if !stamps
            .iter()
            .zip(&self.seen)
            .all(|(now, seen)| same(now, seen))
        {
            // Others stand in their place now.
            self.watch();
            return Ok(None);
        }
        let stale = stamps
            .iter()
            .zip(&self.seen)
            .any(|(now, seen)| *now != seen.stamp);
        if !stale && self.queue.is_empty() {
            return Ok(Some(false));
        }
        if stale {
            watch::gather();
        }
        let gathered = self.queue.take();
        if gathered.overflow {
            return Ok(None);
        }
        // As when directories are read: a panic on the way has them read.
        let scanned = self.scanned.take();
        let applied = self.apply(gathered.events);
        self.scanned = scanned;
        match applied {
            Ok(Some(changed)) => {
                for (seen, stamp) in self.seen.iter_mut().zip(stamps) {
                    *seen = Seen {
                        stamp,
                        doubtful: false,
                    };
                }
                Ok(Some(changed))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                // What was not applied is not in the queue any more.
                self.must_scan = true;
                Err(error)
            }
        }
    }
    /// Brings rows in line with the files that events name. `None` for doubt.
    fn apply(&mut self, events: Vec<Event>) -> Result<Option<bool>> {
        let mut unsettled = Unsettled::default();
        for event in events {
            self.look_at(&event, &mut unsettled)?;
        }
        for pause in PAUSES {
            if !self.has_lost(&mut unsettled)? {
                break;
            }
            // Where to is told by the event that follows, which may only come now.
            std::thread::sleep(pause);
            watch::gather();
            let gathered = self.queue.take();
            if gathered.overflow {
                return Ok(None);
            }
            for event in gathered.events {
                self.look_at(&event, &mut unsettled)?;
            }
        }
        self.has_lost(&mut unsettled)?;
        let mut gone = HashSet::new();
        for (uid, kind) in &unsettled.lost {
            let is_double = |row: &MessageRow<'_>| self.doubles.contains(row.unique_name);
            if *kind == Kind::MovedAway || self.find(*uid).as_ref().is_some_and(is_double) {
                return Ok(None);
            }
            gone.insert(*uid);
        }
        let mut changed = unsettled.changed || !gone.is_empty();
        self.forget(&gone);
        if !unsettled.fresh.is_empty() {
            let fresh = unsettled
                .fresh
                .into_iter()
                .map(|(unique, (in_new, suffix))| (Arc::from(unique), in_new, suffix))
                .collect();
            changed |= self.take_in(fresh)?;
        }
        self.settle_header();
        Ok(Some(changed))
    }
    /// Looks at what an event names, unless it is as known.
    fn look_at(&mut self, event: &Event, unsettled: &mut Unsettled) -> Result<()> {
        let Some((unique, suffix)) = filename::of_message(&event.name) else {
            return Ok(());
        };
        let known = self.named(unique);
        let current = known.filter(|row| row.in_new == event.in_new && row.suffix == suffix);
        match (event.kind, current) {
            (Kind::Appeared, Some(_)) | (Kind::MovedAway | Kind::Removed, None) => return Ok(()),
            (kind, Some(row)) => {
                unsettled.lost.insert(row.uid, kind);
                return Ok(());
            }
            (Kind::Appeared, None) => {}
        }
        let path = self.half(event.in_new).join(&*event.name);
        if !disk::is_regular(&path).map_err(|error| failed("look at", &path, error))? {
            return Ok(());
        }
        if let Some(row) = known {
            let (uid, old) = (row.uid, self.path(&row));
            if disk::is_regular(&old).map_err(|error| failed("look at", &old, error))? {
                self.doubles.insert(Box::from(unique));
                return Ok(());
            }
            unsettled.changed |= self.read_letters()?;
            unsettled.changed |= self.follow(uid, event.in_new, suffix);
            return Ok(());
        }
        if let Some((in_new, other)) = unsettled.fresh.get(unique) {
            let other = self.half(*in_new).join(format!("{unique}{other}"));
            if disk::is_regular(&other).map_err(|error| failed("look at", &other, error))? {
                self.doubles.insert(Box::from(unique));
                return Ok(());
            }
        }
        unsettled.changed |= self.read_letters()?;
        let place = (event.in_new, Box::from(suffix));
        unsettled.fresh.insert(Box::from(unique), place);
        Ok(())
    }
    /// Whether there are messages whose files went; others are struck off.
    fn has_lost(&self, unsettled: &mut Unsettled) -> Result<bool> {
        let mut failure = None;
        unsettled.lost.retain(|uid, _| {
            let Some(row) = self.find(*uid) else {
                return false;
            };
            let path = self.path(&row);
            match disk::is_regular(&path) {
                Ok(there) => !there,
                Err(error) => {
                    failure = Some(failed("look at", &path, error));
                    true
                }
            }
        });
        match failure {
            Some(error) => Err(error),
            None => Ok(!unsettled.lost.is_empty()),
        }
    }
    /// Whether another program did what an event says.
    fn is_news(&self, event: &Event) -> bool {
        let Some((unique, suffix)) = filename::of_message(&event.name) else {
            return false;
        };
        let current = self
            .named(unique)
            .is_some_and(|row| row.in_new == event.in_new && row.suffix == suffix);
        let there = disk::is_regular(&self.half(event.in_new).join(&*event.name));
        match event.kind {
            Kind::Appeared => !current && !matches!(there, Ok(false)),
            Kind::MovedAway | Kind::Removed => current && !matches!(there, Ok(true)),
        }
    }
}
