//! The engine: one task that owns the queue, the tracker and the pending rows, and decides what
//! goes out when.
//!
//! It is level-triggered. The changes says where to look, never what is there; a lost changes means a
//! rebuild from the store. What takes long (reading, writing bodies, calling, fsync) happens in
//! tasks that report back; the engine itself only moves things between its store. How changes
//! reach it is in `worker::changes`, what goes to the journal in `worker::record`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{broadcast, mpsc, watch};

use super::changes::{Loading, PendingReads, ReadDone};
use super::due_queue::{DueQueue, OwnershipKey};
use super::load::Loaded;
use super::pauses::Pauses;
use super::pending::PendingRows;
use super::plan::Plan;
use super::plans::Plans;
use super::ports::{Dispatcher, Lease, StateStore};
use super::record::Results;
use super::sender::{SendEvent, Sender};
use super::shard_queue::{Fire, Moment, Popped, Skip};
use super::status::{Snapshot, Status};
use super::tracker::{Instants, Tracker};
use super::view::SenderView;
use super::work::{Head, Work};
use crate::clock::SchedulerTime;
use crate::command::Change;
use crate::journal::Journal;
use crate::model::attempt::{AttemptRecord, ResultOrigin, SkipReason, Verdict};
use crate::model::job::Pending;
use crate::model::members::Members;
use crate::model::shard::ShardId;
use crate::model::{JobId, Millis, NodeId};

/// So many works are read and written at once.
const BUILDERS: usize = 4;
/// Bodies are built so long before they are due, where the queue has room for it.
const AHEAD_MS: i64 = 100;
/// The queue has room for building ahead from this length on.
const AHEAD_QUEUE: usize = 64;
/// How long a stop waits for what is in flight.
const STOP_MS: u64 = 10_000;

/// What the engine's own tasks report.
pub(super) enum Event {
    /// A read of the store is done.
    Read(ReadDone),
    /// A part is loaded.
    Loaded(OwnershipKey, u64, Result<Loaded, String>),
    /// A write to the journal is done.
    Appended(Results, Result<(), String>),
}

/// See the head of this file.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not a state in disguise")]
pub(super) struct Engine<B, H, L> {
    pub(super) node: NodeId,
    pub(super) store: B,
    pub(super) lease: Arc<L>,
    pub(super) journal: Journal,
    pub(super) time: Arc<SchedulerTime>,
    pub(super) view: Arc<SenderView>,
    pub(super) plans: Arc<Plans>,
    pub(super) status: Arc<Status>,
    pub(super) sender: Arc<Sender<B, H, L>>,
    pub(super) grace: Millis,
    pub(super) max_queue: usize,

    pub(super) queue: DueQueue,
    pub(super) tracker: Tracker,
    pub(super) rows: PendingRows,
    pub(super) pauses: Pauses,

    /// What must be read, and whether a read is under way.
    pub(super) pending_reads: PendingReads,
    pub(super) reading: bool,
    pub(super) reads: u64,
    /// Log time up to which all changes are in the queue.
    pub(super) caught_up_to: Millis,
    pub(super) loading: BTreeMap<OwnershipKey, Loading>,
    pub(super) generation: u64,
    /// Parts that still miss the outcome of a read of that number.
    pub(super) awaiting_read: BTreeMap<OwnershipKey, u64>,

    pub(super) results: Results,
    pub(super) appending: bool,
    pub(super) dirty: bool,
    /// When watermarks were last stated, on the boot clock.
    pub(super) stated_boot: u64,
    /// Not before this instant of the boot clock: something failed and is tried again then.
    pub(super) retry_boot: u64,
    pub(super) has_room: bool,

    pub(super) building: usize,
    pub(super) rows_first: bool,

    pub(super) events: mpsc::UnboundedSender<Event>,
}

