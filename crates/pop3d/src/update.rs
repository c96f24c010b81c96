//! [`Update`]: the UPDATE state (RFC 1939 section 6).

use crate::access::ExclusiveAccess;
use crate::maildrop::hidden_keyword;
use crate::policy::{DeletePolicy, HIDDEN_KEYWORD};
use crate::reply::{Code, Reply};
use std::sync::Arc;
use store::{Account, Error, FlagAction, Flags, Keyword, Mailbox, Result, SpecialUse, Uid};

/// Messages to be removed. Made only by QUIT in the TRANSACTION state.
pub struct Update {
    pub(crate) account: Arc<Account>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) delete: DeletePolicy,
    /// Ascending.
    pub(crate) deleted: Vec<Uid>,
    /// Held until all is removed.
    pub(crate) _access: Option<ExclusiveAccess>,
}

impl Update {
    /// Removes the messages as the policy says and gives the reply to QUIT. What
    /// another session removed before counts as removed.
    pub fn run(self) -> Reply {
        let total = self.deleted.len();
        if total == 0 || self.remove().is_ok() {
            return Reply::ok("Pillarbox signing off");
        }
        let left = self.left();
        if left == 0 {
            return Reply::ok("Pillarbox signing off");
        }
        Reply::err_with(
            Code::SysTemp,
            format!("{left} of {total} deleted messages not removed"),
        )
    }

    fn remove(&self) -> Result<()> {
        match self.delete {
            DeletePolicy::Expunge => self.mailbox.expunge(&self.deleted).map(drop),
            DeletePolicy::Trash => {
                let trash = self.trash()?;
                self.mailbox.move_to(&self.deleted, &trash).map(drop)
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
