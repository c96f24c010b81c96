//! What clients were told, and whether what a mailbox shows keeps to it.

use crate::{
    Account, FlagAction, Flags, InternalDate, Mailbox, MessageRow, ModSeq, Snapshot, Uid,
    UidValidity, Vanished,
};
use std::collections::{BTreeMap, BTreeSet};

/// Why something is not as promised.
pub(super) type Broken = String;

/// Whether the power was lost since clients were told the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    Kept,
    Lost,
}

/// All that clients of an account were told.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    pub(super) mailboxes: BTreeMap<String, ToldMailbox>,
    /// Every UIDVALIDITY that a name ever had.
    pub(super) validities: BTreeMap<String, BTreeSet<UidValidity>>,
    pub(super) subscribed: BTreeSet<String>,
    /// Names of which it was not told whether they are subscribed.
    pub(super) perhaps_subscribed: BTreeSet<String>,
    /// Mailboxes of which it was not told whether they were made, with the messages
    /// that may be in them.
    pub(super) perhaps_made: BTreeMap<String, Vec<String>>,
    /// Mailboxes of which it was not told whether they were deleted.
    pub(super) perhaps_deleted: BTreeSet<String>,
    /// Old and new name of mailboxes of which it was not told whether they were renamed.
    pub(super) perhaps_renamed: Vec<(String, String)>,
    /// Names of mailboxes that were not made, deleted, renamed or subscribed as asked:
    /// the next loss of power may undo what could be seen of it.
    pub(super) in_doubt: BTreeSet<String>,
    /// Mailboxes in doubt that were there once.
    pub(super) doubted: Vec<ToldMailbox>,
    /// What POP3 devices fetched and deleted for themselves.
    pub(super) devices: BTreeMap<String, ToldDevice>,
    /// What they may have done besides.
    pub(super) perhaps_devices: Vec<(String, ToldDevice)>,
    /// What they may have done or not, as that was refused: the next loss of power decides.
    pub(super) doubted_devices: Vec<(String, ToldDevice)>,
    /// Messages that were delivered: they are somewhere.
    pub(super) delivered: BTreeSet<String>,
    /// Messages that may be nowhere any more.
    pub(super) leaving: BTreeSet<String>,
    /// Messages that may be nowhere any more if another is somewhere.
    pub(super) replacing: Vec<(String, String)>,
    /// What was told and must not have been.
    pub(super) broken: Vec<Broken>,
    /// What was told of the server's metadata.
    pub(super) server: ToldMetadata,
    /// That of mailboxes that are not there, which nobody looks at.
    pub(super) nowhere: ToldMetadata,
}

/// Entries and their values.
pub(super) type Entries = BTreeMap<String, Vec<u8>>;

/// What clients were told of the metadata of a mailbox or of the server.
#[derive(Debug, Clone, Default)]
pub(super) struct ToldMetadata {
    pub(super) told: Entries,
    /// What they may be besides.
    pub(super) perhaps: Vec<Entries>,
    /// What they may be after a loss of power, as it was refused.
    pub(super) in_doubt: Vec<Entries>,
}

impl ToldMetadata {
    /// What they are with a value set.
    pub(super) fn with(&self, entry: &str, value: &str) -> Entries {
        let mut entries = self.told.clone();
        entries.insert(entry.to_owned(), value.as_bytes().to_vec());
        entries
    }
    /// A client looks at all of them.
    pub(super) fn look(&mut self, seen: Entries, power: Power) -> Result<(), Broken> {
        let lost = power == Power::Lost && self.in_doubt.contains(&seen);
        if seen != self.told && !self.perhaps.contains(&seen) && !lost {
            return Err(format!("metadata is {seen:?}, was {:?}", self.told));
        }
        self.told = seen;
        self.perhaps.clear();
        if power == Power::Lost {
            self.in_doubt.clear();
        }
        Ok(())
    }
    /// What may be was refused.
    pub(super) fn refused(&mut self, lasting: bool) {
        self.in_doubt.extend(self.perhaps.iter().cloned());
        self.in_doubt.push(self.told.clone());
        if !lasting {
            self.perhaps.clear();
        }
    }
}

/// What one POP3 device did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ToldDevice {
    pub(super) fetched: BTreeSet<Uid>,
    pub(super) deleted: BTreeSet<Uid>,
}

