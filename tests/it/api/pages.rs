//! Pages of lists: where a page ends, how the next one is asked for, and the bounds of a read.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use rusqlite::Connection;
use scheduler0::cluster;
use scheduler0::model::reach::Reach;
use scheduler0::store::{ReadEnd, ReadLimit, meta};
use serde_json::{Value, json};

use super::job;
use crate::harness::ApiFixture;

async fn project(api: &ApiFixture, name: &str) -> u64 {
    let made = api.post("/projects", json!({"name": name, "description": "d"})).await;
    made.json["data"]["id"].as_u64().unwrap()
}

/// The ids of a list, read page by page.
async fn walk(api: &ApiFixture, name: &str, path: &str, limit: u64) -> Vec<u64> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("{path}&limit={limit}{after}")).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.json);
        let data = &page.json["data"];
        let records = data[name].as_array().unwrap();
        found.extend(records.iter().map(|record| record["id"].as_u64().unwrap()));
        match data["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return found,
        }
        assert!(found.len() < 1_000, "it does not end");
    }
}

#[tokio::test]
async fn a_list_is_gone_on_with_by_key_in_each_of_its_orders() {
    let api = ApiFixture::build().await;
    let projects = [project(&api, "one").await, project(&api, "two").await];
    let jobs: Vec<Value> = (0..30).map(|i| job(projects[i % 2], &i.to_string())).collect();
    assert_eq!(api.post("/api/v1/jobs", json!(jobs)).await.status, StatusCode::ACCEPTED);
    // Some jobs were changed, several of them at once, and most never.
    for id in [7, 3, 12] {
        let done = api.send("PATCH", &format!("/jobs/{id}"), &[], r#"{"data":"x"}"#).await;
        assert_eq!(done.status, StatusCode::OK, "{}", done.json);
    }
    let some = json!({"filter": {"ids": [20, 21, 22]}});
    assert_eq!(api.post("/jobs/pause", some).await.json["data"]["changed"], 3);
    for order in ["id", "dateCreated", "dateModified", "projectId", "status"] {
        for way in ["asc", "desc"] {
            for filter in ["", &format!("&projectId={}", projects[0]), "&status=active"] {
                let path = format!("/jobs?orderBy={order}&orderByDirection={way}{filter}");
                let whole = walk(&api, "jobs", &path, 1_000).await;
                assert!(whole.len() >= 15, "{path}: {whole:?}");
                for limit in [1, 4, 30] {
                    assert_eq!(walk(&api, "jobs", &path, limit).await, whole, "{path} {limit}");
                }
            }
        }
    }
    for path in ["/projects?orderBy=id", "/projects?orderBy=dateCreated&orderByDirection=desc"] {
        let whole = walk(&api, "projects", path, 1_000).await;
        assert_eq!(walk(&api, "projects", path, 1).await, whole, "{path}");
    }
    let page = api.get("/jobs?limit=2&orderBy=dateModified").await.json;
    let next = page["data"]["next"].as_str().unwrap();
    for (path, says) in [
        (format!("/jobs?after={next}"), "in the same order"),
        ("/jobs?orderBy=dateModified&after=12".to_owned(), "the next of an earlier page"),
        ("/projects?orderBy=name&after=0--1".to_owned(), "leave out orderBy=name"),
        ("/executors?orderBy=name&after=0--1".to_owned(), "leave out orderBy=name"),
        ("/jobs?offset=100001".to_owned(), "next as after"),
        ("/executions?offset=100001".to_owned(), "next as after"),
        ("/dead-letters?offset=9999999".to_owned(), "next as after"),
        ("/projects?offset=100001".to_owned(), "next as after"),
    ] {
        let refused = api.get(&path).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path}: {}", refused.json);
        let message = refused.json["error"]["message"].as_str().unwrap();
        assert!(message.contains(says), "{path}: {message}");
    }
}

#[tokio::test]
async fn a_page_ends_by_its_bytes_and_none_is_missed_by_offset_or_by_key() {
    let api = ApiFixture::build().await;
    let project = project(&api, "large").await;
    let data = "x".repeat(900_000);
    for _ in 0..20 {
        let made = api.post("/jobs", json!([job(project, &data)])).await;
        assert_eq!(made.status, StatusCode::ACCEPTED, "{}", made.json);
    }
    let page = api.get("/jobs?limit=1000").await;
    assert!(page.body.len() < (8 << 20) + 1_000_000, "{}", page.body.len());
    let data = &page.json["data"];
    assert_eq!(
        (&data["total"], &data["limit"], data["jobs"].as_array().unwrap().len()),
        (&json!(20), &json!(10), 10)
    );
    let by_key = walk(&api, "jobs", "/jobs?orderBy=id", 1_000).await;
    assert_eq!(by_key, (1..=20).collect::<Vec<_>>());
    let rest = api.get("/jobs?limit=1000&offset=10").await.json;
    let rest: Vec<_> = rest["data"]["jobs"].as_array().unwrap().iter().collect();
    assert_eq!((rest.len(), &rest[0]["id"], &rest[9]["id"]), (10, &json!(11), &json!(20)));
}

