//! Passwords that were right a moment ago, so that a phone polling each minute
//! does not cost a hash each time.

use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::Sha256;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long a success is remembered.
const KEPT: Duration = Duration::from_secs(300);
/// How many are remembered.
const ENTRIES: usize = 10_000;

/// Keyed digests of user and password, in memory only.
pub struct Cache {
    key: [u8; 32],
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// How often all was forgotten.
    generation: u64,
    successes: HashMap<[u8; 32], Success>,
}

/// A password that was right.
struct Success {
    since: Instant,
    known: Known,
}

/// What is remembered of a password that was right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The device whose it is.
    pub device: Option<String>,
    /// The mark of the hash that it was verified with: it is right as long as that is the
    /// hash.
    pub mark: [u8; 32],
}

impl Success {
    fn counts(&self) -> bool {
        self.since.elapsed() < KEPT
    }
}

impl Cache {
    /// An empty cache under a random key of this process.
    pub fn new(key: [u8; 32]) -> Self {
        Self {
            key,
            seen: Mutex::default(),
        }
    }

    fn digest(&self, user: &str, password: &[u8]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key)
            .unwrap_or_else(|_| unreachable!("HMAC takes any key"));
        mac.update(&(user.len() as u64).to_be_bytes());
        mac.update(user.as_bytes());
        mac.update(password);
        mac.finalize().into_bytes().into()
    }

    /// What is known of this password if it was right within the last minutes.
    pub fn find(&self, user: &str, password: &[u8]) -> Option<Known> {
        let digest = self.digest(user, password);
        let seen = self.seen.lock();
        let success = seen
            .successes
            .get(&digest)
            .filter(|success| success.counts())?;
        Some(success.known.clone())
    }

    /// What [`Cache::keep`] is to be told of a verification that begins now, before it is
    /// looked up what is verified.
    pub fn generation(&self) -> u64 {
        self.seen.lock().generation
    }

    /// Remembers a success, unless all was forgotten since the verification began: it was
    /// of a users file that does not count any more.
    pub fn keep(&self, generation: u64, user: &str, password: &[u8], known: Known) {
        let digest = self.digest(user, password);
        let mut seen = self.seen.lock();
        if seen.generation != generation {
            return;
        }
        let successes = &mut seen.successes;
        if successes.len() >= ENTRIES {
            successes.retain(|_, success| success.counts());
            if successes.len() >= ENTRIES {
                successes.clear();
            }
        }
        let since = Instant::now();
        successes.insert(digest, Success { since, known });
    }

    /// Forgets all, as after a change of the users file.
    pub fn clear(&self) {
        let mut seen = self.seen.lock();
        seen.generation += 1;
        seen.successes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_user_and_password_are_held() {
        let cache = Cache::new([7; 32]);
        let before = cache.generation();
        let of = |device: Option<&str>| Known {
            device: device.map(str::to_owned),
            mark: [3; 32],
        };
        cache.keep(before, "anna", b"secret", of(None));
        cache.keep(before, "anna", b"other", of(Some("phone")));
        assert_eq!(cache.find("anna", b"secret"), Some(of(None)));
        assert_eq!(cache.find("anna", b"other"), Some(of(Some("phone"))));
        assert_eq!(cache.find("ann", b"asecret"), None);
        assert_eq!(cache.find("anna", b"wrong"), None);
        cache.clear();
        assert_eq!(cache.find("anna", b"secret"), None);
        // A verification that was under way.
        cache.keep(before, "anna", b"secret", of(None));
        assert_eq!(cache.find("anna", b"secret"), None);
        cache.keep(cache.generation(), "anna", b"secret", of(None));
        assert_eq!(cache.find("anna", b"secret"), Some(of(None)));
    }
}
