//! Chains over faults: whoever leads and whoever was restarted, one instance is live.

use serde_json::json;

use super::fixture::Templates;
use crate::harness::{TestCluster, respond};

/// A template that keeps one instance by itself.
async fn system(fixture: &Templates) -> u64 {
    let again = json!({"userTriggered": false, "rescheduleAfterTermination": true,
        "keepCompleted": 1_000});
    fixture.template("tick", again).await
}

/// Stops a chain, and waits until its last instance is over on a node.
async fn stop(fixture: &Templates, node: u64, template: u64) {
    let url = fixture.cluster.url(node, &format!("/api/v1/templates/{template}"));
    let body = json!({"active": false});
    let stopped = async |cluster: &TestCluster| {
        let answer = cluster.http().patch(&url).json(&body).send().await.ok()?;
        answer.status().is_success().then_some(())
    };
    fixture.cluster.wait_until("the template is inactive", stopped).await;
    let over = async |_: &TestCluster| {
        fixture.instances(node, template, "live").await.is_empty().then_some(())
    };
    fixture.cluster.wait_until("the last one is over", over).await;
}

/// Asserts that the instances followed each other: none began before the one before was over, and
/// all of them were called.
async fn assert_one_after_the_other(fixture: &Templates, node: u64, template: u64) -> usize {
    let all = fixture.instances(node, template, "over").await;
    let mut before: Option<u64> = None;
    for id in &all {
        let job = fixture.cluster.get(node, &format!("/api/v1/jobs/{id}")).await;
        let created =
            scheduler0::model::time::parse_rfc3339(job["dateCreated"].as_str().unwrap()).unwrap();
        let list = fixture.cluster.get(node, &format!("/api/v1/executions?jobId={id}")).await;
        let state = list["executions"][0]["status"].as_str().unwrap_or_default();
        assert_eq!(state, "delivered", "job {id}: {list}");
        assert!(before.is_none_or(|before| before < created as u64), "job {id} began too early");
        before = Some(created as u64);
    }
    let called = fixture.receiver.requests().len();
    assert!(called >= all.len(), "{called} calls of {} instances", all.len());
    all.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_template_has_one_live_instance_over_three_restarts_and_two_leaders() {
    let mut fixture = Templates::start(3).await;
    let template = system(&fixture).await;
    fixture.receiver.script(|_| Some(respond(200)));
    fixture.finished(1, template, 1).await;
    for _ in 0..2 {
        let leader = fixture.cluster.leader(1).await.unwrap_or(1);
        let other = leader % 3 + 1;
        let before = fixture.instances(other, template, "over").await.len();
        fixture.cluster.kill(leader);
        // Only a new leader can go on with the chain.
        fixture.finished(other, template, before + 2).await;
        assert_eq!(fixture.instances(other, template, "live").await.len(), 1);
        fixture.cluster.restart(leader).await;
        let last = fixture.instances(other, template, "over").await.last().copied().unwrap();
        fixture.next_after(leader, template, last).await;
    }
    let leader = fixture.cluster.leader(1).await.unwrap_or(1);
    let follower = leader % 3 + 1;
    assert_eq!(fixture.cluster.stop(follower).await, Some(0));
    fixture.cluster.restart(follower).await;
    let last = fixture.instances(leader, template, "over").await.last().copied().unwrap();
    fixture.next_after(follower, template, last).await;
    stop(&fixture, 1, template).await;
    let length = assert_one_after_the_other(&fixture, 1, template).await;
    assert!(length >= 5, "{length}");
    for node in 1..=3 {
        let none = async |_: &TestCluster| {
            fixture.instances(node, template, "live").await.is_empty().then_some(())
        };
        fixture.cluster.wait_until("all nodes know the end", none).await;
    }
    fixture.cluster.assert_same_state(1, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn all_nodes_are_killed_in_the_middle_of_a_chain_and_it_goes_on() {
    let mut fixture = Templates::start(3).await;
    let template = system(&fixture).await;
    fixture.receiver.script(|_| Some(respond(200)));
    for round in 1..=6 {
        fixture.finished(1, template, round * 2).await;
        fixture.cluster.kill_all();
        for node in 1..=3 {
            fixture.cluster.spawn(node);
        }
        for node in 1..=3 {
            fixture.cluster.ready(node).await;
        }
    }
    fixture.finished(1, template, 14).await;
    stop(&fixture, 1, template).await;
    assert_one_after_the_other(&fixture, 1, template).await;
    fixture.cluster.assert_same_state(1, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_chain_carries_its_payload_on_and_ends_at_a_word() {
    let fixture = Templates::start(1).await;
    let again = json!({"rescheduleAfterTermination": true});
    let template = fixture.template("remind", again).await;
    let first = fixture.instance(template, json!({"payload": {"n": 7}})).await;
    let second = fixture.next_after(1, template, first).await;
    let third = fixture.next_after(1, template, second).await;
    let path = format!("/api/v1/jobs/{third}/terminate");
    let (status, ended) = fixture.cluster.post(1, &path, &json!({"reschedule": false})).await;
    assert_eq!((status, &ended["data"]["status"]), (200, &json!("completed")), "{ended}");
    assert_eq!(fixture.instances(1, template, "live").await, [0_u64; 0]);
    let bodies: Vec<_> = fixture
        .receiver
        .requests()
        .iter()
        .map(|request| String::from_utf8_lossy(&request.body).into_owned())
        .collect();
    assert!(bodies.iter().all(|body| body.contains('7')), "{bodies:?}");
}
