//! Logging in over real sockets: SCRAM in both protocols, with channel binding and without, STARTTLS and STLS
//! with commands slipped in before the handshake, lines that are too long.

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::Server;
use common::talk::Talk;
use common::tls::Tls;
use hmac::{Hmac, KeyInit, Mac};
use pillarbox::accounts::users::Users;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::net::TcpStream;

/// The hash function of a mechanism.
#[derive(Debug, Clone, Copy)]
enum Hash {
    Sha256,
    Sha1,
}

impl Hash {
    fn of(self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(text).to_vec(),
            Self::Sha1 => Sha1::digest(text).to_vec(),
        }
    }

    fn mac(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        const ANY: &str = "a key of any length";
        match self {
            Self::Sha256 => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key).expect(ANY);
                mac.update(text);
                mac.finalize().into_bytes().to_vec()
            }
            Self::Sha1 => {
                let mut mac = Hmac::<Sha1>::new_from_slice(key).expect(ANY);
                mac.update(text);
                mac.finalize().into_bytes().to_vec()
            }
        }
    }

    /// `Hi` of RFC 5802 section 2.2.
    fn salted(self, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        let mut round = self.mac(password, &[salt, &[0, 0, 0, 1]].concat());
        let mut sum = round.clone();
        for _ in 1..iterations {
            round = self.mac(password, &round);
            sum = xor(&sum, &round);
        }
        sum
    }
}

fn xor(left: &[u8], right: &[u8]) -> Vec<u8> {
    left.iter()
        .zip(right)
        .map(|(left, right)| left ^ right)
        .collect()
}

/// A client's side of SCRAM (RFC 5802 section 3).
struct Scram {
    hash: Hash,
    /// The channel binding flag, and what it is bound to.
    flag: String,
    bound_to: Vec<u8>,
    first_bare: String,
    /// What the server is to prove.
    signature: Vec<u8>,
}

impl Scram {
    fn new(user: &str) -> Self {
        Self::bound(Hash::Sha256, user, "n", b"")
    }

    fn bound(hash: Hash, user: &str, flag: &str, bound_to: &[u8]) -> Self {
        Self {
            hash,
            flag: flag.to_owned(),
            bound_to: bound_to.to_owned(),
            first_bare: format!("n={user},r=fyko+d2lbbFgONRv9qkxdawL"),
            signature: Vec::new(),
        }
    }

    fn first(&self) -> String {
        BASE64.encode(format!("{},,{}", self.flag, self.first_bare))
    }

    /// Answers the server's challenge.
    fn answer<S: Read + Write>(&mut self, talk: &mut Talk<S>, password: &str) {
        let last = self.last(&talk.expect("+ "), password);
        talk.send(&format!("{last}\r\n"));
    }

    /// Answers the server's challenge with the right password, and checks what it proves.
    fn prove<S: Read + Write>(&mut self, talk: &mut Talk<S>) {
        self.answer(talk, "secret");
        self.verify(&talk.expect("+ "));
    }

    /// The answer to the server's challenge (after `+ `).
    fn last(&mut self, challenge: &str, password: &str) -> String {
        let challenge = BASE64.decode(challenge.strip_prefix("+ ").expect("a challenge"));
        let challenge = String::from_utf8(challenge.expect("base64")).expect("text");
        let attribute = |name: &str| {
            let mut parts = challenge.split(',');
            let found = parts.find_map(|part| part.strip_prefix(name));
            found.expect("the attribute").to_owned()
        };
        let hash = self.hash;
        let salt = BASE64.decode(attribute("s=")).expect("a salt");
        let iterations = attribute("i=").parse().expect("a number");
        let salted = hash.salted(password.as_bytes(), &salt, iterations);
        let client_key = hash.mac(&salted, b"Client Key");
        let binding = [format!("{},,", self.flag).as_bytes(), &self.bound_to].concat();
        let without_proof = format!("c={},r={}", BASE64.encode(binding), attribute("r="));
        let message = format!("{},{challenge},{without_proof}", self.first_bare);
        let signature = hash.mac(&hash.of(&client_key), message.as_bytes());
        let proof = xor(&client_key, &signature);
        self.signature = hash.mac(&hash.mac(&salted, b"Server Key"), message.as_bytes());
        BASE64.encode(format!("{without_proof},p={}", BASE64.encode(proof)))
    }

