//! Waiting before a request is built: for a place at a destination, for `BeginRun` where runs must
//! not overlap, for the log where an earlier change may still come. Whoever waits holds no body and
//! no place (the place rule). Places and questions are shared out among projects by `admission`.

use std::sync::Arc;

use super::adaptive_limit::{AdaptiveLimit, LimitPlaces};
use super::backlog::WaitingJobs;
use super::event::SendEvent;
use super::permits::Permits;
use super::route::Route;
use super::sender::Sender;
use super::work::{Head, Work};
use crate::command::{Command, Outcome};
use crate::model::attempt::AttemptRecord;
use crate::model::postponement::Obstacle;
use crate::model::run::{BeginRun, Begun, Occurrence};
use crate::model::{JobId, Millis};
use crate::worker::ports::{Dispatcher, Lease, StateStore};

/// The time that a first attempt waits for a place before it is deferred, in milliseconds. As a
/// pending row it holds no watermark back. Not whole seconds: at those, others are due.
const PLACE_WAIT_MS: u64 = 10_250;

/// The longest addition to the wait of a pending row, in milliseconds. A row holds no watermark
/// back while its range is open. It waits twice as long as a first attempt, and as long again as it
/// has waited before, up to this: where more falls due than a destination takes, new occurrences
/// would otherwise go first for ever.
const MAX_SENIORITY_MS: u64 = 60_000;

/// Time between two looks, beyond [`PLACE_WAIT_MS`], at whether the range of a row is closing, in
/// milliseconds.
const CLOSING_LOOK_MS: u64 = 1_000;

/// The reason why jobs of a project wait that has its share of the queue.
const SHARE: &str = "the project has its share of the requests that may wait for a worker";

/// The time for which an applied `BeginRun` may be used, in milliseconds.
const BEGUN_MS: u64 = 60_000;

/// The time beyond its timeouts after which a silent sender's run counts as lost, in milliseconds.
const SLACK_MS: Millis = 5_000;

/// The time beyond the timeout of an attempt after which a run that only began counts as lost, in
/// milliseconds.
pub(in crate::worker) const BEGUN_TIMEOUT: Millis = BEGUN_MS as Millis + SLACK_MS;

/// Pause between two looks at log time, in milliseconds.
const UNDECIDED_MS: u64 = 250;

/// Pause before the next question when the cluster does not answer, in milliseconds.
const AGAIN_MS: u64 = 500;

/// The end of a wait for places.
enum PlaceWait {
    /// At least one place is there.
    Taken(LimitPlaces),
    /// There was none by the deadline, or before the range was closing: the jobs are deferred, or
    /// go back where the range is another node's.
    TooLate,
}

impl<B: StateStore, H: Dispatcher, L: Lease> Sender<B, H, L> {
    /// Sends jobs on as places become free, several at a time. What has waited too long is
    /// deferred.
    pub(super) async fn wait_for_place(self: Arc<Self>, waiting: WaitingJobs) {
        let WaitingJobs { mut piece, limit, by_route, mut requests, begun } = waiting;
        let Some(route) = by_route.first().map(|(route, _)| Arc::clone(route)) else { return };
        let head = Arc::clone(&piece.head);
        let from = self.time.clock().boot().max(self.time.boot_at(head.due));
        let deadline = deadline_ms(&head, from, self.time.now(), begun);
        while !piece.jobs.is_empty() {
            let places = requests.clamp(1, self.in_flight_limits.stride());
            let waited = self.places_in_time(&head, &limit, places, from, deadline).await;
            let PlaceWait::Taken(taken) = waited else {
                if self.view.ownership(head.key).is_none() {
                    return self.finish_piece(&head, Vec::new(), Some(piece));
                }
                let records = self.defer_remaining(&head, &limit, &by_route, &piece);
                return self.finish_piece(&head, records, None);
            };
            // By now the destination may take nothing: then all is deferred at once, unbuilt.
            let closed = self.closed(&route, &head);
            let closed = closed.filter(|_| !limit.is_project_wide() && self.time.now() >= head.due);
            if closed.is_some() {
                let record = self.defer(&head, &route, piece.members(), closed);
                return self.finish_piece(&head, vec![record], None);
            }
            let places = taken.held().places();
            let jobs = piece.jobs.len().div_ceil(requests.max(1)) * places;
            let first = piece.take(jobs);
            requests = requests.saturating_sub(places);
            self.report(SendEvent::Started(Arc::clone(&head)));
            self.build_again(first, Permits { limit: Some(taken), begun, probe: false }).await;
        }
        self.finish_piece(&head, Vec::new(), None);
    }

