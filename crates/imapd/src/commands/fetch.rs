//! FETCH (RFC 3501 section 6.4.5): message after message, in bounded memory.

mod binary;
mod names;
mod promised;

use super::chunk;
use super::fields::{self, Fields, Wanted};
use super::listing::Listing;
use super::select::write_vanished_earlier;
use super::{Outcome, Ran};
use crate::capability::Enabled;
use crate::dialect::Messages;
use crate::grammar::command::{
    Delay, Fetch, FetchItem, Numbers, Peek, Section, SectionText, Vanished,
};
use crate::limit::{Cut, MessageLimit, Reached, descending};
use crate::response::{Extension, More, Nul, Writer, show_internal_date};
use crate::view::{Access, Announced, View, gather};
use promised::Promised;
use std::collections::{HashSet, VecDeque};
use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use store::message::{Extent, Piece, StoredText, Summary};
use store::{Error, FlagAction, Flags, MessageRow, OpenedMessage, Snapshot, Uid};

/// Pieces beyond this are sent from the file, not from memory.
const INLINE_OCTETS: u64 = 16 * 1024;
/// A whole message of a file beyond this as well.
const SHORT_OCTETS: u64 = 256 << 10;
/// How many messages are marked `\Seen` at once.
const CHUNK_MESSAGES: usize = 32;
/// How many are summarised at once.
const SUMMARISED_MESSAGES: usize = 256;

/// Whether FETCH sets `\Seen`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Set,
    Leave,
}

impl Seen {
    /// What fetching these items does.
    fn by(items: &[FetchItem], view: &View) -> Self {
        let marks = items.iter().any(|item| match item {
            FetchItem::Rfc822 | FetchItem::Rfc822Text => true,
            FetchItem::Section(section) => section.peek == Peek::No,
            FetchItem::Binary(binary) => binary.peek == Peek::No,
            FetchItem::Envelope
            | FetchItem::Flags
            | FetchItem::InternalDate
            | FetchItem::Rfc822Header
            | FetchItem::Rfc822Size
            | FetchItem::Body
            | FetchItem::BodyStructure
            | FetchItem::Uid
            | FetchItem::ModSeq
            | FetchItem::EmailId
            | FetchItem::ThreadId
            | FetchItem::SaveDate
            | FetchItem::Preview(_)
            | FetchItem::BinarySize(_) => false,
        });
        if marks && view.access() == Access::ReadWrite {
            Seen::Set
        } else {
            Seen::Leave
        }
    }
}

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

/// What is made of a chunk's messages before they are looked at one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ahead {
    Nothing,
    Summaries,
    Listings,
}

impl Ahead {
    fn of(items: &[FetchItem]) -> Self {
        let of_item = |item: &FetchItem| match item {
            FetchItem::Envelope | FetchItem::BodyStructure => Self::Listings,
            FetchItem::Body
            | FetchItem::Rfc822Header
            | FetchItem::Rfc822Text
            | FetchItem::Preview(Delay::Allowed) => Self::Summaries,
            FetchItem::Section(section) if section.path.is_empty() => match section.text {
                SectionText::Whole => Self::Nothing,
                _ => Self::Summaries,
            },
            FetchItem::Section(_) | FetchItem::Binary(_) | FetchItem::BinarySize(_) => {
                Self::Summaries
            }
            FetchItem::Flags
            | FetchItem::InternalDate
            | FetchItem::Rfc822
            | FetchItem::Rfc822Size
            | FetchItem::Uid
            | FetchItem::ModSeq
            | FetchItem::EmailId
            | FetchItem::ThreadId
            | FetchItem::SaveDate
            | FetchItem::Preview(Delay::Avoided) => Self::Nothing,
        };
        let all: Vec<Self> = items.iter().map(of_item).collect();
        match all.contains(&Self::Listings) {
            true => Self::Listings,
            false if all.contains(&Self::Summaries) => Self::Summaries,
            false => Self::Nothing,
        }
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

/// One message's response in the making.
struct Response<'a> {
    fetching: &'a Fetching,
    view: &'a View,
    enabled: Enabled,
    row: MessageRow<'a>,
    snapshot: &'a Snapshot,
    summary: Option<Arc<Summary>>,
    listing: Option<Listing>,
    opened: Option<OpenedMessage>,
    whole: Option<Extent>,
    stored: &'a mut StoredText,
    out: &'a mut Writer,
}

impl Response<'_> {
    /// Writes it; says whether the flags were told.
    fn write(mut self, index: usize) -> store::Result<bool> {
        let fetching = self.fetching;
        self.out.fetch(index as u64 + 1, self.row.uid);
        let mut space = "";
        for item in &fetching.items {
            self.out.text(space);
            space = " ";
            self.item(item)?;
        }
        let mut flags_told = fetching.items.contains(&FetchItem::Flags);
        if fetching.now_seen.contains(&self.row.uid) {
            // RFC 7162 section 3.2.4 asks for more than the flags.
            let aware: &[FetchItem] = if self.enabled.condstore() {
                &[FetchItem::Flags, FetchItem::Uid, FetchItem::ModSeq]
            } else {
                &[FetchItem::Flags]
            };
            for item in aware {
                if !fetching.items.contains(item) {
                    self.out.text(" ");
                    self.item(item)?;
                }
            }
            flags_told = true;
        }
        self.out.text(")").crlf();
        Ok(flags_told)
    }

