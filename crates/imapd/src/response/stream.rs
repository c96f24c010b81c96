//! Long responses in pieces, so that one of any length takes the memory of a piece.

use super::Writer;
use crate::dialect::Dialect;
use std::io::{self, Read};

/// How much of a long response is made at once.
const PIECE_OCTETS: usize = 16 * 1024;

/// Something to send.
pub enum Segment {
    /// Octets.
    Octets(Vec<u8>),
    /// What a reader gives.
    Reader(Box<dyn Read + Send>),
}

/// What goes on writing a response: it writes a little at each call and says
/// whether there is more.
pub trait Produce: Send {
    /// How many items it is yet to write.
    fn items(&self) -> usize;
    /// Writes a little more.
    fn produce(&mut self, out: &mut Writer) -> More;
}

/// Whether a response goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum More {
    /// It does.
    Follows,
    /// It ended.
    Nothing,
}

/// Gives a response as it is made.
pub(super) struct Produced<P> {
    pub(super) producer: P,
    pub(super) more: More,
    pub(super) piece: Vec<u8>,
    pub(super) given: usize,
    pub(super) dialect: Dialect,
}

impl<P: Produce> Read for Produced<P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.piece.len() {
            let mut out = Writer::speaking(self.dialect);
            while self.more == More::Follows && out.octets().len() < PIECE_OCTETS {
                self.more = self.producer.produce(&mut out);
            }
            self.piece = out.into_octets();
            self.given = 0;
        }
        let rest = self.piece.get(self.given..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(from), Some(to)) = (rest.get(..count), buffer.get_mut(..count)) {
            to.copy_from_slice(from);
        }
        self.given += count;
        Ok(count)
    }
}

/// Numbers one after the other, a space before each.
pub struct Numbers {
    numbers: std::vec::IntoIter<u32>,
}

impl Numbers {
    /// Writes these.
    pub fn new(numbers: Vec<u32>) -> Self {
        Self {
            numbers: numbers.into_iter(),
        }
    }
}

impl Produce for Numbers {
    fn items(&self) -> usize {
        self.numbers.len()
    }

    fn produce(&mut self, out: &mut Writer) -> More {
        match self.numbers.next() {
            Some(number) => {
                out.text(" ").number(number.into());
                More::Follows
            }
            None => More::Nothing,
        }
    }
}

/// Runs of numbers as a set: `1:3,5`.
pub struct Runs {
    runs: std::vec::IntoIter<(u32, u32)>,
    comma: &'static str,
}

impl Runs {
    /// Writes ascending numbers as a set.
    pub fn new(numbers: impl IntoIterator<Item = u32>) -> Self {
        Self::of(super::writer::runs(numbers))
    }

    /// Writes runs, given by their first and last numbers.
    pub fn of(runs: Vec<(u32, u32)>) -> Self {
        Self {
            runs: runs.into_iter(),
            comma: "",
        }
    }
}

impl Produce for Runs {
    fn items(&self) -> usize {
        self.runs.len()
    }

    fn produce(&mut self, out: &mut Writer) -> More {
        match self.runs.next() {
            Some((first, last)) => {
                out.text(self.comma).number(first.into());
                if last != first {
                    out.text(":").number(last.into());
                }
                self.comma = ",";
                More::Follows
            }
            None => More::Nothing,
        }
    }
}

/// Ranges as they are given, first and last, separated by commas (RFC 10022 section 4,
/// `uid-range`); a space before them.
pub struct Batches {
    ranges: std::vec::IntoIter<(u32, u32)>,
    separator: &'static str,
}

impl Batches {
    /// Writes these.
    pub fn new(ranges: Vec<(u32, u32)>) -> Self {
        Self {
            ranges: ranges.into_iter(),
            separator: " ",
        }
    }
}

impl Produce for Batches {
    fn items(&self) -> usize {
        self.ranges.len()
    }

    fn produce(&mut self, out: &mut Writer) -> More {
        match self.ranges.next() {
            Some((first, last)) => {
                out.text(self.separator).number(first.into());
                out.text(":").number(last.into());
                self.separator = ",";
                More::Follows
            }
            None => More::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The octets, and how many segments they came in.
    fn sent(writer: Writer) -> (String, usize) {
        let mut text = String::new();
        let segments = writer.into_segments();
        let count = segments.len();
        for segment in segments {
            match segment {
                Segment::Octets(octets) => text.push_str(&String::from_utf8_lossy(&octets)),
                Segment::Reader(mut reader) => {
                    reader.read_to_string(&mut text).expect("readable");
                }
            }
        }
        (text, count)
    }

    #[test]
    fn short_and_long_responses_read_the_same() {
        for count in [0, 3, 100, 50_000_u32] {
            let numbers: Vec<u32> = (0..count).map(|number| number * 2 + 1).collect();
            let mut writer = Writer::new();
            writer
                .text("* SEARCH")
                .produced(Numbers::new(numbers.clone()));
            writer.text(" ").produced(Runs::new(numbers.clone())).crlf();
            let (text, segments) = sent(writer);
            let words: Vec<String> = numbers.iter().map(u32::to_string).collect();
            let line = format!("* SEARCH {}", words.join(" "));
            let expected = format!("{} {}\r\n", line.trim_end(), words.join(","));
            assert_eq!(text, expected);
            assert_eq!(segments, if count > 1000 { 5 } else { 1 });
        }
    }
}
