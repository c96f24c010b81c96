//! A cursor over one command's octets, and the tokens of RFC 3501 section 9.

use super::command::{Literal, PartialRange, Side};
use super::reading::{Names, Reading};
use super::sequence::{Bound, SequenceSet};
use std::num::NonZeroU32;

/// Why a command cannot be read: a text for the client.
pub(super) type Fault = std::borrow::Cow<'static, str>;
/// A token or what is wrong.
pub(super) type Parsed<T> = Result<T, Fault>;

/// A literal was announced that is part of the command, and has not come yet.
pub(super) const INCOMPLETE: &str = "A literal is incomplete";

/// How many ranges a set has at most.
const RANGES: usize = 20_000;

/// `ATOM-CHAR`: any CHAR except atom-specials.
pub(crate) fn is_atom_char(octet: u8) -> bool {
    octet > 0x20
        && octet < 0x7f
        && !matches!(
            octet,
            b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']'
        )
}

/// `ASTRING-CHAR`: an ATOM-CHAR or `]`.
pub(super) fn is_astring_char(octet: u8) -> bool {
    is_atom_char(octet) || octet == b']'
}

/// What a tag is made of: any ASTRING-CHAR except `+`.
pub(super) fn is_tag_char(octet: u8) -> bool {
    is_astring_char(octet) && octet != b'+'
}

/// `list-char`: an ATOM-CHAR, a wildcard or `]`.
pub(super) fn is_list_char(octet: u8) -> bool {
    is_astring_char(octet) || matches!(octet, b'%' | b'*')
}

/// Where the reader is in a command.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    reading: Reading,
}

impl<'a> Cursor<'a> {
    #[cfg(test)]
    pub(super) fn new(command: &'a [u8]) -> Self {
        Self::reading(command, Reading::default())
    }

    pub(super) fn reading(command: &'a [u8], reading: Reading) -> Self {
        Self {
            rest: command,
            reading,
        }
    }

    /// How the command is read.
    pub(super) fn how(&self) -> Reading {
        self.reading
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes one octet if it is this one.
    pub(super) fn eat(&mut self, octet: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == octet => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Takes these letters in any case.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        match self.rest.split_at_checked(word.len()) {
            Some((start, rest)) if start.eq_ignore_ascii_case(word.as_bytes()) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    pub(super) fn expect(&mut self, octet: u8, what: &'static str) -> Parsed<()> {
        if self.eat(octet) {
            Ok(())
        } else {
            Err(what.into())
        }
    }

    /// One space; more of them are tolerated.
    pub(super) fn space(&mut self) -> Parsed<()> {
        self.expect(b' ', "Missing argument")?;
        self.skip_spaces();
        Ok(())
    }

    pub(super) fn skip_spaces(&mut self) {
        while self.eat(b' ') {}
    }

    /// Spaces to the end of the command are tolerated, anything else is not.
    pub(super) fn end(&mut self) -> Parsed<()> {
        self.skip_spaces();
        if self.is_at_end() {
            Ok(())
        } else {
            Err("Unexpected text after the command's arguments".into())
        }
    }

    /// As many octets as fit, perhaps none.
    pub(super) fn take_while(&mut self, fits: impl Fn(u8) -> bool) -> &'a [u8] {
        let count = self
            .rest
            .iter()
            .position(|octet| !fits(*octet))
            .unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        taken
    }

    /// An atom as text (it is ASCII).
    pub(super) fn atom(&mut self) -> Parsed<String> {
        let atom = self.take_while(is_atom_char);
        if atom.is_empty() {
            return Err("An atom was expected".into());
        }
        Ok(String::from_utf8_lossy(atom).into_owned())
    }

    /// An atom in upper case.
    pub(super) fn word(&mut self) -> Parsed<String> {
        let mut atom = self.atom()?;
        atom.make_ascii_uppercase();
        Ok(atom)
    }

    /// `astring`.
    pub(super) fn astring(&mut self) -> Parsed<Vec<u8>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            _ => {
                let atom = self.take_while(is_astring_char);
                if atom.is_empty() {
                    return Err("A string was expected".into());
                }
                Ok(atom.to_vec())
            }
        }
    }

