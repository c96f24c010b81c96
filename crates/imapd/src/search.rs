//! Evaluates SEARCH keys over a mailbox (RFC 3501 section 6.4.4).

mod candidate;
mod condition;

use crate::grammar::command::SearchKey;
use crate::progress::Measure;
use crate::response::More;
use candidate::Candidate;
use condition::{Condition, prepare};
use store::message::Folding;
use store::{Error, Mailbox, MessageRow, Result, Snapshot, Uid};

/// What one step may cost; see [`Candidate::cost`].
const STEP_COST: u64 = 4 << 20;
/// What a condition on what is in memory costs.
const MEMORY_COST: u64 = 20;

/// What the session knows of the messages.
pub struct Scope<'a> {
    /// The mailbox the messages are in.
    pub mailbox: &'a Mailbox,
    /// Whether a message is `\Recent` in the session.
    pub recent: &'a dyn Fn(Uid) -> bool,
    /// The saved result that `$` names, ascending.
    pub saved: &'a [Uid],
}

/// How keys are understood.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    /// Now, in seconds since 1970: for OLDER and YOUNGER.
    pub now_seconds: i64,
    /// How strings are compared.
    pub folding: Folding,
}

/// A search under way, step by step: other sessions have their turn in between.
pub struct Evaluation {
    snapshot: Snapshot,
    condition: Condition,
    /// How many conditions `condition` is made of.
    conditions: u64,
    next: usize,
}

impl Evaluation {
    /// Begins to look for what matches in a snapshot.
    pub fn new(snapshot: Snapshot, key: &SearchKey, manner: Manner) -> Self {
        let condition = prepare(&snapshot, manner, key);
        Self {
            conditions: condition.count(),
            condition,
            snapshot,
            next: 0,
        }
    }

    /// Passes over the messages before this index.
    pub fn starting_at(self, next: usize) -> Self {
        Self { next, ..self }
    }

    /// How far it is.
    pub fn measure(&self) -> Measure {
        Measure::Of {
            done: self.next as u64,
            all: self.snapshot.len() as u64,
        }
    }

    /// Looks at some messages and gives those that match, with their relevancy from 1 to
    /// 100 (RFC 6203 section 4); a message that vanished meanwhile does not. Errors are the
    /// disk's.
    pub fn step(
        &mut self,
        scope: &Scope<'_>,
        mut found: impl FnMut(&MessageRow<'_>, u8),
    ) -> Result<More> {
        let mut cost = 0;
        while cost < STEP_COST {
            let Some(row) = self.snapshot.row(self.next) else {
                return Ok(More::Nothing);
            };
            let mut candidate = Candidate::new(scope, self.next, row);
            self.next += 1;
            match candidate.matches(&self.condition) {
                Ok(true) => found(&row, candidate.relevancy()),
                Ok(false) | Err(Error::Expunged) => {}
                Err(error) => return Err(error),
            }
            cost += self.conditions * MEMORY_COST + candidate.cost();
        }
        Ok(More::Follows)
    }

    /// Whether one message matches; `None` if it is not in the snapshot. What it takes is
    /// added to `cost`.
    ///
    /// # Errors
    /// The disk's, and that the message vanished meanwhile.
    pub fn matches(&self, scope: &Scope<'_>, uid: Uid, cost: &mut u64) -> Result<Option<bool>> {
        let found = self.snapshot.index_of(uid);
        let Some((index, row)) = found.and_then(|index| Some((index, self.snapshot.row(index)?)))
        else {
            return Ok(None);
        };
        let mut candidate = Candidate::new(scope, index, row);
        let matches = candidate.matches(&self.condition);
        *cost += self.conditions * MEMORY_COST + candidate.cost();
        matches.map(Some)
    }

    /// Where it looks.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }
}

#[cfg(test)]
mod tests {
    use super::condition::DAY_SECONDS;
    use super::*;
    use crate::grammar::{Command, parse};
    use std::sync::Arc;
    use store::{Account, Flags, InternalDate, Layout, MailboxName};

    /// What a SEARCH finds among three messages, as sequence numbers.
    fn found(mailbox: &Mailbox, keys: &str, folding: Folding) -> Vec<usize> {
        let command = parse(format!("a SEARCH {keys}").as_bytes()).map(|tagged| tagged.command);
        let Ok(Command::Search(asked)) = command else {
            panic!("{keys}");
        };
        let snapshot = mailbox.sync().expect("synced");
        let saved = [Uid::new(2).expect("not 0")];
        let scope = Scope {
            mailbox,
            recent: &|uid| uid.get() == 3,
            saved: &saved,
        };
        let mut found = Vec::new();
        let manner = Manner {
            now_seconds: 10 * DAY_SECONDS,
            folding,
        };
        let mut evaluation = Evaluation::new(snapshot, &asked.key, manner);
        let more = evaluation.step(&scope, |row, _| found.push(row.uid.get() as usize));
        assert_eq!(more.expect("searched"), More::Nothing);
        found
    }

