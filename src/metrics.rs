//! What this node counts about itself, in the form that Prometheus reads.
//!
//! One [`Metrics`] is made by `node` and handed down: worker and executor count firings, `node`
//! sets the gauges of Raft and leases, `server` counts requests, `api::health` serves
//! [`Metrics::encode`] at `/metrics`. Counting is a few atomic additions, whatever the size of a
//! batch. It never holds a secret, a URL with its path, or anything per job.

mod lag;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

pub use lag::{Lag, Quantiles};

use crate::model::block::Verdict;

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// So many destinations are told apart at once; more are counted together as `other`.
const MAX_DESTINATIONS: usize = 256;

/// A node's metrics; share it in an `Arc`. The gauges are handles that their owners set.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// How late first attempts went out.
    pub lag: Lag,
    firings: Family<Outcome, Counter>,
    skipped: Family<Reason, Counter>,
    late: Counter,
    destinations: Destinations,
    requests: Family<Request, Counter>,
    /// Entries of the journal that are not yet committed by the cluster.
    pub journal_depth: Gauge,
    /// Milliseconds since this node's lease was last renewed; -1 without one.
    pub lease_age_ms: Gauge,
    /// Shards that this node fires.
    pub shards_owned: Gauge,
    /// Jobs whose requests wait in the due queue.
    pub queue_due: Gauge,
    /// Requests that are built and wait for a worker.
    pub queue_built: Gauge,
    /// Requests that are on their way.
    pub in_flight: Gauge,
    /// The current term.
    pub raft_term: Gauge,
    /// The commit index.
    pub raft_commit_index: Gauge,
    /// The last applied index.
    pub raft_applied_index: Gauge,
    /// The last index in the log.
    pub raft_last_log_index: Gauge,
    /// 1 while this node leads.
    pub raft_leader: Gauge,
    /// How far this node's clock is from the median of the live nodes, in milliseconds.
    pub clock_offset_ms: Gauge,
    /// Anonymous memory of the process, in bytes.
    pub memory_bytes: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    route: String,
    status: u16,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A fresh set, all at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("scheduler0");
        let lag = Lag::default();
        registry.register(
            "firing_lag_seconds",
            "Time from the due instant to the first byte of the first attempt",
            lag.clone(),
        );
        let firings = Family::<Outcome, Counter>::default();
        registry.register("firings", "Attempts of jobs, by what came of them", firings.clone());
        let skipped = Family::<Reason, Counter>::default();
        registry.register("skipped", "Occurrences that were not sent, by reason", skipped.clone());
        let late = counter(
            &mut registry,
            "late_firings",
            "Jobs whose first attempt went out more than a second after it was due",
        );
        let destinations = Destinations::default();
        registry.register_collector(Box::new(destinations.clone()));
        let requests = Family::<Request, Counter>::default();
        registry.register("http_requests", "API requests answered", requests.clone());
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        Self {
            journal_depth: gauge("journal_depth", "Journal entries not yet committed"),
            lease_age_ms: gauge("lease_age_milliseconds", "Age of this node's lease; -1 without"),
            shards_owned: gauge("shards_owned", "Shards that this node fires"),
            queue_due: gauge("queue_due", "Jobs that are due and not yet in a request"),
            queue_built: gauge("queue_built", "Requests built and waiting for a worker"),
            in_flight: gauge("in_flight", "Callback requests on their way"),
            raft_term: gauge("raft_term", "Current Raft term"),
            raft_commit_index: gauge("raft_commit_index", "Raft commit index"),
            raft_applied_index: gauge("raft_applied_index", "Last applied Raft index"),
            raft_last_log_index: gauge("raft_last_log_index", "Last index in the Raft log"),
            raft_leader: gauge("raft_leader", "1 while this node leads"),
            clock_offset_ms: gauge(
                "clock_offset_milliseconds",
                "Distance of this node's clock from the cluster's median",
            ),
            memory_bytes: gauge("memory_anonymous_bytes", "Anonymous memory of the process"),
            lag,
            firings,
            skipped,
            late,
            destinations,
            requests,
            registry,
        }
    }

    /// Counts a first attempt: so many jobs, so many milliseconds after they were due.
    pub fn fired(&self, lag_ms: u64, jobs: u64) {
        self.lag.observe(lag_ms, jobs);
        if lag_ms > 1_000 {
            self.late.inc_by(jobs);
        }
    }

    /// Counts what came of an attempt (or of the decision not to make one) for so many jobs.
    pub fn ended(&self, verdict: Verdict, jobs: u64) {
        if let Verdict::Skipped(reason) = verdict {
            self.skipped.get_or_create(&Reason { reason: reason.name() }).inc_by(jobs);
        } else {
            self.firings.get_or_create(&Outcome { outcome: verdict.name() }).inc_by(jobs);
        }
    }

    /// Counts a request to a destination (`host:port`) as under way until the guard is dropped.
    pub fn destination(&self, host: &str) -> InFlight {
        self.destinations.begin(host)
    }

    /// Counts an answered API request. The route is the router's pattern, never the raw path.
    pub fn request(&self, method: &axum::http::Method, route: &str, status: u16) {
        let method = match *method {
            axum::http::Method::GET => "GET",
            axum::http::Method::POST => "POST",
            axum::http::Method::PUT => "PUT",
            axum::http::Method::DELETE => "DELETE",
            _ => "other",
        };
        let labels = Request { method, route: route.to_owned(), status };
        self.requests.get_or_create(&labels).inc();
    }

    /// Everything as `OpenMetrics` text.
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(8 * 1024);
        // Writing into a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

