//! A client's side of TLS.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

/// A connection over TLS.
pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// Begins the handshake, trusting the server's own certificate only; reading and
/// writing do it.
pub fn begin(stream: TcpStream, certificate: &Path) -> Tls {
    begin_as(stream, certificate, None)
}

/// As [`begin`], with a certificate and key of the client's own.
pub fn begin_as(
    stream: TcpStream,
    certificate: &Path,
    own: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
) -> Tls {
    let certificate = CertificateDer::from_pem_file(certificate).expect("certificate");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("trusted");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match own {
        Some((certificate, key)) => config
            .with_client_auth_cert(vec![certificate], key)
            .expect("a certificate with its key"),
        None => config.with_no_client_auth(),
    };
    let name = ServerName::try_from("localhost").expect("name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("client");
    StreamOwned::new(connection, stream)
}
