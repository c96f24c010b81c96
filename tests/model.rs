//! Random commands of two IMAP sessions, a POP3 session and a foreign writer
//! over one mailbox, against a small model of it. Once quiet, every view agrees
//! with the model, no UID ever stands for another message, and sequence numbers
//! are always right.

mod common;

use common::Server;
use common::imap::Imap;
use common::mailbox::maildir;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A small generator (xorshift), so that a seed tells the whole run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).expect("64 bits") % limit
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        (!from.is_empty()).then(|| &from[self.below(from.len())])
    }
}

type FlagSet = BTreeSet<String>;

/// What a client knows of its mailbox, by what the server told it.
struct View {
    imap: Imap,
    /// By sequence number less one; `None` until fetched.
    uids: Vec<Option<u32>>,
    flags: BTreeMap<u32, FlagSet>,
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    text.split_once(start)?
        .1
        .split_once(end)
        .map(|(inner, _)| inner)
}

fn flag_set(text: &str) -> FlagSet {
    text.split(' ')
        .filter(|flag| !flag.is_empty() && *flag != "\\Recent")
        .map(str::to_owned)
        .collect()
}

impl View {
    fn open(port: u16) -> Self {
        let mut view = Self {
            imap: Imap::login(port),
            uids: Vec::new(),
            flags: BTreeMap::new(),
        };
        view.run("SELECT INBOX");
        view.look();
        view
    }

    /// Runs a command and takes in what is told; gives the tagged line.
    fn run(&mut self, command: &str) -> String {
        let mut lines = self
            .imap
            .command(command)
            .unwrap_or_else(|| panic!("closed at {command}"));
        let tagged = lines.pop().expect("a tagged line");
        for line in lines {
            self.take(&line, command);
        }
        tagged
    }

    fn take(&mut self, line: &str, command: &str) {
        let mut words = line.split(' ').skip(1);
        let (Some(number), Some(kind)) = (words.next(), words.next()) else {
            return;
        };
        let Ok(number) = number.parse::<usize>() else {
            return;
        };
        match kind {
            "EXISTS" => {
                assert!(
                    number >= self.uids.len(),
                    "{command}: EXISTS {number} but {} known",
                    self.uids.len()
                );
                self.uids.resize(number, None);
            }
            "EXPUNGE" => {
                assert!(
                    (1..=self.uids.len()).contains(&number),
                    "{command}: EXPUNGE {number}"
                );
                let uses_numbers = ["FETCH", "STORE", "SEARCH"]
                    .iter()
                    .any(|name| command.starts_with(name));
                assert!(
                    !uses_numbers,
                    "EXPUNGE told during {command} (RFC 3501 section 7.4.1)"
                );
                if let Some(uid) = self.uids.remove(number - 1) {
                    self.flags.remove(&uid);
                }
            }
            "FETCH" => {
                assert!(
                    (1..=self.uids.len()).contains(&number),
                    "{command}: FETCH {number} of {}",
                    self.uids.len()
                );
                let known = &mut self.uids[number - 1];
                if let Some(uid) = between(line, "UID ", " ").or(between(line, "UID ", ")")) {
                    let uid = uid.trim_end_matches(')').parse().expect("a UID");
                    assert!(
                        known.is_none_or(|known| known == uid),
                        "{command}: {line} but UID {known:?} was known"
                    );
                    *known = Some(uid);
                }
                if let (Some(uid), Some(flags)) = (*known, between(line, "FLAGS (", ")")) {
                    self.flags.insert(uid, flag_set(flags));
                }
            }
            _ => {}
        }
    }

    fn look(&mut self) {
        if !self.uids.is_empty() {
            self.run("FETCH 1:* (UID FLAGS)");
        }
    }
}

/// What should be: messages by their subject.
#[derive(Default)]
struct Model {
    flags: BTreeMap<String, FlagSet>,
    /// Which message each UID ever stood for.
    uids: BTreeMap<u32, String>,
    next: u32,
}

struct Run {
    random: Random,
    server: Server,
    folder: PathBuf,
    views: Vec<View>,
    model: Model,
}

