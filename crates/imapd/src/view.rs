//! [`View`]: what the client of a session knows of its mailbox, and how it
//! learns of changes (RFC 3501 sections 5.2 and 7.4.1, RFC 7162).

mod responses;
mod untold;

use crate::capability::Enabled;
use crate::contexts::{Context, Contexts, Known, Refused};
use crate::grammar::command::{FetchItem, Numbers, UidBatches};
use crate::grammar::sequence::{Bound, SequenceSet};
use crate::response::{Recent, Runs, Writer};
use crate::rules::Told;
use responses::{Expunges, News, recent, write_flag_list, write_news};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};
use store::mailbox::Subscription;
use store::{
    Account, Flags, Keyword, Mailbox, MailboxName, MessageRow, ModSeq, Result, Snapshot, Uid,
};
use untold::Untold;

/// How long a view trusts the store's picture when nobody asks for news.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// All system flags.
const SYSTEM_FLAGS: Flags = Flags(31);

/// How a mailbox was selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// By SELECT.
    ReadWrite,
    /// By EXAMINE.
    ReadOnly,
}

/// When to look at the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Now.
    Now,
    /// When the last look is a while ago.
    WhenDue,
    /// Not at all: who woke the session has published what there is, unless it could
    /// not.
    AtPublished,
}

/// What a client wants to be told of the selected mailbox, besides how many messages
/// there are and which are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Changed flags.
    pub flags: WantedFlags,
    /// Attributes of new messages, told by [`View::take_announced`].
    pub attributes: WantedAttributes,
}

/// Whether changed flags are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedFlags {
    /// They are not.
    None,
    /// They are.
    Plain,
    /// They are, with the UID (RFC 5465 section 5.1).
    WithUid,
}

/// Whether attributes of new messages are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedAttributes {
    /// They are not.
    None,
    /// Some of them.
    Some,
}

impl Wanted {
    /// What is told where NOTIFY was not used.
    pub const USUAL: Self = Self {
        flags: WantedFlags::Plain,
        attributes: WantedAttributes::None,
    };
}

/// A selected mailbox as its client knows it.
pub struct View {
    mailbox: Arc<Mailbox>,
    name: MailboxName,
    access: Access,
    /// What the client knows: sequence numbers are indices in it plus one.
    told: Snapshot,
    /// Mod-sequences of rows told since `told` was taken.
    told_later: HashMap<Uid, ModSeq>,
    /// Changes of flags in `told` that the client did not want to be told of.
    untold: Untold,
    /// Whether the client does not want to be told of changes of flags now.
    withholds: bool,
    /// The keywords the client was told of by FLAGS.
    keywords: Box<[Keyword]>,
    /// What is `\Recent` in this session.
    recent: BTreeSet<Uid>,
    /// The saved search result (RFC 5182), ascending.
    saved: Vec<Uid>,
    /// Searches that are kept up to date (RFC 5267).
    contexts: Contexts,
    /// What UIDBATCHES was asked last, and what changed since.
    batched: Option<Batched>,
    /// Messages that came by this session's doing, since it was told of any.
    own: BTreeSet<Uid>,
    /// Expunges are to be told that could not be when changes were told last.
    holds_back: bool,
    /// New messages whose attributes are to be told (RFC 5465 section 5.2).
    announced: Vec<Uid>,
    /// What this session copied and moved, and where to, since that was asked for.
    arrivals: Vec<(Arc<Mailbox>, Vec<Uid>)>,
    synced: Instant,
    _subscription: Subscription,
}

/// What UIDBATCHES was asked, and how many messages the client was told to have come and
/// gone since.
#[derive(Debug)]
struct Batched {
    asked: UidBatches,
    added: usize,
    expunged: usize,
}

/// New messages and what is to be told of them.
#[derive(Debug)]
pub struct Announced {
    /// Ascending indices of what was told.
    pub ranges: Vec<Range<usize>>,
    /// What is to be told, one item at least.
    pub items: Vec<FetchItem>,
}

/// Sequence numbers that no message has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfRange;

impl View {
    /// Selects a mailbox, whose changes wake the waker; read-write claims its new mail.
    pub fn open(
        account: &Account,
        name: MailboxName,
        access: Access,
        waker: &Waker,
        now: Instant,
    ) -> Result<Self> {
        let (mailbox, subscription) = account.watched_mailbox(&name, waker)?;
        let mut recent = BTreeSet::new();
        if access == Access::ReadWrite {
            recent.extend(mailbox.claim_recent()?);
        }
        let told = mailbox.snapshot();
        if access == Access::ReadOnly {
            recent.extend(told.recent_uids());
        }
        Ok(Self {
            mailbox,
            name,
            access,
            keywords: told.keywords().into(),
            told,
            told_later: HashMap::new(),
            untold: Untold::default(),
            withholds: false,
            recent,
            saved: Vec::new(),
            contexts: Contexts::default(),
            batched: None,
            own: BTreeSet::new(),
            holds_back: false,
            announced: Vec::new(),
            arrivals: Vec::new(),
            synced: now,
            _subscription: subscription,
        })
    }

