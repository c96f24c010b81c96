//! Logging in with access tokens (OAUTHBEARER and XOAUTH2) over TLS, against a small
//! authorization server on loopback whose keys are made here.

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64URL};
use common::Server;
use common::ports::free_port;
use common::talk::Talk;
use common::tls::Tls;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const ISSUER: &str = "https://login.example.org";

/// A key that tokens are signed with.
enum Key {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Key {
    fn p256() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let made = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("made");
        Self::P256(EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref(), &random).expect("a key"))
    }

    fn ed25519() -> Self {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("made");
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(made.as_ref()).expect("a key"))
    }

    fn jwk(&self, id: &str) -> Value {
        match self {
            Self::P256(key) => {
                let point = key.public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-256", "kid": id, "use": "sig", "alg": "ES256",
                    "x": BASE64URL.encode(&point[1..33]), "y": BASE64URL.encode(&point[33..]) })
            }
            Self::Ed25519(key) => json!({ "kty": "OKP", "crv": "Ed25519", "kid": id,
                "x": BASE64URL.encode(key.public_key().as_ref()) }),
        }
    }

    fn token(&self, id: &str, claims: &Value) -> String {
        let algorithm = match self {
            Self::P256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
        };
        let header = json!({ "alg": algorithm, "kid": id, "typ": "at+jwt" });
        let signed = format!(
            "{}.{}",
            BASE64URL.encode(header.to_string()),
            BASE64URL.encode(claims.to_string())
        );
        let signature = match self {
            Self::P256(key) => {
                let signature = key.sign(&SystemRandom::new(), signed.as_bytes());
                signature.expect("signed").as_ref().to_vec()
            }
            Self::Ed25519(key) => key.sign(signed.as_bytes()).as_ref().to_vec(),
        };
        format!("{signed}.{}", BASE64URL.encode(signature))
    }
}

fn claims() -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("now");
    json!({ "iss": ISSUER, "aud": ["pillarbox", "other"], "exp": now.as_secs() + 300,
        "sub": "17", "preferred_username": "anna", "scope": "openid mail" })
}

fn claims_but(claim: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[claim] = value;
    claims
}

/// What an authorization server answers a request (its head and body).
type Answer = Box<dyn Fn(&str, &str) -> String + Send + Sync>;

/// An authorization server on loopback, as long as the test runs.
struct Issuer {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    fn start(answer: Answer) -> Self {
        Self::start_over(None, answer)
    }

    fn start_over(tls: Option<Arc<ServerConfig>>, answer: Answer) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bind");
        let port = listener.local_addr().expect("address").port();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.expect("a connection");
                counted.fetch_add(1, Ordering::SeqCst);
                match &tls {
                    None => serve(stream, &answer),
                    Some(config) => {
                        let connection = ServerConnection::new(Arc::clone(config));
                        serve(StreamOwned::new(connection.expect("TLS"), stream), &answer);
                    }
                }
            }
        });
        Self { port, asked }
    }

    fn keys(set: Value) -> Self {
        Self::start(Box::new(move |_, _| ok(&set.to_string())))
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Answers one request; that the client goes meanwhile is no failure.
fn serve(mut stream: impl Read + Write, answer: &Answer) {
    let mut request = Vec::new();
    let mut octet = [0];
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_exact(&mut octet).is_err() {
            return;
        }
        request.push(octet[0]);
    }
    let head = String::from_utf8(request).expect("text");
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    if head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked")
    {
        // One chunk and the last.
        while !body.ends_with(b"\r\n0\r\n\r\n") {
            if stream.read_exact(&mut octet).is_err() {
                return;
            }
            body.push(octet[0]);
        }
    } else if stream.read_exact(&mut body).is_err() {
        return;
    }
    let body = String::from_utf8(body).expect("text");
    let _ = stream.write_all(answer(&head, &body).as_bytes());
    let _ = stream.flush();
}

/// A server that takes tokens as these lines say.
fn server(lines: &str) -> Server {
    let config = format!(
        "oauth: {{ issuer: \"{ISSUER}\", audience: [pillarbox], user_claim: preferred_username, \
         scope: mail, discovery_url: \"{ISSUER}/.well-known/openid-configuration\", {lines} }}"
    );
    Server::start_with(1, 0, &[&config])
}

