//! The counters of the bus of worker runs. The bus counts through [`BusMetrics`]; `super::Metrics`
//! registers them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The most brokers with a series of their own; those beyond have none.
const MAX_BROKERS: usize = 256;

/// The counters; cloning gives another handle to the same ones.
#[derive(Clone, Debug, Default)]
pub struct BusMetrics {
    up: Family<OfBroker, Gauge>,
    messages: Family<Message, Counter>,
    reconnects: Counter,
    /// The brokers that have a series.
    brokers: Arc<Mutex<BTreeSet<String>>>,
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
    /// Registers all of them.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
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
        let is_known = {
            let mut known = self.brokers.lock().unwrap_or_else(PoisonError::into_inner);
            known.contains(broker) || (known.len() < MAX_BROKERS && known.insert(broker.to_owned()))
        };
        if is_known {
            self.up.get_or_create(&OfBroker { broker: broker.to_owned() }).set(up.into());
        }
    }

    /// Counts a message of a kind: `run`, `cancel`, `status`, `heartbeat`.
    pub fn message(&self, kind: &'static str, outcome: &'static str) {
        self.messages.get_or_create(&Message { kind, outcome }).inc();
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
        metrics.register(&mut registry);
        for n in 0..MAX_BROKERS + 2 {
            metrics.set_up(&format!("amqp://{n}:5672"), n != 7);
        }
        metrics.message("status", "poison");
        metrics.reconnected();
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "scheduler0_bus_up{broker=\"amqp://7:5672\"} 0\n",
            "scheduler0_bus_up{broker=\"amqp://8:5672\"} 1\n",
            "scheduler0_bus_messages_total{kind=\"status\",outcome=\"poison\"} 1\n",
            "scheduler0_bus_reconnects_total 1\n",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert_eq!(text.matches("bus_up{").count(), MAX_BROKERS);
    }
}
