//! What waits before a request is written: for a place in the lane of a destination that has its
//! share, for the books' word that a run may begin where runs must not overlap, and for the log
//! where a change may still come that decides whether it goes out. They hold no body, no place in
//! the queue and nothing that others need. Places and questions are shared out among projects
//! (`admission`).

use std::sync::Arc;

use super::fire::{Passes, Sender, Sent};
use super::lanes::Lane;
use super::route::Route;
use super::seams::{Books, Hands, Lease};
use super::work::{Head, Work};
use crate::command::{Command, Outcome};
use crate::model::attempt::AttemptRecord;
use crate::model::postponement::Obstacle;
use crate::model::run::{BeginRun, Begun, Occurrence};
use crate::model::{JobId, Millis};

/// So long a request waits for its lane; then it waits in the books, where it does not hold W back.
/// Not whole seconds: at those, others are due.
const LANE_MS: u64 = 10_250;
/// What is a pending row already holds no watermark back. It waits at least twice as long, and as
/// long again as it has waited before, up to this: where more falls due than a destination takes,
/// new occurrences would otherwise go first for ever.
const MAX_SENIORITY_MS: u64 = 60_000;
/// Why jobs wait whose project has its share of the queue.
const SHARE: &str = "the project has its share of the requests that may wait for a worker";
/// How long the books' leave to begin a run is used, in milliseconds.
const BEGUN_MS: u64 = 60_000;
/// How much longer than its timeouts a sender may be silent before its run is lost.
const SLACK_MS: Millis = 5_000;
/// How long to wait for the log to get as far as an instant.
const UNDECIDED_MS: u64 = 250;
/// How long to wait when the cluster cannot be asked.
const AGAIN_MS: u64 = 500;

/// Jobs that wait for their lane.
pub(super) struct Waiting {
    /// Who.
    pub(super) piece: Work,
    /// For what.
    pub(super) lane: Arc<Lane>,
    /// Their terms; those who wait for one lane are put off as one.
    pub(super) parts: Vec<(Arc<Route>, Vec<JobId>)>,
    /// How many requests they made.
    pub(super) requests: usize,
    /// See [`Passes::begun`].
    pub(super) begun: Option<u64>,
}

impl<B: Books, H: Hands, L: Lease> Sender<B, H, L> {
    /// Sends them on as places become free, several at a time; what has waited too long is put off.
    pub(super) async fn wait(self: Arc<Self>, waiting: Waiting) {
        let Waiting { mut piece, lane, parts, mut requests, begun } = waiting;
        let Some(route) = parts.first().map(|(route, _)| Arc::clone(route)) else { return };
        let head = Arc::clone(&piece.head);
        let due = self.time.boot_at(head.due);
        let deadline = self.time.clock().boot().max(due) + patience_ms(&head, self.time.now());
        while !piece.jobs.is_empty() {
            let places = requests.clamp(1, self.lanes.stride());
            let pass = tokio::select! {
                pass = lane.take(places) => pass,
                () = self.at(deadline) => {
                    let records = self.waited_in_vain(&head, &lane, &parts, &piece);
                    return self.over(&head, records, None);
                }
            };
            // By now it may take nothing any more: then all is put off at once, and unwritten.
            let closed = self.closed(&route, &head);
            let closed = closed.filter(|_| !lane.is_crowd() && self.time.now() >= head.due);
            if closed.is_some() {
                let record = self.put_off(&head, &route, piece.members(), closed);
                return self.over(&head, vec![record], None);
            }
            let places = pass.as_ref().map_or(places, |pass| pass.held().places());
            let jobs = piece.jobs.len().div_ceil(requests.max(1)) * places;
            let first = piece.take(jobs);
            requests = requests.saturating_sub(places);
            self.tell(Sent::Opened(Arc::clone(&head)));
            self.again(first, Passes { lane: pass, begun, probe: false }).await;
        }
        self.over(&head, Vec::new(), None);
    }

    /// Jobs that found no place in time are put off: those of a lane as one, those of a crowd by
    /// destination.
    fn waited_in_vain(
        &self,
        head: &Arc<Head>,
        lane: &Lane,
        parts: &[(Arc<Route>, Vec<JobId>)],
        piece: &Work,
    ) -> Vec<AttemptRecord> {
        let Some((first, _)) = parts.first().filter(|_| !lane.is_crowd()) else {
            let now = self.time.now();
            let put_off = |(route, ids): &(Arc<Route>, Vec<JobId>)| {
                let left = piece.only(ids).members();
                let why = Obstacle::Node(SHARE.to_owned());
                (!left.is_empty()).then(|| self.put_off(head, route, left, Some((now, why))))
            };
            return parts.iter().filter_map(put_off).collect();
        };
        vec![self.put_off(head, first, piece.members(), None)]
    }

