//! Octets compressed, cut everywhere, and what a connection keeps at rest.

use super::*;

/// What a client compressed, as it is read.
fn inflated(decompressor: &mut Decompressor, octets: &[u8]) -> Result<Vec<u8>> {
    decompressor.push(octets);
    let mut all = Vec::new();
    loop {
        match decompressor.next_piece()? {
            Piece::Octets(piece) => {
                assert!(!piece.is_empty() && piece.len() <= WINDOW_OCTETS);
                all.extend(piece);
            }
            Piece::Plain(_) => panic!("nothing is plain"),
            Piece::Nothing => return Ok(all),
        }
    }
}

fn sent(compressor: &mut Compressor, octets: &[u8]) -> Vec<u8> {
    let mut compressed = compressor.compress(octets).expect("compressed");
    compressed.extend(compressor.flush().expect("flushed"));
    compressed
}

fn text(lines: usize) -> Vec<u8> {
    let line = |number| {
        format!(
            "* {number} FETCH (UID {} FLAGS (\\Seen))\r\n",
            number * 7 % 997
        )
    };
    let lines = (0..lines).map(line);
    lines.collect::<String>().into_bytes()
}

/// Octets that cannot be compressed, the same each time.
fn noise(octets: usize) -> Vec<u8> {
    let mut random = 1_u32;
    let mut next = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        random.to_be_bytes()[0]
    };
    (0..octets).map(|_| next()).collect()
}

#[test]
fn what_one_compresses_the_other_reads() {
    let (mut server, mut client) = (Compressor::default(), Decompressor::default());
    for lines in [1, 3, 0, 500, 20_000, 2] {
        let octets = text(lines);
        let compressed = sent(&mut server, &octets);
        assert!(lines < 500 || compressed.len() < octets.len() / 3);
        assert_eq!(inflated(&mut client, &compressed).expect("read"), octets);
    }
    let octets = noise(300_000);
    let compressed = sent(&mut server, &octets);
    assert_eq!(inflated(&mut client, &compressed).expect("read"), octets);
    assert_eq!(sent(&mut server, b""), b"", "nothing is sent for nothing");
}

#[test]
fn input_may_be_cut_anywhere() {
    let octets = text(40);
    let compressed = sent(&mut Compressor::default(), &octets);
    for cut in 0..=compressed.len() {
        let mut client = Decompressor::default();
        let mut read = inflated(&mut client, &compressed[..cut]).expect("read");
        read.extend(inflated(&mut client, &compressed[cut..]).expect("read"));
        assert_eq!(read, octets, "cut at {cut}");
    }
}

#[test]
fn both_go_on_after_a_rest() {
    let (mut server, mut client) = (Compressor::default(), Decompressor::default());
    for lines in [2, 300, 1, 2_000, 5] {
        let octets = text(lines);
        let compressed = sent(&mut server, &octets);
        assert!(server.can_rest());
        server.rest();
        assert!(server.state.is_none() && !server.can_rest());
        assert_eq!(inflated(&mut client, &compressed).expect("read"), octets);
        assert!(client.can_rest());
        client.rest();
        assert!(client.state.is_none() && !client.can_rest());
    }
    let mut client = Decompressor::default();
    let compressed = sent(&mut Compressor::default(), b"a NOOP\r\n");
    inflated(&mut client, &compressed).expect("read");
    client.rest();
    assert_eq!(client.window.len(), FIRST_WINDOW_OCTETS);
    assert_eq!(client.input.capacity(), 0);
}

#[test]
fn what_is_not_flushed_is_kept() {
    let mut server = Compressor::default();
    let mut compressed = server.compress(b"* OK\r\n").expect("compressed");
    assert!(!server.can_rest());
    server.rest();
    compressed.extend(server.flush().expect("flushed"));
    let read = inflated(&mut Decompressor::default(), &compressed);
    assert_eq!(read.expect("read"), b"* OK\r\n");
}

