//! One-offs: created through a follower, fired once although the leader dies before they are due.

use std::collections::BTreeMap;

use axum::http::Method;
use scheduler0::model::time::{parse_rfc3339, rfc3339};
use serde_json::json;

use crate::harness::{DeliveryFixture, TOLERANCE, TestCluster, now};

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn one_offs_fire_once_although_the_leader_dies() {
    let mut fixture = DeliveryFixture::start().await;
    let [node, other] = fixture.others;
    let (overdue, soon) = (now() - 5_000, now() + 4_000);
    let put = json!({"method": "PUT", "url": fixture.receiver.at("/now")});
    let jobs = json!([
        fixture.single("/after", json!({"after": "3s"})),
        fixture.batched(json!({"at": rfc3339(soon)})),
        fixture.batched(json!({"at": rfc3339(overdue)})),
        fixture.single("/gone", json!({"after": "3s", "deleteAfterRun": true})),
        fixture.batched(json!({"after": "4s", "deleteAfterRun": true})),
        fixture.single("/now", json!({"after": "0s", "http": put})),
    ]);
    let made = fixture.cluster.jobs(node, &jobs).await;
    fixture.cluster.kill(fixture.leader);
    let killed = now();
    let ids: Vec<u64> = made.iter().map(|job| job["id"].as_u64().unwrap()).collect();
    let created = |n: usize| parse_rfc3339(made[n]["dateCreated"].as_str().unwrap()).unwrap();
    let up = |at: i64| (at + 999) / 1_000 * 1_000;
    let due: BTreeMap<u64, i64> = [
        (ids[0], up(created(0)) + 3_000),
        (ids[1], soon),
        (ids[2], overdue),
        (ids[3], up(created(3)) + 3_000),
        (ids[4], up(created(4)) + 4_000),
        (ids[5], created(5)),
    ]
    .into();
    assert!(due[&ids[0]] > killed, "the leader is dead before it is due");
    fixture
        .arrives("all fire", |seen| ids.iter().all(|id| seen.iter().any(|a| a.job == *id)))
        .await;
    fixture.next_leader(node, fixture.leader).await;
    fixture.cluster.restart(fixture.leader).await;

    for ask in [node, other, fixture.leader] {
        for (n, id) in ids.iter().enumerate() {
            let delivered = async |c: &TestCluster| {
                let page = c.get(ask, &format!("/api/v1/executions?jobId={id}")).await;
                (page["total"] == 1 && page["executions"][0]["status"] == "delivered").then_some(())
            };
            fixture.cluster.wait_until("its history stays", delivered).await;
            let url = fixture.cluster.url(ask, &format!("/api/v1/jobs/{id}"));
            let answer = fixture.cluster.http().get(url).send().await.unwrap();
            if n == 3 || n == 4 {
                assert_eq!(answer.status(), 404, "job {n} is gone");
                continue;
            }
            let job = &answer.json::<serde_json::Value>().await.unwrap()["data"];
            assert_eq!(job["status"], "completed", "job {n}: {job}");
            assert!(job["nextExecutionDate"].is_null(), "{job}");
        }
    }
    // All of it is recorded by now, so that nothing more can come.
    let seen = fixture.receiver.arrivals();
    assert_eq!(seen.len(), ids.len(), "each once: {seen:?}");
    for arrival in &seen {
        assert_eq!((arrival.scheduled, arrival.attempt), (due[&arrival.job], 1), "{arrival:?}");
        assert!(arrival.at + TOLERANCE >= arrival.scheduled, "early: {arrival:?}");
    }
    let requests = fixture.receiver.requests();
    let put = requests.iter().find(|request| request.path == "/now").unwrap();
    assert_eq!(put.method, Method::PUT);
    fixture.assert_same_state().await;
}
