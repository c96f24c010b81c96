//! A mailbox: what opening it costs, and what one change does.

use divan::Bencher;
use std::fs;
use std::sync::Arc;
use store::{Account, FlagAction, Flags, Layout, Mailbox};

fn main() {
    divan::main();
}

/// An account whose INBOX has so many small messages, and an index.
fn account(messages: usize) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("directory");
    for folder in ["cur", "new", "tmp"] {
        fs::create_dir(directory.path().join(folder)).expect("directory");
    }
    for number in 0..messages {
        let path = directory.path().join(format!(
            "cur/{}.M1P{number}.bench:2,S",
            1_700_000_000 + number
        ));
        fs::write(path, "Subject: x\n\ny\n").expect("written");
    }
    drop(open(&directory));
    directory
}

fn open(directory: &tempfile::TempDir) -> (Arc<Account>, Arc<Mailbox>) {
    let layout = Layout {
        delimiter: '/',
        prefix: String::new(),
    };
    let account = Account::open(directory.path(), layout).expect("an account");
    let inbox = account.parse_name("INBOX").expect("a name");
    let mailbox = account.mailbox(&inbox).expect("a mailbox");
    mailbox.sync().expect("synced");
    (account, mailbox)
}

/// Opening a mailbox that has an index, as a server does after its start.
#[divan::bench(args = [1_000, 10_000, 100_000], sample_count = 20, sample_size = 1)]
fn index_load(bencher: Bencher, messages: usize) {
    let directory = account(messages);
    bencher.bench_local(|| open(&directory));
}

/// One flag of one message, to the log of the index and the name of the file.
#[divan::bench(args = [1_000, 10_000, 100_000], sample_count = 200, sample_size = 1)]
fn index_commit(bencher: Bencher, messages: usize) {
    let directory = account(messages);
    let (_account, mailbox) = open(&directory);
    let uid = mailbox.snapshot().row(0).expect("a message").uid;
    let mut turn = 0_u32;
    bencher.bench_local(|| {
        turn += 1;
        let action = if turn.is_multiple_of(2) {
            FlagAction::Remove
        } else {
            FlagAction::Add
        };
        mailbox
            .store_flags(&[uid], action, Flags::FLAGGED, &[], None)
            .expect("stored")
    });
}
