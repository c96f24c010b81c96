//! `pillarbox config`.

use super::{ConfigArgument, Exit};
use clap::Subcommand;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
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
    let config = arguments.config.load()?;
    match arguments.command {
        Command::Check => {
            let users = crate::accounts::users::Users::load(&config.users_file)?;
            if let Some(certificates) = Some(&config.tls).filter(|tls| !tls.certificates.is_empty())
            {
                crate::tls::Certificates::load(certificates)?;
            }
            println!(
                "{}: good, {} listeners, {} users",
                arguments.config.config.display(),
                config.listeners.len(),
                users.users.len()
            );
        }
        Command::Show => print!("{}", serde_yaml::to_string(&config)?),
    }
    Ok(ExitCode::SUCCESS)
}
