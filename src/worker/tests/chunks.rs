//! Chunks: a request in which each job is a message of its own, and replies that name what became
//! of each.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::fixture::{Letters, collected, later};
use crate::delivery::breaker::Rules;
use crate::delivery::destination::Limits;
use crate::delivery::destination_queues::QueueOptions;
use crate::executor::memory::Fate;
use crate::model::JobId;
use crate::model::attempt::Verdict;
use crate::model::postponement::Obstacle;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_certain_is_recorded_before_anything_goes_out_again() {
    let mut fixture = Letters::start().without_retries();
    // Two are unconfirmed, and hang when they go out once more.
    fixture.answer_with(|message| match (message.of, message.place) {
        (8, 0 | 1) => Fate::Unconfirmed,
        (8, _) => Fate::Confirmed,
        _ => Fate::Hanging,
    });
    fixture.send(8).await;
    assert_eq!(fixture.results(), [("delivered", "AMQP 0".to_owned(), 6)], "two are under way");
    assert_eq!(fixture.sizes(), [8, 1, 1]);
    fixture.release();
    fixture.worker.settle().await;
    collected(&fixture.worker).await;
    assert_eq!((fixture.with_verdict("delivered"), fixture.with_verdict("dead")), (8, 0));
    fixture.worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_as_one_is_split_and_what_was_confirmed_is_not_sent_again() {
    let mut fixture = Letters::start();
    // One message closes the channel: those before it are confirmed, nobody knows of the others.
    fixture
        .answer_with(|message| if message.job % 8 == 3 { Fate::Closed } else { Fate::Confirmed });
    let first = fixture.send(8).await;
    let mut confirmed: Vec<JobId> = fixture.confirmed().iter().map(|(job, _)| *job).collect();
    confirmed.dedup();
    let expected: Vec<JobId> = (first..first + 8).filter(|job| job % 8 != 3).collect();
    assert_eq!(confirmed, expected);
    assert_eq!(fixture.confirmed().len(), 7, "each once: {:?}", fixture.chunks());
    assert_eq!((fixture.with_verdict("delivered"), fixture.with_verdict("dead")), (7, 1));
    assert_eq!(fixture.worker.pending(0), 0);
    fixture.worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_is_refused_as_one_is_split_until_one_job_is_to_blame() {
    for (jobs, most) in [(8, 1 + 8), (60, 20)] {
        let mut fixture = Letters::start().with_chunks_of(60);
        let bad = |data: &str| data == "d5";
        fixture.answer_with(
            move |message| if bad(&message.data) { Fate::ChunkRefused } else { Fate::Confirmed },
        );
        let first = fixture.send(jobs).await;
        let records = fixture.worker.records(0).into_iter().map(|stored| stored.record);
        let dead = records.filter(|record| record.verdict == Verdict::Dead);
        let dead: Vec<Vec<JobId>> = dead.map(|record| record.members.iter().collect()).collect();
        assert_eq!(dead, [[first + 5]], "{jobs}");
        assert_eq!((fixture.with_verdict("delivered"), fixture.worker.pending(0)), (jobs - 1, 0));
        assert!(fixture.chunks().len() <= most, "{:?}", fixture.sizes());
        fixture.worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_chunk_that_is_wholly_refused_eight_jobs_are_tried_and_it_is_one_dead_letter() {
    let mut fixture = Letters::start().with_chunks_of(1_024);
    fixture.answer_with(|_| Fate::ChunkRefused);
    fixture.create_many();
    fixture.be_due().await;
    let records = fixture.worker.records(1);
    assert_eq!(records.len(), 1, "{:?}", fixture.sizes());
    let record = &records[0].record;
    assert_eq!((record.members.len(), record.verdict), (1_024, Verdict::Dead));
    let error = "the channel was closed; so did the 8 pieces of it that were sent then";
    assert_eq!(record.error.as_deref(), Some(error));
    assert_eq!(fixture.chunks().len(), 1 + 8);
    fixture.worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_chunk_that_is_half_refused_the_other_half_arrives() {
    let mut fixture = Letters::start().with_chunks_of(1_024);
    let known = Arc::new(OnceLock::new());
    let middle: Arc<OnceLock<JobId>> = Arc::clone(&known);
    fixture.answer_with(move |message| {
        // The first chunk is whole.
        let bad = |middle: &JobId| message.job < *middle;
        if message.of == 1_024 || middle.get().is_none_or(bad) {
            Fate::ChunkRefused
        } else {
            Fate::Confirmed
        }
    });
    let runs = fixture.create_many();
    known.set(runs[8]).unwrap();
    fixture.be_due().await;
    let of = |verdict| -> u64 {
        let records = fixture.worker.records(1).into_iter().map(|stored| stored.record);
        records.filter(|record| record.verdict == verdict).map(|record| record.members.len()).sum()
    };
    assert_eq!((of(Verdict::Delivered), of(Verdict::Dead)), (512, 512));
    assert_eq!(fixture.confirmed().len(), 512, "each once");
    assert!(fixture.chunks().len() < 200, "{:?}", fixture.sizes());
    fixture.worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn isolation_has_one_bound_however_replies_tell_jobs_apart() {
    let mut fixture = Letters::start().without_retries().with_chunks_of(1_024);
    // Of each piece the later half stays unconfirmed.
    fixture.answer_with(|message| {
        let later = message.of == 1 || message.place * 2 >= message.of;
        if later { Fate::Unconfirmed } else { Fate::Confirmed }
    });
    fixture.create_many();
    fixture.be_due().await;
    assert!(fixture.chunks().len() <= 1 + 64, "{:?}", fixture.sizes());
    let records = fixture.worker.records(1);
    let ended: u64 = records.iter().map(|stored| stored.record.members.len()).sum();
    assert_eq!((ended, fixture.worker.pending(1)), (1_024, 0), "each has one end");
    let delivered = fixture.confirmed().len() as u64;
    assert!((512..1_024).contains(&delivered), "{delivered}");
    fixture.worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_end_of_the_lease_on_nothing_of_a_chunk_goes_out_and_what_went_counts_once() {
    let mut fixture = Letters::start();
    let (lease, ends) = (Arc::clone(&fixture.worker.lease), AtomicBool::new(true));
    fixture.answer_with(move |message| {
        if message.place == 5 && ends.swap(false, Ordering::SeqCst) {
            lease.give(false);
        }
        Fate::Confirmed
    });
    let first = fixture.send(8).await;
    assert_eq!((fixture.sizes(), fixture.with_verdict("delivered")), (vec![5], 5));
    later(&fixture.worker, 1_000).await;
    assert_eq!((fixture.sizes(), fixture.worker.pending(0)), (vec![5], 0), "it waits");
    fixture.worker.lease.give(true);
    fixture.worker.settle().await;
    collected(&fixture.worker).await;
    let expected: Vec<_> = (first..first + 8).map(|job| (job, 1)).collect();
    assert_eq!((fixture.confirmed(), fixture.sizes()), (expected, vec![5, 3]));
    assert_eq!(fixture.with_verdict("delivered"), 8);
    let metrics = fixture.worker.metrics.encode(true);
    let fired = "scheduler0_firing_lag_seconds_count 8";
    assert!(metrics.lines().any(|line| line == fired), "{metrics}");
    fixture.worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_which_its_executor_says_nothing_is_put_off() {
    let mut fixture = Letters::start();
    let forgets = AtomicBool::new(true);
    fixture.answer_with(move |_| {
        if forgets.swap(false, Ordering::SeqCst) { Fate::Forgotten } else { Fate::Confirmed }
    });
    fixture.send(3).await;
    let row = fixture.worker.rows(0).remove(0);
    let obstacle = row.postponement().unwrap().obstacle;
    let expected = Obstacle::Node("its program does not say what became of it".to_owned());
    assert_eq!((row.members.len(), row.attempt, obstacle), (1, 1, expected));
    later(&fixture.worker, 6_000).await;
    collected(&fixture.worker).await;
    assert_eq!((fixture.with_verdict("delivered"), fixture.worker.pending(0)), (3, 0));
    fixture.worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_an_executor_count_messages() {
    for (limits, sizes) in [
        ((Some(3), None), vec![3, 3, 2]),
        ((None, Some(40)), vec![4, 4]),
        ((Some(5), Some(40)), vec![4, 4]),
        ((None, None), vec![8]),
    ] {
        let mut fixture = Letters::start_with(QueueOptions::default(), |executor| {
            (executor.max_concurrency, executor.rate_per_second) = limits;
        })
        .with_chunks_of(1_024);
        fixture.send(8).await;
        later(&fixture.worker, 1_000).await;
        collected(&fixture.worker).await;
        assert_eq!(fixture.sizes(), sizes, "{limits:?}");
        assert_eq!(fixture.with_verdict("delivered"), 8, "{limits:?}");
        fixture.worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_of_a_limited_executor_go_one_at_a_time_and_the_operators_rate_bounds_them() {
    let mut fixture = Letters::start_with(QueueOptions::default(), |executor| {
        executor.max_concurrency = Some(3);
    });
    fixture.answer_with(|_| Fate::Hanging);
    fixture.send(8).await;
    assert_eq!(fixture.sizes(), [3], "the others wait for its end");
    fixture.release();
    fixture.worker.settle().await;
    collected(&fixture.worker).await;
    assert_eq!((fixture.sizes(), fixture.with_verdict("delivered")), (vec![3, 3, 2], 8));
    fixture.worker.stop().await;
    let limits = Limits { rate_per_second: Some(20), ..Limits::default() };
    let options = QueueOptions { limits, ..QueueOptions::default() };
    let mut fixture = Letters::start_with(options, |_| ());
    fixture.send(8).await;
    fixture.worker.pass(500, 50).await;
    collected(&fixture.worker).await;
    assert_eq!((fixture.sizes(), fixture.with_verdict("delivered")), (vec![2; 4], 8));
    fixture.worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_is_one_call_for_workers_and_queues_however_many_messages_it_has() {
    let options = QueueOptions { max_workers: 1, ..QueueOptions::default() };
    let mut fixture = Letters::start_with(options, |_| ()).with_chunks_of(30);
    fixture.answer_with(|_| Fate::Hanging);
    fixture.send(60).await;
    assert_eq!((fixture.sizes(), fixture.calls()), (vec![30], (1, 1)));
    fixture.release();
    fixture.worker.settle().await;
    collected(&fixture.worker).await;
    assert_eq!((fixture.sizes(), fixture.calls()), (vec![30, 30], (0, 0)));
    assert_eq!(fixture.with_verdict("delivered"), 60);
    fixture.worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_probe_of_a_breaker_is_one_job_of_a_chunk() {
    let breaker = Rules { failures: 1, cooldown: 20_000 };
    let options = QueueOptions { breaker, ..QueueOptions::default() };
    let mut fixture = Letters::start_with(options, |_| ());
    fixture.terms.retry_max = Some(10);
    fixture.answer_with(|_| Fate::Down);
    fixture.send(8).await;
    // The breaker opens with the next failure, after some five seconds.
    for _ in 0..3 {
        later(&fixture.worker, 3_000).await;
        collected(&fixture.worker).await;
    }
    assert_eq!((fixture.sizes().len(), fixture.with_verdict("failed")), (2, 16));
    for _ in 0..20 {
        later(&fixture.worker, 5_000).await;
        collected(&fixture.worker).await;
    }
    let probes = fixture.sizes().split_off(2);
    assert!(!probes.is_empty() && probes.iter().all(|jobs| *jobs == 1), "{:?}", fixture.sizes());
    assert_eq!(fixture.with_verdict("failed"), 16 + probes.len() as u64, "only those were tried");
    fixture.answer_with(|_| Fate::Confirmed);
    let before = fixture.sizes().len();
    for _ in 0..20 {
        later(&fixture.worker, 15_000).await;
        collected(&fixture.worker).await;
    }
    assert_eq!((fixture.with_verdict("delivered"), fixture.worker.pending(0)), (8, 0));
    assert_eq!(fixture.sizes()[before], 1, "the one that closes the breaker");
    fixture.worker.stop().await;
}
