//! The figures of runs that workers perform, as far as the supervisor of this node knows them. The
//! supervision counts through [`RunMetrics`]; `super::Metrics` registers them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Lag;

/// The most queues with a series of their own; others are counted together as `other`.
const MAX_QUEUES: usize = 50;
/// The name under which they are.
const OTHER: &str = "other";

/// What waits in a queue at this node, and what its workers have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueFigures {
    /// The name of the queue.
    pub queue: String,
    /// The occurrences that wait for a worker.
    pub offers: u64,
    /// The runs that workers have.
    pub taken: u64,
    /// Those of them by phase: published, running, to be stopped. They may be some seconds old.
    pub phases: [u64; 3],
    /// The time for which the oldest has waited, in seconds.
    pub oldest_seconds: u64,
}

/// The figures; cloning gives another handle to the same ones.
#[derive(Clone, Debug, Default)]
pub struct RunMetrics {
    offers: Family<QueueLabel, Gauge>,
    taken: Family<QueueLabel, Gauge>,
    oldest: Family<QueueLabel, Gauge>,
    states: Family<StateLabels, Gauge>,
    ended: Family<EndLabels, Counter>,
    /// The queues that have a series.
    shown: Arc<Mutex<BTreeSet<String>>>,
    /// The queues whose ends have series. These stay, since they are counters.
    counted: Arc<Mutex<BTreeSet<String>>>,
    /// Claims that workers made, also those that got nothing.
    pub claims: Counter,
    wait: Lag,
    lost: Counter,
    /// Cancels that workers were told of.
    pub cancels: Counter,
    /// Signs of life of runs that the supervisor took in, each run of a heartbeat by itself.
    pub beats: Counter,
    /// Claims that wait for work at the gateway of this node.
    pub parked: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabel {
    queue: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    queue: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabels {
    queue: String,
    state: &'static str,
    how: &'static str,
}

/// The states of runs that are not over, in the order of the figures.
const STATES: [&str; 3] = ["pending", "running", "cancelling"];

impl RunMetrics {
    /// The figures, registered.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let claims = "Claims of workers that this node has taken in";
        registry.register("claims", claims, metrics.claims.clone());
        let lost = "Runs whose worker was silent for too long";
        registry.register("runs_lost", lost, metrics.lost.clone());
        let cancels = "Cancels that workers were to be told of";
        registry.register("run_cancels", cancels, metrics.cancels.clone());
        let beats = "Heartbeats of runs that this node has taken in for its shards";
        registry.register("beats", beats, metrics.beats.clone());
        let parked = "Claims of workers that wait for work at this node";
        registry.register("claim_parked", parked, metrics.parked.clone());
        let waiting = "Occurrences of a queue that wait for a worker at this node";
        registry.register("offers", waiting, metrics.offers.clone());
        let taken = "Runs of a queue that workers have from this node";
        registry.register("runs_taken", taken, metrics.taken.clone());
        let states = "Runs of a queue at this node that are not over, by state";
        registry.register("runs", states, metrics.states.clone());
        let ended = "Runs of a queue that workers had from this node and that are over, by how";
        registry.register("runs_ended", ended, metrics.ended.clone());
        let oldest = "Time for which the oldest occurrence of a queue has waited for a worker";
        registry.register("oldest_offer_seconds", oldest, metrics.oldest.clone());
        let wait = "Time from the instant at which a run was due to its claim";
        registry.register("claim_wait_seconds", wait, metrics.wait.clone());
        metrics
    }

    /// Counts a run that was claimed, so many milliseconds after it was due.
    pub fn claimed(&self, waited_ms: i64) {
        self.wait.observe(u64::try_from(waited_ms).unwrap_or(0), 1);
    }

    /// Counts runs that were lost.
    pub fn lost(&self, runs: usize) {
        self.lost.inc_by(runs as u64);
    }

    /// Counts a run that is over: its queue, the state in which it ended, and who or what ended it.
    pub fn ended(&self, queue: &str, state: &'static str, how: &'static str) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let is_room = counted.contains(queue) || counted.len() < MAX_QUEUES;
        if is_room && !counted.contains(queue) {
            counted.insert(queue.to_owned());
        }
        let queue = if is_room { queue } else { OTHER }.to_owned();
        self.ended.get_or_create(&EndLabels { queue, state, how }).inc();
    }

