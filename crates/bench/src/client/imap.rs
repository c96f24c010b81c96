//! IMAP, as far as workloads need it.

use super::Lines;
use anyhow::{bail, ensure};
use std::io::Write;
use std::net::TcpStream;

/// What was answered to a command.
#[derive(Debug, Default)]
pub struct Answer {
    /// FETCH responses; their numbers went up.
    pub fetched: usize,
    /// Octets in literals.
    pub literal_octets: u64,
    /// Numbers in SEARCH responses.
    pub found: usize,
    /// The last EXISTS.
    pub exists: Option<usize>,
    /// EXPUNGE responses, and UIDs in VANISHED.
    pub expunged: usize,
    /// The last UIDVALIDITY.
    pub uid_validity: Option<u64>,
    /// The last HIGHESTMODSEQ.
    pub highest_mod_sequence: Option<u64>,
    last: usize,
}

/// A session.
pub struct Imap {
    lines: Lines,
}

impl Imap {
    /// Connects and reads the greeting.
    ///
    /// # Errors
    /// When nobody greets.
    pub fn connect(port: u16) -> anyhow::Result<Self> {
        let mut lines = Lines::connect(port)?;
        ensure!(lines.line()?.starts_with(b"* OK"), "no greeting");
        Ok(Self { lines })
    }

    /// Connects and logs in.
    ///
    /// # Errors
    /// When the login fails.
    pub fn login(port: u16, user: &str) -> anyhow::Result<Self> {
        let mut session = Self::connect(port)?;
        session.run(&format!("LOGIN {user} secret"))?;
        Ok(session)
    }

    /// Connects, logs in and selects a mailbox.
    ///
    /// # Errors
    /// When that fails.
    pub fn selected(port: u16, user: &str, mailbox: &str) -> anyhow::Result<Self> {
        let mut session = Self::login(port, user)?;
        session.run(&format!("SELECT {mailbox}"))?;
        Ok(session)
    }

    /// Sends a command and reads all that is answered.
    ///
    /// # Errors
    /// When it is not answered OK.
    pub fn run(&mut self, command: &str) -> anyhow::Result<Answer> {
        self.send(format!("a {command}\r\n").as_bytes())?;
        self.answer()
    }

    /// Sends octets.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send(&mut self, octets: &[u8]) -> anyhow::Result<()> {
        self.lines.send(octets)
    }

    /// The socket, for a thread that writes while this reads.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn writer(&self) -> anyhow::Result<TcpStream> {
        self.lines.writer()
    }

    /// Reads to the next tagged line.
    ///
    /// # Errors
    /// When that is not OK.
    pub fn answer(&mut self) -> anyhow::Result<Answer> {
        let mut answer = Answer::default();
        loop {
            let (literal, is_tagged) = {
                let line = self.lines.line()?;
                if line.starts_with(b"a ") {
                    if !line.starts_with(b"a OK") {
                        bail!("answered {:?}", String::from_utf8_lossy(line));
                    }
                    (None, true)
                } else {
                    answer.note(line)?;
                    (literal_of(line), false)
                }
            };
            if is_tagged {
                return Ok(answer);
            }
            let mut next = literal;
            while let Some(octets) = next {
                answer.literal_octets += octets;
                self.lines.skip(octets)?;
                next = literal_of(self.lines.line()?);
            }
        }
    }

    /// Appends a message with a literal that waits for leave.
    ///
    /// # Errors
    /// When it is not taken.
    pub fn append(&mut self, mailbox: &str, message: &[u8]) -> anyhow::Result<()> {
        self.send(format!("a APPEND {mailbox} {{{}}}\r\n", message.len()).as_bytes())?;
        self.read_continuation()?;
        self.send(message)?;
        self.send(b"\r\n")?;
        self.answer()?;
        Ok(())
    }

    /// Waits for `+`.
    ///
    /// # Errors
    /// When something else comes.
    pub fn read_continuation(&mut self) -> anyhow::Result<()> {
        let line = self.lines.line()?;
        ensure!(
            line.starts_with(b"+"),
            "no leave: {:?}",
            String::from_utf8_lossy(line)
        );
        Ok(())
    }

    /// The socket, for who reads it otherwise; what was received and not read is lost.
    pub fn into_stream(self) -> TcpStream {
        self.lines.into_stream()
    }

    /// Sends many commands at once and reads their answers.
    ///
    /// # Errors
    /// When one is not answered OK.
    pub fn pipeline(&mut self, octets: Vec<u8>, commands: usize) -> anyhow::Result<()> {
        let mut writer = self.writer()?;
        std::thread::scope(|scope| {
            let sending = scope.spawn(move || writer.write_all(&octets));
            for _ in 0..commands {
                self.answer()?;
            }
            sending
                .join()
                .map_err(|_| anyhow::anyhow!("the writer panicked"))??;
            Ok(())
        })
    }
}

