//! Clients that cost little beside the servers they measure.

pub mod imap;
pub mod listeners;
pub mod pop3;

use anyhow::{Context, bail};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);

/// Lines from a server, and octets between them.
pub struct Lines {
    reader: BufReader<TcpStream>,
    line: Vec<u8>,
    /// Octets that were read.
    pub received: u64,
}

impl Lines {
    fn connect(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).context("nobody listens")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            reader: BufReader::with_capacity(256 * 1024, stream),
            line: Vec::new(),
            received: 0,
        })
    }

    fn send(&mut self, octets: &[u8]) -> anyhow::Result<()> {
        Ok(self.reader.get_mut().write_all(octets)?)
    }

    /// The socket, for a thread that writes while another reads.
    fn writer(&self) -> anyhow::Result<TcpStream> {
        Ok(self.reader.get_ref().try_clone()?)
    }

    /// The next line without its end.
    fn line(&mut self) -> anyhow::Result<&[u8]> {
        self.line.clear();
        let read = self.reader.read_until(b'\n', &mut self.line)?;
        self.received += read as u64;
        match self.line.strip_suffix(b"\r\n") {
            Some(line) => Ok(line),
            None => bail!(
                "the server closed after {:?}",
                String::from_utf8_lossy(&self.line)
            ),
        }
    }

    fn into_stream(self) -> TcpStream {
        self.reader.into_inner()
    }

    fn skip(&mut self, mut octets: u64) -> anyhow::Result<()> {
        self.received += octets;
        while octets > 0 {
            let available = self.reader.fill_buf()?.len() as u64;
            if available == 0 {
                bail!("the server closed in the middle of a literal");
            }
            let taken = available.min(octets);
            self.reader.consume(usize::try_from(taken)?);
            octets -= taken;
        }
        Ok(())
    }
}
