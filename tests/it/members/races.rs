//! Operators change the members at the same time through different nodes: their requests are served
//! one after the other, a waiting one is told so and may be repeated, and the members agree at the
//! end.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::members;
use crate::harness::{
    PATIENCE, Receiver, TOLERANCE, TestCluster, every, every_job_again, judge, now, planned,
};

/// Repeats a request of an operator while it is answered 409 or 503; returns the refusals. A
/// refusal that contains `done` says that an earlier try took effect.
async fn insist(
    cluster: &TestCluster,
    ask: u64,
    (method, path): (Method, &str),
    body: Value,
    done: &str,
) -> Vec<String> {
    let url = cluster.url(ask, &format!("/api/v1{path}"));
    let mut refused: Vec<String> = Vec::new();
    let mut ticker = tokio::time::interval(Duration::from_millis(50));
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        ticker.tick().await;
        let answer = cluster.http().request(method.clone(), &url).json(&body).send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let said: Value = answer.json().await.unwrap_or(Value::Null);
        let message = said["error"]["message"].as_str().unwrap_or_default().to_owned();
        match status {
            200 | 201 | 204 => return refused,
            409 if message.contains(done) => {
                assert!(!refused.is_empty(), "{path} was never asked for before: {message}");
                return refused;
            }
            409 => assert!(!message.is_empty(), "{path}: {said}"),
            503 => assert!(headers.contains_key("retry-after"), "{path}: {said}"),
            _ => panic!("{path}: {status} {said}"),
        }
        refused.push(format!("{path} by node {ask}: {status} {message}"));
        assert!(tokio::time::Instant::now() < deadline, "{path}: {refused:?}");
    }
}

/// Repeats a removal on the command line while the node refuses it; returns the refusals.
async fn remove(cluster: &TestCluster, ask: u64, id: u64) -> Vec<String> {
    let mut refused = Vec::new();
    loop {
        let (code, _, said) = cluster.cli(ask, &["cluster", "remove", &id.to_string()]).await;
        match code {
            0 => return refused,
            3 if said.contains("there is no node") => return refused,
            3 => refused.push(said),
            _ => panic!("remove {id} by node {ask}: {code} {said}"),
        }
        assert!(refused.len() < 20, "{refused:?}");
    }
}