fn server_of(issuer: &Issuer) -> Server {
    server(&format!(
        "jwks_url: \"http://127.0.0.1:{}/keys\"",
        issuer.port
    ))
}

fn imap(server: &Server) -> Talk<Tls> {
    let mut talk = Talk::open(server.imaps).begin_tls(server);
    let greeting = talk.expect("* OK [CAPABILITY ");
    assert!(
        greeting.contains(" AUTH=OAUTHBEARER AUTH=XOAUTH2 AUTH=PLAIN"),
        "{greeting}"
    );
    talk
}

fn oauthbearer(user: &str, token: &str) -> String {
    BASE64.encode(format!(
        "n,a={user},\u{1}host=localhost\u{1}port=993\u{1}auth=Bearer {token}\u{1}\u{1}"
    ))
}

fn xoauth2(user: &str, token: &str) -> String {
    BASE64.encode(format!("user={user}\u{1}auth=Bearer {token}\u{1}\u{1}"))
}

/// The JSON of a challenge.
fn told(line: &str) -> Value {
    let text = line.strip_prefix("+ ").expect("a challenge");
    serde_json::from_slice(&BASE64.decode(text).expect("base64")).expect("JSON")
}

/// Tries a token of anna's; what was told where it was refused.
fn refusal(server: &Server, token: &str) -> Option<Value> {
    let mut talk = imap(server);
    talk.send(&format!(
        "a AUTHENTICATE OAUTHBEARER {}\r\n",
        oauthbearer("anna", token)
    ));
    let line = talk.line();
    if line.starts_with("a OK ") {
        return None;
    }
    let told = told(&line);
    // RFC 7628 section 3.2.3: a response of one octet ends the exchange.
    talk.send("AQ==\r\n");
    talk.expect("a NO [AUTHENTICATIONFAILED] ");
    Some(told)
}

