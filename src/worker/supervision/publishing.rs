//! The hand-out of runs over a bus: what the supervisor asks to be published, cancelled or taken
//! back. `carry_out` calls it; the task runs the futures that it gives, and takes in what they say.
//!
//! The bus asks for the lease and the start timeout right before a run leaves (*the lease before
//! the send*). Nothing here decides what becomes of a run.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::answers::JobData;
use super::done::Done;
use super::news::Queues;
use crate::bus::{Bus, BusAddress, HandOut, Ticket};
use crate::clock::SchedulerTime;
use crate::delivery::call_checks::BeforeSend;
use crate::model::attempt::occurrence_id;
use crate::model::run::Occurrence;
use crate::model::run_id::run_id;
use crate::model::run_terms::{BusKind, RunTerms};
use crate::model::shard::{Shard, ShardId, shard_of};
use crate::model::{Millis, NodeId, ProjectId};
use crate::telemetry::LogLimit;
use crate::worker::ports::Lease;
use crate::worker::supervisor::{ClaimId, Event, Handed, PublishOutcome, QueueId};

/// The pause after a hand-out of which nobody knows whether it arrived, in milliseconds.
const PAUSE_MS: u64 = 1_000;

/// What the publisher is given to work with.
pub(super) struct PublisherParts<L> {
    pub(super) bus: Arc<dyn Bus>,
    pub(super) node: NodeId,
    /// The cluster's id, which is part of the ids of runs.
    pub(super) cluster: u128,
    pub(super) lease: Arc<L>,
    pub(super) time: Arc<SchedulerTime>,
    /// The task takes in the outcomes.
    pub(super) done: mpsc::UnboundedSender<Done>,
}

/// The publisher; see the head of this file.
pub(super) struct Publisher<L> {
    parts: PublisherParts<L>,
    queues: Queues,
    /// The present epochs of the shards that are this node's.
    epochs: BTreeMap<ShardId, u64>,
    /// The data of runs that were looked up and are about to be published.
    data: HashMap<ClaimId, HashMap<Occurrence, JobData>>,
    /// The worker stops: nothing leaves any more.
    stops: Arc<AtomicBool>,
}

impl<L: Lease> Publisher<L> {
    /// A publisher that knows no queue and no shard.
    pub(super) fn new(parts: PublisherParts<L>) -> Self {
        Self {
            parts,
            queues: Queues::new(),
            epochs: BTreeMap::new(),
            data: HashMap::new(),
            stops: Arc::default(),
        }
    }

    /// Lets nothing leave any more.
    pub(super) fn stop(&self) {
        self.stops.store(true, Ordering::SeqCst);
    }

    /// Takes in the queues.
    pub(super) fn set_queues(&mut self, queues: Queues) {
        self.queues = queues;
    }

    /// The name of a queue.
    pub(super) fn name_of(&self, queue: QueueId) -> Option<&str> {
        self.queues.get(&queue).map(|queue| queue.name.as_str())
    }

    /// Whether the messages of a queue carry the data of jobs.
    pub(super) fn takes_data(&self, queue: QueueId) -> bool {
        let bus = self.queues.get(&queue).and_then(|queue| queue.bus.as_ref());
        bus.is_some_and(|bus| bus.takes_data)
    }

    /// Takes in the shards, as the supervisor is told them.
    pub(super) fn set_shards(&mut self, shards: &[Shard]) {
        for shard in shards {
            if shard.owner == self.parts.node {
                self.epochs.insert(shard.id, shard.epoch);
            } else {
                self.epochs.remove(&shard.id);
            }
        }
    }

    /// Whether a shard is this node's.
    pub(super) fn owns(&self, shard: ShardId) -> bool {
        self.epochs.contains_key(&shard)
    }

    /// Keeps the data of what was looked up for a hand, until it is published.
    pub(super) fn keep_data(&mut self, claim: ClaimId, data: HashMap<Occurrence, JobData>) {
        self.data.insert(claim, data);
    }

    /// Forgets the data of a hand: what it was looked up for is published, or never will be.
    pub(super) fn drop_data(&mut self, claim: ClaimId) {
        self.data.remove(&claim);
    }

