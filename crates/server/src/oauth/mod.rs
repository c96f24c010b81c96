//! Access tokens: OAUTHBEARER and XOAUTH2 on the server's side. A token is verified here
//! (a JWT, with the issuer's keys) or by asking the issuer (RFC 7662).

pub mod http;
pub mod jwt;
pub mod key_set;

use crate::config::{Algorithm, OAuth as Settings};
use anyhow::Context;
use http::Client;
use jwt::{Claims, Refusal};
use key_set::KeySet;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::Semaphore;
use wire::Secret;
use wire::sasl::Form;

/// So many questions about tokens are asked at a time.
const QUESTIONS: usize = 16;

/// What verifies tokens.
pub struct OAuth {
    settings: Settings,
    source: Source,
}

enum Source {
    Keys(KeySet),
    Introspection {
        client: Client,
        url: String,
        credentials: Option<(String, Secret)>,
        questions: Semaphore,
    },
}

/// Why nobody is let in.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// The token is not good.
    Refused(Refusal),
    /// Whether it is cannot be said now; the log has why.
    Unavailable,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl OAuth {
    /// Gets ready to verify tokens; reads the files that the settings name.
    ///
    /// # Errors
    /// When one cannot be read; the text names it.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let client = || Client::new(settings.ca_file.as_deref());
        let source = match (
            &settings.jwks_file,
            &settings.jwks_url,
            &settings.introspection_url,
        ) {
            (Some(file), _, _) => Source::Keys(KeySet::of_file(file)?),
            (None, Some(url), _) => Source::Keys(KeySet::at(url, client()?)),
            (None, None, Some(url)) => Source::Introspection {
                client: client()?,
                url: url.clone(),
                credentials: read_credentials(settings)?,
                questions: Semaphore::new(QUESTIONS),
            },
            (None, None, None) => anyhow::bail!("no jwks_file, jwks_url or introspection_url"),
        };
        Ok(Self {
            settings: settings.clone(),
            source,
        })
    }

    /// What it was made of.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Verifies a token and gives the name of the user whose it is.
    ///
    /// # Errors
    /// Why it is not taken.
    pub async fn user_of(self: &Arc<Self>, token: &Secret) -> Result<String, Failure> {
        if token.expose().is_empty() {
            return Err(Refusal::Absent.into());
        }
        let claims = match &self.source {
            Source::Keys(keys) => {
                let allowed = &self.settings.algorithms;
                match jwt::verify(token.expose(), &keys.current(), allowed) {
                    Err(Refusal::UnknownKey) => {
                        let keys = keys.renewed().await;
                        if keys.is_empty() {
                            return Err(Failure::Unavailable);
                        }
                        jwt::verify(token.expose(), &keys, allowed)?
                    }
                    claims => claims?,
                }
            }
            Source::Introspection { questions, .. } => {
                let _turn = questions
                    .acquire()
                    .await
                    .map_err(|_| Failure::Unavailable)?;
                let (this, token) = (Arc::clone(self), token.clone());
                let asked = tokio::task::spawn_blocking(move || this.introspect(&token)).await;
                match asked {
                    Ok(Ok(claims)) => claims,
                    Ok(Err(error)) => {
                        tracing::error!("access tokens cannot be verified: {error:#}");
                        return Err(Failure::Unavailable);
                    }
                    Err(_) => return Err(Failure::Unavailable),
                }
            }
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_secs());
        Ok(self.user_in(&claims, now)?)
    }

    /// Asks the issuer about a token (RFC 7662 section 2.2).
    fn introspect(&self, token: &Secret) -> anyhow::Result<Claims> {
        let Source::Introspection {
            client,
            url,
            credentials,
            ..
        } = &self.source
        else {
            anyhow::bail!("no introspection_url");
        };
        let token = String::from_utf8_lossy(token.expose());
        let answer = client.introspect(url, credentials.as_ref(), &token)?;
        serde_json::from_slice(&answer).with_context(|| format!("{url} answers no JSON object"))
    }

    /// Holds claims against the settings; gives the user's name.
    fn user_in(&self, claims: &Claims, now: u64) -> Result<String, Refusal> {
        let settings = &self.settings;
        let is_introspected = matches!(self.source, Source::Introspection { .. });
        if is_introspected && claims.get("active") != Some(&Value::Bool(true)) {
            return Err(Refusal::Inactive);
        }
        // Who was asked is the issuer: it need not say so (RFC 7662 section 2.2).
        match (&settings.issuer, claims.get("iss")) {
            (None, _) => {}
            (Some(_), None) if is_introspected => {}
            (Some(issuer), Some(Value::String(said))) if said == issuer => {}
            (Some(_), _) => return Err(Refusal::Issuer),
        }
        if !settings.audience.is_empty() {
            let is_meant = |value: &Value| {
                value
                    .as_str()
                    .is_some_and(|said| settings.audience.iter().any(|one| one == said))
            };
            let is_for_us = match claims.get("aud") {
                Some(Value::Array(several)) => several.iter().any(is_meant),
                Some(one) => is_meant(one),
                None => false,
            };
            if !is_for_us {
                return Err(Refusal::Audience);
            }
        }
        // Seconds since 1970, perhaps with a fraction (RFC 7519 section 2).
        let (now, leeway) = (now as f64, settings.leeway_seconds as f64);
        match claims.get("exp") {
            None if is_introspected => {}
            Some(Value::Number(end)) if end.as_f64().is_some_and(|end| now < end + leeway) => {}
            _ => return Err(Refusal::Expired),
        }
        match claims.get("nbf") {
            None => {}
            Some(Value::Number(begin))
                if begin.as_f64().is_some_and(|begin| begin <= now + leeway) => {}
            Some(_) => return Err(Refusal::NotYet),
        }
        if let Some(wanted) = &settings.scope {
            // Microsoft's name for it is `scp`, and some issuers make it a list.
            let said = claims.get("scope").or_else(|| claims.get("scp"));
            let has = match said {
                Some(Value::String(words)) => words.split(' ').any(|word| word == wanted),
                Some(Value::Array(words)) => words.iter().any(|word| word == wanted.as_str()),
                _ => false,
            };
            if !has {
                return Err(Refusal::Scope);
            }
        }
        // An address that nobody verified may be anybody's.
        let is_unverified = |value: &Value| *value == Value::Bool(false) || value == "false";
        if settings.user_claim == "email" && claims.get("email_verified").is_some_and(is_unverified)
        {
            return Err(Refusal::NoUser);
        }
        let user = claims.get(&settings.user_claim).and_then(Value::as_str);
        let user = user.filter(|user| !user.is_empty());
        user.map(str::to_owned).ok_or(Refusal::NoUser)
    }

    /// What tells a client why its token was refused (RFC 7628 section 3.2.2; Google's
    /// description of XOAUTH2).
    pub fn told(&self, form: Form, refusal: Refusal) -> Vec<u8> {
        let mut told = match form {
            Form::OAuthBearer => json!({ "status": match refusal {
                Refusal::Scope => "insufficient_scope",
                _ => "invalid_token",
            }}),
            Form::XOAuth2 => json!({ "status": match refusal {
                Refusal::Scope => "403",
                _ => "401",
            }, "schemes": "bearer" }),
        };
        if let Value::Object(told) = &mut told {
            if let Some(scope) = &self.settings.scope {
                told.insert("scope".to_owned(), scope.clone().into());
            }
            if let (Form::OAuthBearer, Some(url)) = (form, &self.settings.discovery_url) {
                told.insert("openid-configuration".to_owned(), url.clone().into());
            }
        }
        told.to_string().into_bytes()
    }
}

