//! Heartbeats over a broker: who sends them keeps its run; without them the run is published again
//! under its id. A run that does not begin in time is cancelled.

use std::time::{Duration, Instant};

use serde_json::json;

use super::worker::Told;
use super::{BusCluster, LOOK};
use crate::harness::{TestCluster, rabbitmq};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_kept_by_heartbeats_and_published_again_without_them() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let bus = BusCluster::start(rabbit, 1).await;
    let mut worker = bus.worker(rabbit, "beats").await;
    let job = json!({"after": "1s", "workerName": "beats", "heartbeatTimeout": "2s",
        "retryMax": 3, "retryOn": ["lost"]});
    bus.nodes.create(job).await;
    let first = worker.told().await;
    worker.say(&first.run, "running").await;
    bus.nodes.becomes(&first.run, "running").await;
    // Three times as long as it may be silent.
    let until = Instant::now() + Duration::from_secs(6);
    let mut longest = Duration::ZERO;
    let mut last = Instant::now();
    while Instant::now() < until {
        worker.beat(&first.run).await;
        longest = longest.max(last.elapsed());
        last = Instant::now();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let shown = bus.nodes.run(1, &first.run).await.unwrap();
        // A machine that is too busy for a heartbeat in time proves nothing.
        let is_late = longest > Duration::from_secs(1);
        assert!(shown["state"] == "running" || is_late, "{longest:?}: {shown}");
    }
    assert!(bus.counted("heartbeat", "ok").await > 0);
    let again = worker.told().await;
    let expected = Told { action: "run".to_owned(), run: first.run.clone(), attempt: 2 };
    assert_eq!(again, expected, "the same id");
    assert!(last.elapsed() >= Duration::from_secs(2) || longest > Duration::from_secs(1));
    worker.say(&again.run, "running").await;
    worker.say(&again.run, "completed").await;
    let ended = bus.nodes.becomes(&again.run, "completed").await;
    assert_eq!(ended["attempt"], 2, "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_begin_or_end_in_time_is_cancelled_by_name_and_id() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let bus = BusCluster::start(rabbit, 1).await;
    let mut worker = bus.worker(rabbit, "slow").await;
    let common = json!({"after": "1s", "workerName": "slow", "cancelTimeout": "20s"});
    let with = |name: &str| crate::harness::merged(common.clone(), json!({name: "1s"}));
    // Nobody says that this one has begun.
    bus.nodes.create(with("startTimeout")).await;
    let run = worker.run().await;
    let cancel = worker.told().await;
    assert_eq!((cancel.action.as_str(), &cancel.run), ("cancel", &run));
    bus.nodes.becomes(&run, "cancelling").await;
    worker.say(&run, "cancelled").await;
    let ended = bus.nodes.becomes(&run, "cancelled").await;
    assert_eq!(ended["reason"], "not_started", "{ended}");
    bus.nodes.create(with("runTimeout")).await;
    let run = worker.run().await;
    worker.say(&run, "running").await;
    bus.nodes.becomes(&run, "running").await;
    let cancel = worker.told().await;
    assert_eq!((cancel.action.as_str(), &cancel.run), ("cancel", &run));
    worker.say(&run, "cancelled").await;
    bus.nodes.becomes(&run, "cancelled").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_a_worker_is_cancelled_when_its_start_timeout_is_over() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let bus = BusCluster::start(rabbit, 1).await;
    let job = json!({"after": "1s", "workerName": "nobody", "startTimeout": "1s",
        "cancelTimeout": "1s"});
    let job = bus.nodes.create(job).await;
    let ended = bus.nodes.has_runs(job, "cancelled", 1).await;
    assert_eq!(ended[0]["attempt"], 1, "{ended:?}");
    // The message of the run has expired in the broker; that it is to be stopped is told.
    let channel = rabbit.channel(&bus.vhost).await;
    let told = async |_: &TestCluster| {
        let found = rabbitmq::messages(&channel, "scheduler.job.nobody.action").await;
        tokio::time::sleep(LOOK).await;
        found.into_iter().find(|one| String::from_utf8_lossy(&one.data).contains("cancel"))
    };
    bus.nodes.cluster.wait_until("a cancel", told).await;
}
