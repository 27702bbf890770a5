//! Claims: a worker asks for runs and, where nothing waits, waits itself. Callers in `app` wait for
//! the answer; when they go, the claim leaves its place, and runs that come for it are given back.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::claim_queue::{QueueId, Ticket};
use super::replica::released;
use super::state::{Gateway, Inner, NoPlace};
use super::supervisors::Unanswered;
use crate::model::NodeId;
use crate::model::claim::{ClaimRequest, ClaimedRun};

/// The time for which a claim without a wait lets hints come in, where it names a queue that this
/// node knows nothing of, in milliseconds.
const FIRST_LOOK: u64 = 100;
/// The longest time for which a claim waits for the answer of one node, in milliseconds: others may
/// have something. Runs that come later are given back.
const PATIENCE: u64 = 5_000;
/// The same of a claim with a key, whose runs are not given back. It goes to no other node then.
const KEYED_PATIENCE: u64 = 15_000;

impl Gateway {
    /// Claims runs for a worker, and waits for them for so many milliseconds. The queues are
    /// distinct. None where nothing came, the node is about to stop, a claim with the same key came
    /// meanwhile, or a node kept a claim with a key waiting: its repetition gets what that node
    /// has handed out.
    ///
    /// # Errors
    ///
    /// [`NoPlace`] where nothing waits for a worker, and too many claims wait here already.
    pub async fn claim(&self, ask: ClaimRequest, wait_ms: u64) -> Result<Vec<ClaimedRun>, NoPlace> {
        let inner = &self.0;
        let begun = inner.now();
        inner.seen().note_claim(&ask.worker, &ask.queues, begun);
        let mut repeatable = inner.repeats.begin(&ask);
        let claim = Claiming::begin(inner, ask);
        let mut end = begun.saturating_add(wait_ms);
        let mut place = None;
        let mut is_first = true;
        loop {
            let mut nodes = inner.claims().nodes_for(claim.ticket, inner.now());
            let mut until = end;
            if std::mem::take(&mut is_first) {
                claim.add_first(&mut nodes);
                if !inner.claims().is_told(&claim.ask.queues, begun) {
                    end = end.max(begun + FIRST_LOOK);
                    // Also where this claim finds something here: others may have older offers.
                    inner.claims().ask_for_hints(&claim.ask.queues);
                    inner.work.notify_one();
                }
                // A claim that does not wait asks all of them, too: the first may have nothing
                // left.
                until = end.max(begun + PATIENCE);
            }
            for node in nodes {
                let told = claim.ask(node).await;
                match told {
                    Some(runs) if !runs.is_empty() => return Ok(runs),
                    None if claim.ask.key.is_some() => return Ok(Vec::new()),
                    _ => {}
                }
                if inner.stops() || repeatable.is_repeated() || inner.now() > until {
                    break;
                }
            }
            inner.claims().ask_for_hints(&claim.ask.queues);
            inner.work.notify_one();
            if inner.stops() || repeatable.is_repeated() || inner.now() >= end {
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
                // It may have been woken as well: its guard wakes the next one then.
                () = repeatable.repeated() => return Ok(Vec::new()),
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

    /// Asks a node, for a while. Beyond that the question goes on without this. `None` where that
    /// node gave no answer, and may have handed something out.
    async fn ask(&self, node: NodeId) -> Option<Vec<ClaimedRun>> {
        let (inner, ask) = (Arc::clone(self.inner), self.ask.clone());
        let mut patience = PATIENCE;
        if let Some(key) = &ask.key {
            inner.seen().note_key(&ask.worker, key, node, inner.now());
            patience = KEYED_PATIENCE;
        }
        let hint = inner.claims().begin_ask(self.ticket, node, inner.now());
        let wanted = Arc::new(());
        let is_wanted = Arc::downgrade(&wanted);
        let (its, asked) = (Arc::clone(&inner), ask.clone());
        let under_way = async move {
            let told = if node == its.supervisors.own() {
                its.supervisors.claim_own(asked.clone()).await
            } else {
                its.claim_calls.send_while(node, asked.clone(), is_wanted).await
            };
            its.end_ask(&asked, (node, hint), told)
        };
        let under_way = Some(under_way.boxed());
        let asking = Asking { inner, ask, under_way, wanted: Some(wanted) };
        let told = asking.until(self.inner.now() + patience).await;
        self.inner.claims().stop_asking(self.ticket);
        if told.is_none() {
            self.inner.claims().note_silent(&self.ask.queues, node, self.inner.now());
        }
        told.flatten()
    }
}

impl Drop for Claiming<'_> {
    fn drop(&mut self) {
        self.inner.claims().remove(self.ticket, self.inner.now());
    }
}

/// A question to a node. Whoever asks carries it out; what is left of it when this is dropped goes
/// on by itself, and what it gets is given back.
struct Asking {
    inner: Arc<Inner>,
    ask: ClaimRequest,
    /// `None` once it has its answer.
    under_way: Option<BoxFuture<'static, Option<Vec<ClaimedRun>>>>,
    /// What is not sent when this has gone stays unsent.
    wanted: Option<Arc<()>>,
}

impl Asking {
    /// Waits for the answer, until an instant at most.
    async fn until(mut self, until: u64) -> Option<Option<Vec<ClaimedRun>>> {
        let inner = Arc::clone(&self.inner);
        let under_way = self.under_way.as_mut()?;
        let told = tokio::select! {
            biased;
            told = under_way => told,
            () = inner.clock.sleep_until(until) => return None,
        };
        self.under_way = None;
        Some(told)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.wanted = None;
        let Some(under_way) = self.under_way.take() else { return };
        let (inner, ask) = (Arc::clone(&self.inner), self.ask.clone());
        tokio::spawn(async move {
            let runs = under_way.await.unwrap_or_default();
            inner.give_back(&ask, runs).await;
        });
    }
}

impl Inner {
    /// Notes what came of a question to a node: the runs, or `None` where that is not known.
    fn end_ask(
        &self,
        ask: &ClaimRequest,
        (node, hint): (NodeId, u64),
        told: Result<Option<Vec<ClaimedRun>>, Unanswered>,
    ) -> Option<Vec<ClaimedRun>> {
        let claim = (ask.queues.as_slice(), ask.max);
        let told = match told {
            Ok(told) => told,
            Err(Unanswered::Unwanted) => {
                self.claims().withdraw_ask(claim, node, self.now());
                return Some(Vec::new());
            }
            Err(error) => {
                tracing::debug!(node, %error, "a node did not answer a claim");
                (error == Unanswered::NotAsked).then(Vec::new)
            }
        };
        let runs = told.iter().flatten();
        let taken: Vec<QueueId> = runs.map(|run| run.terms.executor).collect();
        self.claims().end_ask(claim, node, hint, &taken, self.now());
        told
    }

    /// Gives back runs of a claim whose client has gone.
    async fn give_back(&self, ask: &ClaimRequest, runs: Vec<ClaimedRun>) {
        let reports = released(ask, runs);
        if reports.is_empty() {
            return;
        }
        let runs = reports.len();
        tracing::debug!(worker = ask.worker, runs, "a claim was given up: given back");
        self.replica.give_back(reports).await;
    }
}
