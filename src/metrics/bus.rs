//! The counters of the bus of worker runs. The bus counts through [`BusMetrics`]; `super::Metrics`
//! registers them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The most brokers with a series of their own; those beyond have none.
const MAX_BROKERS: usize = 256;
/// The time for which the status warns of messages that were not understood, in milliseconds.
const REMEMBERED: u64 = 600_000;

/// The counters; cloning gives another handle to the same ones.
#[derive(Clone, Debug, Default)]
pub struct BusMetrics {
    up: Family<OfBroker, Gauge>,
    messages: Family<Message, Counter>,
    reconnects: Counter,
    health: Arc<Mutex<Health>>,
}

/// What the status warns of.
#[derive(Debug, Default)]
struct Health {
    /// The brokers that have a series, and whether their workers are heard.
    brokers: BTreeMap<String, bool>,
    /// The messages so far that were not understood.
    poison: u64,
    /// How many of them the last look saw, and the instant of the boot clock at which it saw more
    /// than the look before.
    seen: u64,
    grew: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfBroker {
    broker: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Message {
    kind: &'static str,
    outcome: &'static str,
}

impl BusMetrics {
    /// Registers all of them, and those that name brokers apart.
    pub(super) fn register(&self, registry: &mut Registry, of_hosts: &mut Registry) {
        of_hosts.register(
            "bus_up",
            "Whether this node hears the workers at a broker: 1 or 0",
            self.up.clone(),
        );
        registry.register(
            "bus_messages",
            "Messages of worker runs, by kind and by what came of them",
            self.messages.clone(),
        );
        registry.register(
            "bus_reconnects",
            "Connections to hear workers on that were made after one was lost",
            self.reconnects.clone(),
        );
    }

    /// Says whether the workers at a broker are heard.
    pub fn set_up(&self, broker: &str, up: bool) {
        {
            let mut health = self.health();
            let is_known = health.brokers.contains_key(broker);
            if !is_known && health.brokers.len() >= MAX_BROKERS {
                return;
            }
            health.brokers.insert(broker.to_owned(), up);
        }
        self.up.get_or_create(&OfBroker { broker: broker.to_owned() }).set(up.into());
    }

    /// Forgets a broker that nobody listens at any more.
    pub fn forget(&self, broker: &str) {
        self.health().brokers.remove(broker);
        self.up.remove(&OfBroker { broker: broker.to_owned() });
    }

    /// Looks whether messages came that were not understood. To be called from time to time, with
    /// the instant of the boot clock in milliseconds.
    pub fn look(&self, now: u64) {
        let mut health = self.health();
        if health.poison > health.seen {
            (health.seen, health.grew) = (health.poison, Some(now));
        }
    }

    /// What the status warns of at an instant of the boot clock.
    pub fn warnings(&self, now: u64) -> Vec<String> {
        let health = self.health();
        let down = health.brokers.iter().filter(|(_, up)| !**up);
        let mut warnings: Vec<_> = down
            .map(|(broker, _)| {
                format!(
                    "the broker {broker} of a queue cannot be used: its runs are not published, \
                     and its workers not heard"
                )
            })
            .collect();
        if health.grew.is_some_and(|at| now.saturating_sub(at) < REMEMBERED) {
            warnings.push(format!(
                "{} messages of workers at brokers were not understood: see the log for their jobs",
                health.seen
            ));
        }
        warnings
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a message of a kind: `run`, `cancel`, `status`, `heartbeat`.
    pub fn message(&self, kind: &'static str, outcome: &'static str) {
        self.messages(kind, outcome, 1);
    }

    /// Counts messages of a kind.
    pub fn messages(&self, kind: &'static str, outcome: &'static str, count: u64) {
        if outcome == "poison" {
            self.health().poison += count;
        }
        if count > 0 {
            self.messages.get_or_create(&Message { kind, outcome }).inc_by(count);
        }
    }

    /// Counts a connection that replaces a lost one.
    pub fn reconnected(&self) {
        self.reconnects.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_up_or_down_and_bounded() {
        let metrics = BusMetrics::default();
        let mut registry = Registry::with_prefix("scheduler0");
        let mut of_hosts = Registry::with_prefix("scheduler0");
        metrics.register(&mut registry, &mut of_hosts);
        for n in 0..MAX_BROKERS + 2 {
            metrics.set_up(&format!("amqp://{n}:5672"), n != 7);
        }
        metrics.message("status", "poison");
        metrics.reconnected();
        let mut text = String::new();
        for registry in [&registry, &of_hosts] {
            prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        }
        for line in [
            "scheduler0_bus_up{broker=\"amqp://7:5672\"} 0\n",
            "scheduler0_bus_up{broker=\"amqp://8:5672\"} 1\n",
            "scheduler0_bus_messages_total{kind=\"status\",outcome=\"poison\"} 1\n",
            "scheduler0_bus_reconnects_total 1\n",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert_eq!(text.matches("bus_up{").count(), MAX_BROKERS);
        metrics.forget("amqp://7:5672");
        assert_eq!(metrics.warnings(0), [""; 0], "nobody uses it any more");
    }

    #[test]
    fn the_status_warns_of_brokers_that_are_down_and_for_a_while_of_poison() {
        let metrics = BusMetrics::default();
        metrics.set_up("amqp://b:5672", false);
        assert!(metrics.warnings(0)[0].contains("amqp://b:5672"));
        metrics.set_up("amqp://b:5672", true);
        metrics.messages("status", "poison", 3);
        metrics.look(5_000);
        metrics.look(9_000);
        assert!(metrics.warnings(9_000)[0].starts_with("3 messages"));
        assert_eq!(metrics.warnings(5_000 + REMEMBERED), [""; 0]);
    }
}
