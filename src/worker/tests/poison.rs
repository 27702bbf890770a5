//! Poison: occurrences that earlier processes of the node died with.

use super::fixture::{T0, WorkerFixture, definition};
use crate::command::Command;
use crate::model::attempt::Verdict;
use crate::model::job::JobDefinition;
use crate::model::shard::shard_of;
use crate::model::target::HttpTarget;

const URL: &str = "http://receiver/a";
const DUE: i64 = T0 + 10_000;

/// The jobs of each request that came at an instant, in order.
fn requests(fixture: &WorkerFixture, due: i64) -> Vec<Vec<u64>> {
    let mut jobs: Vec<_> =
        fixture.seen().iter().filter(|seen| seen.at == due).map(|seen| seen.jobs.clone()).collect();
    jobs.sort();
    jobs
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_batch_that_a_process_died_with_each_goes_alone_and_poison_not_at_all() {
    let mut fixture = WorkerFixture::new();
    let first = fixture.jobs("@every 10s", URL, 5);
    fixture.die_while_building(DUE, &[first, first + 1, first + 2]);
    fixture.die_while_building(DUE, &[first + 1]);
    fixture.start();
    fixture.settle().await;
    fixture.pass(10_000, 1_000).await;
    fixture.settle().await;
    assert_eq!(requests(&fixture, DUE), [vec![first], vec![first + 2], vec![first + 3, first + 4]]);
    let dead = |fixture: &WorkerFixture| -> Vec<_> {
        let of = fixture.records(shard_of(first)).into_iter().map(|recorded| recorded.record);
        of.filter(|record| record.verdict == Verdict::Dead).collect()
    };
    fixture.collect();
    let letters = dead(&fixture);
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].members.iter().collect::<Vec<_>>(), [first + 1]);
    let error = letters[0].error.clone().unwrap_or_default();
    assert!(error.starts_with("poison: 2 processes"), "{error}");
    let explained = format!("{:?}", fixture.explained(first + 1, fixture.time.now()));
    assert!(explained.contains("poison: 2 processes"), "{explained}");
    // The next instant is another occurrence, and a replay another attempt.
    let letters = vec![(1, fixture.time.now())];
    fixture.apply(&Command::ReplayDeadLetters { letters });
    fixture.settle().await;
    fixture.pass(10_000, 1_000).await;
    assert_eq!(requests(&fixture, DUE + 10_000), [(first..first + 5).collect::<Vec<_>>()]);
    assert_eq!(fixture.calls_of(first + 1), [(10, 2), (20, 1)]);
    fixture.collect();
    assert_eq!(dead(&fixture).len(), 1, "it did not die again");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_request_of_its_own_is_dead_and_its_neighbours_go_out() {
    let mut fixture = WorkerFixture::new();
    let http = HttpTarget { method: "PUT".into(), url: URL.into(), ..HttpTarget::default() };
    let single = JobDefinition { http: Some(Box::new(http)), ..definition("@every 10s", "") };
    let first = fixture.create(single, 3);
    fixture.die_while_building(DUE, &[first, first + 1]);
    fixture.die_while_building(DUE, &[first]);
    fixture.start();
    fixture.settle().await;
    fixture.pass(10_000, 1_000).await;
    fixture.settle().await;
    assert_eq!(fixture.calls_of(first), []);
    assert_eq!(fixture.calls_of(first + 1), [(10, 1)]);
    assert_eq!(fixture.calls_of(first + 2), [(10, 1)]);
    fixture.apply(&Command::Tick);
    fixture.pass(2_000, 1_000).await;
    fixture.collect();
    let verdicts = fixture.verdicts(shard_of(first));
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Dead.name()).count(), 1);
    assert!(fixture.shard(shard_of(first)).watermark >= DUE, "nothing stays open");
    fixture.stop().await;
}
