//! Who may log in, and the mailboxes behind a name.

pub mod cache;
pub mod password;
pub mod retention;
pub mod throttle;
pub mod users;

use crate::config::Config;
use cache::Cache;
use dashmap::DashMap;
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::RwLock;
use sha2::Sha256;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use users::{User, Users};
use wire::sasl::{Scram, ScramKeyPair, ScramKeys};
use wire::{Denial, Secret};

/// How long a password may be, in octets.
const PASSWORD_OCTETS: usize = 1024;
/// How many verifications may wait; beyond it clients are told to come later.
const WAITING: usize = 256;

/// The accounts of a server.
pub struct Accounts {
    users: RwLock<Arc<Users>>,
    /// What is open, by where it is: two names may have one Maildir, which must not be
    /// in memory twice.
    open: DashMap<PathBuf, Arc<store::Account>>,
    retention: retention::Retention,
    /// The mailboxes whose texts are to be completed.
    pub search_texts: Arc<store::SearchTexts>,
    /// When each user logged in over POP3, where there is a delay between logins.
    visits: DashMap<String, Instant>,
    cache: Cache,
    /// Verifications at a time: each takes about 19 MB.
    workers: Semaphore,
    waiting: Semaphore,
    /// Verified where there are no users at all.
    dummy: String,
    key: [u8; 32],
}

