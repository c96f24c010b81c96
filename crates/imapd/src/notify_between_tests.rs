//! NOTIFY between two responses: what happens while nothing is told yet, and what the client
//! does itself then, hides nothing of what others do.

use crate::notify::QUIET;
use crate::session_tests::{Client, account};
use std::sync::Arc;
use store::Account;
use wire::Session;

/// An account with mailboxes, a client that asked to be told, and another one.
struct Stage {
    _directory: tempfile::TempDir,
    account: Arc<Account>,
    client: Client,
    other: Client,
    tags: u32,
}

const MAIL: &str = "{6+}\r\na: 1\r\n\r\n";

impl Stage {
    fn new(mailboxes: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let account = account(&directory);
        for name in mailboxes.iter().chain(&["Bell"]) {
            let name = account.parse_name(name).expect("a name");
            account.create(&name, None).expect("made");
        }
        let mut stage = Self {
            client: Client::logged_in(&account),
            other: Client::logged_in(&account),
            _directory: directory,
            account,
            tags: 0,
        };
        stage.other("SELECT INBOX");
        stage
    }

    /// The other client does something, and may.
    fn other(&mut self, command: &str) -> String {
        self.tags += 1;
        let text = self.other.say(&format!("o{} {command}\r\n", self.tags));
        assert!(
            text.contains(&format!("o{} OK ", self.tags)),
            "{command}: {text}"
        );
        text
    }

    /// What the client is told with a command, which it may do.
    fn say(&mut self, command: &str) -> String {
        self.tags += 1;
        let text = self.client.say(&format!("c{} {command}\r\n", self.tags));
        let (told, reply) = match text.rfind(&format!("c{} ", self.tags)) {
            Some(place) => text.split_at(place),
            None => panic!("{command}: {text}"),
        };
        assert!(reply.contains(" OK "), "{command}: {text}");
        told.to_owned()
    }

    /// The client is told of something, and of nothing more for a while.
    fn quieten(&mut self) {
        self.other(&format!("APPEND Bell {MAIL}"));
        self.client.now += QUIET;
        let told = self.client.drain();
        assert!(told.contains("* STATUS Bell ("), "{told}");
    }

    /// What the client is told once it is woken.
    fn woken(&mut self) -> String {
        self.client.session.resume(wire::Event::MailboxChanged);
        self.later()
    }

    /// What the client is told when the while is over, all of it.
    fn later(&mut self) -> String {
        let mut told = String::new();
        for _ in 0..10 {
            self.client.now += QUIET;
            told.push_str(&self.client.drain());
        }
        told
    }
}

const ALL: &str = "NOTIFY SET (personal (MessageNew MessageExpunge FlagChange))";

#[test]
fn other_terms_lose_nothing() {
    let mut stage = Stage::new(&["Work"]);
    stage.say(ALL);
    stage.quieten();
    stage.other(&format!("APPEND Work {MAIL}"));
    let mut told = stage.say("NOTIFY SET (personal (MessageNew MessageExpunge)) (selected NONE)");
    told.push_str(&stage.later());
    assert_eq!(told, "* STATUS Work (UIDNEXT 2 MESSAGES 1)\r\n");
    // What was made a moment before is watched, and told.
    stage.quieten();
    stage.other("CREATE Fresh");
    stage.other(&format!("APPEND Fresh {MAIL}"));
    let mut told = stage.say("NOTIFY SET (personal (MessageNew MessageExpunge))");
    told.push_str(&stage.later());
    assert!(
        told.starts_with("* STATUS Fresh (UIDNEXT 2 MESSAGES 1 UIDVALIDITY "),
        "{told}"
    );
    // Refused terms change nothing.
    stage.quieten();
    stage.other(&format!("APPEND Work {MAIL}"));
    let refused = stage
        .client
        .say("x NOTIFY SET (personal (MessageNew MessageExpunge AnnotationChange))\r\n");
    assert!(refused.contains("x NO "), "{refused}");
    assert_eq!(stage.later(), "* STATUS Work (UIDNEXT 3 MESSAGES 2)\r\n");
}

