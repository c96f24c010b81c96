//! Debian's Cyrus. It cannot be installed beside Dovecot: its packages are unpacked into a
//! directory, and laid over the system's where only its own processes see them.
//!
//! It keeps messages in files that it numbers, with an index and a cache beside them. Mail
//! that is there from the beginning is linked into its directories, and its own
//! `reconstruct` makes of it what an APPEND makes: appending 10,000 messages takes minutes.

use super::unpacked::Unpacked;
use super::{Delivery, Extension, MAIL_USER, Peer, Running, Site, free_port, owner};
use crate::client::imap::Imap;
use crate::corpus::Corpus;
use anyhow::{Context, ensure};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What it consists of, with the libraries that not every system has.
const PACKAGES: [&str; 14] = [
    "cyrus-imapd",
    "cyrus-common",
    "cyrus-pop3d",
    // For `saslpasswd2`.
    "sasl2-bin",
    "libsasl2-modules-db",
    "libical3",
    "libicu72",
    "libjansson4",
    "libldap-2.5-0",
    "libpcre3",
    "libpq5",
    "libwrap0",
    "libxapian30",
    "libxml2",
];

/// An unpacked Cyrus.
pub struct Cyrus {
    packages: Unpacked,
}

impl Cyrus {
    /// Unpacks it beside this program, where it is not there.
    ///
    /// # Errors
    /// When it cannot be fetched, or this is not root.
    pub fn unpack() -> anyhow::Result<Self> {
        Ok(Self {
            packages: Unpacked::new("Cyrus", &PACKAGES, "usr/lib/cyrus/bin/imapd")?,
        })
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.packages.version
    }

    /// A command that sees Cyrus laid over the system, and runs as the owner of mail.
    fn command(&self, program: &str) -> anyhow::Result<Command> {
        let (user, group) = owner()?.context("not root")?;
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", INSIDE, "cyrus"])
            .arg(&self.packages.root)
            .args([user.to_string(), group.to_string()])
            .arg(program)
            .current_dir("/");
        Ok(command)
    }

    /// Runs one of its programs over mailboxes; gives what it wrote.
    fn run(&self, site: &Site, program: &str, mailboxes: &[String]) -> anyhow::Result<String> {
        let output = self
            .command(&format!("{PROGRAMS}/{program}"))?
            .arg("-C")
            .arg(settings(site))
            .args(mailboxes)
            .output()?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{program} failed: {complaint}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Makes its directories, and the passwords, which are kept as they are given.
    fn prepare(&self, site: &Site) -> anyhow::Result<()> {
        let (user, group) = owner()?.context("not root")?;
        // Sessions in IDLE listen in the second.
        for directory in ["state", "state/socket", "spool"] {
            let directory = site.path().join(directory);
            fs::create_dir(&directory)?;
            chown(&directory, Some(user), Some(group))?;
        }
        let status = self
            .command("sh")?
            .args(["-c", PASSWORDS, "passwords"])
            .arg(site.path())
            .args(site.users())
            .status()?;
        ensure!(status.success(), "Cyrus takes no passwords");
        // Debian's settings, but for what is said otherwise.
        let here = site.path().display();
        let own = [
            ("configdirectory", format!("{here}/state")),
            ("partition-default", format!("{here}/spool")),
            ("cyrus_user", MAIL_USER.to_owned()),
            ("servername", "localhost".to_owned()),
            ("sasl_auxprop_plugin", "sasldb".to_owned()),
            ("sasl_sasldb_path", format!("{here}/state/passwords")),
            // Else a user may log in by POP3 once a minute.
            ("popminpoll", "0".to_owned()),
        ];
        let shipped = self.packages.root.join("etc/imapd.conf");
        let shipped = fs::read_to_string(&shipped)
            .with_context(|| format!("there is no {}", shipped.display()))?;
        let is_own = |line: &&str| {
            let name = line.split(':').next();
            own.iter().any(|(own, _)| name == Some(own))
        };
        let mut text = String::new();
        for line in shipped.lines().filter(|line| !is_own(line)) {
            let _ = writeln!(text, "{line}");
        }
        for (name, value) in &own {
            let _ = writeln!(text, "{name}: {value}");
        }
        Ok(fs::write(settings(site), text)?)
    }
}

impl Peer for Cyrus {
    fn name(&self) -> &'static str {
        "cyrus"
    }

