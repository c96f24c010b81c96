//! Debian's Courier. It cannot be installed beside Dovecot: its packages are unpacked into a
//! directory, and laid over the system's where only its own processes see them.

use super::unpacked::Unpacked;
use super::{Extension, Peer, Running, Site, free_port, owner};
use anyhow::{Context, ensure};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What it consists of.
const PACKAGES: [&str; 10] = [
    "courier-imap",
    "courier-base",
    "courier-pop",
    "courier-authlib",
    "courier-authlib-userdb",
    "libcourier-unicode4",
    // Without it each IMAP login looks a second for it.
    "gamin",
    "libgamin0",
    "libidn12",
    "libltdl7",
];

/// An unpacked Courier.
pub struct Courier {
    packages: Unpacked,
}

impl Courier {
    /// Unpacks it beside this program, where it is not there.
    ///
    /// # Errors
    /// When it cannot be fetched, or this is not root.
    pub fn unpack() -> anyhow::Result<Self> {
        Ok(Self {
            packages: Unpacked::new("Courier", &PACKAGES, "usr/sbin/couriertcpd")?,
        })
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.packages.version
    }
}

impl Peer for Courier {
    fn name(&self) -> &'static str {
        "courier"
    }

    fn prefix(&self) -> &'static str {
        "INBOX."
    }

    fn has(&self, extension: Extension) -> bool {
        match extension {
            Extension::Maildir => true,
            Extension::LiteralPlus
            | Extension::MultiAppend
            | Extension::Move
            | Extension::Qresync
            // It looks once a minute.
            | Extension::PromptIdle => false,
        }
    }

    fn start(&self, site: &Site) -> anyhow::Result<Running> {
        let (imap, pop3) = (free_port()?, free_port()?);
        let (user, group) = owner()?.context("not root")?;
        let configuration = site.path().join("etc/courier");
        fs::create_dir_all(&configuration)?;
        fs::create_dir_all(site.path().join("work"))?;
        let mut users = String::new();
        for name in site.users() {
            let maildir = site.maildir(&name);
            let home = maildir.parent().unwrap_or(&maildir);
            let _ = writeln!(
                users,
                "{name}\thome={}|mail={}|uid={user}|gid={group}|imappw={PASSWORD}|pop3pw={PASSWORD}",
                home.display(),
                maildir.display()
            );
        }
        let file = configuration.join("userdb");
        fs::write(&file, users)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        fs::write(configuration.join("authdaemonrc"), AUTHENTICATION)?;
        for protocol in ["imapd", "pop3d"] {
            let shipped = self.packages.root.join("etc/courier").join(protocol);
            fs::copy(&shipped, configuration.join(protocol))
                .with_context(|| format!("there is no {}", shipped.display()))?;
        }
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", START, "courier"]);
        command.args([&self.packages.root, site.path()]);
        command.args([imap.to_string(), pop3.to_string()]);
        let log = fs::File::create(site.path().join("courier.log"))?;
        let child = command
            .current_dir("/")
            .process_group(0)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start courier")?;
        let running = Running::new(child, imap, pop3, None)?;
        let began = std::time::Instant::now();
        while crate::client::imap::Imap::login(imap, "anna").is_err() {
            ensure!(began.elapsed().as_secs() < 20, "Courier lets nobody in");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Ok(running)
    }
}

/// `secret`, as `crypt` has it.
const PASSWORD: &str = "$1$bench$2oXJ6TuqyPIgNPp162CoB.";

const AUTHENTICATION: &str = "authmodulelist=\"authuserdb\"
authmodulelistorig=\"authuserdb\"
daemons=5
authdaemonvar=/run/courier/authdaemon
subsystem=mail
DEBUG_LOGIN=0
DEFAULTOPTIONS=\"\"
LOGGEROPTS=\"\"
";

/// As Debian's scripts start it, but for how many may connect, and without the locks that
/// wait for a daemon (Gamin) to tell that they are free.
const START: &str = r#"
set -eu
root=$1 site=$2 imap=$3 pop3=$4
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$root/usr:/usr" /usr
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$site/etc,workdir=$site/work" /etc
mount -t tmpfs tmpfs /run
mkdir -p /run/courier/authdaemon
makeuserdb
# couriertcpd makes a process group of its own.
listeners=
trap 'trap - TERM; kill $listeners; kill 0' TERM
libraries=/usr/lib/courier/courier
/usr/lib/courier/courier-authlib/authdaemond &
listen="couriertcpd -address=127.0.0.1 -maxprocs=1000 -maxperip=1000 -nodnslookup -noidentlookup"
set -a
. /etc/courier/imapd
IMAP_USELOCKS=0
$listen "$imap" $libraries/imaplogin /usr/bin/imapd Maildir &
listeners="$listeners $!"
. /etc/courier/pop3d
$listen "$pop3" $libraries/courierpop3login $libraries/courierpop3d Maildir &
listeners="$listeners $!"
wait
"#;
