//! Recovery: what survives a restart, a take-over, a hand-over, the loss of a lease or of a
//! notification.

use super::fixture::{NODE, T0, WorkerFixture};
use crate::command::Command;
use crate::model::shard::{Move, MoveKind, shard_of};

const URL: &str = "http://receiver/a";

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_catches_up_with_what_was_missed_and_repeats_nothing() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let job = fixture.jobs("@every 10s", URL, 1);
    fixture.settle().await;
    fixture.pass(20_000, 1_000).await;
    // Nothing is collected: only the own journal knows what was delivered.
    fixture.stop().await;
    fixture.clock.advance(std::time::Duration::from_secs(25));
    fixture.start();
    fixture.settle().await;
    fixture.pass(6_000, 1_000).await;
    let mut calls: Vec<_> = fixture.seen().iter().map(|call| call.scheduled.clone()).collect();
    calls.sort();
    let want: Vec<_> = (1..=5).map(|k| crate::model::time::rfc3339(T0 + k * 10_000)).collect();
    assert_eq!(calls, want, "job {job}");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_take_over_skips_what_has_an_end_state_and_fires_the_rest() {
    let mut fixture = WorkerFixture::new();
    let job = fixture.jobs("@every 10s", URL, 2);
    fixture.start();
    fixture.pass(10_000, 1_000).await;
    fixture.collect();
    // The watermark is behind: the second instant is delivered and recorded, the watermark is not.
    fixture.stop().await;
    let epoch = fixture.shard(0).epoch;
    fixture.apply(&Command::Assign(vec![Move {
        shard: shard_of(job),
        to: NODE,
        expects: epoch,
        kind: MoveKind::TakeOver,
    }]));
    fixture.clock.advance(std::time::Duration::from_secs(15));
    fixture.start();
    fixture.settle().await;
    let fences: Vec<_> = fixture.seen().iter().map(|c| (c.scheduled.clone(), c.fence)).collect();
    let at = |k: i64| crate::model::time::rfc3339(T0 + k * 10_000);
    assert_eq!(fences, [(at(1), epoch), (at(2), epoch + 1)]);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_long_outage_only_the_newest_fires_and_the_rest_is_one_skip() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let job = fixture.jobs("@every 60s", URL, 5);
    fixture.settle().await;
    fixture.pass(60_000, 10_000).await;
    fixture.collect();
    fixture.stop().await;
    fixture.clock.advance(std::time::Duration::from_hours(1));
    fixture.start();
    fixture.settle().await;
    fixture.pass(1_000, 1_000).await;
    fixture.collect();
    assert_eq!(fixture.calls_of(job), [(60, 1), (3_660, 1)]);
    let records = fixture.records(0);
    let skip = records.iter().find(|b| b.record.verdict.name() == "skipped").unwrap();
    assert_eq!(skip.record.since, Some(T0 + 120_000));
    assert_eq!((skip.record.due, skip.record.members.len()), (T0 + 3_600_000, 5));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closing_range_stops_at_its_promise_and_says_so() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let job = fixture.jobs("@every 10s", URL, 1);
    fixture.settle().await;
    fixture.pass(10_000, 1_000).await;
    let until = T0 + 25_000;
    fixture.lease.promise(0, 1, until);
    let kind = MoveKind::HandOver { until };
    fixture.apply(&Command::Assign(vec![Move { shard: 0, to: 2, expects: 1, kind }]));
    fixture.settle().await;
    for _ in 0..6 {
        fixture.pass(5_000, 1_000).await;
        fixture.apply(&Command::Tick);
        fixture.settle().await;
        fixture.pass(1_000, 500).await;
        fixture.collect();
        fixture.settle().await;
    }
    assert_eq!(fixture.calls_of(job), [(10, 1), (20, 1)], "nothing after the hand-over instant");
    // The new owner sends beside it: a receiver that fences must take both.
    let fences: Vec<_> = fixture.seen().iter().map(|call| call.fence).collect();
    assert_eq!(fences, [1, 2]);
    let shard = fixture.shard(0);
    assert_eq!((shard.owner, shard.settled(), shard.closing), (2, until, None));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_lease_nothing_goes_out_not_even_what_is_built() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let job = fixture.jobs("@every 10s", URL, 1);
    fixture.settle().await;
    fixture.pass(9_950, 9_950).await;
    fixture.lease.give(false);
    fixture.pass(10_000, 1_000).await;
    assert!(fixture.seen().is_empty());
    fixture.lease.give(true);
    fixture.settle().await;
    fixture.pass(1_000, 1_000).await;
    let caught_up: Vec<_> = fixture.seen().into_iter().map(|call| call.scheduled).collect();
    assert_eq!(caught_up, ["2025-11-21T04:40:10Z", "2025-11-21T04:40:20Z"], "job {job}, once each");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_request_is_the_new_owners_business() {
    let mut fixture = WorkerFixture::new();
    fixture.answer_with(|seen| (if seen.fence == 1 { 412 } else { 200 }, String::new()));
    fixture.start();
    let job = fixture.jobs("@every 10s", URL, 1);
    fixture.settle().await;
    fixture.pass(10_000, 1_000).await;
    assert_eq!(fixture.calls_of(job), [(10, 1)]);
    // The store catches up with what the receiver knew: another epoch, ours again.
    fixture.apply(&Command::Assign(vec![Move {
        shard: 0,
        to: NODE,
        expects: 1,
        kind: MoveKind::TakeOver,
    }]));
    fixture.settle().await;
    fixture.pass(3_000, 500).await;
    let fences: Vec<_> = fixture.seen().iter().map(|call| call.fence).collect();
    assert_eq!(fences, [1, 2]);
    fixture.collect();
    assert_eq!(fixture.verdicts(0), ["delivered"]);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_change_of_everything_is_to_read_everything() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let job = fixture.jobs("@every 10s", URL, 1);
    fixture.settle().await;
    fixture.pass(15_000, 1_000).await;
    fixture.publish_replaced();
    fixture.settle().await;
    fixture.pass(10_000, 1_000).await;
    assert_eq!(fixture.calls_of(job), [(10, 1), (20, 1)], "nothing twice, nothing missed");
    assert_eq!(fixture.job(job).id, job);
    fixture.stop().await;
}

/// A measurement of a restart with a million jobs, no check: see `queue_costs`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn restart_costs() {
    let mut fixture = WorkerFixture::new();
    for _ in 0..1_000 {
        fixture.jobs("@every 60s", URL, 1_000);
    }
    fixture.clock.advance(std::time::Duration::from_secs(59));
    let before = memory();
    let begun = std::time::Instant::now();
    fixture.start();
    let mut first = None;
    while fixture.ownerships() < 64 {
        if fixture.ownerships() > 0 {
            first.get_or_insert(begun.elapsed());
        }
        tokio::task::yield_now().await;
    }
    println!("first part after {first:?}, all after {:?}", begun.elapsed());
    println!("{} KB more anonymous memory", memory() - before);
    let begun = std::time::Instant::now();
    fixture.clock.advance(std::time::Duration::from_secs(1));
    while fixture.seen().iter().map(|call| call.jobs.len()).sum::<usize>() < 1_000_000 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    println!("a million jobs of one instant sent in {:?}", begun.elapsed());
}

/// The anonymous memory of this process, in KB.
fn memory() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
