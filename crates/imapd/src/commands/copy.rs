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
use store::{Account, Copied, Mailbox, Uid, UidValidity};

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
        wanted: Wanted::of(numbers, &uids),
    };
    Ok(Changing::begin(uids, Change::Copy(copying)))
}

/// A COPY under way. One that does not come to its end, whatever ends it, takes back what it
/// copied (RFC 3501 section 6.4.7).
pub struct Copying {
    destination: Arc<Mailbox>,
    copied: Option<Copied>,
    wanted: Wanted,
}

impl Copying {
    /// Copies some messages.
    pub(super) fn step(&mut self, view: &mut View, uids: &[Uid]) -> Result<(), Outcome> {
        let copied = view.mailbox().copy_to(uids, &self.destination)?;
        let arrived = copied.pairs.iter().map(|(_, uid)| *uid).collect();
        view.note_arrivals(Arc::clone(&self.destination), arrived);
        match &mut self.copied {
            None => self.copied = Some(copied),
            Some(all) => {
                all.uid_validity = copied.uid_validity;
                all.pairs.extend(copied.pairs);
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self, on: Capabilities) -> Outcome {
        let count = self.copied.as_ref().map_or(0, |copied| copied.pairs.len());
        if !self.wanted.are_met(count) {
            return lacking(count);
        }
        match self.copied.take() {
            Some(copied) if on.has(Capability::UidPlus) => {
                let code = code(copied.uid_validity, &copied.pairs);
                Outcome::Ok(format!("[{code}] COPY completed"))
            }
            _ => Outcome::ok("COPY completed"),
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
        pairs: Vec::new(),
        wanted: Wanted::of(numbers, &uids),
        reached,
    };
    Ok(Changing::begin(uids, Change::Move(moving)))
}

/// A MOVE under way. What was moved stays so if it does not come to its end (RFC 6851
/// section 3.3).
pub struct Moving {
    destination: Arc<Mailbox>,
    pairs: Vec<(Uid, Uid)>,
    wanted: Wanted,
    /// More messages were named than it may work on.
    reached: Option<Reached>,
}

impl Moving {
    /// Moves some messages.
    pub(super) fn step(&mut self, view: &mut View, uids: &[Uid]) -> Result<(), Outcome> {
        let before = self.pairs.len();
        let moved = view
            .mailbox()
            .move_to(uids, &self.destination, &mut self.pairs);
        let arrived = self.pairs.iter().skip(before).map(|(_, uid)| *uid);
        view.note_arrivals(Arc::clone(&self.destination), arrived.collect());
        Ok(moved?)
    }

    /// COPYUID comes before the expunges, the highest mod-sequence after them (RFC 6851
    /// sections 4.3 and 4.4).
    pub(super) fn tell(&self, on: Capabilities, out: &mut Writer) {
        if !self.pairs.is_empty() && on.has(Capability::UidPlus) {
            let uid_validity = self.destination.snapshot().uid_validity();
            out.text("* OK [")
                .text(&code(uid_validity, &self.pairs))
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
        self.tell(on, out);
        let outcome = match self.wanted.are_met(self.pairs.len()) {
            true => expunged(view, enabled, "MOVE completed"),
            false => lacking(self.pairs.len()),
        };
        match self.reached {
            Some(reached) => reached.told_with(outcome, out),
            None => outcome,
        }
    }
}

/// How many messages must be there for OK.
#[derive(Debug, Clone, Copy)]
struct Wanted(usize);

impl Wanted {
    /// All that have the sequence numbers that were named; any of those that have the
    /// UIDs, as a UID of no message is passed over (RFC 3501 section 6.4.8).
    fn of(numbers: Numbers, uids: &[Uid]) -> Self {
        match numbers {
            Numbers::Sequence => Self(uids.len()),
            Numbers::Uid => Self(1),
        }
    }

    fn are_met(self, count: usize) -> bool {
        count >= self.0
    }
}

/// Messages went before their turn came (RFC 5530).
fn lacking(done: usize) -> Outcome {
    match done {
        0 => Outcome::no("[EXPUNGEISSUED] The messages were expunged"),
        _ => Outcome::no("[EXPUNGEISSUED] Some of the messages were expunged"),
    }
}

fn code(uid_validity: UidValidity, pairs: &[(Uid, Uid)]) -> String {
    let (from, to): (Vec<u32>, Vec<u32>) = pairs
        .iter()
        .map(|(from, to)| (from.get(), to.get()))
        .unzip();
    format!(
        "COPYUID {} {} {}",
        uid_validity,
        show_set(from),
        show_set(to)
    )
}
