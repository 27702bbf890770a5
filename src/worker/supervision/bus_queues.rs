//! Which executors are queues whose runs go over a broker, as the store has them. `news` and
//! `addresses` ask it within their reads; nothing here opens a secret or speaks to a broker.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::Connection;

use crate::bus::BusAddress;
use crate::delivery::registry::Registry;
use crate::model::call_target::CallTarget;
use crate::model::job::JobDefinition;
use crate::model::run_terms::BusKind;
use crate::model::target::Executor;
use crate::store::{Page, executors};
use crate::worker::supervisor::QueueId;

/// A queue whose runs go over a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BusQueue {
    /// The settings of the queue, which only its bus reads.
    pub(super) target: Arc<CallTarget>,
    /// True where messages carry the data of jobs.
    pub(super) takes_data: bool,
    /// Its broker and virtual host.
    pub(super) broker: Arc<str>,
}

/// The queues whose runs go over a broker, by number.
pub(super) type BusQueues = BTreeMap<QueueId, BusQueue>;

/// The queue that an executor is; `None` where its runs go over no broker.
pub(super) fn bus_queue(kinds: &Registry, executor: &Executor) -> Option<BusQueue> {
    let of = (executor.id, Some(executor));
    let target = CallTarget::of(&JobDefinition::default(), Some(of)).ok()?;
    let settings = kinds.get(target.kind())?.queue(&target)?;
    let broker = settings.broker.filter(|_| settings.bus == BusKind::Rabbitmq)?.into();
    Some(BusQueue { target: Arc::new(target), takes_data: settings.takes_data, broker })
}

/// The broker and the virtual host of an address; `None` where its queue goes over no broker.
pub(super) fn broker_of(kinds: &Registry, address: &BusAddress) -> Option<String> {
    kinds.get(address.target.kind())?.queue(&address.target)?.broker
}

/// Reads the queues whose runs go over a broker.
pub(super) fn bus_queues(conn: &Connection, kinds: &Registry) -> rusqlite::Result<BusQueues> {
    let mut queues = BusQueues::new();
    let all = Page { limit: u64::MAX, ..Page::default() };
    executors::each(conn, &all, |executor| {
        queues.extend(bus_queue(kinds, &executor).map(|queue| (executor.id, queue)));
        Ok(true)
    })?;
    Ok(queues)
}
