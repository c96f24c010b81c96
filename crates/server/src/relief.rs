//! [`Relief`]: brief steps are taken where they come up, and another thread takes over
//! where one is not brief after all.
//!
//! A step that touches the disk mostly finds in memory what it asks for, and is over in some
//! microseconds. To give up the thread's other work for it (`block_in_place`) takes longer
//! than the step: it wakes a thread that finds nothing to do, on a processor that the client
//! may need, and the connection goes on somewhere else. But a thread that waits for a disk
//! serves nobody, and nobody hears the network if that was what it did before. So a step has
//! a turn, of which there are fewer than threads of the runtime, and who overstays it is
//! noticed: then another of those threads is woken, which takes over all that waits.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// How long a step may take until somebody takes over; it is looked at so often while there
/// are steps.
const OVERSTAYED: Duration = Duration::from_millis(2);
/// How often nothing may have happened between two looks until nobody looks any more.
const QUIET_LOOKS: u32 = 50;
/// A session whose last step took longer is not expected to be brief.
const BRIEF: Duration = Duration::from_micros(500);
/// How long a session may take with brief steps, until it waits for its client again.
const AT_ONCE: Duration = Duration::from_millis(1);

/// How long the steps of one session take.
#[derive(Debug, Default)]
pub struct Pace {
    /// All of them since it waited for its client.
    spent: Duration,
    was_long: bool,
}

impl Pace {
    /// It waits for its client.
    pub fn wait(&mut self) {
        self.spent = Duration::ZERO;
    }

    /// Whether the next step is expected to be brief.
    fn is_brief(&self) -> bool {
        !self.was_long && self.spent < AT_ONCE
    }

    fn note(&mut self, took: Duration) {
        self.spent = self.spent.saturating_add(took);
        self.was_long = took > BRIEF;
    }
}

/// Where the steps of a server's sessions have their turns. The default has none: each step
/// gives up the thread's other work.
#[derive(Debug, Default)]
pub struct Relief {
    turns: Option<Arc<Turns>>,
    watcher: Option<Thread>,
}

impl Relief {
    /// Takes over in this runtime.
    ///
    /// # Errors
    /// Where there can be no thread.
    pub fn start(runtime: &Handle) -> io::Result<Self> {
        // One at least is left to take over.
        let count = runtime.metrics().num_workers().saturating_sub(1);
        let turns = Arc::new(Turns::new(count));
        let (watched, runtime) = (Arc::clone(&turns), runtime.clone());
        let watching = thread::Builder::new()
            .name("relief".to_owned())
            .spawn(move || watched.watch(&runtime))?;
        Ok(Self {
            turns: Some(turns),
            watcher: Some(watching.thread().clone()),
        })
    }

    /// Takes a step that may wait for the disk: where it is if it is expected to be brief
    /// and has a turn.
    pub fn run<T>(&self, pace: &mut Pace, step: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let turn = match pace.is_brief() {
            true => self.turn(began),
            false => None,
        };
        let made = match turn {
            Some(_) => step(),
            None => tokio::task::block_in_place(step),
        };
        pace.note(began.elapsed());
        made
    }

    fn turn(&self, now: Instant) -> Option<Turn<'_>> {
        let turns = self.turns.as_ref()?;
        let turn = turns.take(now)?;
        // Whoever stops looking looks once more after saying so.
        if !turns.is_watched.load(Ordering::SeqCst)
            && !turns.is_watched.swap(true, Ordering::SeqCst)
            && let Some(watcher) = &self.watcher
        {
            watcher.unpark();
        }
        Some(turn)
    }
}

impl Drop for Relief {
    fn drop(&mut self) {
        if let (Some(turns), Some(watcher)) = (&self.turns, &self.watcher) {
            turns.is_over.store(true, Ordering::SeqCst);
            watcher.unpark();
        }
    }
}

#[derive(Debug)]
struct Turns {
    epoch: Instant,
    /// When each began, in microseconds since the epoch; 0 where nobody has it.
    began: Box<[AtomicU64]>,
    /// How many there were.
    taken: AtomicU64,
    is_watched: AtomicBool,
    is_over: AtomicBool,
}

/// A turn, until it is dropped.
struct Turn<'a>(&'a AtomicU64);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::SeqCst);
    }
}

impl Turns {
    fn new(count: usize) -> Self {
        Self {
            epoch: Instant::now(),
            began: (0..count).map(|_| AtomicU64::new(0)).collect(),
            taken: AtomicU64::new(0),
            is_watched: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        }
    }

