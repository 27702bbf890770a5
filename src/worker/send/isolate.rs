//! Isolating a poison job: a batch whose last attempt failed as one goes out once more in pieces,
//! as the same attempt, before it becomes a dead letter. One bad job then does not take its
//! neighbours along. `response` and `parts` call [`Sender::isolate`]; nothing here judges an answer
//! or chooses the time of a retry.
//!
//! ```text
//!   40 jobs ──> 8 pieces of 5 ──> 7 delivered
//!                      └── 1 failed ──> 5 single jobs ──> 4 delivered, 1 dead
//! ```
//!
//! Three pieces go first. If all of them fail, the receiver is dead and no job is poison: the batch
//! becomes the one dead letter that it was. A piece without a place at its destination counts as
//! failed where another piece failed. A piece that is not to be sent any more, because its jobs
//! were changed or deleted, says nothing of the receiver; it goes on by itself as a smaller batch.
//!
//! All of it takes at most [`MOST_CALLS`] calls and starts nothing after [`TIMEOUTS`] timeouts:
//! pieces may hang one after the other, and a first attempt holds back its range's watermark until
//! it is over.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::join_all;

use super::call::{CallResult, PieceCall};
use super::classify::Disposition;
use super::event::SendEvent;
use super::permits::Permits;
use super::response::{FailedPiece, answer_context};
use super::route::Route;
use super::sender::Sender;
use super::work::Work;
use crate::delivery::attempt::Attempt;
use crate::delivery::reply::Reply;
use crate::model::JobId;
use crate::model::attempt::Verdict;
use crate::worker::ports::{Dispatcher, Lease, StateStore};

/// The number of pieces that a failed batch or piece is split into.
const PIECES: usize = 8;

/// The most calls for one batch.
const MOST_CALLS: usize = 64;

/// No more pieces are made after so many times the timeout of an attempt.
const TIMEOUTS: u64 = 2;

/// The result of a piece.
pub(super) enum PieceResult {
    /// It failed for good.
    Failed(Box<FailedPiece>),
    /// Its destination has no place for it at the moment.
    NoPlace(Work),
    /// No request could be built for it: it is built again like any work.
    NotBuilt(Work),
    /// Its call was not answered, or not with a failure.
    Made(Box<(Work, Arc<Route>, CallResult)>),
    /// It is over in another way.
    Done,
}

impl<B: StateStore, H: Dispatcher, L: Lease> Sender<B, H, L> {
    /// Splits the jobs of failed requests until single jobs remain; see the head of this file. They
    /// share its bounds. The work is over when it returns.
    pub(super) fn isolate(
        self: Arc<Self>,
        failed: Vec<FailedPiece>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let mut left = MOST_CALLS;
            let timeout = failed.iter().map(|whole| whole.route.timeout).max().unwrap_or(0);
            let timeout = timeout.max(0).cast_unsigned();
            let end = self.time.clock().boot().saturating_add(timeout.saturating_mul(TIMEOUTS));
            let mut failed = VecDeque::from(failed);
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
                // Far apart: jobs that were created together may be poison together.
                let first = [0, pieces / 2, pieces - 1];
                let (probes, rest): (Vec<_>, Vec<_>) = jobs
                    .chunks(size)
                    .map(|jobs| Work { head: Arc::clone(head), jobs: jobs.to_vec() })
                    .enumerate()
                    .partition(|(place, _)| first.contains(place));
                let mut tried = self.try_pieces(probes.into_iter().map(|(_, piece)| piece)).await;
                let sent =
                    tried.iter().filter(|tried| matches!(tried, PieceResult::Failed(_))).count();
                // Where the others found no place, the pieces that were sent decide.
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
                    failed.extend(self.go_on(tried).await);
                }
                self.finish_piece(head, Vec::new(), None);
            }
        })
    }

    /// Goes on with a piece that was tried. Returns what failed, unfinished for the engine.
    pub(super) async fn go_on(self: &Arc<Self>, tried: PieceResult) -> Vec<FailedPiece> {
        match tried {
            PieceResult::Failed(piece) => return vec![*piece],
            PieceResult::NoPlace(piece) | PieceResult::NotBuilt(piece) => {
                // Its end finishes the piece.
                self.build_again(piece, Permits::default()).await;
            }
            PieceResult::Made(made) => match *made {
                (piece, route, CallResult::Reply(Reply::PerJob { parts, rest })) => {
                    return self.settle_parts(&piece, &route, parts, rest).await;
                }
                (piece, route, made) => Arc::clone(self).handle_result(piece, route, made).await,
            },
            PieceResult::Done => {}
        }
        Vec::new()
    }

    /// Sends pieces, all at once.
    pub(super) async fn try_pieces(
        self: &Arc<Self>,
        pieces: impl Iterator<Item = Work>,
    ) -> Vec<PieceResult> {
        let begin = |piece: Work| {
            self.report(SendEvent::Started(Arc::clone(&piece.head)));
            Arc::clone(self).try_piece(piece)
        };
        join_all(pieces.map(begin)).await
    }

    /// Sends a piece. It stays unfinished for the engine, unless the result is `Done`.
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

    /// The failure, if an answer means that all of its jobs are dead alike.
    fn as_failure(
        &self,
        piece: Work,
        route: Arc<Route>,
        answer: Attempt,
    ) -> Result<(Work, Arc<Route>, Attempt), Box<FailedPiece>> {
        let ids: Vec<JobId> = piece.jobs.iter().map(|(job, _)| *job).collect();
        let now = self.time.now();
        let next = answer_context(&piece.head, &route, &ids, now).classify(&answer, now);
        let why = match next {
            Disposition::Failed(Verdict::Dead) => answer.error.clone().unwrap_or_default(),
            Disposition::Unclear { verdict: Verdict::Dead, why } => why,
            _ => return Ok((piece, route, answer)),
        };
        Err(Box::new(FailedPiece { piece, route, answer, why }))
    }

    /// Makes one dead letter of jobs that failed as one. `pieces` is the number of their pieces
    /// that failed, too.
    pub(super) fn dead_letter(&self, failed: &FailedPiece, pieces: Option<usize>) {
        let FailedPiece { piece, route, answer, why } = failed;
        let also = pieces.map(|n| format!("; so did the {n} pieces of it that were sent then"));
        let error = Some(format!("{why}{}", also.unwrap_or_default()));
        let record = self.record(&piece.head, route, answer, Verdict::Dead, piece.members(), error);
        self.finish_piece(&piece.head, vec![record], None);
    }
}
