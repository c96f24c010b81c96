//! SASL exchanges, the server's side.

/// What a server keeps to verify SCRAM-SHA-256 (RFC 5802 section 3).
#[derive(Clone)]
pub struct ScramKeys {
    /// The salt, raw.
    pub salt: Vec<u8>,
    /// The iteration count.
    pub iterations: u32,
    /// H(ClientKey).
    pub stored_key: [u8; 32],
    /// HMAC(SaltedPassword, "Server Key").
    pub server_key: [u8; 32],
}
