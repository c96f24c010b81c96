//! [`Outlet`]: where what a client is sent goes.

use crate::compression::Compressor;
use crate::stream::Stream;
use std::io::{Error, ErrorKind};
use std::time::Duration;

/// How much is compressed on a network thread.
const SHORT_OCTETS: usize = 16 * 1024;
/// How long a client may take to accept what it is sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(120);

/// A connection's socket, and the compression in front of it.
pub struct Outlet {
    /// The socket.
    pub stream: Stream,
    /// What is sent is compressed.
    pub compressor: Option<Box<Compressor>>,
    /// How many octets were sent, as they are on the wire.
    pub sent: u64,
    /// How writing failed. Nothing may follow what was sent in part.
    failure: Option<ErrorKind>,
}

impl Outlet {
    /// Of a connection that begins.
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            compressor: None,
            sent: 0,
            failure: None,
        }
    }

    /// Sends octets. Some may wait in the compressor.
    ///
    /// # Errors
    /// The socket's, and `TimedOut` where the client does not read.
    pub async fn send(&mut self, octets: &[u8]) -> std::io::Result<()> {
        match &mut self.compressor {
            None => self.write(octets).await,
            Some(compressor) => {
                let compressed = if octets.len() > SHORT_OCTETS {
                    tokio::task::block_in_place(|| compressor.compress(octets))
                } else {
                    compressor.compress(octets)
                };
                self.write(&compressed?).await
            }
        }
    }

    /// Sends what waits in the compressor.
    ///
    /// # Errors
    /// As [`Outlet::send`].
    pub async fn flush_compressed(&mut self) -> std::io::Result<()> {
        match &mut self.compressor {
            None => Ok(()),
            Some(compressor) => {
                let rest = compressor.flush()?;
                self.write(&rest).await
            }
        }
    }

    /// Has what TLS holds sent.
    ///
    /// # Errors
    /// As [`Outlet::send`].
    pub async fn flush(&mut self) -> std::io::Result<()> {
        self.check()?;
        let flushed = tokio::time::timeout(WRITE_TIMEOUT, self.stream.flush()).await;
        self.note(flushed.unwrap_or_else(|_| Err(does_not_read())))
    }

    /// Ends compression, if there is any.
    ///
    /// # Errors
    /// As [`Outlet::send`].
    pub async fn end_compression(&mut self) -> std::io::Result<()> {
        if let Some(compressor) = self.compressor.take() {
            let last = compressor.finish()?;
            self.write(&last).await?;
        }
        Ok(())
    }

    /// Whether the compressor has memory to give back.
    pub fn can_rest(&self) -> bool {
        self.compressor.as_ref().is_some_and(|it| it.can_rest())
    }

    async fn write(&mut self, octets: &[u8]) -> std::io::Result<()> {
        self.check()?;
        if octets.is_empty() {
            return Ok(());
        }
        self.sent += octets.len() as u64;
        let written = tokio::time::timeout(WRITE_TIMEOUT, self.stream.write_all(octets)).await;
        self.note(written.unwrap_or_else(|_| Err(does_not_read())))
    }

    fn check(&self) -> std::io::Result<()> {
        match self.failure {
            None => Ok(()),
            Some(ErrorKind::TimedOut) => Err(does_not_read()),
            Some(kind) => Err(kind.into()),
        }
    }

    fn note(&mut self, done: std::io::Result<()>) -> std::io::Result<()> {
        if let Err(error) = &done {
            self.failure = Some(error.kind());
        }
        done
    }
}

fn does_not_read() -> Error {
    Error::new(ErrorKind::TimedOut, "the client does not read")
}