impl ToldDevice {
    /// The same, of the messages there are.
    fn of(&self, uids: &BTreeSet<Uid>) -> Self {
        Self {
            fetched: self.fetched.intersection(uids).copied().collect(),
            deleted: self.deleted.intersection(uids).copied().collect(),
        }
    }
}

/// What clients were told of one mailbox.
#[derive(Debug, Clone)]
pub(super) struct ToldMailbox {
    pub(super) uid_validity: UidValidity,
    pub(super) guid: [u8; 16],
    pub(super) uid_next: Uid,
    pub(super) highest_modseq: ModSeq,
    pub(super) messages: BTreeMap<Uid, ToldMessage>,
    /// The text of every message that ever had a UID.
    pub(super) every: BTreeMap<Uid, String>,
    pub(super) unique_ids: BTreeMap<Uid, String>,
    /// Messages that may have come unseen.
    pub(super) perhaps_came: Vec<String>,
    /// Messages whose coming was refused, or whose going was only half told: a loss of
    /// power may bring them (back).
    pub(super) limbo: Vec<String>,
    /// Messages that may have gone.
    pub(super) perhaps_gone: BTreeSet<Uid>,
    /// Messages that were said to be gone, until that was seen.
    pub(super) surely_gone: BTreeSet<Uid>,
    pub(super) metadata: ToldMetadata,
}

/// What clients were told of one message.
#[derive(Debug, Clone)]
pub(super) struct ToldMessage {
    pub(super) text: String,
    /// None until it was seen.
    pub(super) date: Option<InternalDate>,
    /// None until it was seen.
    pub(super) modseq: Option<ModSeq>,
    /// What it was marked with, the last being the one told last.
    pub(super) marks: Vec<Marks>,
    /// What it may be marked with besides.
    pub(super) perhaps: Vec<Marks>,
}

/// Flags and keywords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) flags: Flags,
    pub(super) keywords: BTreeSet<String>,
}

impl Marks {
    pub(super) fn of(row: &MessageRow<'_>, snapshot: &Snapshot) -> Self {
        let keywords = row.keywords.iter();
        let names = keywords.map(|index| snapshot.keywords()[usize::from(*index)].to_string());
        Self {
            flags: row.flags,
            keywords: names.collect(),
        }
    }
    /// What a flag change makes of them.
    pub(super) fn after(&self, action: FlagAction, flags: Flags, keywords: &[String]) -> Self {
        let mut marks = self.clone();
        match action {
            FlagAction::Add => {
                marks.flags = marks.flags.with(flags);
                marks.keywords.extend(keywords.iter().cloned());
            }
            FlagAction::Remove => {
                marks.flags = marks.flags.without(flags);
                marks.keywords.retain(|name| !keywords.contains(name));
            }
            FlagAction::Replace => {
                marks.flags = flags;
                marks.keywords = keywords.iter().cloned().collect();
            }
        }
        marks
    }
}