    #[test]
    fn finds_by_every_kind_of_key() {
        let directory = tempfile::tempdir().expect("directory");
        let layout = Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let account = Account::open(&directory.path().join("Maildir"), layout).expect("account");
        let mailbox = account.mailbox(&MailboxName::inbox()).expect("INBOX");
        let messages = [
            (
                "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nFrom: Ann <ann@example.org>\r\n\
                 Date: Fri, 02 Jan 1970 23:30:00 -0500\r\n\r\nHello wide world\r\n",
                Flags::SEEN,
                1,
            ),
            (
                "Subject: two\r\nX-Mark:\r\nSubject: again\r\n\r\nsecond\r\n",
                Flags::DELETED,
                5,
            ),
            ("\r\nno header at all\r\n", Flags::default(), 9),
        ];
        for (text, flags, day) in messages {
            let mut incoming = mailbox.begin_append().expect("begun");
            incoming.write(text.as_bytes()).expect("written");
            let date = InternalDate(day * DAY_SECONDS);
            incoming.describe(flags, vec![Arc::from(format!("day{day}"))], Some(date));
            mailbox.append(vec![incoming]).expect("appended");
        }
        let cases: [(&str, &[usize]); 32] = [
            ("ALL", &[1, 2, 3]),
            ("SEEN", &[1]),
            ("UNSEEN UNDELETED", &[3]),
            ("RECENT", &[3]),
            ("OLD", &[1, 2]),
            ("NEW", &[3]),
            ("OR SEEN DELETED", &[1, 2]),
            ("NOT 2", &[1, 3]),
            ("*", &[3]),
            ("$", &[2]),
            ("UID 2:*", &[2, 3]),
            ("KEYWORD DAY5", &[2]),
            ("UNKEYWORD day5", &[1, 3]),
            ("KEYWORD absent", &[]),
            ("ON 6-Jan-1970", &[2]),
            ("BEFORE 6-Jan-1970", &[1]),
            ("SINCE 6-Jan-1970", &[2, 3]),
            ("SENTON 2-Jan-1970", &[1]),
            ("YOUNGER 86400", &[3]),
            ("OLDER 432000", &[1, 2]),
            ("SMALLER 25", &[3]),
            ("SUBJECT {7+}\r\nGR\u{dc}\u{df}E", &[1]),
            ("SUBJECT again", &[2]),
            ("FROM ANN@example", &[1]),
            ("HEADER X-Mark \"\"", &[2]),
            ("BODY WIDE", &[1]),
            ("TEXT two", &[2]),
            ("FUZZY BODY \"world wode\"", &[]),
            ("FUZZY BODY \"worlb helo\"", &[]),
            ("FUZZY BODY \"worlb hello\"", &[1]),
            ("FUZZY SUBJECT agian", &[2]),
            ("FUZZY (OR FROM an TEXT \"header number at all\")", &[]),
        ];
        for (keys, expected) in cases {
            let found = found(&mailbox, keys, Folding::Full);
            assert_eq!(found, expected, "{keys}");
        }
        // By other comparators.
        for (keys, ascii, octet) in [
            ("SUBJECT TWO", 1, 0),
            ("TEXT TWO", 1, 0),
            ("BODY wide", 1, 1),
            ("SUBJECT {6+}\r\nGr\u{fc}\u{df}", 1, 1),
            ("SUBJECT {6+}\r\nGR\u{fc}\u{df}", 1, 0),
            ("SUBJECT {6+}\r\nGR\u{dc}\u{df}", 0, 0),
            ("TEXT {6+}\r\nGR\u{fc}\u{df}", 1, 0),
        ] {
            assert_eq!(found(&mailbox, keys, Folding::Ascii).len(), ascii, "{keys}");
            assert_eq!(found(&mailbox, keys, Folding::None).len(), octet, "{keys}");
        }
    }

    #[test]
    fn a_long_search_goes_in_steps() {
        let directory = tempfile::tempdir().expect("directory");
        let maildir = directory.path().join("Maildir");
        std::fs::create_dir_all(maildir.join("cur")).expect("made");
        for number in 0..250 {
            let file = maildir.join(format!("cur/{number:03}:2,"));
            std::fs::write(file, format!("\n{number} is the number\n")).expect("written");
        }
        let layout = Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let account = Account::open(&maildir, layout).expect("account");
        let mailbox = account.mailbox(&MailboxName::inbox()).expect("INBOX");
        let snapshot = mailbox.sync().expect("synced");
        let scope = Scope {
            mailbox: &mailbox,
            recent: &|_| false,
            saved: &[],
        };
        let key = SearchKey::Body("number".to_owned());
        let mut evaluation = Evaluation::new(snapshot, &key, Manner::default());
        let mut uids = Vec::new();
        let mut steps = 1;
        while evaluation
            .step(&scope, |row, _| uids.push(row.uid.get()))
            .expect("searched")
            == More::Follows
        {
            steps += 1;
        }
        assert_eq!(uids, (1..=250).collect::<Vec<u32>>());
        assert!((3..10).contains(&steps), "{steps}");
    }
}
