//! One mailbox: append, flags, copy, move, expunge. Each commits, then publishes.

mod ahead;
mod binary;
mod change;
mod follow;
#[cfg(test)]
mod follow_tests;
mod group;
mod identity;
mod incoming;
#[cfg(test)]
mod index_tests;
mod inspection;
mod journal;
mod letters;
mod look;
mod modseq;
mod names;
mod open;
mod orders;
mod renames;
#[cfg(test)]
mod renames_tests;
mod replace;
mod scan;
mod sorting;
mod state;
mod surrogates;
#[cfg(test)]
mod tests;
mod texts;
#[cfg(test)]
mod texts_tests;
mod transfer;
#[cfg(test)]
mod transfer_tests;
mod unsought;

pub use incoming::Incoming;
pub use inspection::Inspected;
pub(crate) use look::Noticed;
pub use orders::Ranked;
pub(crate) use scan::measured_octets;
pub use surrogates::AsciiSize;
pub use texts::{TextCompletion, TextStep};
pub use transfer::Copied;

use crate::disk;
use crate::maildir::dotlock::{self, Dotlock};
use crate::maildir::filename;
use crate::maildir::uidlist::default_unique_id;
use crate::maildir::watch::sentry::Sentry;
use crate::message::Summary;
use crate::snapshot::RowChange;
use crate::summaries::{Owner, Summaries, is_long};
use crate::unique_id::{Subject, UniqueIdFormat, is_unique_id};
use crate::{Error, Flags, Keyword, MessageRow, ModSeq, Result, Snapshot, Uid};
use change::Doomed;
use parking_lot::{Mutex, MutexGuard};
use state::{State, failed};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

/// Of so many messages that come at once summaries are made at once.
const SUMMARISED: u32 = 64;
/// How often what deliveries left in `tmp` is looked for, while it is kept open.
const CLEAN_AFTER: Duration = Duration::from_secs(3600);
/// How often a file that keeps changing its name is looked for.
const ATTEMPTS: usize = 10;

/// One mailbox, shared by all sessions that have it open.
#[derive(Debug)]
pub struct Mailbox {
    id: u64,
    guid: [u8; 16],
    gone: AtomicBool,
    /// Whether it has its index.
    indexed: AtomicBool,
    /// Somebody is about to claim what is recent.
    claiming: AtomicBool,
    /// A change that was noticed could not be read.
    behind: AtomicBool,
    /// Another program's lock of the UID list for which somebody waited in vain.
    given_up: Mutex<Option<disk::Stamp>>,
    /// Whether claimed messages lie in `new/` and can be moved.
    unmoved: AtomicBool,
    state: Mutex<State>,
    /// What is shown without waiting for the disk.
    published: Mutex<Snapshot>,
    wakers: Mutex<Wakers>,
    /// Who tells those who watch it among others.
    sentry: Mutex<Weak<Sentry>>,
    summaries: Mutex<Summaries>,
    appends: group::Waiting,
    texts: texts::Texts,
    surrogates: Mutex<surrogates::Surrogates>,
    orders: Mutex<orders::Orders>,
}

#[derive(Debug, Default)]
struct Wakers {
    next: u64,
    wakers: HashMap<u64, Waker>,
    /// Whether the watch stands. Changed only by who has the state locked, which is
    /// locked before these.
    is_watched: bool,
}

/// What a flag change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagAction {
    Add,
    Remove,
    Replace,
}

/// A message whose flags are as they were to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    pub uid: Uid,
    /// The mod-sequence of the state that the change was made to.
    pub before: ModSeq,
    /// Its mod-sequence since then.
    pub modseq: ModSeq,
}

/// What a flag change did.
#[derive(Debug, Default)]
pub struct FlagOutcome {
    /// What was changed, or was so already.
    pub stored: Vec<Stored>,
    /// UIDs left alone because their mod-sequence exceeds UNCHANGEDSINCE.
    pub modified: Vec<Uid>,
    /// UIDs that are gone.
    pub expunged: Vec<Uid>,
}

