//! `pillarbox deliver`: a message on standard input into a user's INBOX, for
//! MTAs. Exit codes are those of sysexits: 0 delivered, 64 usage, 65 an empty
//! message, 67 no such user, 75 try again later. A mistake in the configuration is 75 as well: an
//! administrator's slip must bounce nobody's mail.

use super::ConfigArgument;
use crate::accounts::users::Users;
use crate::files;
use anyhow::Context;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// The command line is wrong (EX_USAGE).
pub const USAGE: u8 = 64;
/// There is nothing to deliver (EX_DATAERR).
const NO_MESSAGE: u8 = 65;
/// There is no such user (EX_NOUSER).
const NO_USER: u8 = 67;
/// It may work later (EX_TEMPFAIL).
const TRY_LATER: u8 = 75;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: pillarbox deliver anna < message.eml\nExit codes: 0 delivered and durable, 64 usage, 65 nothing to deliver, 67 no such user, 75 try again later\nExample, in Postfix' master.cf:\n  pillarbox unix - n n - - pipe\n    user=pillarbox argv=/usr/local/bin/pillarbox deliver ${recipient}"
)]
pub struct Arguments {
    /// The user, or an address of theirs: anna, anna@example.org and anna+lists are anna
    user: String,
    #[command(flatten)]
    config: ConfigArgument,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let failed = |code: u8, error: &anyhow::Error| {
        let _ = writeln!(std::io::stderr(), "pillarbox deliver: {error:#}");
        ExitCode::from(code)
    };
    let config = match arguments.config.load_for_mail() {
        Ok(config) => config,
        Err(error) => return failed(TRY_LATER, &error),
    };
    let users = match Users::load_for(&config) {
        Ok(users) => users,
        Err(error) => return failed(TRY_LATER, &error),
    };
    let Some(user) = users.find_recipient(&arguments.user) else {
        return failed(
            NO_USER,
            &anyhow::anyhow!("there is no user {}", arguments.user),
        );
    };
    let maildir = user
        .mail
        .clone()
        .unwrap_or_else(|| config.maildir(&user.name));
    let delivered = super::refuse_foreign_owner(&config, &maildir)
        .and_then(|()| deliver(&maildir, &mut std::io::stdin().lock()));
    match delivered {
        Ok(0) => failed(
            NO_MESSAGE,
            &anyhow::anyhow!("standard input is empty: no message"),
        ),
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => failed(TRY_LATER, &error),
    }
}

/// Delivers: written to `tmp/`, synced, renamed into `new/`, the directory
/// synced. A crash leaves either nothing visible or the whole message; the MTA,
/// which got no answer, tries again. Gives the octets written; an empty message is
/// none.
fn deliver(maildir: &Path, message: &mut dyn Read) -> anyhow::Result<u64> {
    for folder in ["cur", "new", "tmp"] {
        let path = maildir.join(folder);
        files::create_private_directories(&path)
            .with_context(|| format!("cannot create {}", path.display()))?;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let host = nix::unistd::gethostname()
        .map(|name| name.to_string_lossy().replace(['/', ':', ','], "_"))
        .unwrap_or_else(|_| "localhost".into());
    let base = format!(
        "{}.M{}P{}.{host}",
        now.as_secs(),
        now.subsec_micros(),
        std::process::id()
    );
    let temporary = maildir.join("tmp").join(&base);
    let written = write(&temporary, message).and_then(|(octets, as_sent)| {
        if octets == 0 {
            std::fs::remove_file(&temporary).context("cannot remove an empty file")?;
            return Ok(0);
        }
        let name = format!("{base},S={octets},W={as_sent}");
        std::fs::rename(&temporary, maildir.join("new").join(name))
            .context("cannot rename into new/")?;
        File::open(maildir.join("new"))
            .and_then(|directory| directory.sync_all())
            .context("cannot sync new/")?;
        Ok(octets)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// Writes the message with LF line ends; gives its octets on disk and as sent.
fn write(path: &Path, message: &mut dyn Read) -> anyhow::Result<(u64, u64)> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot create {}", path.display()))?;
    let (mut octets, mut lines, mut held) = (0_u64, 0_u64, false);
    let mut block = vec![0; 64 * 1024];
    let mut stored = Vec::with_capacity(block.len() + 1);
    loop {
        let count = message
            .read(&mut block)
            .context("cannot read standard input")?;
        stored.clear();
        for octet in &block[..count] {
            if std::mem::take(&mut held) && *octet != b'\n' {
                stored.push(b'\r');
            }
            match octet {
                b'\r' => held = true,
                octet => stored.push(*octet),
            }
            lines += u64::from(*octet == b'\n');
        }
        if count == 0 && std::mem::take(&mut held) {
            stored.push(b'\r');
        }
        octets += stored.len() as u64;
        file.write_all(&stored)
            .with_context(|| format!("cannot write {}", path.display()))?;
        if count == 0 {
            break;
        }
    }
    file.sync_all()
        .with_context(|| format!("cannot sync {}", path.display()))?;
    Ok((octets, octets + lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_whole_and_tells_its_sizes() {
        let directory = tempfile::tempdir().expect("directory");
        deliver(directory.path(), &mut &b"Subject: x\r\n\r\nbody\rend\n"[..]).expect("delivered");
        let empty = deliver(directory.path(), &mut &b""[..]).expect("looked at");
        assert_eq!(empty, 0);
        let entry = std::fs::read_dir(directory.path().join("new"))
            .expect("new")
            .next()
            .expect("one")
            .expect("entry");
        assert_eq!(
            std::fs::read(entry.path()).expect("message"),
            b"Subject: x\n\nbody\rend\n"
        );
        assert!(
            entry.file_name().to_string_lossy().ends_with(",S=21,W=24"),
            "{entry:?}"
        );
        assert_eq!(
            std::fs::read_dir(directory.path().join("tmp"))
                .expect("tmp")
                .count(),
            0
        );
    }
}
