//! [`Maildrop`]: the frozen view a session has of a mailbox.

use crate::command::MessageNumber;
use crate::policy::HIDDEN_KEYWORD;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use store::{AsciiSize, DeviceLedger, Snapshot, Uid};

/// How many octets of a listing are made at once.
const PIECE_OCTETS: usize = 32 * 1024;

/// A message of a maildrop.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its UID.
    pub uid: Uid,
    /// Its unique-id (RFC 1939 section 7, UIDL).
    pub unique_id: Arc<str>,
    /// Its size in octets as RETR sends it, before dots are stuffed: the last line's
    /// end counts even where the stored message lacks it (RFC 1939 section 11).
    pub size_octets: u64,
    /// Whether it is sent as it is.
    pub form: Form,
    mark: Mark,
}

/// How a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    AsStored,
    /// With headers in ASCII instead of UTF-8.
    Surrogate,
    /// Not at all, while the client knows no headers in UTF-8.
    Withheld,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Kept,
    Deleted,
}

/// Messages as they were at login, with deletion marks. Numbers never change.
#[derive(Debug, Default)]
pub struct Maildrop {
    messages: Vec<Message>,
    count: usize,
    size_octets: u64,
}

/// What a listing tells of each message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// The size (LIST).
    Size,
    /// The unique-id (UIDL).
    UniqueId,
}

/// A listing under way.
#[derive(Debug)]
pub struct Listing {
    column: Column,
    next: usize,
}

impl Maildrop {
    /// The view of a snapshot, in the order and with the unique-ids given.
    /// Messages that POP3 hid, or the device whose ledger it is, are left out.
    pub fn new(
        snapshot: &Snapshot,
        unique_ids: Vec<(Uid, Arc<str>)>,
        ledger: Option<&DeviceLedger>,
    ) -> Self {
        let hidden = hidden_keyword(snapshot);
        let messages = unique_ids.into_iter().filter_map(|(uid, unique_id)| {
            let row = snapshot.row(snapshot.index_of(uid)?)?;
            if hidden.is_some_and(|index| row.keywords.contains(&index))
                || ledger.is_some_and(|ledger| ledger.has_deleted(uid))
            {
                return None;
            }
            Some(Message {
                uid,
                unique_id,
                size_octets: row.octets_in_lines(),
                form: Form::AsStored,
                mark: Mark::Kept,
            })
        });
        Self::of(messages.collect())
    }

    /// Has these messages sent in ASCII, with the sizes they have then.
    #[must_use]
    pub fn in_ascii(mut self, surrogates: &BTreeMap<Uid, AsciiSize>) -> Self {
        for message in &mut self.messages {
            match surrogates.get(&message.uid) {
                None => {}
                Some(AsciiSize::Grown(growth)) => {
                    message.size_octets = message.size_octets.saturating_add_signed(*growth);
                    message.form = Form::Surrogate;
                }
                Some(AsciiSize::Impossible) => message.form = Form::Withheld,
            }
        }
        self.reset();
        self
    }

    fn of(messages: Vec<Message>) -> Self {
        let mut maildrop = Self {
            messages,
            ..Self::default()
        };
        maildrop.reset();
        maildrop
    }

    /// How many messages are not marked deleted.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The sum of the sizes of messages not marked deleted.
    pub fn size_octets(&self) -> u64 {
        self.size_octets
    }

    /// The message of a number, unless it is marked deleted.
    pub fn message(&self, number: MessageNumber) -> Option<&Message> {
        let message = self.messages.get(index(number)?)?;
        (message.mark == Mark::Kept).then_some(message)
    }

    /// Marks a message deleted; `None` if there is none or it is marked already.
    pub fn mark_deleted(&mut self, number: MessageNumber) -> Option<()> {
        let message = self.messages.get_mut(index(number)?)?;
        if message.mark == Mark::Deleted {
            return None;
        }
        message.mark = Mark::Deleted;
        self.count = self.count.saturating_sub(1);
        self.size_octets = self.size_octets.saturating_sub(message.size_octets);
        Some(())
    }

    /// Takes all marks away (RSET).
    pub fn reset(&mut self) {
        self.count = self.messages.len();
        self.size_octets = 0;
        for message in &mut self.messages {
            message.mark = Mark::Kept;
            self.size_octets = self.size_octets.saturating_add(message.size_octets);
        }
    }