    fn item(&mut self, item: &FetchItem) -> store::Result<()> {
        match item {
            FetchItem::Envelope => {
                let listing = self.listing()?;
                self.out.text("ENVELOPE ");
                if listing.has_envelope_for(self.out.dialect()) {
                    self.out.raw(listing.envelope());
                } else {
                    let summary = self.summary()?;
                    self.out.envelope(&summary.envelope);
                }
                self.listing = Some(listing);
            }
            FetchItem::Flags => {
                self.out.text("FLAGS ");
                self.view
                    .write_flag_list(self.snapshot, &self.row, self.out);
            }
            FetchItem::InternalDate => {
                let date = show_internal_date(self.row.internal_date);
                self.out.text("INTERNALDATE ").text(&date);
            }
            FetchItem::Rfc822 => {
                self.out.text("RFC822 ");
                self.message(None)?;
            }
            FetchItem::Rfc822Header => {
                let extent = self.summary()?.locate(&[], Piece::Header);
                self.out.text("RFC822.HEADER ");
                self.literal_or_nil(extent, None)?;
            }
            FetchItem::Rfc822Text => {
                let extent = self.summary()?.locate(&[], Piece::Text);
                self.out.text("RFC822.TEXT ");
                self.literal_or_nil(extent, None)?;
            }
            FetchItem::Rfc822Size => {
                self.out.text("RFC822.SIZE ").number(self.row.size_octets);
            }
            FetchItem::Body => {
                let summary = self.summary()?;
                self.out
                    .text("BODY ")
                    .body_structure(&summary.root, Extension::Left);
            }
            FetchItem::BodyStructure => {
                let listing = self.listing()?;
                self.out.text("BODYSTRUCTURE ");
                if listing.has_structure_for(self.out.dialect()) {
                    self.out.raw(listing.body_structure());
                } else {
                    let summary = self.summary()?;
                    self.out.body_structure(&summary.root, Extension::Shown);
                }
                self.listing = Some(listing);
            }
            FetchItem::Uid => {
                self.out.text("UID ").number(self.row.uid.get().into());
            }
            FetchItem::ModSeq => {
                self.out.text("MODSEQ (").number(self.row.modseq).text(")");
            }
            FetchItem::EmailId => {
                let id = self.view.mailbox().email_id(&self.row)?;
                self.out.text("EMAILID (").text(&id).text(")");
            }
            // RFC 8474 section 5.2: no threads are told.
            FetchItem::ThreadId => {
                self.out.text("THREADID NIL");
            }
            FetchItem::SaveDate => {
                let date = show_internal_date(self.row.saved_date());
                self.out.text("SAVEDATE ").text(&date);
            }
            FetchItem::Preview(delay) => self.preview(*delay)?,
            FetchItem::Section(section) => self.section(section)?,
            FetchItem::Binary(asked) => self.binary(asked)?,
            FetchItem::BinarySize(path) => self.binary_size(path)?,
        }
        Ok(())
    }

    /// PREVIEW: the first words; where nobody is to wait, NIL if the message would have to
    /// be read for them (RFC 8970 section 4.1) and is not read anyway.
    fn preview(&mut self, delay: Delay) -> store::Result<()> {
        let (mailbox, uid) = (self.view.mailbox(), self.row.uid);
        let is_read = || Ahead::of(&self.fetching.items) != Ahead::Nothing;
        let preview = match delay {
            Delay::Avoided if !is_read() => mailbox.kept_preview(uid),
            Delay::Allowed | Delay::Avoided => Some(mailbox.preview(uid)?),
        };
        self.out
            .text("PREVIEW ")
            .nstring(preview.as_deref().map(str::as_bytes));
        Ok(())
    }

