//! `pillarbox demo`: a complete server on loopback.

use super::Exit;
use crate::accounts::users::{User, Users};
use crate::config::{
    CertificateFiles, Config, Limits, Listener, Plaintext, Protocol, Tls, TlsMode,
};
use crate::{files, tls};
use anyhow::{Context, bail};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
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
    /// Where to keep everything; a new temporary directory if not given
    directory: Option<PathBuf>,
    /// Port for IMAP with STARTTLS
    #[arg(long, default_value_t = 1143)]
    imap: u16,
    /// Port for IMAP over TLS
    #[arg(long, default_value_t = 1993)]
    imaps: u16,
    /// Port for POP3 with STLS
    #[arg(long, default_value_t = 1110)]
    pop3: u16,
    /// Port for POP3 over TLS
    #[arg(long, default_value_t = 1995)]
    pop3s: u16,
    /// A user and password; may be repeated (anna=anna-demo and ben=ben-demo if not given)
    #[arg(long, value_name = "NAME=PASSWORD")]
    user: Vec<String>,
    /// Deliver no sample mail
    #[arg(long)]
    no_sample: bool,
}

/// Removes the pid file when the server ends.
struct PidFile(PathBuf);

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
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
    let config = prepare(&directory, arguments, &given)?;
    super::raise_descriptor_limit();
    let pid_file = PidFile(directory.join("pillarbox.pid"));
    files::replace_private(&pid_file.0, format!("{}\n", std::process::id()).as_bytes())?;
    super::runtime()?.block_on(crate::serve::serve(config, None, |addresses| {
        announce(&directory, addresses, &given)
    }))?;
    drop(pid_file);
    Ok(ExitCode::SUCCESS)
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
    let (certificate, key) = (directory.join("cert.pem"), directory.join("key.pem"));
    if !certificate.exists() || !key.exists() {
        tls::self_signed(
            &certificate,
            &key,
            &["localhost".into(), "127.0.0.1".into(), "::1".into()],
        )?;
    }
    let users_file = directory.join("users.yaml");
    let mut users = if users_file.exists() {
        Users::load(&users_file)?
    } else {
        Users::default()
    };
    for (name, password) in given {
        let user = User::new(name, password.as_bytes())?;
        match users.find_mut(name) {
            Some(known) => (known.password, known.scram) = (user.password, user.scram),
            None => users.users.push(user),
        }
    }
    users.save(&users_file)?;
    let listener = |protocol, tls, port| Listener {
        protocol,
        tls,
        address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
        proxy_from: Vec::new(),
    };
    let config = Config {
        listeners: vec![
            listener(Protocol::Imap, TlsMode::StartTls, arguments.imap),
            listener(Protocol::Imap, TlsMode::Implicit, arguments.imaps),
            listener(Protocol::Pop3, TlsMode::StartTls, arguments.pop3),
            listener(Protocol::Pop3, TlsMode::Implicit, arguments.pop3s),
        ],
        tls: Tls {
            certificates: vec![CertificateFiles { certificate, key }],
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
    let text = format!(
        "# Written by `pillarbox demo`: a starting point for a real installation.\n{}",
        serde_yaml::to_string(&config)?
    );
    files::replace_private(&directory.join("pillarbox.yaml"), text.as_bytes())?;
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

/// Whether a Maildir never held mail, as far as can be seen.
fn is_untouched(maildir: &Path) -> std::io::Result<bool> {
    let empty = |folder: &str| {
        Ok::<_, std::io::Error>(std::fs::read_dir(maildir.join(folder))?.next().is_none())
    };
    Ok(!maildir.join("dovecot-uidlist").exists() && empty("cur")? && empty("new")?)
}

fn announce(directory: &Path, addresses: &[SocketAddr], given: &[(String, String)]) {
    let port = |place: usize| addresses.get(place).map_or(0, SocketAddr::port);
    let (imap, imaps, pop3, pop3s) = (port(0), port(1), port(2), port(3));
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
        assert!(split_user("anna").is_err() && split_user("=x").is_err());
        assert_eq!(split_user("a=b=c").expect("split").1, "b=c");
    }
}
