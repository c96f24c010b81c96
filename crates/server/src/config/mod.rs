//! `pillarbox.yaml`: what the server is to do.

mod capabilities;
mod oauth;
mod reading;

pub use oauth::{Algorithm, OAuth};
pub use reading::{ConfigError, Examined};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

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
    /// Whose access tokens are taken.
    pub oauth: Option<OAuth>,
    /// How mailbox names are shown.
    pub layout: Layout,
    /// What POP3 may do.
    pub pop3: Pop3,
    /// After how many days in a mailbox messages are expunged, by the mailbox's name.
    pub expunge_after_days: BTreeMap<String, NonZeroU32>,
    /// Of which mailboxes the text of messages is kept for searching.
    pub keep_search_texts: KeepSearchTexts,
    /// What certain clients are treated to.
    pub clients: Clients,
    /// Whether literals of any size need not wait (LITERAL+), or small ones (LITERAL-).
    pub literal_plus: bool,
    /// Capabilities that nobody gets; POP3's with `POP3:` before the name.
    pub without_capabilities: Vec<String>,
    /// Capabilities that a user does not get, by the user's name.
    pub without_capabilities_of: BTreeMap<String, Vec<String>>,
    /// What clients are told of the server.
    pub server_metadata: ServerMetadata,
    /// Bounds.
    pub limits: Limits,
    /// Where passwords are taken without TLS.
    pub plaintext_login: Plaintext,
    /// Whom to become after binding, when started as root.
    pub run_as_user: Option<String>,
    /// What is told on standard error.
    pub log: Log,
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
    /// How many connections it takes at a time; as many as all together may be if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<usize>,
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

impl Protocol {
    /// Its name, as in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
        }
    }
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
    /// Who certifies clients that log in by certificate (EXTERNAL); none may if absent.
    pub client_ca: Option<PathBuf>,
    /// What of a client's certificate is the user's name.
    pub client_user: ClientUser,
}

/// What of a client's certificate is the user's name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientUser {
    /// The common name of its subject.
    #[default]
    CommonName,
    /// The mail address among its alternative names.
    Email,
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pop3 {
    /// What becomes of deleted messages at QUIT.
    pub delete: Pop3Delete,
    /// Whether RETR sets `\Seen`.
    pub mark_seen: bool,
    /// Whether one session at a time has the maildrop (RFC 1939 section 4).
    pub exclusive: bool,
    /// Seconds between two logins of a user (RFC 2449 section 6.5); 0 is no such rule.
    pub login_delay_seconds: u64,
    /// The language `LANG *` means (RFC 6856 section 3.2).
    pub language: Language,
    /// What unique-ids are made of where none is saved: Dovecot's `pop3_uidl_format`.
    pub unique_id_format: String,
}

impl Default for Pop3 {
    fn default() -> Self {
        Self {
            delete: Pop3Delete::default(),
            mark_seen: false,
            exclusive: false,
            login_delay_seconds: 0,
            language: Language::default(),
            unique_id_format: "%08Xu%08Xv".to_owned(),
        }
    }
}

/// What certain clients are treated to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clients {
    /// At how many other sessions at work Apple Mail's downloads in the background are
    /// postponed; 0 is never.
    pub postpone_indexing_at: usize,
    /// Whether POP3 sends NUL as 0x80, as IMAP always does: Outlook takes no more of a
    /// mailbox where a message holds one.
    pub pop3_without_nul: bool,
    /// Whether APPEND takes headers that are not ASCII from clients that did not enable
    /// UTF-8 (RFC 9755 section 4 has them refused).
    pub append_8bit_headers: bool,
    /// After how many seconds of silence a client in IDLE is told that the connection
    /// stands; 0 is never.
    pub idle_note_seconds: u64,
    /// After how many seconds a client hears that its command is still under way, and again
    /// (INPROGRESS).
    pub progress_seconds: NonZeroU32,
}

