//! A demo server in a directory of its own, ended when dropped.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod imap;
pub mod mailbox;
pub mod ports;
pub mod talk;
pub mod tls;

use self::ports::free_port;
use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use pillarbox::accounts::users::{User, Users};
use std::fs;
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// A running server with the user `anna`, password `secret`.
pub struct Server {
    child: Child,
    /// Port of IMAP without TLS.
    pub imap: u16,
    /// Port of IMAP with TLS.
    pub imaps: u16,
    /// Port of POP3 without TLS.
    pub pop3: u16,
    /// Port of POP3 with TLS.
    pub pop3s: u16,
    directory: PathBuf,
    keep: Option<tempfile::TempDir>,
}

/// A hash as the server makes it, but of no use against who guesses: hundreds of servers are
/// started, and would do little else but hashing.
fn quick_hash(password: &[u8]) -> String {
    let params = Params::new(8, 1, 1, None).expect("parameters");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password(password).expect("a hash").to_string()
}

/// Writes a users file: anna, password `secret`, and devices of hers whose passwords are
/// their names.
pub fn save_users(file: &std::path::Path, devices: &[String]) {
    static ANNA: LazyLock<User> = LazyLock::new(|| {
        let mut anna = User::new("anna", b"secret").expect("a user");
        anna.password = quick_hash(b"secret");
        anna
    });
    let mut anna = ANNA.clone();
    for device in devices {
        anna.add_device(device, device.as_bytes())
            .expect("a device");
    }
    for device in &mut anna.devices {
        device.password = quick_hash(device.name.as_bytes());
    }
    let users = Users { users: vec![anna] };
    users.save(file).expect("users");
}

impl Server {
    /// Starts a server whose INBOX holds this many known messages in `new/`.
    pub fn start(messages: u32) -> Self {
        Self::start_with(messages, 0, &[])
    }

    /// Starts such a server whose first messages came in the year 2000, with these
    /// lines in its configuration.
    pub fn start_with(messages: u32, aged: u32, config: &[&str]) -> Self {
        Self::start_for(messages, aged, config, &[])
    }

    /// As [`Server::start_with`]; anna has these devices, whose passwords are their names.
    pub fn start_for(messages: u32, aged: u32, config: &[&str], devices: &[String]) -> Self {
        let keep = mailbox::directory();
        mailbox::fill(keep.path(), messages, aged);
        let directory = keep.path().to_owned();
        save_users(&directory.join("users.yaml"), devices);
        if !config.is_empty() {
            let limits = match config.iter().any(|line| line.starts_with("limits:")) {
                true => "",
                false => "limits: { failed_login_delay_seconds: 0 }\n",
            };
            let certificates = format!(
                "certificates: [{{ certificate: {0}/cert.pem, key: {0}/key.pem }}]",
                directory.display()
            );
            // What a test says of TLS goes with the certificate.
            let (tls, other): (Vec<&str>, Vec<&str>) =
                config.iter().partition(|line| line.starts_with("tls: {"));
            let tls = match tls.first().and_then(|line| line.strip_prefix("tls: {")) {
                Some(rest) => format!("tls: {{ {certificates}, {rest}"),
                None => format!("tls: {{ {certificates} }}"),
            };
            let config = format!(
                "mail_root: {0}/mail/%u/Maildir\nusers_file: {0}/users.yaml\n{limits}{tls}\n{1}\n",
                directory.display(),
                other.join("\n")
            );
            fs::write(directory.join("pillarbox.yaml"), config).expect("configuration");
        }
        let mut server = Self::start_in(directory);
        server.keep = Some(keep);
        server
    }

    /// What the server has in memory, in octets.
    pub fn memory_octets(&self) -> u64 {
        let path = format!("/proc/{}/statm", self.child.id());
        let statm = fs::read_to_string(path).expect("a running server");
        let pages: u64 = statm
            .split(' ')
            .nth(1)
            .and_then(|pages| pages.parse().ok())
            .expect("pages");
        pages * 4096
    }

    /// Starts a server in a directory that stays.
    pub fn start_in(directory: PathBuf) -> Self {
        Self::start_in_as(directory, None)
    }

    /// As [`Server::start_in`], with a user and group of this number.
    pub fn start_in_as(directory: PathBuf, number: Option<u32>) -> Self {
        for _ in 0..5 {
            let [imap, imaps, pop3, pop3s] = [(); 4].map(|()| free_port());
            let ports = [imap, imaps, pop3, pop3s].map(|port| port.to_string());
            let mut command = Command::new(env!("CARGO_BIN_EXE_pillarbox"));
            if let Some(number) = number {
                command.uid(number).gid(number);
            }
            let mut child = command
                .arg("demo")
                .arg(&directory)
                .args([
                    "--imap", &ports[0], "--imaps", &ports[1], "--pop3", &ports[2], "--pop3s",
                    &ports[3],
                ])
                .args(["--user", "anna=secret", "--no-sample"])
                .stdout(Stdio::null())
                .env("PILLARBOX_LOG", "warn")
                .spawn()
                .expect("the server starts");
            let started = Instant::now();
            while started.elapsed() < Duration::from_secs(20) {
                let open = [imap, imaps, pop3, pop3s]
                    .iter()
                    .all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok());
                if open {
                    return Self {
                        child,
                        imap,
                        imaps,
                        pop3,
                        pop3s,
                        directory,
                        keep: None,
                    };
                }
                if child.try_wait().expect("wait").is_some() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("the demo server did not start");
    }

    /// Where it keeps everything.
    pub fn directory(&self) -> &std::path::Path {
        &self.directory
    }

    /// Ends it at once, as a crash would.
    pub fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
