//! Whether whom the server runs as can read and write where the mail is.

use super::run_as::{Purpose, RunAs};
use crate::accounts::users::Users;
use crate::config::Config;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// So many directories are told.
const TOLD: usize = 5;
/// So many entries are looked at in all.
const LOOKED_AT: usize = 10_000;

/// Tells the directories that mail is in, or is to be made in, and that the server cannot
/// read and write.
pub(super) fn mistakes(config: &Config) -> Vec<String> {
    let Some(server) = RunAs::of(config) else {
        return Vec::new();
    };
    let who = &server.name;
    let users = Users::load(&config.users_file).unwrap_or_default();
    let mut roots: BTreeSet<PathBuf> = users
        .users
        .iter()
        .map(|user| user.maildir(config))
        .collect();
    let mut left = LOOKED_AT;
    let (mut forbidden, mut told) = (BTreeSet::new(), Vec::new());
    let maildirs: Vec<PathBuf> = roots.iter().filter(|root| root.is_dir()).cloned().collect();
    // Of who will be added.
    roots.insert(config.maildir("%u"));
    let nearest: BTreeSet<&Path> = roots
        .iter()
        .filter_map(|root| root.ancestors().find(|path| path.is_dir()))
        .collect();
    let mut nearest = nearest.into_iter();
    while let Some(directory) = nearest.next().filter(|_| told.len() < TOLD) {
        if server.may(Purpose::Keep, directory) {
            continue;
        }
        forbidden.insert(directory);
        let shown = directory.display();
        let is_maildir = maildirs.iter().any(|root| root == directory);
        let remedy = if directory == Path::new("/") || directory.parent() == Some(Path::new("/")) {
            format!(
                "make the directories of mail_root and give them to {who}: install -d -m 700 -o {who} /PATH"
            )
        } else if is_maildir {
            format!(
                "give it with all that is in it to the user the server runs as: chown -R {who}: {shown}"
            )
        } else {
            format!("give it to the user the server runs as: chown {who}: {shown}")
        };
        told.push(format!("mail_root: {shown} cannot be written by {who}, and mailboxes are kept or made there; {remedy}"));
    }
    for root in maildirs
        .iter()
        .filter(|root| !forbidden.contains(root.as_path()))
    {
        if let Some(inside) = forbidden_inside(&server, root, &mut left) {
            told.push(format!(
                "mail_root: {} cannot be read and written by {who}; give the Maildir with all that is in it to the user the server runs as: chown -R {who}: {}",
                inside.display(),
                root.display()
            ));
        }
        if left == 0 || told.len() >= TOLD {
            break;
        }
    }
    told
}

