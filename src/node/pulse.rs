//! A check that a runtime still runs its tasks: that of the API, and that of the callbacks, each
//! with a pulse of its own. The renewal loop, which has a thread of its own, asks before it renews
//! the lease: a node that cannot send, or that cannot be told what to do, must not keep its shards.
//! It repairs nothing; a runtime that runs again is believed again.
//!
//! A beat is due every sixteenth of the limit, and only a silence of the whole limit (the lease's
//! TTL) counts: a busy machine would have to keep a task from running for that long. The lease then
//! ends within another TTL, and the shards move after TTL + F.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

/// The pulse of one runtime.
#[derive(Debug)]
pub(super) struct Pulse {
    /// The name of the runtime in the log.
    what: &'static str,
    born: Instant,
    limit: Duration,
    /// The instant at which the runtime last ran its task, in milliseconds since `born`.
    beat: AtomicU64,
    said: AtomicBool,
}

impl Pulse {
    /// Starts beating on a runtime.
    pub(super) fn start(
        runtime: &Handle,
        what: &'static str,
        limit: Duration,
    ) -> (Arc<Self>, JoinHandle<()>) {
        let pulse = Arc::new(Self {
            what,
            born: Instant::now(),
            limit,
            beat: AtomicU64::new(0),
            said: AtomicBool::new(false),
        });
        let beats = pulse.clone();
        let task = runtime.spawn(async move {
            let mut beat = tokio::time::interval((limit / 16).max(Duration::from_millis(1)));
            beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                beat.tick().await;
                beats.beat.store(beats.born.elapsed().as_millis() as u64, Ordering::Relaxed);
            }
        });
        (pulse, task)
    }

    /// True if the runtime ran its task within the limit; logs each change once.
    pub(super) fn is_alive(&self) -> bool {
        let beat = Duration::from_millis(self.beat.load(Ordering::Relaxed));
        let silence = self.born.elapsed().saturating_sub(beat);
        let alive = silence <= self.limit;
        if self.said.swap(!alive, Ordering::Relaxed) == alive {
            let silent_ms = silence.as_millis() as u64;
            if alive {
                tracing::info!(
                    "the threads of {} run again: this node renews its lease",
                    self.what
                );
            } else {
                tracing::error!(
                    silent_ms,
                    "the threads of {} hang: this node does not renew its lease",
                    self.what
                );
            }
        }
        alive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_whose_threads_are_held_is_not_alive_until_they_are_free() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
        let runtime = runtime.unwrap();
        let (pulse, _task) = Pulse::start(runtime.handle(), "it", Duration::from_millis(200));
        assert!(pulse.is_alive());
        let mut holds = Vec::new();
        for _ in 0..2 {
            let (release, held) = std::sync::mpsc::channel::<()>();
            runtime.spawn(async move {
                // As a thread that waits for a full pipe: until somebody lets it go on.
                let _ = held.recv();
            });
            holds.push(release);
        }
        while pulse.is_alive() {
            std::thread::yield_now();
        }
        drop(holds);
        while !pulse.is_alive() {
            std::thread::yield_now();
        }
    }
}