impl Accounts {
    /// Reads the users file.
    ///
    /// # Errors
    /// When it cannot be read; the text says where and what to do.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self {
            users: RwLock::new(Arc::new(Users::load(&config.users_file)?)),
            open: DashMap::new(),
            retention: retention::Retention::default(),
            search_texts: Arc::new(store::SearchTexts::new(config.keep_search_texts.into())),
            visits: DashMap::new(),
            cache: Cache::new(key),
            workers: Semaphore::new(std::thread::available_parallelism().map_or(2, usize::from)),
            waiting: Semaphore::new(WAITING),
            dummy: password::hash(b"a password nobody has")?,
            key,
        })
    }

    /// Reads the users file again; on an error the old users stay.
    ///
    /// # Errors
    /// As [`Accounts::open`].
    pub fn reload(&self, config: &Config) -> anyhow::Result<()> {
        let users = Arc::new(Users::load(&config.users_file)?);
        *self.users.write() = users;
        self.search_texts.set_keep(config.keep_search_texts.into());
        self.cache.clear();
        Ok(())
    }

    fn find(&self, name: &str) -> Option<User> {
        users::is_valid_name(name)
            .then(|| self.users.read().find(name).cloned())
            .flatten()
    }

    /// Checks a password: one of the user's or of a device of theirs. Gives the
    /// user's name as the users file has it.
    ///
    /// # Errors
    /// `BadCredentials` for an unknown user and a wrong password alike, after the
    /// same work; `Unavailable` when too many are waiting.
    pub async fn verify(self: &Arc<Self>, name: &str, password: Secret) -> Result<String, Denial> {
        let octets = password.expose();
        if octets.is_empty() || octets.len() > PASSWORD_OCTETS || octets.contains(&0) {
            return Err(Denial::BadCredentials);
        }
        let user = self.find(name);
        if let Some(user) = &user
            && self.cache.holds(&user.name, octets)
        {
            return Ok(user.name.clone());
        }
        let _place = self
            .waiting
            .try_acquire()
            .map_err(|_| Denial::Unavailable)?;
        let _worker = self
            .workers
            .acquire()
            .await
            .map_err(|_| Denial::Unavailable)?;
        let hashes = user.as_ref().map_or_else(Vec::new, User::hashes);
        let padding = self.padding(hashes.len());
        let checked = password.clone();
        let matches = tokio::task::spawn_blocking(move || {
            let verify = |hash: &String| password::verify(checked.expose(), hash);
            // A failure costs the same whoever the user is, or is not.
            let matches = hashes.iter().any(verify);
            if !matches {
                padding.iter().for_each(|hash| {
                    std::hint::black_box(verify(hash));
                });
            }
            matches
        });
        let matches = matches.await.map_err(|_| Denial::Unavailable)?;
        match user.filter(|_| matches) {
            Some(user) => {
                self.cache.keep(&user.name, octets);
                Ok(user.name)
            }
            None => Err(Denial::BadCredentials),
        }
    }

    /// Hashes to be verified for nothing, for a user who has so many: together they are
    /// as many as any user has, and at least one.
    fn padding(&self, hashes: usize) -> Vec<String> {
        let mut longest = self.users.read().longest_hashes();
        if longest.is_empty() {
            longest.push(self.dummy.clone());
        }
        longest.split_off(hashes.min(longest.len()))
    }

    /// Whether SCRAM can be offered.
    pub fn scram(&self) -> Scram {
        self.users.read().scram()
    }

    /// A user's SCRAM-SHA-256 keys; for a user without, invented ones that are
    /// the same each time, after a restart too (RFC 5802 section 9: a stranger must not learn who exists).
    pub fn scram_keys(&self, name: &str) -> ScramKeys {
        if let Some(keys) = self.find(name).and_then(|user| user.scram_keys()) {
            return keys;
        }
        let key = self.users.read().secret().unwrap_or(self.key);
        let invent = |what: &[u8]| -> [u8; 32] {
            let mut mac = Hmac::<Sha256>::new_from_slice(&key)
                .unwrap_or_else(|_| unreachable!("HMAC takes any key"));
            mac.update(what);
            mac.update(name.as_bytes());
            mac.finalize().into_bytes().into()
        };
        ScramKeys {
            salt: invent(b"salt")[..16].to_vec(),
            iterations: users::SCRAM_ITERATIONS,
            pairs: vec![ScramKeyPair {
                stored_key: invent(b"stored"),
                server_key: invent(b"server"),
            }],
        }
    }

    /// The name of a user as the users file has it.
    pub fn known_name(&self, name: &str) -> Option<String> {
        self.find(name).map(|user| user.name)
    }

    /// Expunges what all users kept for longer than the configuration says. It
    /// touches the disk.
    pub fn keep_retention(&self, config: &Config) {
        if config.expunge_after_days.is_empty() {
            return;
        }
        let users = Arc::clone(&self.users.read());
        for user in &users.users {
            match self.account(&user.name, config) {
                Ok(account) => self.expunge_aged(&user.name, &account, config),
                Err(error) => {
                    tracing::error!(user = user.name, "cannot open the mailboxes: {error}");
                }
            }
        }
    }

    /// Expunges what a user kept for too long, unless that was done lately.
    pub fn expunge_aged(&self, name: &str, account: &store::Account, config: &Config) {
        let rules = &config.expunge_after_days;
        if !rules.is_empty() {
            self.retention.keep(name, account, rules);
        }
    }

    /// Notes a POP3 login.
    ///
    /// # Errors
    /// `TooSoon` if the last one was less than `delay` ago; it is not noted then.
    pub fn visit(&self, name: &str, delay: Duration, now: Instant) -> Result<(), Denial> {
        if delay.is_zero() {
            return Ok(());
        }
        match self.visits.entry(name.to_owned()) {
            dashmap::Entry::Occupied(mut last) => {
                if now.saturating_duration_since(*last.get()) < delay {
                    return Err(Denial::TooSoon(delay.as_secs()));
                }
                last.insert(now);
            }
            dashmap::Entry::Vacant(first) => drop(first.insert(now)),
        }
        Ok(())
    }

    /// Opens a user's mailboxes, or gives the ones that are open. It touches the
    /// disk.
    ///
    /// # Errors
    /// When the mail root cannot be opened.
    pub fn account(&self, name: &str, config: &Config) -> store::Result<Arc<store::Account>> {
        let root = self
            .find(name)
            .and_then(|user| user.mail)
            .unwrap_or_else(|| config.maildir(name));
        let failed =
            |what: &str, error| store::Error::io(format!("{what} {}", root.display()), error);
        crate::files::create_private_directories(&root).map_err(|error| failed("create", error))?;
        // Links lead to one place by two ways.
        let root = std::fs::canonicalize(&root).map_err(|error| failed("find", error))?;
        if let Some(account) = self.open.get(&root) {
            return Ok(Arc::clone(&account));
        }
        match self.open.entry(root) {
            dashmap::Entry::Occupied(entry) => Ok(Arc::clone(entry.get())),
            dashmap::Entry::Vacant(entry) => {
                let layout = store::Layout {
                    delimiter: config.layout.delimiter,
                    prefix: config.layout.prefix.clone(),
                };
                let texts = Arc::clone(&self.search_texts);
                let account = store::Account::open_completing(entry.key(), layout, texts)?;
                account.make_default_mailboxes()?;
                entry.insert(Arc::clone(&account));
                Ok(account)
            }
        }
    }
}
