//! The sender: builds the requests of what is due, and gives each its own task.
//!
//! ```text
//!   begin ──> build ──> send (call) ──> response ──> engine
//!               ├── no place ──> wait_for_place ──┐
//!               ├── not certain ──> recheck ──────┤
//!               ├── a queue ──> offer ──> supervision
//!               └── no overlap ──> begin_run ─────┴──> build, with permits
//! ```
//!
//! The engine begins a work; results go back to it as [`SendEvent`]s. Nothing here touches the
//! queue, the tracker or the journal.

use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::{Notify, mpsc};

use super::adaptive_limit::{AdaptiveLimit, AdaptiveLimits, LimitPlaces};
use super::admission::Admission;
use super::backlog::{Backlog, WaitingJobs};
use super::builder::{RequestBuilder, max_jobs};
use super::defaults::Defaults;
use super::event::SendEvent;
use super::hanging_calls::HangingCalls;
use super::permits::Permits;
use super::poison::PoisonRegister;
use super::prepared::{Prepared, UnsentReason};
use super::route::Route;
use super::view::SenderView;
use super::work::{Handover, Head, Work};
use crate::clock::SchedulerTime;
use crate::metrics::Metrics;
use crate::model::attempt::AttemptRecord;
use crate::model::postponement::Obstacle;
use crate::model::{JobId, Millis, NodeId};
use crate::worker::ports::{Dispatcher, Lease, StateStore};
use crate::worker::queue::Plans;

/// The most jobs that are read and built at a time.
const SLICE: usize = 4_096;

/// Pause after a read that failed, in milliseconds.
const UNREADABLE_MS: u64 = 250;

/// Everything that senders share.
pub(in crate::worker) struct Sender<B, H, L> {
    pub(in crate::worker) store: B,
    pub(in crate::worker) dispatcher: H,
    pub(in crate::worker) lease: Arc<L>,
    pub(in crate::worker) view: Arc<SenderView>,
    pub(in crate::worker) plans: Arc<Plans>,
    pub(in crate::worker) register: PoisonRegister,
    pub(in crate::worker) time: Arc<SchedulerTime>,
    pub(in crate::worker) metrics: Arc<Metrics>,
    pub(in crate::worker) defaults: Defaults,
    pub(in crate::worker) node: NodeId,
    pub(in crate::worker) cluster: u128,
    /// The requests that each project and destination may have, built (`MaxQueue`) or under way.
    pub(in crate::worker) in_flight_limits: AdaptiveLimits,
    /// The places for questions to the cluster whether a run may begin.
    pub(in crate::worker) begin_admission: Admission,
    /// The calls that hang, to be ended when their jobs are deleted.
    pub(in crate::worker) hanging_calls: Arc<HangingCalls>,
    pub(in crate::worker) in_flight: AtomicU64,
    /// The runtime of senders, which is not the core runtime.
    pub(in crate::worker) runtime: tokio::runtime::Handle,
    pub(in crate::worker) events: mpsc::UnboundedSender<SendEvent>,
    /// The supervision, which takes what is offered to workers.
    pub(in crate::worker) handovers: mpsc::Sender<Handover>,
    /// Notified after an urgent event.
    pub(in crate::worker) urgent: Arc<Notify>,
}

impl<B: StateStore, H: Dispatcher, L: Lease> Sender<B, H, L> {
    /// Begins a work. `SendEvent::Built` follows when its requests are built.
    pub(in crate::worker) fn begin(self: &Arc<Self>, work: Work) {
        let this = Arc::clone(self);
        self.runtime.spawn(async move {
            this.build(work, Permits::default()).await;
            this.report(SendEvent::Built);
        });
    }

    /// Builds a piece of work from within a task of it.
    pub(super) fn build_again(
        self: &Arc<Self>,
        work: Work,
        permits: Permits,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let this = Arc::clone(self);
        Box::pin(async move { this.build(work, permits).await })
    }

