//! The replicated state of this node as the gateway's port: reads of a class of its own, and
//! proposals that give runs back.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::broadcast;

use super::advice::{advise, occurrence};
use super::queue_bus::bus_of;
use super::replica::{Advice, KnownQueue, Reading, Replica};
use crate::cluster::Cluster;
use crate::command::{Change, Command, Outcome, RejectionKind, Reported};
use crate::delivery::registry::Registry;
use crate::model::run::Occurrence;
use crate::model::run_id::RunName;
use crate::model::run_report::RunReport;
use crate::model::shard::SHARDS;
use crate::model::{AccountId, NodeId};
use crate::store::{ReadClass, executors, meta, shards};

/// The most runs that one read looks up.
const RUNS_AT_ONCE: usize = 500;
/// The tries to give runs back whose claim has not reached the store.
const TRIES: u32 = 20;
/// The pause between two of them.
const PAUSE: Duration = Duration::from_millis(250);

/// This node's own copy of the state.
#[derive(Clone)]
pub struct OwnReplica {
    cluster: Cluster,
    executors: Registry,
}

impl OwnReplica {
    /// The copy of a node, whose executors know which of them are queues.
    pub fn new(cluster: Cluster, executors: Registry) -> Self {
        Self { cluster, executors }
    }

    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Reading<T> {
        let cluster = self.cluster.clone();
        async move { cluster.read_as(ReadClass::Workers, read).await.map_err(|error| error.to_string()) }.boxed()
    }
}

impl Replica for OwnReplica {
    fn changes(&self) -> broadcast::Receiver<Arc<Change>> {
        self.cluster.changes()
    }

    fn cluster_id(&self) -> Reading<u128> {
        let read = self.read(meta::cluster_id);
        async { read.await?.ok_or_else(|| "the cluster is not born yet".to_owned()) }.boxed()
    }

    fn owners(&self) -> Reading<Vec<NodeId>> {
        self.read(|conn| {
            let mut owners = vec![0; usize::from(SHARDS)];
            for shard in shards::all(conn)? {
                if let Some(owner) = owners.get_mut(usize::from(shard.id)) {
                    *owner = shard.owner;
                }
            }
            Ok(owners)
        })
    }

    fn advise(&self, worker: &str, runs: Vec<(Occurrence, u32)>) -> Reading<Vec<Advice>> {
        let (own, worker) = (self.clone(), worker.to_owned());
        async move {
            let mut all = Vec::with_capacity(runs.len());
            // Each read is short: others wait for their turn.
            for part in runs.chunks(RUNS_AT_ONCE) {
                let (part, worker) = (part.to_vec(), worker.clone());
                let read = own.read(move |conn| {
                    part.into_iter()
                        .map(|run| advise(conn, &worker, run))
                        .collect::<Result<Vec<_>, _>>()
                });
                all.extend(read.await?);
            }
            Ok(all)
        }
        .boxed()
    }

    fn queue(&self, account: Option<AccountId>, name: &str) -> Reading<Option<KnownQueue>> {
        let (name, executors) = (name.to_owned(), self.executors.clone());
        self.read(move |conn| {
            let id = match account {
                Some(account) => executors::id_in_account(conn, account, &name)?,
                None => executors::id_by_name(conn, &name)?,
            };
            let Some(id) = id else { return Ok(None) };
            let executor = executors::get(conn, id)?;
            Ok(executor.and_then(|it| bus_of(&executors, &it)).map(|bus| KnownQueue { id, bus }))
        })
    }

    fn occurrences(&self, names: Vec<RunName>) -> Reading<Vec<Option<Occurrence>>> {
        let own = self.clone();
        async move {
            let mut all = Vec::with_capacity(names.len());
            for part in names.chunks(RUNS_AT_ONCE) {
                let part = part.to_vec();
                let read = own.read(move |conn| {
                    part.into_iter()
                        .map(|name| occurrence(conn, name))
                        .collect::<Result<Vec<_>, _>>()
                });
                all.extend(read.await?);
            }
            Ok(all)
        }
        .boxed()
    }

    fn give_back(&self, reports: Vec<RunReport>) -> BoxFuture<'static, ()> {
        give_back(self.cluster.clone(), reports).boxed()
    }
}

/// Proposes reports, and again those whose claim the store does not have yet. What cannot be given
/// back is lost when its first heartbeat is missing.
pub(super) async fn give_back(cluster: Cluster, mut reports: Vec<RunReport>) {
    for _ in 0..TRIES {
        if reports.is_empty() {
            return;
        }
        let command = Command::ReportRuns { reports: reports.clone() };
        match cluster.propose(command).await {
            Ok(Outcome::Reports(told)) => {
                let is_early = |told: &Reported| match told {
                    Reported::Counted(_) => false,
                    Reported::Refused { why, .. } => why.kind == RejectionKind::NotFound,
                };
                let early = reports.into_iter().zip(told).filter(|(_, told)| is_early(told));
                reports = early.map(|(report, _)| report).collect();
            }
            Ok(other) => return tracing::debug!(outcome = %other, "runs were not given back"),
            Err(error) => tracing::debug!(%error, "runs were not given back"),
        }
        // The record of the claim takes a journal, a collector and a quorum.
        tokio::time::sleep(PAUSE).await;
    }
}
