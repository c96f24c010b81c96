//! [`Stream`] and [`Incoming`]: a connection's octets, to and from the socket.

use crate::compression::{Decompressor, Piece};
use std::task::Waker;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// How much is read at once.
const READ_OCTETS: usize = 16 * 1024;

/// A socket before or after its handshake.
pub enum Stream {
    /// Without TLS.
    Plain(TcpStream),
    /// With TLS.
    Tls(Box<TlsStream<TcpStream>>),
    /// While the handshake has it; for good where that fails.
    Gone,
}

impl Stream {
    /// Whether TLS is on.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Writes octets.
    ///
    /// # Errors
    /// The socket's.
    pub async fn write_all(&mut self, octets: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(octets).await,
            Self::Tls(stream) => stream.write_all(octets).await,
            Self::Gone => Err(std::io::ErrorKind::NotConnected.into()),
        }
    }

    /// Has what TLS holds sent.
    ///
    /// # Errors
    /// The socket's.
    pub async fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush().await,
            Self::Tls(stream) => stream.flush().await,
            Self::Gone => Ok(()),
        }
    }

    /// Says that no more comes.
    ///
    /// # Errors
    /// The socket's.
    pub async fn shutdown(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.shutdown().await,
            Self::Tls(stream) => stream.shutdown().await,
            Self::Gone => Ok(()),
        }
    }
}

/// Where a connection's octets come from.
pub struct Incoming<'a> {
    /// The socket.
    pub stream: &'a mut Stream,
    /// Where it is compressed.
    pub decompressor: &'a mut Option<Box<Decompressor>>,
    /// What came behind the end of what was compressed.
    pub plain: &'a mut Vec<u8>,
    /// How many octets came, as they are on the wire.
    pub received: &'a mut u64,
}

impl Incoming<'_> {
    /// Waits for what the client sent, decompressed; empty at the end. Of what was
    /// compressed it gives 32 KB at a time, as fast as the session takes it: what is
    /// small on the wire and big behind it waits there.
    ///
    /// # Errors
    /// The socket's, and `InvalidData` where the client broke its compression.
    pub async fn next(self) -> std::io::Result<Vec<u8>> {
        loop {
            if !self.plain.is_empty() {
                return Ok(std::mem::take(self.plain));
            }
            if let Some(decompressor) = self.decompressor.as_mut() {
                match decompressor.next_piece()? {
                    Piece::Octets(octets) => return Ok(octets),
                    Piece::Plain(octets) => {
                        *self.plain = octets;
                        *self.decompressor = None;
                        continue;
                    }
                    Piece::Nothing => {}
                }
            }
            let octets = receive(self.stream).await?;
            *self.received += octets.len() as u64;
            match self.decompressor.as_mut() {
                Some(decompressor) if !octets.is_empty() => decompressor.push(&octets),
                _ => return Ok(octets),
            }
        }
    }
}

/// Waits until there is something to read, then reads it; empty at the end.
async fn receive(stream: &mut Stream) -> std::io::Result<Vec<u8>> {
    match stream {
        Stream::Plain(stream) => loop {
            stream.readable().await?;
            let mut octets = vec![0; READ_OCTETS];
            match stream.try_read(&mut octets) {
                Ok(count) => {
                    octets.truncate(count);
                    return Ok(octets);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        },
        Stream::Tls(stream) => {
            // rustls may hold octets already; only where it holds none is the
            // socket waited for, so that an idle connection has no buffer.
            let mut first = [0; 1];
            let count = stream.read(&mut first).await?;
            if count == 0 {
                return Ok(Vec::new());
            }
            let mut octets = vec![0; READ_OCTETS];
            octets[0] = first[0];
            let more = futures_now(stream.read(&mut octets[1..]))
                .transpose()?
                .unwrap_or(0);
            octets.truncate(1 + more);
            Ok(octets)
        }
        Stream::Gone => Ok(Vec::new()),
    }
}

/// Polls a future once.
fn futures_now<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut nothing = std::task::Context::from_waker(Waker::noop());
    match future.as_mut().poll(&mut nothing) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}
