//! Password hashes: argon2id is written; those of Dovecot's passwd-file are read too.

use super::scram;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use sha1::Sha1;
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

/// Whether a password matches a hash: argon2id, bcrypt, SHA512-CRYPT,
/// SHA256-CRYPT, SCRAM-SHA-256, SCRAM-SHA-1, SSHA, PLAIN, with or without Dovecot's `{SCHEME}`.
pub fn verify(password: &[u8], stored: &str) -> bool {
    let (scheme, hash) = match stored
        .strip_prefix('{')
        .and_then(|rest| rest.split_once('}'))
    {
        Some((scheme, hash)) => (scheme.to_ascii_uppercase(), hash),
        None => (String::new(), stored),
    };
    match scheme.as_str() {
        "PLAIN" | "CLEARTEXT" => password.ct_eq(hash.as_bytes()).into(),
        "SCRAM-SHA-256" => scram::verify(Digest::Sha256, password, hash),
        "SCRAM-SHA-1" => scram::verify(Digest::Sha1, password, hash),
        "SSHA" | "SSHA.B64" => verify_ssha(password, hash).unwrap_or(false),
        "" | "ARGON2ID" | "ARGON2I" | "BLF-CRYPT" | "SHA512-CRYPT" | "SHA256-CRYPT" | "CRYPT" => {
            verify_crypt(password, hash)
        }
        _ => false,
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

/// Whether [`verify`] knows the form of a hash, that of a locked user included.
pub fn is_known(stored: &str) -> bool {
    const SCHEMES: [&str; 9] = [
        "{PLAIN}",
        "{CLEARTEXT}",
        "{SSHA}",
        "{SSHA.B64}",
        "{ARGON2ID}",
        "{ARGON2I}",
        "{BLF-CRYPT}",
        "{SHA512-CRYPT}",
        "{SHA256-CRYPT}",
    ];
    let upper = stored.to_ascii_uppercase();
    let crypt = stored
        .strip_prefix("{CRYPT}")
        .or_else(|| stored.strip_prefix("{crypt}"))
        .unwrap_or(stored);
    let scram = Digest::ALL.into_iter();
    is_locked(stored)
        || scram
            .filter_map(|digest| scram::read(digest, scram::of_password(stored, digest)?))
            .next()
            .is_some()
        || SCHEMES.iter().any(|scheme| upper.starts_with(scheme))
        || ["$argon2", "$2", "$5$", "$6$"]
            .iter()
            .any(|prefix| crypt.starts_with(prefix))
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

fn verify_ssha(password: &[u8], hash: &str) -> Option<bool> {
    let octets = base64::engine::general_purpose::STANDARD
        .decode(hash)
        .ok()?;
    let (digest, salt) = octets.split_at_checked(20)?;
    let mut sha1 = <Sha1 as sha1::Digest>::new();
    sha1::Digest::update(&mut sha1, password);
    sha1::Digest::update(&mut sha1, salt);
    Some(sha1::Digest::finalize(sha1).as_slice().ct_eq(digest).into())
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
        assert!(verify(b"secret", "{PLAIN}secret"));
        assert!(!verify(b"secre", "{PLAIN}secret"));
        for locked in ["", "!", "*", "!$6$x"] {
            assert!(is_known(locked) && !verify(b"", locked) && !verify(b"!", locked));
        }
        assert!(!is_known("{MD5}x") && !verify(b"x", "{MD5}x"));
        assert!(!verify(b"", "") && !verify(b"x", "{SSHA}AA=="));
    }
}
