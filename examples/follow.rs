//! Follows the INBOX of a Maildir and tells what comes, goes and changes, whoever did it.
//!
//! `cargo run -p pillarbox --example follow -- ~/Maildir`

use std::path::Path;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use store::{Account, Layout};

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn main() -> store::Result<()> {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: follow MAILDIR");
        std::process::exit(2);
    };
    let layout = Layout {
        delimiter: '/',
        prefix: String::new(),
    };
    let account = Account::open(Path::new(&path), layout)?;
    let inbox = account.mailbox(&account.parse_name("INBOX")?)?;
    let _subscription = inbox.subscribe(Waker::from(Arc::new(Unpark(thread::current()))));
    let mut told = inbox.sync()?;
    println!("{} messages; Ctrl-C ends", told.len());
    loop {
        thread::park();
        let now = inbox.sync()?;
        let difference = told.difference(&now);
        for index in &difference.expunged {
            if let Some(row) = told.row(*index) {
                println!("- UID {}", row.uid);
            }
        }
        for uid in &difference.changed {
            println!("~ UID {uid}");
        }
        for row in now.rows().filter(|row| row.uid >= told.uid_next()) {
            let summary = inbox.summary(row.uid)?;
            let subject = summary.envelope.subject.as_deref().unwrap_or_default();
            let subject = store::message::decode_header(subject);
            println!("+ UID {} {subject}", row.uid);
        }
        told = now;
    }
}