impl Told {
    /// What is told before the first login: only that there will be an INBOX.
    pub(super) fn new() -> Self {
        Self {
            perhaps_made: BTreeMap::from([("INBOX".to_owned(), Vec::new())]),
            ..Self::default()
        }
    }
    /// Messages may come to a mailbox.
    pub(super) fn come(&mut self, mailbox: &str, texts: Vec<String>) {
        if let Some(told) = self.mailboxes.get_mut(mailbox) {
            told.perhaps_came.extend(texts);
        } else if let Some(perhaps) = self.perhaps_made.get_mut(mailbox) {
            perhaps.extend(texts);
        }
    }
    /// A client is told of a new mailbox, which may hold these messages.
    pub(super) fn meet(&mut self, text: &str, mailbox: &Mailbox, perhaps_came: Vec<String>) {
        let mut fresh = ToldMailbox {
            perhaps_came,
            ..ToldMailbox::new(mailbox)
        };
        if let Some(inbox) = self.mailboxes.get("INBOX") {
            // Should it be what INBOX was renamed to.
            fresh.metadata.perhaps.push(inbox.metadata.told.clone());
        } else {
            // What was set before anybody looked at INBOX.
            let perhaps = self.nowhere.perhaps.iter().cloned();
            fresh.metadata.perhaps.extend(perhaps);
        }
        let validities = self.validities.entry(text.to_owned()).or_default();
        if !validities.insert(fresh.uid_validity) {
            let broken = format!("{text} has the UIDVALIDITY of an earlier one");
            self.broken.push(broken);
        }
        self.perhaps_made.remove(text);
        self.mailboxes.insert(text.to_owned(), fresh);
    }
    /// The metadata of a mailbox, or of the server.
    pub(super) fn metadata(&mut self, of: &str) -> &mut ToldMetadata {
        match self.mailboxes.get_mut(of) {
            Some(mailbox) => &mut mailbox.metadata,
            None if of.is_empty() => &mut self.server,
            None => &mut self.nowhere,
        }
    }
    /// A client is told that a message came.
    pub(super) fn came(&mut self, mailbox: &str, uid: Uid, message: ToldMessage) {
        if let Some(told) = self.mailboxes.get_mut(mailbox)
            && let Err(broken) = told.came(uid, message)
        {
            self.broken.push(format!("{mailbox}: {broken}"));
        }
    }
    /// A client is told what was copied or moved where.
    pub(super) fn copied(&mut self, from: &str, to: &str, pairs: &[(Uid, Uid)]) {
        for (source, destination) in pairs {
            if let Some(message) = self.message(from, *source) {
                let mut message = message.clone();
                message.modseq = None;
                message.perhaps.clear();
                message.marks.drain(..message.marks.len() - 1);
                self.came(to, *destination, message);
            }
        }
    }
    /// A client is told that a message is gone.
    pub(super) fn went(&mut self, mailbox: &str, uid: Uid) {
        if let Some(told) = self.mailboxes.get_mut(mailbox) {
            told.went(uid);
        }
    }
    /// A client is told that a message is marked as it asked.
    pub(super) fn marked(&mut self, mailbox: &str, uid: Uid) {
        let told = self.mailboxes.get_mut(mailbox);
        if let Some(message) = told.and_then(|told| told.messages.get_mut(&uid)) {
            if message.perhaps.last() != message.marks.last() {
                // It is to have another by now.
                message.modseq = None;
            }
            message.marks.append(&mut message.perhaps);
        }
    }
    /// A client is told that a name is subscribed, or not.
    pub(super) fn subscription(&mut self, text: &str, subscribed: bool) {
        self.perhaps_subscribed.remove(text);
        if subscribed {
            self.subscribed.insert(text.to_owned());
        } else {
            self.subscribed.remove(text);
        }
    }
    /// Looks at what each device did: it is what was told, or what may have been. From
    /// then on it is told what was seen.
    pub(super) fn look_at_devices(
        &mut self,
        account: &Account,
        power: Power,
    ) -> Result<(), Broken> {
        let Some(inbox) = self.mailboxes.get("INBOX") else {
            return Ok(());
        };
        let uids: BTreeSet<Uid> = inbox.messages.keys().copied().collect();
        let mut perhaps = std::mem::take(&mut self.perhaps_devices);
        if power == Power::Lost {
            perhaps.append(&mut self.doubted_devices);
        }
        let names: BTreeSet<String> = self
            .devices
            .keys()
            .chain(perhaps.iter().map(|(name, _)| name))
            .cloned()
            .collect();
        for name in names {
            let ledger = account.device_ledger(&name);
            let ledger = ledger.map_err(|error| error.to_string())?;
            let these = |has: &dyn Fn(Uid) -> bool| {
                let uids = uids.iter().copied();
                uids.filter(|uid| has(*uid)).collect()
            };
            let seen = ToldDevice {
                fetched: these(&|uid| ledger.has_fetched(uid)),
                deleted: these(&|uid| ledger.has_deleted(uid)),
            };
            let told = self.devices.entry(name.clone()).or_default();
            let is_told = told.of(&uids) == seen;
            let mut others = perhaps.iter().filter(|(other, _)| *other == name);
            if !is_told && !others.any(|(_, other)| other.of(&uids) == seen) {
                return Err(format!("{name} did {seen:?}, was told {told:?}"));
            }
            *told = seen;
        }
        Ok(())
    }
    /// A message as a client knows it.
    pub(super) fn message(&self, mailbox: &str, uid: Uid) -> Option<&ToldMessage> {
        self.mailboxes.get(mailbox)?.messages.get(&uid)
    }
}

