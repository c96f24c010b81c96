//! Certificates and the TLS configuration: read with PemObject, chosen by SNI,
//! read again when the files change.

use crate::config::{CertificateFiles, ClientUser, Tls};
use anyhow::{Context, bail};
use parking_lot::RwLock;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::path::Path;
use std::sync::Arc;
use wire::sasl::Channel;

/// The certificates in use.
#[derive(Debug)]
pub struct Certificates {
    pairs: RwLock<Arc<Vec<Pair>>>,
}

/// A certificate and its key.
#[derive(Debug, Clone)]
struct Pair {
    key: Arc<CertifiedKey>,
    /// See [`end_point`].
    end_point: Option<Vec<u8>>,
}

impl Certificates {
    /// Reads all certificates.
    ///
    /// # Errors
    /// When one cannot be read or does not fit its key; the text names the file.
    pub fn load(tls: &Tls) -> anyhow::Result<Self> {
        Ok(Self {
            pairs: RwLock::new(Arc::new(read_all(tls)?)),
        })
    }

    /// Reads them again; on an error the old ones stay.
    ///
    /// # Errors
    /// As [`Certificates::load`].
    pub fn reload(&self, tls: &Tls) -> anyhow::Result<()> {
        let pairs = Arc::new(read_all(tls)?);
        *self.pairs.write() = pairs;
        Ok(())
    }

    /// The pair for a client that asks for this name: the first that is of it, or the
    /// first of all.
    fn choose(&self, name: Option<&str>) -> Option<Pair> {
        let pairs = Arc::clone(&self.pairs.read());
        let named = name.and_then(|name| ServerName::try_from(name.to_owned()).ok());
        let fits = |pair: &&Pair| {
            let Some(name) = &named else { return false };
            let certificate = pair.key.cert.first();
            certificate
                .and_then(|certificate| ParsedCertificate::try_from(certificate).ok())
                .is_some_and(|certificate| {
                    rustls::client::verify_server_name(&certificate, name).is_ok()
                })
        };
        let found = pairs.iter().find(fits).filter(|_| pairs.len() > 1);
        found.or(pairs.first()).cloned()
    }

    /// What a connection whose handshake is done gives to logging in. Were certificates
    /// read again since it began, its end point may be that of another: a client that
    /// binds to it is refused then, and comes again.
    pub fn channel(&self, connection: &rustls::ServerConnection) -> Channel {
        let is_new_enough = connection.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3);
        // RFC 9266 sections 2 and 4.
        let label = b"EXPORTER-Channel-Binding";
        let export = || {
            connection
                .export_keying_material([0; 32], label, Some(b""))
                .ok()
        };
        let pair = self.choose(connection.server_name());
        Channel {
            exporter: is_new_enough.then(export).flatten(),
            server_end_point: pair.and_then(|pair| pair.end_point),
            certificate_user: None,
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name()).map(|pair| pair.key)
    }
}

/// `tls-server-end-point` (RFC 5929 section 4.1): the certificate's digest, by the hash
/// function of its signature, or SHA-256 where that is MD5 or SHA-1. `None` where the
/// signature names no hash function (Ed25519), for which it is not defined.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    use sha2::{Digest, Sha256, Sha384, Sha512};
    use x509_parser::oid_registry as oid;
    use x509_parser::signature_algorithm::SignatureAlgorithm;
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let algorithm = &parsed.signature_algorithm;
    let hash = match SignatureAlgorithm::try_from(algorithm).ok()? {
        SignatureAlgorithm::RSASSA_PSS(parameters) => {
            parameters.hash_algorithm_oid().to_id_string()
        }
        SignatureAlgorithm::RSA | SignatureAlgorithm::ECDSA => algorithm.algorithm.to_id_string(),
        _ => return None,
    };
    let is = |known: [oid::Oid<'_>; 3]| known.iter().any(|known| known.to_id_string() == hash);
    if is([
        oid::OID_PKCS1_SHA384WITHRSA,
        oid::OID_SIG_ECDSA_WITH_SHA384,
        oid::OID_NIST_HASH_SHA384,
    ]) {
        Some(Sha384::digest(certificate).to_vec())
    } else if is([
        oid::OID_PKCS1_SHA512WITHRSA,
        oid::OID_SIG_ECDSA_WITH_SHA512,
        oid::OID_NIST_HASH_SHA512,
    ]) {
        Some(Sha512::digest(certificate).to_vec())
    } else {
        Some(Sha256::digest(certificate).to_vec())
    }
}