#[test]
fn a_client_may_refer_to_what_it_sent_before_a_rest() {
    let mut client = Compressor::default();
    let mut server = Decompressor::default();
    let all = noise(70_000);
    let pieces = [
        &all[..20_000],
        &all[..9_000],
        &all[20_000..],
        &all[40_000..60_000],
    ];
    for octets in pieces {
        let compressed = sent(&mut client, octets);
        assert_eq!(inflated(&mut server, &compressed).expect("read"), octets);
        server.rest();
        assert!(server.state.is_none());
    }
}

#[test]
fn a_bomb_comes_in_pieces() {
    let zeros = vec![0; 32 << 20];
    let bomb = sent(&mut Compressor::default(), &zeros);
    assert!(bomb.len() < zeros.len() / 50);
    let mut server = Decompressor::default();
    let mut octets = 0;
    for part in bomb.chunks(16 << 10) {
        octets += inflated(&mut server, part).expect("read").len();
        assert_eq!(server.window.len(), WINDOW_OCTETS);
        assert!(server.input.capacity() <= 64 << 10);
        assert!(server.kept_octets() <= 112 << 10);
    }
    assert_eq!(octets, zeros.len());
}

#[test]
fn what_is_no_deflate_is_refused() {
    for octets in [&b"a NOOP\r\n"[..], b"\xff\xff\xff\xff", b"\x07"] {
        let refused = inflated(&mut Decompressor::default(), octets);
        assert_eq!(refused.expect_err("refused").kind(), ErrorKind::InvalidData);
    }
}

/// Ends a client's compression after its command, in all the ways compressors do.
#[test]
fn what_follows_the_end_is_plain() {
    let (command, next) = (
        &b"a UNAUTHENTICATE\r\n"[..],
        &b"b LOGIN anna secret\r\n"[..],
    );
    let ways = [
        &[MZFlush::Sync][..],
        &[MZFlush::Sync, MZFlush::Sync],
        &[MZFlush::Full],
        &[MZFlush::Finish],
        &[MZFlush::Sync, MZFlush::Finish],
    ];
    for ways in ways {
        let mut client = Compressor::default();
        let mut octets = client.compress(command).expect("compressed");
        for flush in ways {
            octets.extend(client.add(&[], *flush).expect("flushed"));
        }
        octets.extend_from_slice(next);
        for step in [1, 2, 7, octets.len()] {
            let mut server = Decompressor::default();
            let (mut read, mut plain) = (Vec::new(), Vec::new());
            for part in octets.chunks(step) {
                if !plain.is_empty() {
                    plain.extend_from_slice(part);
                    continue;
                }
                server.push(part);
                loop {
                    match server.next_piece().expect("read") {
                        Piece::Octets(piece) => read.extend(piece),
                        Piece::Plain(octets) => {
                            plain = octets;
                            break;
                        }
                        Piece::Nothing => break,
                    }
                    if read == command {
                        server.end();
                    }
                }
            }
            assert_eq!((&read[..], &plain[..]), (command, next), "in {step}");
        }
    }
}

#[test]
fn what_follows_an_end_that_nobody_asked_for_is_refused() {
    let mut client = Compressor::default();
    let mut octets = client.compress(b"a NOOP\r\n").expect("compressed");
    octets.extend(client.finish().expect("finished"));
    octets.extend_from_slice(b"b NOOP\r\n");
    let refused = inflated(&mut Decompressor::default(), &octets);
    assert_eq!(refused.expect_err("refused").kind(), ErrorKind::InvalidData);
}

#[test]
fn a_crowd_of_compressors_is_not_kept() {
    let mut crowd: Vec<Compressor> = (0..=KEPT_COMPRESSORS)
        .map(|_| Compressor::default())
        .collect();
    for compressor in &mut crowd {
        compressor.compress(b"text").expect("compressed");
        compressor.flush().expect("flushed");
        assert!(compressor.can_rest());
    }
    assert!(is_crowded());
    let there = COMPRESSORS.load(Ordering::Relaxed);
    crowd.iter_mut().for_each(Compressor::rest);
    // Other tests may have some, but not so many.
    assert!(COMPRESSORS.load(Ordering::Relaxed) < there);
}
