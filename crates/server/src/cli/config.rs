//! `pillarbox config`.

use super::run_as::RunAs;
use super::{ConfigArgument, Exit, mail_root};
use crate::accounts::users::{TOLD, User, Users};
use crate::config::Config;
use crate::oauth::OAuth;
use crate::self_signed;
use crate::tls::{self, Certificates, ClientCertificates};
use clap::Subcommand;
use std::io::Write;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pillarbox config check --config /etc/pillarbox/pillarbox.yaml\n  pillarbox config show"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The configuration
    #[command(flatten)]
    config: ConfigArgument,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tell every mistake
    Check,
    /// Print the configuration in force, defaults included
    Show,
}

pub fn run(arguments: &Arguments) -> Exit {
    match arguments.command {
        Command::Check => {
            let examined =
                Config::examine(&arguments.config.config).map_err(|errors| super::told(&errors))?;
            let mut mistakes: Vec<String> =
                examined.errors.iter().map(ToString::to_string).collect();
            mistakes.extend(mistakes_beside(&examined.config, &examined.doubtful));
            if !mistakes.is_empty() {
                anyhow::bail!("{}", mistakes.join("\n"));
            }
            let config = examined.config;
            if self_signed::is_wanted(&config) {
                writeln!(
                    std::io::stdout(),
                    "no certificate is configured: `serve` signs one itself, self-signed.pem in the service's StateDirectory, or {} without one",
                    self_signed::files(&config).certificate.display()
                )?;
            }
            for url in config.oauth.iter().flat_map(|oauth| oauth.unprotected()) {
                writeln!(
                    std::io::stdout(),
                    "oauth: {url} is asked without TLS: whoever is on the way there can let anybody in; use https unless it is this machine"
                )?;
            }
            let users = Users::load(&config.users_file)?;
            for doubt in doubts(&config, &users) {
                writeln!(std::io::stdout(), "{doubt}")?;
            }
            writeln!(
                std::io::stdout(),
                "{}: good, {} listeners, {} users",
                arguments.config.config.display(),
                config.listeners.len(),
                users.users.len(),
            )?;
        }
        Command::Show => {
            let text = serde_yaml::to_string(&arguments.config.load()?)?;
            std::io::stdout().write_all(text.as_bytes())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What is no mistake and may be one yet.
fn doubts(config: &Config, users: &Users) -> Vec<String> {
    let named = config.without_capabilities_of.keys();
    let unknown = named.filter(|name| users.find(name).is_none());
    let mut doubts: Vec<String> = unknown
        .map(|name| {
            format!(
                "without_capabilities_of: there is no user {name} in {}; `pillarbox user list` shows all",
                config.users_file.display()
            )
        })
        .collect();
    let certificates = config.tls.certificates.iter();
    doubts.extend(certificates.filter_map(|files| tls::doubt(&files.certificate).ok()?));
    doubts.extend(users.shared_as_written(config));
    let unknown = users.unknown_passwords(&config.users_file);
    doubts.extend(unknown.into_iter().take(TOLD));
    let by_other_means = config.oauth.is_some() || config.tls.client_ca.is_some();
    if !by_other_means && !users.users.iter().any(User::may_log_in) {
        doubts.push(format!(
            "nobody can log in: no user in {} has a password; `pillarbox user add NAME` adds one, `user passwd NAME` sets it",
            config.users_file.display()
        ));
    }
    doubts.extend(users.names_alike().into_iter().take(TOLD).map(|names| {
        format!(
            "{} differ by the case of letters only: who logs in must type it exactly as here, and mail must be addressed so",
            names.join(" and ")
        )
    }));
    let without: Vec<&str> = users
        .users
        .iter()
        .filter(|user| !user.has_scram())
        .map(|user| user.name.as_str())
        .collect();
    if !without.is_empty() {
        doubts.push(format!(
            "SCRAM is not offered to anybody in full, as these have no keys for it until `pillarbox user passwd` sets them: {}",
            some_of(&without)
        ));
    }
    doubts
}

/// The first of some names, and how many there are besides.
fn some_of(names: &[&str]) -> String {
    let shown = names.iter().take(TOLD).copied().collect::<Vec<_>>();
    match names.len().saturating_sub(TOLD) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Reads the users; where their mail is matters if `mail_root` is sure.
fn load_users(config: &Config, is_mail_root_sure: bool) -> anyhow::Result<Users> {
    match is_mail_root_sure {
        true => Users::load_for(config),
        false => Users::load(&config.users_file),
    }
}

/// What is wrong in what the configuration names, all at once; nothing of the keys in
/// doubt.
fn mistakes_beside(config: &Config, doubtful: &[String]) -> Vec<String> {
    let is_sure = |key: &str| doubtful.iter().all(|doubtful| doubtful != key);
    let mut mistakes = Vec::new();
    if is_sure("users_file")
        && let Err(error) = load_users(config, is_sure("mail_root"))
    {
        mistakes.push(format!("{error:#}"));
    }
    let files = config.tls.certificates.iter();
    let readable = files
        .flat_map(|files| [&files.certificate, &files.key])
        .all(|path| std::fs::File::open(path).is_ok());
    if is_sure("tls")
        && readable
        && !config.tls.certificates.is_empty()
        && let Err(error) = Certificates::load(&config.tls)
    {
        mistakes.push(format!("{error:#}"));
    }
    if is_sure("tls")
        && let Err(error) = ClientCertificates::load(&config.tls)
    {
        mistakes.push(format!("tls.client_ca: {error:#}"));
    }
    if is_sure("oauth")
        && let Some(settings) = &config.oauth
        && settings.names_a_source()
        && let Err(error) = OAuth::new(settings)
    {
        mistakes.push(format!("oauth: {error:#}"));
    }
    if is_sure("run_as_user")
        && let Some(name) = &config.run_as_user
        && !matches!(nix::unistd::User::from_name(name), Ok(Some(_)))
    {
        mistakes.push(format!(
            "run_as_user: there is no user {name}; make it with `adduser --system {name}`"
        ));
    }
    if is_sure("run_as_user") {
        mistakes.extend(unreadable(config, is_sure));
    }
    if is_sure("mail_root") && is_sure("run_as_user") {
        mistakes.extend(mail_root::mistakes(config));
    }
    mistakes
}

/// The files that root can read and whom the server becomes cannot: it reads them again
/// when they change.
fn unreadable(config: &Config, is_sure: impl Fn(&str) -> bool) -> Vec<String> {
    let Some((server, group)) = RunAs::of(config).and_then(|it| {
        let group = it.other_group()?;
        Some((it, group))
    }) else {
        return Vec::new();
    };
    let certificates = config.tls.certificates.iter();
    let of_tls = certificates
        .flat_map(|files| [&files.certificate, &files.key])
        .chain(&config.tls.client_ca)
        .map(|file| ("tls", file));
    let of_oauth = config.oauth.iter().flat_map(|oauth| oauth.files());
    let files = std::iter::once(("users_file", &config.users_file))
        .chain(of_tls)
        .chain(of_oauth.map(|file| ("oauth", file)));
    let who = &server.name;
    files
        .filter(|(key, _)| is_sure(key))
        .filter_map(|(key, file)| {
            let obstacle = server.obstacle_to_reading(file)?;
            let (file, shown) = (file.display(), obstacle.display());
            Some(match obstacle.is_dir() {
                true => format!("{key}: {file} cannot be read by {who}, whom {shown} keeps out; let the group in: chgrp {group} {shown} && chmod g+x {shown}"),
                false => format!("{key}: {file} cannot be read by {who}; let the group read it: chgrp {group} {shown} && chmod 640 {shown}"),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_that_are_not_there_are_doubtful() {
        let of = |name: &str| (name.to_owned(), vec!["IDLE".to_owned()]);
        let config = Config {
            without_capabilities_of: [of("anna"), of("amna")].into(),
            ..Config::default()
        };
        let users = Users {
            users: vec![User::new("anna", b"secret").expect("a user")],
        };
        let doubts = doubts(&config, &users);
        assert_eq!(doubts.len(), 1, "{doubts:?}");
        assert!(doubts[0].contains("no user amna"), "{doubts:?}");
    }

    #[test]
    fn files_that_only_root_can_read_are_told() {
        use std::os::unix::fs::PermissionsExt;
        if !nix::unistd::Uid::effective().is_root() {
            return;
        }
        let directory = tempfile::tempdir().expect("directory");
        let allow = |path: &std::path::Path, mode| {
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("set");
        };
        allow(directory.path(), 0o711);
        let config = Config {
            users_file: directory.path().join("users.yaml"),
            run_as_user: Some("nobody".to_owned()),
            ..Config::default()
        };
        std::fs::write(&config.users_file, "users: []\n").expect("written");
        allow(&config.users_file, 0o600);
        let told = unreadable(&config, |_| true);
        assert!(told.len() == 1 && told[0].contains("chmod 640"), "{told:?}");
        allow(&config.users_file, 0o644);
        assert_eq!(unreadable(&config, |_| true), Vec::<String>::new());
    }

    #[test]
    fn users_who_cannot_log_in_are_doubtful() {
        let config = Config::default();
        let mut users = Users {
            users: vec![User::new("anna", b"secret").expect("a user")],
        };
        assert_eq!(doubts(&config, &users), Vec::<String>::new());
        "!".clone_into(&mut users.users[0].password);
        let told = doubts(&config, &users);
        assert!(
            told.len() == 1 && told[0].contains("nobody can log in"),
            "{told:?}"
        );
        users
            .users
            .push(User::new("ben", b"secret").expect("a user"));
        users
            .users
            .push(User::new("Ben", b"secret").expect("a user"));
        let told = doubts(&config, &users);
        assert!(
            told.len() == 1 && told[0].starts_with("ben and Ben differ"),
            "{told:?}"
        );
    }

    #[test]
    fn what_the_configuration_names_is_looked_at_all_at_once() {
        let config = Config {
            users_file: "/nowhere/users.yaml".into(),
            run_as_user: Some("nobody-of-that-name".into()),
            ..Config::default()
        };
        let mistakes = mistakes_beside(&config, &[]);
        assert_eq!(mistakes.len(), 2, "{mistakes:?}");
        assert!(mistakes[0].contains("user add"), "{mistakes:?}");
    }
}
