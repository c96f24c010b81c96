//! Certificates and the TLS configuration: read with PemObject, chosen by SNI,
//! read again when the files change.

use crate::config::{CertificateFiles, Tls};
use anyhow::{Context, bail};
use parking_lot::RwLock;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::path::Path;
use std::sync::Arc;

/// The certificates in use.
#[derive(Debug)]
pub struct Certificates {
    keys: RwLock<Arc<Vec<Arc<CertifiedKey>>>>,
}

impl Certificates {
    /// Reads all certificates.
    ///
    /// # Errors
    /// When one cannot be read or does not fit its key; the text names the file.
    pub fn load(tls: &Tls) -> anyhow::Result<Self> {
        Ok(Self {
            keys: RwLock::new(Arc::new(read_all(tls)?)),
        })
    }

    /// Reads them again; on an error the old ones stay.
    ///
    /// # Errors
    /// As [`Certificates::load`].
    pub fn reload(&self, tls: &Tls) -> anyhow::Result<()> {
        let keys = Arc::new(read_all(tls)?);
        *self.keys.write() = keys;
        Ok(())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let keys = Arc::clone(&self.keys.read());
        let named = hello
            .server_name()
            .and_then(|name| ServerName::try_from(name.to_owned()).ok());
        let fits = |key: &&Arc<CertifiedKey>| {
            let Some(name) = &named else { return false };
            key.cert
                .first()
                .and_then(|certificate| {
                    let certificate =
                        rustls::server::ParsedCertificate::try_from(certificate).ok()?;
                    rustls::client::verify_server_name(&certificate, name).ok()
                })
                .is_some()
        };
        if keys.len() > 1
            && let Some(key) = keys.iter().find(fits)
        {
            return Some(Arc::clone(key));
        }
        keys.first().cloned()
    }
}

fn read_all(tls: &Tls) -> anyhow::Result<Vec<Arc<CertifiedKey>>> {
    tls.certificates
        .iter()
        .map(|files| read_pair(&files.certificate, &files.key).map(Arc::new))
        .collect()
}

fn read_pair(certificate: &Path, key: &Path) -> anyhow::Result<CertifiedKey> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| {
            format!(
                "{}: no PEM certificate could be read",
                certificate.display()
            )
        })?;
    if chain.is_empty() {
        bail!("{}: holds no certificate", certificate.display());
    }
    let private = PrivateKeyDer::from_pem_file(key).with_context(|| {
        format!(
            "{}: no PEM private key could be read; the user the server runs as must be able to",
            key.display()
        )
    })?;
    let signing = ring::sign::any_supported_type(&private)
        .with_context(|| format!("{}: unsupported kind of key", key.display()))?;
    let pair = CertifiedKey::new(chain, signing);
    match pair.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(pair)
        }
        Err(error) => bail!(
            "{} and {} do not belong together ({error})",
            certificate.display(),
            key.display()
        ),
    }
}

/// The TLS configuration: 1.2 and 1.3, certificates by SNI.
///
/// # Errors
/// When the cryptography provider cannot do these versions.
pub fn server_config(certificates: Arc<Certificates>) -> anyhow::Result<Arc<rustls::ServerConfig>> {
    let builder = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let mut config = builder
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

/// Makes a self-signed certificate for these names, the first of which it is shown by, and
/// its key, mode 0600, for `owner` (user and group) where they were not there before.
///
/// # Errors
/// When a file cannot be written.
pub fn self_signed(
    certificate: &Path,
    key: &Path,
    names: &[String],
    owner: Option<(u32, u32)>,
) -> anyhow::Result<()> {
    let mut about = rcgen::CertificateParams::new(names)?;
    about.distinguished_name = rcgen::DistinguishedName::new();
    let shown = names.first().map_or("pillarbox", String::as_str);
    about
        .distinguished_name
        .push(rcgen::DnType::CommonName, shown);
    about.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    // Clients were told to trust this one: it must not run out under them.
    about.not_before = rcgen::date_time_ymd(2025, 1, 1);
    about.not_after = rcgen::date_time_ymd(2055, 1, 1);
    let pair = rcgen::KeyPair::generate()?;
    let made = about.self_signed(&pair)?;
    for (path, text) in [(key, pair.serialize_pem()), (certificate, made.pem())] {
        crate::files::replace_private_for(path, text.as_bytes(), owner)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Whether a pair of files can be read, and is none.
pub fn is_broken(files: &CertificateFiles) -> bool {
    let is_readable = |path: &Path| std::fs::File::open(path).is_ok();
    is_readable(&files.certificate)
        && is_readable(&files.key)
        && read_pair(&files.certificate, &files.key).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_self_signed_pair_loads_and_a_wrong_key_does_not() {
        let directory = tempfile::tempdir().expect("directory");
        let path = |name: &str| directory.path().join(name);
        for name in ["a", "b"] {
            self_signed(
                &path(&format!("{name}.pem")),
                &path(&format!("{name}.key")),
                &["localhost".into()],
                None,
            )
            .expect("made");
        }
        let tls = |certificate: &str, key: &str| Tls {
            certificates: vec![CertificateFiles {
                certificate: path(certificate),
                key: path(key),
            }],
        };
        let good = tls("a.pem", "a.key");
        let certificates = Certificates::load(&good).expect("loaded");
        assert!(certificates.reload(&tls("a.pem", "b.key")).is_err());
        assert!(server_config(Arc::new(certificates)).is_ok());
        assert!(Certificates::load(&tls("a.key", "a.key")).is_err());
    }
}