    /// Checks the server's own proof (after `+ `).
    fn verify(&self, line: &str) {
        let expected = format!("v={}", BASE64.encode(&self.signature));
        assert_eq!(line, format!("+ {}", BASE64.encode(expected)));
    }
}

/// What a connection can be bound to.
struct Bindings {
    exporter: [u8; 32],
    server_end_point: Vec<u8>,
}

fn bindings(server: &Server, talk: &Talk<Tls>) -> Bindings {
    let exported =
        talk.stream
            .conn
            .export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b""));
    let certificate = server.directory().join("cert.pem");
    let certificate = CertificateDer::from_pem_file(certificate).expect("certificate");
    Bindings {
        exporter: exported.expect("exported"),
        // It is signed with ECDSA and SHA-256.
        server_end_point: Sha256::digest(&certificate).to_vec(),
    }
}

#[test]
fn scram_logs_in_to_imap() {
    let server = Server::start(1);
    let mut talk = Talk::open(server.imap);
    talk.expect("* OK ");
    // With an initial response (RFC 4959) and without; a wrong password, an unknown user.
    let mut scram = Scram::new("anna");
    talk.send(&format!(
        "a AUTHENTICATE SCRAM-SHA-256 {}\r\n",
        scram.first()
    ));
    scram.answer(&mut talk, "wrong");
    talk.expect("a NO [AUTHENTICATIONFAILED] ");
    for (tag, hash, name) in [
        ("b1", Hash::Sha256, "SCRAM-SHA-256"),
        ("b2", Hash::Sha1, "SCRAM-SHA-1"),
    ] {
        let mut scram = Scram::bound(hash, "nobody", "n", b"");
        talk.send(&format!("{tag} AUTHENTICATE {name} {}\r\n", scram.first()));
        scram.answer(&mut talk, "secret");
        talk.expect(&format!("{tag} NO [AUTHENTICATIONFAILED] "));
    }
    let mut scram = Scram::bound(Hash::Sha1, "anna", "y", b"");
    talk.send("c AUTHENTICATE SCRAM-SHA-1\r\n");
    assert_eq!(talk.line(), "+ ");
    talk.send(&format!("{}\r\n", scram.first()));
    scram.prove(&mut talk);
    // Cancelled after the proof: nobody is logged in.
    talk.send("*\r\n");
    talk.expect("c BAD ");
    talk.send("d SELECT INBOX\r\n");
    talk.expect("d BAD ");
    let mut scram = Scram::new("anna");
    talk.send(&format!(
        "e AUTHENTICATE SCRAM-SHA-256 {}\r\n",
        scram.first()
    ));
    scram.prove(&mut talk);
    talk.send("\r\nf STATUS INBOX (MESSAGES)\r\n");
    talk.expect("e OK [CAPABILITY ");
    assert_eq!(talk.line(), "* STATUS INBOX (MESSAGES 1)");
    talk.expect("f OK ");
}

#[test]
fn scram_does_not_tell_who_exists() {
    let server = Server::start(0);
    let mut talk = Talk::open(server.imap);
    talk.expect("* OK ");
    let mut challenge = |name: &str| {
        let first = Scram::new(name).first();
        talk.send(&format!("a AUTHENTICATE SCRAM-SHA-256 {first}\r\n"));
        let challenge = talk.expect("+ ");
        talk.send("*\r\n");
        talk.expect("a BAD ");
        let challenge = BASE64.decode(&challenge[2..]).expect("base64");
        let challenge = String::from_utf8(challenge).expect("text");
        let (_, salt_and_count) = challenge.split_once(",s=").expect("a salt");
        salt_and_count.to_owned()
    };
    // RFC 5802 section 9: however a name is spelled, the salt is the same.
    for name in ["anna", "nobody"] {
        let told = challenge(name);
        assert_eq!(challenge(&name.replacen('n', "n\u{ad}", 1)), told, "{name}");
        assert_eq!(
            challenge(&name.replacen('n', "\u{ff4e}", 1)),
            told,
            "{name}"
        );
    }
    assert_ne!(challenge("nobody"), challenge("somebody"));
}

#[test]
fn pop3_takes_passwords_in_utf_8() {
    // RFC 6856 section 2.2.
    let server = Server::start(0);
    let mut talk = Talk::open(server.pop3);
    talk.expect("+OK ");
    talk.send("USER anna\r\n");
    talk.expect("+OK ");
    talk.stream.write_all(b"PASS \xff\xfe\r\n").expect("sent");
    assert_eq!(talk.line(), "-ERR passwords are in UTF-8");
    talk.send("USER anna\r\nPASS secret\r\n");
    talk.expect("+OK ");
    talk.expect("+OK ");
}