fn read_all(tls: &Tls) -> anyhow::Result<Vec<Pair>> {
    let read = |files: &CertificateFiles| {
        let key = read_pair(&files.certificate, &files.key)?;
        let end_point = key.cert.first().and_then(|own| end_point(own));
        Ok(Pair {
            key: Arc::new(key),
            end_point,
        })
    };
    tls.certificates.iter().map(read).collect()
}

/// Reads a file of PEM certificates.
///
/// # Errors
/// When it cannot be read or holds none; the text names it.
pub fn read_certificates(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("{}: no PEM certificate could be read", file.display()))?;
    if certificates.is_empty() {
        bail!("{}: holds no certificate", file.display());
    }
    Ok(certificates)
}

fn read_pair(certificate: &Path, key: &Path) -> anyhow::Result<CertifiedKey> {
    let chain = read_certificates(certificate)?;
    let private = PrivateKeyDer::from_pem_file(key).with_context(|| {
        let text = std::fs::read_to_string(key).unwrap_or_default();
        match text.contains("ENCRYPTED") {
            true => format!(
                "{0}: the key is encrypted, and nobody is there to type its password; decrypt it with `openssl pkey -in {0} -out KEY.pem`",
                key.display()
            ),
            false => format!(
                "{}: no PEM private key could be read; the user the server runs as must be able to",
                key.display()
            ),
        }
    })?;
    let signing = ring::sign::any_supported_type(&private)
        .with_context(|| format!("{}: unsupported kind of key", key.display()))?;
    let pair = CertifiedKey::new(chain, signing);
    match pair.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(pair)
        }
        Err(_) if pair.cert.first().is_some_and(|own| is_of_version_1(own)) => bail!(
            "{}: the certificate is of version 1, which clients refuse; make one of version 3, with `openssl req -x509 ... -addext subjectAltName=DNS:NAME` or `openssl x509 -req ... -extfile <(echo subjectAltName=DNS:NAME)`",
            certificate.display()
        ),
        Err(error) => bail!(
            "{} and {} do not belong together ({error})",
            certificate.display(),
            key.display()
        ),
    }
}

/// Whether a certificate has no extensions and so names no host, as `openssl x509 -req`
/// makes them by itself.
fn is_of_version_1(certificate: &[u8]) -> bool {
    x509_parser::parse_x509_certificate(certificate)
        .is_ok_and(|(_, parsed)| parsed.version() == x509_parser::x509::X509Version::V1)
}

/// What is doubtful about a certificate that can be read: that its time is over, or has
/// not come.
///
/// # Errors
/// When it cannot be read; the text names the file.
pub fn doubt(file: &Path) -> anyhow::Result<Option<String>> {
    let chain = read_certificates(file)?;
    let own = chain
        .first()
        .and_then(|own| x509_parser::parse_x509_certificate(own).ok());
    let Some((_, parsed)) = own else {
        return Ok(None);
    };
    let validity = parsed.validity();
    let now = x509_parser::time::ASN1Time::now();
    let shown = file.display();
    Ok(
        match (now < validity.not_before, now > validity.not_after) {
            (_, true) => Some(format!(
                "{shown}: the certificate expired on {}; clients refuse it, renew it",
                validity.not_after
            )),
            (true, _) => Some(format!(
                "{shown}: the certificate is good from {} only; look at the machine's clock",
                validity.not_before
            )),
            (false, false) => None,
        },
    )
}

/// What is asked of clients' certificates.
#[derive(Debug, Clone)]
pub struct ClientCertificates {
    verifier: Arc<dyn ClientCertVerifier>,
    user: ClientUser,
}

impl ClientCertificates {
    /// Reads who certifies clients; `None` where clients are asked for no certificate.
    ///
    /// # Errors
    /// When the file cannot be read or holds no certificate; the text names it.
    pub fn load(tls: &Tls) -> anyhow::Result<Option<Self>> {
        let Some(file) = &tls.client_ca else {
            return Ok(None);
        };
        let mut roots = RootCertStore::empty();
        for certificate in read_certificates(file)? {
            roots
                .add(certificate)
                .with_context(|| format!("{}: a certificate is broken", file.display()))?;
        }
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            // Who has none logs in otherwise.
            .allow_unauthenticated()
            .build()
            .with_context(|| file.display().to_string())?;
        Ok(Some(Self {
            verifier,
            user: tls.client_user,
        }))
    }

    /// The user whom the certificate of a client names, if it showed one: the handshake
    /// verified it. One that names several names nobody.
    pub fn user_of(&self, connection: &rustls::ServerConnection) -> Option<String> {
        let own = connection.peer_certificates()?.first()?;
        certified_user(own, self.user)
    }
}

