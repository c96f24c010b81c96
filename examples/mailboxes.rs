//! Lists the mailboxes of a Maildir with what they hold.
//!
//! `cargo run -p pillarbox --example mailboxes -- ~/Maildir`

use std::path::Path;
use store::{Account, Layout};

fn main() -> store::Result<()> {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: mailboxes MAILDIR");
        std::process::exit(2);
    };
    let layout = Layout {
        delimiter: '/',
        prefix: String::new(),
    };
    let account = Account::open(Path::new(&path), layout)?;
    for entry in account.list()?.iter().filter(|entry| entry.selectable) {
        let status = account.status(&entry.name)?;
        println!(
            "{:40} {:>7} messages, {:>6} unseen, {:>12} octets",
            account.show_name(&entry.name),
            status.messages,
            status.unseen,
            status.size_octets
        );
    }
    Ok(())
}
