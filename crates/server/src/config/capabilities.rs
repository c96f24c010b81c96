//! What of the capabilities the configuration leaves on.

use super::Config;
use wire::capability::{Announced, Capability, Row, Set, find};

/// What stands before the names of POP3's.
const POP3: &str = "POP3:";

impl Config {
    /// What is on in IMAP: for a user, or for everybody before login.
    pub fn imap_capabilities(&self, user: Option<&str>) -> imapd::Capabilities {
        let names = self.names_off(user);
        let on: imapd::Capabilities = without(names.filter(|name| pop3_name(name).is_none()));
        match self.literal_plus {
            true => on,
            false => on.without(imapd::Capability::LiteralPlus),
        }
    }

    /// What is on in POP3: for a user, or for everybody before login.
    pub fn pop3_capabilities(&self, user: Option<&str>) -> pop3d::Capabilities {
        without(self.names_off(user).filter_map(pop3_name))
    }

    /// What is off for a user, or for everybody.
    fn names_off(&self, user: Option<&str>) -> impl Iterator<Item = &str> {
        let own = user.and_then(|user| self.without_capabilities_of.get(user));
        let all = self.without_capabilities.iter();
        all.chain(own.into_iter().flatten()).map(String::as_str)
    }

    /// Names that are none, or that cannot be switched off.
    pub(super) fn capability_mistakes(&self, mistakes: &mut Vec<(&'static str, String)>) {
        for name in &self.without_capabilities {
            let mistake = mistake(name);
            mistakes.extend(mistake.map(|text| ("without_capabilities", text)));
        }
        for name in self.without_capabilities_of.values().flatten() {
            let mistake = mistake(name).or_else(|| mistake_for_user(name));
            mistakes.extend(mistake.map(|text| ("without_capabilities_of", text)));
        }
    }
}

/// A POP3 capability's name, if it is one's.
fn pop3_name(name: &str) -> Option<&str> {
    let (prefix, rest) = name.split_at_checked(POP3.len())?;
    prefix.eq_ignore_ascii_case(POP3).then_some(rest)
}

fn without<'a, C: Capability>(names: impl Iterator<Item = &'a str>) -> Set<C> {
    let rows = names.filter_map(find::<C>);
    let free = rows.filter(|row| !C::FIXED.contains(&row.capability));
    free.fold(Set::all(), |on, row| on.without(row.capability))
}

fn mistake(name: &str) -> Option<String> {
    match pop3_name(name) {
        Some(pop3) => mistake_in::<pop3d::Capability>(pop3, name),
        None => mistake_in::<imapd::Capability>(name, name),
    }
}

fn mistake_in<C: Capability>(found: &str, name: &str) -> Option<String> {
    match find::<C>(found) {
        None => Some(format!(
            "there is no capability {name}; the README has the list, POP3's are written POP3:TOP"
        )),
        Some(row) if C::FIXED.contains(&row.capability) => Some(format!(
            "{} cannot be switched off; remove it here",
            row.name
        )),
        Some(_) => None,
    }
}

fn mistake_for_user(name: &str) -> Option<String> {
    fn announced<C: Capability>(row: &Row<C>) -> Announced {
        row.announced
    }
    let announced = match pop3_name(name) {
        Some(pop3) => find::<pop3d::Capability>(pop3).map(announced),
        None => find::<imapd::Capability>(name).map(announced),
    };
    let logs_in = announced == Some(Announced::BeforeLogin) || is_of_login(name);
    logs_in.then(|| {
        format!(
            "{name} matters before login, when no user is known; put it in without_capabilities"
        )
    })
}

/// Whether a capability that is told after login too has its effect before it.
fn is_of_login(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["SASL-IR", "POP3:USER"].contains(&&*name) || name.starts_with("POP3:SASL")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(all: &[&str], of_anna: &[&str]) -> Config {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Config {
            without_capabilities: owned(all),
            without_capabilities_of: [("anna".to_owned(), owned(of_anna))].into(),
            ..Config::default()
        }
    }

    #[test]
    fn names_switch_capabilities_off() {
        let config = config(&["idle", "POP3:TOP"], &["CONDSTORE", "pop3:uidl"]);
        let (all, anna) = (
            config.imap_capabilities(None),
            config.imap_capabilities(Some("anna")),
        );
        assert!(!all.has(imapd::Capability::Idle) && all.has(imapd::Capability::Qresync));
        assert!(!anna.has(imapd::Capability::Idle) && !anna.has(imapd::Capability::Qresync));
        assert_eq!(config.imap_capabilities(Some("ben")), all);
        let (all, anna) = (
            config.pop3_capabilities(None),
            config.pop3_capabilities(Some("anna")),
        );
        assert!(!all.has(pop3d::Capability::Top) && all.has(pop3d::Capability::Uidl));
        assert!(!anna.has(pop3d::Capability::Top) && !anna.has(pop3d::Capability::Uidl));
    }

    #[test]
    fn unknown_names_are_mistakes() {
        let told = |config: Config| {
            let mut mistakes = Vec::new();
            config.capability_mistakes(&mut mistakes);
            mistakes
        };
        assert!(told(config(&["IDLE", "POP3:SASL PLAIN"], &["MOVE"])).is_empty());
        let mistakes = told(config(
            &["TOP", "POP3:IDLE", "IMAP4rev1"],
            &["STARTTLS", "sasl-ir", "POP3:USER", "POP3:SASL PLAIN", "X"],
        ));
        let keys: Vec<&str> = mistakes.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys[..3], ["without_capabilities"; 3]);
        assert_eq!(keys[3..], ["without_capabilities_of"; 5]);
        assert!(mistakes[2].1.contains("cannot be switched off"));
        assert!(
            mistakes[3..7]
                .iter()
                .all(|(_, text)| text.contains("before login"))
        );
        let imap = config(&["IMAP4rev1"], &[]).imap_capabilities(None);
        assert!(imap.has(imapd::Capability::Imap4rev1));
    }

    #[test]
    fn big_literals_wait_unless_told_otherwise() {
        let on = |literal_plus| {
            Config {
                literal_plus,
                ..Config::default()
            }
            .imap_capabilities(None)
        };
        assert!(!on(false).has(imapd::Capability::LiteralPlus));
        assert!(on(false).has(imapd::Capability::LiteralMinus));
        assert!(on(true).has(imapd::Capability::LiteralPlus));
    }
}