impl Clients {
    /// How often the progress of a command is told.
    pub fn progress_every(&self) -> Duration {
        Duration::from_secs(self.progress_seconds.get().into())
    }
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

/// A language of POP3's replies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Language {
    /// English.
    #[default]
    #[serde(rename = "en")]
    English,
    /// Simplified Chinese.
    #[serde(rename = "zh-Hans")]
    SimplifiedChinese,
}

impl From<Language> for pop3d::Language {
    fn from(language: Language) -> Self {
        match language {
            Language::English => Self::English,
            Language::SimplifiedChinese => Self::SimplifiedChinese,
        }
    }
}

/// Of which mailboxes the text of messages is kept for searching.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeepSearchTexts {
    /// Of none: each SEARCH TEXT or BODY reads the messages.
    Never,
    /// Of those in which somebody searched for text, from then on.
    #[default]
    Searched,
    /// Of all that are opened.
    Always,
}

impl KeepSearchTexts {
    /// Its name, as in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Searched => "searched",
            Self::Always => "always",
        }
    }
}

impl From<KeepSearchTexts> for store::KeepTexts {
    fn from(keep: KeepSearchTexts) -> Self {
        match keep {
            KeepSearchTexts::Never => Self::Never,
            KeepSearchTexts::Searched => Self::Searched,
            KeepSearchTexts::Always => Self::Always,
        }
    }
}

/// What clients are told of the server (RFC 5464 section 3.2.1.1).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerMetadata {
    /// A note for everybody.
    pub comment: Option<String>,
    /// How to reach the administrator: a URI.
    pub admin: Option<String>,
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
    /// On how many messages one IMAP command works (RFC 9738, MESSAGELIMIT).
    pub messages_per_command: Option<NonZeroU32>,
    /// How many messages one COPY or APPEND stores (RFC 9738, SAVELIMIT).
    pub messages_per_save: Option<NonZeroU32>,
    /// Seconds a failed login waits at first.
    pub failed_login_delay_seconds: u64,
}

/// What is told on standard error. The variable `PILLARBOX_LOG` goes before `level`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// What is worth a line.
    pub level: LogLevel,
}

/// How lines of the log look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is worth a line of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What needs somebody to act.
    Error,
    /// And what may.
    Warn,
    /// And logins, starts and stops.
    #[default]
    Info,
    /// And every step.
    Debug,
    /// And what steps consist of.
    Trace,
}

impl LogLevel {
    /// Its name, as in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
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
        let listeners = [
            (Protocol::Imap, TlsMode::Implicit, 993),
            (Protocol::Imap, TlsMode::StartTls, 143),
            (Protocol::Pop3, TlsMode::Implicit, 995),
            (Protocol::Pop3, TlsMode::StartTls, 110),
        ];
        let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let at = |address: IpAddr| {
            listeners.map(|(protocol, tls, port)| Listener {
                protocol,
                tls,
                address: (address, port).into(),
                proxy_from: Vec::new(),
                connections: None,
            })
        };
        Self {
            listeners: any.into_iter().flat_map(at).collect(),
            tls: Tls::default(),
            mail_root: "/var/mail/pillarbox/%u/Maildir".into(),
            users_file: "/etc/pillarbox/users.yaml".into(),
            oauth: None,
            layout: Layout::default(),
            pop3: Pop3::default(),
            expunge_after_days: BTreeMap::new(),
            keep_search_texts: KeepSearchTexts::default(),
            clients: Clients::default(),
            literal_plus: false,
            without_capabilities: Vec::new(),
            without_capabilities_of: BTreeMap::new(),
            server_metadata: ServerMetadata::default(),
            limits: Limits::default(),
            plaintext_login: Plaintext::default(),
            run_as_user: None,
            log: Log::default(),
        }
    }
}

impl Default for Clients {
    fn default() -> Self {
        Self {
            postpone_indexing_at: 0,
            pop3_without_nul: false,
            append_8bit_headers: true,
            idle_note_seconds: 120,
            progress_seconds: const { NonZeroU32::new(10).unwrap() },
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
            messages_per_command: None,
            messages_per_save: None,
            failed_login_delay_seconds: 2,
        }
    }
}