fn certified_user(certificate: &[u8], user: ClientUser) -> Option<String> {
    use x509_parser::extensions::GeneralName;
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let names: Vec<String> = match user {
        ClientUser::CommonName => {
            let names = parsed.subject().iter_common_name();
            names
                .filter_map(|name| name.as_str().ok().map(str::to_owned))
                .collect()
        }
        ClientUser::Email => {
            let alternative = parsed.subject_alternative_name().ok()??;
            let names = alternative.value.general_names.iter();
            names
                .filter_map(|name| match name {
                    GeneralName::RFC822Name(name) => Some((*name).to_owned()),
                    _ => None,
                })
                .collect()
        }
    };
    match <[String; 1]>::try_from(names) {
        Ok([name]) if !name.is_empty() => Some(name),
        _ => None,
    }
}

/// The TLS configuration: 1.2 and 1.3, certificates by SNI, clients' certificates where
/// they are asked for.
///
/// # Errors
/// When the cryptography provider cannot do these versions.
pub fn server_config(
    certificates: Arc<Certificates>,
    clients: Option<&ClientCertificates>,
) -> anyhow::Result<Arc<rustls::ServerConfig>> {
    let builder = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    let builder = builder.with_protocol_versions(&versions)?;
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(Arc::clone(&clients.verifier)),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(certificates);
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
            ..Tls::default()
        };
        let good = tls("a.pem", "a.key");
        let certificates = Certificates::load(&good).expect("loaded");
        assert!(certificates.reload(&tls("a.pem", "b.key")).is_err());
        assert!(server_config(Arc::new(certificates), None).is_ok());
        assert!(Certificates::load(&tls("a.key", "a.key")).is_err());
    }

    #[test]
    fn a_certificate_of_version_1_is_told() {
        let directory = tempfile::tempdir().expect("directory");
        let both = directory.path().join("both.pem");
        std::fs::write(&both, include_str!("vectors/version-1.pem")).expect("written");
        let error = read_pair(&both, &both).expect_err("refused");
        let told = format!("{error:#}");
        assert!(
            told.contains("version 1") && told.contains("subjectAltName"),
            "{told}"
        );
    }

    /// A certificate with these names, signed by itself.
    fn certificate(common_names: &[&str], addresses: &[&str]) -> Vec<u8> {
        let mut about = rcgen::CertificateParams::default();
        about.distinguished_name = rcgen::DistinguishedName::new();
        for name in common_names {
            about
                .distinguished_name
                .push(rcgen::DnType::CommonName, *name);
        }
        for address in addresses {
            let address = (*address).try_into().expect("an address");
            about
                .subject_alt_names
                .push(rcgen::SanType::Rfc822Name(address));
        }
        let key = rcgen::KeyPair::generate().expect("a key");
        let made = about.self_signed(&key).expect("made");
        made.der().to_vec()
    }

    #[test]
    fn a_certificate_names_one_user_or_none() {
        let named = |common_names: &[&str], addresses: &[&str], user| {
            certified_user(&certificate(common_names, addresses), user)
        };
        let (by_name, by_address) = (ClientUser::CommonName, ClientUser::Email);
        assert_eq!(named(&["anna"], &[], by_name).as_deref(), Some("anna"));
        assert_eq!(named(&["anna"], &[], by_address), None);
        assert_eq!(
            named(&["x"], &["anna@example.org"], by_address).as_deref(),
            Some("anna@example.org")
        );
        assert_eq!(named(&[], &["a@example.org"], by_name), None);
        let two = ["a@example.org", "b@example.org"];
        assert_eq!(named(&["x"], &two, by_address), None);
        assert_eq!(named(&[""], &[], by_name), None);
        assert_eq!(certified_user(b"no certificate", by_name), None);
    }

    /// RFC 5929 section 4.1.
    #[test]
    fn the_end_point_is_a_digest_by_the_signatures_hash() {
        use sha2::{Digest, Sha256, Sha384};
        let made = |algorithm| {
            let key = rcgen::KeyPair::generate_for(algorithm).expect("a key");
            let about = rcgen::CertificateParams::new(["x".to_owned()]).expect("names");
            about.self_signed(&key).expect("made").der().to_vec()
        };
        let one = made(&rcgen::PKCS_ECDSA_P256_SHA256);
        assert_eq!(end_point(&one), Some(Sha256::digest(&one).to_vec()));
        let one = made(&rcgen::PKCS_ECDSA_P384_SHA384);
        assert_eq!(end_point(&one), Some(Sha384::digest(&one).to_vec()));
        assert_eq!(end_point(&made(&rcgen::PKCS_ED25519)), None);
        assert_eq!(end_point(b"no certificate"), None);
    }
}
