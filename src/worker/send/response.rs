//! Acting on a reply: attempt records for the engine, and pieces that go out again. `classify`
//! judges the answer; nothing is sent here directly.

use std::sync::Arc;

use super::classify::{self, AnswerContext, Disposition};
use super::event::SendEvent;
use super::permits::Permits;
use super::route::Route;
use super::sender::Sender;
use super::work::{Head, Work};
use crate::delivery::attempt::{Attempt, Judged};
use crate::delivery::reply::JobsAttempt;
use crate::model::attempt::{AttemptRecord, Verdict, bounded};
use crate::model::members::Members;
use crate::model::postponement::{Obstacle, told};
use crate::model::run::Accepted;
use crate::model::{JobId, Millis};
use crate::worker::ports::{Dispatcher, Lease, StateStore};

/// The largest refused batch that is tried job by job; a larger one is split in halves.
const SINGLES: usize = 8;

/// The time that the sender of a fenced request waits to learn whether it still is the owner, in
/// milliseconds.
const FENCED_MS: u64 = 1_000;

impl<B: StateStore, H: Dispatcher, L: Lease> Sender<B, H, L> {
    /// Acts on an answer.
    pub(super) async fn handle_answer(
        self: Arc<Self>,
        piece: Work,
        route: &Arc<Route>,
        answer: Attempt,
    ) {
        let head = Arc::clone(&piece.head);
        let ids: Vec<JobId> = piece.jobs.iter().map(|(job, _)| *job).collect();
        let now = self.time.now();
        let boot = self.time.clock().boot();
        let single = route.single();
        let started = now - boot.saturating_sub(answer.started_boot) as Millis;
        let response = single.and_then(|_| classify::excerpt(&answer.body));
        let record = |verdict: Verdict, members: Members, error: Option<String>| AttemptRecord {
            result: answer.code,
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
            Disposition::Unclear { verdict, why } => vec![record(verdict, all(), Some(why))],
            Disposition::AskedToWait(wait) => {
                let until = Some((now.saturating_add(wait), Obstacle::Asked));
                vec![self.defer(&head, route, all(), until)]
            }
            Disposition::Split => return self.split(&piece, &ids).await,
            Disposition::Fenced(verdict) => {
                self.pause(FENCED_MS).await;
                if self.view.ownership(head.key).is_none() {
                    // The present owner decides. It may be this node, under a new epoch.
                    return self.finish_piece(&head, Vec::new(), Some(piece));
                }
                vec![record(verdict, all(), why())]
            }
        };
        self.finish_piece(&head, records, None);
    }

    /// Acts on an answer that tells jobs apart. Jobs that it does not name go back to the queue:
    /// they were not sent.
    pub(super) async fn handle_parts(
        self: Arc<Self>,
        piece: Work,
        route: &Arc<Route>,
        parts: Vec<JobsAttempt>,
    ) {
        let head = Arc::clone(&piece.head);
        let named = Members::from_sorted({
            let mut named: Vec<JobId> = parts.iter().flat_map(|part| &part.jobs).copied().collect();
            named.sort_unstable();
            named
        });
        let unsent: Vec<JobId> = piece.members().without(&named).iter().collect();
        for part in parts {
            let jobs = piece.only(&part.jobs);
            if !jobs.jobs.is_empty() {
                self.report(SendEvent::Started(Arc::clone(&head)));
                Arc::clone(&self).handle_answer(jobs, route, part.attempt).await;
            }
        }
        let back = (!unsent.is_empty()).then(|| piece.only(&unsent));
        self.finish_piece(&head, Vec::new(), back);
    }

    /// Sends a refused batch again in pieces, at once, as the same attempt.
    async fn split(self: &Arc<Self>, piece: &Work, ids: &[JobId]) {
        let size = if ids.len() <= SINGLES { 1 } else { ids.len().div_ceil(2) };
        for piece_ids in ids.chunks(size) {
            self.report(SendEvent::Started(Arc::clone(&piece.head)));
            self.build_again(piece.only(piece_ids), Permits::default()).await;
        }
        self.finish_piece(&piece.head, Vec::new(), None);
    }

    /// The record of an attempt that failed before it began, since its secrets cannot be opened
    /// here.
    pub(super) fn incomplete(&self, piece: &Work, route: &Route, error: String) -> AttemptRecord {
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

    /// The record of a call that was ended because all its jobs are deleted. It is a failed attempt
    /// whose retry is due at once, whatever retries are left. That retry finds the job gone, which
    /// ends the occurrence (`skipped`, `ended`); nothing is sent again.
    pub(super) fn unwanted(&self, piece: &Work, route: &Route, answer: Attempt) -> AttemptRecord {
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
}

/// The facts about a request that its answer is judged by.
pub(super) fn answer_context<'a>(
    head: &Head,
    route: &Route,
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
        single: route.single().is_some(),
    }
}

/// Says whether one job may be at fault for the failure of all: the receiver had the request, and
/// judged it as one.
pub(super) fn may_isolate(answer: &Attempt, jobs: usize) -> bool {
    answer.sent && answer.judged == Judged::AsOne && jobs > 1
}