impl Answer {
    fn note(&mut self, line: &[u8]) -> anyhow::Result<()> {
        let Some(rest) = line.strip_prefix(b"* ") else {
            return Ok(());
        };
        let digits = rest
            .iter()
            .take_while(|octet| octet.is_ascii_digit())
            .count();
        if digits > 0 {
            let number = number(&rest[..digits]);
            match rest.get(digits + 1..) {
                Some(word) if word.starts_with(b"FETCH") => {
                    ensure!(number > self.last, "answers are out of order");
                    self.last = number;
                    self.fetched += 1;
                }
                Some(b"EXISTS") => self.exists = Some(number),
                Some(b"EXPUNGE") => self.expunged += 1,
                _ => {}
            }
        } else if let Some(numbers) = rest.strip_prefix(b"SEARCH") {
            self.found += numbers.iter().filter(|octet| **octet == b' ').count();
        } else if let Some(numbers) = rest.strip_prefix(b"SORT") {
            self.found += numbers.iter().filter(|octet| **octet == b' ').count();
        } else if let Some(threads) = rest.strip_prefix(b"THREAD") {
            let numbers = threads.split(|octet| !octet.is_ascii_digit());
            self.found += numbers.filter(|number| !number.is_empty()).count();
        } else if let Some(code) = rest.strip_prefix(b"OK [UIDVALIDITY ") {
            self.uid_validity = Some(number_at(code));
        } else if let Some(code) = rest.strip_prefix(b"OK [HIGHESTMODSEQ ") {
            self.highest_mod_sequence = Some(number_at(code));
        } else if let Some(vanished) = rest.strip_prefix(b"VANISHED ") {
            let set = vanished.strip_prefix(b"(EARLIER) ").unwrap_or(vanished);
            self.expunged += set
                .split(|octet| *octet == b',')
                .map(
                    |range| match range.iter().position(|octet| *octet == b':') {
                        Some(colon) => number(&range[colon + 1..]) - number(&range[..colon]) + 1,
                        None => 1,
                    },
                )
                .sum::<usize>();
        }
        Ok(())
    }
}

fn number(digits: &[u8]) -> usize {
    digits
        .iter()
        .fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'))
}

fn number_at(text: &[u8]) -> u64 {
    let digits = text.iter().take_while(|octet| octet.is_ascii_digit());
    digits.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))
}

/// The octets that follow a line, if it ends in a literal.
fn literal_of(line: &[u8]) -> Option<u64> {
    let inner = line.strip_suffix(b"}")?;
    let begin = inner.iter().rposition(|octet| *octet == b'{')? + 1;
    let digits = &inner[begin..];
    (!digits.is_empty() && digits.iter().all(u8::is_ascii_digit)).then(|| number(digits) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted() {
        let mut answer = Answer::default();
        for line in [
            "* 1 FETCH (UID 7)",
            "* 3 FETCH (UID 9)",
            "* 5 EXISTS",
            "* SEARCH 1 2 3",
            "* SORT 3 12",
            "* THREAD (2)(3 6 (4 23)(44))",
            "* VANISHED 1:3,9",
        ] {
            answer.note(line.as_bytes()).expect("in order");
        }
        assert_eq!(
            (answer.fetched, answer.exists, answer.found, answer.expunged),
            (2, Some(5), 11, 4)
        );
        assert!(answer.note(b"* 3 FETCH (UID 9)").is_err());
        assert_eq!(literal_of(b"* 1 FETCH (BODY[] {12}"), Some(12));
        assert_eq!(literal_of(b"* 1 FETCH (X {}"), None);
    }
}
