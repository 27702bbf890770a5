//! The state of the engine. The other files of this folder implement its methods, each for one
//! concern; nobody outside sees a field.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::event::Event;
use super::pending::PendingRows;
use super::reads::{Loading, PendingReads};
use super::results::Results;
use super::status::Status;
use super::tracker::Tracker;
use crate::clock::SchedulerTime;
use crate::journal::Journal;
use crate::model::shard::OwnershipKey;
use crate::model::{Millis, NodeId};
use crate::worker::deps::Options;
use crate::worker::ports::{Dispatcher, Lease, StateStore};
use crate::worker::queue::{DueQueue, Pauses, Plans};
use crate::worker::send::{Sender, SenderView};
use crate::worker::supervision::SharedSupervisor;

/// The engine: one task owns it, so nothing in it needs a lock.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not a state in disguise")]
pub(in crate::worker) struct Engine<B, H, L> {
    pub(super) node: NodeId,
    pub(super) store: B,
    pub(super) lease: Arc<L>,
    pub(super) journal: Journal,
    pub(super) time: Arc<SchedulerTime>,
    /// The engine writes it, its senders read it.
    pub(super) view: Arc<SenderView>,
    pub(super) plans: Arc<Plans>,
    pub(super) status: Arc<Status>,
    pub(super) sender: Arc<Sender<B, H, L>>,
    /// The supervisor of worker runs, whose part of a closing range must be over as well.
    pub(super) supervisor: Arc<SharedSupervisor>,
    /// The misfire grace of jobs that name none, in milliseconds.
    pub(super) grace: Millis,
    pub(super) max_queue: usize,

    pub(super) queue: DueQueue,
    pub(super) tracker: Tracker,
    pub(super) rows: PendingRows,
    pub(super) pauses: Pauses,

    /// The reads that are wanted; at most one is under way.
    pub(super) pending_reads: PendingReads,
    pub(super) reading: bool,
    /// The number of the last read that was begun.
    pub(super) reads: u64,
    /// The log time up to which all changes are in the queue.
    pub(super) caught_up_to: Millis,
    /// The ranges that are being loaded, each with the generation that counts.
    pub(super) loading: BTreeMap<OwnershipKey, Loading>,
    /// The generation of the last load that was begun.
    pub(super) generation: u64,
    /// Ranges that wait for the read of that number before they may state a watermark.
    pub(super) awaiting_read: BTreeMap<OwnershipKey, u64>,

    /// The results that the next write to the journal takes.
    pub(super) results: Results,
    /// True while a write to the journal is under way.
    pub(super) appending: bool,
    /// True if results were synced since watermarks were last stated.
    pub(super) dirty: bool,
    /// The boot-clock instant at which watermarks were last stated.
    pub(super) stated_boot: u64,
    /// Nothing that failed is tried again before this instant of the boot clock.
    pub(super) retry_boot: u64,
    /// True if the journal takes results; else nothing fires.
    pub(super) has_room: bool,

    /// The number of works whose requests are being built.
    pub(super) building: usize,
    /// True if a row goes before the due queue next time.
    pub(super) rows_first: bool,

    pub(super) events: mpsc::UnboundedSender<Event>,
}

impl<B: StateStore, H: Dispatcher, L: Lease> Engine<B, H, L> {
    /// An engine that has read nothing yet. It shares store, lease, clock and view with its
    /// senders.
    pub(in crate::worker) fn new(
        options: &Options,
        sender: Arc<Sender<B, H, L>>,
        journal: Journal,
        supervisor: Arc<SharedSupervisor>,
        rows: PendingRows,
        status: Arc<Status>,
        events: mpsc::UnboundedSender<Event>,
    ) -> Self {
        Self {
            node: options.node,
            store: sender.store.clone(),
            lease: Arc::clone(&sender.lease),
            journal,
            stated_boot: sender.time.clock().boot(),
            time: Arc::clone(&sender.time),
            view: Arc::clone(&sender.view),
            plans: Arc::clone(&sender.plans),
            status,
            sender,
            supervisor,
            grace: options.misfire_grace.as_millis() as Millis,
            max_queue: options.max_queue.max(1),
            queue: DueQueue::default(),
            tracker: Tracker::default(),
            rows,
            pauses: Pauses::default(),
            pending_reads: PendingReads::default(),
            reading: false,
            reads: 0,
            caught_up_to: Millis::MIN,
            loading: BTreeMap::new(),
            generation: 0,
            awaiting_read: BTreeMap::new(),
            results: Results::default(),
            appending: false,
            dirty: false,
            retry_boot: 0,
            has_room: true,
            building: 0,
            rows_first: false,
            events,
        }
    }
}