impl ToldMessage {
    /// A message that was acknowledged, but not seen.
    pub(super) fn new(text: String, marks: Marks) -> Self {
        Self {
            text,
            date: None,
            modseq: None,
            marks: vec![marks],
            perhaps: Vec::new(),
        }
    }
    /// The marks it may have: flags as at one moment, keywords that no moment
    /// contradicts, as letters and further keywords are written one after the other.
    fn may_have(&self, marks: &Marks, power: Power) -> bool {
        let told = match power {
            Power::Kept => &self.marks[self.marks.len() - 1..],
            Power::Lost => &self.marks[..],
        };
        let moments = || told.iter().chain(&self.perhaps);
        moments().any(|moment| moment.flags == marks.flags)
            && marks
                .keywords
                .iter()
                .all(|name| moments().any(|moment| moment.keywords.contains(name)))
            && moments().flat_map(|moment| &moment.keywords).all(|name| {
                marks.keywords.contains(name)
                    || moments().any(|moment| !moment.keywords.contains(name))
            })
    }
}

impl ToldMailbox {
    /// What is told of a mailbox at the first look.
    pub(super) fn new(mailbox: &Mailbox) -> Self {
        Self {
            uid_validity: mailbox.snapshot().uid_validity(),
            guid: mailbox.guid(),
            uid_next: Uid::MIN,
            highest_modseq: 0,
            messages: BTreeMap::new(),
            every: BTreeMap::new(),
            unique_ids: BTreeMap::new(),
            perhaps_came: Vec::new(),
            limbo: Vec::new(),
            perhaps_gone: BTreeSet::new(),
            surely_gone: BTreeSet::new(),
            metadata: ToldMetadata::default(),
        }
    }
    /// A client is told that a message came.
    pub(super) fn came(&mut self, uid: Uid, message: ToldMessage) -> Result<(), Broken> {
        if uid < self.uid_next || self.every.contains_key(&uid) {
            return Err(format!("UID {uid} is told again"));
        }
        if let Some(came) = self
            .perhaps_came
            .iter()
            .position(|text| *text == message.text)
        {
            self.perhaps_came.remove(came);
        }
        self.every.insert(uid, message.text.clone());
        self.messages.insert(uid, message);
        Ok(())
    }
    /// A client is told that a message is gone.
    pub(super) fn went(&mut self, uid: Uid) {
        if self.perhaps_gone.remove(&uid) {
            self.surely_gone.insert(uid);
        }
    }
    /// A client looks at all there is: nothing but what may have happened did. From
    /// then on it is told what it saw.
    pub(super) fn look(&mut self, mailbox: &Mailbox, power: Power) -> Result<(), Broken> {
        let snapshot = mailbox.sync().map_err(|error| error.to_string())?;
        let same = snapshot.uid_validity() == self.uid_validity && mailbox.guid() == self.guid;
        if !same {
            return Err("UIDVALIDITY or mailbox GUID changed".to_owned());
        }
        if snapshot.uid_next() < self.uid_next {
            let (now, told) = (snapshot.uid_next(), self.uid_next);
            return Err(format!("UIDNEXT is {now}, was {told}"));
        }
        if snapshot.highest_modseq() < self.highest_modseq {
            let (now, told) = (snapshot.highest_modseq(), self.highest_modseq);
            return Err(format!("HIGHESTMODSEQ is {now}, was {told}"));
        }
        let mut seen = BTreeMap::new();
        for row in snapshot.rows() {
            let text = read(mailbox, &row)?;
            if row.modseq > snapshot.highest_modseq() {
                return Err(format!("UID {}: above HIGHESTMODSEQ", row.uid));
            }
            let message = self
                .look_at(&row, &snapshot, text, power)
                .map_err(|broken| format!("UID {}: {broken}", row.uid))?;
            seen.insert(row.uid, message);
        }
        let gone: Vec<Uid> = self
            .messages
            .keys()
            .filter(|uid| !seen.contains_key(uid))
            .copied()
            .collect();
        if let Some(lost) = gone
            .iter()
            .find(|uid| !self.perhaps_gone.contains(uid) && !self.surely_gone.contains(uid))
        {
            return Err(format!("UID {lost} is lost"));
        }
        if !gone.is_empty() {
            if snapshot.highest_modseq() == self.highest_modseq {
                return Err("messages went without a new mod-sequence".to_owned());
            }
            if let Vanished::Exactly(vanished) = mailbox.vanished_since(self.highest_modseq)
                && !gone.iter().all(|uid| vanished.contains(uid))
            {
                return Err("the history lacks an expunged message".to_owned());
            }
            for uid in &gone {
                if !self.surely_gone.contains(uid) {
                    self.limbo.push(self.messages[uid].text.clone());
                }
            }
        }
        self.perhaps_gone.clear();
        self.surely_gone.clear();
        self.perhaps_came.clear();
        if power == Power::Lost {
            self.limbo.clear();
        }
        self.messages = seen;
        self.uid_next = snapshot.uid_next();
        self.highest_modseq = snapshot.highest_modseq();
        self.look_at_unique_ids(mailbox, &snapshot)
    }
    fn look_at(
        &mut self,
        row: &MessageRow<'_>,
        snapshot: &Snapshot,
        text: String,
        power: Power,
    ) -> Result<ToldMessage, Broken> {
        let marks = Marks::of(row, snapshot);
        let news = row.modseq > self.highest_modseq;
        let Some(told) = self.messages.get(&row.uid) else {
            if !news {
                return Err("a message came without a new mod-sequence".to_owned());
            }
            if row.uid < self.uid_next && self.every.get(&row.uid) != Some(&text) {
                return Err("the UID was passed already".to_owned());
            }
            self.admit(&text, power)?;
            self.every.insert(row.uid, text.clone());
            return Ok(ToldMessage {
                text,
                date: Some(row.internal_date),
                modseq: Some(row.modseq),
                marks: vec![marks],
                perhaps: Vec::new(),
            });
        };
        if text != told.text {
            return Err(format!("reads {text:?}, was {:?}", told.text));
        }
        if self.surely_gone.contains(&row.uid) {
            return Err("is back".to_owned());
        }
        if told.date.is_some_and(|date| row.internal_date != date) {
            return Err("another date".to_owned());
        }
        if !told.may_have(&marks, power) {
            return Err(format!("has {marks:?}, was told {:?}", told.marks));
        }
        let changed = told.marks.last() != Some(&marks);
        if !news && (changed || told.modseq != Some(row.modseq)) {
            return Err(format!(
                "{marks:?} at {} after {:?} at {:?}",
                row.modseq,
                told.marks.last(),
                told.modseq
            ));
        }
        let mut message = told.clone();
        message.date = Some(row.internal_date);
        message.modseq = Some(row.modseq);
        message.perhaps.clear();
        if changed {
            message.marks.push(marks);
        }
        Ok(message)
    }
    /// A message that was not there: it must be one that may have come.
    fn admit(&mut self, text: &str, power: Power) -> Result<(), Broken> {
        let came = self.perhaps_came.iter().position(|came| came == text);
        let back = self.limbo.iter().position(|back| back == text);
        match (came, back) {
            (Some(came), _) => drop(self.perhaps_came.remove(came)),
            (None, Some(back)) if power == Power::Lost => drop(self.limbo.remove(back)),
            _ => return Err(format!("nobody can have put {text:?} there")),
        }
        Ok(())
    }
    fn look_at_unique_ids(&mut self, mailbox: &Mailbox, snapshot: &Snapshot) -> Result<(), Broken> {
        if self.unique_ids.is_empty() {
            return Ok(());
        }
        let listing = mailbox.unique_id_listing(snapshot);
        for (uid, unique_id) in listing.map_err(|error| error.to_string())? {
            let told = self.unique_ids.get(&uid);
            if told.is_some_and(|told| **told != *unique_id) {
                return Err(format!("UID {uid}: another unique-id"));
            }
        }
        Ok(())
    }
}

/// Reads a message whole; its size must be that of what was read.
fn read(mailbox: &Mailbox, row: &MessageRow<'_>) -> Result<String, Broken> {
    let opened = mailbox
        .open_message(row.uid)
        .map_err(|error| format!("UID {}: {error}", row.uid))?;
    let mut text = String::new();
    std::io::Read::read_to_string(&mut &*opened.file, &mut text)
        .map_err(|error| format!("UID {}: {error}", row.uid))?;
    let sent_octets = text.len() + text.matches('\n').count();
    if row.size_octets != sent_octets as u64 {
        let size_octets = row.size_octets;
        return Err(format!(
            "UID {}: {size_octets} octets told, {sent_octets} sent",
            row.uid
        ));
    }
    Ok(text)
}
