//! [`Untold`]: changes of flags that a client is not told of as it does not want to be, and
//! what it may conclude from mod-sequences (RFC 5465 section 3.1, RFC 7162 section 3.2).

use super::responses::write_highest_modseq;
use super::{View, WantedFlags};
use crate::capability::Enabled;
use crate::response::Writer;
use std::collections::BTreeMap;
use store::{ModSeq, Snapshot, Uid};

/// Changes of flags the client was not told of, in messages it knows.
#[derive(Debug, Default)]
pub(super) struct Untold {
    /// The mod-sequence of the first that was not told of each message.
    first: BTreeMap<Uid, ModSeq>,
    /// The highest mod-sequence of a FETCH response since the highest of all was told.
    shown: ModSeq,
}

impl Untold {
    /// Whether what is at this mod-sequence was not told of a message.
    pub(super) fn hides(&self, uid: Uid, modseq: ModSeq) -> bool {
        self.first.get(&uid).is_some_and(|first| *first <= modseq)
    }

    /// Whether there is anything of this message.
    pub(super) fn has(&self, uid: Uid) -> bool {
        self.first.contains_key(&uid)
    }

    /// Whether there is anything.
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// This is not told.
    pub(super) fn keep(&mut self, uid: Uid, modseq: ModSeq) {
        self.first.entry(uid).or_insert(modseq);
    }

    /// The client knows of this message, or it is gone.
    pub(super) fn drop_of(&mut self, uid: Uid) {
        self.first.remove(&uid);
    }

    /// The client knows of all of them.
    pub(super) fn clear(&mut self) {
        self.first.clear();
    }

    /// Adds the messages it is about to those that changed.
    pub(super) fn join(&self, changed: &mut Vec<Uid>) {
        if !self.first.is_empty() {
            changed.extend(self.first.keys());
            changed.sort_unstable();
            changed.dedup();
        }
    }

    /// The highest mod-sequence up to which nothing is withheld.
    pub(super) fn cap(&self, modseq: ModSeq) -> ModSeq {
        let lowest = self.first.values().min();
        lowest.map_or(modseq, |lowest| modseq.min(lowest.saturating_sub(1)))
    }

    /// A FETCH response has this mod-sequence.
    pub(super) fn show(&mut self, modseq: ModSeq) {
        self.shown = self.shown.max(modseq);
    }

    /// The highest mod-sequence of FETCH responses since this was asked last.
    pub(super) fn take_shown(&mut self) -> Option<ModSeq> {
        Some(std::mem::take(&mut self.shown)).filter(|shown| *shown > 0)
    }
}

impl View {
    /// Whether the client knows all there is by now.
    pub fn knows_all(&self, current: &Snapshot) -> bool {
        let difference = self.told.difference(current);
        difference.expunged.is_empty()
            && difference.added.is_empty()
            && self.untold.is_empty()
            && self.unknown(current, &difference.changed).next().is_none()
    }

    /// Whether changes of flags were not told in what was.
    pub fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }

    /// Mod-sequences of those of these that the client does not know as they are.
    fn unknown(&self, current: &Snapshot, changed: &[Uid]) -> impl Iterator<Item = ModSeq> {
        let rows = changed.iter().filter_map(|uid| current.of_uid(*uid));
        let unknown = rows.filter(|row| !self.knows(row.uid, row.modseq));
        unknown.map(|row| row.modseq)
    }

    /// Notes that a FETCH response has this mod-sequence, but no flags.
    pub fn note_shown(&mut self, modseq: ModSeq) {
        self.untold.show(modseq);
    }

    /// Notes whether the client does not want to be told of changes of flags.
    pub fn note_withholds(&mut self, withholds: bool) {
        self.withholds = withholds;
    }

    /// Messages that changed and are to be told, of these and of those that were withheld.
    pub(super) fn to_tell(&self, mut changed: Vec<Uid>, flags: WantedFlags) -> Vec<Uid> {
        match flags {
            WantedFlags::None => changed.clear(),
            WantedFlags::Plain | WantedFlags::WithUid => self.untold.join(&mut changed),
        }
        changed
    }

    /// Where mod-sequences were told that exceed those of something the client is not told,
    /// or not yet, it is told up to where it knows all (RFC 7162 section 3.2).
    pub fn settle(&mut self, enabled: Enabled, out: &mut Writer) {
        let Some(shown) = self.untold.take_shown().filter(|_| enabled.condstore()) else {
            return;
        };
        let current = self.mailbox.snapshot();
        let difference = self.told.difference(&current);
        let known = match difference.expunged.is_empty() && difference.added.is_empty() {
            true => self.below_unknown(&current, &difference.changed),
            false => self.told.highest_modseq(),
        };
        let known = self.untold.cap(known);
        if shown > known {
            write_highest_modseq(known, out);
        }
    }

    /// The highest mod-sequence below all changes of these that the client does not know.
    fn below_unknown(&self, current: &Snapshot, changed: &[Uid]) -> ModSeq {
        let lowest = self.unknown(current, changed).min();
        let highest = current.highest_modseq();
        lowest.map_or(highest, |lowest| highest.min(lowest.saturating_sub(1)))
    }

    /// Tells the highest mod-sequence of all that was told, below what was withheld.
    pub fn write_highest_modseq(&self, out: &mut Writer) {
        write_highest_modseq(self.untold.cap(self.told.highest_modseq()), out);
    }

    /// The highest mod-sequence once the client is told all that it wants to be told, below
    /// what it does not want to be told.
    pub fn highest_modseq(&self) -> ModSeq {
        let current = self.mailbox.snapshot();
        let highest = match self.withholds {
            true => self.below_unknown(&current, &self.told.difference(&current).changed),
            false => current.highest_modseq(),
        };
        self.untold.cap(highest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_change_that_is_withheld_counts() {
        let uid = |number| Uid::new(number).expect("a UID");
        let mut untold = Untold::default();
        assert_eq!(untold.cap(9), 9);
        untold.keep(uid(3), 7);
        untold.keep(uid(3), 8);
        untold.keep(uid(5), 6);
        assert_eq!(untold.cap(9), 5);
        assert_eq!(untold.cap(4), 4);
        assert!(untold.hides(uid(3), 7) && !untold.hides(uid(3), 6));
        let mut changed = vec![uid(4), uid(5)];
        untold.join(&mut changed);
        assert_eq!(changed, [uid(3), uid(4), uid(5)]);
        untold.drop_of(uid(5));
        assert_eq!(untold.cap(9), 6);
        untold.clear();
        assert!(untold.is_empty() && !untold.has(uid(3)));
        untold.show(4);
        untold.show(2);
        assert_eq!(untold.take_shown(), Some(4));
        assert_eq!(untold.take_shown(), None);
    }
}
