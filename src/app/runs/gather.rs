//! Reports on their way into the log. What workers say within a few milliseconds becomes one
//! command, and each report gets an answer of its own. `report` adds reports to them.
//!
//! Reports of one actor share commands, since the log names the actor of each. While a command is
//! under way, the next one gathers; where many have gathered, it is proposed beside the first. Two
//! commands under way never have reports on the same run, so that what a worker says of a run
//! counts in its order. What waits is bounded, and when nothing can be committed, all of it fails
//! with the command that could not be.

use std::collections::{HashSet, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Notify, oneshot};

use crate::app::error::{Error, ErrorKind, refused};
use crate::cluster::Cluster;
use crate::command::{Command, Outcome, Reported};
use crate::model::actor::ActorRef;
use crate::model::run::Occurrence;
use crate::model::run_report::{MAX_REPORTS, RunReport};

/// The time for which the first report of a command waits for others.
const GATHER_TIME: Duration = Duration::from_millis(5);
/// The most bytes of the reports of a command; one report is always in it.
const MAX_BYTES: usize = 256 * 1_024;
/// The most commands of an actor under way.
const MAX_COMMANDS: usize = 2;
/// The fewest reports of a command that is proposed beside another one: each is an entry of the
/// log, and few reports do better with those that come meanwhile.
const BESIDE: usize = 64;
/// The most reports that wait at a node for their commands.
const MAX_QUEUED_REPORTS: usize = 50_000;
/// The most bytes of the reports that wait at a node.
const MAX_QUEUED_BYTES: usize = 16 << 20;

/// The answer to one report.
pub(super) type ReportAnswer = Result<Reported, Error>;

/// Proposes reports as one command, for an actor.
type Propose = Box<
    dyn Fn(ActorRef, Vec<RunReport>) -> BoxFuture<'static, Result<Vec<Reported>, Error>>
        + Send
        + Sync,
>;

/// The reports of a node that are on their way.
pub(crate) struct ReportGatherer {
    propose: Propose,
    queued: Mutex<QueuedReports>,
}

/// The reports that wait for their commands.
#[derive(Default)]
struct QueuedReports {
    /// The actors whose reports are on their way, each with a task.
    actors: Vec<ActorQueue>,
    /// The number of the reports that wait.
    count: usize,
    /// The bytes of them.
    bytes: usize,
}

/// The reports of an actor that wait for their command, in order.
struct ActorQueue {
    actor: ActorRef,
    reports: VecDeque<QueuedReport>,
    /// The runs of the reports in commands under way.
    under_way: HashSet<Occurrence>,
    /// Notified when a report comes.
    came: Arc<Notify>,
}

struct QueuedReport {
    report: RunReport,
    bytes: usize,
    answer: oneshot::Sender<ReportAnswer>,
}

impl ReportGatherer {
    /// A gatherer that proposes to a cluster.
    pub(in crate::app) fn new(cluster: &Cluster) -> Arc<Self> {
        let cluster = cluster.clone();
        Self::proposing(move |actor, reports| {
            let cluster = cluster.clone();
            Box::pin(async move {
                let command = Command::ReportRuns { reports };
                match cluster.propose(command.asked_by(actor)).await? {
                    Outcome::Reports(told) => Ok(told),
                    other => Err(refused(other)),
                }
            })
        })
    }

