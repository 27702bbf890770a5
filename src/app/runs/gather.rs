//! Reports on their way into the log. What workers say within a few milliseconds becomes one
//! command, and each report gets an answer of its own. `report` hands reports over.
//!
//! Reports of one actor share commands, since the log names the actor of each. They are proposed
//! one command after the other, so that what a worker says of a run counts in its order; while a
//! command is under way, the next one gathers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use crate::app::error::{Error, refused};
use crate::cluster::Cluster;
use crate::command::{Command, Outcome, Reported};
use crate::model::actor::ActorRef;
use crate::model::run_report::{MAX_REPORTS, RunReport};

/// The time for which the first report of a command waits for others.
const GATHER_TIME: Duration = Duration::from_millis(5);
/// The most bytes of the reports of a command; one report is always in it.
const MAX_BYTES: usize = 256 * 1_024;

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
    /// The actors whose reports are on their way, each with a task.
    queues: Mutex<Vec<ActorQueue>>,
}

/// The reports of an actor that wait for their command, in order.
struct ActorQueue {
    actor: ActorRef,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
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
        Arc::new(Self { propose: Box::new(propose), queues: Mutex::default() })
    }

    /// Hands reports over, which are carried out in their order; gives an answer for each. They are
    /// carried out whether or not somebody waits for the answers.
    pub(super) async fn tell(
        self: &Arc<Self>,
        actor: ActorRef,
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
        actor: ActorRef,
        reports: Vec<RunReport>,
    ) -> Vec<oneshot::Receiver<ReportAnswer>> {
        let mut queues = self.queues();
        let place = queues.iter().position(|queue| queue.actor == actor).unwrap_or_else(|| {
            tokio::spawn(Arc::clone(self).run(actor.clone()));
            queues.push(ActorQueue { actor, waiting: VecDeque::new() });
            queues.len() - 1
        });
        let queue = &mut queues[place];
        let mut answers = Vec::with_capacity(reports.len());
        for report in reports {
            let bytes = serde_json::to_string(&report).map_or(MAX_BYTES, |text| text.len());
            let (answer, told) = oneshot::channel();
            queue.waiting.push_back(Waiting { report, bytes, answer });
            answers.push(told);
        }
        answers
    }

    /// Proposes the reports of an actor, until none waits.
    async fn run(self: Arc<Self>, actor: ActorRef) {
        loop {
            let is_full = self.queues().iter().any(|queue| queue.actor == actor && queue.is_full());
            if !is_full {
                tokio::time::sleep(GATHER_TIME).await;
            }
            let Some(next) = self.take(&actor) else { return };
            let (reports, answers): (Vec<_>, Vec<_>) =
                next.into_iter().map(|one| (one.report, one.answer)).unzip();
            let told = (self.propose)(actor.clone(), reports).await;
            let mut told = told.map(Vec::into_iter);
            for answer in answers {
                let answered = match &mut told {
                    Ok(told) => told.next().ok_or_else(Error::internal),
                    Err(error) => Err(error.clone()),
                };
                // Whoever reported may have gone.
                let _ = answer.send(answered);
            }
        }
    }

    /// Takes the reports of the next command; without any the actor's queue ends.
    fn take(&self, actor: &ActorRef) -> Option<Vec<Waiting>> {
        let mut queues = self.queues();
        let place = queues.iter().position(|queue| queue.actor == *actor)?;
        let next = queues[place].take();
        if next.is_empty() {
            queues.swap_remove(place);
            return None;
        }
        Some(next)
    }

    fn queues(&self) -> MutexGuard<'_, Vec<ActorQueue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ActorQueue {
    fn is_full(&self) -> bool {
        self.waiting.len() >= MAX_REPORTS
    }

    fn take(&mut self) -> Vec<Waiting> {
        let (mut next, mut bytes) = (Vec::new(), 0);
        while let Some(first) = self.waiting.front() {
            bytes += first.bytes;
            if !next.is_empty() && (next.len() == MAX_REPORTS || bytes > MAX_BYTES) {
                break;
            }
            next.extend(self.waiting.pop_front());
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;
    use crate::command::{Rejection, RejectionKind};
    use crate::model::run::Occurrence;
    use crate::model::run_report::{RunState, Said};

    const OPERATOR: ActorRef = ActorRef::Operator;

    fn done(job: u64, result: Option<String>) -> RunReport {
        let occurrence = Occurrence { job, scheduled: 1, run: 0 };
        RunReport { occurrence, attempt: 1, worker: "w".into(), said: Said::Done { result } }
    }

    /// The answer of a state that knows the runs of even jobs.
    fn told(report: &RunReport) -> Reported {
        if report.occurrence.job.is_multiple_of(2) {
            return Reported::Counted(RunState::Completed);
        }
        Reported::Refused { state: None, why: Rejection::new(RejectionKind::NotFound, "no run") }
    }

    /// A gatherer, and the commands and the bytes of the largest that it proposed.
    fn gatherer() -> (Arc<ReportGatherer>, Arc<AtomicUsize>, Arc<AtomicUsize>) {
        let (commands, largest) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counted, measured) = (commands.clone(), largest.clone());
        let gatherer = ReportGatherer::proposing(move |_, reports| {
            counted.fetch_add(1, Ordering::SeqCst);
            assert!(reports.len() <= MAX_REPORTS);
            let bytes = serde_json::to_string(&reports).unwrap().len();
            measured.fetch_max(bytes, Ordering::SeqCst);
            Box::pin(async move { Ok(reports.iter().map(told).collect()) })
        });
        (gatherer, commands, largest)
    }

    #[tokio::test]
    async fn ten_thousand_reports_are_ten_commands_and_each_has_its_own_answer() {
        let (gatherer, commands, _) = gatherer();
        let all = (0..10_000).map(|job| gatherer.tell(OPERATOR, vec![done(job, None)]));
        for (job, answers) in (0..).zip(join_all(all).await) {
            assert_eq!(*answers[0].as_ref().unwrap(), told(&done(job, None)), "{job}");
        }
        assert_eq!(commands.load(Ordering::SeqCst), 10);
        assert!(gatherer.queues().is_empty(), "nothing is left of an actor that says nothing");
    }

    #[tokio::test]
    async fn a_command_is_bounded_in_bytes_and_the_order_stays() {
        let (gatherer, commands, largest) = gatherer();
        let reports = (0..1_000).map(|job| done(job, Some("x".repeat(1_024)))).collect();
        let answers = gatherer.tell(OPERATOR, reports).await;
        for (job, answer) in (0..).zip(answers) {
            assert_eq!(answer.unwrap(), told(&done(job, None)), "{job}");
        }
        assert!(commands.load(Ordering::SeqCst) > 4);
        assert!(largest.load(Ordering::SeqCst) < MAX_BYTES + 2_000);
    }

    #[tokio::test]
    async fn actors_share_no_command_and_a_command_that_fails_fails_what_is_in_it() {
        let gatherer = ReportGatherer::proposing(move |actor, reports| {
            Box::pin(async move {
                match actor {
                    ActorRef::Operator => Err(Error::unavailable("no quorum")),
                    _ => Ok(reports.iter().map(told).collect()),
                }
            })
        });
        let client = ActorRef::Client { credential: 7 };
        let (failed, counted) = tokio::join!(
            gatherer.tell(OPERATOR, vec![done(2, None), done(4, None)]),
            gatherer.tell(client, vec![done(2, None)]),
        );
        assert!(failed.iter().all(|answer| answer.is_err()));
        assert_eq!(*counted[0].as_ref().unwrap(), Reported::Counted(RunState::Completed));
    }
}
