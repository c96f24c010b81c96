//! What CATENATE copies: messages of the user's, and parts of them (RFC 4469 section 3,
//! RFC 5550 section 5.7.1).

use super::Outcome;
use super::fields::{self, Fields};
use crate::grammar::url::MessageUrl;
use crate::response::replace_nul;
use std::io::Read;
use std::sync::Arc;
use store::message::Extent;
use store::{Account, Error, Incoming, Mailbox, OpenedMessage, Uid};

/// How much is copied at once.
const COPIED_OCTETS: usize = 64 << 10;

/// What URLs are relative to.
pub struct Sources<'a> {
    /// Whose mailboxes they name.
    pub account: &'a Account,
    /// The mailbox that is selected.
    pub selected: Option<&'a Arc<Mailbox>>,
}

/// What a URL names, found.
pub enum Piece {
    /// Octets of a message's file.
    Stored {
        /// The message.
        message: OpenedMessage,
        /// Where the part is.
        extent: Extent,
        /// The first octet of it.
        first: u64,
        /// How many octets.
        octets: u64,
    },
    /// Octets put together.
    Made(Vec<u8>),
}

/// Finds what a URL names, as FETCH BODY would (RFC 4469 section 3), and its mailbox: as
/// long as that is kept, the next URL does not open it again.
///
/// # Errors
/// NO with BADURL where it names nothing.
pub fn find(sources: &Sources<'_>, url: &[u8]) -> Result<(Piece, Arc<Mailbox>), Outcome> {
    let asked = MessageUrl::parse(url).ok_or_else(|| bad_url(url))?;
    locate(sources, &asked).map_err(|error| match error {
        Error::Io { .. } | Error::Locked(_) | Error::OverQuota => error.into(),
        _ => bad_url(url),
    })
}

fn locate(sources: &Sources<'_>, url: &MessageUrl) -> store::Result<(Piece, Arc<Mailbox>)> {
    let mailbox = match (&url.mailbox, sources.selected) {
        (Some(name), _) => sources
            .account
            .mailbox(&sources.account.parse_name(name)?)?,
        (None, Some(selected)) => Arc::clone(selected),
        (None, None) => return Err(Error::NonExistent),
    };
    let snapshot = mailbox.sync()?;
    let is_other = |validity| validity != snapshot.uid_validity();
    if url.uid_validity.is_some_and(is_other) {
        return Err(Error::NonExistent);
    }
    let uid: Uid = url.uid;
    let (piece, fields) = fields::piece(&url.text);
    let summary = mailbox.summary(uid)?;
    let extent = summary.locate(&url.path, piece).ok_or(Error::NonExistent)?;
    let message = mailbox.open_message(uid)?;
    let (first, length) = url.partial.unwrap_or((0, None));
    let length = length.unwrap_or(u64::MAX);
    if let Some((names, wanted)) = fields {
        let fields = Fields {
            message,
            extent,
            names: names.clone(),
            wanted,
            partial: url.partial.map(|_| (first, length)),
        };
        return Ok((Piece::Made(fields.read()?), mailbox));
    }
    let first = first.min(extent.octets);
    let piece = Piece::Stored {
        message,
        extent,
        first,
        octets: length.min(extent.octets - first),
    };
    Ok((piece, mailbox))
}

impl Piece {
    /// How many octets it has.
    pub fn octets(&self) -> u64 {
        match self {
            Self::Stored { octets, .. } => *octets,
            Self::Made(octets) => octets.len() as u64,
        }
    }

    /// Writes it to a message, as FETCH would send it.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn copy_to(self, incoming: &mut Incoming) -> store::Result<()> {
        let (message, extent, first, octets) = match self {
            Self::Made(mut octets) => {
                replace_nul(&mut octets);
                return incoming.write(&octets);
            }
            Self::Stored {
                message,
                extent,
                first,
                octets,
            } => (message, extent, first, octets),
        };
        let mut reader = message.reader(extent, first, octets)?;
        let most = usize::try_from(octets).unwrap_or(COPIED_OCTETS);
        let mut piece = vec![0; most.min(COPIED_OCTETS)];
        let mut left = octets;
        while left > 0 {
            let count = reader
                .read(&mut piece)
                .map_err(|error| Error::io("reading a message", error))?;
            let read = piece.get_mut(..count).filter(|read| !read.is_empty());
            let Some(read) = read else {
                let ended = std::io::ErrorKind::UnexpectedEof.into();
                return Err(Error::io("reading a message", ended));
            };
            replace_nul(read);
            incoming.write(read)?;
            left = left.saturating_sub(count as u64);
        }
        Ok(())
    }
}

/// NO with the URL (RFC 4469 section 4.1). What the code cannot hold is written as a URL
/// should have had it.
fn bad_url(url: &[u8]) -> Outcome {
    use std::fmt::Write as _;
    let mut shown = String::with_capacity(url.len());
    for octet in url {
        if octet.is_ascii_graphic() && *octet != b']' {
            shown.push(char::from(*octet));
        } else {
            let _ = write!(shown, "%{octet:02X}");
        }
    }
    if shown.is_empty() {
        return Outcome::no("The URL is empty");
    }
    Outcome::No(format!(
        "[BADURL {shown}] The URL names no message of yours"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_url_stays_within_its_code() {
        let told = |url: &[u8]| match bad_url(url) {
            Outcome::No(text) => text,
            _ => String::new(),
        };
        assert!(told(b"/a] b\r\n;\xff").starts_with("[BADURL /a%5D%20b%0D%0A;%FF] "));
        assert!(!told(b"").contains('['));
    }
}
