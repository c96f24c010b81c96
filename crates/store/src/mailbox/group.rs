//! Group commit: appends that come while others are committed are committed together.
//! Files are synced at the same time, those of one session and those of several; then one
//! sync of the directories and one of the UID list do for all that wait.

use super::incoming::Incoming;
use super::state::State;
use super::{ATTEMPTS, Mailbox};
use crate::{Error, Result, Uid};
use parking_lot::Mutex;
use std::io::ErrorKind;
use std::sync::Arc;
use std::thread;

/// So many files are synced at the same time at most. They are waited for, not worked on: a
/// disk does in one what it is asked at once (50 files of 15 kB came to 300 a second one by
/// one, and to 3,000 so).
const TOGETHER: usize = 8;

/// The appends of a mailbox that wait to be committed.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    appends: Mutex<Vec<Arc<Append>>>,
    /// Whoever has it commits all that wait.
    turn: Mutex<()>,
}

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
    /// Begins to write the messages to the disk.
    fn begin(mailbox: &Mailbox, mut messages: Vec<Incoming>) -> Arc<Self> {
        let mut sealed = messages.iter_mut().map(|message| mailbox.seal(message));
        let sealed = sealed.try_for_each(|sealed| sealed);
        let stage = match sealed {
            Ok(()) => Stage::Waits(messages),
            Err(error) => Stage::Done(Err(error)),
        };
        Arc::new(Self(Mutex::new(stage)))
    }
    /// The messages, if they still wait.
    fn take(&self) -> Option<Vec<Incoming>> {
        let mut stage = self.0.lock();
        match std::mem::replace(&mut *stage, Stage::Taken) {
            Stage::Waits(messages) => Some(messages),
            other => {
                *stage = other;
                None
            }
        }
    }
    fn end(&self, outcome: Result<Vec<Uid>>) {
        *self.0.lock() = Stage::Done(outcome);
    }
    fn is_done(&self) -> bool {
        matches!(&*self.0.lock(), Stage::Done(_))
    }
    fn outcome(&self) -> Result<Vec<Uid>> {
        match std::mem::replace(&mut *self.0.lock(), Stage::Taken) {
            Stage::Done(outcome) => outcome,
            // Whoever committed it did not come to an end.
            Stage::Waits(_) | Stage::Taken => Err(Error::CannotDo("the append was given up")),
        }
    }
}

impl Mailbox {
    /// [`Incoming::seal`] of a message for this mailbox, wherever that is now: it may be
    /// renamed at any time, and what is not text is written anew then.
    pub fn seal(&self, message: &mut Incoming) -> Result<()> {
        for _ in 0..ATTEMPTS {
            message.follow(&self.state.lock().directory);
            match message.seal() {
                Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
                sealed => return sealed,
            }
        }
        Err(Error::NonExistent)
    }
    /// Appends all or none, durably; gives their UIDs. See [`Mailbox::append_each`].
    pub fn append(&self, messages: Vec<Incoming>) -> Result<Vec<Uid>> {
        let mut outcomes = self.append_each(vec![messages]);
        outcomes.pop().unwrap_or(Ok(Vec::new()))
    }
    /// Makes several appends, each all or none, durably and in their order; gives the
    /// UIDs of each.
    ///
    /// Each session syncs its files before it waits for its turn, while others commit. Who
    /// has the turn commits all that wait then, those of other sessions too. A crash
    /// before that leaves files in `tmp/`; what one after it leaves [`State::append`]
    /// says. None of the group is acknowledged before all are on disk.
    pub fn append_each(&self, appends: Vec<Vec<Incoming>>) -> Vec<Result<Vec<Uid>>> {
        let begin = |messages| Append::begin(self, messages);
        let own: Vec<_> = appends.into_iter().map(begin).collect();
        sync(&own);
        self.appends.appends.lock().extend(own.iter().cloned());
        {
            let _turn = self.appends.turn.lock();
            if !own.iter().all(|append| append.is_done()) {
                self.commit(&std::mem::take(&mut *self.appends.appends.lock()));
            }
        }
        let outcomes: Vec<_> = own.iter().map(|append| append.outcome()).collect();
        let given = || outcomes.iter().flatten().flatten();
        if let (Some(first), Some(last)) = (given().min(), given().max()) {
            self.summarise_new(*first, last.saturating_add(1));
        }
        outcomes
    }
    fn commit(&self, group: &[Arc<Append>]) {
        let committed = self.change(|state| commit(state, group));
        if let Err(error) = committed {
            let waiting = group.iter().filter(|append| !append.is_done());
            waiting.for_each(|append| append.end(Err(error.share())));
        }
    }
}

impl Incoming {
    /// [`Incoming::sync`] of several messages at the same time.
    pub fn sync_all(messages: &mut [Self]) -> Result<()> {
        let failed = sync_messages(messages.iter_mut().map(|message| (0, message)).collect());
        match failed.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }
}

