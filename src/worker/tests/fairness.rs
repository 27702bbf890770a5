//! Fairness between projects: calls that hang or are slow delay nobody else's. Calls that hang are
//! ended when their jobs are deleted.

use super::fixture::{ReceivedCall, T0, WorkerFixture, definition};
use crate::command::{Command, JobAction, Outcome};
use crate::model::attempt::{SkipReason, Verdict};
use crate::model::job::JobDefinition;
use crate::model::shard::shard_of;
use crate::model::target::HttpTarget;
use crate::model::{JobId, ProjectId};

const HEALTHY: &str = "http://healthy/a";
const JOBS: u64 = 20;

fn single(project: ProjectId, spec: &str, url: &str) -> JobDefinition {
    let http =
        HttpTarget { method: "POST".to_owned(), url: url.to_owned(), ..HttpTarget::default() };
    JobDefinition { project, http: Some(Box::new(http)), ..definition(spec, "") }
}

/// Lets healthy jobs of the first project fire each second, for so many seconds, and returns how
/// late each call came, in milliseconds. All of them must have come.
async fn beside(fixture: &WorkerFixture, seconds: u64) -> Vec<i64> {
    fixture.create(single(1, "@every 1s", HEALTHY), JOBS);
    fixture.settle().await;
    fixture.pass(seconds * 1_000, 100).await;
    let mut seen: Vec<ReceivedCall> = fixture.seen();
    seen.retain(|call| call.url == HEALTHY);
    assert_eq!(seen.len() as u64, seconds * JOBS, "each came once");
    seen.iter().map(|call| (call.at - T0) % 1_000).collect()
}

/// Creates jobs of another project that call slow destinations again and again.
fn attack(fixture: &WorkerFixture, project: ProjectId, ports: u64, jobs: u64, every: &str) {
    for port in 0..ports {
        let url = format!("http://slow:{}/", 1_000 + port);
        fixture.create(single(project, every, &url), jobs / ports);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn six_hundred_calls_that_hang_delay_nobody_elses() {
    let mut fixture = WorkerFixture::new();
    fixture.fair(64, 1_024);
    fixture.slow("http://slow", 86_400_000);
    let other = fixture.project("other");
    fixture.start();
    attack(&fixture, other, 10, 600, "@every 1s");
    assert!(beside(&fixture, 12).await.iter().all(|lag| *lag == 0));
    let hanging = fixture.seen().iter().filter(|call| call.url != HEALTHY).count();
    assert!(hanging > 320, "more than ever hung: {hanging}");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn eight_receivers_that_take_25_seconds_delay_nobody_elses() {
    let mut fixture = WorkerFixture::new();
    fixture.fair(8, 64);
    fixture.slow("http://slow", 25_000);
    let other = fixture.project("other");
    fixture.start();
    attack(&fixture, other, 8, 160, "@every 10s");
    assert!(beside(&fixture, 32).await.iter().all(|lag| *lag == 0));
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn many_destinations_that_take_a_little_less_than_a_second_delay_nobody_elses() {
    let mut fixture = WorkerFixture::new();
    // Forty workers: the healthy twenty fit into half of them.
    fixture.fair(40, 128);
    fixture.slow("http://slow", 900);
    let other = fixture.project("other");
    fixture.start();
    attack(&fixture, other, 50, 400, "@every 1s");
    assert!(beside(&fixture, 15).await.iter().all(|lag| *lag == 0));
}

/// The results of a job in the store.
fn results(fixture: &WorkerFixture, job: JobId) -> Vec<(Verdict, Option<String>)> {
    let records = fixture.records(shard_of(job)).into_iter().map(|recorded| recorded.record);
    let of = records.filter(|record| record.members.contains(job));
    of.map(|record| (record.verdict, record.error)).collect()
}

/// Creates jobs of one batch whose call hangs, and returns the first id.
async fn hang(fixture: &WorkerFixture, n: u64, retry_max: u32) -> JobId {
    fixture.hang(&[HEALTHY]);
    let jobs = JobDefinition { retry_max: Some(retry_max), ..definition("@every 1000s", HEALTHY) };
    let first = fixture.create(jobs, n);
    fixture.settle().await;
    fixture.pass(1_000_000, 500_000).await;
    assert_eq!(fixture.seen().len(), 1);
    first
}

/// Passes the time after which changed jobs are looked up again. The store has the end of a deleted
/// job's occurrence then.
async fn ended(fixture: &WorkerFixture, job: JobId) {
    fixture.pass(25, 25).await;
    collected(fixture).await;
    let last = results(fixture, job).pop().map(|(verdict, _)| verdict);
    assert_eq!(last, Some(Verdict::Skipped(SkipReason::Ended)), "{:?}", results(fixture, job));
}

async fn collected(fixture: &WorkerFixture) {
    for _ in 0..3 {
        fixture.settle().await;
        fixture.collect();
    }
    fixture.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_hangs_ends_with_its_last_job_and_is_not_made_again() {
    for retry_max in [0, 3] {
        let mut fixture = WorkerFixture::new();
        fixture.start();
        let first = hang(&fixture, 2, retry_max).await;
        let act = |job, action| Command::ChangeJobs { jobs: vec![(job, 1)], action, by: None };
        fixture.apply(&act(first, JobAction::Delete));
        fixture.apply(&act(first + 1, JobAction::Pause { until: None }));
        collected(&fixture).await;
        assert_eq!(results(&fixture, first), [], "the other one still waits for the answer");
        fixture.apply(&act(first + 1, JobAction::Delete));
        ended(&fixture, first).await;
        // A failed attempt, and the end of an occurrence whose job is deleted: no dead letter.
        for job in [first, first + 1] {
            let ended = results(&fixture, job);
            let [(Verdict::Retry { .. }, Some(error)), (end, None)] = &ended[..] else {
                panic!("{ended:?}")
            };
            assert_eq!((error.as_str(), *end), ("ended", Verdict::Skipped(SkipReason::Ended)));
        }
        assert_eq!(fixture.rows(shard_of(first)), []);
        fixture.hang(&[]);
        fixture.pass(60_000, 5_000).await;
        assert_eq!(fixture.seen().len(), 1, "nothing of it is sent again");
        fixture.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_hangs_ends_with_its_project() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let job = hang(&fixture, 1, 3).await;
    let delete = Command::DeleteProject { id: 1, cascade: true, expect: None };
    assert_eq!(fixture.apply(&delete), Outcome::Done);
    ended(&fixture, job).await;
    assert_eq!(fixture.rows(shard_of(job)), []);
    // A restart reads the same from the journal.
    fixture.stop().await;
    fixture.start();
    collected(&fixture).await;
    assert_eq!((results(&fixture, job).len(), fixture.seen().len()), (2, 1));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_project_lets_what_was_sent_be_answered() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let job = hang(&fixture, 1, 3).await;
    let (pause, _) = super::fixture::pause_and_resume(job, true);
    fixture.apply(&pause);
    collected(&fixture).await;
    assert_eq!(results(&fixture, job), []);
    fixture.hang(&[]);
    collected(&fixture).await;
    assert_eq!(results(&fixture, job), [(Verdict::Delivered, None)]);
    fixture.stop().await;
}