    /// Shows what queues have; those that are not named have nothing.
    pub fn set_queues(&self, queues: impl IntoIterator<Item = QueueFigures>) {
        let mut sums: BTreeMap<String, QueueFigures> = BTreeMap::new();
        for own in queues {
            let is_known = sums.contains_key(&own.queue);
            let name = if is_known || sums.len() < MAX_QUEUES { &own.queue } else { OTHER };
            let none = || QueueFigures {
                queue: name.into(),
                offers: 0,
                taken: 0,
                phases: [0; 3],
                oldest_seconds: 0,
            };
            let sum = sums.entry(name.to_owned()).or_insert_with(none);
            sum.offers += own.offers;
            sum.taken += own.taken;
            for (sum, own) in sum.phases.iter_mut().zip(own.phases) {
                *sum += own;
            }
            sum.oldest_seconds = sum.oldest_seconds.max(own.oldest_seconds);
        }
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for queue in shown.iter().filter(|queue| !sums.contains_key(*queue)) {
            let label = QueueLabel { queue: queue.clone() };
            for family in [&self.offers, &self.taken, &self.oldest] {
                family.remove(&label);
            }
            for state in STATES {
                self.states.remove(&StateLabels { queue: queue.clone(), state });
            }
        }
        *shown = sums.keys().cloned().collect();
        for (queue, own) in sums {
            let [published, running, cancelling] = own.phases;
            let numbers = [own.offers + published, running, cancelling];
            for (state, number) in STATES.into_iter().zip(numbers) {
                let label = StateLabels { queue: queue.clone(), state };
                self.states.get_or_create(&label).set(i64::try_from(number).unwrap_or(i64::MAX));
            }
            let label = QueueLabel { queue };
            let values = [own.offers, own.taken, own.oldest_seconds];
            for (family, value) in [&self.offers, &self.taken, &self.oldest].into_iter().zip(values)
            {
                family.get_or_create(&label).set(i64::try_from(value).unwrap_or(i64::MAX));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(queue: &str, offers: u64, oldest_seconds: u64) -> QueueFigures {
        let queue = queue.into();
        QueueFigures { queue, offers, taken: 6, phases: [1, 2, 3], oldest_seconds }
    }

    #[test]
    fn queues_are_shown_by_name_the_many_together_and_the_empty_not_at_all() {
        let mut registry = Registry::default();
        let metrics = RunMetrics::register(&mut registry);
        let shown = || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            text
        };
        metrics.set_queues([own("emails", 3, 7)]);
        let text = shown();
        assert!(text.contains("offers{queue=\"emails\"} 3"), "{text}");
        assert!(text.contains("oldest_offer_seconds{queue=\"emails\"} 7"), "{text}");
        for (state, number) in [("pending", 4), ("running", 2), ("cancelling", 3)] {
            let line = format!("runs{{queue=\"emails\",state=\"{state}\"}} {number}");
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        let many = (0..60).map(|n| own(&format!("q{n:02}"), 2, n));
        metrics.set_queues(many);
        let text = shown();
        assert!(!text.contains("emails"), "it has nothing any more: {text}");
        assert!(text.contains("offers{queue=\"q49\"} 2") && !text.contains("q50"), "{text}");
        assert!(text.contains("offers{queue=\"other\"} 20"), "{text}");
        assert!(text.contains("oldest_offer_seconds{queue=\"other\"} 59"), "{text}");
        assert!(text.contains("runs{queue=\"other\",state=\"running\"} 20"), "{text}");
    }

    #[test]
    fn ends_are_counted_by_queue_state_and_how_and_of_many_queues_together() {
        let mut registry = Registry::default();
        let metrics = RunMetrics::register(&mut registry);
        for n in 0..MAX_QUEUES + 3 {
            metrics.ended(&format!("q{n}"), "completed", "reported");
        }
        metrics.ended("q0", "completed", "reported");
        metrics.ended("q0", "cancelled", "timed_out");
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for (queue, state, how, number) in [
            ("q0", "completed", "reported", 2),
            ("q0", "cancelled", "timed_out", 1),
            ("other", "completed", "reported", 3),
        ] {
            let labels = format!("queue=\"{queue}\",state=\"{state}\",how=\"{how}\"");
            let line = format!("runs_ended_total{{{labels}}} {number}");
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}
