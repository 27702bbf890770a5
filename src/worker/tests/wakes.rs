//! Nobody waits for a look at the clock: what is due goes out while time stands still. With a clock
//! that only moves when it is told to, a wake-up that is lost keeps a request for good.

use std::collections::BTreeMap;
use std::time::Duration;

use super::world::{NODE, Seen, T0, World, definition};
use crate::command::{Command, JobAction};
use crate::model::JobId;
use crate::model::job::JobDefinition;
use crate::model::shard::{Move, MoveKind, SHARDS};
use crate::model::target::HttpTarget;

const BATCH: &str = "http://receiver/batch";
const SINGLE: &str = "http://receiver/single";
const OTHER: &str = "http://other/single";
/// Every ten seconds.
const SPEC: &str = "*/10 * * * * *";
const PERIOD: u64 = 10_000;

/// How often each job was called.
fn calls(world: &World) -> BTreeMap<JobId, u64> {
    let mut calls = BTreeMap::new();
    for call in world.seen() {
        for job in call.jobs {
            *calls.entry(job).or_default() += 1;
        }
    }
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_goes_out_while_the_clock_stands_still() {
    let mut world = World::new();
    // Few workers, so that most of it waits for a place in its lane; but no full queue, behind which
    // writing ahead would wait for the instant.
    world.workers(4, 1_024);
    world.start();
    let single = |url: &str| JobDefinition {
        http: Some(Box::new(HttpTarget { url: url.to_owned(), ..HttpTarget::default() })),
        ..definition(SPEC, "")
    };
    let first = world.jobs(SPEC, BATCH, 6_000);
    world.shaped(single(SINGLE), 300);
    let last = world.shaped(single(OTHER), 300) + 299;
    world.settle().await;
    for round in 1..=12_u64 {
        let due = T0 + (round * PERIOD) as i64;
        // In half of the rounds requests are written before they are due, in half of them after.
        let ahead = if round % 2 == 0 { 100 } else { 1_000 };
        world.clock.advance(Duration::from_millis((due - world.time.now()) as u64 - ahead));
        if ahead == 100 {
            world.settle().await;
        }
        match round % 6 {
            1 => world.ring_replaced(),
            2 => world.lease.give(false),
            3 => world.hang(&[SINGLE]),
            4 => {
                let pause = JobAction::Pause { until: None };
                for action in [pause, JobAction::Resume] {
                    let jobs = vec![(first, 200)];
                    world.apply(&Command::ChangeJobs { jobs, action, by: None });
                }
            }
            5 => {
                let expects = world.shard(0).epoch;
                let take = |shard| Move { shard, to: NODE, expects, kind: MoveKind::TakeOver };
                world.apply(&Command::Assign((0..SHARDS).map(take).collect()));
            }
            _ => {}
        }
        world.clock.advance(Duration::from_millis(ahead));
        world.apply(&Command::Tick);
        if round % 6 == 3 {
            // Not until all is quiet: it holds all workers.
            let mut seen = world.receiver.seen.subscribe();
            let held = |call: &Seen| call.url == SINGLE && call.at == due;
            seen.wait_for(|all| all.iter().any(held)).await.unwrap();
        } else {
            world.settle().await;
        }
        world.lease.give(true);
        world.hang(&[]);
        let all = (first..=last).map(|job| (job, round)).collect::<BTreeMap<_, _>>();
        for _ in 0..200 {
            if calls(&world) == all {
                break;
            }
            world.settle().await;
        }
        let seen = calls(&world);
        let other: Vec<_> = all.iter().filter(|(job, n)| seen.get(*job) != Some(*n)).collect();
        assert!(other.is_empty(), "round {round}: {} are not as they should be", other.len());
        world.collect();
        world.settle().await;
    }
    world.stop().await;
}
