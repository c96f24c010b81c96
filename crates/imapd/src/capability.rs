//! What CAPABILITY announces (RFC 3501 section 7.2.1).

use crate::session::StartTls;
use wire::Security;
use wire::sasl::Scram;

/// What is announced before login.
pub fn before_login(security: Security, starttls: StartTls, scram: Scram) -> String {
    let mut text = String::from("IMAP4rev1 SASL-IR LITERAL- ID ENABLE IDLE");
    if security != Security::Tls && starttls == StartTls::Offered {
        text.push_str(" STARTTLS");
    }
    if security == Security::Plain {
        text.push_str(" LOGINDISABLED");
    } else {
        for mechanism in wire::sasl::mechanisms(scram) {
            text.push_str(" AUTH=");
            text.push_str(mechanism);
        }
    }
    text
}

/// What is announced after login; messages may have `append_limit_octets`.
pub fn after_login(append_limit_octets: u64) -> String {
    format!(
        "IMAP4rev1 SASL-IR LITERAL+ ID ENABLE IDLE NAMESPACE UNSELECT UIDPLUS MULTIAPPEND \
         CHILDREN LIST-EXTENDED LIST-STATUS SPECIAL-USE CREATE-SPECIAL-USE MOVE CONDSTORE \
         QRESYNC ESEARCH SEARCHRES WITHIN STATUS=SIZE APPENDLIMIT={append_limit_octets}"
    )
}

/// What ENABLE can switch on, and what is on (RFC 5161, RFC 7162).
#[derive(Debug, Clone, Copy, Default)]
pub struct Enabled {
    condstore: bool,
    qresync: bool,
}

impl Enabled {
    /// Whether responses carry mod-sequences.
    pub fn condstore(self) -> bool {
        self.condstore
    }
    /// Whether expunges are told as VANISHED.
    pub fn qresync(self) -> bool {
        self.qresync
    }
    /// Switches CONDSTORE on.
    pub fn enable_condstore(&mut self) {
        self.condstore = true;
    }
    /// Switches QRESYNC on, and CONDSTORE with it.
    pub fn enable_qresync(&mut self) {
        self.condstore = true;
        self.qresync = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_offered_without_protection() {
        let text = before_login(Security::Plain, StartTls::Offered, Scram::Offered);
        assert!(text.contains("STARTTLS LOGINDISABLED") && !text.contains("AUTH="));
        let text = before_login(Security::Tls, StartTls::Offered, Scram::Withheld);
        assert!(text.contains("AUTH=PLAIN") && !text.contains("STARTTLS"));
        assert!(!text.contains("SCRAM"));
        let text = before_login(Security::Tls, StartTls::Offered, Scram::Offered);
        assert!(text.contains("AUTH=SCRAM-SHA-256 AUTH=PLAIN"));
        assert!(after_login(7).ends_with("APPENDLIMIT=7"));
    }
}
