//! Claims: a worker asks for runs and, where nothing waits, waits itself. Callers in `app` wait for
//! the answer; when they go, the claim leaves its place, and runs that come for it are given back.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::claim_queue::{QueueId, Ticket};
use super::state::{Gateway, Inner, NoPlace};
use crate::model::NodeId;
use crate::model::claim::{ClaimRequest, ClaimedRun};
use crate::model::run_report::{RunReport, Said};

/// The time for which a claim without a wait lets hints come in, where it names a queue that this
/// node knows nothing of, in milliseconds.
const FIRST_LOOK: u64 = 100;
/// The longest time for which a claim waits for the answer of one node, in milliseconds: others may
/// have something. Runs that come later are given back.
const PATIENCE: u64 = 5_000;

impl Gateway {
    /// Claims runs for a worker, and waits for them for so many milliseconds. The queues are
    /// distinct. None where nothing came, or the node is about to stop.
    ///
    /// # Errors
    ///
    /// [`NoPlace`] where nothing waits for a worker, and too many claims wait here already.
    pub async fn claim(&self, ask: ClaimRequest, wait_ms: u64) -> Result<Vec<ClaimedRun>, NoPlace> {
        let inner = &self.0;
        let begun = inner.now();
        inner.seen().note_claim(&ask.worker, &ask.queues, begun);
        let claim = Claiming::begin(inner, ask);
        let mut end = begun.saturating_add(wait_ms);
        let mut place = None;
        let mut is_first = true;
        loop {
            let mut nodes = inner.claims().nodes_for(claim.ticket, inner.now());
            if std::mem::take(&mut is_first) {
                claim.add_first(&mut nodes);
                if !inner.claims().is_told(&claim.ask.queues, begun) {
                    end = end.max(begun + FIRST_LOOK);
                    // Also where this claim finds something here: others may have older offers.
                    inner.claims().ask_for_hints(&claim.ask.queues);
                    inner.work.notify_one();
                }
            }
            for node in nodes {
                let runs = claim.ask(node).await;
                if !runs.is_empty() {
                    return Ok(runs);
                }
                if inner.stops() || inner.now() > end {
                    break;
                }
            }
            inner.claims().ask_for_hints(&claim.ask.queues);
            inner.work.notify_one();
            if inner.stops() || inner.now() >= end {
                return Ok(Vec::new());
            }
            if place.is_none() {
                place = Some(inner.place().ok_or(NoPlace)?);
            }
            let waits = inner.claims().wait(claim.ticket, inner.now());
            let Some(woken) = waits else { continue };
            inner.work.notify_one();
            tokio::select! {
                biased;
                _ = woken => {}
                () = inner.stopped() => return Ok(Vec::new()),
                () = inner.clock.sleep_until(end) => {}
            }
        }
    }
}

/// A claim under way. It leaves its place when this is dropped.
struct Claiming<'a> {
    inner: &'a Arc<Inner>,
    ask: ClaimRequest,
    ticket: Ticket,
}

impl<'a> Claiming<'a> {
    fn begin(inner: &'a Arc<Inner>, ask: ClaimRequest) -> Self {
        let queues = ask.queues.clone();
        let ticket = inner.claims().add(queues, ask.order, ask.max, inner.now());
        Self { inner, ask, ticket }
    }

    /// Puts the nodes first that a claim asks in any case: the one that its key was sent to before,
    /// and this one if nothing is known of the others.
    fn add_first(&self, nodes: &mut Vec<NodeId>) {
        let own = self.inner.supervisors.own();
        if nodes.is_empty() {
            nodes.push(own);
        }
        let Some(key) = &self.ask.key else { return };
        let node = self.inner.seen().node_of_key(&self.ask.worker, key, self.inner.now());
        if let Some(node) = node {
            nodes.retain(|other| *other != node);
            nodes.insert(0, node);
        }
    }

    /// Asks a node, for a while. The question goes on without this.
    async fn ask(&self, node: NodeId) -> Vec<ClaimedRun> {
        let (inner, ask) = (Arc::clone(self.inner), self.ask.clone());
        if let Some(key) = &ask.key {
            inner.seen().note_key(&ask.worker, key, node, inner.now());
        }
        let hint = inner.claims().begin_ask(self.ticket, node, inner.now());
        let (answer, answered) = oneshot::channel();
        let returns = Returns { inner: Arc::clone(&inner), ask: ask.clone(), answered };
        tokio::spawn(async move {
            let runs = if node == inner.supervisors.own() {
                let told = inner.supervisors.claim(node, vec![ask.clone()]).await;
                told.map(|mut told| told.pop().unwrap_or_default())
            } else {
                inner.claim_calls.send(node, ask.clone()).await
            };
            let runs = runs.unwrap_or_else(|error| {
                tracing::debug!(node, %error, "a node did not answer a claim");
                Vec::new()
            });
            let taken: Vec<QueueId> = runs.iter().map(|run| run.terms.executor).collect();
            let claim = (ask.queues.as_slice(), ask.max);
            inner.claims().end_ask(claim, node, hint, &taken, inner.now());
            if let Err(runs) = answer.send(runs) {
                inner.give_back(&ask, runs).await;
            }
        });
        let until = self.inner.now() + PATIENCE;
        let runs = returns.until(until).await;
        self.inner.claims().stop_asking(self.ticket);
        let Some(runs) = runs else {
            self.inner.claims().note_silent(&self.ask.queues, node, self.inner.now());
            return Vec::new();
        };
        runs
    }
}

impl Drop for Claiming<'_> {
    fn drop(&mut self) {
        self.inner.claims().remove(self.ticket, self.inner.now());
    }
}

/// The answer of a node on its way. What has come when this is dropped, and was not taken, is given
/// back.
struct Returns {
    inner: Arc<Inner>,
    ask: ClaimRequest,
    answered: oneshot::Receiver<Vec<ClaimedRun>>,
}

impl Returns {
    /// Waits for the answer, until an instant at most.
    async fn until(mut self, until: u64) -> Option<Vec<ClaimedRun>> {
        let inner = Arc::clone(&self.inner);
        tokio::select! {
            biased;
            runs = &mut self.answered => Some(runs.unwrap_or_default()),
            () = inner.clock.sleep_until(until) => None,
        }
    }
}

impl Drop for Returns {
    fn drop(&mut self) {
        self.answered.close();
        let Ok(runs) = self.answered.try_recv() else { return };
        let (inner, ask) = (Arc::clone(&self.inner), self.ask.clone());
        tokio::spawn(async move { inner.give_back(&ask, runs).await });
    }
}

impl Inner {
    /// Gives back runs of a claim whose client has gone. One with a key may be repeated, and gets
    /// the same runs then.
    async fn give_back(&self, ask: &ClaimRequest, runs: Vec<ClaimedRun>) {
        if runs.is_empty() || ask.key.is_some() {
            return;
        }
        tracing::debug!(worker = ask.worker, runs = runs.len(), "a claim was given up: given back");
        let reports = runs.into_iter().map(|run| RunReport {
            occurrence: run.occurrence,
            attempt: run.attempt,
            worker: ask.worker.clone(),
            said: Said::Released,
        });
        self.replica.give_back(reports.collect()).await;
    }
}
