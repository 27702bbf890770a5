//! What lasts of the hearing of one shard at one broker, from attach to detach: the jobs that are
//! wanted, those that gave trouble, the queues that are heard. `shard_consumer` runs it, and each
//! channel works on it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::broker_link::BrokerLink;
use super::subscribe::Listened;
use crate::bus::event::{BusEvent, BusEvents};
use crate::model::shard::ShardId;
use crate::telemetry::LogLimit;

/// The wait after a channel that has ended at once, and after a job that could not be listened to.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The time after which failures are forgotten.
const FORGOTTEN: Duration = Duration::from_mins(1);

/// The jobs of a shard at one broker, and who is told of them.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) jobs: Arc<[Arc<Listened>]>,
    pub(super) events: BusEvents,
}

/// Failures in a row, with a growing wait between them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Failures {
    count: u32,
    last: Option<Instant>,
}

impl Failures {
    /// Notes a failure; returns the instant of the next try.
    pub(super) fn note(&mut self, now: Instant) -> Instant {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) > FORGOTTEN) {
            self.count = 0;
        }
        let wait = FIRST_WAIT.saturating_mul(1 << self.count.min(20)).min(LONGEST_WAIT);
        self.count += 1;
        self.last = Some(now + wait);
        now + wait
    }

    /// The instant of the next try, if it is still to come.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.last.filter(|last| *last > now)
    }
}

/// The hearing of a shard.
pub(super) struct HeardShard {
    pub(super) link: Arc<BrokerLink>,
    pub(super) shard: ShardId,
    /// The sender is dropped when the shard is detached.
    pub(super) wanted: watch::Receiver<Wanted>,
    /// The jobs that could not be listened to, by queue and name.
    pub(super) troubles: HashMap<(u64, Arc<str>), Failures>,
    /// The queues that are heard.
    up: BTreeSet<u64>,
}

impl HeardShard {
    /// A shard of which nobody is heard yet.
    pub(super) fn new(
        link: Arc<BrokerLink>,
        shard: ShardId,
        wanted: watch::Receiver<Wanted>,
    ) -> Self {
        link.attached.send_modify(|shards| *shards += 1);
        let (troubles, up) = (HashMap::new(), BTreeSet::new());
        Self { link, shard, wanted, troubles, up }
    }

    /// Whether a queue is heard.
    pub(super) fn is_up(&self, queue: u64) -> bool {
        self.up.contains(&queue)
    }

    /// Says that a queue is heard.
    pub(super) fn set_up(&mut self, queue: u64) {
        if self.up.insert(queue) {
            self.tell(BusEvent::Up { shard: self.shard, queue });
        }
    }

    /// Says again which of some queues are heard, to whom the shard was attached for anew, and
    /// forgets the others: none of their jobs is listened to any more.
    pub(super) fn tell_up_again(&mut self, wanted: &BTreeSet<u64>) {
        self.up.retain(|queue| wanted.contains(queue));
        for queue in self.up.iter().copied() {
            self.tell(BusEvent::Up { shard: self.shard, queue });
        }
    }

    /// Says that no queue is heard.
    pub(super) fn set_down(&mut self, why: &str) {
        static LINES: LogLimit<String> = LogLimit::new();
        let broker = self.link.broker.address();
        if LINES.admit(broker.clone()).is_some() {
            tracing::warn!(broker, why, "workers are not heard");
        }
        for queue in std::mem::take(&mut self.up) {
            self.tell(BusEvent::Down { shard: self.shard, queue, why: why.to_owned() });
        }
    }

    /// Tells an event; false if nobody listens any more.
    pub(super) fn tell(&self, event: BusEvent) -> bool {
        self.wanted.borrow().events.send(event).is_ok()
    }
}

impl Drop for HeardShard {
    fn drop(&mut self) {
        self.link.attached.send_modify(|shards| *shards -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_forgotten() {
        let (mut failures, mut now) = (Failures::default(), Instant::now());
        for expected in [100, 200, 400, 800] {
            let until = failures.note(now);
            assert_eq!((until - now).as_millis(), expected);
            assert_eq!(failures.until(now), Some(until));
            now = until;
            assert_eq!(failures.until(now), None);
        }
        let _ = (0..40).map(|_| failures.note(now)).last();
        assert_eq!(failures.note(now) - now, LONGEST_WAIT);
        now += LONGEST_WAIT + FORGOTTEN + FIRST_WAIT;
        assert_eq!(failures.note(now) - now, FIRST_WAIT);
    }
}
