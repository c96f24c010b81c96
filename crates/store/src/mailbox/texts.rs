//! The texts of a mailbox's messages: searched, kept from the first search on, and
//! completed in the background.

use super::Mailbox;
use crate::message::{
    FoldedText, Folding, Searched, Summary, WithHeaders, fold, is_searchable, kept_text, look,
    say_folded, text_contains,
};
use crate::search_texts::{KeepTexts, SearchTexts};
use crate::summaries::{RecordFile, Summaries, texts_known_below};
use crate::{Error, OpenedMessage, Result, Snapshot, Uid};
use parking_lot::{Mutex, MutexGuard};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

/// So many octets of messages are read in one step, and what is left of the last.
const STEP_OCTETS: u64 = 1 << 20;
/// So many messages are made in one step.
const STEP_MESSAGES: usize = 32;
/// Over so many messages that are kept already one step passes.
const STEP_ROWS: usize = 4096;

/// What a mailbox knows of its texts beside the file.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// Who has them completed in the background, if anybody, and the mailbox for them.
    completed_by: OnceLock<(Arc<SearchTexts>, Weak<Mailbox>)>,
    /// Whether there is a file of them, or is to be.
    begun: AtomicBool,
    /// How many texts searches had to make.
    made_by_searches: AtomicU64,
    /// Held while the file is opened, which takes its time: all but who search go on.
    opening: Mutex<()>,
}

impl Texts {
    fn keep(&self) -> KeepTexts {
        let completed_by = self.completed_by.get();
        completed_by.map_or_else(KeepTexts::default, |(texts, _)| texts.keep())
    }
}

