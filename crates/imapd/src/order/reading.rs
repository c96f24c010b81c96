//! [`Reading`]: the facts of many messages, in their order and step by step.

use super::facts::{Facts, WithReferences, facts};
use crate::response::More;
use std::io::Read;
use std::ops::Range;
use store::message::{Piece, Summary};
use store::{Error, Mailbox, MessageRow, Result, Uid};

/// So many messages are read together.
const CHUNK: usize = 256;
/// So many at most in one step, if all is kept.
const STEP: usize = 16 * CHUNK;
/// How much of a message's header is looked at.
const HEADER_OCTETS: u64 = 1 << 20;

/// A message that is to be put in order.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// Its UID.
    pub uid: Uid,
    /// Its internal date, in seconds since 1970 UTC.
    pub internal_date: i64,
    /// Its size in octets.
    pub size_octets: u64,
    /// How relevant it is, from 1 to 100.
    pub relevancy: u8,
}

impl Candidate {
    /// A message of a mailbox, and how relevant it is.
    pub fn of(row: &MessageRow<'_>, relevancy: u8) -> Self {
        Self {
            uid: row.uid,
            internal_date: row.internal_date.0,
            size_octets: row.size_octets,
            relevancy,
        }
    }
}

/// How far the messages are read.
#[derive(Debug, Default)]
pub struct Reading {
    next: usize,
    /// The facts of a chunk, one after the other.
    octets: Vec<u8>,
    places: Vec<Range<usize>>,
}

impl Reading {
    /// Gives the facts of some further messages to `take`, with the message's place among
    /// all. Of one that vanished meanwhile they are empty.
    ///
    /// # Errors
    /// When a message cannot be read.
    pub fn step(
        &mut self,
        mailbox: &Mailbox,
        candidates: &[Candidate],
        references: WithReferences,
        mut take: impl FnMut(usize, &Facts<'_>),
    ) -> Result<More> {
        let until = self.next + STEP;
        while self.next < until {
            let rest = candidates.get(self.next..).unwrap_or_default();
            let chunk = rest.get(..CHUNK).unwrap_or(rest);
            if chunk.is_empty() {
                return Ok(More::Nothing);
            }
            let uids: Vec<Uid> = chunk.iter().map(|candidate| candidate.uid).collect();
            let made = self.read(mailbox, &uids)?;
            for (place, uid) in self.places.iter().zip(&uids) {
                let octets = self.octets.get(place.clone()).unwrap_or_default();
                match Facts::read(octets, references) {
                    Some(facts) => take(self.next, &facts),
                    None => {
                        let made = make(mailbox, *uid)?;
                        take(
                            self.next,
                            &Facts::read(&made, references).unwrap_or_default(),
                        );
                    }
                }
                self.next += 1;
            }
            if made > 0 {
                break;
            }
        }
        Ok(More::Follows)
    }

    /// Reads a chunk, and makes what is not kept of it; tells how many that were.
    fn read(&mut self, mailbox: &Mailbox, uids: &[Uid]) -> Result<usize> {
        self.octets.clear();
        self.places.clear();
        self.places.resize(uids.len(), 0..0);
        let Self { octets, places, .. } = self;
        let mut put = |place: usize, facts: &[u8]| {
            let start = octets.len();
            octets.extend_from_slice(facts);
            if let Some(place) = places.get_mut(place) {
                *place = start..octets.len();
            }
        };
        let lacking = mailbox.look_at_sorting(uids, |place, facts| {
            put(place, facts);
            Some(())
        });
        let unknown: Vec<Uid> = lacking
            .iter()
            .filter_map(|place| uids.get(*place).copied())
            .collect();
        if unknown.len() > 1 {
            mailbox.summarise_ahead(&unknown, None);
        }
        for (place, uid) in lacking.into_iter().zip(&unknown) {
            put(place, &make(mailbox, *uid)?);
        }
        Ok(unknown.len())
    }
}

/// Makes a message's facts of its summary, and keeps them. Only where the header has more
/// than is summarised of it, the message is opened for its References.
fn make(mailbox: &Mailbox, uid: Uid) -> Result<Vec<u8>> {
    let made = mailbox.summary(uid).and_then(|summary| {
        Ok(match &summary.listed_header {
            Some(header) => facts(&summary.envelope, header),
            None => facts(&summary.envelope, &read_header(mailbox, uid, &summary)?),
        })
    });
    match made {
        Ok(made) => {
            mailbox.keep_sorting(uid, &made);
            Ok(made)
        }
        Err(Error::Expunged) => Ok(facts(&Default::default(), &[])),
        Err(error) => Err(error),
    }
}

fn read_header(mailbox: &Mailbox, uid: Uid, summary: &Summary) -> Result<Vec<u8>> {
    let mut octets = Vec::new();
    if let Some(extent) = summary.locate(&[], Piece::Header) {
        mailbox
            .open_message(uid)?
            .reader(extent, 0, HEADER_OCTETS)?
            .read_to_end(&mut octets)
            .map_err(|error| Error::io("reading a message's header", error))?;
    }
    Ok(octets)
}