impl<B: StateStore, H: Dispatcher, L: Lease> Engine<B, H, L> {
    /// Runs until told to stop and what was in flight is over (or the wait for it is).
    pub(super) async fn run(
        mut self,
        mut changes: broadcast::Receiver<Arc<Change>>,
        mut sent: mpsc::UnboundedReceiver<SendEvent>,
        mut events: mpsc::UnboundedReceiver<Event>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut lease = self.lease.changed();
        let urgent = Arc::clone(&self.sender.urgent);
        let mut deadline: Option<u64> = None;
        self.rebuild();
        let (mut news, mut wake) = (true, 0);
        loop {
            news |= self.drain_changes(&mut changes);
            while let Ok(one) = sent.try_recv() {
                news |= self.on_send_event(one);
            }
            while let Ok(one) = events.try_recv() {
                news = true;
                self.on_event(one);
            }
            // Results alone gather while a write is under way: its end will be news.
            if news || !self.appending {
                news = false;
                if *stop.borrow() && deadline.is_none() {
                    deadline = Some(self.time.clock().boot() + STOP_MS);
                }
                self.start_reads();
                let limits = self.limits();
                if deadline.is_none() {
                    self.fire(&limits);
                }
                self.flush(deadline.is_some());
                self.publish();
                if let Some(deadline) = deadline {
                    let quiet = self.tracker.open() == 0 && self.rows.busy() == 0;
                    let written = self.results.is_empty() && !self.appending && !self.dirty;
                    if (quiet && written) || self.time.clock().boot() >= deadline {
                        return;
                    }
                }
                wake = self.wake(&limits, deadline);
            }
            let clock = Arc::clone(self.time.clock());
            tokio::select! {
                received = changes.recv() => {
                    news = true;
                    match received {
                        Ok(change) => self.note_change(&change),
                        Err(broadcast::error::RecvError::Lagged(_)) => self.rebuild(),
                        // The cluster is gone: nothing will change any more.
                        Err(broadcast::error::RecvError::Closed) => return,
                    }
                }
                // While a write is under way, results do not wake this task one by one.
                one = sent.recv(), if !self.appending => {
                    if let Some(one) = one { news = self.on_send_event(one) }
                }
                () = urgent.notified() => {}
                one = events.recv() => if let Some(one) = one {
                    news = true;
                    self.on_event(one);
                },
                moved = lease.changed() => {
                    news = true;
                    if moved.is_err() { return }
                }
                () = clock.sleep_until(wake) => news = true,
                stopped = stop.changed(), if deadline.is_none() => {
                    news = true;
                    if stopped.is_err() {
                        deadline = Some(self.time.clock().boot() + STOP_MS);
                    }
                }
            }
        }
    }

    /// Takes in all bells that have received; whether one has.
    fn drain_changes(&mut self, changes: &mut broadcast::Receiver<Arc<Change>>) -> bool {
        let mut received = false;
        loop {
            match changes.try_recv() {
                Ok(change) => self.note_change(&change),
                Err(broadcast::error::TryRecvError::Lagged(_)) => self.rebuild(),
                Err(_) => return received,
            }
            received = true;
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Read(done) => self.on_read(done),
            Event::Loaded(key, generation, loaded) => self.on_loaded(key, generation, loaded),
            Event::Appended(results, outcome) => self.on_appended(results, outcome),
        }
    }

    /// How far each part may fire at this moment.
    fn limits(&self) -> BTreeMap<OwnershipKey, Millis> {
        let parts = self.view.ownerships();
        let limit = |key: OwnershipKey, part| {
            if self.tracker.is_closed(key) {
                return Millis::MIN;
            }
            self.lease.fires_until(key.0, part)
        };
        parts.iter().map(|(key, part)| (*key, limit(*key, part))).collect()
    }

    fn ahead(&self) -> Millis {
        if self.max_queue >= AHEAD_QUEUE { AHEAD_MS } else { 0 }
    }

    /// Begins what is due, as far as there is room.
    fn fire(&mut self, limits: &BTreeMap<OwnershipKey, Millis>) {
        let now = self.time.now();
        let limit = |key: OwnershipKey| limits.get(&key).copied().unwrap_or(Millis::MIN);
        self.queue.release(self.caught_up_to);
        while self.has_room && self.building < BUILDERS.min(self.max_queue) {
            self.rows_first = !self.rows_first;
            let row = |engine: &mut Self| {
                let view = Arc::clone(&engine.view);
                let ours =
                    |shard, at| view.owner_of_row(shard, at).is_some_and(|key| at <= limit(key));
                let row = engine.rows.pop(now, ours)?;
                let key = view.owner_of_row(row.shard, row.next_at)?;
                engine.begin_row(key, &row);
                Some(())
            };
            let plan = |engine: &mut Self| {
                let until = now + engine.ahead();
                let (caught_up_to, grace, pauses) =
                    (engine.caught_up_to, engine.grace, &engine.pauses);
                let moment = Moment { until, now, caught_up_to, grace, pauses };
                let (key, popped) = engine.queue.pop(&moment, limit)?;
                engine.begin_popped(key, popped);
                Some(())
            };
            let begun = if self.rows_first {
                row(self).or_else(|| plan(self))
            } else {
                plan(self).or_else(|| row(self))
            };
            if begun.is_none() {
                return;
            }
        }
    }

