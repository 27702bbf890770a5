//! Preconditions (RFC 9110) on each route of a record with a version: a request for another version
//! is not carried out, also while others write at the same time.

use axum::http::StatusCode;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::job;
use crate::harness::{Answer, ApiFixture};

const NIGHTLY: &str = "/projects/1/jobs/by-external-id/nightly";

async fn ask(
    api: &ApiFixture,
    method: &str,
    path: &str,
    header: (&str, &str),
    body: &Value,
) -> Answer {
    api.send(method, path, &[header], body.to_string()).await
}

/// A node with a project, a job and an executor, each with the id 1.
async fn furnished() -> ApiFixture {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    assert_eq!(api.post("/jobs", job(project, "")).await.status, StatusCode::ACCEPTED);
    let executor = json!({"name": "e", "webhookUrl": "http://localhost:1/"});
    assert_eq!(api.post("/executors", executor).await.status, StatusCode::CREATED);
    api
}

#[tokio::test]
async fn a_put_that_only_creates_never_overwrites() {
    let api = ApiFixture::build().await;
    api.project().await;
    let nightly = |data: &str| {
        json!({"spec": "@daily", "timezone": "UTC", "callbackUrl": "http://localhost:1/",
            "data": data})
    };
    let create = ("if-none-match", "*");
    let change = ask(&api, "PUT", NIGHTLY, ("if-match", "\"1\""), &nightly("never")).await;
    assert_eq!(change.status, StatusCode::PRECONDITION_FAILED, "{}", change.json);
    let puts = ["a", "b", "c", "d"].map(nightly);
    let puts = puts.iter().map(|body| ask(&api, "PUT", NIGHTLY, create, body));
    let answers = join_all(puts).await;
    let made: Vec<_> = answers.iter().filter(|a| a.status == StatusCode::CREATED).collect();
    assert_eq!(made.len(), 1);
    let rest = answers.iter().filter(|a| a.status == StatusCode::PRECONDITION_FAILED).count();
    assert_eq!(rest, 3);
    let late = ask(&api, "PUT", NIGHTLY, create, &nightly("late")).await;
    assert_eq!((late.status.as_u16(), &late.json["error"]["code"]), (412, &json!("stale")));
    let shown = api.get(NIGHTLY).await.json["data"].clone();
    assert_eq!((&shown["version"], &shown["data"]), (&json!(1), &made[0].json["data"]["data"]));
    let list = api.get("/jobs").await;
    assert_eq!(list.json["data"]["total"], 1);
}

#[tokio::test]
async fn a_read_of_a_version_that_the_client_has_is_304() {
    let api = furnished().await;
    let named = json!({"externalId": "nightly"}).to_string();
    api.send("PATCH", "/jobs/1", &[], &named).await;
    for path in ["/jobs/1", "/projects/1", "/executors/1", NIGHTLY] {
        let shown = api.get(path).await;
        let tag = shown.header("etag").to_owned();
        for tags in [tag.clone(), format!("W/{tag}"), format!("\"0\", {tag}"), "*".to_owned()] {
            for method in ["GET", "HEAD"] {
                let known = ask(&api, method, path, ("if-none-match", &tags), &json!({})).await;
                assert_eq!(known.status.as_u16(), 304, "{method} {path} {tags}");
                assert_eq!((known.header("etag"), known.body.len()), (&*tag, 0), "{path}");
            }
        }
        let other = ask(&api, "GET", path, ("if-none-match", "\"0\""), &json!({})).await;
        assert_eq!((other.status, &other.json), (StatusCode::OK, &shown.json), "{path}");
        let stale = ask(&api, "GET", path, ("if-match", "\"0\""), &json!({})).await;
        assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED, "{path}");
    }
}

