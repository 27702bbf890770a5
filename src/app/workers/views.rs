//! Views on queues and workers, as all nodes that answer see them.

use std::collections::BTreeMap;

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::page::Page;
use crate::app::state::App;
use crate::gateway::{QueueTotals, WorkerAtNode, bus_of};
use crate::model::run_terms::BusKind;
use crate::model::target::Executor;
use crate::model::{Millis, NodeId};
use crate::store::executors::{self, Order};

/// A worker.
#[derive(Clone, Debug)]
pub struct WorkerRecord {
    /// Its name.
    pub worker: String,
    /// The node that heard of it last.
    pub node: NodeId,
    /// The names of the queues that it claimed from.
    pub queues: Vec<String>,
    /// The number of runs in its last heartbeat.
    pub runs: Option<u32>,
    /// The instant at which it was heard last.
    pub seen: Millis,
}

/// A page of workers, by name.
#[derive(Clone, Debug)]
pub struct WorkersRecord {
    /// The number of all workers.
    pub total: u64,
    /// The workers of the page.
    pub workers: Vec<WorkerRecord>,
    /// The nodes that did not answer in time.
    pub unanswered: Vec<NodeId>,
}

/// A queue.
#[derive(Clone, Debug)]
pub struct QueueRecord {
    /// Its number.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its bus.
    pub bus: BusKind,
    /// What is known of it; `None` where nothing waits and nobody has anything.
    pub totals: Option<QueueTotals>,
}

/// A page of queues, by name.
#[derive(Clone, Debug)]
pub struct QueuesRecord {
    /// The number of all queues.
    pub total: u64,
    /// The queues of the page.
    pub queues: Vec<QueueRecord>,
    /// The nodes that did not answer in time.
    pub unanswered: Vec<NodeId>,
}

impl App {
    /// Lists the workers that were heard within the last minute.
    ///
    /// # Errors
    ///
    /// `Unavailable` while this node is starting.
    pub async fn list_workers(
        &self,
        actor: &Actor,
        page: Page<()>,
    ) -> Result<WorkersRecord, Error> {
        authorize(actor, Action::WorkersRead, Resource::Any)?;
        let view = self.workers_gateway()?.cluster_view(true).await;
        let names = self.queues(actor).await?;
        let names: BTreeMap<u64, String> =
            names.into_iter().map(|(queue, _)| (queue.id, queue.name)).collect();
        let now = self.now();
        let is_limited = self.is_limited(actor);
        // Workers of another account have claimed from queues that this actor does not reach.
        let seen = |at: &WorkerAtNode| {
            !is_limited || at.worker.queues.iter().any(|id| names.contains_key(id))
        };
        let workers: Vec<_> = view.workers.into_values().filter(seen).collect();
        let total = workers.len() as u64;
        let workers = part(workers, page)
            .map(|at| WorkerRecord {
                node: at.node,
                queues: at.worker.queues.iter().filter_map(|id| names.get(id).cloned()).collect(),
                runs: at.worker.runs,
                seen: now.saturating_sub_unsigned(at.worker.seen_ms_ago),
                worker: at.worker.worker,
            })
            .collect();
        Ok(WorkersRecord { total, workers, unanswered: view.unanswered })
    }

    /// Lists the queues.
    ///
    /// # Errors
    ///
    /// `Unavailable` while this node is starting; `TooSlow` or `Busy` when they cannot be read in
    /// time.
    pub async fn list_queues(&self, actor: &Actor, page: Page<()>) -> Result<QueuesRecord, Error> {
        authorize(actor, Action::WorkersRead, Resource::Any)?;
        let view = self.workers_gateway()?.cluster_view(false).await;
        let queues = self.queues(actor).await?;
        let total = queues.len() as u64;
        // They are of the runs of all projects.
        let sees_numbers = actor.reach().reaches_all_projects();
        let queues = part(queues, page)
            .map(|(executor, bus)| QueueRecord {
                totals: view.queues.get(&executor.id).copied().filter(|_| sees_numbers),
                id: executor.id,
                name: executor.name,
                bus,
            })
            .collect();
        Ok(QueuesRecord { total, queues, unanswered: view.unanswered })
    }

    /// The executors that are queues, by name, with their buses.
    pub(super) async fn queues(&self, actor: &Actor) -> Result<Vec<(Executor, BusKind)>, Error> {
        let all = self.read(actor, |conn| {
            let mut found = Vec::new();
            let page = Page { limit: u64::MAX >> 1, order_by: Order::Name, ..Page::default() };
            executors::each(conn, &page, |executor| {
                if executor.settings.is_some() {
                    found.push(executor);
                }
                Ok(true)
            })?;
            Ok(found)
        });
        let all = all.await?.into_iter();
        Ok(all.filter_map(|it| bus_of(&self.executors, &it).map(|bus| (it, bus))).collect())
    }
}

/// The part of a list that a page shows.
fn part<T>(mut all: Vec<T>, page: Page<()>) -> impl Iterator<Item = T> {
    if page.descending {
        all.reverse();
    }
    let at_most = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    all.into_iter().skip(at_most(page.offset)).take(at_most(page.limit))
}
