//! The hearer: takes in what buses hear of workers. Signs of life go to the supervisor at once and
//! into no log; what changes a run goes to the reporter. `task` starts it.
//!
//! What is no run id of this cluster's form is poison. A message is acknowledged when its sign of
//! life is noted, or when the reporter is done with it.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::mpsc;

use super::done::{Done, HeardBeat};
use super::reporting::{HeardReport, STATUS};
use crate::bus::{BusAddress, BusEvent, Heard, Receipt, WorkerSaid};
use crate::metrics::BusMetrics;
use crate::model::JobId;
use crate::model::run::Occurrence;
use crate::model::run_id::{RunName, parse_run_id};
use crate::store::open_runs;
use crate::telemetry::LogLimit;
use crate::worker::ports::StateStore;
use crate::worker::supervisor::{Beat, Event};

/// The most that is taken in at one time.
const AT_ONCE: usize = 1_024;
/// The most manual runs of which the scheduled instant is kept. Above it all are read again.
const MAX_MANUAL: usize = 10_000;

/// The kind of heartbeats in the counters.
pub(super) const HEARTBEAT: &str = "heartbeat";

/// The hearer; see the head of this file.
pub(super) struct Hearer<B> {
    pub(super) store: B,
    /// The cluster's id, which is part of the ids of runs.
    pub(super) cluster: u128,
    pub(super) events: mpsc::UnboundedReceiver<BusEvent>,
    /// The task takes in signs of life, and which buses are there.
    pub(super) done: mpsc::UnboundedSender<Done>,
    pub(super) reports: mpsc::UnboundedSender<HeardReport>,
    pub(super) metrics: BusMetrics,
    /// The scheduled instants of manual runs, which their ids do not say.
    pub(super) manual: BTreeMap<(JobId, u64), Occurrence>,
}

/// A sign of life of a run.
struct Alive {
    name: RunName,
    address: BusAddress,
    progress: Option<u8>,
    message: Option<String>,
    receipt: Receipt,
}

impl<B: StateStore> Hearer<B> {
    /// Hears until nobody says anything any more.
    pub(super) async fn run(mut self) {
        let mut events = Vec::with_capacity(AT_ONCE);
        while self.events.recv_many(&mut events, AT_ONCE).await > 0 {
            let mut alive = Vec::new();
            for event in events.drain(..) {
                match event {
                    BusEvent::Up { shard, queue } => {
                        self.tell(Event::Bus { shard, queue, up: true });
                    }
                    BusEvent::Down { shard, queue, .. } => {
                        self.tell(Event::Bus { shard, queue, up: false });
                    }
                    BusEvent::Heard(heard) => alive.extend(self.hear(heard)),
                }
            }
            if !alive.is_empty() {
                self.note(alive).await;
            }
        }
    }

    /// Takes in what a worker says; returns it if it only lives.
    fn hear(&self, heard: Heard) -> Option<Alive> {
        let Heard { address, run, said, is_redelivered, receipt } = heard;
        let name = parse_run_id(self.cluster, &run);
        match (name, said) {
            (Some(name), WorkerSaid::Alive { progress, message }) => {
                Some(Alive { name, address, progress, message, receipt })
            }
            (Some(name), said) => {
                let report = HeardReport { name, address, said, is_redelivered, receipt };
                // The reporter ends with the task.
                let _ = self.reports.send(report);
                None
            }
            (None, said) => {
                let is_alive = matches!(said, WorkerSaid::Alive { .. });
                self.metrics.message(if is_alive { HEARTBEAT } else { STATUS }, "poison");
                receipt.poison();
                None
            }
        }
    }

    /// Notes signs of life. Those of manual runs of which nothing is known say nothing.
    async fn note(&mut self, alive: Vec<Alive>) {
        if let Err(error) = self.read_manual(&alive).await {
            static LINES: LogLimit<()> = LogLimit::new();
            if let Some(unsaid) = LINES.admit(()) {
                tracing::error!(%error, unsaid, "heartbeats of manual runs are lost: no read");
            }
        }
        let mut beats = Vec::with_capacity(alive.len());
        for Alive { name, address, progress, message, receipt } in alive {
            let of = match name {
                RunName::Planned { job, scheduled } => Some(Occurrence { job, scheduled, run: 0 }),
                RunName::Manual { job, run } => self.manual.get(&(job, run)).copied(),
            };
            if let Some(of) = of {
                let beat = Beat { of, attempt: 0, progress, message };
                beats.push(HeardBeat { beat, address, receipt: Some(receipt) });
            } else {
                self.metrics.message(HEARTBEAT, "unknown");
                receipt.done();
            }
        }
        // The task is gone only at its end.
        let _ = self.done.send(Done::Alive(beats));
    }

    /// Reads the scheduled instants of manual runs that are not known yet.
    async fn read_manual(&mut self, alive: &[Alive]) -> Result<(), String> {
        let unknown = |alive: &Alive| match alive.name {
            RunName::Manual { job, run } => Some((job, run)),
            RunName::Planned { .. } => None,
        };
        let unknown: BTreeSet<_> = alive.iter().filter_map(unknown).collect();
        let unknown: Vec<_> =
            unknown.into_iter().filter(|its| !self.manual.contains_key(its)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let read = move |conn: &rusqlite::Connection| {
            let mut found = Vec::new();
            for (job, run) in unknown {
                found.extend(open_runs::manual(conn, job, run)?);
            }
            Ok(found)
        };
        let found = self.store.read(read).await?;
        if self.manual.len() + found.len() > MAX_MANUAL {
            self.manual.clear();
        }
        self.manual.extend(found.into_iter().map(|of| ((of.job, of.run), of)));
        Ok(())
    }

    fn tell(&self, event: Event) {
        // The task is gone only at its end.
        let _ = self.done.send(Done::Event(event));
    }
}