#[test]
fn good_tokens_log_in_to_both_and_bad_ones_to_neither() {
    let (first, second) = (Key::p256(), Key::ed25519());
    let issuer = Issuer::keys(json!({ "keys": [first.jwk("one"), second.jwk("two")] }));
    let server = server_of(&issuer);
    let good = first.token("one", &claims());
    assert_eq!(refusal(&server, &good), None);
    assert_eq!(refusal(&server, &second.token("two", &claims())), None);
    assert_eq!(issuer.asked(), 1);

    // Google's form, with an initial response and without.
    let mut talk = imap(&server);
    talk.send("a AUTHENTICATE XOAUTH2\r\n");
    assert_eq!(talk.line(), "+ ");
    talk.send(&format!(
        "{}\r\nb STATUS INBOX (MESSAGES)\r\n",
        xoauth2("anna", &good)
    ));
    talk.expect("a OK ");
    talk.expect("* STATUS INBOX (MESSAGES 1)");
    talk.expect("b OK ");
    let mut talk = Talk::open(server.pop3s).begin_tls(&server);
    talk.expect("+OK ");
    talk.send(&format!("AUTH XOAUTH2 {}\r\n", xoauth2("ben", &good)));
    let refused = told(&talk.line());
    assert_eq!(
        refused,
        json!({ "status": "401", "schemes": "bearer", "scope": "mail" })
    );
    talk.send("\r\n");
    talk.expect("-ERR [AUTH] ");
    // What a client asks for is typed.
    talk.send(&format!(
        "AUTH OAUTHBEARER {}\r\nSTAT\r\n",
        oauthbearer("Anna", &good)
    ));
    talk.expect("+OK ");
    assert_eq!(talk.line(), "+OK 1 181");

    let invalid = json!({ "status": "invalid_token", "scope": "mail",
        "openid-configuration": format!("{ISSUER}/.well-known/openid-configuration") });
    let unsigned = {
        let signed = good.split_once('.').expect("parts").1;
        let payload = signed.split_once('.').expect("parts").0;
        let header = BASE64URL.encode(r#"{"alg":"none"}"#);
        format!("{header}.{payload}.")
    };
    for token in [
        first.token(
            "one",
            &claims_but("iss", json!("https://elsewhere.example.org")),
        ),
        first.token("one", &claims_but("aud", json!("other"))),
        first.token("one", &claims_but("exp", json!(1_000_000_000))),
        first.token("one", &claims_but("preferred_username", json!("ben"))),
        first.token("one", &claims_but("preferred_username", json!("nobody"))),
        // Whose the case of letters tells apart.
        first.token("one", &claims_but("preferred_username", json!("Anna"))),
        // Signed with the other key than the one named.
        Key::p256().token("one", &claims()),
        unsigned,
        "no.token.atall".to_owned(),
        "opaque".to_owned(),
    ] {
        assert_eq!(refusal(&server, &token).as_ref(), Some(&invalid), "{token}");
    }
    let other_scope = first.token("one", &claims_but("scope", json!("openid")));
    let told = refusal(&server, &other_scope).expect("refused");
    assert_eq!(told["status"], "insufficient_scope");
    // However many name keys nobody knows, the issuer is asked once in a while only.
    for _ in 0..3 {
        let told = refusal(&server, &first.token("three", &claims())).expect("refused");
        assert_eq!(told["status"], "invalid_token");
    }
    assert_eq!(issuer.asked(), 1);
}

#[test]
fn the_client_may_ask_what_is_needed_or_break_off() {
    let key = Key::p256();
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("jwks.json");
    std::fs::write(&file, json!({ "keys": [key.jwk("one")] }).to_string()).expect("written");
    let server = server(&format!("jwks_file: {}", file.display()));
    let mut talk = imap(&server);
    // RFC 7628 section 4.2: no token, and the dummy answer; section 4.3: cancelled.
    for answer in ["AQ==", "*"] {
        let asked = BASE64.encode("n,a=anna,\u{1}host=localhost\u{1}auth=\u{1}\u{1}");
        talk.send(&format!("a AUTHENTICATE OAUTHBEARER {asked}\r\n"));
        assert_eq!(told(&talk.line())["status"], "invalid_token");
        talk.send(&format!("{answer}\r\n"));
        talk.expect("a NO [AUTHENTICATIONFAILED] ");
    }
    talk.send(&format!(
        "b AUTHENTICATE OAUTHBEARER {}\r\n",
        BASE64.encode("nonsense")
    ));
    talk.expect("b BAD ");
    talk.send(&format!(
        "c AUTHENTICATE OAUTHBEARER {}\r\n",
        oauthbearer("", &key.token("one", &claims()))
    ));
    talk.expect("c OK ");

    // Without TLS neither is offered (RFC 7628 section 3).
    let mut talk = Talk::open(server.imap);
    let greeting = talk.expect("* OK [CAPABILITY ");
    assert!(!greeting.contains("OAUTH"), "{greeting}");
    talk.send(&format!(
        "a AUTHENTICATE XOAUTH2 {}\r\n",
        xoauth2("anna", "x")
    ));
    talk.expect("a NO [CANNOT] ");

    // More than any token has.
    let mut talk = imap(&server);
    talk.send(&format!(
        "a AUTHENTICATE OAUTHBEARER {}\r\n",
        oauthbearer("anna", &"t".repeat(20_000))
    ));
    talk.expect("a BAD [TOOBIG] ");
    let mut talk = Talk::open(server.pop3s).begin_tls(&server);
    talk.expect("+OK ");
    talk.send(&format!(
        "AUTH XOAUTH2 {}\r\n",
        xoauth2("anna", &"t".repeat(20_000))
    ));
    talk.expect("-ERR ");
}

#[test]
fn an_issuer_that_is_slow_or_talks_without_end_holds_nobody_up() {
    let key = Key::p256();
    let token = key.token("one", &claims());
    let slow = Issuer::start(Box::new(|_, _| {
        std::thread::sleep(Duration::from_secs(30));
        String::new()
    }));
    let server = server_of(&slow);
    let began = Instant::now();
    let mut talk = imap(&server);
    talk.send(&format!(
        "a AUTHENTICATE OAUTHBEARER {}\r\n",
        oauthbearer("anna", &token)
    ));
    // Meanwhile others log in.
    let mut other = imap(&server);
    other.send("a LOGIN anna secret\r\n");
    other.expect("a OK ");
    assert!(began.elapsed() < Duration::from_secs(4));
    talk.expect("a NO [UNAVAILABLE] ");
    assert!(began.elapsed() < Duration::from_secs(15));
    // It is not asked again at once.
    let began = Instant::now();
    talk.send(&format!(
        "b AUTHENTICATE OAUTHBEARER {}\r\n",
        oauthbearer("anna", &token)
    ));
    talk.expect("b NO [UNAVAILABLE] ");
    assert!(began.elapsed() < Duration::from_secs(3));

    let set = json!({ "keys": [key.jwk("one")], "more": "x".repeat(300_000) }).to_string();
    let endless = Issuer::start(Box::new(move |_, _| ok(&set)));
    let broken = Issuer::start(Box::new(|_, _| ok("no JSON")));
    let absent = Issuer::start(Box::new(|_, _| {
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned()
    }));
    let elsewhere = Issuer::start(Box::new(|_, _| {
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
            .to_owned()
    }));
    for issuer in [endless, broken, absent, elsewhere] {
        let server = server_of(&issuer);
        let mut talk = imap(&server);
        talk.send(&format!(
            "a AUTHENTICATE XOAUTH2 {}\r\n",
            xoauth2("anna", &token)
        ));
        talk.expect("a NO [UNAVAILABLE] ");
        assert_eq!(issuer.asked(), 1);
    }
}

#[test]
fn keys_come_over_https_from_whom_the_configuration_trusts() {
    let key = Key::p256();
    let set = json!({ "keys": [key.jwk("one")] }).to_string();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let private = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], private)
        .expect("a pair");
    let issuer = Issuer::start_over(Some(Arc::new(config)), Box::new(move |_, _| ok(&set)));
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, made.cert.pem()).expect("written");
    let url = format!("jwks_url: \"https://localhost:{}/keys\"", issuer.port);
    let trusting = server(&format!("{url}, ca_file: {}", file.display()));
    assert_eq!(refusal(&trusting, &key.token("one", &claims())), None);
    let distrustful = server(&url);
    let mut talk = imap(&distrustful);
    let token = key.token("one", &claims());
    talk.send(&format!(
        "a AUTHENTICATE XOAUTH2 {}\r\n",
        xoauth2("anna", &token)
    ));
    talk.expect("a NO [UNAVAILABLE] ");
}