    /// The mailbox.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }
    /// The name it was selected by.
    pub fn name(&self) -> &MailboxName {
        &self.name
    }
    /// How it was selected.
    pub fn access(&self) -> Access {
        self.access
    }
    /// What the client knows.
    pub fn told(&self) -> &Snapshot {
        &self.told
    }
    /// The saved search result, ascending.
    pub fn saved(&self) -> &[Uid] {
        &self.saved
    }
    /// Saves a search result, ascending.
    pub fn save(&mut self, uids: Vec<Uid>) {
        self.saved = uids;
    }
    /// The searches that are kept up to date.
    pub fn contexts(&self) -> &Contexts {
        &self.contexts
    }
    /// Ends updates of a search; says whether there was one of this tag.
    pub fn cancel_context(&mut self, tag: &str) -> bool {
        self.contexts.cancel(tag)
    }
    /// Keeps a search up to date whose results these are, in this snapshot.
    pub fn add_context(
        &mut self,
        context: Context,
        results: Vec<Uid>,
        snapshot: &Snapshot,
    ) -> std::result::Result<(), Refused> {
        self.contexts.add(context, results, (&self.told, snapshot))
    }
    /// Tells what came to the results of searches, and went; what came and has attributes
    /// to be told waits for [`View::tell_held`].
    pub fn update_contexts(&mut self, now_seconds: i64, out: &mut Writer) -> Result<()> {
        let (contexts, known) = self.contexts_and_known(now_seconds);
        contexts.update(&known, out)
    }
    /// Tells what came to the results of searches after its attributes were told.
    pub fn tell_held(&mut self, now_seconds: i64, out: &mut Writer) -> Result<()> {
        let (contexts, known) = self.contexts_and_known(now_seconds);
        contexts.tell_held(&known, out)
    }
    /// The searches that are kept up to date, and what they are to know.
    fn contexts_and_known(&mut self, now_seconds: i64) -> (&mut Contexts, Known<'_>) {
        let known = Known {
            mailbox: &self.mailbox,
            told: &self.told,
            recent: &self.recent,
            now_seconds,
        };
        (&mut self.contexts, known)
    }
    /// Whether UIDBATCHES may be answered: not the same again before more than half a
    /// batch came or went (RFC 10022 section 3.1.1). Notes that it was.
    pub fn may_batch(&mut self, asked: UidBatches) -> bool {
        let half = usize::try_from(asked.size.get() / 2).unwrap_or(usize::MAX);
        let is_again = self.batched.as_ref().is_some_and(|batched| {
            batched.asked == asked && batched.added <= half && batched.expunged <= half
        });
        if !is_again {
            self.batched = Some(Batched {
                asked,
                added: 0,
                expunged: 0,
            });
        }
        !is_again
    }

