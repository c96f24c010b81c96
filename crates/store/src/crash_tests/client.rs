//! A client of an account on a simulated disk, who remembers what it was told.

use super::operation::Operation;
use super::told::{Broken, Entries, Power, Told};
use crate::disk::simulated::{Loss, Simulated};
use crate::{Account, Annotated, Error, Layout, Mailbox, MailboxName, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

pub(super) struct Client {
    pub(super) disk: Arc<Simulated>,
    pub(super) told: Told,
    account: Option<Arc<Account>>,
    /// The mailboxes it has open.
    open: BTreeMap<String, Arc<Mailbox>>,
}

pub(super) fn name(text: &str) -> MailboxName {
    match text {
        // The server's, which nobody looks at.
        "" => MailboxName::inbox(),
        text => MailboxName::new(text.split('/').map(str::to_owned).collect()).expect("a name"),
    }
}

/// Starts the machine anew, as far as the index asks.
fn boot() {
    use std::sync::atomic::{AtomicU64, Ordering};
    static BOOTS: AtomicU64 = AtomicU64::new(1);
    let boot = u128::from(BOOTS.fetch_add(1, Ordering::Relaxed));
    crate::disk::OTHER_BOOT.set(Some(boot.to_be_bytes()));
}

impl Client {
    /// Of an empty disk.
    pub(super) fn new() -> Self {
        boot();
        Self {
            disk: Simulated::new(),
            told: Told::new(),
            account: None,
            open: BTreeMap::new(),
        }
    }
    /// The same client after something happened to process or machine.
    pub(super) fn after(&self, loss: Loss) -> Self {
        if loss != Loss::Nothing {
            boot();
        }
        Self {
            disk: self.disk.reboot(loss),
            told: self.told.clone(),
            account: None,
            open: BTreeMap::new(),
        }
    }
    /// Where the account's mail is.
    pub(super) fn root(&self) -> PathBuf {
        self.disk.root().join("mail/anna/Maildir")
    }
    /// Where a mailbox is.
    pub(super) fn directory(&self, mailbox: &str) -> PathBuf {
        match mailbox {
            "INBOX" => self.root(),
            other => self.root().join(format!(".{}", other.replace('/', "."))),
        }
    }
    pub(super) fn account(&mut self) -> Result<Arc<Account>> {
        if let Some(account) = &self.account {
            return Ok(Arc::clone(account));
        }
        let layout = Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let account = Account::open(&self.root(), layout)?;
        Ok(Arc::clone(self.account.insert(account)))
    }
    /// A mailbox, kept open.
    pub(super) fn mailbox(&mut self, text: &str) -> Result<Arc<Mailbox>> {
        if let Some(mailbox) = self.open.get(text)
            && !mailbox.is_gone()
        {
            return Ok(Arc::clone(mailbox));
        }
        let mailbox = self.account()?.mailbox(&name(text))?;
        if text == "INBOX" && !self.told.mailboxes.contains_key(text) {
            let perhaps = self.told.perhaps_made.remove(text).unwrap_or_default();
            self.told.meet(text, &mailbox, perhaps);
        }
        self.open.insert(text.to_owned(), Arc::clone(&mailbox));
        Ok(mailbox)
    }
    /// Closes what is open.
    pub(super) fn close(&mut self) {
        self.open.clear();
        self.account = None;
    }
    /// Closes what is open of one mailbox.
    pub(super) fn close_mailbox(&mut self, text: &str) {
        self.open.remove(text);
    }
    /// Does it, and remembers what was told or may have happened.
    pub(super) fn perform(&mut self, operation: &Operation) -> Result<()> {
        operation.foretell(&mut self.told);
        let foretold = self.told.clone();
        let done = operation.perform(self);
        if self.disk.stopped() {
            // Whatever it says, nobody hears it any more.
            self.told = foretold;
        }
        done
    }
    /// Opens everything, telling nobody.
    pub(super) fn recover(&mut self) -> Result<()> {
        for entry in self.account()?.list()? {
            if entry.selectable {
                let text = self.account()?.show_name(&entry.name);
                self.mailbox(&text)?;
            }
        }
        Ok(())
    }
    /// Looks at everything: nothing but what may have happened did.
    pub(super) fn look(&mut self, power: Power) -> std::result::Result<(), Broken> {
        let said = |error: Error| error.to_string();
        let listed = self.account().map_err(said)?.list().map_err(said)?;
        let mut selectable = BTreeSet::new();
        let mut subscribed = BTreeSet::new();
        for entry in &listed {
            let text = entry.name.levels().join("/");
            if entry.selectable {
                selectable.insert(text.clone());
            }
            if entry.subscribed {
                subscribed.insert(text);
            }
        }
        self.look_at_names(&selectable, power)?;
        let perhaps = std::mem::take(&mut self.told.perhaps_subscribed);
        let doubt = match power {
            Power::Kept => BTreeSet::new(),
            Power::Lost => {
                self.told.doubted.clear();
                std::mem::take(&mut self.told.in_doubt)
            }
        };
        if let Some(text) = subscribed
            .symmetric_difference(&self.told.subscribed)
            .find(|text| !perhaps.contains(*text) && !doubt.contains(*text))
        {
            return Err(format!("the subscription of {text} is not as told"));
        }
        self.told.subscribed = subscribed;
        let mut needed = std::mem::take(&mut self.told.delivered);
        for mailbox in self.told.mailboxes.values() {
            needed.extend(
                mailbox
                    .messages
                    .values()
                    .map(|message| message.text.clone()),
            );
        }
        for text in std::mem::take(&mut self.told.leaving) {
            needed.remove(&text);
        }
        for text in selectable {
            let broken = |broken| format!("{text}: {broken}");
            let mailbox = self.mailbox(&text).map_err(said).map_err(broken)?;
            if let Some(told) = self.told.mailboxes.get_mut(&text) {
                told.look(&mailbox, power).map_err(broken)?;
            }
            let seen = self.entries(&text).map_err(said).map_err(broken)?;
            let looked = self.told.metadata(&text).look(seen, power);
            looked.map_err(broken)?;
        }
        let seen = self.entries("").map_err(said)?;
        self.told.server.look(seen, power)?;
        let replacing = std::mem::take(&mut self.told.replacing);
        for mailbox in self.told.mailboxes.values() {
            for message in mailbox.messages.values() {
                needed.remove(&message.text);
                for (old, new) in &replacing {
                    if *new == message.text {
                        needed.remove(old);
                    }
                }
            }
        }
        let account = self.account().map_err(said)?;
        self.told.look_at_devices(&account, power)?;
        match (needed.first(), self.told.broken.first()) {
            (Some(text), _) => Err(format!("{text:?} is nowhere")),
            (None, Some(broken)) => Err(broken.clone()),
            (None, None) => Ok(()),
        }
    }
    /// The metadata of a mailbox, or of the server.
    fn entries(&mut self, of: &str) -> Result<Entries> {
        let mailbox = name(of);
        let annotated = match of {
            "" => Annotated::Server,
            _ => Annotated::Mailbox(&mailbox),
        };
        let seen = self.account()?.metadata(annotated, "anna")?.into_iter();
        Ok(seen
            .map(|(name, value)| (name.as_str().to_owned(), value))
            .collect())
    }
    /// Whether there are the mailboxes that were told, under their names.
    fn look_at_names(
        &mut self,
        selectable: &BTreeSet<String>,
        power: Power,
    ) -> std::result::Result<(), Broken> {
        let told = &mut self.told;
        for (old, new) in std::mem::take(&mut told.perhaps_renamed) {
            let was_new = told.mailboxes.contains_key(&new);
            match (
                selectable.contains(&old),
                selectable.contains(&new) && !was_new,
            ) {
                (true, false) => {}
                (false, true) => {
                    let mailbox = told.mailboxes.remove(&old).ok_or("nothing to rename")?;
                    told.mailboxes.insert(new, mailbox);
                }
                (true, true) => return Err(format!("{old} is {new} as well")),
                (false, false) => return Err(format!("neither {old} nor {new} is there")),
            }
        }
        for text in std::mem::take(&mut told.perhaps_deleted) {
            if !selectable.contains(&text)
                && let Some(mailbox) = told.mailboxes.remove(&text)
            {
                told.doubted.push(mailbox);
            }
        }
        if power == Power::Lost {
            for text in &told.in_doubt {
                if !selectable.contains(text) {
                    told.doubted.extend(told.mailboxes.remove(text));
                }
            }
        }
        if let Some(text) = told
            .mailboxes
            .keys()
            .find(|text| !selectable.contains(*text))
        {
            return Err(format!("mailbox {text} is lost"));
        }
        let mut made = std::mem::take(&mut self.told.perhaps_made);
        for text in selectable {
            if self.told.mailboxes.contains_key(text) {
                continue;
            }
            let mailbox = self.mailbox(text).map_err(|error| error.to_string())?;
            let doubt = power == Power::Lost && self.told.in_doubt.contains(text);
            let known = self
                .told
                .doubted
                .iter()
                .position(|told| doubt && told.guid == mailbox.guid());
            if let Some(known) = known {
                let told = self.told.doubted.remove(known);
                self.told.mailboxes.insert(text.clone(), told);
                continue;
            }
            let texts = made
                .remove(text)
                .or_else(|| doubt.then(Vec::new))
                .ok_or_else(|| format!("nobody made {text}"))?;
            if let Some(told) = self.told.mailboxes.get_mut(text) {
                told.perhaps_came = texts;
            } else {
                self.told.meet(text, &mailbox, texts);
            }
        }
        Ok(())
    }
}
