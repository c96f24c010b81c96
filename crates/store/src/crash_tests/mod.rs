//! Crashes, simulated: every operation of the store is stopped at each of its changes
//! to the disk, and has each of its operations fail, on a disk that then loses what was
//! not synced. Whatever clients were told before must be so afterwards, and what they
//! were not told may have happened or not, but nothing else.

mod client;
mod operation;
mod random;
mod told;

use crate::disk::simulated::{EIO, ENOSPC, Fault, Loss};
use crate::{FlagAction, Flags, SpecialUse};
use client::Client;
use operation::Operation as O;
use operation::{Operation, Uids, append, append_marked, deliver, replace, store};
use told::Power;

/// What a reboot may lose, from nothing to everything.
const LOSSES: [Loss; 6] = [
    Loss::Nothing,
    Loss::NothingByLuck,
    Loss::Everything,
    Loss::Tails(1),
    Loss::Tails(2),
    Loss::Tails(3),
];

fn power(loss: Loss) -> Power {
    match loss {
        Loss::Nothing => Power::Kept,
        _ => Power::Lost,
    }
}

/// A client who did these things, saw all, and has every mailbox open.
fn base(before: &[Operation]) -> Client {
    let mut client = Client::new();
    for operation in before {
        if let Err(error) = client.perform(operation) {
            panic!("{operation:?}: {error}");
        }
        check(&mut client, Power::Kept, &|| {
            format!("before: {operation:?}")
        });
    }
    client
}

fn check(client: &mut Client, power: Power, place: &dyn Fn() -> String) {
    if let Err(broken) = client.look(power) {
        let journal = client.disk.journal();
        panic!("{}: {broken}\n{journal}", place());
    }
}

/// A client in the same state on a disk of its own, all mailboxes open.
fn resumed(base: &Client) -> Client {
    let mut client = base.after(Loss::Nothing);
    client.recover().expect("nothing happened yet");
    client
}

/// Stops the machine in front of each change of an operation, and of the recovery
/// after it.
fn stops(base: &Client, operation: &Operation) {
    for change in 0.. {
        let mut client = resumed(base);
        client.disk.arm(Some(Fault::Stop { change }));
        let done = client.perform(operation);
        let fired = client.disk.fired();
        assert!(fired || done.is_ok(), "{operation:?}: {done:?}");
        let journal = client.disk.journal();
        for loss in LOSSES {
            let place =
                || format!("{operation:?} stopped at {change}, {loss:?}:\n{journal}\nafter");
            let mut restarted = client.after(loss);
            check(&mut restarted, power(loss), &place);
            use_again(&mut restarted, &place);
            if fired && matches!(loss, Loss::Nothing | Loss::Everything) {
                stopped_recoveries(&client, loss, &place);
            }
        }
        if !fired {
            return;
        }
    }
}

/// The machine stops again at each change that recovering makes.
fn stopped_recoveries(stopped: &Client, loss: Loss, place: &dyn Fn() -> String) {
    for change in 0.. {
        let mut client = stopped.after(loss);
        client.disk.arm(Some(Fault::Stop { change }));
        let _ = client.recover();
        if !client.disk.fired() {
            return;
        }
        for second in [Loss::Nothing, Loss::Everything] {
            let place = || format!("{}, recovery stopped at {change}, {second:?}", place());
            let worst = match loss {
                Loss::Nothing => second,
                _ => loss,
            };
            check(&mut client.after(second), power(worst), &place);
        }
    }
}

/// What was recovered takes new mail under new UIDs, and shows it after a restart.
fn use_again(client: &mut Client, place: &dyn Fn() -> String) {
    let later = append("INBOX", &["later"]);
    if let Err(error) = client.perform(&later) {
        panic!("{}: a later APPEND: {error}", place());
    }
    let place = || format!("{}, then a later APPEND", place());
    check(client, Power::Kept, &place);
    check(&mut client.after(Loss::Everything), Power::Lost, &place);
}

/// Lets each operation on the disk fail once, or from then on.
fn failures(base: &Client, operation: &Operation) {
    for errno in [ENOSPC, EIO] {
        for lasting in [false, true] {
            for number in 0.. {
                let mut client = resumed(base);
                client.disk.arm(Some(Fault::Fail {
                    operation: number,
                    errno,
                    lasting,
                }));
                let done = client.perform(operation);
                let fired = client.disk.fired();
                if done.is_err() {
                    assert!(fired, "{operation:?}: {done:?}");
                    operation.refused(&mut client.told, lasting);
                }
                let journal = client.disk.journal();
                client.disk.arm(None);
                let place = || {
                    let lasting = if lasting { " for good" } else { "" };
                    format!(
                        "{operation:?}, error {errno}{lasting} at {number}:\n{journal}\n{done:?}, then"
                    )
                };
                check(&mut client, Power::Kept, &place);
                use_again(&mut client, &place);
                check(&mut client.after(Loss::Nothing), Power::Kept, &place);
                if !fired {
                    break;
                }
            }
        }
    }
}

