//! The plain life of jobs: fired at their instants, in batches, retried, edited, paused, deleted.

use super::fixture::{T0, WorkerFixture, definition};
use crate::command::{Command, JobEdit};
use crate::model::job::JobStatus;
use crate::model::shard::shard_of;

const URL: &str = "http://receiver/a";

const OTHER: &str = "http://receiver/b";

fn edit(id: u64, spec: &str, url: &str, status: JobStatus) -> Command {
    let (definition, data) = (definition(spec, url), "new".to_owned());
    Command::UpdateJob(Box::new(JobEdit {
        id,
        definition,
        data,
        status,
        by: None,
        ..JobEdit::default()
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_fires_at_its_instants_and_the_watermark_follows() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let job = fixture.jobs("@every 10s", URL, 1);
    fixture.settle().await;
    fixture.pass(35_000, 500).await;
    assert_eq!(fixture.calls_of(job), [(10, 1), (20, 1), (30, 1)]);
    let call = &fixture.seen()[0];
    assert_eq!((call.scheduled.as_str(), call.fence), ("2025-11-21T04:40:10Z", 1));
    assert!(call.webhook_id.ends_with(&format!("-{job:x}-{:x}", T0 + 10_000)), "{call:?}");
    fixture.apply(&Command::Tick);
    fixture.pass(6_000, 500).await;
    fixture.collect();
    assert_eq!(fixture.delivered(0), [10, 20, 30, 40]);
    let watermark = fixture.shard(0).watermark - T0;
    assert!((35_000..=41_000).contains(&watermark), "{watermark}");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_one_target_and_instant_go_out_as_one_in_chunks_below_the_limit() {
    let mut fixture = WorkerFixture::new();
    fixture.payload_max_bytes = 2_000;
    fixture.start();
    let first = fixture.jobs("@every 10s", URL, 20);
    fixture.jobs("@every 5s", URL, 5);
    fixture.jobs("@every 10s", OTHER, 1);
    fixture.settle().await;
    fixture.pass(10_000, 1_000).await;
    let seen = fixture.seen();
    let at: Vec<_> = seen.iter().filter(|c| c.at == T0 + 10_000 && c.url == URL).collect();
    let mut jobs: Vec<_> = at.iter().flat_map(|call| call.jobs.clone()).collect();
    jobs.sort_unstable();
    assert_eq!(jobs, (first..first + 25).collect::<Vec<_>>(), "both shapes in one batch");
    let mut chunks: Vec<_> = at.iter().map(|call| call.chunk).collect();
    chunks.sort_unstable();
    assert!(chunks.len() > 1);
    assert_eq!(chunks, (0..chunks.len() as u32).collect::<Vec<_>>());
    assert_eq!(seen.iter().filter(|c| c.url == OTHER).count(), 1);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_pauses_and_deletes_take_effect_at_their_stamp() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let edited = fixture.jobs("@every 10s", URL, 1);
    let paused = fixture.jobs("@every 10s", URL, 1);
    let deleted = fixture.jobs("@every 10s", URL, 1);
    fixture.settle().await;
    fixture.pass(15_000, 1_000).await;
    fixture.apply(&edit(edited, "@every 4s", OTHER, JobStatus::Active));
    fixture.apply(&edit(paused, "@every 10s", URL, JobStatus::Inactive));
    fixture.apply(&Command::DeleteJob { id: deleted, expect: None });
    fixture.settle().await;
    fixture.pass(15_000, 1_000).await;
    assert_eq!(fixture.calls_of(edited), [(10, 1), (19, 1), (23, 1), (27, 1)]);
    assert_eq!(fixture.calls_of(paused), [(10, 1)]);
    assert_eq!(fixture.calls_of(deleted), [(10, 1)]);
    let last = fixture.seen().pop().unwrap();
    assert_eq!((last.url.as_str(), last.data), (OTHER, vec!["new".to_owned()]));
    fixture.apply(&edit(paused, "@every 10s", URL, JobStatus::Active));
    fixture.settle().await;
    fixture.pass(10_000, 1_000).await;
    assert_eq!(fixture.calls_of(paused).len(), 2);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_due_before_an_edit_still_goes_out_with_the_data_of_now() {
    let mut fixture = WorkerFixture::new();
    let job = fixture.jobs("@every 10s", URL, 1);
    fixture.lease.give(false);
    fixture.start();
    fixture.pass(12_000, 1_000).await;
    fixture.apply(&edit(job, "@every 30s", OTHER, JobStatus::Active));
    fixture.settle().await;
    assert!(fixture.seen().is_empty(), "no lease, no firing");
    fixture.lease.give(true);
    fixture.settle().await;
    let seen = fixture.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((seen[0].scheduled.as_str(), seen[0].url.as_str()), ("2025-11-21T04:40:10Z", OTHER));
    fixture.pass(40_000, 1_000).await;
    assert_eq!(fixture.calls_of(job), [(12, 1), (42, 1)]);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_batch_is_one_record_and_one_row_and_is_delivered_later() {
    let mut fixture = WorkerFixture::new();
    fixture.answer_with(|seen| (if seen.attempt < 3 { 503 } else { 200 }, String::new()));
    fixture.start();
    let job = fixture.jobs("@every 1000s", URL, 10);
    fixture.settle().await;
    fixture.pass(1_000_000, 100_000).await;
    fixture.collect();
    fixture.settle().await;
    assert_eq!((fixture.verdicts(0), fixture.pending(0)), (vec!["failed"], 1));
    // Delays of 5 and 10 s, 20 % more or less.
    fixture.pass(6_000, 500).await;
    fixture.collect();
    fixture.settle().await;
    assert_eq!(fixture.pending(0), 1);
    fixture.pass(12_000, 1_000).await;
    fixture.collect();
    fixture.settle().await;
    assert_eq!(
        (fixture.verdicts(0), fixture.pending(0)),
        (vec!["failed", "failed", "delivered"], 0)
    );
    let [(1_000, 1), (second, 2), (third, 3)] = fixture.calls_of(job)[..] else {
        panic!("{:?}", fixture.calls_of(job));
    };
    assert!((1_004..=1_006).contains(&second) && (8..=13).contains(&(third - second)));
    let ids: Vec<_> = fixture.seen().iter().map(|call| call.webhook_id.clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "the same batch keeps its id: {ids:?}");
    assert!(fixture.seen().iter().all(|call| call.jobs.len() == 10));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_last_retry_it_is_dead() {
    let mut fixture = WorkerFixture::new();
    fixture.options.retry_max = 1;
    fixture.answer_with(|_| (500, String::new()));
    fixture.start();
    let job = fixture.jobs("@every 1000s", URL, 3);
    fixture.settle().await;
    fixture.pass(1_000_000, 100_000).await;
    fixture.collect();
    fixture.settle().await;
    fixture.pass(20_000, 5_000).await;
    fixture.collect();
    fixture.settle().await;
    assert_eq!((fixture.verdicts(0), fixture.pending(0)), (vec!["failed", "dead"], 0));
    // The last attempt goes out in one piece, and then each job by itself.
    let attempts: Vec<_> = fixture.calls_of(job).into_iter().map(|call| call.1).collect();
    assert_eq!((attempts, fixture.seen().len()), (vec![1, 2, 2], 2 + 3));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_poison_job_does_not_sink_its_batch() {
    let mut fixture = WorkerFixture::new();
    fixture.answer_with(|seen| (if seen.jobs.contains(&7) { 400 } else { 200 }, String::new()));
    fixture.start();
    fixture.jobs("@every 10s", URL, 40);
    fixture.settle().await;
    fixture.pass(10_000, 1_000).await;
    fixture.collect();
    let records = fixture.records(0);
    let dead: Vec<_> = records.iter().filter(|b| b.record.verdict.name() == "dead").collect();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].record.members.iter().collect::<Vec<_>>(), [7]);
    let fine = records.iter().filter(|b| b.record.verdict.name() == "delivered");
    assert_eq!(fine.map(|b| b.record.members.len()).sum::<u64>(), 39);
    assert!(fixture.seen().iter().all(|call| call.attempt == 1));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_may_name_the_ones_to_retry() {
    let mut fixture = WorkerFixture::new();
    fixture.answer_with(|seen| {
        let failed = format!("{{\"failed\":[\"000000c1-2-{:x}\"]}}", T0 + 10_000);
        (200, if seen.attempt == 1 { failed } else { String::new() })
    });
    fixture.start();
    fixture.jobs("@every 10s", URL, 3);
    fixture.settle().await;
    fixture.pass(10_000, 1_000).await;
    fixture.collect();
    fixture.settle().await;
    assert_eq!((fixture.verdicts(0), fixture.pending(0)), (vec!["delivered", "failed"], 1));
    fixture.pass(6_000, 500).await;
    assert!(
        matches!(fixture.calls_of(2)[..], [(10, 1), (14..=16, 2)]),
        "{:?}",
        fixture.calls_of(2)
    );
    assert_eq!(fixture.calls_of(1), [(10, 1)]);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_worker_and_a_queue_of_one_are_enough_and_a_failing_target_blocks_nobody() {
    let mut fixture = WorkerFixture::new();
    fixture.workers(1, 1);
    fixture.answer_with(|seen| (if seen.url == URL { 503 } else { 200 }, String::new()));
    fixture.start();
    let failing = fixture.jobs("@every 1s", URL, 200);
    let fine = fixture.jobs("@every 1s", OTHER, 200);
    fixture.settle().await;
    for _ in 0..5 {
        fixture.pass(1_000, 1_000).await;
        fixture.collect();
        fixture.settle().await;
    }
    let on_time = |job| fixture.calls_of(job).iter().filter(|(_, attempt)| *attempt == 1).count();
    assert_eq!((on_time(fine), on_time(failing)), (5, 5));
    assert_eq!(fixture.delivered(shard_of(fine)).len(), 5);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_through_a_narrow_queue_all_arrive_once() {
    let mut fixture = WorkerFixture::new();
    fixture.workers(1, 2);
    fixture.payload_max_bytes = 400;
    fixture.start();
    let first = fixture.jobs("@every 10s", URL, 30);
    fixture.jobs("@every 10s", "http://elsewhere/", 30);
    fixture.settle().await;
    fixture.pass(10_000, 1_000).await;
    let seen = fixture.seen();
    assert!(seen.len() >= 60, "one job a request: {}", seen.len());
    let mut jobs: Vec<_> = seen.into_iter().flat_map(|call| call.jobs).collect();
    jobs.sort_unstable();
    assert_eq!(jobs, (first..first + 60).collect::<Vec<_>>());
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_target_holds_back_the_watermark_and_nothing_else() {
    let mut fixture = WorkerFixture::new();
    fixture.hang(&[URL]);
    fixture.start();
    let hanging = fixture.jobs("@every 10s", URL, 1);
    let fine = fixture.jobs("@every 10s", OTHER, 1);
    fixture.settle().await;
    fixture.pass(30_000, 1_000).await;
    fixture.apply(&Command::Tick);
    fixture.pass(6_000, 500).await;
    fixture.collect();
    assert_eq!((fixture.calls_of(fine).len(), fixture.calls_of(hanging).len()), (3, 3));
    assert!(fixture.shard(0).watermark < T0 + 10_000);
    fixture.hang(&[]);
    fixture.settle().await;
    fixture.pass(6_000, 500).await;
    fixture.collect();
    assert!(fixture.shard(0).watermark >= T0 + 30_000);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_reaches_what_waits_for_a_worker() {
    let mut fixture = WorkerFixture::new();
    fixture.workers(1, 64);
    fixture.hang(&[URL]);
    fixture.start();
    fixture.jobs("@every 9s", URL, 1);
    fixture.settle().await;
    fixture.pass(9_000, 1_000).await;
    let job = fixture.jobs("@every 1s", OTHER, 1);
    fixture.settle().await;
    fixture.pass(1_000, 1_000).await;
    assert_eq!(fixture.calls_of(job), [], "the only worker hangs");
    fixture.apply(&edit(job, "@every 1h", "http://third.test/", JobStatus::Active));
    fixture.settle().await;
    fixture.hang(&[]);
    fixture.settle().await;
    let last = fixture.seen().pop().unwrap();
    assert_eq!((last.url.as_str(), last.data), ("http://third.test/", vec!["new".to_owned()]));
    assert_eq!(fixture.calls_of(job), [(10, 1)], "due before the edit: it still goes out");
    fixture.stop().await;
}
