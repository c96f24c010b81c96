//! `pillarbox demo`: a complete server on loopback.

use super::Exit;
use crate::accounts::password;
use crate::accounts::users::{User, Users};
use crate::config::{
    CertificateFiles, Config, Limits, Listener, Plaintext, Protocol, Tls, TlsMode,
};
use crate::{files, tls};
use anyhow::{Context, bail};
use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Sample messages, delivered to a demo user whose INBOX is empty.
const SAMPLES: [(&str, &str); 5] = [
    ("1793610001.M1P1.sample", include_str!("sample/welcome.eml")),
    (
        "1793610002.M1P1.sample",
        include_str!("sample/attachment.eml"),
    ),
    ("1793610003.M1P1.sample", include_str!("sample/chinese.eml")),
    ("1793610004.M1P1.sample", include_str!("sample/list.eml")),
    (
        "1793610005.M1P1.sample",
        include_str!("sample/forwarded.eml"),
    ),
];

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pillarbox demo\n  pillarbox demo /tmp/box --imaps 9993 --user anna=secret --no-sample"
)]
pub struct Arguments {
    /// Where to keep everything, and what is there already is used; a new temporary
    /// directory if not given
    directory: Option<PathBuf>,
    /// Port for IMAP with STARTTLS, 0 for any free one [default: 1143]
    #[arg(long, value_name = "PORT")]
    imap: Option<u16>,
    /// Port for IMAP over TLS [default: 1993]
    #[arg(long, value_name = "PORT")]
    imaps: Option<u16>,
    /// Port for POP3 with STLS [default: 1110]
    #[arg(long, value_name = "PORT")]
    pop3: Option<u16>,
    /// Port for POP3 over TLS [default: 1995]
    #[arg(long, value_name = "PORT")]
    pop3s: Option<u16>,
    /// A user and password; may be repeated (anna=anna-demo and ben=ben-demo if not given)
    #[arg(long, value_name = "NAME=PASSWORD")]
    user: Vec<String>,
    /// Deliver no sample mail
    #[arg(long)]
    no_sample: bool,
}

/// The pid file, locked while the server runs and removed when it ends.
struct PidFile {
    path: PathBuf,
    _lock: Flock<File>,
}

