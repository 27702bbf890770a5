//! Exchanges and queues: of workers that follow the README, made by others, missing, deleted.

use lapin::ExchangeKind;
use lapin::options::QueueDeclareOptions;
use lapin::options::{ExchangeDeclareOptions, ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::types::FieldTable;

use super::rabbitmq::queue;
use super::worker::Worker;
use super::*;

async fn exchange(worker: &Worker, name: &str, kind: ExchangeKind) {
    let options = ExchangeDeclareOptions { durable: false, ..Default::default() };
    let declared =
        worker.channel.exchange_declare(name.into(), kind, options, FieldTable::default());
    declared.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_with_exchanges_of_their_own_are_heard_whatever_the_type_is() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    let kinds = [
        ("direct", ExchangeKind::Direct, "status"),
        ("direct-empty", ExchangeKind::Direct, ""),
        ("topic", ExchangeKind::Topic, "what.ever"),
        ("fanout", ExchangeKind::Fanout, ""),
        ("headers", ExchangeKind::Headers, ""),
    ];
    let mut node = Node::new(rabbit.port(), &vhost, &json!({"actions": "exchange"}));
    let mut workers = Vec::new();
    for (name, kind, key) in &kinds {
        let mut worker = Worker::new(rabbit, &vhost, name).await;
        let actions = format!("scheduler.job.{name}.action");
        for word in ["action", "status", "heartbeat"] {
            exchange(&worker, &format!("scheduler.job.{name}.{word}"), kind.clone()).await;
        }
        queue(&worker.channel, &format!("own-{name}"), &actions, "action").await;
        worker.consume(&format!("own-{name}")).await;
        workers.push((worker, *key));
    }
    let names: Vec<&str> = kinds.iter().map(|(name, ..)| *name).collect();
    node.listen(&names).await;
    for (n, (worker, key)) in workers.iter_mut().enumerate() {
        let run = run(n as u32);
        node.offer(&worker.name, &run).await;
        assert!(worker.action().await.0.contains(&run));
        let body = json!({"runId": run, "status": "completed"}).to_string();
        worker.send(&format!("scheduler.job.{}.status", worker.name), key, body.as_bytes()).await;
        let heard = node.heard().await;
        assert_eq!((heard.run, heard.said), (run, DONE), "{}", worker.name);
        heard.receipt.done();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_styles_of_workers_are_heard_at_once_and_each_message_once() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    let mut node = Node::new(rabbit.port(), &vhost, &json!({}));
    node.listen(&["n"]).await;
    let worker = Worker::start(rabbit, &vhost, "n").await;
    worker.say(&run(1), "running").await;
    let body = json!({"runId": run(2), "status": "running"}).to_string();
    worker.send("scheduler.job.n.status", "status", body.as_bytes()).await;
    worker.say(&run(3), "running").await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        let heard = node.heard().await;
        heard.receipt.done();
        runs.push(heard.run);
    }
    runs.sort();
    assert_eq!(runs, [run(1), run(2), run(3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_listener_at_its_exchange_an_action_is_put_off() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    let mut node = Node::new(rabbit.port(), &vhost, &json!({"actions": "exchange"}));
    node.listen(&["n"]).await;
    let offer = node.bus.offer(&node.address("n"), ticket(&run(1)), Box::new(|| true)).await;
    let HandOut::Refused { why, .. } = offer else { panic!("{offer:?}") };
    assert!(why.contains("no worker has bound a queue"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_have_declared_otherwise_is_taken_as_it_is() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    let mut worker = Worker::new(rabbit, &vhost, "n").await;
    exchange(&worker, "scheduler.job.n", ExchangeKind::Direct).await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), 10.into());
    let declared = worker.channel.queue_declare(
        "scheduler.job.n.action".into(),
        QueueDeclareOptions::default(),
        arguments,
    );
    declared.await.unwrap();
    let mut node = Node::new(rabbit.port(), &vhost, &json!({}));
    node.listen(&["n", "other"]).await;
    node.offer("n", &run(1)).await;
    worker.consume("scheduler.job.n.action").await;
    assert!(worker.action().await.0.contains(&run(1)));
    worker.say(&run(1), "completed").await;
    assert_eq!(node.said().await.0, run(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topology_that_is_deleted_is_made_anew_by_the_next_action_and_while_it_is_consumed() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    let mut node = Node::new(rabbit.port(), &vhost, &json!({}));
    node.listen(&["n", "other"]).await;
    node.offer("n", &run(1)).await;
    let worker = Worker::new(rabbit, &vhost, "n").await;
    let channel = &worker.channel;
    // The queue: a message would be returned.
    let delete = QueueDeleteOptions::default;
    channel.queue_delete("scheduler.job.n.action".into(), delete()).await.unwrap();
    node.offer("n", &run(2)).await;
    // Its binding.
    let unbound = channel.queue_unbind(
        "scheduler.job.n.action".into(),
        "scheduler.job.n".into(),
        "action".into(),
        FieldTable::default(),
    );
    unbound.await.unwrap();
    node.offer("n", &run(3)).await;
    // The exchange: the channel would be closed, with what others have on it.
    let gone = channel.exchange_delete("scheduler.job.n".into(), ExchangeDeleteOptions::default());
    gone.await.unwrap();
    let runs = [run(4), run(5)];
    tokio::join!(node.offer("n", &runs[0]), node.offer("other", &runs[1]));
    // The queues that are consumed.
    for word in ["status", "heartbeat"] {
        let queue = format!("scheduler.job.n.{word}");
        channel.queue_delete(queue.as_str().into(), delete()).await.unwrap();
    }
    let mut worker = Worker::start(rabbit, &vhost, "n").await;
    for n in 2..=4 {
        assert!(worker.action().await.0.contains(&run(n)));
    }
    worker.say(&run(2), "completed").await;
    worker.beat(&run(3)).await;
    let mut heard = [node.heard().await, node.heard().await];
    heard.sort_by(|a, b| a.run.cmp(&b.run));
    assert_eq!([&heard[0].run, &heard[1].run], [&run(2), &run(3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_may_have_any_letters_up_to_their_bound() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    let long = "ü".repeat(115) + "n";
    let names = ["a.b.c", "with blanks in it", "Zürich #*\"", long.as_str()];
    let mut node = Node::new(rabbit.port(), &vhost, &json!({}));
    node.listen(&names).await;
    for (n, name) in names.iter().enumerate() {
        let run = run(n as u32);
        let mut worker = Worker::start(rabbit, &vhost, name).await;
        node.offer(name, &run).await;
        assert!(worker.action().await.0.contains(&run));
        worker.say(&run, "completed").await;
        let heard = node.heard().await;
        assert_eq!((&*heard.address.name, heard.run), (*name, run));
        heard.receipt.done();
    }
    let too_long = node.address(&(long + "n"));
    let offer = node.bus.offer(&too_long, ticket(&run(9)), Box::new(|| true)).await;
    let HandOut::Failed { error, for_good: true } = offer else { panic!("{offer:?}") };
    assert!(error.contains("232 bytes"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_deleted_job_stays_what_is_in_use_or_holds_messages() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    let mut node = Node::new(rabbit.port(), &vhost, &json!({}));
    node.listen(&["n", "m"]).await;
    node.offer("m", &run(1)).await;
    let (n, m) = (node.address("n"), node.address("m"));
    node.attached.clear();
    node.attach(&[]);
    assert_eq!(node.bus.remove(&n).await, Ok(vec![]));
    let left = ["scheduler.job.m.action", "scheduler.job.m"].map(str::to_owned);
    assert_eq!(node.bus.remove(&m).await, Ok(left.to_vec()));
    let mut worker = Worker::new(rabbit, &vhost, "m").await;
    worker.consume("scheduler.job.m.action").await;
    assert!(worker.action().await.0.contains(&run(1)));
    worker.channel.close(200, "OK".into()).await.unwrap();
    assert_eq!(node.bus.remove(&m).await, Ok(vec![]));
    let gone = Worker::new(rabbit, &vhost, "n").await;
    let passive = ExchangeDeclareOptions { passive: true, ..Default::default() };
    let asked = gone.channel.exchange_declare(
        "scheduler.job.n".into(),
        ExchangeKind::Topic,
        passive,
        FieldTable::default(),
    );
    assert!(asked.await.is_err());
}
