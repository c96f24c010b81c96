//! Commands on many messages: in steps, told of, and whole or not at all.

use super::*;
use crate::capability::Capability;

const MESSAGES: usize = 2_500;

/// A client with many messages selected, and the mailbox `other`.
fn client(directory: &tempfile::TempDir) -> Client {
    let maildir = directory.path().join("Maildir");
    std::fs::create_dir_all(maildir.join("cur")).expect("made");
    for number in 0..MESSAGES {
        let file = maildir.join(format!("cur/{number:04}.x,S=3,W=4:2,"));
        std::fs::write(file, "\nx\n").expect("written");
    }
    let account = account(directory);
    let mut client = Client::logged_in(&account);
    client.say("a CREATE other\r\n");
    client.say("a SELECT INBOX\r\n");
    client
}

/// What a command is answered where each step takes ten seconds; `between` is
/// called after each but the last.
fn answer(client: &mut Client, command: &str, mut between: impl FnMut(&Client)) -> String {
    client.session.receive(command.as_bytes());
    let mut told = Vec::new();
    loop {
        match client.session.next(client.now) {
            Action::Send(octets) => told.extend(octets),
            Action::SendFrom(mut reader) => {
                reader.read_to_end(&mut told).expect("readable");
            }
            Action::Yield => {
                client.now += Duration::from_secs(10);
                between(client);
            }
            _ => return String::from_utf8(told).expect("text"),
        }
    }
}

fn count(client: &Client, name: &str) -> usize {
    let name = client.account.parse_name(name).expect("a name");
    let mailbox = client.account.mailbox(&name).expect("a mailbox");
    mailbox.sync().expect("synced").len()
}

#[test]
fn what_changes_many_messages_tells_how_far_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut client = client(&directory);
    let validity = |text: &str| {
        let (_, rest) = text.split_once("COPYUID ").expect("COPYUID");
        rest.split(' ').next().expect("a number").to_owned()
    };
    let mut steps = 0;
    let copied = answer(&mut client, "c COPY 1:* other\r\n", |_| steps += 1);
    let valid = validity(&copied);
    let progress = "* OK [INPROGRESS (\"c\" 2000 2500)] Still at work\r\n";
    let reply = format!("c OK [COPYUID {valid} 1:2500 1:2500] COPY completed\r\n");
    assert_eq!((copied, steps), (format!("{progress}{reply}"), 2));
    let stored = answer(
        &mut client,
        "d STORE 1:* +FLAGS.SILENT (\\Deleted)\r\n",
        |_| {},
    );
    let progress = progress.replace("\"c\"", "\"d\"");
    assert_eq!(stored, format!("{progress}d OK STORE completed\r\n"));
    let moved = answer(&mut client, "e MOVE 1:2200 other\r\n", |_| {});
    let moves = format!("* OK [COPYUID {valid} 1:2200 2501:4700] Moved\r\n");
    assert!(moved.contains(" 2000 2200)] Still at work\r\n"), "{moved}");
    assert!(moved.contains(&moves), "{moved}");
    assert_eq!(moved.matches(" EXPUNGE\r\n").count(), 2_200);
    assert!(moved.ends_with("e OK MOVE completed\r\n"), "{moved}");
    client.say("f SELECT other\r\n");
    let expunged = answer(&mut client, "g EXPUNGE\r\n", |_| {});
    assert!(expunged.contains(" 2000 2200)] Still at work\r\n"));
    assert_eq!(expunged.matches(" EXPUNGE\r\n").count(), 2_200);
    client.say("h STORE 1:* +FLAGS.SILENT (\\Deleted)\r\n");
    let closed = answer(&mut client, "i CLOSE\r\n", |_| {});
    let progress = progress.replace("\"d\"", "\"i\"");
    assert_eq!(closed, format!("{progress}i OK CLOSE completed\r\n"));
    assert_eq!((count(&client, "other"), count(&client, "INBOX")), (0, 300));
    assert!(client.say("j CHECK\r\n").starts_with("j BAD "));
}

