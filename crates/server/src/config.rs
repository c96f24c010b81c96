//! `pillarbox.yaml`: what the server is to do.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The whole configuration. Every key has a default but the listeners' own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen.
    pub listeners: Vec<Listener>,
    /// Certificates.
    pub tls: Tls,
    /// Where a user's Maildir is: `%u` the user's name, `%n` the part before
    /// `@`, `%d` the part after it.
    pub mail_root: String,
    /// Who may log in.
    pub users_file: PathBuf,
    /// How mailbox names are shown.
    pub layout: Layout,
    /// What POP3 may do.
    pub pop3: Pop3,
    /// Bounds.
    pub limits: Limits,
    /// Where passwords are taken without TLS.
    pub plaintext_login: Plaintext,
    /// Whom to become after binding, when started as root.
    pub run_as_user: Option<String>,
}

/// One address and what is spoken there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// `imap` or `pop3`.
    pub protocol: Protocol,
    /// `implicit` (993, 995), `starttls` (143, 110) or `none`.
    pub tls: TlsMode,
    /// An address and port, IPv6 in brackets.
    pub address: SocketAddr,
    /// Networks whose connections begin with a PROXY header (v1 or v2).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proxy_from: Vec<String>,
}

/// What is spoken at a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// RFC 3501.
    Imap,
    /// RFC 1939.
    Pop3,
}

/// How TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// With the first octet (RFC 8314).
    Implicit,
    /// By command.
    StartTls,
    /// Not at all.
    None,
}

/// Certificates, the first for clients that name no host or an unknown one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Each with its key.
    pub certificates: Vec<CertificateFiles>,
}

/// A certificate chain and its key, both PEM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// The chain, the server's own first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How mailbox names are shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Layout {
    /// The hierarchy delimiter, `/` or `.`.
    pub delimiter: char,
    /// Before every name but INBOX: empty, or `INBOX.` as Courier has it.
    pub prefix: String,
}

/// What POP3 may do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pop3 {
    /// What becomes of deleted messages at QUIT.
    pub delete: Pop3Delete,
    /// Whether RETR sets `\Seen`.
    pub mark_seen: bool,
    /// Whether one session at a time has the maildrop (RFC 1939 section 4).
    pub exclusive: bool,
}

/// What becomes of deleted messages at QUIT.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pop3Delete {
    /// They are removed.
    #[default]
    Expunge,
    /// They are moved to the Trash mailbox.
    Trash,
    /// They are gone for POP3 and stay for IMAP.
    Hide,
}

/// Bounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// Connections from one address (IPv6: one /64).
    pub connections_per_address: usize,
    /// Sessions of one user.
    pub connections_per_user: usize,
    /// Seconds a client has to log in.
    pub login_seconds: u64,
    /// Seconds an IMAP session may be silent.
    pub imap_idle_seconds: u64,
    /// Seconds a POP3 session may be silent.
    pub pop3_idle_seconds: u64,
    /// The biggest message APPEND takes, in octets.
    pub append_octets: u64,
    /// Seconds a failed login waits at first.
    pub failed_login_delay_seconds: u64,
}

/// Where passwords are taken without TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Plaintext {
    /// Nowhere.
    Never,
    /// From this machine.
    #[default]
    Loopback,
    /// Anywhere.
    Always,
}

impl Default for Config {
    fn default() -> Self {
        let listener = |protocol, tls, address: [u8; 4], port| Listener {
            protocol,
            tls,
            address: SocketAddr::from((address, port)),
            proxy_from: Vec::new(),
        };
        let any = [0, 0, 0, 0];
        Self {
            listeners: vec![
                listener(Protocol::Imap, TlsMode::Implicit, any, 993),
                listener(Protocol::Imap, TlsMode::StartTls, any, 143),
                listener(Protocol::Pop3, TlsMode::Implicit, any, 995),
                listener(Protocol::Pop3, TlsMode::StartTls, any, 110),
            ],
            tls: Tls::default(),
            mail_root: "/var/mail/pillarbox/%u/Maildir".into(),
            users_file: "/etc/pillarbox/users.yaml".into(),
            layout: Layout::default(),
            pop3: Pop3::default(),
            limits: Limits::default(),
            plaintext_login: Plaintext::default(),
            run_as_user: None,
        }
    }
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            delimiter: '/',
            prefix: String::new(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 2_000,
            connections_per_address: 100,
            connections_per_user: 50,
            login_seconds: 120,
            imap_idle_seconds: 1_800,
            pop3_idle_seconds: 600,
            append_octets: 50 << 20,
            failed_login_delay_seconds: 2,
        }
    }
}

