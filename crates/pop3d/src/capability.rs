//! What CAPA announces (RFC 2449): one row for each capability. What is switched off is
//! neither announced nor accepted.

use crate::command::Command;
use wire::capability::{self, Set};
use wire::capability_table;
use wire::sasl::Mechanism;

capability_table! {
    /// A POP3 capability.
    Capability, fixed: [];
    Top: "TOP", [1939], "0.1", Always, [], "";
    Uidl: "UIDL", [1939], "0.1", Always, [], "";
    RespCodes: "RESP-CODES", [2449], "0.1", Always, [], "";
    AuthRespCode: "AUTH-RESP-CODE", [3206], "0.1", Always, [RespCodes], "";
    Pipelining: "PIPELINING", [2449], "0.1", Always, [], "";
    Expire: "EXPIRE", [2449], "0.1", Always, [], "INBOX's days in `expunge_after_days`, or NEVER";
    LoginDelay: "LOGIN-DELAY", [2449], "0.1", Always, [], "where `pop3.login_delay_seconds` is set";
    Stls: "STLS", [2595], "0.1", BeforeLogin, [], "where a certificate is configured and TLS is not on";
    User: "USER", [1939], "0.1", Always, [], "where passwords may be sent";
    Sasl: "SASL", [5034], "0.1", Always, [], "where passwords may be sent";
    SaslExternal: "SASL EXTERNAL", [4422], "0.2", Always, [Sasl], "over TLS, to a client whose certificate names a user";
    SaslScramSha256Plus: "SASL SCRAM-SHA-256-PLUS", [7677, 9266], "0.2", Always, [Sasl], "over TLS 1.3, bound to it by tls-exporter or tls-server-end-point";
    SaslScramSha1Plus: "SASL SCRAM-SHA-1-PLUS", [5802, 9266], "0.2", Always, [Sasl], "over TLS 1.3, bound to it by tls-exporter or tls-server-end-point";
    SaslScramSha256: "SASL SCRAM-SHA-256", [7677], "0.1", Always, [Sasl], "where every password has keys for it";
    SaslScramSha1: "SASL SCRAM-SHA-1", [5802], "0.2", Always, [Sasl], "where every password has keys for it";
    SaslOAuthBearer: "SASL OAUTHBEARER", [7628], "0.2", Always, [Sasl], "over TLS, where `oauth` is set";
    SaslXOAuth2: "SASL XOAUTH2", [], "0.2", Always, [Sasl], "over TLS, where `oauth` is set; as Google defined it";
    SaslPlain: "SASL PLAIN", [4616], "0.1", Always, [Sasl], "";
    SaslLogin: "SASL LOGIN", [], "0.1", Always, [Sasl], "for old clients";
    Utf8: "UTF8", [6856], "0.2", Always, [], "user names and passwords too; other clients get surrogates (RFC 6857, RFC 6858)";
    Lang: "LANG", [6856], "0.2", Always, [], "English and Simplified Chinese";
    Implementation: "IMPLEMENTATION", [2449], "0.1", Always, [], "tells the name only";
}

/// A set of POP3 capabilities.
pub type Capabilities = Set<Capability>;

/// The capability without which there is no such command.
pub fn needed(command: &Command) -> Option<Capability> {
    match command {
        Command::Top { .. } => Some(Capability::Top),
        Command::Uidl(_) => Some(Capability::Uidl),
        Command::Stls => Some(Capability::Stls),
        Command::Utf8 => Some(Capability::Utf8),
        Command::Lang(_) => Some(Capability::Lang),
        Command::User(_) | Command::Pass(_) => Some(Capability::User),
        Command::AuthList | Command::Auth { .. } => Some(Capability::Sasl),
        Command::Capa
        | Command::Stat
        | Command::List(_)
        | Command::Retr(_)
        | Command::Dele(_)
        | Command::Noop
        | Command::Rset
        | Command::Quit => None,
    }
}

/// Whether a SASL mechanism is on.
pub fn has_mechanism(on: Capabilities, mechanism: Mechanism) -> bool {
    let row = capability::find::<Capability>(&format!("SASL {}", mechanism.name()));
    row.is_some_and(|row| on.has(row.capability))
}
