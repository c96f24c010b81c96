//! What several workloads ask, with what is to be answered.

use super::{Row, Stage};
use crate::client::imap::{Answer, Imap};
use crate::client::pop3::Pop3;
use anyhow::ensure;

/// The list of messages that a client shows.
pub(super) const LIST: &str =
    "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)";

pub(super) fn select(session: &mut Imap, count: usize) -> anyhow::Result<f64> {
    let exists = session.run("SELECT INBOX")?.exists;
    ensure!(exists == Some(count), "there are {exists:?}");
    Ok(1.0)
}

pub(super) fn fetch(session: &mut Imap, command: &str, count: usize) -> anyhow::Result<f64> {
    let fetched = session.run(command)?.fetched;
    ensure!(fetched == count, "{fetched} messages");
    Ok(1.0)
}

/// POP3: login, UIDL and LIST.
pub(super) fn pop3_list(stage: &Stage, count: usize) -> anyhow::Result<f64> {
    let mut session = Pop3::login(stage.pop3(), "anna")?;
    let identifiers = session.run_lines("UIDL")?.0;
    let sizes = session.run_lines("LIST")?.0;
    ensure!(
        identifiers == count && sizes == count,
        "{identifiers} and {sizes}"
    );
    session.run("QUIT")?;
    Ok(1.0)
}

/// A client comes back that knows the mailbox as it was when it was selected so; since then
/// so many messages changed, and so many are gone.
pub(super) fn come_back(
    stage: &mut Stage,
    row: &Row,
    known: &Answer,
    (changed, gone): (usize, usize),
) -> anyhow::Result<()> {
    let (Some(validity), Some(mod_sequence)) = (known.uid_validity, known.highest_mod_sequence)
    else {
        anyhow::bail!("no UIDVALIDITY or HIGHESTMODSEQ");
    };
    let mut returning = Imap::login(stage.imap(), "anna")?;
    returning.run("ENABLE QRESYNC")?;
    stage.measure(row, |_| {
        let answer = returning.run(&format!(
            "SELECT INBOX (QRESYNC ({validity} {mod_sequence}))"
        ))?;
        ensure!(
            answer.fetched == changed && answer.expunged == gone,
            "{answer:?}"
        );
        Ok(1.0)
    })
}
