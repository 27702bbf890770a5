//! Statuses that come twice, late, or in a wrong order: what is over stays as it is, and each
//! message is acknowledged.

use serde_json::json;

use super::BusCluster;
use crate::harness::rabbitmq;

#[tokio::test(flavor = "multi_thread")]
async fn statuses_that_come_twice_or_late_change_nothing() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let bus = BusCluster::start(rabbit, 1).await;
    let mut worker = bus.worker(rabbit, "again").await;
    let job = json!({"after": "1s", "workerName": "again"});
    bus.nodes.create(job.clone()).await;
    let run = worker.run().await;
    for status in ["running", "running", "completed"] {
        worker.say(&run, status).await;
    }
    bus.nodes.becomes(&run, "completed").await;
    let words = ["completed", "running", "failed", "cancelled", "pending", "cancelling"];
    for status in words {
        worker.say(&run, status).await;
    }
    // The second `running`, and four late ones; the scheduler's own words mean nothing here.
    bus.has_counted("status", "late", 5).await;
    bus.has_counted("status", "ignored", 2).await;
    assert_eq!(bus.nodes.run(1, &run).await.unwrap()["state"], "completed");
    assert_eq!(bus.counted("status", "ok").await, 2);
    assert_eq!(bus.counted("status", "unknown").await, 0);

    // That it is done is enough, also where it was never said that it began.
    bus.nodes.create(job.clone()).await;
    let run = worker.run().await;
    worker.say(&run, "completed").await;
    bus.nodes.becomes(&run, "completed").await;
    worker.say(&run, "running").await;
    bus.has_counted("status", "late", 6).await;
    assert_eq!(bus.nodes.run(1, &run).await.unwrap()["state"], "completed");

    // A failure without retries is taken back by a completion that comes late, and by nothing else.
    bus.nodes.create(job).await;
    let run = worker.run().await;
    let failed = json!({"jobName": "again", "runId": run, "status": "failed", "error": "no disk"});
    worker.send("status", failed.to_string().as_bytes()).await;
    let shown = bus.nodes.becomes(&run, "failed").await;
    assert_eq!(shown["error"], "no disk", "{shown}");
    worker.say(&run, "cancelled").await;
    bus.has_counted("status", "late", 7).await;
    worker.say(&run, "completed").await;
    bus.nodes.becomes(&run, "completed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_tried_again_where_the_job_says_so() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let bus = BusCluster::start(rabbit, 1).await;
    let mut worker = bus.worker(rabbit, "fails").await;
    let job = json!({"after": "1s", "workerName": "fails", "retryOn": ["failed"], "retryMax": 1,
        "retryDelay": "1s"});
    bus.nodes.create(job).await;
    let first = worker.told().await;
    worker.say(&first.run, "failed").await;
    let second = worker.told().await;
    assert_eq!((&second.run, second.attempt), (&first.run, 2));
    worker.say(&second.run, "failed").await;
    bus.nodes.becomes(&second.run, "failed").await;
}
