//! What STATUS is asked for (RFC 3501 section 6.3.10 and extensions).

/// A STATUS item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusItem {
    /// MESSAGES.
    Messages,
    /// RECENT.
    Recent,
    /// UIDNEXT.
    UidNext,
    /// UIDVALIDITY.
    UidValidity,
    /// UNSEEN.
    Unseen,
    /// HIGHESTMODSEQ (RFC 7162).
    HighestModSeq,
    /// SIZE (RFC 8438).
    Size,
    /// DELETED (RFC 9051).
    Deleted,
    /// MAILBOXID (RFC 8474).
    MailboxId,
    /// `APPENDLIMIT` (RFC 7889).
    AppendLimit,
}
