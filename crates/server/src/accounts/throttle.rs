//! Failed logins wait, longer the more there are from one address. Good logins
//! never wait, and no account is ever locked: a stranger cannot shut the owner out.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(15);
/// How long one failure counts.
const DECAY: Duration = Duration::from_secs(60);
/// How many addresses are remembered.
const ADDRESSES: usize = 10_000;

/// An address, or the /64 of an IPv6 one: what one customer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source(u128);

impl Source {
    /// The source an address belongs to.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(u128::from(u32::from(address))),
            IpAddr::V6(address) => Self(u128::from(address) >> 64 << 64 | 1 << 63),
        }
    }
}

/// Failures by source, IMAP and POP3 together.
#[derive(Default)]
pub struct Throttle {
    failures: Mutex<HashMap<Source, (u32, Instant)>>,
}

impl Throttle {
    /// Counts a failure and says how long its reply waits, the first one for `first`;
    /// zero is no wait at all.
    pub fn failed(&self, source: Source, now: Instant, first: Duration) -> Duration {
        let mut failures = self.failures.lock();
        if failures.len() >= ADDRESSES {
            failures.retain(|_, (_, since)| now.saturating_duration_since(*since) < 15 * DECAY);
            if failures.len() >= ADDRESSES {
                failures.clear();
            }
        }
        let (count, since) = failures.entry(source).or_insert((0, now));
        let decayed = now.saturating_duration_since(*since).as_secs() / DECAY.as_secs();
        *count = count
            .saturating_sub(u32::try_from(decayed).unwrap_or(u32::MAX))
            .saturating_add(1)
            .min(1_000);
        *since = now;
        // A household behind one address mistypes now and then: the wait grows from
        // the fifth failure on.
        (first * (1 + *count / 5)).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_decay() {
        let throttle = Throttle::default();
        let first = Duration::from_secs(2);
        let source = Source::of("192.0.2.1".parse().expect("address"));
        let now = Instant::now();
        let waits: Vec<u64> = (0..60)
            .map(|_| throttle.failed(source, now, first).as_secs())
            .collect();
        assert_eq!((waits[0], waits[3], waits[59]), (2, 2, 15));
        assert!(waits.is_sorted());
        assert_eq!(
            throttle
                .failed(source, now + Duration::from_secs(7200), first)
                .as_secs(),
            2
        );
        assert_eq!(throttle.failed(source, now, Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn an_ipv6_customer_is_one_source() {
        let source = |text: &str| Source::of(text.parse().expect("address"));
        assert_eq!(source("2001:db8::1"), source("2001:db8::2"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
    }
}
