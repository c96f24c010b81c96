//! Reading the file of a UID list, line by line. How long it is others may have decided:
//! what is kept of it in memory follows what the mailbox holds.

use super::header::Header;
use super::record::{LAST_UID, Record, parse_record};
use super::{HEALING_GAP, NAME, SECOND_NAME, Uidlist};
use crate::control_file::failed;
use crate::disk::{self, Stamp};
use crate::maildir::filename;
use crate::snapshot::Rows;
use crate::{Result, Uid};
use std::collections::{HashSet, VecDeque};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// A line that is longer is no record.
const LINE_OCTETS: usize = 32 << 10;
/// No list is read that is longer: some 25 million records.
const LIST_OCTETS: u64 = 1 << 31;
/// Of a list that is longer only the records of messages that are there are kept.
const SIEVED_OCTETS: u64 = 16 << 20;
/// If it is longer than theirs would be, at so many octets a record.
const RECORD_OCTETS: u64 = 200;
/// And so much of its end, where those are that others listed while the directories were
/// read.
const TAIL_OCTETS: usize = 1 << 20;
/// So much of a file is read at once.
const PIECE_OCTETS: usize = 64 << 10;

impl Uidlist {
    /// Reads the list; `None` if there is none or its header says nothing. Then its
    /// second name is read. Of a long list records of messages that are gone are passed
    /// over, but not those whose UIDs are `indexed`; no UID is given again for that.
    pub(crate) fn read(directory: &Path, indexed: Option<&Rows>) -> Result<Option<Self>> {
        let path = directory.join(NAME);
        if let Some(mut file) = ListFile::open(path.clone())? {
            let stamp = file.stamp;
            if let Some(header) = file.header()? {
                let mut list = file.records(directory, header, indexed)?;
                list.stamp = Some(stamp);
                return Ok(Some(list));
            }
            tracing::error!(path = %path.display(), "unreadable; kept as dovecot-uidlist.damaged");
            let _ = disk::link(&path, &directory.join("dovecot-uidlist.damaged"));
        }
        let Some(mut second) = ListFile::open(directory.join(SECOND_NAME))? else {
            return Ok(None);
        };
        let Some(header) = second.header()? else {
            return Ok(None);
        };
        let mut list = second.records(directory, header, indexed)?;
        tracing::warn!(path = %path.display(), "healed from its second name");
        list.uid_next = list.uid_next.saturating_add(HEALING_GAP).min(LAST_UID);
        list.needs_rewrite = true;
        Ok(Some(list))
    }
    /// Reads the octets of a list, all of its records.
    #[cfg(test)]
    pub(crate) fn parse(octets: &[u8]) -> Result<Option<Self>> {
        let mut lines = Lines::of(octets);
        let header = lines.header().expect("octets can be read");
        let list = header.map(|header| {
            let has_fields = header.version == 3;
            let mut list = Self::of_header(header)?;
            list.take_in(&mut lines, has_fields, None)
                .expect("octets can be read");
            Ok(list)
        });
        list.transpose()
    }
    /// Takes the records in. A last line without an end was cut, and what is left of a
    /// record reads like another: of it only the UID counts, which is given to nothing else.
    fn take_in<R: BufRead>(
        &mut self,
        lines: &mut Lines<R>,
        has_fields: bool,
        sieve: Option<Sieve<'_>>,
    ) -> io::Result<()> {
        let mut tail = Tail::default();
        while let Some(end) = lines.next()? {
            let line = std::str::from_utf8(&lines.line).unwrap_or_default();
            if end == End::Cut {
                self.needs_rewrite = true;
                self.is_cut = true;
                let uid = line.split(' ').next().and_then(|uid| uid.parse().ok());
                self.pass_over(uid.filter(|uid| *uid < LAST_UID));
                continue;
            }
            if lines.line.is_empty() {
                continue;
            }
            match parse_record(line, has_fields).filter(|_| end == End::Whole) {
                None => self.needs_rewrite = true,
                Some((uid, record)) => match &sieve {
                    Some(sieve) if !sieve.keeps(uid, &record) => {
                        self.pass_over(Some(uid));
                        self.dead += tail.push(uid, record);
                    }
                    _ => self.insert(uid, record),
                },
            }
        }
        for (uid, record) in tail.records {
            if !self.records.contains_key(&uid) {
                self.insert(uid, record);
            }
        }
        Ok(())
    }
    /// A UID whose record is not kept is given to nothing else.
    fn pass_over(&mut self, uid: Option<u32>) {
        let next = uid.map_or(1, |uid| uid.saturating_add(1));
        self.uid_next = self.uid_next.max(next);
    }
}

/// The file of a list, open for reading.
pub(super) struct ListFile {
    path: PathBuf,
    /// As it was when it was opened.
    pub(super) stamp: Stamp,
    lines: Lines<BufReader<io::Take<disk::File>>>,
}

