//! What follows from a reply: records for the engine, pieces that go out again, occurrences that are
//! put off because their destination takes nothing. `worker::classify` judges; nothing is sent here.

use std::sync::Arc;

use super::classify::{self, AnswerContext, Disposition, max_deferral};
use super::isolate::may_isolate;
use super::ports::{Dispatcher, Lease, StateStore};
use super::route::Route;
use super::sender::{Permits, Sender};
use super::work::{Head, Work};
use crate::executor::Answer;
use crate::executor::reply::MAX_RETRY_AFTER;
use crate::model::attempt::{AttemptRecord, Verdict, bounded};
use crate::model::delivery::{seed, spread_after};
use crate::model::members::Members;
use crate::model::postponement::{Obstacle, told};
use crate::model::run::Accepted;
use crate::model::time::rfc3339;
use crate::model::{JobId, Millis};

/// A refused batch of at most so many is tried one by one; a larger one in halves.
const SINGLES: usize = 8;
/// How long the owner of a fenced request waits to learn whether it still is the owner.
const FENCED_MS: u64 = 1_000;
/// What its destination asked to wait is looked at again no sooner than this, in milliseconds.
const SOONEST_ASKED_MS: Millis = 1_000;
/// What else is put off is looked at again no sooner than this, in milliseconds ...
const SOONEST_MS: Millis = 5_000;
/// ... and, the longer it has waited, the later: by a tenth, at most this much, so that not all of
/// it knocks at once. What is asked to wait over and over costs a record each time: more of it.
const SPREAD_MS: Millis = 30_000;
const SPREAD_ASKED_MS: Millis = 300_000;

impl<B: StateStore, H: Dispatcher, L: Lease> Sender<B, H, L> {
    /// What follows from an answer.
    pub(super) async fn handle_answer(
        self: Arc<Self>,
        piece: Work,
        route: &Arc<Route>,
        answer: Answer,
    ) {
        let head = Arc::clone(&piece.head);
        let ids: Vec<JobId> = piece.jobs.iter().map(|(job, _)| *job).collect();
        let now = self.time.now();
        let boot = self.time.clock().boot();
        let single = route.single();
        let started = now - boot.saturating_sub(answer.started_boot) as Millis;
        let response = single.and_then(|_| classify::excerpt(&answer.body));
        let record = |verdict: Verdict, members: Members, error: Option<String>| AttemptRecord {
            http_code: answer.status,
            started,
            duration: answer.duration_ms,
            error: told(head.postponed.as_ref(), started, error).map(bounded),
            once: route.once,
            response: response.clone(),
            ..head.record(route.project, verdict, members)
        };
        let all = || Members::from_sorted(ids.iter().copied());
        let why = || answer.error.clone();
        let records = match answer_context(&head, route, &ids, now).classify(&answer, now) {
            Disposition::Failed(Verdict::Dead)
            | Disposition::Unclear { verdict: Verdict::Dead, .. }
                if may_isolate(&answer, ids.len()) =>
            {
                return self.isolate(piece, Arc::clone(route), answer).await;
            }
            Disposition::Delivered => vec![record(Verdict::Delivered, all(), None)],
            Disposition::Running => {
                let accepted = single.map(|single| {
                    Box::new(Accepted {
                        run_timeout: single.run_timeout,
                        heartbeat_timeout: single.heartbeat_timeout,
                        retry: route.retry,
                    })
                });
                vec![AttemptRecord { accepted, ..record(Verdict::Running, all(), None) }]
            }
            Disposition::PartlyFailed { failed, verdict } => {
                let failed = Members::from_sorted(failed);
                let fine = all().without(&failed);
                let why = Some("the receiver names it as failed".to_owned());
                let delivered = (!fine.is_empty()).then(|| record(Verdict::Delivered, fine, None));
                delivered.into_iter().chain([record(verdict, failed, why)]).collect()
            }
            Disposition::Failed(verdict) => vec![record(verdict, all(), why())],
            Disposition::Unclear { verdict, why } => {
                let why = format!("the receiver answered {}, but {why}", answer.status);
                vec![record(verdict, all(), Some(why))]
            }
            Disposition::AskedToWait(wait) => {
                let until = Some((now.saturating_add(wait), Obstacle::Asked));
                vec![self.defer(&head, route, all(), until)]
            }
            Disposition::Split => return self.split(&piece, &ids).await,
            Disposition::Fenced(verdict) => {
                self.pause(FENCED_MS).await;
                if self.view.ownership(head.key).is_none() {
                    // Whoever has the shard now decides; it may be this node, under a new epoch.
                    return self.finish_piece(&head, Vec::new(), Some(piece));
                }
                vec![record(verdict, all(), why())]
            }
        };
        self.finish_piece(&head, records, None);
    }

