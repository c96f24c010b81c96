//! SASL exchanges, the server's side: PLAIN (RFC 4616), LOGIN and
//! SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding.

use crate::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Whether SCRAM-SHA-256 is offered. Clients take the best mechanism offered and ask
/// no further, so it is not where some users have no keys for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scram {
    /// Every user has keys.
    Offered,
    /// Some have none.
    Withheld,
}

/// The mechanisms offered, best first.
pub fn mechanisms(scram: Scram) -> &'static [&'static str] {
    const ALL: [&str; 3] = ["SCRAM-SHA-256", "PLAIN", "LOGIN"];
    match scram {
        Scram::Offered => &ALL,
        Scram::Withheld => &ALL[1..],
    }
}

/// What a server keeps to verify SCRAM-SHA-256 (RFC 5802 section 3) for one user, who
/// may have several passwords: the challenge is the same for all of them.
#[derive(Clone)]
pub struct ScramKeys {
    /// The salt, raw.
    pub salt: Vec<u8>,
    /// The iteration count.
    pub iterations: u32,
    /// The keys of each password.
    pub pairs: Vec<ScramKeyPair>,
}

/// What a server keeps of one password (RFC 5802 section 3).
#[derive(Clone)]
pub struct ScramKeyPair {
    /// H(ClientKey).
    pub stored_key: [u8; 32],
    /// HMAC(SaltedPassword, "Server Key").
    pub server_key: [u8; 32],
}

impl ScramKeys {
    /// Derives the keys of one password.
    pub fn derive(password: &[u8], salt: &[u8], iterations: u32) -> Self {
        Self {
            salt: salt.to_vec(),
            iterations,
            pairs: vec![ScramKeyPair::derive(password, salt, iterations)],
        }
    }
}

impl ScramKeyPair {
    /// Derives the keys from a password (RFC 5802 section 3). The password is
    /// taken as it is; SASLprep changes nothing in ASCII.
    pub fn derive(password: &[u8], salt: &[u8], iterations: u32) -> Self {
        let mut salted = zeroize::Zeroizing::new([0_u8; 32]);
        pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, salted.as_mut());
        let client_key = zeroize::Zeroizing::new(mac(&salted[..], b"Client Key"));
        Self {
            stored_key: Sha256::digest(&client_key[..]).into(),
            server_key: mac(&salted[..], b"Server Key"),
        }
    }

    /// Whether a proof is of a client that knows the password.
    fn proves(&self, proof: &[u8; 32], message: &[u8]) -> bool {
        let signature = mac(&self.stored_key, message);
        let mut client_key = zeroize::Zeroizing::new([0_u8; 32]);
        for ((octet, proof), signature) in client_key.iter_mut().zip(proof).zip(signature) {
            *octet = proof ^ signature;
        }
        let stored_key: [u8; 32] = Sha256::digest(&client_key[..]).into();
        stored_key.ct_eq(&self.stored_key).into()
    }
}

