//! What workers say: acknowledged, refused or coming again; in the order of a run.

use std::collections::BTreeMap;

use super::rabbitmq::messages;
use super::worker::Worker;
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_taken_off_once_and_holds_nobody_up() {
    const POISON: usize = 10_000;
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    let mut node = Node::new(rabbit.port(), &vhost, &json!({}));
    node.listen(&["n"]).await;
    let worker = Worker::start(rabbit, &vhost, "n").await;
    let large = vec![b'x'; 1 << 20];
    let kinds: [&[u8]; 6] = [
        b"",
        b"{",
        br#"{"runId": 5, "status": "running"}"#,
        br#"{"runId": "480788a06cd1843bcc4ff647", "status": "done"}"#,
        br#"{"runId": "480788a06cd1843bcc4ff647", "jobName": "m", "status": "running"}"#,
        br#"{"runId": "not-a-run", "status": "running"}"#,
    ];
    worker.send("scheduler.job.n", "status", &large).await;
    worker.send("scheduler.job.n", "heartbeat", b"[]").await;
    for n in 0..POISON {
        worker.send("scheduler.job.n", "status", kinds[n % kinds.len()]).await;
    }
    worker.say(&run(1), "running").await;
    let heard = node.heard().await;
    assert_eq!((heard.run.as_str(), heard.said), (&*run(1), started()));
    heard.receipt.done();
    node.bus.detach(SHARD);
    // What is neither acknowledged nor refused would be there again.
    for word in ["status", "heartbeat"] {
        settled(&worker, word).await;
    }
}

/// Waits until nobody consumes a queue, and it is empty.
async fn settled(worker: &Worker, word: &str) {
    let queue = format!("scheduler.job.n.{word}");
    loop {
        let passive = lapin::options::QueueDeclareOptions { passive: true, ..Default::default() };
        let declared = worker.channel.queue_declare(
            queue.as_str().into(),
            passive,
            lapin::types::FieldTable::default(),
        );
        let found = declared.await.unwrap();
        if found.consumer_count() == 0 {
            assert_eq!(found.message_count(), 0, "{word}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_of_a_run_come_one_after_the_other_and_others_beside_them() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    let mut node = Node::new(rabbit.port(), &vhost, &json!({}));
    node.listen(&["n"]).await;
    let worker = Worker::start(rabbit, &vhost, "n").await;
    worker.say(&run(1), "running").await;
    worker.say(&run(1), "completed").await;
    worker.beat(&run(1)).await;
    worker.say(&run(2), "running").await;
    let mut held = BTreeMap::new();
    for _ in 0..3 {
        let heard = node.heard().await;
        assert_ne!(heard.said, DONE, "the report before is not acknowledged");
        held.insert((heard.run.clone(), format!("{:?}", heard.said)), heard.receipt);
    }
    assert_eq!(held.len(), 3, "two runs begin, and one of them is alive: {held:?}");
    held.remove(&(run(1), format!("{:?}", started()))).unwrap().done();
    let heard = node.heard().await;
    assert_eq!((heard.run, heard.said), (run(1), DONE));
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_that_wait_for_their_records_hold_up_none_behind_them() {
    const WAIT: u32 = 1_500;
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    let mut node = Node::new(rabbit.port(), &vhost, &json!({}));
    node.listen(&["n"]).await;
    let worker = Worker::start(rabbit, &vhost, "n").await;
    for n in 0..=WAIT {
        worker.say(&run(n), "running").await;
    }
    let mut waiting = Vec::new();
    for n in 0..WAIT {
        let heard = node.heard().await;
        assert_eq!(heard.run, run(n));
        waiting.push(heard.receipt);
    }
    assert_eq!(node.said().await.0, run(WAIT));
    waiting.into_iter().for_each(crate::bus::Receipt::done);
    node.bus.detach(SHARD);
    settled(&worker, "status").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_acknowledged_comes_again_to_the_next_one() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    let mut node = Node::new(rabbit.port(), &vhost, &json!({}));
    node.listen(&["n"]).await;
    let worker = Worker::start(rabbit, &vhost, "n").await;
    for n in [1, 2, 3] {
        worker.say(&run(n), "running").await;
    }
    let (first, second, third) = (node.heard().await, node.heard().await, node.heard().await);
    second.receipt.done();
    // Dropped, and held by somebody who is gone.
    drop(first.receipt);
    let mut again = [node.heard().await, node.heard().await];
    again.sort_by(|a, b| a.run.cmp(&b.run));
    assert_eq!([&again[0].run, &again[1].run], [&run(1), &run(3)]);
    third.receipt.done();
    node.bus.detach(SHARD);
    let mut next = Node::new(rabbit.port(), &vhost, &json!({}));
    next.listen(&["n"]).await;
    let mut again = vec![next.heard().await, next.heard().await];
    again.sort_by(|a, b| a.run.cmp(&b.run));
    assert_eq!([&again[0].run, &again[1].run], [&run(1), &run(3)]);
    for heard in again {
        heard.receipt.done();
    }
    next.bus.detach(SHARD);
    settled(&worker, "status").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_consumers_of_two_nodes_share_what_comes() {
    const RUNS: u32 = 500;
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    let mut nodes = [(); 2].map(|()| Node::new(rabbit.port(), &vhost, &json!({})));
    for node in &mut nodes {
        node.listen(&["n"]).await;
    }
    let worker = Worker::start(rabbit, &vhost, "n").await;
    for n in 0..RUNS {
        worker.say(&run(n), "completed").await;
    }
    let [one, other] = &mut nodes;
    let mut seen = [BTreeMap::new(), BTreeMap::new()];
    for _ in 0..RUNS {
        let (place, heard) = tokio::select! {
            heard = one.heard() => (0, heard),
            heard = other.heard() => (1, heard),
        };
        *seen[place].entry(heard.run).or_insert(0) += 1;
        heard.receipt.done();
    }
    let [a, b] = &seen;
    assert!(!a.is_empty() && !b.is_empty(), "both are delivered to");
    assert_eq!(a.len() + b.len(), RUNS as usize, "each once");
    assert!(messages(&worker.channel, "scheduler.job.n.action").await.is_empty());
}