    /// A refused batch goes out again in pieces, at once, as the same attempt.
    async fn split(self: &Arc<Self>, piece: &Work, ids: &[JobId]) {
        let size = if ids.len() <= SINGLES { 1 } else { ids.len().div_ceil(2) };
        for part in ids.chunks(size) {
            self.report(super::sender::SendEvent::Started(Arc::clone(&piece.head)));
            self.build_again(piece.only(part), Permits::default()).await;
        }
        self.finish_piece(&piece.head, Vec::new(), None);
    }

    /// An attempt that failed before it began: what it is to be signed with cannot be opened here.
    pub(super) fn unsigned(&self, piece: &Work, route: &Route, error: String) -> AttemptRecord {
        let (head, now) = (&piece.head, self.time.now());
        let jobs: Vec<JobId> = piece.members().iter().collect();
        let verdict = answer_context(head, route, &jobs, now).after_failure(None, now);
        AttemptRecord {
            started: now,
            error: Some(bounded(error)),
            once: route.once,
            ..head.record(route.project, verdict, piece.members())
        }
    }

    /// A call that was ended since all its jobs are gone. It is an attempt that failed, and the next
    /// one is due at once, whatever retries are left: there the job is found to be gone, which is the
    /// end of the occurrence (`skipped`, `ended`). Nothing of it is sent again.
    pub(super) fn unwanted(&self, piece: &Work, route: &Route, answer: Answer) -> AttemptRecord {
        let now = self.time.now();
        let before = self.time.clock().boot().saturating_sub(answer.started_boot);
        let started = now - before.cast_signed();
        AttemptRecord {
            started,
            duration: answer.duration_ms,
            error: told(piece.head.postponed.as_ref(), started, answer.error).map(bounded),
            once: route.once,
            ..piece.head.record(route.project, Verdict::Retry { at: now }, piece.members())
        }
    }

    /// Jobs that their destination does not take at the moment wait in the store, as one; in the end
    /// they are given up. `until` is when to look again, and what they wait for; `None` for a place.
    pub(super) fn defer(
        &self,
        head: &Head,
        route: &Route,
        members: Members,
        until: Option<(Millis, Obstacle)>,
    ) -> AttemptRecord {
        let now = self.time.now();
        let waited = (now - head.postponed_since()).max(0);
        let (until, obstacle) = until.unwrap_or((now, Obstacle::Full));
        // A replay has its series before it, whenever it was due: it waits on and on where its
        // destination takes nothing, but not where its node is at fault. What comes late is put off
        // once.
        let since = match obstacle {
            _ if head.base == 0 => Some(head.due),
            Obstacle::Node(_) => Some(head.postponed_since()),
            _ => None,
        };
        let since = since.filter(|_| head.row.is_some());
        let asked = obstacle == Obstacle::Asked
            || head.postponed.as_ref().is_some_and(|before| before.obstacle == Obstacle::Asked);
        let day = if asked { MAX_RETRY_AFTER.as_millis() as Millis } else { 0 };
        let longest = max_deferral(&route.retry).saturating_add(day);
        if let Some(since) = since.filter(|since| now - since > longest) {
            let since = rfc3339(since);
            let error = match obstacle {
                Obstacle::Failing => {
                    format!("the destination has been failing since {since} or longer")
                }
                Obstacle::Asked => format!("the destination has asked to wait since {since}"),
                Obstacle::Full => format!("the destination has had no place for it since {since}"),
                Obstacle::Node(why) => format!("its node could not make the call: {why}"),
            };
            let verdict = Verdict::Dead;
            let (once, error) = (route.once, Some(error));
            return AttemptRecord {
                started: now,
                error,
                once,
                ..head.record(route.project, verdict, members)
            };
        }
        let asks = obstacle == Obstacle::Asked;
        let (soonest, spread) =
            if asks { (SOONEST_ASKED_MS, SPREAD_ASKED_MS) } else { (SOONEST_MS, SPREAD_MS) };
        let mut at = until.max(now.saturating_add(soonest));
        if asks {
            let first = members.iter().next().unwrap_or_default();
            let seed = seed(first, head.scheduled, head.run, head.attempt);
            at = now.saturating_add(spread_after(at - now, seed));
        }
        let verdict = Verdict::Postponed { at: at.saturating_add((waited / 10).min(spread)) };
        let error = Some(head.postpone(obstacle, route.destination()).to_text());
        AttemptRecord {
            started: now,
            once: route.once,
            error,
            ..head.record(route.project, verdict, members)
        }
    }
}

/// What a request was about, as its answer is judged by it.
pub(super) fn answer_context<'a>(
    head: &Head,
    route: &'a Route,
    jobs: &'a [JobId],
    now: Millis,
) -> AnswerContext<'a> {
    let before = head.postponed.as_ref().map_or(now, |before| before.since);
    AnswerContext {
        jobs,
        scheduled: head.scheduled,
        run: head.run,
        attempt: head.attempt,
        tried: head.tried(),
        // A replay was due long ago.
        since: if head.base == 0 { head.due } else { before },
        retry: route.retry,
        codes: route.single().map(|single| single.http.success_codes.as_slice()),
    }
}
