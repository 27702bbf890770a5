//! Wake-ups: what is due goes out while time stands still. With a clock that moves only when it is
//! told to, a lost wake-up would keep a request for good.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fixture::{NODE, ReceivedCall, T0, WorkerFixture, definition};
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

/// The number of calls of each job.
fn calls(fixture: &WorkerFixture) -> BTreeMap<JobId, u64> {
    let mut calls = BTreeMap::new();
    for call in fixture.seen() {
        for job in call.jobs {
            *calls.entry(job).or_default() += 1;
        }
    }
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_goes_out_while_the_clock_stands_still() {
    let mut fixture = WorkerFixture::new();
    // Few workers, so that most jobs wait for a place at their destination, but a queue that is
    // never full: otherwise building ahead would wait for the instant.
    fixture.workers(4, 1_024);
    fixture.start();
    let single = |url: &str| JobDefinition {
        http: Some(Box::new(HttpTarget { url: url.to_owned(), ..HttpTarget::default() })),
        ..definition(SPEC, "")
    };
    let first = fixture.jobs(SPEC, BATCH, 6_000);
    fixture.create(single(SINGLE), 300);
    let last = fixture.create(single(OTHER), 300) + 299;
    fixture.settle().await;
    for round in 1..=12_u64 {
        let due = T0 + (round * PERIOD) as i64;
        // In half of the rounds requests are built before they are due, in half of them after.
        let ahead = if round % 2 == 0 { 100 } else { 1_000 };
        fixture.clock.advance(Duration::from_millis((due - fixture.time.now()) as u64 - ahead));
        if ahead == 100 {
            fixture.settle().await;
        }
        match round % 6 {
            1 => fixture.publish_replaced(),
            2 => fixture.lease.give(false),
            3 => fixture.hang(&[SINGLE]),
            4 => {
                let pause = JobAction::Pause { until: None };
                for action in [pause, JobAction::Resume] {
                    let jobs = vec![(first, 200)];
                    fixture.apply(&Command::ChangeJobs { jobs, action, by: None });
                }
            }
            5 => {
                let expects = fixture.shard(0).epoch;
                let take = |shard| Move { shard, to: NODE, expects, kind: MoveKind::TakeOver };
                fixture.apply(&Command::Assign((0..SHARDS).map(take).collect()));
            }
            _ => {}
        }
        fixture.clock.advance(Duration::from_millis(ahead));
        fixture.apply(&Command::Tick);
        if round % 6 == 3 {
            // The engine does not come to rest here: the hanging calls hold all workers.
            let mut seen = fixture.receiver.seen.subscribe();
            let held = |call: &ReceivedCall| call.url == SINGLE && call.at == due;
            seen.wait_for(|all| all.iter().any(held)).await.unwrap();
        } else {
            fixture.settle().await;
        }
        fixture.lease.give(true);
        fixture.hang(&[]);
        let all = (first..=last).map(|job| (job, round)).collect::<BTreeMap<_, _>>();
        fixture.settle().await;
        let seen = calls(&fixture);
        let other: Vec<_> = all.iter().filter(|(job, n)| seen.get(*job) != Some(*n)).collect();
        assert!(other.is_empty(), "round {round}: {} are not as they should be", other.len());
        fixture.collect();
        fixture.settle().await;
    }
    fixture.stop().await;
}
