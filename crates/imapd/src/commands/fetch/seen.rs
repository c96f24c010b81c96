//! [`Seen`]: whether FETCH marks what it reads (RFC 3501 section 6.4.5).

use crate::grammar::command::{FetchItem, Peek};
use crate::view::{Access, View};

/// Whether FETCH sets `\Seen`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Set,
    Leave,
}

impl Seen {
    /// What fetching these items does.
    pub(super) fn by(items: &[FetchItem], view: &View) -> Self {
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
