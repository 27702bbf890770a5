//! Occurrences that are held back although they are due: by a breaker, by `Retry-After`, by the
//! node itself; and what their records say of it.

use std::time::Duration;

use super::fixture::{T0, WorkerFixture, definition};
use crate::command::{Command, Outcome};
use crate::model::JobId;
use crate::model::attempt::Verdict;
use crate::model::job::JobDefinition;
use crate::model::postponement::{Obstacle, parts};

const URL: &str = "http://receiver:3000/a";

fn job(fixture: &WorkerFixture, retry_max: u32) -> JobId {
    fixture
        .create(JobDefinition { retry_max: Some(retry_max), ..definition("@every 1000s", URL) }, 1)
}

async fn due(fixture: &WorkerFixture) {
    fixture.settle().await;
    fixture.clock.advance(Duration::from_secs(1_000));
    fixture.settle().await;
    fixture.collect();
    fixture.settle().await;
}

/// The verdicts so far, each with the wait and the error that the record tells.
fn said(fixture: &WorkerFixture) -> Vec<(&'static str, Option<String>, Option<String>)> {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let records = fixture.records(0).into_iter().map(|recorded| {
        let (waited, error) = parts(recorded.record.error.as_deref());
        (recorded.record.verdict.name(), owned(waited), owned(error))
    });
    records.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_breaker_held_back_says_so_while_it_waits_and_afterwards() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let job = job(&fixture, 0);
    fixture.close(URL, T0 + 1_005_000);
    due(&fixture).await;
    let row = fixture.rows(0).remove(0);
    let why = row.postponement().unwrap().waits_for();
    assert_eq!((row.attempt, why.as_str()), (1, "receiver:3000 is failing"));
    // Another process finds it in the store.
    fixture.stop().await;
    fixture.start();
    fixture.answer_with(|_| (500, String::new()));
    fixture.settle().await;
    fixture.pass(6_000, 500).await;
    fixture.collect();
    let waited = Some("waited 5.0 s: receiver:3000 was failing".to_owned());
    assert_eq!(said(&fixture), [("dead", waited, Some("status 500".to_owned()))]);
    assert_eq!(fixture.calls_of(job), [(1_005, 1)]);
    let (lag, held) = (&fixture.metrics.lag, &fixture.metrics.held_back);
    assert_eq!(lag.quantiles(0).p99, 0, "the scheduler was not late");
    assert!((5_000..6_000).contains(&held.quantiles(0).p99));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_run_is_sent_although_the_breaker_is_open() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let job = job(&fixture, 0);
    fixture.close(URL, T0 + 900_000);
    fixture.settle().await;
    assert!(matches!(fixture.apply(&Command::RunJob { id: job, forced: false }), Outcome::Run(_)));
    fixture.settle().await;
    fixture.collect();
    assert_eq!(said(&fixture), [("delivered", None, None)]);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_may_ask_to_wait_without_using_up_a_retry() {
    for status in [429, 503] {
        let mut fixture = WorkerFixture::new();
        fixture.answer_with(move |seen| match seen.at {
            at if at < T0 + 1_015_000 => (status, "retry-after: 7".to_owned()),
            _ => (200, String::new()),
        });
        fixture.start();
        let job = job(&fixture, 0);
        due(&fixture).await;
        let row = fixture.rows(0).remove(0);
        assert!((T0 + 1_007_000..=T0 + 1_008_400).contains(&row.next_at), "{row:?}");
        assert_eq!(row.postponement().unwrap().waits_for(), "asked to wait by receiver:3000");
        assert_eq!(said(&fixture), []);
        for _ in 0..20 {
            fixture.pass(1_000, 500).await;
            fixture.collect();
            fixture.settle().await;
        }
        // 7 s and a little more each time: never sooner than asked.
        let calls = fixture.calls_of(job);
        assert_eq!(calls.len(), 3, "{calls:?}");
        assert!(calls.iter().all(|call| call.1 == 1), "{calls:?}");
        let [(outcome, Some(waited), None)] = &said(&fixture)[..] else { panic!("{status}") };
        assert_eq!(*outcome, "delivered");
        assert!(waited.ends_with(": was asked to wait by receiver:3000"), "{waited}");
        fixture.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_asked_to_wait_for_long_comes_back_less_often() {
    let mut fixture = WorkerFixture::new();
    fixture.answer_with(|_| (503, "retry-after: 1".to_owned()));
    fixture.start();
    let definition = JobDefinition { retry_max: Some(0), ..definition("@every 100000s", URL) };
    fixture.create(definition, 1);
    fixture.settle().await;
    fixture.clock.advance(Duration::from_secs(100_000));
    // A tenth of the wait so far comes on top, at most 5 minutes.
    for (passed, more) in [(0, 0), (100_000, 10_000), (2_000_000, 210_000), (9_000_000, 300_000)] {
        fixture.pass(passed, passed.max(1)).await;
        fixture.settle().await;
        fixture.collect();
        fixture.settle().await;
        let wait = fixture.rows(0)[0].next_at - fixture.time.now();
        assert!((more + 1_000..=more + 2_000).contains(&wait), "{passed}: {wait}");
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_asks_for_more_than_a_day_in_all_uses_up_retries() {
    let mut fixture = WorkerFixture::new();
    fixture.answer_with(|_| (503, "retry-after: 50000".to_owned()));
    fixture.start();
    let definition = JobDefinition { retry_max: Some(0), ..definition("@every 100000s", URL) };
    let job = fixture.create(definition, 1);
    fixture.settle().await;
    fixture.clock.advance(Duration::from_secs(100_000));
    fixture.settle().await;
    fixture.collect();
    fixture.settle().await;
    assert_eq!(fixture.rows(0).len(), 1);
    fixture.pass(50_050_000, 50_050_000).await;
    fixture.collect();
    assert_eq!((fixture.calls_of(job).len(), fixture.verdicts(0)), (2, vec!["dead"]));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_node_could_not_send_is_no_attempt() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let job = job(&fixture, 0);
    let why = Obstacle::Node("too many open files".to_owned());
    fixture.hold_back(URL, T0 + 1_003_000, why);
    due(&fixture).await;
    assert!(matches!(fixture.rows(0)[..], [ref row] if row.attempt == 1));
    fixture.pass(6_000, 500).await;
    fixture.collect();
    let waited = "waited 5.0 s: its node could not call receiver:3000: too many open files";
    assert_eq!(said(&fixture), [("delivered", Some(waited.to_owned()), None)]);
    assert_eq!(fixture.calls_of(job), [(1_005, 1)]);
    assert!(fixture.records(0).iter().all(|record| record.record.verdict == Verdict::Delivered));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_its_node_cannot_send_ends_as_well() {
    let mut fixture = WorkerFixture::new();
    fixture.answer_with(|_| (500, String::new()));
    fixture.start();
    let job = job(&fixture, 0);
    due(&fixture).await;
    let replayed = |fixture: &WorkerFixture| {
        let rows = fixture.rows(0).into_iter().filter(|row| row.attempt == 2).count();
        let records = fixture.records(0).into_iter().map(|recorded| recorded.record);
        (rows, records.filter(|record| record.attempt == 2).count())
    };
    let start = fixture.time.now();
    let letters = vec![(1, start)];
    for (until, ended) in [(1_900_000, (1, 0)), (3_800_000, (1, 0)), (9_000_000, (0, 1))] {
        let why = Obstacle::Node("no name server answers".to_owned());
        fixture.hold_back(URL, start + until, why);
        if until == 1_900_000 {
            fixture.apply(&Command::ReplayDeadLetters { letters: letters.clone() });
        } else {
            fixture.pass(1_950_000, 1_950_000).await;
        }
        fixture.settle().await;
        fixture.collect();
        assert_eq!(replayed(&fixture), ended, "an hour after it first had to wait: {until}");
    }
    assert_eq!(fixture.calls_of(job).len(), 1, "no attempt was made for it");
    fixture.stop().await;
}