impl PidFile {
    /// Takes the directory for this process. What a killed server left is no
    /// obstacle: its lock went with it.
    fn take(directory: &Path) -> anyhow::Result<Self> {
        let path = directory.join("pillarbox.pid");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        let mut lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err(_) => bail!(
                "a server runs in {} already; stop it with: kill $(cat {}), or name another directory",
                directory.display(),
                path.display()
            ),
        };
        lock.set_len(0)?;
        lock.write_all(format!("{}\n", std::process::id()).as_bytes())?;
        Ok(Self { path, _lock: lock })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

pub fn run(arguments: &Arguments) -> Exit {
    let directory = match &arguments.directory {
        Some(directory) => {
            files::create_private_directories(directory)
                .with_context(|| format!("cannot create {}", directory.display()))?;
            directory.canonicalize()?
        }
        None => tempfile::Builder::new()
            .prefix("pillarbox-demo-")
            .tempdir()?
            .keep(),
    };
    let given = match arguments.user.as_slice() {
        [] => vec![
            ("anna".to_owned(), "anna-demo".to_owned()),
            ("ben".to_owned(), "ben-demo".to_owned()),
        ],
        given => given
            .iter()
            .map(|text| split_user(text))
            .collect::<anyhow::Result<_>>()?,
    };
    for (place, (name, _)) in given.iter().enumerate() {
        if given.iter().take(place).any(|(other, _)| other == name) {
            bail!("--user {name}= is given twice; give each user once");
        }
    }
    let pid_file = PidFile::take(&directory)?;
    let config = prepare(&directory, arguments, &given)?;
    let users = Users::load(&config.users_file)?;
    let shown: Vec<_> = given
        .iter()
        .map(|(name, password)| (name.clone(), shown_password(&users, name, password)))
        .collect();
    super::start_log(config.log);
    super::raise_descriptor_limit();
    let listeners = config.listeners.clone();
    let runtime = super::runtime()?;
    let served = runtime.block_on(crate::serve::serve(config, None, |addresses| {
        announce(&directory, &listeners, addresses, &shown)
    }));
    super::end(runtime);
    served.map_err(
        |error| match error.to_string().contains("cannot listen on") {
            true => error.context(
                "give other ports with --imap, --imaps, --pop3 and --pop3s; 0 is any free one",
            ),
            false => error,
        },
    )?;
    drop(pid_file);
    Ok(ExitCode::SUCCESS)
}

/// The password to show: not the demo's where the user has one of their own.
fn shown_password(users: &Users, name: &str, password: &str) -> String {
    let is_theirs = users
        .find(name)
        .is_some_and(|user| password::verify(password.as_bytes(), &user.password));
    if is_theirs { password } else { "PASSWORD" }.to_owned()
}

fn split_user(text: &str) -> anyhow::Result<(String, String)> {
    let Some((name, password)) = text
        .split_once('=')
        .filter(|(name, password)| !name.is_empty() && !password.is_empty())
    else {
        bail!("--user {text:?}: write it as NAME=PASSWORD");
    };
    Ok((name.to_owned(), password.to_owned()))
}

/// Writes what is not there yet: certificate, users, configuration, Maildirs.
fn prepare(
    directory: &Path,
    arguments: &Arguments,
    given: &[(String, String)],
) -> anyhow::Result<Config> {
    // Before anything is written: the file must not hold what cannot be loaded again.
    let asked = listeners(arguments);
    for (place, listener) in asked.iter().enumerate() {
        let address = listener.address;
        let mut others = asked.iter().take(place);
        if address.port() != 0 && others.any(|other| other.address == address) {
            bail!(
                "port {} is given twice; give each listener one of its own, or 0 for any free one",
                address.port()
            );
        }
    }
    let (certificate, key) = (directory.join("cert.pem"), directory.join("key.pem"));
    if !certificate.exists() || !key.exists() {
        tls::self_signed(
            &certificate,
            &key,
            &["localhost".into(), "127.0.0.1".into(), "::1".into()],
            None,
        )?;
    }
    let users_file = directory.join("users.yaml");
    let mut users = if users_file.exists() {
        Users::load(&users_file)?
    } else {
        Users::default()
    };
    let mut is_changed = !users_file.exists();
    for (name, password) in given {
        match users.find_mut(name) {
            // Written by hand or by an earlier run: only a new password is set.
            Some(known) if password::verify(password.as_bytes(), &known.password) => {}
            Some(_) if arguments.user.is_empty() => {
                tracing::debug!(name, "has another password than the demo's");
            }
            Some(known) => {
                known.set_password(password.as_bytes())?;
                is_changed = true;
            }
            None => {
                users.users.push(User::new(name, password.as_bytes())?);
                is_changed = true;
            }
        }
    }
    if is_changed {
        users.save(&users_file)?;
    }
    let file = directory.join("pillarbox.yaml");
    let config = if file.exists() {
        read_again(directory, &file, arguments, asked)?
    } else {
        let asked_ports: Vec<u16> = asked
            .iter()
            .map(|listener| listener.address.port())
            .collect();
        let config = Config {
            listeners: asked,
            tls: Tls {
                certificates: vec![CertificateFiles { certificate, key }],
                ..Tls::default()
            },
            mail_root: format!("{}/mail/%u/Maildir", directory.display()),
            users_file,
            limits: Limits {
                connections: 100_000,
                connections_per_address: 100_000,
                connections_per_user: 100_000,
                failed_login_delay_seconds: 0,
                ..Limits::default()
            },
            plaintext_login: Plaintext::Loopback,
            ..Config::default()
        };
        // A port that is any free one now is the usual one in a starting point.
        let mut written = config.clone();
        for listener in &mut written.listeners {
            let port = usual_port(listener.protocol, listener.tls);
            let is_taken = asked_ports.contains(&port);
            if listener.address.port() == 0 && !is_taken {
                listener.address.set_port(port);
            }
        }
        let text = format!(
            "# Written by `pillarbox demo`: a starting point for a real installation. For that\n\
             # take the section `limits` away: the demo has none.\n{}",
            serde_yaml::to_string(&written)?
        );
        files::replace_private(&file, text.as_bytes())?;
        config
    };
    for (name, _) in given {
        let maildir = config.maildir(name);
        for folder in ["cur", "new", "tmp"] {
            files::create_private_directories(&maildir.join(folder))?;
        }
        if !arguments.no_sample && is_untouched(&maildir)? {
            for (file, text) in SAMPLES {
                std::fs::write(maildir.join("new").join(file), text)?;
            }
        }
    }
    Ok(config)
}

/// The configuration of an earlier run, with the ports asked for now.
fn read_again(
    directory: &Path,
    file: &Path,
    arguments: &Arguments,
    asked: Vec<Listener>,
) -> anyhow::Result<Config> {
    let mut config = Config::load(file).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", lines.join("\n"))
    })?;
    if !Path::new(&config.mail_root).starts_with(directory)
        || !config.users_file.starts_with(directory)
    {
        bail!(
            "{}: mail_root or users_file lies outside of {}; if the directory was moved or copied, remove the file to have a new one written, else use `pillarbox serve --config {}`",
            file.display(),
            directory.display(),
            file.display()
        );
    }
    let ports = [
        arguments.imap,
        arguments.imaps,
        arguments.pop3,
        arguments.pop3s,
    ];
    if ports.iter().any(Option::is_some) {
        config.listeners = asked;
    }
    Ok(config)
}

