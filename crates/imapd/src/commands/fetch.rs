//! FETCH (RFC 3501 section 6.4.5): message after message, in bounded memory.

mod ahead;
mod binary;
mod names;
mod promised;
mod response;
mod seen;

use super::chunk;
use super::listing::Listing;
use super::select::write_vanished_earlier;
use super::{Outcome, Ran};
use crate::capability::Enabled;
use crate::dialect::Messages;
use crate::grammar::command::{Fetch, FetchItem, Numbers, Vanished};
use crate::limit::{Cut, MessageLimit, Reached, descending};
use crate::response::{More, Writer};
use crate::view::{Announced, View, gather};
use ahead::Ahead;
use response::Response;
use seen::Seen;
use std::collections::{HashSet, VecDeque};
use std::ops::Range;
use store::message::StoredText;
use store::{Error, FlagAction, Flags, MessageRow, Snapshot, Uid};

/// How many messages are marked `\Seen` at once.
const CHUNK_MESSAGES: usize = 32;
/// How many are summarised at once.
const SUMMARISED_MESSAGES: usize = 256;

/// A FETCH under way.
pub struct Fetching {
    ranges: VecDeque<Range<usize>>,
    items: Vec<FetchItem>,
    changed_since: Option<u64>,
    seen: Seen,
    chunk: VecDeque<usize>,
    /// The mailbox as it is when the chunk is taken.
    current: Option<Snapshot>,
    /// Messages of the chunk that became `\Seen` by this command.
    now_seen: HashSet<Uid>,
    /// The message that is read.
    stored: StoredText,
    /// The tagged reply if nothing goes wrong.
    reply: String,
    /// The first thing that went wrong.
    failure: Option<Outcome>,
    /// More messages were named than it may work on.
    reached: Option<Reached>,
}

impl Fetching {
    fn new(ranges: Vec<Range<usize>>, items: Vec<FetchItem>, reply: String) -> Self {
        Self {
            ranges: ranges.into(),
            items,
            changed_since: None,
            seen: Seen::Leave,
            chunk: VecDeque::new(),
            current: None,
            now_seen: HashSet::new(),
            stored: StoredText::default(),
            reply,
            failure: None,
            reached: None,
        }
    }

    /// Tells what a STORE did, then replies so.
    pub fn stored((ranges, reached): Cut, items: Vec<FetchItem>, reply: String) -> Self {
        Self {
            reached,
            ..Self::new(ranges, items, reply)
        }
    }

    /// Tells the flags that changed after a mod-sequence, then replies OK.
    pub fn changes(view: &View, ranges: Vec<Range<usize>>, modseq: u64, text: &str) -> Self {
        let items = vec![FetchItem::Uid, FetchItem::Flags, FetchItem::ModSeq];
        Self {
            changed_since: Some(modseq),
            ..Self::new(
                changed_among(view, &ranges, modseq),
                items,
                format!("OK {text}"),
            )
        }
    }

    /// Tells attributes of new messages that were asked for beforehand (RFC 5465).
    pub fn unasked(view: &View, announced: Announced, enabled: Enabled) -> Self {
        let Announced { ranges, mut items } = announced;
        if enabled.condstore() && items.contains(&FetchItem::Flags) {
            // RFC 7162 sections 3.1 and 3.2.4, for responses nobody asked for.
            let is_uid_told = enabled.dialect().messages == Messages::ByUid;
            if !is_uid_told && !items.contains(&FetchItem::Uid) {
                items.insert(0, FetchItem::Uid);
            }
            if !items.contains(&FetchItem::ModSeq) {
                items.push(FetchItem::ModSeq);
            }
        }
        Self {
            seen: Seen::by(&items, view),
            ..Self::new(ranges, items, String::new())
        }
    }

    /// The tagged reply without its tag.
    pub fn reply(&self) -> String {
        self.reply.clone()
    }

    /// Ends it.
    pub fn into_failure(self, out: &mut Writer) -> Result<String, Outcome> {
        match (self.failure, self.reached) {
            (None, None) => Ok(self.reply),
            (None, Some(reached)) => Ok(reached.told_in(&self.reply, out)),
            (Some(failure), None) => Err(failure),
            (Some(failure), Some(reached)) => Err(reached.told_with(failure, out)),
        }
    }

    /// Writes the next message's response, unless it is at its end.
    pub fn next(&mut self, view: &mut View, enabled: Enabled, out: &mut Writer) -> More {
        loop {
            let Some(index) = self.chunk.pop_front() else {
                if !self.refill(view) {
                    return More::Nothing;
                }
                continue;
            };
            let current = self.current.take();
            let told = view.told().clone();
            let now = current.as_ref().unwrap_or(&told);
            let written = told.row(index).and_then(|old| {
                let there = now.row_of(old.uid, index).map(|row| (row, now));
                let (row, snapshot) = there.unwrap_or((old, &told));
                let is_old = |modseq| row.modseq <= modseq;
                if self.changed_since.is_some_and(is_old) {
                    return None;
                }
                let mark = out.mark();
                let written = self.respond(view, enabled, index, (row, snapshot), out);
                if written.is_err() {
                    out.rewind(mark);
                }
                Some((written, row.uid, row.modseq))
            });
            self.current = current;
            match written {
                None => {}
                Some((Ok(flags_told), uid, modseq)) => {
                    if flags_told {
                        view.note(uid, modseq);
                    } else if self.items.contains(&FetchItem::ModSeq) {
                        view.note_shown(modseq);
                    }
                    return More::Follows;
                }
                Some((Err(Error::Expunged | Error::NonExistent), ..)) => {
                    self.fail(Outcome::no(
                        "[EXPUNGEISSUED] Some of the messages were expunged",
                    ));
                }
                Some((Err(error), ..)) => self.fail(error.into()),
            }
        }
    }

