//! [`Policy`]: what an account's owner wants POP3 to do.

use crate::capability::Capabilities;
use std::sync::Arc;

/// What a successful login gives a session.
pub struct Login {
    /// The user's name.
    pub user: String,
    /// The user's mailboxes.
    pub account: Arc<store::Account>,
    /// What POP3 may do with them.
    pub policy: Policy,
    /// What is on for the user.
    pub capabilities: Capabilities,
    /// The device whose password was used; none for the user's own.
    pub device: Option<Device>,
}

/// A device that has a password, and so a ledger, of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// What it is called.
    pub name: String,
    /// All devices of the user: what is kept of others goes.
    pub known: Vec<String>,
}

/// What removing, retrieving and opening mean for an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// What becomes of messages marked with DELE at QUIT.
    pub delete: DeletePolicy,
    /// Whether RETR sets `\Seen`.
    pub mark_seen: SeenPolicy,
    /// Whether several sessions may have the maildrop open.
    pub access: Access,
    /// What becomes of NUL octets.
    pub nul: NulPolicy,
    /// After how many days messages are removed, told by CAPA; `None` is NEVER.
    pub expire_days: Option<u32>,
    /// The unique-ids of messages that have none saved.
    pub unique_ids: store::UniqueIdFormat,
}

/// What becomes of messages marked with DELE at QUIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeletePolicy {
    /// They are expunged.
    #[default]
    Expunge,
    /// They are moved to the mailbox whose special use is \Trash.
    Trash,
    /// They stay for IMAP and get the keyword [`HIDDEN_KEYWORD`]. Those that a device
    /// deletes stay for other devices too, and get none.
    Hide,
}

/// The keyword of messages that POP3 removed but IMAP keeps. POP3 never shows
/// a message that has it, whatever the policy is now.
pub const HIDDEN_KEYWORD: &str = "$POP3Deleted";

/// Whether RETR sets `\Seen`. A download is not a reading, so it does not
/// unless configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SeenPolicy {
    /// RETR leaves flags alone.
    #[default]
    Keep,
    /// RETR sets `\Seen` once the message was sent.
    Mark,
}

/// What becomes of NUL octets, which no message is to have (RFC 5322 section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NulPolicy {
    /// They are sent.
    #[default]
    Keep,
    /// They are sent as 0x80, one octet as well: sizes stay.
    Replace,
}

/// Whether several POP3 sessions may have a maildrop open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// Any number, each with its own frozen view.
    #[default]
    Shared,
    /// One at a time (RFC 1939 section 4); others are told `[IN-USE]`.
    Exclusive,
}
