//! SCRAM keys as they are written: iterations, salt, stored key and server key with commas
//! between, all but the first in base64. It is what follows Dovecot's `{SCRAM-SHA-256}`
//! and `{SCRAM-SHA-1}`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;
use wire::sasl::{Digest, ScramKeyPair, ScramKeys};

/// The iteration count of keys we make (RFC 7677 section 4 asks for 4096 at least).
pub const ITERATIONS: u32 = 4_096;
/// The highest iteration count that is taken: half a second of work.
const MAX_ITERATIONS: u32 = 1_000_000;

/// The keys in a password of the scheme of a digest; `None` where it is of another.
pub fn of_password(stored: &str, digest: Digest) -> Option<&str> {
    let (scheme, keys) = stored.strip_prefix('{')?.split_once('}')?;
    let wanted = match digest {
        Digest::Sha256 => "SCRAM-SHA-256",
        Digest::Sha1 => "SCRAM-SHA-1",
    };
    scheme.eq_ignore_ascii_case(wanted).then_some(keys)
}

/// Reads the keys of one password; `None` where they are no such keys.
pub fn read(digest: Digest, text: &str) -> Option<ScramKeys> {
    let mut parts = text.splitn(3, ',');
    let iterations = parts.next()?.parse().ok()?;
    let salt = STANDARD.decode(parts.next()?).ok()?;
    let pair = read_pair(digest, parts.next()?)?;
    let is_good = (1..=MAX_ITERATIONS).contains(&iterations) && !salt.is_empty();
    is_good.then(|| ScramKeys {
        salt,
        iterations,
        pairs: vec![pair],
    })
}

/// Writes the keys of one password.
pub fn show(iterations: u32, salt: &[u8], pair: &ScramKeyPair) -> String {
    format!("{iterations},{},{}", STANDARD.encode(salt), show_pair(pair))
}

/// Reads a stored key and a server key.
pub fn read_pair(digest: Digest, text: &str) -> Option<ScramKeyPair> {
    let (stored, server) = text.split_once(',')?;
    let octets = |text| {
        let octets = STANDARD.decode(text).ok()?;
        (octets.len() == digest.octets()).then_some(octets)
    };
    Some(ScramKeyPair {
        device: None,
        stored_key: octets(stored)?,
        server_key: octets(server)?,
    })
}

/// Writes a stored key and a server key.
pub fn show_pair(pair: &ScramKeyPair) -> String {
    let (stored, server) = (
        STANDARD.encode(&pair.stored_key),
        STANDARD.encode(&pair.server_key),
    );
    format!("{stored},{server}")
}

/// Whether a password shown (PLAIN, LOGIN) is the one that keys were made of.
pub fn verify(digest: Digest, password: &[u8], keys: &str) -> bool {
    let Some(keys) = read(digest, keys) else {
        return false;
    };
    let derived = ScramKeyPair::derive(digest, password, &keys.salt, keys.iterations);
    keys.pairs
        .iter()
        .any(|pair| pair.stored_key.ct_eq(&derived.stored_key).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys that RFC 5802 section 5 and RFC 7677 section 3 imply, as
    /// `doveadm pw -s SCRAM-SHA-1` writes such.
    #[test]
    fn keys_come_back_and_verify() {
        for (digest, scheme) in [
            (Digest::Sha1, "{SCRAM-SHA-1}"),
            (Digest::Sha256, "{scram-sha-256}"),
        ] {
            let pair = ScramKeyPair::derive(digest, b"pencil", b"salt", ITERATIONS);
            let text = show(ITERATIONS, b"salt", &pair);
            let keys = read(digest, &text).expect("keys");
            assert_eq!(
                (keys.iterations, keys.salt.as_slice()),
                (4096, &b"salt"[..])
            );
            assert!(keys.pairs == [pair]);
            assert!(verify(digest, b"pencil", &text) && !verify(digest, b"Pencil", &text));
            let stored = format!("{scheme}{text}");
            assert_eq!(of_password(&stored, digest), Some(text.as_str()));
            let other = Digest::ALL.into_iter().find(|other| *other != digest);
            let other = other.expect("there are two");
            assert_eq!(of_password(&stored, other), None);
            assert!(read(other, &text).is_none());
        }
        for broken in [
            "",
            "4096",
            "0,c2FsdA==,AAAA,AAAA",
            "9999999999,c2FsdA==,AAAA,AAAA",
            "4096,c2FsdA==,AAAA,AAAA",
        ] {
            assert!(read(Digest::Sha1, broken).is_none(), "{broken}");
        }
    }
}
