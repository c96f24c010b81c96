//! Group commit: appends that come while another is committed are committed together,
//! with one sync of the directories and one of the UID list for all.

use super::Mailbox;
use super::incoming::Incoming;
use super::state::State;
use crate::{Error, Result, Uid};
use parking_lot::Mutex;
use std::sync::Arc;

/// The appends of a mailbox that wait to be committed.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Vec<Arc<Append>>>);

/// The messages of one append, then what became of them.
#[derive(Debug)]
struct Append(Mutex<Stage>);

#[derive(Debug)]
enum Stage {
    Waits(Vec<Incoming>),
    /// Whoever commits has them.
    Taken,
    Done(Result<Vec<Uid>>),
}

impl Append {
    fn take(&self) -> Vec<Incoming> {
        match std::mem::replace(&mut *self.0.lock(), Stage::Taken) {
            Stage::Waits(messages) => messages,
            Stage::Taken | Stage::Done(_) => Vec::new(),
        }
    }
    fn outcome(&self) -> Option<Result<Vec<Uid>>> {
        let mut stage = self.0.lock();
        match std::mem::replace(&mut *stage, Stage::Taken) {
            Stage::Done(outcome) => Some(outcome),
            other => {
                *stage = other;
                None
            }
        }
    }
}

impl Mailbox {
    /// Appends all or none, durably; gives their UIDs.
    ///
    /// The files are synced before the mailbox is locked, so that appends of several
    /// sessions share what the disk does; who then gets the lock commits all that wait.
    /// A crash before that leaves files in `tmp/`; what one in it leaves
    /// [`State::append`] says. None of the group is acknowledged before all are on disk.
    pub fn append(&self, mut messages: Vec<Incoming>) -> Result<Vec<Uid>> {
        messages.iter_mut().try_for_each(Incoming::seal)?;
        let own = Arc::new(Append(Mutex::new(Stage::Waits(messages))));
        self.appends.0.lock().push(Arc::clone(&own));
        let outcome = self.change(|state| {
            if let Some(outcome) = own.outcome() {
                return outcome;
            }
            commit(state, &std::mem::take(&mut *self.appends.0.lock()));
            own.outcome().unwrap_or(Err(Error::NonExistent))
        });
        if outcome.is_err() {
            // The mailbox may have gone before anybody had the lock.
            self.appends
                .0
                .lock()
                .retain(|other| !Arc::ptr_eq(other, &own));
        }
        let uids = outcome?;
        if let (Some(first), Some(last)) = (uids.first(), uids.last()) {
            self.summarise_new(*first, last.saturating_add(1));
        }
        Ok(uids)
    }
}

/// Commits a group. What one of them cannot have, such as a keyword too many, fails that
/// one; what the disk refuses fails all.
fn commit(state: &mut State, group: &[Arc<Append>]) {
    let mut all = Vec::new();
    let mut shares = Vec::with_capacity(group.len());
    for append in group {
        let messages = append.take();
        match state.can_take(&messages) {
            Ok(()) => {
                shares.push((append, messages.len()));
                all.extend(messages);
            }
            Err(error) => *append.0.lock() = Stage::Done(Err(error)),
        }
    }
    if shares.is_empty() {
        return;
    }
    let mut outcome = state.append(&mut all).map(Vec::into_iter);
    for (append, count) in shares {
        let share = match &mut outcome {
            Ok(uids) => Ok(uids.by_ref().take(count).collect()),
            Err(error) => Err(error.share()),
        };
        *append.0.lock() = Stage::Done(share);
    }
}

#[cfg(test)]
mod tests {
    use crate::{Account, Flags, Layout};
    use std::collections::HashSet;

    #[test]
    fn appends_of_many_sessions_get_uids_of_their_own() {
        const SESSIONS: usize = 8;
        const EACH: usize = 12;
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let account = Account::open(directory.path(), layout).unwrap();
        let mailbox = account
            .mailbox(&account.parse_name("INBOX").unwrap())
            .unwrap();
        let told: Vec<(String, crate::Uid)> = std::thread::scope(|scope| {
            let sessions: Vec<_> = (0..SESSIONS)
                .map(|session| {
                    let mailbox = &mailbox;
                    scope.spawn(move || {
                        let append = |turn: usize| {
                            // Some append two at once.
                            let subjects: Vec<String> = (0..1 + turn % 2)
                                .map(|part| format!("{session}.{turn}.{part}"))
                                .collect();
                            let messages = subjects.iter().map(|subject| {
                                let mut message = mailbox.begin_append().unwrap();
                                message
                                    .write(format!("Subject: {subject}\r\n\r\n").as_bytes())
                                    .unwrap();
                                message.describe(Flags::default(), Vec::new(), None);
                                message
                            });
                            let uids = mailbox.append(messages.collect()).unwrap();
                            assert!(uids.windows(2).all(|pair| pair[0] < pair[1]));
                            subjects.into_iter().zip(uids).collect::<Vec<_>>()
                        };
                        (0..EACH).flat_map(append).collect::<Vec<_>>()
                    })
                })
                .collect();
            sessions
                .into_iter()
                .flat_map(|session| session.join().unwrap())
                .collect()
        });
        assert_eq!(told.len(), SESSIONS * EACH * 3 / 2);
        let uids: HashSet<_> = told.iter().map(|(_, uid)| *uid).collect();
        assert_eq!(uids.len(), told.len());
        for (subject, uid) in told {
            let summary = mailbox.summary(uid).unwrap();
            assert_eq!(
                summary.envelope.subject.as_deref(),
                Some(subject.as_bytes())
            );
        }
    }
}
