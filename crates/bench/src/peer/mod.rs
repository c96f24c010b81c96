//! The servers that are compared, each with mail of its own below one directory.

mod courier;
mod cyrus;
mod delivery;
mod dovecot;
mod pillarbox;
mod unpacked;

pub use courier::Courier;
pub use cyrus::Cyrus;
pub use delivery::Delivery;
pub use dovecot::{Dovecot, Tuning};
pub use pillarbox::Pillarbox;

use crate::corpus::Corpus;
use crate::process;

use anyhow::{Context, bail};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

/// As whom both read mail, where started by root.
const MAIL_USER: &str = "nobody";
/// The users there are: `anna`, and `user1` to this.
pub const USERS: usize = 10;

/// What not every server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// Mailboxes are Maildirs, where others drop files.
    Maildir,
    /// RFC 7888.
    LiteralPlus,
    /// RFC 3502.
    MultiAppend,
    /// RFC 6851.
    Move,
    /// RFC 7162.
    Qresync,
    /// News in IDLE within seconds.
    PromptIdle,
}

/// A server that can be started and ended, over mail that stays.
pub trait Peer: Sync {
    /// Its name in tables.
    fn name(&self) -> &'static str;
    /// What names of mailboxes beside INBOX begin with.
    fn prefix(&self) -> &'static str {
        ""
    }
    /// Whether it has what not all have; rows that need it are left empty.
    fn has(&self, _extension: Extension) -> bool {
        true
    }
    /// Puts mail where it finds it when it is started.
    ///
    /// # Errors
    /// When that cannot be done.
    fn deliver(&self, site: &Site, corpus: &Corpus, deliveries: &[Delivery]) -> anyhow::Result<()> {
        for delivery in deliveries {
            let mailbox = match delivery.mailbox {
                Some(name) => site.make_mailbox(delivery.user, name)?,
                None => site.maildir(delivery.user),
            };
            corpus.link_into(&mailbox.join(delivery.folder), delivery.count)?;
        }
        Ok(())
    }
    /// Starts it.
    ///
    /// # Errors
    /// When it does not listen.
    fn start(&self, site: &Site) -> anyhow::Result<Running>;
}

/// Where mail, users and configuration are.
pub struct Site {
    directory: tempfile::TempDir,
}

impl Site {
    /// An empty one; every user has an empty Maildir.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(below: &Path) -> anyhow::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir_in(below)?;
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
        let site = Self { directory };
        let mut users = String::new();
        for name in site.users() {
            for folder in ["cur", "new", "tmp"] {
                fs::create_dir_all(site.maildir(&name).join(folder))?;
            }
            users += &format!("{name}:{{PLAIN}}secret::::::\n");
        }
        fs::write(site.path().join("users"), users)?;
        give_away(site.path().join("mail"))?;
        Ok(site)
    }

    /// The directory of all.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The names of the users.
    pub fn users(&self) -> Vec<String> {
        let numbered = (1..=USERS).map(|number| format!("user{number}"));
        std::iter::once("anna".to_owned()).chain(numbered).collect()
    }

    /// A user's Maildir.
    pub fn maildir(&self, user: &str) -> PathBuf {
        self.path().join("mail").join(user).join("Maildir")
    }

    /// Makes an empty mailbox beside a user's INBOX; gives its directory.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_mailbox(&self, user: &str, name: &str) -> anyhow::Result<PathBuf> {
        let mailbox = self.maildir(user).join(format!(".{name}"));
        for folder in ["cur", "new", "tmp"] {
            fs::create_dir_all(mailbox.join(folder))?;
        }
        give_away(mailbox.clone())?;
        Ok(mailbox)
    }
}

/// Gives a directory and all that is in it to the owner of mail.
fn give_away(directory: PathBuf) -> anyhow::Result<()> {
    let Some((user, group)) = owner()? else {
        return Ok(());
    };
    let mut waiting = vec![directory];
    while let Some(path) = waiting.pop() {
        std::os::unix::fs::chown(&path, Some(user), Some(group))?;
        if path.is_dir() {
            waiting.extend(fs::read_dir(&path)?.flatten().map(|entry| entry.path()));
        }
    }
    Ok(())
}

/// To whom mail belongs; `None` where this user is not root and it is their own.
///
/// # Errors
/// When there is no such user.
pub fn owner() -> anyhow::Result<Option<(u32, u32)>> {
    if !nix::unistd::Uid::effective().is_root() {
        return Ok(None);
    }
    let user = nix::unistd::User::from_name(MAIL_USER)?.context("there is no user nobody")?;
    Ok(Some((user.uid.as_raw(), user.gid.as_raw())))
}

/// A server under way, ended when dropped.
pub struct Running {
    child: Child,
    /// Ports without TLS.
    pub imap: u16,
    /// Ports without TLS.
    pub pop3: u16,
    /// Port of IMAP over TLS, where it has one.
    pub imaps: Option<u16>,
}

impl Running {
    fn new(child: Child, imap: u16, pop3: u16, imaps: Option<u16>) -> anyhow::Result<Self> {
        let mut running = Self {
            child,
            imap,
            pop3,
            imaps,
        };
        let began = Instant::now();
        for port in [Some(imap), Some(pop3), imaps].into_iter().flatten() {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                if let Some(status) = running.child.try_wait()? {
                    bail!("the server ended: {status}");
                }
                if began.elapsed() > Duration::from_secs(20) {
                    bail!("nobody listens on {port}");
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(running)
    }

    /// The root of its processes.
    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    /// Asks it to end, so that it ends its own processes too, and waits for those of its
    /// process group.
    fn drop(&mut self) {
        use nix::sys::signal::{Signal, kill};
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        let _ = kill(pid, Signal::SIGTERM);
        let _ = self.child.wait();
        let began = Instant::now();
        loop {
            let left = process::group(self.child.id());
            if left.is_empty() {
                return;
            }
            if began.elapsed() > Duration::from_secs(5) {
                for process in left {
                    let pid = nix::unistd::Pid::from_raw(process.cast_signed());
                    let _ = kill(pid, Signal::SIGKILL);
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
