//! kill -9 under load: everything acknowledged is there afterwards, once and
//! whole, under the UID that was told.

mod common;

use common::Server;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

struct Imap {
    reader: BufReader<TcpStream>,
}

impl Imap {
    fn login(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
        stream.set_nodelay(true).expect("nodelay");
        let mut session = Self {
            reader: BufReader::new(stream),
        };
        session.line().expect("greeting");
        let answer = session.command("LOGIN anna secret").expect("login");
        assert!(
            answer.last().is_some_and(|line| line.starts_with("a OK")),
            "{answer:?}"
        );
        session
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(count) if count > 0 && line.ends_with("\r\n") => Some(line.trim_end().to_owned()),
            _ => None,
        }
    }

    fn command(&mut self, text: &str) -> Option<Vec<String>> {
        self.reader
            .get_mut()
            .write_all(format!("a {text}\r\n").as_bytes())
            .ok()?;
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            let last = line.starts_with("a ");
            lines.push(line);
            if last {
                return Some(lines);
            }
        }
    }

    fn append(&mut self, text: &str) -> Option<(u32, u32)> {
        let lines = self.command(&format!("APPEND INBOX {{{}+}}\r\n{text}", text.len()))?;
        let code = lines
            .last()?
            .split("APPENDUID ")
            .nth(1)?
            .split(']')
            .next()?
            .to_owned();
        let (validity, uid) = code.split_once(' ')?;
        Some((validity.parse().ok()?, uid.parse().ok()?))
    }

    fn body(&mut self, uid: u32) -> String {
        self.reader
            .get_mut()
            .write_all(format!("a UID FETCH {uid} BODY.PEEK[]\r\n").as_bytes())
            .expect("send");
        let head = self.line().expect("fetch");
        let octets: usize = head
            .rsplit_once('{')
            .and_then(|(_, rest)| rest.trim_end_matches('}').parse().ok())
            .unwrap_or_else(|| panic!("UID {uid} is gone: {head}"));
        let mut body = vec![0; octets];
        self.reader.read_exact(&mut body).expect("body");
        while !self.line().expect("end of fetch").starts_with("a ") {}
        String::from_utf8(body).expect("text")
    }
}

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
