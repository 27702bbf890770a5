//! Faults of the node's own program: a kind of target that it does not know, and executors that
//! panic or forget jobs. No defect stops other jobs, and none is silent.

use serde_json::json;

use super::fixture::{Letters, T0, WorkerFixture, collected, definition, later};
use crate::command::{Command, Outcome};
use crate::executor::memory::Defect;
use crate::model::attempt::Verdict;
use crate::model::job::JobDefinition;
use crate::model::target::Executor;

/// The dead jobs of shard 0 and why they are dead.
fn dead(worker: &WorkerFixture) -> Vec<(u64, String)> {
    let records = worker.records(0).into_iter().map(|stored| stored.record);
    let dead = records.filter(|record| record.verdict == Verdict::Dead);
    let each = dead.flat_map(|record| {
        let error = record.error.unwrap_or_default();
        record.members.iter().map(move |job| (job, error.clone())).collect::<Vec<_>>()
    });
    each.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_this_node_does_not_know_is_put_off_and_says_so() {
    let mut worker = WorkerFixture::new();
    worker.start();
    let executor = Executor {
        name: "e".to_owned(),
        kind: "of a newer node".to_owned(),
        settings: Some(Box::new(json!({}))),
        ..Executor::default()
    };
    let Outcome::Created(id) = worker.apply(&Command::CreateExecutor(executor)) else {
        panic!("no executor");
    };
    let first =
        worker.create(JobDefinition { executor: Some(id), ..definition("@every 10000s", "") }, 2);
    worker.settle().await;
    worker.pass(10_000_000, 5_000_000).await;
    collected(&worker).await;
    let row = worker.rows(0).remove(0);
    assert_eq!((row.members.len(), row.attempt), (2, 1));
    let waits = row.postponement().unwrap().waits_for();
    let expected = "its node cannot call of a newer node: its program does not know type of a \
                    newer node: upgrade it";
    assert_eq!(waits, expected);
    assert_eq!((worker.records(0).len(), worker.seen().len()), (0, 0), "no attempt: {first}");
    // It is looked at again and again, and not for ever.
    for _ in 0..60 {
        worker.pass(60_000, 30_000).await;
        collected(&worker).await;
    }
    assert_eq!(worker.pending(0), 1);
    for _ in 0..10 {
        worker.pass(60_000, 30_000).await;
        collected(&worker).await;
    }
    let why = "its node could not make the call: its program does not know type of a newer node: \
               upgrade it";
    assert_eq!(dead(&worker), [(first, why.to_owned()), (first + 1, why.to_owned())]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_panics_at_its_settings_holds_up_its_own_jobs_alone() {
    for defect in [Defect::Grouping, Defect::Address] {
        let mut fixture = Letters::start();
        fixture.fail(defect);
        let first = fixture.send(3).await;
        let row = fixture.worker.rows(0).remove(0);
        assert_eq!((row.members.len(), row.attempt), (3, 1), "{defect:?}");
        let waits = row.postponement().unwrap().waits_for();
        let expected = "its node cannot call memory: its program fails at these settings of type \
                        memory: see its log, upgrade it";
        assert_eq!(waits, expected, "{defect:?}");
        fixture.fail(Defect::None);
        later(&fixture.worker, 6_000).await;
        collected(&fixture.worker).await;
        assert_eq!(fixture.confirmed(), [(first, 1), (first + 1, 1), (first + 2, 1)], "{defect:?}");
        fixture.worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_at_which_its_executor_panics_is_dead_and_its_neighbours_go_out() {
    for at in [Defect::At as fn(u64) -> Defect, Defect::Finish] {
        let mut fixture = Letters::start();
        let first = fixture.create(6);
        fixture.fail(at(first + 2));
        fixture.worker.settle().await;
        fixture.worker.pass(1_000_000, 500_000).await;
        collected(&fixture.worker).await;
        let all = dead(&fixture.worker);
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!(all[0].0, first + 2);
        assert!(all[0].1.starts_with("poison: the program of its node failed"), "{}", all[0].1);
        assert_eq!((fixture.with_verdict("delivered"), fixture.worker.pending(0)), (5, 0));
        fixture.worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_its_renderer_leaves_out_is_dead() {
    let mut fixture = Letters::start();
    let first = fixture.create(6);
    fixture.fail(Defect::LeavesOut(first + 4));
    fixture.worker.settle().await;
    fixture.worker.pass(1_000_000, 500_000).await;
    collected(&fixture.worker).await;
    let why = "type memory wrote no request for it".to_owned();
    assert_eq!(dead(&fixture.worker), [(first + 4, why)]);
    assert_eq!(fixture.with_verdict("delivered"), 5);
    fixture.worker.apply(&Command::Tick);
    fixture.worker.pass(2_000, 1_000).await;
    fixture.worker.collect();
    assert!(fixture.worker.shard(0).watermark >= T0 + 1_000_000, "nothing stays open");
    fixture.worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_which_its_executor_panics_has_failed() {
    let mut fixture = Letters::start();
    fixture.fail(Defect::Send);
    fixture.send(3).await;
    let record = fixture.worker.records(0).remove(0).record;
    assert_eq!((record.verdict.name(), record.members.len()), ("failed", 3));
    let error = record.error.unwrap_or_default();
    assert_eq!(error, "the program of its node failed while it made the call: see its log");
    fixture.fail(Defect::None);
    later(&fixture.worker, 10_000).await;
    collected(&fixture.worker).await;
    assert_eq!((fixture.with_verdict("delivered"), fixture.worker.pending(0)), (3, 0));
    fixture.worker.stop().await;
}
