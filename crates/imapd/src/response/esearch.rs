//! SEARCH, ESEARCH, SORT and THREAD responses (RFC 3501 section 7.2.5, RFC 4731, RFC 5256,
//! RFC 7162).

use super::{Numbers as Listed, Produce, Runs, Writer};
use crate::grammar::command::{Numbers, PartialRange, ReturnOption, Side};
use store::UidValidity;

/// What an ESEARCH response tells.
#[derive(Debug, Clone)]
pub struct ExtendedSearch<'a> {
    /// The command's tag.
    pub tag: &'a str,
    /// The mailbox, where it is not the selected one that is meant (RFC 7377).
    pub mailbox: Option<MailboxCorrelator<'a>>,
    /// What the numbers are.
    pub numbers: Numbers,
    /// What was asked for.
    pub returns: &'a [ReturnOption],
    /// What was found, in the order asked for.
    pub found: &'a [u32],
    /// How relevant each is, from 1 to 100.
    pub relevancies: &'a [u8],
    /// The highest mod-sequence of what is told, if MODSEQ was searched for.
    pub modseq: Option<u64>,
}

/// Which mailbox a response is about.
#[derive(Debug, Clone, Copy)]
pub struct MailboxCorrelator<'a> {
    /// Its name as it is shown.
    pub name: &'a str,
    /// Its UIDVALIDITY.
    pub uid_validity: UidValidity,
}

/// Writes an ESEARCH response with its line end. MIN, MAX and ALL are left out
/// when nothing was found; SAVE alone gives no response.
pub fn write_extended_search(writer: &mut Writer, search: &ExtendedSearch<'_>) {
    if search.returns == [ReturnOption::Save] {
        return;
    }
    write_correlator(writer, search.tag, search.mailbox, search.numbers);
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
            (ReturnOption::Partial(range), found) => write_partial(writer, *range, found),
            (ReturnOption::Relevancy, _) => write_relevancies(writer, search),
            (
                ReturnOption::Min
                | ReturnOption::Max
                | ReturnOption::All
                | ReturnOption::Save
                | ReturnOption::Context
                | ReturnOption::Update,
                _,
            ) => {}
        }
    }
    if let (Some(modseq), [_, ..]) = (search.modseq, search.found) {
        writer.text(" MODSEQ ").number(modseq);
    }
    writer.crlf();
}

/// ` PARTIAL (1:500 set)`; the set is NIL if nothing is there (RFC 9394 section 3.1).
fn write_partial(writer: &mut Writer, range: PartialRange, found: &[u32]) {
    let sign = match range.from {
        Side::Start => "",
        Side::End => "-",
    };
    writer.text(" PARTIAL (");
    writer.text(sign).number(range.first.get().into()).text(":");
    writer.text(sign).number(range.last.get().into()).text(" ");
    match found.get(range.of(found.len())) {
        Some(part @ [_, ..]) => writer.produced(Runs::new(part.iter().copied())),
        _ => writer.text("NIL"),
    };
    writer.text(")");
}

/// What becomes of results that are kept up to date (RFC 5267 section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// ADDTO.
    AddTo,
    /// REMOVEFROM.
    RemoveFrom,
}

/// A change of results that are kept up to date.
#[derive(Debug, Clone)]
pub struct ResultUpdate<'a> {
    /// The tag of the command that asked for updates.
    pub tag: &'a str,
    /// What the numbers are.
    pub numbers: Numbers,
    /// What happens.
    pub change: Change,
    /// Context positions and the results there, in the order in which they are processed.
    pub runs: &'a [(usize, Vec<u32>)],
}

/// Writes an ESEARCH response with ADDTO or REMOVEFROM and its line end.
pub fn write_result_update(writer: &mut Writer, update: &ResultUpdate<'_>) {
    write_correlator(writer, update.tag, None, update.numbers);
    let mut before = match update.change {
        Change::AddTo => " ADDTO (",
        Change::RemoveFrom => " REMOVEFROM (",
    };
    for (position, results) in update.runs {
        writer.text(before).number(*position as u64).text(" ");
        writer.produced(Runs::new(results.iter().copied()));
        before = " ";
    }
    writer.text(")").crlf();
}

fn write_correlator(
    writer: &mut Writer,
    tag: &str,
    mailbox: Option<MailboxCorrelator<'_>>,
    numbers: Numbers,
) {
    writer.text("* ESEARCH (TAG ").string(tag.as_bytes());
    if let Some(mailbox) = mailbox {
        writer.text(" MAILBOX ").mailbox(mailbox.name);
        writer.text(" UIDVALIDITY ");
        writer.number(mailbox.uid_validity.get().into());
    }
    writer.text(")");
    if numbers == Numbers::Uid {
        writer.text(" UID");
    }
}

