//! Looking at an account without opening it.

use super::{Account, Layout, ListEntry, Shared};
use crate::devices::{self, DeviceLedger};
use crate::disk;
use crate::mailbox::Inspected;
use crate::{Error, MailboxName, Result, UidValidity};
use std::path::Path;

/// An account that is only looked at: nothing is locked, made or written, so a server may
/// be at work on it.
#[derive(Debug)]
pub struct Inspection(Account);

impl Inspection {
    /// Of the Maildir at `root`, which need not be there.
    pub fn new(root: &Path, layout: Layout) -> Self {
        Self(Account::of(root, layout, Shared::default()))
    }

    /// As [`Account::parse_name`].
    pub fn parse_name(&self, text: &str) -> Result<MailboxName> {
        self.0.parse_name(text)
    }

    /// As [`Account::show_name`].
    pub fn show_name(&self, name: &MailboxName) -> String {
        self.0.show_name(name)
    }

    /// As [`Account::list`]; where there is no mail yet there is INBOX.
    pub fn list(&self) -> Result<Vec<ListEntry>> {
        if disk::leads_to_directory(&self.0.root) {
            return self.0.list();
        }
        Ok(vec![ListEntry {
            name: MailboxName::inbox(),
            selectable: true,
            exists: true,
            has_children: false,
            subscribed: false,
            special_use: None,
        }])
    }

    /// A mailbox.
    ///
    /// # Errors
    /// [`Error::NonExistent`] if there is none, and when it cannot be read.
    pub fn mailbox(&self, name: &MailboxName) -> Result<Inspected> {
        let directory = self.0.root.clone();
        let directory = match name.is_inbox() {
            true => Some(directory),
            false if disk::leads_to_directory(&directory) => self.0.directory(name)?,
            false => None,
        };
        Inspected::read(directory.ok_or(Error::NonExistent)?)
    }

    /// What a POP3 device did in INBOX, which has this UIDVALIDITY.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn device_ledger(&self, device: &str, uid_validity: UidValidity) -> Result<DeviceLedger> {
        devices::ledger(&self.0.root, device, uid_validity)
    }
}