    /// Waits for places up to a deadline. Beyond [`PLACE_WAIT_MS`] it ends sooner when the range of
    /// a row is closing or is not this node's any more: an open row holds the hand-over instant
    /// back.
    async fn places_in_time(
        &self,
        head: &Head,
        limit: &Arc<AdaptiveLimit>,
        places: usize,
        from: u64,
        deadline: u64,
    ) -> PlaceWait {
        // One future for the whole wait: a new one would wait at the end of the queue.
        let taken = limit.take(places);
        tokio::pin!(taken);
        let mut until = deadline.min(from + PLACE_WAIT_MS);
        loop {
            tokio::select! {
                // The limit and its queue are never closed while a sender waits for them.
                taken = &mut taken => return taken.map_or(PlaceWait::TooLate, PlaceWait::Taken),
                () = self.at(until) => {}
            }
            let ownership = self.view.ownership(head.key);
            if until >= deadline || ownership.is_none_or(|ownership| ownership.closing) {
                return PlaceWait::TooLate;
            }
            until = deadline.min(self.time.clock().boot() + CLOSING_LOOK_MS);
        }
    }

    /// Defers jobs that found no place in time: those of one limit as one, those of a project-wide
    /// limit by route.
    fn defer_remaining(
        &self,
        head: &Arc<Head>,
        limit: &AdaptiveLimit,
        by_route: &[(Arc<Route>, Vec<JobId>)],
        piece: &Work,
    ) -> Vec<AttemptRecord> {
        let Some((first, _)) = by_route.first().filter(|_| !limit.is_project_wide()) else {
            let now = self.time.now();
            let defer = |(route, ids): &(Arc<Route>, Vec<JobId>)| {
                let left = piece.only(ids).members();
                let why = Obstacle::Node(SHARE.to_owned());
                (!left.is_empty()).then(|| self.defer(head, route, left, Some((now, why))))
            };
            return by_route.iter().filter_map(defer).collect();
        };
        vec![self.defer(head, first, piece.members(), None)]
    }

    /// Looks once more at what could not be decided: when it is due, and then until the log has got
    /// as far.
    pub(super) async fn recheck(self: Arc<Self>, piece: Work, begun: Option<u64>) {
        let head = Arc::clone(&piece.head);
        if self.time.now() < head.due {
            self.until_due(&head).await;
        } else {
            self.pause(UNDECIDED_MS).await;
        }
        if !self.may_begin(&head) {
            return self.finish_piece(&head, Vec::new(), Some(piece));
        }
        self.build_again(piece, Permits { begun, ..Permits::default() }).await;
    }

