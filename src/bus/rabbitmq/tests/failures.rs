//! Brokers and connections that fail: nothing is lost, nothing is called handed out that is not,
//! and everything comes back by itself.

use super::tcp_proxy::{Backward, TcpProxy};
use super::worker::Worker;
use super::*;

/// Lets the broker kill itself with SIGKILL, once `rabbitmqctl` has its answer.
const KILL: &str =
    r#"os:cmd("(: >$HOME/killed; sleep 0.1; kill -9 " ++ os:getpid() ++ ") >/dev/null 2>&1 &")."#;

/// A node that reaches the shared broker through a proxy, with a job `n` that is listened to and
/// whose first run has passed.
struct Proxied {
    rabbit: &'static Rabbit,
    vhost: String,
    proxy: Arc<TcpProxy>,
    node: Node,
}

impl Proxied {
    /// `None` without an installed broker.
    async fn start() -> Option<Self> {
        let rabbit = rabbitmq::shared()?;
        let vhost = rabbit.vhost();
        let proxy = Arc::new(TcpProxy::start(rabbit.port()).await);
        let mut node = Node::new(proxy.port(), &vhost, &json!({}));
        node.listen(&["n"]).await;
        node.offer("n", &run(1)).await;
        Some(Self { rabbit, vhost, proxy, node })
    }

    /// Offers a run whose confirm does not come. It has left when this returns.
    async fn offer_without_confirm(
        &self,
        number: u32,
        mut check: impl FnMut() -> bool + Send + 'static,
    ) -> tokio::task::JoinHandle<HandOut> {
        let (bus, address) = (self.node.bus.clone(), self.node.address("n"));
        let sent = Arc::new(tokio::sync::Notify::new());
        let (notify, proxy) = (Arc::clone(&sent), Arc::clone(&self.proxy));
        let mut leaves = true;
        let check = Box::new(move || {
            if std::mem::take(&mut leaves) {
                // Not before: a channel that has to be opened first needs an answer.
                proxy.backward(Backward::IsSwallowed);
                notify.notify_one();
            }
            check()
        });
        let offering = async move { bus.offer(&address, ticket(&run(number)), check).await };
        let offer = tokio::spawn(offering);
        sent.notified().await;
        offer
    }

    /// Cuts the connections, and waits until the workers are heard again.
    async fn reconnect(&mut self) {
        self.proxy.cut();
        self.proxy.backward(Backward::Passes);
        self.node.down().await;
        let up = self.node.event().await;
        assert!(matches!(up, BusEvent::Up { .. }), "{up:?}");
    }

    /// The runs that a worker is told to perform, up to one.
    async fn told_until(&self, last: u32) -> Vec<String> {
        let mut worker = Worker::start(self.rabbit, &self.vhost, "n").await;
        let mut told = Vec::new();
        while told.last() != Some(&run(last)) {
            let body: Value = serde_json::from_str(&worker.action().await.0).unwrap();
            told.push(body["runId"].as_str().unwrap().to_owned());
        }
        told
    }
}

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
    let Some(mut proxied) = Proxied::start().await else { return };
    let offer = proxied.offer_without_confirm(2, || true).await;
    proxied.reconnect().await;
    let offer = offer.await.unwrap();
    assert!(matches!(&offer, HandOut::Failed { for_good: false, .. }), "{offer:?}");
    proxied.node.offer("n", &run(3)).await;
    let mut seen = proxied.told_until(3).await;
    seen.retain(|seen| *seen != run(2));
    assert_eq!(seen, [run(1), run(3)], "the one of which nothing is known may have arrived");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_a_promised_shard_does_not_wait_for_a_confirm_that_does_not_come() {
    let Some(proxied) = Proxied::start().await else { return };
    // It may leave, and from then on its shard is another's.
    let mut has_left = false;
    let may_leave = move || !std::mem::replace(&mut has_left, true);
    let offer = proxied.offer_without_confirm(2, may_leave).await.await.unwrap();
    let HandOut::Failed { error, for_good: false } = offer else { panic!("{offer:?}") };
    assert!(error.contains("may not hand out the run"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconnect_while_a_shard_is_handed_over_publishes_nothing_of_it_again() {
    let Some(mut proxied) = Proxied::start().await else { return };
    // It has left when its shard is promised to another owner, who waits for the answer.
    let mut has_left = false;
    let may_leave = move || !std::mem::replace(&mut has_left, true);
    let offer = proxied.offer_without_confirm(2, may_leave).await;
    let (bus, address) = (proxied.node.bus.clone(), proxied.node.address("n"));
    let barred = bus.offer(&address, ticket(&run(4)), Box::new(|| false));
    proxied.reconnect().await;
    // On a slow machine the connection is cut before the run leaves.
    let offer = offer.await.unwrap();
    assert!(
        matches!(&offer, HandOut::Failed { for_good: false, .. } | HandOut::Refused { .. }),
        "{offer:?}"
    );
    let again = bus.offer(&address, ticket(&run(2)), Box::new(|| false));
    for offer in [barred.await, again.await] {
        // Where it is asked before the broker is there again, it does not leave either.
        assert!(matches!(offer, HandOut::Withheld | HandOut::Refused { .. }), "{offer:?}");
    }
    // The channels are free for the shards that stay.
    proxied.node.offer("n", &run(3)).await;
    let seen = proxied.told_until(3).await;
    assert!(seen.iter().filter(|seen| **seen == run(2)).count() <= 1, "{seen:?}");
    assert!(!seen.contains(&run(4)), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_not_there_puts_runs_off() {
    let mut node = Node::new(ports::free_port(), "/", &json!({}));
    node.attach(&["n"]);
    let mut untils = Vec::new();
    for n in 0..3 {
        let offer = node.bus.offer(&node.address("n"), ticket(&run(n)), Box::new(|| true)).await;
        let HandOut::Refused { until, why, .. } = offer else { panic!("{offer:?}") };
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
