//! Many sessions in IDLE, read by one thread: what listening costs is not to be taken for
//! the server's.

use super::PATIENCE;
use super::imap::Imap;
use anyhow::{bail, ensure};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// With nothing said for so long, nothing more is on its way.
const SILENCE: Duration = Duration::from_millis(20);

/// Sessions that have one mailbox selected and idle.
pub struct Listeners {
    epoll: Epoll,
    listeners: Vec<Listener>,
}

struct Listener {
    stream: TcpStream,
    /// A line that has not ended.
    line: Vec<u8>,
    has_heard: bool,
}

impl Listeners {
    /// Opens so many in a user's INBOX.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub fn open(port: u16, user: &str, count: usize) -> anyhow::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut listeners = Vec::with_capacity(count);
        for number in 0..count {
            let mut session = Imap::selected(port, user, "INBOX")?;
            session.send(b"a IDLE\r\n")?;
            session.read_continuation()?;
            let stream = session.into_stream();
            stream.set_nonblocking(true)?;
            let wanted = EpollEvent::new(EpollFlags::EPOLLIN, number as u64);
            epoll.add(&stream, wanted)?;
            listeners.push(Listener {
                stream,
                line: Vec::new(),
                has_heard: false,
            });
        }
        Ok(Self { epoll, listeners })
    }

    /// Causes something and waits until every listener has read a line that begins so;
    /// gives each one's wait in milliseconds, from when the cause began.
    ///
    /// # Errors
    /// When the cause fails, a connection ends, or one hears nothing for too long.
    pub fn hear(
        &mut self,
        beginning: &str,
        cause: impl FnOnce() -> anyhow::Result<()> + Send,
    ) -> anyhow::Result<Vec<f64>> {
        while self.read(SILENCE, |_, _| {})? > 0 {}
        for listener in &mut self.listeners {
            listener.has_heard = false;
        }
        let count = self.listeners.len();
        let began = Instant::now();
        std::thread::scope(|scope| {
            let causing = scope.spawn(cause);
            let mut waits = Vec::with_capacity(count);
            while waits.len() < count && began.elapsed() < PATIENCE {
                self.read(Duration::from_secs(1), |listener, octets| {
                    if listener.hears(octets, beginning.as_bytes()) {
                        waits.push(began.elapsed().as_secs_f64() * 1_000.0);
                    }
                })?;
            }
            causing
                .join()
                .map_err(|_| anyhow::anyhow!("what causes it panicked"))??;
            let heard = waits.len();
            ensure!(heard == count, "{heard} of {count} heard {beginning:?}");
            Ok(waits)
        })
    }

    /// Waits for octets at any listener and reads what is there; gives how many had some.
    fn read(
        &mut self,
        wait: Duration,
        mut take: impl FnMut(&mut Listener, &[u8]),
    ) -> anyhow::Result<usize> {
        let mut events = [EpollEvent::empty(); 64];
        let milliseconds = u16::try_from(wait.as_millis())?;
        let ready = match self.epoll.wait(&mut events, milliseconds) {
            Err(Errno::EINTR) => 0,
            ready => ready?,
        };
        let mut octets = [0; 4 * 1024];
        for event in &events[..ready] {
            let Some(listener) = self.listeners.get_mut(usize::try_from(event.data())?) else {
                continue;
            };
            match listener.stream.read(&mut octets) {
                Ok(0) => bail!("the server closed on a listener"),
                Ok(count) => take(listener, &octets[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(ready)
    }
}

impl Listener {
    /// Whether these octets end the first line that begins so.
    fn hears(&mut self, octets: &[u8], beginning: &[u8]) -> bool {
        let mut hears = false;
        for piece in octets.split_inclusive(|octet| *octet == b'\n') {
            self.line.extend(piece);
            if piece.ends_with(b"\n") {
                hears |= !self.has_heard && self.line.starts_with(beginning);
                self.has_heard |= hears;
                self.line.clear();
            }
        }
        hears
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_line_is_heard_once_and_when_it_ends() {
        let server = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = server.local_addr().expect("an address");
        let mut listener = Listener {
            stream: TcpStream::connect(port).expect("connected"),
            line: Vec::new(),
            has_heard: false,
        };
        assert!(!listener.hears(b"* 11 EXISTS\r\n* 1 EX", b"* 1 EXISTS"));
        assert!(listener.hears(b"ISTS\r\n* 1 RECENT\r\n", b"* 1 EXISTS"));
        assert!(!listener.hears(b"* 1 EXISTS\r\n", b"* 1 EXISTS"));
    }
}