#[tokio::test]
async fn nothing_is_done_for_another_version_on_any_route() {
    let api = furnished().await;
    let named = json!({"externalId": "nightly"}).to_string();
    api.send("PATCH", "/jobs/1", &[], &named).await;
    let put = json!({"spec": "@daily", "timezone": "UTC", "callbackUrl": "http://localhost:1/"});
    let routes = [
        ("POST", "/jobs/1/pause", json!({})),
        ("POST", "/jobs/1/resume", json!({})),
        ("POST", "/jobs/1/run", json!({})),
        ("PUT", "/jobs/1", put.clone()),
        ("PATCH", "/jobs/1", json!({"data": "lost"})),
        ("DELETE", "/jobs/1", json!({})),
        ("PUT", NIGHTLY, put),
        ("DELETE", NIGHTLY, json!({})),
        ("POST", "/projects/1/pause", json!({})),
        ("POST", "/projects/1/resume", json!({})),
        ("POST", "/projects/1/rotate-secret", json!({})),
        ("PATCH", "/projects/1", json!({"description": "lost"})),
        ("DELETE", "/projects/1?cascade=true", json!({})),
        ("PUT", "/executors/1", json!({"name": "lost"})),
        ("PATCH", "/executors/1", json!({"name": "lost"})),
        ("POST", "/executors/1/rotate-secret", json!({})),
        ("DELETE", "/executors/1", json!({})),
    ];
    let all = async || {
        join_all(["/jobs/1", "/projects/1", "/executors/1"].map(|path| api.get(path))).await
    };
    let before: Vec<_> = all().await.into_iter().map(|a| a.json["data"].clone()).collect();
    for (method, path, body) in &routes {
        for header in [
            ("if-match", "\"77\""),
            ("if-match", "W/\"1\", W/\"2\""),
            ("if-match", ""),
            ("if-none-match", "*"),
            ("if-none-match", "W/\"1\", \"2\""),
        ] {
            let refused = ask(&api, method, path, header, body).await;
            let said = format!("{method} {path} {header:?}: {}", refused.json);
            assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED, "{said}");
            assert_eq!(refused.json["error"]["code"], "stale", "{said}");
        }
    }
    let after: Vec<_> = all().await.into_iter().map(|a| a.json["data"].clone()).collect();
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before["version"], after["version"]);
        assert_eq!(before["status"], after["status"]);
    }
    assert_eq!(api.get("/executions").await.json["data"]["total"], 0);

    // A request that would fail anyway gets that error (RFC 9110, 13.2.1).
    for (method, path, body, status) in [
        ("POST", "/jobs/99/pause", json!({}), 404),
        ("PATCH", "/jobs/1", json!({"spec": "x"}), 400),
        ("PATCH", "/projects/1", json!({"retryMax": 101}), 400),
    ] {
        let refused = ask(&api, method, path, ("if-match", "\"77\""), &body).await;
        assert_eq!(refused.status.as_u16(), status, "{method} {path}: {}", refused.json);
    }
}

#[tokio::test]
async fn of_many_who_name_the_same_version_one_goes_through() {
    let api = furnished().await;
    for (path, versions) in [("/jobs/1/pause", 2), ("/projects/1/pause", 2)] {
        let bodies: Vec<_> =
            (0..6).map(|i| json!({"until": format!("2090-01-0{}T00:00:00Z", i + 1)})).collect();
        let asks = bodies.iter().map(|body| ask(&api, "POST", path, ("if-match", "\"1\""), body));
        let answers = join_all(asks).await;
        let through: Vec<_> = answers.iter().filter(|a| a.status == StatusCode::OK).collect();
        let refused = answers.iter().filter(|a| a.status == StatusCode::PRECONDITION_FAILED);
        assert_eq!((through.len(), refused.count()), (1, 5), "{path}");
        assert_eq!(through[0].json["data"]["version"], versions, "{path}");
    }
    for header in [("if-match", "*"), ("if-match", "\"2\", \"1\""), ("if-none-match", "\"1\"")] {
        let run = ask(&api, "POST", "/jobs/1/run", header, &json!({})).await;
        assert_eq!(run.status, StatusCode::ACCEPTED, "{header:?}: {}", run.json);
    }
    let resumed = ask(&api, "POST", "/jobs/1/resume", ("if-match", "\"2\""), &json!({})).await;
    assert_eq!(resumed.json["data"]["status"], "active", "{}", resumed.json);
    assert_eq!(resumed.header("etag"), "\"3\"");
}
