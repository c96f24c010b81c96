//! Password hashes: argon2id is written; those of Dovecot's passwd-file are read too.

use super::scram;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use md5::Md5;
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;
use wire::sasl::Digest;

/// Hashes a password with argon2id (19 MiB, 2 passes), as a PHC string.
///
/// # Errors
/// When there is no randomness.
pub fn hash(password: &[u8]) -> anyhow::Result<String> {
    let params =
        Params::new(19_456, 2, 1, None).map_err(|error| anyhow::anyhow!("argon2: {error}"))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2
        .hash_password(password)
        .map_err(|error| anyhow::anyhow!("argon2: {error}"))?;
    Ok(hash.to_string())
}

/// Whether a password matches a hash: argon2id, bcrypt, SHA512-CRYPT, SHA256-CRYPT,
/// SCRAM-SHA-256, SCRAM-SHA-1, a plain digest (with salt or without) or the password itself,
/// with or without Dovecot's `{SCHEME}`.
pub fn verify(password: &[u8], stored: &str) -> bool {
    let (scheme, hash) = split(stored);
    match scheme.as_str() {
        "PLAIN" | "CLEARTEXT" => password.ct_eq(hash.as_bytes()).into(),
        "SCRAM-SHA-256" => scram::verify(Digest::Sha256, password, hash),
        "SCRAM-SHA-1" => scram::verify(Digest::Sha1, password, hash),
        "" | "ARGON2ID" | "ARGON2I" | "BLF-CRYPT" | "SHA512-CRYPT" | "SHA256-CRYPT" | "CRYPT" => {
            verify_crypt(password, hash)
        }
        other => Plain::of(other)
            .and_then(|plain| plain.verify(password, hash))
            .unwrap_or(false),
    }
}

/// A hash's scheme in capitals, empty where there is none, and what follows it.
fn split(stored: &str) -> (String, &str) {
    match stored
        .strip_prefix('{')
        .and_then(|rest| rest.split_once('}'))
    {
        Some((scheme, hash)) => (scheme.to_ascii_uppercase(), hash),
        None => (String::new(), stored),
    }
}

/// A hash's `{SCHEME}`, if it has one: all of it that may be shown.
pub fn scheme(stored: &str) -> Option<String> {
    let (scheme, _) = split(stored);
    let is_name = |octet: u8| octet.is_ascii_alphanumeric() || b"-.".contains(&octet);
    (!scheme.is_empty() && scheme.len() <= 32 && scheme.bytes().all(is_name))
        .then(|| format!("{{{scheme}}}"))
}

/// Digests a password and the salt behind it.
type Function = fn(&[u8], &[u8]) -> Vec<u8>;

/// A digest of a password, and perhaps a salt behind it, as Dovecot writes them.
struct Plain {
    function: Function,
    octets: usize,
    is_salted: bool,
}

fn digest<D: sha2::Digest>(password: &[u8], salt: &[u8]) -> Vec<u8> {
    let mut digest = D::new();
    digest.update(password);
    digest.update(salt);
    digest.finalize().to_vec()
}

impl Plain {
    /// The digest a scheme names, whatever it is encoded in.
    fn of(scheme: &str) -> Option<Self> {
        let name = scheme
            .strip_suffix(".B64")
            .or(scheme.strip_suffix(".BASE64"));
        let name = name.or(scheme.strip_suffix(".HEX")).unwrap_or(scheme);
        let (function, octets, is_salted): (Function, _, _) = match name {
            "SHA" | "SHA1" => (digest::<Sha1>, 20, false),
            "SSHA" => (digest::<Sha1>, 20, true),
            "SHA256" => (digest::<Sha256>, 32, false),
            "SSHA256" => (digest::<Sha256>, 32, true),
            "SHA512" => (digest::<Sha512>, 64, false),
            "SSHA512" => (digest::<Sha512>, 64, true),
            "PLAIN-MD5" | "LDAP-MD5" => (digest::<Md5>, 16, false),
            "SMD5" => (digest::<Md5>, 16, true),
            _ => return None,
        };
        Some(Self {
            function,
            octets,
            is_salted,
        })
    }

    fn verify(&self, password: &[u8], hash: &str) -> Option<bool> {
        let octets = self.decode(hash)?;
        let (expected, salt) = octets.split_at_checked(self.octets)?;
        Some((self.function)(password, salt).ct_eq(expected).into())
    }

    /// Hexadecimal or base64: which it is shows, for a digest has its length and a salt is
    /// short.
    fn decode(&self, hash: &str) -> Option<Vec<u8>> {
        let is_hex = hash.len() >= 2 * self.octets
            && hash.len().is_multiple_of(2)
            && hash.bytes().all(|octet| octet.is_ascii_hexdigit());
        let octets = match is_hex {
            true => hash
                .as_bytes()
                .chunks_exact(2)
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
                .collect::<Option<Vec<u8>>>()?,
            false => base64::engine::general_purpose::STANDARD
                .decode(hash)
                .ok()?,
        };
        let fits = match self.is_salted {
            true => octets.len() > self.octets,
            false => octets.len() == self.octets,
        };
        fits.then_some(octets)
    }
}

/// Whether a hash has so much salt that nobody finds it by trying passwords.
pub fn is_salted(stored: &str) -> bool {
    let (scheme, hash) = stored.split_once('}').unwrap_or(("", stored));
    let is_crypt = ["$argon2", "$2", "$5$", "$6$"]
        .iter()
        .any(|prefix| hash.starts_with(prefix))
        || scheme.to_ascii_uppercase().starts_with("{SCRAM-SHA-");
    is_crypt && !["{PLAIN", "{CLEARTEXT"].contains(&scheme.to_ascii_uppercase().as_str())
}

