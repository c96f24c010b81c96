//! A private Dovecot: what it says to a transcript checks the transcript.

use super::sockets::connect;
use super::{Conversation, Place};
use crate::common::mailbox;
use crate::common::ports::free_port;
use crate::player::{Peer, Protocol, Transcript};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// As whom it reads the mail; it never does as root.
const MAIL_USER: &str = "nobody";

/// Special-use mailboxes as Pillarbox makes them.
const SPECIAL: [&str; 5] = ["Drafts", "Sent", "Junk", "Trash", "Archive"];

/// A running Dovecot with a transcript's mailbox, ended when dropped.
pub struct Dovecot {
    child: Child,
    imap: u16,
    pop3: u16,
    _keep: tempfile::TempDir,
}

impl Dovecot {
    /// Why it cannot be started here.
    pub fn absent() -> Option<&'static str> {
        if !nix::unistd::Uid::effective().is_root() {
            return Some("Dovecot is started by root only");
        }
        let version = Command::new("dovecot").arg("--version").output();
        match version {
            Ok(output) if output.stdout.starts_with(b"2.3.") => None,
            Ok(_) => Some("Dovecot is not of version 2.3, whose configuration this knows"),
            Err(_) => Some("Dovecot is not installed"),
        }
    }

    pub fn new(transcript: &Transcript) -> Self {
        let keep = mailbox::directory();
        let directory = keep.path();
        mailbox::fill(directory, transcript.messages, transcript.aged);
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).expect("permissions");
        fs::write(directory.join("users"), "anna:{PLAIN}secret::::::\n").expect("users");
        let given = Command::new("chown")
            .args(["-R", &format!("{MAIL_USER}:")])
            .arg(directory.join("mail"))
            .status()
            .expect("chown");
        assert!(given.success());
        let (imap, pop3) = (free_port(), free_port());
        let file = directory.join("dovecot.conf");
        fs::write(&file, configuration(directory, imap, pop3)).expect("configuration");
        let child = Command::new("dovecot")
            .args(["-F", "-c"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dovecot");
        let server = Self {
            child,
            imap,
            pop3,
            _keep: keep,
        };
        let began = Instant::now();
        while [imap, pop3]
            .iter()
            .any(|port| TcpStream::connect(("127.0.0.1", *port)).is_err())
        {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "Dovecot does not listen"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        server.keep_mod_sequences();
        server
    }
}

impl Dovecot {
    /// It counts mod-sequences from when they are first asked for.
    fn keep_mod_sequences(&self) {
        let mut stream = connect(self.imap);
        let commands = "a LOGIN anna secret\r\nb EXAMINE INBOX (CONDSTORE)\r\nc LOGOUT\r\n";
        stream.write_all(commands.as_bytes()).expect("sent");
        let mut said = String::new();
        stream.read_to_string(&mut said).expect("answered");
        assert!(said.contains("b OK"), "{said}");
    }
}

fn configuration(directory: &std::path::Path, imap: u16, pop3: u16) -> String {
    let special: String = SPECIAL
        .iter()
        .map(|name| {
            format!("  mailbox {name} {{\n    special_use = \\{name}\n    auto = subscribe\n  }}\n")
        })
        .collect();
    let user = nix::unistd::User::from_name(MAIL_USER)
        .expect("users")
        .expect("nobody");
    format!(
        "base_dir = {0}/run\nstate_dir = {0}/state\nlog_path = {0}/log\n\
         mail_plugins = zlib\nprotocol imap {{\n  mail_plugins = zlib imap_zlib\n}}\n\
         protocols = imap pop3\nssl = no\ndisable_plaintext_auth = no\nlisten = 127.0.0.1\n\
         mail_location = maildir:{0}/mail/anna/Maildir\n\
         mail_uid = {uid}\nmail_gid = {gid}\nfirst_valid_uid = 1\nfirst_valid_gid = 1\n\
         mail_attribute_dict = file:{0}/mail/anna/Maildir/dovecot-attributes\n\
         protocol imap {{\n  imap_metadata = yes\n}}\n\
         auth_mechanisms = plain login scram-sha-256 scram-sha-1\nauth_failure_delay = 0\n\
         namespace inbox {{\n  inbox = yes\n  separator = /\n{special}}}\n\
         passdb {{\n  driver = passwd-file\n  args = {0}/users\n}}\n\
         userdb {{\n  driver = static\n  args = home={0}/mail/anna\n}}\n\
         service imap-login {{\n  inet_listener imap {{\n    port = {imap}\n  }}\n  inet_listener imaps {{\n    port = 0\n  }}\n}}\n\
         service pop3-login {{\n  inet_listener pop3 {{\n    port = {pop3}\n  }}\n  inet_listener pop3s {{\n    port = 0\n  }}\n}}\n\
         service stats {{\n  chroot =\n}}\n\
         service anvil {{\n  unix_listener anvil-auth-penalty {{\n    mode = 0\n  }}\n}}\n",
        directory.display(),
        uid = user.uid,
        gid = user.gid,
    )
}

impl Place for Dovecot {
    fn peer(&self) -> Peer {
        Peer::Dovecot
    }

    fn open(&self, protocol: Protocol) -> Box<dyn Conversation> {
        Box::new(connect(match protocol {
            Protocol::Imap => self.imap,
            Protocol::Pop3 => self.pop3,
        }))
    }
}

impl Drop for Dovecot {
    /// Asks it to end, so that it ends its own processes too.
    fn drop(&mut self) {
        let master = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        let _ = nix::sys::signal::kill(master, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}
