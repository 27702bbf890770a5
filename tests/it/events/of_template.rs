//! A reader that names a template: it sees the jobs that the template made, and no others.

use serde_json::json;

use super::reader::{EventReader, OPERATOR};
use crate::harness::{Receiver, TestCluster};

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_is_named_shows_its_own_jobs() {
    let cluster = TestCluster::start(1).await;
    let receiver = Receiver::start().await;
    let project = cluster.project(1, "p").await;
    let mut ids = Vec::new();
    for kind in ["own", "other"] {
        let template = json!({
            "projectId": project, "type": kind, "startInSeconds": 1, "payloadSchema": {},
            "target": {"callbackUrl": receiver.url()},
        });
        let (status, made) = cluster.post(1, "/v1/templates", &template).await;
        assert_eq!(status, 201, "{made}");
        ids.push(made["data"]["id"].as_u64().unwrap());
    }
    let own = format!("?templateId={}", ids[0]);
    let mut stream = EventReader::open(&cluster, 1, &own, None).await;
    let plain = json!({
        "projectId": project, "after": "1s", "executionType": "http", "timezone": "UTC",
        "callbackUrl": receiver.url(),
    });
    cluster.jobs(1, &json!([plain])).await;
    let mut made = Vec::new();
    for id in [ids[1], ids[0]] {
        let path = format!("/v1/templates/{id}/instances");
        let (status, answer) = cluster.post(1, &path, &json!({"payload": {}})).await;
        assert_eq!(status, 201, "{answer}");
        made.push(answer["data"]["id"].as_u64().unwrap());
    }
    let mut kinds = Vec::new();
    while kinds.last().is_none_or(|kind| kind != "job_terminated") {
        let event = stream.next_fact().await;
        if event.kind == "executions" {
            assert_eq!(event.data["projects"][0]["projectId"], json!(project));
            continue;
        }
        assert_eq!(event.data["jobs"], json!([[made[1], 1]]), "{event:?}");
        assert_eq!(event.data["templateId"], json!(ids[0]), "{event:?}");
        kinds.push(event.kind);
    }
    assert_eq!(kinds, ["job_created", "job_terminated"]);
    let (status, gone) =
        cluster.post(1, "/v1/jobs/delete", &json!({"filter": {"ids": made}})).await;
    assert_eq!(status, 200, "{gone}");
    let deleted = stream.until("job_deleted").await;
    assert_eq!(
        deleted.data["jobs"],
        json!([[made[1], 1]]),
        "its job is gone, and known all the same"
    );

    for (query, status, field) in
        [("template=77", 404, ""), (&*format!("template={}&project=99", ids[0]), 400, "projectId")]
    {
        let url = cluster.url(1, &format!("/v1/events?{query}"));
        let Err((given, refused)) = EventReader::ask(&url, &OPERATOR, None).await else {
            panic!("{query} is read")
        };
        assert_eq!(given, status, "{refused}");
        assert_eq!(refused["error"]["field"].as_str().unwrap_or(""), field, "{refused}");
    }
}
