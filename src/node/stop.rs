//! The graceful stop of a node, step by step; `cli` and the tests call it. It never waits for long
//! for nodes that are gone or about to go themselves, and takes one unanswered question for no sign
//! of that: elections pass, and answers are late under load.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::start::Node;
use super::status;
use crate::model::NodeId;
use crate::worker::Lease;

/// The longest time that each step may take.
const STEP: Duration = Duration::from_secs(10);

/// Time between two looks at whether a step still has a node to wait for.
const LOOK: Duration = Duration::from_millis(200);

/// The looks in a row, and the time, in which no other node must be able to take over.
const LOOKS: u32 = 3;
const NOBODY_FOR: Duration = Duration::from_secs(2);

/// Another member's readiness to take over from this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    Able,
    Draining,
    Nothing,
}

impl Node {
    /// The graceful stop: says that it is none to ask any more, lets workers go that wait for runs,
    /// releases the shards, finishes what is due, hands the leadership on, waits until the cluster
    /// has the results, and goes. Each step is bounded, and none waits for nodes that are gone or
    /// about to go themselves.
    pub async fn stop(mut self) {
        tracing::info!("stopping: releasing shards");
        self.draining.store(true, Ordering::SeqCst);
        self.gateway.stop();
        // Readers go on at another node, where they miss nothing.
        self.events.end();
        self.nudge.notify_one();
        let alone = self.cluster.members().len() == 1;
        if !alone {
            let released = self.unless(self.nobody_takes_over(), self.released());
            self.bounded("shards were still held", released).await;
        }
        self.worker.stop().await;
        if !alone && self.cluster.leadership().borrow().me {
            self.bounded("nobody took the leadership", self.hand_on_leadership()).await;
        }
        let collected = self.unless(self.nobody_leads(), self.collected());
        self.bounded("results were not yet collected", collected).await;
        // Nobody hears of a node that stops before its server is closed; an error means it is.
        let _ = self.stop_api.send(true);
        // A panic in it has been printed.
        let _ = (&mut self.api).await;
        self.halt().await;
        tracing::info!("stopped");
    }

    async fn bounded(&self, otherwise: &str, step: impl Future<Output = ()>) {
        if tokio::time::timeout(STEP, step).await.is_err() {
            tracing::warn!("{otherwise} after {STEP:?}");
        }
    }

    /// Waits for a step, unless the other fact comes first: then the step has no end to wait for.
    async fn unless(&self, pointless: impl Future<Output = ()>, step: impl Future<Output = ()>) {
        tokio::select! {
            () = step => {}
            () = pointless => tracing::info!("nobody is left to wait for"),
        }
    }

    /// Asks each of the other members.
    async fn others(&self) -> Vec<(NodeId, Readiness)> {
        let others = self.cluster.members().into_iter().map(|(id, _)| id);
        let asked = others.filter(|id| *id != self.id).map(async |id| {
            let readiness = match status::ask(&self.rpc, id).await {
                Some(report) if report.draining => Readiness::Draining,
                Some(_) => Readiness::Able,
                None => Readiness::Nothing,
            };
            (id, readiness)
        });
        join_all(asked).await
    }

    /// Waits until no other member could take this one's shards.
    async fn nobody_takes_over(&self) {
        let nobody =
            async || self.others().await.iter().all(|(_, readiness)| *readiness != Readiness::Able);
        lasts(NOBODY_FOR, LOOKS, nobody).await;
    }

    /// Waits until nobody has led the cluster with a majority for the length of a lease, which
    /// outlives elections.
    async fn nobody_leads(&self) {
        let ttl = Duration::from_millis(self.timing.ttl);
        lasts(ttl, LOOKS, async || self.cluster.leader().is_none()).await;
    }

    /// Waits until no shard is this node's, in whatever part.
    async fn released(&self) {
        let mut changed = self.guard.changed();
        loop {
            if self.guard.owned() == (0, 0) {
                return;
            }
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    async fn hand_on_leadership(&self) {
        let mut others = self.others().await;
        let voters = self.cluster.voters();
        others.retain(|(id, _)| voters.contains(id));
        for to in successors(&others, self.cluster.leader() == Some(self.id)) {
            match tokio::time::timeout(STEP / 4, self.cluster.transfer_leader(to)).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => tracing::debug!(to, %error, "did not take the leadership"),
                Err(_) => tracing::debug!(to, "did not take the leadership in time"),
            }
        }
    }

    /// Waits until the cluster has recorded all that the journal holds.
    async fn collected(&self) {
        let mut changes = self.cluster.changes();
        loop {
            let state = self.journal.state();
            if state.forgotten >= state.synced {
                return;
            }
            // Whoever leads hears of it with the next renewal, or at once if it is this node.
            self.nudge.notify_one();
            self.coordinator.collect_now();
            // Anything that is applied may be the record; what was missed is looked up next time.
            let _ = tokio::time::timeout(Duration::from_millis(100), changes.recv()).await;
        }
    }
}

/// The voters to which the leadership is offered, one after the other: those that are able, or all
/// if none of them answered while a majority is there, which must be some of them.
fn successors(voters: &[(NodeId, Readiness)], quorum: bool) -> Vec<NodeId> {
    let silent = quorum && voters.iter().all(|(_, readiness)| *readiness == Readiness::Nothing);
    voters
        .iter()
        .filter(|(_, readiness)| silent || *readiness == Readiness::Able)
        .map(|(id, _)| *id)
        .collect()
}

/// Waits until a fact has been seen at so many looks in a row, and for so long without a break.
async fn lasts(span: Duration, looks: u32, mut holds: impl AsyncFnMut() -> bool) {
    let mut seen: Option<(Instant, u32)> = None;
    loop {
        seen = if holds().await {
            let (since, times) = seen.unwrap_or_else(|| (Instant::now(), 0));
            if times + 1 >= looks && since.elapsed() >= span {
                return;
            }
            Some((since, times + 1))
        } else {
            None
        };
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fact_that_is_seen_for_a_moment_or_with_a_break_does_not_last() {
        let mut looks = 0;
        let two_then_a_break = async || {
            looks += 1;
            looks != 3
        };
        lasts(Duration::ZERO, 3, two_then_a_break).await;
        assert_eq!(looks, 6, "three in a row");
        let mut looks = 0;
        let always = async || {
            looks += 1;
            true
        };
        lasts(LOOK, 1, always).await;
        assert!(looks > 1, "one look is no span");
    }

    #[test]
    fn the_leadership_is_offered_to_all_voters_when_none_answers_and_a_majority_is_there() {
        let silent = [(1, Readiness::Nothing), (2, Readiness::Nothing)];
        assert_eq!(successors(&silent, true), [1, 2]);
        assert_eq!(successors(&silent, false), [0; 0]);
        let mixed = [(1, Readiness::Nothing), (2, Readiness::Able), (3, Readiness::Draining)];
        assert_eq!(successors(&mixed, true), [2]);
        assert_eq!(successors(&[(1, Readiness::Draining), (2, Readiness::Nothing)], true), [0; 0]);
    }
}