#[tokio::test]
async fn the_jobs_of_a_request_are_shown_piece_by_piece() {
    let api = ApiFixture::build().await;
    let project = project(&api, "many").await;
    // A text that must be escaped, once more within another text.
    let data = "\u{1}\"\\ {\"jobId\":1}";
    let jobs: Vec<Value> = (0..1_500).map(|_| job(project, data)).collect();
    let prefer = [("prefer", "return=representation")];
    let mut made = jobs.clone();
    made[0]["colour"] = json!("red");
    let made = api.send("POST", "/jobs", &prefer, &json!(made).to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let shown = made.json["data"].as_array().unwrap();
    assert_eq!(shown.len(), 1_500);
    assert!(made.body.len() > 256 * 1_024, "it is several pieces: {}", made.body.len());
    assert!(shown.iter().all(|job| job["data"] == data && job["project_id"] == project));
    let warnings = made.json["warnings"].as_array().unwrap();
    assert!(warnings[0].as_str().unwrap().contains("colour"), "{warnings:?}");

    let made = api.post("/api/v1/jobs", json!(jobs)).await;
    let task = made.json["data"].as_str().unwrap().to_owned();
    let read = async |prefix: &str| {
        let task = api.get(&format!("{prefix}/async-tasks/{task}")).await;
        assert_eq!(task.status, StatusCode::OK, "{}", task.json);
        let data = task.json["data"].clone();
        assert_eq!((&data["state"], &data["service"]), (&json!(2), &json!("create_job")));
        let output: Value = serde_json::from_str(data["output"].as_str().unwrap()).unwrap();
        output.as_array().unwrap().clone()
    };
    let output = read("/api/v1").await;
    assert!(output.iter().map(|job| job["id"].as_u64().unwrap()).eq(1_501..=3_000));
    assert!(output.iter().all(|job| job["data"] == data && job["projectId"] == project));
    let gone = json!({"filter": {"ids": [1_501, 2_000, 2_001, 3_000]}});
    assert_eq!(api.post("/jobs/delete", gone).await.json["data"]["changed"], 4);
    let output = read("").await;
    assert_eq!(output.len(), 1_496);
    assert_eq!((&output[0]["id"], &output[1_495]["project_id"]), (&json!(1_502), &json!(project)));
    let all = json!({"all": true});
    assert_eq!(api.post("/jobs/delete", all).await.json["data"]["changed"], 2_996);
    assert_eq!(read("/v1").await.len(), 0);
}

#[tokio::test]
async fn a_read_ends_at_its_deadline_and_with_who_waits_for_it() {
    let api = ApiFixture::build().await;
    let cluster = api.cluster();
    let endless = |conn: &Connection| {
        let scan = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
             SELECT COUNT(*) FROM n";
        conn.query_row(scan, [], |row| row.get::<_, i64>(0))
    };
    let limit = Arc::new(ReadLimit::within(Duration::from_millis(50)));
    let ended = cluster.read_within(limit, Reach::all(), endless).await;
    assert!(matches!(ended, Err(cluster::Error::Ended(ReadEnd::Deadline))), "{ended:?}");
    // More reads than connections: each runs until its caller is gone.
    for _ in 0..12 {
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let read = move |conn: &Connection| {
            begun.send(()).unwrap();
            endless(conn)
        };
        let limit = Arc::new(ReadLimit::endless());
        let mut read = Box::pin(cluster.read_within(limit.clone(), Reach::all(), read));
        tokio::select! {
            ended = &mut read => panic!("{ended:?}"),
            begun = has_begun => begun.unwrap(),
        }
        drop(read);
        assert_eq!(limit.ended(), Some(ReadEnd::Gone));
    }
    let limit = Arc::new(ReadLimit::within(Duration::from_mins(1)));
    assert!(cluster.read_within(limit, Reach::all(), meta::cluster_id).await.unwrap().is_some());
    assert_eq!(api.get("/jobs").await.status, StatusCode::OK);
}
