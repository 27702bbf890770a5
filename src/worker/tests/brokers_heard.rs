//! What workers at a broker say, and what they are told: of which runs it counts, wherever it came
//! from.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::json;

use super::brokers::{CLUSTER, DONE, at, published, with_job};
use super::fixture::WorkerFixture;
use crate::bus::{BusAddress, Settlement, WorkerSaid};
use crate::command::{Command, Outcome};
use crate::model::call_target::CallTarget;
use crate::model::run_id::run_id;
use crate::model::run_report::{RunReport, Said};
use crate::model::target::{Configured, Executor};

/// The address of the first job, as another queue at a host has it.
fn address_of(fixture: &WorkerFixture, name: &str, host: &str) -> BusAddress {
    let broker = json!({"tls": false, "host": host, "port": 5_672, "vhost": "/", "user": "other",
        "password": "sealed"});
    let settings = json!({"bus": "rabbitmq", "rabbitmq": {"broker": broker}});
    let executor = Executor {
        name: name.to_owned(),
        kind: "worker".to_owned(),
        settings: Some(Box::new(settings.clone())),
        ..Executor::default()
    };
    let Outcome::Created(queue) = fixture.apply(&Command::CreateExecutor(executor)) else {
        panic!("{name}");
    };
    let configured = Configured { kind: "worker".to_owned(), settings };
    let target = Arc::new(CallTarget::Settings(Box::new(configured)));
    BusAddress { queue, target, ..fixture.bus.attachments(0).remove(0).address }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_counts_over_each_queue_of_its_broker_and_name_and_over_no_other() {
    let (mut fixture, queue, job) = with_job(false).await;
    published(&fixture, queue).await;
    let run = run_id(CLUSTER, at(job, 10));
    let same = address_of(&fixture, "same", "broker.example");
    let other = address_of(&fixture, "other", "elsewhere.example");
    let renamed = BusAddress { name: "else".into(), ..same.clone() };
    for astray in [other, renamed] {
        let mut settled = fixture.bus.say_at(0, astray, (&run, DONE, false));
        fixture.settle().await;
        fixture.pass(1_000, 100).await;
        assert!(settled.try_recv().is_err(), "it is waited with");
        fixture.pass(2_500, 100).await;
        assert_eq!(settled.try_recv().unwrap().1, Settlement::Done, "nothing is rejected");
        assert_eq!(fixture.delivered(0), [0; 0]);
    }
    let mut settled = fixture.bus.say_at(0, same, (&run, DONE, false));
    fixture.settle().await;
    fixture.pass(200, 100).await;
    assert_eq!(settled.try_recv().unwrap().1, Settlement::Done);
    assert_eq!(fixture.delivered(0), [10]);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_counts_for_runs_of_its_broker_and_name() {
    let (mut fixture, queue, job) = with_job(false).await;
    published(&fixture, queue).await;
    let run = run_id(CLUSTER, at(job, 10));
    let same = address_of(&fixture, "same", "broker.example");
    let renamed = BusAddress { name: "else".into(), ..same.clone() };
    for (address, expected) in [(renamed, None), (same, Some(40))] {
        let alive = WorkerSaid::Alive { progress: Some(40), message: None };
        let mut settled = fixture.bus.say_at(0, address, (&run, alive, false));
        fixture.settle().await;
        fixture.pass(200, 100).await;
        assert_eq!(settled.try_recv().unwrap().1, Settlement::Done);
        let live = fixture.supervision().live(vec![at(job, 10)]).await.unwrap();
        assert_eq!(live[0].progress, expected);
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_asked_to_stop_by_the_name_of_its_run_until_the_broker_has_it() {
    let (mut fixture, queue, job) = with_job(false).await;
    published(&fixture, queue).await;
    fixture.bus.refuses_cancels.store(1, Ordering::SeqCst);
    let (occurrence, said) = (at(job, 10), Said::Cancel { by: None });
    let report = RunReport { occurrence, attempt: 0, worker: String::new(), said };
    fixture.apply(&Command::ReportRuns { reports: vec![report] });
    fixture.pass(2_000, 200).await;
    {
        let cancelled = fixture.bus.cancelled.lock().unwrap();
        assert_eq!(cancelled.len(), 2, "the first one was refused");
        for (address, ticket) in &*cancelled {
            let run = run_id(CLUSTER, occurrence);
            assert_eq!((&*address.name, &ticket.run), ("nightly", &run));
        }
    }
    fixture.stop().await;
}