#[test]
fn a_copy_that_does_not_end_is_taken_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut client = client(&directory);
    client.session.receive(b"b COPY 1:* other\r\n");
    while !matches!(client.session.next(client.now), Action::Yield) {}
    assert_eq!(count(&client, "other"), 1_000);
    // The connection is lost.
    let account = Arc::clone(&client.account);
    drop(client);
    let mut client = Client::logged_in(&account);
    assert_eq!(count(&client, "other"), 0);
    client.say("a SELECT INBOX\r\n");
    // The mailbox goes.
    let other = account.parse_name("other").expect("a name");
    let delete = |client: &Client| {
        let _ = client.account.delete(&other);
    };
    let answered = answer(&mut client, "b COPY 1:* other\r\n", delete);
    assert!(
        answered.ends_with("b NO [NONEXISTENT] Mailbox does not exist\r\n"),
        "{answered}"
    );
    // What was moved is told.
    client.say("c CREATE other\r\n");
    let answered = answer(&mut client, "d MOVE 1:* other\r\n", delete);
    assert!(answered.contains(" 1:1000 1:1000] Moved\r\n"), "{answered}");
    assert_eq!(answered.matches(" EXPUNGE\r\n").count(), 1_000);
    assert!(answered.contains("\r\nd NO [NONEXISTENT] "), "{answered}");
    assert_eq!(count(&client, "INBOX"), 1_500);
}

/// A mailbox as another session has it.
fn seen_by_others(client: &Client, name: &str) -> Arc<store::Mailbox> {
    let name = client.account.parse_name(name).expect("a name");
    client.account.mailbox(&name).expect("a mailbox")
}

#[test]
fn what_is_not_deleted_any_more_is_not_expunged() {
    let last = store::Uid::new(2_500).expect("a UID");
    for command in ["EXPUNGE", "UID EXPUNGE 1:*", "CLOSE"] {
        let directory = tempfile::tempdir().expect("a directory");
        let mut client = client(&directory);
        client.say("a STORE 1:* +FLAGS.SILENT (\\Deleted)\r\n");
        // RFC 3501 section 6.4.3: what has the flag set when its turn comes.
        let rescue = |client: &Client| {
            let (action, flags) = (store::FlagAction::Remove, store::Flags::DELETED);
            seen_by_others(client, "INBOX")
                .store_flags(&[last], action, flags, &[], None)
                .expect("stored");
        };
        let answered = answer(&mut client, &format!("b {command}\r\n"), rescue);
        assert!(answered.contains("b OK "), "{answered}");
        let left = seen_by_others(&client, "INBOX").snapshot();
        let left: Vec<_> = left.rows().map(|row| row.uid).collect();
        assert_eq!(left, [last], "{command}");
    }
}

#[test]
fn numbers_of_messages_that_go_are_not_passed_over() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut client = client(&directory);
    let remove = |client: &Client| {
        let gone = [2_400, 2_401].map(|uid| store::Uid::new(uid).expect("a UID"));
        let inbox = seen_by_others(client, "INBOX");
        inbox.expunge(&gone).expect("expunged");
    };
    let lacking = "NO [EXPUNGEISSUED] Some of the messages were expunged\r\n";
    // RFC 3501 section 6.4.7: all, or none.
    let answered = answer(&mut client, "b COPY 1:* other\r\n", remove);
    assert!(answered.ends_with(&format!("b {lacking}")), "{answered}");
    assert_eq!(count(&client, "other"), 0);
    // UIDs of no message are passed over (section 6.4.8).
    let answered = answer(&mut client, "c UID COPY 1:* other\r\n", |_| {});
    assert!(answered.contains("c OK [COPYUID "), "{answered}");
    assert_eq!(count(&client, "other"), 2_498);
    client.say("d NOOP\r\n");
    let remove = |client: &Client| {
        let gone = [store::Uid::new(2_500).expect("a UID")];
        let inbox = seen_by_others(client, "INBOX");
        inbox.expunge(&gone).expect("expunged");
    };
    let answered = answer(&mut client, "e MOVE 1:* other\r\n", remove);
    assert!(answered.contains(" 1:2399,2402:2499 "), "{answered}");
    assert!(answered.ends_with(&format!("e {lacking}")), "{answered}");
    assert_eq!(count(&client, "INBOX"), 0);
}

#[test]
fn a_close_that_fails_leaves_the_mailbox_selected() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut client = client(&directory);
    client.say("a STORE 1:* +FLAGS.SILENT (\\Deleted)\r\n");
    let fail = |_: &Client| {
        let cur = directory.path().join("Maildir/cur");
        if cur.is_dir() {
            std::fs::rename(&cur, directory.path().join("elsewhere")).expect("moved");
            std::fs::write(&cur, "no directory").expect("written");
        }
    };
    let answered = answer(&mut client, "b CLOSE\r\n", fail);
    assert!(answered.contains("b NO "), "{answered}");
    std::fs::remove_file(directory.path().join("Maildir/cur")).expect("removed");
    let back = directory.path().join("Maildir/cur");
    std::fs::rename(directory.path().join("elsewhere"), back).expect("moved");
    assert!(client.say("c CHECK\r\n").contains("c OK "));
}

