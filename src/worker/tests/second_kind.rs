//! A second kind of target, which the worker does not know: chunks, an outcome for each job, and
//! no URL.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::fixture::{Letters, WorkerFixture, collected, later};
use crate::delivery::breaker::Rules;
use crate::delivery::destination_queues::QueueOptions;
use crate::delivery::executor::Executor as _;
use crate::executor::memory::{Fate, MemoryExecutor};
use crate::model::attempt::Verdict;
use crate::model::postponement::Obstacle;

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_out_in_chunks_with_the_opened_secret_and_are_delivered() {
    let mut fixture = Letters::start();
    let first = fixture.send(20).await;
    let expected: Vec<_> = (first..first + 20).map(|job| (job, 1)).collect();
    assert_eq!(fixture.confirmed(), expected);
    assert_eq!(fixture.sizes(), [8, 8, 4]);
    let messages = fixture.messages();
    assert!(messages.iter().all(|m| (m.queue.as_str(), m.secret.as_str()) == ("letters", "open")));
    assert_eq!((fixture.with_verdict("delivered"), fixture.results().len()), (20, 3));
    assert_eq!(fixture.worker.pending(0), 0);
    fixture.worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_job_of_a_chunk_has_its_own_outcome() {
    let mut fixture = Letters::start();
    // By the place of the job: two are returned once, one is refused, the rest is confirmed.
    fixture.answer_with(|message| match (message.job % 8, message.attempt) {
        (2 | 5, 1) => Fate::Returned,
        (3, _) => Fate::Refused,
        _ => Fate::Confirmed,
    });
    let first = fixture.send(8).await;
    let mut results = fixture.results();
    results.sort_unstable();
    let expected = [("dead", "AMQP 406", 1), ("delivered", "AMQP 0", 5), ("failed", "AMQP 312", 2)];
    assert_eq!(results, expected.map(|(verdict, code, jobs)| (verdict, code.to_owned(), jobs)));
    let failed = fixture.worker.rows(0);
    assert_eq!((failed.len(), failed[0].members.len(), failed[0].attempt), (1, 2, 2));
    assert_eq!(fixture.sizes(), [8], "nothing was sent twice");
    later(&fixture.worker, 10_000).await;
    collected(&fixture.worker).await;
    let again = fixture.confirmed().iter().filter(|(_, attempt)| *attempt == 2).count();
    assert_eq!((again, fixture.confirmed().len(), fixture.worker.pending(0)), (2, 7, 0));
    let dead = fixture.worker.records(0).into_iter().find(|b| b.record.verdict == Verdict::Dead);
    let dead = dead.unwrap().record;
    assert_eq!(dead.error.as_deref(), Some("not a message of this queue"));
    assert_eq!(dead.members.iter().map(|job| job % 8).collect::<Vec<_>>(), [3], "{first}");
    fixture.worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_handed_over_is_put_off_and_goes_out_later_as_the_same_attempt() {
    let mut fixture = Letters::start();
    let stuck = Arc::new(AtomicBool::new(true));
    let holds = Arc::clone(&stuck);
    fixture.answer_with(move |message| {
        let stops = message.job % 8 == 4 && holds.swap(false, Ordering::SeqCst);
        if stops { Fate::Blocked } else { Fate::Confirmed }
    });
    let first = fixture.send(8).await;
    let before = fixture.confirmed().len();
    let rows = fixture.worker.rows(0);
    assert_eq!((rows.len(), rows[0].members.len(), rows[0].attempt), (1, 8 - before as u64, 1));
    assert_eq!(rows[0].postponement().unwrap().obstacle, Obstacle::Asked);
    later(&fixture.worker, 4_000).await;
    collected(&fixture.worker).await;
    let expected: Vec<_> = (first..first + 8).map(|job| (job, 1)).collect();
    assert!(!stuck.load(Ordering::SeqCst), "it stopped once");
    assert_eq!(fixture.confirmed(), expected, "each once");
    assert_eq!((fixture.with_verdict("delivered"), fixture.worker.pending(0)), (8, 0));
    fixture.worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_down_is_left_alone_by_its_name_and_tried_again() {
    let breaker = Rules { failures: 2, cooldown: 60_000 };
    let options = QueueOptions { breaker, ..QueueOptions::default() };
    let mut fixture = Letters::start_with(options, |_| ());
    fixture.answer_with(|_| Fate::Down);
    fixture.send(1).await;
    assert_eq!(fixture.results(), [("failed", "no answer".to_owned(), 1)]);
    let error = fixture.worker.records(0)[0].record.error.clone();
    assert_eq!(error.as_deref(), Some("there is no such queue"));
    later(&fixture.worker, 8_000).await;
    collected(&fixture.worker).await;
    assert_eq!(fixture.results().len(), 2, "the second failure in a row");
    // The next retry comes while the breaker is open.
    fixture.answer_with(|_| Fate::Confirmed);
    later(&fixture.worker, 15_000).await;
    collected(&fixture.worker).await;
    let row = fixture.worker.rows(0).remove(0);
    let waits = row.postponement().unwrap();
    assert_eq!((row.attempt, waits.destination.as_str()), (3, "letters"));
    assert_eq!((waits.obstacle, fixture.confirmed().len()), (Obstacle::Failing, 0));
    later(&fixture.worker, 120_000).await;
    collected(&fixture.worker).await;
    assert_eq!((fixture.confirmed().len(), fixture.worker.pending(0)), (1, 0));
    fixture.worker.stop().await;
}

#[test]
fn a_kind_validates_its_settings_and_shows_no_secret() {
    let fixture = WorkerFixture::new();
    let memory = MemoryExecutor::new(Arc::clone(&fixture.keys));
    let field = |given: Value| memory.validate(&given, None).unwrap_err().field;
    assert_eq!(field(json!({"queue": ""})), "memory.queue");
    assert_eq!(field(json!({"queue": "a", "url": "b"})), "memory");
    let first = memory.validate(&json!({"queue": "a", "secret": "hush"}), None).unwrap();
    assert!(!first.to_string().contains("hush"), "{first}");
    let second = memory.validate(&json!({"queue": "b"}), Some(&first)).unwrap();
    assert_eq!(first["secret"], second["secret"], "a secret that is left out stays");
    assert_eq!(memory.show(&second), json!({"queue": "b", "secretSet": true}));
}
