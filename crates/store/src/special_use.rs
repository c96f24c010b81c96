//! Special uses (RFC 6154, RFC 8457): those that were set, in the file
//! `pillarbox-special-use` of the root (`<storage name><TAB><use>` lines, `-` for a
//! mailbox whose use was taken away), else by well-known names.

use crate::{MailboxName, Result, control_file};
use std::collections::BTreeMap;
use std::path::Path;

const FILE: &str = "pillarbox-special-use";

/// A special use (RFC 6154, RFC 8457), as its attribute without the backslash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecialUse {
    Archive,
    Drafts,
    Junk,
    Sent,
    Trash,
    Flagged,
    Important,
    All,
}

/// Names that tell a use, the standard one first.
const WELL_KNOWN: [(SpecialUse, &[&str]); 5] = [
    (SpecialUse::Drafts, &["Drafts"]),
    (SpecialUse::Sent, &["Sent", "Sent Messages", "Sent Items"]),
    (SpecialUse::Junk, &["Junk", "Spam"]),
    (SpecialUse::Trash, &["Trash", "Deleted Messages"]),
    (SpecialUse::Archive, &["Archive"]),
];

impl SpecialUse {
    const ALL: [Self; 8] = [
        Self::Archive,
        Self::Drafts,
        Self::Junk,
        Self::Sent,
        Self::Trash,
        Self::Flagged,
        Self::Important,
        Self::All,
    ];

    /// The attribute without its backslash.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Archive => "Archive",
            Self::Drafts => "Drafts",
            Self::Junk => "Junk",
            Self::Sent => "Sent",
            Self::Trash => "Trash",
            Self::Flagged => "Flagged",
            Self::Important => "Important",
            Self::All => "All",
        }
    }

    /// Reads an attribute without its backslash, in any case.
    pub fn from_name(text: &str) -> Option<Self> {
        let mut uses = Self::ALL.into_iter();
        uses.find(|special_use| text.eq_ignore_ascii_case(special_use.as_str()))
    }
}

/// The uses that were set, existing mailboxes or not; none where one was taken away.
#[derive(Debug)]
pub(crate) struct SpecialUses(BTreeMap<MailboxName, Option<SpecialUse>>);

/// What the file has for a use that was taken away.
const NO_USE: &str = "-";

impl SpecialUses {
    /// Reads the file; lines we cannot read are passed over.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let octets = control_file::read(&root.join(FILE))?.unwrap_or_default();
        let text = String::from_utf8_lossy(&octets);
        let read = text.lines().filter_map(|line| {
            let (name, special_use) = line.split_once('\t')?;
            let special_use = match special_use {
                NO_USE => None,
                text => Some(SpecialUse::from_name(text)?),
            };
            Some((MailboxName::from_storage_name(name)?, special_use))
        });
        Ok(Self(read.collect()))
    }

    /// Changes names as `f` says (`None` leaves a line out) and writes the file if
    /// that changed something.
    pub(crate) fn change(
        self,
        root: &Path,
        f: impl Fn(&MailboxName) -> Option<MailboxName>,
    ) -> Result<()> {
        let renamed = self.0.iter();
        let renamed: BTreeMap<_, _> = renamed
            .filter_map(|(name, special_use)| Some((f(name)?, *special_use)))
            .collect();
        if renamed == self.0 {
            return Ok(());
        }
        Self(renamed).write(root)
    }

    /// With further uses, not written yet.
    pub(crate) fn with(mut self, uses: impl Iterator<Item = (MailboxName, SpecialUse)>) -> Self {
        self.0
            .extend(uses.map(|(name, special_use)| (name, Some(special_use))));
        self
    }

    /// Sets a mailbox's use and writes the file.
    pub(crate) fn set(
        mut self,
        root: &Path,
        name: &MailboxName,
        special_use: SpecialUse,
    ) -> Result<()> {
        self.0.insert(name.clone(), Some(special_use));
        self.write(root)
    }

    /// Sets a mailbox's use, which no other keeps then, or takes it away, and writes the
    /// file.
    pub(crate) fn give(
        mut self,
        root: &Path,
        name: &MailboxName,
        special_use: Option<SpecialUse>,
    ) -> Result<()> {
        if special_use.is_some() {
            self.0.retain(|_, set| *set != special_use);
        }
        self.0.insert(name.clone(), special_use);
        self.write(root)
    }

    fn write(&self, root: &Path) -> Result<()> {
        let lines: String = self
            .0
            .iter()
            .map(|(name, special_use)| {
                let special_use = special_use.map_or(NO_USE, SpecialUse::as_str);
                format!("{}\t{special_use}\n", name.storage_name())
            })
            .collect();
        control_file::replace(root, FILE, lines.as_bytes())
    }

    /// The uses of those mailboxes for which `exists` holds.
    pub(crate) fn of_existing(
        mut self,
        exists: impl Fn(&MailboxName) -> bool,
    ) -> BTreeMap<MailboxName, SpecialUse> {
        self.0.retain(|name, _| exists(name));
        for (special_use, names) in WELL_KNOWN {
            if self.0.values().any(|set| *set == Some(special_use)) {
                continue;
            }
            let known = names
                .iter()
                .map(|name| MailboxName(vec![(*name).to_owned()]))
                .find(|name| exists(name) && !self.0.contains_key(name));
            if let Some(name) = known {
                self.0.insert(name, Some(special_use));
            }
        }
        let uses = self.0.into_iter();
        uses.filter_map(|(name, special_use)| Some((name, special_use?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_goes_before_well_known_names() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let name = |level: &str| MailboxName::new(vec![level.to_owned()]).unwrap();
        let uses = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|n| name(n)).collect();
            let uses = SpecialUses::read(root).unwrap();
            uses.of_existing(|name| names.contains(name))
        };
        let found = uses(&["Sent", "Sent Items", "Spam", "x"]);
        assert_eq!(found.len(), 2);
        assert_eq!(found[&name("Sent")], SpecialUse::Sent);
        assert_eq!(found[&name("Spam")], SpecialUse::Junk);
        let set = SpecialUses::read(root).unwrap();
        set.set(root, &name("Gel\u{f6}scht"), SpecialUse::Trash)
            .unwrap();
        assert_eq!(
            std::fs::read_to_string(root.join(FILE)).unwrap(),
            "Gel&APY-scht\tTrash\n"
        );
        let found = uses(&["Trash", "Gel\u{f6}scht"]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[&name("Gel\u{f6}scht")], SpecialUse::Trash);
        assert_eq!(uses(&["Trash"])[&name("Trash")], SpecialUse::Trash);
        let give = |level: &str, special_use| {
            let set = SpecialUses::read(root).unwrap();
            set.give(root, &name(level), special_use).unwrap();
        };
        give("Bin", Some(SpecialUse::Trash));
        let found = uses(&["Trash", "Gel\u{f6}scht", "Bin"]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[&name("Bin")], SpecialUse::Trash);
        give("Bin", None);
        give("Trash", None);
        assert!(uses(&["Trash", "Bin"]).is_empty());
        SpecialUses::read(root)
            .unwrap()
            .change(root, |_| None)
            .unwrap();
        assert_eq!(
            uses(&["Trash", "Gel\u{f6}scht"])[&name("Trash")],
            SpecialUse::Trash
        );
    }
}
