//! A broker that is killed under load and starts again: what the history calls delivered is in the
//! queue, and a minute later nothing is still under way.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use serde_json::json;

use super::Fixture;
use crate::harness::now;
use crate::harness::rabbitmq::RabbitMq;
use crate::harness::rabbitmq_kill::kill;

/// The jobs, due each second.
const JOBS: usize = 200;
/// The number of kills.
const KILLS: usize = 3;
/// The longest time until everything that was due is delivered, after the last start.
const SETTLED: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn what_was_delivered_is_in_the_queue_when_the_broker_is_killed_under_load() {
    let Some(rabbit) = RabbitMq::start() else { return };
    let mut fixture = Fixture::start(&rabbit, &[]).await;
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let declared = fixture.channel.queue_declare("q".into(), options, FieldTable::default());
    declared.await.unwrap();
    let settings = json!({"exchange": "", "routingKey": "q"});
    let executor = fixture.executor(rabbit.port(), settings).await;
    let terms = json!({
        "executorId": executor, "spec": "* * * * * *", "retryMax": 100, "retryDelay": "1s",
        "retryFactor": 1,
    });
    let from = now();
    let jobs = fixture.create(vec![terms; JOBS]).await;
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_secs(2)).await;
        tokio::task::block_in_place(|| kill(&rabbit));
    }
    let (until, started) = (now(), Instant::now());
    let delivered = fixture.delivered(&jobs, from, until).await;
    assert!(started.elapsed() < SETTLED, "some took {:?}", started.elapsed());
    assert!(delivered.len() >= JOBS * 6, "{} executions", delivered.len());
    fixture.channel = rabbit.channel(&fixture.vhost).await;
    let arrived = fixture.arrive("q", delivered.len()).await.into_keys().collect::<BTreeSet<_>>();
    let lost: Vec<_> = delivered.difference(&arrived).collect();
    assert!(lost.is_empty(), "delivered, and not in the queue: {lost:?}");
    assert_eq!(fixture.dead(0).await.len(), 0);
}