#[test]
fn a_mailbox_that_goes_is_closed() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut client = client(&directory);
    answer(&mut client, "a COPY 1:* other\r\n", |_| {});
    client.say("b SELECT other\r\n");
    client.say("c STORE 1:* +FLAGS.SILENT (\\Deleted)\r\n");
    let other = client.account.parse_name("other").expect("a name");
    let delete = |client: &Client| {
        let _ = client.account.delete(&other);
    };
    let answered = answer(&mut client, "d CLOSE\r\n", delete);
    assert!(answered.ends_with("d OK CLOSE completed\r\n"), "{answered}");
    assert!(client.say("e CHECK\r\n").starts_with("e BAD "));
}

#[test]
fn a_server_that_stops_ends_what_takes_too_long_in_words() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut client = client(&directory);
    client.session.receive(b"b COPY 1:* other\r\n");
    while !matches!(client.session.next(client.now), Action::Yield) {}
    client.session.resume(Event::Shutdown);
    // It may go on for a while.
    client.now += Duration::from_secs(4);
    assert!(matches!(client.session.next(client.now), Action::Yield));
    assert_eq!(count(&client, "other"), 2_000);
    client.now += Duration::from_secs(2);
    let mut told = Vec::new();
    while let Action::Send(octets) = client.session.next(client.now) {
        told.extend(octets);
    }
    let told = String::from_utf8(told).expect("text");
    let told: Vec<&str> = told
        .lines()
        .filter(|line| !line.contains("INPROGRESS"))
        .collect();
    let [reply, bye] = told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(reply, "b NO [UNAVAILABLE] The server is shutting down");
    assert!(bye.starts_with("* BYE "), "{bye}");
    assert_eq!(count(&client, "other"), 0);
}

#[test]
fn a_long_resynchronization_promises_no_more_than_it_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut client = client(&directory);
    let status = client.say("b STATUS INBOX (UIDVALIDITY)\r\n");
    let (_, rest) = status.split_once("UIDVALIDITY ").expect("UIDVALIDITY");
    let validity = rest.split(')').next().expect("a number").to_owned();
    client.say("c STORE 1:* +FLAGS.SILENT (\\Seen)\r\n");
    let mut other = Client::logged_in(&client.account);
    other.say("a SELECT INBOX\r\n");
    client.say("d ENABLE QRESYNC\r\n");
    client.say("e UNSELECT\r\n");
    let select = format!("f SELECT INBOX (QRESYNC ({validity} 1))\r\n");
    client.session.receive(select.as_bytes());
    let (mut told, mut changed) = (Vec::new(), String::new());
    loop {
        match client.session.next(client.now) {
            Action::Send(octets) => told.extend(octets),
            Action::Yield => {}
            _ => break,
        }
        let is_first = |told: &[u8]| told.windows(9).any(|word| word == b"* 1 FETCH");
        if changed.is_empty() && is_first(&told) {
            other.say("b STORE 1 +FLAGS.SILENT (\\Answered)\r\n");
            changed = other.say("c FETCH 1 MODSEQ\r\n");
            other.say("d STORE 2500 +FLAGS.SILENT (\\Answered)\r\n");
        }
    }
    let told = String::from_utf8(told).expect("text");
    let number = |text: &str, before: &str| -> u64 {
        let (_, rest) = text.rsplit_once(before).expect("a number");
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    };
    // The last message was read after it changed, the first one before.
    assert!(
        told.contains("* 2500 FETCH (UID 2500 FLAGS (\\Answered"),
        "{}",
        &told[told.len() - 300..]
    );
    let promised = number(&told, "[HIGHESTMODSEQ ");
    assert!(
        promised < number(&changed, "MODSEQ ("),
        "{promised}: {changed}"
    );
    assert!(told.ends_with("f OK [READ-WRITE] SELECT completed\r\n"));
}

/// What is told of a step that begins now, and in how many seconds.
fn meanwhile(client: &Client) -> Option<(String, u64)> {
    let told = client.session.meanwhile(client.now)?;
    assert_eq!(told.every, Duration::from_secs(10));
    let wait = told.due.saturating_duration_since(client.now);
    let text = String::from_utf8(told.octets).expect("text");
    let (line, rest) = text.split_once("\r\n").expect("a line");
    assert_eq!(rest, "");
    let progress = line.strip_prefix("* OK [INPROGRESS (").expect("progress");
    let (progress, said) = progress.split_once(")] ").expect("a text");
    Some((format!("{progress}: {said}"), wait.as_secs()))
}