    fn since_epoch(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.epoch).as_micros();
        u64::try_from(passed).unwrap_or(u64::MAX).max(1)
    }

    fn take(&self, now: Instant) -> Option<Turn<'_>> {
        let now = self.since_epoch(now);
        let is_free = |turn: &&AtomicU64| {
            turn.load(Ordering::Relaxed) == 0
                && turn
                    .compare_exchange(0, now, Ordering::SeqCst, Ordering::Relaxed)
                    .is_ok()
        };
        let turn = self.began.iter().find(is_free)?;
        self.taken.fetch_add(1, Ordering::Relaxed);
        Some(Turn(turn))
    }

    /// Looks after the turns until it is over. It costs nothing while there are none.
    fn watch(&self, runtime: &Handle) {
        let (mut quiet, mut seen) = (0, 0);
        while !self.is_over.load(Ordering::SeqCst) {
            if !self.is_watched.load(Ordering::SeqCst) {
                thread::park();
                continue;
            }
            thread::sleep(OVERSTAYED);
            if self.is_overstayed(Instant::now()) {
                // Where there is something to do a thread is woken to do it. It does what
                // waits, and then waits for the network.
                runtime.spawn(async {});
            }
            let taken = self.taken.load(Ordering::Relaxed);
            let is_quiet = std::mem::replace(&mut seen, taken) == taken && !self.has_any();
            quiet = if is_quiet { quiet + 1 } else { 0 };
            if quiet >= QUIET_LOOKS {
                quiet = 0;
                self.is_watched.store(false, Ordering::SeqCst);
                if self.has_any() {
                    self.is_watched.store(true, Ordering::SeqCst);
                }
            }
        }
    }

    fn has_any(&self) -> bool {
        let mut turns = self.began.iter();
        turns.any(|turn| turn.load(Ordering::SeqCst) != 0)
    }

    fn is_overstayed(&self, now: Instant) -> bool {
        let longest = u64::try_from(OVERSTAYED.as_micros()).unwrap_or(u64::MAX);
        let Some(latest) = self.since_epoch(now).checked_sub(longest) else {
            return false;
        };
        let mut turns = self.began.iter();
        turns.any(|turn| (1..=latest).contains(&turn.load(Ordering::SeqCst)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).enable_all();
        builder.build().expect("a runtime")
    }

    /// Whether a task that waits for its timer comes to run while so many steps stay where
    /// they are, for twenty seconds at most.
    fn is_taken_over(steps: usize) -> bool {
        let runtime = runtime();
        let relief = Arc::new(Relief::start(runtime.handle()).expect("a thread"));
        let come = Arc::new(AtomicBool::new(false));
        let steps: Vec<_> = (0..steps)
            .map(|_| {
                let (relief, come) = (Arc::clone(&relief), Arc::clone(&come));
                runtime.spawn(async move {
                    // Who comes from waiting has the network to wait for.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    relief.run(&mut Pace::default(), || {
                        let patience = Instant::now() + Duration::from_secs(20);
                        while !come.load(Ordering::SeqCst) && Instant::now() < patience {
                            thread::sleep(Duration::from_millis(1));
                        }
                        come.load(Ordering::SeqCst)
                    })
                })
            })
            .collect();
        let coming = Arc::clone(&come);
        runtime.spawn(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            coming.store(true, Ordering::SeqCst);
        });
        runtime.block_on(async {
            let mut all = true;
            for step in steps {
                all &= step.await.expect("no panic");
            }
            all
        })
    }

    #[test]
    fn who_overstays_a_turn_holds_up_nobody() {
        for steps in [1, 2, 5] {
            assert!(is_taken_over(steps), "{steps} steps");
        }
    }

    #[test]
    fn there_are_fewer_turns_than_threads() {
        let runtime = runtime();
        let relief = Relief::start(runtime.handle()).expect("a thread");
        let turn = relief.turn(Instant::now());
        assert!(turn.is_some() && relief.turn(Instant::now()).is_none());
        drop(turn);
        // A panic gives it back, too.
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            relief.run(&mut Pace::default(), || panic!("a mistake"));
        }));
        assert!(panicked.is_err() && relief.turn(Instant::now()).is_some());
        assert!(Relief::default().turn(Instant::now()).is_none());
    }

    #[test]
    fn who_was_long_is_not_expected_to_be_brief() {
        let mut pace = Pace::default();
        assert!(pace.is_brief());
        pace.note(BRIEF);
        assert!(pace.is_brief());
        pace.note(BRIEF);
        // Many that are brief are long together.
        assert!(!pace.is_brief());
        pace.wait();
        assert!(pace.is_brief());
        pace.note(BRIEF + Duration::from_micros(1));
        pace.wait();
        assert!(!pace.is_brief());
        pace.note(Duration::ZERO);
        assert!(pace.is_brief());
    }

    #[test]
    fn an_old_turn_is_overstayed() {
        let turns = Turns::new(2);
        let now = turns.epoch + Duration::from_secs(1);
        assert!(!turns.is_overstayed(now) && !turns.has_any());
        let turn = turns.take(now);
        assert!(turn.is_some() && turns.has_any());
        assert!(!turns.is_overstayed(now + OVERSTAYED / 2));
        assert!(turns.is_overstayed(now + OVERSTAYED));
        drop(turn);
        assert!(!turns.is_overstayed(now + OVERSTAYED));
    }
}