    fn prefix(&self) -> &'static str {
        "INBOX."
    }

    fn has(&self, extension: Extension) -> bool {
        extension != Extension::Maildir
    }

    fn deliver(&self, site: &Site, corpus: &Corpus, deliveries: &[Delivery]) -> anyhow::Result<()> {
        if deliveries.is_empty() {
            return Ok(());
        }
        let server = self.start(site)?;
        let mut mailboxes = Vec::new();
        for delivery in deliveries {
            // The first login makes INBOX.
            let mut session = Imap::login(server.imap, delivery.user)?;
            let mut mailbox = format!("user.{}", delivery.user);
            if let Some(name) = delivery.mailbox {
                session.run(&format!("CREATE {}{name}", self.prefix()))?;
                let _ = write!(mailbox, ".{name}");
            }
            session.run("LOGOUT")?;
            mailboxes.push(mailbox);
        }
        drop(server);
        let directories = self.run(site, "mbpath", &mailboxes)?;
        ensure!(
            directories.lines().count() == deliveries.len(),
            "Cyrus keeps mailboxes in {directories}"
        );
        for (directory, delivery) in directories.lines().zip(deliveries) {
            corpus.link_numbered(Path::new(directory), delivery.count)?;
        }
        self.run(site, "reconstruct", &mailboxes)?;
        Ok(())
    }

    fn start(&self, site: &Site) -> anyhow::Result<Running> {
        let (imap, pop3) = (free_port()?, free_port()?);
        let settings = settings(site);
        if !settings.exists() {
            self.prepare(site)?;
        }
        let services = site.path().join("cyrus.conf");
        // As Debian has it, but for how many may connect, and with the process that tells
        // others of news, without which they look once a minute. Nothing is done by the clock.
        let with = format!("-C {}", settings.display());
        fs::write(
            &services,
            format!(
                "START {{\n  recover cmd=\"{PROGRAMS}/ctl_cyrusdb {with} -r\"\n}}\n\
                 SERVICES {{\n  \
                 imap cmd=\"imapd {with} -U 30\" listen=\"127.0.0.1:{imap}\" prefork=0 maxchild=1000\n  \
                 pop3 cmd=\"pop3d {with} -U 30\" listen=\"127.0.0.1:{pop3}\" prefork=0 maxchild=1000\n}}\n\
                 EVENTS {{\n}}\n\
                 DAEMON {{\n  idled cmd=\"{PROGRAMS}/idled {with}\"\n}}\n"
            ),
        )?;
        let log = fs::File::create(site.path().join("cyrus.log"))?;
        let child = self
            .command(&format!("{PROGRAMS}/master"))?
            .arg("-D")
            .arg("-C")
            .arg(&settings)
            .arg("-M")
            .arg(&services)
            .args(["-p", "/run/cyrus/master.pid"])
            .process_group(0)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start cyrus")?;
        Running::new(child, imap, pop3, None)
    }
}

/// The file of its settings.
fn settings(site: &Site) -> PathBuf {
    site.path().join("imapd.conf")
}

/// Where its programs are, once they are laid over the system's.
const PROGRAMS: &str = "/usr/lib/cyrus/bin";

/// Runs a command where Cyrus is laid over the system, with the directory for what is under
/// way that Debian gives it; it is told to end when this program ends in whatever way.
const INSIDE: &str = r#"
set -eu
root=$1 user=$2 group=$3
shift 3
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$root/usr:/usr" /usr
mount -t tmpfs tmpfs /run
for directory in "" /proc /lock /socket; do
    install -d -o "$user" -g "$group" "/run/cyrus$directory"
done
exec setpriv --reuid "$user" --regid "$group" --clear-groups --pdeathsig TERM "$@"
"#;

/// Gives every user a password.
const PASSWORDS: &str = r#"
set -eu
site=$1
shift
for user in "$@"; do
    printf secret | saslpasswd2 -c -p -f "$site/state/passwords" -u localhost "$user"
done
"#;