impl Mailbox {
    /// Has texts completed by these: now if some lack, and whenever messages came.
    pub(crate) fn complete_texts_by(self: &Arc<Self>, texts: &Arc<SearchTexts>) {
        let completed_by = (Arc::clone(texts), Arc::downgrade(self));
        if self.texts.completed_by.set(completed_by).is_err() || texts.keep() == KeepTexts::Never {
            return;
        }
        let (owner, directory, snapshot) = self.cache_owner();
        let Some(owner) = owner else {
            return;
        };
        let known = texts_known_below(&directory, owner);
        if known.is_some() || texts.keep() == KeepTexts::Always {
            self.texts.begun.store(true, Ordering::Relaxed);
            if known.unwrap_or(0) < snapshot.uid_next().get() && !snapshot.is_empty() {
                self.complete_texts();
            }
        }
    }
    /// Has texts completed, if they are begun.
    pub(super) fn complete_texts(&self) {
        if self.texts.begun.load(Ordering::Relaxed)
            && let Some((texts, mailbox)) = self.texts.completed_by.get()
            && texts.keep() != KeepTexts::Never
            && let Some(mailbox) = mailbox.upgrade()
        {
            texts.complete(mailbox);
        }
    }
    /// Somebody searches for text: from now on it is kept, also of the messages that
    /// this search does not look into.
    pub fn begin_texts(&self) {
        self.texts.begun.store(true, Ordering::Relaxed);
        self.complete_texts();
    }
    /// Whether a message's text holds a string, as [`text_contains`] finds it. The text
    /// is kept when it is first looked into.
    pub fn text_contains(&self, uid: Uid, needle: &str, with_headers: WithHeaders) -> Result<bool> {
        let searched = match self.texts.keep() {
            KeepTexts::Never => Searched::TooLong,
            _ if !is_searchable(needle) => Searched::TooLong,
            _ => self.search_kept(uid, needle, with_headers)?,
        };
        match searched {
            Searched::Contains => Ok(true),
            Searched::Lacks => Ok(false),
            Searched::TooLong => {
                let message = self.open_message(uid)?;
                let summary = self.summary_of(uid, &message)?;
                text_contains(&message, &summary, needle, (with_headers, Folding::Full))
            }
        }
    }
    /// As [`Mailbox::text_contains`], by another comparison; `needle` is as it was written.
    /// What does not hold it folded does not hold it at all, so that only messages are
    /// read that do.
    pub fn text_contains_by(
        &self,
        uid: Uid,
        needle: &str,
        with_headers: WithHeaders,
        folding: Folding,
    ) -> Result<bool> {
        let holds = self.text_contains(uid, &fold(needle), with_headers)?;
        if !holds || folding == Folding::Full {
            return Ok(holds);
        }
        let message = self.open_message(uid)?;
        let summary = self.summary_of(uid, &message)?;
        let needle = folding.fold(needle);
        text_contains(&message, &summary, &needle, (with_headers, folding))
    }
    /// Gives `take` a message's text, folded and in pieces: all that
    /// [`Mailbox::text_contains`] looks into. A NUL stands where a field or part ends. The
    /// text is kept when it is first looked into.
    pub fn say_text(
        &self,
        uid: Uid,
        with_headers: WithHeaders,
        take: &mut dyn FnMut(&str),
    ) -> Result<()> {
        if self.texts.keep() != KeepTexts::Never {
            let kept = self.with_texts().search(uid, |kept| Some(kept.to_vec()));
            let kept = match kept {
                Some(kept) => kept,
                None => {
                    let text = self.read_text(uid)?;
                    self.summaries.lock().put_lacking_text(uid, text.octets());
                    text.octets().to_vec()
                }
            };
            if let Some(text) = kept_text(&kept, with_headers) {
                take(text);
                return Ok(());
            }
        }
        let message = self.open_message(uid)?;
        let summary = self.summary_of(uid, &message)?;
        say_folded(&message, &summary, with_headers, take)
    }
    /// Looks into a text that is kept, or is from now on.
    fn search_kept(&self, uid: Uid, needle: &str, with_headers: WithHeaders) -> Result<Searched> {
        let look = |kept: &[u8]| look(kept, needle, with_headers);
        if let Some(searched) = self.with_texts().search(uid, look) {
            return Ok(searched);
        }
        self.texts.made_by_searches.fetch_add(1, Ordering::Relaxed);
        let text = self.read_text(uid)?;
        self.summaries.lock().put_lacking_text(uid, text.octets());
        Ok(look(text.octets()).unwrap_or(Searched::TooLong))
    }
    fn read_text(&self, uid: Uid) -> Result<FoldedText> {
        let message = self.open_message(uid)?;
        let summary = self.summary_of(uid, &message)?;
        FoldedText::read(&message, &summary)
    }
    /// As [`Mailbox::summary`], of a message that is open.
    fn summary_of(&self, uid: Uid, message: &OpenedMessage) -> Result<Arc<Summary>> {
        if let Some(summary) = self.summaries().get(uid) {
            return Ok(summary);
        }
        let summary = Arc::new(Summary::read(message)?);
        self.summaries().put(uid, &summary);
        Ok(summary)
    }
    /// The summaries, with the file of texts opened.
    fn with_texts(&self) -> MutexGuard<'_, Summaries> {
        let summaries = self.summaries();
        if !summaries.texts_are_unopened() {
            return summaries;
        }
        drop(summaries);
        let opening = self.texts.opening.lock();
        if self.summaries.lock().texts_are_unopened() {
            let (owner, directory, snapshot) = self.cache_owner();
            let opened = owner.map(|owner| RecordFile::open_texts(&directory, owner, &snapshot));
            self.summaries.lock().take_texts(&directory, opened);
        }
        drop(opening);
        self.summaries.lock()
    }
    /// Makes the texts of these messages anew, whatever is kept; tells how many.
    ///
    /// # Errors
    /// When a message cannot be read, or nothing is kept, as while a server has the mailbox.
    pub fn remake_texts(&self, uids: &[Uid]) -> Result<usize> {
        let mut made = 0;
        for uid in uids {
            match self.read_text(*uid) {
                Ok(text) => {
                    let mut summaries = self.with_texts();
                    summaries.put_text(*uid, text.octets());
                    if !summaries.keeps_texts() {
                        return Err(Error::CannotDo("texts cannot be kept now"));
                    }
                    made += 1;
                }
                Err(Error::Expunged) => {}
                Err(error) => return Err(error),
            }
        }
        self.rest();
        Ok(made)
    }
}

