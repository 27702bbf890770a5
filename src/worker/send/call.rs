//! Making calls: from a built request to the reply. A task for each request waits for the due
//! instant and the executor, asks the lease before the first byte (the lease rule), and hands the
//! reply to `response`.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;

use super::adaptive_limit::LimitPlaces;
use super::admission::Admitted;
use super::event::SendEvent;
use super::hanging_calls::HangingCalls;
use super::permits::Permits;
use super::prepared::BuiltRequest;
use super::route::Route;
use super::sender::Sender;
use super::work::{Head, Work};
use crate::delivery::batch::Labels;
use crate::delivery::call::Call;
use crate::delivery::reply::{Reply, Rest};
use crate::delivery::request::Request;
use crate::model::JobId;
use crate::worker::ports::{Dispatcher, Lease, StateStore};

/// The error of an attempt in which the executor panicked.
const PANICKED: &str = "the program of its node failed while it made the call: see its log";

/// The outcome of a request that was built.
pub(super) enum CallResult {
    /// Its jobs were changed meanwhile: it must be built again.
    Stale(Permits),
    /// It cannot be completed here, as its secrets cannot be opened, or its executor panicked.
    Incomplete(String),
    /// The executor's reply.
    Reply(Reply),
}

/// The outcome of a call for one piece of a batch.
pub(super) enum PieceCall {
    /// The destination has no place for it at the moment.
    NoPlace,
    /// No single request can be built for all of its jobs: some were changed, paused or deleted
    /// meanwhile, or they could not be read.
    NotBuilt,
    /// The call was made under this route.
    Made(Arc<Route>, CallResult),
}

/// The permits of a built request.
struct RequestPermits {
    /// Its place in the queue of built requests, held up to its first byte.
    slot: Option<Admitted>,
    /// Its place at the destination, held up to its answer.
    place: LimitPlaces,
    /// The edition of the state that it was built from.
    edition: u64,
    /// See [`Permits::begun`].
    begun: Option<u64>,
}

impl<B: StateStore, H: Dispatcher, L: Lease> Sender<B, H, L> {
    /// Starts the task of a request.
    pub(super) fn send(
        self: &Arc<Self>,
        piece: Work,
        built: BuiltRequest,
        number: u32,
        edition: u64,
        mut place: LimitPlaces,
        begun: Option<u64>,
    ) {
        let slot = place.take_queued();
        self.report(SendEvent::Started(Arc::clone(&piece.head)));
        let own = RequestPermits { slot, place, edition, begun };
        tokio::spawn(Arc::clone(self).deliver(piece, built, number, own));
    }

    /// Makes a call and handles its result.
    async fn deliver(
        self: Arc<Self>,
        piece: Work,
        built: BuiltRequest,
        number: u32,
        own: RequestPermits,
    ) {
        let route = Arc::clone(&built.route);
        let made = self.call_when_due(&piece, built, number, own, false).await;
        self.handle_result(piece, route, made).await;
    }

