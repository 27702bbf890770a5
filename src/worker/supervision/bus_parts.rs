//! The parts of the supervision that listen to workers at brokers, put together: attacher, hearer,
//! reporter and remover. `task` starts them beside its other parts; they end with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;

use super::attaching::{Attacher, remove_deleted};
use super::done::Done;
use super::hearing::Hearer;
use super::lookup::Lookup;
use super::reporting::Reporter;
use super::task_parts::Parts;
use crate::command::Change;
use crate::worker::ports::{Lease, StateStore};

/// Starts them on the current runtime. `changes` was subscribed before anything was read.
pub(super) fn start_bus<B: StateStore, L: Lease>(
    parts: &Parts<B, L>,
    done: &mpsc::UnboundedSender<Done>,
    changes: &broadcast::Receiver<Arc<Change>>,
    tasks: &mut JoinSet<()>,
) {
    let (heard, events) = mpsc::unbounded_channel();
    let (reports, heard_reports) = mpsc::unbounded_channel();
    let (removals, deleted) = mpsc::unbounded_channel();
    let attacher = Attacher {
        store: parts.store.clone(),
        node: parts.node,
        plans: Arc::clone(&parts.plans),
        kinds: parts.kinds.clone(),
        time: Arc::clone(&parts.time),
        lease: Arc::clone(&parts.lease),
        bus: Arc::clone(&parts.bus),
        events: heard,
        done: done.clone(),
        removals,
    };
    let hearer = Hearer {
        store: parts.store.clone(),
        cluster: parts.cluster,
        events,
        done: done.clone(),
        reports,
        metrics: parts.metrics.bus.clone(),
        manual: BTreeMap::new(),
    };
    let (node, plans) = (parts.node, Arc::clone(&parts.plans));
    let reporter = Reporter {
        store: parts.store.clone(),
        lookup: Lookup { node, plans, kinds: parts.kinds.clone(), defaults: parts.defaults },
        time: Arc::clone(&parts.time),
        lease: Arc::clone(&parts.lease),
        ask_owners: Arc::clone(&parts.ask_owners),
        done: done.clone(),
        metrics: parts.metrics.bus.clone(),
    };
    tasks.spawn(attacher.run(changes.resubscribe()));
    tasks.spawn(hearer.run());
    tasks.spawn(reporter.run(heard_reports));
    tasks.spawn(remove_deleted(Arc::clone(&parts.bus), deleted));
}
