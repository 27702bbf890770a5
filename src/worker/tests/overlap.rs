//! Runs: receivers that accept and report later, and jobs whose runs must not overlap.

use super::fixture::{T0, WorkerFixture, collected, later, pause_and_resume, single, with_overlap};
use crate::command::{Command, JobAction, JobEdit};
use crate::model::attempt::{SkipReason, Verdict};
use crate::model::delivery::{Overlap, Retry};
use crate::model::job::JobDefinition;
use crate::model::run::{Accepted, Begun};
use crate::model::shard::shard_of;
use crate::store::ledger::State;

const URL: &str = "http://receiver/a";

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_goes_on_working_makes_a_run() {
    let mut fixture = WorkerFixture::new();
    fixture.answer_with(|_| (202, "async".to_owned()));
    fixture.start();
    let http = JobDefinition {
        run_timeout: Some(60_000),
        heartbeat_timeout: Some(9_000),
        ..single("@every 10s", URL)
    };
    let http = fixture.create(http, 1);
    let batch = fixture.jobs("@every 10s", "http://receiver/b", 1);
    let unbounded = single("@every 10s", "http://receiver/c");
    let beating = JobDefinition { heartbeat_timeout: Some(9_000), ..unbounded.clone() };
    let endless = JobDefinition { run_timeout: Some(0), ..unbounded.clone() };
    let others = [
        (fixture.create(unbounded, 1), (Some(24 * 3_600_000), None)),
        (fixture.create(beating, 1), (None, Some(9_000))),
        (fixture.create(endless, 1), (None, None)),
    ];
    later(&fixture, 10_000).await;
    let records = fixture.journaled();
    let of = |job| records.iter().find(|b| b.members.iter().eq([job])).unwrap();
    let retry = Retry { max: 3, delay: 5_000, factor: 2_000, max_delay: 3_600_000 };
    let accepted = Accepted { run_timeout: Some(60_000), heartbeat_timeout: Some(9_000), retry };
    assert_eq!(of(http).verdict, Verdict::Running);
    assert_eq!(of(http).accepted.as_deref(), Some(&accepted));
    assert_eq!((of(batch).verdict, &of(batch).accepted), (Verdict::Delivered, &None));
    for (job, bounds) in others {
        let promise = of(job).accepted.as_deref().unwrap();
        assert_eq!((promise.run_timeout, promise.heartbeat_timeout), bounds, "job {job}");
    }
    // It is in the journal, so the watermark passes it.
    fixture.apply(&Command::Tick);
    fixture.pass(6_000, 500).await;
    collected(&fixture).await;
    assert!(fixture.shard(0).watermark >= T0 + 10_000);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_may_not_overlap_asks_before_it_goes_out() {
    let mut fixture = WorkerFixture::new();
    fixture.on_begin_run(|begin| {
        Ok(match begin.occurrence.scheduled - T0 {
            20_000 => Begun::Skipped,
            30_000 => Begun::Queued,
            _ => Begun::Go,
        })
    });
    fixture.start();
    let job = fixture.create(with_overlap(Overlap::Skip), 1);
    let free = fixture.create(single("@every 10s", "http://receiver/free"), 1);
    later(&fixture, 40_000).await;
    assert_eq!(fixture.calls_of(job), [(10, 1), (40, 1)]);
    assert_eq!(fixture.calls_of(free).len(), 4);
    let begin_proposals = fixture.begin_proposals();
    assert_eq!(begin_proposals.len(), 4, "{begin_proposals:?}");
    let first = &begin_proposals[0];
    assert_eq!((first.occurrence.job, first.due, first.attempt), (job, T0 + 10_000, 1));
    assert_eq!((first.overlap, first.epoch, first.pending), (Overlap::Skip, 1, None));
    // Nothing is left open that the store settled itself.
    fixture.apply(&Command::Tick);
    fixture.pass(6_000, 500).await;
    collected(&fixture).await;
    assert!(fixture.shard(0).watermark >= T0 + 40_000);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_leader_a_run_waits_and_holds_up_nobody() {
    let mut fixture = WorkerFixture::new();
    fixture.on_begin_run(|begin| {
        // Nobody leads for 3 s.
        if begin.due == T0 + 10_000 { Err("no leader".to_owned()) } else { Ok(Begun::Go) }
    });
    fixture.start();
    let job = fixture.create(with_overlap(Overlap::Skip), 1);
    let batch = fixture.jobs("@every 1s", URL, 1);
    later(&fixture, 13_000).await;
    assert_eq!((fixture.calls_of(job), fixture.calls_of(batch).len()), (vec![], 13));
    let begin_proposals = fixture.begin_proposals().len();
    assert!((2..=12).contains(&begin_proposals), "a few times, not in a circle: {begin_proposals}");
    fixture.on_begin_run(|_| Ok(Begun::Go));
    fixture.pass(1_000, 500).await;
    assert_eq!(fixture.calls_of(job).len(), 1, "once there is one");
    assert_eq!(fixture.seen().last().map(|call| call.attempt), Some(1));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_call_not_yours_is_looked_up_and_not_lost() {
    let mut fixture = WorkerFixture::new();
    let count = std::sync::atomic::AtomicU64::new(0);
    fixture.on_begin_run(move |_| {
        let first = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        Ok(if first { Begun::NotYours } else { Begun::Go })
    });
    fixture.start();
    let job = fixture.create(with_overlap(Overlap::Skip), 1);
    later(&fixture, 10_000).await;
    assert_eq!(
        fixture.begin_proposals().len(),
        2,
        "the store know of no end and no row: it is due still"
    );
    assert_eq!(fixture.calls_of(job), [(10, 1)]);
    later(&fixture, 10_000).await;
    assert_eq!(fixture.calls_of(job), [(10, 1), (20, 1)]);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_run_that_waits_goes_when_the_store_say_so_and_a_forced_one_does_not_ask() {
    let mut fixture = WorkerFixture::new();
    let count = std::sync::atomic::AtomicU64::new(0);
    fixture.on_begin_run(move |_| {
        let first = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        Ok(if first { Begun::Queued } else { Begun::Go })
    });
    fixture.start();
    let definition = JobDefinition { overlap: Overlap::QueueOne, ..single("@every 1h", URL) };
    let job = fixture.create(definition, 1);
    later(&fixture, 1_000).await;
    fixture.apply(&Command::RunJob { id: job, forced: false });
    fixture.settle().await;
    let begin_proposals = fixture.begin_proposals();
    assert_eq!(begin_proposals.len(), 2, "the row is read again, and here it was not parked");
    assert!(begin_proposals[0].pending.is_some() && begin_proposals[0].occurrence.run > 0);
    assert_eq!(fixture.calls_of(job), [(1, 1)]);
    fixture.stop().await;
    let mut fixture = WorkerFixture::new();
    fixture.on_begin_run(|_| panic!("nobody has to ask"));
    fixture.start();
    let job = fixture.create(with_overlap(Overlap::Skip), 1);
    later(&fixture, 1_000).await;
    fixture.apply(&Command::RunJob { id: job, forced: true });
    fixture.settle().await;
    assert_eq!(fixture.calls_of(job), [(1, 1)]);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_store_an_overlapping_run_is_skipped_or_waits_for_the_one_before() {
    for (overlap, calls) in [
        (Overlap::Skip, vec![(10, 1), (30, 1)]),
        (Overlap::QueueOne, vec![(10, 1), (25, 1), (30, 1)]),
    ] {
        let mut fixture = WorkerFixture::new();
        fixture.hang(&[URL]);
        fixture.start();
        let job = fixture.create(with_overlap(overlap), 1);
        later(&fixture, 25_000).await;
        assert_eq!(fixture.calls_of(job), [(10, 1)], "{overlap:?}");
        fixture.hang(&[]);
        fixture.settle().await;
        // With the end of the first run in the store the second one may begin.
        collected(&fixture).await;
        later(&fixture, 1_000).await;
        collected(&fixture).await;
        later(&fixture, 4_000).await;
        collected(&fixture).await;
        assert_eq!(fixture.calls_of(job), calls, "{overlap:?}");
        let skipped = fixture.verdicts(shard_of(job)).iter().filter(|v| **v == "skipped").count();
        assert_eq!(skipped, usize::from(overlap == Overlap::Skip));
        assert_eq!(fixture.rows(shard_of(job)), []);
        fixture.apply(&Command::Tick);
        fixture.pass(6_000, 500).await;
        collected(&fixture).await;
        assert!(fixture.shard(0).watermark >= T0 + 30_000);
        fixture.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_what_was_paused_when_it_began_holds_nobody_up() {
    for of_project in [true, false] {
        let mut fixture = WorkerFixture::new();
        fixture.start();
        let job = fixture.create(with_overlap(Overlap::Skip), 1);
        let (pause, resume) = pause_and_resume(job, of_project);
        fixture.settle().await;
        // It asks when it is due, and by then its job is paused.
        fixture.pass(9_950, 9_950).await;
        fixture.apply(&pause);
        later(&fixture, 5_000).await;
        collected(&fixture).await;
        assert_eq!((fixture.calls_of(job), fixture.runs(job)), (vec![], 0), "{of_project}");
        fixture.apply(&resume);
        later(&fixture, 10_000).await;
        assert_eq!(fixture.calls_of(job), [(20, 1)], "{of_project}");
        fixture.apply(&Command::Expire { limit: 9 });
        fixture.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_edited_before_it_was_due_is_skipped_when_its_run_has_begun() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let job = fixture.create(with_overlap(Overlap::Skip), 1);
    // The leader's clock is behind: it stamps an edit with an instant that is over here, after the
    // run has begun.
    let edit = JobEdit { id: job, definition: single("@every 1h", URL), ..JobEdit::default() };
    let (store, edit) = (fixture.store(), Command::UpdateJob(Box::new(edit)));
    fixture.on_begin_run(move |_| {
        store.apply_at(T0 + 9_999, &edit);
        Ok(Begun::Go)
    });
    fixture.settle().await;
    later(&fixture, 12_000).await;
    fixture.apply(&Command::Tick);
    later(&fixture, 1_000).await;
    collected(&fixture).await;
    assert_eq!((fixture.calls_of(job), fixture.begin_proposals().len()), (vec![], 1));
    let why = fixture.explained(job, T0 + 10_000);
    let account = why.account.unwrap();
    assert_eq!(account.state, State::Skipped(SkipReason::Edited));
    assert!(!account.planned && account.attempts.len() == 1, "{account:?}");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_paused_before_it_is_due_neither_waits_behind_a_run_nor_ends_it() {
    for overlap in [Overlap::QueueOne, Overlap::CancelPrevious] {
        let mut fixture = WorkerFixture::new();
        fixture.answer_with(|_| (202, "async".to_owned()));
        fixture.start();
        let job = fixture.create(with_overlap(overlap), 1);
        later(&fixture, 11_000).await;
        collected(&fixture).await;
        assert_eq!((fixture.calls_of(job), fixture.runs(job)), (vec![(10, 1)], 1), "{overlap:?}");
        fixture.pass(8_950, 8_950).await;
        let jobs = vec![(job, 1)];
        let action = JobAction::Pause { until: None };
        fixture.apply(&Command::ChangeJobs { jobs, action, by: None });
        later(&fixture, 2_000).await;
        fixture.apply(&Command::Tick);
        later(&fixture, 2_000).await;
        collected(&fixture).await;
        assert_eq!(fixture.begin_proposals().len(), 1, "{overlap:?}");
        assert_eq!((fixture.rows(shard_of(job)), fixture.runs(job)), (vec![], 1), "{overlap:?}");
        fixture.stop().await;
    }
}