fn pop3(port: u16, commands: &[String]) -> Vec<String> {
    let mut reader = BufReader::new(TcpStream::connect(("127.0.0.1", port)).expect("connect"));
    let mut answers = Vec::new();
    let greeting = [
        "".to_owned(),
        "USER anna".to_owned(),
        "PASS secret".to_owned(),
    ];
    for command in greeting.iter().chain(commands) {
        if !command.is_empty() {
            reader
                .get_mut()
                .write_all(format!("{command}\r\n").as_bytes())
                .expect("send");
        }
        let mut line = String::new();
        reader.read_line(&mut line).expect("answer");
        let mut answer = line.trim_end().to_owned();
        if command.starts_with("TOP") && answer.starts_with("+OK") {
            while line != ".\r\n" {
                line.clear();
                reader.read_line(&mut line).expect("answer");
                if let Some(subject) = line.strip_prefix("Subject: ") {
                    answer = subject.trim_end().to_owned();
                }
            }
        }
        answers.push(answer);
    }
    answers.split_off(3)
}

impl Run {
    fn new(seed: u64) -> (tempfile::TempDir, Self) {
        let keep = tempfile::tempdir().expect("directory");
        let server = Server::start_in(keep.path().to_owned());
        let views = (0..2).map(|_| View::open(server.imap)).collect();
        let folder = maildir(keep.path());
        (
            keep,
            Self {
                random: Random(seed),
                server,
                folder,
                views,
                model: Model::default(),
            },
        )
    }

    fn new_message(&mut self) -> (String, String) {
        self.model.next += 1;
        let subject = format!("number {}", self.model.next);
        (format!("Subject: {subject}\r\n\r\nbody\r\n"), subject)
    }

    /// A sequence number of a view whose UID is known, with the message's subject.
    fn known(&mut self, view: usize) -> Option<(usize, String)> {
        let uids = self.views[view].uids.clone();
        let place = self.random.below(uids.len().max(1));
        let uid = (*uids.get(place)?)?;
        Some((place + 1, self.model.uids.get(&uid)?.clone()))
    }

    fn step(&mut self) {
        let view = self.random.below(2);
        match self.random.below(12) {
            0 | 1 => {
                let (text, subject) = self.new_message();
                let (_, uid) = self.views[view].imap.append(&text).expect("append");
                self.model.uids.insert(uid, subject.clone());
                self.model.flags.insert(subject, FlagSet::new());
                // APPEND tells too; the helper passed it over, so look again.
                self.views[view] = View::open(self.server.imap);
            }
            2 => self.deliver(),
            3 => self.rename_flags(),
            4 => self.remove_file(),
            5 => {
                let Some((number, subject)) = self.known(view) else {
                    return;
                };
                let flag = *self
                    .random
                    .pick(&["\\Seen", "\\Flagged", "Blue", "Green"])
                    .expect("some");
                let sign = *self.random.pick(&["+", "-"]).expect("some");
                if self.views[view]
                    .run(&format!("STORE {number} {sign}FLAGS ({flag})"))
                    .starts_with("a OK")
                    && let Some(flags) = self.model.flags.get_mut(&subject)
                {
                    if sign == "+" {
                        flags.insert(flag.to_owned())
                    } else {
                        flags.remove(flag)
                    };
                }
            }
            6 => {
                let Some((number, subject)) = self.known(view) else {
                    return;
                };
                if self.views[view]
                    .run(&format!("STORE {number} FLAGS.SILENT (\\Deleted)"))
                    .starts_with("a OK")
                {
                    if let Some(flags) = self.model.flags.get_mut(&subject) {
                        *flags = FlagSet::from(["\\Deleted".to_owned()]);
                    }
                    self.views[view].run("EXPUNGE");
                    self.model
                        .flags
                        .retain(|_, flags| !flags.contains("\\Deleted"));
                }
            }
            7 => {
                let Some((number, _)) = self.known(view) else {
                    return;
                };
                self.views[view].run(&format!("FETCH {number} (FLAGS RFC822.SIZE)"));
            }
            8 => self.pop3_removes(),
            9 => {
                self.views[view].run("SEARCH FLAGGED");
            }
            _ => {
                self.views[view].run("NOOP");
            }
        }
    }

    fn deliver(&mut self) {
        let (text, subject) = self.new_message();
        let name = format!(
            "{}.M{}P7.foreign",
            1_700_000_000 + self.model.next,
            self.model.next
        );
        fs::write(
            self.folder.join("tmp").join(&name),
            text.replace("\r\n", "\n"),
        )
        .expect("write");
        fs::rename(
            self.folder.join("tmp").join(&name),
            self.folder.join("new").join(&name),
        )
        .expect("rename");
        self.model.flags.insert(subject, FlagSet::new());
    }

