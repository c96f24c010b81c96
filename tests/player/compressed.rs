//! A conversation that is compressed (RFC 4978).

use super::place::Conversation;
use pillarbox::compression::{Compressor, Decompressor, Piece};
use std::collections::VecDeque;
use std::io::{Error, Read, Result, Write};
use std::time::Duration;

/// A conversation's octets, compressed both ways.
pub struct Compressed {
    inner: Box<dyn Conversation>,
    compressor: Compressor,
    decompressor: Decompressor,
    said: VecDeque<u8>,
}

impl Compressed {
    pub fn new(inner: Box<dyn Conversation>) -> Self {
        Self {
            inner,
            compressor: Compressor::default(),
            decompressor: Decompressor::default(),
            said: VecDeque::new(),
        }
    }
}

impl Read for Compressed {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        while self.said.is_empty() {
            match self.decompressor.next_piece()? {
                Piece::Octets(octets) => self.said.extend(octets),
                Piece::Plain(_) => return Err(Error::other("octets that are not compressed")),
                Piece::Nothing => {
                    let mut octets = [0; 4096];
                    let count = self.inner.read(&mut octets)?;
                    if count == 0 {
                        return Ok(0);
                    }
                    self.decompressor.push(&octets[..count]);
                }
            }
        }
        self.said.read(into)
    }
}

impl Write for Compressed {
    fn write(&mut self, octets: &[u8]) -> Result<usize> {
        let mut compressed = self.compressor.compress(octets)?;
        compressed.extend(self.compressor.flush()?);
        self.inner.write_all(&compressed)?;
        Ok(octets.len())
    }

    fn flush(&mut self) -> Result<()> {
        self.inner.flush()
    }
}

impl Conversation for Compressed {
    fn wait_for(&mut self, patience: Duration) {
        self.inner.wait_for(patience);
    }
}
