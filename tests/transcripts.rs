//! Plays every file in `tests/transcripts/` (`player/mod.rs` tells what
//! they look like): to sessions in memory, to the built server over TCP and TLS, line by
//! line and again with every octet in a write of its own, and to a real Dovecot, which
//! checks the transcripts themselves.

mod common;
mod player;

use player::place::Place;
use player::place::dovecot::Dovecot;
use player::place::memory::Memory;
use player::place::sockets::{Over, Sockets};
use player::{Cut, Transcript, matches};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Plays all of a folder that `choose` does not leave out.
fn play_all<P: Place>(
    folder: &str,
    cut: Cut,
    choose: impl Fn(&Transcript) -> bool,
    place: impl Fn(&Transcript) -> P,
) {
    let only = std::env::var("TRANSCRIPT").unwrap_or_default();
    let mut failed = Vec::new();
    let all = player::all(folder);
    let chosen = all.iter().filter(|transcript| choose(transcript));
    // One by name, to work on it: `TRANSCRIPT=move cargo test --test transcripts`.
    let chosen = chosen.filter(|chosen| chosen.file.to_string_lossy().contains(&only));
    for transcript in chosen {
        let played = || player::play(transcript, &place(transcript), cut);
        if catch_unwind(AssertUnwindSafe(played)).is_err() {
            failed.push(&transcript.file);
        }
    }
    assert!(failed.is_empty(), "failed: {failed:#?}");
}

fn in_memory(folder: &str) {
    for cut in [Cut::Whole, Cut::EveryOctet] {
        play_all(folder, cut, |_| true, Memory::new);
    }
}

fn over_tcp(folder: &str, cut: Cut) {
    play_all(
        folder,
        cut,
        |_| true,
        |played| Sockets::new(played, Over::Tcp),
    );
}

fn over_tls(folder: &str) {
    let chosen = |transcript: &Transcript| transcript.not_over_tls.is_none();
    for cut in [Cut::Whole, Cut::EveryOctet] {
        play_all(folder, cut, chosen, |played| {
            Sockets::new(played, Over::Tls)
        });
    }
}

fn with_dovecot(folder: &str) {
    if let Some(why) = Dovecot::absent() {
        assert!(std::env::var_os("CI").is_none(), "{why}");
        println!("skipped: {why}");
        return;
    }
    // What the configuration asks for is our own.
    let chosen = |transcript: &Transcript| {
        transcript.not_with_dovecot.is_none() && transcript.config.is_empty()
    };
    // What waits most of the time is played beside the others.
    let beside: Vec<Transcript> = player::all(folder)
        .into_iter()
        .filter(|transcript| chosen(transcript) && transcript.sends(" NOTIFY SET "))
        .collect();
    let play_chosen = |choose: &dyn Fn(&Transcript) -> bool| {
        play_all(folder, Cut::Whole, choose, Dovecot::new);
    };
    std::thread::scope(|scope| {
        for one in &beside {
            scope.spawn(|| play_chosen(&|transcript| transcript.file == one.file));
        }
        let is_beside = |file: &std::path::Path| beside.iter().any(|one| one.file == *file);
        play_chosen(&|transcript| chosen(transcript) && !is_beside(&transcript.file));
    });
}

#[test]
fn imap_in_memory() {
    in_memory("imap");
}

#[test]
fn pop3_in_memory() {
    in_memory("pop3");
}

#[test]
fn both_in_memory() {
    in_memory("both");
}

#[test]
fn imap_over_tcp() {
    over_tcp("imap", Cut::Whole);
}

#[test]
fn imap_over_tcp_cut_at_every_octet() {
    over_tcp("imap", Cut::EveryOctet);
}

#[test]
fn pop3_over_tcp() {
    over_tcp("pop3", Cut::Whole);
}

#[test]
fn pop3_over_tcp_cut_at_every_octet() {
    over_tcp("pop3", Cut::EveryOctet);
}

#[test]
fn both_over_tcp() {
    over_tcp("both", Cut::Whole);
}

#[test]
fn both_over_tcp_cut_at_every_octet() {
    over_tcp("both", Cut::EveryOctet);
}

#[test]
fn imap_over_tls() {
    over_tls("imap");
}

#[test]
fn pop3_over_tls() {
    over_tls("pop3");
}

#[test]
fn both_over_tls() {
    over_tls("both");
}

#[test]
fn imap_with_dovecot() {
    with_dovecot("imap");
}

#[test]
fn pop3_with_dovecot() {
    with_dovecot("pop3");
}

#[test]
fn both_with_dovecot() {
    with_dovecot("both");
}

#[test]
fn the_matcher_can_fail() {
    let mut names = HashMap::new();
    assert!(matches(
        "* OK [UIDVALIDITY $v] ...",
        "* OK [UIDVALIDITY 7] x",
        &mut names
    ));
    assert!(!matches("x $v", "x 8", &mut names));
    assert!(matches("x $v", "x 7", &mut names));
    assert!(!matches("a", "ab", &mut names));
    assert!(!matches("a.b", "acb", &mut names));
}
