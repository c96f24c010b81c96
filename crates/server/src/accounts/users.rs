//! The users file: our own YAML, or a Dovecot passwd-file as it is.

use super::access::Access;
use super::{passwd_file, password, prepared, scram, yaml_file};
use crate::config::Config;
use crate::files;
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use wire::sasl::{Digest as ScramDigest, ScramKeyPair, ScramKeys};

/// So many of a kind are told at a time.
pub const TOLD: usize = 5;

/// One user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// What is typed at login.
    pub name: String,
    /// The hash of the password.
    pub password: String,
    /// SCRAM-SHA-256 keys: iterations, salt, stored key and server key, in base64
    /// but the first, with commas between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scram: Option<String>,
    /// The same for SCRAM-SHA-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scram_sha_1: Option<String>,
    /// The user's Maildir where it is not at `mail_root`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<PathBuf>,
    /// Passwords of single devices, each of which can be taken back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// From where the user may log in, as a passwd-file says.
    #[serde(skip)]
    pub access: Access,
}

/// What is wrong in a users file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1; 0 where it is no line's fault.
    pub line: usize,
    /// What is wrong and what to do.
    pub text: String,
}

/// A device's own password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// What it is called.
    pub name: String,
    /// The hash of its password.
    pub password: String,
    /// Its stored key and server key for SCRAM-SHA-256 under the user's salt and
    /// iteration count, in base64 with a comma between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scram: Option<String>,
    /// The same for SCRAM-SHA-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scram_sha_1: Option<String>,
    /// Which POP3 ledger is its own: a new one for each device that is added, also where
    /// there was one of its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<String>,
}

/// A password of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Password {
    /// Its hash.
    pub hash: String,
    /// The device whose it is; none for the user's own.
    pub device: Option<String>,
    /// The name of the device's POP3 ledger.
    pub ledger: Option<String>,
}

impl Password {
    /// What tells when it is another, or of a device that was added anew: a digest of its
    /// hash, and of the ledger's name.
    pub fn mark(&self) -> [u8; 32] {
        let mut digest = Sha256::new_with_prefix(&self.hash);
        if let Some(ledger) = &self.ledger {
            digest.update([0]);
            digest.update(ledger);
        }
        digest.finalize().into()
    }
}

/// All users.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Users {
    /// Each of them.
    #[serde(default)]
    pub users: Vec<User>,
}

/// Whether a name may be a user's: letters and digits of any script and `._@+=-`, so that
/// it can be part of a path, in the form names are compared in.
pub fn is_valid_name(name: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || "._@+=-".contains(c);
    let is_prepared = || prepared::name(name).is_some_and(|prepared| prepared == name);
    !name.is_empty()
        && name.len() <= 128
        && name.chars().all(allowed)
        && !name.starts_with('.')
        && !name.contains("..")
        && !name.contains("@.")
        && is_prepared()
}

impl User {
    /// A user with this password.
    ///
    /// # Errors
    /// When the name cannot be a user's, or there is no randomness.
    pub fn new(name: &str, plain: &[u8]) -> anyhow::Result<Self> {
        if !is_valid_name(name) {
            bail!("{}", bad_name(name));
        }
        let mut user = Self {
            name: name.to_owned(),
            password: String::new(),
            scram: None,
            scram_sha_1: None,
            mail: None,
            devices: Vec::new(),
            access: Access::default(),
        };
        user.set_password(plain)?;
        Ok(user)
    }

    /// Where the user's Maildir is.
    pub fn maildir(&self, config: &Config) -> PathBuf {
        let own = self.mail.clone();
        own.unwrap_or_else(|| config.maildir(&self.name))
    }

    /// Sets the password. The salt stays, as the keys of devices are under it.
    ///
    /// # Errors
    /// When it cannot be a password or there is no randomness.
    pub fn set_password(&mut self, plain: &[u8]) -> anyhow::Result<()> {
        let plain = &check_password(plain)?[..];
        self.refuse_known(plain, |password| password.device.is_some())?;
        let mut fresh = vec![0; 16];
        getrandom::fill(&mut fresh)?;
        for digest in ScramDigest::ALL {
            let (iterations, salt) = match self.salt(digest) {
                Some(kept) if !self.devices.is_empty() => kept,
                _ => {
                    let devices = self.devices.iter_mut();
                    devices.for_each(|device| *device.keys_mut(digest) = None);
                    (scram::ITERATIONS, fresh.clone())
                }
            };
            let pair = ScramKeyPair::derive(digest, plain, &salt, iterations);
            let keys = Some(scram::show(iterations, &salt, &pair));
            match digest {
                ScramDigest::Sha256 => self.scram = keys,
                ScramDigest::Sha1 => self.scram_sha_1 = keys,
            }
        }
        self.password = password::hash(plain)?;
        Ok(())
    }

