//! [`KeySet`]: an authorization server's public keys, from a file or kept from an address.

use super::http::Client;
use super::jwt::{self, Key};
use anyhow::Context;
use parking_lot::RwLock;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// After this time keys are fetched anew, behind whoever uses them.
const FRESH: Duration = Duration::from_secs(3_600);
/// Keys older than this are not used any more: their owner may have taken them back.
const USABLE: Duration = Duration::from_secs(24 * 3_600);
/// So long after a fetch there is no other, however many tokens name unknown keys.
const PAUSE: Duration = Duration::from_secs(30);
/// The biggest file of keys.
const FILE_OCTETS: u64 = 256 * 1024;

/// The keys tokens are verified with.
pub enum KeySet {
    /// From a file, read when the configuration is.
    File(Arc<Vec<Key>>),
    /// From an address.
    Kept(Arc<Kept>),
}

/// Keys from an address, and when they were fetched.
pub struct Kept {
    url: String,
    client: Client,
    fetched: RwLock<Option<(Arc<Vec<Key>>, Instant)>>,
    /// When a fetch began; locked while there is one.
    began: Mutex<Option<Instant>>,
}

impl KeySet {
    /// The keys in a file.
    ///
    /// # Errors
    /// When it cannot be read or holds none; the text names it.
    pub fn of_file(file: &Path) -> anyhow::Result<Self> {
        let read = || {
            use std::io::Read;
            let mut text = Vec::new();
            let opened = std::fs::File::open(file)?;
            opened.take(FILE_OCTETS).read_to_end(&mut text)?;
            jwt::read_keys(&text)
        };
        let keys = read().with_context(|| file.display().to_string())?;
        Ok(Self::File(Arc::new(keys)))
    }

    /// The keys at an address, fetched when they are needed.
    pub fn at(url: &str, client: Client) -> Self {
        Self::Kept(Arc::new(Kept {
            url: url.to_owned(),
            client,
            fetched: RwLock::new(None),
            began: Mutex::new(None),
        }))
    }

    /// The keys there are, none if there never were any. Old ones are fetched anew behind
    /// the caller.
    pub fn current(&self) -> Arc<Vec<Key>> {
        match self {
            Self::File(keys) => Arc::clone(keys),
            Self::Kept(kept) => {
                let (keys, is_fresh) = kept.current();
                if !keys.is_empty() && !is_fresh {
                    let kept = Arc::clone(kept);
                    tokio::spawn(async move { kept.renew().await });
                }
                keys
            }
        }
    }

    /// The keys after another look, unless there was one just now.
    pub async fn renewed(&self) -> Arc<Vec<Key>> {
        match self {
            Self::File(keys) => Arc::clone(keys),
            Self::Kept(kept) => {
                kept.renew().await;
                kept.current().0
            }
        }
    }
}

impl Kept {
    /// The keys, and whether they are new enough not to be looked for again.
    fn current(&self) -> (Arc<Vec<Key>>, bool) {
        match &*self.fetched.read() {
            Some((keys, at)) if at.elapsed() < USABLE => (Arc::clone(keys), at.elapsed() < FRESH),
            _ => (Arc::default(), false),
        }
    }

    /// Fetches the keys, one fetch at a time; whoever comes meanwhile waits for that one.
    /// Where it fails the old ones stay.
    async fn renew(self: &Arc<Self>) {
        let mut began = self.began.lock().await;
        if began.is_some_and(|began| began.elapsed() < PAUSE) {
            return;
        }
        *began = Some(Instant::now());
        let kept = Arc::clone(self);
        let fetch = move || jwt::read_keys(&kept.client.get(&kept.url)?);
        match tokio::task::spawn_blocking(fetch).await {
            Ok(Ok(keys)) => {
                *self.fetched.write() = Some((Arc::new(keys), Instant::now()));
            }
            Ok(Err(error)) => {
                tracing::error!("the keys of access tokens are not to be had: {error:#}");
            }
            Err(error) => tracing::error!("fetching the keys of access tokens: {error}"),
        }
    }
}
