//! Who may log in, and the mailboxes behind a name.

pub mod access;
pub mod cache;
pub mod names;
pub mod passwd_file;
pub mod password;
pub mod places;
pub mod prepared;
pub mod retention;
pub mod scram;
pub mod throttle;
pub mod users;
pub mod yaml_file;

use crate::config::Config;
use crate::oauth::{self, OAuth};
use anyhow::Context;
use cache::{Cache, Known};
use dashmap::DashMap;
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::RwLock;
use sha2::Sha256;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};
use users::{User, Users};
use wire::sasl::{Bearer, Digest, Identity, Mechanism, Mechanisms, ScramKeyPair, ScramKeys};
use wire::{Denial, Secret};

/// How long a password may be, in octets.
const PASSWORD_OCTETS: usize = 1024;
/// How many verifications may wait; beyond it clients are told to come later.
const WAITING: usize = 256;

/// Who logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entrant {
    /// The user's name as the users file has it.
    pub user: String,
    /// The device whose password was used; none for the user's own and where there was
    /// no password.
    pub device: Option<String>,
    /// The mark of that password, which tells when it is another; none where there was no
    /// password.
    pub mark: Option<[u8; 32]>,
}

impl Entrant {
    /// By a password of the user's own or of this device, as they are now.
    fn new(user: &User, device: Option<String>) -> Self {
        let mut passwords = user.passwords().into_iter();
        let used = passwords.find(|password| password.device == device);
        Self {
            mark: used.map(|password| password.mark()),
            user: user.name.clone(),
            device,
        }
    }
}

/// Who somebody says to be who is to prove it by SCRAM.
#[derive(Clone)]
pub struct Claim {
    /// Whom each of the keys lets in, as of when they were looked up: nobody where they are
    /// invented.
    pub entrants: Vec<Entrant>,
    /// What the proof is verified with, invented for who has none.
    pub keys: ScramKeys,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// As the client is told.
    pub denial: Denial,
    /// For the log, where there is more to say.
    pub why: Option<String>,
    /// What is to be told in a challenge before (RFC 7628 section 3.2.3).
    pub challenge: Option<Vec<u8>>,
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self {
            denial,
            why: None,
            challenge: None,
        }
    }
}

/// The accounts of a server.
pub struct Accounts {
    /// Each with where the mail is.
    users: RwLock<Arc<Users>>,
    /// What verifies access tokens, if they are taken.
    oauth: RwLock<Option<Arc<OAuth>>>,
    /// What is open, by where it is: two names may have one Maildir, which must not be
    /// in memory twice.
    open: DashMap<PathBuf, Arc<store::Account>>,
    retention: retention::Retention,
    /// The mailboxes whose texts are to be completed.
    pub search_texts: Arc<store::SearchTexts>,
    /// The mailboxes that were used lately.
    pub kept_open: Arc<store::KeptOpen>,
    /// When each user logged in over POP3, where there is a delay between logins.
    visits: DashMap<String, Instant>,
    cache: Cache,
    /// Verifications at a time: each takes about 19 MB.
    workers: Semaphore,
    waiting: Semaphore,
    /// Access tokens that are being checked. Whoever waits for their issuer keeps nobody
    /// with a password waiting.
    tokens: Semaphore,
    /// Verified where there are no users at all.
    dummy: String,
    key: [u8; 32],
    /// Told when users, devices or passwords are others.
    changes: watch::Sender<()>,
}

/// What was read to be in force together: nothing of it is yet.
pub struct Reading {
    users: Arc<Users>,
    oauth: Option<Arc<OAuth>>,
}

/// Sees that each user has a Maildir, and says at each where it is.
fn admissible(users: Users, config: &Config) -> anyhow::Result<Users> {
    Ok(users.in_own_places(config)?.with_places(config))
}

/// Tells the log who cannot log in.
fn tell_unknown_passwords(users: &Users, config: &Config) {
    let unknown = users.unknown_passwords(&config.users_file);
    for told in unknown.iter().take(users::TOLD) {
        tracing::warn!("{}: {told}", config.users_file.display());
    }
    if let Some(more) = unknown
        .len()
        .checked_sub(users::TOLD)
        .filter(|more| *more > 0)
    {
        tracing::warn!(
            "{}: and {more} more passwords of unknown schemes",
            config.users_file.display()
        );
    }
}