    /// Builds the requests of a work and gives each its own task.
    async fn build(self: &Arc<Self>, work: Work, mut permits: Permits) {
        let head = Arc::clone(&work.head);
        let mut records = Vec::new();
        let mut numbers: Vec<(Arc<str>, u32)> = Vec::new();
        let mut left = &work.jobs[..];
        while !left.is_empty() {
            let slice = &left[..left.len().min(SLICE)];
            let edition = self.view.edition();
            let piece = Work { head: Arc::clone(&head), jobs: slice.to_vec() };
            let prepared = match self.prepare(piece, &permits).await {
                Ok(prepared) => prepared,
                Err(error) => {
                    tracing::error!(%error, "jobs that are due cannot be read; trying again");
                    self.pause(UNREADABLE_MS).await;
                    let back = Work { head: Arc::clone(&head), jobs: slice.to_vec() };
                    self.report(SendEvent::Started(Arc::clone(&head)));
                    self.finish_piece(&head, Vec::new(), Some(back));
                    left = &left[slice.len()..];
                    continue;
                }
            };
            left = &left[prepared.consumed..];
            for unsent in prepared.unsent {
                let (project, once, members) = (unsent.project, unsent.once, unsent.members);
                let record = match unsent.why {
                    UnsentReason::Deferred(route, until, obstacle) => {
                        self.defer(&head, &route, members, Some((until, obstacle)))
                    }
                    UnsentReason::Over(verdict, error) => AttemptRecord {
                        once,
                        error,
                        started: self.time.now(),
                        ..head.record(project, verdict, members)
                    },
                };
                records.push(record);
            }
            if !prepared.dropped.is_empty() {
                self.report(SendEvent::Dropped(work.only(&prepared.dropped)));
            }
            if !prepared.recorded.is_empty() {
                self.report(SendEvent::Started(Arc::clone(&head)));
                let members = work.only(&prepared.recorded).members();
                self.report(SendEvent::Recorded { head: Arc::clone(&head), members });
            }
            if !prepared.undecided.is_empty() {
                self.report(SendEvent::Started(Arc::clone(&head)));
                let piece = work.only(&prepared.undecided);
                tokio::spawn(Arc::clone(self).recheck(piece, permits.begun));
            }
            for (route, ids) in prepared.needs_run {
                for id in ids {
                    self.report(SendEvent::Started(Arc::clone(&head)));
                    let piece = work.only(&[id]);
                    tokio::spawn(Arc::clone(self).begin_run(piece, Arc::clone(&route), edition));
                }
            }
            for (route, ids) in prepared.offers {
                self.report(SendEvent::Started(Arc::clone(&head)));
                let piece = work.only(&ids);
                tokio::spawn(Arc::clone(self).offer(piece, route, edition, permits.begun));
            }
            let mut backlog = Backlog::default();
            for (route, ids) in prepared.no_place {
                let Some(limit) = self.limit_to_wait_for(&route) else { continue };
                let requests = self.requests_for(&route, ids.len());
                backlog.add(limit, route, ids, requests);
            }
            for built in prepared.requests {
                // A request has an address.
                let Some(limit) = self.limit_of(&built.route) else { continue };
                let Some(place) = permits.place(&limit) else {
                    let limit = self.limit_or_project_wide(&built.route, limit);
                    backlog.add(limit, built.route, built.request.members, 1);
                    continue;
                };
                let series = built.request.series.as_ref();
                let number = series.map_or(0, |series| number_of(&mut numbers, series));
                let piece = work.only(&built.request.members);
                self.send(piece, built, number, edition, place, permits.begun);
            }
            for entry in backlog.all {
                let mut ids: Vec<JobId> =
                    entry.by_route.iter().flat_map(|(_, ids)| ids).copied().collect();
                ids.sort_unstable();
                self.report(SendEvent::Started(Arc::clone(&head)));
                let waiting = WaitingJobs {
                    piece: work.only(&ids),
                    limit: entry.limit,
                    by_route: entry.by_route,
                    requests: entry.requests,
                    begun: permits.begun,
                };
                tokio::spawn(Arc::clone(self).wait_for_place(waiting));
            }
        }
        self.finish_piece(&head, records, None);
    }

    /// About the number of requests that so many jobs of a route make.
    fn requests_for(&self, route: &Route, jobs: usize) -> usize {
        if route.single().is_some() {
            return jobs;
        }
        max_jobs(route, self.dispatcher.limits()).map_or(1, |max| jobs.div_ceil(max))
    }

    /// The limit of a route's project and destination; `None` if there is no target.
    pub(super) fn limit_of(&self, route: &Route) -> Option<Arc<AdaptiveLimit>> {
        let address = route.address()?;
        Some(self.in_flight_limits.of(route.project, &address.destination))
    }

    /// The limit that jobs without a place wait for: their own when it is full, else their
    /// project's.
    fn limit_to_wait_for(&self, route: &Route) -> Option<Arc<AdaptiveLimit>> {
        Some(self.limit_or_project_wide(route, self.limit_of(route)?))
    }

    fn limit_or_project_wide(
        &self,
        route: &Route,
        limit: Arc<AdaptiveLimit>,
    ) -> Arc<AdaptiveLimit> {
        if limit.is_full() { limit } else { self.in_flight_limits.project_wide(route.project) }
    }

