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
    /// The time for which the oldest has waited, in seconds.
    pub oldest_seconds: u64,
}

/// The figures; cloning gives another handle to the same ones.
#[derive(Clone, Debug, Default)]
pub struct RunMetrics {
    offers: Family<QueueLabel, Gauge>,
    taken: Family<QueueLabel, Gauge>,
    oldest: Family<QueueLabel, Gauge>,
    /// The queues that have a series.
    shown: Arc<Mutex<BTreeSet<String>>>,
    /// Claims that workers made, also those that got nothing.
    pub claims: Counter,
    wait: Lag,
    lost: Counter,
    /// Cancels that workers were told of.
    pub cancels: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabel {
    queue: String,
}

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
        let waiting = "Occurrences of a queue that wait for a worker at this node";
        registry.register("offers", waiting, metrics.offers.clone());
        let taken = "Runs of a queue that workers have from this node";
        registry.register("runs_taken", taken, metrics.taken.clone());
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

    /// Shows what queues have; those that are not named have nothing.
    pub fn set_queues(&self, queues: impl IntoIterator<Item = QueueFigures>) {
        let mut sums: BTreeMap<String, QueueFigures> = BTreeMap::new();
        for own in queues {
            let is_known = sums.contains_key(&own.queue);
            let name = if is_known || sums.len() < MAX_QUEUES { &own.queue } else { OTHER };
            let none = QueueFigures { queue: name.into(), offers: 0, taken: 0, oldest_seconds: 0 };
            let sum = sums.entry(name.to_owned()).or_insert(none);
            sum.offers += own.offers;
            sum.taken += own.taken;
            sum.oldest_seconds = sum.oldest_seconds.max(own.oldest_seconds);
        }
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for queue in shown.iter().filter(|queue| !sums.contains_key(*queue)) {
            let label = QueueLabel { queue: queue.clone() };
            for family in [&self.offers, &self.taken, &self.oldest] {
                family.remove(&label);
            }
        }
        *shown = sums.keys().cloned().collect();
        for (queue, own) in sums {
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
        QueueFigures { queue: queue.into(), offers, taken: 1, oldest_seconds }
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
        let many = (0..60).map(|n| own(&format!("q{n:02}"), 2, n));
        metrics.set_queues(many);
        let text = shown();
        assert!(!text.contains("emails"), "it has nothing any more: {text}");
        assert!(text.contains("offers{queue=\"q49\"} 2") && !text.contains("q50"), "{text}");
        assert!(text.contains("offers{queue=\"other\"} 20"), "{text}");
        assert!(text.contains("oldest_offer_seconds{queue=\"other\"} 59"), "{text}");
    }
}
