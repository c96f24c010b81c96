//! JSON Web Tokens (RFC 7519) in the compact form of RFC 7515: read, their signature
//! verified with ring, their claims held against what the configuration says.
//!
//! Only RS256, ES256 and EdDSA are known (RFC 7518 section 3, RFC 8037), and of these what
//! the configuration allows: a token of `none` or of a symmetric algorithm is refused
//! whatever its key (RFC 8725 section 3.1).

use crate::config::Algorithm;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use thiserror::Error;

/// What a token says.
pub type Claims = Map<String, Value>;

/// No set has more keys: those after them are not taken.
const MAX_KEYS: usize = 100;

/// Why a token is not taken. The texts are for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It has not the form of one.
    #[error("the token is malformed")]
    Malformed,
    /// Its algorithm is not allowed.
    #[error("the token's algorithm is not allowed")]
    Algorithm,
    /// No key is known that it could be signed with.
    #[error("the token is signed with a key that is not known")]
    UnknownKey,
    /// The signature is not of its key.
    #[error("the token's signature is wrong")]
    Signature,
    /// Somebody else issued it.
    #[error("the token is of another issuer")]
    Issuer,
    /// It is for somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// It is over.
    #[error("the token is expired or says no end")]
    Expired,
    /// Its time is yet to come.
    #[error("the token is not valid yet")]
    NotYet,
    /// It lacks the scope that is asked for.
    #[error("the token lacks the scope")]
    Scope,
    /// The introspection endpoint says that it is none, or none any more.
    #[error("the token is not active")]
    Inactive,
    /// It names no user.
    #[error("the token names no user")]
    NoUser,
    /// It is another user's than who logs in, or of nobody here.
    #[error("the token is of another user")]
    OtherUser,
    /// There was none: the client asks what is needed.
    #[error("there is no token")]
    Absent,
}

/// A public key of a set (RFC 7517).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    id: Option<String>,
    public: Public,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Public {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256([u8; 65]),
    Ed25519([u8; 32]),
}

impl Public {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa { .. } => Algorithm::Rs256,
            Self::P256(_) => Algorithm::Es256,
            Self::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa { modulus, exponent } => RsaPublicKeyComponents {
                n: modulus,
                e: exponent,
            }
            .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            .is_ok(),
            Self::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .verify(message, signature)
                .is_ok(),
            Self::Ed25519(point) => UnparsedPublicKey::new(&ED25519, point)
                .verify(message, signature)
                .is_ok(),
        }
    }
}

/// A key as a set has it.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

/// Reads a set of keys (RFC 7517 section 5). Keys of other kinds and for other uses are
/// passed over.
///
/// # Errors
/// When it is no set, or none of its keys can be used.
pub fn read_keys(text: &[u8]) -> anyhow::Result<Vec<Key>> {
    let set: Jwks = serde_json::from_slice(text)
        .map_err(|error| anyhow::anyhow!("no JSON Web Key Set ({error})"))?;
    let keys: Vec<Key> = set
        .keys
        .into_iter()
        .filter_map(|value| serde_json::from_value::<Jwk>(value).ok())
        .filter_map(|jwk| jwk.key())
        .take(MAX_KEYS)
        .collect();
    anyhow::ensure!(
        !keys.is_empty(),
        "the JSON Web Key Set holds no key for RS256, ES256 or EdDSA"
    );
    Ok(keys)
}

impl Jwk {
    fn key(self) -> Option<Key> {
        if self.usage.is_some_and(|usage| usage != "sig") {
            return None;
        }
        let octets = |text: Option<String>| BASE64.decode(text?).ok();
        let public = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => Public::Rsa {
                modulus: octets(self.n)?,
                exponent: octets(self.e)?,
            },
            ("EC", Some("P-256")) => {
                let (x, y) = (octets(self.x)?, octets(self.y)?);
                // Uncompressed (SEC 1 section 2.3.3).
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                Public::P256(point.try_into().ok()?)
            }
            ("OKP", Some("Ed25519")) => Public::Ed25519(octets(self.x)?.try_into().ok()?),
            _ => return None,
        };
        let algorithm = public.algorithm();
        let is_meant = |name: String| Algorithm::parse(&name) == Some(algorithm);
        if !self.alg.is_none_or(is_meant) {
            return None;
        }
        Some(Key {
            id: self.kid,
            public,
        })
    }
}

/// The header of a token (RFC 7515 section 4).
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