/// anna can log in while a POP3 client that was refused stays, which ends then.
fn a_place_is_free_beside(server: &Server, mut refused: Talk<TcpStream>) {
    let mut imap = Talk::open(server.imap);
    imap.expect("* OK ");
    imap.send("a LOGIN anna secret\r\n");
    imap.expect("a OK ");
    refused.send("QUIT\r\n");
    refused.expect("+OK ");
}

#[test]
fn who_is_refused_has_no_place() {
    let server = Server::start_with(
        0,
        0,
        &[
            "limits: { connections_per_user: 1, failed_login_delay_seconds: 0 }",
            "pop3: { login_delay_seconds: 600, exclusive: true }",
        ],
    );
    let mut first = Talk::open(server.pop3);
    first.expect("+OK ");
    first.send("USER anna\r\nPASS secret\r\nQUIT\r\n");
    for _ in 0..3 {
        first.expect("+OK ");
    }
    // The place is free when the connection ends.
    first.stream.read_to_end(&mut Vec::new()).expect("the end");
    // It stays, and may try again.
    let mut second = Talk::open(server.pop3);
    second.expect("+OK ");
    second.send("USER anna\r\nPASS secret\r\n");
    second.expect("+OK ");
    second.expect("-ERR [LOGIN-DELAY] ");
    a_place_is_free_beside(&server, second);
}

#[test]
fn who_finds_the_maildrop_in_use_has_no_place() {
    let server = Server::start_with(
        0,
        0,
        &[
            "limits: { connections_per_user: 2, failed_login_delay_seconds: 0 }",
            "pop3: { exclusive: true }",
        ],
    );
    let login = |words: &str| {
        let mut talk = Talk::open(server.pop3);
        talk.expect("+OK ");
        talk.send("USER anna\r\nPASS secret\r\n");
        talk.expect("+OK ");
        talk.expect(words);
        talk
    };
    let _first = login("+OK ");
    let second = login("-ERR [IN-USE] ");
    a_place_is_free_beside(&server, second);
}

#[test]
fn scram_logs_in_to_pop3() {
    let server = Server::start(1);
    let mut talk = Talk::open(server.pop3);
    talk.expect("+OK ");
    let mut scram = Scram::new("anna");
    talk.send(&format!("AUTH SCRAM-SHA-256 {}\r\n", scram.first()));
    scram.answer(&mut talk, "wrong");
    talk.expect("-ERR [AUTH] ");
    let mut scram = Scram::bound(Hash::Sha1, "anna", "n", b"");
    talk.send("AUTH SCRAM-SHA-1\r\n");
    assert_eq!(talk.line(), "+ ");
    talk.send(&format!("{}\r\n", scram.first()));
    scram.prove(&mut talk);
    talk.send("\r\nSTAT\r\n");
    talk.expect("+OK ");
    assert_eq!(talk.line(), "+OK 1 181");
}

