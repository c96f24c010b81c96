//! A conversation by lines, over TCP or TLS.

use super::Server;
use super::tls::{self, Tls};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// One connection.
pub struct Talk<S> {
    pub stream: S,
}

impl Talk<TcpStream> {
    /// Connects.
    pub fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("timeout");
        Self { stream }
    }

    /// Does the handshake, trusting the server's own certificate only.
    pub fn begin_tls(self, server: &Server) -> Talk<Tls> {
        self.begin_tls_as(server, None)
    }

    /// As [`Talk::begin_tls`], with a certificate and key of the client's own.
    pub fn begin_tls_as(
        self,
        server: &Server,
        own: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    ) -> Talk<Tls> {
        let certificate = server.directory().join("cert.pem");
        Talk {
            stream: tls::begin_as(self.stream, &certificate, own),
        }
    }
}

impl<S: Read + Write> Talk<S> {
    /// Sends this.
    pub fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).expect("sent");
        self.stream.flush().expect("flushed");
    }

    /// Reads octet by octet, so that nothing of a handshake is read ahead.
    pub fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut octet = [0];
            self.stream.read_exact(&mut octet).expect("a line");
            line.push(octet[0]);
        }
        line.truncate(line.len() - 2);
        String::from_utf8(line).expect("text")
    }

    /// Reads a line that begins so.
    pub fn expect(&mut self, start: &str) -> String {
        let line = self.line();
        assert!(line.starts_with(start), "wanted {start:?} and got {line:?}");
        line
    }
}
