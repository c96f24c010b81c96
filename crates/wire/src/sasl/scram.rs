//! SCRAM (RFC 5802, RFC 7677), with and without channel binding (RFC 5929, RFC 9266).

use super::{Channel, Digest, Identity, Mechanism, Step};
use crate::Denial;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What a server keeps to verify SCRAM (RFC 5802 section 3) for one user, who may have
/// several passwords: the challenge is the same for all of them.
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
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeyPair {
    /// The device whose password it is; none for the user's own.
    pub device: Option<String>,
    /// H(ClientKey).
    pub stored_key: Vec<u8>,
    /// HMAC(SaltedPassword, "Server Key").
    pub server_key: Vec<u8>,
}

impl ScramKeys {
    /// Derives the keys of one password.
    pub fn derive(digest: Digest, password: &[u8], salt: &[u8], iterations: u32) -> Self {
        Self {
            salt: salt.to_vec(),
            iterations,
            pairs: vec![ScramKeyPair::derive(digest, password, salt, iterations)],
        }
    }
}

impl ScramKeyPair {
    /// Derives the keys from a user's own password (RFC 5802 section 3). The password
    /// is taken as it is; SASLprep changes nothing in ASCII.
    pub fn derive(digest: Digest, password: &[u8], salt: &[u8], iterations: u32) -> Self {
        let salted = digest.salted(password, salt, iterations);
        let client_key = Zeroizing::new(digest.mac(&salted, b"Client Key"));
        Self {
            device: None,
            stored_key: digest.hash(&client_key),
            server_key: digest.mac(&salted, b"Server Key"),
        }
    }

    /// Whether a proof is of a client that knows the password.
    fn proves(&self, digest: Digest, proof: &[u8], message: &[u8]) -> bool {
        let signature = digest.mac(&self.stored_key, message);
        if proof.len() != signature.len() {
            return false;
        }
        let octets = proof.iter().zip(signature);
        let client_key: Zeroizing<Vec<u8>> =
            Zeroizing::new(octets.map(|(proof, signature)| proof ^ signature).collect());
        digest.hash(&client_key).ct_eq(&self.stored_key).into()
    }
}

/// Whether a client may bind to the channel, or has to.
pub(super) enum Binding {
    /// The mechanism is not -PLUS and its -PLUS form is not offered.
    Impossible,
    /// The mechanism is not -PLUS, but its -PLUS form is offered: a client that could
    /// bind and does not was told otherwise by somebody in between.
    PassedOver,
    /// The mechanism is -PLUS.
    Needed(Channel),
}

/// How far an exchange is.
pub struct Proof {
    digest: Digest,
    binding: Binding,
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
    acts_as: Option<String>,
    gs2_header: String,
    /// What it is bound to, to come after the header.
    bound_to: Vec<u8>,
    bare: String,
    nonce: String,
}

/// Why a first message is refused.
enum Problem {
    Malformed(&'static str),
    /// The client says that this server offers no channel binding; it does.
    Downgraded {
        user: String,
    },
}

impl From<&'static str> for Problem {
    fn from(problem: &'static str) -> Self {
        Self::Malformed(problem)
    }
}

impl Proof {
    pub(super) fn new(digest: Digest, binding: Binding, server_nonce: String) -> Self {
        Self {
            digest,
            binding,
            server_nonce,
            phase: Phase::ClientFirst,
        }
    }

    fn mechanism(&self) -> Mechanism {
        match self.binding {
            Binding::Needed(_) => Mechanism::ScramPlus(self.digest),
            Binding::Impossible | Binding::PassedOver => Mechanism::Scram(self.digest),
        }
    }

