//! This node's own view of its state, for the status page and for `/metrics`. It reads the other
//! parts and changes none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

use super::pressure;
use super::report::NodeReport;
use crate::clock::SchedulerTime;
use crate::cluster::Cluster;
use crate::command::Change;
use crate::delivery::call_queue::CallQueue;
use crate::events::EventFeed;
use crate::gateway::Gateway;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::model::lease::Timing;
use crate::store::{dead_letters, jobs, meta};
use crate::worker::lease::LeaseState;
use crate::worker::{LeaseGuard, Worker};

/// Time between two looks at the numbers of dead letters and of jobs, if anything was applied
/// meanwhile.
const COUNT: Duration = Duration::from_secs(5);

/// The parts that are shown.
#[derive(Clone)]
pub(super) struct View {
    pub(super) cluster: Cluster,
    pub(super) guard: Arc<LeaseGuard>,
    pub(super) worker: Arc<Worker>,
    pub(super) calls: CallQueue,
    pub(super) gateway: Gateway,
    pub(super) journal: Journal,
    pub(super) draining: Arc<AtomicBool>,
    pub(super) lease: watch::Receiver<LeaseState>,
    pub(super) events: EventFeed,
    pub(super) metrics: Arc<Metrics>,
    pub(super) time: Arc<SchedulerTime>,
    pub(super) timing: Timing,
}

impl View {
    /// The node's report, as of now.
    pub(super) fn report(&self) -> NodeReport {
        let queues = self.worker.status();
        let journal = self.journal.state();
        let lease = *self.lease.borrow();
        let state = self.cluster.raft_stats().into_iter().find(|(name, _)| *name == "state");
        let mut warnings: Vec<String> = journal.trouble.into_iter().collect();
        for (node, entry) in self.cluster.reverted() {
            warnings.push(format!(
                "the data folder of node {node} was put back to an older copy (entry {entry} was \
                 acknowledged and is missing): it is refused"
            ));
        }
        if let Some(trouble) = self.cluster.snapshot_trouble() {
            warnings.push(format!(
                "no snapshot can be written, and the log grows: {trouble}; it is tried again each minute"
            ));
        }
        if let Some(refused) = lease.refused {
            warnings.push(format!("it gets no lease: {}", refused.reason()));
        }
        let shares = self.calls.occupancy();
        if let Some((project, calls)) = shares.over_share {
            warnings.push(format!(
                "project {project} has its share of calls under way ({calls} of {}): more of them \
                 wait, and are put off",
                shares.capacity
            ));
        }
        warnings.extend(self.metrics.bus.warnings(self.time.clock().boot()));
        // Nothing late at all means that nothing was fired lately.
        let lag = self.metrics.lag.quantiles(self.time.clock().boot());
        NodeReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            applied: self.cluster.applied().borrow().index,
            state: state.map_or_else(String::new, |(_, value)| value),
            lease_left: self.guard.lease_left(),
            clock_error: lease.clock_error,
            journal_depth: journal.synced.saturating_sub(journal.forgotten),
            due: queues.due,
            built: queues.built,
            in_flight: queues.in_flight,
            lag: (lag.p99 > 0).then_some((lag.p50, lag.p99)),
            memory: pressure::anonymous_memory(),
            draining: self.draining.load(Ordering::SeqCst),
            failing: self.calls.open_breakers(),
            warnings,
        }
    }

    /// Keeps the gauges of Raft, lease and journal up to date, until dropped.
    pub(super) async fn run(self) {
        let mut beat = tokio::time::interval(Duration::from_secs(1));
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let Self { cluster, guard, gateway, journal, lease, events, metrics, time, timing, .. } =
            self;
        let mut changes = cluster.changes();
        let mut letters = None;
        let mut counted: Option<(Instant, u64)> = None;
        let mut measured: Option<JoinHandle<()>> = None;
        loop {
            beat.tick().await;
            // A disk that hangs keeps one thread, and `/metrics` shows what was read before.
            if measured.as_ref().is_none_or(JoinHandle::is_finished) {
                let metrics = Arc::clone(&metrics);
                measured = Some(tokio::task::spawn_blocking(move || metrics.measure()));
            }
            metrics.bus.look(time.clock().boot());
            metrics.lag_minutes.turn(&metrics.lag, time.now());
            let replaced = replaced(&mut changes);
            let applied = cluster.applied().borrow().index;
            if counted.is_none_or(|(at, index)| at.elapsed() >= COUNT && index != applied)
                && let Ok((kept, own)) = cluster
                    .read(|conn| Ok((dead_letters::count(conn)?, jobs::counts(conn, None)?)))
                    .await
            {
                metrics.dead_letters.set(kept.cast_signed());
                metrics.jobs.set(&[
                    ("active", own.active),
                    ("paused", own.inactive),
                    ("completed", own.completed),
                    ("disabled", own.disabled),
                ]);
                counted = Some((Instant::now(), applied));
            }
            if let Ok(last) = cluster.read(meta::last_dead_letter).await {
                // What a snapshot brings was counted where it came in.
                let before = letters.filter(|_| !replaced).unwrap_or(last);
                metrics.dead_letters_recorded.inc_by(last.saturating_sub(before));
                letters = Some(last);
            }
            let failures = cluster.snapshot_failures();
            metrics.snapshot_failures.inc_by(failures - metrics.snapshot_failures.get());
            for (command, total) in cluster.applied_commands() {
                metrics.applied(command, total);
            }
            let leads = *cluster.leadership().borrow();
            metrics.raft_term.set(leads.term as i64);
            let leader = cluster.leader();
            metrics.raft_leader.set(i64::from(leads.me && leader.is_some()));
            metrics.raft_quorum.set(i64::from(leader.is_some()));
            metrics.raft_commit_index.set(cluster.commit_index() as i64);
            metrics.raft_applied_index.set(cluster.applied().borrow().index as i64);
            let last = cluster.raft_stats().into_iter().find(|(name, _)| *name == "last_log_index");
            if let Some(Ok(last)) = last.map(|(_, value)| value.parse::<i64>()) {
                metrics.raft_last_log_index.set(last);
            }
            let state = journal.state();
            metrics.journal_depth.set(state.synced.saturating_sub(state.forgotten) as i64);
            metrics.lease_age_ms.set(guard.lease_age(timing).map_or(-1, |age| age as i64));
            let (streams, bytes) = events.occupancy();
            metrics.event_streams.set(streams.into());
            metrics.event_ring_bytes.set(bytes as i64);
            metrics.runs.parked.set(gateway.parked() as i64);
            metrics.clock_offset_ms.set(lease.borrow().clock_error);
        }
    }
}

/// True if one of the changes since the last look replaced the whole state.
fn replaced(changes: &mut broadcast::Receiver<Arc<Change>>) -> bool {
    let mut replaced = false;
    loop {
        match changes.try_recv() {
            Ok(change) => replaced |= change.replaced,
            Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => return replaced,
        }
    }
}
