//! Keywords: `dovecot-keywords` names the letters a-z of file names; what exceeds
//! them is kept by unique name in `pillarbox-keywords`.

use crate::control_file;
use crate::disk::{self, Stamp};
use crate::{Error, Keyword, Result};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

const NAME: &str = "dovecot-keywords";
const FURTHER_NAME: &str = "pillarbox-keywords";
/// How many keywords a mailbox may have.
pub(crate) const LIMIT: usize = 1024;

/// A mailbox's keywords.
#[derive(Debug, Default)]
pub(crate) struct KeywordTable {
    /// The names; an index never changes its meaning while the mailbox is open.
    pub(crate) names: Arc<Vec<Keyword>>,
    /// Lower-case name to index.
    by_name: HashMap<String, u16>,
    /// The index of each letter's name.
    letters: [Option<u16>; 26],
    /// Keywords without letter, by unique name.
    further: HashMap<Arc<str>, Vec<u16>>,
    further_changed: bool,
    stamp: Option<Stamp>,
}

impl KeywordTable {
    /// Reads both files.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        let mut table = Self::default();
        table.refresh(directory)?;
        let octets = control_file::read(&directory.join(FURTHER_NAME))?.unwrap_or_default();
        for line in String::from_utf8_lossy(&octets).lines() {
            let mut words = line.split(' ');
            let Some(name) = words.next().filter(|name| !name.is_empty()) else {
                continue;
            };
            let mut indices: Vec<u16> = words.filter_map(|word| table.index(word)).collect();
            indices.sort_unstable();
            indices.dedup();
            if !indices.is_empty() {
                table.further.insert(Arc::from(name), indices);
            }
        }
        Ok(table)
    }
    /// Reads `dovecot-keywords` again if it changed; tells whether it did.
    pub(crate) fn refresh(&mut self, directory: &Path) -> Result<bool> {
        let path = directory.join(NAME);
        let stamp = disk::stamp(&path)
            .map_err(|error| Error::io(format!("look at {}", path.display()), error))?;
        if stamp == self.stamp {
            return Ok(false);
        }
        let Some(octets) = control_file::read(&path)? else {
            self.stamp = None;
            return Ok(false);
        };
        let mut letters = [None; 26];
        for line in String::from_utf8_lossy(&octets).lines() {
            let Some((number, name)) = line.split_once(' ') else {
                continue;
            };
            let slot = number
                .parse::<usize>()
                .ok()
                .and_then(|number| letters.get_mut(number));
            if let Some(slot) = slot {
                *slot = self.index(name);
            }
        }
        self.letters = letters;
        self.stamp = stamp;
        Ok(true)
    }
    /// What tells whether the files changed: `dovecot-keywords` as last read, and the
    /// other as it is now.
    pub(crate) fn stamps(&self, directory: &Path) -> [Option<Stamp>; 2] {
        let further = disk::stamp(&directory.join(FURTHER_NAME)).ok().flatten();
        [self.stamp, further]
    }
    /// The index of a name, given one if it has none.
    pub(crate) fn index(&mut self, name: &str) -> Option<u16> {
        let folded = name.to_ascii_lowercase();
        if let Some(index) = self.by_name.get(&folded) {
            return Some(*index);
        }
        let usable = !name.is_empty()
            && name.len() <= 255
            && name.bytes().all(|octet| octet > b' ' && octet != 0x7f);
        if !usable || self.names.len() >= LIMIT {
            return None;
        }
        let index = u16::try_from(self.names.len()).ok()?;
        Arc::make_mut(&mut self.names).push(Keyword::from(name));
        self.by_name.insert(folded, index);
        Some(index)
    }
    /// The index of a known name.
    pub(crate) fn known(&self, name: &str) -> Option<u16> {
        self.by_name.get(&name.to_ascii_lowercase()).copied()
    }
    /// Whether one of these names has no letter and could have one.
    pub(crate) fn lacks_letter(&self, names: &[Keyword]) -> bool {
        let has_letter = |name: &Keyword| {
            let index = self.known(name);
            index.is_some_and(|index| self.letters.contains(&Some(index)))
        };
        self.letters.contains(&None) && !names.iter().all(has_letter)
    }
    /// Indices for names, ascending; new names get a letter while there is one,
    /// which is written durably before any file name uses it. Who has
    /// [`KeywordTable::lacks_letter`] said has them locked, and read them since.
    pub(crate) fn intern(&mut self, directory: &Path, names: &[Keyword]) -> Result<Vec<u16>> {
        let mut indices = Vec::with_capacity(names.len());
        let mut changed = false;
        let before = self.letters;
        for name in names {
            let index = self
                .index(name)
                .ok_or(Error::CannotDo("the mailbox cannot take this keyword"))?;
            if !self.letters.contains(&Some(index))
                && let Some(slot) = self.letters.iter_mut().find(|slot| slot.is_none())
            {
                *slot = Some(index);
                changed = true;
            }
            indices.push(index);
        }
        if changed && let Err(error) = self.write(directory) {
            self.letters = before;
            return Err(error);
        }
        indices.sort_unstable();
        indices.dedup();
        Ok(indices)
    }
    fn write(&mut self, directory: &Path) -> Result<()> {
        let mut text = String::new();
        for (number, index) in self.letters.iter().enumerate() {
            if let Some(name) = index.and_then(|index| self.names.get(usize::from(index))) {
                text.push_str(&format!("{number} {name}\n"));
            }
        }
        // Dovecot reads it again when its time is another second.
        let before = self.stamp.map_or(i64::MIN, |stamp| stamp.seconds);
        let stamp = disk::replace_later(directory, NAME, text.as_bytes(), before)
            .map_err(|error| Error::io("write dovecot-keywords", error))?;
        self.stamp = Some(stamp);
        Ok(())
    }
    /// The keywords of a message: those of its letters and those without letter.
    pub(crate) fn of(&self, unique: &str, letters: u32) -> Vec<u16> {
        let mut indices = self.further.get(unique).cloned().unwrap_or_default();
        for (bit, index) in self.letters.iter().enumerate() {
            if let Some(index) = index.filter(|_| letters & (1 << bit) != 0) {
                indices.push(index);
            }
        }
        indices.sort_unstable();
        indices.dedup();
        indices
    }
    /// Sets a message's keywords: gives its letters; the rest is remembered until
    /// [`KeywordTable::save`]. Letters without a name stay as in `letters`.
    pub(crate) fn set(&mut self, unique: &str, letters: u32, indices: &[u16]) -> u32 {
        let mut now = 0;
        let mut rest = Vec::new();
        for (bit, index) in self.letters.iter().enumerate() {
            if index.is_none() {
                now |= letters & (1 << bit);
            }
        }
        for index in indices {
            match self.letters.iter().position(|slot| *slot == Some(*index)) {
                Some(bit) => now |= 1 << bit,
                None => rest.push(*index),
            }
        }
        if rest.is_empty() {
            self.further_changed |= self.further.remove(unique).is_some();
        } else if self.further.get(unique) != Some(&rest) {
            self.further.insert(Arc::from(unique), rest);
            self.further_changed = true;
        }
        now
    }
    /// Forgets a message that is gone.
    pub(crate) fn forget(&mut self, unique: &str) {
        self.further_changed |= self.further.remove(unique).is_some();
    }
    /// Writes keywords without letter, if they changed.
    pub(crate) fn save(&mut self, directory: &Path) -> Result<()> {
        if !self.further_changed {
            return Ok(());
        }
        let mut text = String::new();
        for (unique, indices) in &self.further {
            text.push_str(unique);
            for name in indices
                .iter()
                .filter_map(|index| self.names.get(usize::from(*index)))
            {
                text.push(' ');
                text.push_str(name);
            }
            text.push('\n');
        }
        control_file::replace(directory, FURTHER_NAME, text.as_bytes())?;
        self.further_changed = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_letters() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(NAME), "3 Old\nno-space\n").unwrap();
        let mut table = KeywordTable::read(directory.path()).unwrap();
        let names: Vec<Keyword> = (0..30).map(|number| format!("k{number}").into()).collect();
        let indices = table.intern(directory.path(), &names).unwrap();
        let letters = table.set("x", 0, &indices);
        assert_eq!(letters.count_ones(), 25);
        table.save(directory.path()).unwrap();
        let again = KeywordTable::read(directory.path()).unwrap();
        assert_eq!(again.of("x", letters).len(), 30);
        assert_eq!(again.known("K29"), again.known("k29"));
        assert!(again.known("k29").is_some());
        assert_eq!(again.of("y", 1 << 3), [again.known("old").unwrap()]);
    }
}