/// Tries one operation with all that can go wrong.
fn try_all(before: &[Operation], operation: &Operation) {
    let base = base(before);
    stops(&base, operation);
    failures(&base, operation);
}

fn seen() -> Flags {
    Flags::SEEN
}

/// Three messages in INBOX, one in `Work`.
fn some_mail() -> Vec<Operation> {
    vec![
        append("INBOX", &["one", "two"]),
        append_marked("INBOX", &["three"], seen(), &["$Forwarded"]),
        O::Create("Work", None),
        append("Work", &["elsewhere"]),
    ]
}

#[test]
fn a_fresh_account() {
    try_all(&[], &append("INBOX", &["first"]));
    try_all(&[], &O::Defaults);
}

#[test]
fn appends() {
    try_all(&some_mail(), &append("INBOX", &["four"]));
    try_all(
        &some_mail(),
        &append_marked(
            "INBOX",
            &["four", "five", "six"],
            Flags::FLAGGED,
            &["$New", "Odd"],
        ),
    );
}

#[test]
fn deliveries() {
    try_all(&some_mail(), &deliver("INBOX", "four"));
    let mut before = some_mail();
    before.push(deliver("INBOX", "four"));
    before.push(deliver("INBOX", "five"));
    try_all(&before, &O::Claim("INBOX"));
}

#[test]
fn copies_and_moves() {
    try_all(
        &some_mail(),
        &O::Copy("INBOX", Uids::These(vec![1, 3]), "Work"),
    );
    try_all(
        &some_mail(),
        &O::Copy("INBOX", Uids::These(vec![2, 3]), "INBOX"),
    );
    try_all(
        &some_mail(),
        &O::Move("INBOX", Uids::These(vec![1, 3]), "Work"),
    );
    try_all(&some_mail(), &O::Move("INBOX", Uids::All, "Work"));
    try_all(
        &some_mail(),
        &O::Move("INBOX", Uids::These(vec![2]), "INBOX"),
    );
}

/// Where nothing can be renamed, everything is copied before anything goes.
#[test]
fn copies_and_moves_between_devices() {
    let mut before = some_mail();
    before.push(O::SetApart("Work"));
    for operation in [
        O::Copy("INBOX", Uids::These(vec![1, 3]), "Work"),
        O::Move("INBOX", Uids::These(vec![1, 3]), "Work"),
        O::Move("Work", Uids::All, "INBOX"),
        replace("INBOX", 2, "Work", "another"),
    ] {
        try_all(&before, &operation);
    }
    before.push(deliver("INBOX", "four"));
    try_all(&before, &O::Move("INBOX", Uids::All, "Work"));
}

#[test]
fn replacements() {
    try_all(&some_mail(), &replace("INBOX", 3, "INBOX", "another"));
    try_all(&some_mail(), &replace("INBOX", 2, "Work", "another"));
    let mut before = some_mail();
    before.push(deliver("INBOX", "four"));
    try_all(&before, &replace("INBOX", 4, "INBOX", "another"));
}

