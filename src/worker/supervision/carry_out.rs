//! The way of an effect of the supervisor to whoever carries it out. The task calls it for one
//! effect after the other, in order; nothing here waits.

use super::answers::{JobData, WaitingClaim};
use super::reader::Wish;
use super::task::Task;
use super::writer::pause;
use crate::model::claim::{ClaimedRun, MAX_CLAIM_DATA, QueueHint};
use crate::model::members::Members;
use crate::store::jobs;
use crate::worker::ports::{Lease, StateStore};
use crate::worker::send::SendEvent;
use crate::worker::supervisor::{
    ClaimId, DispatchId, Effect, Handed, Part, is_adoption, is_publish,
};

/// The pause before the engine gets back what is of an epoch that the supervisor does not know, in
/// milliseconds: the notice of that epoch may be on its way.
const RETURN_MS: u64 = 50;

impl<B: StateStore, L: Lease> Task<B, L> {
    /// Has an effect carried out.
    pub(super) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Load { shard, epoch } => {
                self.supervisor.begin_effect();
                self.wish(Wish::Load(shard, epoch));
            }
            Effect::ReadRuns(runs) => self.wish(Wish::Runs(runs)),
            Effect::Prepare { claim, parts } => {
                // Nobody gets the data of runs that are taken over, nor those that no message
                // carries.
                let publisher = &self.publisher;
                let goes_along = |part: &Part| publisher.takes_data(part.source.queue);
                let wants_data = match claim {
                    claim if is_adoption(claim) => false,
                    claim if is_publish(claim) => parts.iter().any(goes_along),
                    _ => true,
                };
                let max_bytes = wants_data.then_some(MAX_CLAIM_DATA);
                self.questions.spawn(self.preparer.clone().prepare(claim, parts, max_bytes));
            }
            Effect::Append { id, entries } => {
                self.supervisor.begin_effect();
                // The writer ends with the task.
                let _ = self.appends.send((id, entries));
            }
            Effect::Answer { claim, runs } => self.answer(claim, runs),
            Effect::Publish { claim, runs } => {
                let publishing = self.publisher.publish(claim, runs);
                self.questions.spawn(publishing);
            }
            Effect::Withdraw { runs } => self.publisher.withdraw(&runs),
            Effect::Returned { dispatch, members } => self.give_back(dispatch, &members),
            Effect::Finished { dispatch } => {
                if let Some(piece) = self.dispatches.finish(dispatch) {
                    let (members, head) = (piece.members(), piece.head);
                    self.report(SendEvent::Offered { head, members });
                }
            }
            Effect::Propose(reports) => self.proposer.propose(reports),
            // A worker that claims hears of it with its next heartbeat, from its gateway.
            Effect::TellCancel { of, attempt, terms, .. } => {
                self.metrics.runs.cancels.inc();
                if let Some(cancel) = self.publisher.cancel(of, attempt, &terms) {
                    self.questions.spawn(cancel);
                }
            }
            Effect::Hint { gateway, queue, count, oldest } => {
                // Nobody may listen yet.
                let _ = self.hints.send((gateway, QueueHint { queue, count, oldest }));
            }
            Effect::Heard { heartbeat, unknown } => {
                self.answers.answer_heartbeat(heartbeat, unknown);
            }
        }
    }

    fn wish(&self, wish: Wish) {
        // The reader ends with the task, or with the cluster.
        let _ = self.wishes.send(wish);
    }

    fn report(&self, sent: SendEvent) {
        // The engine is gone only when the worker ends.
        let _ = self.engine.send(sent);
    }

    /// Answers a claim. Where data are not at hand, since the claim repeats another one, they are
    /// read first.
    fn answer(&mut self, claim: ClaimId, runs: Vec<Handed>) {
        let Some(mut waiting) = self.answers.take_claim(claim) else { return };
        if let Some(found) = waiting.runs(&runs) {
            // Whoever asked may be gone: its runs count as lost when they are not heard of.
            if waiting.answer.send(found).is_ok() {
                let now = self.time.now();
                for run in &runs {
                    self.metrics.runs.claimed(now - run.due);
                }
            }
        } else {
            self.questions.spawn(read_again(self.store.clone(), waiting, runs));
        }
    }

    /// Gives members of a dispatch back to the engine, as a piece that was not sent.
    fn give_back(&mut self, dispatch: DispatchId, members: &Members) {
        let Some(back) = self.dispatches.take_back(dispatch, members) else { return };
        let head = back.head.clone();
        self.report(SendEvent::Started(head.clone()));
        let (engine, time) = (self.engine.clone(), self.time.clone());
        tokio::spawn(async move {
            pause(&time, RETURN_MS).await;
            let _ =
                engine.send(SendEvent::Finished { head, records: Vec::new(), back: Some(back) });
        });
    }
}

/// Answers a claim with data that are read now. A job that was deleted meanwhile has no run.
async fn read_again<B: StateStore>(store: B, waiting: WaitingClaim, runs: Vec<Handed>) {
    let read = move |conn: &rusqlite::Connection| {
        let mut found: Vec<ClaimedRun> = Vec::with_capacity(runs.len());
        for run in runs {
            if let Some(job) = jobs::get(conn, run.of.job)? {
                let data = JobData { external_id: job.external_id, data: job.data };
                found.push(data.with(&run));
            }
        }
        Ok(found)
    };
    match store.read(read).await {
        Ok(found) => {
            // Whoever asked may be gone.
            let _ = waiting.answer.send(found);
        }
        Err(error) => tracing::warn!(%error, "a repeated claim cannot be answered"),
    }
}