/// Makes the messages of a group durable; they stay in `tmp/`. One that fails ends the append
/// that it is of.
fn sync(group: &[Arc<Append>]) {
    let mut stages: Vec<_> = group.iter().map(|append| append.0.lock()).collect();
    let mut messages = Vec::new();
    for (append, stage) in stages.iter_mut().enumerate() {
        if let Stage::Waits(waiting) = &mut **stage {
            messages.extend(waiting.iter_mut().map(|message| (append, message)));
        }
    }
    for (append, error) in sync_messages(messages) {
        if let Some(stage) = stages.get_mut(append) {
            **stage = Stage::Done(Err(error));
        }
    }
}

/// Syncs messages; gives back the numbers of those that could not be, and why.
fn sync_messages(messages: Vec<(usize, &mut Incoming)>) -> Vec<(usize, Error)> {
    let helpers = (messages.len() / 2).clamp(1, TOGETHER) - 1;
    let rest = Mutex::new(messages.into_iter());
    let work = || {
        let mut failed = Vec::new();
        loop {
            let next = rest.lock().next();
            let Some((number, message)) = next else {
                return failed;
            };
            if let Err(error) = message.sync() {
                failed.push((number, error));
            }
        }
    };
    thread::scope(|scope| {
        let spawn = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
        // Where there can be no thread the others do its work.
        let threads: Vec<_> = (0..helpers).filter_map(spawn).collect();
        let mut failed = work();
        for thread in threads {
            match thread.join() {
                Ok(more) => failed.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        failed
    })
}

/// Commits a group.
///
/// # Errors
/// [`Error::Locked`] if that is why one of it, which is told so, failed.
fn commit(state: &mut State, group: &[Arc<Append>]) -> Result<()> {
    let mut result = Ok(());
    let waiting = group
        .iter()
        .filter_map(|append| Some((append, append.take()?)));
    let (ends, messages): (Vec<_>, Vec<_>) = waiting.unzip();
    for (append, outcome) in ends.into_iter().zip(state.append(messages)) {
        if let Err(error @ Error::Locked(_)) = &outcome {
            result = Err(error.share());
        }
        append.end(outcome);
    }
    result
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

    /// What is no text is written anew where the mailbox is when it is whole.
    #[test]
    fn binary_messages_follow_their_mailbox() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let account = Account::open(directory.path(), layout).unwrap();
        let names = ["a", "b", "c"].map(|name| account.parse_name(name).unwrap());
        account.create(&names[0], None).unwrap();
        let mailbox = account.mailbox(&names[0]).unwrap();
        let binary = || {
            let mut message = mailbox.begin_append().unwrap();
            message.take_binary();
            message.write(b"Subject: x\r\n\r\na\0b").unwrap();
            message
        };
        let (mut first, second, old) = (binary(), binary(), binary());
        account.rename(&names[0], &names[1]).unwrap();
        mailbox.seal(&mut first).unwrap();
        account.rename(&names[1], &names[2]).unwrap();
        assert_eq!(mailbox.append(vec![first, second]).unwrap().len(), 2);
        let uid = crate::Uid::MIN;
        mailbox.replace(uid, &mailbox, old).unwrap();
        assert_eq!(mailbox.snapshot().rows().count(), 2);
        let tmp = directory.path().join(".c/tmp");
        assert_eq!(std::fs::read_dir(tmp).unwrap().count(), 0);
        let lost = binary();
        std::fs::remove_file(&lost.path).unwrap();
        assert!(mailbox.append(vec![lost]).is_err());
    }

    /// What cannot be appended fails nobody else, and what was begun before the mailbox
    /// was renamed comes to where it is now.
    #[test]
    fn each_of_a_group_fails_for_itself() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let account = Account::open(directory.path(), layout).unwrap();
        let [from, to] = ["from", "to"].map(|name| account.parse_name(name).unwrap());
        account.create(&from, None).unwrap();
        let mailbox = account.mailbox(&from).unwrap();
        let message = |text: &[u8]| {
            let mut message = mailbox.begin_append().unwrap();
            message.write(text).unwrap();
            message
        };
        let lost = message(b"lost");
        std::fs::remove_file(&lost.path).unwrap();
        let good = || message(b"good");
        let group = vec![
            vec![good()],
            vec![good(), lost, good()],
            Vec::new(),
            vec![good(), good()],
        ];
        account.rename(&from, &to).unwrap();
        let outcomes = mailbox.append_each(group);
        let told = outcomes.iter().map(|uids| uids.as_deref().ok());
        let uid = |number| crate::Uid::new(number).unwrap();
        let expected = [
            Some(vec![uid(1)]),
            None,
            Some(vec![]),
            Some(vec![uid(2), uid(3)]),
        ];
        assert!(
            told.eq(expected.iter().map(Option::as_deref)),
            "{outcomes:?}"
        );
        let there = account.mailbox(&to).unwrap();
        assert_eq!(there.snapshot().rows().count(), 3);
        let files = ["new", "cur", "tmp"].map(|half| {
            let path = directory.path().join(".to").join(half);
            std::fs::read_dir(path).unwrap().count()
        });
        assert_eq!(files.iter().sum::<usize>(), 3, "{files:?}");
    }
}
