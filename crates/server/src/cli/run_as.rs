//! Whom the server runs as, and what that user may do.

use crate::config::Config;
use nix::unistd::{AccessFlags, Gid, Group, Uid, User, getgrouplist};
use std::ffi::CString;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whom the server runs as.
pub(super) struct RunAs {
    /// The user's name.
    pub(super) name: String,
    other: Option<Other>,
}

/// Somebody else than who asks, who is root.
struct Other {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

/// What is to be done with a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A file is read.
    Read,
    /// A directory is gone through.
    Enter,
    /// A directory's entries are listed and changed.
    Keep,
}

impl Purpose {
    /// As bits of a mode.
    fn bits(self) -> u32 {
        match self {
            Self::Read => 0o4,
            Self::Enter => 0o1,
            Self::Keep => 0o7,
        }
    }

    /// As test(1) has them.
    fn letters(self) -> &'static [&'static str] {
        match self {
            Self::Read => &["-r"],
            Self::Enter => &["-x"],
            Self::Keep => &["-r", "-w", "-x"],
        }
    }
}

impl RunAs {
    /// The user of a configuration; `None` where there is none of that name.
    pub(super) fn of(config: &Config) -> Option<Self> {
        let asking = Uid::effective();
        let Some(name) = &config.run_as_user else {
            let found = User::from_uid(asking).ok().flatten();
            return Some(Self {
                name: found.map_or_else(|| asking.to_string(), |user| user.name),
                other: None,
            });
        };
        let user = User::from_name(name).ok()??;
        let other = match user.uid == asking || !asking.is_root() {
            true => None,
            false => Some(Other {
                uid: user.uid,
                gid: user.gid,
                groups: getgrouplist(&CString::new(name.as_str()).ok()?, user.gid).ok()?,
            }),
        };
        Some(Self {
            name: name.clone(),
            other,
        })
    }

    /// Whether the user may do that with what is there, if it gets so far.
    pub(super) fn may(&self, purpose: Purpose, path: &Path) -> bool {
        let Some(other) = &self.other else {
            let bits = purpose.bits();
            let flags = [
                (0o4, AccessFlags::R_OK),
                (0o2, AccessFlags::W_OK),
                (0o1, AccessFlags::X_OK),
            ];
            let wanted = flags.into_iter().filter(|(bit, _)| bits & bit != 0);
            let wanted = wanted.fold(AccessFlags::empty(), |all, (_, flag)| all | flag);
            return nix::unistd::access(path, wanted).is_ok();
        };
        let by_mode = path.metadata().is_ok_and(|metadata| {
            let owner = Uid::from_raw(metadata.uid());
            let bits = if owner == other.uid {
                metadata.mode() >> 6
            } else if other.groups.contains(&Gid::from_raw(metadata.gid())) {
                metadata.mode() >> 3
            } else {
                metadata.mode()
            };
            other.uid.is_root() || bits & purpose.bits() == purpose.bits()
        });
        by_mode || other.tries(purpose, path)
    }

    /// The user's group, where the user is another than who asks.
    pub(super) fn other_group(&self) -> Option<String> {
        let gid = self.other.as_ref()?.gid;
        let group = Group::from_gid(gid).ok().flatten();
        Some(group.map_or_else(|| gid.to_string(), |group| group.name))
    }

    /// What keeps the user from reading a file that is there: itself, or a directory on the
    /// way, where links lead included.
    pub(super) fn obstacle_to_reading(&self, file: &Path) -> Option<PathBuf> {
        let there = file.canonicalize().ok()?;
        let ways = [std::path::absolute(file).ok()?, there.clone()];
        let mut directories: Vec<&Path> = ways
            .iter()
            .flat_map(|way| way.ancestors().skip(1))
            .collect();
        directories.sort();
        directories.dedup();
        let mut closed = directories.into_iter();
        let closed = closed.find(|directory| !self.may(Purpose::Enter, directory));
        closed.map(Path::to_owned).or_else(|| {
            let readable = self.may(Purpose::Read, &there);
            (!readable).then_some(there)
        })
    }
}

impl Other {
    /// Asks the system, which knows of access control lists as well.
    fn tries(&self, purpose: Purpose, path: &Path) -> bool {
        purpose.letters().iter().all(|letter| {
            let mut test = Command::new("test");
            test.arg(letter).arg(path);
            test.uid(self.uid.as_raw()).gid(self.gid.as_raw());
            test.current_dir("/").stdin(Stdio::null());
            test.status().is_ok_and(|status| status.success())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    #[test]
    fn what_keeps_a_user_from_a_file_is_found() {
        let directory = tempfile::tempdir().expect("directory");
        let root = directory.path().canonicalize().expect("there");
        let (archive, live) = (root.join("archive"), root.join("live"));
        for folder in [&root, &archive, &live] {
            std::fs::create_dir_all(folder).expect("made");
        }
        let (key, link) = (archive.join("key1.pem"), live.join("key.pem"));
        std::fs::write(&key, "k").expect("written");
        symlink("../archive/key1.pem", &link).expect("linked");
        let allow = |path: &Path, mode: u32| {
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("set");
        };
        let obstacle = |user: &str| {
            let config = Config {
                run_as_user: Some(user.to_owned()),
                ..Config::default()
            };
            let run_as = RunAs::of(&config).expect("a user");
            run_as.obstacle_to_reading(&link)
        };
        if !Uid::effective().is_root() {
            return;
        }
        assert_eq!(obstacle("root"), None);
        for folder in [&root, &live] {
            allow(folder, 0o711);
        }
        allow(&archive, 0o700);
        allow(&key, 0o600);
        assert_eq!(obstacle("nobody"), Some(archive.clone()));
        allow(&archive, 0o711);
        assert_eq!(obstacle("nobody"), Some(key.clone()));
        allow(&key, 0o640);
        let nobody = User::from_name("nobody").expect("asked").expect("there");
        chown(&key, None, Some(nobody.gid.as_raw())).expect("given");
        assert_eq!(obstacle("nobody"), None);
    }
}
