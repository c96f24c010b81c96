//! The command line.

mod check;
mod config;
mod deliver;
mod demo;
mod mailbox;
mod user;

use crate::config::Config;
use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

const DEFAULT_CONFIG: &str = "/etc/pillarbox/pillarbox.yaml";

/// Mail for a household: POP3 and IMAP over one Maildir.
#[derive(Debug, Parser)]
#[command(
    name = "pillarbox",
    version,
    about,
    after_help = "Try it: pillarbox demo"
)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(ConfigArgument),
    /// Run a complete server on loopback, with users and sample mail to try
    Demo(demo::Arguments),
    /// Add, change, list and remove users and their device passwords
    User(user::Arguments),
    /// List a user's mailboxes, or tell the state of one
    Mailbox(mailbox::Arguments),
    /// Deliver a message from standard input into a user's INBOX
    Deliver(deliver::Arguments),
    /// Verify mailboxes on disk
    Check(check::Arguments),
    /// Check or show the configuration
    Config(config::Arguments),
    /// Print completions for a shell
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
}

/// Which configuration.
#[derive(Debug, Clone, clap::Args)]
struct ConfigArgument {
    /// The configuration file
    #[arg(long, default_value = DEFAULT_CONFIG, env = "PILLARBOX_CONFIG")]
    config: PathBuf,
}

impl ConfigArgument {
    fn load(&self) -> anyhow::Result<Config> {
        Config::load(&self.config).map_err(|errors| {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("{}", lines.join("\n"))
        })
    }
}

/// What a command ends with.
type Exit = anyhow::Result<ExitCode>;

/// Runs the program.
pub fn run(line: CommandLine) -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_env("PILLARBOX_LOG")
        .unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
    let ended = match line.command {
        Command::Serve(argument) => serve(&argument),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::User(arguments) => user::run(arguments),
        Command::Mailbox(arguments) => mailbox::run(&arguments),
        Command::Deliver(arguments) => return deliver::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut CommandLine::command(),
                "pillarbox",
                &mut std::io::stdout(),
            );
            Ok(ExitCode::SUCCESS)
        }
    };
    ended.unwrap_or_else(|error| {
        let _ = writeln!(std::io::stderr(), "pillarbox: {error:#}");
        ExitCode::FAILURE
    })
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    // At least two, so that a session that reads the disk never holds up all others.
    let workers = std::thread::available_parallelism()
        .map_or(2, usize::from)
        .max(2);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .worker_threads(workers)
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

fn serve(argument: &ConfigArgument) -> Exit {
    let config = argument.load()?;
    raise_descriptor_limit();
    runtime()?.block_on(crate::serve::serve(
        config,
        Some(argument.config.clone()),
        |addresses| {
            let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            tracing::info!("listening on {}", shown.join(", "));
        },
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// As many descriptors as the system lets us have: one a connection.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