    /// Adds a device with a password of its own.
    ///
    /// # Errors
    /// When it cannot be a password or there is no randomness.
    pub fn add_device(&mut self, name: &str, plain: &[u8]) -> anyhow::Result<()> {
        let plain = &check_password(plain)?[..];
        self.refuse_known(plain, |_| true)?;
        let mut ledger = [0; 4];
        getrandom::fill(&mut ledger)?;
        let mut device = Device {
            name: name.to_owned(),
            password: password::hash(plain)?,
            scram: None,
            scram_sha_1: None,
            ledger: Some(format!("{:08x}", u32::from_be_bytes(ledger))),
        };
        for digest in ScramDigest::ALL {
            *device.keys_mut(digest) = self.salt(digest).map(|(iterations, salt)| {
                let pair = ScramKeyPair::derive(digest, plain, &salt, iterations);
                scram::show_pair(&pair)
            });
        }
        self.devices.push(device);
        Ok(())
    }

    /// Refuses a password that is one of these already: it would not tell whose it is.
    fn refuse_known(&self, plain: &[u8], of: impl Fn(&Password) -> bool) -> anyhow::Result<()> {
        let passwords = self.passwords().into_iter().filter(of);
        let mut same = passwords.filter(|known| password::verify(plain, &known.hash));
        match same.next().map(|known| known.device) {
            None => Ok(()),
            Some(None) => bail!(
                "that is {}'s own password, with which the device could not be told apart; take another",
                self.name
            ),
            Some(Some(device)) => bail!(
                "{}'s device {device} has that password already; take another",
                self.name
            ),
        }
    }

    /// The passwords any of which lets the user in, the user's own first.
    pub fn passwords(&self) -> Vec<Password> {
        let own = Password {
            hash: self.password.clone(),
            device: None,
            ledger: None,
        };
        let devices = self.devices.iter().map(|device| Password {
            hash: device.password.clone(),
            device: Some(device.name.clone()),
            ledger: Some(device.ledger_name()),
        });
        std::iter::once(own).chain(devices).collect()
    }

    /// The SCRAM keys of the user's own password.
    fn own_keys(&self, digest: ScramDigest) -> Option<ScramKeys> {
        let beside = match digest {
            ScramDigest::Sha256 => &self.scram,
            ScramDigest::Sha1 => &self.scram_sha_1,
        };
        let text = scram::of_password(&self.password, digest).or(beside.as_deref())?;
        scram::read(digest, text)
    }

    /// The iteration count and salt of the SCRAM keys.
    fn salt(&self, digest: ScramDigest) -> Option<(u32, Vec<u8>)> {
        let keys = self.own_keys(digest)?;
        Some((keys.iterations, keys.salt))
    }

    /// The SCRAM keys, if there are any: of the password and of the devices that have
    /// some.
    pub fn scram_keys(&self, digest: ScramDigest) -> Option<ScramKeys> {
        let mut keys = self.own_keys(digest)?;
        keys.pairs.extend(self.devices.iter().filter_map(|device| {
            let mut pair = scram::read_pair(digest, device.keys(digest)?)?;
            pair.device = Some(device.name.clone());
            Some(pair)
        }));
        Some(keys)
    }

    /// Whether SCRAM can be used with each of the user's passwords.
    pub fn has_scram(&self) -> bool {
        ScramDigest::ALL
            .into_iter()
            .all(|digest| self.has_all_keys(digest))
    }

    /// Whether each of the user's passwords can be used with SCRAM, or none lets
    /// anybody in.
    fn has_all_keys(&self, digest: ScramDigest) -> bool {
        let keys = self.scram_keys(digest).map_or(0, |keys| keys.pairs.len());
        let passwords = self.passwords();
        keys == passwords.len()
            || self.access.shut
            || passwords
                .iter()
                .all(|password| !password::may_let_in(&password.hash))
    }

    /// Whether any of the user's passwords could let somebody in.
    pub fn may_log_in(&self) -> bool {
        let passwords = self.passwords();
        let mut hashes = passwords.iter().map(|password| &password.hash);
        !self.access.shut && hashes.any(|hash| password::may_let_in(hash))
    }
}

impl Device {
    /// The name its POP3 ledger is kept under.
    pub fn ledger_name(&self) -> String {
        match &self.ledger {
            Some(ledger) => format!("{} {ledger}", self.name),
            None => self.name.clone(),
        }
    }

    fn keys(&self, digest: ScramDigest) -> Option<&str> {
        match digest {
            ScramDigest::Sha256 => self.scram.as_deref(),
            ScramDigest::Sha1 => self.scram_sha_1.as_deref(),
        }
    }