    /// Publishes runs, the first ones first. The outcome of each is told once.
    pub(super) fn publish(
        &mut self,
        claim: ClaimId,
        runs: Vec<Handed>,
    ) -> impl Future<Output = ()> + Send + use<L> {
        let mut data = self.data.remove(&claim).unwrap_or_default();
        let offers = FuturesUnordered::new();
        for run in runs {
            let data = data.remove(&run.of).map(|its| its.data.into()).unwrap_or_default();
            let offer = self.offer(&run, data);
            offers.push(async move {
                let handed = match offer {
                    Some(offer) => offer.await,
                    // The queue was changed this moment: the next look-up says what to do.
                    None => HandOut::Waits,
                };
                (run, handed)
            });
        }
        let (done, time) = (self.parts.done.clone(), Arc::clone(&self.parts.time));
        async move {
            let mut offers = offers;
            while let Some((run, handed)) = offers.next().await {
                let outcome = outcome(&run, handed, time.clock().boot());
                let event = Event::Published { claim, of: run.of, outcome };
                // The task is gone only at its end.
                let _ = done.send(Done::Event(event));
            }
        }
    }

    fn offer(&self, run: &Handed, data: Arc<str>) -> Option<crate::bus::HandingOut> {
        let address = self.address(&run.terms, run.project)?;
        let ticket = Ticket { data, ..self.ticket(run.of, run.attempt, run.epoch, &run.terms) };
        let check = self.check(shard_of(run.of.job), run.epoch, run.start_by);
        Some(self.parts.bus.offer(&address, ticket, check))
    }

    /// Asks the worker of a run to stop it. `None` for a run whose workers are at no broker.
    pub(super) fn cancel(
        &self,
        of: Occurrence,
        attempt: u32,
        terms: &RunTerms,
    ) -> Option<impl Future<Output = ()> + Send + use<L>> {
        // The connection was opened when the shard was attached, for the project of its first job.
        let address = self.address(terms, 0)?;
        let epoch = self.epochs.get(&shard_of(of.job)).copied().unwrap_or_default();
        let ticket = self.ticket(of, attempt, epoch, terms);
        let (bus, time) = (Arc::clone(&self.parts.bus), Arc::clone(&self.parts.time));
        let stops = Arc::clone(&self.stops);
        // When the time of the cancel is over, so is the run.
        let last = time.clock().boot().saturating_add(terms.cancel_timeout.max(0).cast_unsigned());
        Some(async move {
            loop {
                let handed = bus.cancel(&address, ticket.clone()).await;
                let now = time.clock().boot();
                let until = match &handed {
                    HandOut::Refused { until, .. } => *until,
                    HandOut::Failed { for_good: false, .. } => now,
                    _ => return,
                };
                let until = until.max(now + PAUSE_MS);
                if until > last || stops.load(Ordering::SeqCst) {
                    return;
                }
                let run = &ticket.run;
                tracing::debug!(run, ?handed, "a worker is asked to stop again in a moment");
                time.clock().sleep_until(until).await;
            }
        })
    }

    /// Takes back what has not left.
    pub(super) fn withdraw(&self, runs: &[Handed]) {
        for run in runs {
            self.parts.bus.withdraw(&run_id(self.parts.cluster, run.of));
        }
    }

    /// Says whether the workers of a run may speak at an address: they have its name, and their
    /// queue its broker. A queue that is there no more says nothing against it.
    pub(super) fn is_at(&self, terms: &RunTerms, address: &BusAddress) -> bool {
        let broker = |queue| Some(&self.queues.get(&queue)?.bus.as_ref()?.broker);
        terms.bus == BusKind::Rabbitmq
            && terms.name == *address.name
            && (terms.executor == address.queue
                || !self.queues.contains_key(&terms.executor)
                || broker(terms.executor) == broker(address.queue))
    }

    fn address(&self, terms: &RunTerms, project: ProjectId) -> Option<BusAddress> {
        if terms.bus != BusKind::Rabbitmq {
            return None;
        }
        let bus = self.queues.get(&terms.executor)?.bus.as_ref()?;
        let (target, name) = (Arc::clone(&bus.target), terms.name.as_str().into());
        Some(BusAddress { queue: terms.executor, project, target, name })
    }

