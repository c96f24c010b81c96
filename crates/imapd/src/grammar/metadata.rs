//! GETMETADATA's and SETMETADATA's arguments (RFC 5464), and the entries that LIST
//! returns (RFC 9590).

use super::command::{Command, Depth, GetMetadata, SetMetadata};
use super::cursor::{Cursor, Parsed};
use store::EntryName;

/// How many entries a command may name.
const ENTRIES: usize = 200;

/// Reads what follows `GETMETADATA`. The options may stand before the mailbox, as the
/// formal syntax has it, or behind it, as the examples have it; and entries may stand
/// without parentheses, as in other examples.
pub(super) fn get(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    cursor.space()?;
    let mut command = GetMetadata {
        mailbox: String::new(),
        max_octets: None,
        depth: Depth::Zero,
        entries: Vec::new(),
    };
    if cursor.peek() == Some(b'(') {
        options(cursor, &mut command)?;
        cursor.space()?;
    }
    command.mailbox = mailbox(cursor)?;
    cursor.space()?;
    if names_option(cursor) {
        options(cursor, &mut command)?;
        cursor.space()?;
    }
    command.entries = entries(cursor)?;
    loop {
        let mut ahead = cursor.clone();
        ahead.skip_spaces();
        if ahead.is_at_end() {
            return Ok(Command::GetMetadata(command));
        }
        cursor.space()?;
        let further = entries(cursor)?;
        if command.entries.len() + further.len() > ENTRIES {
            return Err("Too many entries".into());
        }
        command.entries.extend(further);
    }
}

fn mailbox(cursor: &mut Cursor<'_>) -> Parsed<String> {
    let octets = cursor.astring()?;
    cursor.how().names.decode(&octets)
}

/// Whether a list of options comes, not one of entries.
fn names_option(cursor: &Cursor<'_>) -> bool {
    let mut ahead = cursor.clone();
    ahead.eat(b'(') && {
        ahead.skip_spaces();
        matches!(ahead.word().as_deref(), Ok("MAXSIZE" | "DEPTH"))
    }
}

fn options(cursor: &mut Cursor<'_>, command: &mut GetMetadata) -> Parsed<()> {
    let given = super::parser::parenthesized(cursor, |cursor| {
        match cursor.word()?.as_str() {
            "MAXSIZE" => {
                cursor.space()?;
                command.max_octets = Some(cursor.number()?);
            }
            "DEPTH" => {
                cursor.space()?;
                command.depth = match cursor.word()?.as_str() {
                    "0" => Depth::Zero,
                    "1" => Depth::One,
                    "INFINITY" => Depth::Infinity,
                    _ => return Err("DEPTH takes 0, 1 or infinity".into()),
                };
            }
            _ => return Err("Unknown GETMETADATA option".into()),
        }
        Ok(())
    })?;
    if given.is_empty() {
        return Err("An option was expected".into());
    }
    Ok(())
}

/// `entries`: one or a list.
pub(super) fn entries(cursor: &mut Cursor<'_>) -> Parsed<Vec<EntryName>> {
    let asked = |cursor: &mut Cursor<'_>| name(cursor, EntryName::asked);
    if cursor.peek() != Some(b'(') {
        return Ok(vec![asked(cursor)?]);
    }
    let entries = super::parser::parenthesized(cursor, asked)?;
    match entries.len() {
        0 => Err("An entry was expected".into()),
        1..=ENTRIES => Ok(entries),
        _ => Err("Too many entries".into()),
    }
}

fn name(
    cursor: &mut Cursor<'_>,
    read: impl Fn(&str) -> Result<EntryName, &'static str>,
) -> Parsed<EntryName> {
    let octets = cursor.astring()?;
    let text = std::str::from_utf8(&octets).map_err(|_| "The name of an entry is not ASCII")?;
    Ok(read(text)?)
}

/// Reads what follows `SETMETADATA`.
pub(super) fn set(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    cursor.space()?;
    let mailbox = mailbox(cursor)?;
    cursor.space()?;
    let changes = super::parser::parenthesized(cursor, |cursor| {
        let name = name(cursor, EntryName::new)?;
        cursor.space()?;
        Ok((name, cursor.nstring8()?))
    })?;
    match changes.len() {
        0 => Err("An entry was expected".into()),
        1..=ENTRIES => Ok(Command::SetMetadata(SetMetadata { mailbox, changes })),
        _ => Err("Too many entries".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::parse;

    fn command(text: &[u8]) -> Option<Command> {
        parse(text).ok().map(|tagged| tagged.command)
    }

    #[test]
    fn options_stand_on_both_sides() {
        for text in [
            "a GETMETADATA (MAXSIZE 7 DEPTH infinity) INBOX (/shared/a /private/b)",
            "a getmetadata \"INBOX\" (depth INFINITY maxsize 7) /shared/a /private/b",
            "a GETMETADATA INBOX ( MAXSIZE 7 DEPTH Infinity ) \"/shared/a\" (/private/b)",
        ] {
            let Some(Command::GetMetadata(command)) = command(text.as_bytes()) else {
                panic!("{text}");
            };
            assert_eq!(command.mailbox, "INBOX");
            assert_eq!(command.max_octets, Some(7));
            assert_eq!(command.depth, Depth::Infinity);
            assert_eq!(command.entries.len(), 2);
        }
    }

    #[test]
    fn values_are_strings_binary_or_nil() {
        let text = b"a SETMETADATA \"\" (/private/a \"x\" /private/b NIL /private/c ~{3+}\r\n\0\r\n /private/d {0}\r\n)";
        let Some(Command::SetMetadata(command)) = command(text) else {
            panic!("refused");
        };
        let values: Vec<_> = command
            .changes
            .into_iter()
            .map(|(_, value)| value)
            .collect();
        assert_eq!(
            values,
            [
                Some(b"x".to_vec()),
                None,
                Some(b"\0\r\n".to_vec()),
                Some(Vec::new())
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for text in [
            &b"a GETMETADATA INBOX"[..],
            b"a GETMETADATA INBOX ()",
            b"a GETMETADATA INBOX comment",
            b"a GETMETADATA INBOX (/shared/a*)",
            b"a GETMETADATA () INBOX /shared/a",
            b"a GETMETADATA (DEPTH 2) INBOX /shared/a",
            b"a GETMETADATA (MAXSIZE 4294967296) INBOX /shared/a",
            b"a GETMETADATA (SIZE 1) INBOX /shared/a",
            b"a SETMETADATA INBOX ()",
            b"a SETMETADATA INBOX /shared/a x",
            b"a SETMETADATA INBOX (/shared/a)",
            b"a SETMETADATA INBOX (/shared/a x)",
            b"a SETMETADATA INBOX (/shared/vendor/a \"x\")",
            b"a SETMETADATA INBOX (/private/a {1}\r\n\0)",
        ] {
            assert!(command(text).is_none(), "{}", String::from_utf8_lossy(text));
        }
        let many = "/shared/a ".repeat(ENTRIES + 1);
        assert!(command(format!("a GETMETADATA INBOX {many}").as_bytes()).is_none());
        assert!(command(format!("a GETMETADATA INBOX ({many})").as_bytes()).is_none());
    }
}