    /// Whether a message is marked deleted.
    pub fn has_deleted(&self) -> bool {
        self.count < self.messages.len()
    }

    /// The UIDs of messages marked deleted, ascending.
    pub fn deleted(&self) -> Vec<Uid> {
        let mut uids: Vec<Uid> = self
            .messages
            .iter()
            .filter(|message| message.mark == Mark::Deleted)
            .map(|message| message.uid)
            .collect();
        uids.sort_unstable();
        uids
    }
}

/// How many messages a device would be shown and has not fetched.
pub fn backlog(snapshot: &Snapshot, ledger: &DeviceLedger) -> usize {
    let hidden = hidden_keyword(snapshot);
    let shown = snapshot.rows().filter(|row| {
        !hidden.is_some_and(|index| row.keywords.contains(&index)) && !ledger.has_deleted(row.uid)
    });
    shown.filter(|row| !ledger.has_fetched(row.uid)).count()
}

/// The index of [`HIDDEN_KEYWORD`] among a snapshot's keywords.
pub(crate) fn hidden_keyword(snapshot: &Snapshot) -> Option<u16> {
    let keywords = snapshot.keywords();
    let index = keywords
        .iter()
        .position(|keyword| keyword.eq_ignore_ascii_case(HIDDEN_KEYWORD))?;
    u16::try_from(index).ok()
}

fn index(number: MessageNumber) -> Option<usize> {
    usize::try_from(number.0.get()).ok()?.checked_sub(1)
}

impl Listing {
    /// A listing of a column, from the first message.
    pub fn new(column: Column) -> Self {
        Self { column, next: 0 }
    }

    /// Makes the next lines, about 32 KiB; the last piece ends with the line `.`
    /// and there is none after it.
    pub fn next_piece(mut self, maildrop: &Maildrop) -> (Vec<u8>, Option<Self>) {
        let mut piece = String::new();
        while let Some(message) = maildrop.messages.get(self.next) {
            self.next += 1;
            if message.mark == Mark::Deleted {
                continue;
            }
            let number = self.next;
            // Writing to a string cannot fail.
            let _ = match self.column {
                Column::Size => write!(piece, "{number} {}\r\n", message.size_octets),
                Column::UniqueId => write!(piece, "{number} {}\r\n", message.unique_id),
            };
            if piece.len() >= PIECE_OCTETS {
                return (piece.into_bytes(), Some(self));
            }
        }
        piece.push_str(".\r\n");
        (piece.into_bytes(), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    fn number(value: u32) -> MessageNumber {
        MessageNumber(NonZeroU32::new(value).unwrap())
    }

    fn maildrop(count: u32) -> Maildrop {
        let message = |value: u32| Message {
            uid: NonZeroU32::new(value).unwrap(),
            unique_id: format!("u{value}").into(),
            size_octets: u64::from(value),
            form: Form::AsStored,
            mark: Mark::Kept,
        };
        Maildrop::of((1..=count).map(message).collect())
    }

    #[test]
    fn numbers_stay_when_messages_are_marked() {
        let mut maildrop = maildrop(3);
        assert_eq!(maildrop.mark_deleted(number(2)), Some(()));
        assert_eq!(maildrop.mark_deleted(number(2)), None);
        assert_eq!(maildrop.mark_deleted(number(4)), None);
        assert!(maildrop.message(number(2)).is_none());
        assert_eq!((maildrop.count(), maildrop.size_octets()), (2, 4));
        let (piece, rest) = Listing::new(Column::Size).next_piece(&maildrop);
        assert!(rest.is_none());
        assert_eq!(piece, b"1 1\r\n3 3\r\n.\r\n");
        assert_eq!(maildrop.deleted().len(), 1);
        maildrop.reset();
        assert_eq!((maildrop.count(), maildrop.size_octets()), (3, 6));
    }

    #[test]
    fn a_long_listing_comes_in_pieces() {
        let maildrop = maildrop(20_000);
        let mut whole = Vec::new();
        let mut listing = Some(Listing::new(Column::UniqueId));
        while let Some(under_way) = listing {
            let (piece, rest) = under_way.next_piece(&maildrop);
            assert!(piece.len() < PIECE_OCTETS + 100);
            whole.extend(piece);
            listing = rest;
        }
        let whole = String::from_utf8(whole).unwrap();
        assert_eq!(whole.lines().count(), 20_001);
        assert!(whole.ends_with("20000 u20000\r\n.\r\n"));
    }
}
