//! `pillarbox config`.

use super::{ConfigArgument, Exit, mail_root};
use crate::accounts::users::Users;
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
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// What is wrong in what the configuration names, all at once; nothing of the keys in
/// doubt.
fn mistakes_beside(config: &Config, doubtful: &[String]) -> Vec<String> {
    let is_sure = |key: &str| doubtful.iter().all(|doubtful| doubtful != key);
    let mut mistakes = Vec::new();
    if is_sure("users_file")
        && let Err(error) = Users::load(&config.users_file)
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
    if is_sure("mail_root") && is_sure("run_as_user") {
        mistakes.extend(mail_root::mistakes(config));
    }
    mistakes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::users::User;

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