    /// Messages came to this mailbox by this session's doing.
    pub fn note_own(&mut self, uids: &[Uid]) {
        self.own.extend(uids);
    }
    /// Notes what a command copied or moved, and where to.
    pub fn note_arrivals(&mut self, mailbox: Arc<Mailbox>, uids: Vec<Uid>) {
        self.arrivals.push((mailbox, uids));
    }
    /// Takes what was noted.
    pub fn take_arrivals(&mut self) -> Vec<(Arc<Mailbox>, Vec<Uid>)> {
        std::mem::take(&mut self.arrivals)
    }
    /// Whether there are new messages whose attributes are to be told. They wait until it
    /// is known to the results of which searches they came.
    pub fn has_announced(&self) -> bool {
        let comes = !self.announced.is_empty() || self.contexts.has_arrivals();
        comes && !self.contexts.is_behind()
    }
    /// Takes them, without those that are gone, and what is to be told of them: what NOTIFY
    /// names and what searches name whose results they are, together (RFC 5465 section 5.2).
    pub fn take_announced(&mut self, notify_items: &[FetchItem]) -> VecDeque<Announced> {
        /// Stands for NOTIFY, beside a bit for each search.
        const NOTIFY: u16 = 1 << u8::BITS;
        let arrivals = self.contexts.take_arrivals().into_iter();
        let mut wanted: BTreeMap<Uid, u16> =
            arrivals.map(|(uid, bits)| (uid, u16::from(bits))).collect();
        for uid in std::mem::take(&mut self.announced) {
            *wanted.entry(uid).or_default() |= NOTIFY;
        }
        let mut alike: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
        for (uid, bits) in wanted {
            if let Some(index) = self.told.index_of(uid) {
                alike.entry(bits).or_default().push(index);
            }
        }
        let announced = alike.into_iter().map(|(bits, indices)| {
            let mut items = Vec::new();
            if bits & NOTIFY != 0 {
                items.extend_from_slice(notify_items);
            }
            let searches = u8::try_from(bits & !NOTIFY).unwrap_or_default();
            self.contexts.items_of(searches, &mut items);
            Announced {
                ranges: gather(indices),
                items,
            }
        });
        announced
            .filter(|announced| !announced.items.is_empty())
            .collect()
    }
    /// Whether expunges are to be told that could not be when changes were told last.
    pub fn holds_back(&self) -> bool {
        self.holds_back
    }
    /// Whether a message is `\Recent` in this session.
    pub fn is_recent(&self, uid: Uid) -> bool {
        self.recent.contains(&uid)
    }
    /// How many messages the client knows are `\Recent` in this session.
    pub fn recent_count(&self) -> usize {
        self.recent
            .iter()
            .filter(|uid| self.told.index_of(**uid).is_some())
            .count()
    }
    /// Whether the mailbox was deleted.
    pub fn is_gone(&self) -> bool {
        self.mailbox.is_gone()
    }

    /// The messages a set names, as ascending index ranges of what was told.
    /// UIDs that are not there are passed over; sequence numbers must exist.
    pub fn resolve(
        &self,
        set: &SequenceSet,
        numbers: Numbers,
    ) -> std::result::Result<Vec<Range<usize>>, OutOfRange> {
        if *set == SequenceSet::Saved {
            let indices = self.saved.iter().filter_map(|uid| self.told.index_of(*uid));
            return Ok(gather(indices));
        }
        let count = self.told.len();
        if numbers == Numbers::Sequence {
            let largest = u32::try_from(count).unwrap_or(u32::MAX);
            if set.largest_written() > largest || (set.has_star() && count == 0) {
                return Err(OutOfRange);
            }
            return Ok(set
                .resolve(largest)
                .into_iter()
                .map(|range| {
                    let first = index(*range.start()).saturating_sub(1);
                    first..index(*range.end()).min(count)
                })
                .collect());
        }
        Ok(set
            .resolve(self.largest_uid())
            .into_iter()
            .map(|range| {
                let after = range.end().checked_add(1).and_then(Uid::new);
                self.at_or_after(Uid::new(*range.start()))..self.at_or_after(after)
            })
            .filter(|range| !range.is_empty())
            .collect())
    }

    /// The message that has this number; `None` if none has.
    pub fn find(&self, number: Bound, numbers: Numbers) -> Option<Uid> {
        let index = match (number, numbers) {
            (Bound::Star, _) => self.told.len().checked_sub(1)?,
            (Bound::Number(uid), Numbers::Uid) => self.told.index_of(uid)?,
            (Bound::Number(number), Numbers::Sequence) => index(number.get()).checked_sub(1)?,
        };
        self.told.row(index).map(|row| row.uid)
    }

    /// The largest UID the client knows, 0 if there is none.
    pub fn largest_uid(&self) -> u32 {
        self.told.last_uid().map_or(0, |uid| uid.get())
    }

    fn at_or_after(&self, uid: Option<Uid>) -> usize {
        uid.map_or(self.told.len(), |uid| self.told.index_at_or_after(uid))
    }

    /// The UIDs at indices of what was told.
    pub fn uids(&self, ranges: &[Range<usize>]) -> Vec<Uid> {
        ranges
            .iter()
            .cloned()
            .flatten()
            .filter_map(|index| self.told.row(index))
            .map(|row| row.uid)
            .collect()
    }

    /// Whether the client knows a row as it is at this mod-sequence.
    pub fn knows(&self, uid: Uid, modseq: ModSeq) -> bool {
        match self.told_later.get(&uid) {
            Some(told) => *told >= modseq,
            None => {
                let row = self.told.of_uid(uid);
                row.is_some_and(|row| row.modseq >= modseq) && !self.untold.hides(uid, modseq)
            }
        }
    }

