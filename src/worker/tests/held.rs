//! What is held back although it is due: by a breaker, by `Retry-After`, by the node itself; and what
//! is said of it afterwards.

use std::time::Duration;

use super::world::{T0, World, definition};
use crate::command::{Command, Outcome};
use crate::model::JobId;
use crate::model::attempt::Verdict;
use crate::model::job::JobDefinition;
use crate::model::postponement::{Obstacle, parts};

const URL: &str = "http://receiver:3000/a";

fn job(world: &World, retry_max: u32) -> JobId {
    world.shaped(JobDefinition { retry_max: Some(retry_max), ..definition("@every 1000s", URL) }, 1)
}

async fn due(world: &World) {
    world.settle().await;
    world.clock.advance(Duration::from_secs(1_000));
    world.settle().await;
    world.collect();
    world.settle().await;
}

/// What the results so far say of waiting and of errors.
fn said(world: &World) -> Vec<(&'static str, Option<String>, Option<String>)> {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let records = world.records(0).into_iter().map(|recorded| {
        let (waited, error) = parts(recorded.record.error.as_deref());
        (recorded.record.verdict.name(), owned(waited), owned(error))
    });
    records.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_breaker_held_back_says_so_while_it_waits_and_afterwards() {
    let mut world = World::new();
    world.start();
    let job = job(&world, 0);
    world.close(URL, T0 + 1_005_000);
    due(&world).await;
    let row = world.rows(0).remove(0);
    let why = row.postponement().unwrap().waits_for();
    assert_eq!((row.attempt, why.as_str()), (1, "receiver:3000 is failing"));
    // Another process finds it in the store.
    world.stop().await;
    world.start();
    world.says(|_| (500, String::new()));
    world.settle().await;
    world.pass(6_000, 500).await;
    world.collect();
    let waited = Some("waited 5.0 s: receiver:3000 was failing".to_owned());
    assert_eq!(said(&world), [("dead", waited, Some("status 500".to_owned()))]);
    assert_eq!(world.calls_of(job), [(1_005, 1)]);
    let (lag, held) = (&world.metrics.lag, &world.metrics.held_back);
    assert_eq!(lag.quantiles(0).p99, 0, "the scheduler was not late");
    assert!((5_000..6_000).contains(&held.quantiles(0).p99));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_run_is_sent_although_the_breaker_is_open() {
    let mut world = World::new();
    world.start();
    let job = job(&world, 0);
    world.close(URL, T0 + 900_000);
    world.settle().await;
    assert!(matches!(world.apply(&Command::RunJob { id: job, forced: false }), Outcome::Run(_)));
    world.settle().await;
    world.collect();
    assert_eq!(said(&world), [("delivered", None, None)]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_may_ask_to_wait_without_using_up_a_retry() {
    for status in [429, 503] {
        let mut world = World::new();
        world.says(move |seen| match seen.at {
            at if at < T0 + 1_015_000 => (status, "retry-after: 7".to_owned()),
            _ => (200, String::new()),
        });
        world.start();
        let job = job(&world, 0);
        due(&world).await;
        let row = world.rows(0).remove(0);
        assert!((T0 + 1_007_000..=T0 + 1_008_400).contains(&row.next_at), "{row:?}");
        assert_eq!(row.postponement().unwrap().waits_for(), "asked to wait by receiver:3000");
        assert_eq!(said(&world), []);
        for _ in 0..20 {
            world.pass(1_000, 500).await;
            world.collect();
            world.settle().await;
        }
        // 7 s, a little more each time: never sooner than asked.
        let calls = world.calls_of(job);
        assert_eq!(calls.len(), 3, "{calls:?}");
        assert!(calls.iter().all(|call| call.1 == 1), "{calls:?}");
        let [(outcome, Some(waited), None)] = &said(&world)[..] else { panic!("{status}") };
        assert_eq!(*outcome, "delivered");
        assert!(waited.ends_with(": was asked to wait by receiver:3000"), "{waited}");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_asked_to_wait_for_long_comes_back_less_often() {
    let mut world = World::new();
    world.says(|_| (503, "retry-after: 1".to_owned()));
    world.start();
    let definition = JobDefinition { retry_max: Some(0), ..definition("@every 100000s", URL) };
    world.shaped(definition, 1);
    world.settle().await;
    world.clock.advance(Duration::from_secs(100_000));
    // A tenth of the wait so far comes on top, at most 5 minutes.
    for (passed, more) in [(0, 0), (100_000, 10_000), (2_000_000, 210_000), (9_000_000, 300_000)] {
        world.pass(passed, passed.max(1)).await;
        world.settle().await;
        world.collect();
        world.settle().await;
        let wait = world.rows(0)[0].next_at - world.time.now();
        assert!((more + 1_000..=more + 2_000).contains(&wait), "{passed}: {wait}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_asks_for_more_than_a_day_in_all_uses_up_retries() {
    let mut world = World::new();
    world.says(|_| (503, "retry-after: 50000".to_owned()));
    world.start();
    let definition = JobDefinition { retry_max: Some(0), ..definition("@every 100000s", URL) };
    let job = world.shaped(definition, 1);
    world.settle().await;
    world.clock.advance(Duration::from_secs(100_000));
    world.settle().await;
    world.collect();
    world.settle().await;
    assert_eq!(world.rows(0).len(), 1);
    world.pass(50_050_000, 50_050_000).await;
    world.collect();
    assert_eq!((world.calls_of(job).len(), world.verdicts(0)), (2, vec!["dead"]));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_node_could_not_send_is_no_attempt() {
    let mut world = World::new();
    world.start();
    let job = job(&world, 0);
    let why = Obstacle::Node("too many open files".to_owned());
    world.holds_back(URL, T0 + 1_003_000, why);
    due(&world).await;
    assert!(matches!(world.rows(0)[..], [ref row] if row.attempt == 1));
    world.pass(6_000, 500).await;
    world.collect();
    let waited = "waited 5.0 s: its node could not call receiver:3000: too many open files";
    assert_eq!(said(&world), [("delivered", Some(waited.to_owned()), None)]);
    assert_eq!(world.calls_of(job), [(1_005, 1)]);
    assert!(world.records(0).iter().all(|record| record.record.verdict == Verdict::Delivered));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_its_node_cannot_send_ends_as_well() {
    let mut world = World::new();
    world.says(|_| (500, String::new()));
    world.start();
    let job = job(&world, 0);
    due(&world).await;
    let replayed = |world: &World| {
        let rows = world.rows(0).into_iter().filter(|row| row.attempt == 2).count();
        let records = world.records(0).into_iter().map(|recorded| recorded.record);
        (rows, records.filter(|record| record.attempt == 2).count())
    };
    let start = world.time.now();
    let letters = vec![(1, start)];
    for (until, ended) in [(1_900_000, (1, 0)), (3_800_000, (1, 0)), (9_000_000, (0, 1))] {
        let why = Obstacle::Node("no name server answers".to_owned());
        world.holds_back(URL, start + until, why);
        if until == 1_900_000 {
            world.apply(&Command::ReplayDeadLetters { letters: letters.clone() });
        } else {
            world.pass(1_950_000, 1_950_000).await;
        }
        world.settle().await;
        world.collect();
        assert_eq!(replayed(&world), ended, "an hour after it first had to wait: {until}");
    }
    assert_eq!(world.calls_of(job).len(), 1, "no attempt was made for it");
    world.stop().await;
}