/// Verifies a token's signature and gives its claims, of which none is looked at yet.
///
/// # Errors
/// Why it is not taken; [`Refusal::UnknownKey`] where newer keys might verify it.
pub fn verify(token: &[u8], keys: &[Key], allowed: &[Algorithm]) -> Result<Claims, Refusal> {
    let dot = |octet: &u8| *octet == b'.';
    let mut parts = token.split(dot);
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::Malformed);
    };
    let decode = |text: &[u8]| BASE64.decode(text).map_err(|_| Refusal::Malformed);
    let parsed: Header =
        serde_json::from_slice(&decode(header)?).map_err(|_| Refusal::Malformed)?;
    let algorithm = Algorithm::parse(&parsed.alg).filter(|algorithm| allowed.contains(algorithm));
    let algorithm = algorithm.ok_or(Refusal::Algorithm)?;
    // RFC 7515 section 4.1.11: what is critical and not understood is refused.
    if parsed.crit.is_some() {
        return Err(Refusal::Malformed);
    }
    let signature = decode(signature)?;
    let claims = decode(payload)?;
    let signed_octets = token.len() - token.rsplit(dot).next().map_or(0, <[u8]>::len) - 1;
    let signed = token.get(..signed_octets).ok_or(Refusal::Malformed)?;
    let mut fitting = keys
        .iter()
        .filter(|key| key.public.algorithm() == algorithm)
        .filter(|key| parsed.kid.is_none() || key.id == parsed.kid)
        .peekable();
    if fitting.peek().is_none() {
        return Err(Refusal::UnknownKey);
    }
    if !fitting.any(|key| key.public.verifies(signed, &signature)) {
        return Err(match parsed.kid {
            Some(_) => Refusal::Signature,
            // It may be of a key that came since.
            None => Refusal::UnknownKey,
        });
    }
    serde_json::from_slice(&claims).map_err(|_| Refusal::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Algorithm; 3] = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];

    /// RFC 7515 appendix A.2 (RS256) and A.3 (ES256), RFC 8037 appendix A.4 (EdDSA): key
    /// and token.
    const EXAMPLES: [(&str, &str); 3] = [
        (
            r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#,
            "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ];

    fn keys(jwk: &str) -> Vec<Key> {
        read_keys(format!("{{\"keys\":[{jwk}]}}").as_bytes()).expect("keys")
    }

    #[test]
    fn the_examples_of_the_rfcs_verify() {
        for (place, (jwk, token)) in EXAMPLES.into_iter().enumerate() {
            let keys = keys(jwk);
            let verified = verify(token.as_bytes(), &keys, &ALL);
            if place < 2 {
                assert_eq!(verified.expect("verified")["iss"], "joe");
            } else {
                // It is signed well, but what it says is no JSON.
                assert_eq!(verified, Err(Refusal::Malformed));
            }
            let (signed, signature) = token.rsplit_once('.').expect("a signature");
            let other = format!("{signed}.{}A", &signature[..signature.len() - 1]);
            let changed = token.replacen(".ey", ".eY", 1).replacen(".RX", ".Rx", 1);
            for token in [other, changed, format!("{signed}.")] {
                let refused = verify(token.as_bytes(), &keys, &ALL).expect_err("refused");
                let wrong = [Refusal::UnknownKey, Refusal::Malformed];
                assert!(wrong.contains(&refused), "{token}: {refused}");
            }
            let algorithm = keys[0].public.algorithm();
            let others: Vec<_> = ALL.into_iter().filter(|one| *one != algorithm).collect();
            let refused = verify(token.as_bytes(), &keys, &others);
            assert_eq!(refused, Err(Refusal::Algorithm));
        }
    }

    fn token(header: &str) -> String {
        format!("{}.{}.", BASE64.encode(header), BASE64.encode("{}"))
    }

    #[test]
    fn no_algorithm_but_the_keys_own_is_taken() {
        let keys = keys(EXAMPLES[0].0);
        for (header, refusal) in [
            (r#"{"alg":"none"}"#, Refusal::Algorithm),
            (r#"{"alg":"HS256"}"#, Refusal::Algorithm),
            (r#"{"alg":"rs256"}"#, Refusal::Algorithm),
            (r#"{"alg":"ES256"}"#, Refusal::UnknownKey),
            (r#"{"alg":"RS256","kid":"x"}"#, Refusal::UnknownKey),
            (r#"{"alg":"RS256","crit":["b64"]}"#, Refusal::Malformed),
            (r#"{"kid":"x"}"#, Refusal::Malformed),
            ("[]", Refusal::Malformed),
        ] {
            let refused = verify(token(header).as_bytes(), &keys, &ALL);
            assert_eq!(refused, Err(refusal), "{header}");
        }
        for broken in ["", ".", "..", "a.b", "a.b.c.d", "!.!.!"] {
            let refused = verify(broken.as_bytes(), &keys, &ALL);
            assert_eq!(refused, Err(Refusal::Malformed), "{broken}");
        }
    }

    #[test]
    fn keys_of_other_kinds_and_uses_are_passed_over() {
        for other in [
            r#"{"kty":"oct","k":"AAAA"}"#,
            r#"{"kty":"EC","crv":"P-384","x":"AAAA","y":"AAAA"}"#,
            r#"{"kty":"RSA","use":"enc","n":"AAAA","e":"AQAB"}"#,
            r#"{"kty":"RSA","alg":"RS512","n":"AAAA","e":"AQAB"}"#,
            r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#,
            "7",
        ] {
            let set = format!("{{\"keys\":[{other},{}]}}", EXAMPLES[1].0);
            let read = read_keys(set.as_bytes()).expect("one is good");
            assert_eq!(read, keys(EXAMPLES[1].0), "{other}");
            assert!(read_keys(format!("{{\"keys\":[{other}]}}").as_bytes()).is_err());
        }
        for broken in ["", "{}", "[]", "{\"keys\":7}"] {
            assert!(read_keys(broken.as_bytes()).is_err(), "{broken}");
        }
    }
}
