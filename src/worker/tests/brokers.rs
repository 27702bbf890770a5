//! Queues at a broker: whom the bus listens to, what is published, and what workers say. The rules
//! by themselves are tested beside the supervisor; here they meet engine, journal and store.

use serde_json::json;

use super::fixture::{T0, WorkerFixture, collected, later, queued};
use crate::bus::{HandOut, Settlement, WorkerSaid};
use crate::command::{Command, Outcome};
use crate::model::job::JobDefinition;
use crate::model::run::{Occurrence, Phase};
use crate::model::run_id::run_id;
use crate::model::target::Executor;
use crate::model::{JobId, Millis};

/// The cluster of the fixture.
pub(super) const CLUSTER: u128 = 0xc1 << 96;
pub(super) const STARTED: WorkerSaid = WorkerSaid::Started { progress: None, message: None };
pub(super) const DONE: WorkerSaid = WorkerSaid::Done { result: None };

/// Creates a queue at a broker, which nobody connects to; returns its number.
pub(super) fn queue(fixture: &WorkerFixture, include_data: bool) -> u64 {
    let broker = json!({"tls": false, "host": "broker.example", "port": 5_672, "vhost": "/",
        "user": "u", "password": "sealed"});
    let rabbitmq = json!({"broker": broker, "includeData": include_data});
    let executor = Executor {
        name: "reports".to_owned(),
        kind: "worker".to_owned(),
        settings: Some(Box::new(json!({"bus": "rabbitmq", "rabbitmq": rabbitmq}))),
        ..Executor::default()
    };
    match fixture.apply(&Command::CreateExecutor(executor)) {
        Outcome::Created(id) => id,
        other => panic!("{other:?}"),
    }
}

/// A job of the queue with a name on the broker.
pub(super) fn named(spec: &str, queue: u64, name: &str) -> JobDefinition {
    JobDefinition { worker_name: Some(name.to_owned()), ..queued(spec, queue) }
}

pub(super) fn at(job: JobId, second: Millis) -> Occurrence {
    Occurrence { job, scheduled: T0 + second * 1_000, run: 0 }
}

/// A worker with one job whose workers are heard.
pub(super) async fn with_job(include_data: bool) -> (WorkerFixture, u64, JobId) {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let queue = queue(&fixture, include_data);
    let job = fixture.create(named("@every 10s", queue, "nightly"), 1);
    later(&fixture, 1_000).await;
    (fixture, queue, job)
}

/// Says that the queue is heard, and lets the first occurrence be published and recorded.
pub(super) async fn published(fixture: &WorkerFixture, queue: u64) {
    fixture.bus.is_up(0, queue, true);
    later(fixture, 9_000).await;
    fixture.pass(400, 200).await;
    collected(fixture).await;
}

