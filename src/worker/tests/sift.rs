//! A batch whose last attempt fails as one goes out once more in pieces.

use super::world::{T0, World, definition};
use crate::command::Command;
use crate::model::JobId;
use crate::model::attempt::{SkipReason, Verdict};
use crate::model::job::JobDefinition;

const URL: &str = "http://receiver/a";

/// A world with so many jobs of one batch, due once, without retries unless told so.
async fn batch(world: &mut World, n: u64, retry_max: u32) -> JobId {
    world.start();
    let jobs = JobDefinition { retry_max: Some(retry_max), ..definition("@every 1000s", URL) };
    let first = world.shaped(jobs, n);
    world.settle().await;
    world.clock.advance(std::time::Duration::from_secs(1_000));
    world.settle().await;
    first
}

/// The jobs that were given up, by dead letter, and how many were delivered.
fn outcome(world: &World) -> (Vec<Vec<JobId>>, u64) {
    let records = world.journaled();
    let of = |verdict| records.iter().filter(move |record| record.verdict == verdict);
    let mut dead: Vec<Vec<_>> =
        of(Verdict::Dead).map(|record| record.members.iter().collect()).collect();
    dead.sort();
    (dead, of(Verdict::Delivered).map(|record| record.members.len()).sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_poison_job_does_not_sink_its_neighbours() {
    for status in [500, 503, 0] {
        let mut world = World::new();
        world.says(move |seen| {
            let bad = seen.data.iter().any(|data| data == "d7");
            (if bad { status } else { 200 }, String::new())
        });
        let first = batch(&mut world, 40, 0).await;
        assert_eq!(outcome(&world), (vec![vec![first + 7]], 39), "{status}");
        let calls = world.seen();
        assert_eq!(calls.len(), 1 + 8 + 5, "{status}: halves of eighths, then one by one");
        assert!(calls.iter().all(|call| call.attempt == 1), "it is the same attempt");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_out_in_pieces_at_the_last_attempt_alone() {
    let mut world = World::new();
    world.says(|seen| {
        let bad = seen.data.iter().any(|data| data == "d0" || data == "d39");
        (if bad { 500 } else { 200 }, String::new())
    });
    let first = batch(&mut world, 40, 1).await;
    assert_eq!(world.seen().len(), 1);
    world.collect();
    world.settle().await;
    world.pass(7_000, 500).await;
    assert_eq!(outcome(&world), (vec![vec![first], vec![first + 39]], 38));
    assert_eq!(world.seen().len(), 2 + 8 + 10);
    world.collect();
    world.settle().await;
    assert_eq!(world.pending(0), 0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_receiver_costs_three_calls_more_and_stays_one_dead_letter() {
    let mut world = World::new();
    world.says(|_| (500, String::new()));
    let first = batch(&mut world, 60, 0).await;
    assert_eq!(outcome(&world), (vec![(first..first + 60).collect()], 0));
    assert_eq!(world.seen().len(), 1 + 3);
    let error = world.journaled()[0].error.clone().unwrap();
    assert_eq!(error, "status 500; so did the 3 pieces of it that were sent then");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_reached_its_receiver_is_no_jobs_fault() {
    let mut world = World::new();
    world.says(|_| (0, "not sent".to_owned()));
    let first = batch(&mut world, 60, 0).await;
    assert_eq!(outcome(&world), (vec![(first..first + 60).collect()], 0));
    assert_eq!(world.seen().len(), 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_fail_a_batch_is_not_called_for_one_by_one() {
    let mut world = World::new();
    // One in eleven, but for the first of all: there is no end of pieces to try.
    world.says(|seen| {
        let number = |data: &String| data[1..].parse::<u64>().unwrap();
        let bad = seen.data.iter().any(|data| number(data) >= 200 && number(data) % 11 == 0);
        (if bad { 500 } else { 200 }, String::new())
    });
    world.start();
    // Runs of 64 belong to one shard each.
    let first = world.shaped(
        JobDefinition { retry_max: Some(0), ..definition("@every 1000s", URL) },
        64 * 64 * 20,
    );
    world.settle().await;
    world.clock.advance(std::time::Duration::from_secs(1_000));
    world.settle().await;
    // Pieces beyond the destination's share wait for their turn.
    let ended = |world: &World| world.journaled().iter().map(|b| b.members.len()).sum::<u64>();
    let end = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while ended(&world) < 64 * 64 * 20 && std::time::Instant::now() < end {
        world.settle().await;
    }
    assert_eq!(ended(&world), 64 * 64 * 20, "each has one end");
    let mut calls = std::collections::BTreeMap::new();
    for call in world.seen() {
        *calls.entry(crate::model::shard::shard_of(call.jobs[0])).or_insert(0) += 1;
    }
    assert!(calls.values().all(|calls| *calls <= 1 + 64), "{calls:?} from {first} at {T0}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_that_could_not_be_sent_are_no_failures() {
    // The node has no descriptor for any piece, or for all but the first, which fails.
    for first_fails in [false, true] {
        let mut world = World::new();
        world.says(move |seen| match seen.at {
            _ if seen.data.len() == 60 => (500, String::new()),
            _ if first_fails && seen.data.iter().any(|data| data == "d0") => (500, String::new()),
            at if at < T0 + 1_006_000 => (200, "no descriptor".to_owned()),
            _ => (200, String::new()),
        });
        let first = batch(&mut world, 60, 0).await;
        let dead = if first_fails { vec![vec![first]] } else { vec![] };
        assert!(outcome(&world).0.iter().all(|given_up| given_up.len() == 1));
        world.collect();
        world.settle().await;
        assert!(world.rows(0).iter().all(|row| row.attempt == 1));
        for _ in 0..3 {
            world.pass(6_000, 1_000).await;
            world.collect();
            world.settle().await;
        }
        assert_eq!(world.pending(0), 0);
        let (mut given_up, mut delivered) = (Vec::new(), 0);
        for recorded in world.records(0) {
            match recorded.record.verdict {
                Verdict::Dead => given_up.push(recorded.record.members.iter().collect::<Vec<_>>()),
                _ => delivered += recorded.record.members.len(),
            }
        }
        assert_eq!((given_up, delivered), (dead.clone(), 60 - dead.len() as u64), "{first_fails}");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_that_hang_one_after_the_other_are_given_up_as_they_are() {
    let mut world = World::new();
    let clock = std::sync::Arc::clone(&world.clock);
    world.says(move |seen| {
        if seen.data.len() < 60 && seen.data.iter().any(|data| data == "d0") {
            return (200, String::new());
        }
        // What hangs takes the 30 s that it may.
        clock.advance(std::time::Duration::from_secs(30));
        (0, String::new())
    });
    let first = batch(&mut world, 60, 0).await;
    let (dead, delivered) = outcome(&world);
    let sizes: Vec<_> = dead.iter().map(Vec::len).collect();
    assert_eq!((sizes, delivered), (vec![8, 8, 8, 8, 8, 8, 4], 8), "{first}: no single jobs");
    assert_eq!(world.seen().len(), 1 + 8);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_that_is_not_to_be_sent_any_more_is_not_given_up_with_the_others() {
    let mut world = World::new();
    let (store, first) = (world.store(), std::sync::Arc::new(std::sync::OnceLock::new()));
    let known = std::sync::Arc::clone(&first);
    world.says(move |seen| {
        if seen.data.len() == 8
            && let Some(first) = known.get()
        {
            // While the whole batch fails, the one in its middle, a piece that goes first, is deleted.
            store.apply_at(T0 + 1_000_001, &Command::DeleteJob { id: first + 4, expect: None });
        }
        (500, String::new())
    });
    world.start();
    let jobs = JobDefinition { retry_max: Some(0), ..definition("@every 1000s", URL) };
    first.set(world.shaped(jobs, 8)).unwrap();
    let first = *first.get().unwrap();
    world.settle().await;
    world.clock.advance(std::time::Duration::from_secs(1_000));
    let end = std::time::Instant::now() + std::time::Duration::from_mins(1);
    let ends = |world: &World| {
        let records = world.journaled();
        let each = records.iter().flat_map(|record| {
            record.members.iter().map(move |job| (job, matches!(record.verdict, Verdict::Dead)))
        });
        let mut each: Vec<_> = each.collect();
        each.sort_unstable();
        each
    };
    while ends(&world).len() < 8 && std::time::Instant::now() < end {
        world.settle().await;
    }
    let expected: Vec<_> = (first..first + 8).map(|job| (job, job != first + 4)).collect();
    assert_eq!(ends(&world), expected, "{:?}", world.journaled());
    let skipped = Verdict::Skipped(SkipReason::Ended);
    assert!(world.journaled().iter().any(|record| record.verdict == skipped));
    world.stop().await;
}
