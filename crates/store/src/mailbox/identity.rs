//! Whether a mailbox is still where it was, and who decides that it is not: our own
//! RENAME and DELETE hold it meanwhile, other programs ask nobody.

use super::Mailbox;
use super::state::{State, failed};
use crate::disk::{self, Stamp};
use crate::{Error, Result};
use parking_lot::MutexGuard;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A mailbox in which nothing happens while its directory is renamed. Who holds several
/// takes them in the order of their numbers, as who copies does.
pub(crate) struct Held<'a> {
    mailbox: &'a Mailbox,
    state: MutexGuard<'a, State>,
}

impl Held<'_> {
    /// Follows a rename of its directory.
    pub(crate) fn relocate(&mut self, directory: PathBuf) {
        self.state.directory = directory;
        self.state.must_scan = true;
    }
    /// It is deleted: who waits for it finds it gone. Who has it open is still to be
    /// woken, by [`Mailbox::mark_gone`].
    pub(crate) fn end(self) {
        self.mailbox.gone.store(true, Ordering::Release);
    }
}

/// How long whoever has locked more than the mailbox waits for what is done in it.
const HOLDING_PATIENCE: Duration = Duration::from_millis(50);

impl Mailbox {
    /// Has it stand still: whatever is done there is complete, and the next waits. None if
    /// what is done there takes longer than a moment.
    pub(crate) fn hold(&self) -> Option<Held<'_>> {
        let state = self.state.try_lock_for(HOLDING_PATIENCE)?;
        Some(Held {
            mailbox: self,
            state,
        })
    }
    /// Waits until what is done there is complete. Who waits has nothing locked.
    pub(crate) fn wait(&self) {
        drop(self.state.lock());
    }
    /// Marks it deleted and wakes all.
    pub(crate) fn mark_gone(&self) {
        self.gone.store(true, Ordering::Release);
        self.wake();
    }
    /// Whether its directory was moved or removed by another program.
    pub(crate) fn has_left(&self) -> bool {
        let state = self.state.lock();
        match disk::stamp(&state.directory) {
            Ok(Some(here)) => state.is_elsewhere(&here),
            Ok(None) => true,
            // What cannot be looked at is not absent.
            Err(_) => false,
        }
    }
    /// Has it wait for no other program that has its UID list locked.
    #[cfg(test)]
    pub(crate) fn waits_for_nobody(&self) {
        self.state.lock().lock_patience = Duration::ZERO;
    }
    /// Has the next change write the index anew.
    #[cfg(test)]
    pub(crate) fn rewrites_index_next(&self, does: bool) {
        self.state.lock().uidlist.fields_changed |= does;
    }
    /// The state of a mailbox that is there and in which something is to be done.
    pub(super) fn lock(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state.lock();
        match self.is_gone() {
            true => Err(Error::NonExistent),
            false => Ok(state),
        }
    }
}

impl State {
    /// Whether the directory that is here now is not the mailbox's.
    fn is_elsewhere(&self, here: &Stamp) -> bool {
        let home = self.home.as_ref();
        home.is_some_and(|home| !home.is_same_file(here))
    }
    /// Another program may have put another mailbox in the place of this one (moved or
    /// restored it, migrated it here): then nothing is read or written there in the name
    /// of this one. The UID list tells, by UIDVALIDITY and GUID: a mailbox that was copied
    /// back is the same. Where there is none, because someone removed it, the directory
    /// tells.
    ///
    /// # Errors
    /// [`Error::NonExistent`] if it is another, from then on.
    pub(super) fn look_for_another(&mut self) -> Result<()> {
        if !self.uidlist.is_anothers && !self.uidlist.is_there(&self.directory)? {
            let here = disk::stamp(&self.directory)
                .map_err(|error| failed("look at", &self.directory, error))?;
            // A directory that is absent has no mailbox, which its readers will find.
            self.uidlist.is_anothers = here.is_some_and(|here| self.is_elsewhere(&here));
        }
        match self.uidlist.is_anothers {
            true => Err(Error::NonExistent),
            false => Ok(()),
        }
    }
}
