//! The counters and gauges of this node, in the form that Prometheus reads.
//!
//! `node` makes one [`Metrics`] and hands it down. Worker and executor count firings, `node` sets
//! the gauges of Raft and leases, `server` counts requests, and `api::health` serves
//! [`Metrics::encode`] at `/metrics`. Counting is a few atomic additions, whatever the size of a
//! batch. No metric holds a secret, a URL with its path, or anything for each job. Those that name
//! a host (a destination of calls, a broker) are in a registry of their own: only who may read the
//! cluster is shown them.

mod bus;
mod calls;
mod jobs;
mod lag;
mod lag_minutes;
mod process;
mod publish;
mod runs;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

pub use bus::BusMetrics;
pub use calls::{Calls, Destination};
pub use jobs::JobMetrics;
pub use lag::{Lag, Quantiles};
pub use lag_minutes::{LAG_MINUTES, LagMinutes, MinuteLag};
pub use publish::PublishMetrics;
pub use runs::{QueueFigures, RunMetrics};

use self::calls::CallSource;
use crate::model::attempt::Verdict;

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A node's metrics; share it in an `Arc`. The gauges are handles that their owners set.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// The metrics that name hosts.
    of_hosts: Registry,
    /// The delay of first attempts after their due instant.
    pub lag: Lag,
    /// The same by the minute.
    pub lag_minutes: LagMinutes,
    /// The time for which deferred first attempts were held back.
    pub held_back: Lag,
    firings: Family<Outcome, Counter>,
    skipped: Family<Reason, Counter>,
    late: Counter,
    calls: CallSource,
    /// The messages that are published to brokers.
    pub messages: PublishMetrics,
    /// The runs that workers perform.
    pub runs: RunMetrics,
    /// The bus of worker runs.
    pub bus: BusMetrics,
    requests: Family<Request, Counter>,
    auth_failures: Family<Failure, Counter>,
    reads_refused: Family<Reason, Counter>,
    /// Requests of keys that were refused since the key made as many as it may.
    pub rate_limited: Counter,
    applied: Family<Applied, Counter>,
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
    /// 1 while this node leads, and a majority answers it.
    pub raft_leader: Gauge,
    /// 1 while this node knows of a leader with a majority; 0: nothing is written or fired.
    pub raft_quorum: Gauge,
    /// The distance of this node's clock from the median of the live nodes, in milliseconds.
    pub clock_offset_ms: Gauge,
    /// Anonymous memory of the process, in bytes.
    pub memory_bytes: Gauge,
    /// The jobs of the cluster, by status.
    pub jobs: JobMetrics,
    /// Dead letters that are kept.
    pub dead_letters: Gauge,
    /// Dead letters that came in since this node started.
    pub dead_letters_recorded: Counter,
    /// Snapshots that could not be written or put in place since this node started.
    pub snapshot_failures: Counter,
    /// Readers of the event stream.
    pub event_streams: Gauge,
    /// Bytes of the events that are kept for readers.
    pub event_ring_bytes: Gauge,
    /// Readers of the event stream that were told to read anew, since this node started.
    pub event_resets: Counter,
    process: process::Process,
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
struct Failure {
    kind: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Applied {
    command: &'static str,
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
        let mut of_hosts = Registry::with_prefix("scheduler0");
        let lag = Lag::default();
        registry.register(
            "firing_lag_seconds",
            "Time from the instant at which a first attempt could go out to its first byte",
            lag.clone(),
        );
        let held_back = Lag::default();
        registry.register(
            "held_back_seconds",
            "Time that first attempts were held back: the destination failed, asked to wait or was full",
            held_back.clone(),
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
        let calls = CallSource::default();
        registry.register_collector(Box::new(calls.totals()));
        of_hosts.register_collector(Box::new(calls.clone()));
        let messages = PublishMetrics::default();
        messages.register(&mut registry, &mut of_hosts);
        let runs = RunMetrics::register(&mut registry);
        let jobs = JobMetrics::register(&mut registry);
        let bus = BusMetrics::default();
        bus.register(&mut registry, &mut of_hosts);
        let requests = Family::<Request, Counter>::default();
        registry.register("http_requests", "API requests answered", requests.clone());
        let auth_failures = Family::<Failure, Counter>::default();
        registry.register(
            "auth_failures",
            "API requests refused for a wrong password, key or token, or for too many of them",
            auth_failures.clone(),
        );
        for kind in ["password", "key", "token"] {
            for result in ["wrong", "limited"] {
                // Shown from the start, so that an alarm notices the first increase.
                drop(auth_failures.get_or_create(&Failure { kind, result }));
            }
        }
        let reads_refused = Family::<Reason, Counter>::default();
        registry.register(
            "reads_refused",
            "Reads of clients that were refused or ended, by reason",
            reads_refused.clone(),
        );
        let rate_limited = counter(
            &mut registry,
            "rate_limited",
            "Requests that were refused because their key made as many in a second as it may",
        );
        let applied = Family::<Applied, Counter>::default();
        registry.register("applied", "Commands of the log that were applied", applied.clone());
        let process = process::Process::default();
        registry.register_collector(Box::new(process.clone()));
        let dead_letters_recorded = counter(
            &mut registry,
            "dead_letters_recorded",
            "Dead letters that came in since this node started",
        );
        let snapshot_failures = counter(
            &mut registry,
            "snapshot_failures",
            "Snapshots of the state that could not be written or put in place",
        );
        let event_resets = counter(
            &mut registry,
            "event_resets",
            "Readers of the event stream that missed events and were told so",
        );
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
            raft_leader: gauge("raft_leader", "1 while this node leads with a majority"),
            raft_quorum: gauge(
                "raft_quorum",
                "1 while this node knows of a leader with a majority; alarm on 0",
            ),
            clock_offset_ms: gauge(
                "clock_offset_milliseconds",
                "Distance of this node's clock from the cluster's median",
            ),
            memory_bytes: gauge("memory_anonymous_bytes", "Anonymous memory of the process"),
            dead_letters: gauge("dead_letters", "Dead letters that are kept"),
            event_streams: gauge("event_streams", "Readers of the event stream"),
            event_ring_bytes: gauge("event_ring_bytes", "Bytes of the events kept for readers"),
            event_resets,
            dead_letters_recorded,
            snapshot_failures,
            process,
            lag,
            lag_minutes: LagMinutes::default(),
            held_back,
            firings,
            skipped,
            late,
            calls,
            messages,
            runs,
            jobs,
            bus,
            requests,
            auth_failures,
            reads_refused,
            rate_limited,
            applied,
            registry,
            of_hosts,
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

    /// Sets the source of [`Calls`]; only the first call counts.
    pub fn watch_calls(&self, source: impl Fn() -> Calls + Send + Sync + 'static) {
        self.calls.set(source);
    }

    /// Measures descriptors and disk; blocks on the file system.
    pub fn measure(&self) {
        self.process.measure();
    }

    /// Says where the data lives, so that the disk is measured with the rest.
    pub fn watch_disk(&self, data_dir: std::path::PathBuf) {
        self.process.watch_disk(data_dir);
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

    /// Counts a request that was refused for a wrong password, key or access token, by the fault
    /// and the answer.
    pub fn auth_failure(&self, kind: &'static str, result: &'static str) {
        self.auth_failures.get_or_create(&Failure { kind, result }).inc();
    }

    /// Counts a read of a client that was refused or ended: `full` and `waited` (others were before
    /// it), `slow` (it took too long), `held` (answers were not taken).
    pub fn read_refused(&self, reason: &'static str) {
        self.reads_refused.get_or_create(&Reason { reason }).inc();
    }

    /// Takes the number of commands of this name that were applied since the start.
    pub fn applied(&self, command: &'static str, total: u64) {
        let counter = self.applied.get_or_create(&Applied { command });
        counter.inc_by(total.saturating_sub(counter.get()));
    }

    /// The metrics as `OpenMetrics` text; those that name hosts only `with_hosts`.
    pub fn encode(&self, with_hosts: bool) -> String {
        const END: &str = "# EOF\n";
        let mut text = String::with_capacity(8 * 1024);
        // Writing into a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        if with_hosts {
            text.truncate(text.strip_suffix(END).map_or(text.len(), str::len));
            let _ = prometheus_client::encoding::text::encode(&mut text, &self.of_hosts);
        }
        text
    }
}

fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

#[cfg(test)]
mod tests;
