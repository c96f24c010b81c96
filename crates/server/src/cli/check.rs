//! `pillarbox check`: verifies users' mailboxes on disk, and mends what can be
//! mended without losing anything.

mod rename;
mod search;

use super::inspection::{self, Fault, Remedy, named};
use super::{ConfigArgument, Exit};
use crate::accounts::users::Users;
use crate::config::Config;
use anyhow::Context;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use store::MailboxName;

/// Why something is left as it is.
const BUSY: &str = "a server has the mailbox open; stop it, or repair again later";
/// How often the progress line is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pillarbox check anna\n  pillarbox check --all --repair\n  pillarbox check --search anna\n\nWithout --repair nothing is changed, and the server may run meanwhile. --repair makes\nmissing directories, gives copies names of their own, has damaged lists rewritten and\nremoves what deliveries left halfway more than 36 hours ago; it never removes a message.\nWhat a server has open it does not open, and it leaves a message's second name and the\nindex there: stop the server first, or repair again a minute later.\n--search finds texts that are damaged, or not those of the messages; --repair makes them\nanew: stop the server before, which keeps others out of what it has open.\nExit code 1 tells that something is wrong and was not repaired."
)]
pub struct Arguments {
    /// The users to check; all if none is given
    #[arg(value_name = "USER")]
    users: Vec<String>,
    /// Check all users
    #[arg(long, conflicts_with = "users")]
    all: bool,
    /// Mend what can be mended without losing anything
    #[arg(long)]
    repair: bool,
    /// Compare the texts that are kept for searching with the messages, too
    #[arg(long)]
    search: bool,
    #[command(flatten)]
    config: ConfigArgument,
}

/// What was found in all.
#[derive(Debug, Default)]
struct Tally {
    messages: usize,
    faults: usize,
    repaired: usize,
}

