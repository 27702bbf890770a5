//! Calls and connections that end before all is confirmed.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::rabbitmq::{messages, queue, shared};
use super::tcp_proxy::{Backward, TcpProxy};
use super::*;
use crate::delivery::call_checks::SendCheck;
use crate::delivery::reply::Rest;

/// The number of connections that are lost with messages on them.
const LOSSES: usize = if cfg!(feature = "slow") { 200 } else { 3 };

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_ends_in_a_chunk_keeps_the_rest_back() {
    let Some(rabbit) = shared() else { return };
    let vhost = rabbit.vhost();
    let channel = rabbit.channel(&vhost).await;
    queue(&channel, "q", "", "").await;
    let many = || (1..=10).map(|n| message(n, "q")).collect();
    let publisher = Publisher::new();
    let asked = AtomicUsize::new(0);
    let lease = Box::new(move || asked.fetch_add(1, Ordering::SeqCst) < 4);
    let reply =
        publisher.publish_while(chunk(broker(rabbit, USER, &vhost), "", many()), lease).await;
    assert_eq!(delivered(&reply), [1, 2, 3, 4], "{reply:?}");
    assert_eq!(messages(&channel, "q").await.len(), 4);
    let over = Box::new(|| false);
    let reply =
        publisher.publish_while(chunk(broker(rabbit, USER, &vhost), "", many()), over).await;
    assert_eq!(reply, Reply::Withheld);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_confirmed_when_the_connection_is_killed_is_tried_again_and_nothing_is_lost() {
    let Some(rabbit) = shared() else { return };
    let vhost = rabbit.vhost();
    let channel = rabbit.channel(&vhost).await;
    queue(&channel, "q", "", "").await;
    let proxy = TcpProxy::start(rabbit.port()).await;
    let through = Broker { port: proxy.port(), ..broker(rabbit, USER, &vhost) };
    let publisher = Publisher::new();
    let (mut job, mut lost, mut confirmed) = (0, 0, HashSet::new());
    while lost < LOSSES {
        // The connection is there, and has worked.
        job += 1;
        let first = publisher.publish(chunk(through.clone(), "", vec![message(job, "q")])).await;
        if matches!(first, Reply::Refused { .. }) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        let many: Vec<Message> = (1..=100).map(|n| message(job + n, "q")).collect();
        let sent: HashSet<JobId> = many.iter().map(|message| message.job).collect();
        let delay = Duration::from_micros(250 * (job % 40));
        job += 100;
        let cutting = async {
            tokio::time::sleep(delay).await;
            proxy.cut();
        };
        let publishing = publisher.publish(chunk(through.clone(), "", many));
        let (reply, ()) = tokio::join!(publishing, cutting);
        if matches!(reply, Reply::Refused { .. }) {
            // It was cut before the chunk came.
            continue;
        }
        let told = told(&reply);
        assert!(told.iter().all(|(job, ..)| sent.contains(job)), "{reply:?}");
        for (job, class, _, why) in told {
            match class {
                Class::Success => drop(confirmed.insert(format!("execution-{job}"))),
                Class::Retry { after: None } => {
                    let known = ["connection", "channel", "login"];
                    assert!(known.iter().any(|word| why.contains(word)), "{why}");
                }
                other => panic!("{other:?}: {why}"),
            }
        }
        lost += usize::from(delivered(&reply).len() < 100);
    }
    let arrived: HashSet<String> = messages(&channel, "q").await.iter().map(id).collect();
    assert!(confirmed.is_subset(&arrived), "confirmed, and not there");
}

fn id(message: &lapin::message::Delivery) -> String {
    message.properties.message_id().as_ref().map(|id| id.as_str().to_owned()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_confirm_in_time_a_message_is_an_attempt_that_failed_and_its_channel_goes() {
    let Some(rabbit) = shared() else { return };
    let vhost = rabbit.vhost();
    let channel = rabbit.channel(&vhost).await;
    queue(&channel, "q", "", "").await;
    let proxy = TcpProxy::start(rabbit.port()).await;
    let through = Broker { port: proxy.port(), ..broker(rabbit, USER, &vhost) };
    let publisher = Publisher { timeout: Duration::from_millis(1_500), ..Publisher::new() };
    let reply = publisher.publish(chunk(through.clone(), "", vec![message(1, "q")])).await;
    assert_eq!(delivered(&reply), [1], "{reply:?}");
    proxy.backward(Backward::IsSwallowed);
    let reply = publisher.publish(chunk(through.clone(), "", vec![message(2, "q")])).await;
    let [(2, Class::Retry { after: None }, ResultCode::None, why)] = &told(&reply)[..] else {
        panic!("{reply:?}")
    };
    assert!(why.contains("did not confirm it within 1.5s"), "{why}");
    let Reply::PerJob { parts, .. } = &reply else { panic!("{reply:?}") };
    assert!(parts[0].attempt.sent && !parts[0].attempt.answered);
    // The channel is not closed in time either, so the connection is made anew.
    proxy.backward(Backward::Passes);
    for _ in 0..200 {
        let reply = publisher.publish(chunk(through.clone(), "", vec![message(3, "q")])).await;
        if matches!(&reply, Reply::PerJob { .. }) && delivered(&reply) == [3] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nothing is published any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_of_one_login_share_a_connection() {
    let Some(rabbit) = shared() else { return };
    let vhost = rabbit.vhost();
    let channel = rabbit.channel(&vhost).await;
    queue(&channel, "q", "", "").await;
    let proxy = TcpProxy::start(rabbit.port()).await;
    let through = Broker { port: proxy.port(), ..broker(rabbit, USER, &vhost) };
    let publisher = Publisher::new();
    let all = (0..40).map(|n| publisher.publish(chunk(through.clone(), "", vec![message(n, "q")])));
    let replies = futures_util::future::join_all(all).await;
    for (n, reply) in (0..).zip(&replies) {
        assert_eq!(delivered(reply), [n], "{reply:?}");
    }
    assert_eq!(proxy.connections(), 1);
    let other = Broker { password: Sealed("another".to_owned()), ..through };
    let reply = publisher.publish(chunk(other, "", vec![message(1, "q")])).await;
    assert_eq!((delivered(&reply), proxy.connections()), (vec![1], 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_of_a_broker_that_is_down_costs_one_job_an_attempt() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let down = Broker {
        tls: false,
        host: "127.0.0.1".to_owned(),
        port,
        vhost: "/".to_owned(),
        user: "u".to_owned(),
        password: Sealed("sealed".to_owned()),
        ca: String::new(),
    };
    let messages: Vec<Message> = (1..=3).map(|n| message(n, "k")).collect();
    let time = Arc::new(SchedulerTime::new(Arc::new(SystemClock)));
    for (probe, failed, after) in [(false, vec![1, 2, 3], Rest::None), (true, vec![1], Rest::Again)]
    {
        let check = SendCheck::new(Box::new(|| true), Arc::clone(time.clock()));
        let gate = Gate::new(check, Duration::from_secs(30), probe, 1, Arc::clone(&time));
        let chunk = chunk(down.clone(), "e", messages.clone());
        // A pool that knows of no failure does not wait.
        let pool = Publisher::new().pool;
        let reply = pool.publish(chunk, SecretText::from(PASSWORD.to_owned()), gate).await;
        let jobs: Vec<JobId> = told(&reply).into_iter().map(|(job, ..)| job).collect();
        let Reply::PerJob { rest, .. } = reply else { panic!("{reply:?}") };
        assert_eq!((jobs, rest), (failed, after), "probe: {probe}");
    }
}
