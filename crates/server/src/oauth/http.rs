//! Asking an authorization server: bounded in time and size, no redirects, no proxy.

use anyhow::Context;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use ureq::http::Response;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use wire::Secret;

/// How long an answer may take, all in all.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How many octets an answer may have.
const ANSWER_OCTETS: u64 = 256 * 1024;

/// Where to ask, and whom to trust. It blocks: call it where that is allowed.
#[derive(Debug, Clone)]
pub struct Client {
    agent: Agent,
}

impl Client {
    /// A client that trusts the certificates in this file, or those the system trusts.
    ///
    /// # Errors
    /// When the file holds no certificate.
    pub fn new(ca_file: Option<&Path>) -> anyhow::Result<Self> {
        let roots: Vec<_> = match ca_file {
            Some(file) => crate::tls::read_certificates(file)?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        let roots = roots
            .iter()
            .map(|root| Certificate::from_der(root).to_owned());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(roots.collect())))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(TIMEOUT))
            .max_redirects(0)
            .http_status_as_error(false)
            .proxy(None)
            .user_agent("Pillarbox")
            .build();
        Ok(Self {
            agent: config.new_agent(),
        })
    }

    /// Fetches what is at an address.
    ///
    /// # Errors
    /// When that fails, takes too long or is too much; the text names the address.
    pub fn get(&self, url: &str) -> anyhow::Result<Vec<u8>> {
        let answer = self
            .agent
            .get(url)
            .header("Accept", "application/json")
            .call();
        answer
            .map_err(anyhow::Error::from)
            .and_then(read)
            .with_context(|| format!("cannot fetch {url}"))
    }

    /// Asks an introspection endpoint about a token (RFC 7662 section 2.1), with the
    /// credentials of a client (RFC 6749 section 2.3.1) where there are some.
    ///
    /// # Errors
    /// When that fails, takes too long or is too much; the text names the address.
    pub fn introspect(
        &self,
        url: &str,
        credentials: Option<&(String, Secret)>,
        token: &str,
    ) -> anyhow::Result<Vec<u8>> {
        let mut request = self.agent.post(url).header("Accept", "application/json");
        if let Some((client, secret)) = credentials {
            let secret = String::from_utf8_lossy(secret.expose()).into_owned();
            let pair = format!("{}:{}", form_encoded(client), form_encoded(&secret));
            let basic = wire::sasl::encode_base64(pair.as_bytes());
            request = request.header("Authorization", format!("Basic {basic}"));
        }
        let answer = request.send_form([("token", token), ("token_type_hint", "access_token")]);
        answer
            .map_err(anyhow::Error::from)
            .and_then(read)
            .with_context(|| format!("cannot ask {url}"))
    }
}

fn read(mut answer: Response<ureq::Body>) -> anyhow::Result<Vec<u8>> {
    let status = answer.status();
    anyhow::ensure!(status.as_u16() == 200, "it answers {status}");
    let body = answer.body_mut().with_config().limit(ANSWER_OCTETS);
    Ok(body.read_to_vec()?)
}

/// As in forms (RFC 6749 appendix B).
fn form_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for octet in text.bytes() {
        match octet {
            b' ' => encoded.push('+'),
            _ if octet.is_ascii_alphanumeric() || b"-._*".contains(&octet) => {
                encoded.push(octet.into());
            }
            _ => encoded.push_str(&format!("%{octet:02X}")),
        }
    }
    encoded
}

#[test]
fn credentials_are_encoded_as_in_forms() {
    // RFC 6749 appendix B.
    assert_eq!(
        form_encoded(" %&+\u{a3}\u{20ac}"),
        "+%25%26%2B%C2%A3%E2%82%AC"
    );
}