/// What one step of a completion came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextStep {
    /// Some texts were made; more may lack.
    Made,
    /// Somebody searches here and makes them: it is better to come back later.
    Waits,
    /// No more can be done.
    Ended,
}

/// The texts of one mailbox being completed, in small steps: in between others have the
/// processor and the disk, and within a step nobody waits for more than a record being
/// written. What is made is kept; whatever ends a completion, the next goes on there.
#[derive(Debug)]
pub struct TextCompletion {
    mailbox: Arc<Mailbox>,
    /// The messages that were there when it began.
    snapshot: Option<Snapshot>,
    /// The next of them.
    next: usize,
    /// How many texts searches had made at the last step.
    made_by_searches: u64,
    /// Whether a message could not be read.
    has_failed: bool,
}

impl TextCompletion {
    pub(crate) fn new(mailbox: Arc<Mailbox>) -> Self {
        Self {
            made_by_searches: mailbox.texts.made_by_searches.load(Ordering::Relaxed),
            mailbox,
            snapshot: None,
            next: 0,
            has_failed: false,
        }
    }
    /// Makes some texts that lack.
    pub fn step(&mut self) -> TextStep {
        let mailbox = Arc::clone(&self.mailbox);
        if mailbox.is_gone() || mailbox.texts.keep() == KeepTexts::Never {
            return TextStep::Ended;
        }
        let made = mailbox.texts.made_by_searches.load(Ordering::Relaxed);
        if std::mem::replace(&mut self.made_by_searches, made) != made {
            return TextStep::Waits;
        }
        let Some(lacking) = self.lacking() else {
            return TextStep::Ended;
        };
        let mut octets = 0;
        for (uid, size_octets) in lacking {
            if octets >= STEP_OCTETS || mailbox.is_gone() {
                // Those that are left are found again.
                self.next = self.index_of(uid);
                return TextStep::Made;
            }
            match mailbox.read_text(uid) {
                Ok(text) => mailbox
                    .summaries
                    .lock()
                    .put_lacking_text(uid, text.octets()),
                Err(Error::Expunged) => {}
                Err(error) => {
                    self.has_failed = true;
                    tracing::debug!(%uid, %error, "its text is not kept");
                }
            }
            octets += size_octets;
        }
        self.end_step()
    }
    /// The next messages that lack texts, and their sizes; `None` if texts cannot be kept.
    fn lacking(&mut self) -> Option<Vec<(Uid, u64)>> {
        let summaries = self.mailbox.with_texts();
        if !summaries.can_keep_texts() {
            return None;
        }
        let known_below = summaries.texts_known_below();
        let snapshot = self.snapshot.get_or_insert_with(|| {
            let snapshot = self.mailbox.snapshot();
            self.next = Uid::new(known_below).map_or(0, |uid| snapshot.index_at_or_after(uid));
            snapshot
        });
        let mut lacking = Vec::new();
        for _ in 0..STEP_ROWS {
            let Some(row) = snapshot.row(self.next) else {
                break;
            };
            if lacking.len() >= STEP_MESSAGES {
                break;
            }
            if summaries.lacks_text(row.uid) {
                lacking.push((row.uid, row.size_octets));
            }
            self.next += 1;
        }
        Some(lacking)
    }
    fn index_of(&self, uid: Uid) -> usize {
        let snapshot = self.snapshot.as_ref();
        snapshot.map_or(0, |snapshot| snapshot.index_at_or_after(uid))
    }
    fn end_step(&self) -> TextStep {
        match &self.snapshot {
            Some(snapshot) if self.next >= snapshot.len() => {
                if !self.has_failed {
                    let mut summaries = self.mailbox.summaries.lock();
                    summaries.know_texts_below(snapshot.uid_next().get());
                }
                self.mailbox.rest();
                TextStep::Ended
            }
            _ => TextStep::Made,
        }
    }
}