pub fn run(arguments: &Arguments) -> Exit {
    let config = arguments.config.load_for_mail()?;
    let users = Users::load(&config.users_file)?;
    let mut roots = Vec::new();
    if arguments.users.is_empty() {
        roots.extend(users.users.iter());
    }
    for name in &arguments.users {
        roots.push(users.find(name).with_context(|| {
            format!("there is no user {name}; `pillarbox user list` shows all")
        })?);
    }
    let mut tally = Tally::default();
    let mut progress = Progress::new();
    for user in roots {
        let root = user
            .mail
            .clone()
            .unwrap_or_else(|| config.maildir(&user.name));
        match root.metadata() {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                progress.tell(&format!("{}: no mail yet", user.name))?;
                continue;
            }
            Err(error) => {
                tally.faults += 1;
                progress.tell(&format!(
                    "{}: {} cannot be looked at ({error}); run this as the user the server runs as",
                    user.name,
                    root.display()
                ))?;
                continue;
            }
        }
        let checked = check(
            &config,
            &user.name,
            &root,
            arguments.repair,
            &mut progress,
            &mut tally,
        );
        let user = &user.name;
        let checked = checked.and_then(|()| match arguments.search {
            true => search::check(
                &config,
                (user, &root),
                arguments.repair,
                &mut progress,
                &mut tally,
            ),
            false => Ok(()),
        });
        if let Err(error) = checked {
            tally.faults += 1;
            progress.tell(&format!("{user}: {error:#}"))?;
        }
    }
    let left = tally.faults.saturating_sub(tally.repaired);
    let advice = match (left, arguments.repair) {
        (0, _) => "",
        (_, false) => "; the same with --repair mends what can be mended",
        (_, true) => "; see to the others as told",
    };
    progress.tell(&format!(
        "{} messages, {} faults, {} repaired{advice}",
        tally.messages, tally.faults, tally.repaired
    ))?;
    Ok(if left == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Checks one user's mailboxes.
fn check(
    config: &Config,
    user: &str,
    root: &Path,
    repair: bool,
    progress: &mut Progress,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    if repair {
        super::refuse_foreign_owner(config, root)?;
    }
    let tree =
        inspection::mailboxes(root).with_context(|| format!("cannot read {}", root.display()))?;
    for fault in &tree.faults {
        tally.faults += 1;
        progress.tell(&format!("{user}: {}", fault.text))?;
    }
    let mut to_open = Vec::new();
    for (name, directory) in tree.mailboxes {
        let shown = format!("{user} {name:?}");
        let found = inspection::inspect(&directory, &mut |number| progress.draw(&shown, number));
        let findings = match found {
            Ok(findings) => findings,
            Err(error) => {
                tally.faults += 1;
                progress.tell(&format!(
                    "{shown}: {} cannot be read ({error}); see to its owner and mode",
                    directory.display()
                ))?;
                continue;
            }
        };
        tally.messages += findings.messages;
        tally.faults += findings.faults.len();
        progress.tell(&format!(
            "{shown}: {} messages, {} faults",
            findings.messages,
            findings.faults.len()
        ))?;
        for remark in &findings.remarks {
            progress.tell(&format!("  {remark}"))?;
        }
        let opens = findings
            .faults
            .iter()
            .filter(|fault| fault.remedy == Remedy::Open)
            .count();
        for fault in &findings.faults {
            let outcome = if repair { mend(fault) } else { Ok(None) };
            match outcome {
                Ok(None) => progress.tell(&format!("  {}", fault.text))?,
                Ok(Some(done)) => {
                    tally.repaired += 1;
                    progress.tell(&format!("  {}: {done}", fault.text))?;
                }
                Err(error) => {
                    progress.tell(&format!("  {}: not repaired: {error:#}", fault.text))?
                }
            }
        }
        if opens > 0 && repair {
            to_open.push((shown, directory, opens));
        }
    }
    if to_open.is_empty() {
        return Ok(());
    }
    // The store mends its lists when a mailbox is opened.
    let account = super::mailbox::open(config, root)?;
    for (shown, directory, before) in to_open {
        let name = match directory.file_name().filter(|_| directory != root) {
            Some(level) => MailboxName::from_directory_name(level).context("it has no name")?,
            None => MailboxName::inbox(),
        };
        if let Err(error) = account.mailbox(&name) {
            progress.tell(&format!("{shown}: cannot be opened, not repaired: {error}"))?;
            continue;
        }
        let left = inspection::inspect(&directory, &mut |_| {})?
            .faults
            .iter()
            .filter(|fault| fault.remedy == Remedy::Open)
            .count();
        tally.repaired += before.saturating_sub(left);
        progress.tell(&format!(
            "{shown}: opened, {left} of {before} such faults left"
        ))?;
    }
    Ok(())
}

/// Mends a fault that needs no store; gives what was done.
fn mend(fault: &Fault) -> anyhow::Result<Option<String>> {
    match &fault.remedy {
        Remedy::None | Remedy::Open => Ok(None),
        Remedy::MakeDirectory(path) => {
            crate::files::create_private_directories(path)?;
            sync_parent(path)?;
            Ok(Some("made".to_owned()))
        }
        Remedy::RemoveIndex(directory) => match store::remove_index(directory)? {
            true => Ok(Some(
                "removed, to be made again when it is opened".to_owned(),
            )),
            // What that one has in memory is right, and it goes on writing to this file.
            false => anyhow::bail!("{BUSY}"),
        },
        Remedy::RemoveLink(second) => {
            rename::remove(second)?;
            Ok(Some("this name was removed".to_owned()))
        }
        Remedy::OwnName(path) => {
            let fresh = rename::own_name(path)?;
            Ok(Some(format!("is now {}", named(&fresh))))
        }
    }
}

fn sync_parent(path: &Path) -> std::io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// A line on standard error that tells how far the check is, where that is a terminal.
struct Progress {
    is_terminal: bool,
    drawn: Option<Instant>,
}

impl Progress {
    fn new() -> Self {
        Self {
            is_terminal: std::io::stderr().is_terminal(),
            drawn: None,
        }
    }

    fn draw(&mut self, mailbox: &str, number: usize) {
        if self.is_terminal && self.drawn.is_none_or(|drawn| drawn.elapsed() > DRAW_EVERY) {
            self.drawn = Some(Instant::now());
            let _ = write!(std::io::stderr(), "\r\x1b[K{mailbox}: message {number}");
        }
    }

    /// A line of the report.
    fn tell(&mut self, line: &str) -> std::io::Result<()> {
        if self.drawn.take().is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
        writeln!(std::io::stdout(), "{line}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_all(config: &Config, root: &Path, repair: bool) -> Tally {
        let mut tally = Tally::default();
        let mut progress = Progress::new();
        check(config, "anna", root, repair, &mut progress, &mut tally).expect("checked");
        tally
    }

    #[test]
    fn a_repair_mends_and_loses_nothing() {
        let directory = tempfile::tempdir().expect("directory");
        let root = directory.path();
        for part in ["cur", "new", ".Sent/cur", ".Sent/tmp"] {
            std::fs::create_dir_all(root.join(part)).expect("part");
        }
        std::fs::write(root.join("cur/1.a:2,S"), "first\n").expect("write");
        std::fs::write(root.join("new/1.a"), "second\n").expect("write");
        std::fs::write(root.join(".Sent/cur/2.b:2,S"), "third\n").expect("write");
        let list = "3 V7 N9\nnonsense\n4 :2.b\n";
        std::fs::write(root.join(".Sent/dovecot-uidlist"), list).expect("write");
        let config = Config::default();
        let found = check_all(&config, root, false);
        assert_eq!((found.faults, found.repaired), (4, 0));
        assert!(!root.join("tmp").exists(), "a look changes nothing");
        let mended = check_all(&config, root, true);
        assert_eq!((mended.faults, mended.repaired), (4, 4));
        let after = check_all(&config, root, false);
        assert_eq!((after.messages, after.faults), (3, 0));
        let list = std::fs::read_to_string(root.join(".Sent/dovecot-uidlist")).expect("list");
        assert!(list.starts_with("3 V7 ") && list.contains("\n4 "), "{list}");
    }

    /// What a server tells meanwhile is written to the file that it has open.
    #[test]
    fn an_index_stays_where_the_mailbox_is_open() {
        let directory = tempfile::tempdir().expect("directory");
        let root = directory.path();
        let layout = store::Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let account = store::Account::open(root, layout).expect("account");
        std::fs::write(root.join("cur/1.a:2,S"), "first\n").expect("write");
        let open = account.mailbox(&MailboxName::inbox()).expect("mailbox");
        std::fs::write(root.join("cur/1.a:2,S"), "first, and longer now\n").expect("write");
        let config = Config::default();
        let told = check_all(&config, root, true);
        assert_eq!((told.faults, told.repaired), (2, 0));
        assert!(root.join("pillarbox.index").exists());
        drop((open, account));
        let told = check_all(&config, root, true);
        assert_eq!((told.faults, told.repaired), (2, 1));
        assert!(!root.join("pillarbox.index").exists());
        // The list tells the other size, too.
        assert_eq!(check_all(&config, root, false).faults, 1);
    }

    /// One mailbox that cannot be looked into is told of, and the others are looked at.
    #[test]
    fn a_mailbox_that_cannot_be_read_is_a_fault() {
        use std::os::unix::fs::{PermissionsExt, chown};
        let directory = tempfile::tempdir().expect("directory");
        let root = directory.path();
        for part in [
            "cur",
            "new",
            "tmp",
            ".Closed/cur",
            ".Closed/new",
            ".Closed/tmp",
        ] {
            std::fs::create_dir_all(root.join(part)).expect("part");
        }
        std::fs::write(root.join("cur/1.a:2,S"), "first\n").expect("write");
        let closed = root.join(".Closed");
        let mode = |mode| std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&closed, mode(0)).expect("closed");
        let config = Config::default();
        if nix::unistd::Uid::effective().is_root() {
            // Who is root sees everything, but not whose mail it is.
            for part in ["", "cur", "new", "tmp", "cur/1.a:2,S"] {
                chown(root.join(part), Some(65_534), Some(65_534)).expect("given");
            }
            let told = check_all(&config, root, false);
            assert_eq!((told.messages, told.faults), (1, 1));
            // From here on this thread is not root to file systems.
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65_534));
        }
        let told = check_all(&config, root, false);
        assert_eq!(told.messages, 1);
        assert!(told.faults >= 1);
        let tree = inspection::mailboxes(root).expect("mailboxes");
        assert!(tree.mailboxes.iter().any(|(name, _)| name == "Closed"));
        assert!(inspection::inspect(&closed, &mut |_| {}).is_err());
        nix::unistd::setfsuid(nix::unistd::Uid::effective());
        std::fs::set_permissions(&closed, mode(0o700)).expect("opened");
    }

    /// Beside a server names change at any time; it makes sense of them itself.
    #[test]
    fn a_second_name_stays_where_the_mailbox_is_open() {
        let directory = tempfile::tempdir().expect("directory");
        let root = directory.path();
        let layout = store::Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let account = store::Account::open(root, layout).expect("account");
        std::fs::write(root.join("cur/1.a:2,S"), "first\n").expect("write");
        let open = account.mailbox(&MailboxName::inbox()).expect("mailbox");
        let [first, second] = ["cur/1.a:2,S", "cur/1.a:2,"].map(|name| root.join(name));
        std::fs::hard_link(&first, &second).expect("linked");
        let config = Config::default();
        let told = check_all(&config, root, true);
        assert_eq!((told.faults, told.repaired), (1, 0));
        assert!(first.exists() && second.exists());
        drop((open, account));
        let told = check_all(&config, root, true);
        assert_eq!((told.faults, told.repaired), (1, 1));
        assert!(first.exists() != second.exists());
    }
}
