//! The schedule of this node's snapshots: after enough entries, or enough bytes of log, and never
//! so often that most of the time goes into it. One task of each node, started by `tasks`. It asks
//! Raft for the snapshot and writes none itself.

use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::inner::Inner;

/// Time between two looks at how far the log has grown.
const LOOK: Duration = Duration::from_millis(500);
/// Log bytes after which a snapshot is taken whatever the number of entries, unless the state is
/// larger than that: then as many bytes as the last snapshot had.
const SNAPSHOT_BYTES: u64 = 64 << 20;
/// Least time between two snapshots that bytes ask for.
const SNAPSHOT_PAUSE: Duration = Duration::from_secs(10);

/// The time that a snapshot took passes this many times before the next one.
const SNAPSHOT_SHARE: u32 = 10;

/// Takes a snapshot when the log has grown enough since the last one.
pub(super) async fn take_snapshots(inner: Arc<Inner>) {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // When the last one was asked for, from which index, and how long it took.
    let mut last: Option<(Instant, u64)> = None;
    let mut took = Duration::ZERO;
    loop {
        look.tick().await;
        inner.boot_offset.sample();
        let applied = inner.watches.applied.borrow().index;
        let snapshot = inner.raft.metrics().borrow_watched().snapshot.map_or(0, |id| id.index);
        if let Some((at, before)) = last
            && took.is_zero()
            && snapshot > before
        {
            took = at.elapsed();
        }
        // However short the configured time is, most of it is not spent on snapshots.
        let pause = took * SNAPSHOT_SHARE;
        let passed = |least: Duration| last.is_none_or(|(at, _)| at.elapsed() >= least.max(pause));
        let entries = applied.saturating_sub(snapshot);
        let by_entries = entries >= inner.options.snapshot_threshold
            && passed(inner.options.snapshot_interval.max(Duration::from_secs(1)));
        let by_bytes = || {
            let size = inner.snapshots.current_size().max(SNAPSHOT_BYTES);
            passed(SNAPSHOT_PAUSE) && inner.log.bytes_after(snapshot) >= size
        };
        // After one that failed the log may grow.
        if inner.snapshots.failures().is_recent() {
            continue;
        }
        if by_entries || (entries > 0 && by_bytes()) {
            (last, took) = (Some((Instant::now(), snapshot)), Duration::ZERO);
            if inner.raft.trigger().snapshot().await.is_err() {
                return;
            }
        }
    }
}
