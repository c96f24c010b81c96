//! Header fields with UTF-8 in ASCII (RFC 6857 section 3), but for addresses whose local part
//! is not ASCII: they become one that is nobody's, with the real one in its display name
//! (RFC 6858 section 2.1), where RFC 6857 has an empty group. Clients that know ASCII only
//! show a sender then.
//!
//! Values are those of a header that is UTF-8 as a whole.

use super::a_label;
use super::address;
use super::ascii_field::AsciiField;
use super::decode::decode_header;
use super::header::{Field, fields, is_empty_line, line_end, unfold};
use super::parameter;
use super::{Address, with_crlf};

/// Whose address one becomes that ASCII cannot show (RFC 6858 section 2.1).
const NOBODY: &str = "<invalid@internationalized-address.invalid>";
/// How many addresses of a field are taken.
const ADDRESSES: usize = 10_000;
/// How many parameters of a field are taken.
const PARAMETERS: usize = 128;
/// So much of a parameter goes into a line: one has 998 octets at most.
const PARAMETER_OCTETS: usize = 900;

/// A header in ASCII, with CRLF line ends; `None` where it is already, or is no UTF-8.
pub(super) fn header(header: &[u8]) -> Option<Vec<u8>> {
    if header.is_ascii() || std::str::from_utf8(header).is_err() {
        return None;
    }
    let mut ascii = Vec::with_capacity(header.len());
    for field in fields(header) {
        match field.lines.is_ascii() {
            true => ascii.extend_from_slice(&with_crlf(field.lines)),
            false => push_field(&mut ascii, &field),
        }
    }
    if ends_with_empty_line(header) {
        ascii.extend_from_slice(b"\r\n");
    }
    Some(ascii)
}

/// The body of a delivery status notification with its recipients in ASCII (section 4.2);
/// `None` where they are, or it is no UTF-8.
pub(super) fn delivery_status(body: &[u8]) -> Option<Vec<u8>> {
    if body.is_ascii() || std::str::from_utf8(body).is_err() {
        return None;
    }
    let mut ascii = Vec::with_capacity(body.len());
    let mut changed = false;
    let mut position = 0;
    while position < body.len() {
        let start = position;
        position = line_end(body, start);
        let is_empty = body.get(start..position).is_none_or(is_empty_line);
        while !is_empty && matches!(body.get(position), Some(b' ' | b'\t')) {
            position = line_end(body, position);
        }
        let lines = body.get(start..position).unwrap_or_default();
        match fields(lines).next().filter(|field| is_recipient(field)) {
            Some(field) if !lines.is_ascii() => {
                push_field(&mut ascii, &field);
                if !lines.ends_with(b"\n") {
                    ascii.truncate(ascii.len().saturating_sub(b"\r\n".len()));
                }
                changed = true;
            }
            _ => ascii.extend_from_slice(&with_crlf(lines)),
        }
    }
    changed.then_some(ascii)
}

fn is_recipient(field: &Field<'_>) -> bool {
    [&b"original-recipient"[..], b"final-recipient"]
        .iter()
        .any(|name| field.name.eq_ignore_ascii_case(name))
}

fn ends_with_empty_line(header: &[u8]) -> bool {
    let without_end = header.strip_suffix(b"\n").unwrap_or(header);
    let start = without_end
        .iter()
        .rposition(|octet| *octet == b'\n')
        .map_or(0, |place| place + 1);
    let last = header.get(start..line_end(header, start));
    last.is_some_and(is_empty_line)
}

/// A field that is not ASCII, in ASCII. One whose name is not is left out, as is a Received
/// field that has anything where RFC 6857 section 3.2.4 has no way (RFC 6858 section 2.4).
fn push_field(ascii: &mut Vec<u8>, field: &Field<'_>) {
    let (Ok(name), Ok(value)) = (
        std::str::from_utf8(field.name),
        std::str::from_utf8(field.value),
    ) else {
        return;
    };
    if name.is_empty() || !name.bytes().all(|octet| octet.is_ascii_graphic()) {
        return;
    }
    if let Some(text) = in_ascii(name, value) {
        ascii.extend_from_slice(text.as_bytes());
        ascii.extend_from_slice(b"\r\n");
    }
}

