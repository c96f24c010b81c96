//! Files are read when they have stood still: whoever writes one in place, or one after the
//! other, is ready then.

use std::time::{Duration, Instant};

/// How some files were when they were read, and since when they are otherwise.
#[derive(Debug)]
pub struct Standstill<T> {
    read: T,
    patience: Duration,
    changed: Option<(T, Instant)>,
}

impl<T: PartialEq + Clone> Standstill<T> {
    /// Of files that were so when they were read; they have to stand still for so long
    /// until they are read again.
    pub fn new(read: T, patience: Duration) -> Self {
        Self {
            read,
            patience,
            changed: None,
        }
    }

    /// Notes how they are now. Whether they are to be read: they are not as they were, and
    /// have been as they are since long enough.
    pub fn look(&mut self, there: &T, now: Instant) -> bool {
        if *there == self.read {
            self.changed = None;
            return false;
        }
        match &self.changed {
            Some((before, since)) if before == there => {
                now.saturating_duration_since(*since) >= self.patience
            }
            _ => {
                self.changed = Some((there.clone(), now));
                false
            }
        }
    }

    /// They were read as they are now.
    pub fn read(&mut self, there: T) {
        self.read = there;
        self.changed = None;
    }

    /// Waits until they may have stood still for long enough; forever where they did not
    /// change.
    pub async fn ended(&self) {
        match &self.changed {
            Some((_, since)) => {
                let end = tokio::time::Instant::from_std(*since + self.patience);
                tokio::time::sleep_until(end).await;
            }
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_still_being_written_is_not_read() {
        const PATIENCE: Duration = Duration::from_millis(100);
        let mut files = Standstill::new("old", PATIENCE);
        let begin = Instant::now();
        let mut look = |there, tenths| files.look(&there, begin + PATIENCE * tenths / 10);
        assert!(!look("old", 0) && !look("old", 30));
        assert!(!look("half", 30) && !look("half", 39));
        assert!(!look("whole", 41) && !look("whole", 50));
        assert!(look("whole", 51));
        // As it was before it was touched: nothing to be read.
        assert!(!look("old", 52) && !look("whole", 60) && look("whole", 70));
        files.read("whole");
        assert!(!files.look(&"whole", begin + PATIENCE * 20));
        files.look(&"next", Instant::now());
        files.ended().await;
        assert!(files.look(&"next", Instant::now()));
    }
}