    /// Proposes that a run begins, once it is due, and goes on by the answer.
    pub(super) async fn begin_run(self: Arc<Self>, piece: Work, route: Arc<Route>, edition: u64) {
        let head = Arc::clone(&piece.head);
        self.until_due(&head).await;
        let (Some((job, _)), Some(overlap)) = (piece.jobs.first(), route.overlap()) else {
            return self.finish_piece(&head, Vec::new(), None);
        };
        if self.view.is_stale(edition, &[*job]) {
            // It may have been paused: then it must neither wait behind another run nor end it.
            return self.build_again(piece, Permits::default()).await;
        }
        let begin = BeginRun {
            occurrence: Occurrence { job: *job, scheduled: head.scheduled, run: head.run },
            project: route.project,
            shard: head.key.0,
            node: self.node,
            epoch: head.key.1,
            due: head.due,
            attempt: head.attempt,
            pending: head.row.map(|(id, _)| id),
            overlap,
            timeout: route.timeout.saturating_add(BEGUN_TIMEOUT),
            retry: route.retry,
        };
        // The queue keeps whoever waits until it is served.
        let Some(turn) = self.begin_admission.take(route.project, 0, 1).await else { return };
        if !self.may_begin(&head) {
            return self.finish_piece(&head, Vec::new(), Some(piece));
        }
        let until = self.time.clock().boot() + BEGUN_MS;
        let asked = self.store.propose(Command::BeginRun(begin)).await;
        drop(turn);
        match asked {
            Ok(Outcome::Begun(Begun::Go)) => {
                self.build_again(piece, Permits { begun: Some(until), ..Permits::default() }).await;
            }
            Ok(Outcome::Begun(Begun::Skipped | Begun::Queued)) => {
                self.report(SendEvent::Recorded { head, members: piece.members() });
            }
            Ok(Outcome::Begun(Begun::NotYours)) => self.report(SendEvent::Disputed(piece)),
            other => {
                let why = other.map_or_else(|error| error, |outcome| outcome.to_string());
                tracing::warn!(job, %why, "a run cannot begin yet; asking again");
                self.pause(AGAIN_MS).await;
                // Read again: the job may have been changed or deleted.
                self.build_again(piece, Permits::default()).await;
            }
        }
    }

    async fn at(&self, boot: u64) {
        while self.time.clock().boot() < boot {
            self.time.clock().sleep_until(boot).await;
        }
    }
}

/// The boot-clock instant up to which jobs wait for a place at their destination, when they have
/// waited from `from`. A permission to begin (`begun`) must outlast the executor's own wait.
fn deadline_ms(head: &Head, from: u64, now: Millis, begun: Option<u64>) -> u64 {
    if head.row.is_none() {
        return from + PLACE_WAIT_MS;
    }
    let since = head.postponed.as_ref().map_or(head.attempt_at, |postponed| postponed.since);
    let waited = u64::try_from(now.saturating_sub(since)).unwrap_or(0);
    let deadline = from + 2 * PLACE_WAIT_MS + waited.min(MAX_SENIORITY_MS);
    begun.map_or(deadline, |until| deadline.min(until.saturating_sub(PLACE_WAIT_MS)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::postponement::Postponement;

    #[test]
    fn what_has_waited_longer_waits_longer_and_is_not_overtaken_for_ever() {
        let row = |attempt_at, postponed| Head {
            row: Some((1, 1)),
            attempt_at,
            postponed,
            ..Head::default()
        };
        let wait = |head: &Head| deadline_ms(head, 7_000, 100_000, None) - 7_000;
        assert_eq!(wait(&Head::default()), PLACE_WAIT_MS, "from the plan: it holds the watermark");
        assert_eq!(wait(&row(100_000, None)), 2 * PLACE_WAIT_MS, "a retry");
        let since = |since| Some(Postponement::new(Obstacle::Full, "a:1", since));
        assert_eq!(
            wait(&row(99_000, since(80_000))),
            2 * PLACE_WAIT_MS + 20_000,
            "deferred before"
        );
        let old = row(99_000, since(0));
        assert_eq!(wait(&old), 2 * PLACE_WAIT_MS + MAX_SENIORITY_MS);
        assert_eq!(wait(&row(101_000, None)), 2 * PLACE_WAIT_MS, "not due yet");
        // The permission to begin ends before that: what gets a place must still be able to use it.
        let begun = 7_000 + BEGUN_MS;
        assert_eq!(deadline_ms(&old, 7_000, 100_000, Some(begun)), begun - PLACE_WAIT_MS);
    }
}
