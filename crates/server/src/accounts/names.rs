//! Which user a name means that somebody typed, in whatever case of letters.

use super::users::{User, Users};

impl Users {
    /// Finds whom a typed name means: the user of exactly that name, or else the only one
    /// whose name differs by the case of letters alone. Among several nobody is guessed.
    /// However it ends, it takes the same time.
    pub fn find_typed(&self, name: &str) -> Option<&User> {
        let (mut exact, mut alike, mut count) = (None, None, 0_usize);
        for user in &self.users {
            let is_exact = user.name == name;
            if is_same_but_case(&user.name, name) {
                count += 1;
                alike = Some(user);
            }
            if is_exact {
                exact = Some(user);
            }
        }
        exact.or(alike.filter(|_| count == 1))
    }

    /// The user a new name could be taken for: of the same letters in another case.
    pub fn find_lookalike(&self, name: &str) -> Option<&User> {
        let mut users = self.users.iter();
        users.find(|user| user.name != name && is_same_but_case(&user.name, name))
    }

    /// The names that differ by the case of letters alone, together.
    pub fn names_alike(&self) -> Vec<Vec<&str>> {
        let mut alike = std::collections::BTreeMap::<String, Vec<&str>>::new();
        for user in &self.users {
            alike
                .entry(folded(&user.name))
                .or_default()
                .push(&user.name);
        }
        alike
            .into_values()
            .filter(|names| names.len() > 1)
            .collect()
    }
}

/// A name without its case.
pub fn folded(name: &str) -> String {
    name.chars().flat_map(char::to_lowercase).collect()
}

fn is_same_but_case(left: &str, right: &str) -> bool {
    let folded = |name| str::chars(name).flat_map(char::to_lowercase);
    folded(left).eq(folded(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_any_case_unless_it_is_ambiguous() {
        let users = ["anna", "Ben", "ben", "\u{c4}nne@example.org"]
            .map(|name| User::new(name, b"secret").expect("a user"));
        let users = Users {
            users: users.into(),
        };
        let found = |name: &str| users.find_typed(name).map(|user| user.name.as_str());
        for (typed, name) in [
            ("anna", Some("anna")),
            ("Anna", Some("anna")),
            ("ANNA", Some("anna")),
            ("ben", Some("ben")),
            ("Ben", Some("Ben")),
            ("BEN", None),
            ("\u{e4}nne@Example.ORG", Some("\u{c4}nne@example.org")),
            ("ann", None),
            ("", None),
        ] {
            assert_eq!(found(typed), name, "{typed}");
        }
        assert_eq!(users.names_alike(), [["Ben", "ben"]]);
        let lookalike = |name: &str| users.find_lookalike(name).map(|user| user.name.as_str());
        assert_eq!((lookalike("Anna"), lookalike("anna")), (Some("anna"), None));
    }
}
