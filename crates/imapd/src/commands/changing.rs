//! [`Changing`]: STORE, COPY, MOVE, EXPUNGE and CLOSE under way, some messages a step: other
//! sessions have their turn in between, and the client is told how far it is (RFC 9585).

use super::Outcome;
use super::copy::{Copying, Moving};
use super::store_flags::{Expunging, Storing};
use crate::capability::{Capabilities, Enabled};
use crate::progress::Measure;
use crate::response::{More, Writer};
use crate::view::View;
use std::time::{Duration, Instant};
use store::Uid;

/// So many messages are changed in the first step.
const FIRST_MESSAGES: usize = 1_000;
/// A step that took no longer is followed by one of twice as many: each syncs what it did.
const SHORT: Duration = Duration::from_millis(100);

/// What is done to messages.
pub enum Change {
    /// Their flags are changed.
    Store(Storing),
    /// They are copied.
    Copy(Copying),
    /// They are moved.
    Move(Moving),
    /// They are removed.
    Expunge(Expunging),
}

/// A command under way that changes messages.
pub struct Changing {
    uids: Vec<Uid>,
    /// How many of them are done.
    done: usize,
    /// How many the next step takes.
    size: usize,
    /// When the last step began.
    began: Option<Instant>,
    change: Change,
}

impl Changing {
    /// Begins to change these messages.
    pub fn begin(uids: Vec<Uid>, change: Change) -> Outcome {
        Outcome::Changing(Box::new(Self {
            uids,
            done: 0,
            size: FIRST_MESSAGES,
            began: None,
            change,
        }))
    }

    /// The text of the tagged reply.
    pub fn completed(&self) -> &'static str {
        match &self.change {
            Change::Store(_) => "STORE completed",
            Change::Copy(_) => "COPY completed",
            Change::Move(_) => "MOVE completed",
            Change::Expunge(expunging) => expunging.completed(),
        }
    }

    /// Whether the mailbox is closed with it.
    pub fn closes(&self) -> bool {
        matches!(&self.change, Change::Expunge(expunging) if expunging.closes())
    }

    /// How far it is.
    pub fn measure(&self) -> Measure {
        Measure::Of {
            done: self.done as u64,
            all: self.uids.len() as u64,
        }
    }

    /// Changes some messages. What each step did is on disk when it returns, as far as the
    /// command promises that; a crash between two steps leaves what the first did.
    ///
    /// # Errors
    /// The disk's, and that a mailbox is gone.
    pub fn step(&mut self, view: &mut View, now: Instant) -> Result<More, Outcome> {
        if self
            .began
            .is_some_and(|began| now.saturating_duration_since(began) <= SHORT)
        {
            self.size = self.size.saturating_mul(2);
        }
        self.began = Some(now);
        let end = self.done.saturating_add(self.size).min(self.uids.len());
        let uids = self.uids.get(self.done..end).unwrap_or_default();
        if !uids.is_empty() {
            match &mut self.change {
                Change::Store(storing) => storing.step(view, uids)?,
                Change::Copy(copying) => copying.step(view, uids)?,
                Change::Move(moving) => moving.step(view, uids)?,
                Change::Expunge(_) => drop(view.mailbox().expunge_deleted(uids)?),
            }
        }
        self.done = end;
        Ok(if end < self.uids.len() {
            More::Follows
        } else {
            More::Nothing
        })
    }

    /// All is done: how it is answered.
    pub fn finish(
        self,
        view: &mut View,
        (enabled, on): (Enabled, Capabilities),
        out: &mut Writer,
    ) -> Outcome {
        match self.change {
            Change::Store(storing) => storing.finish(view, enabled),
            Change::Copy(copying) => copying.finish(on),
            Change::Move(moving) => moving.finish(view, (enabled, on), out),
            Change::Expunge(expunging) => expunging.finish(view, enabled, out),
        }
    }

    /// A step failed: what was copied is taken back, what was moved is told.
    pub fn give_up(self, on: Capabilities, out: &mut Writer) {
        match self.change {
            Change::Move(moving) => moving.tell(on, out),
            Change::Store(_) | Change::Copy(_) | Change::Expunge(_) => {}
        }
    }
}
