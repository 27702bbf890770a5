//! The counters of messages that are published to brokers. The executor of AMQP targets counts
//! through [`PublishMetrics`]; `super::Metrics` registers them.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Lag;

/// The most brokers with a series of their own; others are counted together as `other`.
const MAX_DESTINATIONS: usize = 256;

/// The counters; cloning gives another handle to the same ones.
#[derive(Clone, Debug, Default)]
pub struct PublishMetrics {
    published: Family<Published, Counter>,
    /// The brokers that have a series.
    destinations: Arc<Mutex<Vec<String>>>,
    unconfirmed: Gauge,
    confirm: Lag,
    connections: Family<Connected, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Published {
    destination: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Connected {
    result: &'static str,
}

impl PublishMetrics {
    /// Registers all of them, and those that name brokers apart.
    pub(super) fn register(&self, registry: &mut Registry, of_hosts: &mut Registry) {
        of_hosts.register(
            "amqp_published",
            "Messages of which a publish was tried, by broker and by what came of it",
            self.published.clone(),
        );
        registry.register(
            "amqp_unconfirmed",
            "Messages that were handed over and are not confirmed",
            self.unconfirmed.clone(),
        );
        registry.register(
            "amqp_confirm_seconds",
            "Time from the first message of a chunk to its last confirm, for each message",
            self.confirm.clone(),
        );
        registry.register(
            "amqp_connections",
            "Tries to open a connection to publish on, by result",
            self.connections.clone(),
        );
        for result in ["opened", "failed"] {
            // Shown from the start, so that an alarm notices the first increase.
            drop(self.connections.get_or_create(&Connected { result }));
        }
    }

    /// Counts messages to a broker by what came of them.
    pub fn published(&self, destination: &str, outcome: &'static str, messages: u64) {
        let destination = {
            let mut known = self.destinations.lock().unwrap_or_else(PoisonError::into_inner);
            if known.iter().any(|known| known == destination) {
                destination.to_owned()
            } else if known.len() < MAX_DESTINATIONS {
                known.push(destination.to_owned());
                destination.to_owned()
            } else {
                "other".to_owned()
            }
        };
        self.published.get_or_create(&Published { destination, outcome }).inc_by(messages);
    }

    /// Counts a message that was handed over.
    pub fn handed(&self) {
        self.unconfirmed.inc();
    }

    /// Takes messages off those that are not confirmed.
    pub fn settled(&self, messages: usize) {
        self.unconfirmed.dec_by(messages as i64);
    }

    /// Notes that so many messages were confirmed after so many milliseconds.
    pub fn confirmed(&self, ms: u64, messages: u64) {
        self.confirm.observe(ms, messages);
    }

    /// Counts a try to open a connection.
    pub fn connected(&self, opened: bool) {
        let result = if opened { "opened" } else { "failed" };
        self.connections.get_or_create(&Connected { result }).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_beyond_the_bound_are_counted_together() {
        let metrics = PublishMetrics::default();
        let mut registry = Registry::with_prefix("scheduler0");
        let mut of_hosts = Registry::with_prefix("scheduler0");
        metrics.register(&mut registry, &mut of_hosts);
        for n in 0..MAX_DESTINATIONS + 2 {
            metrics.published(&format!("amqp://{n}:5672/"), "confirmed", 3);
        }
        metrics.published("amqp://7:5672/", "returned", 1);
        (0..3).for_each(|_| metrics.handed());
        metrics.settled(2);
        metrics.confirmed(3, 2);
        metrics.connected(false);
        let mut text = String::new();
        for registry in [&registry, &of_hosts] {
            prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        }
        for line in [
            "scheduler0_amqp_published_total{destination=\"amqp://7:5672/\",outcome=\"confirmed\"} 3",
            "scheduler0_amqp_published_total{destination=\"amqp://7:5672/\",outcome=\"returned\"} 1",
            "scheduler0_amqp_published_total{destination=\"other\",outcome=\"confirmed\"} 6",
            "scheduler0_amqp_unconfirmed 1",
            "scheduler0_amqp_confirm_seconds_count 2",
            "scheduler0_amqp_connections_total{result=\"failed\"} 1",
            "scheduler0_amqp_connections_total{result=\"opened\"} 0",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        assert_eq!(text.matches("outcome=\"confirmed\"").count(), MAX_DESTINATIONS + 1);
    }
}