    /// Looks once more at what cannot be decided yet: when it is due, and from then on until the
    /// log has got as far.
    pub(super) async fn look_again(self: Arc<Self>, piece: Work, begun: Option<u64>) {
        let head = Arc::clone(&piece.head);
        if self.time.now() < head.due {
            self.until_due(&head).await;
        } else {
            self.pause(UNDECIDED_MS).await;
        }
        if !self.may_begin(&head) {
            return self.over(&head, Vec::new(), Some(piece));
        }
        self.again(piece, Passes { begun, ..Passes::default() }).await;
    }

    /// Asks the books whether a run may begin, once it is due, and goes on as they say.
    pub(super) async fn ask(self: Arc<Self>, piece: Work, route: Arc<Route>, edition: u64) {
        let head = Arc::clone(&piece.head);
        self.until_due(&head).await;
        let (Some((job, _)), Some(single)) = (piece.jobs.first(), route.single()) else {
            return self.over(&head, Vec::new(), None);
        };
        if self.live.is_stale(edition, &[*job]) {
            // Paused, perhaps: then it must neither wait behind another run nor end it.
            return self.again(piece, Passes::default()).await;
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
            overlap: single.overlap,
            timeout: route.timeout.saturating_add(BEGUN_MS as Millis + SLACK_MS),
            retry: route.retry,
        };
        // The queue keeps who waits until it is served.
        let Some(turn) = self.asking.take(route.project, 0, 1).await else { return };
        if !self.may_begin(&head) {
            return self.over(&head, Vec::new(), Some(piece));
        }
        let until = self.time.clock().boot() + BEGUN_MS;
        let asked = self.books.propose(Command::BeginRun(begin)).await;
        drop(turn);
        match asked {
            Ok(Outcome::Begun(Begun::Go)) => {
                self.again(piece, Passes { begun: Some(until), ..Passes::default() }).await;
            }
            Ok(Outcome::Begun(Begun::Skipped | Begun::Queued)) => self.tell(Sent::Noted(head)),
            Ok(Outcome::Begun(Begun::NotYours)) => self.tell(Sent::Doubtful(piece)),
            other => {
                let why = other.map_or_else(|error| error, |outcome| outcome.to_string());
                tracing::warn!(job, %why, "a run cannot begin yet; asking again");
                self.pause(AGAIN_MS).await;
                // Read anew: the job may have been changed, or be gone.
                self.again(piece, Passes::default()).await;
            }
        }
    }

    async fn at(&self, boot: u64) {
        while self.time.clock().boot() < boot {
            self.time.clock().sleep_until(boot).await;
        }
    }
}

/// How long jobs wait for a place at their destination, in milliseconds, before they are deferred.
fn patience_ms(head: &Head, now: Millis) -> u64 {
    if head.row.is_none() {
        return LANE_MS;
    }
    let since = head.postponed.as_ref().map_or(head.gate, |postponed| postponed.since);
    let waited = u64::try_from(now.saturating_sub(since)).unwrap_or(0);
    2 * LANE_MS + waited.min(MAX_SENIORITY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::postponement::Postponement;

    #[test]
    fn what_has_waited_longer_waits_longer_and_is_not_overtaken_for_ever() {
        let row = |gate, postponed| Head { row: Some((1, 1)), gate, postponed, ..Head::default() };
        let patience = |head: &Head| patience_ms(head, 100_000);
        assert_eq!(patience(&Head::default()), LANE_MS, "from the plan: it holds the watermark");
        assert_eq!(patience(&row(100_000, None)), 2 * LANE_MS, "a retry");
        let since = |since| Some(Postponement::new(Obstacle::Full, "a:1", since));
        assert_eq!(patience(&row(99_000, since(80_000))), 2 * LANE_MS + 20_000, "deferred before");
        assert_eq!(patience(&row(99_000, since(0))), 2 * LANE_MS + MAX_SENIORITY_MS);
        assert_eq!(patience(&row(101_000, None)), 2 * LANE_MS, "not due yet");
    }
}
