//! Copying and moving messages from one mailbox to another.

use super::change::{Doomed, Transfer};
use super::state::State;
use super::{ATTEMPTS, Mailbox};
use crate::{Error, Result, Uid, UidValidity};

/// What a copy did: pairs of source and destination UID, in source order.
#[derive(Debug)]
pub struct Copied {
    pub uid_validity: UidValidity,
    pub pairs: Vec<(Uid, Uid)>,
}

impl Mailbox {
    /// Copies into another mailbox (or this one) with flags, keywords, dates. Where it
    /// fails nothing was copied.
    pub fn copy_to(&self, uids: &[Uid], destination: &Mailbox) -> Result<Copied> {
        let mut pairs = Vec::with_capacity(uids.len());
        let uid_validity = self.transfer(uids, destination, Transfer::Copy, &mut pairs)?;
        Ok(Copied {
            uid_validity,
            pairs,
        })
    }
    /// Moves into another mailbox. What was moved is added to `pairs` (source and
    /// destination UID, in source order), where it fails as well: it stays moved.
    pub fn move_to(
        &self,
        uids: &[Uid],
        destination: &Mailbox,
        pairs: &mut Vec<(Uid, Uid)>,
    ) -> Result<()> {
        self.transfer(uids, destination, Transfer::Move, pairs)
            .map(drop)
    }
    /// A file that was renamed meanwhile is looked for once more; one that is gone is
    /// left out.
    fn transfer(
        &self,
        uids: &[Uid],
        destination: &Mailbox,
        transfer: Transfer,
        pairs: &mut Vec<(Uid, Uid)>,
    ) -> Result<UidValidity> {
        if self.is_gone() || destination.is_gone() {
            return Err(Error::NonExistent);
        }
        self.change_with(destination, |source, mut target| {
            transfer_locked(source, target.as_deref_mut(), uids, transfer, pairs)?;
            Ok(target.unwrap_or(source).snapshot.uid_validity)
        })
    }
}

/// Copies or moves between locked mailboxes (`target` is none for one mailbox). A copy that
/// fails is taken back; what was moved stays so, and is among `pairs`.
fn transfer_locked(
    source: &mut State,
    mut target: Option<&mut State>,
    uids: &[Uid],
    transfer: Transfer,
    pairs: &mut Vec<(Uid, Uid)>,
) -> Result<()> {
    let result = transfer_all(source, target.as_deref_mut(), uids, transfer, pairs);
    if result.is_err() && transfer == Transfer::Copy {
        let copies: Vec<Uid> = pairs.drain(..).map(|(_, copy)| copy).collect();
        let state = target.unwrap_or(source);
        if let Err(error) = state.expunge(&copies, Doomed::All) {
            tracing::error!(%error, "what was copied cannot be taken back");
        }
    }
    pairs.sort_unstable();
    result
}

fn transfer_all(
    source: &mut State,
    mut target: Option<&mut State>,
    uids: &[Uid],
    transfer: Transfer,
    pairs: &mut Vec<(Uid, Uid)>,
) -> Result<()> {
    let mut left: Vec<Uid> = uids.to_vec();
    for attempt in 0..ATTEMPTS {
        let taken = source.take(&left);
        if taken.is_empty() {
            break;
        }
        let before = source.before_change();
        let received = match target.as_deref_mut() {
            Some(target) => target.receive(&taken, transfer),
            None => source.receive(&taken, transfer),
        };
        // Where even undoing failed, the directories tell what is where.
        source.must_scan |= received.is_err();
        let received = received?;
        let (copied, placed): (Vec<_>, Vec<_>) = received
            .pairs
            .iter()
            .partition(|(from, _)| transfer == Transfer::Move && received.copied.contains(from));
        let gone: Vec<Uid> = placed.iter().map(|(from, _)| *from).collect();
        pairs.extend(placed);
        if transfer == Transfer::Move {
            let released = source.release(&gone, &before);
            let removed = remove_copied(source, target.as_deref_mut(), &copied, pairs);
            released.and(removed)?;
        }
        if received.missing.is_empty() {
            break;
        }
        source.look_for_lost(attempt)?;
        left = received.missing;
    }
    Ok(())
}

/// Removes from the source what a move had to copy, once the copies are durable with their
/// UIDs, and adds it to `pairs`. A crash leaves a message in both, or moved. Of what the
/// disk refuses to remove the copy is taken back.
fn remove_copied(
    source: &mut State,
    target: Option<&mut State>,
    copied: &[(Uid, Uid)],
    pairs: &mut Vec<(Uid, Uid)>,
) -> Result<()> {
    if copied.is_empty() {
        return Ok(());
    }
    let old: Vec<Uid> = copied.iter().map(|(from, _)| *from).collect();
    let removed = source.expunge(&old, Doomed::All);
    let (twice, moved): (Vec<_>, Vec<_>) = copied
        .iter()
        .partition(|(from, _)| source.find(*from).is_some());
    pairs.extend(moved);
    if removed.is_err() {
        let copies: Vec<Uid> = twice.iter().map(|(_, to)| *to).collect();
        let state = target.unwrap_or(source);
        if let Err(error) = state.expunge(&copies, Doomed::All) {
            tracing::error!(%error, "a copy cannot be taken back");
        }
    }
    removed.map(drop)
}