    /// Writes one message's response, or part of it where it fails; says whether the
    /// flags were told.
    fn respond(
        &mut self,
        view: &View,
        enabled: Enabled,
        index: usize,
        (row, snapshot): (MessageRow<'_>, &Snapshot),
        out: &mut Writer,
    ) -> store::Result<bool> {
        let mut stored = std::mem::take(&mut self.stored);
        let message = Response {
            fetching: self,
            view,
            enabled,
            row,
            snapshot,
            summary: None,
            listing: None,
            opened: None,
            whole: None,
            stored: &mut stored,
            out,
        };
        let written = message.write(index);
        self.stored = stored;
        written
    }

    fn fail(&mut self, outcome: Outcome) {
        self.failure.get_or_insert(outcome);
    }

    /// Has the chunk's messages summarised, where they are not and it is worth it.
    fn summarise(&self, view: &View, ahead: Ahead) {
        let listing = match ahead {
            Ahead::Nothing => return,
            Ahead::Summaries => None,
            Ahead::Listings => Some(Listing::make as _),
        };
        let rows = self
            .chunk
            .iter()
            .filter_map(|index| view.told().row(*index));
        let uids: Vec<Uid> = rows.map(|row| row.uid).collect();
        if uids.len() > 1 {
            view.mailbox().summarise_ahead(&uids, listing);
        }
    }

    /// Takes further messages; `false` if there are none.
    fn refill(&mut self, view: &View) -> bool {
        self.now_seen.clear();
        let ahead = Ahead::of(&self.items);
        let most = match (self.seen, ahead) {
            (Seen::Set, _) | (_, Ahead::Nothing) => CHUNK_MESSAGES,
            (Seen::Leave, _) => SUMMARISED_MESSAGES,
        };
        self.chunk = chunk::take(&mut self.ranges, view.told(), most);
        if self.seen == Seen::Set {
            let current = view.mailbox().snapshot();
            let unseen: Vec<Uid> = self
                .chunk
                .iter()
                .filter_map(|index| view.told().row(*index))
                .filter_map(|row| current.row(current.index_of(row.uid)?))
                .filter(|row| !row.flags.contains(Flags::SEEN))
                .filter(|row| self.changed_since.is_none_or(|modseq| row.modseq > modseq))
                .map(|row| row.uid)
                .collect();
            if !unseen.is_empty() {
                let add = FlagAction::Add;
                match view
                    .mailbox()
                    .store_flags(&unseen, add, Flags::SEEN, &[], None)
                {
                    Ok(_) => self.now_seen.extend(unseen),
                    // The messages can be read all the same.
                    Err(error) => tracing::warn!(%error, "cannot set \\Seen"),
                }
            }
        }
        self.summarise(view, ahead);
        self.current = Some(view.mailbox().snapshot());
        !self.chunk.is_empty()
    }
}

/// Of ascending indices of what was told those whose messages changed after a
/// mod-sequence. What did not change is not looked at, and what changes from now on is
/// told as news.
fn changed_among(view: &View, ranges: &[Range<usize>], modseq: u64) -> Vec<Range<usize>> {
    let (told, current) = (view.told(), view.mailbox().snapshot());
    let mut indices: Vec<usize> = told.changed_since(modseq).map(|(index, _)| index).collect();
    let now = current.changed_since(modseq);
    indices.extend(now.filter_map(|(_, row)| told.index_of(row.uid)));
    indices.sort_unstable();
    indices.dedup();
    let is_asked = |index: &usize| {
        let range = ranges.partition_point(|range| range.end <= *index);
        ranges.get(range).is_some_and(|range| range.contains(index))
    };
    gather(indices.into_iter().filter(is_asked))
}

/// FETCH and UID FETCH.
pub fn fetch(
    view: &View,
    fetch: &Fetch,
    (enabled, limit): (&mut Enabled, MessageLimit),
    out: &mut Writer,
) -> Ran {
    if fetch.vanished == Vanished::Asked && !enabled.qresync() {
        return Err(Outcome::bad("VANISHED needs QRESYNC enabled"));
    }
    let mut ranges = view.resolve(&fetch.set, fetch.numbers)?;
    if let Some(partial) = fetch.partial {
        ranges = partial.of_ranges(ranges);
        limit.admit_part(&ranges)?;
    }
    if let Some(modseq) = fetch.changed_since {
        ranges = changed_among(view, &ranges, modseq);
    }
    let (mut ranges, reached) = limit.cut(view, ranges);
    if reached.is_some() {
        ranges = descending(ranges);
    }
    let mut items = fetch.items.clone();
    let by_uid = fetch.numbers == Numbers::Uid;
    // RFC 9586 section 3.3: there the UID leads each response.
    let is_uid_told = enabled.dialect().messages == Messages::ByUid;
    if by_uid && !is_uid_told && !items.contains(&FetchItem::Uid) {
        items.insert(0, FetchItem::Uid);
    }
    if fetch.changed_since.is_some() && !items.contains(&FetchItem::ModSeq) {
        items.push(FetchItem::ModSeq);
    }
    if items.contains(&FetchItem::ModSeq) {
        enabled.enable_condstore();
    }
    if let (Vanished::Asked, Some(modseq)) = (fetch.vanished, fetch.changed_since) {
        let largest = view.told().uid_next().get().saturating_sub(1);
        write_vanished_earlier(view, modseq, &fetch.set.resolve(largest), out);
    }
    Ok(Outcome::Fetching(Box::new(Fetching {
        changed_since: fetch.changed_since,
        seen: Seen::by(&items, view),
        reached,
        ..Fetching::new(ranges, items, "OK FETCH completed".to_owned())
    })))
}