/// What an exchange wants after a message of the client.
#[derive(Debug)]
pub enum Step {
    /// Send this challenge (not yet encoded) and step on with the response.
    Challenge(Vec<u8>),
    /// The client sent its password; the exchange is over.
    CheckPassword {
        /// Who wants to log in.
        user: String,
        /// With which password.
        password: Secret,
    },
    /// Look the user's keys up and give them to [`Exchange::scram_keys`].
    FindScramKeys {
        /// Who wants to log in.
        user: String,
    },
    /// The proof was checked. If `proven`, send `server_final` as a challenge
    /// and take an empty response before the login succeeds.
    ScramFinished {
        /// Who wants to log in.
        user: String,
        /// Whether the client knew the password.
        proven: bool,
        /// The server's last message, not yet encoded.
        server_final: Vec<u8>,
    },
    /// The client broke the mechanism's rules; the exchange is over.
    Malformed(&'static str),
    /// The client wants to act for another user, which nobody may (RFC 4422
    /// section 3.4.1); the exchange is over.
    OtherIdentity,
}

/// An exchange under way.
pub enum Exchange {
    /// PLAIN.
    Plain,
    /// LOGIN.
    Login(Prompts),
    /// SCRAM-SHA-256.
    Scram(Box<Proof>),
}

/// How far LOGIN is: the user name, once known.
#[derive(Default)]
pub struct Prompts {
    user: Option<String>,
}

/// How far SCRAM-SHA-256 is.
pub struct Proof {
    server_nonce: String,
    phase: Phase,
}

enum Phase {
    ClientFirst,
    Keys(First),
    ClientFinal {
        first: First,
        server_first: String,
        keys: ScramKeys,
    },
    Over,
}

/// What the client's first message said.
struct First {
    user: String,
    gs2_header: String,
    bare: String,
    nonce: String,
}

impl Exchange {
    /// Starts an exchange of a mechanism, named in any case; `None` if it is
    /// unknown or no random nonce can be had.
    pub fn start(mechanism_name: &str) -> Option<Self> {
        if mechanism_name.eq_ignore_ascii_case("PLAIN") {
            Some(Self::Plain)
        } else if mechanism_name.eq_ignore_ascii_case("LOGIN") {
            Some(Self::Login(Prompts::default()))
        } else if mechanism_name.eq_ignore_ascii_case("SCRAM-SHA-256") {
            let mut nonce = [0_u8; 18];
            getrandom::fill(&mut nonce).ok()?;
            Some(Self::scram_with_nonce(BASE64.encode(nonce)))
        } else {
            None
        }
    }

    fn scram_with_nonce(server_nonce: String) -> Self {
        Self::Scram(Box::new(Proof {
            server_nonce,
            phase: Phase::ClientFirst,
        }))
    }

    /// Whether the mechanism shows the password to whoever reads the connection.
    pub fn sends_password(&self) -> bool {
        !matches!(self, Self::Scram(_))
    }

    /// The challenge to send when the client gave no initial response.
    pub fn initial_challenge(&self) -> Vec<u8> {
        match self {
            Self::Plain | Self::Scram(_) => Vec::new(),
            Self::Login(_) => b"Username:".to_vec(),
        }
    }

    /// Takes a response of the client, base64 already decoded.
    pub fn step(&mut self, input: &[u8]) -> Step {
        match self {
            Self::Plain => step_plain(input),
            Self::Login(prompts) => prompts.step(input),
            Self::Scram(scram) => scram.step(input),
        }
    }

    /// Takes the keys asked for with [`Step::FindScramKeys`].
    pub fn scram_keys(&mut self, keys: ScramKeys) -> Step {
        match self {
            Self::Scram(scram) => scram.take_keys(keys),
            Self::Plain | Self::Login(_) => Step::Malformed("no keys were asked for"),
        }
    }
}

/// Decodes what a client sends in an exchange: base64, padded.
pub fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

/// Encodes what a server sends in an exchange.
pub fn encode_base64(octets: &[u8]) -> String {
    BASE64.encode(octets)
}

fn step_plain(input: &[u8]) -> Step {
    let mut fields = input.split(|octet| *octet == 0);
    let (Some(authzid), Some(authcid), Some(password), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Step::Malformed("PLAIN needs two NUL octets");
    };
    if !authzid.is_empty() && authzid != authcid {
        return Step::OtherIdentity;
    }
    check_password(authcid, password)
}

fn check_password(user: &[u8], password: &[u8]) -> Step {
    match std::str::from_utf8(user) {
        Ok("") => Step::Malformed("the user name is empty"),
        Ok(user) => Step::CheckPassword {
            user: user.to_owned(),
            password: Secret::new(password.to_vec()),
        },
        Err(_) => Step::Malformed("the user name is not UTF-8"),
    }
}

impl Prompts {
    fn step(&mut self, input: &[u8]) -> Step {
        match self.user.take() {
            Some(user) => check_password(user.as_bytes(), input),
            None => match std::str::from_utf8(input) {
                Ok("") => Step::Malformed("the user name is empty"),
                Ok(user) => {
                    self.user = Some(user.to_owned());
                    Step::Challenge(b"Password:".to_vec())
                }
                Err(_) => Step::Malformed("the user name is not UTF-8"),
            },
        }
    }
}

impl Proof {
    fn step(&mut self, input: &[u8]) -> Step {
        let Ok(text) = std::str::from_utf8(input) else {
            self.phase = Phase::Over;
            return Step::Malformed("the message is not UTF-8");
        };
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::ClientFirst => match First::parse(text) {
                Ok(first) => {
                    let user = first.user.clone();
                    self.phase = Phase::Keys(first);
                    Step::FindScramKeys { user }
                }
                Err(problem) => Step::Malformed(problem),
            },
            Phase::ClientFinal {
                first,
                server_first,
                keys,
            } => match self.check_final(&first, &server_first, &keys, text) {
                Ok(step) => step,
                Err(problem) => Step::Malformed(problem),
            },
            Phase::Keys(_) | Phase::Over => Step::Malformed("the message is out of order"),
        }
    }

