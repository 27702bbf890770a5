//! Projects beside each other: whose calls hang or are slow delays nobody else's; and calls that
//! hang are ended when their jobs are gone.

use super::world::{Seen, T0, World, definition};
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

/// The healthy ones of the first project, each second; then so many seconds pass. How late they
/// came, in milliseconds, each instant's; all of them must have come.
async fn beside(world: &World, seconds: u64) -> Vec<i64> {
    world.shaped(single(1, "@every 1s", HEALTHY), JOBS);
    world.settle().await;
    world.pass(seconds * 1_000, 100).await;
    let mut seen: Vec<Seen> = world.seen();
    seen.retain(|call| call.url == HEALTHY);
    assert_eq!(seen.len() as u64, seconds * JOBS, "each came once");
    seen.iter().map(|call| (call.at - T0) % 1_000).collect()
}

/// A hundred one-offs in a second or so would be due at once: each second a lot of another
/// project's.
fn attack(world: &World, project: ProjectId, ports: u64, jobs: u64, every: &str) {
    for port in 0..ports {
        let url = format!("http://slow:{}/", 1_000 + port);
        world.shaped(single(project, every, &url), jobs / ports);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn six_hundred_calls_that_hang_delay_nobody_elses() {
    let mut world = World::new();
    world.fair(64, 1_024);
    world.slow("http://slow", 86_400_000);
    let other = world.project("other");
    world.start();
    attack(&world, other, 10, 600, "@every 1s");
    assert!(beside(&world, 12).await.iter().all(|lag| *lag == 0));
    let hanging = world.seen().iter().filter(|call| call.url != HEALTHY).count();
    assert!(hanging > 320, "more than ever hung: {hanging}");
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_receivers_that_take_25_seconds_delay_nobody_elses() {
    let mut world = World::new();
    world.fair(8, 64);
    world.slow("http://slow", 25_000);
    let other = world.project("other");
    world.start();
    attack(&world, other, 8, 160, "@every 10s");
    assert!(beside(&world, 32).await.iter().all(|lag| *lag == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_destinations_that_take_a_little_less_than_a_second_delay_nobody_elses() {
    let mut world = World::new();
    // Forty workers: the healthy twenty fit into half of them.
    world.fair(40, 128);
    world.slow("http://slow", 900);
    let other = world.project("other");
    world.start();
    attack(&world, other, 50, 400, "@every 1s");
    assert!(beside(&world, 15).await.iter().all(|lag| *lag == 0));
}

/// What the store says of a job's results.
fn results(world: &World, job: JobId) -> Vec<(Verdict, Option<String>)> {
    let records = world.records(shard_of(job)).into_iter().map(|recorded| recorded.record);
    let of = records.filter(|record| record.members.contains(job));
    of.map(|record| (record.verdict, record.error)).collect()
}

/// Jobs of one batch, the call of which hangs; their first id.
async fn hang(world: &World, n: u64, retry_max: u32) -> JobId {
    world.hang(&[HEALTHY]);
    let jobs = JobDefinition { retry_max: Some(retry_max), ..definition("@every 1000s", HEALTHY) };
    let first = world.shaped(jobs, n);
    world.settle().await;
    world.pass(1_000_000, 500_000).await;
    assert_eq!(world.seen().len(), 1);
    first
}

/// Waits until the store has the end of a deleted job's occurrence.
async fn ended(world: &World, job: JobId) {
    for _ in 0..200 {
        let last = results(world, job).pop().map(|(verdict, _)| verdict);
        if last == Some(Verdict::Skipped(SkipReason::Ended)) {
            return;
        }
        collected(world).await;
    }
    panic!("{:?}", results(world, job));
}

async fn collected(world: &World) {
    for _ in 0..3 {
        world.settle().await;
        world.collect();
    }
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_hangs_ends_with_its_last_job_and_is_not_made_again() {
    for retry_max in [0, 3] {
        let mut world = World::new();
        world.start();
        let first = hang(&world, 2, retry_max).await;
        let act = |job, action| Command::ChangeJobs { jobs: vec![(job, 1)], action, by: None };
        world.apply(&act(first, JobAction::Delete));
        world.apply(&act(first + 1, JobAction::Pause { until: None }));
        collected(&world).await;
        assert_eq!(results(&world, first), [], "the other one still waits for the answer");
        world.apply(&act(first + 1, JobAction::Delete));
        ended(&world, first).await;
        // An attempt that failed, and the end of an occurrence whose job is gone: no dead letter.
        for job in [first, first + 1] {
            let ended = results(&world, job);
            let [(Verdict::Retry { .. }, Some(error)), (end, None)] = &ended[..] else {
                panic!("{ended:?}")
            };
            assert_eq!((error.as_str(), *end), ("ended", Verdict::Skipped(SkipReason::Ended)));
        }
        assert_eq!(world.rows(shard_of(first)), []);
        world.hang(&[]);
        world.pass(60_000, 5_000).await;
        assert_eq!(world.seen().len(), 1, "nothing of it is sent again");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_hangs_ends_with_its_project() {
    let mut world = World::new();
    world.start();
    let job = hang(&world, 1, 3).await;
    let delete = Command::DeleteProject { id: 1, cascade: true, expect: None };
    assert_eq!(world.apply(&delete), Outcome::Done);
    ended(&world, job).await;
    assert_eq!(world.rows(shard_of(job)), []);
    // What is in the journal says the same to whoever comes next.
    world.stop().await;
    world.start();
    collected(&world).await;
    assert_eq!((results(&world, job).len(), world.seen().len()), (2, 1));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_project_lets_what_was_sent_be_answered() {
    let mut world = World::new();
    world.start();
    let job = hang(&world, 1, 3).await;
    let (pause, _) = super::world::pause_and_resume(job, true);
    world.apply(&pause);
    collected(&world).await;
    assert_eq!(results(&world, job), []);
    world.hang(&[]);
    collected(&world).await;
    assert_eq!(results(&world, job), [(Verdict::Delivered, None)]);
    world.stop().await;
}
