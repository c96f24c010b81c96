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
    seen: Mutex<HashMap<[u8; 32], Success>>,
}

/// A password that was right.
struct Success {
    since: Instant,
    /// The device whose it is.
    device: Option<String>,
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

    /// Whether this password was right within the last minutes, and the device whose it
    /// is.
    pub fn find(&self, user: &str, password: &[u8]) -> Option<Option<String>> {
        let digest = self.digest(user, password);
        let seen = self.seen.lock();
        let success = seen.get(&digest).filter(|success| success.counts())?;
        Some(success.device.clone())
    }

    /// Remembers a success.
    pub fn keep(&self, user: &str, password: &[u8], device: Option<String>) {
        let digest = self.digest(user, password);
        let mut seen = self.seen.lock();
        if seen.len() >= ENTRIES {
            seen.retain(|_, success| success.counts());
            if seen.len() >= ENTRIES {
                seen.clear();
            }
        }
        let since = Instant::now();
        seen.insert(digest, Success { since, device });
    }

    /// Forgets all, as after a change of the users file.
    pub fn clear(&self) {
        self.seen.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_user_and_password_are_held() {
        let cache = Cache::new([7; 32]);
        cache.keep("anna", b"secret", None);
        cache.keep("anna", b"other", Some("phone".to_owned()));
        assert_eq!(cache.find("anna", b"secret"), Some(None));
        assert_eq!(cache.find("anna", b"other"), Some(Some("phone".to_owned())));
        assert_eq!(cache.find("ann", b"asecret"), None);
        assert_eq!(cache.find("anna", b"wrong"), None);
        cache.clear();
        assert_eq!(cache.find("anna", b"secret"), None);
    }
}