    fn proposing(
        propose: impl Fn(ActorRef, Vec<RunReport>) -> BoxFuture<'static, Result<Vec<Reported>, Error>>
        + Send
        + Sync
        + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { propose: Box::new(propose), queued: Mutex::default() })
    }

    /// Adds reports, which are proposed in their order; returns an answer for each. They are
    /// proposed whether or not somebody waits for the answers.
    pub(super) async fn tell(
        self: &Arc<Self>,
        actor: &ActorRef,
        reports: Vec<RunReport>,
    ) -> Vec<ReportAnswer> {
        let mut answers = Vec::with_capacity(reports.len());
        for answer in self.add(actor, reports) {
            let stopped = || Error::unavailable("this node is stopping: ask another node");
            answers.push(answer.await.unwrap_or_else(|_| Err(stopped())));
        }
        answers
    }

    fn add(
        self: &Arc<Self>,
        actor: &ActorRef,
        reports: Vec<RunReport>,
    ) -> Vec<oneshot::Receiver<ReportAnswer>> {
        let mut queued = self.queued();
        let mut answers = Vec::with_capacity(reports.len());
        // Reports behind a refused one of a call are refused too, so that the order stays.
        let mut is_full = false;
        for report in reports {
            let bytes = serde_json::to_string(&report).map_or(MAX_BYTES, |text| text.len());
            let (answer, told) = oneshot::channel();
            answers.push(told);
            is_full |= !queued.has_room(bytes);
            if is_full {
                let message = "too many reports wait for their commands at this node: report again";
                // The receiver is still here.
                let _ = answer.send(Err(Error::busy(message)));
            } else if queued.push(actor, QueuedReport { report, bytes, answer }) {
                tokio::spawn(Arc::clone(self).run(actor.clone()));
            }
        }
        answers
    }

    /// Proposes the reports of an actor, until none waits and none is under way.
    async fn run(self: Arc<Self>, actor: ActorRef) {
        let mut commands = FuturesUnordered::new();
        let came = self.queued().queue(&actor).map(|queue| Arc::clone(&queue.came));
        let Some(came) = came else { return };
        loop {
            let ready = self.queued().queue(&actor).map_or(0, |queue| queue.ready());
            let wanted = if commands.is_empty() { 1 } else { BESIDE };
            if ready >= wanted && commands.len() < MAX_COMMANDS {
                if ready < MAX_REPORTS {
                    let mut gathered = pin!(tokio::time::sleep(GATHER_TIME));
                    loop {
                        tokio::select! {
                            () = &mut gathered => break,
                            Some(()) = commands.next() => {}
                        }
                    }
                }
                let next = self.queued().take(&actor);
                if !next.is_empty() {
                    commands.push(self.carry_out(&actor, next));
                }
                continue;
            }
            if commands.is_empty() && self.queued().end(&actor) {
                return;
            }
            tokio::select! {
                Some(()) = commands.next() => {}
                () = came.notified() => {}
            }
        }
    }

    /// Proposes reports as one command, and answers each.
    async fn carry_out(&self, actor: &ActorRef, next: Vec<QueuedReport>) {
        let (reports, answers): (Vec<_>, Vec<_>) =
            next.into_iter().map(|one| (one.report, one.answer)).unzip();
        let runs: Vec<_> = reports.iter().map(|report| report.occurrence).collect();
        let told = (self.propose)(actor.clone(), reports).await;
        let behind = {
            let mut queued = self.queued();
            if let Some(queue) = queued.queue(actor) {
                for of in &runs {
                    queue.under_way.remove(of);
                }
            }
            match &told {
                // Each of the next commands would fail as late as this one.
                Err(error) if error.kind() == ErrorKind::Unavailable => queued.take_all(actor),
                _ => Vec::new(),
            }
        };
        let mut told = told.map(Vec::into_iter);
        for one in behind {
            if let Err(error) = &told {
                let _ = one.answer.send(Err(error.clone()));
            }
        }
        for answer in answers {
            let answered = match &mut told {
                Ok(told) => told.next().ok_or_else(Error::internal),
                Err(error) => Err(error.clone()),
            };
            // Whoever reported may have gone.
            let _ = answer.send(answered);
        }
    }

    fn queued(&self) -> MutexGuard<'_, QueuedReports> {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueuedReports {
    /// Tells whether a report of so many bytes may wait, too. One always may.
    fn has_room(&self, bytes: usize) -> bool {
        let fits = self.bytes.saturating_add(bytes) <= MAX_QUEUED_BYTES;
        self.count == 0 || (self.count < MAX_QUEUED_REPORTS && fits)
    }

    /// Adds a report behind those of its actor. Returns whether it is the first of a new queue,
    /// which needs a task.
    fn push(&mut self, actor: &ActorRef, one: QueuedReport) -> bool {
        self.count += 1;
        self.bytes += one.bytes;
        if let Some(queue) = self.queue(actor) {
            queue.reports.push_back(one);
            queue.came.notify_one();
            return false;
        }
        self.actors.push(ActorQueue {
            actor: actor.clone(),
            reports: [one].into(),
            under_way: HashSet::new(),
            came: Arc::default(),
        });
        true
    }

    fn queue(&mut self, actor: &ActorRef) -> Option<&mut ActorQueue> {
        self.actors.iter_mut().find(|queue| queue.actor == *actor)
    }

    /// Takes the reports of the next command.
    fn take(&mut self, actor: &ActorRef) -> Vec<QueuedReport> {
        let next = self.queue(actor).map(ActorQueue::take).unwrap_or_default();
        self.note_taken(&next);
        next
    }

    /// Ends the queue of an actor of whom nothing waits; says whether it did.
    fn end(&mut self, actor: &ActorRef) -> bool {
        let waits = self.queue(actor).is_some_and(|queue| !queue.reports.is_empty());
        if !waits {
            self.actors.retain(|queue| queue.actor != *actor);
        }
        !waits
    }

    /// Takes all reports of an actor. Its queue stays.
    fn take_all(&mut self, actor: &ActorRef) -> Vec<QueuedReport> {
        let all: Vec<_> =
            self.queue(actor).map(|queue| queue.reports.drain(..).collect()).unwrap_or_default();
        self.note_taken(&all);
        all
    }

    fn note_taken(&mut self, taken: &[QueuedReport]) {
        self.count -= taken.len();
        self.bytes -= taken.iter().map(|one| one.bytes).sum::<usize>();
    }
}

impl ActorQueue {
    /// The number of reports, up to those of a full command, that may be proposed now: all but
    /// those on runs of which a report is under way.
    fn ready(&self) -> usize {
        let is_ready = |one: &&QueuedReport| !self.under_way.contains(&one.report.occurrence);
        self.reports.iter().filter(is_ready).take(MAX_REPORTS).count()
    }

    /// Takes the reports of the next command, which is under way from now on. Those on a run of
    /// which a report is under way stay, in their order.
    fn take(&mut self) -> Vec<QueuedReport> {
        let (mut next, mut bytes, mut later) = (Vec::new(), 0, VecDeque::new());
        while let Some(first) = self.reports.pop_front() {
            if self.under_way.contains(&first.report.occurrence) {
                later.push_back(first);
                continue;
            }
            let is_full = next.len() == MAX_REPORTS || bytes + first.bytes > MAX_BYTES;
            if is_full && !next.is_empty() {
                self.reports.push_front(first);
                break;
            }
            bytes += first.bytes;
            next.push(first);
        }
        later.append(&mut self.reports);
        self.reports = later;
        self.under_way.extend(next.iter().map(|one| one.report.occurrence));
        next
    }
}

#[cfg(test)]
#[path = "gather_tests.rs"]
mod tests;
