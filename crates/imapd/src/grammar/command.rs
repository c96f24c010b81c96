//! What a client can ask for, as values (RFC 3501 section 6 and extensions).

mod append;
mod batches;
mod esearch;
mod fetch;
mod list;
mod metadata;
mod replace;
mod search;
mod section;
mod select;
mod sort;
mod status;
mod store_flags;
mod thread;

pub use super::notify::{EventGroup, Events, MailboxFilter, MessageEvents, Notify, StatusWanted};
pub use super::partial::{PartialRange, Side};
pub use super::search_key::{Date, SearchKey};
pub use append::{AppendContent, AppendMessage, CatenatePart, Literal, PartList};
pub use batches::UidBatches;
pub use esearch::{Esearch, Source};
pub use fetch::{Delay, Fetch, FetchItem, Vanished};
pub use list::{List, ListReturn, ListSelect};
pub use metadata::{Depth, GetMetadata, SetMetadata};
pub use replace::Replace;
pub use search::{ReturnOption, Search};
pub use section::{Binary, Peek, Section, SectionText};
pub use select::{Condstore, Qresync, Select, SequenceMatch};
pub use sort::{Direction, Sort, SortCriterion, SortKey};
pub use status::StatusItem;
pub use store_flags::{Silent, Store};
pub use thread::{Thread, ThreadAlgorithm};

use super::sequence::SequenceSet;
use store::SpecialUse;
use wire::Secret;

/// A command with its tag.
#[derive(Debug, Clone)]
pub struct Tagged {
    /// The tag, as the client wrote it.
    pub tag: String,
    /// What it asks for.
    pub command: Command,
}

/// What numbers a command takes and its responses speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// Message sequence numbers.
    Sequence,
    /// Unique identifiers (the command had the UID prefix).
    Uid,
}

/// A client command. Mailbox names are decoded from modified UTF-7.
#[derive(Debug, Clone)]
pub enum Command {
    /// CAPABILITY.
    Capability,
    /// NOOP.
    Noop,
    /// LOGOUT.
    Logout,
    /// ID (RFC 2971); empty for NIL.
    Id(Vec<(Vec<u8>, Option<Vec<u8>>)>),
    /// LANGUAGE (RFC 5255), the ranges asked for.
    Language(Vec<String>),
    /// COMPARATOR (RFC 5255), the orders asked for.
    Comparator(Vec<String>),
    /// STARTTLS.
    Starttls,
    /// AUTHENTICATE, with the initial response (RFC 4959) still in base64 (`=`
    /// for an empty one).
    Authenticate {
        /// The mechanism's name in upper case.
        mechanism: String,
        /// The initial response as sent.
        initial: Option<Vec<u8>>,
    },
    /// LOGIN.
    Login {
        /// The user name's octets.
        user: Vec<u8>,
        /// The password.
        password: Secret,
    },
    /// COMPRESS (RFC 4978), the algorithm in upper case.
    Compress(String),
    /// UNAUTHENTICATE (RFC 8437).
    Unauthenticate,
    /// NAMESPACE (RFC 2342).
    Namespace,
    /// ENABLE (RFC 5161), the capabilities in upper case.
    Enable(Vec<String>),
    /// SELECT.
    Select(Select),
    /// EXAMINE.
    Examine(Select),
    /// CREATE, with a special use asked for (RFC 6154).
    Create {
        /// The mailbox's name.
        mailbox: String,
        /// Its special use.
        special_use: Option<SpecialUse>,
    },
    /// DELETE.
    Delete(String),
    /// RENAME.
    Rename {
        /// The name it has.
        from: String,
        /// The name it is to have.
        to: String,
    },
    /// SUBSCRIBE.
    Subscribe(String),
    /// UNSUBSCRIBE.
    Unsubscribe(String),
    /// LIST (RFC 5258).
    List(List),
    /// LSUB.
    Lsub {
        /// The reference.
        reference: String,
        /// The pattern.
        pattern: String,
    },
    /// STATUS.
    Status {
        /// The mailbox's name.
        mailbox: String,
        /// What is asked.
        items: Vec<StatusItem>,
    },
    /// GETMETADATA (RFC 5464 section 4.2).
    GetMetadata(GetMetadata),
    /// SETMETADATA (RFC 5464 section 4.3).
    SetMetadata(SetMetadata),
    /// APPEND (RFC 3502: one message or more).
    Append {
        /// The mailbox's name.
        mailbox: String,
        /// The messages announced so far.
        messages: Vec<AppendMessage>,
    },
    /// NOTIFY (RFC 5465).
    Notify(Notify),
    /// IDLE (RFC 2177).
    Idle,
    /// CHECK.
    Check,
    /// CLOSE.
    Close,
    /// UNSELECT (RFC 3691).
    Unselect,
    /// EXPUNGE.
    Expunge,
    /// UID EXPUNGE (RFC 4315).
    UidExpunge(SequenceSet),
    /// UIDBATCHES (RFC 10022).
    UidBatches(UidBatches),
    /// SEARCH and UID SEARCH.
    Search(Search),
    /// ESEARCH (RFC 7377).
    Esearch(Esearch),
    /// CANCELUPDATE (RFC 5267), the tags.
    CancelUpdate(Vec<String>),
    /// SORT and UID SORT (RFC 5256).
    Sort(Sort),
    /// THREAD and UID THREAD (RFC 5256).
    Thread(Thread),
    /// FETCH and UID FETCH.
    Fetch(Fetch),
    /// STORE and UID STORE.
    Store(Store),
    /// COPY and UID COPY.
    Copy {
        /// Which messages.
        set: SequenceSet,
        /// What the set's numbers are.
        numbers: Numbers,
        /// The destination.
        mailbox: String,
    },
    /// REPLACE and UID REPLACE (RFC 8508).
    Replace(Replace),
    /// MOVE and UID MOVE (RFC 6851).
    Move {
        /// Which messages.
        set: SequenceSet,
        /// What the set's numbers are.
        numbers: Numbers,
        /// The destination.
        mailbox: String,
    },
}
