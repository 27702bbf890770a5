//! Deferral: what a destination does not take at the moment becomes one pending row, and is sent or
//! dead-lettered later.

use std::time::Duration;

use super::fixture::{T0, WorkerFixture, collected, definition, later, single};
use crate::command::{Command, JobAction, ProjectAction};
use crate::model::attempt::{AttemptRecord, ResultOrigin, SkipReason, Verdict};
use crate::model::job::{JobDefinition, Timing};
use crate::model::shard::shard_of;

const URL: &str = "http://receiver/a";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_closed_destination_does_not_take_waits_in_the_store_as_one() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    fixture.close(URL, T0 + 25_000);
    let first = fixture.create(single("@every 1000s", URL), 40);
    let other = fixture.jobs("@every 1000s", "http://receiver/b", 1);
    fixture.settle().await;
    fixture.clock.advance(Duration::from_secs(1_000));
    fixture.close(URL, T0 + 1_020_000);
    fixture.settle().await;
    fixture.settle().await;
    assert_eq!((fixture.seen().len(), fixture.calls_of(other).len()), (1, 1));
    let records: Vec<AttemptRecord> = fixture.journaled();
    let deferred: Vec<_> = records.iter().filter(|b| b.verdict.name() == "postponed").collect();
    assert_eq!((deferred.len(), deferred[0].members.len()), (1, 40), "one, not one a job");
    assert_eq!(deferred[0].verdict, Verdict::Postponed { at: T0 + 1_020_000 });
    assert_eq!((deferred[0].attempt, deferred[0].origin), (1, ResultOrigin::Answer));
    fixture.apply(&Command::Tick);
    fixture.pass(6_000, 500).await;
    assert!(fixture.calls_of(first).is_empty());
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_too_long_for_a_slow_destination_is_deferred() {
    let mut fixture = WorkerFixture::new();
    // One worker and a queue of two give a share of two.
    fixture.workers(1, 2);
    fixture.hang(&[URL]);
    fixture.start();
    let definition = single("@every 1000s", URL);
    fixture.create(definition, 20);
    fixture.settle().await;
    fixture.clock.advance(Duration::from_secs(1_000));
    fixture.settle().await;
    assert!(fixture.journaled().is_empty(), "still patient");
    fixture.pass(11_000, 1_000).await;
    let records = fixture.journaled();
    let members: u64 = records.iter().map(|b| b.members.len()).sum();
    assert_eq!((records.len(), members), (1, 18), "{records:?}");
    assert!(matches!(records[0].verdict, Verdict::Postponed { at } if at >= T0 + 1_015_000));
    fixture.hang(&[]);
    fixture.settle().await;
    assert_eq!(fixture.seen().len(), 2);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn for_a_destination_that_hangs_little_is_written_and_the_rest_is_deferred_as_one() {
    let mut fixture = WorkerFixture::new();
    fixture.hang(&[URL]);
    fixture.start();
    fixture.create(single("@every 1000s", URL), 1_000);
    fixture.settle().await;
    fixture.clock.advance(Duration::from_secs(1_000));
    fixture.settle().await;
    fixture.pass(11_000, 1_000).await;
    let records = fixture.journaled();
    let members: u64 = records.iter().map(|b| b.members.len()).sum();
    // 64 under way and a stride of 52 behind them, of 16 shards.
    assert_eq!(members, 1_000 - 116);
    assert!(records.len() <= 16, "{} blocks", records.len());
    assert!(records.iter().all(|b| matches!(b.verdict, Verdict::Postponed { .. })));
    fixture.hang(&[]);
    fixture.settle().await;
    assert_eq!(fixture.seen().len(), 116);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_paused_project_a_row_that_was_never_tried_is_skipped() {
    let mut fixture = WorkerFixture::new();
    let once =
        JobDefinition { timing: Timing::After(0), spec: String::new(), ..definition("", URL) };
    fixture.apply(&Command::project_action(1, ProjectAction::Pause { until: None }, None));
    fixture.clock.advance(Duration::from_secs(1));
    fixture.start();
    let job = fixture.create(once, 1);
    fixture.jobs("@every 1s", URL, 1);
    later(&fixture, 3_000).await;
    collected(&fixture).await;
    assert!(fixture.seen().is_empty());
    let records = fixture.records(shard_of(job));
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0].record.verdict, Verdict::Skipped(SkipReason::Paused));
    assert_eq!(fixture.rows(shard_of(job)), []);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deferred_goes_out_once_when_the_destination_takes_it() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let first = fixture.create(single("@every 1000s", URL), 20);
    fixture.settle().await;
    fixture.close(URL, T0 + 1_020_000);
    fixture.clock.advance(Duration::from_secs(1_000));
    fixture.settle().await;
    collected(&fixture).await;
    let rows = fixture.rows(shard_of(first));
    assert_eq!((rows.len(), rows[0].attempt, rows[0].next_at), (1, 1, T0 + 1_020_000));
    fixture.pass(19_000, 1_000).await;
    assert!(fixture.seen().is_empty());
    fixture.pass(2_000, 500).await;
    let mut jobs: Vec<_> = fixture.seen().into_iter().flat_map(|call| call.jobs).collect();
    jobs.sort_unstable();
    assert_eq!(jobs, (first..first + 20).collect::<Vec<_>>());
    assert!(fixture.seen().iter().all(|call| call.attempt == 1));
    collected(&fixture).await;
    assert_eq!(fixture.rows(shard_of(first)), []);
    assert_eq!(fixture.verdicts(shard_of(first)), ["delivered"; 20]);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deferred_for_too_long_is_dead() {
    let mut fixture = WorkerFixture::new();
    fixture.options.retry_max = 0;
    fixture.start();
    let first = fixture.create(single("@every 100000s", URL), 5);
    fixture.settle().await;
    fixture.close(URL, T0 + 200_000_000);
    fixture.clock.advance(Duration::from_secs(100_000));
    fixture.settle().await;
    collected(&fixture).await;
    assert_eq!(fixture.rows(shard_of(first)).len(), 1);
    // The breaker names the next look. It is closed still, and the patience of an hour is over.
    fixture.clock.advance(Duration::from_secs(100_001));
    fixture.close(URL, T0 + 300_000_000);
    fixture.settle().await;
    collected(&fixture).await;
    let records = fixture.records(shard_of(first));
    let dead: Vec<_> = records.iter().filter(|b| b.record.verdict == Verdict::Dead).collect();
    assert_eq!((dead.len(), dead[0].record.members.len()), (1, 5), "{records:?}");
    assert!(dead[0].record.error.as_deref().unwrap().contains("has been failing since"));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deferred_is_deferred_when_it_is_due() {
    let mut fixture = WorkerFixture::new();
    fixture.close(URL, T0 + 12_000);
    fixture.start();
    let job = fixture.jobs("@every 10s", URL, 1);
    fixture.settle().await;
    fixture.pass(9_950, 9_950).await;
    assert_eq!(fixture.journaled(), []);
    let jobs = vec![(job, 1)];
    let action = JobAction::Pause { until: None };
    fixture.apply(&Command::ChangeJobs { jobs, action, by: None });
    later(&fixture, 2_000).await;
    collected(&fixture).await;
    fixture.apply(&Command::Tick);
    later(&fixture, 30_000).await;
    collected(&fixture).await;
    assert_eq!((fixture.calls_of(job), fixture.rows(shard_of(job))), (vec![], vec![]));
    assert!(fixture.shard(0).watermark > T0 + 10_000);
    fixture.stop().await;
}
