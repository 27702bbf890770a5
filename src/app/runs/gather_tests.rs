//! Reports on their way into the log: how many share a command, and what waits for what.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use tokio::sync::Semaphore;

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
    assert!(gatherer.queued().actors.is_empty(), "nothing is left of an actor that says nothing");
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
async fn without_a_leader_all_that_waits_fails_with_the_commands_under_way() {
    let commands = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&commands);
    let gatherer = ReportGatherer::proposing(move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Err(Error::unavailable("no leader")) })
    });
    let answers = gatherer.tell(&OPERATOR, (0..3_500).map(|job| done(job, None)).collect());
    assert!(answers.await.iter().all(Result::is_err));
    assert_eq!(commands.load(Ordering::SeqCst), MAX_COMMANDS);
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

/// The jobs of each command that was proposed.
type Proposed = Arc<Mutex<Vec<Vec<u64>>>>;

/// A gatherer whose commands wait for permits, and the jobs of the commands that it proposed.
fn held() -> (Arc<ReportGatherer>, Arc<Semaphore>, Proposed) {
    let (permits, commands) = (Arc::new(Semaphore::new(0)), Arc::<Mutex<Vec<_>>>::default());
    let (held, proposed) = (Arc::clone(&permits), Arc::clone(&commands));
    let gatherer = ReportGatherer::proposing(move |_, reports| {
        let held = Arc::clone(&held);
        let jobs = reports.iter().map(|report| report.occurrence.job).collect();
        proposed.lock().unwrap().push(jobs);
        Box::pin(async move {
            held.acquire().await.unwrap().forget();
            Ok(reports.iter().map(told).collect())
        })
    });
    (gatherer, permits, commands)
}

/// Waits until so many commands were proposed; their sizes then.
async fn proposed(commands: &Mutex<Vec<Vec<u64>>>, count: usize) -> Vec<usize> {
    loop {
        let sizes: Vec<_> = commands.lock().unwrap().iter().map(Vec::len).collect();
        if sizes.len() >= count {
            return sizes;
        }
        tokio::time::sleep(GATHER_TIME).await;
    }
}

#[tokio::test]
async fn many_reports_are_proposed_beside_a_command_and_few_wait_for_it() {
    let (gatherer, permits, commands) = held();
    let some = |jobs: std::ops::Range<u64>| jobs.map(|job| done(job, None)).collect();
    let mut told = gatherer.add(&OPERATOR, some(0..1));
    assert_eq!(proposed(&commands, 1).await, [1]);
    told.extend(gatherer.add(&OPERATOR, some(1..BESIDE as u64)));
    // However long that is, they wait: an entry of the log for few costs more than it brings.
    tokio::time::sleep(4 * GATHER_TIME).await;
    told.extend(gatherer.add(&OPERATOR, some(BESIDE as u64..BESIDE as u64 + 1)));
    assert_eq!(proposed(&commands, 2).await, [1, BESIDE]);
    told.extend(gatherer.add(&OPERATOR, some(1_000..2_000)));
    // As many commands as may be are under way.
    tokio::time::sleep(4 * GATHER_TIME).await;
    assert_eq!(proposed(&commands, 2).await, [1, BESIDE]);
    permits.add_permits(3);
    assert!(join_all(told).await.into_iter().all(|told| told.is_ok()));
    assert_eq!(proposed(&commands, 3).await, [1, BESIDE, 1_000]);
}

#[tokio::test]
async fn reports_on_a_run_are_never_in_two_commands_at_a_time() {
    let (gatherer, permits, commands) = held();
    let mut answers = gatherer.add(&OPERATOR, vec![done(7, None)]);
    proposed(&commands, 1).await;
    // Two more on the same run, and many others.
    let jobs = [7].into_iter().chain(100..300).chain([7]);
    answers.extend(gatherer.add(&OPERATOR, jobs.map(|job| done(job, None)).collect()));
    proposed(&commands, 2).await;
    assert_eq!(*commands.lock().unwrap(), [vec![7], (100..300).collect()]);
    permits.add_permits(3);
    assert!(join_all(answers).await.iter().all(Result::is_ok));
    assert_eq!(commands.lock().unwrap()[2], [7, 7], "in their order");
}