    /// Reads the jobs of a slice and builds their requests, on a reader thread.
    pub(super) async fn prepare(
        self: &Arc<Self>,
        piece: Work,
        permits: &Permits,
    ) -> Result<Prepared, String> {
        let this = Arc::clone(self);
        let (begun, probe) = (permits.begun.is_some(), permits.probe);
        let held = permits.limit.as_ref().map(LimitPlaces::held);
        let read = move |conn: &rusqlite::Connection| {
            let closed = |route: &Route| if probe { None } else { this.closed(route, &piece.head) };
            // Places that are promised to one definition are not there for the next.
            let promised = RefCell::new(HashMap::<_, usize>::new());
            let room = |route: &Route, wanted: usize| {
                if probe {
                    return wanted; // whoever asks takes its place afterwards
                }
                let project = route.project;
                let Some(limit) = this.limit_of(route) else { return 0 };
                let (own, own_queue) = held.as_ref().map_or((0, 0), |held| held.of(&limit));
                let mut promised = promised.borrow_mut();
                let number = Some(limit.number());
                let of = |number| promised.get(&(project, number)).copied().unwrap_or(0);
                let (free, queue) = limit.free();
                let free = (own + free).saturating_sub(of(number));
                let room = free.min((own_queue + queue).saturating_sub(of(None))).min(wanted);
                for number in [number, None] {
                    *promised.entry((project, number)).or_default() += room;
                }
                room
            };
            let builder = RequestBuilder {
                conn,
                plans: &this.plans,
                view: &this.view,
                cluster: this.cluster,
                executors: this.dispatcher.executors(),
                defaults: this.defaults,
                register: &this.register,
                closed: &closed,
                room: &room,
                limits: this.dispatcher.limits(),
                begun,
                early: this.time.now() < piece.head.due,
            };
            builder.prepare(&piece.head, &piece.jobs)
        };
        self.store.read(read).await
    }

    /// The instant up to which a route's destination takes nothing, and the reason.
    pub(super) fn closed(&self, route: &Route, head: &Head) -> Option<(Millis, Obstacle)> {
        let closed = self.dispatcher.closed(route.address()?, route.project)?;
        (closed.1 != Obstacle::Failing || !head.is_probe()).then_some(closed)
    }

    /// Says whether a request may be sent now. Asked before its first byte (the lease rule); counts
    /// the firing.
    pub(super) fn may_send(&self, head: &Head, jobs: u64) -> bool {
        let may = self.may_begin(head);
        if may && head.attempt == 1 {
            // The lateness of a deferred occurrence counts from the instant that it was deferred
            // to. The time before is its destination's.
            let now = self.time.now();
            self.metrics.fired((now - head.attempt_at).max(0) as u64, jobs);
            if let Some(postponed) = &head.postponed {
                self.metrics.held_back.observe((now - postponed.since).max(0) as u64, jobs);
            }
        }
        may
    }

    /// Says whether this node may send the occurrences at this moment (the range rule).
    pub(super) fn may_begin(&self, head: &Head) -> bool {
        let (shard, attempt_at) = (head.key.0, head.attempt_at);
        self.view.ownership(head.key).is_some_and(|ownership| match head.row {
            None => self.lease.may_fire(shard, &ownership, attempt_at),
            Some(_) => {
                self.view.owner_of_row(shard, attempt_at) == Some(head.key)
                    && self.lease.may_send(shard, &ownership, attempt_at)
            }
        })
    }

    /// Waits for the due instant.
    pub(super) async fn until_due(&self, head: &Head) {
        while self.time.now() < head.due {
            self.time.clock().sleep_until(self.time.boot_at(head.due)).await;
        }
    }

    /// Waits for so many milliseconds.
    pub(super) async fn pause(&self, ms: u64) {
        let wake = self.time.clock().boot() + ms;
        while self.time.clock().boot() < wake {
            self.time.clock().sleep_until(wake).await;
        }
    }

    /// Reports a piece of work as over, with its records and with what was not sent.
    pub(super) fn finish_piece(
        &self,
        head: &Arc<Head>,
        records: Vec<AttemptRecord>,
        back: Option<Work>,
    ) {
        self.report(SendEvent::Finished { head: Arc::clone(head), records, back });
    }

    /// Sends an event to the engine.
    pub(super) fn report(&self, sent: SendEvent) {
        let urgent = sent.is_urgent();
        // The engine outlives its senders, except at the very end of the process.
        let _ = self.events.send(sent);
        if urgent {
            self.urgent.notify_one();
        }
    }
}

/// The number of a request in its series, from 0.
fn number_of(numbers: &mut Vec<(Arc<str>, u32)>, series: &Arc<str>) -> u32 {
    if let Some((_, next)) = numbers.iter_mut().find(|(known, _)| known == series) {
        *next += 1;
        return *next;
    }
    numbers.push((Arc::clone(series), 0));
    0
}
