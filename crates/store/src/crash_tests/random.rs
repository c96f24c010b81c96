//! Random operations with crashes and failures among them, one after the other.

use super::client::Client;
use super::operation::{DEVICES, Operation, Uids, append_marked, deliver, replace, store};
use super::{check, power};
use crate::disk::simulated::{Draw, EIO, ENOSPC, Fault, Loss};
use crate::{FlagAction, Flags};

const MAILBOXES: [&str; 3] = ["INBOX", "Work", "Work/Old"];
const KEYWORDS: [&str; 3] = ["$Forwarded", "$Junk", "Odd"];
const FLAGS: [Flags; 4] = [Flags::SEEN, Flags::DELETED, Flags::FLAGGED, Flags::DRAFT];

fn pick<T: Clone>(draw: &mut Draw, from: &[T]) -> T {
    from[draw.below(from.len())].clone()
}

/// Some UIDs, of messages or of none.
fn uids(draw: &mut Draw, client: &Client, mailbox: &str) -> Uids {
    let next = client
        .told
        .mailboxes
        .get(mailbox)
        .map_or(1, |told| told.uid_next.get());
    let first = 1 + draw.below(next as usize) as u32;
    match draw.below(8) {
        0 => Uids::All,
        _ => Uids::These((first..=first + draw.below(3) as u32).collect()),
    }
}

/// Something that can be asked for now; what is not there may be asked for as well.
fn operation(draw: &mut Draw, client: &Client, number: usize) -> Operation {
    let mailbox = pick(draw, &MAILBOXES);
    let other = pick(draw, &MAILBOXES);
    let keywords = [pick(draw, &KEYWORDS)];
    let keywords = &keywords[..draw.below(2)];
    let text = format!("number {number}");
    let second = format!("number {number} again");
    let texts = [text.as_str(), second.as_str()];
    let texts = &texts[..1 + draw.below(2)];
    let flags = pick(draw, &FLAGS);
    let action = pick(
        draw,
        &[FlagAction::Add, FlagAction::Remove, FlagAction::Replace],
    );
    match draw.below(24) {
        0..=4 => append_marked(mailbox, texts, flags, keywords),
        5 if client.told.mailboxes.contains_key(mailbox) => deliver(mailbox, &text),
        5 | 6 => Operation::Claim(mailbox),
        7 | 8 => Operation::Copy(mailbox, uids(draw, client, mailbox), other),
        9 => Operation::Move(mailbox, uids(draw, client, mailbox), other),
        10..=12 => store(
            mailbox,
            uids(draw, client, mailbox),
            action,
            flags,
            keywords,
        ),
        13 | 14 => Operation::Expunge(mailbox, uids(draw, client, mailbox)),
        15 => Operation::UniqueIds(mailbox),
        16 => Operation::Close(mailbox),
        17 => Operation::Restart,
        20 | 21 => {
            let of = pick(draw, &[mailbox, ""]);
            let entry = pick(draw, &["/private/vendor/x/y", "/shared/vendor/x/y"]);
            Operation::Annotate(of, entry, pick(draw, &["one", "two", "three"]))
        }
        23 => {
            let uid = match uids(draw, client, mailbox) {
                Uids::These(numbers) => numbers[0],
                Uids::All => 1,
            };
            replace(mailbox, uid, other, &text)
        }
        18 => Operation::Subscribe(mailbox, draw.below(2) == 0),
        22 => Operation::Visit {
            device: pick(draw, &DEVICES),
            fetched: uids(draw, client, "INBOX"),
            deleted: uids(draw, client, "INBOX"),
        },
        _ => Operation::Create(pick(draw, &MAILBOXES[1..]), None),
    }
}

fn fault(draw: &mut Draw) -> Fault {
    let number = draw.below(40) as u64;
    match draw.below(3) {
        0 => Fault::Stop { change: number / 2 },
        _ => Fault::Fail {
            operation: number,
            errno: pick(draw, &[EIO, ENOSPC]),
            lasting: draw.below(2) == 0,
        },
    }
}

fn run(seed: u64, operations: usize) {
    let mut draw = Draw::new(seed);
    let mut client = Client::new();
    let mut log = Vec::new();
    if seed % 2 == 1 {
        // Every other run has mailboxes on two devices.
        for operation in [Operation::Create("Work", None), Operation::SetApart("Work")] {
            let done = client.perform(&operation);
            done.unwrap_or_else(|error| panic!("{operation:?}: {error}"));
        }
    }
    for number in 0..operations {
        let operation = operation(&mut draw, &client, number);
        let fault = (draw.below(4) == 0).then(|| fault(&mut draw));
        let loss = pick(
            &mut draw,
            &[Loss::Nothing, Loss::Everything, Loss::Tails(number as u64)],
        );
        client.disk.arm(fault);
        let done = client.perform(&operation);
        let fired = client.disk.fired();
        let stopped = fired && matches!(fault, Some(Fault::Stop { .. }));
        log.push(format!("{operation:?} {fault:?} {done:?}"));
        if stopped {
            log.push(format!("stopped: {loss:?}"));
        }
        if done.is_err() && !stopped {
            let lasting = matches!(fault, Some(Fault::Fail { lasting: true, .. }));
            operation.refused(&mut client.told, lasting);
        }
        let place = || format!("seed {seed}, {loss:?}\n{}\n", log.join("\n"));
        if stopped {
            client = client.after(loss);
            check(&mut client, power(loss), &place);
        } else {
            client.disk.arm(None);
            check(&mut client, super::Power::Kept, &place);
        }
    }
}

#[test]
fn random_operations_crashes_and_failures() {
    // Any number of runs by hand: PILLARBOX_CRASH_SEEDS=5000.
    let seeds = std::env::var("PILLARBOX_CRASH_SEEDS")
        .ok()
        .and_then(|seeds| seeds.parse().ok());
    for seed in 0..seeds.unwrap_or(25) {
        run(seed, 60);
    }
}
