//! Acting on an answer: attempt records for the engine, and pieces that go out again. `classify`
//! judges the answer, `parts` takes replies apart that name each job. Nothing is sent here.

use std::sync::Arc;

use super::classify::{self, AnswerContext, Disposition};
use super::route::Route;
use super::sender::Sender;
use super::work::{Head, Work};
use crate::delivery::attempt::{Attempt, Judged};
use crate::model::attempt::{AttemptRecord, Verdict, bounded};
use crate::model::members::Members;
use crate::model::postponement::{Obstacle, told};
use crate::model::run::Accepted;
use crate::model::{JobId, Millis};
use crate::worker::ports::{Dispatcher, Lease, StateStore};

/// The time that the sender of a fenced request waits to learn whether it still is the owner, in
/// milliseconds.
const FENCED_MS: u64 = 1_000;

/// Jobs that failed as one.
pub(super) struct FailedPiece {
    pub(super) piece: Work,
    pub(super) route: Arc<Route>,
    pub(super) answer: Attempt,
    pub(super) why: String,
}

/// What an answer means for its jobs.
pub(super) enum Next {
    /// These records, and it is over.
    Record(Vec<AttemptRecord>),
    /// The jobs go out again in pieces: their request was refused as one.
    Split,
    /// One job may be to blame that they are dead, and the error.
    Isolate(String),
    /// A newer owner decides, or else they failed with this verdict.
    Fenced(Verdict),
}

impl<B: StateStore, H: Dispatcher, L: Lease> Sender<B, H, L> {
    /// Acts on an answer.
    pub(super) async fn handle_answer(
        self: Arc<Self>,
        piece: Work,
        route: &Arc<Route>,
        answer: Attempt,
    ) {
        match self.judge(&piece, route, &answer) {
            Next::Record(records) => self.finish_piece(&piece.head, records, None),
            Next::Split => self.split(piece, Arc::clone(route), answer).await,
            Next::Isolate(why) => {
                let route = Arc::clone(route);
                self.isolate(vec![FailedPiece { piece, route, answer, why }]).await;
            }
            Next::Fenced(verdict) => self.handle_fenced(piece, route, &answer, verdict).await,
        }
    }

    /// Judges an answer. Nothing is sent or reported.
    pub(super) fn judge(&self, piece: &Work, route: &Route, answer: &Attempt) -> Next {
        let head = &piece.head;
        let ids: Vec<JobId> = piece.jobs.iter().map(|(job, _)| *job).collect();
        let now = self.time.now();
        let single = route.single();
        let record =
            |verdict, members, error| self.record(head, route, answer, verdict, members, error);
        let all = || Members::from_sorted(ids.iter().copied());
        let why = || answer.error.clone();
        let records = match answer_context(head, route, &ids, now).classify(answer, now) {
            Disposition::Failed(Verdict::Dead) if may_isolate(answer, ids.len()) => {
                return Next::Isolate(why().unwrap_or_default());
            }
            Disposition::Unclear { verdict: Verdict::Dead, why }
                if may_isolate(answer, ids.len()) =>
            {
                return Next::Isolate(why);
            }
            Disposition::Split => return Next::Split,
            Disposition::Fenced(verdict) => return Next::Fenced(verdict),
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
                vec![self.defer(head, route, all(), until)]
            }
        };
        Next::Record(records)
    }

    /// Waits to learn whether this node still is the owner, and records a failure if it is.
    pub(super) async fn handle_fenced(
        &self,
        piece: Work,
        route: &Route,
        answer: &Attempt,
        verdict: Verdict,
    ) {
        let head = Arc::clone(&piece.head);
        self.pause(FENCED_MS).await;
        if self.view.ownership(head.key).is_none() {
            // The present owner decides. It may be this node, under a new epoch.
            return self.finish_piece(&head, Vec::new(), Some(piece));
        }
        let error = answer.error.clone();
        let record = self.record(&head, route, answer, verdict, piece.members(), error);
        self.finish_piece(&head, vec![record], None);
    }

    /// The record of jobs of an answered request.
    pub(super) fn record(
        &self,
        head: &Head,
        route: &Route,
        answer: &Attempt,
        verdict: Verdict,
        members: Members,
        error: Option<String>,
    ) -> AttemptRecord {
        let boot = self.time.clock().boot();
        let started = self.time.now() - boot.saturating_sub(answer.started_boot).cast_signed();
        AttemptRecord {
            result: answer.code,
            started,
            duration: answer.duration_ms,
            error: told(head.postponed.as_ref(), started, error).map(bounded),
            once: route.once,
            response: route.single().and_then(|_| classify::excerpt(&answer.body)),
            ..head.record(route.project, verdict, members)
        }
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
    pub(super) fn unwanted(&self, piece: &Work, route: &Route, answer: &Attempt) -> AttemptRecord {
        let (at, error) = (self.time.now(), answer.error.clone());
        self.record(&piece.head, route, answer, Verdict::Retry { at }, piece.members(), error)
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