#[test]
fn more_than_is_looked_at_at_once_is_told_under_other_terms() {
    let names: Vec<String> = (0..20).map(|number| format!("m{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut stage = Stage::new(&names);
    stage.say(ALL);
    stage.quieten();
    for name in &names {
        stage.other(&format!("APPEND {name} {MAIL}"));
    }
    stage.client.now += QUIET;
    let mut told = stage.say(&format!("{ALL} (selected NONE)"));
    told.push_str(&stage.later());
    assert_eq!(told.matches("* STATUS m").count(), 20, "{told}");
}

#[test]
fn own_messages_hide_nothing() {
    let mut stage = Stage::new(&["Work"]);
    stage.other(&format!("APPEND INBOX {MAIL}"));
    for _ in 0..3 {
        stage.other(&format!("APPEND Work {MAIL}"));
    }
    stage.other("SELECT Work");
    stage.say("SELECT INBOX");
    stage.say("NOTIFY SET STATUS (personal (MessageNew MessageExpunge))");
    let mut uid_next = 4;
    for own in [format!("APPEND Work {MAIL}"), "COPY 1 Work".to_owned()] {
        stage.other("STORE 1 +FLAGS.SILENT (\\Deleted)");
        assert_eq!(stage.later(), "");
        stage.quieten();
        // One comes and one goes: as many as before, and one more by the client itself.
        stage.other(&format!("APPEND Work {MAIL}"));
        stage.other("EXPUNGE");
        let mut told = stage.say(&own);
        told.push_str(&stage.later());
        let expected = format!("* STATUS Work (UIDNEXT {} MESSAGES 4", uid_next + 2);
        assert!(told.starts_with(&expected), "{told}");
        // Nothing of what it does alone.
        stage.say("COPY 1 Work");
        stage.say(&format!("APPEND Work {MAIL}"));
        assert_eq!(stage.later(), "");
        stage.other("NOOP");
        stage.other("STORE 4:6 +FLAGS.SILENT (\\Deleted)");
        stage.other("EXPUNGE");
        stage.later();
        uid_next += 4;
    }
}

#[test]
fn what_closing_expunges_hides_nothing() {
    let mut stage = Stage::new(&["Work"]);
    for _ in 0..4 {
        stage.other(&format!("APPEND Work {MAIL}"));
    }
    stage.say(
        "NOTIFY SET (selected (MessageNew MessageExpunge FlagChange)) \
               (personal (MessageNew MessageExpunge FlagChange))",
    );
    for (others, told) in [
        (None, ""),
        (
            Some(format!("APPEND Work (\\Deleted) {MAIL}")),
            "* STATUS Work (UIDNEXT ",
        ),
    ] {
        stage.say("SELECT Work");
        stage.say("STORE 1 +FLAGS (\\Deleted)");
        if let Some(others) = others {
            stage.other(&others);
        }
        let mut later = stage.say("CLOSE");
        later.push_str(&stage.later());
        assert!(
            later.starts_with(told) && later.is_empty() == told.is_empty(),
            "{later}"
        );
    }
}

#[test]
fn another_mailbox_of_the_name_is_told() {
    let mut stage = Stage::new(&["Work", "Play"]);
    for _ in 0..2 {
        stage.other(&format!("APPEND Work {MAIL}"));
        stage.other(&format!("APPEND Play {MAIL}"));
    }
    stage.say("NOTIFY SET (mailboxes (Work Bell) (MessageNew MessageExpunge FlagChange))");
    // At once, and with a pause.
    for pause in [false, true] {
        stage.quieten();
        stage.other("DELETE Work");
        if pause {
            assert_eq!(stage.later(), "");
        }
        stage.other("CREATE Work");
        let told = stage.later();
        let validity = "* STATUS Work (UIDNEXT 1 MESSAGES 0 UNSEEN 0 UIDVALIDITY ";
        assert!(told.starts_with(validity), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    stage.quieten();
    stage.other("DELETE Work");
    stage.other("RENAME Play Work");
    let told = stage.later();
    let validity = "* STATUS Work (UIDNEXT 3 MESSAGES 2 UNSEEN 2 UIDVALIDITY ";
    assert!(told.starts_with(validity), "{told}");
    stage.other(&format!("APPEND Work {MAIL}"));
    assert_eq!(
        stage.later(),
        "* STATUS Work (UIDNEXT 4 MESSAGES 3 UNSEEN 3)\r\n"
    );
}

#[test]
fn a_rename_that_is_told_is_followed_and_one_that_is_not_is_told() {
    let mut stage = Stage::new(&["Work", "Work/Below"]);
    stage.other(&format!("APPEND Work/Below {MAIL}"));
    stage.say("NOTIFY SET (personal (MessageNew MessageExpunge MailboxName))");
    stage.quieten();
    stage.other("RENAME Work Play");
    stage.other(&format!("APPEND Play {MAIL}"));
    let told = stage.later();
    assert_eq!(
        told,
        "* LIST (\\HasChildren) \"/\" Play (\"OLDNAME\" (Work))\r\n\
         * STATUS Play (UIDNEXT 2 MESSAGES 1)\r\n"
    );
    // The client's own.
    stage.say("NOTIFY SET (personal (MessageNew MessageExpunge))");
    stage.say("RENAME Play Work");
    assert_eq!(stage.later(), "");
    stage.other("RENAME Work Play");
    let told = stage.later();
    assert!(
        told.contains("* STATUS Play (UIDNEXT 2 MESSAGES 1 UIDVALIDITY "),
        "{told}"
    );
    assert!(
        told.contains("* STATUS Play/Below (UIDNEXT 2 MESSAGES 1 UIDVALIDITY "),
        "{told}"
    );
}

#[test]
fn own_names_hide_none_of_others() {
    let mut stage = Stage::new(&[]);
    stage.say("NOTIFY SET (personal (MessageNew MessageExpunge))");
    for (number, own) in [
        "SUBSCRIBE Bell",
        "CREATE Own",
        "RENAME Own Mine",
        "DELETE Mine",
    ]
    .into_iter()
    .enumerate()
    {
        stage.quieten();
        stage.other(&format!("CREATE Fresh{number}"));
        stage.other(&format!("APPEND Fresh{number} {MAIL}"));
        stage.say(own);
        let told = stage.later();
        let fresh = format!("* STATUS Fresh{number} (UIDNEXT 2 MESSAGES 1 UIDVALIDITY ");
        assert!(told.starts_with(&fresh), "{own}: {told}");
        // Which of two things happened to a name first is not known.
        let lines = 1 + usize::from(own.starts_with("RENAME"));
        assert_eq!(told.lines().count(), lines, "{own}: {told}");
    }
    // What others made is not told when the client first uses it.
    stage.other("CREATE Empty");
    assert!(
        stage
            .later()
            .starts_with("* STATUS Empty (UIDNEXT 1 MESSAGES 0 UIDVALIDITY ")
    );
    stage.say(&format!("APPEND Empty {MAIL}"));
    assert_eq!(stage.later(), "");
}

#[test]
fn the_selected_mailbox_is_not_told_of_as_others_under_another_name_either() {
    let mut stage = Stage::new(&["Work"]);
    stage.say("SELECT Work");
    stage.say(
        "NOTIFY SET (selected (MessageNew MessageExpunge)) \
               (personal (MessageNew MessageExpunge))",
    );
    stage.other("RENAME Work Play");
    stage.other(&format!("APPEND Play {MAIL}"));
    assert!(!stage.later().contains("STATUS"));
    assert!(stage.say("NOOP").contains("* 1 EXISTS"));
    // Another one has its name now, and is watched.
    stage.other("CREATE Work");
    stage.other(&format!("APPEND Work {MAIL}"));
    let told = stage.later();
    assert!(
        told.starts_with("* STATUS Work (UIDNEXT 2 MESSAGES 1 UIDVALIDITY "),
        "{told}"
    );
    stage.say("STORE 1 +FLAGS (\\Deleted)");
    stage.say("CLOSE");
    assert_eq!(stage.later(), "");
    stage.other(&format!("APPEND Play {MAIL}"));
    assert_eq!(stage.later(), "* STATUS Play (UIDNEXT 3 MESSAGES 1)\r\n");
}

#[test]
fn what_nobody_wants_to_hear_of_ends_nothing() {
    let mut stage = Stage::new(&["Work"]);
    stage.say("SELECT INBOX");
    let flood = |stage: &Stage| {
        let name = stage.account.parse_name("Work").expect("a name");
        for number in 0..=1000 {
            stage
                .account
                .set_subscribed(&name, number % 2 == 0)
                .expect("subscribed");
        }
    };
    stage.say("NOTIFY SET (selected (MessageNew MessageExpunge)) (personal (SubscriptionChange))");
    stage.say("NOTIFY SET (selected (MessageNew MessageExpunge))");
    flood(&stage);
    assert_eq!(stage.later(), "");
    stage.say("ENABLE METADATA");
    flood(&stage);
    let told = stage.later();
    assert!(
        told.starts_with("* OK ") && !told.contains("OVERFLOW"),
        "{told}"
    );
    stage.other(&format!("APPEND INBOX {MAIL}"));
    stage.client.session.resume(wire::Event::MailboxChanged);
    assert!(stage.later().starts_with("* 1 EXISTS\r\n"));
}

#[test]
fn what_was_made_below_a_renamed_name_is_told() {
    let mut stage = Stage::new(&["Work"]);
    stage.say("NOTIFY SET (personal (MailboxName MessageNew MessageExpunge))");
    stage.quieten();
    // Both before either is told: the new name below is no news of its own.
    stage.other("CREATE Work/a");
    stage.other("RENAME Work Play");
    let told = stage.later();
    assert!(
        told.contains("* LIST (\\HasChildren) \"/\" Play (\"OLDNAME\" (Work))\r\n"),
        "{told}"
    );
    assert!(
        told.contains("* LIST (\\HasNoChildren) \"/\" Play/a\r\n"),
        "{told}"
    );
}

#[test]
fn what_comes_is_told_while_what_went_cannot_be() {
    let mut stage = Stage::new(&[]);
    for _ in 0..3 {
        stage.other(&format!("APPEND INBOX {MAIL}"));
    }
    stage.say("SELECT INBOX");
    stage.say("NOTIFY SET (selected-delayed (MessageNew (UID FLAGS) MessageExpunge FlagChange))");
    stage.other("STORE 1 +FLAGS.SILENT (\\Deleted)");
    stage.woken();
    stage.other("EXPUNGE");
    assert_eq!(stage.woken(), "");
    for uid in [4, 5] {
        stage.other(&format!("APPEND INBOX {MAIL}"));
        let told = stage.woken();
        let expected =
            format!("* {uid} EXISTS\r\n* 0 RECENT\r\n* {uid} FETCH (UID {uid} FLAGS ())\r\n");
        assert_eq!(told, expected);
    }
    stage.other("STORE 1,4 +FLAGS.SILENT (\\Seen)");
    let told = stage.woken();
    assert!(told.contains("* 2 FETCH (UID 2 FLAGS (\\Seen)"), "{told}");
    assert!(told.contains("* 5 FETCH (UID 5 FLAGS (\\Seen)"), "{told}");
    assert_eq!(stage.say("NOOP"), "* 1 EXPUNGE\r\n");
    assert_eq!(stage.say("NOOP"), "");
    assert_eq!(
        stage.say("FETCH 1:* UID"),
        "* 1 FETCH (UID 2)\r\n* 2 FETCH (UID 3)\r\n* 3 FETCH (UID 4)\r\n* 4 FETCH (UID 5)\r\n"
    );
}
