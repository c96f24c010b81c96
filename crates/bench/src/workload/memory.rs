//! What connections that wait cost.

use super::{Row, Stage, Workload, at_most};
use crate::client::imap::Imap;
use crate::process;
use crate::sample::Unit;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;

const REST: Row = at_most(
    "memory-rest",
    "memory with no client (PSS of all processes)",
    Unit::Kibibytes,
    20_000.0,
);
const PLAIN: Row = at_most(
    "memory-idle",
    "memory a connection in IDLE, INBOX of 1,000 selected",
    Unit::Kibibytes,
    8.0,
);
const TLS: Row = at_most(
    "memory-idle-tls",
    "the same over TLS",
    Unit::Kibibytes,
    25.0,
);

pub const WORKLOAD: Workload = Workload {
    name: "memory",
    rows: &[REST, PLAIN, TLS],
    rounds: super::always,
    play,
};

/// So many are there before counting begins.
const BEFORE: usize = 10;

fn play(stage: &mut Stage) -> anyhow::Result<()> {
    let users = stage.site.users();
    let names: Vec<&str> = users.iter().map(String::as_str).collect();
    stage.begin(&names, "cur", 1_000.min(stage.scale.messages))?;
    let process = stage.running().process();
    stage.tell(&REST, process::memory(process) as f64 / 1_024.0);
    // A process a connection: fewer show the same.
    let count = match stage.peer.name() {
        "pillarbox" => stage.scale.idle,
        _ => stage.scale.idle.min(200),
    };
    let port = stage.imap();
    let cost = per_connection(process, count, &names, |user| {
        let mut session = Imap::selected(port, user, "INBOX")?;
        session.send(b"a IDLE\r\n")?;
        session.read_continuation()?;
        Ok(session)
    })?;
    stage.tell(&PLAIN, cost);
    let Some(port) = stage.running().imaps else {
        return Ok(());
    };
    let config = client_config(stage)?;
    let cost = per_connection(process, count, &names, |user| {
        idle_over_tls(port, user, &config)
    })?;
    stage.tell(&TLS, cost);
    Ok(())
}

/// How much memory grows by a connection, in KiB.
fn per_connection<T>(
    process: u32,
    count: usize,
    users: &[&str],
    mut open: impl FnMut(&str) -> anyhow::Result<T>,
) -> anyhow::Result<f64> {
    let mut sessions = Vec::new();
    let mut before = 0;
    for number in 0..BEFORE + count {
        if number == BEFORE {
            std::thread::sleep(std::time::Duration::from_millis(300));
            before = process::memory(process);
        }
        sessions.push(open(users[number % users.len()])?);
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    let after = process::memory(process);
    Ok(after.saturating_sub(before) as f64 / 1_024.0 / count as f64)
}

/// Trusts the certificate that the server made for itself.
fn client_config(stage: &Stage) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(
        stage.site.path().join("self-signed.pem"),
    )?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

type Tls = BufReader<StreamOwned<ClientConnection, TcpStream>>;

fn idle_over_tls(port: u16, user: &str, config: &Arc<ClientConfig>) -> anyhow::Result<Tls> {
    let connection = ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost")?)?;
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    let mut session = BufReader::new(StreamOwned::new(connection, stream));
    let mut line = String::new();
    session.read_line(&mut line)?;
    for command in [
        format!("a LOGIN {user} secret"),
        "a SELECT INBOX".to_owned(),
        "a IDLE".to_owned(),
    ] {
        session
            .get_mut()
            .write_all(format!("{command}\r\n").as_bytes())?;
        session.get_mut().flush()?;
        loop {
            line.clear();
            session.read_line(&mut line)?;
            anyhow::ensure!(!line.is_empty(), "closed after {command}");
            if line.starts_with("a ") || line.starts_with('+') {
                break;
            }
        }
    }
    Ok(session)
}
