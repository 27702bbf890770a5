//! One-offs: created through a follower, fired once although the leader dies before they are due.

use std::collections::BTreeMap;

use axum::http::Method;
use scheduler0::model::time::{parse_rfc3339, rfc3339};
use serde_json::json;

use super::{Stage, TOLERANCE};
use crate::cluster::Cluster;
use crate::receiver::now;

#[tokio::test(flavor = "multi_thread")]
async fn one_offs_fire_once_although_the_leader_dies() {
    let mut stage = Stage::set().await;
    let [node, other] = stage.others;
    let (overdue, soon) = (now() - 5_000, now() + 4_000);
    let put = json!({"method": "PUT", "url": stage.receiver.at("/now")});
    let jobs = json!([
        stage.single("/after", json!({"after": "3s"})),
        stage.batched(json!({"at": rfc3339(soon)})),
        stage.batched(json!({"at": rfc3339(overdue)})),
        stage.single("/gone", json!({"after": "3s", "deleteAfterRun": true})),
        stage.batched(json!({"after": "4s", "deleteAfterRun": true})),
        stage.single("/now", json!({"after": "0s", "http": put})),
    ]);
    let made = stage.cluster.jobs(node, &jobs).await;
    stage.cluster.kill(stage.leader);
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
    stage.arrives("all fire", |seen| ids.iter().all(|id| seen.iter().any(|a| a.job == *id))).await;
    stage.next_leader(node, stage.leader).await;
    stage.cluster.restart(stage.leader).await;

    for ask in [node, other, stage.leader] {
        for (n, id) in ids.iter().enumerate() {
            let delivered = async |c: &Cluster| {
                let page = c.get(ask, &format!("/api/v1/executions?jobId={id}")).await;
                (page["total"] == 1 && page["executions"][0]["status"] == "delivered").then_some(())
            };
            stage.cluster.wait_until("its history stays", delivered).await;
            let url = stage.cluster.url(ask, &format!("/api/v1/jobs/{id}"));
            let answer = stage.cluster.http().get(url).send().await.unwrap();
            if n == 3 || n == 4 {
                assert_eq!(answer.status(), 404, "job {n} is gone");
                continue;
            }
            let job = &answer.json::<serde_json::Value>().await.unwrap()["data"];
            assert_eq!(job["status"], "completed", "job {n}: {job}");
            assert!(job["nextExecutionDate"].is_null(), "{job}");
        }
    }
    // By now all of it is recorded: nothing more can come.
    let seen = stage.receiver.arrivals();
    assert_eq!(seen.len(), ids.len(), "each once: {seen:?}");
    for arrival in &seen {
        assert_eq!((arrival.scheduled, arrival.attempt), (due[&arrival.job], 1), "{arrival:?}");
        assert!(arrival.at + TOLERANCE >= arrival.scheduled, "early: {arrival:?}");
    }
    let requests = stage.receiver.requests();
    let put = requests.iter().find(|request| request.path == "/now").unwrap();
    assert_eq!(put.method, Method::PUT);
    stage.alike().await;
}
