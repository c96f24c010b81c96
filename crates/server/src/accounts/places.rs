//! Where users' mail is: each has a Maildir of their own, unless somebody wrote otherwise.

use super::users::{TOLD, User, Users};
use crate::config::Config;
use anyhow::bail;
use std::collections::BTreeMap;
use std::path::PathBuf;

impl Users {
    /// Reads the users file of a configuration, and sees that no two users get one Maildir
    /// without anybody having said so.
    ///
    /// # Errors
    /// As [`Users::load`], and when `mail_root` has one place for several users.
    pub fn load_for(config: &Config) -> anyhow::Result<Self> {
        Self::load(&config.users_file)?.in_own_places(config)
    }

    /// The same users, if no two of them have one Maildir by mistake.
    ///
    /// # Errors
    /// When `mail_root` has one place for several users.
    pub fn in_own_places(self, config: &Config) -> anyhow::Result<Self> {
        let mistakes = self.shared_by_mistake(config);
        if !mistakes.is_empty() {
            bail!("{}", mistakes.join("\n"));
        }
        Ok(self)
    }

    /// The same users, each with its Maildir as its own `mail`: they stay there whatever
    /// `mail_root` is later.
    pub fn with_places(mut self, config: &Config) -> Self {
        for user in &mut self.users {
            user.mail = Some(user.maildir(config));
        }
        self
    }

    /// The users of each Maildir that several have.
    fn shared(&self, config: &Config) -> Vec<(PathBuf, Vec<&User>)> {
        let mut places: BTreeMap<PathBuf, Vec<&User>> = BTreeMap::new();
        for user in &self.users {
            places.entry(user.maildir(config)).or_default().push(user);
        }
        places.retain(|_, users| users.len() > 1);
        places.into_iter().collect()
    }

    /// What `mail_root` makes one Maildir of.
    pub fn shared_by_mistake(&self, config: &Config) -> Vec<String> {
        let shared = self.shared(config).into_iter();
        let mistaken = shared.filter_map(|(place, users)| {
            let by_name = users.iter().filter(|user| user.mail.is_none());
            let names: Vec<&str> = by_name.map(|user| user.name.as_str()).collect();
            (names.len() > 1).then(|| {
                format!(
                    "mail_root: {} would read each other's mail in {}; put %u into it, or %d beside %n, or give them a `mail` of their own in {}",
                    names.join(" and "),
                    place.display(),
                    config.users_file.display()
                )
            })
        });
        mistaken.take(TOLD).collect()
    }

    /// The Maildirs that several users have because the users file says so, which may be
    /// meant: two names of one mailbox.
    pub fn shared_as_written(&self, config: &Config) -> Vec<String> {
        let shared = self.shared(config).into_iter();
        let told = shared.map(|(place, users)| {
            let names: Vec<&str> = users.iter().map(|user| user.name.as_str()).collect();
            format!(
                "{} have one Maildir, {}; that is good where they are names of one mailbox",
                names.join(" and "),
                place.display()
            )
        });
        told.take(TOLD).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(mail_root: &str, text: &str) -> (Config, anyhow::Result<Users>) {
        let directory = tempfile::tempdir().expect("directory");
        let config = Config {
            mail_root: mail_root.to_owned(),
            users_file: directory.path().join("users.yaml"),
            ..Config::default()
        };
        std::fs::write(&config.users_file, text).expect("written");
        let users = Users::load_for(&config);
        (config, users)
    }

    #[test]
    fn nobody_reads_anothers_mail_by_mistake() {
        let two = "users:\n- { name: anna@a.org, password: '!' }\n- { name: anna@b.org, password: '!' }\n";
        let (_, users) = load("/m/%n", two);
        let told = format!("{:#}", users.expect_err("a mistake"));
        assert!(
            told.contains("anna@a.org and anna@b.org") && told.contains("/m/anna"),
            "{told}"
        );
        for mail_root in ["/m/%u", "/m/%d/%n"] {
            let (config, users) = load(mail_root, two);
            let users = users.expect("good");
            assert_eq!(users.shared_as_written(&config), Vec::<String>::new());
        }
    }

    #[test]
    fn two_names_of_one_mailbox_are_told_and_good() {
        for text in [
            "users:\n- { name: anna, password: '!', mail: /s }\n- { name: ben, password: '!', mail: /s }\n",
            "users:\n- { name: anna, password: '!' }\n- { name: ben, password: '!', mail: /m/anna }\n",
        ] {
            let (config, users) = load("/m/%u", text);
            let told = users.expect("good").shared_as_written(&config);
            assert!(
                told.len() == 1 && told[0].contains("anna and ben"),
                "{told:?}"
            );
        }
    }
}