/// Section 3.2.
fn in_ascii(name: &str, value: &str) -> Option<String> {
    match name.to_ascii_lowercase().as_str() {
        "bcc"
        | "cc"
        | "from"
        | "reply-to"
        | "resent-bcc"
        | "resent-cc"
        | "resent-from"
        | "resent-reply-to"
        | "resent-sender"
        | "resent-to"
        | "return-path"
        | "sender"
        | "to"
        | "disposition-notification-to" => {
            with_comments(name, value).or_else(|| Some(addresses(name, value)))
        }
        "message-id" | "resent-message-id" | "in-reply-to" | "references" => {
            with_comments(name, value).or_else(|| Some(encapsulated(name, value)))
        }
        "original-recipient" | "final-recipient" => with_comments(name, value)
            .or_else(|| type_address(name, value))
            .or_else(|| Some(encapsulated(name, value))),
        "received" => received(name, value),
        "keywords" => Some(phrases(name, value)),
        "content-type" | "content-disposition" => with_comments(name, value)
            .or_else(|| parameters(name, value))
            .or_else(|| Some(unstructured(name, value))),
        "date"
        | "resent-date"
        | "mime-version"
        | "content-id"
        | "content-transfer-encoding"
        | "content-language"
        | "accept-language"
        | "auto-submitted" => {
            with_comments(name, value).or_else(|| Some(unstructured(name, value)))
        }
        // Section 3.2.8, and Subject, Comments and Content-Description.
        _ => Some(unstructured(name, value)),
    }
}

/// Sections 3.1.1 and 3.2.6.
fn unstructured(name: &str, value: &str) -> String {
    let mut field = AsciiField::named(name);
    field.words(decode_header(value.as_bytes()).trim_ascii());
    field.into_text()
}

/// Section 3.1.10.
fn encapsulated(name: &str, value: &str) -> String {
    let mut field = AsciiField::named(&format!("Downgraded-{name}"));
    field.words(&String::from_utf8_lossy(&unfold(value.as_bytes())));
    field.into_text()
}

/// A value that is ASCII but for its comments (section 3.1.3); `None` where more is not.
fn with_comments(name: &str, value: &str) -> Option<String> {
    let mut field = AsciiField::named(name);
    let value = with_crlf(value.trim_ascii_end().as_bytes());
    field.attach(&comments(std::str::from_utf8(&value).ok()?)?);
    Some(field.into_text())
}

/// Comments with encoded words for what is not ASCII; `None` where anything else is not.
fn comments(value: &str) -> Option<String> {
    let mut ascii = AsciiField::unnamed();
    let mut rest = value;
    let (mut is_quoted, mut depth) = (false, 0_usize);
    // Whether the line has encoded words, and so goes on no longer than it has to.
    let mut has_words = false;
    while let Some(next) = rest.chars().next() {
        if depth > 0 && !matches!(next, '(' | ')') {
            let (text, after) = rest.split_at(comment_text(rest));
            match text.is_ascii() {
                true => ascii.attach(text),
                false => {
                    has_words = true;
                    let text = decode_header(unescaped(text).as_bytes());
                    ascii.next_line().words(text.trim_ascii())
                }
            };
            rest = after;
            continue;
        }
        let octets = match next {
            '\\' if is_quoted => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
            _ => next.len_utf8(),
        };
        let (text, after) = rest.split_at(octets);
        if !text.is_ascii() {
            return None;
        }
        match next {
            '"' => is_quoted = !is_quoted,
            '(' if !is_quoted => depth += 1,
            ')' if !is_quoted => depth = depth.saturating_sub(1),
            ' ' | '\t' if has_words => {
                has_words = false;
                let after = rest.trim_start_matches([' ', '\t']);
                if !after.is_empty() && !after.starts_with(['\r', '\n']) {
                    ascii.attach("\r\n");
                }
            }
            _ => {}
        }
        ascii.attach(text);
        rest = after;
    }
    Some(ascii.into_text())
}

/// How long the text is that a comment goes on with, up to a parenthesis.
fn comment_text(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.find(|letter| {
        let ends = !is_escaped && matches!(letter, '(' | ')');
        is_escaped = !is_escaped && letter == '\\';
        ends
    });
    end.unwrap_or(text.len())
}

/// A text without the backslashes that escape.
fn unescaped(text: &str) -> String {
    let mut is_escaped = false;
    let keep = |letter: &char| {
        is_escaped = !is_escaped && *letter == '\\';
        !is_escaped
    };
    text.chars().filter(keep).collect()
}

/// Section 3.2.1.
fn addresses(name: &str, value: &str) -> String {
    let mut field = AsciiField::named(name);
    let mut in_group = false;
    // What is written needs a comma before the next, and a line.
    let (mut comma, mut line) = (false, false);
    let mut separate = |field: &mut AsciiField, comma: &mut bool| {
        if std::mem::replace(comma, true) {
            field.attach(",");
        }
        if std::mem::replace(&mut line, true) {
            field.next_line();
        }
    };
    for address in address::parse(value.as_bytes(), ADDRESSES) {
        match (&address.host, &address.mailbox) {
            (None, Some(group)) => {
                separate(&mut field, &mut comma);
                phrase(&mut field, group);
                field.attach(":");
                (in_group, comma) = (true, false);
            }
            (None, None) => {
                field.attach(";");
                (in_group, comma) = (false, true);
            }
            _ => {
                separate(&mut field, &mut comma);
                one_address(&mut field, &address);
            }
        }
    }
    if in_group {
        field.attach(";");
    }
    field.into_text()
}

