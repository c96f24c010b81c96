//! SASL exchanges, the server's side.

mod bearer;
mod digest;
mod mechanism;
mod scram;

pub use bearer::{Bearer, Form};
pub use digest::Digest;
pub use mechanism::{Channel, Mechanism, Mechanisms, Offer};
pub use scram::{Proof, ScramKeyPair, ScramKeys};

use crate::{Denial, Secret, Security};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use scram::Binding;

/// Who a client proved to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// By which mechanism.
    pub mechanism: Mechanism,
    /// The user name as the client gave it, or its certificate.
    pub user: String,
    /// As whom it wants to act (RFC 4422 section 3.4.1); none where as that user.
    pub acts_as: Option<String>,
    /// The device whose password it knows; none for the user's own and where there was no
    /// password.
    pub device: Option<String>,
}

/// What an exchange wants after a message of the client.
#[derive(Debug)]
pub enum Step {
    /// Send this challenge (not yet encoded) and step on with the response.
    Challenge(Vec<u8>),
    /// The client sent its password; the exchange is over.
    CheckPassword {
        /// Who wants to log in.
        user: String,
        /// With which password.
        password: Secret,
        /// As whom the client wants to act; none where as that user.
        acts_as: Option<String>,
    },
    /// Look the user's keys up and give them to [`Exchange::scram_keys`].
    FindScramKeys {
        /// Who wants to log in.
        user: String,
        /// Of which digest the keys are to be.
        digest: Digest,
    },
    /// The client knows the password: send `server_final` as a challenge and take an
    /// empty response before the login succeeds.
    Proven {
        /// Who logs in.
        identity: Identity,
        /// The server's last message, not yet encoded.
        server_final: Vec<u8>,
    },
    /// The connection itself proves who logs in; the exchange is over.
    Enter(Identity),
    /// Have an access token checked; the exchange is over, unless it is refused.
    CheckToken(Bearer),
    /// The login is refused; the exchange is over.
    Refused {
        /// Who wanted to log in.
        user: String,
        /// By which mechanism.
        mechanism: Mechanism,
        /// Why not.
        denial: Denial,
    },
    /// The client broke the mechanism's rules; the exchange is over.
    Malformed(&'static str),
}

/// An exchange under way.
pub enum Exchange {
    /// PLAIN.
    Plain,
    /// LOGIN.
    Login(Prompts),
    /// SCRAM.
    Scram(Box<Proof>),
    /// OAUTHBEARER and XOAUTH2.
    Bearer(Form),
    /// EXTERNAL, by the certificate of this user.
    External(String),
}

/// How far LOGIN is: the user name, once known.
#[derive(Default)]
pub struct Prompts {
    user: Option<String>,
}

impl Exchange {
    /// Starts an exchange of a mechanism, named in any case; `None` if it is not
    /// offered on this connection or no random nonce can be had.
    pub fn start(mechanism_name: &str, offer: &Offer, security: Security) -> Option<Self> {
        let mechanism = Mechanism::parse(mechanism_name)?;
        let offered = offer.on(security);
        if !offered.contains(mechanism) {
            return None;
        }
        match mechanism {
            Mechanism::External => offer.channel.certificate_user.clone().map(Self::External),
            Mechanism::ScramPlus(digest) => {
                Self::scram(digest, Binding::Needed(offer.channel.clone()))
            }
            Mechanism::Scram(digest) => {
                let binding = match offered.contains(Mechanism::ScramPlus(digest)) {
                    true => Binding::PassedOver,
                    false => Binding::Impossible,
                };
                Self::scram(digest, binding)
            }
            Mechanism::OAuthBearer => Some(Self::Bearer(Form::OAuthBearer)),
            Mechanism::XOAuth2 => Some(Self::Bearer(Form::XOAuth2)),
            Mechanism::Plain => Some(Self::Plain),
            Mechanism::Login => Some(Self::Login(Prompts::default())),
        }
    }

    fn scram(digest: Digest, binding: Binding) -> Option<Self> {
        let mut nonce = [0_u8; 18];
        getrandom::fill(&mut nonce).ok()?;
        let proof = Proof::new(digest, binding, BASE64.encode(nonce));
        Some(Self::Scram(Box::new(proof)))
    }

    /// The challenge to send when the client gave no initial response.
    pub fn initial_challenge(&self) -> Vec<u8> {
        match self {
            Self::Plain | Self::Scram(_) | Self::Bearer(_) | Self::External(_) => Vec::new(),
            Self::Login(_) => b"Username:".to_vec(),
        }
    }

    /// Takes a response of the client, base64 already decoded.
    pub fn step(&mut self, input: &[u8]) -> Step {
        match self {
            Self::Plain => step_plain(input),
            Self::Login(prompts) => prompts.step(input),
            Self::Scram(scram) => scram.step(input),
            Self::Bearer(form) => bearer::step(*form, input),
            Self::External(user) => step_external(user, input),
        }
    }

