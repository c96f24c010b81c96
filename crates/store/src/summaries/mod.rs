//! Summaries of a mailbox's messages, and what protocols make of them, kept so that
//! listing a mailbox opens no message.

mod codec;
mod file;
mod inspect;

pub(crate) use codec::encode;
pub(crate) use file::{Owner, RecordFile, is_long, texts_known_below};
pub use inspect::{TextFault, TextFileFault, TextFindings, inspect_texts};

use crate::message::Summary;
use crate::{Snapshot, Uid};
use file::Kind;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

/// How many are in memory, for commands that come back to a message.
const IN_MEMORY: usize = 32;

/// The summaries and listings of a mailbox: a few in memory, all that were ever read in
/// files.
#[derive(Debug, Default)]
pub(crate) struct Summaries {
    latest: VecDeque<(Uid, Arc<Summary>)>,
    summaries: Kept,
    listings: Kept,
    /// Opened when somebody sorts or threads.
    sorting: Kept,
    /// Opened when somebody searches, not before: who never does has none.
    texts: Kept,
}

#[derive(Debug, Default)]
enum Kept {
    /// Nobody asked yet.
    #[default]
    Unopened,
    /// The file cannot be used, or is another process's.
    Nowhere,
    In(RecordFile),
}

impl Kept {
    fn open(directory: &Path, kind: Kind, owner: Owner, snapshot: &Snapshot) -> Self {
        let opened = RecordFile::open(directory, kind, owner, snapshot);
        Self::taken(directory, kind, opened)
    }
    fn taken(directory: &Path, kind: Kind, opened: std::io::Result<RecordFile>) -> Self {
        match opened {
            Ok(file) => Self::In(file),
            Err(error) => {
                tracing::warn!(directory = %directory.display(), %error, ?kind, "not kept");
                Self::Nowhere
            }
        }
    }
    fn get<T>(&mut self, uid: Uid, take: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        match self {
            Self::In(file) => file.get(uid, take),
            _ => None,
        }
    }
    /// Whether there is a record of a message, as far as one knows without reading it.
    fn knows(&self, uid: Uid) -> bool {
        matches!(self, Self::In(file) if file.knows(uid))
    }
    /// Works on the file, and does without it where that fails.
    fn update(&mut self, work: impl FnOnce(&mut RecordFile) -> std::io::Result<()>) {
        if let Self::In(file) = self
            && let Err(error) = work(file)
        {
            tracing::warn!(%error, "summaries are not kept any more");
            *self = Self::Nowhere;
        }
    }
}