    pub(super) fn step(&mut self, input: &[u8]) -> Step {
        let Ok(text) = std::str::from_utf8(input) else {
            self.phase = Phase::Over;
            return Step::Malformed("the message is not UTF-8");
        };
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::ClientFirst => match First::parse(text, &self.binding) {
                Ok(first) => {
                    let user = first.user.clone();
                    self.phase = Phase::Keys(first);
                    Step::FindScramKeys {
                        user,
                        digest: self.digest,
                    }
                }
                Err(Problem::Malformed(problem)) => Step::Malformed(problem),
                Err(Problem::Downgraded { user }) => Step::Refused {
                    user,
                    mechanism: self.mechanism(),
                    denial: Denial::Downgraded,
                },
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

    pub(super) fn take_keys(&mut self, keys: ScramKeys) -> Step {
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
        let nonce = attributes.next().and_then(|item| item.strip_prefix("r="));
        let nonce = nonce.ok_or("the nonce is missing")?;
        if nonce.strip_prefix(first.nonce.as_str()) != Some(self.server_nonce.as_str()) {
            return Err("the nonce does not match");
        }
        let proof = BASE64
            .decode(proof)
            .map_err(|_| "the proof is not base64")?;
        if proof.len() != self.digest.octets() {
            return Err("the proof has a wrong size");
        }
        let expected = [first.gs2_header.as_bytes(), &first.bound_to].concat();
        if binding != BASE64.encode(expected) {
            // The client's end of the connection is not this one: somebody is in between.
            return match self.binding {
                Binding::Needed(_) => Ok(Step::Refused {
                    user: first.user.clone(),
                    mechanism: self.mechanism(),
                    denial: Denial::OtherChannel,
                }),
                Binding::Impossible | Binding::PassedOver => {
                    Err("the channel binding does not match")
                }
            };
        }
        let message = format!("{},{server_first},{without_proof}", first.bare);
        let mut pairs = keys.pairs.iter();
        let proven = pairs.rfind(|pair| pair.proves(self.digest, &proof, message.as_bytes()));
        let user = first.user.clone();
        Ok(match proven {
            Some(pair) => {
                let verifier = self.digest.mac(&pair.server_key, message.as_bytes());
                Step::Proven {
                    identity: Identity {
                        mechanism: self.mechanism(),
                        user,
                        acts_as: first.acts_as.clone(),
                        device: pair.device.clone(),
                    },
                    server_final: format!("v={}", BASE64.encode(verifier)).into_bytes(),
                }
            }
            None => Step::Refused {
                user,
                mechanism: self.mechanism(),
                denial: Denial::BadCredentials,
            },
        })
    }
}

impl First {
    /// Parses a client-first-message (RFC 5802 section 7) and treats its channel binding
    /// flag as section 6 says.
    fn parse(text: &str, binding: &Binding) -> Result<Self, Problem> {
        let mut fields = text.splitn(3, ',');
        let (Some(flag), Some(authzid), Some(bare)) = (fields.next(), fields.next(), fields.next())
        else {
            return Err("the GS2 header is broken".into());
        };
        let mut attributes = bare.split(',');
        let user = attributes.next().and_then(|item| item.strip_prefix("n="));
        let user = decode_name(user.ok_or("the user name is missing")?)?;
        if user.is_empty() {
            return Err("the user name is empty".into());
        }
        let nonce = attributes.next().and_then(|item| item.strip_prefix("r="));
        let nonce = nonce.ok_or("the nonce is missing")?;
        if nonce.is_empty() || !nonce.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err("the nonce is broken".into());
        }
        let acts_as = match authzid {
            "" => None,
            authzid => {
                let name = authzid.strip_prefix("a=");
                let name = decode_name(name.ok_or("the GS2 header is broken")?)?;
                (!name.is_empty()).then_some(name)
            }
        };
        let bound_to = match (flag, binding) {
            ("y", Binding::PassedOver) => return Err(Problem::Downgraded { user }),
            ("y", Binding::Impossible) => Vec::new(),
            ("n", Binding::Impossible | Binding::PassedOver) => Vec::new(),
            ("n" | "y", Binding::Needed(_)) => {
                return Err("a -PLUS mechanism needs channel binding".into());
            }
            (flag, binding) => {
                let name = flag.strip_prefix("p=").ok_or("the GS2 header is broken")?;
                let Binding::Needed(channel) = binding else {
                    return Err("channel binding needs a -PLUS mechanism".into());
                };
                bound_to(name, channel)?
            }
        };
        Ok(Self {
            user,
            acts_as,
            gs2_header: format!("{flag},{authzid},"),
            bound_to,
            bare: bare.to_owned(),
            nonce: nonce.to_owned(),
        })
    }
}

/// The octets of a type of channel binding.
fn bound_to(name: &str, channel: &Channel) -> Result<Vec<u8>, &'static str> {
    let octets = match name {
        "tls-exporter" => channel.exporter.map(|octets| octets.to_vec()),
        "tls-server-end-point" => channel.server_end_point.clone(),
        _ => None,
    };
    octets.ok_or("this type of channel binding is not supported")
}