    fn begin_row(&mut self, key: OwnershipKey, row: &Pending) {
        let head = Head {
            key,
            due: row.due,
            scheduled: row.scheduled,
            run: row.run,
            attempt: row.attempt,
            base: row.base,
            forced: row.forced,
            gate: row.next_at,
            row: Some((row.id, row.project)),
            postponed: row.postponement(),
            plans: Vec::new(),
            ticket: None,
        };
        let jobs = row.members.iter().map(|job| (job, 0)).collect();
        self.building += 1;
        self.sender.begin(Work { head: Arc::new(head), jobs });
    }

    fn begin_popped(&mut self, key: OwnershipKey, popped: Popped) {
        for skip in popped.skipped {
            self.skip(key, skip);
        }
        let mut fire = popped.fire;
        // With jitter, what is due at one instant may have been scheduled for several.
        fire.sort_by_key(|fire| fire.scheduled);
        let mut rest = fire.into_iter().peekable();
        while let Some(first) = rest.next() {
            let scheduled = first.scheduled;
            let mut lot = vec![first];
            while let Some(more) = rest.next_if(|fire| fire.scheduled == scheduled) {
                lot.push(more);
            }
            self.begin_lot(key, popped.due, scheduled, lot);
        }
    }

    /// Begins what was scheduled for one instant.
    fn begin_lot(&mut self, key: OwnershipKey, due: Millis, scheduled: Millis, lot: Vec<Fire>) {
        let (shard, of) = (key.0, Instants { scheduled, due });
        let mut jobs: Vec<(JobId, u32)> = Vec::new();
        let mut plans: Vec<Arc<Plan>> = Vec::new();
        let mut ticket = None;
        for fire in lot {
            let left = self.tracker.untaken(key, of, fire.members);
            if plans.last().is_none_or(|last| !Arc::ptr_eq(last, &fire.plan)) {
                plans.push(fire.plan);
            }
            let number = plans.len() as u32 - 1;
            jobs.extend(left.iter().map(|job| (job, number)));
            ticket = ticket.or(fire.ticket);
        }
        if jobs.is_empty() {
            return;
        }
        // The same job twice at one instant (an edit that repeats it): one occurrence.
        jobs.sort_unstable();
        jobs.dedup_by_key(|(job, _)| *job);
        let members = Members::from_sorted(jobs.iter().map(|(job, _)| *job));
        self.tracker.dispatched(shard, of, &members);
        let head =
            Head { key, due, scheduled, attempt: 1, gate: due, plans, ticket, ..Head::default() };
        self.building += 1;
        self.sender.begin(Work { head: Arc::new(head), jobs });
    }

    /// Writes down what is too late.
    fn skip(&mut self, key: OwnershipKey, skip: Skip) {
        let (shard, epoch) = key;
        let Skip { plan, phase, mut since, due, scheduled, members } = skip;
        // What is known to be over at the near end is not skipped once more.
        let job = members.iter().next().unwrap_or_default();
        let of = plan.of(phase, job);
        let mut first = of.prev(since).map_or(since, |found| found.0);
        while since <= due && {
            let near = Instants { scheduled: first, due: since };
            self.tracker.untaken(key, near, members.clone()).is_empty()
        } {
            (first, since) = of.next(since).unwrap_or((Millis::MAX, Millis::MAX));
        }
        if since > due {
            return;
        }
        self.tracker.dispatched_range(shard, since, Instants { scheduled, due }, &members);
        let once = plan.schedule.is_once();
        let record = AttemptRecord {
            project: plan.project,
            shard,
            epoch,
            due,
            scheduled,
            since: (!once).then_some(since),
            attempt: 1,
            verdict: Verdict::Skipped(SkipReason::Misfire),
            http_code: 0,
            started: self.time.now(),
            duration: 0,
            members,
            error: None,
            pending: None,
            run: 0,
            once,
            origin: ResultOrigin::Answer,
            accepted: None,
            response: None,
        };
        self.results.range(shard, since, record);
    }

