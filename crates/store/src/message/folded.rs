//! [`FoldedText`]: all that SEARCH TEXT and BODY look at in a message, decoded and folded
//! once.

use super::Summary;
use super::text::{Folding, Said, WithHeaders, say_body, say_header};
use crate::{OpenedMessage, Result};
use std::ops::ControlFlow;

/// A longer text is not kept.
const TEXT_OCTETS: usize = 1 << 20;
/// Between fields and parts, so that no match goes from one into the next.
const END: char = '\0';
/// How long what belongs to the body is, in four octets.
const HEADER: usize = 4;

/// The text of a message as it is kept: what BODY looks at, then the message's header.
/// Nothing where it is too long to be kept.
pub(crate) struct FoldedText(Vec<u8>);

/// What looking into a text that is kept came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Searched {
    /// The string is there.
    Contains,
    /// It is not.
    Lacks,
    /// The message has to be read.
    TooLong,
}

impl FoldedText {
    /// Reads and decodes a message.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn read(message: &OpenedMessage, summary: &Summary) -> Result<Self> {
        let mut octets = vec![0; HEADER];
        let take = |octets: &mut Vec<u8>, said: Said<'_>| {
            match said {
                Said::Text(text) => octets.extend_from_slice(text.as_bytes()),
                Said::End => octets.push(END as u8),
            }
            match octets.len() > TEXT_OCTETS {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let mut over = say_body(message, summary, Folding::Full, &mut |said| {
            take(&mut octets, said)
        })?;
        let body_octets = octets.len() - HEADER;
        if over.is_continue() {
            over = say_header(message, &summary.root, Folding::Full, &mut |said| {
                take(&mut octets, said)
            })?;
        }
        let Some(length) = u32::try_from(body_octets)
            .ok()
            .filter(|_| over.is_continue())
        else {
            return Ok(Self(Vec::new()));
        };
        octets[..HEADER].copy_from_slice(&length.to_le_bytes());
        Ok(Self(octets))
    }

    /// As it is kept.
    pub(crate) fn octets(&self) -> &[u8] {
        &self.0
    }
}

/// Whether [`look`] can look for a string: not for what divides the parts of a text.
pub(crate) fn is_searchable(needle: &str) -> bool {
    !needle.contains(END)
}

/// What a text that was kept holds; `None` if it is too long to be kept, or no such text.
pub(crate) fn kept_text(kept: &[u8], with_headers: WithHeaders) -> Option<&str> {
    let (length, text) = kept.split_first_chunk::<HEADER>()?;
    let body_octets = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let said = match with_headers {
        WithHeaders::Yes => text,
        WithHeaders::No => text.get(..body_octets)?,
    };
    std::str::from_utf8(said).ok()
}

/// Whether a text that was kept holds a string that is folded and searchable; `None` if
/// it is no such text.
pub(crate) fn look(kept: &[u8], needle: &str, with_headers: WithHeaders) -> Option<Searched> {
    if kept.is_empty() {
        return Some(Searched::TooLong);
    }
    let (length, text) = kept.split_first_chunk::<HEADER>()?;
    let body_octets = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let body = text.get(..body_octets)?;
    let searched = match with_headers {
        WithHeaders::Yes => text,
        WithHeaders::No => body,
    };
    Some(match memchr::memmem::find(searched, needle.as_bytes()) {
        Some(_) => Searched::Contains,
        None => Searched::Lacks,
    })
}