fn open_oauth(config: &Config) -> anyhow::Result<Option<Arc<OAuth>>> {
    let opened = config.oauth.as_ref().map(OAuth::new).transpose();
    Ok(opened.context("oauth")?.map(Arc::new))
}

/// How many iterations an invented user's keys have: as many as some user's keys, of
/// which there are these counts.
fn invented_iterations(counts: &[u32], of_name: [u8; 32]) -> u32 {
    let chosen = usize::from(u16::from_le_bytes([of_name[0], of_name[1]]));
    let chosen = chosen.checked_rem(counts.len());
    let count = chosen.and_then(|place| counts.get(place));
    count.copied().unwrap_or(scram::ITERATIONS)
}

impl Accounts {
    /// Reads the users file and what access tokens are verified with.
    ///
    /// # Errors
    /// When one cannot be read; the text says where and what to do.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        let users = admissible(Users::load(&config.users_file)?, config)?;
        tell_unknown_passwords(&users, config);
        Ok(Self {
            users: RwLock::new(Arc::new(users)),
            oauth: RwLock::new(open_oauth(config)?),
            open: DashMap::new(),
            retention: retention::Retention::default(),
            search_texts: Arc::new(store::SearchTexts::new(config.keep_search_texts.into())),
            kept_open: Arc::default(),
            visits: DashMap::new(),
            cache: Cache::new(key),
            workers: Semaphore::new(std::thread::available_parallelism().map_or(2, usize::from)),
            waiting: Semaphore::new(WAITING),
            tokens: Semaphore::new(WAITING),
            dummy: password::hash(b"a password nobody has")?,
            key,
            changes: watch::Sender::new(()),
        })
    }

    /// Reads them again, as this configuration would have them.
    ///
    /// # Errors
    /// As [`Accounts::open`].
    pub fn read(&self, config: &Config) -> anyhow::Result<Reading> {
        let again = Users::load_again(&config.users_file)?;
        Ok(Reading {
            users: Arc::new(admissible(again, config)?),
            oauth: self.reopened_oauth(config)?,
        })
    }

    /// Has in force what was read with this configuration. Users bring with them where
    /// their mail is: in no moment is one looked for where another's is.
    pub fn adopt(&self, Reading { users, oauth }: Reading, config: &Config) {
        tell_unknown_passwords(&users, config);
        let are_others = *self.users.read() != users;
        *self.users.write() = users;
        *self.oauth.write() = oauth;
        let keep = config.keep_search_texts.into();
        if self.search_texts.keep() != keep {
            self.search_texts.set_keep(keep);
            let shown = config.keep_search_texts.as_str();
            match keep {
                store::KeepTexts::Never => tracing::info!(
                    "keep_search_texts is {shown}: no texts are kept any more; pillarbox.texts may be removed while the server is stopped"
                ),
                store::KeepTexts::Searched | store::KeepTexts::Always => tracing::info!(
                    "keep_search_texts is {shown}: for each mailbox from when it is searched or opened next"
                ),
            }
        }
        self.cache.clear();
        if are_others {
            self.changes.send_replace(());
        }
    }

    /// Reads users again, and what access tokens are verified with; on an error the old
    /// ones stay.
    ///
    /// # Errors
    /// As [`Accounts::open`].
    pub fn reload(&self, config: &Config) -> anyhow::Result<()> {
        self.adopt(self.read(config)?, config);
        Ok(())
    }

    /// What verifies tokens from now on. Keys that were fetched are kept.
    fn reopened_oauth(&self, config: &Config) -> anyhow::Result<Option<Arc<OAuth>>> {
        let before = self.oauth.read().clone();
        let is_as_before = |before: &Arc<OAuth>| {
            let settings = before.settings();
            config.oauth.as_ref() == Some(settings) && settings.reads_no_file()
        };
        match before.filter(is_as_before) {
            Some(before) => Ok(Some(before)),
            None => open_oauth(config),
        }
    }

    /// Finds a user by the name the users file has.
    fn find(&self, name: &str) -> Option<User> {
        self.users.read().find(name).cloned()
    }

    /// Finds whom a typed name means.
    fn find_typed(&self, name: &str) -> Option<User> {
        let name = prepared::name(name)?;
        users::is_valid_name(&name)
            .then(|| self.users.read().find_typed(&name).cloned())
            .flatten()
    }

    /// Finds who may log in from an address, by a typed name.
    fn find_admitted(&self, name: &str, peer: IpAddr) -> Option<User> {
        let user = self.find_typed(name)?;
        user.access.bar(peer).is_none().then_some(user)
    }

    /// Why somebody of this typed name was not let in, for the log alone: clients are told
    /// the same in each case.
    pub fn why_refused(&self, name: &str, peer: IpAddr) -> &'static str {
        match self.find_typed(name) {
            None => "no such user",
            Some(user) => user.access.bar(peer).unwrap_or("wrong password"),
        }
    }

    /// Told when users, devices or passwords are others than before.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Whether somebody who logged in still could, with the same password.
    pub fn admits(&self, entrant: &Entrant, peer: IpAddr) -> bool {
        let user = self.find(&entrant.user);
        let Some(user) = user.filter(|user| user.access.bar(peer).is_none()) else {
            return false;
        };
        entrant.mark.is_none_or(|mark| {
            let now = Entrant::new(&user, entrant.device.clone());
            now.mark == Some(mark)
        })
    }

    /// Checks a password: one of the user's or of a device of theirs. Who may not log in
    /// from there is as unknown.
    ///
    /// # Errors
    /// `BadCredentials` for an unknown user and a wrong password alike, after the
    /// same work; `Unavailable` when too many are waiting.
    pub async fn verify(
        self: &Arc<Self>,
        name: &str,
        password: Secret,
        peer: IpAddr,
    ) -> Result<Entrant, Denial> {
        let octets = password.expose();
        if octets.is_empty() || octets.len() > PASSWORD_OCTETS || octets.contains(&0) {
            return Err(Denial::BadCredentials);
        }
        let generation = self.cache.generation();
        let user = self.find_admitted(name, peer);
        if let Some(user) = &user
            && let Some(known) = self.cache.find(&user.name, octets)
        {
            let entrant = Entrant::new(user, known.device);
            // Between the reading of new users and the forgetting of old passwords one that
            // was changed is known still.
            if entrant.mark == Some(known.mark) {
                return Ok(entrant);
            }
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
        let mut passwords = user.as_ref().map_or_else(Vec::new, User::passwords);
        // What cannot be verified takes no time.
        passwords.retain(|password| password::may_let_in(&password.hash));
        let padding = self.padding(passwords.len());
        // What was hashed before passwords were prepared is found as it was typed.
        let prepared = prepared::password(octets).ok_or(Denial::BadCredentials)?;
        let mut checked = vec![Secret::new(prepared.into_owned())];
        if checked.iter().any(|prepared| prepared.expose() != octets) {
            checked.push(password.clone());
        }
        let found = tokio::task::spawn_blocking(move || {
            let verify = |hash: &String| {
                let mut forms = checked.iter();
                forms.any(|form| password::verify(form.expose(), hash))
            };
            // A failure costs the same whoever the user is, or is not.
            let mut passwords = passwords.into_iter();
            let found = passwords.find(|password| verify(&password.hash));
            if found.is_none() {
                padding.iter().for_each(|hash| {
                    std::hint::black_box(verify(hash));
                });
            }
            found
        });
        let found = found.await.map_err(|_| Denial::Unavailable)?;
        match user.zip(found) {
            Some((user, found)) => {
                let mark = found.mark();
                let device = found.device;
                let known = Known {
                    device: device.clone(),
                    mark,
                };
                self.cache.keep(generation, &user.name, octets, known);
                Ok(Entrant {
                    user: user.name,
                    device,
                    mark: Some(mark),
                })
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

    /// The mechanisms that can be offered, were the connection what they ask for.
    pub fn mechanisms(&self) -> Mechanisms {
        let users = self.users.read();
        let with_keys = Digest::ALL
            .into_iter()
            .filter(|digest| users.have_keys(*digest));
        let mechanisms = with_keys.fold(Mechanisms::PASSWORDS, |mechanisms, digest| {
            mechanisms
                .with(Mechanism::Scram(digest))
                .with(Mechanism::ScramPlus(digest))
        });
        // Offered to clients whose certificate names a user.
        let mechanisms = mechanisms.with(Mechanism::External);
        match &*self.oauth.read() {
            Some(_) => mechanisms
                .with(Mechanism::OAuthBearer)
                .with(Mechanism::XOAuth2),
            None => mechanisms,
        }
    }

    /// Checks an access token: it must be of the user who logs in, and of one there is.
    ///
    /// # Errors
    /// Why nobody is let in, and what is to be told of it.
    pub async fn check_token(&self, bearer: &Bearer, peer: IpAddr) -> Result<Entrant, Refusal> {
        let Some(oauth) = self.oauth.read().clone() else {
            return Err(Denial::Unavailable.into());
        };
        let _place = self.tokens.try_acquire().map_err(|_| Denial::Unavailable)?;
        let verdict = oauth.user_of(&bearer.token).await.and_then(|named| {
            // What a token says is no matter of typing: a `sub` has a case (RFC 7519 section
            // 4.1.2).
            let user = self.find(&named).filter(|user| {
                user.access.bar(peer).is_none() && self.is_named(bearer.user.as_deref(), &user.name)
            });
            user.ok_or(oauth::Failure::Refused(oauth::jwt::Refusal::OtherUser))
        });
        match verdict {
            Ok(user) => Ok(Entrant {
                user: user.name,
                device: None,
                mark: None,
            }),
            Err(oauth::Failure::Unavailable) => Err(Denial::Unavailable.into()),
            Err(oauth::Failure::Refused(refusal)) => Err(Refusal {
                denial: Denial::BadCredentials,
                why: Some(refusal.to_string()),
                challenge: Some(oauth.told(bearer.form, refusal)),
            }),
        }
    }

    /// Whether this user is the one a client wants to act as, or it names nobody.
    fn is_named(&self, acts_as: Option<&str>, user: &str) -> bool {
        acts_as.is_none_or(|named| {
            let named = self.find_typed(named);
            named.is_some_and(|named| named.name == user)
        })
    }

    /// Lets somebody in who wants to act as somebody.
    ///
    /// # Errors
    /// `OtherIdentity` if as somebody else.
    pub fn acting(&self, entrant: Entrant, acts_as: Option<&str>) -> Result<Entrant, Refusal> {
        match self.is_named(acts_as, &entrant.user) {
            true => Ok(entrant),
            false => Err(Denial::OtherIdentity.into()),
        }
    }

    /// A user's SCRAM keys; for a user without, invented ones that are the same each
    /// time, after a restart too (RFC 5802 section 9: a stranger must not learn who
    /// exists).
    pub fn scram_keys(&self, name: &str, digest: Digest) -> ScramKeys {
        self.claim(name, digest).keys
    }

    /// As [`Accounts::scram_keys`], with whom they let in.
    pub fn claim(&self, name: &str, digest: Digest) -> Claim {
        let user = self.find_typed(name);
        let keys = user.as_ref().and_then(|user| user.scram_keys(digest));
        let pairs = keys.as_ref().map_or(&[][..], |keys| &keys.pairs[..]);
        let let_in = user.iter().flat_map(|user| {
            let devices = pairs.iter().map(|pair| pair.device.clone());
            devices.map(move |device| Entrant::new(user, device))
        });
        Claim {
            entrants: let_in.collect(),
            keys: keys.unwrap_or_else(|| self.invented_keys(name, digest)),
        }
    }

    fn invented_keys(&self, name: &str, digest: Digest) -> ScramKeys {
        let users = self.users.read();
        let key = users.secret().unwrap_or(self.key);
        // Two spellings of one name are one user, whether there is that user or not.
        let prepared = prepared::name(name);
        let name = names::folded(prepared.as_deref().unwrap_or(name));
        let invent = |what: &[u8]| -> [u8; 32] {
            let mut mac = Hmac::<Sha256>::new_from_slice(&key)
                .unwrap_or_else(|_| unreachable!("HMAC takes any key"));
            mac.update(what);
            mac.update(name.as_bytes());
            mac.finalize().into_bytes().into()
        };
        // The salt is the same for every digest, as in what `pillarbox user` writes.
        ScramKeys {
            salt: invent(b"salt")[..16].to_vec(),
            iterations: invented_iterations(&users.scram_iterations(digest), invent(b"iterations")),
            pairs: vec![ScramKeyPair {
                device: None,
                stored_key: invent(b"stored")[..digest.octets()].to_vec(),
                server_key: invent(b"server")[..digest.octets()].to_vec(),
            }],
        }
    }

    /// Lets somebody in who proved who it is; by SCRAM, with keys that let in these.
    ///
    /// # Errors
    /// `BadCredentials` where nobody of that name may log in from there, or the password or
    /// its device is not the one any more that the keys were of; `OtherIdentity` as
    /// [`Accounts::acting`].
    pub fn enter(
        &self,
        identity: &Identity,
        claimed: &[Entrant],
        peer: IpAddr,
    ) -> Result<Entrant, Refusal> {
        let refused = |why: &str| Refusal {
            why: Some(why.to_owned()),
            ..Refusal::from(Denial::BadCredentials)
        };
        let entrant = match identity.mechanism {
            Mechanism::External => {
                // A certificate is read as it is written.
                let user = self.find(&identity.user);
                let user = user.ok_or_else(|| refused("no user is called exactly that"))?;
                if let Some(bar) = user.access.bar(peer) {
                    return Err(refused(bar));
                }
                Entrant {
                    user: user.name,
                    device: None,
                    mark: None,
                }
            }
            _ => {
                let mut claimed = claimed.iter();
                let entrant = claimed.find(|entrant| entrant.device == identity.device);
                let entrant = entrant.ok_or(Denial::BadCredentials)?;
                if !self.admits(entrant, peer) {
                    return Err(match self.find_admitted(&entrant.user, peer) {
                        Some(_) => refused("the password was changed meanwhile"),
                        None => Denial::BadCredentials.into(),
                    });
                }
                entrant.clone()
            }
        };
        self.acting(entrant, identity.acts_as.as_deref())
    }

    /// The POP3 device that logged in, if its password was a device's.
    pub fn device(&self, entrant: &Entrant) -> Option<pop3d::Device> {
        let own = entrant.device.as_ref()?;
        let user = self.find(&entrant.user)?;
        let mut devices = user.devices.iter();
        let name = devices.find(|device| device.name == *own)?.ledger_name();
        let known = user
            .devices
            .iter()
            .map(users::Device::ledger_name)
            .collect();
        Some(pop3d::Device { name, known })
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

    /// Where a user's mail is.
    pub fn place(&self, name: &str) -> Option<PathBuf> {
        self.find(name)?.mail
    }

    /// Opens a user's mailboxes, or gives the ones that are open. It touches the
    /// disk.
    ///
    /// # Errors
    /// When the Maildir cannot be opened, or there is no such user any more.
    pub fn account(&self, name: &str, config: &Config) -> store::Result<Arc<store::Account>> {
        let place = self.place(name);
        let gone = || store::Error::io(format!("find {name}"), ErrorKind::NotFound.into());
        let root = place.ok_or_else(gone)?;
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
                let shared = store::Shared {
                    search_texts: Some(Arc::clone(&self.search_texts)),
                    kept_open: Some(Arc::clone(&self.kept_open)),
                };
                let account = store::Account::open_with(entry.key(), layout, shared)?;
                account.make_default_mailboxes()?;
                entry.insert(Arc::clone(&account));
                Ok(account)
            }
        }
    }
}

#[cfg(test)]
#[path = "accounts_tests.rs"]
mod tests;