fn read_credentials(settings: &Settings) -> anyhow::Result<Option<(String, Secret)>> {
    let Some(client) = &settings.client_id else {
        return Ok(None);
    };
    let secret = match &settings.client_secret_file {
        Some(file) => {
            let text = std::fs::read(file)
                .with_context(|| format!("{}: cannot be read", file.display()))?;
            text.trim_ascii_end().to_vec()
        }
        None => Vec::new(),
    };
    Ok(Some((client.clone(), Secret::new(secret))))
}

impl Algorithm {
    /// The algorithm of a name as tokens have it (RFC 7518 section 3.1, RFC 8037).
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            // RFC 9864 section 2.2 calls it by the curve.
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut Settings)) -> OAuth {
        let mut settings = Settings {
            issuer: Some("https://login.example.org".to_owned()),
            audience: vec!["pillarbox".to_owned(), "mail".to_owned()],
            ..Settings::default()
        };
        change(&mut settings);
        OAuth {
            settings,
            source: Source::Keys(KeySet::File(Arc::default())),
        }
    }

    fn user(oauth: &OAuth, claims: Value) -> Result<String, Refusal> {
        let Value::Object(claims) = claims else {
            panic!("no object");
        };
        oauth.user_in(&claims, 1_000)
    }

    fn good() -> Value {
        json!({ "iss": "https://login.example.org", "aud": "mail", "exp": 2_000,
            "email": "anna@example.org", "preferred_username": "anna", "sub": "17" })
    }

    #[test]
    fn claims_are_held_against_the_settings() {
        let oauth = with(|_| {});
        assert_eq!(user(&oauth, good()), Ok("anna@example.org".to_owned()));
        for (claim, value, expected) in [
            ("iss", json!("https://login.example.org/"), Refusal::Issuer),
            ("iss", json!(null), Refusal::Issuer),
            ("aud", json!("other"), Refusal::Audience),
            ("aud", json!(["other", 7]), Refusal::Audience),
            ("aud", json!(null), Refusal::Audience),
            ("exp", json!(940), Refusal::Expired),
            ("exp", json!("2000"), Refusal::Expired),
            ("exp", json!(null), Refusal::Expired),
            ("nbf", json!(1_061), Refusal::NotYet),
            ("nbf", json!("0"), Refusal::NotYet),
            ("email", json!(7), Refusal::NoUser),
            ("email", json!(""), Refusal::NoUser),
            ("email_verified", json!(false), Refusal::NoUser),
            ("email_verified", json!("false"), Refusal::NoUser),
        ] {
            let mut claims = good();
            claims[claim] = value;
            assert_eq!(user(&oauth, claims.clone()), Err(expected), "{claims}");
        }
        for (claim, value) in [
            ("aud", json!(["other", "pillarbox"])),
            // Sixty seconds of leeway.
            ("exp", json!(941)),
            ("nbf", json!(1_060.5)),
            ("nbf", json!(1_060)),
            ("email_verified", json!(true)),
        ] {
            let mut claims = good();
            claims[claim] = value;
            let is_good = user(&oauth, claims.clone()).is_ok();
            assert_eq!(is_good, claims["nbf"] != 1_060.5, "{claims}");
        }
    }

    #[test]
    fn the_claim_of_the_user_and_the_scope_are_chosen() {
        for (claim, expected) in [("preferred_username", "anna"), ("sub", "17")] {
            let oauth = with(|settings| settings.user_claim = claim.to_owned());
            assert_eq!(user(&oauth, good()), Ok(expected.to_owned()));
        }
        let oauth = with(|settings| settings.scope = Some("mail".to_owned()));
        assert_eq!(user(&oauth, good()), Err(Refusal::Scope));
        for (claim, value, has) in [
            ("scope", json!("openid mail"), true),
            ("scope", json!("email"), false),
            ("scp", json!(["mail"]), true),
        ] {
            let mut claims = good();
            claims[claim] = value;
            assert_eq!(user(&oauth, claims).is_ok(), has, "{claim}");
        }
    }

    #[test]
    fn an_introspected_token_must_be_active() {
        let mut oauth = with(|settings| settings.user_claim = "username".to_owned());
        oauth.source = Source::Introspection {
            client: Client::new(None).expect("a client"),
            url: String::new(),
            credentials: None,
            questions: Semaphore::new(1),
        };
        let said = |active: Value| json!({ "active": active, "aud": "mail", "username": "anna" });
        assert_eq!(user(&oauth, said(json!(true))), Ok("anna".to_owned()));
        for no in [json!(false), json!("true"), json!(null), json!(1)] {
            assert_eq!(user(&oauth, said(no)), Err(Refusal::Inactive));
        }
    }

    /// RFC 7628 section 4.2 has this answer.
    #[test]
    fn a_refusal_tells_what_is_needed() {
        let oauth = with(|settings| {
            settings.scope = Some("example_scope".to_owned());
            settings.discovery_url =
                Some("https://example.com/.well-known/openid-configuration".to_owned());
        });
        let told = |form, refusal| {
            serde_json::from_slice::<Value>(&oauth.told(form, refusal)).expect("JSON")
        };
        assert_eq!(
            told(Form::OAuthBearer, Refusal::Absent),
            json!({ "status": "invalid_token", "scope": "example_scope",
                "openid-configuration": "https://example.com/.well-known/openid-configuration" })
        );
        assert_eq!(
            told(Form::OAuthBearer, Refusal::Scope)["status"],
            "insufficient_scope"
        );
        assert_eq!(
            told(Form::XOAuth2, Refusal::Signature),
            json!({ "status": "401", "schemes": "bearer", "scope": "example_scope" })
        );
    }
}