impl Summaries {
    /// Whether the files are still to be opened.
    pub(crate) fn is_unopened(&self) -> bool {
        matches!(self.summaries, Kept::Unopened)
    }
    /// Opens the files, or does without.
    pub(crate) fn open(&mut self, directory: &Path, owner: Owner, snapshot: &Snapshot) {
        self.summaries = Kept::open(directory, Kind::Summaries, owner, snapshot);
        self.listings = Kept::open(directory, Kind::Listings, owner, snapshot);
    }
    /// Does without files.
    pub(crate) fn do_without(&mut self) {
        self.summaries = Kept::Nowhere;
        self.listings = Kept::Nowhere;
        self.sorting = Kept::Nowhere;
        self.texts = Kept::Nowhere;
    }
    /// Whether the file of what messages are sorted by is still to be opened.
    pub(crate) fn sorting_is_unopened(&self) -> bool {
        matches!(self.sorting, Kept::Unopened)
    }
    /// Opens that file, or does without.
    pub(crate) fn open_sorting(&mut self, directory: &Path, owner: Owner, snapshot: &Snapshot) {
        self.sorting = Kept::open(directory, Kind::Sorting, owner, snapshot);
    }
    /// What `take` makes of what a message is sorted by, if that is kept.
    pub(crate) fn sorting<T>(
        &mut self,
        uid: Uid,
        take: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Option<T> {
        self.sorting.get(uid, take)
    }
    /// Keeps what a message is sorted by.
    pub(crate) fn put_sorting(&mut self, uid: Uid, octets: &[u8]) {
        self.sorting.update(|file| file.put(uid, octets));
    }
    /// Whether the file of texts is still to be opened.
    pub(crate) fn texts_are_unopened(&self) -> bool {
        matches!(self.texts, Kept::Unopened)
    }
    /// Takes the file of texts as it was opened, or does without.
    pub(crate) fn take_texts(
        &mut self,
        directory: &Path,
        opened: Option<std::io::Result<RecordFile>>,
    ) {
        self.texts = match opened {
            Some(opened) => Kept::taken(directory, Kind::Texts, opened),
            None => Kept::Nowhere,
        };
    }
    /// Whether texts are kept.
    pub(crate) fn keeps_texts(&self) -> bool {
        matches!(self.texts, Kept::In(_))
    }
    /// Whether further texts can be kept.
    pub(crate) fn can_keep_texts(&self) -> bool {
        matches!(&self.texts, Kept::In(file) if !file.is_full())
    }
    /// Looks into a message's text, if that is kept.
    pub(crate) fn search<T>(
        &mut self,
        uid: Uid,
        look: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Option<T> {
        self.texts.get(uid, look)
    }
    /// Whether a message's text is to be made: it could be kept, and is not.
    pub(crate) fn lacks_text(&self, uid: Uid) -> bool {
        matches!(&self.texts, Kept::In(file) if !file.has(uid))
    }
    /// Keeps a message's text, if it was lacking.
    pub(crate) fn put_lacking_text(&mut self, uid: Uid, text: &[u8]) {
        if self.lacks_text(uid) {
            self.put_text(uid, text);
        }
    }
    /// Keeps a message's text, in place of what was kept.
    pub(crate) fn put_text(&mut self, uid: Uid, text: &[u8]) {
        self.texts.update(|file| file.put(uid, text));
    }
    /// Below this UID all messages' texts are kept.
    pub(crate) fn texts_known_below(&self) -> u32 {
        match &self.texts {
            Kept::In(file) => file.known_below(),
            _ => 0,
        }
    }
    /// Notes that below this UID all messages' texts are kept.
    pub(crate) fn know_texts_below(&mut self, uid: u32) {
        self.texts.update(|file| file.know_below(uid));
    }
    /// A message's summary, if it is known.
    pub(crate) fn get(&mut self, uid: Uid) -> Option<Arc<Summary>> {
        if let Some((_, summary)) = self.latest.iter().find(|(other, _)| *other == uid) {
            return Some(Arc::clone(summary));
        }
        let summary = Arc::new(self.summaries.get(uid, codec::decode)?);
        self.remember(uid, &summary);
        Some(summary)
    }
    /// Whether a record of a summary or listing is short enough to be kept.
    pub(crate) fn takes(octets: &[u8]) -> bool {
        octets.len()
            <= Kind::Summaries
                .record_octets()
                .min(Kind::Listings.record_octets())
    }
    /// Whether summaries are kept of messages that have none yet.
    pub(crate) fn keeps(&self) -> bool {
        matches!(&self.summaries, Kept::In(file) if file.has_room())
    }
    /// Whether a message's summary is kept.
    pub(crate) fn knows(&self, uid: Uid) -> bool {
        self.summaries.knows(uid)
    }
    /// The listed header of a message's summary, if that is known.
    pub(crate) fn listed_header(&mut self, uid: Uid) -> Option<Option<Vec<u8>>> {
        self.summaries.get(uid, codec::decode_listed_header)
    }
    /// The preview of a message's summary, if that is known.
    pub(crate) fn preview(&mut self, uid: Uid) -> Option<String> {
        if let Some((_, summary)) = self.latest.iter().find(|(other, _)| *other == uid) {
            return Some(summary.preview.clone());
        }
        self.summaries.get(uid, codec::decode_preview)
    }
    /// Keeps a message's summary.
    pub(crate) fn put(&mut self, uid: Uid, summary: &Arc<Summary>) {
        self.remember(uid, summary);
        self.put_encoded(uid, &encode(summary));
    }
    /// Keeps a message's summary, as [`encode`] has it.
    pub(crate) fn put_encoded(&mut self, uid: Uid, encoded: &[u8]) {
        self.summaries.update(|file| file.put(uid, encoded));
    }
    /// A message's listing, if it is kept.
    pub(crate) fn listing(&mut self, uid: Uid) -> Option<Vec<u8>> {
        self.listings.get(uid, |octets| Some(octets.to_vec()))
    }
    /// Keeps a message's listing.
    pub(crate) fn put_listing(&mut self, uid: Uid, listing: &[u8]) {
        self.listings.update(|file| file.put(uid, listing));
    }
    fn remember(&mut self, uid: Uid, summary: &Arc<Summary>) {
        if self.latest.len() >= IN_MEMORY {
            self.latest.pop_front();
        }
        self.latest.push_back((uid, Arc::clone(summary)));
    }
    /// Writes what is to be written and gives memory back.
    pub(crate) fn rest(&mut self) {
        self.latest = VecDeque::new();
        self.summaries.update(RecordFile::rest);
        self.listings.update(RecordFile::rest);
        self.sorting.update(RecordFile::rest);
        self.texts.update(RecordFile::rest);
    }
}

impl Drop for Summaries {
    fn drop(&mut self) {
        self.rest();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UidValidity;
    use crate::disk::simulated::{EIO, Fault, Simulated};

    const NAME: &str = "pillarbox.summaries";

    fn snapshot(uids: impl Iterator<Item = u32>) -> Snapshot {
        let rows = uids.map(|uid| crate::MessageRow {
            uid: Uid::new(uid).unwrap(),
            flags: crate::Flags::default(),
            recent: false,
            keywords: &[],
            modseq: 1,
            size_octets: 1,
            unended_octets: 0,
            internal_date: crate::InternalDate(0),
            unique_name: "x",
            in_new: false,
            suffix: ":2,",
            listed: crate::snapshot::Listed::default(),
        });
        Snapshot {
            uid_validity: UidValidity::new(7).unwrap(),
            uid_next: Uid::MAX,
            highest_modseq: 1,
            keywords: Arc::default(),
            rows: rows.collect(),
        }
    }

    fn summary(number: u32) -> Arc<Summary> {
        let id = "y".repeat(500);
        let text = format!("Subject: {number}\r\nMessage-ID: <{id}>\r\n\r\ntext\r\n");
        Arc::new(crate::message::tests_scan(text.as_bytes()))
    }

    fn subject(summary: &Summary) -> String {
        String::from_utf8(summary.envelope.subject.clone().unwrap()).unwrap()
    }

    fn owner(guid: u8) -> Owner {
        Owner {
            uid_validity: UidValidity::new(7).unwrap(),
            guid: [guid; 16],
        }
    }

    fn opened(directory: &Path, guid: u8, snapshot: &Snapshot) -> Summaries {
        let mut summaries = Summaries::default();
        summaries.open(directory, owner(guid), snapshot);
        summaries
    }

    fn kept(summaries: &mut Summaries, uids: std::ops::Range<u32>) -> usize {
        let found = uids.filter(|uid| {
            let found = summaries.get(Uid::new(*uid).unwrap());
            found.is_some_and(|found| subject(&found) == uid.to_string())
        });
        found.count()
    }

    #[test]
    fn summaries_survive_closing_and_are_the_mailboxs_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let all = snapshot(1..301);
        let mut summaries = opened(path, 1, &all);
        for uid in 1..301 {
            summaries.put(Uid::new(uid).unwrap(), &summary(uid));
        }
        assert_eq!(kept(&mut summaries, 1..301), 300);
        drop(summaries);
        assert_eq!(kept(&mut opened(path, 1, &all), 1..301), 300);
        // Messages that are gone are forgotten.
        assert_eq!(kept(&mut opened(path, 1, &snapshot(1..11)), 1..301), 10);
        assert_eq!(kept(&mut opened(path, 2, &all), 1..301), 0);
        assert_eq!(kept(&mut opened(path, 1, &all), 1..301), 0);
    }

    #[test]
    fn torn_and_overwritten_files_cost_only_what_is_torn() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let all = snapshot(1..11);
        let mut summaries = opened(path, 1, &all);
        for uid in 1..11 {
            summaries.put(Uid::new(uid).unwrap(), &summary(uid));
        }
        drop(summaries);
        let whole = std::fs::read(path.join(NAME)).unwrap();
        for cut in (0..whole.len()).step_by(7) {
            std::fs::write(path.join(NAME), &whole[..cut]).unwrap();
            let mut summaries = opened(path, 1, &all);
            let before = kept(&mut summaries, 1..11);
            assert!(before <= cut * 10 / whole.len());
            summaries.put(Uid::new(10).unwrap(), &summary(10));
            drop(summaries);
            let again = kept(&mut opened(path, 1, &all), 1..11);
            // Zeros that were cut off are filled in again.
            let expected = before + usize::from(before < 10);
            assert!((expected..=expected + 1).contains(&again), "{cut}: {again}");
            let mut zeroed = whole.clone();
            zeroed[cut] ^= 0x55;
            std::fs::write(path.join(NAME), zeroed).unwrap();
            kept(&mut opened(path, 1, &all), 1..11);
        }
    }

    #[test]
    fn a_file_mostly_of_expunged_messages_is_written_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let all = snapshot(1..8001);
        let mut summaries = opened(path, 1, &all);
        for uid in 1..8001 {
            summaries.put(Uid::new(uid).unwrap(), &summary(uid));
        }
        drop(summaries);
        let long = std::fs::metadata(path.join(NAME)).unwrap().len();
        let few = snapshot(7001..8001);
        assert_eq!(kept(&mut opened(path, 1, &few), 7001..8001), 1000);
        let short = std::fs::metadata(path.join(NAME)).unwrap().len();
        assert!(short * 7 < long, "{short} of {long}");
        assert_eq!(kept(&mut opened(path, 1, &few), 7001..8001), 1000);
    }

    #[test]
    fn a_failing_disk_costs_only_the_cache() {
        let disk = Simulated::new();
        let path = disk.root();
        let all = snapshot(1..11);
        let mut summaries = opened(&path, 1, &all);
        disk.arm(Some(Fault::Fail {
            operation: 0,
            errno: EIO,
            lasting: true,
        }));
        for uid in 1..11 {
            summaries.put(Uid::new(uid).unwrap(), &summary(uid));
        }
        summaries.rest();
        assert_eq!(kept(&mut summaries, 1..11), 0);
        assert_eq!(kept(&mut opened(&path, 1, &all), 1..11), 0);
    }
}
