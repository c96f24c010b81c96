//! REPLACE (RFC 8508): a new message in the place of an old one.

use super::change::Doomed;
use super::state::State;
use super::{Incoming, Mailbox};
use crate::{Error, Result, Uid};

impl Mailbox {
    /// Appends a message to `destination` (or this mailbox) and removes another from this
    /// one, durably: both or neither. Nobody sees one without the other.
    ///
    /// A crash leaves the old one, or both, or the new one, never none: the new one is
    /// durable with its UID before the old one goes.
    ///
    /// # Errors
    /// [`Error::Expunged`] if the old one is gone already. When the disk fails the new one
    /// is taken back, unless the old one went: then it may come back after a loss of
    /// power.
    pub fn replace(&self, old: Uid, destination: &Mailbox, mut new: Incoming) -> Result<Uid> {
        if self.is_gone() || destination.is_gone() {
            return Err(Error::NonExistent);
        }
        destination.seal(&mut new)?;
        new.sync()?;
        let uid = self.change_with(destination, |source, target| {
            replace_locked(source, target, old, new)
        })?;
        destination.summarise_new(uid, uid.saturating_add(1));
        Ok(uid)
    }
}

/// Replaces between locked mailboxes (`target` is none for one mailbox).
fn replace_locked(
    source: &mut State,
    mut target: Option<&mut State>,
    old: Uid,
    new: Incoming,
) -> Result<Uid> {
    if source.find(old).is_none() {
        return Err(Error::Expunged);
    }
    let appends = vec![vec![new]];
    let appended = match target.as_deref_mut() {
        Some(target) => target.append(appends),
        None => source.append(appends),
    };
    let appended = appended.into_iter().next();
    let uids = appended.unwrap_or(Err(Error::NonExistent))?;
    if let Err(error) = source.expunge(&[old], Doomed::All) {
        if source.find(old).is_none() {
            // It went, not durably: the new one is all there is.
            return Err(error);
        }
        let undone = match target {
            Some(target) => target.expunge(&uids, Doomed::All),
            None => source.expunge(&uids, Doomed::All),
        };
        if let Err(error) = undone {
            tracing::error!(%error, "a replacement cannot be taken back");
        }
        return Err(error);
    }
    uids.first().copied().ok_or(Error::NonExistent)
}
