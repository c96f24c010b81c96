//! Debian's Dovecot, private and on loopback; the system's own is left alone.

use super::{Peer, Running, Site, free_port, owner};
use anyhow::{Context, bail};
use std::fs;
use std::process::{Command, Stdio};

/// How it is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tuning {
    /// As it comes: a process a connection.
    Default,
    /// Processes are used again and again, logins share one.
    Reused,
}

/// An installed Dovecot.
pub struct Dovecot {
    tuning: Tuning,
    version: String,
}

impl Dovecot {
    /// Installs it where this is root and it is not there.
    ///
    /// # Errors
    /// When it is not there and cannot be installed, or this is not root.
    pub fn install(tuning: Tuning) -> anyhow::Result<Self> {
        if owner()?.is_none() {
            bail!("Dovecot is started by root; run this as root, or with --against none");
        }
        let version = || Command::new("dovecot").arg("--version").output();
        if version().is_err() {
            let wanted = [
                "install",
                "-y",
                "--no-install-recommends",
                "dovecot-imapd",
                "dovecot-pop3d",
            ];
            let installed = Command::new("apt-get")
                .args(wanted)
                .env("DEBIAN_FRONTEND", "noninteractive")
                .stdout(Stdio::null())
                .status();
            if !installed.is_ok_and(|status| status.success()) {
                bail!(
                    "Dovecot is not installed; `apt-get install dovecot-imapd dovecot-pop3d` failed"
                );
            }
        }
        let version = version().context("dovecot does not run")?;
        let version = String::from_utf8_lossy(&version.stdout);
        let version = version
            .split(' ')
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned();
        Ok(Self { tuning, version })
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.version
    }
}

impl Peer for Dovecot {
    fn name(&self) -> &'static str {
        match self.tuning {
            Tuning::Default => "dovecot",
            Tuning::Reused => "dovecot, tuned",
        }
    }

    fn start(&self, site: &Site) -> anyhow::Result<Running> {
        let (imap, pop3) = (free_port()?, free_port()?);
        let (user, group) = owner()?.context("not root")?;
        let tuned = match self.tuning {
            Tuning::Default => "",
            Tuning::Reused => TUNED,
        };
        let base = site.path();
        let file = base.join("dovecot.conf");
        fs::write(
            &file,
            format!(
                "base_dir = {0}/run\nstate_dir = {0}/state\nlog_path = {0}/dovecot.log\n\
                 protocols = imap pop3\nssl = no\ndisable_plaintext_auth = no\nlisten = 127.0.0.1\n\
                 mail_location = maildir:{0}/mail/%u/Maildir\nmail_uid = {user}\nmail_gid = {group}\n\
                 first_valid_uid = 1\nfirst_valid_gid = 1\nmail_max_userip_connections = 0\n\
                 namespace inbox {{\n  inbox = yes\n  separator = /\n}}\n\
                 passdb {{\n  driver = passwd-file\n  args = {0}/users\n}}\n\
                 userdb {{\n  driver = static\n  args = home={0}/mail/%u\n}}\n\
                 service imap-login {{\n  inet_listener imap {{\n    port = {imap}\n  }}\n  inet_listener imaps {{\n    port = 0\n  }}\n}}\n\
                 service pop3-login {{\n  inet_listener pop3 {{\n    port = {pop3}\n  }}\n  inet_listener pop3s {{\n    port = 0\n  }}\n}}\n\
                 service stats {{\n  chroot =\n}}\n{tuned}",
                base.display()
            ),
        )?;
        let child = Command::new("dovecot")
            .args(["-F", "-c"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start dovecot")?;
        Running::new(child, imap, pop3, None)
    }
}

const TUNED: &str = "
auth_cache_size = 1M
service imap-login {
  service_count = 0
  process_min_avail = 2
}
service pop3-login {
  service_count = 0
  process_min_avail = 2
}
service imap {
  service_count = 1000
  process_min_avail = 8
}
service pop3 {
  service_count = 1000
  process_min_avail = 8
}
";