impl ListFile {
    /// Opens it; `None` if there is none. Links are not followed.
    ///
    /// # Errors
    /// Also when it is longer than any list.
    pub(super) fn open(path: PathBuf) -> Result<Option<Self>> {
        let (file, metadata) = match disk::open_regular(&path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("open", &path, error)),
        };
        let stamp = metadata.stamp;
        if stamp.size_octets > LIST_OCTETS {
            let error = io::Error::new(ErrorKind::FileTooLarge, "larger than any such file");
            return Err(failed("read", &path, error));
        }
        let pieces = BufReader::with_capacity(PIECE_OCTETS, file.take(LIST_OCTETS));
        Ok(Some(Self {
            path,
            stamp,
            lines: Lines::of(pieces),
        }))
    }
    /// Reads its first line, which is to be read first; `None` if it is no header.
    pub(super) fn header(&mut self) -> Result<Option<Header>> {
        let header = self.lines.header();
        header.map_err(|error| failed("read", &self.path, error))
    }
    /// Reads what follows its header.
    pub(super) fn records(
        mut self,
        directory: &Path,
        header: Header,
        indexed: Option<&Rows>,
    ) -> Result<Uidlist> {
        let is_of_others = |rows: &Rows| self.stamp.size_octets / RECORD_OCTETS > rows.len() as u64;
        let is_sieved = self.stamp.size_octets > SIEVED_OCTETS && indexed.is_none_or(is_of_others);
        let sieve = match is_sieved {
            true => Some(Sieve::of(directory, indexed)?),
            false => None,
        };
        let has_fields = header.version == 3;
        let mut list = Uidlist::of_header(header)?;
        let read = list.take_in(&mut self.lines, has_fields, sieve);
        read.map_err(|error| failed("read", &self.path, error))?;
        Ok(list)
    }
}

/// What keeps the records of messages that are there.
struct Sieve<'a> {
    names: HashSet<Box<str>>,
    indexed: Option<&'a Rows>,
}

impl<'a> Sieve<'a> {
    /// Reads the directories of a mailbox, twice: a rename meanwhile can hide a file once.
    fn of(directory: &Path, indexed: Option<&'a Rows>) -> Result<Self> {
        let mut names = HashSet::new();
        for half in ["new", "cur", "new", "cur"] {
            let path = directory.join(half);
            let files = match disk::list_messages(&path) {
                Ok(files) => files,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(failed("read", &path, error)),
            };
            for file in files {
                let name = filename::unique_name(&file);
                if !names.contains(name) {
                    names.insert(Box::from(name));
                }
            }
        }
        Ok(Self { names, indexed })
    }
    fn keeps(&self, uid: u32, record: &Record) -> bool {
        let is_indexed = |rows: &Rows| Uid::new(uid).is_some_and(|uid| rows.of_uid(uid).is_some());
        self.names.contains(&*record.name) || self.indexed.is_some_and(is_indexed)
    }
}

/// The last of the records that a sieve does not keep.
#[derive(Default)]
struct Tail {
    records: VecDeque<(u32, Record)>,
    octets: usize,
}

impl Tail {
    /// Adds one; tells how many others went for it.
    fn push(&mut self, uid: u32, record: Record) -> usize {
        self.octets += record.octets();
        self.records.push_back((uid, record));
        let mut gone = 0;
        while self.octets > TAIL_OCTETS
            && let Some((_, record)) = self.records.pop_front()
        {
            self.octets -= record.octets();
            gone += 1;
        }
        gone
    }
}

/// How a line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// As lines do.
    Whole,
    /// It does, but only its beginning was kept.
    Long,
    /// With the file.
    Cut,
}

