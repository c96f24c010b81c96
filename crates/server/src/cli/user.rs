//! `pillarbox user`: the users file.

use super::{ConfigArgument, Exit};
use crate::accounts::users::{User, Users};
use crate::config::Config;
use anyhow::{Context, bail};
use clap::Subcommand;
use std::io::{IsTerminal, Read, Write};
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
    /// List a user's devices: when each was here last (UTC) over POP3 and ended with
    /// QUIT, and how many messages it has not fetched
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
        if text.is_empty() && !from_stdin {
            bail!(
                "there is no terminal to ask for the password; give it with --password-stdin, as in: echo secret | pillarbox user add anna --password-stdin"
            );
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
    let config = match arguments.users {
        Some(_) => None,
        None => Some(arguments.config.load_for_mail()?),
    };
    let (path, owner) = match (&arguments.users, &config) {
        (Some(path), _) => (path.clone(), None),
        (None, Some(config)) => (config.users_file.clone(), config.run_as_user.clone()),
        (None, None) => bail!("no users file"),
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
    let mut happens = None;
    match arguments.command {
        Command::Add(named) => {
            if users.find(&named.name).is_some() {
                bail!(
                    "there is a user {} already; set the password with `pillarbox user passwd {}`",
                    named.name,
                    named.name
                );
            }
            if let Some(alike) = users.find_lookalike(&named.name) {
                bail!(
                    "there is a user {} already, and {} differs by the case of letters only, which mail programs change; take another name",
                    alike.name,
                    named.name
                );
            }
            users.users.push(User::new(
                &named.name,
                &read_password(named.password_stdin)?,
            )?);
            if let Some(mistake) = config
                .iter()
                .find_map(|config| users.shared_by_mistake(config).into_iter().next())
            {
                bail!("{mistake}");
            }
        }
        Command::Passwd(named) => {
            let user = users
                .find_mut(&named.name)
                .with_context(|| known(&named.name))?;
            user.set_password(&read_password(named.password_stdin)?)?;
            happens = Some(format!(
                "a running server ends sessions that {} began with the old password",
                named.name
            ));
        }
        Command::List => {
            if is_new {
                bail!(
                    "there is no {} yet; `pillarbox user add NAME` makes it",
                    path.display()
                );
            }
            for user in &users.users {
                let lacks = match user.has_scram() {
                    true => "",
                    false => "\tno SCRAM keys",
                };
                tell(&format!(
                    "{}\t{} devices{lacks}",
                    user.name,
                    user.devices.len()
                ))?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        Command::Remove { name } => {
            users.find(&name).with_context(|| known(&name))?;
            users.users.retain(|user| user.name != name);
            happens = Some(format!(
                "a running server ends the sessions of {name}; the mail stays"
            ));
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
            list_devices(user, config.as_ref())?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::Device(DeviceCommand::Remove { name, device }) => {
            let user = users.find_mut(&name).with_context(|| known(&name))?;
            let before = user.devices.len();
            user.devices.retain(|other| other.name != device);
            if user.devices.len() == before {
                bail!(
                    "{name} has no device {device}; `pillarbox user device list {name}` shows all"
                );
            }
            happens = Some(format!(
                "a running server ends the sessions of {name}'s device {device}"
            ));
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
    tell(&format!("{}: written", path.display()))?;
    if let Some(happens) = happens {
        tell(&happens)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A line of output.
fn tell(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// Lists a user's devices; what they did where the configuration says where the mail is,
/// and there is some.
fn list_devices(user: &User, config: Option<&Config>) -> anyhow::Result<()> {
    let Some(config) = config else {
        return user
            .devices
            .iter()
            .try_for_each(|device| tell(&device.name));
    };
    let root = user.maildir(config);
    if !root.join("cur").is_dir() {
        // No mail came yet, and nobody for it.
        let mut devices = user.devices.iter();
        return devices
            .try_for_each(|device| tell(&format!("{}\tnever\t0 not fetched", device.name)));
    }
    let account = super::mailbox::inspect(config, &root);
    let inbox = account.mailbox(&store::MailboxName::inbox())?;
    for device in &user.devices {
        // In an INBOX that was never opened no device did anything.
        let ledger = inbox
            .uid_validity
            .map(|uid_validity| account.device_ledger(&device.ledger_name(), uid_validity))
            .transpose()?
            .unwrap_or_default();
        let visit = match ledger.visited_seconds {
            0 => "never".to_owned(),
            seconds => show_time(seconds),
        };
        let backlog = pop3d::backlog(&inbox.snapshot, &ledger);
        tell(&format!("{}\t{visit}\t{backlog} not fetched", device.name))?;
    }
    Ok(())
}

/// A time as `2026-11-30 02:16:55`, in UTC.
fn show_time(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March, in eras of 400 (146,097 days) from the year 0 on.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!(
        "{:04}-{month:02}-{day:02} {:02}:{:02}:{:02}",
        era * 400 + year + later,
        rest / 3_600,
        rest / 60 % 60,
        rest % 60
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_utc() {
        for (seconds, shown) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_709_251_199, "2024-02-29 23:59:59"),
            (1_796_005_015, "2026-11-30 02:16:55"),
            (4_102_444_800, "2100-01-01 00:00:00"),
        ] {
            assert_eq!(show_time(seconds), shown);
        }
    }
}
