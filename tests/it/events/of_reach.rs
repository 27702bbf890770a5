//! A reader whose key is bound to a project: it sees what happens there, and nothing else.

use serde_json::{Value, json};

use super::reader::{Event, EventReader};
use super::{every_hour, open_as};
use crate::harness::TestCluster;

/// Makes a key that is bound to a project, once all nodes know of such keys; its id and headers.
async fn bound(cluster: &TestCluster, project: u64) -> (u64, [(&'static str, String); 2]) {
    let body = json!({"projects": [project]});
    let made = cluster
        .wait_until("a key that is bound", async |cluster: &TestCluster| {
            let (status, made) = cluster.post(1, "/api/v1/credentials", &body).await;
            (status == 201).then_some(made)
        })
        .await;
    let text = |name: &str| made["data"][name].as_str().unwrap().to_owned();
    let id = made["data"]["id"].as_u64().unwrap();
    (id, [("x-api-key", text("apiKey")), ("x-secret-key", text("apiSecret"))])
}

/// The first id of the jobs of an event.
fn first_job(event: &Event) -> u64 {
    event.data["jobs"][0][0].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_key_sees_the_events_of_its_project_and_no_others() {
    let cluster = TestCluster::start(1).await;
    let own = cluster.project(1, "own").await;
    let other = cluster.project(1, "other").await;
    let (id, key) = bound(&cluster, own).await;
    let mut stream = open_as(&cluster, 1, &key).await.unwrap();
    assert_eq!(stream.next_fact().await.kind, "hello");

    // Before each event of the own project there is one of the other, which is not seen.
    let theirs = cluster.jobs(1, &json!([every_hour(other)])).await[0]["id"].as_u64().unwrap();
    let mine = cluster.jobs(1, &json!([every_hour(own)])).await[0]["id"].as_u64().unwrap();
    let seen = stream.next_fact().await;
    assert_eq!((seen.kind.as_str(), first_job(&seen)), ("job_created", mine), "{seen:?}");
    let both = json!({"filter": {"ids": [theirs, mine]}});
    assert_eq!(cluster.post(1, "/v1/jobs/pause", &both).await.0, 200);
    let seen = stream.next_fact().await;
    assert_eq!((seen.kind.as_str(), &seen.data["jobs"]), ("job_updated", &json!([[mine, 1]])));
    // One request in both projects: the own job is told of.
    let jobs: Vec<Value> = [other, own, other].map(every_hour).to_vec();
    let made = cluster.jobs(1, &Value::from(jobs)).await;
    let seen = stream.next_fact().await;
    assert_eq!(seen.kind, "job_created", "{seen:?}");
    assert_eq!(seen.data["jobs"], json!([[made[1]["id"], 1]]), "{seen:?}");
    let new = cluster.project(1, "new").await;
    let deleted = json!({"filter": {"ids": [theirs, mine]}});
    assert_eq!(cluster.post(1, "/v1/jobs/delete", &deleted).await.0, 200);
    let seen = stream.next_fact().await;
    assert_eq!((seen.kind.as_str(), first_job(&seen)), ("job_deleted", mine), "not of {new}");

    // A stream ends when its key reaches less than it did.
    let path = format!("/api/v1/credentials/{id}");
    let response = cluster
        .http()
        .patch(cluster.url(1, &path))
        .headers(operator())
        .json(&json!({"projects": [other]}))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let rest = stream.rest().await;
    assert_eq!(rest.last().map(|event| event.kind.as_str()), Some("bye"), "{rest:?}");
    let again: Result<EventReader, _> = open_as(&cluster, 1, &key).await;
    assert!(again.is_ok(), "it reads the other project now");
}

fn operator() -> reqwest::header::HeaderMap {
    let named =
        super::OPERATOR.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    named.into_iter().collect()
}