/// RFC 9266 and RFC 5929 over both protocols, TLS from the start and begun by command.
#[test]
fn scram_binds_to_the_tls_connection() {
    let server = Server::start(1);
    let talk = Talk::open(server.imaps);
    let mut talk = talk.begin_tls(&server);
    let greeting = talk.expect("* OK [CAPABILITY ");
    let best_first = " AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-1-PLUS AUTH=SCRAM-SHA-256 \
        AUTH=SCRAM-SHA-1 AUTH=PLAIN AUTH=LOGIN";
    assert!(greeting.contains(best_first), "{greeting}");
    let bound = bindings(&server, &talk);
    // Somebody took -PLUS out of what was announced (RFC 5802 section 6).
    let scram = Scram::bound(Hash::Sha256, "anna", "y", b"");
    talk.send(&format!(
        "a AUTHENTICATE SCRAM-SHA-256 {}\r\n",
        scram.first()
    ));
    talk.expect("a NO [AUTHENTICATIONFAILED] Channel binding is offered here");
    // The client is at the end of another connection.
    let mut scram = Scram::bound(Hash::Sha256, "anna", "p=tls-exporter", &[0; 32]);
    talk.send(&format!(
        "b AUTHENTICATE SCRAM-SHA-256-PLUS {}\r\n",
        scram.first()
    ));
    scram.answer(&mut talk, "secret");
    talk.expect("b NO [AUTHENTICATIONFAILED] The channel binding is of another");
    for (tag, flag) in [("c", "n"), ("d", "p=tls-unique")] {
        let scram = Scram::bound(Hash::Sha256, "anna", flag, b"");
        talk.send(&format!(
            "{tag} AUTHENTICATE SCRAM-SHA-256-PLUS {}\r\n",
            scram.first()
        ));
        talk.expect(&format!("{tag} BAD "));
    }
    let mut scram = Scram::bound(Hash::Sha256, "anna", "p=tls-exporter", &bound.exporter);
    talk.send(&format!(
        "e AUTHENTICATE SCRAM-SHA-256-PLUS {}\r\n",
        scram.first()
    ));
    scram.prove(&mut talk);
    talk.send("\r\n");
    talk.expect("e OK ");

    // A client that cannot bind logs in without.
    let mut talk = Talk::open(server.imaps).begin_tls(&server);
    talk.expect("* OK ");
    let mut scram = Scram::new("anna");
    talk.send(&format!(
        "a AUTHENTICATE SCRAM-SHA-256 {}\r\n",
        scram.first()
    ));
    scram.prove(&mut talk);
    talk.send("\r\n");
    talk.expect("a OK ");

    let mut talk = Talk::open(server.pop3);
    talk.expect("+OK ");
    talk.send("STLS\r\n");
    talk.expect("+OK ");
    let mut talk = talk.begin_tls(&server);
    talk.send("NOOP\r\n");
    talk.expect("-ERR ");
    let bound = bindings(&server, &talk);
    let mut scram = Scram::bound(
        Hash::Sha1,
        "anna",
        "p=tls-server-end-point",
        &bound.server_end_point,
    );
    talk.send(&format!("AUTH SCRAM-SHA-1-PLUS {}\r\n", scram.first()));
    scram.prove(&mut talk);
    talk.send("\r\n");
    talk.expect("+OK ");
}

#[test]
fn what_was_slipped_in_before_the_handshake_is_not_run() {
    let server = Server::start(1);
    let mut talk = Talk::open(server.imap);
    talk.expect("* OK [CAPABILITY ");
    talk.send("a STARTTLS\r\nb LOGIN anna secret\r\nc NOOP\r\nd AUTHENTICATE PLAIN {9");
    talk.expect("a OK ");
    let mut talk = talk.begin_tls(&server);
    talk.send("e CAPABILITY\r\nf SELECT INBOX\r\ng STARTTLS\r\nh LOGIN anna secret\r\n");
    let capabilities = talk.expect("* CAPABILITY IMAP4rev1 ");
    assert!(!capabilities.contains("STARTTLS"), "{capabilities}");
    talk.expect("e OK ");
    talk.expect("f BAD ");
    talk.expect("g BAD ");
    talk.expect("h OK ");

    let mut talk = Talk::open(server.pop3);
    talk.expect("+OK ");
    // The name told before the handshake is forgotten too (RFC 2595 section 4).
    talk.send("USER anna\r\nSTLS\r\nUSER anna\r\nPASS secret\r\nAUTH PLA");
    talk.expect("+OK ");
    talk.expect("+OK ");
    let mut talk = talk.begin_tls(&server);
    talk.send("PASS secret\r\nSTAT\r\nSTLS\r\nUSER anna\r\nPASS secret\r\nSTAT\r\n");
    talk.expect("-ERR ");
    talk.expect("-ERR ");
    talk.expect("-ERR ");
    talk.expect("+OK ");
    talk.expect("+OK ");
    assert_eq!(talk.line(), "+OK 1 181");
}

#[test]
fn a_response_without_end_is_not_collected() {
    let server = Server::start(0);
    let long = "A".repeat(20_000);
    let mut talk = Talk::open(server.imap);
    talk.expect("* OK ");
    talk.send("a AUTHENTICATE PLAIN\r\n");
    talk.expect("+ ");
    // Little more than is taken, so that all of it is read before the connection ends.
    talk.send(&long[..8300]);
    talk.expect("* BYE ");

    let mut talk = Talk::open(server.pop3);
    talk.expect("+OK ");
    talk.send("AUTH PLAIN\r\n");
    talk.expect("+ ");
    talk.send(&format!("{long}\r\nNONSENSE\r\n"));
    talk.expect("-ERR ");
    talk.expect("-ERR ");
    talk.send("USER anna\r\nPASS secret\r\n");
    talk.expect("+OK ");
    talk.expect("+OK ");
}

