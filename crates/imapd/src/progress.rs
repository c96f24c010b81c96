//! [`Progress`]: telling of a command that takes its time (RFC 9585).

use crate::capability::Capability;
use crate::response::Writer;
use crate::session::ImapSession;
use std::time::{Duration, Instant};

/// How often the progress of a command is told (section 4 recommends 10 to 15 seconds).
const EVERY: Duration = Duration::from_secs(10);

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
    due: Instant,
}

impl Progress {
    /// Of a command that begins now.
    pub fn new(now: Instant) -> Self {
        Self { due: now + EVERY }
    }

    /// Tells how far the command with this tag is, if that is due.
    pub fn tell(&mut self, now: Instant, tag: &str, measure: Measure, out: &mut Writer) {
        if now < self.due {
            return;
        }
        self.due = now + EVERY;
        out.text("* OK [INPROGRESS (");
        // Section 4: a tag with ] would end the code.
        match tag.contains(']') {
            true => out.text("NIL"),
            false => out.string(tag.as_bytes()),
        };
        match measure {
            // Section 4: the goal is greater than what is done.
            Measure::Of { done, all } if done < all => {
                out.text(" ").number(done).text(" ").number(all)
            }
            Measure::Of { .. } | Measure::Unknown => out.text(" NIL NIL"),
        };
        out.text(")] ").human("Still at work").crlf();
    }
}

impl ImapSession {
    /// Tells how far the command under way is, if that is due and wanted.
    pub(crate) fn tell_progress(&mut self, tag: &str, measure: Measure) {
        if self.has(Capability::InProgress) {
            self.progress.tell(self.now, tag, measure, &mut self.out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_in_its_time() {
        let now = Instant::now();
        let mut progress = Progress::new(now);
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
