//! What a client hears while a command waits for something (RFC 9585): here for another
//! program that holds the lock of a mailbox.

mod common;

use common::Server;
use common::talk::Talk;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The lock of a mailbox, held by this program until dropped.
struct Lock(PathBuf);

impl Lock {
    fn take(server: &Server, directory: &str) -> Self {
        let maildir = Path::new("mail/anna/Maildir").join(directory);
        let file = server.directory().join(maildir);
        let file = file.join("dovecot-uidlist.lock");
        let host = fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
        let owner = format!("{}:{}", std::process::id(), host.trim());
        fs::write(&file, owner).expect("locked");
        Self(file)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // It may fail while a test fails.
        let _ = fs::remove_file(&self.0);
    }
}

/// Each command, with its tag, and what follows its line.
const COMMANDS: [(&str, &str, &str); 5] = [
    ("a", "SELECT INBOX", ""),
    ("b", "APPEND one {3+}", "x\r\n\r\n"),
    ("d", "STATUS four (MESSAGES)", ""),
    ("e", "LIST \"\" five RETURN (STATUS (UNSEEN))", ""),
    ("f", "ESEARCH IN (mailboxes six) RETURN (COUNT) ALL", ""),
];

fn logged_in(server: &Server) -> Talk<TcpStream> {
    let mut client = Talk::open(server.imap);
    client.line();
    client.send("l LOGIN anna secret\r\n");
    while !client.line().starts_with("l OK") {}
    client
}

/// All lines up to the tagged one.
fn answer(client: &mut Talk<TcpStream>, tag: &str) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let line = client.line();
        let is_last = line.starts_with(&format!("{tag} "));
        lines.push(line);
        if is_last {
            return lines;
        }
    }
}

/// A server with mailboxes that hold a message nobody has seen.
fn server(config: &[&str]) -> Server {
    let server = Server::start_with(2, 0, config);
    let mut client = logged_in(&server);
    for name in ["one", "four", "five", "six"] {
        client.send(&format!("m CREATE {name}\r\n"));
        assert!(answer(&mut client, "m")[0].starts_with("m OK"));
        let file = format!("mail/anna/Maildir/.{name}/cur/1.x,S=3,W=4:2,");
        fs::write(server.directory().join(file), "\nx\n").expect("written");
    }
    server
}

#[test]
fn a_command_that_waits_is_told_of_again_and_again() {
    let server = server(&["clients: { progress_seconds: 1 }"]);
    let directories = ["", ".one", ".four", ".five", ".six"];
    let locks = directories.map(|directory| Lock::take(&server, directory));
    let mut clients = COMMANDS.map(|(tag, command, rest)| {
        let mut client = logged_in(&server);
        client.send(&format!("{tag} {command}\r\n{rest}"));
        client
    });
    for _ in 0..2 {
        for (client, (tag, ..)) in clients.iter_mut().zip(COMMANDS) {
            let told = format!("* OK [INPROGRESS (\"{tag}\" NIL NIL)] Still at work");
            assert_eq!(client.line(), told);
        }
    }
    drop(locks);
    for (client, (tag, ..)) in clients.iter_mut().zip(COMMANDS) {
        let mut lines = answer(client, tag);
        // Others may have waited until then.
        lines.retain(|line| !line.starts_with("* OK [INPROGRESS "));
        let last = lines.last().expect("a reply");
        assert!(last.starts_with(&format!("{tag} OK")), "{lines:?}");
    }
    // Nothing comes behind it.
    for client in &mut clients {
        client.send("z NOOP\r\n");
        assert!(answer(client, "z")[0].starts_with("z OK"));
    }
}

#[test]
fn who_does_not_have_the_capability_waits_in_silence() {
    let server = server(&[
        "clients: { progress_seconds: 1 }",
        "without_capabilities_of: { anna: [INPROGRESS] }",
    ]);
    let lock = Lock::take(&server, "");
    let mut client = logged_in(&server);
    client.send("a SELECT INBOX\r\n");
    let timeout = |client: &Talk<TcpStream>, milliseconds| {
        let timeout = Duration::from_millis(milliseconds);
        client.stream.set_read_timeout(Some(timeout)).expect("set");
    };
    timeout(&client, 2_500);
    let error = client.stream.peek(&mut [0]).expect_err("silence");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    timeout(&client, 20_000);
    drop(lock);
    let lines = answer(&mut client, "a");
    assert!(lines.iter().all(|line| !line.contains("INPROGRESS")));
}
