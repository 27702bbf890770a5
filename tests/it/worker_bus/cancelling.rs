//! Clients cancel runs in each of their states, and workers confirm it, finish instead, or say
//! nothing.

use serde_json::json;

use super::BusCluster;
use super::worker::PublishedWorker;
use crate::harness::rabbitmq;

async fn is_told(worker: &mut PublishedWorker, run: &str) {
    let told = worker.told().await;
    assert_eq!((told.action.as_str(), told.run.as_str()), ("cancel", run));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_cancelled_in_each_of_its_states() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let bus = BusCluster::start(rabbit, 1).await;
    let mut worker = bus.worker(rabbit, "stops").await;
    let job = json!({"after": "1s", "workerName": "stops", "cancelTimeout": "30s"});

    // Running: the worker confirms it.
    bus.nodes.create(job.clone()).await;
    let run = worker.run().await;
    worker.say(&run, "running").await;
    bus.nodes.becomes(&run, "running").await;
    assert_eq!(bus.nodes.cancel(1, &run).await.0, 202);
    is_told(&mut worker, &run).await;
    assert_eq!(bus.nodes.cancel(1, &run).await.0, 202, "the same again");
    worker.say(&run, "cancelled").await;
    bus.nodes.becomes(&run, "cancelled").await;
    assert!(matches!(bus.nodes.cancel(1, &run).await.0, 200 | 409), "it is over");

    // Published, and nobody has begun.
    bus.nodes.create(job.clone()).await;
    let run = worker.run().await;
    bus.nodes.becomes(&run, "pending").await;
    assert_eq!(bus.nodes.cancel(1, &run).await.0, 202);
    is_told(&mut worker, &run).await;
    worker.say(&run, "cancelled").await;
    let ended = bus.nodes.becomes(&run, "cancelled").await;
    assert_eq!(ended["reason"], "cancelled", "{ended}");

    // The worker finishes instead.
    bus.nodes.create(job.clone()).await;
    let run = worker.run().await;
    worker.say(&run, "running").await;
    bus.nodes.becomes(&run, "running").await;
    assert_eq!(bus.nodes.cancel(1, &run).await.0, 202);
    is_told(&mut worker, &run).await;
    worker.say(&run, "completed").await;
    bus.nodes.becomes(&run, "completed").await;
    let (status, body) = bus.nodes.cancel(1, &run).await;
    assert_eq!(status, 409, "{body}");

    // The worker never answers: it is asked three times within the cancel timeout.
    let patient = json!({"after": "1s", "workerName": "stops", "cancelTimeout": "3s"});
    bus.nodes.create(patient).await;
    let run = worker.run().await;
    bus.nodes.becomes(&run, "pending").await;
    assert_eq!(bus.nodes.cancel(1, &run).await.0, 202);
    for _ in 0..3 {
        is_told(&mut worker, &run).await;
    }
    bus.nodes.becomes(&run, "cancelled").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_of_a_deleted_job_is_told_to_stop() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let bus = BusCluster::start(rabbit, 1).await;
    let mut worker = bus.worker(rabbit, "deleted").await;
    let job = bus.nodes.create(json!({"after": "1s", "workerName": "deleted"})).await;
    let run = worker.run().await;
    worker.say(&run, "running").await;
    bus.nodes.becomes(&run, "running").await;
    let url = bus.nodes.cluster.url(1, &format!("/api/v1/jobs/{job}"));
    let answer = bus.nodes.cluster.http().delete(url).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    is_told(&mut worker, &run).await;
    bus.nodes.becomes(&run, "cancelled").await;
    // Its last words are taken off the queue, and change nothing.
    worker.say(&run, "completed").await;
    bus.has_counted("status", "late", 1).await;
    assert_eq!(bus.nodes.run(1, &run).await.unwrap()["state"], "cancelled");
}