/// The first thing in a Maildir that the server could not work with: directories of its
/// mailboxes, files of the lists beside them, and of each directory of messages the first
/// one. It looks at no more than `left` entries.
fn forbidden_inside(server: &RunAs, root: &Path, left: &mut usize) -> Option<PathBuf> {
    let entries = |directory: &Path, left: &mut usize| -> Vec<PathBuf> {
        let found = directory.read_dir().into_iter().flatten().flatten();
        let found: Vec<PathBuf> = found.take(*left).map(|entry| entry.path()).collect();
        *left -= found.len();
        found
    };
    let is_message_directory = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        ["cur", "new", "tmp"]
            .iter()
            .any(|it| name == OsStr::new(it))
    };
    let is_folder = |path: &Path| {
        let name = path.file_name().unwrap_or_default().as_bytes();
        name.starts_with(b".") && path.is_dir()
    };
    let mut waiting = vec![root.to_owned()];
    while let Some(mailbox) = waiting.pop() {
        if !server.may(Purpose::Keep, &mailbox) {
            return Some(mailbox);
        }
        let mut found = entries(&mailbox, left);
        found.sort();
        for path in found {
            if is_message_directory(&path) && path.is_dir() {
                if !server.may(Purpose::Keep, &path) {
                    return Some(path);
                }
                let message = path.read_dir().into_iter().flatten().flatten().next();
                let message = message.map(|entry| entry.path());
                let unreadable =
                    |path: &PathBuf| path.is_file() && !server.may(Purpose::Read, path);
                if let Some(message) = message.filter(unreadable) {
                    return Some(message);
                }
            } else if mailbox == root && is_folder(&path) {
                waiting.push(path);
            } else if path.is_file() && !server.may(Purpose::Read, &path) {
                return Some(path);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::{Uid, User};
    use std::os::unix::fs::{PermissionsExt, chown};

    fn nobody() -> User {
        let found = User::from_name("nobody").expect("asked");
        found.expect("a user nobody")
    }

    #[test]
    fn directories_that_the_server_cannot_write_are_told() {
        let directory = tempfile::tempdir().expect("directory");
        let mail = directory.path().join("mail");
        std::fs::create_dir(&mail).expect("made");
        let config = |user: &str| Config {
            mail_root: format!("{}/%u/Maildir", mail.display()),
            users_file: directory.path().join("none.yaml"),
            run_as_user: Some(user.to_owned()),
            ..Config::default()
        };
        let allow = |mode: u32| {
            std::fs::set_permissions(&mail, PermissionsExt::from_mode(mode)).expect("set");
        };
        allow(0o700);
        let asking = User::from_uid(Uid::effective())
            .expect("found")
            .expect("a user");
        assert_eq!(mistakes(&config(&asking.name)), Vec::<String>::new());
        if !Uid::effective().is_root() {
            allow(0o500);
            assert_eq!(mistakes(&config(&asking.name)).len(), 1);
            allow(0o700);
            return;
        }
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o711)).expect("set");
        let told = mistakes(&config("nobody"));
        assert!(
            told.len() == 1 && told[0].contains("chown nobody"),
            "{told:?}"
        );
        allow(0o777);
        assert_eq!(mistakes(&config("nobody")), Vec::<String>::new());
    }

    #[test]
    fn what_is_in_a_maildir_must_be_the_servers_too() {
        if !Uid::effective().is_root() {
            return;
        }
        let directory = tempfile::tempdir().expect("directory");
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o711)).expect("set");
        let mail = directory.path().join("mail");
        let maildir = mail.join("ben/Maildir");
        let users_file = directory.path().join("users.yaml");
        std::fs::write(&users_file, "users:\n- { name: ben, password: '!' }\n").expect("written");
        let config = Config {
            mail_root: format!("{}/%u/Maildir", mail.display()),
            users_file,
            run_as_user: Some("nobody".to_owned()),
            ..Config::default()
        };
        let give = |path: &Path| {
            let nobody = nobody();
            let (user, group) = (nobody.uid.as_raw(), nobody.gid.as_raw());
            chown(path, Some(user), Some(group)).expect("given");
        };
        let private = |path: &Path, mode| {
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("set");
        };
        let inside = [
            maildir.join("cur"),
            maildir.join("dovecot-uidlist"),
            maildir.join(".Sent"),
            maildir.join(".Sent/cur"),
            maildir.join(".Sent/cur/1:2,S"),
        ];
        for folder in ["cur", "new", "tmp", ".Sent/cur"] {
            std::fs::create_dir_all(maildir.join(folder)).expect("made");
            private(&maildir.join(folder), 0o700);
        }
        private(&maildir.join(".Sent"), 0o700);
        for file in ["dovecot-uidlist", ".Sent/cur/1:2,S"] {
            std::fs::write(maildir.join(file), "x").expect("written");
            private(&maildir.join(file), 0o600);
        }
        let whole = format!("chown -R nobody: {}", maildir.display());
        let told = mistakes(&config);
        assert!(told.iter().any(|told| told.ends_with(&whole)), "{told:?}");
        for path in [
            &mail,
            &mail.join("ben"),
            &maildir,
            &maildir.join("new"),
            &maildir.join("tmp"),
        ] {
            give(path);
        }
        // What is not the server's is told, one after the other.
        let mut missing: BTreeSet<PathBuf> = inside.iter().cloned().collect();
        for _ in 0..inside.len() {
            let told = mistakes(&config);
            assert!(told.len() == 1 && told[0].ends_with(&whole), "{told:?}");
            let named = missing
                .iter()
                .find(|path| told[0].contains(&format!("mail_root: {} cannot", path.display())));
            let named = named.expect("one of them").clone();
            give(&named);
            missing.remove(&named);
        }
        assert_eq!(mistakes(&config), Vec::<String>::new());
    }
}
