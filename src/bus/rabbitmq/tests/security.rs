//! Where connections may go, and to whom they talk: TLS and the guard, as for messages of jobs.

use super::worker::Worker;
use super::*;
use crate::executor::guard::TargetGuard;

const CA: &str = include_str!("../../../../tests/fixtures/tls/ca.pem");

/// A target with some fields of its broker changed.
fn changed(target: &CallTarget, changes: &Value) -> Arc<CallTarget> {
    let CallTarget::Settings(own) = target else { unreachable!() };
    let mut own = (**own).clone();
    let broker = own.settings["rabbitmq"]["broker"].as_object_mut().unwrap();
    broker.extend(changes.as_object().unwrap().clone());
    Arc::new(CallTarget::Settings(Box::new(own)))
}

/// The reason why an offer is refused.
async fn refusal(node: &Node) -> String {
    let offer = node.bus.offer(&node.address("n"), ticket(&run(1)), Box::new(|| true)).await;
    let HandOut::Refused { why, .. } = offer else { panic!("{offer:?}") };
    assert!(!why.contains("never-shown"), "{why}");
    why
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_is_verified_by_the_authority_of_its_queue() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    let plain = target(rabbit.tls_port(), &vhost, &json!({}));
    let secure = changed(&plain, &json!({"tls": true, "ca": CA}));
    let mut node = Node::with(Options::default(), Arc::clone(&secure));
    node.listen(&["n"]).await;
    node.offer("n", &run(1)).await;
    let mut worker = Worker::start(rabbit, &vhost, "n").await;
    assert!(worker.action().await.0.contains(&run(1)));
    worker.say(&run(1), "completed").await;
    assert_eq!(node.said().await, (run(1), DONE));
    let unknown = Node::with(Options::default(), changed(&secure, &json!({"ca": ""})));
    let why = refusal(&unknown).await;
    assert!(why.contains("certificate"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_targets_may_not_have_is_not_connected_to() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    let guard = TargetGuard { allow_loopback: false, ..TargetGuard::default() };
    let options = Options { guard, ..Options::default() };
    let target = target(rabbit.port(), &vhost, &json!({}));
    let mut node = Node::with(options, Arc::clone(&target));
    node.attach(&["n"]);
    let why = refusal(&node).await;
    assert!(why.contains("not allowed"), "{why}");
    let named = changed(&target, &json!({"host": "localhost"}));
    let guard = TargetGuard { allow_loopback: false, ..TargetGuard::default() };
    let node = Node::with(Options { guard, ..Options::default() }, named);
    let why = refusal(&node).await;
    assert!(why.contains("not allowed"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_puts_runs_off_and_is_not_told() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    let sealed = keys().seal("wrong-never-shown", purpose::PASSWORD);
    let target = target(rabbit.port(), &vhost, &json!({}));
    let node = Node::with(Options::default(), changed(&target, &json!({"password": sealed})));
    let why = refusal(&node).await;
    assert!(why.contains("login"), "{why}");
}
