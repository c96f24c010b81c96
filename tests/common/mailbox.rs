//! The mailbox that tests begin with.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A directory for a server and its mail: where `PILLARBOX_TEST_MAIL` says, which may be in
/// memory.
pub fn directory() -> tempfile::TempDir {
    let made = match std::env::var_os("PILLARBOX_TEST_MAIL") {
        Some(place) => tempfile::tempdir_in(place),
        None => tempfile::tempdir(),
    };
    made.expect("temporary directory")
}

/// The Maildir of the user `anna` in a server's directory.
pub fn maildir(directory: &Path) -> PathBuf {
    directory.join("mail/anna/Maildir")
}

/// The n-th known message, with LF line ends as an MTA stores it.
pub fn message(number: u32) -> String {
    format!(
        "From: Ben <ben@example.org>\nTo: anna@example.org\nSubject: Message {number}\n\
         Date: Mon, 2 Nov 2026 10:00:0{} +0000\nMessage-ID: <{number}@example.org>\n\n\
         This is message {number}.\n.A line with a dot.\n",
        number % 10
    )
}

/// Delivers this many known messages to the Maildir in a directory; the first `aged`
/// of them came in the year 2000.
pub fn fill(directory: &Path, messages: u32, aged: u32) {
    let maildir = maildir(directory);
    for folder in ["cur", "new", "tmp"] {
        fs::create_dir_all(maildir.join(folder)).expect("maildir");
    }
    for number in 1..=messages {
        let aged = number <= aged;
        let seconds = if aged { 946_684 } else { 1_793_613 };
        let path = maildir.join(format!("new/{seconds}{number:03}.M1P1.example"));
        fs::write(&path, message(number)).expect("message");
        if aged {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(946_684_800);
            let file = fs::File::options()
                .append(true)
                .open(&path)
                .expect("message");
            file.set_modified(time).expect("dated");
        }
    }
}
