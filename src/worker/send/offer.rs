//! Offering: occurrences whose target is a queue of workers go to the supervision when they are
//! due. It hands them to workers, journals what becomes of them, and reports the end of the piece
//! to the engine. The sender calls this in place of a call.

use std::sync::Arc;

use super::permits::Permits;
use super::route::Route;
use super::sender::Sender;
use super::work::{Handover, Work};
use crate::worker::ports::{Dispatcher, Lease, StateStore};
use crate::worker::supervisor::{Dispatch, Source};

impl<B: StateStore, H: Dispatcher, L: Lease> Sender<B, H, L> {
    /// Hands a piece over when it is due. What was changed since `edition`, before which it was
    /// read, is read again before that.
    pub(super) async fn offer(
        self: Arc<Self>,
        piece: Work,
        route: Arc<Route>,
        edition: u64,
        begun: Option<u64>,
    ) {
        let head = Arc::clone(&piece.head);
        self.until_due(&head).await;
        let Some(offer) = route.offer() else {
            return self.finish_piece(&head, Vec::new(), Some(piece));
        };
        let jobs: Vec<_> = piece.jobs.iter().map(|(job, _)| *job).collect();
        if self.view.is_stale(edition, &jobs) {
            return self.build_again(piece, Permits { begun, ..Permits::default() }).await;
        }
        if !self.may_begin(&head) {
            return self.finish_piece(&head, Vec::new(), Some(piece));
        }
        let (shard, epoch) = head.key;
        let dispatch = Dispatch {
            id: 0, // the supervision gives it
            source: Source {
                project: route.project,
                shard,
                epoch,
                due: head.due,
                scheduled: head.scheduled,
                run: head.run,
                attempt: head.attempt,
                pending: head.row.map(|(id, _)| id),
                queue: offer.terms.executor,
                once: route.once,
            },
            members: piece.members(),
            terms: Arc::clone(&offer.terms),
            // What was begun before waits in any case.
            max_waiting: offer.max_waiting.filter(|_| head.row.is_none()),
        };
        if let Err(refused) = self.handovers.send(Handover { dispatch, piece }).await {
            // The supervision has ended, and the worker with it.
            self.finish_piece(&head, Vec::new(), Some(refused.0.piece));
        }
    }
}
