//! [`Ahead`]: what FETCH makes of many messages at once.

use crate::grammar::command::{Delay, FetchItem, SectionText};

/// What is made of a chunk's messages before they are looked at one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ahead {
    Nothing,
    Summaries,
    Listings,
}

impl Ahead {
    pub(super) fn of(items: &[FetchItem]) -> Self {
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
