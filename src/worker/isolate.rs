//! A batch whose last attempt failed as one, before it is given up: it goes out once more in pieces, as
//! the same attempt, so that one poison job does not take its neighbours along. `worker::response` calls
//! [`Sender::sift`]; nothing here judges an answer or chooses when a retry comes.
//!
//! ```text
//!   40 jobs ──> 8 pieces of 5 ──> 7 delivered
//!                      └── 1 failed ──> 5 single jobs ──> 4 delivered, 1 dead
//! ```
//!
//! Three of the pieces go first. Where all of them fail, the receiver is dead and no job poison: the
//! batch is given up as the one record that it was. A piece that found no place at its destination
//! counts as failed where another one failed. A piece that is not to be sent any more, because its jobs
//! were changed or deleted, says nothing of the receiver: it goes its usual way from there, as a smaller
//! batch. All of it together makes [`MOST_CALLS`] calls at most, and begins nothing after [`TIMEOUTS`]
//! timeouts: pieces may hang one after the other, and a first attempt holds up its part's watermark
//! until it is over.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::join_all;

use super::classify::Disposition;
use super::ports::{Dispatcher, Lease, StateStore};
use super::response::answer_context;
use super::route::Route;
use super::sender::{CallResult, Permits, PieceCall, SendEvent, Sender};
use super::work::Work;
use crate::executor::{Answer, Reply};
use crate::model::JobId;
use crate::model::attempt::{AttemptRecord, Verdict, bounded};
use crate::model::postponement::told;

/// What failed goes out again in so many pieces.
const PIECES: usize = 8;
/// So many calls are made at most for one batch.
const MOST_CALLS: usize = 64;

/// No more pieces are made after so many times the timeout of an attempt.
const TIMEOUTS: u64 = 2;

/// What came of a piece.
enum PieceResult {
    /// It failed for good.
    Failed(Box<FailedPiece>),
    /// Its destination has no place for it at the moment.
    NoPlace(Work),
    /// It was not sent for a reason of its own: it is prepared anew, as any work.
    NotBuilt(Work),
    /// Its call was not answered, or not as a failure: what follows from that.
    Made(Box<(Work, Arc<Route>, CallResult)>),
    /// It is over, in any other way.
    Done,
}

/// Jobs that failed as one.
struct FailedPiece {
    piece: Work,
    route: Arc<Route>,
    answer: Answer,
    why: String,
}

/// Whether a failure may be one job's fault: the receiver had the request.
pub(super) fn may_isolate(answer: &Answer, jobs: usize) -> bool {
    answer.sent && jobs > 1
}

