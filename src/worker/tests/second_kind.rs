//! A second kind of target, which the worker does not know: chunks, an outcome for each job, and
//! no URL.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::fixture::{WorkerFixture, collected, definition, later};
use crate::command::{Command, Outcome};
use crate::delivery::breaker::Rules;
use crate::delivery::call_queue::CallQueue;
use crate::delivery::destination_queues::QueueOptions;
use crate::delivery::executor::Executor as _;
use crate::delivery::registry::Registry;
use crate::executor::memory::{Fate, MemoryExecutor};
use crate::model::JobId;
use crate::model::attempt::Verdict;
use crate::model::job::JobDefinition;
use crate::model::postponement::Obstacle;
use crate::model::target::Executor;

/// A worker whose jobs go to the queue `letters`.
struct Fixture {
    worker: WorkerFixture,
    memory: MemoryExecutor,
    /// The executor.
    id: u64,
}

impl Fixture {
    fn start() -> Self {
        Self::start_with(QueueOptions::default())
    }

    fn start_with(options: QueueOptions) -> Self {
        let mut worker = WorkerFixture::new();
        let memory = MemoryExecutor::new(Arc::clone(&worker.keys));
        let registry = Registry::new([Arc::new(memory.clone()) as _]);
        worker.start_with(CallQueue::new(registry, &options, Arc::clone(&worker.time)));
        let settings = memory.validate(&json!({"queue": "letters", "secret": "open"}), None);
        let executor = Executor {
            name: "e".to_owned(),
            kind: "memory".to_owned(),
            settings: Some(Box::new(settings.unwrap())),
            ..Executor::default()
        };
        let Outcome::Created(id) = worker.apply(&Command::CreateExecutor(executor)) else {
            panic!("no executor");
        };
        Self { worker, memory, id }
    }

    /// Creates jobs of shard 0 that are due at 1,000 s, and lets them be sent. Returns the first.
    async fn send(&self, count: u64) -> JobId {
        let definition =
            JobDefinition { executor: Some(self.id), ..definition("@every 1000s", "") };
        let first = self.worker.create(definition, count);
        self.worker.settle().await;
        self.worker.pass(1_000_000, 500_000).await;
        collected(&self.worker).await;
        first
    }

    /// The confirmed jobs, with the number of the attempt, in order of the jobs.
    fn confirmed(&self) -> Vec<(JobId, u32)> {
        let messages = self.memory.0.confirmed.lock().unwrap();
        let mut all: Vec<_> = messages.iter().map(|m| (m.job, m.attempt)).collect();
        all.sort_unstable();
        all
    }

    /// The number of jobs with each verdict and code, in the order of the records.
    fn results(&self) -> Vec<(&'static str, String, u64)> {
        let of = |b: &crate::store::attempts::StoredAttempt| {
            (b.record.verdict.name(), b.record.result.to_string(), b.record.members.len())
        };
        self.worker.records(0).iter().map(of).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_out_in_chunks_with_the_opened_secret_and_are_delivered() {
    let mut fixture = Fixture::start();
    let first = fixture.send(20).await;
    let expected: Vec<_> = (first..first + 20).map(|job| (job, 1)).collect();
    assert_eq!(fixture.confirmed(), expected);
    assert_eq!(*fixture.memory.0.chunks.lock().unwrap(), 3, "8, 8 and 4");
    let messages = fixture.memory.0.confirmed.lock().unwrap().clone();
    assert!(messages.iter().all(|m| (m.queue.as_str(), m.secret.as_str()) == ("letters", "open")));
    let delivered: u64 = fixture.results().iter().map(|(.., jobs)| jobs).sum();
    assert!(fixture.results().iter().all(|(verdict, ..)| *verdict == "delivered"));
    assert_eq!((delivered, fixture.worker.pending(0)), (20, 0));
    fixture.worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_job_of_a_chunk_has_its_own_outcome() {
    let mut fixture = Fixture::start();
    // By the place of the job: two are returned once, one is refused, the rest is confirmed.
    fixture.memory.0.answer_with(|message| match (message.job % 8, message.attempt) {
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
    assert_eq!(*fixture.memory.0.chunks.lock().unwrap(), 1, "nothing was sent twice");
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
async fn a_chunk_that_is_refused_as_one_is_split_until_one_job_is_to_blame() {
    let mut fixture = Fixture::start();
    fixture.memory.0.answer_with(|message| match message.job % 8 {
        3 => Fate::ChunkRefused,
        _ => Fate::Confirmed,
    });
    fixture.send(8).await;
    later(&fixture.worker, 1_000).await;
    collected(&fixture.worker).await;
    let jobs = |verdict| -> u64 {
        fixture.results().iter().filter(|result| result.0 == verdict).map(|result| result.2).sum()
    };
    assert_eq!((jobs("delivered"), jobs("dead"), fixture.worker.pending(0)), (7, 1, 0));
    fixture.worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_handed_over_goes_out_later_as_the_same_attempt() {
    let mut fixture = Fixture::start();
    let stuck = Arc::new(AtomicBool::new(true));
    let holds = Arc::clone(&stuck);
    fixture.memory.0.answer_with(move |message| {
        let stops = message.job % 8 == 4 && holds.swap(false, Ordering::SeqCst);
        if stops { Fate::Unsent } else { Fate::Confirmed }
    });
    let first = fixture.send(8).await;
    later(&fixture.worker, 2_000).await;
    collected(&fixture.worker).await;
    let expected: Vec<_> = (first..first + 8).map(|job| (job, 1)).collect();
    assert!(!stuck.load(Ordering::SeqCst), "it stopped once");
    assert_eq!(fixture.confirmed(), expected, "each once");
    let delivered: u64 = fixture.results().iter().map(|(.., jobs)| jobs).sum();
    assert_eq!((delivered, fixture.worker.pending(0)), (8, 0));
    fixture.worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_down_is_left_alone_by_its_name_and_tried_again() {
    let breaker = Rules { failures: 2, cooldown: 60_000 };
    let mut fixture = Fixture::start_with(QueueOptions { breaker, ..QueueOptions::default() });
    fixture.memory.0.answer_with(|_| Fate::Down);
    fixture.send(1).await;
    assert_eq!(fixture.results(), [("failed", "no answer".to_owned(), 1)]);
    let error = fixture.worker.records(0)[0].record.error.clone();
    assert_eq!(error.as_deref(), Some("there is no such queue"));
    later(&fixture.worker, 8_000).await;
    collected(&fixture.worker).await;
    assert_eq!(fixture.results().len(), 2, "the second failure in a row");
    // The next retry comes while the breaker is open.
    fixture.memory.0.answer_with(|_| Fate::Confirmed);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_this_node_does_not_know_makes_dead_letters() {
    let mut worker = WorkerFixture::new();
    worker.start();
    let executor = Executor {
        name: "e".to_owned(),
        kind: "of a newer node".to_owned(),
        settings: Some(Box::new(json!({}))),
        ..Executor::default()
    };
    let Outcome::Created(id) = worker.apply(&Command::CreateExecutor(executor)) else {
        panic!("no executor");
    };
    worker.create(JobDefinition { executor: Some(id), ..definition("@every 10s", "") }, 2);
    later(&worker, 10_000).await;
    collected(&worker).await;
    let record = worker.records(0).remove(0).record;
    assert_eq!((record.verdict, record.members.len()), (Verdict::Dead, 2));
    let error = record.error.unwrap();
    assert_eq!(error, "this node cannot call executors of type of a newer node");
    worker.stop().await;
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