/// Sections 3.1.5, 3.1.6 and 3.1.8; RFC 6858 section 2.1.
fn one_address(field: &mut AsciiField, address: &Address) {
    let text = |part: &Option<Vec<u8>>| {
        let octets = part.as_deref().unwrap_or_default();
        String::from_utf8_lossy(octets).into_owned()
    };
    let (mailbox, host, name) = (
        text(&address.mailbox),
        text(&address.host),
        text(&address.name),
    );
    let ascii_host = match host.is_ascii() {
        true => Some(host.clone()),
        false => a_label::to_ascii(&host),
    };
    match ascii_host.filter(|_| mailbox.is_ascii()) {
        Some(host) => {
            let mailbox = local_part(&mailbox);
            let plain = match host.is_empty() {
                true => mailbox,
                false => format!("{mailbox}@{host}"),
            };
            match name.is_empty() {
                true => field.push(&plain),
                false => {
                    phrase(field, name.as_bytes());
                    field.push(&format!("<{plain}>"))
                }
            };
        }
        None => {
            let real = format!("{} {mailbox}@{host}", decode_header(name.as_bytes()));
            field.words(real.trim_ascii()).next_line().attach(NOBODY);
        }
    }
}

/// A local part, quoted where it has to be (RFC 5322 section 3.4.1).
fn local_part(mailbox: &str) -> String {
    let is_atom = |atom: &str| !atom.is_empty() && atom.bytes().all(is_atext);
    match mailbox.split('.').all(is_atom) {
        true => mailbox.to_owned(),
        false => quoted(mailbox),
    }
}

/// A display name (RFC 5322 section 3.2.5).
fn phrase(field: &mut AsciiField, name: &[u8]) {
    let text = String::from_utf8_lossy(name);
    if !text.is_ascii() {
        field.words(&decode_header(name));
        return;
    }
    let is_plain = |octet: u8| is_atext(octet) || octet == b' ';
    match text.contains("=?") || text.bytes().all(is_plain) {
        true => field.push(&text),
        false => field.push(&quoted(&text)),
    };
}

fn is_atext(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet)
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars().filter(|character| !character.is_control()) {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted + "\""
}

/// Section 3.2.7.
fn phrases(name: &str, value: &str) -> String {
    let mut field = AsciiField::named(name);
    let value = String::from_utf8_lossy(&unfold(value.as_bytes())).into_owned();
    let (mut is_quoted, mut is_escaped) = (false, false);
    let phrases = value.split(|letter| {
        let was_escaped = is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
        is_quoted ^= letter == '"' && !was_escaped;
        letter == ',' && !is_quoted
    });
    for (number, phrase) in phrases.enumerate() {
        if number > 0 {
            field.attach(",");
        }
        let phrase = phrase.trim_ascii();
        match phrase.is_ascii() {
            true => field.push(phrase),
            false => {
                let text = unescaped(phrase).replace('"', "");
                field.words(decode_header(text.as_bytes()).trim_ascii())
            }
        };
    }
    field.into_text()
}

/// Section 3.2.4: domains get A-labels, comments encoded words; clauses FOR and ID that
/// cannot be ASCII go. `None` where anything else is not.
fn received(name: &str, value: &str) -> Option<String> {
    let value = String::from_utf8(unfold(value.as_bytes())).ok()?;
    let mut kept: Vec<String> = Vec::new();
    for token in trace_tokens(&value) {
        if token.is_ascii() {
            kept.push(token.to_owned());
        } else if let Some(comment) = comments(token) {
            kept.push(comment);
        } else if let Some(ascii) = trace_address(token).filter(|_| !follows(&kept, "id")) {
            kept.push(ascii);
        } else {
            if !follows(&kept, "for") && !follows(&kept, "id") {
                return None;
            }
            kept.pop();
        }
    }
    let mut field = AsciiField::named(name);
    for token in kept {
        match token == ";" {
            true => field.attach(&token),
            false => field.push(&token),
        };
    }
    Some(field.into_text())
}

/// Whether the last token is this word.
fn follows(tokens: &[String], word: &str) -> bool {
    tokens
        .last()
        .is_some_and(|last| last.eq_ignore_ascii_case(word))
}

