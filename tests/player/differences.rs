//! What Dovecot says differently everywhere, and both may.
//!
//! - The text after a status or response code may be missing (RFC 1939 section 3, and
//!   RFC 3501 section 7.1 says nothing of what it holds).
//! - Items of a FETCH response stand in any order (RFC 3501 section 7.4.2).
//! - So do the results of ESEARCH (RFC 4731 section 3.1).
//! - Names of header fields come back as they were asked for, or in capitals.
//! - A day of one digit has a space before it, or a 0 (RFC 3501 section 9, date-day-fixed).
//! - RECENT is told again when messages went, or not (RFC 3501 section 7.3.2).
//! - Attributes of LIST stand in any order.
//! - LIST tells \\HasChildren and \\HasNoChildren where RFC 3348 was not asked for, or not.
//! - The word after CHILDINFO is quoted, or not (RFC 5258 section 6 wants it quoted, as
//!   Pillarbox has it).

use super::matching;
use std::collections::HashMap;

/// As [`matching::matches`], with these differences.
pub fn matches(pattern: &str, line: &str, names: &mut HashMap<String, String>) -> bool {
    if matching::matches(pattern, line, names) {
        return true;
    }
    let (mut pattern, mut line) = (usual(pattern), usual(line));
    // Told by one of them only.
    if tells_children(&pattern) != tells_children(&line) {
        (pattern, line) = (without_children(&pattern), without_children(&line));
    }
    let without_text = pattern.strip_suffix(" ...");
    matching::matches(&pattern, &line, names)
        || without_text.is_some_and(|pattern| matching::matches(pattern, &line, names))
}

/// Whether a line may come that was not waited for.
pub fn is_beside(pattern: &str, line: &str) -> bool {
    line.ends_with(" RECENT") && !pattern.contains(" RECENT")
}

fn tells_children(line: &str) -> bool {
    line.contains("\\HasChildren") || line.contains("\\HasNoChildren")
}

fn without_children(line: &str) -> String {
    line.replace(" \\HasChildren", "")
        .replace(" \\HasNoChildren", "")
        .replace("(\\HasChildren", "(")
        .replace("(\\HasNoChildren", "(")
        .replace("* LIST ( ", "* LIST (")
}

/// A line with its freedoms taken away.
fn usual(line: &str) -> String {
    if line.starts_with("* LIST (") {
        let line = line.replace("(\"CHILDINFO\"", "(CHILDINFO");
        let Some((attributes, rest)) = line["* LIST (".len()..].split_once(')') else {
            return line;
        };
        let mut attributes: Vec<&str> = attributes.split(' ').collect();
        attributes.sort_unstable();
        return format!("* LIST ({}){rest}", attributes.join(" "));
    }
    if let Some((before, results)) = line
        .strip_prefix("* ESEARCH (")
        .and_then(|rest| rest.split_once(") "))
    {
        let mut results: Vec<&str> = results.split(' ').collect();
        let is_by_uid = results.first() == Some(&"UID");
        let uid = results.drain(..usize::from(is_by_uid)).collect::<String>();
        let mut sorted = pairs_of(&results);
        sorted.sort_unstable();
        return format!("* ESEARCH ({before}) {uid} {}", sorted.join(" "));
    }
    let Some((before, items)) = line.split_once(" FETCH (") else {
        return line.to_owned();
    };
    let items = capital_fields(items).replace("INTERNALDATE \"0", "INTERNALDATE \" ");
    // What ends in a literal or in any text stands in its order.
    match items.strip_suffix(')') {
        Some(items) => {
            let mut sorted = pairs(items);
            sorted.sort_unstable();
            format!("{before} FETCH ({})", sorted.join(" "))
        }
        None => format!("{before} FETCH ({items}"),
    }
}

/// The names in `HEADER.FIELDS (...)` in capitals.
fn capital_fields(items: &str) -> String {
    let mut text = String::new();
    let mut rest = items;
    while let Some(begin) = rest.find("HEADER.FIELDS") {
        let end = rest[begin..]
            .find(']')
            .map_or(rest.len(), |end| begin + end);
        text.push_str(&rest[..begin]);
        text.push_str(&rest[begin..end].to_ascii_uppercase());
        rest = &rest[end..];
    }
    text + rest
}

/// Each name and the value after it.
fn pairs_of(words: &[&str]) -> Vec<String> {
    words.chunks(2).map(|pair| pair.join(" ")).collect()
}

/// The items of a FETCH response: a name and a value each.
fn pairs(items: &str) -> Vec<&str> {
    let (mut depth, mut is_quoted, mut begin, mut spaces) = (0_i32, false, 0, 0);
    let mut found = Vec::new();
    for (place, octet) in items.bytes().enumerate() {
        match octet {
            b'"' => is_quoted = !is_quoted,
            b'(' | b'[' if !is_quoted => depth += 1,
            b')' | b']' if !is_quoted => depth -= 1,
            b' ' if !is_quoted && depth == 0 => {
                spaces += 1;
                if spaces % 2 == 0 {
                    found.push(&items[begin..place]);
                    begin = place + 1;
                }
            }
            _ => {}
        }
    }
    found.push(&items[begin..]);
    found
}

#[test]
fn only_freedoms_are_taken_away() {
    let mut names = HashMap::new();
    let mut are_same = |pattern, line| matches(pattern, line, &mut names);
    assert!(are_same(
        "* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ ($m))",
        "* 1 FETCH (MODSEQ (3) FLAGS (\\Seen) UID 1)"
    ));
    assert!(!are_same("* 1 FETCH (UID 1)", "* 1 FETCH (UID 2)"));
    assert!(are_same(
        "* ESEARCH (TAG \"a\") UID MIN 2 COUNT 3",
        "* ESEARCH (TAG \"a\") UID COUNT 3 MIN 2"
    ));
    assert!(!are_same(
        "* ESEARCH (TAG \"a\") UID MIN 2",
        "* ESEARCH (TAG \"a\") MIN 2"
    ));
    assert!(are_same(
        "* 1 FETCH (BODY[HEADER.FIELDS (Subject)] {22}",
        "* 1 FETCH (BODY[HEADER.FIELDS (SUBJECT)] {22}"
    ));
    assert!(are_same("+OK ...", "+OK"));
    assert!(!are_same("+OK ...", "-ERR"));
    assert!(are_same(
        "* LIST (\\HasNoChildren \\Sent) \"/\" a",
        "* LIST (\\Sent) \"/\" a"
    ));
    assert!(!are_same(
        "* LIST (\\HasNoChildren) \"/\" a",
        "* LIST (\\Sent) \"/\" a"
    ));
}