    /// Notes that the client knows a row as it is at this mod-sequence.
    pub fn note(&mut self, uid: Uid, modseq: ModSeq) {
        self.untold.show(modseq);
        if !self.knows(uid, modseq) {
            self.told_later.insert(uid, modseq);
            self.untold.drop_of(uid);
        }
    }

    /// Whether telling what was published needs the disk: there is new mail to claim,
    /// or it was not published, or the mailbox is to be left.
    pub fn must_touch_disk(&self) -> bool {
        let claims = || self.access == Access::ReadWrite && self.mailbox.is_claimable();
        self.mailbox.is_behind() || self.is_gone() || claims()
    }

    /// Looks for changes on disk, as far as asked for.
    pub fn look(&mut self, look: Look, now: Instant) -> Result<()> {
        let looks = match look {
            Look::Now => true,
            Look::WhenDue => now.saturating_duration_since(self.synced) >= SYNC_INTERVAL,
            Look::AtPublished => self.mailbox.is_behind(),
        };
        if looks {
            self.synced = now;
            self.mailbox.sync()?;
        }
        Ok(())
    }

    /// Tells the client what changed, as far as permitted and wanted.
    pub fn tell(
        &mut self,
        told: Told,
        enabled: Enabled,
        wanted: Wanted,
        out: &mut Writer,
    ) -> Result<()> {
        if told == Told::Nothing {
            return Ok(());
        }
        let mut current = self.mailbox.snapshot();
        self.tell_keywords(&current, out);
        let mut difference = self.told.difference(&current);
        let news = difference.added.clone();
        let claimable = news
            .filter_map(|index| current.row(index))
            .any(|row| row.recent);
        if claimable && self.access == Access::ReadWrite {
            self.recent.extend(self.mailbox.claim_recent()?);
            current = self.mailbox.snapshot();
            difference = self.told.difference(&current);
        }
        self.holds_back = told == Told::NotExpunges && !difference.expunged.is_empty();
        if self.holds_back {
            // Only what went cannot be told: what came is, by numbers behind those of all
            // that the client knows (RFC 3501 section 5.2, RFC 5465 section 5.2).
            let known = self.told.len();
            let shown = self.told.with_added(&current, difference.added);
            self.tell_added(&shown, known..shown.len(), (enabled, wanted), out);
            self.told = shown;
            let mut news = Vec::new();
            for uid in self.to_tell(difference.changed, wanted.flags) {
                let row = current
                    .index_of(uid)
                    .and_then(|index| Some((index, current.row(index)?)));
                if let (Some((index, row)), Some(known)) = (row, self.told.index_of(uid))
                    && self.is_news(&row, enabled)
                {
                    news.push(self.news(known, index, uid));
                    self.note(uid, row.modseq);
                }
            }
            write_news(news, &current, (enabled, wanted.flags), out);
            self.settle(enabled, out);
            return Ok(());
        }
        if let Some(batched) = &mut self.batched {
            batched.expunged = batched.expunged.saturating_add(difference.expunged.len());
        }
        self.tell_expunged(&difference.expunged, enabled, out);
        self.tell_added(&current, difference.added, (enabled, wanted), out);
        if wanted.flags == WantedFlags::None {
            for uid in &difference.changed {
                if let Some(row) = current.of_uid(*uid)
                    && !self.knows(*uid, row.modseq)
                {
                    self.untold.keep(*uid, row.modseq);
                }
            }
        }
        let mut news = Vec::new();
        for uid in self.to_tell(difference.changed, wanted.flags) {
            let index = current.index_of(uid);
            let row = index.and_then(|index| Some((index, current.row(index)?)));
            if let Some((index, row)) = row
                && self.is_news(&row, enabled)
            {
                news.push(self.news(index, index, uid));
                self.untold.show(row.modseq);
            }
        }
        write_news(news, &current, (enabled, wanted.flags), out);
        if wanted.flags != WantedFlags::None {
            self.untold.clear();
        }
        self.told = current;
        self.told_later.clear();
        self.settle(enabled, out);
        Ok(())
    }

