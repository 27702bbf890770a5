//! Gauges of the calls under way, by destination. They are read from the executor at each scrape,
//! so nothing is counted twice.

use std::sync::{Arc, OnceLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

/// The most destinations with a series of their own at once; others are counted together as
/// `other`.
const MAX_DESTINATIONS: usize = 256;

/// The calls of this node to one destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destination {
    /// Scheme, host and port.
    pub name: String,
    /// Calls under way.
    pub in_flight: u64,
    /// Calls waiting for their turn.
    pub waiting: u64,
    /// Set while the breaker of the destination is open.
    pub open: bool,
    /// Projects that it has asked to wait.
    pub paused: u64,
}

/// The calls of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// The destinations with something to report.
    pub destinations: Vec<Destination>,
    /// Calls turned away because their destination keeps failing, since the start.
    pub refused: u64,
    /// Calls that were deferred since the start because this node could not make them, by the
    /// missing resource.
    pub own_errors: Vec<(&'static str, u64)>,
    /// Calls that have been under way for a second or more.
    pub hanging: u64,
    /// The most calls that may be under way.
    pub capacity: u64,
    /// Set while calls of some project wait because the project uses its whole share.
    pub over_share: bool,
}

/// The source of [`Calls`], read at each scrape.
#[derive(Clone, Default)]
pub(super) struct CallSource(Arc<OnceLock<Box<dyn Fn() -> Calls + Send + Sync>>>);

impl std::fmt::Debug for CallSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CallSource").field(&self.0.get().is_some()).finish()
    }
}

impl CallSource {
    /// Sets the source; only the first call counts.
    pub(super) fn set(&self, source: impl Fn() -> Calls + Send + Sync + 'static) {
        let _ = self.0.set(Box::new(source));
    }

    /// The figures of all calls together.
    pub(super) fn totals(&self) -> CallTotals {
        CallTotals(self.clone())
    }

    /// Reads the calls. The busiest destinations keep their names; the others are one, `other`.
    fn read(&self) -> Calls {
        let mut calls = self.0.get().map(|source| source()).unwrap_or_default();
        let list = &mut calls.destinations;
        if list.len() > MAX_DESTINATIONS {
            list.sort_by_key(|d| std::cmp::Reverse((d.open, d.in_flight + d.waiting, d.paused)));
            let rest = list.split_off(MAX_DESTINATIONS);
            list.push(rest.into_iter().fold(
                Destination { name: "other".to_owned(), ..Destination::default() },
                |all, d| Destination {
                    in_flight: all.in_flight + d.in_flight,
                    waiting: all.waiting + d.waiting,
                    open: all.open || d.open,
                    paused: all.paused + d.paused,
                    ..all
                },
            ));
        }
        calls
    }
}

/// The figures of all calls together, which name no destination.
#[derive(Clone, Debug)]
pub(super) struct CallTotals(CallSource);

impl Collector for CallSource {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        type Value = fn(&Destination) -> u64;
        let gauges: [(&str, &str, Value); 4] = [
            ("destination_in_flight", "Calls on their way, by destination", |d| d.in_flight),
            ("destination_waiting", "Calls waiting for their turn, by destination", |d| d.waiting),
            (
                "breaker_open",
                "1 for a destination that keeps failing and is left alone but for probes",
                |d| u64::from(d.open),
            ),
            (
                "destination_paused",
                "Projects that a destination has asked to wait (Retry-After), by destination",
                |d| d.paused,
            ),
        ];
        let calls = self.read();
        for (name, help, value) in gauges {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for destination in calls.destinations.iter().filter(|d| value(d) > 0) {
                let labels = [("destination", destination.name.as_str())];
                metric.encode_family(&labels)?.encode_gauge(&(value(destination) as i64))?;
            }
        }
        Ok(())
    }
}

impl Collector for CallTotals {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let calls = self.0.0.get().map(|source| source()).unwrap_or_default();
        let totals: [(&str, &str, u64); 3] = [
            ("hanging_calls", "Calls on their way for a second or more", calls.hanging),
            ("calls_max", "Calls that may be on their way at a time", calls.capacity),
            (
                "hanging_full",
                "1 while calls of a project wait because it has its share of those on their way",
                u64::from(calls.over_share),
            ),
        ];
        for (name, help, value) in totals {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            metric.encode_gauge(&(value as i64))?;
        }
        let help = "Calls turned away because their destination keeps failing";
        let mut refused =
            encoder.encode_descriptor("breaker_refused", help, None, MetricType::Counter)?;
        refused.encode_counter::<[(&str, &str); 0], _, u64>(&calls.refused, None)?;
        let help = "Calls deferred because this node could not make them, by what it lacked";
        let mut own = encoder.encode_descriptor("own_errors", help, None, MetricType::Counter)?;
        for (kind, count) in &calls.own_errors {
            let labels = [("kind", *kind)];
            own.encode_family(&labels)?.encode_counter::<[(&str, &str); 0], _, u64>(count, None)?;
        }
        Ok(())
    }
}