    /// Makes a call when it is due. Where its executor panics, the attempt has failed: a call
    /// always ends, or the watermark would stand still (the account rule).
    async fn call_when_due(
        self: &Arc<Self>,
        piece: &Work,
        built: BuiltRequest,
        number: u32,
        own: RequestPermits,
        probe: bool,
    ) -> CallResult {
        let kind = Arc::clone(&built.route);
        let made = self.make_call(piece, built, number, own, probe);
        AssertUnwindSafe(made).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!(kind = kind.kind(), "an executor panicked while it made a call");
            CallResult::Incomplete(PANICKED.to_owned())
        })
    }

    async fn make_call(
        self: &Arc<Self>,
        piece: &Work,
        built: BuiltRequest,
        number: u32,
        own: RequestPermits,
        probe: bool,
    ) -> CallResult {
        let head = Arc::clone(&piece.head);
        let BuiltRequest { route, mut request } = built;
        let RequestPermits { slot, place, edition, begun } = own;
        self.until_due(&head).await;
        if self.view.is_stale(edition, &request.members) {
            // Its jobs were changed since, so it may belong to another destination.
            return CallResult::Stale(Permits { begun, ..Permits::default() });
        }
        if let Err(error) = self.complete(&head, &route, &mut request, number) {
            return CallResult::Incomplete(error);
        }
        let Some(address) = route.address() else {
            return CallResult::Stale(Permits::default()); // a request has an address
        };
        let members: Arc<[JobId]> = request.members.into();
        let jobs = members.len() as u64;
        let watch = (Arc::clone(self), Arc::clone(&members));
        let ask = (Arc::clone(self), Arc::clone(&head), Arc::clone(&members));
        let mut slot = Some(slot);
        let (mut uncounted, one_by_one, mut seen) = (jobs, route.is_chunk(), edition);
        let call = Call {
            request: request.prepared,
            destination: address.destination.clone(),
            path: request.path,
            project: route.project,
            probe: probe || head.is_probe(),
            limits: route.limits,
            jobs: jobs as u32,
            timeout: Duration::from_millis(route.timeout.max(0).cast_unsigned()),
            unwanted: Some(Box::new(move || {
                let (this, members) = watch;
                let hanging_calls = Arc::clone(&this.hanging_calls);
                let unsure = move |members: &[JobId]| this.view.is_stale(edition, members);
                Box::pin(HangingCalls::until_deleted(hanging_calls, members, unsure))
            })),
            before_send: Box::new(move || {
                drop(slot.take());
                // The executor asks once for each job of a chunk. For any other request it asks
                // again when it sends the request a second time, which counts once.
                let sends = if one_by_one { uncounted.min(1) } else { uncounted };
                // The request may have waited long for a worker.
                let (this, head, members) = &ask;
                let may = begun.is_none_or(|until| this.time.clock().boot() <= until)
                    && !this.view.is_changed_since(&mut seen, members)
                    && if sends > 0 { this.may_send(head, sends) } else { this.may_begin(head) };
                uncounted -= if may { sends } else { 0 };
                may
            }),
        };
        let counted = Counted::new(&self.in_flight);
        let reply = self.dispatcher.call(call).await;
        drop(counted);
        match &reply {
            Reply::Done(attempt) if attempt.answered => place.answered(),
            Reply::PerJob { parts, .. } if parts.iter().any(|part| part.attempt.answered) => {
                place.answered();
            }
            Reply::Refused { .. } | Reply::PerJob { rest: Rest::Refused { .. }, .. } => {
                place.refused();
            }
            Reply::Done(_) | Reply::PerJob { .. } | Reply::Withheld | Reply::Unwanted(_) => {
                drop(place);
            }
        }
        match reply {
            // One part for all is as good as an answer for all.
            Reply::PerJob { mut parts, .. }
                if parts.len() == 1 && parts[0].jobs[..] == *members =>
            {
                CallResult::Reply(Reply::Done(parts.remove(0).attempt))
            }
            Reply::Withheld if self.view.is_changed(edition, &members) => {
                CallResult::Stale(Permits { begun, ..Permits::default() })
            }
            Reply::Withheld if begun.is_some_and(|until| self.time.clock().boot() > until) => {
                // The run may have been taken for lost meanwhile (the begin rule).
                CallResult::Stale(Permits::default())
            }
            reply => CallResult::Reply(reply),
        }
    }

    /// Makes one call for a piece of a batch, whatever the breaker says, if all of the piece can be
    /// sent as one request now.
    pub(super) async fn call_piece(self: &Arc<Self>, piece: &Work) -> PieceCall {
        let edition = self.view.edition();
        let permits = Permits { probe: true, ..Permits::default() };
        let Ok(mut prepared) = self.prepare(piece.clone(), &permits).await else {
            return PieceCall::NotBuilt;
        };
        let Some(built) = prepared.requests.pop() else {
            let waiting: usize = prepared.no_place.iter().map(|(_, jobs)| jobs.len()).sum();
            return if waiting == piece.jobs.len() {
                PieceCall::NoPlace
            } else {
                PieceCall::NotBuilt
            };
        };
        let route = Arc::clone(&built.route);
        if built.request.members.len() != piece.jobs.len() || route.single().is_some() {
            return PieceCall::NotBuilt;
        }
        let Some(limit) = self.limit_of(&route) else { return PieceCall::NotBuilt };
        let Some(mut place) = limit.take_free().await else { return PieceCall::NoPlace };
        let slot = place.take_queued();
        let own = RequestPermits { slot, place, edition, begun: None };
        PieceCall::Made(route, self.call_when_due(piece, built, 0, own, true).await)
    }

    /// Handles the result of a call.
    pub(super) async fn handle_result(
        self: Arc<Self>,
        piece: Work,
        route: Arc<Route>,
        made: CallResult,
    ) {
        let head = Arc::clone(&piece.head);
        match made {
            CallResult::Stale(permits) => self.build_again(piece, permits).await,
            CallResult::Incomplete(error) => {
                let record = self.incomplete(&piece, &route, error);
                self.finish_piece(&head, vec![record], None);
            }
            CallResult::Reply(Reply::Withheld) => self.finish_piece(&head, Vec::new(), Some(piece)),
            CallResult::Reply(Reply::Refused { until, obstacle }) => {
                let record = self.defer(&head, &route, piece.members(), Some((until, obstacle)));
                self.finish_piece(&head, vec![record], None);
            }
            CallResult::Reply(Reply::Done(answer)) => {
                self.handle_answer(piece, &route, answer).await;
            }
            CallResult::Reply(Reply::PerJob { parts, rest }) => {
                self.handle_parts(piece, &route, parts, rest).await;
            }
            CallResult::Reply(Reply::Unwanted(answer)) => {
                let record = self.unwanted(&piece, &route, &answer);
                self.finish_piece(&head, vec![record], None);
            }
        }
    }

    /// Completes a request for this moment.
    fn complete(
        &self,
        head: &Head,
        route: &Route,
        request: &mut Request,
        number: u32,
    ) -> Result<(), String> {
        let labels = Labels {
            shard: head.key.0,
            epoch: self.view.fence(head.key),
            scheduled: head.scheduled,
            attempt: head.attempt,
            number,
            request_id: &request.id,
            now: self.time.now(),
            allowed: route.allowed.as_ref(),
        };
        // A request has a target.
        let Some(target) = route.target() else { return Ok(()) };
        request.prepared.complete(target, &labels, &route.signing)
    }
}

/// Counts a call as under way until it is dropped.
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