impl Limits {
    /// On how many messages one IMAP command works.
    pub fn message_limit(&self) -> imapd::MessageLimit {
        match (self.messages_per_command, self.messages_per_save) {
            (Some(limit), _) => imapd::MessageLimit::EveryCommand(limit),
            (None, Some(limit)) => imapd::MessageLimit::Saves(limit),
            (None, None) => imapd::MessageLimit::None,
        }
    }
}

impl Config {
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
            nul: match self.clients.pop3_without_nul {
                true => pop3d::NulPolicy::Replace,
                false => pop3d::NulPolicy::Keep,
            },
            expire_days: self.inbox_days(),
            // A mistake in it was told when it was read.
            unique_ids: store::UniqueIdFormat::parse(&self.pop3.unique_id_format)
                .unwrap_or_default(),
        }
    }

    /// What headers IMAP clients may append that did not enable UTF-8.
    pub fn appended_headers(&self) -> imapd::AppendedHeaders {
        match self.clients.append_8bit_headers {
            true => imapd::AppendedHeaders::Any,
            false => imapd::AppendedHeaders::Ascii,
        }
    }

    /// What IMAP sessions tell of the server.
    pub fn server_metadata(&self) -> imapd::ServerMetadata {
        imapd::ServerMetadata {
            comment: self.server_metadata.comment.clone(),
            admin: self.server_metadata.admin.clone(),
        }
    }

    /// After how many days messages in INBOX are expunged.
    pub fn inbox_days(&self) -> Option<u32> {
        let mut kept = self.expunge_after_days.iter();
        let found = kept.find(|(name, _)| name.eq_ignore_ascii_case("INBOX"));
        found.map(|(_, days)| days.get())
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_shipped_file_says_the_defaults() {
        let text = include_str!("../../../../config/pillarbox.yaml");
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

    /// The example names every key, and what it leaves at its default.
    #[test]
    fn the_shipped_example_of_oauth_is_complete() {
        let text = include_str!("../../../../config/pillarbox.yaml");
        let lines = text.lines().skip_while(|line| *line != "# oauth:");
        let example: String = lines
            .map_while(|line| line.strip_prefix("# "))
            .map(|line| format!("{line}\n"))
            .collect();
        let config: Config = serde_yaml::from_str(&example).expect("it parses");
        let oauth = config.oauth.expect("it is there");
        assert_eq!(oauth.mistakes(), []);
        let defaults = OAuth {
            issuer: oauth.issuer.clone(),
            audience: oauth.audience.clone(),
            jwks_url: oauth.jwks_url.clone(),
            ..OAuth::default()
        };
        assert_eq!(oauth, defaults);
        let serde_yaml::Value::Mapping(keys) = serde_yaml::to_value(&oauth).expect("a mapping")
        else {
            panic!("no mapping");
        };
        for (key, _) in keys {
            let key = format!("  {}:", key.as_str().expect("a name"));
            assert!(example.contains(&key), "{key}");
        }
    }

    #[test]
    fn the_examples_of_authorization_servers_are_good() {
        let text = include_str!("../../../../examples/oauth/README.md");
        let examples: Vec<&str> = text.split("```yaml\n").skip(1).collect();
        assert_eq!(examples.len(), 4);
        for example in examples {
            let example = example.split("```").next().unwrap_or_default();
            let config: Config = serde_yaml::from_str(example).expect("it parses");
            assert_eq!(config.oauth.map(|oauth| oauth.mistakes()), Some(Vec::new()));
        }
    }

    #[test]
    fn a_users_name_goes_into_the_mail_root() {
        let config = Config {
            mail_root: "/m/%d/%n/%u/%x".into(),
            ..Config::default()
        };
        assert_eq!(config.maildir("a@b"), Path::new("/m/b/a/a@b/%x"));
    }
}