/// RFC 7662.
#[test]
fn an_issuer_is_asked_about_tokens_that_say_nothing() {
    let issuer = Issuer::start(Box::new(|head, body| {
        let is_post = head.starts_with("POST /introspect HTTP/1.1\r\n");
        // RFC 6749 section 2.3.1, appendix B: client:s%26cret.
        let expected = format!("basic {}", BASE64.encode("client:s%26cret")).to_lowercase();
        let is_client = head.to_lowercase().contains(&expected);
        let form = body.contains("token_type_hint=access_token");
        let is_good = body.contains("token=opaque-one&") && form;
        assert!(is_post && is_client && form, "{head}{body}");
        ok(&match is_good {
            true => json!({ "active": true, "aud": "pillarbox", "scope": "mail",
                "preferred_username": "anna" }),
            false => json!({ "active": false }),
        }
        .to_string())
    }));
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("secret");
    std::fs::write(&file, "s&cret\n").expect("written");
    let server = server(&format!(
        "introspection_url: \"http://127.0.0.1:{}/introspect\", client_id: client, \
         client_secret_file: {}",
        issuer.port,
        file.display()
    ));
    assert_eq!(refusal(&server, "opaque-one"), None);
    let told = refusal(&server, "opaque-two").expect("refused");
    assert_eq!(told["status"], "invalid_token");
    assert_eq!(issuer.asked(), 2);
}

#[test]
fn connections_of_no_issuer_end_in_words() {
    // Nobody listens there.
    let port = free_port();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    let server = server(&format!("introspection_url: \"http://127.0.0.1:{port}/\""));
    let mut talk = imap(&server);
    talk.send(&format!(
        "a AUTHENTICATE XOAUTH2 {}\r\n",
        xoauth2("anna", "x")
    ));
    talk.expect("a NO [UNAVAILABLE] ");
}
