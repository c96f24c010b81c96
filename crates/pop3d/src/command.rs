//! [`Command`]: what a client asks (RFC 1939 section 3, RFC 2449, RFC 5034).

use std::num::NonZeroU32;
use wire::Secret;

/// A message number, from 1 (RFC 1939 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageNumber(pub NonZeroU32);

impl std::fmt::Display for MessageNumber {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A command with its arguments.
#[derive(Debug)]
pub enum Command {
    /// `CAPA`
    Capa,
    /// `STLS`
    Stls,
    /// `UTF8` (RFC 6856 section 2.1)
    Utf8,
    /// `LANG [range]` (RFC 6856 section 3)
    Lang(Option<String>),
    /// `AUTH`, without mechanism: list them.
    AuthList,
    /// `AUTH mechanism [initial-response]`
    Auth {
        /// The mechanism's name as written.
        mechanism: String,
        /// The initial response, still base64; `=` is the empty one.
        initial_response: Option<Secret>,
    },
    /// `USER name`
    User(String),
    /// `PASS string`; spaces belong to the password.
    Pass(Secret),
    /// `STAT`
    Stat,
    /// `LIST [msg]`
    List(Option<MessageNumber>),
    /// `UIDL [msg]`
    Uidl(Option<MessageNumber>),
    /// `RETR msg`
    Retr(MessageNumber),
    /// `TOP msg n`
    Top {
        /// Which message.
        number: MessageNumber,
        /// How many lines of the body.
        lines: u64,
    },
    /// `DELE msg`
    Dele(MessageNumber),
    /// `NOOP`
    Noop,
    /// `RSET`
    Rset,
    /// `QUIT`
    Quit,
}

/// Why a line is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no such command.
    #[error("unknown command")]
    Unknown,
    /// The arguments are wrong.
    #[error("{0}")]
    Arguments(&'static str),
    /// The number can be no message's: zero or too large.
    #[error("no such message")]
    NoSuchMessage,
}

impl Command {
    /// Parses a line without its end. Names have any case; arguments of all but
    /// `PASS` may have more spaces around than needed.
    pub fn parse(line: &[u8]) -> Result<Self, Problem> {
        let name_end = line.iter().position(|octet| *octet == b' ');
        let (name, rest) = match name_end {
            Some(end) => (
                line.get(..end).unwrap_or_default(),
                line.get(end + 1..).unwrap_or_default(),
            ),
            None => (line, &[][..]),
        };
        let name = name.trim_ascii().to_ascii_uppercase();
        let mut arguments = rest
            .split(|octet| *octet == b' ' || *octet == b'\t')
            .filter(|argument| !argument.is_empty());
        let command = match name.as_slice() {
            b"CAPA" => Self::Capa,
            b"STLS" => Self::Stls,
            b"UTF8" => Self::Utf8,
            b"LANG" => Self::Lang(
                arguments
                    .next()
                    .map(|range| String::from_utf8_lossy(range).into_owned()),
            ),
            b"AUTH" => match arguments.next() {
                None => Self::AuthList,
                Some(mechanism) => Self::Auth {
                    mechanism: String::from_utf8_lossy(mechanism).into_owned(),
                    initial_response: arguments
                        .next()
                        .map(|response| Secret::new(response.to_vec())),
                },
            },
            b"USER" => {
                let user = rest.trim_ascii();
                if user.is_empty() {
                    return Err(Problem::Arguments("a user name is needed"));
                }
                return match std::str::from_utf8(user) {
                    Ok(user) if !user.contains(char::is_control) => Ok(Self::User(user.to_owned())),
                    _ => Err(Problem::Arguments("the user name is not UTF-8 text")),
                };
            }
            b"PASS" => {
                if rest.is_empty() {
                    return Err(Problem::Arguments("a password is needed"));
                }
                return Ok(Self::Pass(Secret::new(rest.to_vec())));
            }
            b"STAT" => Self::Stat,
            b"LIST" => Self::List(arguments.next().map(message_number).transpose()?),
            b"UIDL" => Self::Uidl(arguments.next().map(message_number).transpose()?),
            b"RETR" => Self::Retr(needed_number(arguments.next())?),
            b"TOP" => Self::Top {
                number: needed_number(arguments.next())?,
                lines: line_count(arguments.next())?,
            },
            b"DELE" => Self::Dele(needed_number(arguments.next())?),
            b"NOOP" => Self::Noop,
            b"RSET" => Self::Rset,
            b"QUIT" => Self::Quit,
            _ => return Err(Problem::Unknown),
        };
        match arguments.next() {
            None => Ok(command),
            Some(_) => Err(Problem::Arguments("too many arguments")),
        }
    }
}

/// What the answer to a client that has a maildrop open needs, whatever the arguments are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// What is in memory.
    Memory,
    /// A message.
    Message,
    /// That the session's changes are made.
    Update,
    /// Anything.
    Any,
}

