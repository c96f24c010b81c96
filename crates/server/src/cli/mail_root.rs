//! Whether whom the server runs as can write where the mail is.

use crate::accounts::users::Users;
use crate::config::Config;
use nix::unistd::{AccessFlags, Gid, Uid, User, getgrouplist};
use std::collections::BTreeSet;
use std::ffi::CString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// So many directories are told.
const TOLD: usize = 5;

/// Whom the server runs as.
enum Server {
    /// Who asks: the system knows what may be done.
    Asking,
    /// Another, whom root asks for.
    Other { uid: Uid, groups: Vec<Gid> },
}

impl Server {
    fn of(config: &Config) -> Option<Self> {
        let Some(name) = &config.run_as_user else {
            return Some(Self::Asking);
        };
        let user = User::from_name(name).ok()??;
        if user.uid == Uid::effective() || !Uid::effective().is_root() {
            return Some(Self::Asking);
        }
        let name = CString::new(name.as_str()).ok()?;
        let groups = getgrouplist(&name, user.gid).ok()?;
        Some(Self::Other {
            uid: user.uid,
            groups,
        })
    }

    fn may_write(&self, directory: &Path) -> bool {
        match self {
            Self::Asking => {
                nix::unistd::access(directory, AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
            }
            Self::Other { uid, groups } => directory.metadata().is_ok_and(|metadata| {
                let owner = Uid::from_raw(metadata.uid());
                let bits = if owner == *uid {
                    metadata.mode() >> 6
                } else if groups.contains(&Gid::from_raw(metadata.gid())) {
                    metadata.mode() >> 3
                } else {
                    metadata.mode()
                };
                uid.is_root() || bits & 0o3 == 0o3
            }),
        }
    }
}

/// Tells the directories that mail is in, or is to be made in, and that the server cannot
/// write.
pub(super) fn mistakes(config: &Config) -> Vec<String> {
    let Some(server) = Server::of(config) else {
        return Vec::new();
    };
    let who = config.run_as_user.clone().or_else(|| {
        let asking = User::from_uid(Uid::effective()).ok().flatten();
        asking.map(|user| user.name)
    });
    let who = who.unwrap_or_else(|| Uid::effective().to_string());
    let users = Users::load(&config.users_file).unwrap_or_default();
    let mut roots: Vec<PathBuf> = users
        .users
        .iter()
        .map(|user| user.maildir(config))
        .collect();
    // Of who will be added.
    roots.push(config.maildir("%u"));
    let nearest = |root: &PathBuf| {
        let mut above = root.ancestors();
        above.find(|path| path.is_dir()).map(Path::to_owned)
    };
    let directories: BTreeSet<PathBuf> = roots.iter().filter_map(nearest).collect();
    let forbidden = directories
        .iter()
        .filter(|directory| !server.may_write(directory));
    forbidden
        .take(TOLD)
        .map(|directory| {
            let shown = directory.display();
            let remedy = match directory == Path::new("/") || directory.parent() == Some(Path::new("/")) {
                true => format!(
                    "make the directories of mail_root and give them to {who}: install -d -m 700 -o {who} /PATH"
                ),
                false => format!("give it to the user the server runs as: chown {who} {shown}"),
            };
            format!("mail_root: {shown} cannot be written by {who}, and mailboxes are kept or made there; {remedy}")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

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
        let told = mistakes(&config("nobody"));
        assert!(
            told.len() == 1 && told[0].contains("chown nobody"),
            "{told:?}"
        );
        allow(0o777);
        assert_eq!(mistakes(&config("nobody")), Vec::<String>::new());
    }
}
