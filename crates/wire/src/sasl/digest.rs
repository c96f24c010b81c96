//! [`Digest`]: the hash functions of SCRAM, and what it makes of them.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// A hash function of the SCRAM family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Digest {
    /// RFC 7677.
    Sha256,
    /// RFC 5802. Weak as a hash, but not for HMAC, which is what SCRAM asks of it.
    Sha1,
}

impl Digest {
    /// All of them, best first.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha1];

    /// How many octets it gives.
    pub const fn octets(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha1 => 20,
        }
    }

    /// H (RFC 5802 section 2.2).
    pub fn hash(self, octets: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(octets).to_vec(),
            Self::Sha1 => Sha1::digest(octets).to_vec(),
        }
    }

    /// HMAC (RFC 5802 section 2.2).
    pub fn mac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        // HMAC takes keys of any size: the errors cannot occur, and what they would give
        // is the size of no digest.
        match self {
            Self::Sha256 => Hmac::<Sha256>::new_from_slice(key).map_or_else(
                |_| Vec::new(),
                |mut mac| {
                    mac.update(message);
                    mac.finalize().into_bytes().to_vec()
                },
            ),
            Self::Sha1 => Hmac::<Sha1>::new_from_slice(key).map_or_else(
                |_| Vec::new(),
                |mut mac| {
                    mac.update(message);
                    mac.finalize().into_bytes().to_vec()
                },
            ),
        }
    }

    /// Hi (RFC 5802 section 2.2).
    pub fn salted(self, password: &[u8], salt: &[u8], iterations: u32) -> Zeroizing<Vec<u8>> {
        let mut salted = Zeroizing::new(vec![0_u8; self.octets()]);
        match self {
            Self::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut salted),
            Self::Sha1 => pbkdf2::pbkdf2_hmac::<Sha1>(password, salt, iterations, &mut salted),
        }
        salted
    }
}
