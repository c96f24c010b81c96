//! [`Listing`]: what a client lists a message by, as it is sent.

use crate::dialect::{Dialect, Text};
use crate::response::{Extension, Writer};
use store::message::Summary;
use store::{Mailbox, Uid};

/// The form of what follows; another one is made anew.
const FORM: u8 = 1;
/// The form, and how long the envelope is.
const HEADER: usize = 1 + 4;

/// ENVELOPE and BODYSTRUCTURE of a message (RFC 3501 section 7.4.2) for a client that enabled
/// nothing, written once and kept by the store.
pub struct Listing {
    octets: Vec<u8>,
    envelope_end: usize,
}

impl Listing {
    /// A message's listing.
    ///
    /// # Errors
    /// When it is not kept and the message cannot be read.
    pub fn of(mailbox: &Mailbox, uid: Uid) -> store::Result<Self> {
        let kept = mailbox.listing(uid, Self::make)?;
        match Self::read(kept) {
            Some(listing) => Ok(listing),
            None => {
                let made = Self::make(&*mailbox.summary(uid)?);
                Self::read(made).ok_or(store::Error::NonExistent)
            }
        }
    }

    /// As it is kept.
    pub fn make(summary: &Summary) -> Vec<u8> {
        let mut out = Writer::new();
        out.raw(&[FORM, 0, 0, 0, 0]).envelope(&summary.envelope);
        let envelope_octets = u32::try_from(out.octets().len() - HEADER).unwrap_or_default();
        out.body_structure(&summary.root, Extension::Shown);
        let mut octets = out.into_octets();
        octets[1..HEADER].copy_from_slice(&envelope_octets.to_le_bytes());
        octets
    }

    fn read(octets: Vec<u8>) -> Option<Self> {
        let (header, rest) = octets.split_first_chunk::<HEADER>()?;
        let [FORM, length @ ..] = *header else {
            return None;
        };
        let envelope_octets = usize::try_from(u32::from_le_bytes(length)).ok()?;
        let is_whole = envelope_octets > 0 && envelope_octets < rest.len();
        is_whole.then_some(Self {
            octets,
            envelope_end: HEADER + envelope_octets,
        })
    }

    /// Whether the envelope is so for a client of this dialect: what is not ASCII is written
    /// otherwise for one that takes UTF-8.
    pub fn has_envelope_for(&self, dialect: Dialect) -> bool {
        dialect.text == Text::Ascii || self.envelope().is_ascii()
    }

    /// Whether the structure is so for a client of this dialect: see
    /// [`Writer::body_structure`].
    pub fn has_structure_for(&self, dialect: Dialect) -> bool {
        let structure = self.body_structure();
        let is_otherwise = || {
            let global = b"\"global\"";
            !structure.is_ascii()
                || memchr::memchr(b'*', structure).is_some()
                || structure
                    .windows(global.len())
                    .any(|word| word.eq_ignore_ascii_case(global))
        };
        dialect.text == Text::Ascii || !is_otherwise()
    }

    /// As it stands behind ENVELOPE.
    pub fn envelope(&self) -> &[u8] {
        self.octets
            .get(HEADER..self.envelope_end)
            .unwrap_or_default()
    }

    /// As it stands behind BODYSTRUCTURE.
    pub fn body_structure(&self) -> &[u8] {
        self.octets.get(self.envelope_end..).unwrap_or_default()
    }
}
