//! Messages that no worker should send: they are put away once, and hold nothing up.

use serde_json::json;

use super::BusCluster;
use crate::harness::{TestCluster, rabbitmq};

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_put_away_once_and_the_good_message_behind_it_is_heard() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let bus = BusCluster::start(rabbit, 1).await;
    let mut worker = bus.worker(rabbit, "poisoned").await;
    let other = bus.nodes.create(json!({"after": "1s", "workerName": "other"})).await;
    let other = bus.nodes.has_runs(other, "pending", 1).await;
    let other = other[0]["runId"].as_str().unwrap().to_owned();
    bus.nodes.create(json!({"after": "1s", "workerName": "poisoned"})).await;
    let run = worker.run().await;
    bus.nodes.becomes(&run, "pending").await;
    // The id of another cluster names no job of this one.
    let foreign = run.bytes().rev().map(char::from).collect::<String>();
    let status = |run: &str, status: &str| {
        json!({"jobName": "poisoned", "runId": run, "status": status}).to_string()
    };
    let bodies = [
        String::new(),
        "{".to_owned(),
        "[1]".to_owned(),
        "x".repeat(1 << 20),
        json!({"runId": 7, "status": "running"}).to_string(),
        status(&run, "finished"),
        status("0", "running"),
        status(&foreign, "running"),
        json!({"jobName": "other", "runId": run, "status": "completed"}).to_string(),
    ];
    for body in &bodies {
        worker.send("status", body.as_bytes()).await;
    }
    worker.send("heartbeat", b"{}").await;
    worker.say(&run, "running").await;
    bus.nodes.becomes(&run, "running").await;
    bus.has_counted("status", "poison", bodies.len() as u64).await;
    bus.has_counted("heartbeat", "poison", 1).await;
    assert_eq!(bus.counted("status", "ok").await, 1);

    // Of an occurrence that was never due nothing is known after a while.
    let never = bus.nodes.run(1, &run).await.unwrap();
    assert_eq!(never["state"], "running");
    worker.say(&run, "completed").await;
    bus.nodes.becomes(&run, "completed").await;
    assert_eq!(bus.counted("status", "poison").await, bodies.len() as u64, "each once");
    // The workers of one name do not end the runs of another.
    worker.say(&other, "completed").await;
    bus.has_counted("status", "unknown", 1).await;
    assert_eq!(bus.nodes.run(1, &other).await.unwrap()["state"], "pending");
    let empty = async |_: &TestCluster| {
        let channel = rabbit.channel(&bus.vhost).await;
        let options = lapin::options::QueueDeclareOptions { passive: true, ..Default::default() };
        let queue = "scheduler.job.poisoned.status".into();
        let looked = channel.queue_declare(queue, options, lapin::types::FieldTable::default());
        (looked.await.unwrap().message_count() == 0).then_some(())
    };
    bus.nodes.cluster.wait_until("the queue is empty", empty).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn ten_thousand_poisoned_messages_hold_a_good_one_up_for_a_moment_only() {
    const POISON: u64 = 10_000;
    let Some(rabbit) = rabbitmq::shared() else { return };
    let bus = BusCluster::start(rabbit, 1).await;
    let mut worker = bus.worker(rabbit, "flooded").await;
    bus.nodes.create(json!({"after": "1s", "workerName": "flooded"})).await;
    let run = worker.run().await;
    bus.nodes.becomes(&run, "pending").await;
    let foreign = run.bytes().rev().map(char::from).collect::<String>();
    for n in 0..POISON {
        let body = match n % 2 {
            0 => json!({"runId": foreign, "status": "running"}).to_string(),
            _ => "no JSON".to_owned(),
        };
        worker.send("status", body.as_bytes()).await;
    }
    worker.say(&run, "running").await;
    bus.nodes.becomes(&run, "running").await;
    bus.has_counted("status", "poison", POISON).await;
    assert_eq!(bus.counted("status", "poison").await, POISON, "each once");
}
