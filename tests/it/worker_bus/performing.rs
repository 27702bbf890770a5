//! A published worker performs runs: whether it registers first or last, each second once, and each
//! state is shown.

use std::collections::BTreeSet;

use scheduler0::model::time::rfc3339;
use serde_json::json;

use super::BusCluster;
use crate::harness::rabbitmq;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_registers_first_or_last_performs_the_runs_of_its_job() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let bus = BusCluster::start(rabbit, 1).await;
    let mut first = bus.worker(rabbit, "first").await;
    for name in ["first", "last"] {
        bus.nodes.create(json!({"after": "1s", "workerName": name})).await;
    }
    let run = first.run().await;
    bus.nodes.becomes(&run, "pending").await;
    first.say(&run, "running").await;
    let shown = bus.nodes.becomes(&run, "running").await;
    assert_eq!((&shown["bus"], &shown["attempt"]), (&json!("rabbitmq"), &json!(1)), "{shown}");
    first.say(&run, "completed").await;
    let shown = bus.nodes.becomes(&run, "completed").await;
    assert!(shown["startedAt"].is_string() && shown["endedAt"].is_string(), "{shown}");
    // The message waits for a worker that nobody knew when it was published.
    let mut last = bus.worker(rabbit, "last").await;
    let run = last.run().await;
    let more = json!({"jobName": "last", "runId": run, "status": "running", "progress": 40,
        "message": "at it"});
    last.send("status", more.to_string().as_bytes()).await;
    let shown = bus.nodes.becomes(&run, "running").await;
    let done = json!({"jobName": "last", "runId": run, "status": "completed", "result": "5 sent"});
    last.send("status", done.to_string().as_bytes()).await;
    let ended = bus.nodes.becomes(&run, "completed").await;
    assert_eq!(ended["result"], "5 sent", "{shown} {ended}");
    assert_eq!(bus.counted("status", "ok").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_second_is_one_run_and_none_comes_twice() {
    const SECONDS: usize = 5;
    let Some(rabbit) = rabbitmq::shared() else { return };
    let bus = BusCluster::start(rabbit, 1).await;
    let mut worker = bus.worker(rabbit, "each second").await;
    let job = json!({"spec": "@every 1s", "externalId": "each second", "data": {"n": 1}});
    let job = bus.nodes.create(job).await;
    let mut runs = BTreeSet::new();
    for _ in 0..SECONDS {
        let run = worker.run().await;
        assert!(runs.insert(run.clone()), "{run} twice");
        worker.say(&run, "running").await;
        worker.say(&run, "completed").await;
    }
    let completed = bus.nodes.has_runs(job, "completed", SECONDS).await;
    let instant = |run: &serde_json::Value| {
        let at = run["scheduledAt"].as_str().unwrap();
        scheduler0::model::time::parse_rfc3339(at).unwrap()
    };
    let mut instants: Vec<_> = completed.iter().map(instant).collect();
    instants.sort_unstable();
    let gaps: Vec<_> = instants.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(gaps.iter().all(|gap| *gap == 1_000), "{gaps:?} after {}", rfc3339(instants[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_must_not_overlap_are_published_one_after_the_other() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let bus = BusCluster::start(rabbit, 1).await;
    let mut worker = bus.worker(rabbit, "alone").await;
    let job = json!({"spec": "@every 1s", "workerName": "alone", "overlap": "queue"});
    let job = bus.nodes.create(job).await;
    let first = worker.run().await;
    worker.say(&first, "running").await;
    bus.nodes.becomes(&first, "running").await;
    bus.nodes.has_runs(job, "queued", 2).await;
    worker.say(&first, "completed").await;
    let second = worker.run().await;
    assert_ne!(first, second);
    let open = bus.nodes.runs(1, job, "running,cancelling").await;
    assert!(open.is_empty(), "{open:?}");
}