/// Expunged UIDs since a mod-sequence (RFC 7162 section 3.2.5).
#[derive(Debug)]
pub enum Vanished {
    /// Exactly these.
    Exactly(Vec<Uid>),
    /// History does not reach back so far: any UID not present now.
    Unknown,
}

/// An opened message. Clones are cheap and share the descriptor.
#[derive(Debug, Clone)]
pub struct OpenedMessage {
    pub(crate) file: Arc<disk::File>,
    /// Octets on disk.
    pub(crate) file_octets: u64,
}

impl Mailbox {
    /// A number that is this mailbox's alone in this process.
    pub fn id(&self) -> u64 {
        self.id
    }
    /// The mailbox GUID of the uidlist.
    pub fn guid(&self) -> [u8; 16] {
        self.guid
    }
    /// What identifies a message's content, here and wherever it was or will be copied or
    /// moved (RFC 8474, EMAILID). It is kept in the copy's unique name; the original's is
    /// made of the name itself.
    ///
    /// # Errors
    /// [`Error::Expunged`] if that cannot be told any more.
    pub fn email_id(&self, row: &MessageRow<'_>) -> Result<String> {
        if !row.has_other_fields() {
            return Ok(format!("M{}", filename::identifier(row.unique_name)));
        }
        let state = self.state.lock();
        let row = state.find(row.uid).ok_or(Error::Expunged)?;
        let guid = state.uidlist.guid_of(&row);
        Ok(format!("M{}", filename::identifier(guid)))
    }
    /// Keeps in the index what changed, shows the state as it is now and releases it; tells
    /// whether anything that sessions see changed. Where another mailbox was found this one
    /// is gone, and nothing that came of the change is kept or told.
    fn publish(&self, mut state: MutexGuard<'_, State>) -> bool {
        if !state.uidlist.is_anothers {
            state.commit();
        }
        self.indexed.store(state.index.is_some(), Ordering::Release);
        if state.uidlist.is_anothers {
            let path = state.directory.display();
            tracing::warn!(directory = %path, "another program put another mailbox in its place");
            return !self.gone.swap(true, Ordering::AcqRel);
        }
        let mut published = self.published.lock();
        let came = published.uid_next != state.snapshot.uid_next;
        let changed = came || published.highest_modseq != state.snapshot.highest_modseq;
        *published = state.snapshot.clone();
        if came {
            self.complete_texts();
        }
        changed
    }
    /// Runs a change, shows what came of it even if it failed midway, and wakes.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut state = self.lock()?;
        let patience = self.patience(&state);
        let result = match state.look_for_another() {
            Ok(()) => state.with_patience(patience, change),
            Err(error) => Err(error),
        };
        self.note_patience(&state, &result);
        if self.publish(state) {
            self.wake();
        }
        result
    }
    /// How long a change waits for another program's lock of the UID list: not at all where
    /// somebody waited in vain, as long as it is there. Whoever changes the mailbox waits for
    /// who changes it now, and their waits would add up.
    fn patience(&self, state: &State) -> Duration {
        let mut given_up = self.given_up.lock();
        if given_up.is_some() && *given_up != Dotlock::stamp(&state.directory, dotlock::UIDLIST) {
            *given_up = None;
        }
        match *given_up {
            Some(_) => Duration::ZERO,
            None => dotlock::PATIENCE,
        }
    }
    fn note_patience<T>(&self, state: &State, result: &Result<T>) {
        if matches!(result, Err(Error::Locked(_))) {
            *self.given_up.lock() = Dotlock::stamp(&state.directory, dotlock::UIDLIST);
        }
    }
    /// Wakes all subscribers; no lock is held while they run.
    fn wake(&self) {
        let wakers: Vec<Waker> = self.wakers.lock().wakers.values().cloned().collect();
        for waker in wakers {
            waker.wake();
        }
        let sentry = self.sentry.lock().upgrade();
        if let Some(sentry) = sentry {
            sentry.alert();
        }
    }
    /// Has a sentry know of each change from now on.
    pub(crate) fn alert(&self, sentry: &Arc<Sentry>) {
        *self.sentry.lock() = Arc::downgrade(sentry);
    }
    /// The state as known now, without looking at the disk.
    pub fn snapshot(&self) -> Snapshot {
        self.published.lock().clone()
    }
    /// Whether [`Mailbox::snapshot`] lacks a change that was noticed: who is woken is to
    /// look for itself.
    pub fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Acquire)
    }
    /// Whether it has its index. Without one, as another process has it or it cannot be
    /// written, the next opening may have one again.
    pub(crate) fn has_index(&self) -> bool {
        self.indexed.load(Ordering::Acquire)
    }
    /// Whether it was deleted (or renamed away, for INBOX never).
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }
    /// Whether something is shown as recent that nobody is about to claim.
    pub fn is_claimable(&self) -> bool {
        !self.claiming.load(Ordering::Acquire) && self.snapshot().recent_uids().next().is_some()
    }
    /// Claims all that is recent for a session; gives its UIDs, ascending. It is moved
    /// from `new/` to `cur/`, what is many by [`Mailbox::move_claimed`]. While another
    /// claims, what is shown as recent is that one's: nobody waits for it.
    pub fn claim_recent(&self) -> Result<Vec<Uid>> {
        if self.is_gone() {
            return Err(Error::NonExistent);
        }
        if !self.is_claimable() || self.claiming.swap(true, Ordering::AcqRel) {
            return Ok(Vec::new());
        }
        self.change(|state| {
            // What comes from here on is shown after this claim, to be claimed by another.
            self.claiming.store(false, Ordering::Release);
            let recent = state.claim_recent();
            let unmoved = state.snapshot.unmoved_uids().next().is_some();
            self.unmoved.store(unmoved, Ordering::Release);
            Ok(recent)
        })
    }
    /// Whether claimed messages are still to be moved to `cur/`.
    pub fn has_unmoved(&self) -> bool {
        self.unmoved.load(Ordering::Acquire)
    }
    /// Moves some of them: what takes some milliseconds.
    pub fn move_claimed(&self) -> Result<()> {
        self.change(|state| {
            let more = state.move_claimed();
            self.unmoved.store(more, Ordering::Release);
            Ok(())
        })
    }
    /// Wakes this waker at each change, whoever made it, until the guard drops.
    /// While there is a subscription the directories are watched, and after the last until
    /// the mailbox is settled or closed: clients come back at once, and to end a watch and
    /// to begin one takes longer than all else that selecting an open mailbox does.
    pub fn subscribe(self: &Arc<Self>, waker: Waker) -> Subscription {
        let mut wakers = self.wakers.lock();
        wakers.next += 1;
        let number = wakers.next;
        wakers.wakers.insert(number, waker);
        let is_watched = wakers.is_watched;
        drop(wakers);
        if !is_watched {
            let mut state = self.state.lock();
            if !self.wakers.lock().is_watched {
                state.watch();
                self.wakers.lock().is_watched = true;
            }
        }
        Subscription {
            mailbox: Arc::downgrade(self),
            number,
        }
    }
    /// Starts a message in `tmp/`.
    pub fn begin_append(&self) -> Result<Incoming> {
        // While it is locked nobody gives the directory another name.
        let mut state = self.lock()?;
        match Incoming::begin(&state.directory) {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                state.make_missing()?;
                Incoming::begin(&state.directory)
            }
            begun => begun,
        }
    }
    /// Changes flags and keywords of these UIDs, those whose mod-sequence is at
    /// most `unchanged_since` if given.
    pub fn store_flags(
        &self,
        uids: &[Uid],
        action: FlagAction,
        flags: Flags,
        keywords: &[Keyword],
        unchanged_since: Option<ModSeq>,
    ) -> Result<FlagOutcome> {
        self.change(|state| state.store_flags(uids, action, flags, keywords, unchanged_since))
    }
    /// Removes these messages, durably; gives those that were there. One that is
    /// gone already is no error.
    pub fn expunge(&self, uids: &[Uid]) -> Result<Vec<Uid>> {
        self.change(|state| state.expunge(uids, Doomed::All))
    }
    /// Removes those of these messages that are `\Deleted` when their turn comes
    /// (RFC 3501 section 6.4.3), as [`Mailbox::expunge`].
    pub fn expunge_deleted(&self, uids: &[Uid]) -> Result<Vec<Uid>> {
        self.change(|state| state.expunge(uids, Doomed::Deleted))
    }
    /// Locks this mailbox and another (none if it is this one), in the order of their
    /// numbers. Both are there then.
    fn lock_with<'a>(
        &'a self,
        destination: &'a Mailbox,
    ) -> Result<(MutexGuard<'a, State>, Option<MutexGuard<'a, State>>)> {
        Ok(if self.id == destination.id {
            (self.lock()?, None)
        } else if self.id < destination.id {
            let source = self.lock()?;
            (source, Some(destination.lock()?))
        } else {
            let target = destination.lock()?;
            (self.lock()?, Some(target))
        })
    }
    /// Runs a change of this mailbox and another (none if it is this one), shows what came
    /// of it in both even if it failed midway, and wakes.
    fn change_with<T>(
        &self,
        destination: &Self,
        change: impl FnOnce(&mut State, Option<&mut State>) -> Result<T>,
    ) -> Result<T> {
        let (mut source, mut target) = self.lock_with(destination)?;
        let patience = match &target {
            Some(target) => destination.patience(target),
            None => self.patience(&source),
        };
        let present = source.look_for_another();
        let others = target.as_deref_mut();
        let present = present.and_then(|()| others.map_or(Ok(()), State::look_for_another));
        let result = present.and_then(|()| match target.as_deref_mut() {
            Some(target) => {
                target.with_patience(patience, |target| change(&mut source, Some(target)))
            }
            None => source.with_patience(patience, |source| change(source, None)),
        });
        match &target {
            Some(target) => destination.note_patience(target, &result),
            None => self.note_patience(&source, &result),
        }
        let target_changed = target.is_some_and(|target| destination.publish(target));
        let source_changed = self.publish(source);
        if target_changed {
            destination.wake();
        }
        if source_changed {
            self.wake();
        }
        result
    }
    /// What was expunged after this mod-sequence.
    pub fn vanished_since(&self, modseq: ModSeq) -> Vanished {
        match self.state.lock().history.since(modseq) {
            Some(uids) => Vanished::Exactly(uids),
            None => Vanished::Unknown,
        }
    }
    /// Opens a message's file, following renames others make.
    pub fn open_message(&self, uid: Uid) -> Result<OpenedMessage> {
        for attempt in 0..ATTEMPTS {
            let path = {
                let state = self.state.lock();
                state.path(&state.find(uid).ok_or(Error::Expunged)?)
            };
            match disk::open_regular(&path) {
                Ok((file, metadata)) => {
                    return Ok(OpenedMessage {
                        file: Arc::new(file),
                        file_octets: metadata.stamp.size_octets,
                    });
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    if self.is_gone() {
                        return Err(Error::Expunged);
                    }
                    self.state.lock().must_scan |= attempt > 0;
                    self.sync()?;
                }
                Err(error) => return Err(failed("open", &path, error)),
            }
        }
        Err(Error::Expunged)
    }
    /// A message's envelope, structure and offsets; from the file of summaries, where
    /// they are kept when the message came or was first asked for.
    pub fn summary(&self, uid: Uid) -> Result<Arc<Summary>> {
        if let Some(summary) = self.summaries().get(uid) {
            return Ok(summary);
        }
        let summary = Arc::new(Summary::read(&self.open_message(uid)?)?);
        self.summaries().put(uid, &summary);
        Ok(summary)
    }
    /// The header fields of a message that its summary lists; `None` where there are too
    /// many.
    pub fn listed_header(&self, uid: Uid) -> Result<Option<Vec<u8>>> {
        if let Some(listed) = self.summaries().listed_header(uid) {
            return Ok(listed);
        }
        Ok(self.summary(uid)?.listed_header.clone())
    }
    /// The first words of a message (RFC 8970); empty where there are none.
    pub fn preview(&self, uid: Uid) -> Result<String> {
        if let Some(preview) = self.kept_preview(uid) {
            return Ok(preview);
        }
        Ok(self.summary(uid)?.preview.clone())
    }
    /// The same if the message need not be read for it.
    pub fn kept_preview(&self, uid: Uid) -> Option<String> {
        self.summaries().preview(uid)
    }
    /// What `make` makes of a message's summary, which is the same for all time: made
    /// once, and kept beside the summary.
    pub fn listing(&self, uid: Uid, make: impl FnOnce(&Summary) -> Vec<u8>) -> Result<Vec<u8>> {
        if let Some(listing) = self.summaries().listing(uid) {
            return Ok(listing);
        }
        let listing = make(&*self.summary(uid)?);
        self.summaries().put_listing(uid, &listing);
        Ok(listing)
    }
    /// Whose caches the mailbox's are, if it has any: who has the index has them.
    fn cache_owner(&self) -> (Option<Owner>, PathBuf, Snapshot) {
        let state = self.state.lock();
        let owner = state.index.is_some().then_some(Owner {
            uid_validity: state.snapshot.uid_validity(),
            guid: self.guid,
        });
        (owner, state.directory.clone(), state.snapshot.clone())
    }
    fn summaries(&self) -> MutexGuard<'_, Summaries> {
        if self.summaries.lock().is_unopened() {
            let (owner, directory, snapshot) = self.cache_owner();
            let mut summaries = self.summaries.lock();
            match owner {
                _ if !summaries.is_unopened() => {}
                Some(owner) => summaries.open(&directory, owner, &snapshot),
                None => summaries.do_without(),
            }
            return summaries;
        }
        self.summaries.lock()
    }
    /// Summarises messages that came, if they are few: many are left until somebody
    /// asks.
    fn summarise_new(&self, before: Uid, after: Uid) {
        let count = after.get().saturating_sub(before.get());
        if count > SUMMARISED || count == 0 {
            return;
        }
        if self.summaries.lock().is_unopened() {
            let directory = self.state.lock().directory.clone();
            if is_long(&directory) {
                return;
            }
        }
        for uid in (before.get()..after.get()).filter_map(Uid::new) {
            if let Err(error) = self.summary(uid) {
                tracing::debug!(%uid, %error, "not summarised");
            }
        }
    }
    /// Writes out and gives back what is only kept in memory while a session works.
    pub fn rest(&self) {
        self.summaries.lock().rest();
    }
    /// Leaves it on the disk as if it were closed: the index says all there is to say, and
    /// the next change says that there are changes again. What is tidied up when it is
    /// opened is tidied up, too. A crash at any point leaves what one in [`State::close`]
    /// leaves, or the UID list as it was.
    pub(crate) fn settle(&self) {
        self.rest();
        let mut state = self.state.lock();
        if self.is_gone() {
            return;
        }
        // Who settles mailboxes has others to settle.
        state.with_patience(Duration::ZERO, State::compact_list);
        self.end_unheard_watch(&mut state);
        state.close();
        self.indexed.store(state.index.is_some(), Ordering::Release);
        let cleaned = state.cleaned;
        if cleaned.is_none_or(|cleaned| cleaned.elapsed() > CLEAN_AFTER) {
            state.cleaned = Some(Instant::now());
            let temporaries = state.directory.join("tmp");
            // Nobody waits for that.
            drop(state);
            open::remove_old_temporaries(&temporaries);
        }
    }
    /// Ends the watch if nobody is told what it sees.
    fn end_unheard_watch(&self, state: &mut State) {
        let mut wakers = self.wakers.lock();
        if wakers.wakers.is_empty() && std::mem::take(&mut wakers.is_watched) {
            drop(wakers);
            state.end_watch();
        }
    }
    /// POP3 unique-ids and order: for each message of the snapshot, in the order
    /// POP3 numbers them, its UID and unique-id. What is shown is stored.
    pub fn unique_id_listing(&self, snapshot: &Snapshot) -> Result<Vec<(Uid, Arc<str>)>> {
        self.unique_id_listing_as(snapshot, &UniqueIdFormat::default())
    }
    /// As [`Mailbox::unique_id_listing`]; messages that have no unique-id stored get one
    /// of this format.
    pub fn unique_id_listing_as(
        &self,
        snapshot: &Snapshot,
        format: &UniqueIdFormat,
    ) -> Result<Vec<(Uid, Arc<str>)>> {
        let mut state = self.state.lock();
        let uid_validity = snapshot.uid_validity;
        let mut numbered = Vec::new();
        let mut rest = Vec::with_capacity(snapshot.len());
        let mut stored = false;
        for row in snapshot.rows() {
            let State {
                uidlist, snapshot, ..
            } = &mut *state;
            let here = snapshot.of_uid(row.uid);
            let record = here.map(|row| uidlist.record_of(&row));
            let shown = record.as_ref().and_then(|record| record.field('P'));
            let made = || {
                let own = default_unique_id(row.uid.get(), uid_validity);
                let subject = Subject {
                    uid: row.uid.get(),
                    uid_validity,
                    unique_name: row.unique_name,
                    guid: here
                        .as_ref()
                        .map_or(row.unique_name, |row| uidlist.guid_of(row)),
                };
                format.of(&subject).unwrap_or(own)
            };
            let unique_id = match shown {
                Some("") if is_unique_id(row.unique_name) => Arc::from(row.unique_name),
                Some(text) if is_unique_id(text) => Arc::from(text),
                Some(_) => Arc::from(default_unique_id(row.uid.get(), uid_validity)),
                None => Arc::from(made()),
            };
            let order = record.as_ref().and_then(|record| record.field('O'));
            let number = order.and_then(|text| text.parse::<u64>().ok());
            if let (Some(here), None) = (here, shown) {
                let change = RowChange {
                    listed: Some(uidlist.list_unique_id(&here, &unique_id)),
                    ..RowChange::default()
                };
                snapshot.rows.change(row.uid, &change);
                stored = true;
            }
            match number {
                Some(number) => numbered.push((number, row.uid, unique_id)),
                None => rest.push((row.uid, unique_id)),
            }
        }
        if stored && !self.is_gone() {
            let patience = self.patience(&state);
            let written = state.with_patience(patience, State::rewrite_list);
            self.note_patience(&state, &written);
            if self.publish(state) {
                self.wake();
            }
            written?;
        }
        numbered.sort_unstable_by_key(|(number, uid, _)| (*number, *uid));
        let mut listing: Vec<(Uid, Arc<str>)> = numbered
            .into_iter()
            .map(|(_, uid, unique_id)| (uid, unique_id))
            .collect();
        listing.append(&mut rest);
        Ok(listing)
    }
}

/// Ends its subscription when dropped.
#[derive(Debug)]
pub struct Subscription {
    mailbox: Weak<Mailbox>,
    number: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let Some(mailbox) = self.mailbox.upgrade() else {
            return;
        };
        mailbox.wakers.lock().wakers.remove(&self.number);
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        let gone = self.is_gone();
        // While the index keeps a successor from writing the same files.
        self.summaries.get_mut().rest();
        let state = self.state.get_mut();
        state.end_watch();
        if !gone {
            state.close();
        }
    }
}
