//! FETCH's arguments (RFC 3501 section 6.4.5, RFC 3516, RFC 7162, RFC 8970).

use super::command::{
    Binary, Delay, Fetch, FetchItem, Numbers, Peek, Section, SectionText, Vanished,
};
use super::cursor::{Cursor, Parsed};

/// How many items a FETCH may have: each may need the message read once more.
const ITEMS: usize = 100;
/// How many levels a section's part number may have.
const LEVELS: usize = 100;
/// How many fields HEADER.FIELDS may name.
const FIELDS: usize = 1000;

/// Reads what follows `FETCH`.
pub(super) fn arguments(cursor: &mut Cursor<'_>, numbers: Numbers) -> Parsed<Fetch> {
    cursor.space()?;
    let set = cursor.sequence_set()?;
    cursor.space()?;
    let mut items = Vec::new();
    if cursor.peek() == Some(b'(') {
        items = attributes(cursor)?;
    } else if !macro_items(cursor, &mut items) {
        item(cursor, &mut items)?;
    }
    let mut fetch = Fetch {
        set,
        numbers,
        items,
        changed_since: None,
        vanished: Vanished::Absent,
        partial: None,
    };
    cursor.skip_spaces();
    if cursor.eat(b'(') {
        modifiers(cursor, &mut fetch)?;
    }
    Ok(fetch)
}

/// `(` data items `)`, one at least.
pub(super) fn attributes(cursor: &mut Cursor<'_>) -> Parsed<Vec<FetchItem>> {
    cursor.expect(b'(', "A ( was expected")?;
    cursor.skip_spaces();
    let mut items = Vec::new();
    while !cursor.eat(b')') {
        if items.len() >= ITEMS {
            return Err("Too many FETCH items".into());
        }
        item(cursor, &mut items)?;
        if cursor.peek() != Some(b')') {
            cursor.expect(b' ', "A ) is missing")?;
            cursor.skip_spaces();
        }
    }
    if items.is_empty() {
        return Err("FETCH needs an item".into());
    }
    Ok(items)
}

fn modifiers(cursor: &mut Cursor<'_>, fetch: &mut Fetch) -> Parsed<()> {
    cursor.skip_spaces();
    while !cursor.eat(b')') {
        match cursor.word()?.as_str() {
            "CHANGEDSINCE" => {
                cursor.space()?;
                fetch.changed_since = Some(cursor.number64()?);
            }
            "VANISHED" => fetch.vanished = Vanished::Asked,
            "PARTIAL" if fetch.partial.is_some() => {
                return Err("PARTIAL can be given once only".into());
            }
            "PARTIAL" => {
                cursor.space()?;
                fetch.partial = Some(cursor.partial_range()?);
            }
            _ => return Err("Unknown FETCH modifier".into()),
        }
        if cursor.peek() != Some(b')') {
            cursor.expect(b' ', "A ) is missing")?;
            cursor.skip_spaces();
        }
    }
    // RFC 9394 section 3.3 extends UID FETCH only.
    if fetch.partial.is_some() && fetch.numbers == Numbers::Sequence {
        return Err("PARTIAL needs UID FETCH".into());
    }
    // RFC 7162 section 3.2.6.
    if fetch.vanished == Vanished::Asked
        && (fetch.changed_since.is_none() || fetch.numbers == Numbers::Sequence)
    {
        return Err("VANISHED needs UID FETCH with CHANGEDSINCE".into());
    }
    Ok(())
}

/// ALL, FAST and FULL.
fn macro_items(cursor: &mut Cursor<'_>, items: &mut Vec<FetchItem>) -> bool {
    let mut ahead = cursor.clone();
    let Ok(word) = ahead.word() else {
        return false;
    };
    let fast = [
        FetchItem::Flags,
        FetchItem::InternalDate,
        FetchItem::Rfc822Size,
    ];
    let more: &[FetchItem] = match word.as_str() {
        "FAST" => &[],
        "ALL" => &[FetchItem::Envelope],
        "FULL" => &[FetchItem::Envelope, FetchItem::Body],
        _ => return false,
    };
    items.extend(fast);
    items.extend_from_slice(more);
    *cursor = ahead;
    true
}

fn item(cursor: &mut Cursor<'_>, items: &mut Vec<FetchItem>) -> Parsed<()> {
    let name = cursor
        .take_while(|octet| octet.is_ascii_alphanumeric() || octet == b'.')
        .to_ascii_uppercase();
    let item = match name.as_slice() {
        b"ENVELOPE" => FetchItem::Envelope,
        b"FLAGS" => FetchItem::Flags,
        b"INTERNALDATE" => FetchItem::InternalDate,
        b"RFC822" => FetchItem::Rfc822,
        b"RFC822.HEADER" => FetchItem::Rfc822Header,
        b"RFC822.TEXT" => FetchItem::Rfc822Text,
        b"RFC822.SIZE" => FetchItem::Rfc822Size,
        b"BODYSTRUCTURE" => FetchItem::BodyStructure,
        b"UID" => FetchItem::Uid,
        b"MODSEQ" => FetchItem::ModSeq,
        b"EMAILID" => FetchItem::EmailId,
        b"THREADID" => FetchItem::ThreadId,
        b"SAVEDATE" => FetchItem::SaveDate,
        b"BODY" if cursor.peek() != Some(b'[') => FetchItem::Body,
        b"BODY" => FetchItem::Section(section(cursor, Peek::No)?),
        b"BODY.PEEK" => FetchItem::Section(section(cursor, Peek::Yes)?),
        b"PREVIEW" => FetchItem::Preview(preview_modifiers(cursor)),
        b"BINARY" => FetchItem::Binary(binary(cursor, Peek::No)?),
        b"BINARY.PEEK" => FetchItem::Binary(binary(cursor, Peek::Yes)?),
        b"BINARY.SIZE" => FetchItem::BinarySize(section_binary(cursor)?),
        _ => return Err("Unknown FETCH item".into()),
    };
    // The same item twice is answered once.
    if !items.contains(&item) {
        items.push(item);
    }
    Ok(())
}

