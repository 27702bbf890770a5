//! Projects and executors in the web UI: made, changed, paused and deleted by forms, with errors at
//! their fields, and secrets that are shown once.

use axum::http::StatusCode;
use serde_json::json;

use super::browser::{Browser, message, text, value};
use crate::harness::ApiFixture;

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_made_and_changed_by_its_form() {
    let api = ApiFixture::build().await;
    let browser = Browser::operator(&api).await;
    for (input, given) in [
        ("name", ""),
        ("retries", "101"),
        ("retries", "many"),
        ("retry_delay", "soon"),
        ("retry_factor", "0.5"),
        ("retry_factor", "NaN"),
        ("timeout", "x"),
    ] {
        let mut form = vec![("name", "billing"), ("description", "invoices")];
        form.retain(|(name, _)| *name != input);
        form.push((input, given));
        let answer = browser.post("/ui/projects/new", &form).await;
        let page = text(&answer);
        assert!(answer.status.is_client_error(), "{input}: {}", answer.status);
        assert!(message(&page, input).contains("class=\"error\""), "{input}={given}: {page}");
        assert_eq!(value(&page, input), given);
        assert_eq!(value(&page, "description"), "invoices", "nothing is lost");
    }
    let key = value(&browser.page("/ui/projects/new").await, "key").to_owned();
    let form =
        [("name", "billing"), ("description", "d"), ("retries", "4"), ("retry_factor", "1.5")];
    let form = [&form[..], &[("timeout", "20s"), ("key", &key)]].concat();
    for _ in 0..2 {
        let answer = browser.post("/ui/projects/new", &form).await;
        assert_eq!(answer.header("location"), "/ui/projects/1", "{}", text(&answer));
    }
    let project = &api.get("/api/v1/projects/1").await.json["data"];
    let kept = [&project["retryMax"], &project["retryFactor"], &project["timeout"]];
    assert_eq!(kept, [&json!(4), &json!(1.5), &json!("20s")]);
    assert_eq!(project["createdBy"], "operator (web)");
    let edit = browser.page("/ui/projects/1/edit").await;
    assert_eq!(["retries", "timeout", "version"].map(|name| value(&edit, name)), ["4", "20s", "1"]);
    let change = [("name", "billing"), ("description", "d"), ("retries", ""), ("version", "1")];
    let answer = browser.post("/ui/projects/1/edit", &change).await;
    assert_eq!(answer.header("location"), "/ui/projects/1", "{}", text(&answer));
    let project = &api.get("/api/v1/projects/1").await.json["data"];
    assert!(project["retryMax"].is_null() && project["timeout"].is_null(), "{project}");
    let stale = browser.post("/ui/projects/1/edit", &change).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    assert!(text(&stale).contains("changed while you edited it"));
    assert_eq!(value(&text(&stale), "version"), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_paused_signed_and_deleted_with_its_jobs_by_name_only() {
    let api = ApiFixture::build().await;
    api.project().await;
    let job = json!([{"project_id": 1, "spec": "@daily", "timezone": "UTC", "callback_url": "http://a.example/"}]);
    assert_eq!(api.post("/jobs", job).await.status, StatusCode::ACCEPTED);
    let browser = Browser::operator(&api).await;
    let status = async || api.get("/projects/1").await.json["data"]["status"].clone();
    let bad = browser.post("/ui/projects/1/pause", &[("until", "2001-01-01T00:00")]).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    assert_eq!(status().await, "active");
    browser.post("/ui/projects/1/pause", &[("until", "2099-01-01T00:00")]).await;
    assert_eq!(status().await, "inactive");
    assert!(browser.page("/ui/projects/1").await.contains("None of its jobs fires"));
    browser.post("/ui/projects/1/resume", &[]).await;
    assert_eq!(status().await, "active");

    let made = browser.post("/ui/projects/1/rotate", &[("key", "k")]).await;
    let page = text(&made);
    let secret = page.split("whsec_").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert_eq!(made.header("cache-control"), "no-store");
    let again = text(&browser.post("/ui/projects/1/rotate", &[("key", "k")]).await);
    assert!(again.contains(&secret), "the same form shows it again");
    let later = browser.page("/ui/projects/1").await;
    assert!(later.contains("Its calls are signed") && !later.contains(&secret));
    let bad = browser.post("/ui/projects/1/rotate", &[("overlap", "soon")]).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);

    let refused = browser.post("/ui/projects/1/delete", &[("confirm", "other")]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(text(&refused).contains("type its name"));
    let gone = browser.post("/ui/projects/1/delete", &[("confirm", "project")]).await;
    assert_eq!(gone.header("location"), "/ui/projects", "{}", text(&gone));
    assert_eq!(api.get("/jobs/1").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_is_made_changed_and_deleted_and_its_secrets_stay_hidden() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let browser = Browser::operator(&api).await;
    let target = r#"{"method": "PUT", "url": "http://a.example/", "auth": {"type": "bearer", "token": "hunter2"}}"#;
    for (input, given, kind) in [
        ("url", "ftp://a.example/", "url"),
        ("most", "0", "url"),
        ("rate", "many", "url"),
        ("settings", "{", "http"),
        ("settings", "{\"url\": \"nowhere\"}", "http"),
        ("settings", "{\"bus\": \"pigeon\"}", "worker"),
    ] {
        let mut form = vec![("name", "crm"), ("kind", kind), ("url", "http://a.example/")];
        form.retain(|(name, _)| *name != input);
        form.push((input, given));
        let answer = browser.post("/ui/executors/new", &form).await;
        let page = text(&answer);
        assert!(answer.status.is_client_error(), "{input}: {}", answer.status);
        assert!(message(&page, input).contains("class=\"error\""), "{input}={given}: {page}");
    }
    let form = [("name", "crm"), ("kind", "http"), ("settings", target), ("most", "5")];
    let answer = browser.post("/ui/executors/new", &form).await;
    assert_eq!(answer.header("location"), "/ui/executors/1", "{}", text(&answer));
    let page = browser.page("/ui/executors/1").await;
    assert!(page.contains("PUT http://a.example/") && page.contains("No job uses it"), "{page}");
    let edit = browser.page("/ui/executors/1/edit").await;
    assert!(!page.contains("hunter2") && !edit.contains("hunter2"), "a secret is never shown");
    let shown = edit.split("<textarea id=\"f-settings\"").nth(1).unwrap();
    let shown = shown.split('>').nth(1).unwrap().split("</textarea").next().unwrap();
    let shown = shown.replace("&quot;", "\"").replace("PUT", "PATCH");
    let form = [("name", "crm"), ("kind", "http"), ("settings", shown.as_str()), ("version", "1")];
    let answer = browser.post("/ui/executors/1/edit", &form).await;
    assert_eq!(answer.header("location"), "/ui/executors/1", "{}", text(&answer));
    let executor = &api.get("/api/v1/executors/1").await.json["data"];
    assert_eq!(executor["http"]["method"], "PATCH");
    assert_eq!(executor["http"]["auth"]["tokenSet"], true, "the secret stays");
    assert!(executor["maxConcurrency"].is_null(), "an empty input is no bound");

    let job = json!([{"project_id": project, "spec": "@daily", "timezone": "UTC", "executor_id": 1, "external_id": "nightly"}]);
    assert_eq!(api.post("/jobs", job).await.status, StatusCode::ACCEPTED);
    assert!(browser.page("/ui/executors/1").await.contains("nightly"));
    let used = browser.post("/ui/executors/1/delete", &[]).await;
    assert_eq!(used.status, StatusCode::CONFLICT);
    browser.post("/ui/jobs/1/delete", &[]).await;
    let made = text(&browser.post("/ui/executors/1/rotate", &[]).await);
    assert!(made.contains("whsec_"), "{made}");
    let gone = browser.post("/ui/executors/1/delete", &[]).await;
    assert_eq!(gone.header("location"), "/ui/executors", "{}", text(&gone));
}