/// Turns `=2C` and `=3D` back (RFC 5802 section 5.1).
pub(super) fn decode_name(text: &str) -> Result<String, &'static str> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An example of an RFC: what the client says, the salt, and both nonces.
    struct Example {
        digest: Digest,
        client_first: &'static str,
        server_nonce: &'static str,
        salt: &'static str,
        server_first: &'static str,
        client_final: &'static str,
        server_final: &'static str,
    }

    /// RFC 5802 section 5.
    const OF_RFC_5802: Example = Example {
        digest: Digest::Sha1,
        client_first: "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        server_nonce: "3rfcNHYJY1ZVvWVs7j",
        salt: "QSXCR+Q6sek8bf92",
        server_first: "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        client_final: "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,\
            p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        server_final: "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    };

    /// RFC 7677 section 3.
    const OF_RFC_7677: Example = Example {
        digest: Digest::Sha256,
        client_first: "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        server_nonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        salt: "W22ZaJ0SNY7soEsUEjb6gQ==",
        server_first: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
            s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        client_final: "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
            p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        server_final: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    };

    fn exchange(example: &Example, binding: Binding) -> Proof {
        Proof::new(example.digest, binding, example.server_nonce.to_owned())
    }

    fn play(example: &Example, client_final: &str) -> Step {
        let mut exchange = exchange(example, Binding::Impossible);
        let Step::FindScramKeys { user, digest } = exchange.step(example.client_first.as_bytes())
        else {
            panic!("no keys asked for");
        };
        assert_eq!((user.as_str(), digest), ("user", example.digest));
        let salt = BASE64.decode(example.salt).unwrap();
        let keys = ScramKeys::derive(digest, b"pencil", &salt, 4096);
        let Step::Challenge(challenge) = exchange.take_keys(keys) else {
            panic!("no challenge");
        };
        assert_eq!(String::from_utf8(challenge).unwrap(), example.server_first);
        exchange.step(client_final.as_bytes())
    }

    #[test]
    fn the_examples_of_the_rfcs_are_followed() {
        for example in [OF_RFC_5802, OF_RFC_7677] {
            let Step::Proven {
                identity,
                server_final,
            } = play(&example, example.client_final)
            else {
                panic!("not proven");
            };
            assert_eq!(identity.user, "user");
            assert_eq!(identity.acts_as, None);
            assert_eq!(server_final, example.server_final.as_bytes());
        }
    }

    #[test]
    fn a_wrong_proof_and_a_wrong_nonce_are_refused() {
        for example in [OF_RFC_5802, OF_RFC_7677] {
            let (before, proof) = example.client_final.rsplit_once("p=").unwrap();
            let wrong = format!("{before}p=a{}", &proof[1..]);
            let Step::Refused { denial, .. } = play(&example, &wrong) else {
                panic!("not refused");
            };
            assert_eq!(denial, Denial::BadCredentials);
            let short = format!("{before}p={}", BASE64.encode("short"));
            for broken in [
                example.client_final.replace(example.server_nonce, "other"),
                example.client_final.replace("biws", "eSws"),
                short,
                before.to_owned(),
            ] {
                assert!(
                    matches!(play(&example, &broken), Step::Malformed(_)),
                    "{broken}"
                );
            }
        }
    }

    fn channel() -> Channel {
        Channel {
            exporter: Some([7; 32]),
            server_end_point: Some(vec![8; 48]),
            certificate_user: None,
        }
    }

    /// What an exchange makes of a client that binds so and knows the password.
    fn bound(flag: &str, binding: Binding, claimed: &[u8]) -> Step {
        let digest = Digest::Sha256;
        let mut exchange = Proof::new(digest, binding, "server".to_owned());
        let bare = "n=user,r=client";
        let step = exchange.step(format!("{flag},,{bare}").as_bytes());
        if !matches!(step, Step::FindScramKeys { .. }) {
            return step;
        }
        let keys = ScramKeys::derive(digest, b"pencil", b"salt", 1);
        let Step::Challenge(server_first) = exchange.take_keys(keys) else {
            panic!("no challenge");
        };
        let server_first = String::from_utf8(server_first).unwrap();
        let header = [format!("{flag},,").as_bytes(), claimed].concat();
        let without_proof = format!("c={},r=clientserver", BASE64.encode(header));
        let message = format!("{bare},{server_first},{without_proof}");
        let salted = digest.salted(b"pencil", b"salt", 1);
        let client_key = digest.mac(&salted, b"Client Key");
        let signature = digest.mac(&digest.hash(&client_key), message.as_bytes());
        let proof: Vec<u8> = client_key
            .iter()
            .zip(signature)
            .map(|(key, signature)| key ^ signature)
            .collect();
        exchange.step(format!("{without_proof},p={}", BASE64.encode(proof)).as_bytes())
    }

    /// RFC 5802 section 6, all of it.
    #[test]
    fn channel_binding_flags_are_treated_as_they_must_be() {
        let needed = || Binding::Needed(channel());
        let proven = |step| matches!(step, Step::Proven { .. });
        assert!(proven(bound("n", Binding::Impossible, b"")));
        assert!(proven(bound("y", Binding::Impossible, b"")));
        assert!(proven(bound("n", Binding::PassedOver, b"")));
        assert!(proven(bound("p=tls-exporter", needed(), &[7; 32])));
        assert!(proven(bound("p=tls-server-end-point", needed(), &[8; 48])));
        let denial = |step| match step {
            Step::Refused { user, denial, .. } => {
                assert_eq!(user, "user");
                denial
            }
            other => panic!("{other:?}"),
        };
        // Somebody took -PLUS out of what was announced.
        let downgraded = bound("y", Binding::PassedOver, b"");
        assert_eq!(denial(downgraded), Denial::Downgraded);
        // Somebody ends TLS in between.
        for octets in [&[6; 32][..], &[7; 31], b""] {
            let elsewhere = bound("p=tls-exporter", needed(), octets);
            assert_eq!(denial(elsewhere), Denial::OtherChannel);
        }
        for (flag, binding) in [
            ("n", needed()),
            ("y", needed()),
            ("p=tls-unique", needed()),
            ("p=", needed()),
            ("p", needed()),
            ("p=tls-exporter", Binding::Impossible),
            ("p=tls-exporter", Binding::PassedOver),
            ("x", Binding::Impossible),
            ("", Binding::Impossible),
        ] {
            assert!(
                matches!(bound(flag, binding, &[7; 32]), Step::Malformed(_)),
                "{flag}"
            );
        }
        let old = Channel {
            server_end_point: None,
            ..channel()
        };
        let step = bound("p=tls-server-end-point", Binding::Needed(old), b"");
        assert!(matches!(step, Step::Malformed(_)));
    }

    #[test]
    fn broken_first_messages_are_refused() {
        for first in [
            "n,v,n=u,r=x",
            "n,a=v=2,n=u,r=x",
            "n,,r=x",
            "n,,n=u=2,r=x",
            "n",
            "n,,n=,r=x",
            "n,,n=u,r=",
        ] {
            let mut exchange = exchange(&OF_RFC_7677, Binding::Impossible);
            assert!(
                matches!(exchange.step(first.as_bytes()), Step::Malformed(_)),
                "{first}"
            );
        }
        let mut exchange = exchange(&OF_RFC_7677, Binding::Impossible);
        let Step::FindScramKeys { user, .. } = exchange.step(b"y,a=a=2Cb,n=a=2Cb,r=x") else {
            panic!("refused");
        };
        assert_eq!(user, "a,b");
    }

    #[test]
    fn the_proof_tells_whose_password_it_was() {
        let salt = BASE64.decode(OF_RFC_7677.salt).unwrap();
        let mut keys = ScramKeys::derive(Digest::Sha256, b"other", &salt, 4096);
        let mut phone = ScramKeyPair::derive(Digest::Sha256, b"pencil", &salt, 4096);
        phone.device = Some("phone".to_owned());
        keys.pairs.push(phone);
        let mut exchange = exchange(&OF_RFC_7677, Binding::Impossible);
        exchange.step(OF_RFC_7677.client_first.as_bytes());
        exchange.take_keys(keys);
        let Step::Proven { identity, .. } = exchange.step(OF_RFC_7677.client_final.as_bytes())
        else {
            panic!("not proven");
        };
        assert_eq!(identity.device.as_deref(), Some("phone"));
        assert_eq!(identity.mechanism, Mechanism::Scram(Digest::Sha256));
    }
}
