//! Sending: one task for each thing that is due, one for each request of it. They wait for a place
//! in the queue of built requests (`MaxQueue`), for the due instant, for a worker (`MaxWorkers`, in
//! the executor), ask the lease at the last moment, and hand what came back to `worker::response`.
//!
//! ```text
//!   begin ──> write ──> send ──> deliver ──> settle ──> engine
//!               ├── its limit is full ──> wait ──┐
//!               └── runs must not overlap ──> ask ──> write, with a pass
//! ```
//!
//! Nothing here touches the queue, the tracker or the journal: results go to the engine.

use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use tokio::sync::{Notify, mpsc};

use super::adaptive_limit::{AdaptiveLimit, AdaptiveLimits, LimitPlaces};
use super::admission::{Admission, Admitted};
use super::backlog::Backlog;
use super::builder::{Prepared, Request, RequestBuilder, UnsentReason};
use super::hanging_calls::HangingCalls;
use super::plans::Plans;
use super::poison::PoisonRegister;
use super::ports::{Dispatcher, Lease, StateStore};
use super::route::{Defaults, Route};
use super::secrets::SecretCache;
use super::view::SenderView;
use super::work::{Head, Work};
use crate::clock::SchedulerTime;
use crate::executor::headers::{Labels, WEBHOOK_SIGNATURE, headers, overlay};
use crate::executor::{Call, Reply};
use crate::metrics::Metrics;
use crate::model::attempt::AttemptRecord;
use crate::model::postponement::Obstacle;
use crate::model::{JobId, Millis, NodeId};

/// So many jobs are read and written at a time.
const SLICE: usize = 4_096;
/// How long to leave the store alone when they cannot be read.
const UNREADABLE_MS: u64 = 250;

/// What senders tell the engine.
#[derive(Debug)]
pub(super) enum SendEvent {
    /// One more piece of this work is under way.
    Started(Arc<Head>),
    /// A piece is over. What could not be sent goes back; records go to the journal.
    Finished {
        /// What it was a piece of.
        head: Arc<Head>,
        /// What came of it.
        records: Vec<AttemptRecord>,
        /// What was not sent.
        back: Option<Work>,
    },
    /// A piece is over, and the store have what became of it.
    Recorded(Arc<Head>),
    /// A piece is not this sender's, or over already: only the store know.
    Disputed(Work),
    /// All requests of a work are written; the engine may begin the next.
    Built,
}

impl SendEvent {
    /// Whether the engine is to look at once. Other reports may gather while it writes to the
    /// journal: nothing but the next write waits for them.
    fn is_urgent(&self) -> bool {
        !matches!(self, Self::Started(_) | Self::Finished { back: None, .. })
    }
}

/// What all senders share.
pub(super) struct Sender<B, H, L> {
    pub(super) store: B,
    pub(super) dispatcher: H,
    pub(super) lease: Arc<L>,
    pub(super) view: Arc<SenderView>,
    pub(super) plans: Arc<Plans>,
    pub(super) secrets: Arc<SecretCache>,
    pub(super) register: PoisonRegister,
    pub(super) time: Arc<SchedulerTime>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) defaults: Defaults,
    pub(super) node: NodeId,
    pub(super) cluster: u128,
    pub(super) max_bytes: usize,
    /// How many requests each project and destination may have, built (`MaxQueue`) or under way.
    pub(super) in_flight_limits: AdaptiveLimits,
    /// Who asks the store at a time whether a run may begin.
    pub(super) begin_admission: Admission,
    /// The calls that hang, to be ended when their jobs are gone.
    pub(super) hanging_calls: Arc<HangingCalls>,
    pub(super) in_flight: AtomicU64,
    /// Where senders run: not on the core runtime.
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) events: mpsc::UnboundedSender<SendEvent>,
    /// Rung after a report that is urgent.
    pub(super) urgent: Arc<Notify>,
}

/// What a piece of work has got on its way already.
#[derive(Default)]
pub(super) struct Permits {
    /// LimitPlaces in the limit of its destination.
    pub(super) limit: Option<LimitPlaces>,
    /// The store have noted that its run begins; that is good up to this instant of the boot clock.
    pub(super) begun: Option<u64>,
    /// It goes out although its destination keeps failing.
    pub(super) probe: bool,
}

impl Permits {
    /// A place in a limit: one of those it has, or one that is free.
    fn place(&mut self, limit: &Arc<AdaptiveLimit>) -> Option<LimitPlaces> {
        let held = self.limit.as_mut().and_then(|held| held.split(limit));
        held.or_else(|| limit.try_take())
    }
}

