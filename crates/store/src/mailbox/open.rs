//! Opening a mailbox: its control files, and what crashes left.

use super::modseq::{self, FirstModseq};
use super::state::{State, failed};
use super::{FlagAction, Mailbox, Summaries, Wakers};
use crate::control_file;
use crate::disk::{self, Stamp};
use crate::index::{Found, Index};
use crate::maildir::courier;
use crate::maildir::dotlock::{self, Dotlock};
use crate::maildir::imported::Imported;
use crate::maildir::keywords::KeywordTable;
use crate::maildir::uidlist::{Record, Uidlist};
use crate::maildir::watch::Queue;
use crate::{Error, Flags, Keyword, Result, UidValidity};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Files in `tmp/` older than this are nobody's.
const TMP_AGE: Duration = Duration::from_secs(36 * 3600);
/// So many of them are looked at at once.
const TMP_FILES: usize = 10_000;
/// How long others are waited for who have the UID list locked: nobody opens another
/// mailbox of the account meanwhile.
const OPENING_PATIENCE: Duration = Duration::from_millis(250);

impl Mailbox {
    /// Opens the mailbox at `directory`; `new_uid_validity` is asked when it has
    /// no usable UIDVALIDITY.
    ///
    /// # Errors
    /// [`Error::NonExistent`] also if another program put another there meanwhile;
    /// [`Error::Locked`] if one has its UID list locked, which is not waited for.
    pub(crate) fn open(
        directory: PathBuf,
        new_uid_validity: impl FnOnce() -> Result<UidValidity>,
    ) -> Result<Arc<Self>> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        if !control_file::is_directory(&directory)? {
            return Err(Error::NonExistent);
        }
        for name in ["tmp", "new", "cur"] {
            control_file::make_part(&directory.join(name))?;
        }
        remove_old_temporaries(&directory.join("tmp"));
        control_file::remove_left_over(&directory);
        let modseq_stamp = modseq::stamp(&directory)?;
        let found = known_modseqs(read_index(&directory), &directory)?;
        let settled = match &found {
            Found::Exact(_, contents) => Uidlist::settled(&directory, contents)?,
            _ => None,
        };
        let list_is_read = settled.is_none();
        let list = match settled {
            None => Uidlist::read(&directory, found.rows())?,
            settled => settled,
        };
        if list.as_ref().is_some_and(|list| list.is_cut)
            && Dotlock::is_taken(&directory, dotlock::UIDLIST)
        {
            // The UID at its end is given to a message.
            let path = directory.join(dotlock::UIDLIST);
            return Err(Error::Locked(path.display().to_string()));
        }
        let found = own_index(found, list.as_ref());
        let mut imported_keywords = HashMap::new();
        let uidlist = match (list, &found) {
            (Some(list), _) => list,
            (
                None,
                Found::Exact(_, contents) | Found::Doubtful(contents) | Found::Outrun(contents),
            ) => {
                tracing::warn!(directory = %directory.display(), "the UID list is lost and made again from the index");
                Uidlist::of_index(contents)?
            }
            (None, _) => match courier::import(&directory)? {
                Some(mut imported) => {
                    imported_keywords = std::mem::take(&mut imported.keywords);
                    take_over(imported)?
                }
                None => Uidlist::new(new_uid_validity()?)?,
            },
        };
        let keywords = KeywordTable::read(&directory)?;
        let guid = uidlist.guid;
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let queue = Arc::new(Queue::new(id));
        let known = Known {
            uidlist,
            list_is_read,
            keywords,
            found,
            modseq_stamp,
        };
        let mut state = begin(directory, known, Arc::clone(&queue))?;
        state.lock_patience = dotlock::PATIENCE;
        for (unique, names) in imported_keywords {
            let Some(uid) = state.named(&unique).map(|row| row.uid) else {
                continue;
            };
            let names: Vec<Keyword> = names.into_iter().map(Keyword::from).collect();
            let stored = state.store_flags(&[uid], FlagAction::Add, Flags::default(), &names, None);
            if let Err(error) = stored {
                tracing::warn!(%error, "keywords of a message could not be taken over");
            }
        }
        state.commit();
        let unmoved = state.snapshot.unmoved_uids().next().is_some();
        let mailbox = Arc::new(Self {
            id,
            guid,
            gone: AtomicBool::new(false),
            indexed: AtomicBool::new(state.index.is_some()),
            claiming: AtomicBool::new(false),
            behind: AtomicBool::new(false),
            unmoved: AtomicBool::new(unmoved),
            published: Mutex::new(state.snapshot.clone()),
            state: Mutex::new(state),
            given_up: Mutex::new(None),
            wakers: Mutex::new(Wakers::default()),
            sentry: Mutex::default(),
            summaries: Mutex::new(Summaries::default()),
            appends: super::group::Waiting::default(),
            texts: super::texts::Texts::default(),
            surrogates: Mutex::default(),
            orders: Mutex::default(),
        });
        queue.belongs_to(&mailbox);
        Ok(mailbox)
    }
}

/// Reads the index; one that cannot be read says nothing.
fn read_index(directory: &Path) -> Found {
    Index::open(directory).unwrap_or_else(|error| {
        tracing::warn!(directory = %directory.display(), %error, "the index cannot be opened");
        Found::Unreadable("it cannot be opened")
    })
}

/// The index, unless a run without it has told mod-sequences above all that it knows:
/// then it lacks what was told, and is as one whose end was lost.
fn known_modseqs(found: Found, directory: &Path) -> Result<Found> {
    Ok(match found {
        Found::Exact(index, contents) => match modseq::kept(directory)? {
            Some(kept) if kept.modseq > contents.highest_modseq => Found::Outrun(contents),
            _ => Found::Exact(index, contents),
        },
        found => found,
    })
}

