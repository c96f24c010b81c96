//! [`Compressor`] and [`Decompressor`]: DEFLATE on a connection (RFC 4978, RFC 1951).
//!
//! What it takes of memory follows what is under way. The compressor (about 300 KB) is
//! dropped once a client is at rest: after a flush a new one goes on in the same stream,
//! since nothing refers to what was sent before it. Only some in the whole process are kept
//! for clients that may go on soon: an allocator gives back little of what hundreds had at
//! once, as when all reconnect. The decompressor (10 KB) is dropped
//! where it stands between two blocks; then what the client sent last is all that is
//! kept of it, 32 KB at most and as much as it sent if that is less.

use miniz_oxide::deflate::CompressionLevel;
use miniz_oxide::deflate::core::CompressorOxide;
use miniz_oxide::deflate::stream::deflate;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY,
    TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{BlockBoundaryState, DecompressorOxide, decompress};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};
use std::io::{Error, ErrorKind, Result};
use std::sync::atomic::{AtomicUsize, Ordering};

/// How far back what is compressed may refer (RFC 1951 section 2).
const WINDOW_OCTETS: usize = 32 << 10;
/// How much of the window there is at first.
const FIRST_WINDOW_OCTETS: usize = 4 << 10;
/// How much is compressed before it is handed on.
const PIECE_OCTETS: usize = 16 << 10;

/// So many compressors are kept for clients that are at rest for a moment only.
const KEPT_COMPRESSORS: usize = 16;

/// The compressors there are, in the whole process.
static COMPRESSORS: AtomicUsize = AtomicUsize::new(0);

/// A compressor, counted.
struct Counted(CompressorOxide);

impl Counted {
    fn new() -> Box<Self> {
        COMPRESSORS.fetch_add(1, Ordering::Relaxed);
        // Responses shrink to a third with the least effort already (RFC 4978 section 4).
        let level = CompressionLevel::BestSpeed;
        let state = CompressorOxide::with_format_and_level(DataFormat::Raw, level);
        Box::new(Self(state))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        COMPRESSORS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether there are so many compressors that none is to be kept for a client at rest.
pub fn is_crowded() -> bool {
    COMPRESSORS.load(Ordering::Relaxed) > KEPT_COMPRESSORS
}

/// Compresses what is sent.
pub struct Compressor {
    state: Option<Box<Counted>>,
    is_flushed: bool,
}

impl Default for Compressor {
    fn default() -> Self {
        Self {
            state: None,
            is_flushed: true,
        }
    }
}

impl Compressor {
    /// Compresses octets; gives what is ready to be sent.
    ///
    /// # Errors
    /// When the compressor is broken.
    pub fn compress(&mut self, octets: &[u8]) -> Result<Vec<u8>> {
        if octets.is_empty() {
            return Ok(Vec::new());
        }
        self.add(octets, MZFlush::None)
    }

    /// Gives what remains to be sent so that the client can read all that was compressed.
    ///
    /// # Errors
    /// When the compressor is broken.
    pub fn flush(&mut self) -> Result<Vec<u8>> {
        match self.is_flushed {
            true => Ok(Vec::new()),
            false => self.add(&[], MZFlush::Sync),
        }
    }

    /// Gives what remains to be sent, and ends the compressed octets.
    ///
    /// # Errors
    /// When the compressor is broken.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        self.add(&[], MZFlush::Finish)
    }

    fn add(&mut self, mut octets: &[u8], flush: MZFlush) -> Result<Vec<u8>> {
        let state = &mut self.state.get_or_insert_with(Counted::new).0;
        let mut compressed = Vec::new();
        let mut piece = vec![0; PIECE_OCTETS];
        loop {
            let result = deflate(state, octets, &mut piece, flush);
            octets = octets.get(result.bytes_consumed..).unwrap_or_default();
            compressed.extend_from_slice(piece.get(..result.bytes_written).unwrap_or_default());
            match result.status {
                // Nothing is left to be done.
                Ok(MZStatus::StreamEnd) | Err(MZError::Buf) => break,
                Ok(_) if octets.is_empty() && result.bytes_written < piece.len() => break,
                Ok(_) => {}
                Err(error) => return Err(Error::other(format!("cannot compress: {error:?}"))),
            }
        }
        self.is_flushed = flush == MZFlush::Sync;
        Ok(compressed)
    }

    /// Gives back memory that a client at rest has no use for; the next octets are
    /// compressed without reference to earlier ones.
    pub fn rest(&mut self) {
        if self.is_flushed {
            self.state = None;
        }
    }

    /// Whether [`Compressor::rest`] has something to give back.
    pub fn can_rest(&self) -> bool {
        self.is_flushed && self.state.is_some()
    }
}

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Octets that were compressed.
    Octets(Vec<u8>),
    /// Octets behind the end of what was compressed.
    Plain(Vec<u8>),
    /// More must come first.
    Nothing,
}

/// What ends compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The end of the connection.
    Connection,
    /// What came last was the last that is compressed.
    Now,
}

/// Where the decompressor stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Between two blocks.
    BetweenBlocks,
    /// Within one.
    InBlock,
    /// Behind the last one.
    Ended,
}