    fn take_keys(&mut self, keys: ScramKeys) -> Step {
        let Phase::Keys(first) = std::mem::replace(&mut self.phase, Phase::Over) else {
            return Step::Malformed("no keys were asked for");
        };
        let server_first = format!(
            "r={}{},s={},i={}",
            first.nonce,
            self.server_nonce,
            BASE64.encode(&keys.salt),
            keys.iterations
        );
        let challenge = server_first.clone().into_bytes();
        self.phase = Phase::ClientFinal {
            first,
            server_first,
            keys,
        };
        Step::Challenge(challenge)
    }

    fn check_final(
        &self,
        first: &First,
        server_first: &str,
        keys: &ScramKeys,
        text: &str,
    ) -> Result<Step, &'static str> {
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or("the proof is missing")?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next().and_then(|item| item.strip_prefix("c="));
        let binding = binding.ok_or("the channel binding is missing")?;
        if binding != BASE64.encode(&first.gs2_header) {
            return Err("the channel binding does not match");
        }
        let nonce = attributes.next().and_then(|item| item.strip_prefix("r="));
        let nonce = nonce.ok_or("the nonce is missing")?;
        if nonce.strip_prefix(first.nonce.as_str()) != Some(self.server_nonce.as_str()) {
            return Err("the nonce does not match");
        }
        let proof = BASE64
            .decode(proof)
            .map_err(|_| "the proof is not base64")?;
        let proof: [u8; 32] = proof.try_into().map_err(|_| "the proof has a wrong size")?;

        let message = format!("{},{server_first},{without_proof}", first.bare);
        let proven = keys
            .pairs
            .iter()
            .rfind(|pair| pair.proves(&proof, message.as_bytes()));
        let server_final = match proven {
            Some(pair) => {
                let verifier = mac(&pair.server_key, message.as_bytes());
                format!("v={}", BASE64.encode(verifier))
            }
            None => "e=invalid-proof".to_owned(),
        };
        Ok(Step::ScramFinished {
            user: first.user.clone(),
            proven: proven.is_some(),
            server_final: server_final.into_bytes(),
        })
    }
}

impl First {
    /// Parses a client-first-message (RFC 5802 section 7).
    fn parse(text: &str) -> Result<Self, &'static str> {
        let mut fields = text.splitn(3, ',');
        let (Some(flag), Some(authzid), Some(bare)) = (fields.next(), fields.next(), fields.next())
        else {
            return Err("the GS2 header is broken");
        };
        if flag.starts_with("p=") {
            return Err("channel binding is not supported");
        }
        if flag != "n" && flag != "y" {
            return Err("the GS2 header is broken");
        }
        let mut attributes = bare.split(',');
        let user = attributes.next().and_then(|item| item.strip_prefix("n="));
        let user = decode_name(user.ok_or("the user name is missing")?)?;
        if user.is_empty() {
            return Err("the user name is empty");
        }
        let nonce = attributes.next().and_then(|item| item.strip_prefix("r="));
        let nonce = nonce.ok_or("the nonce is missing")?;
        if nonce.is_empty() || !nonce.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err("the nonce is broken");
        }
        if !authzid.is_empty() {
            let name = authzid
                .strip_prefix("a=")
                .ok_or("the GS2 header is broken")?;
            if decode_name(name)? != user {
                return Err("acting for another user is not supported");
            }
        }
        Ok(Self {
            user,
            gs2_header: format!("{flag},{authzid},"),
            bare: bare.to_owned(),
            nonce: nonce.to_owned(),
        })
    }
}