/// The lines of a file, one after the other.
struct Lines<R> {
    source: R,
    /// The last one that was read, without its end; of a long one its beginning.
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    fn of(source: R) -> Self {
        let line = Vec::new();
        Self { source, line }
    }
    /// Reads the next line; `None` at the end of the file.
    fn next(&mut self) -> io::Result<Option<End>> {
        self.line.clear();
        let mut octets = 0;
        loop {
            let piece = match self.source.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                piece => piece?,
            };
            if piece.is_empty() {
                return Ok((octets > 0).then_some(End::Cut));
            }
            let end = memchr::memchr(b'\n', piece);
            let length = end.unwrap_or(piece.len());
            let room = LINE_OCTETS.saturating_sub(self.line.len());
            let kept = piece.get(..length.min(room)).unwrap_or_default();
            self.line.extend_from_slice(kept);
            octets += length;
            self.source.consume(length + usize::from(end.is_some()));
            if end.is_some() {
                let is_long = octets > LINE_OCTETS;
                return Ok(Some(if is_long { End::Long } else { End::Whole }));
            }
        }
    }
    /// Reads the first line; `None` if it is no header.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let end = self.next()?;
        Ok(end.and_then(|_| Header::parse(&self.line)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::Mailbox;
    use crate::{MessageRow, UidValidity};
    use std::fmt::Write as _;
    use std::fs;
    use std::sync::Arc;

    const HEADER: &str = "3 V7 N9 G000102030405060708090a0b0c0d0e0f Xkeep\n";
    /// UIDs of messages that are there, among others that are gone.
    const THERE: [u32; 4] = [1, 1500, 8000, 9990];

    /// Makes a mailbox whose list is longer than `octets`, all but a few of its records
    /// being of messages that are gone; gives the UID after the last of them.
    fn make(directory: &Path, octets: usize) -> u32 {
        for part in ["cur", "new", "tmp"] {
            fs::create_dir(directory.join(part)).unwrap();
        }
        let filler = "z".repeat(octets / 10_000);
        let mut list = HEADER.to_owned();
        for uid in 1..=10_000 {
            writeln!(list, "{uid} Pid{uid} Z{filler} :{uid}.M1P1.h").unwrap();
        }
        assert!(list.len() > octets);
        fs::write(directory.join(NAME), list).unwrap();
        for uid in THERE {
            let place = if uid % 2 == 0 { "cur" } else { "new" };
            let info = if uid % 2 == 0 { ":2,S" } else { "" };
            let path = directory.join(format!("{place}/{uid}.M1P1.h{info}"));
            fs::write(path, format!("Subject: {uid}\n\n")).unwrap();
        }
        10_001
    }

    fn open(directory: &Path) -> Arc<Mailbox> {
        let other = || -> Result<UidValidity> { panic!("the UIDVALIDITY is lost") };
        Mailbox::open(directory.to_owned(), other).unwrap()
    }

    fn uids(mailbox: &Mailbox) -> Vec<u32> {
        let uid = |row: MessageRow<'_>| row.uid.get();
        mailbox.sync().unwrap().rows().map(uid).collect()
    }

    /// A list that was refused whole, mailbox and all: 70 MiB.
    #[test]
    fn a_long_list_opens_the_mailbox_and_is_written_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let next = make(path, 70 << 20);
        for _ in 0..2 {
            let mailbox = open(path);
            assert_eq!(uids(&mailbox), THERE);
            let snapshot = mailbox.snapshot();
            assert_eq!(snapshot.uid_validity().get(), 7);
            assert_eq!(snapshot.uid_next().get(), next);
            let list = fs::read_to_string(path.join(NAME)).unwrap();
            assert_eq!(list.lines().count(), 1 + THERE.len());
            assert!(list.contains("0e0f Xkeep\n") && list.contains("\n1500 Pid1500 Zzz"));
        }
        // What comes gets none of the UIDs that were listed, and what others made of the
        // file meanwhile is no hindrance.
        let mailbox = open(path);
        let long = fs::read_to_string(path.join(NAME)).unwrap();
        let mut long = long.replace("\n1500 ", "\n1 Zold :gone.M1P1.h\n1500 ");
        let filler = "z".repeat(8 << 10);
        for uid in 20_001..=30_000 {
            writeln!(long, "{uid} Z{filler} :{uid}.M1P1.h").unwrap();
        }
        fs::write(path.join("cur/20500.M1P1.h:2,"), "Subject: theirs\n\n").unwrap();
        fs::write(path.join(NAME), long).unwrap();
        fs::write(path.join("new/99999.M1P1.h"), "Subject: new\n\n").unwrap();
        let mut expected = THERE.to_vec();
        expected.extend([20_500, 30_001]);
        assert_eq!(uids(&mailbox), expected);
        drop(mailbox);
        assert_eq!(uids(&open(path)), expected);
    }

    /// What is kept of a long list follows what is there, and its end.
    #[test]
    fn records_of_messages_that_are_gone_are_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let next = make(directory.path(), 20 << 20);
        let list = Uidlist::read(directory.path(), None).unwrap().unwrap();
        assert_eq!(list.uid_next, next);
        let tail = TAIL_OCTETS / (2 << 10);
        assert!(
            list.records.len() <= THERE.len() + tail,
            "{}",
            list.records.len()
        );
        assert!(THERE.iter().all(|uid| list.records.contains_key(uid)));
        // Its file may have come after the directories were read.
        assert!(list.records.contains_key(&10_000));
        assert_eq!(list.dead + list.records.len(), 10_000);
    }

    #[test]
    fn lines_are_cut_where_they_are_too_long() {
        let long = "x".repeat(LINE_OCTETS);
        let text = format!("a\n\n{long}\n{long}y\nb\n12 :c");
        let mut lines = Lines::of(BufReader::with_capacity(7, text.as_bytes()));
        let mut read = Vec::new();
        while let Some(end) = lines.next().unwrap() {
            assert!(lines.line.len() <= LINE_OCTETS);
            read.push((end, lines.line.len(), lines.line.last().copied()));
        }
        let expected = [
            (End::Whole, 1, Some(b'a')),
            (End::Whole, 0, None),
            (End::Whole, LINE_OCTETS, Some(b'x')),
            (End::Long, LINE_OCTETS, Some(b'x')),
            (End::Whole, 1, Some(b'b')),
            (End::Cut, 5, Some(b'c')),
        ];
        assert_eq!(read, expected);
    }
}
