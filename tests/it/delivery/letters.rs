//! Dead letters: they are listed, and replayed under their old ids when the endpoint works again.

use std::collections::BTreeSet;

use serde_json::json;

use crate::harness::{DeliveryFixture, Request, TestCluster, respond};

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_delivered_by_a_replay_when_the_endpoint_works_again() {
    let mut fixture = DeliveryFixture::start().await;
    let [node, other] = fixture.others;
    fixture.receiver.script(|_| Some(respond(503)));
    let terms = json!({"after": "1s", "retryMax": 1, "retryDelay": "200ms"});
    let mut jobs = vec![fixture.batched(terms.clone()); 3];
    jobs.extend([fixture.single("/one", terms.clone()), fixture.single("/two", terms)]);
    let made = fixture.cluster.jobs(node, &jobs.into()).await;
    let ids: Vec<u64> = made.iter().map(|job| job["id"].as_u64().unwrap()).collect();
    let path = format!("/api/v1/dead-letters?projectId={}", fixture.project);
    let letters = async |c: &TestCluster| {
        let page = c.get(other, &path).await;
        let letters = page["deadLetters"].as_array().unwrap().clone();
        let all: u64 = letters.iter().map(|letter| letter["count"].as_u64().unwrap()).sum();
        (all == 5).then_some(letters)
    };
    let letters = fixture.cluster.wait_until("all is dead-lettered", letters).await;
    let dead: BTreeSet<String> = letters
        .iter()
        .flat_map(|letter| letter["members"].as_array().unwrap())
        .map(|member| member["executionId"].as_str().unwrap().to_owned())
        .collect();
    assert!(letters.iter().all(|l| l["attempts"] == 2 && l["httpCode"] == 503), "{letters:?}");
    let before: BTreeSet<String> =
        fixture.receiver.arrivals().into_iter().map(|a| a.execution_id).collect();
    assert_eq!(dead, before, "by the ids that they were sent with");
    for id in &dead {
        fixture.becomes(node, id, "dead").await;
    }

    // The endpoint works again; the leader dies right after the request for the replay.
    fixture.receiver.script(|_| None);
    let filter = json!({"projectId": fixture.project});
    let sum = fixture.post(node, "/api/v1/dead-letters/replay", filter).await;
    assert_eq!((&sum["occurrences"], &sum["letters"]), (&json!(5), &json!(letters.len())));
    fixture.cluster.kill(fixture.leader);
    fixture
        .arrives("all are replayed", |seen| {
            dead.iter().all(|id| seen.iter().any(|a| a.accepted && &a.execution_id == id))
        })
        .await;
    fixture.next_leader(node, fixture.leader).await;
    for id in &dead {
        fixture.becomes(other, id, "delivered").await;
    }
    let seen = fixture.receiver.arrivals();
    let accepted: Vec<_> = seen.iter().filter(|a| a.accepted).collect();
    assert_eq!(accepted.len(), 5, "once each: {accepted:?}");
    assert!(accepted.iter().all(|a| a.attempt == 3), "{accepted:?}");
    assert_eq!(fixture.cluster.get(node, &path).await["total"], 0);
    for id in ids {
        let job = fixture.cluster.get(node, &format!("/api/v1/jobs/{id}")).await;
        assert_eq!(job["status"], "completed", "{job}");
    }
    fixture.cluster.restart(fixture.leader).await;
    fixture.assert_same_state().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn an_endpoint_that_is_gone_disables_its_job() {
    let fixture = DeliveryFixture::start().await;
    let [node, other] = fixture.others;
    fixture
        .receiver
        .script(|request: &Request| Some(respond(if request.path == "/gone" { 410 } else { 200 })));
    let terms = json!({"spec": "* * * * * *"});
    let gone = fixture.create(node, fixture.single("/gone", terms.clone())).await;
    let here = fixture.create(node, fixture.single("/here", terms)).await;
    let path = format!("/api/v1/jobs/{gone}");
    let disabled = async |c: &TestCluster| {
        let job = c.get(other, &path).await;
        (job["status"] == "disabled").then_some(job)
    };
    let job = fixture.cluster.wait_until("it is disabled", disabled).await;
    assert!(job["nextExecutionDate"].is_null(), "{job}");
    let came = fixture.receiver.arrivals().iter().filter(|a| a.job == gone).count();
    let last = fixture.receiver.arrivals().iter().map(|a| a.scheduled).max().unwrap();
    fixture
        .arrives("its neighbour goes on", |seen| {
            seen.iter().any(|a| a.job == here && a.scheduled >= last + 3_000)
        })
        .await;
    let seen = fixture.receiver.arrivals();
    assert!(seen.iter().filter(|a| a.job == gone).count() <= came + 1, "it is left alone");
    let page = fixture.cluster.get(node, &format!("/api/v1/dead-letters?jobId={gone}")).await;
    assert_eq!(page["deadLetters"][0]["httpCode"], 410, "{page}");

    // A resumed job fires again.
    fixture.receiver.script(|_| None);
    let resumed = fixture.post(other, &format!("{path}/resume"), json!({})).await;
    assert_eq!(resumed["status"], "active", "{resumed}");
    fixture
        .arrives("it fires again", |seen| seen.iter().any(|a| a.job == gone && a.accepted))
        .await;
    fixture.assert_same_state().await;
}
