//! Isolation: a batch whose last attempt fails as one goes out once more in pieces.

use super::fixture::{T0, WorkerFixture, collected, definition, later};
use crate::command::Command;
use crate::model::JobId;
use crate::model::attempt::{SkipReason, Verdict};
use crate::model::job::JobDefinition;

const URL: &str = "http://receiver/a";

/// Starts the worker with `n` jobs of one batch and lets them be due once.
async fn batch(fixture: &mut WorkerFixture, n: u64, retry_max: u32) -> JobId {
    fixture.start();
    let jobs = JobDefinition { retry_max: Some(retry_max), ..definition("@every 1000s", URL) };
    let first = fixture.create(jobs, n);
    fixture.settle().await;
    fixture.clock.advance(std::time::Duration::from_secs(1_000));
    fixture.settle().await;
    first
}

/// The jobs of each dead letter, and the number of jobs delivered.
fn outcome(fixture: &WorkerFixture) -> (Vec<Vec<JobId>>, u64) {
    let records = fixture.journaled();
    let of = |verdict| records.iter().filter(move |record| record.verdict == verdict);
    let mut dead: Vec<Vec<_>> =
        of(Verdict::Dead).map(|record| record.members.iter().collect()).collect();
    dead.sort();
    (dead, of(Verdict::Delivered).map(|record| record.members.len()).sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_poison_job_does_not_sink_its_neighbours() {
    for status in [500, 503, 0] {
        let mut fixture = WorkerFixture::new();
        fixture.answer_with(move |seen| {
            let bad = seen.data.iter().any(|data| data == "d7");
            (if bad { status } else { 200 }, String::new())
        });
        let first = batch(&mut fixture, 40, 0).await;
        assert_eq!(outcome(&fixture), (vec![vec![first + 7]], 39), "{status}");
        let calls = fixture.seen();
        assert_eq!(calls.len(), 1 + 8 + 5, "{status}: halves of eighths, then one by one");
        assert!(calls.iter().all(|call| call.attempt == 1), "it is the same attempt");
        fixture.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_takes_no_large_body_gets_smaller_ones() {
    // It says so, or it ends the connection without a word.
    for status in [413, 0] {
        let mut fixture = WorkerFixture::new();
        fixture.answer_with(move |seen| {
            (if seen.body.len() > 4_000 { status } else { 200 }, String::new())
        });
        batch(&mut fixture, 60, 0).await;
        assert_eq!(outcome(&fixture), (vec![], 60), "{status}");
        let calls = fixture.seen();
        assert!(calls[0].body.len() > 4_000 && calls[0].jobs.len() == 60, "{status}");
        let taken = calls.iter().filter(|call| call.body.len() <= 4_000);
        let mut jobs: Vec<_> = taken.flat_map(|call| call.jobs.clone()).collect();
        jobs.sort_unstable();
        jobs.dedup();
        assert_eq!(jobs.len(), 60, "{status}: each arrives in a body that is taken");
        assert!(calls.iter().all(|call| call.attempt == 1), "it is the same attempt");
        fixture.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_out_in_pieces_at_the_last_attempt_alone() {
    let mut fixture = WorkerFixture::new();
    fixture.answer_with(|seen| {
        let bad = seen.data.iter().any(|data| data == "d0" || data == "d39");
        (if bad { 500 } else { 200 }, String::new())
    });
    let first = batch(&mut fixture, 40, 1).await;
    assert_eq!(fixture.seen().len(), 1);
    fixture.collect();
    fixture.settle().await;
    fixture.pass(7_000, 500).await;
    assert_eq!(outcome(&fixture), (vec![vec![first], vec![first + 39]], 38));
    assert_eq!(fixture.seen().len(), 2 + 8 + 10);
    fixture.collect();
    fixture.settle().await;
    assert_eq!(fixture.pending(0), 0);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_receiver_costs_three_calls_more_and_stays_one_dead_letter() {
    let mut fixture = WorkerFixture::new();
    fixture.answer_with(|_| (500, String::new()));
    let first = batch(&mut fixture, 60, 0).await;
    assert_eq!(outcome(&fixture), (vec![(first..first + 60).collect()], 0));
    assert_eq!(fixture.seen().len(), 1 + 3);
    let error = fixture.journaled()[0].error.clone().unwrap();
    assert_eq!(error, "status 500; so did the 3 pieces of it that were sent then");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_reached_its_receiver_is_no_jobs_fault() {
    let mut fixture = WorkerFixture::new();
    fixture.answer_with(|_| (0, "not sent".to_owned()));
    let first = batch(&mut fixture, 60, 0).await;
    assert_eq!(outcome(&fixture), (vec![(first..first + 60).collect()], 0));
    assert_eq!(fixture.seen().len(), 1);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_fail_a_batch_is_not_called_for_one_by_one() {
    let mut fixture = WorkerFixture::new();
    // One job in eleven fails, but for the first 200: there is no end of pieces to try.
    fixture.answer_with(|seen| {
        let number = |data: &String| data[1..].parse::<u64>().unwrap();
        let bad = seen.data.iter().any(|data| number(data) >= 200 && number(data) % 11 == 0);
        (if bad { 500 } else { 200 }, String::new())
    });
    fixture.start();
    // Runs of 64 ids belong to one shard each.
    let first = fixture.create(
        JobDefinition { retry_max: Some(0), ..definition("@every 1000s", URL) },
        64 * 64 * 20,
    );
    fixture.settle().await;
    fixture.clock.advance(std::time::Duration::from_secs(1_000));
    // Pieces beyond the destination's share wait for their turn.
    fixture.settle().await;
    let ended =
        |fixture: &WorkerFixture| fixture.journaled().iter().map(|b| b.members.len()).sum::<u64>();
    assert_eq!(ended(&fixture), 64 * 64 * 20, "each has one end");
    let mut calls = std::collections::BTreeMap::new();
    for call in fixture.seen() {
        *calls.entry(crate::model::shard::shard_of(call.jobs[0])).or_insert(0) += 1;
    }
    assert!(calls.values().all(|calls| *calls <= 1 + 64), "{calls:?} from {first} at {T0}");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_that_could_not_be_sent_are_no_failures() {
    // The node has no descriptor for any piece, or for all but the first, which fails.
    for first_fails in [false, true] {
        let mut fixture = WorkerFixture::new();
        fixture.answer_with(move |seen| match seen.at {
            _ if seen.data.len() == 60 => (500, String::new()),
            _ if first_fails && seen.data.iter().any(|data| data == "d0") => (500, String::new()),
            at if at < T0 + 1_006_000 => (200, "no descriptor".to_owned()),
            _ => (200, String::new()),
        });
        let first = batch(&mut fixture, 60, 0).await;
        let expected = if first_fails { vec![vec![first]] } else { vec![] };
        assert!(outcome(&fixture).0.iter().all(|jobs| jobs.len() == 1));
        fixture.collect();
        fixture.settle().await;
        assert!(fixture.rows(0).iter().all(|row| row.attempt == 1));
        for _ in 0..3 {
            fixture.pass(6_000, 1_000).await;
            fixture.collect();
            fixture.settle().await;
        }
        assert_eq!(fixture.pending(0), 0);
        let (mut dead, mut delivered) = (Vec::new(), 0);
        for recorded in fixture.records(0) {
            match recorded.record.verdict {
                Verdict::Dead => dead.push(recorded.record.members.iter().collect::<Vec<_>>()),
                _ => delivered += recorded.record.members.len(),
            }
        }
        let others = 60 - expected.len() as u64;
        assert_eq!((dead, delivered), (expected, others), "{first_fails}");
        fixture.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_that_hang_one_after_the_other_are_dead_as_they_are() {
    let mut fixture = WorkerFixture::new();
    let clock = std::sync::Arc::clone(&fixture.clock);
    fixture.answer_with(move |seen| {
        if seen.data.len() < 60 && seen.data.iter().any(|data| data == "d0") {
            return (200, String::new());
        }
        // A call that hangs takes its whole timeout.
        clock.advance(std::time::Duration::from_secs(30));
        (0, String::new())
    });
    let first = batch(&mut fixture, 60, 0).await;
    let (dead, delivered) = outcome(&fixture);
    let sizes: Vec<_> = dead.iter().map(Vec::len).collect();
    assert_eq!((sizes, delivered), (vec![8, 8, 8, 8, 8, 8, 4], 8), "{first}: no single jobs");
    assert_eq!(fixture.seen().len(), 1 + 8);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_that_is_not_to_be_sent_any_more_is_not_dead_with_the_others() {
    let mut fixture = WorkerFixture::new();
    let (store, first) = (fixture.store(), std::sync::Arc::new(std::sync::OnceLock::new()));
    let known = std::sync::Arc::clone(&first);
    fixture.answer_with(move |seen| {
        if seen.data.len() == 8
            && let Some(first) = known.get()
        {
            // While the whole batch fails, the job in its middle, a piece that goes first, is
            // deleted.
            store.apply_at(T0 + 1_000_001, &Command::DeleteJob { id: first + 4, expect: None });
        }
        (500, String::new())
    });
    fixture.start();
    let jobs = JobDefinition { retry_max: Some(0), ..definition("@every 1000s", URL) };
    first.set(fixture.create(jobs, 8)).unwrap();
    let first = *first.get().unwrap();
    fixture.settle().await;
    fixture.clock.advance(std::time::Duration::from_secs(1_000));
    fixture.settle().await;
    let ends = |fixture: &WorkerFixture| {
        let records = fixture.journaled();
        let each = records.iter().flat_map(|record| {
            record.members.iter().map(move |job| (job, matches!(record.verdict, Verdict::Dead)))
        });
        let mut each: Vec<_> = each.collect();
        each.sort_unstable();
        each
    };
    let expected: Vec<_> = (first..first + 8).map(|job| (job, job != first + 4)).collect();
    assert_eq!(ends(&fixture), expected, "{:?}", fixture.journaled());
    let skipped = Verdict::Skipped(SkipReason::Ended);
    assert!(fixture.journaled().iter().any(|record| record.verdict == skipped));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_watermark_passes_what_hangs_beside_an_isolated_batch() {
    const OTHER: &str = "http://other/b";
    let mut fixture = WorkerFixture::new();
    let (store, first) = (fixture.store(), std::sync::Arc::new(std::sync::OnceLock::new()));
    let known = std::sync::Arc::clone(&first);
    fixture.answer_with(move |seen| {
        if seen.data.len() == 8
            && let Some(first) = known.get()
        {
            store.apply_at(T0 + 1_000_001, &Command::DeleteJob { id: first + 4, expect: None });
        }
        (if seen.url == OTHER { 200 } else { 500 }, String::new())
    });
    fixture.hang(&[OTHER]);
    fixture.start();
    let to = |url| JobDefinition { retry_max: Some(0), ..definition("@every 1000s", url) };
    first.set(fixture.create(to(URL), 8)).unwrap();
    let other = fixture.create(to(OTHER), 1);
    fixture.settle().await;
    fixture.clock.advance(std::time::Duration::from_secs(1_000));
    later(&fixture, 5_000).await;
    collected(&fixture).await;
    let ended: u64 = fixture.records(0).iter().map(|of| of.record.members.len()).sum();
    assert_eq!(ended, 8, "the batch is over");
    assert!(fixture.shard(0).watermark < T0 + 1_000_000, "job {other} is under way");
    fixture.hang(&[]);
    later(&fixture, 2_000).await;
    collected(&fixture).await;
    later(&fixture, 2_000).await;
    collected(&fixture).await;
    assert!(fixture.shard(0).watermark >= T0 + 1_000_000);
    fixture.stop().await;
}