/// ` RELEVANCY (4 99 42)`: of those that PARTIAL names, or of all (RFC 6203 section 4).
fn write_relevancies(writer: &mut Writer, search: &ExtendedSearch<'_>) {
    let part = search.returns.iter().find_map(|option| match option {
        ReturnOption::Partial(range) => Some(range.of(search.relevancies.len())),
        _ => None,
    });
    let told = match part {
        Some(part) => search.relevancies.get(part).unwrap_or_default(),
        None => search.relevancies,
    };
    writer.text(" RELEVANCY (");
    if let Some((first, rest)) = told.split_first() {
        writer.number((*first).into());
        writer.produced(Listed::new(
            rest.iter().map(|score| (*score).into()).collect(),
        ));
    }
    writer.text(")");
}

/// Writes a SEARCH response with its line end.
pub fn write_search(writer: &mut Writer, found: Vec<u32>, modseq: Option<u64>) {
    write_numbers(writer, "* SEARCH", found, modseq);
}

/// Writes a SORT response with its line end.
pub fn write_sort(writer: &mut Writer, sorted: Vec<u32>, modseq: Option<u64>) {
    write_numbers(writer, "* SORT", sorted, modseq);
}

/// Writes a THREAD response with its line end.
pub fn write_thread(writer: &mut Writer, threads: impl Produce + 'static) {
    writer.text("* THREAD");
    if threads.items() > 0 {
        writer.text(" ").produced(threads);
    }
    writer.crlf();
}

fn write_numbers(writer: &mut Writer, response: &str, found: Vec<u32>, modseq: Option<u64>) {
    let count = found.len();
    writer.text(response).produced(Listed::new(found));
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
            mailbox: None,
            numbers: Numbers::Uid,
            returns,
            found,
            relevancies: &[],
            modseq: None,
        };
        write_extended_search(&mut writer, &search);
        String::from_utf8(writer.into_octets()).expect("ASCII")
    }

    #[test]
    fn parts_are_cut_from_either_end() {
        let number = |number| std::num::NonZeroU32::new(number).expect("not 0");
        let part = |from, first, last| {
            let (first, last) = (number(first), number(last));
            let text = shown(
                &[ReturnOption::Partial(PartialRange { from, first, last })],
                &[2, 4, 6, 8, 9],
            );
            let (_, part) = text.split_once("PARTIAL ").expect("a part");
            part.trim_end().to_owned()
        };
        assert_eq!(part(Side::Start, 1, 2), "(1:2 2,4)");
        assert_eq!(part(Side::Start, 5, 4), "(5:4 8:9)");
        assert_eq!(part(Side::Start, 5, u32::MAX), "(5:4294967295 9)");
        assert_eq!(part(Side::Start, 6, 7), "(6:7 NIL)");
        assert_eq!(part(Side::End, 1, 2), "(-1:-2 8:9)");
        assert_eq!(part(Side::End, 9, 4), "(-9:-4 2,4)");
        assert_eq!(part(Side::End, 5, 5), "(-5:-5 2)");
        assert_eq!(part(Side::End, 6, u32::MAX), "(-6:-4294967295 NIL)");
    }

    #[test]
    fn updates_are_written_as_rfc_5267_shows() {
        let shown = |change, runs: &[(usize, Vec<u32>)]| {
            let mut writer = Writer::new();
            let update = ResultUpdate {
                tag: "C01",
                numbers: Numbers::Uid,
                change,
                runs,
            };
            write_result_update(&mut writer, &update);
            String::from_utf8(writer.into_octets()).expect("ASCII")
        };
        assert_eq!(
            shown(Change::AddTo, &[(1, vec![2733]), (1, vec![2731, 2732])]),
            "* ESEARCH (TAG \"C01\") UID ADDTO (1 2733 1 2731:2732)\r\n"
        );
        assert_eq!(
            shown(Change::RemoveFrom, &[(0, vec![32768])]),
            "* ESEARCH (TAG \"C01\") UID REMOVEFROM (0 32768)\r\n"
        );
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
        // RFC 5267 section 3.3: in the order of a SORT, and runs only where they ascend.
        assert_eq!(
            shown(&[ReturnOption::All], &[5, 4, 3, 7, 8, 9, 1]),
            "* ESEARCH (TAG \"A285\") UID ALL 5,4,3,7:9,1\r\n"
        );
        let mut writer = Writer::new();
        write_search(&mut writer, vec![2, 5], Some(917));
        write_search(&mut writer, Vec::new(), Some(917));
        assert_eq!(
            writer.octets(),
            b"* SEARCH 2 5 (MODSEQ 917)\r\n* SEARCH\r\n"
        );
    }
}
