//! [`Steps`]: steps of sessions under way, whose clients are told that they are.
//!
//! A step of a session occupies its connection's task until it comes back, and most come
//! back in a moment. So one thread looks after those of all connections, when the first of
//! them is due: a step costs an entry in a table, and no timer. It is no task, which the
//! thread that takes a step could be the one to run.

use crate::outlet::Outlet;
use crate::relief::Relief;
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Handle;
use tokio::sync::OwnedMutexGuard;
use wire::Meanwhile;

/// Where a connection's octets go, for whoever's turn it is.
pub type SharedOutlet = Arc<tokio::sync::Mutex<Outlet>>;

/// The steps of a server's sessions.
#[derive(Default)]
pub struct Steps {
    under_way: Mutex<UnderWay>,
    /// One is due sooner than all others were.
    sooner: Condvar,
    /// Where they have their turns.
    pub relief: Relief,
}

#[derive(Default)]
struct UnderWay {
    steps: HashMap<u64, Entry>,
    next: u64,
    /// When they are looked at again; `None` where there was nothing to wait for.
    looks_at: Option<Instant>,
    is_over: bool,
}

struct Entry {
    outlet: SharedOutlet,
    meanwhile: Meanwhile,
    told: Option<Instant>,
}

/// A step under way, until it is dropped.
pub struct Step<'a> {
    steps: &'a Steps,
    number: u64,
}

impl Steps {
    /// Steps that have their turns there.
    pub fn with(relief: Relief) -> Self {
        Self {
            relief,
            ..Self::default()
        }
    }

    /// A step begins. All its client was sent is whole responses.
    pub fn begin(&self, outlet: &SharedOutlet, meanwhile: Meanwhile) -> Step<'_> {
        let mut under_way = self.under_way.lock();
        let (due, number) = (meanwhile.due, under_way.next);
        under_way.next = number.wrapping_add(1);
        let entry = Entry {
            outlet: Arc::clone(outlet),
            meanwhile,
            told: None,
        };
        under_way.steps.insert(number, entry);
        if under_way.looks_at.is_none_or(|at| due < at) {
            under_way.looks_at = Some(due);
            self.sooner.notify_one();
        }
        let steps = self;
        Step { steps, number }
    }

    /// Tells clients of the steps that take their time, until [`Steps::end`].
    pub fn tell(&self, runtime: &Handle) {
        loop {
            self.tell_due(Instant::now(), runtime);
            let mut under_way = self.under_way.lock();
            match under_way.looks_at {
                _ if under_way.is_over => return,
                Some(at) => {
                    let _ = self.sooner.wait_until(&mut under_way, at);
                }
                None => self.sooner.wait(&mut under_way),
            }
        }
    }

    /// Nobody is told any more.
    pub fn end(&self) {
        self.under_way.lock().is_over = true;
        self.sooner.notify_all();
    }

    /// Tells those for whom it is time; gives when it is for the next. Where there is none it
    /// is looked at then that was said before: most steps are over by then, and who begins one
    /// need wake nobody.
    fn tell_due(&self, now: Instant, runtime: &Handle) -> Option<Instant> {
        let mut under_way = self.under_way.lock();
        for entry in under_way.steps.values_mut() {
            if entry.meanwhile.due > now {
                continue;
            }
            entry.meanwhile.due = now + entry.meanwhile.every;
            // Who has not read what it was told the last time is told nothing more. What is
            // locked here, where the step is still under way, stands before what it says.
            if let Ok(outlet) = Arc::clone(&entry.outlet).try_lock_owned() {
                entry.told = Some(now);
                runtime.spawn(say(outlet, entry.meanwhile.octets.clone()));
            }
        }
        let dues = under_way.steps.values().map(|entry| entry.meanwhile.due);
        let before = under_way.looks_at.filter(|at| *at > now);
        under_way.looks_at = dues.min().or(before);
        under_way.looks_at
    }

    fn remove(&self, number: u64) -> Option<Instant> {
        self.under_way.lock().steps.remove(&number)?.told
    }
}

impl Step<'_> {
    /// It is over; gives when its client was told last that it was not.
    pub fn end(self) -> Option<Instant> {
        self.steps.remove(self.number)
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        self.steps.remove(self.number);
    }
}

