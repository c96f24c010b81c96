//! The certificate the server makes for itself where none is configured.

use crate::config::{CertificateFiles, Config, TlsMode};
use anyhow::Context;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Whether a configuration wants TLS and names no certificate.
pub fn is_wanted(config: &Config) -> bool {
    let mut listeners = config.listeners.iter();
    config.tls.certificates.is_empty() && listeners.any(|listener| listener.tls != TlsMode::None)
}

/// Where the pair is: in the directory the service manager gives for what a service
/// keeps (`STATE_DIRECTORY` of systemd.exec), else beside the users file.
pub fn files(config: &Config) -> CertificateFiles {
    files_in(config, std::env::var_os("STATE_DIRECTORY").as_deref())
}

fn files_in(config: &Config, state: Option<&OsStr>) -> CertificateFiles {
    // More than one are divided by colons.
    let state = state.and_then(|state| state.to_str()?.split(':').next().map(PathBuf::from));
    let beside = || config.users_file.parent().map(Path::to_owned);
    let directory = state
        .filter(|directory| directory.is_absolute())
        .or_else(beside)
        .unwrap_or_default();
    CertificateFiles {
        certificate: directory.join("self-signed.pem"),
        key: directory.join("self-signed.key"),
    }
}

/// Has the configuration name the self-signed pair where TLS is wanted and there is no
/// other, and makes it where it is not there yet or broken. Made once, it stays: clients
/// that were told to trust it know it again. A crash leaves no certificate, and then
/// both are made anew at the next start, or the whole pair.
///
/// It is called before privileges are given up; what is made belongs to whom the server
/// becomes.
///
/// # Errors
/// When it cannot be written; the text says what to do.
pub fn complete(config: &mut Config) -> anyhow::Result<()> {
    if !is_wanted(config) {
        return Ok(());
    }
    let pair = files(config);
    let is_there = |path: &Path| {
        path.try_exists()
            .with_context(|| format!("{} cannot be looked at", path.display()))
    };
    let is_whole = is_there(&pair.certificate)? && is_there(&pair.key)?;
    if !is_whole || crate::tls::is_broken(&pair) {
        make(&pair, config).with_context(|| {
            format!(
                "no certificate is configured, and {} cannot be made; add tls.certificates, or let the user the server runs as write there",
                pair.certificate.display()
            )
        })?;
        tracing::info!(
            "made the self-signed certificate {}",
            pair.certificate.display()
        );
    }
    tracing::warn!(
        "no certificate is configured: clients get the self-signed {}, and refuse it or ask whether to trust it; add tls.certificates",
        pair.certificate.display()
    );
    config.tls.certificates.push(pair);
    Ok(())
}

fn make(pair: &CertificateFiles, config: &Config) -> anyhow::Result<()> {
    // The certificate is what says that the pair is whole: it goes first and comes last.
    match std::fs::remove_file(&pair.certificate) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let owner = owner(config)?;
    crate::tls::self_signed(&pair.certificate, &pair.key, &names(config), owner)
}

/// Whom the server becomes: who reads the pair again.
fn owner(config: &Config) -> anyhow::Result<Option<(u32, u32)>> {
    use nix::unistd::{Uid, User};
    let name = config.run_as_user.as_ref();
    let Some(name) = name.filter(|_| Uid::effective().is_root()) else {
        return Ok(None);
    };
    // That there is no such user is told where the server becomes it.
    let user = User::from_name(name)?;
    Ok(user.map(|user| (user.uid.as_raw(), user.gid.as_raw())))
}

/// What a client may call this machine.
fn names(config: &Config) -> Vec<String> {
    let host = nix::unistd::gethostname().ok();
    let host = host.and_then(|name| name.into_string().ok());
    let is_name = |name: &String| {
        !name.is_empty()
            && name
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || b".-".contains(&octet))
    };
    let listening = config
        .listeners
        .iter()
        .map(|listener| listener.address.ip());
    let addresses = listening.filter(|address: &IpAddr| !address.is_unspecified());
    let mut names: Vec<String> = host.filter(is_name).into_iter().collect();
    names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    names.extend(addresses.map(|address| address.to_string()));
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Certificates;

    fn config(directory: &Path) -> Config {
        Config {
            users_file: directory.join("users.yaml"),
            ..Config::default()
        }
    }

    #[test]
    fn half_a_pair_is_made_anew_and_a_whole_one_stays() {
        let directory = tempfile::tempdir().expect("directory");
        let mut first = config(directory.path());
        complete(&mut first).expect("made");
        let pair = first.tls.certificates.first().expect("a pair").clone();
        let read = || std::fs::read(&pair.certificate).expect("certificate");
        let made = read();
        let mut again = config(directory.path());
        complete(&mut again).expect("there");
        assert_eq!((read(), &again), (made.clone(), &first));
        for lost in [&pair.key, &pair.certificate] {
            std::fs::remove_file(lost).expect("removed");
            complete(&mut config(directory.path())).expect("made again");
            assert_ne!(read(), made);
            Certificates::load(&first.tls).expect("a pair");
        }
        // A key that belongs to another certificate, as a restored backup may have it.
        let other = config(directory.path());
        let (certificate, key) = (directory.path().join("c"), directory.path().join("k"));
        crate::tls::self_signed(&certificate, &key, &["x".into()], None).expect("made");
        std::fs::rename(key, &pair.key).expect("restored");
        assert!(Certificates::load(&first.tls).is_err());
        complete(&mut other.clone()).expect("made again");
        Certificates::load(&first.tls).expect("a pair");
    }

    #[test]
    fn nothing_is_made_where_nothing_is_wanted() {
        let directory = tempfile::tempdir().expect("directory");
        let mut plain = config(directory.path());
        plain
            .listeners
            .iter_mut()
            .for_each(|listener| listener.tls = TlsMode::None);
        complete(&mut plain).expect("nothing to do");
        assert!(plain.tls.certificates.is_empty());
        assert_eq!(directory.path().read_dir().expect("directory").count(), 0);
    }

    #[test]
    fn what_the_service_manager_gives_goes_before() {
        let config = config(Path::new("/etc/pillarbox"));
        for (state, expected) in [
            (
                Some("/var/lib/pillarbox:/var/lib/other"),
                "/var/lib/pillarbox",
            ),
            (Some(""), "/etc/pillarbox"),
            (None, "/etc/pillarbox"),
        ] {
            let files = files_in(&config, state.map(OsStr::new));
            assert_eq!(files.key, Path::new(expected).join("self-signed.key"));
        }
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_told_of() {
        let mut config = config(Path::new("/nowhere/at/all"));
        let error = complete(&mut config).expect_err("no such directory");
        assert!(
            format!("{error:#}").contains("tls.certificates"),
            "{error:#}"
        );
    }
}
