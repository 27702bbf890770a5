//! Queues that share a broker and the names of their jobs, and queues that are to leave their
//! broker while runs are out.

use serde_json::{Value, json};

use super::{BusCluster, url_of};
use crate::harness::rabbitmq;

impl BusCluster {
    /// Changes something; status and body.
    async fn patch(&self, path: &str, body: Value) -> (u16, Value) {
        let url = self.nodes.cluster.url(1, &format!("/api/v1{path}"));
        let answer = self.nodes.cluster.http().patch(url).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// Has a job due at this moment.
    async fn run_now(&self, job: u64) {
        let (status, body) = self.nodes.post(1, &format!("/jobs/{job}/run"), json!({})).await;
        assert!(status < 300, "{body}");
    }

    /// Creates another queue at a virtual host of the broker; its number.
    async fn second_queue(&self, url: &str) -> u64 {
        let worker = json!({"bus": "rabbitmq", "url": url});
        let queue = json!({"name": "second", "type": "worker", "worker": worker});
        let (status, body) = self.nodes.post(1, "/executors", queue).await;
        assert_eq!(status, 201, "{body}");
        body["data"]["id"].as_u64().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_a_job_that_moves_to_another_queue_of_its_broker_are_ended_by_their_workers() {
    const RUNS: usize = 8;
    let Some(rabbit) = rabbitmq::shared() else { return };
    let bus = BusCluster::start(rabbit, 1).await;
    let mut worker = bus.worker(rabbit, "shared").await;
    let second = bus.second_queue(&url_of(rabbit, &bus.vhost)).await;
    let first = json!({"spec": "@yearly", "workerName": "shared"});
    let jobs = json!(vec![bus.nodes.job(first); RUNS]);
    let jobs = bus.nodes.cluster.jobs(1, &jobs).await;
    let mut runs = Vec::new();
    for job in &jobs {
        bus.run_now(job["id"].as_u64().unwrap()).await;
        let run = worker.run().await;
        worker.say(&run, "running").await;
        runs.push(run);
    }
    for run in &runs {
        bus.nodes.becomes(run, "running").await;
    }
    // Both queues listen to the name now, and the broker gives each of them a part of the words.
    for job in &jobs[..RUNS / 2] {
        let path = format!("/jobs/{}", job["id"]);
        let (status, body) = bus.patch(&path, json!({"executorId": second})).await;
        assert_eq!(status, 200, "{body}");
    }
    let listens = async |_: &crate::harness::TestCluster| {
        let channel = rabbit.channel(&bus.vhost).await;
        let passive = lapin::options::QueueDeclareOptions { passive: true, ..Default::default() };
        let queue = "scheduler.job.shared.status".into();
        let found = channel.queue_declare(queue, passive, lapin::types::FieldTable::default());
        (found.await.unwrap().consumer_count() >= 2).then_some(())
    };
    bus.nodes.cluster.wait_until("both queues listen", listens).await;
    for run in &runs {
        worker.beat(run).await;
        worker.say(run, "completed").await;
    }
    for run in &runs {
        bus.nodes.becomes(run, "completed").await;
    }
    for outcome in ["poison", "unknown", "late"] {
        assert_eq!(bus.counted("status", outcome).await, 0, "{outcome}");
    }
    assert_eq!(bus.counted("heartbeat", "poison").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_stays_at_its_broker_while_runs_are_out_there() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let bus = BusCluster::start(rabbit, 1).await;
    let mut worker = bus.worker(rabbit, "stays").await;
    let job = bus.nodes.create(json!({"spec": "@yearly", "workerName": "stays"})).await;
    bus.run_now(job).await;
    let run = worker.run().await;
    worker.say(&run, "running").await;
    bus.nodes.becomes(&run, "running").await;
    let queue = format!("/executors/{}", bus.nodes.queue);
    let elsewhere = url_of(rabbit, &rabbit.vhost());
    let moves = json!({"worker": {"url": elsewhere}});
    let (status, body) = bus.patch(&queue, moves.clone()).await;
    assert_eq!(status, 409, "{body}");
    assert_eq!(body["error"]["field"], "worker.url", "{body}");
    let message = body["error"]["message"].as_str().unwrap();
    let words = ["are out at", ": 1.", "pause the jobs", "wait until", "cancel", "queue=emails"];
    for word in words {
        assert!(message.contains(word), "{word}: {message}");
    }
    assert!(!message.contains(rabbitmq::PASSWORD), "{message}");
    // What leaves it where it is may change.
    let (status, body) = bus.patch(&queue, json!({"worker": {"heartbeatTimeout": "1m"}})).await;
    assert_eq!(status, 200, "{body}");
    // Neither can it go, nor become another kind, once no job uses it.
    let other = bus.second_queue(&elsewhere).await;
    let answer = bus.patch(&format!("/jobs/{job}"), json!({"executorId": other})).await;
    assert_eq!(answer.0, 200, "{}", answer.1);
    let embedded = bus.patch(&queue, json!({"worker": {"bus": "embedded"}})).await;
    assert_eq!(embedded.0, 409, "{}", embedded.1);
    assert_eq!(embedded.1["error"]["field"], "worker.bus", "{}", embedded.1);
    let webhook = json!({"type": "webhook_url", "webhookUrl": "https://example.com/hook"});
    let called = bus.patch(&queue, webhook).await;
    assert_eq!((called.0, &called.1["error"]["field"]), (409, &json!("type")), "{}", called.1);
    let url = bus.nodes.cluster.url(1, &format!("/api/v1{queue}"));
    let gone = bus.nodes.cluster.http().delete(url).send().await.unwrap();
    assert_eq!(gone.status().as_u16(), 409);
    // Its worker is told to stop where it is, and when that is over the queue may go.
    assert_eq!(bus.nodes.cancel(1, &run).await.0, 202);
    let told = worker.told().await;
    assert_eq!((told.action.as_str(), &told.run), ("cancel", &run));
    worker.say(&run, "cancelled").await;
    bus.nodes.becomes(&run, "cancelled").await;
    let (status, body) = bus.patch(&queue, moves).await;
    assert_eq!(status, 200, "{body}");
}
