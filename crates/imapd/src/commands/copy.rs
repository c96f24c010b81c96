//! COPY (RFC 3501 section 6.4.7, RFC 4315) and MOVE (RFC 6851).

use super::store_flags::{expunged, need_write};
use super::{Outcome, Ran, destination};
use crate::capability::{Capabilities, Capability, Enabled};
use crate::grammar::command::Numbers;
use crate::grammar::sequence::SequenceSet;
use crate::limit::MessageLimit;
use crate::response::{Writer, show_set};
use crate::view::View;
use store::{Account, Copied, Uid};

/// COPY and UID COPY.
pub fn copy(
    account: &Account,
    view: &mut View,
    (set, numbers): (&SequenceSet, Numbers),
    mailbox: &str,
    (on, limit): (Capabilities, MessageLimit),
) -> Ran {
    let ranges = view.resolve(set, numbers)?;
    limit.admit_saved(view, &ranges)?;
    let uids = view.uids(&ranges);
    let destination = destination(account, mailbox)?;
    if uids.is_empty() {
        return Ok(Outcome::ok("No messages to copy"));
    }
    let copied = view.mailbox().copy_to(&uids, &destination)?;
    if copied.pairs.is_empty() {
        return Err(Outcome::no("[EXPUNGEISSUED] The messages were expunged"));
    }
    view.note_arrivals(destination, arrived(&copied));
    if !on.has(Capability::UidPlus) {
        return Ok(Outcome::ok("COPY completed"));
    }
    Ok(Outcome::Ok(format!("[{}] COPY completed", code(&copied))))
}

/// MOVE and UID MOVE. COPYUID comes before the expunges, the highest mod-sequence
/// after them (RFC 6851 sections 4.3 and 4.4).
pub fn move_messages(
    account: &Account,
    view: &mut View,
    (set, numbers): (&SequenceSet, Numbers),
    mailbox: &str,
    (enabled, on, limit, out): (Enabled, Capabilities, MessageLimit, &mut Writer),
) -> Ran {
    need_write(view)?;
    let (ranges, reached) = limit.cut(view, view.resolve(set, numbers)?);
    let uids = view.uids(&ranges);
    let destination = destination(account, mailbox)?;
    if uids.is_empty() {
        return Ok(Outcome::ok("No messages to move"));
    }
    let moved = view.mailbox().move_to(&uids, &destination)?;
    if moved.pairs.is_empty() {
        return Err(Outcome::no("[EXPUNGEISSUED] The messages were expunged"));
    }
    if on.has(Capability::UidPlus) {
        out.text("* OK [")
            .text(&code(&moved))
            .text("] ")
            .human("Moved")
            .crlf();
    }
    view.note_arrivals(destination, arrived(&moved));
    let outcome = expunged(view, enabled, "MOVE completed");
    Ok(match reached {
        Some(reached) => reached.told_with(outcome, out),
        None => outcome,
    })
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