    /// Takes a report in; whether there is more to do than to write results down.
    fn on_send_event(&mut self, sent: SendEvent) -> bool {
        match sent {
            SendEvent::Built => self.building = self.building.saturating_sub(1),
            SendEvent::Started(head) => {
                match head.row {
                    Some((id, _)) => self.rows.piece_started(id),
                    None => self.tracker.split(head.key.0, head.due, 2),
                }
                return false;
            }
            SendEvent::Finished { head, records, back: None } => {
                self.results.over(head, records);
                return false;
            }
            SendEvent::Finished { head, back: Some(work), .. } => self.requeue(&head, &work),
            SendEvent::Recorded(head) => match head.row {
                Some((id, _)) => self.await_row_read(head.key.0, id),
                None => self.results.over(head, Vec::new()),
            },
            SendEvent::Disputed(work) => self.resolve_dispute(&work),
        }
        true
    }

    /// A row is as the store say, which have changed: it waits until they are read.
    fn await_row_read(&mut self, shard: ShardId, row: u64) {
        self.rows.await_reread(row);
        self.pending_reads.add_rows(shard);
        for key in self.view.ownerships().into_keys().filter(|key| key.0 == shard) {
            // No watermark meanwhile: it may still be this node's.
            self.awaiting_read.insert(key, self.reads + 1);
        }
    }

    /// An occurrence has an end or another sender, as far as the store know. If they know of neither,
    /// it fires once they are read.
    fn resolve_dispute(&mut self, work: &Work) {
        let head = &work.head;
        if let Some((id, _)) = head.row {
            return self.await_row_read(head.key.0, id);
        }
        self.tracker.withdrawn(head.key.0, head.instants(), &work.members());
        if let Some(key) = self.tracker.ownership_of(head.key.0, head.due) {
            self.load(&[key]);
        }
    }

    /// What was not sent may be sent again, by whoever has its instant now.
    fn requeue(&mut self, head: &Head, work: &Work) {
        let (shard, _) = head.key;
        if let Some((id, _)) = head.row {
            self.rows.piece_finished(id, None);
            return;
        }
        self.tracker.withdrawn(shard, head.instants(), &work.members());
        let Some(key) = self.tracker.ownership_of(shard, head.due) else { return };
        if let Some(part) = self.queue.get_mut(key) {
            for (plan, members) in work.by_plan() {
                part.put_back(&plan, head.due, head.scheduled, &members);
            }
        }
    }

    /// When there is something to do next without anybody saying so, on the boot clock.
    fn wake(&mut self, limits: &BTreeMap<OwnershipKey, Millis>, deadline: Option<u64>) -> u64 {
        let boot = self.time.clock().boot();
        let mut wake = self.next_statement().unwrap_or(boot + 60_000);
        if self.retry_boot > boot {
            wake = wake.min(self.retry_boot);
        }
        if let Some(deadline) = deadline {
            return wake.min(deadline);
        }
        if self.has_room && self.building < BUILDERS.min(self.max_queue) {
            let limit = |key: OwnershipKey| limits.get(&key).copied().unwrap_or(Millis::MIN);
            let ahead = self.ahead();
            let due = self.queue.next_due(limit).map(|due| due - ahead);
            let view = Arc::clone(&self.view);
            let ours = |shard, at| view.owner_of_row(shard, at).is_some_and(|key| at <= limit(key));
            let next = due.into_iter().chain(self.rows.next(ours)).min();
            if let Some(at) = next {
                wake = wake.min(self.time.boot_at(at));
            }
        }
        wake
    }

    /// Tells status and metrics how things stand.
    fn publish(&mut self) {
        let now = self.time.now();
        let behind = self.queue.next_due(|_| Millis::MAX).is_some_and(|due| due <= now);
        let due = if behind || self.queue.has_catch_up() { self.queue.waiting(now) } else { 0 };
        self.status.publish(
            &self.sender.metrics,
            Snapshot {
                parts: self.queue.keys().count() as u64,
                loading: self.loading.len() as u64,
                due,
                rows: self.rows.waiting(),
                built: self.sender.in_flight_limits.built() as u64,
                in_flight: self.sender.in_flight.load(Ordering::Relaxed),
                working: self.reading || self.appending || self.building > 0,
                caught_up_to: self.caught_up_to,
                has_room: self.has_room,
            },
        );
    }
}
