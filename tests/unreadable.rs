//! Mailboxes that the system does not let the server read: what clients are told, and that
//! the other mailboxes are there.

mod common;

use common::Server;
use common::imap::Imap;
use common::talk::Talk;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

/// The user and group that the server has where the test could read everything.
const NOBODY: u32 = 65_534;

/// Gives all that is in a directory to a user.
fn give(directory: &Path, number: u32) {
    chown(directory, Some(number), Some(number)).expect("given");
    for entry in fs::read_dir(directory).expect("listed") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => give(&path, number),
            false => chown(&path, Some(number), Some(number)).expect("given"),
        }
    }
}

/// Lets nobody but root look into a directory, or all again.
fn set_open(directory: &Path, is_open: bool) {
    let mode = if is_open { 0o700 } else { 0 };
    fs::set_permissions(directory, fs::Permissions::from_mode(mode)).expect("changed");
}

#[test]
fn the_others_work_and_the_client_is_told() {
    let keep = tempfile::tempdir().expect("a directory");
    let directory = keep.path();
    common::mailbox::fill(directory, 2, 0);
    let maildir = common::mailbox::maildir(directory);
    for name in [".Work", ".Closed"] {
        for part in ["cur", "new", "tmp"] {
            fs::create_dir_all(maildir.join(name).join(part)).expect("made");
        }
        let file = maildir.join(name).join("cur/1.M1P1.example:2,");
        fs::write(file, common::mailbox::message(1)).expect("written");
    }
    let is_root = nix::unistd::Uid::effective().is_root();
    let number = is_root.then_some(NOBODY);
    if let Some(number) = number {
        give(directory, number);
    }
    let (cur, closed) = (maildir.join("cur"), maildir.join(".Closed"));
    for directory in [&cur, &closed] {
        set_open(directory, false);
    }
    let server = Server::start_in_as(directory.to_owned(), number);
    let mut imap = Imap::login(server.imap);
    let listed = imap.ok("LIST \"\" * RETURN (STATUS (MESSAGES))");
    for line in [
        "* LIST (\\HasNoChildren) \"/\" Work",
        "* STATUS Work (MESSAGES 1)",
        "* LIST (\\HasNoChildren) \"/\" Closed",
    ] {
        assert!(listed.iter().any(|told| told == line), "{line}: {listed:?}");
    }
    let told = "a NO [CONTACTADMIN] The server may not use these files, its log says what to do (";
    for command in ["SELECT Closed", "STATUS Closed (MESSAGES)", "SELECT INBOX"] {
        let answer = imap.command(command).expect("an answer");
        let last = answer.last().expect("a line");
        assert!(last.starts_with(told), "{command}: {answer:?}");
    }
    imap.ok("SELECT Work");
    assert!(imap.body(1).contains("This is message 1."));
    imap.ok("CREATE New");
    let found = imap.ok("ESEARCH IN (personal) RETURN (COUNT) ALL");
    let count = |text: &str| found.iter().filter(|line| line.contains(text)).count();
    assert_eq!(
        count("* ESEARCH (TAG \"a\" MAILBOX Work UIDVALIDITY"),
        1,
        "{found:?}"
    );
    assert_eq!(count("* NO [CONTACTADMIN] "), 2, "{found:?}");
    refused(&server);
    for directory in [&cur, &closed] {
        set_open(directory, true);
    }
    imap.ok("SELECT Closed");
    imap.ok("SELECT INBOX");
    drop(server);
    // All of the mail, before anybody logs in.
    let server = Server::start_in_as(directory.to_owned(), number);
    set_open(&maildir, false);
    refused(&server);
    let mut imap = Talk::open(server.imap);
    imap.line();
    imap.send("a LOGIN anna secret\r\n");
    let answer = imap.line();
    let told = "a NO [CONTACTADMIN] The server may not use your mail";
    assert!(answer.starts_with(told), "{answer}");
    set_open(&maildir, true);
    Imap::login(server.imap).ok("SELECT INBOX");
}

/// POP3 says that trying again is of no use.
fn refused(server: &Server) {
    let mut pop3 = Talk::open(server.pop3);
    pop3.line();
    for command in ["USER anna", "PASS secret"] {
        pop3.send(&format!("{command}\r\n"));
        let told = match command {
            "PASS secret" => "-ERR [SYS/PERM] the server may not use the maildrop",
            _ => "+OK",
        };
        let answer = pop3.line();
        assert!(answer.starts_with(told), "{command}: {answer}");
    }
}