/// The port where none is given.
fn usual_port(protocol: Protocol, tls: TlsMode) -> u16 {
    match (protocol, tls) {
        (Protocol::Imap, TlsMode::Implicit) => 1993,
        (Protocol::Imap, _) => 1143,
        (Protocol::Pop3, TlsMode::Implicit) => 1995,
        (Protocol::Pop3, _) => 1110,
    }
}

/// The four listeners on 127.0.0.1, and on ::1 where the same ports are free there.
fn listeners(arguments: &Arguments) -> Vec<Listener> {
    let ports = [
        (Protocol::Imap, TlsMode::StartTls, arguments.imap),
        (Protocol::Imap, TlsMode::Implicit, arguments.imaps),
        (Protocol::Pop3, TlsMode::StartTls, arguments.pop3),
        (Protocol::Pop3, TlsMode::Implicit, arguments.pop3s),
    ]
    .map(|(protocol, tls, port)| (protocol, tls, port.unwrap_or(usual_port(protocol, tls))));
    let at = |ip: IpAddr| {
        ports.map(|(protocol, tls, port)| Listener {
            protocol,
            tls,
            address: SocketAddr::new(ip, port),
            proxy_from: Vec::new(),
            connections: None,
        })
    };
    let mut listeners = at(Ipv4Addr::LOCALHOST.into()).to_vec();
    let sixes = at(Ipv6Addr::LOCALHOST.into());
    // Any free port would be another one there.
    let is_free = |listener: &Listener| {
        listener.address.port() != 0 && TcpListener::bind(listener.address).is_ok()
    };
    if sixes.iter().all(is_free) {
        listeners.extend(sixes);
    }
    listeners
}

/// Whether a Maildir never held mail, as far as can be seen.
fn is_untouched(maildir: &Path) -> std::io::Result<bool> {
    let empty = |folder: &str| {
        Ok::<_, std::io::Error>(std::fs::read_dir(maildir.join(folder))?.next().is_none())
    };
    Ok(!maildir.join("dovecot-uidlist").exists() && empty("cur")? && empty("new")?)
}

