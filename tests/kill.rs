//! kill -9 under load: everything acknowledged is there afterwards, once and
//! whole, under the UID that was told.

mod common;

use common::Server;
use common::imap::Imap;
use std::collections::BTreeMap;
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

#[test]
fn acknowledged_appends_survive_kill_9() {
    let keep = tempfile::tempdir().expect("temporary directory");
    let acknowledged: Arc<Mutex<BTreeMap<u32, String>>> = Arc::default();
    let mut validity = None;
    for round in 0..4 {
        let server = Server::start_in(keep.path().to_owned());
        let ready = Arc::new(Barrier::new(4));
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let acknowledged = Arc::clone(&acknowledged);
                let port = server.imap;
                let ready = Arc::clone(&ready);
                std::thread::spawn(move || {
                    let mut session = Imap::login(port);
                    ready.wait();
                    let mut told = None;
                    for number in 0.. {
                        let text =
                            format!("Subject: {round} {writer} {number}\r\n\r\nbody {number}\r\n");
                        let Some((uid_validity, uid)) = session.append(&text) else {
                            break;
                        };
                        let before = acknowledged.lock().expect("lock").insert(uid, text);
                        assert_eq!(before, None, "UID {uid} was given twice");
                        told = Some(uid_validity);
                    }
                    told
                })
            })
            .collect();
        ready.wait();
        std::thread::sleep(Duration::from_millis(300 + 150 * round));
        server.kill();
        for writer in writers {
            if let Some(told) = writer.join().expect("writer") {
                assert_eq!(*validity.get_or_insert(told), told, "UIDVALIDITY changed");
            }
        }
    }
    let server = Server::start_in(keep.path().to_owned());
    let mut session = Imap::login(server.imap);
    session.command("SELECT INBOX").expect("select");
    let acknowledged = acknowledged.lock().expect("lock");
    assert!(
        acknowledged.len() > 20,
        "only {} messages were acknowledged",
        acknowledged.len()
    );
    for (uid, text) in acknowledged.iter() {
        assert_eq!(session.body(*uid), *text, "UID {uid}");
    }
    let all = session.command("UID SEARCH ALL").expect("search");
    let count = all[0].split(' ').skip(2).count();
    assert!(
        count >= acknowledged.len() && count <= acknowledged.len() + 12,
        "{count} messages"
    );
}
