//! Queues of workers: from due to offered and claimed, and what becomes of runs. The rules by
//! themselves are tested beside the supervisor; here they meet engine, journal and store.

use std::collections::BTreeSet;

use super::fixture::{
    T0, WorkerFixture, alone, collected, instants, jobs_of, later, of_worker, queued,
};
use crate::command::{Command, Outcome};
use crate::model::attempt::SkipReason;
use crate::model::claim::{MAX_CLAIM_DATA, RunHeartbeat, WorkerHeartbeat};
use crate::model::job::JobDefinition;
use crate::model::run::{Occurrence, Phase};
use crate::model::run_report::{RunReport, Said};
use crate::worker::NotRunning;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_is_offered_within_a_second_and_then_the_watermark_passes() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let queue = fixture.queue("emails", None);
    let job = fixture.create(queued("@every 10s", queue), 3);
    later(&fixture, 10_000).await;
    assert_eq!(fixture.offered().len(), 0, "a worker may claim it first");
    let epoch = fixture.shard(0).epoch;
    fixture.apply(&Command::Tick);
    fixture.pass(800, 200).await;
    let stated = fixture.stated(0, epoch);
    assert!(stated.is_none_or(|at| at < T0 + 10_000), "it is not journaled: {stated:?}");
    fixture.pass(400, 200).await;
    let offered = fixture.offered();
    assert_eq!((offered.len(), jobs_of(&offered)), (1, vec![job, job + 1, job + 2]), "one entry");
    assert_eq!((offered[0].due, offered[0].terms.queue.as_str()), (T0 + 10_000, "emails"));
    fixture.apply(&Command::Tick);
    fixture.pass(1_000, 200).await;
    assert!(fixture.stated(0, epoch) >= Some(T0 + 10_000), "a queue holds no watermark back");
    collected(&fixture).await;
    let rows = fixture.rows(0);
    assert!(rows.len() == 1 && rows[0].is_offered() && rows[0].members.len() == 3, "{rows:?}");
    let runs = fixture.claim(queue, 2).await;
    assert_eq!(instants(&runs), [(10, 1), (10, 1)]);
    assert_eq!((runs[0].occurrence.job, runs[0].data.as_str()), (job, "d0"));
    let status = fixture.worker().status();
    fixture.pass(200, 200).await;
    let after = fixture.worker().status();
    assert_eq!((after.offers, after.taken), (1, 2), "{status:?}");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_journaled_when_it_is_answered_and_survives_a_restart() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let queue = fixture.queue("emails", None);
    let job = fixture.create(queued("@every 10s", queue), 1);
    later(&fixture, 10_000).await;
    let runs = fixture.claim(queue, 10).await;
    assert_eq!(instants(&runs), [(10, 1)], "before it was offered");
    let taken = fixture.taken();
    assert_eq!((taken.len(), taken[0].phase, taken[0].worker.as_str()), (1, Phase::Running, "w"));
    assert_eq!(fixture.offered().len(), 0);
    // Nothing is collected: only the own journal knows of the claim.
    fixture.stop().await;
    fixture.start();
    later(&fixture, 2_000).await;
    assert_eq!(fixture.claim(queue, 10).await, [], "somebody has it");
    assert_eq!(fixture.beat(&runs).await, [], "and may go on");
    collected(&fixture).await;
    fixture.pass(6_000, 500).await;
    let shows = |fixture: &WorkerFixture, line: &str| {
        let text = fixture.metrics.encode(true);
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    };
    shows(&fixture, "scheduler0_runs{queue=\"emails\",state=\"running\"} 1");
    assert_eq!((fixture.runs(job), fixture.pending(0), fixture.taken().len()), (1, 0, 0));
    let done = RunReport {
        occurrence: runs[0].occurrence,
        attempt: 1,
        worker: "w".to_owned(),
        said: Said::Done { result: Some("fine".to_owned()) },
    };
    let outcome = fixture.apply(&Command::ReportRuns { reports: vec![done] });
    assert!(matches!(outcome, Outcome::Reports(_)), "{outcome}");
    assert_eq!(fixture.delivered(0), [10]);
    fixture.pass(400, 200).await;
    assert_eq!(fixture.worker().status().taken, 0);
    let labels = "queue=\"emails\",state=\"completed\",how=\"reported\"";
    shows(&fixture, &format!("scheduler0_runs_ended_total{{{labels}}} 1"));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_offered_before_a_restart_is_claimed_once() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let queue = fixture.queue("emails", None);
    fixture.create(queued("@every 10s", queue), 2);
    later(&fixture, 12_000).await;
    assert_eq!(fixture.offered().len(), 1);
    fixture.stop().await;
    fixture.start();
    later(&fixture, 2_000).await;
    assert_eq!(fixture.offered().len(), 1, "the engine gives it out no more");
    assert_eq!(instants(&fixture.claim(queue, 10).await), [(10, 1), (10, 1)]);
    collected(&fixture).await;
    assert_eq!(fixture.claim(queue, 10).await, []);
    assert_eq!(fixture.pending(0), 0);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_lease_or_at_a_worker_that_stops_nothing_is_handed_out() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let queue = fixture.queue("emails", None);
    fixture.create(queued("@every 10s", queue), 1);
    later(&fixture, 10_000).await;
    fixture.lease.give(false);
    fixture.settle().await;
    assert_eq!(fixture.claim(queue, 10).await, []);
    fixture.lease.give(true);
    fixture.settle().await;
    assert_eq!(fixture.claim(queue, 10).await.len(), 1);
    fixture.pass(10_000, 500).await;
    let supervision = fixture.supervision();
    let journaled = fixture.offered().len();
    // What waits is journaled by the stop, which does not wait for a second to pass.
    fixture.worker().stop().await;
    assert_eq!(fixture.offered().len(), journaled + 1);
    assert_eq!(supervision.claim(of_worker("w", queue, 1)).await, Err(NotRunning));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_must_not_overlap_ask_before_they_are_offered() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let queue = fixture.queue("emails", None);
    let job = fixture.create(alone("@every 10s", queue), 1);
    later(&fixture, 10_000).await;
    assert_eq!(fixture.begin_proposals().len(), 1);
    assert_eq!(instants(&fixture.claim(queue, 10).await), [(10, 1)]);
    assert_eq!(fixture.begin_proposals().len(), 1, "this owner has asked already");
    collected(&fixture).await;
    fixture.pass(10_000, 500).await;
    assert_eq!(fixture.begin_proposals().len(), 2);
    assert_eq!(fixture.claim(queue, 10).await, [], "the first is under way");
    let skipped = fixture.records(0);
    let skip = skipped.iter().find(|b| b.record.due == T0 + 20_000).unwrap();
    assert_eq!(skip.record.verdict.name(), "skipped", "job {job}");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_most_that_may_wait_an_occurrence_is_skipped() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let queue = fixture.queue("emails", None);
    let definition = JobDefinition { max_queue: Some(2), ..queued("@every 10s", queue) };
    let job = fixture.create(definition, 1);
    for _ in 0..4 {
        later(&fixture, 10_000).await;
        collected(&fixture).await;
    }
    let skipped: Vec<_> = fixture.records(0).into_iter().map(|b| b.record).collect();
    let skipped: Vec<_> = skipped.iter().map(|r| (r.verdict.name(), r.due - T0)).collect();
    assert_eq!(
        skipped,
        [("skipped", 30_000), ("skipped", 40_000)],
        "{}",
        SkipReason::QueueFull.name()
    );
    assert_eq!(instants(&fixture.claim(queue, 10).await), [(10, 1), (20, 1)], "job {job}");
    fixture.pass(10_000, 500).await;
    assert_eq!(instants(&fixture.claim(queue, 10).await), [(50, 1)], "there is room again");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_worker_loses_its_run_and_another_one_gets_it() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let queue = fixture.queue("emails", None);
    let terms = JobDefinition { retry_max: Some(1), ..queued("@every 1000s", queue) };
    fixture.create(terms, 1);
    later(&fixture, 1_000_000).await;
    let first = fixture.claim(queue, 1).await;
    collected(&fixture).await;
    fixture.pass(10_000, 500).await;
    assert_eq!(fixture.beat(&first).await, [], "it is heard in time");
    fixture.pass(50_000, 500).await;
    assert_eq!(fixture.claim(queue, 1).await, [], "its timeout is a minute");
    fixture.pass(12_000, 500).await;
    let second = fixture.claim(queue, 1).await;
    assert_eq!(instants(&second), [(1_000, 2)], "the same occurrence, the next attempt");
    assert_eq!(second[0].occurrence, first[0].occurrence);
    // The first worker comes back: it is not the one that has it.
    collected(&fixture).await;
    fixture.beat(&first).await;
    // Nobody hears of the second, either: its answer may never have arrived.
    fixture.pass(16_000, 500).await;
    collected(&fixture).await;
    assert_eq!(fixture.verdicts(0).last(), Some(&"dead"), "it had one retry");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_offers_are_claimed_each_exactly_once() {
    const JOBS: u64 = 10_000;
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let queue = fixture.queue("emails", None);
    fixture.create(queued("@every 1000s", queue), JOBS);
    later(&fixture, 1_002_000).await;
    // Some before they are recorded, the rest after.
    let mut seen = BTreeSet::new();
    let supervision = fixture.supervision();
    for round in 0.. {
        let claims = (0..4).map(|n| supervision.claim(of_worker(&format!("w{n}"), queue, 50)));
        let runs: Vec<_> = futures_util::future::join_all(claims).await;
        let runs: Vec<_> = runs.into_iter().flat_map(Result::unwrap).collect();
        if runs.is_empty() {
            break;
        }
        for run in runs {
            assert!(seen.insert(run.occurrence), "twice: {:?}", run.occurrence);
        }
        if round % 10 == 9 {
            fixture.collect();
        }
    }
    assert_eq!(seen.len() as u64, JOBS);
    collected(&fixture).await;
    collected(&fixture).await;
    let rows: usize = (0..crate::model::shard::SHARDS).map(|shard| fixture.pending(shard)).sum();
    assert_eq!(rows, 0, "all are runs");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_carries_a_bounded_amount_of_data_and_the_same_again_for_its_key() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let queue = fixture.queue("emails", None);
    let data = "x".repeat(MAX_CLAIM_DATA / 3);
    fixture.create_with_data(queued("@every 10s", queue), 4, &data);
    later(&fixture, 10_000).await;
    let ask = crate::model::claim::ClaimRequest {
        key: Some("k".to_owned()),
        ..of_worker("w", queue, 10)
    };
    let first = fixture.supervision().claim(ask.clone()).await.unwrap();
    assert_eq!(first.len(), 3, "the rest waits on");
    assert_eq!(fixture.supervision().claim(ask).await.unwrap(), first, "its answer was lost");
    assert_eq!(fixture.claim(queue, 10).await.len(), 1);
    fixture.create_with_data(queued("@every 10s", queue), 1, &"y".repeat(2 * MAX_CLAIM_DATA));
    fixture.pass(10_000, 500).await;
    let sizes = async || {
        let runs = fixture.claim(queue, 10).await;
        runs.iter().map(|run| run.data.len()).collect::<Vec<_>>()
    };
    let mut all = sizes().await;
    all.extend(sizes().await);
    all.extend(sizes().await);
    all.sort_unstable();
    assert_eq!(all, [data.len(), data.len(), data.len(), data.len(), 2 * MAX_CLAIM_DATA]);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_with_a_bound_hands_out_no_more_than_that() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let queue = fixture.queue("emails", Some(2));
    fixture.create(queued("@every 10s", queue), 5);
    later(&fixture, 10_000).await;
    let runs = fixture.claim(queue, 10).await;
    assert_eq!((runs.len(), fixture.claim(queue, 10).await.len()), (2, 0));
    let counts = fixture.supervision().queues().await.unwrap();
    assert_eq!((counts[0].offers, counts[0].taken, counts[0].oldest), (3, 2, T0 + 10_000));
    let live = fixture.supervision().live(vec![runs[0].occurrence]).await.unwrap();
    assert_eq!((live[0].phase, live[0].worker.as_str()), (Some(Phase::Running), "w"));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_waits_two_seconds_for_leave_however_many_runs_ask() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let queue = fixture.queue("emails", None);
    fixture.create(alone("@every 10s", queue), 70);
    later(&fixture, 12_000).await;
    collected(&fixture).await;
    // Another owner would have to ask for leave; a reload makes this one ask.
    fixture.stop().await;
    fixture.start();
    later(&fixture, 1_000).await;
    let held = fixture.hold_begin_run();
    let (supervision, ask) = (fixture.supervision(), of_worker("w", queue, 100));
    let claim = tokio::spawn(async move { supervision.claim(ask).await });
    held.reached().await;
    // Some of them have no turn before others give theirs back.
    fixture.pass(2_200, 100).await;
    assert_eq!(claim.await.unwrap().unwrap(), [], "nobody has answered");
    held.release();
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_claim_was_lost_keeps_its_runs_however_large_their_data_are() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let queue = fixture.queue("emails", None);
    let data = "x".repeat(MAX_CLAIM_DATA);
    let job = fixture.create_with_data(queued("@every 10s", queue), 3, &data);
    later(&fixture, 12_000).await;
    collected(&fixture).await;
    let runs = (job..job + 3).map(|job| RunHeartbeat {
        occurrence: Occurrence { job, scheduled: T0 + 10_000, run: 0 },
        attempt: 1,
        progress: None,
        message: None,
    });
    let beat = WorkerHeartbeat { worker: "w".to_owned(), runs: runs.collect() };
    let supervision = fixture.supervision();
    assert_eq!(supervision.heartbeat(beat.clone()).await.unwrap().len(), 3, "not known yet");
    while supervision.queues().await.unwrap()[0].taken < 3 {
        fixture.settle().await;
    }
    assert_eq!(supervision.heartbeat(beat).await.unwrap(), []);
    assert_eq!(fixture.taken().len(), 1, "all of them at once, since none of the data is read");
    fixture.stop().await;
}