impl Need {
    /// Of a line, which need be no command.
    pub fn of(line: &[u8]) -> Self {
        let verb = line.get(..4).unwrap_or(line).to_ascii_uppercase();
        match &*verb {
            b"STAT" | b"LIST" | b"UIDL" | b"DELE" | b"NOOP" | b"RSET" | b"CAPA" | b"LANG" => {
                Self::Memory
            }
            b"RETR" => Self::Message,
            verb if verb.starts_with(b"TOP") => Self::Message,
            b"QUIT" => Self::Update,
            _ => Self::Any,
        }
    }
}

fn needed_number(argument: Option<&[u8]>) -> Result<MessageNumber, Problem> {
    message_number(argument.ok_or(Problem::Arguments("a message number is needed"))?)
}

fn message_number(argument: &[u8]) -> Result<MessageNumber, Problem> {
    let value = digits(argument).ok_or(Problem::Arguments("that is no message number"))?;
    let value = u32::try_from(value).map_err(|_| Problem::NoSuchMessage)?;
    let number = NonZeroU32::new(value).ok_or(Problem::NoSuchMessage)?;
    Ok(MessageNumber(number))
}

fn line_count(argument: Option<&[u8]>) -> Result<u64, Problem> {
    argument
        .and_then(digits)
        .ok_or(Problem::Arguments("a number of lines is needed"))
}

/// A decimal number; one that is too large becomes the largest.
fn digits(argument: &[u8]) -> Option<u64> {
    if argument.is_empty() {
        return None;
    }
    argument.iter().try_fold(0_u64, |value, octet| {
        octet.is_ascii_digit().then(|| {
            value
                .saturating_mul(10)
                .saturating_add(u64::from(octet - b'0'))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: &str) -> Option<Problem> {
        Command::parse(line.as_bytes()).err()
    }

    #[test]
    fn numbers_are_checked() {
        assert!(matches!(
            Command::parse(b"retr  7 "),
            Ok(Command::Retr(number)) if number.0.get() == 7
        ));
        assert_eq!(problem("DELE 0"), Some(Problem::NoSuchMessage));
        assert_eq!(problem("DELE 4294967296"), Some(Problem::NoSuchMessage));
        assert_eq!(
            problem("DELE 99999999999999999999999999"),
            Some(Problem::NoSuchMessage)
        );
        for line in [
            "DELE -1", "DELE +1", "DELE 1x", "DELE", "TOP 1", "LIST 1 2", "STAT 1",
        ] {
            assert!(
                matches!(problem(line), Some(Problem::Arguments(_))),
                "{line}"
            );
        }
        assert!(matches!(
            Command::parse(b"TOP 1 0"),
            Ok(Command::Top { lines: 0, .. })
        ));
    }

    #[test]
    fn a_password_keeps_its_spaces() {
        let Ok(Command::Pass(password)) = Command::parse(b"PASS  a b ") else {
            panic!("refused");
        };
        assert_eq!(password.expose(), b" a b ");
        assert!(matches!(problem("PASS"), Some(Problem::Arguments(_))));
        assert!(matches!(Command::parse(b"USER a b"), Ok(Command::User(user)) if user == "a b"));
    }

    #[test]
    fn anything_else_is_unknown() {
        for line in ["", " ", "XTND", "STAT\0", "RETR\t1", "LISTE"] {
            assert_eq!(problem(line), Some(Problem::Unknown), "{line:?}");
        }
    }
}