fn working(progress: &str, seconds: u64) -> Option<(String, u64)> {
    Some((format!("{progress}: Still at work"), seconds))
}

#[test]
fn what_a_client_hears_of_a_step_is_known_before_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut client = client(&directory);
    assert_eq!(meanwhile(&client), None);
    client.session.receive(b"b SEL");
    assert_eq!(meanwhile(&client), None);
    client.session.receive(b"ECT INBOX\r\n");
    assert_eq!(meanwhile(&client), working("\"b\" NIL NIL", 10));
    // What it said has to be taken first.
    assert!(matches!(client.session.next(client.now), Action::Send(_)));
    client.session.receive(b"c NOOP\r\n");
    assert_eq!(meanwhile(&client), working("\"c\" NIL NIL", 10));
    client.session.out.text("* OK half a line");
    assert_eq!(meanwhile(&client), None);
    client.session.out.crlf();
    client.drain();
    // A tag with ] would end the code.
    client.session.receive(b"c] NOOP\r\n");
    assert_eq!(meanwhile(&client), working("NIL NIL NIL", 10));
    client.drain();
    // Nor is there one in what is no command.
    client.session.receive(b"(c NOOP\r\n");
    assert_eq!(meanwhile(&client), None);
    client.drain();
    // The command goes on behind its literal.
    client.session.receive(b"d APPEND INBOX {9}\r\n");
    client.drain();
    client.session.receive(b"a: b\r\n\r\nc\r\ne NOOP\r\n");
    assert_eq!(meanwhile(&client), working("\"d\" NIL NIL", 10));
    client.drain();
    client.session.receive(b"f IDLE\r\n");
    client.drain();
    assert_eq!(meanwhile(&client), None);
    client.session.receive(b"DONE\r\n");
    assert_eq!(meanwhile(&client), working("\"f\" NIL NIL", 10));
    client.drain();
    client.say("g LANGUAGE zh-Hans\r\n");
    client.session.receive(b"h NOOP\r\n");
    let (told, _) = meanwhile(&client).expect("progress");
    assert!(told.starts_with("\"h\" NIL NIL: ") && !told.ends_with("work"));
    client.drain();
    client.say("i UNAUTHENTICATE\r\n");
    client.session.receive(b"j LOGIN anna secret\r\n");
    assert_eq!(meanwhile(&client), None);
}

#[test]
fn who_has_no_inprogress_hears_nothing_of_a_step() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut client = client(&directory);
    let login = client.session.login.as_mut().expect("a login");
    login.capabilities = login.capabilities.without(Capability::InProgress);
    client.session.receive(b"b NOOP\r\n");
    assert_eq!(meanwhile(&client), None);
}

#[test]
fn what_is_told_of_a_step_is_not_told_again_after_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut client = client(&directory);
    let seconds = Duration::from_secs;
    client
        .session
        .receive(b"b STORE 1:* +FLAGS.SILENT (\\Seen)\r\n");
    assert!(matches!(client.session.next(client.now), Action::Yield));
    client.now += seconds(4);
    assert_eq!(meanwhile(&client), working("\"b\" 1000 2500", 6));
    // The next step takes 8 seconds.
    assert!(matches!(client.session.next(client.now), Action::Yield));
    let at = client.now + seconds(6);
    client.session.resume(Event::ToldMeanwhile(at));
    client.now += seconds(8);
    assert_eq!(meanwhile(&client), working("\"b\" 2000 2500", 8));
    assert_eq!(client.drain(), "b OK STORE completed\r\n");
    // What a step will tell at its end is told meanwhile only if that is long.
    client
        .session
        .receive(b"c STORE 1:* -FLAGS.SILENT (\\Seen)\r\n");
    assert!(matches!(client.session.next(client.now), Action::Yield));
    client.now += seconds(11);
    assert_eq!(meanwhile(&client), working("\"c\" 1000 2500", 10));
    assert!(
        client
            .drain()
            .starts_with("* OK [INPROGRESS (\"c\" 2000 2500)]")
    );
    // FETCH tells by what it sends.
    client
        .session
        .receive(b"d FETCH 1:* (UID FLAGS ENVELOPE)\r\n");
    assert!(matches!(client.session.next(client.now), Action::Send(_)));
    client.now += seconds(60);
    assert_eq!(meanwhile(&client), working("\"d\" NIL NIL", 10));
}
