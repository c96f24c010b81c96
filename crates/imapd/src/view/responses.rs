//! What is told of a mailbox unasked: EXPUNGE and FETCH (RFC 3501 sections 7.4.1 and 7.4.2).

use super::WantedFlags;
use crate::capability::Enabled;
use crate::dialect::Messages;
use crate::response::{More, Produce, Recent, Writer};
use store::{MessageRow, ModSeq, Snapshot};

pub(super) fn recent(is_recent: bool) -> Recent {
    if is_recent { Recent::Yes } else { Recent::No }
}

pub(super) fn write_flag_list(
    snapshot: &Snapshot,
    row: &MessageRow<'_>,
    recent: Recent,
    out: &mut Writer,
) {
    let keywords = row
        .keywords
        .iter()
        .filter_map(|keyword| snapshot.keywords().get(usize::from(*keyword)))
        .map(|keyword| &**keyword);
    out.flags(row.flags, recent, keywords);
}

/// EXPUNGE responses for these ascending indices, from the end, so that no number
/// moves the next.
pub(super) struct Expunges(pub(super) Vec<usize>);

impl Produce for Expunges {
    fn items(&self) -> usize {
        self.0.len()
    }

    fn produce(&mut self, out: &mut Writer) -> More {
        let Some(index) = self.0.pop() else {
            return More::Nothing;
        };
        out.text("* ").number(index as u64 + 1).text(" EXPUNGE");
        out.crlf();
        More::Follows
    }
}

/// A row whose flags changed.
pub(super) struct News {
    /// Its index as the client knows it.
    pub(super) known: usize,
    /// Its index now.
    pub(super) index: usize,
    pub(super) recent: Recent,
}

/// FETCH responses nobody asked for.
struct Fetches {
    news: std::vec::IntoIter<News>,
    snapshot: Snapshot,
    enabled: Enabled,
    flags: WantedFlags,
}

impl Produce for Fetches {
    fn items(&self) -> usize {
        self.news.len()
    }

    fn produce(&mut self, out: &mut Writer) -> More {
        let Some(news) = self.news.next() else {
            return More::Nothing;
        };
        let Some(row) = self.snapshot.row(news.index) else {
            return More::Follows;
        };
        out.fetch(news.known as u64 + 1, row.uid);
        let names_uid =
            self.enabled.condstore() || self.enabled.rev2() || self.flags == WantedFlags::WithUid;
        if names_uid && out.dialect().messages == Messages::BySequence {
            // RFC 7162 section 3.2.4, RFC 9051 section 7.5.2, RFC 5465 section 5.1.
            out.text("UID ").number(row.uid.get().into()).text(" ");
        }
        out.text("FLAGS ");
        write_flag_list(&self.snapshot, &row, news.recent, out);
        if self.enabled.condstore() {
            out.text(" MODSEQ (").number(row.modseq).text(")");
        }
        out.text(")").crlf();
        More::Follows
    }
}

pub(super) fn write_highest_modseq(modseq: ModSeq, out: &mut Writer) {
    out.text("* OK [HIGHESTMODSEQ ")
        .number(modseq)
        .text("] ")
        .human("Highest mod-sequence")
        .crlf();
}

pub(super) fn write_news(
    news: Vec<News>,
    current: &Snapshot,
    (enabled, flags): (Enabled, WantedFlags),
    out: &mut Writer,
) {
    let fetches = Fetches {
        news: news.into_iter(),
        snapshot: current.clone(),
        enabled,
        flags,
    };
    out.produced(fetches);
}