/// The index, if it is of the mailbox whose list this is.
fn own_index(found: Found, list: Option<&Uidlist>) -> Found {
    match found {
        Found::Exact(_, contents) | Found::Doubtful(contents) | Found::Outrun(contents)
            if list.is_some_and(|list| {
                list.uid_validity.get() != contents.uid_validity || list.guid != contents.guid
            }) =>
        {
            Found::Unreadable("it is another mailbox's")
        }
        found => found,
    }
}

/// What a mailbox's files say when it is opened.
struct Known {
    uidlist: Uidlist,
    /// Whether the list's records were read, as the index cannot speak for them.
    list_is_read: bool,
    keywords: KeywordTable,
    found: Found,
    /// What tells whether another has begun without the index since that was read.
    modseq_stamp: Option<Stamp>,
}

/// The first state of a mailbox: what its index says, brought up to date.
fn begin(directory: PathBuf, known: Known, queue: Arc<Queue>) -> Result<State> {
    // None where another program removes it at this moment.
    let home = disk::stamp(&directory).map_err(|error| failed("look at", &directory, error))?;
    let Known {
        uidlist,
        list_is_read,
        keywords,
        found,
        modseq_stamp,
    } = known;
    let mut healed = Vec::new();
    // An index that may still be there, and be believed without a doubt.
    let mut is_left = false;
    let mut modseq = None;
    let mut state = match found {
        Found::Exact(index, contents) => {
            let highest = contents.highest_modseq;
            let mut state = State::new(directory, uidlist, keywords, highest, queue);
            healed = state.take_from_index(contents, Some(*index), None, list_is_read);
            state
        }
        other => {
            let first = *modseq.insert(FirstModseq::find(&directory)?);
            let mut state = State::new(directory, uidlist, keywords, first.modseq, queue);
            let path = state.directory.display();
            match other {
                Found::Doubtful(contents) => {
                    tracing::info!(directory = %path, "the index was not closed or is a copy: all mod-sequences are new");
                    healed =
                        state.take_from_index(contents, None, Some(first.modseq), list_is_read);
                }
                Found::Outrun(contents) => {
                    tracing::info!(directory = %path, "the mailbox was open without its index: all mod-sequences are new");
                    is_left = true;
                    healed =
                        state.take_from_index(contents, None, Some(first.modseq), list_is_read);
                }
                Found::Unreadable(reason) => {
                    tracing::warn!(directory = %path, reason, "the index is unreadable and made anew");
                    is_left = true;
                }
                Found::Busy => {
                    tracing::warn!(directory = %path, "another process has the index; none is kept");
                    state.is_shared = true;
                }
                Found::Nothing | Found::Exact(..) => {}
            }
            state
        }
    };
    state.modseq_stamp = modseq_stamp;
    state.home = home;
    state.lock_patience = OPENING_PATIENCE;
    if state.unsynced == [true; 2] {
        // Whoever placed files, wrote the list or gave keywords letters last may have died
        // before that was durable.
        state.uidlist.sync(&state.directory)?;
        state.sync_halves([true; 2])?;
        control_file::sync_directory(&state.directory)?;
    }
    state.refresh()?;
    if healed.iter().any(|uid| state.find(*uid).is_some()) {
        tracing::warn!(directory = %state.directory.display(), "UIDs that the list lost were taken from the index");
        state.uidlist.needs_rewrite = true;
    }
    if state.uidlist.is_wasteful(&state.snapshot.rows) {
        state.rewrite_list()?;
        state.settle_header();
    } else {
        state.uidlist.keep_second_name(&state.directory);
    }
    if state.index.is_none() && !state.is_shared {
        state.make_index();
    }
    if let Some(first) = modseq {
        // What is told from here on is not in the index that another opening may find.
        let is_left = is_left || state.index.is_none();
        match first.keep(&state.directory, is_left, state.is_shared) {
            Ok(stamp) => state.modseq_stamp = Some(stamp),
            Err(error) => {
                tracing::warn!(%error, "the mod-sequence could not be kept");
                if is_left {
                    state.lose_index();
                }
            }
        }
    }
    state.commit();
    Ok(state)
}

/// A uidlist of what another server's files say.
pub(super) fn take_over(imported: Imported) -> Result<Uidlist> {
    let mut list = Uidlist::new(imported.uid_validity)?;
    for (uid, name) in imported.uids {
        let mut record = Record {
            name: Arc::from(name.as_str()),
            fields: None,
        };
        if let Some(unique_id) = imported.pop3.get(&name)
            && !unique_id.contains([' ', '\n'])
        {
            record.set_field('P', unique_id);
        }
        list.insert(uid, record);
    }
    list.uid_next = list.uid_next.max(imported.uid_next);
    Ok(list)
}

/// Removes what deliveries that never ended left in `tmp/`.
pub(super) fn remove_old_temporaries(path: &Path) {
    let Ok(names) = disk::list_messages(path).map_err(|error| failed("read", path, error)) else {
        return;
    };
    for name in names.into_iter().take(TMP_FILES) {
        let file = path.join(name);
        let age = disk::metadata(&file)
            .ok()
            .and_then(|metadata| u64::try_from(metadata.changed_seconds).ok())
            .and_then(|changed| {
                SystemTime::now()
                    .duration_since(UNIX_EPOCH + Duration::from_secs(changed))
                    .ok()
            });
        if age.is_some_and(|age| age > TMP_AGE) {
            match disk::unlink(&file) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    tracing::warn!(path = %file.display(), %error, "cannot be removed");
                }
                _ => {}
            }
        }
    }
}