    /// A message's file and its subject.
    fn some_file(&mut self) -> Option<(PathBuf, String)> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.folder.join("cur"))
            .expect("cur")
            .map(|entry| entry.expect("entry").path())
            .collect();
        files.sort();
        let file = self.random.pick(&files)?.clone();
        let subject = fs::read_to_string(&file)
            .ok()?
            .lines()
            .next()?
            .strip_prefix("Subject: ")?
            .to_owned();
        Some((file, subject))
    }

    fn rename_flags(&mut self) {
        let Some((file, subject)) = self.some_file() else {
            return;
        };
        let name = file
            .file_name()
            .expect("name")
            .to_string_lossy()
            .into_owned();
        let (base, marks) = name.split_once(":2,").expect("flags");
        let marks: String = if marks.contains('R') {
            marks.replace('R', "")
        } else {
            marks
                .chars()
                .chain(['R'])
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect()
        };
        let now = file.with_file_name(format!("{base}:2,{marks}"));
        fs::rename(&file, now).expect("rename");
        let flags = self
            .model
            .flags
            .get_mut(&subject)
            .unwrap_or_else(|| panic!("{subject} should be gone"));
        if marks.contains('R') {
            flags.insert("\\Answered".to_owned())
        } else {
            flags.remove("\\Answered")
        };
    }

    fn remove_file(&mut self) {
        let Some((file, subject)) = self.some_file() else {
            return;
        };
        fs::remove_file(file).expect("remove");
        assert!(
            self.model.flags.remove(&subject).is_some(),
            "{subject} should be gone"
        );
    }

    fn pop3_removes(&mut self) {
        let count: usize = pop3(self.server.pop3, &["STAT".into(), "QUIT".into()])[0]
            .split(' ')
            .nth(1)
            .and_then(|count| count.parse().ok())
            .expect("STAT");
        if count == 0 {
            return;
        }
        let number = 1 + self.random.below(count);
        let answers = pop3(
            self.server.pop3,
            &[
                format!("TOP {number} 0"),
                format!("DELE {number}"),
                "QUIT".into(),
            ],
        );
        if answers[1].starts_with("+OK") && answers[2].starts_with("+OK") {
            self.model.flags.remove(&answers[0]);
        }
    }

    /// Waits until a new session sees what the model says, then checks the views.
    fn settle(&mut self, seed: u64) {
        let deadline = Instant::now() + Duration::from_secs(5);
        let seen = loop {
            let mut fresh = View::open(self.server.imap);
            let mut seen = BTreeMap::new();
            for uid in fresh.uids.clone().into_iter().flatten() {
                let subject = match self.model.uids.get(&uid) {
                    Some(subject) => subject.clone(),
                    None => fresh
                        .imap
                        .body(uid)
                        .lines()
                        .next()
                        .and_then(|line| line.strip_prefix("Subject: "))
                        .expect("subject")
                        .to_owned(),
                };
                let before = self.model.uids.insert(uid, subject.clone());
                assert!(
                    before.is_none_or(|before| before == subject),
                    "seed {seed}: UID {uid} changed its message"
                );
                let twice = seen.insert(subject.clone(), fresh.flags[&uid].clone());
                assert_eq!(twice, None, "seed {seed}: {subject} is there twice");
            }
            if seen == self.model.flags || Instant::now() > deadline {
                break seen;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(
            seen, self.model.flags,
            "seed {seed}: what is (left) and what should be (right)"
        );
        let highest = self.model.uids.keys().next_back().copied();
        let subjects: BTreeSet<&String> = self.model.uids.values().collect();
        assert_eq!(
            subjects.len(),
            self.model.uids.len(),
            "seed {seed}: a message had two UIDs; highest {highest:?}"
        );
        for view in &mut self.views {
            view.run("NOOP");
            view.look();
            let told: BTreeMap<String, FlagSet> = view
                .uids
                .iter()
                .map(|uid| {
                    let uid = uid.expect("fetched");
                    (self.model.uids[&uid].clone(), view.flags[&uid].clone())
                })
                .collect();
            assert_eq!(
                told, self.model.flags,
                "seed {seed}: a session's view (left)"
            );
            assert!(view.uids.is_sorted(), "seed {seed}: UIDs out of order");
        }
    }
}

#[test]
fn views_agree_with_the_model_once_quiet() {
    let first: u64 = std::env::var("MODEL_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    for seed in first..first + 4 {
        let (_keep, mut run) = Run::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for _ in 0..12 {
            for _ in 0..25 {
                run.step();
            }
            run.settle(seed);
        }
        assert!(run.model.uids.len() > 30, "seed {seed} did too little");
    }
}
