//! A measurement: publishes a second with confirms, beside the bare client library on the same
//! broker.
//!
//! `cargo test --release --lib amqp::tests::speed -- --ignored --nocapture`

use std::time::Instant;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel};

use super::rabbitmq::queue;
use super::*;

/// The messages of one round.
const ROUND: u64 = 100_000;
const CHANNELS: u64 = 8;
const WINDOW: usize = 1_024;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn publishes_a_second_beside_the_bare_library() {
    let Some(rabbit) = RabbitMq::start() else { return };
    let vhost = rabbit.vhost();
    let channel = rabbit.channel(&vhost).await;
    queue(&channel, "q", "", "").await;
    let purge = || channel.queue_purge("q".into(), lapin::options::QueuePurgeOptions::default());
    let publisher = Arc::new(Publisher::new());
    let mut ratios = Vec::new();
    for _ in 0..5 {
        let bare = bare(&rabbit, &vhost).await;
        purge().await.unwrap();
        let ours = ours(&publisher, &broker(&rabbit, USER, &vhost)).await;
        purge().await.unwrap();
        println!("bare {bare:.0}/s, ours {ours:.0}/s, ratio {:.2}", ours / bare);
        ratios.push(ours / bare);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median {:.2}", ratios[2]);
}

async fn bare(rabbit: &RabbitMq, vhost: &str) -> f64 {
    let connection = rabbit.connection(vhost).await;
    let mut channels = Vec::new();
    while channels.len() < CHANNELS as usize {
        channels.push(connection.create_channel().await.unwrap());
    }
    for channel in &channels {
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    }
    let begun = Instant::now();
    let all = channels.into_iter().map(|channel| tokio::spawn(bare_channel(channel)));
    for done in all.collect::<Vec<_>>() {
        done.await.unwrap();
    }
    ROUND as f64 / begun.elapsed().as_secs_f64()
}

async fn bare_channel(channel: Channel) {
    let body = [b'x'; 256];
    let mut waiting = std::collections::VecDeque::new();
    for _ in 0..ROUND / CHANNELS {
        if waiting.len() == WINDOW {
            let confirm: lapin::PublisherConfirm = waiting.pop_front().unwrap();
            assert!(confirm.await.unwrap().is_ack());
        }
        let properties = BasicProperties::default().with_delivery_mode(2);
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let publish = channel.basic_publish("".into(), "q".into(), options, &body, properties);
        waiting.push_back(publish.await.unwrap());
    }
    for confirm in waiting {
        assert!(confirm.await.unwrap().is_ack());
    }
}

async fn ours(publisher: &Arc<Publisher>, to: &Broker) -> f64 {
    let jobs: Vec<u64> = (0..ROUND).collect();
    let body = Bytes::from(vec![b'x'; 256]);
    let chunks: Vec<Publish> = jobs
        .chunks(WINDOW)
        .map(|jobs| {
            let message = |n: &u64| Message { body: body.clone(), ..message(*n, "q") };
            chunk(to.clone(), "", jobs.iter().map(message).collect())
        })
        .collect();
    let begun = Instant::now();
    let all = chunks.into_iter().map(|chunk| {
        let publisher = Arc::clone(publisher);
        tokio::spawn(async move { delivered(&publisher.publish(chunk).await).len() })
    });
    let mut confirmed = 0;
    for done in all.collect::<Vec<_>>() {
        confirmed += done.await.unwrap();
    }
    assert_eq!(confirmed, ROUND as usize);
    ROUND as f64 / begun.elapsed().as_secs_f64()
}