    fn section(&mut self, section: &Section) -> store::Result<()> {
        names::write_section(section, self.out);
        let path = section.path.as_slice();
        if path.is_empty() && section.text == SectionText::Whole {
            return self.message(section.partial);
        }
        let (piece, fields) = fields::piece(&section.text);
        if let Some((names, Wanted::Named)) = fields
            && path.is_empty()
            && fields::are_listed(names)
            && let Some(header) = self.view.mailbox().listed_header(self.row.uid)?
        {
            self.inline(fields::listed(&header, names, section.partial));
            return Ok(());
        }
        let summary = self.summary()?;
        let extent = summary.locate(path, piece);
        let Some((names, wanted)) = fields else {
            return self.literal_or_nil(extent, section.partial);
        };
        let Some(extent) = extent else {
            self.out.text("NIL");
            return Ok(());
        };
        let fields = Fields {
            message: self.opened()?,
            extent,
            names: names.clone(),
            wanted,
            partial: section.partial,
        };
        let selected = fields.read()?;
        let length = selected.len() as u64;
        if length > INLINE_OCTETS {
            drop(selected);
            self.promise(length, Box::new(fields.into_reader()));
            return Ok(());
        }
        self.inline(selected);
        Ok(())
    }

    /// The whole message: a short one is read once, a long one when it is sent.
    fn message(&mut self, partial: Option<(u64, u64)>) -> store::Result<()> {
        let opened = self.opened()?;
        if partial.is_none() && self.stored.read(&opened, SHORT_OCTETS)? {
            let (stored, expected) = (&*self.stored, self.row.size_octets);
            let mark = self.out.mark();
            let mut sent = 0;
            self.out.literal(expected, |out| {
                let begin = out.len();
                stored.send_to(out);
                sent = (out.len() - begin) as u64;
            });
            if sent != expected {
                // The file is not as it was measured, or its name tells a wrong size.
                self.out.rewind(mark);
                let octets = stored.sent_octets();
                self.out.literal(octets, |out| stored.send_to(out));
            }
            return Ok(());
        }
        let extent = self.whole()?;
        self.literal(extent, partial)
    }

    fn literal_or_nil(
        &mut self,
        extent: Option<Extent>,
        partial: Option<(u64, u64)>,
    ) -> store::Result<()> {
        match extent {
            Some(extent) => self.literal(extent, partial),
            None => {
                self.out.text("NIL");
                Ok(())
            }
        }
    }

    /// Writes a piece as a literal: small ones at once, big ones from the file.
    fn literal(&mut self, extent: Extent, partial: Option<(u64, u64)>) -> store::Result<()> {
        let (first, length) = partial.unwrap_or((0, u64::MAX));
        let first = first.min(extent.octets);
        let length = length.min(extent.octets - first);
        if length == 0 {
            self.inline(Vec::new());
            return Ok(());
        }
        let reader = self.opened()?.reader(extent, first, length)?;
        if length <= INLINE_OCTETS {
            let mut octets = Vec::new();
            reader
                .take(length)
                .read_to_end(&mut octets)
                .map_err(|error| Error::io("reading a message", error))?;
            self.inline(octets);
            return Ok(());
        }
        self.promise(length, reader);
        Ok(())
    }

    /// Writes a literal that is read when it is sent.
    fn promise(&mut self, length: u64, reader: Box<dyn Read + Send>) {
        let promised = Promised::new(reader, length, Nul::Replaced);
        self.out
            .literal_announcement(length)
            .reader(Box::new(promised));
    }

    /// Writes octets as a literal, always.
    fn inline(&mut self, octets: Vec<u8>) {
        let length = octets.len() as u64;
        self.out
            .literal(length, |out| out.extend_from_slice(&octets));
    }

    /// To be put back after use.
    fn listing(&mut self) -> store::Result<Listing> {
        match self.listing.take() {
            Some(listing) => Ok(listing),
            None => Listing::of(self.view.mailbox(), self.row.uid),
        }
    }

    fn summary(&mut self) -> store::Result<Arc<Summary>> {
        if let Some(summary) = &self.summary {
            return Ok(Arc::clone(summary));
        }
        let summary = self.view.mailbox().summary(self.row.uid)?;
        self.summary = Some(Arc::clone(&summary));
        Ok(summary)
    }

    /// The whole message; its octets are counted once.
    fn whole(&mut self) -> store::Result<Extent> {
        if let Some(whole) = self.whole {
            return Ok(whole);
        }
        let whole = self.opened()?.whole()?;
        self.whole = Some(whole);
        Ok(whole)
    }

    fn opened(&mut self) -> store::Result<OpenedMessage> {
        if let Some(opened) = &self.opened {
            return Ok(opened.clone());
        }
        let opened = self.view.mailbox().open_message(self.row.uid)?;
        self.opened = Some(opened.clone());
        Ok(opened)
    }
}
