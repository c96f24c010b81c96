//! The command line.

mod check;
mod config;
mod deliver;
mod demo;
mod inspection;
mod mail_root;
mod mailbox;
mod run_as;
mod user;

use crate::config::{Config, ConfigError, Log, LogFormat};
use anyhow::{Context, bail};
use clap::{CommandFactory, Parser, Subcommand};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
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
    #[command(
        after_help = "Example: pillarbox serve --config /etc/pillarbox/pillarbox.yaml\nSIGHUP reads configuration, users and certificates again; SIGTERM stops when commands under way are done."
    )]
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
    #[command(
        after_help = "Example: pillarbox completions bash > /etc/bash_completion.d/pillarbox"
    )]
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
}

/// Which configuration.
#[derive(Debug, Clone, clap::Args)]
struct ConfigArgument {
    /// The configuration file
    #[arg(long, global = true, default_value = DEFAULT_CONFIG, env = "PILLARBOX_CONFIG")]
    config: PathBuf,
}

impl ConfigArgument {
    fn load(&self) -> anyhow::Result<Config> {
        Config::load(&self.config).map_err(|errors| told(&errors))
    }

    /// For commands that work on mail: who may not read the certificates' keys can
    /// do so as well, and so can everybody while they are being renewed.
    fn load_for_mail(&self) -> anyhow::Result<Config> {
        let mut examined = Config::examine(&self.config).map_err(|errors| told(&errors))?;
        examined.errors.retain(|error| !error.concerns("tls"));
        match examined.errors.is_empty() {
            true => Ok(examined.config),
            false => Err(told(&examined.errors)),
        }
    }
}

/// All mistakes of a configuration, a line each.
fn told(errors: &[ConfigError]) -> anyhow::Error {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    anyhow::anyhow!("{}", lines.join("\n"))
}

/// What a command ends with.
type Exit = anyhow::Result<ExitCode>;

/// Reads the command line and does what it says. What is no command line ends the
/// process with code 2, after `deliver` with 64, as MTAs know it.
pub fn start() -> ExitCode {
    match CommandLine::try_parse() {
        Ok(line) => run(line),
        Err(error) => {
            let is_delivery = std::env::args_os()
                .nth(1)
                .is_some_and(|word| word == "deliver");
            if is_delivery && error.use_stderr() {
                let _ = error.print();
                return ExitCode::from(deliver::USAGE);
            }
            error.exit()
        }
    }
}

/// Starts the log, on standard error.
fn start_log(log: Log) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("PILLARBOX_LOG")
        .unwrap_or_else(|_| EnvFilter::new(log.level.as_str()));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false);
    match log.format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
    // A panic is a line of the log like others.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let payload = panic.payload();
        let words = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let words = words.unwrap_or("no words");
        tracing::error!(place, "internal error, please report it: {words}");
    }));
}

/// Runs the program.
pub fn run(line: CommandLine) -> ExitCode {
    if !matches!(line.command, Command::Serve(_) | Command::Demo(_)) {
        start_log(Log::default());
    }
    let ended = match line.command {
        Command::Serve(argument) => serve(&argument),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::User(arguments) => user::run(arguments),
        Command::Mailbox(arguments) => mailbox::run(&arguments),
        Command::Deliver(arguments) => return deliver::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            let mut command = CommandLine::command();
            clap_complete::generate(shell, &mut command, "pillarbox", &mut script);
            let written = std::io::stdout().write_all(&script);
            written.map(|()| ExitCode::SUCCESS).map_err(Into::into)
        }
    };
    ended.unwrap_or_else(|error| {
        let cause = error.downcast_ref::<std::io::Error>();
        if cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe) {
            // Who reads our output, such as `head`, has enough of it.
            return ExitCode::SUCCESS;
        }
        let _ = writeln!(std::io::stderr(), "pillarbox: {}", with_causes(&error));
        ExitCode::FAILURE
    })
}

/// An error and what caused it, each once: some tell their cause themselves.
fn with_causes(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .fold(String::new(), |told, words| {
            match (told.is_empty(), told.ends_with(&words)) {
                (true, _) => words,
                (false, true) => told,
                (false, false) => format!("{told}: {words}"),
            }
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
    start_log(config.log);
    raise_descriptor_limit();
    let runtime = runtime()?;
    let served = runtime.block_on(crate::serve::serve(
        config,
        Some(argument.config.clone()),
        |addresses| {
            let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            tracing::info!("listening on {}", shown.join(", "));
        },
    ));
    end(runtime);
    served?;
    Ok(ExitCode::SUCCESS)
}

/// Ends what runs, without waiting: steps had their time, and one that waits for another
/// program's lock would have much more. They leave what a crash would.
fn end(runtime: tokio::runtime::Runtime) {
    runtime.shutdown_background();
}

/// Fails where root would make files that the server, which runs as somebody else,
/// could not read.
fn refuse_foreign_owner(config: &Config, maildir: &Path) -> anyhow::Result<()> {
    use nix::unistd::{Uid, User};
    if !Uid::effective().is_root() {
        return Ok(());
    }
    let nearest = maildir.ancestors().find_map(|path| path.metadata().ok());
    let owner = match nearest.map(|metadata| Uid::from_raw(metadata.uid())) {
        Some(owner) if !owner.is_root() => Some(
            User::from_uid(owner)
                .ok()
                .flatten()
                .map_or_else(|| owner.to_string(), |user| user.name),
        ),
        _ if maildir.exists() => None,
        _ if config.run_as_user.is_none() => bail!(
            "{0} is not there yet, and what root makes the server could not change; run this as the user the server runs as, or if that is root, make {0} first",
            maildir.display()
        ),
        _ => config.run_as_user.clone(),
    };
    if let Some(owner) = owner.filter(|owner| owner != "root") {
        bail!(
            "{} belongs to {owner} (or will), and what root writes there the server could not change; run this as {owner}, with `runuser -u {owner} -- pillarbox ...`",
            maildir.display()
        );
    }
    Ok(())
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
    use std::time::{Duration, Instant};

    #[test]
    fn the_end_waits_for_no_step() {
        let runtime = runtime().expect("a runtime");
        let (sender, begun) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            tokio::task::block_in_place(|| {
                let _ = sender.send(());
                std::thread::sleep(Duration::from_secs(60));
            });
        });
        begun.recv().expect("it begins");
        let began = Instant::now();
        end(runtime);
        assert!(began.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_cause_is_told_once() {
        let denied = || std::io::Error::from_raw_os_error(13);
        let error = anyhow::Error::new(store::Error::io("list /m", denied()));
        let words = denied().to_string();
        assert_eq!(with_causes(&error), format!("list /m: {words}"));
        let error = error.context("cannot open /m");
        assert_eq!(
            with_causes(&error),
            format!("cannot open /m: list /m: {words}")
        );
    }

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
        // The configuration may be named after a subcommand.
        for line in [
            "mailbox list anna",
            "config check",
            "user list",
            "check",
            "deliver anna",
        ] {
            let words = ["pillarbox"]
                .into_iter()
                .chain(line.split(' '))
                .chain(["--config", "x"]);
            assert!(CommandLine::try_parse_from(words).is_ok(), "{line}");
        }
    }
}
