//! The state of a gateway, and what its files share: time, owners of shards, queues by name. `node`
//! makes one; `run` is the task beside it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

use super::bundles::{Bounds, Bundles};
use super::cached::Cached;
use super::claim_queue::ClaimQueue;
use super::messages::{MOST_CLAIMS, MOST_RUNS};
use super::notices::Gatherer;
use super::repeats::Repeats;
use super::replica::{KnownQueue, Replica};
use super::seen::SeenWorkers;
use super::supervisors::Supervisors;
use super::watch::Watches;
use crate::clock::Clock;
use crate::model::claim::{ClaimRequest, ClaimedRun, WorkerHeartbeat};
use crate::model::run::Occurrence;
use crate::model::run_id::RunName;
use crate::model::shard::shard_of;
use crate::model::{AccountId, NodeId};

/// The bounds of the claims to a node.
const CLAIMS: Bounds<ClaimRequest> = Bounds { weight: |_| 1, in_call: MOST_CLAIMS, waiting: 8_192 };
/// The bounds of the heartbeats to a node, by runs.
const HEARTBEATS: Bounds<WorkerHeartbeat> =
    Bounds { weight, in_call: MOST_RUNS, waiting: 20 * MOST_RUNS };
/// The runs of heartbeats that wait together, for each place to wait in; a run takes some 300
/// bytes.
const RUNS_OF_PLACE: usize = 64;
/// The most names of queues that are kept.
const QUEUE_NAMES: usize = 10_000;

/// As many claims and heartbeats wait at this node as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("as many claims and heartbeats wait at this node as may: ask another node, or try again")]
pub struct NoPlace;

/// The gateway of a node. Cheap to clone.
#[derive(Clone)]
pub struct Gateway(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) supervisors: Arc<dyn Supervisors>,
    pub(super) replica: Arc<dyn Replica>,
    pub(super) clock: Arc<dyn Clock>,
    /// The instant of the boot clock at which it was made, in milliseconds.
    pub(super) begun: u64,
    claims: Mutex<ClaimQueue>,
    pub(super) claim_calls: Bundles<ClaimRequest, Option<Vec<ClaimedRun>>>,
    pub(super) heartbeat_calls: Bundles<WorkerHeartbeat, Vec<Occurrence>>,
    pub(super) notices: Gatherer,
    pub(super) watches: Watches,
    places: Arc<Semaphore>,
    run_places: Arc<Semaphore>,
    pub(super) repeats: Repeats,
    seen: Mutex<SeenWorkers>,
    pub(super) cluster_id: Cached<u128>,
    pub(super) owners: Cached<Arc<Vec<NodeId>>>,
    pub(super) queues: Cached<HashMap<(Option<AccountId>, String), KnownQueue>>,
    /// Wakes the task: there are notices, or wants to be told.
    pub(super) work: Notify,
    stops: watch::Sender<bool>,
}

