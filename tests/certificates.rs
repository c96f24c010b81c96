//! Logging in by the client's certificate (EXTERNAL), over both protocols.

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::Server;
use common::talk::Talk;
use rcgen::{CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::Read;

type Own = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// An authority that certifies clients.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut about = CertificateParams::default();
        about.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        about
            .distinguished_name
            .push(DnType::CommonName, "authority");
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(about, key).expect("made"))
    }

    fn certify(&self, user: &str) -> Own {
        let mut about = CertificateParams::default();
        about.distinguished_name = rcgen::DistinguishedName::new();
        about.distinguished_name.push(DnType::CommonName, user);
        about.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let made = about.signed_by(&key, &self.0).expect("made");
        let private = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        (made.der().clone(), private)
    }

    /// A server that trusts it.
    fn server(&self) -> (Server, tempfile::TempDir) {
        let directory = tempfile::tempdir().expect("directory");
        let file = directory.path().join("clients.pem");
        std::fs::write(&file, self.0.pem()).expect("written");
        let line = format!("tls: {{ client_ca: {} }}", file.display());
        (Server::start_with(1, 0, &[&line]), directory)
    }
}

#[test]
fn a_certificate_logs_in_to_both() {
    let authority = Authority::new();
    let (server, _directory) = authority.server();
    let anna = || Some(authority.certify("anna"));
    let mut talk = Talk::open(server.imaps).begin_tls_as(&server, anna());
    let greeting = talk.expect("* OK [CAPABILITY ");
    assert!(
        greeting.contains(" AUTH=EXTERNAL AUTH=SCRAM-"),
        "{greeting}"
    );
    // The authorization identity must be the certificate's user, or left out.
    talk.send(&format!(
        "a AUTHENTICATE EXTERNAL {}\r\n",
        BASE64.encode("ben")
    ));
    talk.expect("a NO [AUTHORIZATIONFAILED] ");
    // An exchange that was given up has nothing to do with the next.
    for (user, answer) in [("ben", "*"), ("anna", "?"), ("nobody", "AAAA")] {
        let first = BASE64.encode(format!("p=tls-exporter,,n={user},r=abcdefgh"));
        talk.send(&format!("s AUTHENTICATE SCRAM-SHA-256-PLUS {first}\r\n"));
        talk.expect("+ ");
        talk.send(&format!("{answer}\r\n"));
        talk.expect("s BAD ");
    }
    talk.send("b AUTHENTICATE EXTERNAL =\r\nc STATUS INBOX (MESSAGES)\r\n");
    talk.expect("b OK ");
    talk.expect("* STATUS INBOX (MESSAGES 1)");
    talk.expect("c OK ");

    let mut talk = Talk::open(server.imap);
    talk.expect("* OK ");
    talk.send("a AUTHENTICATE EXTERNAL =\r\nb STARTTLS\r\n");
    talk.expect("a NO [CANNOT] ");
    talk.expect("b OK ");
    let mut talk = talk.begin_tls_as(&server, anna());
    talk.send("c AUTHENTICATE EXTERNAL\r\n");
    talk.expect("+ ");
    talk.send(&format!("{}\r\n", BASE64.encode("anna")));
    talk.expect("c OK ");

    let mut talk = Talk::open(server.pop3s).begin_tls_as(&server, anna());
    talk.expect("+OK ");
    talk.send(&format!("AUTH EXTERNAL {}\r\n", BASE64.encode("ben")));
    talk.expect("-ERR ");
    talk.send("AUTH EXTERNAL =\r\n");
    talk.expect("+OK ");
}

#[test]
fn no_certificate_and_a_strangers_log_nobody_in() {
    let authority = Authority::new();
    let (server, _directory) = authority.server();
    // Who has none logs in by password.
    let mut talk = Talk::open(server.imaps).begin_tls(&server);
    let greeting = talk.expect("* OK [CAPABILITY ");
    assert!(!greeting.contains("EXTERNAL"), "{greeting}");
    talk.send("a AUTHENTICATE EXTERNAL =\r\nb LOGIN anna secret\r\n");
    talk.expect("a NO [CANNOT] ");
    talk.expect("b OK ");
    // Of nobody there is.
    for name in ["nobody", "ANNA"] {
        let own = authority.certify(name);
        let mut talk = Talk::open(server.imaps).begin_tls_as(&server, Some(own));
        talk.expect("* OK ");
        talk.send("a AUTHENTICATE EXTERNAL =\r\n");
        talk.expect("a NO [AUTHENTICATIONFAILED] ");
    }
    // Of another authority: no connection at all.
    let forged = Authority::new().certify("anna");
    let mut talk = Talk::open(server.imaps).begin_tls_as(&server, Some(forged));
    let mut text = String::new();
    assert!(talk.stream.read_to_string(&mut text).is_err(), "{text}");
}