/// Lets all that was due by now be settled: a watermark is stated, and collected.
pub(super) async fn settled(fixture: &WorkerFixture) {
    fixture.apply(&Command::Tick);
    fixture.pass(5_500, 500).await;
    collected(fixture).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bus_listens_to_the_jobs_of_the_queue_and_to_no_others() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let embedded = fixture.queue("emails", None);
    fixture.create(queued("@every 10s", embedded), 1);
    let queue = queue(&fixture, false);
    let far = fixture.create(named("@every 1h", queue, "far"), 1);
    fixture.create(named("@every 10s", queue, "near"), 1);
    later(&fixture, 500).await;
    assert_eq!(fixture.bus.names(0), ["near", "far"], "the next due first");
    fixture.apply(&Command::DeleteJob { id: far, expect: None });
    fixture.settle().await;
    assert_eq!(fixture.bus.names(0), ["far", "near"], "its workers may have last words");
    fixture.pass(12_000, 500).await;
    assert_eq!(fixture.bus.names(0), ["near"]);
    assert_eq!(*fixture.bus.removed.lock().unwrap(), ["far"]);
    // Without a lease for a while another node may listen.
    fixture.lease.give(false);
    fixture.pass(5_000, 500).await;
    assert_eq!(fixture.bus.names(0), ["near"]);
    fixture.pass(7_000, 500).await;
    assert_eq!(fixture.bus.names(0), [""; 0]);
    fixture.lease.give(true);
    fixture.pass(1_000, 500).await;
    assert_eq!(fixture.bus.names(0), ["near"]);
    fixture.stop().await;
    assert_eq!(fixture.bus.names(0), [""; 0], "a worker that has ended hears nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_shard_that_was_read_before_the_queue_came_are_found() {
    let mut fixture = WorkerFixture::new();
    let queue = queue(&fixture, false);
    fixture.create(named("@every 10s", queue, "before"), 2);
    fixture.start();
    later(&fixture, 500).await;
    assert_eq!(fixture.bus.names(0), ["before"], "two jobs have the name");
    assert_eq!(fixture.bus.attachments(0)[0].address.queue, queue);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_published_when_its_workers_are_heard_and_journaled_as_taken() {
    let (mut fixture, queue, job) = with_job(false).await;
    later(&fixture, 10_000).await;
    assert_eq!(fixture.bus.offered.lock().unwrap().len(), 0, "nobody hears what they say yet");
    fixture.bus.is_up(0, queue, true);
    fixture.settle().await;
    fixture.pass(400, 200).await;
    {
        let offered = fixture.bus.offered.lock().unwrap();
        let (address, ticket) = &offered[0];
        assert_eq!((offered.len(), &*address.name, address.queue), (1, "nightly", queue));
        assert_eq!(ticket.run, run_id(CLUSTER, at(job, 10)));
        assert_eq!((ticket.job, ticket.attempt, &*ticket.data), (job, 1, ""));
        assert_eq!(ticket.epoch, fixture.shard(0).epoch);
    }
    let taken = fixture.taken();
    assert_eq!((taken.len(), taken[0].phase, taken[0].worker.as_str()), (1, Phase::Pending, ""));
    collected(&fixture).await;
    assert_eq!((fixture.runs(job), fixture.pending(0)), (1, 0));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_go_along_where_the_queue_says_so() {
    let (mut fixture, queue, _) = with_job(true).await;
    published(&fixture, queue).await;
    assert_eq!(&*fixture.bus.offered.lock().unwrap()[0].1.data, "d0");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_waits_and_what_never_can_be_published_is_dead() {
    let (mut fixture, queue, job) = with_job(false).await;
    fixture.bus.answer_with(|_| HandOut::Failed { error: "too large".to_owned(), for_good: true });
    published(&fixture, queue).await;
    assert_eq!((fixture.verdicts(0), fixture.runs(job)), (vec!["dead"], 0));
    let boot = fixture.time.clock().boot();
    fixture.bus.answer_with(move |_| {
        let why = "alarm".into();
        HandOut::Refused { until: boot + 15_000, why, of_broker: true }
    });
    later(&fixture, 10_000).await;
    let tries = fixture.bus.offered.lock().unwrap().len();
    fixture.bus.answer_with(|_| HandOut::Passed);
    fixture.pass(3_000, 200).await;
    assert_eq!(fixture.bus.offered.lock().unwrap().len(), tries, "it is left alone for a while");
    fixture.pass(4_000, 200).await;
    assert_eq!(fixture.bus.offered.lock().unwrap().len(), tries + 1);
    collected(&fixture).await;
    assert_eq!(fixture.runs(job), 1, "a refusal costs no attempt");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_lease_nothing_leaves() {
    let (mut fixture, queue, job) = with_job(false).await;
    fixture.bus.is_up(0, queue, true);
    later(&fixture, 8_000).await;
    fixture.lease.give(false);
    later(&fixture, 3_000).await;
    assert_eq!(fixture.bus.offered.lock().unwrap().len(), 0);
    fixture.lease.give(true);
    later(&fixture, 1_000).await;
    assert_eq!(fixture.bus.offered.lock().unwrap()[0].1.run, run_id(CLUSTER, at(job, 10)));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_says_is_acknowledged_when_it_is_applied() {
    let (mut fixture, queue, job) = with_job(false).await;
    published(&fixture, queue).await;
    let run = run_id(CLUSTER, at(job, 10));
    let say = async |said| {
        let mut settled = fixture.bus.say(0, &run, said);
        fixture.settle().await;
        fixture.pass(200, 100).await;
        settled.try_recv().map(|(_, settlement)| settlement)
    };
    assert_eq!(say(STARTED).await, Ok(Settlement::Done));
    assert_eq!(fixture.run(at(job, 10)).unwrap().worker.unwrap().phase, Phase::Running);
    let alive = WorkerSaid::Alive { progress: Some(40), message: None };
    assert_eq!(say(alive).await, Ok(Settlement::Done));
    assert_eq!(say(DONE).await, Ok(Settlement::Done));
    assert_eq!(fixture.delivered(0), [10]);
    // Once more, and what never was.
    assert_eq!(say(STARTED).await, Ok(Settlement::Done));
    assert_eq!(fixture.delivered(0), [10]);
    let foreign = run_id(CLUSTER + 1, at(job, 10));
    let mut settled = fixture.bus.say(0, &foreign, STARTED);
    let mut nonsense = fixture.bus.say(0, "nonsense", DONE);
    fixture.settle().await;
    fixture.pass(200, 100).await;
    assert_eq!(settled.try_recv().unwrap().1, Settlement::Poison);
    assert_eq!(nonsense.try_recv().unwrap().1, Settlement::Poison);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_waits_for_the_record_of_its_run() {
    let (mut fixture, queue, job) = with_job(false).await;
    fixture.bus.is_up(0, queue, true);
    later(&fixture, 9_000).await;
    fixture.pass(400, 200).await;
    assert_eq!(fixture.taken().len(), 1, "it is published, and not collected");
    let mut started = fixture.bus.say(0, &run_id(CLUSTER, at(job, 10)), STARTED);
    let mut never = fixture.bus.say(0, &run_id(CLUSTER, at(job, 5)), STARTED);
    fixture.settle().await;
    fixture.pass(1_000, 100).await;
    assert!(started.try_recv().is_err() && never.try_recv().is_err());
    collected(&fixture).await;
    fixture.pass(200, 100).await;
    assert_eq!(started.try_recv().unwrap().1, Settlement::Done);
    assert_eq!(fixture.run(at(job, 10)).unwrap().worker.unwrap().phase, Phase::Running);
    fixture.pass(3_500, 100).await;
    assert!(never.try_recv().is_err(), "its record may come: its instant is not settled");
    settled(&fixture).await;
    fixture.pass(3_500, 100).await;
    assert_eq!(never.try_recv().unwrap().1, Settlement::Done, "it is put away");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_publish_was_not_confirmed_begins_by_its_status() {
    let (mut fixture, queue, job) = with_job(false).await;
    fixture.bus.answer_with(|_| HandOut::Failed { error: "cut".to_owned(), for_good: false });
    published(&fixture, queue).await;
    fixture.pass(1_000, 200).await;
    collected(&fixture).await;
    assert_eq!((fixture.runs(job), fixture.pending(0)), (0, 1), "it is on offer");
    let mut settled = fixture.bus.say(0, &run_id(CLUSTER, at(job, 10)), STARTED);
    fixture.bus.answer_with(|_| HandOut::Passed);
    fixture.settle().await;
    fixture.pass(100, 50).await;
    assert_eq!(settled.try_recv().unwrap().1, Settlement::Done);
    let run = fixture.run(at(job, 10)).unwrap();
    let kept = run.worker.unwrap();
    assert_eq!((run.attempt, kept.phase, kept.terms.name.as_str()), (1, Phase::Running, "nightly"));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_of_another_queue_say_nothing_of_a_run() {
    let (mut fixture, queue, job) = with_job(false).await;
    published(&fixture, queue).await;
    let embedded = fixture.queue("emails", None);
    let other = fixture.create(queued("@every 10s", embedded), 1);
    later(&fixture, 11_000).await;
    let claimed = fixture.claim(embedded, 1).await;
    assert_eq!(claimed[0].occurrence.job, other, "beside job {job}");
    collected(&fixture).await;
    let run = run_id(CLUSTER, claimed[0].occurrence);
    let mut settled = fixture.bus.say(0, &run, DONE);
    fixture.settle().await;
    fixture.pass(1_000, 100).await;
    assert!(settled.try_recv().is_err(), "the store may say otherwise in a moment");
    fixture.pass(2_500, 100).await;
    assert_eq!(settled.try_recv().unwrap().1, Settlement::Done);
    assert_eq!(fixture.runs(other), 1, "it goes on");
    fixture.stop().await;
}
