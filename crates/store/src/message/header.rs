//! Header fields of a raw header block.

use memchr::{memchr, memchr_iter, memchr2};
use std::collections::HashSet;

/// How many octets of one header block are looked at.
pub(crate) const HEADER_OCTETS: usize = 1 << 20;

/// One field: its name and its raw value, folding and line end included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    /// Without the colon and blanks before it.
    pub name: &'a [u8],
    /// After the colon.
    pub value: &'a [u8],
    /// The whole field, name to last line end.
    pub lines: &'a [u8],
    /// Where it begins in the header.
    pub start: usize,
}

/// The end of the line that begins at `start`: after its LF, or the end.
pub(crate) fn line_end(text: &[u8], start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    memchr(b'\n', rest).map_or(text.len(), |position| start + position + 1)
}

/// The LFs of a piece of text, and those of them without CR before them;
/// `before` is the octet before the piece.
pub(crate) fn count_line_ends(text: &[u8], before: Option<u8>) -> (u64, u64) {
    let all = memchr_iter(b'\n', text).count() as u64;
    if before != Some(b'\r') && memchr(b'\r', text).is_none() {
        return (all, all);
    }
    let after_cr = memchr_iter(b'\n', text)
        .filter(|position| {
            let octet = position
                .checked_sub(1)
                .map_or(before, |at| text.get(at).copied());
            octet == Some(b'\r')
        })
        .count() as u64;
    (all, all - after_cr)
}

/// Whether a line, line end included, is empty.
pub(crate) fn is_empty_line(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n")
}

/// The fields of a header block, in order, up to its empty line. A line without
/// colon that continues nothing is passed over.
pub(crate) fn fields(header: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let header = &header[..header.len().min(HEADER_OCTETS)];
    let mut position = 0;
    std::iter::from_fn(move || {
        while position < header.len() {
            let start = position;
            position = line_end(header, start);
            if is_empty_line(&header[start..position]) {
                position = header.len();
                return None;
            }
            while matches!(header.get(position), Some(b' ' | b'\t')) {
                position = line_end(header, position);
            }
            let lines = &header[start..position];
            if let Some(colon) = memchr2(b':', b'\n', lines).filter(|colon| lines[*colon] == b':') {
                return Some(Field {
                    name: lines[..colon].trim_ascii_end(),
                    value: &lines[colon + 1..],
                    lines,
                    start,
                });
            }
        }
        None
    })
}

/// A raw value without line ends and the blanks around it (RFC 5322 section
/// 2.2.3); NUL becomes a blank, so that the value can be sent in any form.
pub(crate) fn unfold(value: &[u8]) -> Vec<u8> {
    let unfolded: Vec<u8> = value
        .iter()
        .filter(|octet| !matches!(octet, b'\r' | b'\n'))
        .map(|octet| if *octet == 0 { b' ' } else { *octet })
        .collect();
    unfolded.trim_ascii().to_vec()
}

/// The values of a header field, raw but unfolded, in order.
pub fn header_values(header: &[u8], name: &[u8]) -> Vec<Vec<u8>> {
    fields(header)
        .filter(|field| field.name.eq_ignore_ascii_case(name))
        .map(|field| unfold(field.value))
        .collect()
}

/// So many names are compared one by one.
const COMPARED_NAMES: usize = 32;
/// What selected fields mostly fit into.
const LISTED_OCTETS: usize = 512;

/// The fields of a header block whose names are (or are not) among `names`, as
/// they stand, with the closing empty line if the header has one (RFC 3501
/// section 6.4.5: a message without body and empty line has none).
pub fn select_fields(header: &[u8], names: &[&[u8]], listed: bool) -> Vec<u8> {
    // A few names are compared faster than hashed; many must not cost their number times
    // that of the fields.
    let hashed: Option<HashSet<Vec<u8>>> = (names.len() > COMPARED_NAMES)
        .then(|| names.iter().map(|name| name.to_ascii_lowercase()).collect());
    let is_named = |field: &[u8]| match &hashed {
        Some(names) => names.contains(&field.to_ascii_lowercase()),
        None => names.iter().any(|name| name.eq_ignore_ascii_case(field)),
    };
    let mut selected = Vec::with_capacity(header.len().min(LISTED_OCTETS));
    for field in fields(header) {
        if is_named(field.name) != listed {
            continue;
        }
        selected.extend_from_slice(field.lines);
        if !selected.ends_with(b"\n") {
            selected.extend_from_slice(b"\r\n");
        }
    }
    let is_cut = header.len() >= HEADER_OCTETS;
    if is_cut || header == b"\r\n" || memchr::memmem::find(header, b"\n\r\n").is_some() {
        selected.extend_from_slice(b"\r\n");
    }
    selected
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] =
        b"Subject: a\r\n b\r\nno colon\r\nTo : x\r\nsubject:c\r\n\r\nSubject: body";

    #[test]
    fn folded_and_repeated_fields_are_found() {
        assert_eq!(
            header_values(HEADER, b"SUBJECT"),
            [b"a b".to_vec(), b"c".to_vec()]
        );
        assert_eq!(header_values(HEADER, b"to"), [b"x".to_vec()]);
    }

    #[test]
    fn many_names_select_what_few_do() {
        let others: Vec<Vec<u8>> = (0..100).map(|number| vec![b'x', number]).collect();
        let mut names: Vec<&[u8]> = others.iter().map(Vec::as_slice).collect();
        for listed in [true, false] {
            names.retain(|name| name.len() == 2);
            names.push(b"SUBJECT");
            assert_eq!(
                select_fields(HEADER, &names, listed),
                select_fields(HEADER, &[b"subject"], listed)
            );
        }
    }

    #[test]
    fn fields_are_selected_as_they_stand() {
        assert_eq!(
            select_fields(HEADER, &[b"subject"], true),
            b"Subject: a\r\n b\r\nsubject:c\r\n\r\n"
        );
        assert_eq!(
            select_fields(HEADER, &[b"subject"], false),
            b"To : x\r\n\r\n"
        );
        assert_eq!(select_fields(b"\r\n", &[b"x"], true), b"\r\n");
        assert_eq!(select_fields(b"", &[b"x"], true), b"");
        assert_eq!(select_fields(b"X: 1\r\n", &[b"x"], true), b"X: 1\r\n");
    }
}
