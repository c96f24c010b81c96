//! APPEND's arguments (RFC 3501 section 6.3.11, RFC 3502, RFC 3516, RFC 4469) and those of
//! REPLACE (RFC 8508).

use super::command::{
    AppendContent, AppendMessage, CatenatePart, Command, Literal, Numbers, PartList, Replace,
};
use super::cursor::{Cursor, Parsed};
use super::date;
use super::parser::{flag_list, mailbox};
use super::reading::Names;
use super::url::URL_OCTETS;
use store::Flags;

/// How many parts may be catenated: each URL has a message opened.
const PARTS: usize = 250;

/// Reads what follows `APPEND`. The octets of messages are not in the command, which may
/// end with the announcement of any of them.
pub(super) fn append(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let mailbox = mailbox(cursor)?;
    let mut messages = Vec::new();
    loop {
        cursor.space()?;
        messages.push(message(cursor)?);
        let mut ahead = cursor.clone();
        ahead.skip_spaces();
        if ahead.is_at_end() {
            return Ok(Command::Append { mailbox, messages });
        }
    }
}

/// Reads what follows `REPLACE`.
pub(super) fn replace(cursor: &mut Cursor<'_>, numbers: Numbers) -> Parsed<Replace> {
    cursor.space()?;
    let number = cursor.bound()?;
    let mailbox = mailbox(cursor)?;
    cursor.space()?;
    Ok(Replace {
        number,
        numbers,
        mailbox,
        message: message(cursor)?,
    })
}

/// `[SP flag-list] [SP date-time] SP append-data`.
fn message(cursor: &mut Cursor<'_>) -> Parsed<AppendMessage> {
    let mut flags = Flags::default();
    let mut keywords = Vec::new();
    if cursor.peek() == Some(b'(') {
        (flags, keywords) = flag_list(cursor)?;
        cursor.space()?;
    }
    let mut date = None;
    if cursor.peek() == Some(b'"') {
        date = Some(date::date_time(cursor)?);
        cursor.space()?;
    }
    let content = if cursor.eat_word("CATENATE") {
        cursor.space()?;
        catenate(cursor)?
    } else {
        literal(cursor)?
    };
    Ok(AppendMessage {
        flags,
        keywords,
        date,
        content,
    })
}

/// `literal`, `literal8` (RFC 3516), or `UTF8 (literal8)`, which may end within: RFC 6855
/// section 4, which RFC 9755 leaves out; older clients write it so, and mean text.
fn literal(cursor: &mut Cursor<'_>) -> Parsed<AppendContent> {
    if cursor.how().names != Names::Utf8 || !cursor.eat_word("UTF8") {
        let (octets, literal) = cursor.literal8_announcement()?;
        return Ok(AppendContent::Literal { octets, literal });
    }
    cursor.space()?;
    cursor.expect(b'(', "A ( was expected")?;
    cursor.expect(b'~', "A literal8 was expected")?;
    let octets = cursor.literal_announcement()?;
    if !cursor.is_at_end() {
        cursor.expect(b')', "A ) is missing")?;
    }
    Ok(AppendContent::Literal {
        octets,
        literal: Literal::Text,
    })
}

/// `"(" cat-part *(SP cat-part) ")"`.
fn catenate(cursor: &mut Cursor<'_>) -> Parsed<AppendContent> {
    cursor.expect(b'(', "A ( was expected")?;
    let mut parts = Vec::new();
    loop {
        cursor.skip_spaces();
        if parts.len() >= PARTS {
            return Err("Too many parts to catenate".into());
        }
        let part = part(cursor)?;
        let is_text = matches!(part, CatenatePart::Text(_));
        parts.push(part);
        let list = if is_text && cursor.is_at_end() {
            PartList::Open
        } else {
            cursor.skip_spaces();
            match cursor.eat(b')') {
                true => PartList::Closed,
                false => continue,
            }
        };
        return Ok(AppendContent::Catenate { parts, list });
    }
}

/// `"TEXT" SP literal` or `"URL" SP astring`.
fn part(cursor: &mut Cursor<'_>) -> Parsed<CatenatePart> {
    match cursor.word()?.as_str() {
        "TEXT" => {
            cursor.space()?;
            Ok(CatenatePart::Text(cursor.literal_announcement()?))
        }
        "URL" => {
            cursor.space()?;
            let url = cursor.astring()?;
            if url.len() > URL_OCTETS {
                return Err("A URL is too long".into());
            }
            Ok(CatenatePart::Url(url))
        }
        _ => Err("CATENATE takes TEXT and URL".into()),
    }
}