    /// `string`: quoted or literal.
    pub(super) fn string(&mut self) -> Parsed<Vec<u8>> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal(),
            _ => Err("A string was expected".into()),
        }
    }

    /// `nstring`.
    pub(super) fn nstring(&mut self) -> Parsed<Option<Vec<u8>>> {
        if matches!(self.peek(), Some(b'"' | b'{')) {
            return self.string().map(Some);
        }
        if self.eat_word("NIL") {
            Ok(None)
        } else {
            Err("A string or NIL was expected".into())
        }
    }

    /// `nstring` or `literal8`, which alone may hold NUL (RFC 4466 section 6).
    pub(super) fn nstring8(&mut self) -> Parsed<Option<Vec<u8>>> {
        if self.eat(b'~') {
            return self.literal8().map(Some);
        }
        self.nstring()
    }

    fn quoted(&mut self) -> Parsed<Vec<u8>> {
        let text = self.quoted_octets()?;
        // RFC 9755 section 3, RFC 9051 section 9 (QUOTED-CHAR). Older clients write there
        // what their charset has.
        if self.reading.names != Names::Utf7 && std::str::from_utf8(&text).is_err() {
            return Err("A quoted string is not in UTF-8".into());
        }
        Ok(text)
    }

    fn quoted_octets(&mut self) -> Parsed<Vec<u8>> {
        self.expect(b'"', "A quoted string was expected")?;
        let mut text = Vec::new();
        loop {
            text.extend_from_slice(
                self.take_while(|octet| !matches!(octet, b'"' | b'\\' | b'\r' | b'\n' | 0)),
            );
            if self.eat(b'"') {
                return Ok(text);
            }
            if !self.eat(b'\\') {
                return Err("A quoted string does not end".into());
            }
            match self.peek() {
                Some(octet @ (b'"' | b'\\')) => {
                    self.eat(octet);
                    text.push(octet);
                }
                _ => return Err("Only \" and \\ can follow \\ in a quoted string".into()),
            }
        }
    }

    /// `{n}` or `~{n}` (RFC 3516 section 7) with its line end.
    pub(super) fn literal8_announcement(&mut self) -> Parsed<(u64, Literal)> {
        let literal = match self.eat(b'~') {
            true => Literal::Binary,
            false => Literal::Text,
        };
        Ok((self.literal_announcement()?, literal))
    }

    /// `{n}` with its line end.
    pub(super) fn literal_announcement(&mut self) -> Parsed<u64> {
        self.expect(b'{', "A literal was expected")?;
        let octets = self.number64()?;
        self.eat(b'+');
        self.expect(b'}', "A literal was expected")?;
        self.eat(b'\r');
        self.expect(b'\n', "A literal was expected")?;
        Ok(octets)
    }

    fn literal(&mut self) -> Parsed<Vec<u8>> {
        let octets = self.literal8()?;
        if octets.contains(&0) {
            return Err("A literal must not hold NUL".into());
        }
        Ok(octets)
    }

    fn literal8(&mut self) -> Parsed<Vec<u8>> {
        let octets = self.literal_announcement()?;
        let taken = usize::try_from(octets)
            .ok()
            .and_then(|octets| self.rest.split_at_checked(octets));
        let Some((octets, rest)) = taken else {
            return Err(INCOMPLETE.into());
        };
        self.rest = rest;
        Ok(octets.to_vec())
    }

    /// A number up to 2^63 - 1 (RFC 7162 `mod-sequence-valzer`).
    pub(super) fn number64(&mut self) -> Parsed<u64> {
        let digits = self.take_while(|octet| octet.is_ascii_digit());
        if digits.is_empty() {
            return Err("A number was expected".into());
        }
        std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse::<u64>().ok())
            .filter(|number| i64::try_from(*number).is_ok())
            .ok_or_else(|| "A number is too large".into())
    }

    /// `number`: 32 bits.
    pub(super) fn number(&mut self) -> Parsed<u32> {
        u32::try_from(self.number64()?).map_err(|_| "A number is too large".into())
    }

    /// `nz-number`: 32 bits, no 0, no leading 0.
    pub(super) fn nz_number(&mut self) -> Parsed<NonZeroU32> {
        if self.peek() == Some(b'0') {
            return Err("A number must not begin with 0".into());
        }
        NonZeroU32::new(self.number()?).ok_or_else(|| "A number must not be 0".into())
    }

    /// `sequence-set`, or `$` (RFC 5182).
    pub(super) fn sequence_set(&mut self) -> Parsed<SequenceSet> {
        if self.eat(b'$') {
            return Ok(SequenceSet::Saved);
        }
        let mut ranges = Vec::new();
        loop {
            let first = self.bound()?;
            let last = if self.eat(b':') { self.bound()? } else { first };
            if ranges.len() >= RANGES {
                return Err("A set has too many ranges".into());
            }
            ranges.push((first, last));
            if !self.eat(b',') {
                return Ok(SequenceSet::Ranges(ranges));
            }
        }
    }

    /// `partial-range` (RFC 9394 section 4): both ends count from the same side.
    pub(super) fn partial_range(&mut self) -> Parsed<PartialRange> {
        let from = match self.eat(b'-') {
            true => Side::End,
            false => Side::Start,
        };
        let first = self.nz_number()?;
        self.expect(b':', "A range was expected")?;
        if self.eat(b'-') != (from == Side::End) {
            return Err("Both ends of a range must have the same sign".into());
        }
        Ok(PartialRange {
            from,
            first,
            last: self.nz_number()?,
        })
    }

    /// `seq-number`.
    pub(super) fn bound(&mut self) -> Parsed<Bound> {
        if self.eat(b'*') {
            return Ok(Bound::Star);
        }
        self.nz_number()
            .map(Bound::Number)
            .map_err(|_| "Invalid sequence set".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_strings() {
        let read = |text: &[u8]| Cursor::new(text).astring();
        assert_eq!(read(b"a]b c").as_deref(), Ok(&b"a]b"[..]));
        assert_eq!(read(br#""a\"\\ b" x"#).as_deref(), Ok(&br#"a"\ b"#[..]));
        assert_eq!(read(b"{3}\r\na\r\nb").as_deref(), Ok(&b"a\r\n"[..]));
        assert_eq!(read(b"{2+}\nab").as_deref(), Ok(&b"ab"[..]));
        assert!(read(b"{4}\r\nabc").is_err());
        assert!(read(b"{18446744073709551615}\r\nabc").is_err());
        assert!(read(br#""a\n""#).is_err());
        assert!(read(b"\"a\r\n\"").is_err());
        assert!(read(b"\"a\0\"").is_err());
        assert!(read(b"").is_err());
        assert_eq!(Cursor::new(b"nil").nstring(), Ok(None));
    }

    #[test]
    fn reads_numbers_strictly() {
        assert!(Cursor::new(b"0").nz_number().is_err());
        assert!(Cursor::new(b"4294967296").nz_number().is_err());
        assert_eq!(Cursor::new(b"4294967295").nz_number(), Ok(NonZeroU32::MAX));
        assert_eq!(
            Cursor::new(b"9223372036854775807").number64(),
            Ok(i64::MAX as u64)
        );
        assert!(Cursor::new(b"9223372036854775808").number64().is_err());
        for wrong in ["", "0", "1:", "1,,2", "a", "1:0"] {
            assert!(
                Cursor::new(wrong.as_bytes()).sequence_set().is_err(),
                "{wrong}"
            );
        }
    }
}
