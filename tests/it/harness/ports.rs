//! Free ports of the loopback for the processes of the tests. They are handed out once in a run, so
//! that a node finds its port free when it starts again.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// A port that nobody listens on and that no other caller was given.
///
/// It lies below the ports that systems hand out by themselves, so that no outgoing connection
/// occupies it while a node is down. Another run of the tests begins at another port.
pub(crate) fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 22_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(331);
    let mut ports = (0..COUNT).map(|_| {
        let n = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        (FIRST + n % COUNT) as u16
    });
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}