/// Tells a client. Where that fails its connection hears of it with what it sends next.
async fn say(mut outlet: OwnedMutexGuard<Outlet>, octets: Vec<u8>) {
    let said = async {
        outlet.send(&octets).await?;
        outlet.flush_compressed().await?;
        outlet.flush().await
    };
    if let Err(error) = said.await {
        tracing::debug!("a client cannot be told that its command is under way: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Stream;
    use std::time::Duration;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    async fn connection() -> (SharedOutlet, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let client = TcpStream::connect(address).await.expect("connected");
        let (stream, _) = listener.accept().await.expect("accepted");
        let outlet = Outlet::new(Stream::Plain(stream));
        (Arc::new(tokio::sync::Mutex::new(outlet)), client)
    }

    fn meanwhile(due: Instant, octets: &[u8]) -> Meanwhile {
        Meanwhile {
            octets: octets.to_vec(),
            due,
            every: Duration::from_secs(10),
        }
    }

    #[tokio::test]
    async fn steps_are_told_of_in_their_time() {
        let steps = Steps::default();
        let (outlet, mut client) = connection().await;
        let (other, mut quick) = connection().await;
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(steps.tell_due(now, &Handle::current()), None);
        let step = steps.begin(&outlet, meanwhile(after(10), b"working\r\n"));
        let short = steps.begin(&other, meanwhile(after(9), b"no\r\n"));
        assert_eq!(steps.tell_due(now, &Handle::current()), Some(after(9)));
        assert_eq!(short.end(), None);
        assert_eq!(
            steps.tell_due(after(9), &Handle::current()),
            Some(after(10))
        );
        assert_eq!(
            steps.tell_due(after(11), &Handle::current()),
            Some(after(21))
        );
        // What is told stands before what is said when the step is over.
        outlet
            .lock()
            .await
            .send(b"between\r\n")
            .await
            .expect("sent");
        assert_eq!(
            steps.tell_due(after(21), &Handle::current()),
            Some(after(31))
        );
        assert_eq!(step.end(), Some(after(21)));
        assert_eq!(steps.tell_due(after(40), &Handle::current()), None);
        outlet.lock().await.send(b"done\r\n").await.expect("sent");
        drop((outlet, other));
        let mut told = String::new();
        client.read_to_string(&mut told).await.expect("text");
        assert_eq!(told, "working\r\nbetween\r\nworking\r\ndone\r\n");
        told.clear();
        quick.read_to_string(&mut told).await.expect("text");
        assert_eq!(told, "");
    }

    #[tokio::test]
    async fn a_step_that_is_due_first_is_told_of_first() {
        let steps = Arc::new(Steps::default());
        let (telling, runtime) = (Arc::clone(&steps), Handle::current());
        let telling = std::thread::spawn(move || telling.tell(&runtime));
        let (outlet, mut client) = connection().await;
        let (other, mut soon) = connection().await;
        let due = |milliseconds| Instant::now() + Duration::from_millis(milliseconds);
        let _late = steps.begin(&outlet, meanwhile(due(3_600_000), b"late\r\n"));
        // It waits for that one by now.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let _early = steps.begin(&other, meanwhile(due(20), b"early\r\n"));
        let mut told = [0; 7];
        let read = tokio::time::timeout(Duration::from_secs(20), soon.read_exact(&mut told));
        read.await.expect("told in time").expect("told");
        assert_eq!(&told, b"early\r\n");
        steps.end();
        assert!(telling.join().is_ok());
        drop(outlet);
        drop(steps.under_way.lock().steps.drain());
        assert_eq!(client.read(&mut told).await.expect("closed"), 0);
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_holds_up_no_step() {
        let steps = Steps::default();
        let (outlet, mut client) = connection().await;
        let now = Instant::now();
        let much = vec![b'x'; 32 << 20];
        let step = steps.begin(&outlet, meanwhile(now, &much));
        assert!(steps.tell_due(now, &Handle::current()).is_some());
        let later = now + Duration::from_secs(60);
        // Nothing is told again before it was read.
        assert!(steps.tell_due(later, &Handle::current()).is_some());
        assert_eq!(step.end(), Some(now));
        let saying = async {
            let mut outlet = outlet.lock().await;
            outlet.send(b"done\r\n").await.expect("sent");
        };
        let reading = async {
            let mut told = vec![0; much.len() + 6];
            client.read_exact(&mut told).await.expect("read");
            told
        };
        let ((), told) = tokio::join!(saying, reading);
        assert!(told.starts_with(&much) && told.ends_with(b"done\r\n"));
    }
}
