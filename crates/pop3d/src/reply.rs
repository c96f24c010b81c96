//! [`Reply`]: one line of answer, `+OK` or `-ERR` (RFC 1939 section 3).

use crate::language::Language;
use std::fmt;

/// A one-line reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// `+OK text`
    Ok(String),
    /// `-ERR [code] text`
    Err(Option<Code>, String),
    /// `+ base64`, a continuation of AUTH (RFC 5034).
    Challenge(String),
}

/// A response code (RFC 2449 section 8, RFC 3206).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The credentials are wrong.
    Auth,
    /// The maildrop or the user's share of connections is in use.
    InUse,
    /// The message needs UTF-8 mode (RFC 6856 section 5).
    Utf8,
    /// The last login was too short a time ago.
    LoginDelay,
    /// The server has a problem that may pass.
    SysTemp,
    /// The server has a problem that stays.
    SysPerm,
}

impl Reply {
    /// A positive reply.
    pub fn ok(text: impl Into<String>) -> Self {
        Self::Ok(text.into())
    }
    /// A negative reply without code.
    pub fn err(text: impl Into<String>) -> Self {
        Self::Err(None, text.into())
    }
    /// A negative reply with a code.
    pub fn err_with(code: Code, text: impl Into<String>) -> Self {
        Self::Err(Some(code), text.into())
    }
    /// The same in another language.
    #[must_use]
    pub fn in_language(self, language: Language) -> Self {
        match self {
            Self::Ok(text) => Self::Ok(language.say(&text)),
            Self::Err(code, text) => Self::Err(code, language.say(&text)),
            Self::Challenge(text) => Self::Challenge(text),
        }
    }
    /// The line to send.
    pub fn into_octets(self) -> Vec<u8> {
        format!("{self}\r\n").into_bytes()
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok(text) => write!(formatter, "+OK {text}"),
            Self::Err(None, text) => write!(formatter, "-ERR {text}"),
            Self::Err(Some(code), text) => write!(formatter, "-ERR [{}] {text}", code.name()),
            Self::Challenge(text) => write!(formatter, "+ {text}"),
        }
    }
}

impl Code {
    /// Whether the server's log says more.
    pub fn is_in_log(self) -> bool {
        matches!(self, Self::SysTemp | Self::SysPerm)
    }
    fn name(self) -> &'static str {
        match self {
            Self::Auth => "AUTH",
            Self::InUse => "IN-USE",
            Self::Utf8 => "UTF8",
            Self::LoginDelay => "LOGIN-DELAY",
            Self::SysTemp => "SYS/TEMP",
            Self::SysPerm => "SYS/PERM",
        }
    }
}
