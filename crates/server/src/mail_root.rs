//! One server to a mail root. Two would each keep in memory what the other changes: files
//! survive that, but flags that were set at the same time need not.
//!
//! What is locked (flock) is the directory that all mailboxes of `mail_root` lie below. No
//! file is made for it, and nothing is left of a server that was killed. Commands beside a
//! server do not ask: they write only what others may write.

use crate::config::Config;
use std::fs::{DirBuilder, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The directories that this server has for itself, until it ends: sessions of a `mail_root`
/// that was configured before go on there.
#[derive(Debug, Default)]
pub struct MailRoots {
    owned: Vec<Owned>,
}

#[derive(Debug)]
struct Owned {
    device: u64,
    inode: u64,
    /// Locked as long as it is open.
    _directory: File,
}

/// Who has a mail root.
#[derive(Debug, PartialEq, Eq)]
pub enum Owner {
    /// This server; or nobody can tell, which the log says.
    This,
    /// Another server has this directory.
    Another(PathBuf),
}

impl Owner {
    /// What is to be done about it.
    ///
    /// # Errors
    /// If it is another.
    pub fn confirm(self) -> anyhow::Result<()> {
        match self {
            Self::This => Ok(()),
            Self::Another(directory) => anyhow::bail!(
                "another server has the mail in {0}: stop it (`lslocks` tells its process), or give one of the two another mail_root",
                directory.display()
            ),
        }
    }
}

impl MailRoots {
    /// Has the mail root of a configuration, where that is possible, without waiting. A
    /// directory that is absent is made, as the first login would.
    pub fn own(&mut self, config: &Config) -> Owner {
        let unguarded = |path: &Path, error: &dyn std::fmt::Display| {
            tracing::warn!(directory = %path.display(), "cannot be locked ({error}): see to it that no second server has this mail_root");
            Owner::This
        };
        let path = fixed_part(&config.mail_root);
        if path.parent().is_none() {
            return unguarded(&path, &"it is everybody's");
        }
        let directory = match open(&path) {
            Ok(directory) => directory,
            Err(error) => return unguarded(&path, &error),
        };
        let (device, inode) = match directory.metadata() {
            Ok(metadata) => (metadata.dev(), metadata.ino()),
            Err(error) => return unguarded(&path, &error),
        };
        let is_it = |owned: &Owned| (owned.device, owned.inode) == (device, inode);
        if self.owned.iter().any(is_it) {
            return Owner::This;
        }
        match directory.try_lock() {
            Ok(()) => {
                self.owned.push(Owned {
                    device,
                    inode,
                    _directory: directory,
                });
                Owner::This
            }
            Err(TryLockError::WouldBlock) => Owner::Another(path),
            Err(TryLockError::Error(error)) => unguarded(&path, &error),
        }
    }
}

/// The directory that all mailboxes lie below, whoever the user is.
fn fixed_part(mail_root: &str) -> PathBuf {
    let varies = |part: &Path| part.as_os_str().as_encoded_bytes().contains(&b'%');
    let components = Path::new(mail_root).components();
    let fixed = components.take_while(|part| !varies(part.as_ref()));
    fixed.collect()
}

fn open(path: &Path) -> std::io::Result<File> {
    match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            File::open(path)
        }
        opened => opened,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(mail_root: String) -> Config {
        Config {
            mail_root,
            ..Config::default()
        }
    }

    #[test]
    fn what_lies_before_the_first_variable() {
        for (mail_root, fixed) in [
            ("/var/mail/pillarbox/%u/Maildir", "/var/mail/pillarbox"),
            ("/home/%n", "/home"),
            ("/mail/user-%u/%d", "/mail"),
            ("/%d/%n", "/"),
            ("/mail//a/./%n", "/mail/a"),
        ] {
            assert_eq!(fixed_part(mail_root), Path::new(fixed), "{mail_root}");
        }
    }

    #[test]
    fn one_server_has_a_mail_root() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = |name: &str| directory.path().join(name);
        let of = |name: &str| config(format!("{}/%u/Maildir", place(name).display()));
        let mut first = MailRoots::default();
        let mut second = MailRoots::default();
        assert_eq!(first.own(&of("mail")), Owner::This);
        assert!(place("mail").is_dir());
        assert_eq!(second.own(&of("mail")), Owner::Another(place("mail")));
        let told = second.own(&of("mail")).confirm().expect_err("it is taken");
        assert!(told.to_string().contains("stop it"), "{told}");
        // By whatever path, and with whatever after the variable.
        std::os::unix::fs::symlink(place("mail"), place("link")).expect("a link");
        let other = config(format!("{}/%n", place("link").display()));
        assert_eq!(second.own(&other), Owner::Another(place("link")));
        // The same server may have it again, and others beside it.
        assert_eq!(first.own(&of("mail")), Owner::This);
        assert_eq!(second.own(&of("other")), Owner::This);
        assert_eq!(first.own(&of("other")), Owner::Another(place("other")));
        assert_eq!(first.own(&of("third")), Owner::This);
        assert_eq!(second.own(&of("mail")), Owner::Another(place("mail")));
        drop(first);
        assert_eq!(second.own(&of("mail")), Owner::This);
        let files = std::fs::read_dir(place("mail")).expect("a listing");
        assert_eq!(files.count(), 0);
    }

    #[test]
    fn what_cannot_be_locked_keeps_nobody_from_starting() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("file");
        std::fs::write(&file, "").expect("a file");
        for mail_root in [
            "/%u/Maildir".to_owned(),
            format!("{}/in/%u", file.display()),
        ] {
            let config = config(mail_root);
            let mut roots = [MailRoots::default(), MailRoots::default()];
            assert!(
                roots
                    .iter_mut()
                    .all(|roots| roots.own(&config) == Owner::This)
            );
        }
    }
}
