//! Splitting a refused request: one job may be to blame, so its neighbours go out again at once, as
//! the same attempt. `response` and `parts` call [`Sender::split`]; nothing here judges an answer.
//!
//! - A batch is halved until eight jobs are left, which go one by one.
//! - Of a larger chunk, eight jobs that lie far apart go first, each alone, until one is not
//!   refused. If all of them are, no job is to blame, and the chunk is one dead letter; a job that
//!   finds no place has no say and goes out later, if four others were refused. Otherwise the chunk
//!   is halved as a batch is. (A broker that refuses a thousand messages would else be asked a
//!   thousand times.)

use std::pin::Pin;
use std::sync::Arc;

use super::event::SendEvent;
use super::isolate::PieceResult;
use super::permits::Permits;
use super::response::FailedPiece;
use super::route::Route;
use super::sender::Sender;
use super::work::Work;
use crate::delivery::attempt::{Attempt, Class};
use crate::model::JobId;
use crate::worker::ports::{Dispatcher, Lease, StateStore};

/// The largest refused batch that is tried job by job; a larger one is split in halves. Also the
/// number of jobs of a refused chunk that are tried first.
const SINGLES: usize = 8;

impl<B: StateStore, H: Dispatcher, L: Lease> Sender<B, H, L> {
    /// Sends a refused request again in pieces; see the head of this file. The work is over when it
    /// returns.
    pub(super) fn split(
        self: Arc<Self>,
        piece: Work,
        route: Arc<Route>,
        answer: Attempt,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let head = Arc::clone(&piece.head);
            let rest = if route.is_chunk() && piece.jobs.len() > SINGLES {
                match self.try_singles(piece, route, answer).await {
                    Some(rest) => rest,
                    None => return,
                }
            } else {
                piece
            };
            let size = if rest.jobs.len() <= SINGLES { 1 } else { rest.jobs.len().div_ceil(2) };
            for jobs in rest.jobs.chunks(size) {
                self.report(SendEvent::Started(Arc::clone(&head)));
                let piece = Work { head: Arc::clone(&head), jobs: jobs.to_vec() };
                self.build_again(piece, Permits::default()).await;
            }
            self.finish_piece(&head, Vec::new(), None);
        })
    }

    /// Sends some jobs of a refused chunk alone, one after the other, as long as they are refused
    /// or find no place. Returns the others, unless all that were sent, half of them at least, were
    /// refused: then the chunk is a dead letter.
    async fn try_singles(
        self: &Arc<Self>,
        mut piece: Work,
        route: Arc<Route>,
        answer: Attempt,
    ) -> Option<Work> {
        let head = Arc::clone(&piece.head);
        let mut rest = piece.jobs.clone();
        let (mut refused, mut all_refused) = (Vec::new(), true);
        for single in spread(&piece.jobs) {
            rest.retain(|job| *job != single);
            let alone = Work { head: Arc::clone(&head), jobs: vec![single] };
            match self.try_pieces(std::iter::once(alone)).await.pop() {
                Some(PieceResult::Failed(failed)) if is_refusal(&failed.answer) => {
                    refused.push(failed);
                    continue;
                }
                // It says nothing of the receiver, and waits for its place by itself.
                Some(PieceResult::NoPlace(alone)) => {
                    self.build_again(alone, Permits::default()).await;
                }
                tried => {
                    all_refused = false;
                    if let Some(tried) = tried {
                        for failed in self.go_on(tried).await {
                            self.dead_letter(&failed, None);
                        }
                    }
                }
            }
            piece.jobs.retain(|job| *job != single);
            if !all_refused {
                break;
            }
        }
        if !all_refused || refused.len() < SINGLES / 2 {
            for single in &refused {
                self.dead_letter(single, None);
            }
            return Some(Work { head, jobs: rest });
        }
        for _ in &refused {
            self.finish_piece(&head, Vec::new(), None);
        }
        let why = answer.error.clone().unwrap_or_default();
        self.dead_letter(&FailedPiece { piece, route, answer, why }, Some(refused.len()));
        None
    }
}

fn is_refusal(answer: &Attempt) -> bool {
    matches!(answer.class, Class::Refused | Class::Gone)
}

/// Some jobs of more, far apart: jobs that were created together may be refused together.
fn spread(jobs: &[(JobId, u32)]) -> [(JobId, u32); SINGLES] {
    let last = jobs.len() - 1;
    std::array::from_fn(|n| jobs[n * last / (SINGLES - 1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jobs_that_go_first_lie_far_apart() {
        for number in [9, 10, 64, 1_024] {
            let jobs: Vec<(JobId, u32)> = (0..number).map(|job| (job, 7)).collect();
            let singles = spread(&jobs);
            assert_eq!((singles[0].0, singles[SINGLES - 1].0), (0, number - 1));
            let apart = singles.windows(2).map(|two| two[1].0 - two[0].0);
            assert!(
                apart.min() >= Some((number - 1) / 8).filter(|least| *least > 0),
                "{singles:?}"
            );
        }
    }
}
