//! `pillarbox mailbox`: what a user has.

use super::{ConfigArgument, Exit};
use crate::accounts::users::Users;
use crate::config::Config;
use anyhow::{Context, bail};
use clap::Subcommand;
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pillarbox mailbox list anna\n  pillarbox mailbox status anna Archive/2026"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    config: ConfigArgument,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List a user's mailboxes
    List {
        /// The user
        user: String,
    },
    /// Tell the state of a mailbox
    Status {
        /// The user
        user: String,
        /// The mailbox
        mailbox: String,
    },
}

/// Looks at a user's mailboxes, beside a server that may be running.
fn inspection(config: &ConfigArgument, name: &str) -> anyhow::Result<store::Inspection> {
    let config = config.load_for_mail()?;
    let users = Users::load(&config.users_file)?;
    let user = users
        .find(name)
        .with_context(|| format!("there is no user {name}; `pillarbox user list` shows all"))?;
    let root = user.maildir(&config);
    if std::fs::metadata(&root).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        bail!(
            "{name} has no mailboxes yet: {} is made at the first login or with the first mail",
            root.display()
        );
    }
    Ok(inspect(&config, &root))
}

/// Looks at the mailboxes in a Maildir.
pub(super) fn inspect(config: &Config, root: &Path) -> store::Inspection {
    store::Inspection::new(root, layout(config))
}

/// Opens the mailboxes in a Maildir to work on them, as far as no server has them open.
pub(super) fn open(config: &Config, root: &Path) -> anyhow::Result<Arc<store::Account>> {
    super::refuse_foreign_owner(config, root)?;
    store::Account::open_beside(root, layout(config))
        .with_context(|| format!("cannot open {}", root.display()))
}

fn layout(config: &Config) -> store::Layout {
    store::Layout {
        delimiter: config.layout.delimiter,
        prefix: config.layout.prefix.clone(),
    }
}

pub fn run(arguments: &Arguments) -> Exit {
    match &arguments.command {
        Command::List { user } => {
            let account = inspection(&arguments.config, user)?;
            for entry in account.list()? {
                let subscribed = if entry.subscribed { "subscribed" } else { "" };
                let special = entry
                    .special_use
                    .map_or_else(String::new, |special| special.as_str().to_owned());
                println!(
                    "{}\t{subscribed}\t{special}",
                    account.show_name(&entry.name)
                );
            }
        }
        Command::Status { user, mailbox } => {
            let account = inspection(&arguments.config, user)?;
            let inspected = account
                .mailbox(&account.parse_name(mailbox)?)
                .with_context(|| format!("mailbox {mailbox}"))?;
            let status = store::MailboxStatus::of(&inspected.snapshot, [0; 16]);
            let uid_validity = inspected.uid_validity.map(|number| number.to_string());
            println!(
                "messages {}\nunseen {}\nrecent {}\noctets {}\nuidnext {}\nuidvalidity {}",
                status.messages,
                status.unseen,
                status.recent,
                status.size_octets,
                status.uid_next,
                uid_validity.as_deref().unwrap_or("none yet")
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}
