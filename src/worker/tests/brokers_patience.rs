//! How long a status of a broker's worker waits for the record of its run, and what becomes of a
//! run whose confirm is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::brokers::{CLUSTER, DONE, STARTED, at, named, published, queue, settled, with_job};
use super::fixture::{WorkerFixture, collected, later};
use crate::bus::{HandOut, Settlement, WorkerSaid};
use crate::command::Command;
use crate::model::claim::HandedOut;
use crate::model::job::JobDefinition;
use crate::model::run::Phase;
use crate::model::run_id::run_id;
use crate::model::run_report::{RunReport, Said};

const FAILED: WorkerSaid = WorkerSaid::Failed { error: None };

/// The hand-outs so far.
fn offered(fixture: &WorkerFixture) -> usize {
    fixture.bus.offered.lock().unwrap().len()
}

/// Lets the first occurrence fall due, and its confirm be lost; the next ones pass.
async fn with_a_lost_confirm(fixture: &WorkerFixture, queue: u64) {
    fixture.bus.answer_with(|_| HandOut::Failed { error: "cut".to_owned(), for_good: false });
    fixture.bus.is_up(0, queue, true);
    later(fixture, 9_000).await;
    fixture.pass(200, 100).await;
    assert_eq!(offered(fixture), 1);
    fixture.bus.answer_with(|_| HandOut::Passed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_is_put_away_only_when_the_owner_denies_the_run() {
    let (mut fixture, queue, job) = with_job(false).await;
    published(&fixture, queue).await;
    fixture.bus.answer_with(|_| HandOut::Failed { error: "cut".to_owned(), for_good: false });
    later(&fixture, 10_000).await;
    fixture.pass(1_500, 100).await;
    collected(&fixture).await;
    assert_eq!(fixture.pending(0), 1, "the second one is on offer");
    for unproven in [HandedOut::Unknown, HandedOut::Yes] {
        *fixture.owners_say.lock().unwrap() = unproven;
        let mut failed = fixture.bus.say(0, &run_id(CLUSTER, at(job, 20)), FAILED);
        fixture.settle().await;
        fixture.pass(7_000, 100).await;
        assert!(failed.try_recv().is_err(), "{unproven:?}: its record may come");
        *fixture.owners_say.lock().unwrap() = HandedOut::No;
        fixture.pass(3_500, 100).await;
        assert_eq!(failed.try_recv().unwrap().1, Settlement::Done, "it was never handed out");
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_counts_whose_run_came_while_its_owner_was_asked() {
    let (mut fixture, queue, job) = with_job(false).await;
    published(&fixture, queue).await;
    let terms = Box::new(fixture.run(at(job, 10)).unwrap().worker.unwrap().terms);
    fixture.bus.answer_with(|_| HandOut::Failed { error: "cut".to_owned(), for_good: false });
    later(&fixture, 10_000).await;
    fixture.pass(1_500, 100).await;
    collected(&fixture).await;
    let said = Said::Started { terms };
    let begun = RunReport { occurrence: at(job, 20), attempt: 1, worker: String::new(), said };
    let begins = Command::ReportRuns { reports: vec![begun] };
    *fixture.before_answers.lock().unwrap() = Some(begins);
    let mut failed = fixture.bus.say(0, &run_id(CLUSTER, at(job, 20)), FAILED);
    fixture.settle().await;
    fixture.pass(3_500, 100).await;
    assert!(fixture.before_answers.lock().unwrap().is_none(), "its owner was asked");
    assert_eq!(failed.try_recv().unwrap().1, Settlement::Done);
    assert!(fixture.run(at(job, 20)).is_none(), "its attempt has failed");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_status_is_put_away_while_there_is_no_lease() {
    let (mut fixture, queue, job) = with_job(false).await;
    published(&fixture, queue).await;
    settled(&fixture).await;
    let never = run_id(CLUSTER, at(job, 5));
    let mut done = fixture.bus.say(0, &never, DONE);
    fixture.settle().await;
    fixture.pass(1_000, 100).await;
    fixture.lease.give(false);
    fixture.pass(8_000, 100).await;
    assert!(done.try_recv().is_err(), "nobody hears a leader");
    fixture.lease.give(true);
    fixture.pass(3_500, 100).await;
    assert_eq!(done.try_recv().unwrap().1, Settlement::Done);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_worker_was_heard_after_its_confirm_was_lost_is_published_once() {
    let (mut fixture, queue, job) = with_job(false).await;
    with_a_lost_confirm(&fixture, queue).await;
    // The store has nothing of it yet.
    let mut started = fixture.bus.say(0, &run_id(CLUSTER, at(job, 10)), STARTED);
    fixture.settle().await;
    fixture.pass(2_000, 100).await;
    assert_eq!(offered(&fixture), 1, "it is not published again");
    let taken = fixture.taken();
    assert_eq!((taken.len(), taken[0].phase, taken[0].offer.attempt), (1, Phase::Pending, 1));
    collected(&fixture).await;
    fixture.pass(300, 100).await;
    assert_eq!(started.try_recv().unwrap().1, Settlement::Done);
    assert_eq!(fixture.run(at(job, 10)).unwrap().worker.unwrap().phase, Phase::Running);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_heard_while_nothing_can_be_committed_is_not_published_again() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let queue = queue(&fixture, false);
    let job = fixture.create(named("@every 10s", queue, "nightly"), 2);
    later(&fixture, 1_000).await;
    fixture.bus.answer_with(move |ticket| {
        if ticket.job == job {
            HandOut::Failed { error: "cut".to_owned(), for_good: false }
        } else {
            HandOut::Passed
        }
    });
    published(&fixture, queue).await;
    // The reporter finds no leader for a report on the other run, and pauses for longer and longer.
    fixture.refuse_reports(true);
    let mut other = fixture.bus.say(0, &run_id(CLUSTER, at(job + 1, 10)), STARTED);
    fixture.settle().await;
    fixture.pass(2_000, 100).await;
    let tries = offered(&fixture);
    assert!(tries > 2, "the first one is tried again and again");
    fixture.bus.answer_with(|_| HandOut::Passed);
    let mut started = fixture.bus.say(0, &run_id(CLUSTER, at(job, 10)), STARTED);
    fixture.settle().await;
    fixture.pass(3_000, 100).await;
    assert_eq!(offered(&fixture), tries, "its worker was heard within the pause");
    assert!(other.try_recv().is_err() && started.try_recv().is_err(), "they are kept");
    fixture.refuse_reports(false);
    collected(&fixture).await;
    fixture.pass(5_500, 100).await;
    for mut settled in [other, started] {
        assert_eq!(settled.try_recv().unwrap().1, Settlement::Done);
    }
    for job in [job, job + 1] {
        let kept = fixture.run(at(job, 10)).unwrap().worker.unwrap();
        assert_eq!(kept.phase, Phase::Running);
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_at_its_bus_for_longer_than_its_start_timeout_does_not_leave() {
    for (start_timeout, leaves) in [(500, 0), (5_000, 1)] {
        let mut fixture = WorkerFixture::new();
        fixture.start();
        let queue = queue(&fixture, false);
        let job = named("@every 10s", queue, "nightly");
        fixture.create(JobDefinition { start_timeout: Some(start_timeout), ..job }, 1);
        later(&fixture, 1_000).await;
        let (clock, asked) = (fixture.clock.clone(), Arc::new(AtomicU64::new(0)));
        let count = Arc::clone(&asked);
        fixture.bus.answer_with(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            clock.advance(Duration::from_secs(1)); // the time of a connect
            HandOut::Passed
        });
        fixture.bus.is_up(0, queue, true);
        later(&fixture, 9_000).await;
        fixture.pass(1_000, 100).await;
        assert_eq!(offered(&fixture), leaves, "{start_timeout}");
        assert_eq!(asked.load(Ordering::SeqCst), 1, "it is not tried again");
        fixture.stop().await;
    }
}