/// `[...]` and `<first.length>`.
fn section(cursor: &mut Cursor<'_>, peek: Peek) -> Parsed<Section> {
    cursor.expect(b'[', "A [ was expected")?;
    let (path, text) = section_spec(cursor)?;
    cursor.expect(b']', "A ] is missing")?;
    let partial = partial(cursor)?;
    Ok(Section {
        path,
        text,
        peek,
        partial,
    })
}

/// `section-spec`, or nothing.
pub(super) fn section_spec(cursor: &mut Cursor<'_>) -> Parsed<(Vec<u32>, SectionText)> {
    let (path, named) = part_number(cursor)?;
    let text = if named && !matches!(cursor.peek(), None | Some(b']')) {
        section_text(cursor)?
    } else if named && !path.is_empty() {
        return Err("A part number ends with a dot".into());
    } else {
        SectionText::Whole
    };
    if text == SectionText::Mime && path.is_empty() {
        return Err("MIME needs a part number".into());
    }
    Ok((path, text))
}

/// `[SP "(" preview-mod *(SP preview-mod) ")"]` (RFC 8970 section 6), of which LAZY is the
/// only one. Another list after PREVIEW is that of FETCH's modifiers.
fn preview_modifiers(cursor: &mut Cursor<'_>) -> Delay {
    let mut ahead = cursor.clone();
    ahead.skip_spaces();
    if !ahead.eat(b'(') {
        return Delay::Allowed;
    }
    loop {
        ahead.skip_spaces();
        if ahead.word().as_deref() != Ok("LAZY") {
            return Delay::Allowed;
        }
        ahead.skip_spaces();
        if ahead.eat(b')') {
            *cursor = ahead;
            return Delay::Avoided;
        }
    }
}

/// `section-binary [partial]` (RFC 3516 section 7).
fn binary(cursor: &mut Cursor<'_>, peek: Peek) -> Parsed<Binary> {
    Ok(Binary {
        path: section_binary(cursor)?,
        peek,
        partial: partial(cursor)?,
    })
}

/// `"[" [section-part] "]"`.
fn section_binary(cursor: &mut Cursor<'_>) -> Parsed<Vec<u32>> {
    cursor.expect(b'[', "A [ was expected")?;
    let (path, named) = part_number(cursor)?;
    if named && !path.is_empty() {
        return Err("A part number ends with a dot".into());
    }
    cursor.expect(b']', "A part number or ] was expected")?;
    Ok(path)
}

/// A part's number with the dot after it, and whether anything may follow: nothing does
/// without that dot.
fn part_number(cursor: &mut Cursor<'_>) -> Parsed<(Vec<u32>, bool)> {
    let mut path = Vec::new();
    while matches!(cursor.peek(), Some(b'0'..=b'9')) {
        if path.len() >= LEVELS {
            return Err("A part number is too long".into());
        }
        path.push(cursor.nz_number()?.get());
        if !cursor.eat(b'.') {
            return Ok((path, false));
        }
    }
    Ok((path, true))
}

/// `<first.length>`.
fn partial(cursor: &mut Cursor<'_>) -> Parsed<Option<(u64, u64)>> {
    if !cursor.eat(b'<') {
        return Ok(None);
    }
    let first = cursor.number64()?;
    cursor.expect(b'.', "Invalid partial range")?;
    let length = cursor.number64()?;
    if length == 0 {
        return Err("A partial range must not be empty".into());
    }
    cursor.expect(b'>', "Invalid partial range")?;
    Ok(Some((first, length)))
}

fn section_text(cursor: &mut Cursor<'_>) -> Parsed<SectionText> {
    let name = cursor
        .take_while(|octet| octet.is_ascii_alphabetic() || octet == b'.')
        .to_ascii_uppercase();
    Ok(match name.as_slice() {
        b"HEADER" => SectionText::Header,
        b"TEXT" => SectionText::Text,
        b"MIME" => SectionText::Mime,
        b"HEADER.FIELDS" => SectionText::HeaderFields(fields(cursor)?),
        b"HEADER.FIELDS.NOT" => SectionText::HeaderFieldsNot(fields(cursor)?),
        _ => return Err("Unknown section".into()),
    })
}

fn fields(cursor: &mut Cursor<'_>) -> Parsed<Vec<Vec<u8>>> {
    cursor.space()?;
    cursor.expect(b'(', "A ( was expected")?;
    cursor.skip_spaces();
    let mut fields = Vec::new();
    while !cursor.eat(b')') {
        if fields.len() >= FIELDS {
            return Err("Too many header fields".into());
        }
        fields.push(cursor.astring()?);
        if cursor.peek() != Some(b')') {
            cursor.expect(b' ', "A ) is missing")?;
            cursor.skip_spaces();
        }
    }
    if fields.is_empty() {
        return Err("HEADER.FIELDS needs a field".into());
    }
    Ok(fields)
}
