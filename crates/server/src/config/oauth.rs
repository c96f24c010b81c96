//! What the configuration says of access tokens.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Whose access tokens are taken, and how they are verified: with the issuer's keys (from
/// a file or an address), or by asking it about each (RFC 7662).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OAuth {
    /// Who must have issued a token: its claim `iss`.
    pub issuer: Option<String>,
    /// For whom it must be: one of these in its claim `aud`.
    pub audience: Vec<String>,
    /// The issuer's keys (a JSON Web Key Set) in a file.
    pub jwks_file: Option<PathBuf>,
    /// The same at an address.
    pub jwks_url: Option<String>,
    /// Where to ask about a token instead.
    pub introspection_url: Option<String>,
    /// As whom to ask.
    pub client_id: Option<String>,
    /// The file that holds the secret of `client_id`.
    pub client_secret_file: Option<PathBuf>,
    /// Whom an https address must be certified by; whom the system trusts if absent.
    pub ca_file: Option<PathBuf>,
    /// The algorithms a token may be signed with.
    pub algorithms: Vec<Algorithm>,
    /// The claim that is the user's name.
    pub user_claim: String,
    /// The scope a token must have, told to clients.
    pub scope: Option<String>,
    /// Where clients find out about the issuer, told to them (RFC 7628 section 3.2.2).
    pub discovery_url: Option<String>,
    /// Seconds by which clocks may differ.
    pub leeway_seconds: u64,
}

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA with P-256 and SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl Default for OAuth {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: Vec::new(),
            jwks_file: None,
            jwks_url: None,
            introspection_url: None,
            client_id: None,
            client_secret_file: None,
            ca_file: None,
            algorithms: vec![Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa],
            user_claim: "email".to_owned(),
            scope: None,
            discovery_url: None,
            leeway_seconds: 60,
        }
    }
}

impl OAuth {
    /// The files that are read.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let files = [&self.jwks_file, &self.client_secret_file, &self.ca_file];
        files.into_iter().flatten()
    }

    /// What is wrong, each with the key it is said under.
    pub(super) fn mistakes(&self) -> Vec<(&'static str, String)> {
        let mut mistakes = Vec::new();
        let sources = [
            self.jwks_file.is_some(),
            self.jwks_url.is_some(),
            self.introspection_url.is_some(),
        ];
        if sources.into_iter().filter(|named| *named).count() != 1 {
            mistakes.push((
                "oauth",
                "name one of jwks_file, jwks_url and introspection_url".to_owned(),
            ));
        }
        let is_told = |value: &Option<String>| value.as_ref().is_some_and(|text| !text.is_empty());
        if self.introspection_url.is_none() {
            if !is_told(&self.issuer) {
                mistakes.push((
                    "oauth.issuer",
                    "is missing: name who issues the tokens, as in their claim iss".to_owned(),
                ));
            }
            if self.audience.is_empty() {
                mistakes.push((
                    "oauth.audience",
                    "is missing: tokens for other services would be taken; name this server's client id, as in their claim aud".to_owned(),
                ));
            }
        }
        for (key, url) in [
            ("oauth.jwks_url", &self.jwks_url),
            ("oauth.introspection_url", &self.introspection_url),
        ] {
            if url.as_ref().is_some_and(|url| !is_address(url)) {
                mistakes.push((key, "is no address; begin it with https://".to_owned()));
            }
        }
        if self.algorithms.is_empty() {
            mistakes.push((
                "oauth.algorithms",
                "is empty, so no token could be taken; name RS256, ES256 or EdDSA".to_owned(),
            ));
        }
        if self.user_claim.is_empty() {
            mistakes.push((
                "oauth.user_claim",
                "is empty; name the claim that is the user's name, such as email".to_owned(),
            ));
        }
        if self.client_secret_file.is_some() && self.client_id.is_none() {
            mistakes.push((
                "oauth.client_secret_file",
                "has no client_id; name the client whose secret it is".to_owned(),
            ));
        }
        if self.leeway_seconds > 600 {
            mistakes.push((
                "oauth.leeway_seconds",
                "is above 600: tokens would go on long after their end; set the clocks instead"
                    .to_owned(),
            ));
        }
        mistakes
    }

    /// Whether it says how tokens are verified.
    pub fn names_a_source(&self) -> bool {
        self.jwks_file.is_some() || self.jwks_url.is_some() || self.introspection_url.is_some()
    }

    /// Whether it names no file that may change.
    pub fn reads_no_file(&self) -> bool {
        let files = [&self.jwks_file, &self.client_secret_file, &self.ca_file];
        files.into_iter().all(Option::is_none)
    }

    /// The addresses that are asked without TLS.
    pub fn unprotected(&self) -> impl Iterator<Item = &str> {
        let addresses = [&self.jwks_url, &self.introspection_url];
        addresses
            .into_iter()
            .flatten()
            .map(String::as_str)
            .filter(|url| url.starts_with("http://"))
    }
}

fn is_address(url: &str) -> bool {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.starts_with('/')
            && rest.bytes().all(|octet| octet.is_ascii_graphic())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(oauth: &OAuth) -> Vec<&'static str> {
        oauth.mistakes().into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn what_would_take_any_token_is_a_mistake() {
        let good = OAuth {
            issuer: Some("https://login.example.org".to_owned()),
            audience: vec!["pillarbox".to_owned()],
            jwks_url: Some("https://login.example.org/keys".to_owned()),
            ..OAuth::default()
        };
        assert_eq!(keys(&good), [""; 0]);
        assert_eq!(
            keys(&OAuth::default()),
            ["oauth", "oauth.issuer", "oauth.audience"]
        );
        let both = OAuth {
            introspection_url: Some("ftp://x".to_owned()),
            algorithms: Vec::new(),
            leeway_seconds: 601,
            ..good
        };
        assert_eq!(
            keys(&both),
            [
                "oauth",
                "oauth.introspection_url",
                "oauth.algorithms",
                "oauth.leeway_seconds"
            ]
        );
        let asked = OAuth {
            introspection_url: Some("http://127.0.0.1:8080/introspect".to_owned()),
            ..OAuth::default()
        };
        assert_eq!(keys(&asked), [""; 0]);
        assert_eq!(asked.unprotected().count(), 1);
    }
}