fn announce(
    directory: &Path,
    listeners: &[Listener],
    addresses: &[SocketAddr],
    given: &[(String, String)],
) {
    let port = |protocol, tls| {
        let mut pairs = listeners.iter().zip(addresses);
        pairs
            .find(|(listener, _)| (listener.protocol, listener.tls) == (protocol, tls))
            .map_or(0, |(_, address)| address.port())
    };
    let imap = port(Protocol::Imap, TlsMode::StartTls);
    let imaps = port(Protocol::Imap, TlsMode::Implicit);
    let pop3 = port(Protocol::Pop3, TlsMode::StartTls);
    let pop3s = port(Protocol::Pop3, TlsMode::Implicit);
    let (name, password) = given
        .first()
        .map_or(("anna", "anna-demo"), |(name, password)| (name, password));
    let users: Vec<String> = given
        .iter()
        .map(|(name, password)| format!("{name} / {password}"))
        .collect();
    let text = format!(
        "Pillarbox is running on 127.0.0.1: IMAP {imap}, IMAPS {imaps}, POP3 {pop3}, POP3S {pop3s}\n\
         Users: {}\nEverything is in {}\n\nTry:\n  \
         curl -k imaps://localhost:{imaps}/INBOX -u {name}:{password} -X 'SEARCH ALL'\n  \
         curl -k pop3s://localhost:{pop3s}/1 -u {name}:{password}\n  \
         openssl s_client -quiet -connect localhost:{imaps}     (then: a LOGIN {name} {password})\n  \
         Thunderbird: add {name}@localhost, configure by hand, IMAP, localhost, port {imaps}, SSL/TLS,\n  \
         normal password, and accept the self-signed certificate.\n\
         Stop it with Ctrl-C or: kill $(cat {}/pillarbox.pid)\nready\n",
        users.join(", "),
        directory.display(),
        directory.display(),
    );
    let mut output = std::io::stdout();
    let _ = output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush());
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn a_demo_is_a_starting_point_that_loads() {
        let directory = tempfile::tempdir().expect("directory");
        let line = Line::parse_from(["demo", "--imap", "1"]);
        let given = [("anna".to_owned(), "secret".to_owned())];
        let config = prepare(directory.path(), &line.arguments, &given).expect("prepared");
        assert_eq!(
            Config::load(&directory.path().join("pillarbox.yaml")).expect("loads"),
            config
        );
        let new = directory.path().join("mail/anna/Maildir/new");
        assert_eq!(std::fs::read_dir(&new).expect("new").count(), SAMPLES.len());
        let certificate = std::fs::read(directory.path().join("cert.pem")).expect("certificate");
        prepare(directory.path(), &line.arguments, &given).expect("prepared again");
        assert_eq!(
            std::fs::read(directory.path().join("cert.pem")).expect("certificate"),
            certificate
        );
        assert_eq!(std::fs::read_dir(&new).expect("new").count(), SAMPLES.len());
        let file = directory.path().join("users.yaml");
        let users = std::fs::read(&file).expect("users");
        let other = [("anna".to_owned(), "default".to_owned())];
        prepare(directory.path(), &line.arguments, &other).expect("prepared");
        assert_eq!(
            std::fs::read(&file).expect("users"),
            users,
            "a default resets nobody"
        );
        let line = Line::parse_from(["demo", "--imap", "2", "--user", "anna=other"]);
        let changed = prepare(directory.path(), &line.arguments, &other).expect("prepared");
        assert_eq!(changed.listeners[0].address.port(), 2);
        assert_ne!(std::fs::read(&file).expect("users"), users);
        let moved = tempfile::tempdir().expect("directory");
        let yaml = "pillarbox.yaml";
        std::fs::copy(directory.path().join(yaml), moved.path().join(yaml)).expect("copied");
        assert!(prepare(moved.path(), &line.arguments, &given).is_err());
        assert!(split_user("anna").is_err() && split_user("=x").is_err());
        assert_eq!(split_user("a=b=c").expect("split").1, "b=c");
    }

    #[test]
    fn one_port_for_two_listeners_leaves_nothing_behind() {
        let directory = tempfile::tempdir().expect("directory");
        let line = Line::parse_from(["demo", "--imap", "7", "--pop3", "7"]);
        assert!(prepare(directory.path(), &line.arguments, &[]).is_err());
        let mut left = std::fs::read_dir(directory.path()).expect("listed");
        assert!(left.next().is_none());
        let line = Line::parse_from(["demo", "--imap", "0", "--pop3", "1143"]);
        assert!(prepare(directory.path(), &line.arguments, &[]).is_ok());
        let line = Line::parse_from(["demo"]);
        assert!(prepare(directory.path(), &line.arguments, &[]).is_ok());
    }

    #[test]
    fn a_directory_has_one_server_and_a_dead_one_is_no_obstacle() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("pillarbox.pid");
        std::fs::write(&path, "123456 left by a crash").expect("write");
        let first = PidFile::take(directory.path()).expect("taken");
        let text = std::fs::read_to_string(&path).expect("pid");
        assert_eq!(text, format!("{}\n", std::process::id()));
        assert!(PidFile::take(directory.path()).is_err());
        drop(first);
        assert!(!path.exists());
        assert!(PidFile::take(directory.path()).is_ok());
    }
}
