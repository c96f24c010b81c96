//! `pillarbox user`: the users file.

use super::{ConfigArgument, Exit};
use crate::accounts::users::{User, Users};
use anyhow::{Context, bail};
use clap::Subcommand;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pillarbox user add anna\n  echo secret | pillarbox user passwd anna --password-stdin\n  pillarbox user device add anna phone"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The users file; the one the configuration names if not given
    #[arg(long, global = true)]
    users: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgument,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a user
    Add(Named),
    /// Set a user's password
    Passwd(Named),
    /// List the users
    List,
    /// Remove a user; their mail stays
    Remove {
        /// The user
        name: String,
    },
    /// Passwords of single devices
    #[command(subcommand)]
    Device(DeviceCommand),
}

#[derive(Debug, clap::Args)]
struct Named {
    /// The user
    name: String,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Debug, Subcommand)]
enum DeviceCommand {
    /// Add a device with a password of its own
    Add {
        /// The user
        name: String,
        /// The device
        device: String,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// List a user's devices
    List {
        /// The user
        name: String,
    },
    /// Take a device's password back
    Remove {
        /// The user
        name: String,
        /// The device
        device: String,
    },
}

fn read_password(from_stdin: bool) -> anyhow::Result<Vec<u8>> {
    if from_stdin || !std::io::stdin().is_terminal() {
        let mut text = Vec::new();
        std::io::stdin().take(2_048).read_to_end(&mut text)?;
        while text
            .last()
            .is_some_and(|octet| matches!(octet, b'\n' | b'\r'))
        {
            text.pop();
        }
        return Ok(text);
    }
    let first = rpassword::prompt_password("Password: ")?;
    if first != rpassword::prompt_password("Again: ")? {
        bail!("the two passwords differ; nothing was changed");
    }
    Ok(first.into_bytes())
}

pub fn run(arguments: Arguments) -> Exit {
    let (path, owner) = match arguments.users {
        Some(path) => (path, None),
        None => {
            let config = arguments.config.load_for_mail()?;
            (config.users_file, config.run_as_user)
        }
    };
    let is_new = !path.exists();
    let mut users = if !is_new {
        Users::load(&path)?
    } else {
        Users::default()
    };
    let known = |name: &str| {
        format!(
            "there is no user {name} in {}; `pillarbox user list` shows all",
            path.display()
        )
    };
    match arguments.command {
        Command::Add(named) => {
            if users.find(&named.name).is_some() {
                bail!(
                    "there is a user {} already; set the password with `pillarbox user passwd {}`",
                    named.name,
                    named.name
                );
            }
            users.users.push(User::new(
                &named.name,
                &read_password(named.password_stdin)?,
            )?);
        }
        Command::Passwd(named) => {
            let user = users
                .find_mut(&named.name)
                .with_context(|| known(&named.name))?;
            user.set_password(&read_password(named.password_stdin)?)?;
        }
        Command::List => {
            for user in &users.users {
                println!("{}\t{} devices", user.name, user.devices.len());
            }
            return Ok(ExitCode::SUCCESS);
        }
        Command::Remove { name } => {
            users.find(&name).with_context(|| known(&name))?;
            users.users.retain(|user| user.name != name);
        }
        Command::Device(DeviceCommand::Add {
            name,
            device,
            password_stdin,
        }) => {
            let user = users.find_mut(&name).with_context(|| known(&name))?;
            if user.devices.iter().any(|other| other.name == device) {
                bail!("{name} has a device {device} already; remove it first");
            }
            user.add_device(&device, &read_password(password_stdin)?)?;
        }
        Command::Device(DeviceCommand::List { name }) => {
            let user = users.find(&name).with_context(|| known(&name))?;
            user.devices
                .iter()
                .for_each(|device| println!("{}", device.name));
            return Ok(ExitCode::SUCCESS);
        }
        Command::Device(DeviceCommand::Remove { name, device }) => {
            let user = users.find_mut(&name).with_context(|| known(&name))?;
            let before = user.devices.len();
            user.devices.retain(|other| other.name != device);
            if user.devices.len() == before {
                bail!("{name} has no device {device}");
            }
        }
    }
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        && !parent.is_dir()
    {
        bail!("there is no directory {}; make it first", parent.display());
    }
    users.save(&path)?;
    if let Some(owner) = owner.filter(|_| is_new) {
        give_to(&path, &owner)?;
    }
    println!("{}: written", path.display());
    Ok(ExitCode::SUCCESS)
}

/// Gives a file that root made to the user whom the server becomes.
fn give_to(path: &Path, owner: &str) -> anyhow::Result<()> {
    use nix::unistd::{Uid, User as Account};
    if !Uid::effective().is_root() {
        return Ok(());
    }
    let account = Account::from_name(owner)?.with_context(|| {
        format!("run_as_user: there is no user {owner}; make it with `adduser --system {owner}`")
    })?;
    nix::unistd::chown(path, Some(account.uid), Some(account.gid))
        .with_context(|| format!("cannot give {} to {owner}", path.display()))
}
