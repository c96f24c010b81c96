//! `pillarbox mailbox`: what a user has.

use super::{ConfigArgument, Exit};
use crate::accounts::users::Users;
use crate::config::Config;
use anyhow::Context;
use clap::Subcommand;
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

/// Opens a user's mailboxes.
fn account(config: &ConfigArgument, name: &str) -> anyhow::Result<Arc<store::Account>> {
    let config = config.load_for_mail()?;
    let users = Users::load(&config.users_file)?;
    let user = users
        .find(name)
        .with_context(|| format!("there is no user {name}; `pillarbox user list` shows all"))?;
    let root = user.maildir(&config);
    open(&config, &root)
}

/// Opens the mailboxes in a Maildir.
pub(super) fn open(config: &Config, root: &Path) -> anyhow::Result<Arc<store::Account>> {
    super::refuse_foreign_owner(config, root)?;
    let layout = store::Layout {
        delimiter: config.layout.delimiter,
        prefix: config.layout.prefix.clone(),
    };
    store::Account::open(root, layout).with_context(|| format!("cannot open {}", root.display()))
}

pub fn run(arguments: &Arguments) -> Exit {
    match &arguments.command {
        Command::List { user } => {
            let account = account(&arguments.config, user)?;
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
            let account = account(&arguments.config, user)?;
            let status = account
                .status(&account.parse_name(mailbox)?)
                .with_context(|| format!("mailbox {mailbox}"))?;
            println!(
                "messages {}\nunseen {}\nrecent {}\noctets {}\nuidnext {}\nuidvalidity {}",
                status.messages,
                status.unseen,
                status.recent,
                status.size_octets,
                status.uid_next,
                status.uid_validity
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}