/// Decompresses what comes.
pub struct Decompressor {
    /// `None` where it was given back between two blocks, or not needed yet.
    state: Option<Box<DecompressorOxide>>,
    /// How to go on without it.
    between: BlockBoundaryState,
    place: Place,
    end: End,
    /// The octets before the next one, from its place on backwards and around; a ring
    /// once it has all of [`WINDOW_OCTETS`].
    window: Vec<u8>,
    next: usize,
    /// What came compressed.
    input: Vec<u8>,
    taken: usize,
}

impl Default for Decompressor {
    fn default() -> Self {
        Self {
            state: None,
            between: BlockBoundaryState::default(),
            place: Place::BetweenBlocks,
            end: End::Connection,
            window: Vec::new(),
            next: 0,
            input: Vec::new(),
            taken: 0,
        }
    }
}

impl Decompressor {
    /// Takes octets from the client.
    pub fn push(&mut self, octets: &[u8]) {
        self.input.drain(..self.taken.min(self.input.len()));
        self.taken = 0;
        self.input.extend_from_slice(octets);
    }

    /// Some of what the client sent, 32 KB at most. It ends where a block of the client's
    /// does, so that what follows is not touched before the octets in front of it were
    /// used.
    ///
    /// # Errors
    /// `InvalidData` where the client sent no DEFLATE, or goes on behind its end.
    pub fn next_piece(&mut self) -> Result<Piece> {
        while let Some(first) = self.input.get(self.taken).copied() {
            if self.end == End::Now && self.is_plain(first) {
                return Ok(Piece::Plain(self.input.split_off(self.taken)));
            }
            if self.place == Place::Ended {
                return Err(invalid(
                    "the client's compressed octets go on behind their end",
                ));
            }
            let octets = self.step()?;
            match self.end {
                _ if octets.is_empty() => {}
                End::Connection => return Ok(Piece::Octets(octets)),
                End::Now => return Err(invalid("the client goes on compressing")),
            }
        }
        self.input.clear();
        self.taken = 0;
        Ok(Piece::Nothing)
    }

    /// What was given last is the last that is compressed: what comes is plain, but for
    /// what the client's compressor adds to end a block or everything.
    pub fn end(&mut self) {
        self.end = End::Now;
    }

    /// Whether there are octets that were not looked at.
    pub fn has_input(&self) -> bool {
        self.taken < self.input.len()
    }

    /// Whether octets behind the last command are plain. A flush and a last block that is
    /// empty begin with an octet from 0 to 7 (RFC 1951 section 3.2.3), a command does not.
    fn is_plain(&self, first: u8) -> bool {
        match self.place {
            Place::Ended => true,
            Place::BetweenBlocks => self.between.num_bits == 0 && first > 7,
            Place::InBlock => false,
        }
    }

    /// Decompresses until the window is full, a block ends or the input does.
    fn step(&mut self) -> Result<Vec<u8>> {
        self.make_room();
        let between = &self.between;
        let state = self
            .state
            .get_or_insert_with(|| Box::new(DecompressorOxide::from_block_boundary_state(between)));
        let mut flags = TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY;
        if self.window.len() < WINDOW_OCTETS {
            flags |= TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        }
        let input = self.input.get(self.taken..).unwrap_or_default();
        let (status, consumed, written) =
            decompress(state, input, &mut self.window, self.next, flags);
        self.place = match status {
            TINFLStatus::BlockBoundary => Place::BetweenBlocks,
            TINFLStatus::Done => Place::Ended,
            TINFLStatus::NeedsMoreInput | TINFLStatus::HasMoreOutput => Place::InBlock,
            _ => return Err(invalid("the client sent no DEFLATE")),
        };
        if self.place == Place::BetweenBlocks
            && let Some(between) = state.block_boundary_state()
        {
            self.between = between;
        }
        let end = self.next.saturating_add(written);
        let piece = self.window.get(self.next..end).unwrap_or_default().to_vec();
        self.next = end;
        self.taken = self.taken.saturating_add(consumed);
        Ok(piece)
    }

    /// Makes room for at least one octet.
    fn make_room(&mut self) {
        if self.next < self.window.len() {
            return;
        }
        if self.window.len() < WINDOW_OCTETS {
            let octets = (self.window.len() * 2).clamp(FIRST_WINDOW_OCTETS, WINDOW_OCTETS);
            self.window.resize(octets, 0);
        } else {
            self.next = 0;
        }
    }

    /// Gives back memory that a client at rest has no use for.
    pub fn rest(&mut self) {
        if self.place == Place::BetweenBlocks {
            self.state = None;
        }
        if self.input.is_empty() {
            self.input = Vec::new();
        }
    }

    /// How much memory it takes now, in octets.
    pub fn kept_octets(&self) -> usize {
        let state = self.state.as_ref().map_or(0, |state| size_of_val(&**state));
        state + self.window.capacity() + self.input.capacity()
    }

    /// Whether [`Decompressor::rest`] has something to give back.
    pub fn can_rest(&self) -> bool {
        self.place == Place::BetweenBlocks && self.state.is_some()
    }
}

fn invalid(text: &str) -> Error {
    Error::new(ErrorKind::InvalidData, text)
}

#[cfg(test)]
#[path = "compression_tests.rs"]
mod tests;