    /// Tells of the messages at these indices of what is shown from now on, the last ones of
    /// all, that they came.
    fn tell_added(
        &mut self,
        shown: &Snapshot,
        added: Range<usize>,
        (enabled, wanted): (Enabled, Wanted),
        out: &mut Writer,
    ) {
        if added.is_empty() {
            return;
        }
        if let Some(batched) = &mut self.batched {
            batched.added = batched.added.saturating_add(added.len());
        }
        let rows = || added.clone().filter_map(|index| shown.row(index));
        if self.access == Access::ReadOnly {
            let recent = rows().filter(|row| row.recent);
            self.recent.extend(recent.map(|row| row.uid));
        }
        let is_shown = |uid: &&Uid| shown.index_of(**uid).is_some();
        let recent = self.recent.iter().filter(is_shown).count();
        out.text("* ").number(shown.len() as u64).text(" EXISTS");
        out.crlf();
        if !enabled.rev2() {
            out.text("* ").number(recent as u64).text(" RECENT").crlf();
        }
        let own = std::mem::take(&mut self.own);
        let others = rows().map(|row| row.uid).filter(|uid| !own.contains(uid));
        if wanted.attributes == WantedAttributes::Some {
            self.announced.extend(others.clone());
        }
        self.contexts.note_arrived(others);
    }

    /// Tells the flags there are, if there are keywords the client was not told of
    /// (RFC 3501 section 7.2.6).
    pub fn tell_new_keywords(&mut self, out: &mut Writer) {
        self.tell_keywords(&self.mailbox.snapshot(), out);
    }

    fn tell_keywords(&mut self, current: &Snapshot, out: &mut Writer) {
        if *self.keywords != *current.keywords() {
            self.keywords = current.keywords().into();
            self.write_flag_names(current, out);
        }
    }

    /// FLAGS and PERMANENTFLAGS, with `\*` while there can be further keywords
    /// (RFC 3501 section 7.1).
    pub fn write_flag_names(&self, current: &Snapshot, out: &mut Writer) {
        let keywords = || self.keywords.iter().map(|keyword| &**keyword);
        out.text("* FLAGS ")
            .flags(SYSTEM_FLAGS, Recent::No, keywords())
            .crlf();
        out.text("* OK [PERMANENTFLAGS ");
        match self.access {
            Access::ReadWrite => {
                let mut flags = Writer::new();
                flags.flags(SYSTEM_FLAGS, Recent::No, keywords());
                let flags = String::from_utf8_lossy(flags.octets()).into_owned();
                out.text(flags.trim_end_matches(')'));
                out.text(if current.takes_keywords() {
                    " \\*)"
                } else {
                    ")"
                });
            }
            Access::ReadOnly => {
                out.text("()");
            }
        }
        out.text("] ").human("Flags that can be stored").crlf();
    }

    /// Whether the client is to be told of a row.
    fn is_news(&self, row: &MessageRow<'_>, enabled: Enabled) -> bool {
        !self.knows(row.uid, row.modseq) && (enabled.condstore() || self.flags_differ(row))
    }

    fn news(&self, known: usize, index: usize, uid: Uid) -> News {
        News {
            known,
            index,
            recent: recent(self.is_recent(uid)),
        }
    }

    /// Whether a row's flags are not those of `told`.
    fn flags_differ(&self, row: &MessageRow<'_>) -> bool {
        self.told_later.contains_key(&row.uid)
            || self.untold.has(row.uid)
            || self
                .told
                .index_of(row.uid)
                .and_then(|index| self.told.row(index))
                .is_none_or(|old| old.flags != row.flags || old.keywords != row.keywords)
    }

    fn tell_expunged(&mut self, expunged: &[usize], enabled: Enabled, out: &mut Writer) {
        if expunged.is_empty() {
            return;
        }
        self.contexts.remove_expunged(&self.told, expunged, out);
        let uids: Vec<Uid> = expunged
            .iter()
            .filter_map(|index| self.told.row(*index))
            .map(|row| row.uid)
            .collect();
        if enabled.vanished() {
            let gone = Runs::new(uids.iter().map(|uid| uid.get()));
            out.text("* VANISHED ").produced(gone).crlf();
        } else {
            out.produced(Expunges(expunged.to_vec()));
        }
        for uid in &uids {
            self.recent.remove(uid);
            self.untold.drop_of(*uid);
        }
        self.saved.retain(|uid| uids.binary_search(uid).is_err());
    }

    /// A row's flags as a list.
    pub fn write_flag_list(&self, snapshot: &Snapshot, row: &MessageRow<'_>, out: &mut Writer) {
        write_flag_list(snapshot, row, recent(self.is_recent(row.uid)), out);
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Ascending indices as ranges.
pub fn gather(indices: impl IntoIterator<Item = usize>) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for index in indices {
        match ranges.last_mut() {
            Some(range) if range.end == index => range.end = index + 1,
            _ => ranges.push(index..index + 1),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::gather;

    #[test]
    fn gathers_runs() {
        assert_eq!(gather([0, 1, 2, 5, 7, 8]), [0..3, 5..6, 7..9]);
        assert!(gather([]).is_empty());
    }
}