impl<B: StateStore, H: Dispatcher, L: Lease> Sender<B, H, L> {
    /// See the head of this file. The work is over with it.
    pub(super) fn isolate(
        self: Arc<Self>,
        piece: Work,
        route: Arc<Route>,
        answer: Answer,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let mut left = MOST_CALLS;
            let timeout = route.timeout.max(0).cast_unsigned();
            let end = self.time.clock().boot().saturating_add(timeout.saturating_mul(TIMEOUTS));
            let whole = match self.as_failure(piece, route, answer) {
                Err(whole) => whole,
                Ok((piece, route, answer)) => {
                    return self.handle_answer(piece, &route, answer).await;
                }
            };
            let mut failed = VecDeque::from([whole]);
            while let Some(whole) = failed.pop_front() {
                let jobs = &whole.piece.jobs;
                let size = jobs.len().div_ceil(PIECES);
                let pieces = jobs.len().div_ceil(size);
                if jobs.len() == 1 || left < pieces || self.time.clock().boot() >= end {
                    self.dead_letter(&whole, None);
                    continue;
                }
                left -= pieces;
                let head = &whole.piece.head;
                // Apart from each other: what was created together may be poison together.
                let first = [0, pieces / 2, pieces - 1];
                let (probes, rest): (Vec<_>, Vec<_>) = jobs
                    .chunks(size)
                    .map(|jobs| Work { head: Arc::clone(head), jobs: jobs.to_vec() })
                    .enumerate()
                    .partition(|(place, _)| first.contains(place));
                let mut tried = self.try_pieces(probes.into_iter().map(|(_, piece)| piece)).await;
                let sent =
                    tried.iter().filter(|tried| matches!(tried, PieceResult::Failed(_))).count();
                // Where the others found no place, the one that was sent speaks for them.
                let no_place =
                    tried.iter().filter(|tried| matches!(tried, PieceResult::NoPlace(_))).count();
                if sent > 0 && no_place + sent == tried.len() {
                    for _ in &tried {
                        self.finish_piece(head, Vec::new(), None);
                    }
                    self.dead_letter(&whole, Some(sent));
                    continue;
                }
                tried.extend(self.try_pieces(rest.into_iter().map(|(_, piece)| piece)).await);
                for tried in tried {
                    match tried {
                        PieceResult::Failed(piece) => failed.push_back(piece),
                        PieceResult::NoPlace(piece) | PieceResult::NotBuilt(piece) => {
                            self.build_again(piece, Permits::default()).await;
                            self.finish_piece(head, Vec::new(), None);
                        }
                        PieceResult::Made(made) => {
                            let (piece, route, made) = *made;
                            Arc::clone(&self).handle_result(piece, route, made).await;
                        }
                        PieceResult::Done => {}
                    }
                }
                self.finish_piece(head, Vec::new(), None);
            }
        })
    }

    /// Sends pieces, all at once.
    async fn try_pieces(self: &Arc<Self>, pieces: impl Iterator<Item = Work>) -> Vec<PieceResult> {
        let begin = |piece: Work| {
            self.report(SendEvent::Started(Arc::clone(&piece.head)));
            Arc::clone(self).try_piece(piece)
        };
        join_all(pieces.map(begin)).await
    }

    /// Sends a piece. It is unfinished still, unless it is over.
    async fn try_piece(self: Arc<Self>, piece: Work) -> PieceResult {
        let (route, made) = match self.call_piece(&piece).await {
            PieceCall::NoPlace => return PieceResult::NoPlace(piece),
            PieceCall::NotBuilt => return PieceResult::NotBuilt(piece),
            PieceCall::Made(route, made) => (route, made),
        };
        match made {
            CallResult::Reply(Reply::Done(answer)) => match self.as_failure(piece, route, answer) {
                Err(failed) => PieceResult::Failed(failed),
                Ok((piece, route, answer)) => {
                    self.handle_answer(piece, &route, answer).await;
                    PieceResult::Done
                }
            },
            made => PieceResult::Made(Box::new((piece, route, made))),
        }
    }

    /// Whether an answer means that its jobs are to be given up, all of them alike.
    fn as_failure(
        &self,
        piece: Work,
        route: Arc<Route>,
        answer: Answer,
    ) -> Result<(Work, Arc<Route>, Answer), Box<FailedPiece>> {
        let ids: Vec<JobId> = piece.jobs.iter().map(|(job, _)| *job).collect();
        let now = self.time.now();
        let next = answer_context(&piece.head, &route, &ids, now).classify(&answer, now);
        let why = match next {
            Disposition::Failed(Verdict::Dead) => answer.error.clone().unwrap_or_default(),
            Disposition::Unclear { verdict: Verdict::Dead, why } => {
                format!("the receiver answered {}, but {why}", answer.status)
            }
            _ => return Ok((piece, route, answer)),
        };
        Err(Box::new(FailedPiece { piece, route, answer, why }))
    }

    /// Jobs that failed as one are given up as one; `pieces` is how many of them failed as well.
    fn dead_letter(&self, failed: &FailedPiece, pieces: Option<usize>) {
        let FailedPiece { piece, route, answer, why } = failed;
        let head = &piece.head;
        let boot = self.time.clock().boot();
        let started =
            self.time.now() - boot.saturating_sub(answer.started_boot) as crate::model::Millis;
        let also = pieces.map(|n| format!("; so did the {n} pieces of it that were sent then"));
        let error = format!("{why}{}", also.unwrap_or_default());
        let record = AttemptRecord {
            http_code: answer.status,
            started,
            duration: answer.duration_ms,
            error: told(head.postponed.as_ref(), started, Some(error)).map(bounded),
            once: route.once,
            ..head.record(route.project, Verdict::Dead, piece.members())
        };
        self.finish_piece(head, vec![record], None);
    }
}