#[test]
fn who_is_taken_out_of_the_users_file_is_sent_away() {
    let devices = ["phone".to_owned(), "tablet".to_owned()];
    let server = Server::start_for(1, 0, &["plaintext_login: always"], &devices);
    let imap = |password: &str| {
        let mut talk = Talk::open(server.imap);
        talk.expect("* OK");
        talk.send(&format!("a LOGIN anna {password}\r\n"));
        talk.expect("a OK");
        talk
    };
    let pop3 = |password: &str| {
        let mut talk = Talk::open(server.pop3);
        talk.expect("+OK");
        talk.send(&format!("USER anna\r\nPASS {password}\r\n"));
        talk.expect("+OK");
        talk.expect("+OK");
        talk
    };
    let (mut own, mut own_pop3) = (imap("secret"), pop3("secret"));
    let (mut phone, mut phone_pop3) = (imap("phone"), pop3("phone"));
    let mut tablet = imap("tablet");
    phone.send("b IDLE\r\n");
    phone.expect("+ ");
    let file = server.directory().join("users.yaml");
    let mut users = Users::load(&file).expect("users");
    users.users[0]
        .devices
        .retain(|device| device.name != "phone");
    users.save(&file).expect("saved");
    assert_eq!(phone.line(), "* BYE The login is no longer valid");
    assert_eq!(
        phone_pop3.line(),
        "-ERR [AUTH] the login is no longer valid"
    );
    // Nobody else's.
    for talk in [&mut own, &mut tablet] {
        talk.send("b NOOP\r\n");
        talk.expect("b OK");
    }
    own_pop3.send("NOOP\r\n");
    own_pop3.expect("+OK");
    users.users[0].set_password(b"other").expect("a password");
    users.save(&file).expect("saved");
    own.expect("* BYE The login is no longer valid");
    own_pop3.expect("-ERR [AUTH] ");
    tablet.send("c NOOP\r\n");
    tablet.expect("c OK");
    users.users.clear();
    users.save(&file).expect("saved");
    tablet.expect("* BYE ");
}

#[tokio::test]
async fn who_is_kept_out_by_a_passwd_file_is_as_unknown_as_nobody() {
    use pillarbox::accounts::Accounts;
    use pillarbox::config::Config;
    use wire::sasl::{Identity, Mechanism};
    use wire::{Denial, Secret};
    let directory = tempfile::tempdir().expect("directory");
    let users_file = directory.path().join("passwd");
    let lines = "anna:{PLAIN}secret::::::allow_nets=192.0.2.0/24\nben:{PLAIN}secret::::::nologin\ncarl:{PLAIN}secret\n";
    std::fs::write(&users_file, lines).expect("written");
    let config = Config {
        users_file,
        ..Config::default()
    };
    let accounts = std::sync::Arc::new(Accounts::open(&config).expect("accounts"));
    let here = "192.0.2.7".parse().expect("an address");
    let elsewhere = "198.51.100.7".parse().expect("an address");
    let secret = || Secret::new(b"secret".to_vec());
    for (name, peer, is_let_in) in [
        ("anna", here, true),
        // What was right a moment ago is not, from there.
        ("anna", elsewhere, false),
        ("ben", here, false),
        ("carl", elsewhere, true),
    ] {
        let verdict = accounts.verify(name, secret(), peer).await;
        let expected = is_let_in
            .then(|| name.to_owned())
            .ok_or(Denial::BadCredentials);
        assert_eq!(
            verdict.map(|entrant| entrant.user),
            expected,
            "{name} from {peer}"
        );
        let certified = Identity {
            mechanism: Mechanism::External,
            user: name.to_owned(),
            acts_as: None,
            device: None,
        };
        let entered = accounts.enter(&certified, &[], peer);
        assert_eq!(entered.is_ok(), is_let_in, "{name} from {peer}");
    }
    let anna = accounts
        .verify("anna", secret(), here)
        .await
        .expect("let in");
    assert!(accounts.admits(&anna, here) && !accounts.admits(&anna, elsewhere));
    assert_eq!(
        accounts.why_refused("ben", here),
        "nologin in the users file"
    );
    std::fs::write(&config.users_file, "anna:{PLAIN}secret::::::nologin\n").expect("written");
    accounts.reload(&config).expect("read again");
    assert!(!accounts.admits(&anna, here));
}
