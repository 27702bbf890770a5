//! What a worker must do, story by story.

use super::world::{NODE, T0, World, definition};
use crate::command::{Command, JobEdit};
use crate::model::job::JobStatus;
use crate::model::shard::{Move, MoveKind, shard_of};

const URL: &str = "http://receiver/a";
const OTHER: &str = "http://receiver/b";

fn edit(id: u64, spec: &str, url: &str, status: JobStatus) -> Command {
    let (definition, data) = (definition(spec, url), "new".to_owned());
    Command::UpdateJob(JobEdit { id, definition, data, status, by: None, ..JobEdit::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_fires_at_its_instants_and_w_follows() {
    let mut world = World::new();
    world.start();
    let job = world.jobs("@every 10s", URL, 1);
    world.settle().await;
    world.pass(35_000, 500).await;
    assert_eq!(world.calls_of(job), [(10, 1), (20, 1), (30, 1)]);
    let call = &world.seen()[0];
    assert_eq!((call.scheduled.as_str(), call.fence), ("2025-11-21T04:40:10Z", 1));
    assert!(call.webhook_id.ends_with(&format!("-{job:x}-{:x}", T0 + 10_000)), "{call:?}");
    world.apply(&Command::Tick);
    world.pass(6_000, 500).await;
    world.collect();
    assert_eq!(world.delivered(0), [10, 20, 30, 40]);
    let w = world.shard(0).watermark - T0;
    assert!((35_000..=41_000).contains(&w), "{w}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_one_target_and_instant_go_out_as_one_in_chunks_below_the_limit() {
    let mut world = World::new();
    world.options.payload_max_bytes = 2_000;
    world.start();
    let first = world.jobs("@every 10s", URL, 20);
    world.jobs("@every 5s", URL, 5);
    world.jobs("@every 10s", OTHER, 1);
    world.settle().await;
    world.pass(10_000, 1_000).await;
    let seen = world.seen();
    let at: Vec<_> = seen.iter().filter(|c| c.at == T0 + 10_000 && c.url == URL).collect();
    let mut jobs: Vec<_> = at.iter().flat_map(|call| call.jobs.clone()).collect();
    jobs.sort_unstable();
    assert_eq!(jobs, (first..first + 25).collect::<Vec<_>>(), "both shapes in one batch");
    let mut chunks: Vec<_> = at.iter().map(|call| call.chunk).collect();
    chunks.sort_unstable();
    assert!(chunks.len() > 1);
    assert_eq!(chunks, (0..chunks.len() as u32).collect::<Vec<_>>());
    assert_eq!(seen.iter().filter(|c| c.url == OTHER).count(), 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_pauses_and_deletes_take_effect_at_their_stamp() {
    let mut world = World::new();
    world.start();
    let edited = world.jobs("@every 10s", URL, 1);
    let paused = world.jobs("@every 10s", URL, 1);
    let deleted = world.jobs("@every 10s", URL, 1);
    world.settle().await;
    world.pass(15_000, 1_000).await;
    world.apply(&edit(edited, "@every 4s", OTHER, JobStatus::Active));
    world.apply(&edit(paused, "@every 10s", URL, JobStatus::Inactive));
    world.apply(&Command::DeleteJob { id: deleted, expect: None });
    world.settle().await;
    world.pass(15_000, 1_000).await;
    assert_eq!(world.calls_of(edited), [(10, 1), (19, 1), (23, 1), (27, 1)]);
    assert_eq!(world.calls_of(paused), [(10, 1)]);
    assert_eq!(world.calls_of(deleted), [(10, 1)]);
    let last = world.seen().pop().unwrap();
    assert_eq!((last.url.as_str(), last.data), (OTHER, vec!["new".to_owned()]));
    world.apply(&edit(paused, "@every 10s", URL, JobStatus::Active));
    world.settle().await;
    world.pass(10_000, 1_000).await;
    assert_eq!(world.calls_of(paused).len(), 2);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_due_before_an_edit_still_goes_out_with_the_data_of_now() {
    let mut world = World::new();
    let job = world.jobs("@every 10s", URL, 1);
    world.lease.give(false);
    world.start();
    world.pass(12_000, 1_000).await;
    world.apply(&edit(job, "@every 30s", OTHER, JobStatus::Active));
    world.settle().await;
    assert!(world.seen().is_empty(), "no lease, no firing");
    world.lease.give(true);
    world.settle().await;
    let seen = world.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((seen[0].scheduled.as_str(), seen[0].url.as_str()), ("2025-11-21T04:40:10Z", OTHER));
    world.pass(40_000, 1_000).await;
    assert_eq!(world.calls_of(job), [(12, 1), (42, 1)]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_batch_is_one_record_and_one_row_and_is_delivered_later() {
    let mut world = World::new();
    world.says(|seen| (if seen.attempt < 3 { 503 } else { 200 }, String::new()));
    world.start();
    let job = world.jobs("@every 1000s", URL, 10);
    world.settle().await;
    world.pass(1_000_000, 100_000).await;
    world.collect();
    world.settle().await;
    assert_eq!((world.verdicts(0), world.pending(0)), (vec!["failed"], 1));
    // Delays of 5 and 10 s, 20 % more or less.
    world.pass(6_000, 500).await;
    world.collect();
    world.settle().await;
    assert_eq!(world.pending(0), 1);
    world.pass(12_000, 1_000).await;
    world.collect();
    world.settle().await;
    assert_eq!((world.verdicts(0), world.pending(0)), (vec!["failed", "failed", "delivered"], 0));
    let [(1_000, 1), (second, 2), (third, 3)] = world.calls_of(job)[..] else {
        panic!("{:?}", world.calls_of(job));
    };
    assert!((1_004..=1_006).contains(&second) && (8..=13).contains(&(third - second)));
    let ids: Vec<_> = world.seen().iter().map(|call| call.webhook_id.clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "the same batch keeps its id: {ids:?}");
    assert!(world.seen().iter().all(|call| call.jobs.len() == 10));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_last_retry_it_is_dead() {
    let mut world = World::new();
    world.options.retry_max = 1;
    world.says(|_| (500, String::new()));
    world.start();
    let job = world.jobs("@every 1000s", URL, 3);
    world.settle().await;
    world.pass(1_000_000, 100_000).await;
    world.collect();
    world.settle().await;
    world.pass(20_000, 5_000).await;
    world.collect();
    world.settle().await;
    assert_eq!((world.verdicts(0), world.pending(0)), (vec!["failed", "dead"], 0));
    // The last time in one piece, and then each by itself.
    let attempts: Vec<_> = world.calls_of(job).into_iter().map(|call| call.1).collect();
    assert_eq!((attempts, world.seen().len()), (vec![1, 2, 2], 2 + 3));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_poison_job_does_not_sink_its_batch() {
    let mut world = World::new();
    world.says(|seen| (if seen.jobs.contains(&7) { 400 } else { 200 }, String::new()));
    world.start();
    world.jobs("@every 10s", URL, 40);
    world.settle().await;
    world.pass(10_000, 1_000).await;
    world.collect();
    let records = world.records(0);
    let dead: Vec<_> = records.iter().filter(|b| b.record.verdict.name() == "dead").collect();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].record.members.iter().collect::<Vec<_>>(), [7]);
    let fine = records.iter().filter(|b| b.record.verdict.name() == "delivered");
    assert_eq!(fine.map(|b| b.record.members.len()).sum::<u64>(), 39);
    assert!(world.seen().iter().all(|call| call.attempt == 1));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_may_name_the_ones_to_retry() {
    let mut world = World::new();
    world.says(|seen| {
        let failed = format!("{{\"failed\":[\"000000c1-2-{:x}\"]}}", T0 + 10_000);
        (200, if seen.attempt == 1 { failed } else { String::new() })
    });
    world.start();
    world.jobs("@every 10s", URL, 3);
    world.settle().await;
    world.pass(10_000, 1_000).await;
    world.collect();
    world.settle().await;
    assert_eq!((world.verdicts(0), world.pending(0)), (vec!["delivered", "failed"], 1));
    world.pass(6_000, 500).await;
    assert!(matches!(world.calls_of(2)[..], [(10, 1), (14..=16, 2)]), "{:?}", world.calls_of(2));
    assert_eq!(world.calls_of(1), [(10, 1)]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_makes_up_what_was_missed_and_repeats_nothing() {
    let mut world = World::new();
    world.start();
    let job = world.jobs("@every 10s", URL, 1);
    world.settle().await;
    world.pass(20_000, 1_000).await;
    // Nothing is collected: only the own journal knows what was delivered.
    world.stop().await;
    world.clock.advance(std::time::Duration::from_secs(25));
    world.start();
    world.settle().await;
    world.pass(6_000, 1_000).await;
    let mut calls: Vec<_> = world.seen().iter().map(|call| call.scheduled.clone()).collect();
    calls.sort();
    let want: Vec<_> = (1..=5).map(|k| crate::model::time::rfc3339(T0 + k * 10_000)).collect();
    assert_eq!(calls, want, "job {job}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_take_over_skips_what_has_an_end_state_and_fires_the_rest() {
    let mut world = World::new();
    let job = world.jobs("@every 10s", URL, 2);
    world.start();
    world.pass(10_000, 1_000).await;
    world.collect();
    // W is behind: the second instant is delivered and recorded, the watermark is not.
    world.stop().await;
    let epoch = world.shard(0).epoch;
    world.apply(&Command::Assign(vec![Move {
        shard: shard_of(job),
        to: NODE,
        expects: epoch,
        kind: MoveKind::TakeOver,
    }]));
    world.clock.advance(std::time::Duration::from_secs(15));
    world.start();
    world.settle().await;
    let fences: Vec<_> = world.seen().iter().map(|c| (c.scheduled.clone(), c.fence)).collect();
    let at = |k: i64| crate::model::time::rfc3339(T0 + k * 10_000);
    assert_eq!(fences, [(at(1), epoch), (at(2), epoch + 1)]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_long_outage_only_the_newest_fires_and_the_rest_is_one_skip() {
    let mut world = World::new();
    world.start();
    let job = world.jobs("@every 60s", URL, 5);
    world.settle().await;
    world.pass(60_000, 10_000).await;
    world.collect();
    world.stop().await;
    world.clock.advance(std::time::Duration::from_hours(1));
    world.start();
    world.settle().await;
    world.pass(1_000, 1_000).await;
    world.collect();
    assert_eq!(world.calls_of(job), [(60, 1), (3_660, 1)]);
    let records = world.records(0);
    let skip = records.iter().find(|b| b.record.verdict.name() == "skipped").unwrap();
    assert_eq!(skip.record.since, Some(T0 + 120_000));
    assert_eq!((skip.record.due, skip.record.members.len()), (T0 + 3_600_000, 5));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closing_part_stops_at_its_promise_and_says_so() {
    let mut world = World::new();
    world.start();
    let job = world.jobs("@every 10s", URL, 1);
    world.settle().await;
    world.pass(10_000, 1_000).await;
    let until = T0 + 25_000;
    world.lease.promise(0, 1, until);
    let kind = MoveKind::HandOver { until };
    world.apply(&Command::Assign(vec![Move { shard: 0, to: 2, expects: 1, kind }]));
    world.settle().await;
    for _ in 0..6 {
        world.pass(5_000, 1_000).await;
        world.apply(&Command::Tick);
        world.settle().await;
        world.pass(1_000, 500).await;
        world.collect();
        world.settle().await;
    }
    assert_eq!(world.calls_of(job), [(10, 1), (20, 1)], "nothing after H");
    // The new owner sends beside it: a receiver that fences must take both.
    let fences: Vec<_> = world.seen().iter().map(|call| call.fence).collect();
    assert_eq!(fences, [1, 2]);
    let shard = world.shard(0);
    assert_eq!((shard.owner, shard.settled(), shard.closing), (2, until, None));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_lease_nothing_goes_out_not_even_what_is_built() {
    let mut world = World::new();
    world.start();
    let job = world.jobs("@every 10s", URL, 1);
    world.settle().await;
    world.pass(9_950, 9_950).await;
    world.lease.give(false);
    world.pass(10_000, 1_000).await;
    assert!(world.seen().is_empty());
    world.lease.give(true);
    world.settle().await;
    world.pass(1_000, 1_000).await;
    let made_up: Vec<_> = world.seen().into_iter().map(|call| call.scheduled).collect();
    assert_eq!(made_up, ["2025-11-21T04:40:10Z", "2025-11-21T04:40:20Z"], "job {job}, once each");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_worker_and_a_queue_of_one_are_enough_and_a_failing_target_blocks_nobody() {
    let mut world = World::new();
    world.workers(1, 1);
    world.says(|seen| (if seen.url == URL { 503 } else { 200 }, String::new()));
    world.start();
    let failing = world.jobs("@every 1s", URL, 200);
    let fine = world.jobs("@every 1s", OTHER, 200);
    world.settle().await;
    for _ in 0..5 {
        world.pass(1_000, 1_000).await;
        world.collect();
        world.settle().await;
    }
    let on_time = |job| world.calls_of(job).iter().filter(|(_, attempt)| *attempt == 1).count();
    assert_eq!((on_time(fine), on_time(failing)), (5, 5));
    assert_eq!(world.delivered(shard_of(fine)).len(), 5);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_through_a_narrow_queue_all_arrive_once() {
    let mut world = World::new();
    world.workers(1, 2);
    world.options.payload_max_bytes = 400;
    world.start();
    let first = world.jobs("@every 10s", URL, 30);
    world.jobs("@every 10s", "http://elsewhere/", 30);
    world.settle().await;
    world.pass(10_000, 1_000).await;
    let seen = world.seen();
    assert!(seen.len() >= 60, "one job a request: {}", seen.len());
    let mut jobs: Vec<_> = seen.into_iter().flat_map(|call| call.jobs).collect();
    jobs.sort_unstable();
    assert_eq!(jobs, (first..first + 60).collect::<Vec<_>>());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_target_holds_back_w_and_nothing_else() {
    let mut world = World::new();
    world.hang(&[URL]);
    world.start();
    let hanging = world.jobs("@every 10s", URL, 1);
    let fine = world.jobs("@every 10s", OTHER, 1);
    world.settle().await;
    world.pass(30_000, 1_000).await;
    world.apply(&Command::Tick);
    world.pass(6_000, 500).await;
    world.collect();
    assert_eq!((world.calls_of(fine).len(), world.calls_of(hanging).len()), (3, 3));
    assert!(world.shard(0).watermark < T0 + 10_000);
    world.hang(&[]);
    world.settle().await;
    world.pass(6_000, 500).await;
    world.collect();
    assert!(world.shard(0).watermark >= T0 + 30_000);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_reaches_what_waits_for_a_worker() {
    let mut world = World::new();
    world.workers(1, 64);
    world.hang(&[URL]);
    world.start();
    world.jobs("@every 9s", URL, 1);
    world.settle().await;
    world.pass(9_000, 1_000).await;
    let job = world.jobs("@every 1s", OTHER, 1);
    world.settle().await;
    world.pass(1_000, 1_000).await;
    assert_eq!(world.calls_of(job), [], "the only worker hangs");
    world.apply(&edit(job, "@every 1h", "http://third.test/", JobStatus::Active));
    world.settle().await;
    world.hang(&[]);
    world.settle().await;
    let last = world.seen().pop().unwrap();
    assert_eq!((last.url.as_str(), last.data), ("http://third.test/", vec!["new".to_owned()]));
    assert_eq!(world.calls_of(job), [(10, 1)], "due before the edit: it still goes out");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_request_is_the_new_owners_business() {
    let mut world = World::new();
    world.says(|seen| (if seen.fence == 1 { 412 } else { 200 }, String::new()));
    world.start();
    let job = world.jobs("@every 10s", URL, 1);
    world.settle().await;
    world.pass(10_000, 1_000).await;
    assert_eq!(world.calls_of(job), [(10, 1)]);
    // The store catch up with what the receiver knew: another epoch, ours again.
    world.apply(&Command::Assign(vec![Move {
        shard: 0,
        to: NODE,
        expects: 1,
        kind: MoveKind::TakeOver,
    }]));
    world.settle().await;
    world.pass(3_000, 500).await;
    let fences: Vec<_> = world.seen().iter().map(|call| call.fence).collect();
    assert_eq!(fences, [1, 2]);
    world.collect();
    assert_eq!(world.verdicts(0), ["delivered"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_change_of_everything_is_to_read_everything() {
    let mut world = World::new();
    world.start();
    let job = world.jobs("@every 10s", URL, 1);
    world.settle().await;
    world.pass(15_000, 1_000).await;
    world.ring_replaced();
    world.settle().await;
    world.pass(10_000, 1_000).await;
    assert_eq!(world.calls_of(job), [(10, 1), (20, 1)], "nothing twice, nothing missed");
    assert_eq!(world.job(job).id, job);
    world.stop().await;
}

/// Not a check but a measurement of a restart with a million jobs: see `queue_costs`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn restart_costs() {
    let mut world = World::new();
    for _ in 0..1_000 {
        world.jobs("@every 60s", URL, 1_000);
    }
    world.clock.advance(std::time::Duration::from_secs(59));
    let before = memory();
    let begun = std::time::Instant::now();
    world.start();
    let mut first = None;
    while world.parts() < 64 {
        if world.parts() > 0 {
            first.get_or_insert(begun.elapsed());
        }
        tokio::task::yield_now().await;
    }
    println!("first part after {first:?}, all after {:?}", begun.elapsed());
    println!("{} KB more anonymous memory", memory() - before);
    let begun = std::time::Instant::now();
    world.clock.advance(std::time::Duration::from_secs(1));
    while world.seen().iter().map(|call| call.jobs.len()).sum::<usize>() < 1_000_000 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    println!("a million jobs of one instant sent in {:?}", begun.elapsed());
}

/// Anonymous memory of this process, in KB.
fn memory() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