    /// Takes the keys asked for with [`Step::FindScramKeys`].
    pub fn scram_keys(&mut self, keys: ScramKeys) -> Step {
        match self {
            Self::Scram(scram) => scram.take_keys(keys),
            Self::Plain | Self::Login(_) | Self::Bearer(_) | Self::External(_) => {
                Step::Malformed("no keys were asked for")
            }
        }
    }
}

/// For the log: the client is to begin TLS before it logs in.
pub const WITHOUT_TLS: &str = "the client asks without TLS; have it use SSL/TLS or STARTTLS";
/// For the log: the client asked for a mechanism that it was not offered.
pub const UNKNOWN_MECHANISM: &str =
    "the client asks for a mechanism that it is not offered; have it take a normal password";

/// Decodes what a client sends in an exchange: base64, padded.
pub fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

/// Encodes what a server sends in an exchange.
pub fn encode_base64(octets: &[u8]) -> String {
    BASE64.encode(octets)
}

fn step_plain(input: &[u8]) -> Step {
    let mut fields = input.split(|octet| *octet == 0);
    let (Some(authzid), Some(authcid), Some(password), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Step::Malformed("PLAIN needs two NUL octets");
    };
    match acts_as(authzid) {
        Ok(acts_as) => check_password(authcid, password, acts_as),
        Err(problem) => Step::Malformed(problem),
    }
}

/// Whom an authorization identity names; empty is who logs in. Whether that is another
/// user is for those to tell who know how names are compared.
fn acts_as(authzid: &[u8]) -> Result<Option<String>, &'static str> {
    let name = std::str::from_utf8(authzid);
    let name = name.map_err(|_| "the authorization identity is not UTF-8")?;
    Ok((!name.is_empty()).then(|| name.to_owned()))
}

/// The message is whom the client wants to act as; empty is the user of its certificate
/// (RFC 4422 appendix A).
fn step_external(user: &str, input: &[u8]) -> Step {
    match acts_as(input) {
        Ok(acts_as) => Step::Enter(Identity {
            mechanism: Mechanism::External,
            user: user.to_owned(),
            acts_as,
            device: None,
        }),
        Err(problem) => Step::Malformed(problem),
    }
}

fn check_password(user: &[u8], password: &[u8], acts_as: Option<String>) -> Step {
    match std::str::from_utf8(user) {
        Ok("") => Step::Malformed("the user name is empty"),
        Ok(user) => Step::CheckPassword {
            user: user.to_owned(),
            password: Secret::new(password.to_vec()),
            acts_as,
        },
        Err(_) => Step::Malformed("the user name is not UTF-8"),
    }
}

impl Prompts {
    fn step(&mut self, input: &[u8]) -> Step {
        match self.user.take() {
            Some(user) => check_password(user.as_bytes(), input, None),
            None => match std::str::from_utf8(input) {
                Ok("") => Step::Malformed("the user name is empty"),
                Ok(user) => {
                    self.user = Some(user.to_owned());
                    Step::Challenge(b"Password:".to_vec())
                }
                Err(_) => Step::Malformed("the user name is not UTF-8"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer() -> Offer {
        Offer {
            mechanisms: Mechanism::ALL
                .into_iter()
                .fold(Mechanisms::NONE, Mechanisms::with),
            channel: Channel {
                certificate_user: Some("anna".to_owned()),
                ..Channel::default()
            },
        }
    }

    #[test]
    fn only_what_is_offered_can_be_started() {
        let starts = |name: &str, security| Exchange::start(name, &offer(), security).is_some();
        for name in ["plain", "SCRAM-SHA-1", "XOAUTH2", "External"] {
            assert!(starts(name, Security::Tls), "{name}");
            assert!(!starts(name, Security::Plain), "{name}");
        }
        // No exporter, no -PLUS; no TLS, no tokens.
        assert!(!starts("SCRAM-SHA-256-PLUS", Security::Tls));
        assert!(!starts("OAUTHBEARER", Security::PlainWithPasswords));
        assert!(!starts("NTLM", Security::Tls));
    }

    /// RFC 4422 appendix A.
    #[test]
    fn external_is_of_the_certificates_user_who_may_name_another() {
        for (input, acts_as) in [("", None), ("Anna", Some("Anna"))] {
            let exchange = Exchange::start("EXTERNAL", &offer(), Security::Tls);
            match exchange.unwrap().step(input.as_bytes()) {
                Step::Enter(identity) => {
                    let named = identity.acts_as.as_deref();
                    assert_eq!((identity.user.as_str(), named), ("anna", acts_as));
                    assert_eq!(identity.mechanism, Mechanism::External);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn plain_names_who_logs_in_and_as_whom() {
        for (input, accepted) in [
            (&b"\0u\0p"[..], Some(None)),
            (b"u\0u\0p", Some(Some("u"))),
            (b"v\0u\0p", Some(Some("v"))),
            (b"\0\0p", None),
            (b"\0u", None),
            (b"\0u\0p\0", None),
            (b"\0\xff\0p", None),
            (b"\xff\0u\0p", None),
        ] {
            let step = Exchange::Plain.step(input);
            match step {
                Step::CheckPassword {
                    user,
                    password,
                    acts_as,
                } => {
                    assert_eq!(accepted, Some(acts_as.as_deref()), "{input:?}");
                    assert_eq!((user.as_str(), password.expose()), ("u", &b"p"[..]));
                }
                _ => assert_eq!(accepted, None, "{input:?}"),
            }
        }
    }

    #[test]
    fn login_prompts_twice() {
        let mut exchange = Exchange::start("LOGIN", &offer(), Security::Tls).unwrap();
        assert_eq!(exchange.initial_challenge(), b"Username:");
        assert!(matches!(exchange.step(b"u"), Step::Challenge(text) if text == b"Password:"));
        assert!(matches!(exchange.step(b"p"), Step::CheckPassword { user, .. } if user == "u"));
    }
}
