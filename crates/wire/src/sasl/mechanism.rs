//! [`Mechanism`] and what of them a server offers.

use super::Digest;
use crate::Security;

/// A SASL mechanism. The order is the one they are announced in, best first: who
/// proves a key before who proves a password, who proves it before who shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// The user of the client's certificate (RFC 4422 appendix A).
    External,
    /// RFC 5802 and RFC 7677, bound to the TLS connection.
    ScramPlus(Digest),
    /// RFC 5802 and RFC 7677.
    Scram(Digest),
    /// An OAuth access token (RFC 7628).
    OAuthBearer,
    /// The same in the form Google defined.
    XOAuth2,
    /// RFC 4616.
    Plain,
    /// User name and password, asked for one after the other.
    Login,
}

impl Mechanism {
    /// All of them, best first.
    pub const ALL: [Self; 9] = [
        Self::External,
        Self::ScramPlus(Digest::Sha256),
        Self::ScramPlus(Digest::Sha1),
        Self::Scram(Digest::Sha256),
        Self::Scram(Digest::Sha1),
        Self::OAuthBearer,
        Self::XOAuth2,
        Self::Plain,
        Self::Login,
    ];

    /// Its registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::External => "EXTERNAL",
            Self::ScramPlus(Digest::Sha256) => "SCRAM-SHA-256-PLUS",
            Self::ScramPlus(Digest::Sha1) => "SCRAM-SHA-1-PLUS",
            Self::Scram(Digest::Sha256) => "SCRAM-SHA-256",
            Self::Scram(Digest::Sha1) => "SCRAM-SHA-1",
            Self::OAuthBearer => "OAUTHBEARER",
            Self::XOAuth2 => "XOAUTH2",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }

    /// The mechanism of a name in any case.
    pub fn parse(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    const fn bit(self) -> u16 {
        1 << match self {
            Self::External => 0,
            Self::ScramPlus(Digest::Sha256) => 1,
            Self::ScramPlus(Digest::Sha1) => 2,
            Self::Scram(Digest::Sha256) => 3,
            Self::Scram(Digest::Sha1) => 4,
            Self::OAuthBearer => 5,
            Self::XOAuth2 => 6,
            Self::Plain => 7,
            Self::Login => 8,
        }
    }
}

/// A set of mechanisms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mechanisms(u16);

impl Mechanisms {
    /// None.
    pub const NONE: Self = Self(0);
    /// Those that show the password.
    pub const PASSWORDS: Self = Self::NONE.with(Mechanism::Plain).with(Mechanism::Login);

    /// The set with one more.
    #[must_use]
    pub const fn with(self, mechanism: Mechanism) -> Self {
        Self(self.0 | mechanism.bit())
    }

    /// The set without one.
    #[must_use]
    pub const fn without(self, mechanism: Mechanism) -> Self {
        Self(self.0 & !mechanism.bit())
    }

    /// Whether one is in the set.
    pub const fn contains(self, mechanism: Mechanism) -> bool {
        self.0 & mechanism.bit() != 0
    }

    /// Those in the set, best first.
    pub fn iter(self) -> impl Iterator<Item = Mechanism> {
        let all = Mechanism::ALL.into_iter();
        all.filter(move |mechanism| self.contains(*mechanism))
    }

    /// Their names, best first, with spaces between.
    pub fn names(self) -> String {
        let names: Vec<&str> = self.iter().map(Mechanism::name).collect();
        names.join(" ")
    }
}

/// What the TLS connection of a session gives to logging in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Channel {
    /// `tls-exporter` (RFC 9266); absent below TLS 1.3.
    pub exporter: Option<[u8; 32]>,
    /// `tls-server-end-point` (RFC 5929 section 4); absent where the certificate's
    /// signature names no digest.
    pub server_end_point: Option<Vec<u8>>,
    /// The user whom the client's certificate names.
    pub certificate_user: Option<String>,
}

/// What a session offers to log in with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// What the server can do, were the connection what each of them asks for.
    pub mechanisms: Mechanisms,
    /// What TLS gives, once it is on.
    pub channel: Channel,
}

impl Offer {
    /// The same without mechanisms that are switched off.
    #[must_use]
    pub fn only(mut self, is_on: impl Fn(Mechanism) -> bool) -> Self {
        let on = self.mechanisms.iter().filter(|mechanism| is_on(*mechanism));
        self.mechanisms = on.fold(Mechanisms::NONE, Mechanisms::with);
        self
    }

    /// Whether a mechanism of this name, in any case, can be used on the connection as it
    /// is.
    pub fn has(&self, name: &str, security: Security) -> bool {
        Mechanism::parse(name).is_some_and(|named| self.on(security).contains(named))
    }

    /// What can be used on the connection as it is. Channel binding needs TLS 1.3: below
    /// it clients expect `tls-unique`, which is not to be had (and broken, RFC 9266
    /// section 1). Tokens need TLS (RFC 7628 section 3), and EXTERNAL a certificate that
    /// names a user.
    pub fn on(&self, security: Security) -> Mechanisms {
        let is_usable = |mechanism: &Mechanism| match (security, mechanism) {
            (Security::Plain, _) => false,
            (_, Mechanism::Scram(_) | Mechanism::Plain | Mechanism::Login) => true,
            (Security::PlainWithPasswords, _) => false,
            (Security::Tls, Mechanism::External) => self.channel.certificate_user.is_some(),
            (Security::Tls, Mechanism::ScramPlus(_)) => self.channel.exporter.is_some(),
            (Security::Tls, Mechanism::OAuthBearer | Mechanism::XOAuth2) => true,
        };
        let usable = self.mechanisms.iter().filter(is_usable);
        usable.fold(Mechanisms::NONE, Mechanisms::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_the_best_is_first() {
        let all = Mechanism::ALL
            .into_iter()
            .fold(Mechanisms::NONE, Mechanisms::with);
        assert_eq!(
            all.names(),
            "EXTERNAL SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-1 \
             OAUTHBEARER XOAUTH2 PLAIN LOGIN"
        );
        for mechanism in Mechanism::ALL {
            let name = mechanism.name().to_ascii_lowercase();
            assert_eq!(Mechanism::parse(&name), Some(mechanism));
            assert!(!all.without(mechanism).contains(mechanism));
        }
        assert_eq!(Mechanism::parse("SCRAM-SHA-512"), None);
    }

    #[test]
    fn what_the_connection_does_not_carry_is_not_offered() {
        let mut offer = Offer {
            mechanisms: Mechanism::ALL
                .into_iter()
                .fold(Mechanisms::NONE, Mechanisms::with),
            channel: Channel::default(),
        };
        assert_eq!(offer.on(Security::Plain), Mechanisms::NONE);
        assert_eq!(
            offer.on(Security::PlainWithPasswords).names(),
            "SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN"
        );
        assert_eq!(
            offer.on(Security::Tls).names(),
            "SCRAM-SHA-256 SCRAM-SHA-1 OAUTHBEARER XOAUTH2 PLAIN LOGIN"
        );
        offer.channel.exporter = Some([0; 32]);
        offer.channel.certificate_user = Some("anna".to_owned());
        assert_eq!(offer.on(Security::Tls), offer.mechanisms);
    }
}
