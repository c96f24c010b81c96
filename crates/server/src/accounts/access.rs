//! From where a user may log in, if at all.

use crate::proxy::Network;
use std::net::IpAddr;

/// What a passwd-file says beside the password.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Nobody may log in as this user (`nologin`).
    pub shut: bool,
    /// The networks to log in from (`allow_nets`); any if absent.
    pub networks: Option<Vec<Network>>,
}

impl Access {
    /// What keeps a client out that comes from this address; for the log.
    pub fn bar(&self, peer: IpAddr) -> Option<&'static str> {
        let is_foreign = |networks: &Vec<Network>| !networks.iter().any(|it| it.contains(peer));
        match self {
            Self { shut: true, .. } => Some("nologin in the users file"),
            Self {
                networks: Some(networks),
                ..
            } if is_foreign(networks) => Some("allow_nets in the users file"),
            Self { .. } => None,
        }
    }
}
