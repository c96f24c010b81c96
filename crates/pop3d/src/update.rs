//! [`Update`]: the UPDATE state (RFC 1939 section 6).

use crate::access::ExclusiveAccess;
use crate::maildrop::hidden_keyword;
use crate::policy::{DeletePolicy, Device, HIDDEN_KEYWORD};
use crate::reply::{Code, Reply};
use std::sync::Arc;
use store::{
    Account, DeviceVisit, Error, FlagAction, Flags, Keyword, Mailbox, Result, SpecialUse, Uid,
};

/// Messages to be removed. Made only by QUIT in the TRANSACTION state.
pub struct Update {
    pub(crate) account: Arc<Account>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) delete: DeletePolicy,
    /// Whose ledger is to be kept.
    pub(crate) device: Option<Device>,
    /// What the device has fetched, ascending.
    pub(crate) fetched: Vec<Uid>,
    /// Ascending.
    pub(crate) deleted: Vec<Uid>,
    /// Held until all is removed.
    pub(crate) _access: Option<ExclusiveAccess>,
}

impl Update {
    /// Removes the messages as the policy says, notes in the device's ledger what it
    /// did, and gives the reply to QUIT: all of that is durable before. What another
    /// session removed before counts as removed. A crash leaves some of the messages
    /// removed, then all of them and the ledger as it was, then both.
    pub fn run(self) -> Reply {
        let total = self.deleted.len();
        let failed = |left| {
            let text = format!("{left} of {total} deleted messages not removed");
            Reply::err_with(Code::SysTemp, text)
        };
        let is_own_affair = self.device.is_some() && self.delete == DeletePolicy::Hide;
        let hidden = if is_own_affair {
            self.deleted.clone()
        } else {
            if total > 0 && self.remove().is_err() {
                match self.left() {
                    0 => {}
                    left => return failed(left),
                }
            }
            Vec::new()
        };
        if let Some(device) = &self.device {
            let visit = DeviceVisit {
                fetched: self.fetched.clone(),
                deleted: hidden,
            };
            let noted = self.account.note_visit(&device.name, &visit, &device.known);
            if noted.is_err() {
                return match is_own_affair && total > 0 {
                    true => failed(total),
                    false => Reply::err_with(Code::SysTemp, "this visit could not be noted"),
                };
            }
        }
        Reply::ok("Pillarbox signing off")
    }

    fn remove(&self) -> Result<()> {
        match self.delete {
            DeletePolicy::Expunge => self.mailbox.expunge(&self.deleted).map(drop),
            DeletePolicy::Trash => {
                let trash = self.trash()?;
                self.mailbox.move_to(&self.deleted, &trash, &mut Vec::new())
            }
            DeletePolicy::Hide => {
                let keyword = Keyword::from(HIDDEN_KEYWORD);
                self.mailbox
                    .store_flags(
                        &self.deleted,
                        FlagAction::Add,
                        Flags::default(),
                        &[keyword],
                        None,
                    )
                    .map(drop)
            }
        }
    }

    /// The mailbox whose special use is \Trash, made if there is none.
    fn trash(&self) -> Result<Arc<Mailbox>> {
        let listed = self.account.list()?.into_iter().find(|entry| {
            entry.special_use == Some(SpecialUse::Trash) && entry.exists && entry.selectable
        });
        if let Some(entry) = listed {
            return self.account.mailbox(&entry.name);
        }
        let name = format!("{}Trash", self.account.layout().prefix);
        let name = self.account.parse_name(&name)?;
        match self.account.create(&name, Some(SpecialUse::Trash)) {
            Err(Error::AlreadyExists) => self.account.mailbox(&name),
            result => result,
        }
    }

    /// How many messages are still there for POP3 to see.
    fn left(&self) -> usize {
        let Ok(snapshot) = self.mailbox.sync() else {
            return self.deleted.len();
        };
        let hidden = hidden_keyword(&snapshot);
        self.deleted
            .iter()
            .filter_map(|uid| snapshot.row(snapshot.index_of(*uid)?))
            .filter(|row| !hidden.is_some_and(|index| row.keywords.contains(&index)))
            .count()
    }
}