/// One mistake in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 where it is no line's fault.
    pub line: usize,
    /// What is wrong and what to do.
    pub text: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "{}: {}", self.file.display(), self.text),
            line => write!(formatter, "{}:{line}: {}", self.file.display(), self.text),
        }
    }
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// All mistakes that were found. Where the file is no YAML of the right
    /// shape, the first of them.
    pub fn load(file: &Path) -> Result<Self, Vec<ConfigError>> {
        let one = |line, text: String| {
            vec![ConfigError {
                file: file.to_owned(),
                line,
                text,
            }]
        };
        let text = std::fs::read_to_string(file).map_err(|error| {
            one(
                0,
                format!(
                    "cannot be read ({error}); name another with --config, or try `pillarbox demo`"
                ),
            )
        })?;
        let config = if text
            .lines()
            .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
        {
            Self::default()
        } else {
            serde_yaml::from_str(&text).map_err(|error| {
                let line = error.location().map_or(0, |location| location.line());
                one(
                    line,
                    format!("{error}; `pillarbox config show` prints every key"),
                )
            })?
        };
        let errors: Vec<_> = config
            .mistakes()
            .into_iter()
            .map(|(key, mistake)| ConfigError {
                file: file.to_owned(),
                line: line_of(key, &text),
                text: format!("{key}: {mistake}"),
            })
            .collect();
        if errors.is_empty() {
            Ok(config)
        } else {
            Err(errors)
        }
    }

    /// What is wrong, each with the key it is said under.
    fn mistakes(&self) -> Vec<(&'static str, String)> {
        let mut mistakes = Vec::new();
        if self.listeners.is_empty() {
            mistakes.push((
                "listeners",
                "no listener; name at least one protocol, tls and address".to_owned(),
            ));
        }
        for (place, listener) in self.listeners.iter().enumerate() {
            if self.listeners[..place]
                .iter()
                .any(|other| other.address == listener.address && listener.address.port() != 0)
            {
                mistakes.push((
                    "listeners",
                    format!("{} is listed twice; remove one", listener.address),
                ));
            }
            if listener.tls != TlsMode::None && self.tls.certificates.is_empty() {
                mistakes.push(("tls", format!("{} wants TLS but there is no certificate; add tls.certificates, or set its tls to none", listener.address)));
            }
            for network in &listener.proxy_from {
                if crate::proxy::Network::parse(network).is_none() {
                    mistakes.push((
                        "proxy_from",
                        format!("{network:?} is no network; write it like 10.0.0.0/8 or ::1/128"),
                    ));
                }
            }
        }
        for files in &self.tls.certificates {
            for path in [&files.certificate, &files.key] {
                if let Err(error) = std::fs::File::open(path) {
                    mistakes.push((
                        "certificates",
                        format!(
                            "{} cannot be read ({error}); check the path and its permissions",
                            path.display()
                        ),
                    ));
                }
            }
        }
        if !self.mail_root.contains("%u") && !self.mail_root.contains("%n") {
            mistakes.push((
                "mail_root",
                "has no %u or %n, so all users would share one Maildir; put the user's name in"
                    .to_owned(),
            ));
        }
        if !Path::new(&self.mail_root).is_absolute() {
            mistakes.push((
                "mail_root",
                "is no absolute path; begin it with /".to_owned(),
            ));
        }
        if !matches!(self.layout.delimiter, '/' | '.') {
            mistakes.push((
                "delimiter",
                format!(
                    "{:?} cannot be the hierarchy delimiter; use / or .",
                    self.layout.delimiter
                ),
            ));
        }
        if !self.layout.prefix.is_empty()
            && self.layout.prefix != format!("INBOX{}", self.layout.delimiter)
        {
            mistakes.push((
                "prefix",
                "must be empty or INBOX and the delimiter".to_owned(),
            ));
        }
        if self.limits.imap_idle_seconds < 1_800 {
            mistakes.push((
                "imap_idle_seconds",
                "is below the 1800 that RFC 3501 section 5.4 asks for".to_owned(),
            ));
        }
        if self.limits.pop3_idle_seconds < 600 {
            mistakes.push((
                "pop3_idle_seconds",
                "is below the 600 that RFC 1939 section 3 asks for".to_owned(),
            ));
        }
        for (key, value) in [
            ("connections", self.limits.connections),
            (
                "connections_per_address",
                self.limits.connections_per_address,
            ),
            ("connections_per_user", self.limits.connections_per_user),
        ] {
            if value == 0 {
                mistakes.push((key, "is 0, so nobody could connect".to_owned()));
            }
        }
        mistakes
    }

    /// The policy POP3 sessions get.
    pub fn pop3_policy(&self) -> pop3d::Policy {
        pop3d::Policy {
            delete: match self.pop3.delete {
                Pop3Delete::Expunge => pop3d::DeletePolicy::Expunge,
                Pop3Delete::Trash => pop3d::DeletePolicy::Trash,
                Pop3Delete::Hide => pop3d::DeletePolicy::Hide,
            },
            mark_seen: if self.pop3.mark_seen {
                pop3d::SeenPolicy::Mark
            } else {
                pop3d::SeenPolicy::Keep
            },
            access: if self.pop3.exclusive {
                pop3d::Access::Exclusive
            } else {
                pop3d::Access::Shared
            },
            expire_days: None,
        }
    }

    /// The Maildir of a user whose name was validated.
    pub fn maildir(&self, user: &str) -> PathBuf {
        let (local, domain) = user.split_once('@').unwrap_or((user, ""));
        let mut path = String::new();
        let mut characters = self.mail_root.chars();
        while let Some(character) = characters.next() {
            match (character, character == '%') {
                (_, false) => path.push(character),
                _ => match characters.next() {
                    Some('u') => path.push_str(user),
                    Some('n') => path.push_str(local),
                    Some('d') => path.push_str(domain),
                    Some(other) => path.extend(['%', other]),
                    None => path.push('%'),
                },
            }
        }
        path.into()
    }
}