    fn keys_mut(&mut self, digest: ScramDigest) -> &mut Option<String> {
        match digest {
            ScramDigest::Sha256 => &mut self.scram,
            ScramDigest::Sha1 => &mut self.scram_sha_1,
        }
    }
}

/// Gives a password as it is hashed.
fn check_password(plain: &[u8]) -> anyhow::Result<Cow<'_, [u8]>> {
    if plain.is_empty() || plain.len() > 1024 || plain.contains(&0) {
        bail!("a password has 1 to 1024 octets and no NUL; nothing was changed");
    }
    // RFC 6856 section 2.2, RFC 4616 section 2: such a password could not be used.
    if std::str::from_utf8(plain).is_err() {
        bail!(
            "the password is not in UTF-8, as mail programs send it; set the terminal to UTF-8. Nothing was changed"
        );
    }
    prepared::password(plain)
        .context("the password holds a character that none may (RFC 4013); nothing was changed")
}

fn is_yaml(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// What is wrong with a user who could be read.
fn mistakes_of(user: &User) -> Vec<String> {
    let mut mistakes = Vec::new();
    if !is_valid_name(&user.name) {
        mistakes.push(bad_name(&user.name));
    }
    if let Some(mail) = user.mail.as_ref().filter(|mail| !mail.is_absolute()) {
        mistakes.push(format!(
            "the mail of {} is at {}, which is no absolute path; begin it with /",
            user.name,
            mail.display()
        ));
    }
    mistakes
}

/// The passwords of a user that are of no known scheme, with a remedy: whatever is typed,
/// they let nobody in.
fn unknown_passwords(user: &User, is_yaml: bool) -> Vec<String> {
    let passwords = user.passwords().into_iter();
    let unknown = passwords.filter(|password| !password::is_known(&password.hash));
    let told = unknown.map(|password| {
        let whose = match &password.device {
            Some(device) => format!("{}'s device {device}", user.name),
            None => user.name.clone(),
        };
        let remedy = match (is_yaml, &password.device) {
            (true, None) => format!("set it with `pillarbox user passwd {}`", user.name),
            (true, Some(device)) => format!(
                "`pillarbox user device remove {0} {device}`, then `device add {0} {device}`",
                user.name
            ),
            (false, _) => "set it anew with `doveadm pw -s SHA512-CRYPT`".to_owned(),
        };
        let what = match password::scheme(&password.hash) {
            Some(scheme) => format!("has the scheme {scheme}, which is not known"),
            None => "is no hash of a known form".to_owned(),
        };
        format!("the password of {whose} {what}, and lets nobody in; {remedy}")
    });
    told.collect()
}

fn bad_name(name: &str) -> String {
    format!(
        "{name:?} cannot be a user's name: use letters, digits and . _ @ + = -, and begin neither it nor what follows @ with a dot"
    )
}

impl Users {
    /// Reads a users file.
    ///
    /// # Errors
    /// When it cannot be read, and all its mistakes, each with its line.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        Self::of_text(path, &Self::text(path)?)
    }

    /// As [`Users::load`], of a file that was read before: whoever writes it in place may
    /// not be ready. A part of the users is a list of users, too, and a part of a line lets
    /// in whom the rest of it keeps out.
    ///
    /// # Errors
    /// As [`Users::load`], and where the file has no content or its last line no end.
    pub fn load_again(path: &Path) -> anyhow::Result<Self> {
        let text = Self::text(path)?;
        if text.trim().is_empty() {
            bail!(
                "{}: is empty, as while it is being written; where there are to be no users, say so in a line that begins with #",
                path.display()
            );
        }
        if !text.ends_with('\n') {
            bail!(
                "{}: the last line has no end, as while it is being written; put a line break there",
                path.display()
            );
        }
        Self::of_text(path, &text)
    }

    fn text(path: &Path) -> anyhow::Result<String> {
        std::fs::read_to_string(path).map_err(|error| {
            let remedy = match error.kind() {
                std::io::ErrorKind::PermissionDenied => {
                    "let the user the server runs as read it: chgrp GROUP and chmod 640, or chown"
                        .to_owned()
                }
                std::io::ErrorKind::InvalidData => "it is to be text in UTF-8".to_owned(),
                _ => format!(
                    "make one with `pillarbox user add NAME --users {}`",
                    path.display()
                ),
            };
            anyhow::anyhow!("{}: cannot be read ({error}); {remedy}", path.display())
        })
    }

    fn of_text(path: &Path, text: &str) -> anyhow::Result<Self> {
        let (users, mut mistakes) = Self::parse(text, is_yaml(path));
        if mistakes.is_empty() {
            return Ok(Self { users });
        }
        mistakes.sort_by_key(|mistake| mistake.line);
        let lines = mistakes.iter().map(|mistake| match mistake.line {
            0 => format!("{}: {}", path.display(), mistake.text),
            line => format!("{}:{line}: {}", path.display(), mistake.text),
        });
        bail!("{}", lines.collect::<Vec<_>>().join("\n"))
    }

    fn parse(text: &str, is_yaml: bool) -> (Vec<User>, Vec<Mistake>) {
        let is_void = |line: &str| line.trim().is_empty() || line.starts_with('#');
        if text.lines().all(is_void) {
            return (Vec::new(), Vec::new());
        }
        let first = text.lines().find(|line| !is_void(line)).unwrap_or_default();
        if !is_yaml && matches!(first.trim_end(), "---" | "users:" | "users: []") {
            let text = "looks like our own list of users, not like a passwd-file; give it a name that ends in .yaml";
            let text = text.to_owned();
            return (Vec::new(), vec![Mistake { line: 0, text }]);
        }
        let (users, mut mistakes) = match is_yaml {
            true => yaml_file::read(text),
            false => passwd_file::read(text),
        };
        let mut first_lines = HashMap::new();
        for (line, user) in &users {
            let line = *line;
            let found = mistakes_of(user);
            mistakes.extend(found.into_iter().map(|text| Mistake { line, text }));
            if let Some(first) = first_lines.insert(&user.name, line) {
                let text = match first {
                    0 => format!("user {} is listed twice; remove one", user.name),
                    _ => format!("user {} is in line {first} already; remove one", user.name),
                };
                mistakes.push(Mistake { line, text });
            }
        }
        (users.into_iter().map(|(_, user)| user).collect(), mistakes)
    }

    /// The passwords that let nobody in as they are of no known scheme, with remedies.
    pub fn unknown_passwords(&self, path: &Path) -> Vec<String> {
        let users = self.users.iter();
        users
            .flat_map(|user| unknown_passwords(user, is_yaml(path)))
            .collect()
    }

    /// Writes the file; a new one is readable by its owner only.
    ///
    /// # Errors
    /// When it is a passwd-file, which stays Dovecot's, or cannot be written.
    pub fn save(&self, path: &Path) -> anyhow::Result<()> {
        if !is_yaml(path) {
            bail!(
                "{} is a Dovecot passwd-file, which is only read; change it with Dovecot's tools or name a .yaml file",
                path.display()
            );
        }
        let text = serde_yaml::to_string(self)?;
        files::replace_private(path, text.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Whether SCRAM can be offered: clients that see it use it, so each password of
    /// each user needs keys. Those from other servers have none until they are set
    /// with `pillarbox user passwd`.
    pub fn have_keys(&self, digest: ScramDigest) -> bool {
        self.users.iter().all(|user| user.has_all_keys(digest))
    }

    /// How many iterations users' SCRAM keys have: each count once, in order.
    pub fn scram_iterations(&self, digest: ScramDigest) -> Vec<u32> {
        let keys = self.users.iter().filter_map(|user| user.own_keys(digest));
        let counts: std::collections::BTreeSet<u32> = keys.map(|keys| keys.iterations).collect();
        counts.into_iter().collect()
    }

    /// What strangers do not know and restarts do not change: a digest of the salted
    /// hash of the user who is first by name. None where no user has one.
    pub fn secret(&self) -> Option<[u8; 32]> {
        let salted = self
            .users
            .iter()
            .filter(|user| password::is_salted(&user.password));
        let first = salted.min_by_key(|user| &user.name)?;
        Some(Sha256::digest(format!("invented keys, {}", first.password)).into())
    }

    /// The hashes of the user who has most: what is verified for a user there is not,
    /// so that the time does not tell.
    pub fn longest_hashes(&self) -> Vec<String> {
        let most = self.users.iter().max_by_key(|user| user.devices.len());
        let passwords = most.map(User::passwords).unwrap_or_default();
        passwords
            .into_iter()
            .map(|password| password.hash)
            .collect()
    }

    /// Finds whom mail to an address is for: the user of that name, the one before a
    /// `+` (RFC 5233), or the one who is called like the part before `@`; each as
    /// [`Users::find_typed`] does.
    pub fn find_recipient(&self, address: &str) -> Option<&User> {
        let (local, domain) = match address.rsplit_once('@') {
            Some((local, domain)) => (local, Some(domain)),
            None => (address, None),
        };
        let base = local.split('+').next().unwrap_or(local);
        let mut names = vec![address.to_owned()];
        names.extend(domain.map(|domain| format!("{base}@{domain}")));
        names.extend([local.to_owned(), base.to_owned()]);
        names.iter().find_map(|name| self.find_typed(name))
    }

    /// Finds a user.
    pub fn find(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    /// Finds a user to change.
    pub fn find_mut(&mut self, name: &str) -> Option<&mut User> {
        self.users.iter_mut().find(|user| user.name == name)
    }
}

#[cfg(test)]
#[path = "users_tests.rs"]
mod tests;
