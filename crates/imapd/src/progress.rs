//! [`Progress`]: telling of a command that takes its time (RFC 9585), between its steps and
//! while one of them takes its time.

use crate::capability::Capability;
use crate::response::Writer;
use crate::session::{ImapSession, Work};
use std::time::{Duration, Instant};
use wire::Meanwhile;

/// How far a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// It has done with so many of all messages.
    Of {
        /// How many.
        done: u64,
        /// How many there are.
        all: u64,
    },
    /// It cannot tell.
    Unknown,
}

/// When the progress of a command is told.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    every: Duration,
    due: Instant,
}

impl Progress {
    /// Of a command that begins now, to be told so often.
    pub fn new(now: Instant, every: Duration) -> Self {
        let due = now + every;
        Self { every, due }
    }

    /// Tells how far the command with this tag is, if that is due.
    pub fn tell(&mut self, now: Instant, tag: &str, measure: Measure, out: &mut Writer) {
        if now < self.due {
            return;
        }
        self.due = now + self.every;
        write(tag, measure, out);
    }
}

fn write(tag: &str, measure: Measure, out: &mut Writer) {
    out.text("* OK [INPROGRESS (");
    // Section 4: a tag with ] would end the code.
    match tag.contains(']') {
        true => out.text("NIL"),
        false => out.string(tag.as_bytes()),
    };
    match measure {
        // Section 4: the goal is greater than what is done.
        Measure::Of { done, all } if done < all => out.text(" ").number(done).text(" ").number(all),
        Measure::Of { .. } | Measure::Unknown => out.text(" NIL NIL"),
    };
    out.text(")] ").human("Still at work").crlf();
}

/// The command that a step goes on with.
struct UnderWay {
    tag: String,
    measure: Measure,
    /// When its progress is told.
    due: Instant,
}

impl ImapSession {
    /// Tells how far the command under way is, if that is due and wanted.
    pub(crate) fn tell_progress(&mut self, tag: &str, measure: Measure) {
        if self.has(Capability::InProgress) {
            self.progress.tell(self.now, tag, measure, &mut self.out);
        }
    }

    /// What the client is told if the step that begins now takes its time: many commands
    /// have one only, and it may wait for the disk or for another program's lock.
    pub(crate) fn tells_meanwhile(&self, now: Instant) -> Option<Meanwhile> {
        if self.login.is_none() || !self.has(Capability::InProgress) {
            return None;
        }
        let UnderWay { tag, measure, due } = self.under_way(&self.work, now)?;
        let mut out = self.out.alike();
        write(&tag, measure, &mut out);
        Some(Meanwhile {
            octets: out.into_octets(),
            due,
            every: self.options.progress_every,
        })
    }

    /// The client was told from outside; the next time is told of after that.
    pub(crate) fn note_told_meanwhile(&mut self, at: Instant) {
        self.progress.due = at + self.options.progress_every;
        self.spoke = at;
    }

    /// The command that the step goes on with that begins now; `None` between commands, and
    /// before login, where there is nobody to be told.
    fn under_way(&self, work: &Work, now: Instant) -> Option<UnderWay> {
        let begun = |tag: &str, measure| UnderWay {
            tag: tag.to_owned(),
            measure,
            due: match self.progress.due > now {
                true => self.progress.due,
                // The step tells it at its end.
                false => now + self.options.progress_every,
            },
        };
        let begins = |tag: String| UnderWay {
            tag,
            measure: Measure::Unknown,
            due: now + self.options.progress_every,
        };
        match work {
            Work::Changing { tag, changing, .. } => Some(begun(tag, changing.measure())),
            Work::Searching { tag, searching, .. } => Some(begun(tag, searching.measure())),
            Work::MultiSearching { tag, .. } | Work::Notifying { tag, .. } => {
                Some(begun(tag, Measure::Unknown))
            }
            // What it sends tells how far it is.
            Work::Fetching { tag, .. } => Some(begins(tag.clone())),
            Work::Announcing { then, .. } => self.under_way(then, now),
            Work::Ready => {
                let first = self.appends.first_tag().map(str::to_owned);
                first.or_else(|| self.buffer.tag()).map(begins)
            }
            // DONE came.
            Work::Idling { tag } => (!self.buffer.is_empty()).then(|| begins(tag.clone())),
            Work::LoggingIn { .. }
            | Work::FindingKeys { .. }
            | Work::Challenged { .. }
            | Work::Proven { .. }
            | Work::Refused { .. }
            | Work::StartingTls
            | Work::AskingLoad { .. }
            | Work::Over => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_in_its_time() {
        let now = Instant::now();
        let mut progress = Progress::new(now, Duration::from_secs(10));
        let mut told = |milliseconds, tag: &str, measure| {
            let mut out = Writer::new();
            let now = now + Duration::from_millis(milliseconds);
            progress.tell(now, tag, measure, &mut out);
            String::from_utf8(out.into_octets()).expect("text")
        };
        let measure = Measure::Of {
            done: 454,
            all: 1_000,
        };
        assert_eq!(told(9_999, "A001", measure), "");
        assert_eq!(
            told(10_000, "A001", measure),
            "* OK [INPROGRESS (\"A001\" 454 1000)] Still at work\r\n"
        );
        assert_eq!(told(19_900, "A001", measure), "");
        assert_eq!(
            told(20_000, "a]", Measure::Unknown),
            "* OK [INPROGRESS (NIL NIL NIL)] Still at work\r\n"
        );
        // All is done, and yet the command is not.
        for count in [0, 1_000] {
            let measure = Measure::Of {
                done: count,
                all: count,
            };
            assert_eq!(
                told(30_000 + count * 10, "b", measure),
                "* OK [INPROGRESS (\"b\" NIL NIL)] Still at work\r\n"
            );
        }
    }
}
