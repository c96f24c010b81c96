//! [`StoredText`]: a small message at once, where a reader would cost more than the text.

use super::header::count_line_ends;
use crate::OpenedMessage;
use crate::error::{Error, Result};
use memchr::memchr_iter;

/// Lines are mostly longer.
const LINE_OCTETS: usize = 32;

/// The text of a message as its file has it, in memory that is used again for the next.
#[derive(Debug, Default)]
pub struct StoredText {
    /// What was read, and behind it what an earlier message left.
    octets: Vec<u8>,
    length: usize,
}

impl StoredText {
    /// Reads a message, if its file has no more than `most` octets; says whether.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&mut self, message: &OpenedMessage, most: u64) -> Result<bool> {
        let Ok(size) = usize::try_from(message.file_octets) else {
            return Ok(false);
        };
        if message.file_octets > most {
            return Ok(false);
        }
        if self.octets.len() < size {
            self.octets.resize(size, 0);
        }
        self.length = 0;
        while self.length < size {
            let into = &mut self.octets[self.length..size];
            let count = message.file.read_at(into, self.length as u64);
            match count.map_err(|error| Error::io("read a message", error))? {
                0 => break,
                count => self.length += count,
            }
        }
        Ok(true)
    }

    /// The text, with the line ends that the file has.
    pub fn stored(&self) -> &[u8] {
        &self.octets[..self.length]
    }

    /// How many octets it has as sent, with CRLF line ends.
    pub fn sent_octets(&self) -> u64 {
        self.length as u64 + count_line_ends(self.stored(), None).1
    }

    /// Appends it as sent: as many octets as [`StoredText::sent_octets`] says.
    pub fn send_to(&self, out: &mut Vec<u8>) {
        let stored = self.stored();
        out.reserve(stored.len() + stored.len() / LINE_OCTETS);
        let mut from = 0;
        for place in memchr_iter(b'\n', stored) {
            let before = place.checked_sub(1).map(|before| stored[before]);
            if before != Some(b'\r') {
                out.extend_from_slice(&stored[from..place]);
                out.push(b'\r');
                // The LF goes with what follows.
                from = place;
            }
        }
        out.extend_from_slice(&stored[from..]);
    }

    /// Gives back the memory.
    pub fn rest(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn it_is_what_a_reader_gives() {
        let texts: [&[u8]; 8] = [
            b"",
            b"\n",
            b"\r\n",
            b"a",
            b"a\nb\n",
            b"a\r\nb\r\n",
            b"\r\n\n\r\n\n\r",
            b"longer than the ones before\n\nx\r\n",
        ];
        let mut stored = StoredText::default();
        for text in texts.iter().rev().chain(&texts) {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text).unwrap();
            let message = OpenedMessage::from_file(file).unwrap();
            let extent = message.whole().unwrap();
            let mut expected = Vec::new();
            let mut reader = message.reader(extent, 0, u64::MAX).unwrap();
            reader.read_to_end(&mut expected).unwrap();
            assert!(stored.read(&message, 100).unwrap());
            let mut sent = Vec::new();
            stored.send_to(&mut sent);
            assert_eq!(sent, expected);
            assert_eq!(stored.sent_octets(), extent.octets);
            assert_eq!(stored.stored(), *text);
            assert_eq!(stored.read(&message, 1).unwrap(), text.len() <= 1);
        }
    }
}
