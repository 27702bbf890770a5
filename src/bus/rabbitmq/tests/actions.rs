//! Actions: what arrives, exactly once, in the order of each run, and what is put off.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use super::worker::Worker;
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_published_worker_gets_its_runs_whether_it_or_the_node_declares_first() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    let mut first = Worker::start(rabbit, &vhost, "first").await;
    let mut node = Node::new(rabbit.port(), &vhost, &json!({}));
    node.listen(&["first", "second"]).await;
    let mut second = Worker::start(rabbit, &vhost, "second").await;
    for (worker, n) in [(&mut first, 1), (&mut second, 2)] {
        node.offer(&worker.name, &run(n)).await;
        let (body, properties) = worker.action().await;
        let name = &worker.name;
        let expected = format!(r#"{{"jobName":"{name}","runId":"{}","action":"run"}}"#, run(n));
        assert_eq!(body, expected);
        assert_eq!(properties.delivery_mode(), &Some(2));
        assert_eq!(
            properties.message_id().as_ref().map(lapin::types::ShortString::as_str),
            Some(&*run(n))
        );
        for status in ["running", "completed"] {
            worker.say(&run(n), status).await;
            let heard = node.heard().await;
            assert_eq!((&*heard.address.name, &heard.run), (name.as_str(), &run(n)));
            assert_eq!(heard.said, if status == "running" { started() } else { DONE });
            heard.receipt.done();
        }
        let cancelled = node.bus.cancel(&node.address(name), ticket(&run(n))).await;
        assert_eq!(cancelled, HandOut::Passed);
        assert_eq!(worker.action().await.0, expected.replace("\"run\"", "\"cancel\""));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_actions_arrive_each_once_and_a_cancel_follows_its_run() {
    const RUNS: u32 = 2_000;
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    let names = ["a", "b", "c", "d"];
    let mut node = Node::new(rabbit.port(), &vhost, &json!({}));
    node.listen(&names).await;
    let name_of = |n: u32| names[n as usize % names.len()];
    let handed = (0..RUNS).map(|n| {
        let address = node.address(name_of(n));
        let offer = node.bus.offer(&address, ticket(&run(n)), Box::new(|| true));
        let cancel = (n % 10 == 0).then(|| node.bus.cancel(&address, ticket(&run(n))));
        async move {
            assert_eq!(offer.await, HandOut::Passed);
            if let Some(cancel) = cancel {
                assert_eq!(cancel.await, HandOut::Passed);
            }
        }
    });
    let handed: Vec<_> = handed.map(tokio::spawn).collect();
    for one in handed {
        one.await.unwrap();
    }
    let mut seen = BTreeSet::new();
    for name in names {
        let mut worker = Worker::start(rabbit, &vhost, name).await;
        for _ in
            0..RUNS / 4 + (0..RUNS).filter(|n| n % 10 == 0 && name_of(*n) == name).count() as u32
        {
            let body: Value = serde_json::from_str(&worker.action().await.0).unwrap();
            let (run, action) = (body["runId"].to_string(), body["action"].to_string());
            assert_eq!(body["jobName"], name);
            let is_cancel = action.contains("cancel");
            assert!(!is_cancel || seen.contains(&(run.clone(), false)), "a cancel comes later");
            assert!(seen.insert((run, is_cancel)), "{body} came twice");
        }
    }
    assert_eq!(seen.len() as u32, RUNS + RUNS / 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_check_keeps_back_and_what_is_withdrawn_does_not_leave() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    let mut node = Node::new(rabbit.port(), &vhost, &json!({}));
    node.listen(&["n"]).await;
    let address = node.address("n");
    let asked = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&asked);
    let check = Box::new(move || flag.swap(true, Ordering::SeqCst));
    let kept = node.bus.offer(&address, ticket(&run(1)), check).await;
    assert_eq!((kept, asked.load(Ordering::SeqCst)), (HandOut::Withheld, true));
    drop(node.bus.offer(&address, ticket(&run(2)), Box::new(|| true)));
    // One that nobody has polled yet.
    let offer = node.bus.offer(&address, ticket(&run(4)), Box::new(|| true));
    node.bus.withdraw(&run(4));
    assert_eq!(offer.await, HandOut::Withheld);
    node.offer("n", &run(3)).await;
    let mut worker = Worker::start(rabbit, &vhost, "n").await;
    assert!(worker.action().await.0.contains(&run(3)), "nothing else left");
}

#[tokio::test(flavor = "multi_thread")]
async fn data_and_the_start_timeout_go_along_where_they_are_asked_for() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let vhost = rabbit.vhost();
    let mut node = Node::new(rabbit.port(), &vhost, &json!({"includeData": true}));
    node.listen(&["n"]).await;
    let with_timeout = Ticket { start_timeout: Some(3_600_000), ..ticket(&run(1)) };
    let passed = node.bus.offer(&node.address("n"), with_timeout, Box::new(|| true)).await;
    assert_eq!(passed, HandOut::Passed);
    let mut worker = Worker::start(rabbit, &vhost, "n").await;
    let (body, properties) = worker.action().await;
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["data"], r#"{"a":1}"#);
    assert_eq!(
        properties.expiration().as_ref().map(lapin::types::ShortString::as_str),
        Some("3600000")
    );
    // What nobody takes in time is dropped by the broker.
    let soon = Ticket { start_timeout: Some(1), ..ticket(&run(2)) };
    let passed = node.bus.offer(&node.address("n"), soon, Box::new(|| true)).await;
    assert_eq!(passed, HandOut::Passed);
}
