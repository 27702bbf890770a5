//! Brokers and connections that fail: nothing is lost, nothing is called handed out that is not,
//! and everything comes back by itself.

use super::tcp_proxy::{Backward, TcpProxy};
use super::worker::Worker;
use super::*;

/// Lets the broker kill itself with SIGKILL, once `rabbitmqctl` has its answer.
const KILL: &str =
    r#"os:cmd("(: >$HOME/killed; sleep 0.1; kill -9 " ++ os:getpid() ++ ") >/dev/null 2>&1 &")."#;

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_and_comes_back_has_what_was_passed_and_workers_are_heard_again() {
    let Some(rabbit) = Rabbit::start() else { return };
    let vhost = rabbit.vhost();
    let mut node = Node::new(rabbit.port(), &vhost, &json!({}));
    node.listen(&["n"]).await;
    for n in 0..50 {
        node.offer("n", &run(n)).await;
    }
    rabbit.control(&["eval", KILL]);
    let why = node.down().await;
    assert!(!why.contains("never-shown"), "{why}");
    let offer = node.bus.offer(&node.address("n"), ticket(&run(60)), Box::new(|| true)).await;
    assert!(matches!(offer, HandOut::Refused { .. } | HandOut::Failed { .. }), "{offer:?}");
    tokio::task::block_in_place(|| rabbit.wait());
    let up = node.event().await;
    assert!(matches!(up, BusEvent::Up { .. }), "{up:?}");
    node.offer("n", &run(50)).await;
    let mut worker = Worker::start(&rabbit, &vhost, "n").await;
    let mut expected: std::collections::BTreeSet<_> = (0..=50).map(run).collect();
    while !expected.is_empty() {
        let body: Value = serde_json::from_str(&worker.action().await.0).unwrap();
        let run = body["runId"].as_str().unwrap().to_owned();
        assert!(expected.remove(&run) || run == super::run(60), "{run} came twice");
    }
    worker.say(&run(1), "completed").await;
    assert_eq!(node.said().await.0, run(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_with_an_alarm_gets_nothing_and_hears_acknowledgements_all_the_same() {
    let Some(rabbit) = Rabbit::start() else { return };
    let vhost = rabbit.vhost();
    let mut node = Node::new(rabbit.port(), &vhost, &json!({}));
    node.listen(&["n"]).await;
    let worker = Worker::start(&rabbit, &vhost, "n").await;
    worker.say(&run(1), "running").await;
    let held = node.heard().await;
    rabbit.alarm(true);
    // The first one finds the alarm out at a connection that is new.
    let offer = node.bus.offer(&node.address("n"), ticket(&run(2)), Box::new(|| true)).await;
    let HandOut::Refused { until, .. } = offer else { panic!("{offer:?}") };
    assert!(until > 0);
    // On the other connection the broker reads on.
    held.receipt.done();
    node.bus.detach(SHARD);
    let mut next = Node::new(rabbit.port(), &vhost, &json!({}));
    next.listen(&["n"]).await;
    rabbit.alarm(false);
    node.offer("n", &run(3)).await;
    worker.say(&run(4), "completed").await;
    assert_eq!(next.said().await.0, run(4), "what was acknowledged does not come again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_is_made_anew_and_what_it_carried_is_not_called_passed() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    let proxy = TcpProxy::start(rabbit.port()).await;
    let mut node = Node::new(proxy.port(), &vhost, &json!({}));
    node.listen(&["n"]).await;
    node.offer("n", &run(1)).await;
    // The confirm does not come.
    proxy.backward(Backward::IsSwallowed);
    let (bus, address) = (node.bus.clone(), node.address("n"));
    let sent = Arc::new(tokio::sync::Notify::new());
    let notify = Arc::clone(&sent);
    let check = Box::new(move || {
        notify.notify_one();
        true
    });
    let offer = tokio::spawn(async move { bus.offer(&address, ticket(&run(2)), check).await });
    sent.notified().await;
    proxy.cut();
    proxy.backward(Backward::Passes);
    let offer = offer.await.unwrap();
    assert!(matches!(&offer, HandOut::Failed { for_good: false, .. }), "{offer:?}");
    node.down().await;
    let up = node.event().await;
    assert!(matches!(up, BusEvent::Up { .. }), "{up:?}");
    node.offer("n", &run(3)).await;
    let mut worker = Worker::start(rabbit, &vhost, "n").await;
    let mut seen = Vec::new();
    while seen.last() != Some(&run(3)) {
        let body: Value = serde_json::from_str(&worker.action().await.0).unwrap();
        seen.push(body["runId"].as_str().unwrap().to_owned());
    }
    seen.retain(|seen| *seen != run(2));
    assert_eq!(seen, [run(1), run(3)], "the one of which nothing is known may have arrived");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_not_there_puts_runs_off() {
    let mut node = Node::new(ports::free_port(), "/", &json!({}));
    node.attach(&["n"]);
    let mut untils = Vec::new();
    for n in 0..3 {
        let offer = node.bus.offer(&node.address("n"), ticket(&run(n)), Box::new(|| true)).await;
        let HandOut::Refused { until, why } = offer else { panic!("{offer:?}") };
        assert!(!why.is_empty() && !why.contains("never-shown"), "{why}");
        untils.push(until);
    }
    assert!(untils.iter().all(|until| *until > 0));
    assert!(node.events.try_recv().is_err(), "nobody is heard, and nobody was");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_the_right_to_publish_is_no_end_of_the_run() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    let mut node = Node::new(rabbit.port(), &vhost, &json!({}));
    node.listen(&["n"]).await;
    let CallTarget::Settings(own) = &*node.target else { unreachable!() };
    let mut reader = (**own).clone();
    reader.settings["rabbitmq"]["broker"]["user"] = rabbitmq::READER.into();
    let address = BusAddress {
        target: Arc::new(CallTarget::Settings(Box::new(reader))),
        ..node.address("n")
    };
    let offer = node.bus.offer(&address, ticket(&run(1)), Box::new(|| true)).await;
    let HandOut::Refused { why, .. } = &offer else { panic!("{offer:?}") };
    assert!(why.contains("403"), "{why}");
}