    fn ticket(&self, of: Occurrence, attempt: u32, epoch: u64, terms: &RunTerms) -> Ticket {
        let cluster = self.parts.cluster;
        Ticket {
            run: run_id(cluster, of),
            execution: occurrence_id(cluster, of),
            job: of.job,
            scheduled: of.scheduled,
            attempt,
            shard: shard_of(of.job),
            epoch,
            now: self.parts.time.now(),
            start_timeout: terms.start_timeout,
            data: Arc::default(),
        }
    }

    /// The check right before a run leaves: the lease is usable, the shard is not promised away,
    /// the worker does not stop, and the run has not waited for longer than its start timeout.
    fn check(&self, shard: ShardId, epoch: u64, start_by: Option<Millis>) -> BeforeSend {
        let (lease, stops) = (Arc::clone(&self.parts.lease), Arc::clone(&self.stops));
        let time = Arc::clone(&self.parts.time);
        Box::new(move || {
            !stops.load(Ordering::SeqCst)
                && start_by.is_none_or(|start_by| time.now() <= start_by)
                && lease.usable_since().is_some()
                && !lease.is_promised(shard, epoch)
        })
    }
}

/// The outcome of a hand-out, in the words of the supervisor. `now` is an instant of the boot
/// clock.
fn outcome(run: &Handed, handed: HandOut, now: u64) -> PublishOutcome {
    static LINES: LogLimit<u64> = LogLimit::new();
    // Of a message that was lost or rejected the others of the queue do not hear.
    let (mut of_broker, mut may_be_out) = (true, false);
    let (until, why) = match handed {
        HandOut::Passed => return PublishOutcome::Passed,
        HandOut::Failed { error, for_good: true } => return PublishOutcome::Failed { error },
        HandOut::Withheld => return PublishOutcome::Back { until: now, of_broker, may_be_out },
        HandOut::Waits => (now + PAUSE_MS, "its queue is at no broker".to_owned()),
        HandOut::Refused { until, why, of_broker: concerns_all } => {
            of_broker = concerns_all;
            (until, why)
        }
        HandOut::Failed { error, .. } => {
            (of_broker, may_be_out) = (false, true);
            (now + PAUSE_MS, error)
        }
    };
    let queue = &run.terms.queue;
    if let Some(unsaid) = LINES.admit(run.terms.executor) {
        tracing::warn!(queue, why, unsaid, "runs of a queue cannot be published; trying again");
    }
    PublishOutcome::Back { until, of_broker, may_be_out }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::delivery::Retry;

    #[test]
    fn an_outcome_is_a_fact_a_wait_or_the_end() {
        let retry = Retry { max: 0, delay: 0, factor: 1_000, max_delay: 0 };
        let run = Handed {
            of: Occurrence { job: 1, scheduled: 2, run: 0 },
            attempt: 1,
            project: 1,
            due: 2,
            epoch: 3,
            start_by: None,
            terms: Arc::new(RunTerms::new(BusKind::Rabbitmq, 9, retry)),
        };
        let back = |until, of_broker: bool| {
            let may_be_out = until == 11_000 && !of_broker;
            PublishOutcome::Back { until, of_broker, may_be_out }
        };
        let refused = |of_broker| HandOut::Refused { until: 12_345, why: String::new(), of_broker };
        let failed = |for_good| HandOut::Failed { error: "e".to_owned(), for_good };
        for (handed, expected) in [
            (HandOut::Passed, PublishOutcome::Passed),
            (HandOut::Withheld, back(10_000, true)),
            (HandOut::Waits, back(11_000, true)),
            (refused(true), back(12_345, true)),
            (refused(false), back(12_345, false)),
            (failed(false), back(11_000, false)),
            (failed(true), PublishOutcome::Failed { error: "e".to_owned() }),
        ] {
            assert_eq!(outcome(&run, handed.clone(), 10_000), expected, "{handed:?}");
        }
    }
}
