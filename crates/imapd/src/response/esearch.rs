//! SEARCH and ESEARCH responses (RFC 3501 section 7.2.5, RFC 4731, RFC 7162).

use super::{Numbers as Listed, Runs, Writer};
use crate::grammar::command::{Numbers, ReturnOption};

/// What an ESEARCH response tells.
#[derive(Debug, Clone)]
pub struct ExtendedSearch<'a> {
    /// The command's tag.
    pub tag: &'a str,
    /// What the numbers are.
    pub numbers: Numbers,
    /// What was asked for.
    pub returns: &'a [ReturnOption],
    /// What was found, ascending.
    pub found: &'a [u32],
    /// The highest mod-sequence of what is told, if MODSEQ was searched for.
    pub modseq: Option<u64>,
}

/// Writes an ESEARCH response with its line end. MIN, MAX and ALL are left out
/// when nothing was found; SAVE alone gives no response.
pub fn write_extended_search(writer: &mut Writer, search: &ExtendedSearch<'_>) {
    if search.returns == [ReturnOption::Save] {
        return;
    }
    writer
        .text("* ESEARCH (TAG ")
        .string(search.tag.as_bytes())
        .text(")");
    if search.numbers == Numbers::Uid {
        writer.text(" UID");
    }
    for option in search.returns {
        match (option, search.found) {
            (ReturnOption::Min, [first, ..]) => {
                writer.text(" MIN ").number((*first).into());
            }
            (ReturnOption::Max, [.., last]) => {
                writer.text(" MAX ").number((*last).into());
            }
            (ReturnOption::All, [_, ..]) => {
                writer
                    .text(" ALL ")
                    .produced(Runs::new(search.found.iter().copied()));
            }
            (ReturnOption::Count, found) => {
                writer.text(" COUNT ").number(found.len() as u64);
            }
            _ => {}
        }
    }
    if let (Some(modseq), [_, ..]) = (search.modseq, search.found) {
        writer.text(" MODSEQ ").number(modseq);
    }
    writer.crlf();
}

/// Writes a SEARCH response with its line end.
pub fn write_search(writer: &mut Writer, found: Vec<u32>, modseq: Option<u64>) {
    let count = found.len();
    writer.text("* SEARCH").produced(Listed::new(found));
    if let (Some(modseq), 1..) = (modseq, count) {
        writer.text(" (MODSEQ ").number(modseq).text(")");
    }
    writer.crlf();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(returns: &[ReturnOption], found: &[u32]) -> String {
        let mut writer = Writer::new();
        let search = ExtendedSearch {
            tag: "A285",
            numbers: Numbers::Uid,
            returns,
            found,
            modseq: None,
        };
        write_extended_search(&mut writer, &search);
        String::from_utf8(writer.into_octets()).expect("ASCII")
    }

    #[test]
    fn answers_as_rfc_4731_shows() {
        let all = [
            ReturnOption::Min,
            ReturnOption::Max,
            ReturnOption::Count,
            ReturnOption::All,
        ];
        assert_eq!(
            shown(&all, &[7, 8, 3800]),
            "* ESEARCH (TAG \"A285\") UID MIN 7 MAX 3800 COUNT 3 ALL 7:8,3800\r\n"
        );
        assert_eq!(shown(&all, &[]), "* ESEARCH (TAG \"A285\") UID COUNT 0\r\n");
        assert_eq!(shown(&[ReturnOption::Save], &[1]), "");
        let mut writer = Writer::new();
        write_search(&mut writer, vec![2, 5], Some(917));
        write_search(&mut writer, Vec::new(), Some(917));
        assert_eq!(
            writer.octets(),
            b"* SEARCH 2 5 (MODSEQ 917)\r\n* SEARCH\r\n"
        );
    }
}