impl Gateway {
    /// A gateway at which at most `most_waiting` claims and heartbeats wait. The caller runs
    /// [`Gateway::run`] as a task.
    pub fn new(
        supervisors: Arc<dyn Supervisors>,
        replica: Arc<dyn Replica>,
        clock: Arc<dyn Clock>,
        most_waiting: usize,
    ) -> Self {
        let (of_claims, of_heartbeats) = (Arc::clone(&supervisors), Arc::clone(&supervisors));
        let claims = ClaimQueue::new(supervisors.own(), nodes(&*supervisors));
        let most_runs = most_waiting.saturating_mul(RUNS_OF_PLACE).min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Inner {
            begun: clock.boot(),
            clock,
            claims: Mutex::new(claims),
            claim_calls: Bundles::new(CLAIMS, move |to, asks| of_claims.claim(to, asks)),
            heartbeat_calls: Bundles::new(HEARTBEATS, move |to, beats| {
                of_heartbeats.heartbeat(to, beats)
            }),
            notices: Gatherer::default(),
            watches: Watches::default(),
            places: Arc::new(Semaphore::new(most_waiting)),
            run_places: Arc::new(Semaphore::new(most_runs)),
            repeats: Repeats::default(),
            seen: Mutex::default(),
            cluster_id: Cached::default(),
            owners: Cached::default(),
            queues: Cached::default(),
            work: Notify::new(),
            stops: watch::Sender::new(false),
            supervisors,
            replica,
        }))
    }

    /// Lets all claims and heartbeats that wait be answered as they are; none waits from now on.
    pub fn stop(&self) {
        self.0.stops.send_replace(true);
    }

    /// The id of the cluster.
    ///
    /// # Errors
    ///
    /// The reason why the store cannot be read, for the log.
    pub async fn cluster_id(&self) -> Result<u128, String> {
        let cached = &self.0.cluster_id;
        if let Some(known) = cached.look(|known| *known) {
            return Ok(known);
        }
        let changes = cached.changes();
        let found = self.0.replica.cluster_id().await?;
        cached.put(changes, |value| *value = Some(found));
        Ok(found)
    }

    /// The queue with a name; `None` where no queue has it.
    ///
    /// # Errors
    ///
    /// The reason why the store cannot be read, for the log.
    pub async fn queue(
        &self,
        account: Option<AccountId>,
        name: &str,
    ) -> Result<Option<KnownQueue>, String> {
        let cached = &self.0.queues;
        let key = (account, name.to_owned());
        if let Some(known) = cached.look(|known| known.get(&key).copied()).flatten() {
            return Ok(Some(known));
        }
        let changes = cached.changes();
        let found = self.0.replica.queue(account, name).await?;
        // That there is none is not kept: one may have been made a moment ago.
        let Some(queue) = found else { return Ok(None) };
        cached.put(changes, |known| {
            let known = known.get_or_insert_default();
            if known.len() < QUEUE_NAMES {
                known.insert(key, queue);
            }
        });
        Ok(found)
    }

    /// The occurrences that the names of runs mean, in their order; `None` for a manual run that
    /// the store does not have. Only for manual runs it is read.
    ///
    /// # Errors
    ///
    /// The reason why the store cannot be read, for the log.
    pub async fn occurrences(
        &self,
        names: Vec<RunName>,
    ) -> Result<Vec<Option<Occurrence>>, String> {
        let planned = |name: &RunName| match *name {
            RunName::Planned { job, scheduled } => Some(Occurrence { job, scheduled, run: 0 }),
            RunName::Manual { .. } => None,
        };
        let known: Vec<_> = names.iter().map(planned).collect();
        if known.iter().all(Option::is_some) {
            return Ok(known);
        }
        self.0.replica.occurrences(names).await
    }

    /// Sorts what is about runs by the owners of their shards; what nobody owns is left out.
    pub(super) async fn by_owner<T>(
        &self,
        all: Vec<T>,
        of: impl Fn(&T) -> Occurrence,
    ) -> BTreeMap<NodeId, Vec<T>> {
        let owners = self.owners().await;
        let mut sorted = BTreeMap::<NodeId, Vec<T>>::new();
        for one in all {
            let owner = owners.get(usize::from(shard_of(of(&one).job))).copied().unwrap_or(0);
            if owner != 0 {
                sorted.entry(owner).or_default().push(one);
            }
        }
        sorted
    }

    async fn owners(&self) -> Arc<Vec<NodeId>> {
        let cached = &self.0.owners;
        if let Some(owners) = cached.look(Arc::clone) {
            return owners;
        }
        let changes = cached.changes();
        match self.0.replica.owners().await {
            Ok(owners) => {
                let owners = Arc::new(owners);
                cached.put(changes, |value| *value = Some(Arc::clone(&owners)));
                owners
            }
            Err(error) => {
                tracing::warn!(%error, "the owners of shards cannot be read");
                Arc::default()
            }
        }
    }
}

impl Inner {
    /// Now, in milliseconds of the boot clock.
    pub(super) fn now(&self) -> u64 {
        self.clock.boot()
    }

    pub(super) fn claims(&self) -> MutexGuard<'_, ClaimQueue> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, SeenWorkers> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place to wait in; `None` when all are taken.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// A place for a heartbeat of so many runs to wait in; `None` where all are taken, or as many
    /// runs wait as may.
    pub(super) fn place_of_runs(&self, runs: usize) -> Option<[OwnedSemaphorePermit; 2]> {
        let runs = u32::try_from(runs).ok()?;
        let of_runs = Arc::clone(&self.run_places).try_acquire_many_owned(runs).ok()?;
        Some([self.place()?, of_runs])
    }

    pub(super) fn stops(&self) -> bool {
        *self.stops.borrow()
    }

    /// Waits until the gateway stops.
    pub(super) fn stopped(&self) -> impl Future<Output = ()> + use<> {
        let mut stops = self.stops.subscribe();
        async move {
            // The sender lives as long as the gateway does.
            let _ = stops.wait_for(|stops| *stops).await;
        }
    }

    /// The nodes that may be asked now, this one among them.
    pub(super) fn nodes(&self) -> Vec<NodeId> {
        nodes(&*self.supervisors)
    }
}

/// The weight of a heartbeat. One without runs is a message, too.
pub(super) fn weight(beat: &WorkerHeartbeat) -> usize {
    beat.runs.len().max(1)
}

fn nodes(supervisors: &dyn Supervisors) -> Vec<NodeId> {
    let all: BTreeSet<_> = supervisors.others().into_iter().chain([supervisors.own()]).collect();
    all.into_iter().collect()
}
