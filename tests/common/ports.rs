//! Ports for servers under test.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Below the ports that systems give to clients and to who asks for any (IANA: 49152 and
/// up, Linux: 32768 and up): nobody gets one of these by chance before its server has it.
const FIRST: u32 = 12_000;
const LAST: u32 = 32_000;

/// A port nobody listens on, and that this program was not given before.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Programs that run beside each other begin elsewhere.
    static BEGIN: std::sync::LazyLock<u32> = std::sync::LazyLock::new(|| {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("a date");
        now.subsec_nanos() % (LAST - FIRST)
    });
    (FIRST..LAST)
        .map(|_| FIRST + (*BEGIN + GIVEN.fetch_add(1, Ordering::Relaxed)) % (LAST - FIRST))
        .filter_map(|port| u16::try_from(port).ok())
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}