/// Waits until all these voters agree on the members and on a leader, and it accepts writes.
async fn agree(cluster: &TestCluster, voters: &[u64]) {
    cluster
        .wait_until("all agree who belongs to the cluster", async |c: &TestCluster| {
            let mut leaders = BTreeSet::new();
            for id in voters {
                let listed =
                    c.http().get(c.url(*id, "/api/v1/cluster/members")).send().await.ok()?;
                let listed: Value = listed.json().await.ok()?;
                let all = listed["data"]["members"].as_array()?.clone();
                let is_voter = |m: &&Value| m["role"] == "voter";
                let seen: Vec<_> = all.iter().filter(is_voter).map(|m| m["id"].as_u64()).collect();
                if seen.len() != all.len() || seen.into_iter().flatten().ne(voters.iter().copied())
                {
                    return None;
                }
                leaders.insert(listed["data"]["leader"].as_u64()?);
            }
            (leaders.len() == 1).then_some(())
        })
        .await;
    let name = format!("after {}", now());
    let body = json!({"name": name, "description": "of a test"});
    insist(cluster, voters[0], (Method::POST, "/projects"), body, "already").await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn operators_at_once_are_served_one_after_the_other() {
    let receiver = Receiver::start().await;
    let mut cluster = TestCluster::start(3).await;
    let first = cluster.leader(1).await.unwrap();
    let project = cluster.project(1, "contested").await;
    let created = cluster.jobs(1, &every("@every 1s", project, &receiver.url(), 2_048)).await;
    let jobs = planned(&created);
    every_job_again(&receiver, &jobs, now()).await;
    for id in 4..=6 {
        cluster.add_host();
        cluster.spawn(id);
        let waits = async |c: &TestCluster| {
            let answer = c.http().get(c.url(id, "/readyz")).send().await.ok()?;
            answer.text().await.ok()?.contains("cluster add").then_some(())
        };
        cluster.wait_until("it waits to be added", waits).await;
    }
    let adds = |id: u64| {
        let (address, raft_address) = cluster.addresses(id);
        json!({"id": id, "address": address, "raftAddress": raft_address})
    };
    let members_path = (Method::POST, "/cluster/members");
    let (four, five) = (adds(4), adds(5));
    let (a, b) = tokio::join!(
        insist(&cluster, 1, members_path.clone(), four, "a member already"),
        insist(&cluster, 2, members_path.clone(), five, "a member already"),
    );
    println!("added: {a:?} {b:?}");
    assert_eq!(members(&cluster, 3, "learner").await, [4, 5]);
    let (a, b) = tokio::join!(
        insist(&cluster, 2, (Method::POST, "/cluster/members/4/promote"), json!({}), "votes"),
        insist(&cluster, 3, (Method::POST, "/cluster/members/5/promote"), json!({}), "votes"),
    );
    println!("promoted: {a:?} {b:?}");
    agree(&cluster, &[1, 2, 3, 4, 5]).await;

    // Two transfers of the leadership at once, while a node is added.
    let (left, right) = (1 + first % 3, 1 + (first + 1) % 3);
    let (to_left, to_right) = (json!({"id": left}), json!({"id": right}));
    let six = adds(6);
    let (a, b, c) = tokio::join!(
        insist(&cluster, 4, (Method::POST, "/cluster/leader"), to_left, "never"),
        insist(&cluster, 5, (Method::POST, "/cluster/leader"), to_right, "never"),
        insist(&cluster, first, members_path.clone(), six, "a member already"),
    );
    println!("handed on: {a:?} {b:?}, added: {c:?}");
    let promote = (Method::POST, "/cluster/members/6/promote");
    insist(&cluster, first, promote, json!({}), "votes").await;
    agree(&cluster, &[1, 2, 3, 4, 5, 6]).await;

    // Two removals at once: of the leader, and of another node.
    let leader = cluster.leader(first).await.unwrap();
    assert!([left, right].contains(&leader), "{leader} was not asked to lead");
    let (a, b) = tokio::join!(remove(&cluster, first, leader), remove(&cluster, 5, 4));
    println!("removed: {a:?} {b:?}");
    let third = if leader == left { right } else { left };
    let mut rest = [first, third, 5, 6];
    rest.sort_unstable();
    agree(&cluster, &rest).await;
    for id in [leader, 4] {
        assert_ne!(cluster.ended(id).await, Some(0));
    }
    let until = every_job_again(&receiver, &jobs, now() + 2_000).await;
    let found = judge(&jobs, &receiver.arrivals(), 0, until, TOLERANCE);
    found.assert_sound();
    found.assert_once();
    cluster.assert_same_state(first, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_leader_dies_is_finished_or_never_was() {
    let mut cluster = TestCluster::start(3).await;
    for id in 4..=5 {
        cluster.add_host();
        super::join(&mut cluster, 1, id, &["--learner"]).await;
    }
    let leader = cluster.leader(1).await.unwrap();
    let others: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    let asked: Vec<_> = [4, 5]
        .into_iter()
        .zip(&others)
        .map(|(id, ask)| {
            let url = cluster.url(*ask, &format!("/api/v1/cluster/members/{id}/promote"));
            let request = cluster.http().post(url).json(&json!({}));
            tokio::spawn(async move { request.send().await.unwrap().status().as_u16() })
        })
        .collect();
    cluster.kill(leader);
    for answer in asked {
        let status = answer.await.unwrap();
        assert!(matches!(status, 200 | 409 | 503), "{status}");
    }
    // Whatever their outcome was, a repetition succeeds.
    for (id, ask) in [4, 5].into_iter().zip(&others) {
        let path = format!("/cluster/members/{id}/promote");
        let url = cluster.url(*ask, &format!("/api/v1{path}"));
        cluster
            .wait_until("it votes", async |c: &TestCluster| {
                let answer = c.http().post(&url).json(&json!({})).send().await.unwrap();
                let (status, said) = (answer.status().as_u16(), answer.text().await.unwrap());
                assert!(matches!(status, 200 | 409 | 503), "{status} {said}");
                (status == 200 || said.contains("votes already")).then_some(())
            })
            .await;
    }
    let remove = ["cluster", "remove", &leader.to_string(), "--force"];
    super::command(&cluster, 4, &remove).await;
    agree(&cluster, &[others[0], others[1], 4, 5]).await;
}
