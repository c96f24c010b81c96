//! COPY (RFC 3501 section 6.4.7, RFC 4315) and MOVE (RFC 6851).

use super::changing::{Change, Changing};
use super::store_flags::{expunged, need_write};
use super::{Outcome, Ran, destination};
use crate::capability::{Capabilities, Capability, Enabled};
use crate::grammar::command::Numbers;
use crate::grammar::sequence::SequenceSet;
use crate::limit::{MessageLimit, Reached};
use crate::response::{Writer, show_set};
use crate::view::View;
use std::sync::Arc;
use store::{Account, Copied, Mailbox, Uid};

/// COPY and UID COPY.
pub fn copy(
    account: &Account,
    view: &View,
    (set, numbers): (&SequenceSet, Numbers),
    mailbox: &str,
    limit: MessageLimit,
) -> Ran {
    let ranges = view.resolve(set, numbers)?;
    limit.admit_saved(view, &ranges)?;
    let uids = view.uids(&ranges);
    let destination = destination(account, mailbox)?;
    if uids.is_empty() {
        return Ok(Outcome::ok("No messages to copy"));
    }
    let copying = Copying {
        destination,
        copied: None,
    };
    Ok(Changing::begin(uids, Change::Copy(copying)))
}

/// A COPY under way. One that does not come to its end, whatever ends it, takes back what it
/// copied (RFC 3501 section 6.4.7).
pub struct Copying {
    destination: Arc<Mailbox>,
    copied: Option<Copied>,
}

impl Copying {
    /// Copies some messages.
    pub(super) fn step(&mut self, view: &mut View, uids: &[Uid]) -> Result<(), Outcome> {
        let copied = view.mailbox().copy_to(uids, &self.destination)?;
        view.note_arrivals(Arc::clone(&self.destination), arrived(&copied));
        add(&mut self.copied, copied);
        Ok(())
    }

    pub(super) fn finish(mut self, on: Capabilities) -> Outcome {
        match self.copied.take() {
            Some(copied) if !copied.pairs.is_empty() => match on.has(Capability::UidPlus) {
                true => Outcome::Ok(format!("[{}] COPY completed", code(&copied))),
                false => Outcome::ok("COPY completed"),
            },
            _ => Outcome::no("[EXPUNGEISSUED] The messages were expunged"),
        }
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        let Some(copied) = self.copied.take() else {
            return;
        };
        let uids: Vec<Uid> = copied.pairs.iter().map(|(_, to)| *to).collect();
        if let Err(error) = self.destination.expunge(&uids) {
            tracing::error!(%error, "what was copied cannot be taken back");
        }
    }
}

/// MOVE and UID MOVE.
pub fn move_messages(
    account: &Account,
    view: &View,
    (set, numbers): (&SequenceSet, Numbers),
    mailbox: &str,
    limit: MessageLimit,
) -> Ran {
    need_write(view)?;
    let (ranges, reached) = limit.cut(view, view.resolve(set, numbers)?);
    let uids = view.uids(&ranges);
    let destination = destination(account, mailbox)?;
    if uids.is_empty() {
        return Ok(Outcome::ok("No messages to move"));
    }
    let moving = Moving {
        destination,
        moved: None,
        reached,
    };
    Ok(Changing::begin(uids, Change::Move(moving)))
}

/// A MOVE under way. What was moved stays so if it does not come to its end (RFC 6851
/// section 3.3).
pub struct Moving {
    destination: Arc<Mailbox>,
    moved: Option<Copied>,
    /// More messages were named than it may work on.
    reached: Option<Reached>,
}

impl Moving {
    /// Moves some messages.
    pub(super) fn step(&mut self, view: &mut View, uids: &[Uid]) -> Result<(), Outcome> {
        let moved = view.mailbox().move_to(uids, &self.destination)?;
        view.note_arrivals(Arc::clone(&self.destination), arrived(&moved));
        add(&mut self.moved, moved);
        Ok(())
    }

    fn has_moved(&self) -> bool {
        let moved = self.moved.as_ref();
        moved.is_some_and(|moved| !moved.pairs.is_empty())
    }

    /// COPYUID comes before the expunges, the highest mod-sequence after them (RFC 6851
    /// sections 4.3 and 4.4).
    pub(super) fn tell(&self, on: Capabilities, out: &mut Writer) {
        if let Some(moved) = self.moved.as_ref().filter(|_| self.has_moved())
            && on.has(Capability::UidPlus)
        {
            out.text("* OK [")
                .text(&code(moved))
                .text("] ")
                .human("Moved")
                .crlf();
        }
    }

    pub(super) fn finish(
        self,
        view: &View,
        (enabled, on): (Enabled, Capabilities),
        out: &mut Writer,
    ) -> Outcome {
        if !self.has_moved() {
            return Outcome::no("[EXPUNGEISSUED] The messages were expunged");
        }
        self.tell(on, out);
        let outcome = expunged(view, enabled, "MOVE completed");
        match self.reached {
            Some(reached) => reached.told_with(outcome, out),
            None => outcome,
        }
    }
}

/// Adds what a further step did.
fn add(all: &mut Option<Copied>, further: Copied) {
    match all {
        None => *all = Some(further),
        Some(all) => {
            all.uid_validity = further.uid_validity;
            all.pairs.extend(further.pairs);
        }
    }
}

/// The UIDs that messages have in their new place.
fn arrived(copied: &Copied) -> Vec<Uid> {
    copied.pairs.iter().map(|(_, uid)| *uid).collect()
}

fn code(copied: &Copied) -> String {
    let (from, to): (Vec<u32>, Vec<u32>) = copied
        .pairs
        .iter()
        .map(|(from, to)| (from.get(), to.get()))
        .unzip();
    format!(
        "COPYUID {} {} {}",
        copied.uid_validity,
        show_set(from),
        show_set(to)
    )
}
