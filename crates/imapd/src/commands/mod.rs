//! What each command does. None writes its tagged reply: that is the session's.

pub mod append;
pub mod batches;
pub mod catenate;
pub mod changing;
mod chunk;
pub mod copy;
pub mod fetch;
pub mod fields;
pub mod international;
pub mod list;
mod listing;
pub mod mailboxes;
pub mod metadata;
pub mod multisearch;
pub mod search;
pub mod select;
pub mod store_flags;

use crate::view::OutOfRange;
use std::sync::Arc;
use store::{Account, Error, Mailbox};

/// How a command ended, or goes on.
pub enum Outcome {
    /// OK with this code and text.
    Ok(String),
    /// NO with this code and text.
    No(String),
    /// BAD with this text.
    Bad(String),
    /// The disk failed; NO, and a line in the log.
    Failed(Error),
    /// Messages are to be sent, then the tagged reply.
    Fetching(Box<fetch::Fetching>),
    /// Messages are to be changed, then the tagged reply.
    Changing(Box<changing::Changing>),
    /// A mailbox is to be searched, then the tagged reply.
    Searching(Box<search::Searching>),
    /// Several mailboxes are to be searched, then the tagged reply.
    MultiSearching(Box<multisearch::MultiSearching>),
}

/// A command's end; `?` ends it early.
pub type Ran = Result<Outcome, Outcome>;

impl Outcome {
    /// OK.
    pub fn ok(text: &str) -> Self {
        Self::Ok(text.to_owned())
    }
    /// NO.
    pub fn no(text: &str) -> Self {
        Self::No(text.to_owned())
    }
    /// BAD.
    pub fn bad(text: &str) -> Self {
        Self::Bad(text.to_owned())
    }
    /// The reply without its tag; `session_id` is told with disk failures.
    pub fn reply(&self, session_id: &str) -> String {
        match self {
            Self::Ok(text) => format!("OK {text}"),
            Self::No(text) => format!("NO {text}"),
            Self::Bad(text) => format!("BAD {text}"),
            Self::Failed(error) if error.is_forbidden() => {
                format!(
                    "NO [CONTACTADMIN] The server may not use these files, its log says what to do ({session_id})"
                )
            }
            Self::Failed(_) => {
                format!("NO [SERVERBUG] Internal error, see the server's log ({session_id})")
            }
            Self::Fetching(fetching) => fetching.reply(),
            Self::Changing(changing) => format!("OK {}", changing.completed()),
            Self::MultiSearching(_) => "OK ESEARCH completed".to_owned(),
            Self::Searching(searching) => format!("OK {}", searching.completed()),
        }
    }
}

impl From<Error> for Outcome {
    /// The codes of RFC 5530.
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidName(why) | Error::CannotDo(why) => Self::No(format!("[CANNOT] {why}")),
            Error::NonExistent => Self::no("[NONEXISTENT] Mailbox does not exist"),
            Error::AlreadyExists => Self::no("[ALREADYEXISTS] Mailbox exists already"),
            Error::Expunged => Self::no("[EXPUNGEISSUED] Message was expunged"),
            Error::UnknownEncoding => {
                Self::no("[UNKNOWN-CTE] The content's transfer encoding is not known")
            }
            Error::Locked(_) => {
                Self::no("[INUSE] Another program has the mailbox locked; try again")
            }
            Error::OverQuota => Self::no("[OVERQUOTA] No space left for mail"),
            Error::Io { .. } => Self::Failed(error),
        }
    }
}

impl From<OutOfRange> for Outcome {
    fn from(_: OutOfRange) -> Self {
        Self::bad("No message has such a sequence number")
    }
}

/// Opens the mailbox that messages are to go to.
pub fn destination(account: &Account, name: &str) -> Result<Arc<Mailbox>, Outcome> {
    match account.mailbox(&account.parse_name(name)?) {
        Err(Error::NonExistent) => Err(Outcome::no("[TRYCREATE] Mailbox does not exist")),
        other => Ok(other?),
    }
}
