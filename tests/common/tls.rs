//! A client's side of TLS.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

/// A connection over TLS.
pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// Begins the handshake, trusting the server's own certificate only; reading and
/// writing do it.
pub fn begin(stream: TcpStream, certificate: &Path) -> Tls {
    let certificate = CertificateDer::from_pem_file(certificate).expect("certificate");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("trusted");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("client");
    StreamOwned::new(connection, stream)
}