/// Words, comments and semicolons.
fn trace_tokens(value: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = value.trim_ascii_start();
    while let Some(first) = rest.chars().next() {
        let (mut is_quoted, mut is_escaped, mut depth) = (false, false, 0_usize);
        let in_comment = first == '(';
        let mut end = rest.len();
        for (place, letter) in rest.char_indices() {
            let was_escaped = is_escaped;
            is_escaped = letter == '\\' && !is_escaped;
            match letter {
                _ if was_escaped => {}
                '(' if in_comment => depth += 1,
                ')' if in_comment => {
                    depth -= 1;
                    if depth == 0 {
                        end = place + 1;
                        break;
                    }
                }
                _ if in_comment => {}
                '"' => is_quoted = !is_quoted,
                ' ' | '\t' | '(' | ';' if !is_quoted => {
                    end = place.max(usize::from(letter == ';' && place == 0));
                    break;
                }
                _ => {}
            }
        }
        let (token, after) = rest.split_at(end);
        tokens.push(token);
        rest = after.trim_ascii_start();
    }
    tokens
}

/// A domain, or an address with or without angle brackets, with A-labels.
fn trace_address(token: &str) -> Option<String> {
    let inner = token
        .strip_prefix('<')
        .and_then(|token| token.strip_suffix('>'));
    let bare = inner.unwrap_or(token);
    let ascii = match bare.rsplit_once('@') {
        Some((local, domain)) if local.is_ascii() => {
            format!("{local}@{}", a_label::to_ascii(domain)?)
        }
        Some(_) => return None,
        None => a_label::to_ascii(bare)?,
    };
    Some(match inner.is_some() {
        true => format!("<{ascii}>"),
        false => ascii,
    })
}

/// Section 3.1.9: utf-8-addr-xtext (RFC 6533 section 3) for utf-8-address.
fn type_address(name: &str, value: &str) -> Option<String> {
    let value = String::from_utf8(unfold(value.as_bytes())).ok()?;
    let (kind, address) = value.split_once(';')?;
    if !kind.trim_ascii().eq_ignore_ascii_case("utf-8") {
        return None;
    }
    let address = address.trim_ascii();
    let comment = address.find(" (").unwrap_or(address.len());
    let (address, comment) = address.split_at(comment);
    let mut xtext = String::new();
    for letter in address.trim_ascii_end().chars() {
        match letter {
            '!'..='~' if !matches!(letter, '+' | '=' | '\\') => xtext.push(letter),
            _ => xtext.push_str(&format!("\\x{{{:02X}}}", u32::from(letter))),
        }
    }
    let comment = comments(comment.trim_ascii())?;
    let mut field = AsciiField::named(name);
    field.attach(" utf-8;").push(&xtext);
    if !comment.is_empty() {
        field.push(&comment);
    }
    Some(field.into_text())
}

/// Section 3.1.4: parameters that are not ASCII in their extended form (RFC 2231 section 4),
/// in pieces where they are long (section 3 there). `None` where the value itself is not.
fn parameters(name: &str, value: &str) -> Option<String> {
    let (kind, parameters) = parameter::parse(value.as_bytes(), PARAMETERS);
    let kind = String::from_utf8(kind)
        .ok()
        .filter(|kind| kind.is_ascii())?;
    let mut field = AsciiField::named(name);
    field.push(&kind);
    for (name, value) in parameters {
        let (Ok(name), Ok(value)) = (String::from_utf8(name), String::from_utf8(value)) else {
            continue;
        };
        let is_token =
            |octet: u8| octet.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&octet);
        if name.is_empty() || name.len() > PARAMETER_OCTETS || !name.bytes().all(is_token) {
            continue;
        }
        let mut push = |parameter: &str| {
            field.attach(";").next_line().attach(parameter);
        };
        match (value.is_ascii(), name.ends_with('*')) {
            (true, true) if value.bytes().all(is_token) => push(&format!("{name}={value}")),
            (true, false) if value.len() <= PARAMETER_OCTETS => {
                push(&format!("{name}={}", quoted(&value)));
            }
            (false, false) => {
                let encoded = percent_encoded(&value);
                match encoded.as_slice() {
                    [whole] => push(&format!("{name}*=utf-8''{whole}")),
                    pieces => {
                        for (number, piece) in pieces.iter().enumerate() {
                            let charset = if number == 0 { "utf-8''" } else { "" };
                            push(&format!("{name}*{number}*={charset}{piece}"));
                        }
                    }
                }
            }
            _ => {}
        }
    }
    Some(field.into_text())
}

/// A value in pieces that fit into a line each.
fn percent_encoded(text: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for octet in text.bytes() {
        // attribute-char (RFC 2231 section 7).
        let encoded = match octet.is_ascii_alphanumeric() || b"!#$&+-.^_`{|}~".contains(&octet) {
            true => char::from(octet).to_string(),
            false => format!("%{octet:02X}"),
        };
        match pieces.last_mut() {
            Some(piece) if piece.len() + encoded.len() <= PARAMETER_OCTETS => {
                piece.push_str(&encoded);
            }
            _ => pieces.push(encoded),
        }
    }
    pieces
}

#[cfg(test)]
#[path = "downgrade_tests.rs"]
mod tests;
