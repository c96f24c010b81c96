//! [`UniqueIdFormat`]: what POP3 unique-ids are made of, as Dovecot's `pop3_uidl_format`
//! says it.

use crate::UidValidity;
use md5::{Digest, Md5};
use std::borrow::Cow;

/// How many characters and variables a format has at most.
const PIECES: usize = 32;
/// RFC 1939 section 7.
const OCTETS: usize = 70;

/// What a unique-id is made of that a message has none saved of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UniqueIdFormat {
    pieces: [Option<Piece>; PIECES],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Octet(u8),
    Variable {
        of: Variable,
        shown: Shown,
        /// To how many digits zeros before it fill it up.
        width: u8,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    Uid,
    UidValidity,
    Filename,
    Guid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    AsItIs,
    Hexadecimal,
    Md5,
}

/// The message whose unique-id is made.
pub(crate) struct Subject<'a> {
    pub(crate) uid: u32,
    pub(crate) uid_validity: UidValidity,
    pub(crate) unique_name: &'a str,
    pub(crate) guid: &'a str,
}

impl Default for UniqueIdFormat {
    /// Dovecot's own: `%08Xu%08Xv`.
    fn default() -> Self {
        let hexadecimal = |of| {
            Some(Piece::Variable {
                of,
                shown: Shown::Hexadecimal,
                width: 8,
            })
        };
        let mut pieces = [None; PIECES];
        pieces[0] = hexadecimal(Variable::Uid);
        pieces[1] = hexadecimal(Variable::UidValidity);
        Self { pieces }
    }
}

impl UniqueIdFormat {
    /// Reads a format: `%u`, `%v`, `%f` and `%g` with zeros to fill up with (`%08u`), as
    /// hexadecimal number (`%08Xu`) or as MD5 (`%Mf`); `%{uid}`, `%{uidvalidity}`,
    /// `%{filename}` and `%{guid}`, the numbers with `| hex(8)`.
    ///
    /// # Errors
    /// What is wrong with it and what to do; among others, that two messages could have
    /// the same.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = [None; PIECES];
        let mut places = pieces.iter_mut();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let piece;
            (piece, rest) = match rest.strip_prefix('%') {
                None if matches!(first, '\x21'..='\x7e') => {
                    (Piece::Octet(first as u8), rest.get(1..).unwrap_or_default())
                }
                None => {
                    return Err(format!(
                        "{first:?} cannot be in a unique-id (RFC 1939 section 7); take it out"
                    ));
                }
                Some(rest) => read_variable(rest)?,
            };
            let place = places
                .next()
                .ok_or_else(|| format!("is longer than {PIECES} characters; shorten it"))?;
            *place = Some(piece);
        }
        let tells_apart = pieces.iter().flatten().any(|piece| match piece {
            Piece::Octet(_) => false,
            Piece::Variable { of, .. } => *of != Variable::UidValidity,
        });
        match tells_apart {
            true => Ok(Self { pieces }),
            false => Err("has neither %u nor %f nor %g, so all messages would have the same unique-id; put one in".to_owned()),
        }
    }

    /// A message's unique-id; none where it would be none (RFC 1939 section 7: 1 to 70
    /// octets of 0x21 to 0x7E).
    pub(crate) fn of(&self, subject: &Subject<'_>) -> Option<String> {
        let mut made = String::new();
        for piece in self.pieces.iter().flatten() {
            match piece {
                Piece::Octet(octet) => made.push(char::from(*octet)),
                Piece::Variable { of, shown, width } => {
                    let value = of.value(subject, *shown);
                    let missing = usize::from(*width).saturating_sub(value.len());
                    made.extend(std::iter::repeat_n('0', missing));
                    made.push_str(&value);
                }
            }
        }
        is_unique_id(&made).then_some(made)
    }
}

impl Variable {
    fn value<'a>(self, subject: &Subject<'a>, shown: Shown) -> Cow<'a, str> {
        let number = match self {
            Self::Uid => Some(subject.uid),
            Self::UidValidity => Some(subject.uid_validity.get()),
            Self::Filename | Self::Guid => None,
        };
        let text = match self {
            Self::Guid => subject.guid,
            Self::Uid | Self::UidValidity | Self::Filename => subject.unique_name,
        };
        let plain = number.map_or(Cow::Borrowed(text), |number| number.to_string().into());
        match (shown, number) {
            (Shown::Hexadecimal, Some(number)) => format!("{number:x}").into(),
            (Shown::Md5, _) => {
                let octets = Md5::digest(plain.as_bytes());
                let digits = octets.iter().map(|octet| format!("{octet:02x}"));
                digits.collect::<String>().into()
            }
            (Shown::AsItIs | Shown::Hexadecimal, _) => plain,
        }
    }
}

/// RFC 1939 section 7: 1 to 70 octets of 0x21 to 0x7E.
pub(crate) fn is_unique_id(text: &str) -> bool {
    (1..=OCTETS).contains(&text.len()) && text.bytes().all(|octet| (0x21..=0x7e).contains(&octet))
}

