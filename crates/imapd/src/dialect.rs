//! [`Dialect`]: which form of IMAP a client speaks, by what it enabled (RFC 5161).

/// What responses are to be like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dialect {
    /// Which revision of the protocol.
    pub revision: Revision,
    /// What quoted strings and mailbox names hold.
    pub text: Text,
    /// How messages are named.
    pub messages: Messages,
}

/// A revision of the protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Revision {
    /// IMAP4rev1 (RFC 3501).
    #[default]
    Rev1,
    /// IMAP4rev2 (RFC 9051).
    Rev2,
}

/// What quoted strings and mailbox names hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Text {
    /// US-ASCII; mailbox names are in modified UTF-7.
    #[default]
    Ascii,
    /// UTF-8 (RFC 9051, RFC 9755).
    Utf8,
}

/// How responses name messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Messages {
    /// By sequence number.
    #[default]
    BySequence,
    /// By UID alone (RFC 9586).
    ByUid,
}