impl<B: StateStore, H: Dispatcher, L: Lease> Sender<B, H, L> {
    /// Begins a work; `SendEvent::Built` follows when its requests are written.
    pub(super) fn begin(self: &Arc<Self>, work: Work) {
        let this = Arc::clone(self);
        self.runtime.spawn(async move {
            this.build(work, Permits::default()).await;
            this.report(SendEvent::Built);
        });
    }

    /// [`Sender::write`] from within what it began.
    pub(super) fn build_again(
        self: &Arc<Self>,
        work: Work,
        permits: Permits,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let this = Arc::clone(self);
        Box::pin(async move { this.build(work, permits).await })
    }

    /// Writes the requests of a work and gives each its own task.
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
            let mut backlog = Backlog::default();
            for (route, ids) in prepared.no_place {
                let Some(url) = route.url() else { continue };
                let requests = if route.single().is_some() { ids.len() } else { 1 };
                backlog.add(self.limit_to_wait_for(&route, url), route, ids, requests);
            }
            for request in prepared.requests {
                let limit = self.in_flight_limits.of(request.route.project, &request.url);
                let Some(place) = permits.place(&limit) else {
                    let limit = self.limit_to_wait_for(&request.route, &request.url);
                    backlog.add(limit, request.route, request.members, 1);
                    continue;
                };
                let number = match request.route.single() {
                    Some(_) => 0,
                    None => number_of(&mut numbers, &request.url),
                };
                let piece = work.only(&request.members);
                self.send(piece, request, number, edition, place, permits.begun);
            }
            for entry in backlog.all {
                let mut ids: Vec<JobId> =
                    entry.parts.iter().flat_map(|(_, ids)| ids).copied().collect();
                ids.sort_unstable();
                self.report(SendEvent::Started(Arc::clone(&head)));
                let waiting = super::wait::WaitingJobs {
                    piece: work.only(&ids),
                    limit: entry.limit,
                    parts: entry.parts,
                    requests: entry.requests,
                    begun: permits.begun,
                };
                tokio::spawn(Arc::clone(self).wait_for_place(waiting));
            }
        }
        self.finish_piece(&head, records, None);
    }

    /// Where jobs wait that have no place: in their limit if that is full, else for the queue.
    fn limit_to_wait_for(&self, route: &Route, url: &str) -> Arc<AdaptiveLimit> {
        let limit = self.in_flight_limits.of(route.project, url);
        if limit.is_full() { limit } else { self.in_flight_limits.project_wide(route.project) }
    }

    /// Reads a slice's jobs and writes their requests, on a blocking thread.
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
            // What is promised to one definition is not there for the next.
            let promised = RefCell::new(HashMap::<_, usize>::new());
            let room = |route: &Route, wanted: usize| {
                if probe {
                    return wanted; // whoever asks takes its place afterwards
                }
                let project = route.project;
                let Some(url) = route.url() else { return 0 };
                let limit = this.in_flight_limits.of(project, url);
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
                cluster: this.cluster,
                max_bytes: this.max_bytes,
                defaults: this.defaults,
                secrets: &this.secrets,
                register: &this.register,
                closed: &closed,
                room: &room,
                begun,
                early: this.time.now() < piece.head.due,
            };
            builder.prepare(&piece.head, &piece.jobs)
        };
        self.store.read(read).await
    }

    /// Until when a route's destination takes nothing, and why, if it does not.
    pub(super) fn closed(&self, route: &Route, head: &Head) -> Option<(Millis, Obstacle)> {
        let closed = self.dispatcher.closed(route.url()?, route.project)?;
        (closed.1 != Obstacle::Failing || !head.is_probe()).then_some(closed)
    }

    /// Gives one request its task.
    fn send(
        self: &Arc<Self>,
        piece: Work,
        request: Request,
        number: u32,
        edition: u64,
        mut place: LimitPlaces,
        begun: Option<u64>,
    ) {
        let slot = place.take_queued();
        self.report(SendEvent::Started(Arc::clone(&piece.head)));
        let own = RequestPermits { slot, place, edition, begun };
        tokio::spawn(Arc::clone(self).deliver(piece, request, number, own));
    }

    /// Makes one call, and settles what comes of it.
    async fn deliver(
        self: Arc<Self>,
        piece: Work,
        request: Request,
        number: u32,
        own: RequestPermits,
    ) {
        let route = Arc::clone(&request.route);
        let made = self.call_when_due(&piece, request, number, own, false).await;
        self.handle_result(piece, route, made).await;
    }

    /// Makes one call when it is due.
    async fn call_when_due(
        self: &Arc<Self>,
        piece: &Work,
        mut request: Request,
        number: u32,
        own: RequestPermits,
        probe: bool,
    ) -> CallResult {
        let head = Arc::clone(&piece.head);
        let RequestPermits { slot, place, edition, begun } = own;
        self.until_due(&head).await;
        if self.view.is_stale(edition, &request.members) {
            // Its jobs were changed since: written anew, perhaps for another destination.
            return CallResult::Stale(Permits { begun, ..Permits::default() });
        }
        let route = Arc::clone(&request.route);
        let tls = route.tls().map(|tls| self.secrets.tls(tls)).transpose();
        let lines = self.lines(&head, &mut request, number);
        let (lines, tls) = match lines.and_then(|lines| Ok((lines, tls?))) {
            Ok(ready) => ready,
            Err(error) => return CallResult::Unsigned(error.to_string()),
        };
        let members: Arc<[JobId]> = request.members.into();
        let jobs = members.len() as u64;
        let watch = (Arc::clone(self), Arc::clone(&members));
        let ask = (Arc::clone(self), Arc::clone(&head), Arc::clone(&members));
        let mut slot = Some(slot);
        let call = Call {
            method: request.method,
            parsed: request.parsed,
            project: route.project,
            probe: probe || head.is_probe(),
            limits: route.limits,
            success_codes: route.codes(),
            batch: route.single().is_none(),
            tls,
            timeout: Some(Duration::from_millis(route.timeout.max(0).cast_unsigned())),
            unwanted: Some(Box::new(move || {
                let (this, members) = watch;
                let hanging_calls = Arc::clone(&this.hanging_calls);
                let unsure = move |members: &[JobId]| this.view.is_stale(edition, members);
                Box::pin(HangingCalls::until_deleted(hanging_calls, members, unsure))
            })),
            ..Call::new(request.url, lines, request.body, move || {
                // Asked again, it has gone out before: it is fired once.
                let first = slot.take().is_some();
                // It may have waited long for a worker.
                let (this, head, members) = &ask;
                begun.is_none_or(|until| this.time.clock().boot() <= until)
                    && !this.view.is_changed(edition, members)
                    && if first { this.may_send(head, jobs) } else { this.may_begin(head) }
            })
        };
        let counted = Counted::new(&self.in_flight);
        let reply = self.dispatcher.call(call).await;
        drop(counted);
        match &reply {
            Reply::Done(answer) if (1..500).contains(&answer.status) => place.answered(),
            Reply::Refused { .. } => place.refused(),
            Reply::Done(_) | Reply::Withheld | Reply::Unwanted(_) => drop(place),
        }
        match reply {
            Reply::Withheld if self.view.is_changed(edition, &members) => {
                CallResult::Stale(Permits { begun, ..Permits::default() })
            }
            Reply::Withheld if begun.is_some_and(|until| self.time.clock().boot() > until) => {
                // The store may have taken the run for lost meanwhile.
                CallResult::Stale(Permits::default())
            }
            reply => CallResult::Reply(reply),
        }
    }

    /// Makes one call for a piece of a batch, whatever the breaker says, if all of it can be sent as
    /// one request at once.
    pub(super) async fn call_piece(self: &Arc<Self>, piece: &Work) -> PieceCall {
        let edition = self.view.edition();
        let permits = Permits { probe: true, ..Permits::default() };
        let Ok(mut prepared) = self.prepare(piece.clone(), &permits).await else {
            return PieceCall::NotBuilt;
        };
        let Some(request) = prepared.requests.pop() else {
            let waiting: usize = prepared.no_place.iter().map(|(_, jobs)| jobs.len()).sum();
            return if waiting == piece.jobs.len() {
                PieceCall::NoPlace
            } else {
                PieceCall::NotBuilt
            };
        };
        if request.members.len() != piece.jobs.len() || request.route.single().is_some() {
            return PieceCall::NotBuilt;
        }
        let limit = self.in_flight_limits.of(request.route.project, &request.url);
        let Some(mut place) = limit.take_free().await else { return PieceCall::NoPlace };
        let slot = place.take_queued();
        let route = Arc::clone(&request.route);
        let own = RequestPermits { slot, place, edition, begun: None };
        PieceCall::Made(route, self.call_when_due(piece, request, 0, own, true).await)
    }

    /// What follows from a call.
    pub(super) async fn handle_result(
        self: Arc<Self>,
        piece: Work,
        route: Arc<Route>,
        made: CallResult,
    ) {
        let head = Arc::clone(&piece.head);
        match made {
            CallResult::Stale(permits) => self.build_again(piece, permits).await,
            CallResult::Unsigned(error) => {
                let record = self.unsigned(&piece, &route, error);
                self.finish_piece(&head, vec![record], None);
            }
            CallResult::Reply(Reply::Withheld) => self.finish_piece(&head, Vec::new(), Some(piece)),
            CallResult::Reply(Reply::Refused { until, obstacle }) => {
                let record = self.defer(&head, &route, piece.members(), Some((until, obstacle)));
                self.finish_piece(&head, vec![record], None);
            }
            CallResult::Reply(Reply::Done(answer)) => {
                self.handle_answer(piece, &route, answer).await
            }
            CallResult::Reply(Reply::Unwanted(answer)) => {
                let record = self.unwanted(&piece, &route, answer);
                self.finish_piece(&head, vec![record], None);
            }
        }
    }

    /// The header lines of a request, signed for this moment.
    fn lines(
        &self,
        head: &Head,
        request: &mut Request,
        number: u32,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, crate::secret::Error> {
        let now = self.time.now();
        let mut lines = headers(&Labels {
            shard: head.key.0,
            epoch: self.view.fence(head.key),
            scheduled: head.scheduled,
            attempt: head.attempt,
            chunk: number,
            webhook_id: &request.webhook_id,
            now,
        });
        if request.route.single().is_some() {
            lines = overlay(lines, std::mem::take(&mut request.headers));
        }
        let signing = &request.route.signing;
        let signature = self.secrets.sign(signing, &request.webhook_id, now, &request.body)?;
        // Base64 and a few marks: always a header's value.
        let signature = signature.and_then(|signature| HeaderValue::from_str(&signature).ok());
        lines.extend(signature.map(|signature| (WEBHOOK_SIGNATURE, signature)));
        Ok(lines)
    }

    /// The last look before the first byte.
    pub(super) fn may_send(&self, head: &Head, jobs: u64) -> bool {
        let may = self.may_begin(head);
        if may && head.attempt == 1 {
            // What was put off is late from the instant that it was put off to: the entry is its
            // destination's.
            let now = self.time.now();
            self.metrics.fired((now - head.gate).max(0) as u64, jobs);
            if let Some(postponed) = &head.postponed {
                self.metrics.held_back.observe((now - postponed.since).max(0) as u64, jobs);
            }
        }
        may
    }

    /// Whether this node may send it at this moment.
    pub(super) fn may_begin(&self, head: &Head) -> bool {
        let (shard, gate) = (head.key.0, head.gate);
        self.view.ownership(head.key).is_some_and(|part| match head.row {
            None => self.lease.may_fire(shard, &part, gate),
            Some(_) => {
                self.view.owner_of_row(shard, gate) == Some(head.key)
                    && self.lease.may_send(shard, &part, gate)
            }
        })
    }

    /// Waits until it is due.
    pub(super) async fn until_due(&self, head: &Head) {
        while self.time.now() < head.due {
            self.time.clock().sleep_until(self.time.boot_at(head.due)).await;
        }
    }

    /// Waits so many milliseconds.
    pub(super) async fn pause(&self, ms: u64) {
        let wake = self.time.clock().boot() + ms;
        while self.time.clock().boot() < wake {
            self.time.clock().sleep_until(wake).await;
        }
    }

    pub(super) fn finish_piece(
        &self,
        head: &Arc<Head>,
        records: Vec<AttemptRecord>,
        back: Option<Work>,
    ) {
        self.report(SendEvent::Finished { head: Arc::clone(head), records, back });
    }

    pub(super) fn report(&self, sent: SendEvent) {
        let urgent = sent.is_urgent();
        // The engine outlives its senders, except at the very end of the process.
        let _ = self.events.send(sent);
        if urgent {
            self.urgent.notify_one();
        }
    }
}