/// Whether a hash says that its user is locked: no password matches it.
pub fn is_locked(stored: &str) -> bool {
    stored.is_empty() || stored.starts_with(['!', '*'])
}

/// Whether some password could match a hash.
pub fn may_let_in(stored: &str) -> bool {
    is_known(stored) && !is_locked(stored)
}

/// Whether [`verify`] knows the form of a hash, that of a locked user included.
pub fn is_known(stored: &str) -> bool {
    const SCHEMES: [&str; 7] = [
        "PLAIN",
        "CLEARTEXT",
        "ARGON2ID",
        "ARGON2I",
        "BLF-CRYPT",
        "SHA512-CRYPT",
        "SHA256-CRYPT",
    ];
    let (scheme, hash) = split(stored);
    let is_crypt = ["$argon2", "$2", "$5$", "$6$"]
        .iter()
        .any(|prefix| hash.starts_with(prefix));
    let mut scram = Digest::ALL.into_iter();
    is_locked(stored)
        || scram.any(|digest| {
            scram::of_password(stored, digest)
                .and_then(|keys| scram::read(digest, keys))
                .is_some()
        })
        || SCHEMES.contains(&scheme.as_str())
        || Plain::of(&scheme).is_some_and(|plain| plain.decode(hash).is_some())
        || (matches!(scheme.as_str(), "" | "CRYPT") && is_crypt)
}

fn verify_crypt(password: &[u8], hash: &str) -> bool {
    if hash.starts_with("$argon2") {
        PasswordHash::new(hash)
            .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
    } else if hash.starts_with("$2") {
        bcrypt::verify(password, hash).unwrap_or(false)
    } else if hash.starts_with("$6$") || hash.starts_with("$5$") {
        verify_sha_crypt(password, hash)
    } else {
        false
    }
}

fn verify_sha_crypt(password: &[u8], hash: &str) -> bool {
    use sha_crypt::{PasswordVerifier, ShaCrypt};
    let verifier = if hash.starts_with("$6$") {
        ShaCrypt::SHA512
    } else {
        ShaCrypt::SHA256
    };
    verifier.verify_password(password, hash).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_hashes_verify() {
        let hashed = hash(b"secret").expect("hashed");
        assert!(
            hashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hashed}"
        );
        assert!(verify(b"secret", &hashed));
        assert!(verify(b"secret", &format!("{{ARGON2ID}}{hashed}")));
        assert!(!verify(b"Secret", &hashed));
    }

    #[test]
    fn plain_passwords_are_not_salted() {
        assert!(is_salted("$6$salt$hash") && is_salted("{ARGON2ID}$argon2id$v=19$x"));
        assert!(!is_salted("{PLAIN}$6$salt$hash") && !is_salted("{plain}x"));
        assert!(is_salted("{SCRAM-SHA-256}4096,c2FsdA==,x,y"));
        assert!(!is_salted("!") && !is_salted("{SSHA}abcd"));
    }

    #[test]
    fn dovecots_schemes_verify() {
        // openssl passwd -6 -salt saltstring secret; the same with -5.
        let six = include_str!("vectors/sha512-crypt.txt").trim();
        let five = include_str!("vectors/sha256-crypt.txt").trim();
        for hash in [
            six.to_owned(),
            format!("{{SHA512-CRYPT}}{six}"),
            five.to_owned(),
            format!("{{SHA256-CRYPT}}{five}"),
            format!("{{CRYPT}}{five}"),
        ] {
            assert!(is_known(&hash), "{hash}");
            assert!(verify(b"secret", &hash), "{hash}");
            assert!(!verify(b"wrong", &hash), "{hash}");
        }
        let bcrypt = bcrypt::hash("secret", 4).expect("hashed");
        assert!(verify(b"secret", &format!("{{BLF-CRYPT}}{bcrypt}")));
        assert!(!verify(b"wrong", &bcrypt));
        let mut salted = <Sha1 as sha1::Digest>::digest(b"secretsalt").to_vec();
        salted.extend(b"salt");
        let ssha = format!(
            "{{SSHA}}{}",
            base64::engine::general_purpose::STANDARD.encode(salted)
        );
        assert!(verify(b"secret", &ssha));
        assert!(!verify(b"wrong", &ssha));
        // doveadm pw -s SCHEME -p secret, of Dovecot 2.3.19.
        for line in include_str!("vectors/digests.txt").lines() {
            assert!(is_known(line) && verify(b"secret", line), "{line}");
            assert!(!verify(b"Secret", line), "{line}");
        }
        assert!(verify(b"secret", "{PLAIN}secret"));
        assert!(!verify(b"secre", "{PLAIN}secret"));
        for locked in ["", "!", "*", "!$6$x"] {
            assert!(is_known(locked) && !verify(b"", locked) && !verify(b"!", locked));
        }
        assert!(!is_known("{MD5}x") && !verify(b"x", "{MD5}x"));
        assert!(!is_known("{SHA256}x") && !is_known("{SSHA}AA=="));
        assert_eq!(scheme("{md5}x").as_deref(), Some("{MD5}"));
        assert_eq!(scheme("hidden").or(scheme("{hid den}x")), None);
        assert!(!verify(b"", "") && !verify(b"x", "{SSHA}AA=="));
    }
}