#[test]
fn flag_changes() {
    let two = || Uids::These(vec![1, 2]);
    for operation in [
        store("INBOX", two(), FlagAction::Add, seen(), &[]),
        store(
            "INBOX",
            two(),
            FlagAction::Add,
            Flags::default(),
            &["$Forwarded", "New"],
        ),
        store(
            "INBOX",
            Uids::All,
            FlagAction::Replace,
            Flags::DELETED,
            &["$Forwarded"],
        ),
        store(
            "INBOX",
            Uids::All,
            FlagAction::Remove,
            seen(),
            &["$Forwarded"],
        ),
    ] {
        try_all(&some_mail(), &operation);
    }
    // More keywords than file names have letters for.
    let names: Vec<String> = (0..28).map(|number| format!("Keyword{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut before = some_mail();
    before.push(store(
        "INBOX",
        two(),
        FlagAction::Add,
        Flags::default(),
        &names,
    ));
    let more = store(
        "INBOX",
        two(),
        FlagAction::Replace,
        seen(),
        &["Keyword27", "Last"],
    );
    try_all(&before, &more);
}

#[test]
fn expunges_and_pop3_updates() {
    try_all(&some_mail(), &O::Expunge("INBOX", Uids::These(vec![1, 3])));
    // What a POP3 session shows, and what it deletes at QUIT.
    try_all(&some_mail(), &O::UniqueIds("INBOX"));
    let mut before = some_mail();
    before.push(O::UniqueIds("INBOX"));
    try_all(&before, &O::Expunge("INBOX", Uids::All));
    before.push(O::Create("Trash", Some(SpecialUse::Trash)));
    try_all(&before, &O::Move("INBOX", Uids::These(vec![1, 2]), "Trash"));
}

/// What a POP3 device fetched and deleted for itself, at QUIT.
#[test]
fn visits_of_devices() {
    let visit = |device, fetched, deleted| O::Visit {
        device,
        fetched,
        deleted,
    };
    let first = visit("phone", Uids::All, Uids::These(vec![2]));
    try_all(&some_mail(), &first);
    let mut before = some_mail();
    before.push(first);
    before.push(visit("tablet", Uids::These(vec![1]), Uids::These(vec![])));
    try_all(
        &before,
        &visit("phone", Uids::These(vec![]), Uids::These(vec![1, 3])),
    );
    before.push(O::Expunge("INBOX", Uids::These(vec![1])));
    try_all(
        &before,
        &visit("tablet", Uids::These(vec![3]), Uids::These(vec![3])),
    );
    try_all(&before, &append("INBOX", &["four"]));
}

#[test]
fn mailboxes_made_and_deleted() {
    try_all(&some_mail(), &O::Create("Work/Old/Older", None));
    try_all(&some_mail(), &O::Create("Gone", Some(SpecialUse::Archive)));
    try_all(&some_mail(), &O::Delete("Work"));
    let mut before = some_mail();
    before.push(O::Create("Work/Old", None));
    try_all(&before, &O::Delete("Work"));
    before.push(O::Delete("Work/Old"));
    try_all(&before, &O::Create("Work/Old", None));
}

#[test]
fn renames() {
    let mut before = some_mail();
    before.push(O::Create("Work/Old", None));
    before.push(append("Work/Old", &["ancient"]));
    before.push(O::Subscribe("Work", true));
    try_all(&before, &O::Rename("Work", "Play"));
    try_all(&before, &O::Rename("Work/Old", "Deep/er/Old"));
    try_all(&before, &O::Rename("INBOX", "Saved"));
}

#[test]
fn subscriptions() {
    try_all(&some_mail(), &O::Subscribe("Work", true));
    let mut before = some_mail();
    before.push(O::Subscribe("Work", true));
    before.push(O::Subscribe("INBOX", true));
    try_all(&before, &O::Subscribe("Work", false));
}

#[test]
fn metadata() {
    let mut before = some_mail();
    before.push(O::Annotate("INBOX", "/private/comment", "before"));
    before.push(O::Annotate("Work", "/shared/comment", "ours"));
    before.push(O::Annotate("", "/private/vendor/x/y", "1"));
    try_all(&before, &O::Annotate("INBOX", "/private/comment", "after"));
    try_all(&before, &O::Annotate("Work", "/private/comment", "new"));
    try_all(&before, &O::Annotate("", "/private/vendor/x/y", "2"));
    try_all(&before, &O::Rename("Work", "Play"));
    try_all(&before, &O::Rename("INBOX", "Saved"));
    try_all(&before, &O::Delete("Work"));
    before.push(O::Delete("Work"));
    try_all(&before, &O::Create("Work", None));
}

#[test]
fn closing_and_restarts() {
    try_all(&some_mail(), &O::Close("INBOX"));
    try_all(&some_mail(), &O::Restart);
}

/// Lists and logs grow until they are written anew.
#[test]
fn compactions() {
    let subjects: Vec<String> = (0..420).map(|number| format!("bulk {number}")).collect();
    let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
    let base = base(&[
        append("INBOX", &subjects),
        O::Expunge("INBOX", Uids::These((1..=300).collect())),
    ]);
    stops(&base, &append("INBOX", &["small"]));
    stops(
        &base,
        &O::Expunge("INBOX", Uids::These(vec![301, 302, 303])),
    );
}

/// What is only a cache, or can be made again, may be lost.
#[test]
fn lost_control_files() {
    let mut before = some_mail();
    before.push(O::UniqueIds("INBOX"));
    for file in [crate::index::NAME, "dovecot-uidlist", "pillarbox-uidlist"] {
        try_all(&before, &O::Remove(file));
        let mut removed = before.clone();
        removed.push(O::Remove(file));
        try_all(&removed, &append("INBOX", &["after the loss"]));
    }
}