/// Turns `=2C` and `=3D` back (RFC 5802 section 5.1).
fn decode_name(text: &str) -> Result<String, &'static str> {
    let mut name = String::with_capacity(text.len());
    let mut pieces = text.split('=');
    name.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (character, rest) = if let Some(rest) = piece.strip_prefix("2C") {
            (',', rest)
        } else if let Some(rest) = piece.strip_prefix("3D") {
            ('=', rest)
        } else {
            return Err("the user name is broken");
        };
        name.push(character);
        name.push_str(rest);
    }
    Ok(name)
}

fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any size: the error cannot occur.
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mut mac) => {
            mac.update(message);
            mac.finalize().into_bytes().into()
        }
        Err(_) => [0; 32],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT_FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fn example(client_final: &str) -> Step {
        let mut exchange = Exchange::scram_with_nonce("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned());
        let Step::FindScramKeys { user } = exchange.step(CLIENT_FIRST) else {
            panic!("no keys asked for");
        };
        assert_eq!(user, "user");
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let keys = ScramKeys::derive(b"pencil", &salt, 4096);
        let Step::Challenge(challenge) = exchange.scram_keys(keys) else {
            panic!("no challenge");
        };
        assert_eq!(
            String::from_utf8(challenge).unwrap(),
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        exchange.step(client_final.as_bytes())
    }

    #[test]
    fn scram_follows_the_example_of_rfc_7677() {
        let Step::ScramFinished {
            user,
            proven,
            server_final,
        } = example(CLIENT_FINAL)
        else {
            panic!("not finished");
        };
        assert!(proven);
        assert_eq!(user, "user");
        assert_eq!(
            server_final,
            b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
    }

    #[test]
    fn scram_refuses_a_wrong_proof_and_a_wrong_nonce() {
        let Step::ScramFinished { proven, .. } = example(&CLIENT_FINAL.replace("dHzb", "eHzb"))
        else {
            panic!("not finished");
        };
        assert!(!proven);
        assert!(matches!(
            example(&CLIENT_FINAL.replace("$k0", "$k1")),
            Step::Malformed(_)
        ));
        assert!(matches!(
            example(&CLIENT_FINAL.replace("biws", "eSws")),
            Step::Malformed(_)
        ));
    }

    #[test]
    fn scram_refuses_channel_binding_and_other_identities() {
        for first in [
            "p=tls-unique,,n=u,r=x",
            "n,a=v,n=u,r=x",
            "n,,r=x",
            "n,,n=u=2,r=x",
            "n",
        ] {
            let mut exchange = Exchange::start("scram-sha-256").unwrap();
            assert!(
                matches!(exchange.step(first.as_bytes()), Step::Malformed(_)),
                "{first}"
            );
        }
        let mut exchange = Exchange::start("SCRAM-SHA-256").unwrap();
        let Step::FindScramKeys { user } = exchange.step(b"y,a=a=2Cb,n=a=2Cb,r=x") else {
            panic!("refused");
        };
        assert_eq!(user, "a,b");
    }

    #[test]
    fn plain_takes_empty_and_equal_authzid_only() {
        for (input, accepted) in [
            (&b"\0u\0p"[..], true),
            (b"u\0u\0p", true),
            (b"v\0u\0p", false),
            (b"\0\0p", false),
            (b"\0u", false),
            (b"\0u\0p\0", false),
            (b"\0\xff\0p", false),
        ] {
            let step = Exchange::Plain.step(input);
            match step {
                Step::CheckPassword { user, password } => {
                    assert!(accepted, "{input:?}");
                    assert_eq!((user.as_str(), password.expose()), ("u", &b"p"[..]));
                }
                _ => assert!(!accepted, "{input:?}"),
            }
        }
    }

    #[test]
    fn login_prompts_twice() {
        let mut exchange = Exchange::start("LOGIN").unwrap();
        assert_eq!(exchange.initial_challenge(), b"Username:");
        assert!(matches!(exchange.step(b"u"), Step::Challenge(text) if text == b"Password:"));
        assert!(matches!(exchange.step(b"p"), Step::CheckPassword { user, .. } if user == "u"));
    }
}
