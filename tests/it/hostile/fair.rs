//! Fairness between clients: hanging and slow calls, breakers and limits of one client beside the
//! jobs of another one. `src/delivery/fair_queue/tests.rs` and `src/worker/tests/fairness.rs` test
//! the bounds in virtual time; here they are tested on a node.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde_json::{Value, json};

use super::fixture::calls;
use super::{Attacker, BadReceiver, Misbehavior, Victim, metric};
use crate::harness::{Receiver, TestCluster, start_under};

const JOBS: usize = 20;
/// The greatest lag that a busy machine explains, in milliseconds.
const MAX_LAG_MS: i64 = 2_000;

/// One-offs that are due now, distributed among receivers.
fn one_offs(project: u64, at: &[BadReceiver], count: usize, timeout: &str) -> Value {
    let job = |n: usize| {
        json!({
            "projectId": project, "after": "0s", "timezone": "UTC", "data": n.to_string(),
            "timeout": timeout, "retryMax": 0,
            "http": {"method": "POST", "url": at[n % at.len()].at("/")},
        })
    };
    (0..count).map(job).collect()
}

/// The warnings of the status.
async fn warnings(cluster: &TestCluster) -> String {
    cluster.get(1, "/api/v1/cluster/status").await["warnings"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn six_hundred_calls_that_hang_cost_others_nothing_and_end_with_their_project() {
    let cluster = TestCluster::start(1).await;
    let victim = Victim::start(&cluster, JOBS).await;
    let attacker = Attacker::new(&cluster, 1, "attacker").await;
    let dead = BadReceiver::many(Misbehavior::Hangs, 20).await;
    let longest = one_offs(attacker.project, &dead, 1, "24h");
    let (status, refused) = attacker.post("/api/v1/jobs", &longest).await;
    assert_eq!((status, refused.to_string().contains("MaxJobTimeout")), (400, true), "{refused}");
    attacker.jobs(&one_offs(attacker.project, &dead, 600, "5m")).await;
    cluster
        .wait_until("as many hang as may", async |c: &TestCluster| {
            let [hanging, most] =
                ["scheduler0_hanging_calls", "scheduler0_calls_max"].map(|name| metric(c, 1, name));
            // Half of all calls of the node, or all of the attacker.
            (hanging.await >= 600_f64.min(most.await / 2.0 - 64.0)).then_some(())
        })
        .await;
    let lags = victim.watch(10).await;
    assert!(lags.quantile(990) < MAX_LAG_MS, "{lags}");
    // The deletion closes their connections, and no call of theirs comes again.
    let project = format!("/api/v1/projects/{}?cascade=true", attacker.project);
    let (status, body) = attacker.ask("DELETE", &project, &Value::Null).await;
    assert!((200..300).contains(&status), "{status} {body}");
    cluster
        .wait_until("no call hangs", async |c: &TestCluster| {
            let open: usize = dead.iter().map(BadReceiver::open).sum();
            (metric(c, 1, "scheduler0_hanging_calls").await == 0.0 && open == 0).then_some(())
        })
        .await;
    let before: usize = dead.iter().map(BadReceiver::calls).sum();
    victim.watch(7).await;
    assert_eq!(dead.iter().map(BadReceiver::calls).sum::<usize>(), before);
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn receivers_that_answer_after_25_seconds_cost_others_nothing() {
    let cluster = TestCluster::start(1).await;
    let victim = Victim::start(&cluster, JOBS).await;
    let other = Attacker::new(&cluster, 1, "honest").await;
    let slow = BadReceiver::many(Misbehavior::Slow(Duration::from_secs(25)), 8).await;
    for receiver in &slow {
        let more = json!({"spec": "@every 10s"});
        other.jobs(&calls(other.project, &receiver.at("/"), 80, &more)).await;
    }
    for receiver in &slow {
        receiver.called(20).await;
    }
    let lags = victim.watch(20).await;
    assert!(lags.quantile(990) < MAX_LAG_MS, "{lags}");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn many_destinations_that_take_almost_a_second_cost_others_nothing() {
    let cluster = TestCluster::start(1).await;
    let victim = Victim::start(&cluster, JOBS).await;
    let attacker = Attacker::new(&cluster, 1, "attacker").await;
    let slow = BadReceiver::many(Misbehavior::Slow(Duration::from_millis(900)), 100).await;
    for receiver in &slow {
        attacker.jobs(&calls(attacker.project, &receiver.at("/"), 10, &json!({}))).await;
    }
    for receiver in &slow {
        receiver.called(1).await;
    }
    let lags = victim.watch(15).await;
    assert!(lags.quantile(990) < MAX_LAG_MS, "{lags}");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_project_that_reaches_its_share_is_named_in_the_status() {
    let cluster = start_under("ulimit -n 1024").await;
    let victim = Victim::start(&cluster, JOBS).await;
    let attacker = Attacker::new(&cluster, 1, "attacker").await;
    // 64 workers and a quarter of the descriptors.
    let most = metric(&cluster, 1, "scheduler0_calls_max").await;
    assert_eq!((most, metric(&cluster, 1, "scheduler0_hanging_full").await), (320.0, 0.0));
    let dead = BadReceiver::many(Misbehavior::Hangs, 20).await;
    attacker.jobs(&one_offs(attacker.project, &dead, 400, "5m")).await;
    let named = format!("project {} has its share", attacker.project);
    cluster
        .wait_until("the status names it", async |c: &TestCluster| {
            warnings(c).await.contains(&named).then_some(())
        })
        .await;
    assert!(metric(&cluster, 1, "scheduler0_hanging_full").await > 0.0);
    let lags = victim.watch(10).await;
    assert!(lags.quantile(990) < MAX_LAG_MS, "{lags}");
    let hanging = metric(&cluster, 1, "scheduler0_hanging_calls").await;
    assert!((120.0..=160.0).contains(&hanging), "half at most: {hanging}");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn a_clients_impatience_and_failures_are_its_own() {
    let cluster = TestCluster::start(1).await;
    let victim = Victim::start(&cluster, JOBS).await;
    let [impatient, failing] = [
        Attacker::new(&cluster, 1, "impatient").await,
        Attacker::new(&cluster, 1, "failing").await,
    ];
    let more = json!({"timeout": "1ms", "retryMax": 0});
    impatient.jobs(&calls(impatient.project, &victim.at("/single"), 100, &more)).await;
    // The victim's receiver refuses these calls; for the victim it is healthy.
    let bad = Receiver::start().await;
    bad.script(|_| Some(StatusCode::INTERNAL_SERVER_ERROR.into_response()));
    failing.jobs(&calls(failing.project, &bad.at("/bad"), 20, &json!({"retryMax": 0}))).await;
    let own = Attacker::new(&cluster, 1, "its neighbour").await;
    own.jobs(&calls(own.project, &bad.at("/good"), 5, &json!({"retryMax": 0}))).await;
    let lags = victim.watch(15).await;
    assert!(lags.quantile(990) < MAX_LAG_MS, "{lags}");
    let status = cluster.get(1, "/api/v1/cluster/status").await;
    let failing = status["nodes"][0]["failing"].as_array().unwrap();
    let named: Vec<&str> = failing.iter().filter_map(|f| f["destination"].as_str()).collect();
    assert_eq!(named.len(), 1, "a timeout of 1 ms opens nothing: {status}");
    assert!(bad.url().starts_with(named[0]), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn an_executor_of_a_clients_does_not_lift_the_operators_limit() {
    let settings = [("SCHEDULER0_DESTINATION_CONCURRENCY", "2")];
    let cluster = TestCluster::start_with(1, &settings).await;
    let attacker = Attacker::new(&cluster, 1, "attacker").await;
    let dead = BadReceiver::start(Misbehavior::Hangs).await;
    for n in 0..20 {
        let executor = json!({
            "name": format!("e{n}"), "type": "webhook_url", "maxConcurrency": 10_000 - n,
            "http": {"method": "POST", "url": dead.at("/")},
        });
        let (status, made) = attacker.post("/api/v1/executors", &executor).await;
        assert_eq!(status, 201, "{made}");
        let job = |_| {
            json!({"projectId": attacker.project, "spec": "@every 1s", "timezone": "UTC",
                   "executorId": made["data"]["id"], "timeout": "1m"})
        };
        attacker.jobs(&(0..2).map(job).collect()).await;
    }
    dead.called(2).await;
    // Ten more seconds pass.
    let other = Receiver::start().await;
    attacker.jobs(&calls(attacker.project, &other.at("/"), 1, &json!({}))).await;
    other.wait_until("ten of another", crate::harness::PATIENCE, |seen| seen.len() >= 10).await;
    assert_eq!((dead.calls(), dead.open()), (2, 2));
}
