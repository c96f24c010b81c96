//! `pillarbox check`: verifies a user's mailboxes on disk.

use super::{ConfigArgument, Exit};
use crate::accounts::users::Users;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: pillarbox check anna\nExit code 1 tells that something is wrong.")]
pub struct Arguments {
    /// The users to check; all if none is given
    users: Vec<String>,
    #[command(flatten)]
    config: ConfigArgument,
}

pub fn run(arguments: &Arguments) -> Exit {
    let names = if arguments.users.is_empty() {
        let config = arguments.config.load()?;
        Users::load(&config.users_file)?
            .users
            .into_iter()
            .map(|user| user.name)
            .collect()
    } else {
        arguments.users.clone()
    };
    let mut faults = 0;
    for name in names {
        let account = super::mailbox::account(&arguments.config, &name)?;
        for entry in account
            .list()?
            .into_iter()
            .filter(|entry| entry.selectable && entry.exists)
        {
            let shown = account.show_name(&entry.name);
            faults += match check(&account, &entry.name) {
                Ok((messages, found)) => {
                    println!(
                        "{name} {shown}: {messages} messages, {} faults",
                        found.len()
                    );
                    found.iter().for_each(|fault| println!("  {fault}"));
                    found.len()
                }
                Err(error) => {
                    println!("{name} {shown}: {error}");
                    1
                }
            };
        }
    }
    Ok(if faults == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Reads every message of a mailbox; gives their number and what is wrong.
fn check(
    account: &store::Account,
    name: &store::MailboxName,
) -> store::Result<(usize, Vec<String>)> {
    let mailbox = account.mailbox(name)?;
    let snapshot = mailbox.sync()?;
    let mut faults = Vec::new();
    for row in snapshot.rows() {
        match mailbox
            .open_message(row.uid)
            .and_then(|message| message.whole())
        {
            Ok(whole) if whole.octets == row.size_octets => {}
            Ok(whole) => faults.push(format!(
                "UID {}: the name tells {} octets, the file has {}",
                row.uid, row.size_octets, whole.octets
            )),
            Err(error) => faults.push(format!("UID {}: {error}", row.uid)),
        }
    }
    Ok((snapshot.len(), faults))
}
