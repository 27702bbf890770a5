//! Receivers whose answers do not end cost no call its whole timeout. The amount that they send
//! ends their calls, minutes before the timeout, and neither the API nor the firings of another
//! project wait for them.

use serde_json::{Value, json};

use super::{Attacker, BadReceiver, Misbehavior, Victim};
use crate::harness::TestCluster;

/// The number of calls to each receiver.
const CALLS: usize = 4;
/// The number of receivers of each kind.
const RECEIVERS: usize = 5;

/// Bodies of one-offs, [`CALLS`] to each receiver, with a timeout of five minutes and without a
/// retry.
fn calls(project: u64, receivers: &[BadReceiver]) -> Value {
    let job = |receiver: &BadReceiver| {
        json!({
            "projectId": project, "after": "1s", "timeout": "5m", "retryMax": 0,
            "http": {"method": "POST", "url": receiver.at("/endless")},
        })
    };
    receivers.iter().flat_map(|receiver| (0..CALLS).map(move |_| job(receiver))).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn informational_answers_and_heads_without_an_end_end_their_calls() {
    let cluster = TestCluster::start(1).await;
    let victim = Victim::start(&cluster, 10).await;
    let attacker = Attacker::new(&cluster, 1, "endless").await;
    let mut receivers = BadReceiver::many(Misbehavior::Continues, RECEIVERS).await;
    receivers.extend(BadReceiver::many(Misbehavior::EndlessHead, RECEIVERS).await);
    attacker.jobs(&calls(attacker.project, &receivers)).await;
    // The wait ends after a minute, the timeout of the calls is five.
    let path = format!("/api/v1/executions?projectId={}&limit=100", attacker.project);
    let ended = cluster
        .wait_until("the end of all calls", async |_: &TestCluster| {
            let (_, page) = attacker.get(&path).await;
            let ended = page["data"]["executions"].as_array()?.clone();
            (ended.len() == receivers.len() * CALLS).then_some(ended)
        })
        .await;
    for one in &ended {
        let error = one["error"].as_str().unwrap_or_default();
        assert!(error.starts_with("the receiver sends no end of informational answers"), "{one}");
    }
    for receiver in &receivers {
        assert_eq!(receiver.calls(), CALLS, "each is called once");
    }
    let lags = victim.watch(3).await;
    assert!(lags.quantile(990) < 5_000, "{lags}");
}