/// What came of making a call.
pub(super) enum CallResult {
    /// Its jobs were changed meanwhile: it is to be written anew.
    Stale(Permits),
    /// What it is to be signed with cannot be opened here.
    Unsigned(String),
    /// A reply.
    Reply(Reply),
}

/// What came of making a call for a piece of a batch by itself.
pub(super) enum PieceCall {
    /// Its destination has no place for it at the moment.
    NoPlace,
    /// No single request can be made for all of its jobs: some were changed, paused or deleted
    /// meanwhile, or they could not be read.
    NotBuilt,
    /// The call was made, under this route.
    Made(Arc<Route>, CallResult),
}

/// What a built request holds.
struct RequestPermits {
    /// Its place in the queue, up to its first byte.
    slot: Option<Admitted>,
    /// Its place in the limit, up to its answer.
    place: LimitPlaces,
    /// It was written from the store of this edition.
    edition: u64,
    /// See [`Permits::begun`].
    begun: Option<u64>,
}

/// The place of a request among those of its target.
fn number_of(numbers: &mut Vec<(Arc<str>, u32)>, url: &Arc<str>) -> u32 {
    if let Some((_, next)) = numbers.iter_mut().find(|(known, _)| known == url) {
        *next += 1;
        return *next;
    }
    numbers.push((Arc::clone(url), 0));
    0
}

/// Counts a call as under way.
struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
