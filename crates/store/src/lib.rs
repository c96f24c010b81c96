//! Mailboxes on disk: Maildir++ directories with the text files that Dovecot
//! defined beside them. No network, no async runtime, no protocol syntax.

pub mod account;
pub(crate) mod control_file;
#[cfg(test)]
mod crash_tests;
pub mod devices;
pub(crate) mod disk;
pub mod error;
pub(crate) mod index;
pub(crate) mod kept_open;
pub mod mailbox;
pub(crate) mod maildir;
pub mod message;
pub mod metadata;
pub mod model;
pub mod modified_utf7;
pub mod news;
pub(crate) mod processors;
pub(crate) mod search_texts;
pub mod snapshot;
pub(crate) mod special_use;
pub(crate) mod summaries;
pub mod unique_id;

pub use account::{
    Account, Inspection, Layout, ListEntry, Lookout, MailboxStatus, Shared, SpecialUse, Watch,
};
pub use devices::{DeviceLedger, DeviceVisit};
pub use error::{Error, Result};
pub use index::{inspect_index, is_open_elsewhere, remove_index};
pub use kept_open::KeptOpen;
pub use mailbox::{AsciiSize, TextCompletion, TextStep};
pub use mailbox::{
    Copied, FlagAction, FlagOutcome, Incoming, Inspected, Mailbox, OpenedMessage, Vanished,
};
pub use metadata::{Annotated, Annotation, EntryName, Unset};
pub use model::{Flags, InternalDate, Keyword, MailboxName, ModSeq, Uid, UidValidity};
pub use news::{Heard, Listener, News};
pub use search_texts::{KeepTexts, SearchTexts};
pub use snapshot::{MessageRow, Snapshot};
pub use summaries::{TextFault, TextFileFault, TextFindings, inspect_texts};
pub use unique_id::UniqueIdFormat;
