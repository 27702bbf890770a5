//! Replies that name what became of each job: a part for each outcome, and the rest, which was not
//! sent. `call` hands them on; `response` judges each part. The parts rule is kept here.
//!
//! What is certain comes first: all parts that are over become one report to the engine, and so one
//! append to the journal. Only then does anything go out again. A part that was refused as one is
//! split. The parts that failed as one at their last attempt are isolated together, within the
//! bounds of one isolation; a piece that is being isolated begins no isolation of its own.

use std::sync::Arc;

use super::event::SendEvent;
use super::permits::Permits;
use super::response::{FailedPiece, Next};
use super::route::Route;
use super::sender::Sender;
use super::work::Work;
use crate::delivery::attempt::Attempt;
use crate::delivery::reply::{JobsAttempt, Rest};
use crate::model::postponement::Obstacle;
use crate::model::{JobId, Millis};
use crate::worker::ports::{Dispatcher, Lease, StateStore};

/// The obstacle of jobs of which their executor does not say what it did.
const UNNAMED: &str = "its program does not say what became of it";

impl<B: StateStore, H: Dispatcher, L: Lease> Sender<B, H, L> {
    /// Acts on a reply that names each job.
    pub(super) async fn handle_parts(
        self: Arc<Self>,
        piece: Work,
        route: &Arc<Route>,
        parts: Vec<JobsAttempt>,
        rest: Rest,
    ) {
        let failed = self.settle_parts(&piece, route, parts, rest).await;
        if !failed.is_empty() {
            self.isolate(failed).await;
        }
    }

    /// As [`Sender::handle_parts`], but for what is to be isolated. That is returned, each piece
    /// unfinished for the engine.
    pub(super) async fn settle_parts(
        self: &Arc<Self>,
        piece: &Work,
        route: &Arc<Route>,
        parts: Vec<JobsAttempt>,
        rest: Rest,
    ) -> Vec<FailedPiece> {
        let head = &piece.head;
        let (parts, unsent) = take_apart(piece, parts);
        let (mut records, mut open) = (Vec::new(), Vec::new());
        let (mut back, mut again) = (None, None);
        let some_sent = !parts.is_empty();
        for (part, answer) in parts {
            match self.judge(&part, route, &answer) {
                Next::Record(over) => records.extend(over),
                next => open.push((part, answer, next)),
            }
        }
        if !unsent.jobs.is_empty() {
            match rest {
                Rest::Withheld => back = Some(unsent),
                // A probe that failed has told enough, also where each job is forced to be one.
                Rest::Again if some_sent => match self.closed_now(route) {
                    None => again = Some(unsent),
                    closed => records.push(self.defer(head, route, unsent.members(), closed)),
                },
                Rest::Refused { until, obstacle } => {
                    let until = Some((until, obstacle));
                    records.push(self.defer(head, route, unsent.members(), until));
                }
                Rest::None | Rest::Again => {
                    let (kind, jobs) = (route.kind(), unsent.jobs.len());
                    tracing::error!(kind, jobs, "an executor does not say what became of jobs");
                    let until = Some((self.time.now(), Obstacle::Node(UNNAMED.to_owned())));
                    records.push(self.defer(head, route, unsent.members(), until));
                }
            }
        }
        for _ in 0..open.len() + usize::from(back.is_some()) + usize::from(again.is_some()) {
            self.report(SendEvent::Started(Arc::clone(head)));
        }
        self.finish_piece(head, records, None);
        if back.is_some() {
            self.finish_piece(head, Vec::new(), back);
        }
        if let Some(again) = again {
            self.build_again(again, Permits::default()).await;
        }
        let mut failed = Vec::new();
        for (piece, answer, next) in open {
            let route = Arc::clone(route);
            match next {
                Next::Record(_) => {} // it is over
                Next::Split => Arc::clone(self).split(piece, route, answer).await,
                Next::Isolate(why) => failed.push(FailedPiece { piece, route, answer, why }),
                Next::Fenced(verdict) => {
                    self.handle_fenced(piece, &route, &answer, verdict).await;
                }
            }
        }
        failed
    }

    /// The instant up to which the destination of a route takes nothing, and the reason, by what is
    /// known now.
    fn closed_now(&self, route: &Route) -> Option<(Millis, Obstacle)> {
        self.dispatcher.closed(route.address()?, route.project)
    }
}

/// The work of each part, and the jobs that no part names. A job belongs to the first part that
/// names it; jobs that are not in the piece are left out.
fn take_apart(piece: &Work, parts: Vec<JobsAttempt>) -> (Vec<(Work, Attempt)>, Work) {
    let work = |jobs| Work { head: Arc::clone(&piece.head), jobs };
    let mut named = vec![false; piece.jobs.len()];
    let (mut twice, mut foreign) = (0_usize, 0_usize);
    let mut taken = Vec::with_capacity(parts.len());
    for part in parts {
        let mut jobs: Vec<(JobId, u32)> = Vec::with_capacity(part.jobs.len());
        for id in part.jobs {
            match piece.jobs.binary_search_by_key(&id, |(job, _)| *job) {
                Ok(place) if !std::mem::replace(&mut named[place], true) => {
                    jobs.push(piece.jobs[place]);
                }
                Ok(_) => twice += 1,
                Err(_) => foreign += 1,
            }
        }
        jobs.sort_unstable();
        if !jobs.is_empty() {
            taken.push((work(jobs), part.attempt));
        }
    }
    if twice + foreign > 0 {
        tracing::warn!(twice, foreign, "a reply names jobs twice, or jobs of another request");
    }
    let unnamed = piece.jobs.iter().zip(named).filter(|(_, named)| !named).map(|(job, _)| *job);
    (taken, work(unnamed.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::send::work::Head;

    #[test]
    fn a_job_belongs_to_the_first_part_that_names_it() {
        let head = Arc::new(Head::default());
        let piece = Work { head, jobs: [1, 2, 3, 4, 5].map(|job| (job, 0)).into() };
        let part = |jobs: &[JobId], duration_ms| JobsAttempt {
            jobs: jobs.into(),
            attempt: Attempt { duration_ms, ..Attempt::default() },
        };
        let parts = vec![part(&[4, 2], 1), part(&[2, 3, 9], 2), part(&[9, 3], 3), part(&[], 4)];
        let (parts, rest) = take_apart(&piece, parts);
        let ids = |work: &Work| work.jobs.iter().map(|(job, _)| *job).collect::<Vec<_>>();
        let parts: Vec<_> = parts.iter().map(|(w, of)| (ids(w), of.duration_ms)).collect();
        assert_eq!(parts, [(vec![2, 4], 1), (vec![3], 2)], "ascending, whatever the reply says");
        assert_eq!(ids(&rest), [1, 5]);
    }
}
