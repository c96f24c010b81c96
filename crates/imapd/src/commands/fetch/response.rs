//! [`Response`]: what FETCH tells of one message.

use super::ahead::Ahead;
use super::promised::Promised;
use super::{Fetching, names};
use crate::capability::Enabled;
use crate::commands::fields::{self, Fields, Wanted};
use crate::commands::listing::Listing;
use crate::grammar::command::{Delay, FetchItem, Section, SectionText};
use crate::response::{Extension, Nul, Writer, show_internal_date};
use crate::view::View;
use std::io::Read;
use std::sync::Arc;
use store::message::{Extent, Piece, StoredText, Summary};
use store::{Error, MessageRow, OpenedMessage, Snapshot};

/// Pieces beyond this are sent from the file, not from memory.
pub(super) const INLINE_OCTETS: u64 = 16 * 1024;
/// A whole message of a file beyond this as well.
const SHORT_OCTETS: u64 = 256 << 10;

/// One message's response in the making.
pub(super) struct Response<'a> {
    pub(super) fetching: &'a Fetching,
    pub(super) view: &'a View,
    pub(super) enabled: Enabled,
    pub(super) row: MessageRow<'a>,
    pub(super) snapshot: &'a Snapshot,
    pub(super) summary: Option<Arc<Summary>>,
    pub(super) listing: Option<Listing>,
    pub(super) opened: Option<OpenedMessage>,
    pub(super) whole: Option<Extent>,
    pub(super) stored: &'a mut StoredText,
    pub(super) out: &'a mut Writer,
}

impl Response<'_> {
    /// Writes it; says whether the flags were told.
    pub(super) fn write(mut self, index: usize) -> store::Result<bool> {
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

    pub(super) fn summary(&mut self) -> store::Result<Arc<Summary>> {
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

    pub(super) fn opened(&mut self) -> store::Result<OpenedMessage> {
        if let Some(opened) = &self.opened {
            return Ok(opened.clone());
        }
        let opened = self.view.mailbox().open_message(self.row.uid)?;
        self.opened = Some(opened.clone());
        Ok(opened)
    }
}