/// The line a key stands on; 0 where the file leaves it to the default.
fn line_of(key: &str, text: &str) -> usize {
    let stands = |line: &str| {
        line.trim_start()
            .trim_start_matches("- ")
            .strip_prefix(key)
            .is_some_and(|rest| rest.starts_with(':'))
    };
    text.lines().position(stands).map_or(0, |line| line + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, Vec<ConfigError>> {
        let directory = tempfile::tempdir().expect("directory");
        let file = directory.path().join("pillarbox.yaml");
        std::fs::write(&file, text).expect("write");
        Config::load(&file)
    }

    #[test]
    fn the_shipped_file_says_the_defaults() {
        let text = include_str!("../../../config/pillarbox.yaml");
        let uncommented: String = text
            .lines()
            .filter_map(|line| {
                line.strip_prefix("#: ")
                    .or((!line.starts_with('#')).then_some(line))
            })
            .map(|line| format!("{line}\n"))
            .collect();
        let config: Config =
            serde_yaml::from_str(&uncommented).expect("the shipped configuration parses");
        assert_eq!(config, Config::default());
    }

    #[test]
    fn all_mistakes_are_reported_at_once_with_their_lines() {
        let errors = load("mail_root: relative\nlisteners: []\nlimits:\n  pop3_idle_seconds: 5\n")
            .expect_err("mistakes");
        let lines: Vec<_> = errors.iter().map(|error| error.line).collect();
        assert_eq!(lines, [2, 1, 1, 4], "{errors:?}");
        let errors = load("nonsense: 1\n").expect_err("unknown key");
        assert!(errors[0].text.contains("nonsense"), "{errors:?}");
    }

    #[test]
    fn a_users_name_goes_into_the_mail_root() {
        let config = Config {
            mail_root: "/m/%d/%n/%u/%%".into(),
            ..Config::default()
        };
        assert_eq!(config.maildir("a@b"), Path::new("/m/b/a/a@b/%%"));
    }
}
