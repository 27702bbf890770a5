//! What becomes of occurrences that earlier processes of the node died with.

use super::world::{T0, World, definition};
use crate::command::Command;
use crate::model::attempt::Verdict;
use crate::model::job::JobDefinition;
use crate::model::shard::shard_of;
use crate::model::target::HttpTarget;

const URL: &str = "http://receiver/a";
const DUE: i64 = T0 + 10_000;

/// The jobs of each request that came for an instant, in order.
fn requests(world: &World, due: i64) -> Vec<Vec<u64>> {
    let mut jobs: Vec<_> =
        world.seen().iter().filter(|seen| seen.at == due).map(|seen| seen.jobs.clone()).collect();
    jobs.sort();
    jobs
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_batch_that_a_process_died_with_each_goes_alone_and_poison_not_at_all() {
    let mut world = World::new();
    let first = world.jobs("@every 10s", URL, 5);
    world.dies_writing(DUE, &[first, first + 1, first + 2]);
    world.dies_writing(DUE, &[first + 1]);
    world.start();
    world.settle().await;
    world.pass(10_000, 1_000).await;
    world.settle().await;
    assert_eq!(requests(&world, DUE), [vec![first], vec![first + 2], vec![first + 3, first + 4]]);
    let dead = |world: &World| -> Vec<_> {
        let of = world.records(shard_of(first)).into_iter().map(|recorded| recorded.record);
        of.filter(|record| record.verdict == Verdict::Dead).collect()
    };
    world.collect();
    let letters = dead(&world);
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].members.iter().collect::<Vec<_>>(), [first + 1]);
    let error = letters[0].error.clone().unwrap_or_default();
    assert!(error.starts_with("poison: 2 processes"), "{error}");
    let explained = format!("{:?}", world.explained(first + 1, world.time.now()));
    assert!(explained.contains("poison: 2 processes"), "{explained}");
    // The next instant is another occurrence, and a replay another attempt.
    let letters = vec![(1, world.time.now())];
    world.apply(&Command::ReplayDeadLetters { letters });
    world.settle().await;
    world.pass(10_000, 1_000).await;
    assert_eq!(requests(&world, DUE + 10_000), [(first..first + 5).collect::<Vec<_>>()]);
    assert_eq!(world.calls_of(first + 1), [(10, 2), (20, 1)]);
    world.collect();
    assert_eq!(dead(&world).len(), 1, "it was not given up again");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_request_of_its_own_is_given_up_and_its_neighbours_go_out() {
    let mut world = World::new();
    let http = HttpTarget { method: "PUT".into(), url: URL.into(), ..HttpTarget::default() };
    let single = JobDefinition { http: Some(Box::new(http)), ..definition("@every 10s", "") };
    let first = world.shaped(single, 3);
    world.dies_writing(DUE, &[first, first + 1]);
    world.dies_writing(DUE, &[first]);
    world.start();
    world.settle().await;
    world.pass(10_000, 1_000).await;
    world.settle().await;
    assert_eq!(world.calls_of(first), []);
    assert_eq!(world.calls_of(first + 1), [(10, 1)]);
    assert_eq!(world.calls_of(first + 2), [(10, 1)]);
    world.apply(&Command::Tick);
    world.pass(2_000, 1_000).await;
    world.collect();
    let verdicts = world.verdicts(shard_of(first));
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Dead.name()).count(), 1);
    assert!(world.shard(shard_of(first)).watermark >= DUE, "nothing stays open");
    world.stop().await;
}
