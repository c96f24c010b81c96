//! [`Dialect`]: which form of IMAP a client speaks, by what it enabled (RFC 5161), and what
//! follows from that for a session.

use crate::capability::Capability;
use crate::commands::append::Headers;
use crate::grammar::reading::{CharsetArgument, Names, Reading, UidBounds};
use crate::limit::MessageLimit;
use crate::session::ImapSession;

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

impl ImapSession {
    /// How what the client sends is read.
    pub(crate) fn reading(&self) -> Reading {
        let names = match (self.enabled.dialect().text, &self.login) {
            (Text::Utf8, _) => Names::Utf8,
            (Text::Ascii, Some(_)) if self.has(Capability::Utf8Accept) => Names::Either,
            // RFC 9755 section 5: LOGIN stays as it is.
            (Text::Ascii, _) => Names::Utf7,
        };
        Reading {
            names,
            charset: match self.enabled.utf8_accept() {
                true => CharsetArgument::Refused,
                false => CharsetArgument::Taken,
            },
            revision: self.enabled.dialect().revision,
            uid_bounds: match self.message_limit() {
                MessageLimit::EveryCommand(_) => UidBounds::Known,
                MessageLimit::None | MessageLimit::Saves(_) => UidBounds::Unknown,
            },
        }
    }

    /// On how many messages one command may work.
    pub(crate) fn message_limit(&self) -> MessageLimit {
        match self.options.message_limit {
            MessageLimit::EveryCommand(_) if !self.has(Capability::MessageLimit) => {
                MessageLimit::None
            }
            MessageLimit::Saves(_) if !self.has(Capability::SaveLimit) => MessageLimit::None,
            limit => limit,
        }
    }

    /// What headers of messages the client may append.
    ///
    /// RFC 9755 section 4 has those that are not ASCII refused to a client that did not
    /// enable UTF-8. By default they are taken all the same, as by Dovecot, Cyrus, Stalwart
    /// and mox: what moves old mail (mbsync, offlineimap, imapsync) enables nothing, old
    /// newsletters have headers in Latin-1 and GBK, and a refusal would leave them behind.
    /// An MTA delivers such mail too, so nothing comes in that was not there before.
    pub(crate) fn appended_headers(&self) -> Headers {
        match (self.options.appended_headers, self.reading().names) {
            (Headers::Ascii, Names::Either) => Headers::Ascii,
            (Headers::Ascii, Names::Utf7 | Names::Utf8) | (Headers::Any, _) => Headers::Any,
        }
    }
}
