//! COMPRESS (RFC 4978): what a client compresses, and what the server does.

use crate::deflate::{Compressor, Decompressor, Piece};
use std::io::Result;

/// What one piece and the window have at most.
const WINDOW_OCTETS: usize = 32 << 10;
/// What the state of a decompressor takes at most.
const STATE_OCTETS: usize = 16 << 10;
/// How much is read of what swells a thousandfold.
const READ_OCTETS: usize = 1 << 20;

/// What came out until the input ended, was no DEFLATE or was enough.
#[derive(Debug, Default)]
struct Read {
    octets: Vec<u8>,
    plain: Option<Vec<u8>>,
    is_refused: bool,
}

/// Reads octets that arrive in pieces of this size. After so many octets the client's
/// compression is to end (RFC 8437).
fn read(input: &[u8], piece_octets: usize, ends_after: Option<usize>) -> Read {
    let mut decompressor = Decompressor::default();
    let mut read = Read::default();
    for pushed in input.chunks(piece_octets) {
        decompressor.push(pushed);
        if let Err(error) = take(&mut decompressor, &mut read, ends_after) {
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
            read.is_refused = true;
        }
        // Input grows in steps, doubled at most.
        let most = WINDOW_OCTETS + STATE_OCTETS + 2 * piece_octets.min(input.len()).max(8);
        let kept = decompressor.kept_octets();
        assert!(kept <= most, "{kept} octets are kept, {most} at most");
        if read.is_refused || read.plain.is_some() || read.octets.len() >= READ_OCTETS {
            break;
        }
        decompressor.rest();
    }
    read
}

fn take(decompressor: &mut Decompressor, read: &mut Read, ends_after: Option<usize>) -> Result<()> {
    while read.octets.len() < READ_OCTETS {
        match decompressor.next_piece()? {
            Piece::Octets(piece) => {
                assert!(!piece.is_empty() && piece.len() <= WINDOW_OCTETS);
                read.octets.extend(piece);
            }
            Piece::Plain(plain) => {
                assert!(ends_after.is_some(), "nobody ended it");
                read.plain = Some(plain);
                return Ok(());
            }
            Piece::Nothing => {
                assert!(!decompressor.has_input());
                return Ok(());
            }
        }
        if ends_after.is_some_and(|octets| read.octets.len() >= octets) {
            decompressor.end();
        }
    }
    Ok(())
}

/// A client's octets: the same comes out however they arrive, in small pieces and with
/// little memory, and what is behind their end is left as it is. What the server
/// compresses of them is what a client reads.
pub fn compression(input: &[u8]) {
    let whole = read(input, input.len().max(1), None);
    for piece_octets in [1, 7] {
        let cut = read(input, piece_octets, None);
        // What came in front of what is refused is handed on, or not.
        let both = whole.octets.len().min(cut.octets.len());
        assert!(whole.octets[..both] == cut.octets[..both]);
        let is_enough = |read: &Read| read.octets.len() + WINDOW_OCTETS >= READ_OCTETS;
        if !is_enough(&whole) && !is_enough(&cut) {
            assert_eq!(whole.is_refused, cut.is_refused, "cut at {piece_octets}");
            assert!(whole.is_refused || whole.octets.len() == cut.octets.len());
        }
    }
    let ends_after = input.first().copied().map_or(0, usize::from);
    let ended = read(input, input.len().max(1), Some(ends_after));
    if let Some(plain) = ended.plain {
        assert!(!plain.is_empty() && input.ends_with(&plain));
    }

    let mut server = Compressor::default();
    let mut compressed = Vec::new();
    for octets in input.chunks(ends_after + 1) {
        compressed.extend(server.compress(octets).expect("compressed"));
        if octets.len() % 2 == 1 {
            compressed.extend(server.flush().expect("flushed"));
        }
        server.rest();
    }
    compressed.extend(server.flush().expect("flushed"));
    let client = read(&compressed, compressed.len().max(1), None);
    assert!(!client.is_refused && client.octets == input);
}
