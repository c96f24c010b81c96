//! NOTIFY where transcripts cannot show it: what other programs do, and bounds.

use crate::notify::WATCHED;
use crate::session_tests::{Client, account};
use std::time::{Duration, Instant};

/// What the client is told, once it is told something.
fn told(client: &mut Client) -> String {
    let began = Instant::now();
    loop {
        client.now = Instant::now();
        let text = client.drain();
        if !text.is_empty() {
            return text;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "nothing is told");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A client of an account with the mailbox `Work`, and where that is.
fn begun() -> (tempfile::TempDir, Client) {
    let directory = tempfile::tempdir().expect("a directory");
    let account = account(&directory);
    let name = account.parse_name("Work").expect("a name");
    account.create(&name, None).expect("made");
    let client = Client::logged_in(&account);
    (directory, client)
}

#[test]
fn what_other_programs_deliver_is_told() {
    let (directory, mut client) = begun();
    let text = client.say("a NOTIFY SET STATUS (personal (MessageNew MessageExpunge))\r\n");
    assert!(
        text.contains("* STATUS INBOX (") && text.contains("* STATUS Work ("),
        "{text}"
    );
    let new = directory.path().join("Maildir/.Work/new");
    std::fs::write(new.join("1.a.b"), "Subject: x\n\n").expect("delivered");
    assert_eq!(
        told(&mut client),
        "* STATUS Work (UIDNEXT 2 MESSAGES 1)\r\n"
    );
    // In IDLE as well, and what goes.
    assert!(client.say("b IDLE\r\n").starts_with("+ "));
    std::fs::remove_file(new.join("1.a.b")).expect("removed");
    assert_eq!(
        told(&mut client),
        "* STATUS Work (UIDNEXT 2 MESSAGES 0)\r\n"
    );
}

#[test]
fn a_burst_is_told_in_few_responses() {
    let (directory, mut client) = begun();
    client.say("a NOTIFY SET (personal (MessageNew MessageExpunge))\r\n");
    let new = directory.path().join("Maildir/.Work/new");
    let began = Instant::now();
    let mut text = String::new();
    for number in 0..300 {
        std::fs::write(new.join(format!("{number}.a.b")), "x").expect("delivered");
        client.now = Instant::now();
        text.push_str(&client.drain());
    }
    let took = began.elapsed();
    while !text.ends_with("* STATUS Work (UIDNEXT 301 MESSAGES 300)\r\n") {
        text.push_str(&told(&mut client));
    }
    let most = took.as_millis() / crate::notify::QUIET.as_millis() + 3;
    assert!(text.lines().count() as u128 <= most, "{took:?}: {text}");
}

#[test]
fn too_much_news_ends_notifications() {
    let directory = tempfile::tempdir().expect("a directory");
    let account = account(&directory);
    let name = account.parse_name("Work").expect("a name");
    let mut client = Client::logged_in(&account);
    client.say("a NOTIFY SET (personal (SubscriptionChange))\r\n");
    for number in 0..=1000 {
        account
            .set_subscribed(&name, number % 2 == 0)
            .expect("subscribed");
    }
    assert!(told(&mut client).starts_with("* OK [NOTIFICATIONOVERFLOW] "));
    account.set_subscribed(&name, false).expect("subscribed");
    assert!(client.say("b NOOP\r\n").starts_with("b OK "));
}

#[test]
fn too_many_mailboxes_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let account = account(&directory);
    // With INBOX one more than may be.
    for number in 0..WATCHED {
        let name = account.parse_name(&format!("m{number}")).expect("a name");
        account.create(&name, None).expect("made");
    }
    let mut client = Client::logged_in(&account);
    let text = client.say("a NOTIFY SET (personal (MessageNew MessageExpunge))\r\n");
    assert!(text.starts_with("a NO [NOTIFICATIONOVERFLOW] "), "{text}");
    let text = client.say("b NOTIFY SET (subtree (m1 INBOX) (MessageNew MessageExpunge))\r\n");
    assert!(text.starts_with("b OK "), "{text}");
    let text = client.say("c NOTIFY SET (personal (MailboxName))\r\n");
    assert!(text.starts_with("c OK "), "{text}");
}

#[test]
fn what_cannot_be_read_is_told_once() {
    let (directory, mut client) = begun();
    client.say("a NOTIFY SET (personal (MessageNew MessageExpunge))\r\n");
    let work = directory.path().join("Maildir/.Work");
    // As root no permission is denied.
    std::fs::remove_dir(work.join("new")).expect("removed");
    std::fs::write(work.join("new"), "").expect("written");
    std::fs::write(work.join("cur/1.a.b:2,"), "x").expect("written");
    assert_eq!(told(&mut client), "* LIST (\\NoAccess) \"/\" Work\r\n");
    let text = client.say("b NOTIFY SET STATUS (subtree Work (MessageNew MessageExpunge))\r\n");
    let (first, second) = text.split_once("\r\n").expect("lines");
    assert_eq!(first, "* LIST (\\NoAccess) \"/\" Work");
    assert!(second.starts_with("b OK "), "{text}");
    std::fs::write(work.join("cur/2.a.b:2,"), "x").expect("written");
    std::thread::sleep(Duration::from_millis(50));
    std::fs::remove_file(work.join("new")).expect("removed");
    std::fs::create_dir(work.join("new")).expect("made");
    std::fs::write(work.join("cur/3.a.b:2,"), "x").expect("written");
    let text = told(&mut client);
    assert!(
        text.starts_with(
            "* LIST () \"/\" Work\r\n* STATUS Work (UIDNEXT 4 MESSAGES 3 UIDVALIDITY "
        ),
        "{text}"
    );
}