/// Requests under way, by destination; only those with any are listed.
#[derive(Clone, Debug, Default)]
struct Destinations(Arc<Mutex<BTreeMap<Arc<str>, i64>>>);

/// A request under way to a destination; dropping it counts it as done.
#[derive(Debug)]
pub struct InFlight {
    destinations: Destinations,
    host: Arc<str>,
}

impl Destinations {
    fn begin(&self, host: &str) -> InFlight {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let host = if map.len() < MAX_DESTINATIONS { host } else { "other" };
        let host = match map.get_key_value(host) {
            Some((known, _)) => known.clone(),
            None => Arc::from(host),
        };
        *map.entry(host.clone()).or_default() += 1;
        InFlight { destinations: self.clone(), host }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut map = self.destinations.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = map.get_mut(&self.host) {
            *count -= 1;
            if *count <= 0 {
                map.remove(&self.host);
            }
        }
    }
}

impl Collector for Destinations {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut metric = encoder.encode_descriptor(
            "destination_in_flight",
            "Callback requests on their way, by destination",
            None,
            MetricType::Gauge,
        )?;
        for (host, count) in &map {
            let labels = [("destination", host.as_ref())];
            metric.encode_family(&labels)?.encode_gauge(count)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_counts_each_of_its_jobs() {
        let metrics = Metrics::new();
        metrics.fired(3, 99);
        metrics.fired(40_000, 1);
        metrics.ended(Verdict::Delivered, 99);
        metrics.ended(Verdict::Skipped(crate::model::block::SkipReason::Misfire), 7);
        metrics.journal_depth.set(5);
        metrics.request(&axum::http::Method::GET, "/jobs/{id}", 404);
        let text = metrics.encode();
        for line in [
            "scheduler0_firing_lag_seconds_bucket{le=\"0.005\"} 99",
            "scheduler0_firing_lag_seconds_bucket{le=\"+Inf\"} 100",
            "scheduler0_firing_lag_seconds_count 100",
            "scheduler0_firings_total{outcome=\"delivered\"} 99",
            "scheduler0_skipped_total{reason=\"misfire\"} 7",
            "scheduler0_late_firings_total 1",
            "scheduler0_journal_depth 5",
            "scheduler0_http_requests_total{method=\"GET\",route=\"/jobs/{id}\",status=\"404\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn a_destination_is_listed_while_something_is_under_way() {
        let metrics = Metrics::new();
        let first = metrics.destination("a:80");
        let second = metrics.destination("a:80");
        let line = "scheduler0_destination_in_flight{destination=\"a:80\"}";
        assert!(metrics.encode().contains(&format!("{line} 2")));
        drop((first, second));
        assert!(!metrics.encode().contains(line));
        let held: Vec<_> = (0..400).map(|i| metrics.destination(&i.to_string())).collect();
        assert_eq!(metrics.encode().matches("destination_in_flight{").count(), 257);
        drop(held);
    }
}
