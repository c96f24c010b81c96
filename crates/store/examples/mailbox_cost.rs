//! What opening, storing, delivering and appending cost in a large mailbox.
//!
//! `cargo run --release -p store --example mailbox_cost -- DIRECTORY [MESSAGES]`
//! fills DIRECTORY (made when absent) and prints milliseconds, medians of several.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{Account, FlagAction, Flags, Layout, Mailbox, MailboxName, Uid};

const TEXT: &[u8] = b"From: a@example.org\nSubject: s\n\ntext\n";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("a directory is needed")?;
    let messages: u32 = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let root = Path::new(&directory);
    fill(root, messages)?;
    let account = open(root)?;
    let began = Instant::now();
    let mailbox = account.mailbox(&MailboxName::inbox())?;
    show("first opening", began.elapsed());
    let highest = mailbox.snapshot().highest_modseq();
    drop(mailbox);
    // A stamp that is too fresh is looked at again.
    std::thread::sleep(Duration::from_millis(100));
    show(
        "opening unchanged",
        median(5, || account.mailbox(&MailboxName::inbox()).map(drop)),
    );
    let mailbox = account.mailbox(&MailboxName::inbox())?;
    let same = mailbox.snapshot().highest_modseq() == highest;
    println!("highest mod-sequence kept: {same}");
    stores(&mailbox, messages);
    drop(mailbox);
    std::thread::sleep(Duration::from_millis(100));
    show(
        "opening after stores",
        median(3, || account.mailbox(&MailboxName::inbox()).map(drop)),
    );
    let mailbox = account.mailbox(&MailboxName::inbox())?;
    deliveries(root, &mailbox);
    appends(&mailbox)?;
    Ok(())
}

fn open(root: &Path) -> store::Result<Arc<Account>> {
    let layout = Layout {
        delimiter: '/',
        prefix: String::new(),
    };
    Account::open(root, layout)
}

fn fill(root: &Path, messages: u32) -> std::io::Result<()> {
    for name in ["tmp", "new", "cur"] {
        std::fs::create_dir_all(root.join(name))?;
    }
    for number in 0..messages {
        let name = format!("1700000000.M{number}P1.host,S=37,W=41:2,S");
        std::fs::write(root.join("cur").join(name), TEXT)?;
    }
    Ok(())
}

fn stores(mailbox: &Mailbox, messages: u32) {
    let mut number = 0;
    let mut one = |count: u32| {
        let uids: Vec<Uid> = (0..count)
            .filter_map(|_| {
                number = (number + 7919) % messages;
                Uid::new(number + 1)
            })
            .collect();
        mailbox.store_flags(&uids, FlagAction::Add, Flags::FLAGGED, &[], None)
    };
    show("storing 1 flag", median(21, || one(1)));
    show("storing 100 flags", median(5, || one(100)));
}

fn deliveries(root: &Path, mailbox: &Arc<Mailbox>) {
    let subscription = mailbox.subscribe(std::task::Waker::noop().clone());
    let mut number = 0;
    let delivered = median(9, || {
        number += 1;
        let name = format!("1800000000.M{number}P1.host");
        let known = mailbox.snapshot().len();
        std::fs::write(root.join("tmp").join(&name), TEXT)?;
        std::fs::rename(root.join("tmp").join(&name), root.join("new").join(&name))?;
        while mailbox.snapshot().len() == known {
            std::thread::sleep(Duration::from_micros(200));
        }
        std::io::Result::Ok(())
    });
    show("a delivery until it is seen (watched)", delivered);
    drop(subscription);
}

fn appends(mailbox: &Mailbox) -> store::Result<()> {
    let append = || {
        let mut incoming = mailbox.begin_append()?;
        incoming.write(TEXT)?;
        mailbox.append(vec![incoming])
    };
    show("an append", median(21, append));
    for threads in [4, 16] {
        let began = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for _ in 0..25 {
                        if let Err(error) = append() {
                            eprintln!("{error}");
                        }
                    }
                });
            }
        });
        show(
            &format!("each of {} appends by {threads} threads", threads * 25),
            began.elapsed() / (threads * 25),
        );
    }
    Ok(())
}

fn median<T, E: std::fmt::Display>(
    times: usize,
    mut what: impl FnMut() -> Result<T, E>,
) -> Duration {
    let mut took: Vec<Duration> = (0..times)
        .map(|_| {
            let began = Instant::now();
            if let Err(error) = what() {
                eprintln!("{error}");
            }
            began.elapsed()
        })
        .collect();
    took.sort_unstable();
    took.get(times / 2).copied().unwrap_or_default()
}

fn show(what: &str, took: Duration) {
    println!("{:9.3} ms  {what}", took.as_secs_f64() * 1000.0);
}
