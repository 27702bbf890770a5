//! Reports on their way into the log. What workers say within a few milliseconds becomes one
//! command, and each report gets an answer of its own. `report` hands reports over.
//!
//! Reports of one actor share commands, since the log names the actor of each. They are proposed
//! one command after the other, so that what a worker says of a run counts in its order; while a
//! command is under way, the next one gathers. What waits is bounded, and when nothing can be
//! committed, all of it fails with the command that could not be.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use crate::app::error::{Error, ErrorKind, refused};
use crate::cluster::Cluster;
use crate::command::{Command, Outcome, Reported};
use crate::model::actor::ActorRef;
use crate::model::run_report::{MAX_REPORTS, RunReport};

/// The time for which the first report of a command waits for others.
const GATHER_TIME: Duration = Duration::from_millis(5);
/// The most bytes of the reports of a command; one report is always in it.
const MAX_BYTES: usize = 256 * 1_024;
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

    /// Hands reports over, which are carried out in their order; gives an answer for each. They are
    /// carried out whether or not somebody waits for the answers.
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

    /// Proposes the reports of an actor, until none waits.
    async fn run(self: Arc<Self>, actor: ActorRef) {
        loop {
            let is_full = self.queued().queue(&actor).is_some_and(|queue| queue.is_full());
            if !is_full {
                tokio::time::sleep(GATHER_TIME).await;
            }
            let next = self.queued().take(&actor);
            if next.is_empty() {
                return;
            }
            let (reports, answers): (Vec<_>, Vec<_>) =
                next.into_iter().map(|one| (one.report, one.answer)).unzip();
            let told = (self.propose)(actor.clone(), reports).await;
            if let Err(error) = &told
                && error.kind() == ErrorKind::Unavailable
            {
                // Each of the next commands would fail as late as this one.
                let behind = self.queued().take_all(&actor);
                for one in behind {
                    let _ = one.answer.send(Err(error.clone()));
                }
            }
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
            return false;
        }
        self.actors.push(ActorQueue { actor: actor.clone(), reports: [one].into() });
        true
    }

    fn queue(&mut self, actor: &ActorRef) -> Option<&mut ActorQueue> {
        self.actors.iter_mut().find(|queue| queue.actor == *actor)
    }

    /// Takes the reports of the next command; without any the actor's queue ends.
    fn take(&mut self, actor: &ActorRef) -> Vec<QueuedReport> {
        let next = self.queue(actor).map(ActorQueue::take).unwrap_or_default();
        self.note_taken(&next);
        if next.is_empty() {
            self.actors.retain(|queue| queue.actor != *actor);
        }
        next
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
    fn is_full(&self) -> bool {
        self.reports.len() >= MAX_REPORTS
    }

    fn take(&mut self) -> Vec<QueuedReport> {
        let (mut next, mut bytes) = (Vec::new(), 0);
        while let Some(first) = self.reports.front() {
            bytes += first.bytes;
            if !next.is_empty() && (next.len() == MAX_REPORTS || bytes > MAX_BYTES) {
                break;
            }
            next.extend(self.reports.pop_front());
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
        let all = (0..10_000).map(|job| gatherer.tell(&OPERATOR, vec![done(job, None)]));
        for (job, answers) in (0..).zip(join_all(all).await) {
            assert_eq!(*answers[0].as_ref().unwrap(), told(&done(job, None)), "{job}");
        }
        assert_eq!(commands.load(Ordering::SeqCst), 10);
        assert!(
            gatherer.queued().actors.is_empty(),
            "nothing is left of an actor that says nothing"
        );
    }

    #[tokio::test]
    async fn a_command_is_bounded_in_bytes_and_the_order_stays() {
        let (gatherer, commands, largest) = gatherer();
        let reports = (0..1_000).map(|job| done(job, Some("x".repeat(1_024)))).collect();
        let answers = gatherer.tell(&OPERATOR, reports).await;
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
            gatherer.tell(&OPERATOR, vec![done(2, None), done(4, None)]),
            gatherer.tell(&client, vec![done(2, None)]),
        );
        assert!(failed.iter().all(Result::is_err));
        assert_eq!(*counted[0].as_ref().unwrap(), Reported::Counted(RunState::Completed));
    }

    #[tokio::test]
    async fn without_a_leader_all_that_waits_fails_with_the_first_command() {
        let commands = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&commands);
        let gatherer = ReportGatherer::proposing(move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            Box::pin(async { Err(Error::unavailable("no leader")) })
        });
        let answers = gatherer.tell(&OPERATOR, (0..3_500).map(|job| done(job, None)).collect());
        assert!(answers.await.iter().all(Result::is_err));
        assert_eq!(commands.load(Ordering::SeqCst), 1);
        let queued = gatherer.queued();
        assert_eq!((queued.count, queued.bytes), (0, 0));
    }

    fn is_busy(told: &mut oneshot::Receiver<ReportAnswer>) -> bool {
        let told = told.try_recv();
        told.is_ok_and(|told| told.is_err_and(|error| error.kind() == ErrorKind::Busy))
    }

    #[tokio::test]
    async fn a_node_lets_only_so_many_reports_wait() {
        let gatherer = ReportGatherer::proposing(|_, _| Box::pin(std::future::pending()));
        let most = MAX_QUEUED_REPORTS as u64;
        let mut told = gatherer.add(&OPERATOR, (0..=most).map(|job| done(job, None)).collect());
        assert_eq!(told.iter_mut().map(is_busy).filter(|busy| *busy).count(), 1);
        gatherer.queued().take_all(&OPERATOR);
        let long = || Some("x".repeat(MAX_QUEUED_BYTES / 2));
        let reports = vec![done(1, long()), done(2, long()), done(3, None)];
        let mut told = gatherer.add(&OPERATOR, reports);
        let busy: Vec<_> = told.iter_mut().map(is_busy).collect();
        assert_eq!(busy, [false, true, true], "what comes behind keeps its order");
    }
}
