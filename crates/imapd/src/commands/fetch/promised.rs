//! [`Promised`]: a literal that is read when it is sent.

use crate::response::{Nul, replace_nul};
use std::io::{self, Read};

/// Gives exactly the octets that were announced, or an error.
pub(super) struct Promised {
    reader: Box<dyn Read + Send>,
    left: u64,
    nul: Nul,
}

impl Promised {
    /// Gives so many octets of what a reader reads.
    pub(super) fn new(reader: Box<dyn Read + Send>, octets: u64, nul: Nul) -> Self {
        Self {
            reader,
            left: octets,
            nul,
        }
    }
}

impl Read for Promised {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let Some(buffer) = buffer.get_mut(..most).filter(|buffer| !buffer.is_empty()) else {
            return Ok(0);
        };
        let count = self.reader.read(buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if self.nul == Nul::Replaced {
            replace_nul(buffer.get_mut(..count).unwrap_or_default());
        }
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_is_as_long_as_promised() {
        let promised = |octets: &'static [u8], left, nul| {
            let mut out = Vec::new();
            let reader: Box<dyn Read + Send> = Box::new(octets);
            Promised::new(reader, left, nul)
                .read_to_end(&mut out)
                .map(|_| out)
        };
        let replaced = promised(b"ab\0def", 4, Nul::Replaced);
        assert_eq!(replaced.expect("enough"), b"ab\x80d");
        let kept = promised(b"ab\0def", 4, Nul::Kept);
        assert_eq!(kept.expect("enough"), b"ab\0d");
        assert!(promised(b"ab", 4, Nul::Kept).is_err());
    }
}