/// Reads a variable behind its `%`; gives what follows it too.
fn read_variable(text: &str) -> Result<(Piece, &str), String> {
    if let Some(rest) = text.strip_prefix('{') {
        let (name, rest) = rest
            .split_once('}')
            .ok_or("has a %{ that no } ends; write %{uid}, say")?;
        return Ok((read_long(name)?, rest));
    }
    if let Some(rest) = text.strip_prefix('%') {
        return Ok((Piece::Octet(b'%'), rest));
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (width, rest) = text.split_at_checked(digits).unwrap_or(("", text));
    let fills = width.starts_with('0');
    let width = match (width.is_empty(), fills, width.parse::<u8>()) {
        (true, _, _) => 0,
        (false, true, Ok(width)) if usize::from(width) <= OCTETS => width,
        (false, true, _) => return Err(format!("%{width} is too wide; 08 is usual")),
        (false, false, _) => {
            return Err(format!(
                "%{width} would cut what tells messages apart; write %0{width}, which only fills up"
            ));
        }
    };
    let mut letters = rest.chars();
    let (shown, letter) = match letters.next() {
        Some('X') => (Shown::Hexadecimal, letters.next()),
        Some('M') => (Shown::Md5, letters.next()),
        letter => (Shown::AsItIs, letter),
    };
    let of = match letter {
        Some('u') => Variable::Uid,
        Some('v') => Variable::UidValidity,
        Some('f') => Variable::Filename,
        Some('g') => Variable::Guid,
        Some('m') => {
            return Err("%m is of mbox files; Maildirs have %u, %v, %f and %g".to_owned());
        }
        other => {
            let other = other.map(String::from).unwrap_or_default();
            return Err(format!(
                "%{other} is not known; there are %u, %v, %f and %g, with X or M and zeros before them (%08Xu)"
            ));
        }
    };
    let is_number = matches!(of, Variable::Uid | Variable::UidValidity);
    if shown == Shown::Hexadecimal && !is_number {
        return Err("X is for numbers, %u and %v; take it away".to_owned());
    }
    Ok((Piece::Variable { of, shown, width }, letters.as_str()))
}

/// Reads the inside of `%{...}`.
fn read_long(text: &str) -> Result<Piece, String> {
    let (name, filter) = text.split_once('|').unwrap_or((text, ""));
    let of = match name.trim() {
        "uid" => Variable::Uid,
        "uidvalidity" => Variable::UidValidity,
        "filename" => Variable::Filename,
        "guid" => Variable::Guid,
        other => {
            return Err(format!(
                "%{{{other}}} is not known; there are uid, uidvalidity, filename and guid"
            ));
        }
    };
    let is_number = matches!(of, Variable::Uid | Variable::UidValidity);
    let digits = filter
        .trim()
        .strip_prefix("hex(")
        .and_then(|rest| rest.strip_suffix(')'))
        .and_then(|digits| digits.parse::<u8>().ok());
    let (shown, width) = match (filter.trim(), digits) {
        ("", _) => (Shown::AsItIs, 0),
        ("hex", _) if is_number => (Shown::Hexadecimal, 0),
        // Fewer would cut what tells messages apart.
        (_, Some(width @ 8..=16)) if is_number => (Shown::Hexadecimal, width),
        (other, _) => {
            return Err(format!(
                "{other:?} is not known; uid and uidvalidity may have hex(8), and %Mf is the MD5 of the filename"
            ));
        }
    };
    Ok(Piece::Variable { of, shown, width })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(format: &str) -> Option<String> {
        let subject = Subject {
            uid: 4711,
            uid_validity: UidValidity::new(1_600_000_000).expect("a UIDVALIDITY"),
            unique_name: "16.M1P2.host,S=3,W=4",
            guid: "0123abcd",
        };
        UniqueIdFormat::parse(format).expect(format).of(&subject)
    }

    #[test]
    fn formats_that_are_in_use() {
        for (format, expected) in [
            ("%08Xu%08Xv", "000012675f5e1000"),
            ("%{uid | hex(8)}%{uidvalidity | hex(8)}", "000012675f5e1000"),
            ("%08Xv%08Xu", "5f5e100000001267"),
            ("%v.%u", "1600000000.4711"),
            ("%u", "4711"),
            ("%010u-x", "0000004711-x"),
            ("UID%u-%v", "UID4711-1600000000"),
            ("%f", "16.M1P2.host,S=3,W=4"),
            ("%g", "0123abcd"),
            ("%{guid}", "0123abcd"),
            // printf 16.M1P2.host,S=3,W=4 | md5sum
            ("%Mf", "e08a9841d941ce243b3dba257b935811"),
        ] {
            assert_eq!(made(format).as_deref(), Some(expected), "{format}");
        }
        let default = UniqueIdFormat::parse("%08Xu%08Xv");
        assert_eq!(default, Ok(UniqueIdFormat::default()));
        assert_eq!(made("%f%f%f%f"), None);
    }

    #[test]
    fn what_could_not_be_unique_is_refused() {
        for (format, word) in [
            ("", "neither %u"),
            ("%v", "neither %u"),
            ("x", "neither %u"),
            ("%4u", "%04"),
            ("%99u", "cut"),
            ("%099u", "too wide"),
            ("%{uid | hex(4)}", "hex(8)"),
            ("%u %v", "cannot be in a unique-id"),
            ("%u\u{e4}", "cannot be in a unique-id"),
            ("%m", "mbox"),
            ("%Xf", "numbers"),
            ("%", "not known"),
            ("%08", "not known"),
            ("%{uid", "no }"),
            ("%{user}%u", "not known"),
        ] {
            let mistake = UniqueIdFormat::parse(format).expect_err(format);
            assert!(mistake.contains(word), "{format}: {mistake}");
        }
        let long = format!("%u{}", "x".repeat(PIECES));
        assert!(UniqueIdFormat::parse(&long).is_err());
    }
}
