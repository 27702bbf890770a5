//! Which jobs are listened to: later ones, ones that go, many at once, and ones that cannot be.

use super::worker::Worker;
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn jobs_come_and_go_without_a_word_lost() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    let mut node = Node::new(rabbit.port(), &vhost, &json!({}));
    node.listen(&["a"]).await;
    let (a, b) =
        (Worker::start(rabbit, &vhost, "a").await, Worker::start(rabbit, &vhost, "b").await);
    b.say(&run(2), "running").await;
    node.attach(&["b"]);
    assert_eq!(node.said().await.0, run(2));
    node.attached.retain(|attached| &*attached.address.name == "b");
    node.attach(&[]);
    loop {
        let passive = lapin::options::QueueDeclareOptions { passive: true, ..Default::default() };
        let arguments = lapin::types::FieldTable::default();
        let declared = a.channel.queue_declare("scheduler.job.a.status".into(), passive, arguments);
        if declared.await.unwrap().consumer_count() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    a.say(&run(3), "completed").await;
    b.say(&run(4), "running").await;
    assert_eq!(node.said().await.0, run(4), "nobody listens to a");
    node.attach(&["a"]);
    assert_eq!(node.said().await.0, run(3), "until it is listened to again");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_attaches_a_shard_anew_is_told_again_that_it_is_heard() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    let mut node = Node::new(rabbit.port(), &vhost, &json!({}));
    node.listen(&["n"]).await;
    node.attach(&[]);
    let up = node.event().await;
    assert!(matches!(up, BusEvent::Up { shard: SHARD, queue: 9 }), "{up:?}");
    // Nobody is left at this broker.
    node.attached.clear();
    node.attach(&[]);
    let down = node.event().await;
    assert!(matches!(down, BusEvent::Down { shard: SHARD, queue: 9, .. }), "{down:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_jobs_are_listened_to_before_their_queue_is_called_up() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    let names: Vec<String> = (0..100).map(|n| format!("n{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut node = Node::new(rabbit.port(), &vhost, &json!({}));
    node.listen(&names).await;
    let channel = rabbit.channel(&vhost).await;
    for name in &names {
        for word in ["status", "heartbeat"] {
            let queue = format!("scheduler.job.{name}.{word}");
            let passive =
                lapin::options::QueueDeclareOptions { passive: true, ..Default::default() };
            let arguments = lapin::types::FieldTable::default();
            let declared = channel.queue_declare(queue.as_str().into(), passive, arguments).await;
            assert_eq!(declared.unwrap().consumer_count(), 1, "{queue}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_another_one_has_for_itself_holds_no_other_job_up() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    // Exclusive: only its connection may declare or consume it.
    let other = rabbit.channel(&vhost).await;
    let exclusive = lapin::options::QueueDeclareOptions { exclusive: true, ..Default::default() };
    let arguments = lapin::types::FieldTable::default();
    other.queue_declare("scheduler.job.bad.status".into(), exclusive, arguments).await.unwrap();
    let mut node = Node::new(rabbit.port(), &vhost, &json!({}));
    node.listen(&["bad", "good"]).await;
    let good = Worker::start(rabbit, &vhost, "good").await;
    good.say(&run(1), "completed").await;
    assert_eq!(node.said().await.0, run(1));
    // Its owner goes, and the job is heard without anybody's doing.
    other.close(200, "OK".into()).await.unwrap();
    let name = "scheduler.job.bad.status";
    let deleted = lapin::options::QueueDeleteOptions::default();
    let _ = other.queue_delete(name.into(), deleted).await;
    drop(other);
    loop {
        let channel = rabbit.channel(&vhost).await;
        let passive = lapin::options::QueueDeclareOptions { passive: true, ..Default::default() };
        let arguments = lapin::types::FieldTable::default();
        let found = channel.queue_declare(name.into(), passive, arguments).await;
        if found.is_ok_and(|queue| queue.consumer_count() == 1) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let bad = Worker::start(rabbit, &vhost, "bad").await;
    bad.say(&run(2), "completed").await;
    assert_eq!(node.said().await.0, run(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workers_of_a_shard_that_was_detached_are_heard_again_when_it_comes_back() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    let mut node = Node::new(rabbit.port(), &vhost, &json!({}));
    node.listen(&["n"]).await;
    let worker = Worker::start(rabbit, &vhost, "n").await;
    worker.say(&run(1), "running").await;
    // Nobody has dealt with it when the shard goes.
    let held = node.heard().await;
    node.bus.detach(SHARD);
    worker.say(&run(2), "completed").await;
    node.attach(&[]);
    let up = node.event().await;
    assert!(matches!(up, BusEvent::Up { shard: SHARD, queue: 9 }), "{up:?}");
    let mut again = Vec::new();
    while again.len() < 2 {
        let heard = node.heard().await;
        again.push((heard.run.clone(), heard.is_redelivered));
        heard.receipt.done();
    }
    again.sort();
    assert_eq!(again[0], (run(1), true), "what nobody acknowledged comes again");
    assert_eq!(again[1].0, run(2));
    drop(held);
    node.offer("n", &run(3)).await;
    worker.say(&run(3), "running").await;
    assert_eq!(node.said().await.0, run(3));
}
