//! What was given up: listed, taken back when the endpoint is well again, by the ids it had.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Stage, says};
use crate::cluster::Cluster;
use crate::receiver::Request;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_is_delivered_when_the_endpoint_heals() {
    let mut stage = Stage::set().await;
    let [node, other] = stage.others;
    stage.receiver.script(|_| Some(says(503)));
    let terms = json!({"after": "1s", "retryMax": 1, "retryDelay": "200ms"});
    let mut jobs = vec![stage.batched(terms.clone()); 3];
    jobs.extend([stage.single("/one", terms.clone()), stage.single("/two", terms)]);
    let made = stage.cluster.jobs(node, &jobs.into()).await;
    let ids: Vec<u64> = made.iter().map(|job| job["id"].as_u64().unwrap()).collect();
    let path = format!("/api/v1/dead-letters?projectId={}", stage.project);
    let letters = async |c: &Cluster| {
        let page = c.get(other, &path).await;
        let letters = page["deadLetters"].as_array().unwrap().clone();
        let all: u64 = letters.iter().map(|letter| letter["count"].as_u64().unwrap()).sum();
        (all == 5).then_some(letters)
    };
    let letters = stage.cluster.wait_until("all is given up", letters).await;
    let dead: BTreeSet<String> = letters
        .iter()
        .flat_map(|letter| letter["members"].as_array().unwrap())
        .map(|member| member["executionId"].as_str().unwrap().to_owned())
        .collect();
    assert!(letters.iter().all(|l| l["attempts"] == 2 && l["httpCode"] == 503), "{letters:?}");
    let before: BTreeSet<String> =
        stage.receiver.arrivals().into_iter().map(|a| a.execution_id).collect();
    assert_eq!(dead, before, "by the ids that they were sent with");
    for id in &dead {
        stage.becomes(node, id, "dead").await;
    }

    // It is well again; the leader dies right after the request.
    stage.receiver.script(|_| None);
    let filter = json!({"projectId": stage.project});
    let sum = stage.post(node, "/api/v1/dead-letters/replay", filter).await;
    assert_eq!((&sum["occurrences"], &sum["letters"]), (&json!(5), &json!(letters.len())));
    stage.cluster.kill(stage.leader);
    stage
        .arrives("all are taken back", |seen| {
            dead.iter().all(|id| seen.iter().any(|a| a.accepted && &a.execution_id == id))
        })
        .await;
    stage.next_leader(node, stage.leader).await;
    for id in &dead {
        stage.becomes(other, id, "delivered").await;
    }
    let seen = stage.receiver.arrivals();
    let accepted: Vec<_> = seen.iter().filter(|a| a.accepted).collect();
    assert_eq!(accepted.len(), 5, "once each: {accepted:?}");
    assert!(accepted.iter().all(|a| a.attempt == 3), "{accepted:?}");
    assert_eq!(stage.cluster.get(node, &path).await["total"], 0);
    for id in ids {
        let job = stage.cluster.get(node, &format!("/api/v1/jobs/{id}")).await;
        assert_eq!(job["status"], "completed", "{job}");
    }
    stage.cluster.restart(stage.leader).await;
    stage.alike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_gone_disables_its_job() {
    let stage = Stage::set().await;
    let [node, other] = stage.others;
    stage
        .receiver
        .script(|request: &Request| Some(says(if request.path == "/gone" { 410 } else { 200 })));
    let terms = json!({"spec": "* * * * * *"});
    let gone = stage.create(node, stage.single("/gone", terms.clone())).await;
    let here = stage.create(node, stage.single("/here", terms)).await;
    let path = format!("/api/v1/jobs/{gone}");
    let disabled = async |c: &Cluster| {
        let job = c.get(other, &path).await;
        (job["status"] == "disabled").then_some(job)
    };
    let job = stage.cluster.wait_until("it is disabled", disabled).await;
    assert!(job["nextExecutionDate"].is_null(), "{job}");
    let came = stage.receiver.arrivals().iter().filter(|a| a.job == gone).count();
    let last = stage.receiver.arrivals().iter().map(|a| a.scheduled).max().unwrap();
    stage
        .arrives("its neighbour goes on", |seen| {
            seen.iter().any(|a| a.job == here && a.scheduled >= last + 3_000)
        })
        .await;
    let seen = stage.receiver.arrivals();
    assert!(seen.iter().filter(|a| a.job == gone).count() <= came + 1, "it is left alone");
    let page = stage.cluster.get(node, &format!("/api/v1/dead-letters?jobId={gone}")).await;
    assert_eq!(page["deadLetters"][0]["httpCode"], 410, "{page}");

    // Somebody who resumes it, takes it back.
    stage.receiver.script(|_| None);
    let resumed = stage.post(other, &format!("{path}/resume"), json!({})).await;
    assert_eq!(resumed["status"], "active", "{resumed}");
    stage.arrives("it fires again", |seen| seen.iter().any(|a| a.job == gone && a.accepted)).await;
    stage.alike().await;
}
