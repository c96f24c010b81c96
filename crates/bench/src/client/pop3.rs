//! POP3, as far as workloads need it.

use super::Lines;
use anyhow::ensure;
use std::io::Write;

/// A session.
pub struct Pop3 {
    lines: Lines,
}

impl Pop3 {
    /// Connects and logs in.
    ///
    /// # Errors
    /// When the login fails.
    pub fn login(port: u16, user: &str) -> anyhow::Result<Self> {
        let mut session = Self {
            lines: Lines::connect(port)?,
        };
        session.status()?;
        session.run(&format!("USER {user}"))?;
        session.run("PASS secret")?;
        Ok(session)
    }

    /// A command with an answer of one line, which is given without `+OK `.
    ///
    /// # Errors
    /// When it is not +OK.
    pub fn run(&mut self, command: &str) -> anyhow::Result<String> {
        self.lines.send(format!("{command}\r\n").as_bytes())?;
        self.status()
    }

    /// A command with an answer of many lines: how many, and their octets as a client
    /// counts them.
    ///
    /// # Errors
    /// When it is not +OK.
    pub fn run_lines(&mut self, command: &str) -> anyhow::Result<(usize, u64)> {
        self.lines.send(format!("{command}\r\n").as_bytes())?;
        self.status()?;
        self.listing()
    }

    fn status(&mut self) -> anyhow::Result<String> {
        let line = String::from_utf8_lossy(self.lines.line()?).into_owned();
        ensure!(line.starts_with("+OK"), "answered {line:?}");
        Ok(line.get(4..).unwrap_or_default().to_owned())
    }

    fn listing(&mut self) -> anyhow::Result<(usize, u64)> {
        let (mut count, mut octets) = (0, 0);
        loop {
            let line = self.lines.line()?;
            if line == b"." {
                return Ok((count, octets));
            }
            let stuffed = usize::from(line.starts_with(b"."));
            octets += (line.len() + 2 - stuffed) as u64;
            count += 1;
        }
    }

    /// Sends many commands, at most `window` of them unanswered; gives the octets of
    /// their lines.
    ///
    /// # Errors
    /// When one is not +OK.
    pub fn pipeline(
        &mut self,
        commands: &[String],
        window: usize,
        has_lines: bool,
    ) -> anyhow::Result<u64> {
        let mut writer = self.lines.writer()?;
        let mut octets = 0;
        let mut waiting = 0;
        for chunk in commands.chunks(window.div_ceil(2).max(1)) {
            writer.write_all((chunk.join("\r\n") + "\r\n").as_bytes())?;
            waiting += chunk.len();
            while waiting > window / 2 {
                octets += self.answered(has_lines)?;
                waiting -= 1;
            }
        }
        for _ in 0..waiting {
            octets += self.answered(has_lines)?;
        }
        Ok(octets)
    }

    fn answered(&mut self, has_lines: bool) -> anyhow::Result<u64> {
        self.status()?;
        Ok(if has_lines { self.listing()?.1 } else { 0 })
    }
}
