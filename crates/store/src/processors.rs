//! Work on many things at once, on the processors that are free.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// So many things are taken at once, so that nobody waits long for the last.
const STEP: usize = 8;

/// How many processors there are besides that of who calls. To ask the system takes some
/// twenty calls, more than what is done to one message.
static FURTHER: LazyLock<usize> =
    LazyLock::new(|| thread::available_parallelism().map_or(1, usize::from) - 1);

/// Threads that help, in the whole process.
static HELPING: AtomicUsize = AtomicUsize::new(0);

/// What `work` makes of each of the things, in their order. Whoever calls works itself; in
/// the whole process no more threads help than there are further processors, and none
/// for fewer than `least` things. Each thread has a scratch of its own.
pub(crate) fn map<T: Sync, R: Send, S: Default>(
    things: &[T],
    least: usize,
    work: impl Fn(&T, &mut S) -> R + Sync,
) -> Vec<R> {
    let helpers = Helpers::take((things.len() / least.max(1)).saturating_sub(1));
    let next = AtomicUsize::new(0);
    let work_on = || {
        let (mut scratch, mut made) = (S::default(), Vec::new());
        loop {
            let first = next.fetch_add(STEP, Ordering::Relaxed);
            let Some(rest) = things.get(first..).filter(|rest| !rest.is_empty()) else {
                return made;
            };
            let step = rest.iter().take(STEP);
            made.extend(step.enumerate().map(|(offset, thing)| {
                let made = work(thing, &mut scratch);
                (first + offset, made)
            }));
        }
    };
    let mut made = thread::scope(|scope| {
        let spawn = |_| thread::Builder::new().spawn_scoped(scope, work_on);
        // Where there can be no thread the others do its work.
        let threads: Vec<_> = (0..helpers.0).map(spawn).filter_map(Result::ok).collect();
        let mut made = work_on();
        for thread in threads {
            match thread.join() {
                Ok(more) => made.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        made
    });
    made.sort_unstable_by_key(|(place, _)| *place);
    made.into_iter().map(|(_, made)| made).collect()
}

/// So many threads that help until it is dropped.
struct Helpers(usize);

impl Helpers {
    /// As many as are free, at most `wanted`.
    fn take(wanted: usize) -> Self {
        let mut taken = 0;
        if wanted == 0 {
            return Self(taken);
        }
        let _ = HELPING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |helping| {
            taken = wanted.min(FURTHER.saturating_sub(helping));
            Some(helping + taken)
        });
        Self(taken)
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        HELPING.fetch_sub(self.0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn all_are_done_in_order_whoever_does_them() {
        for count in [0, 1, 7, 8, 9, 1_000] {
            let numbers: Vec<usize> = (0..count).collect();
            let made = map(&numbers, 4, |number, seen: &mut usize| {
                *seen += 1;
                assert!(*seen <= count);
                number * 3
            });
            let expected: Vec<usize> = numbers.iter().map(|number| number * 3).collect();
            assert_eq!(made, expected);
        }
    }

    #[test]
    fn a_panic_is_the_callers() {
        let numbers: Vec<u32> = (0..100).collect();
        let failed = std::panic::catch_unwind(|| {
            map(&numbers, 1, |number, (): &mut ()| assert!(*number != 99));
        });
        assert!(failed.is_err());
    }

    #[test]
    fn helpers_are_given_back() {
        let most = *FURTHER;
        let deadline = Instant::now() + Duration::from_secs(60);
        // Other tests have some of them for moments.
        for _ in 0..3 {
            while Helpers::take(usize::MAX).0 != most {
                assert!(Instant::now() < deadline, "they are not given back");
            }
        }
        assert_eq!(Helpers::take(0).0, 0);
    }
}
