//! Many jobs changed at once in the web UI: what is counted first is what is changed, nothing is
//! widened by a slip, and two editors of one job see each other's changes.

use axum::http::StatusCode;
use scheduler0::model::attempt::Verdict;
use serde_json::json;

use super::browser::{Browser, text, value};
use super::pages::check;
use crate::harness::{ApiFixture, attempt_record};

/// A node with so many jobs, the first five of which have a label.
async fn jobs(number: u64) -> ApiFixture {
    let api = ApiFixture::build().await;
    api.project().await;
    let job = |n: u64| {
        let team = if n <= 5 { "shop" } else { "other" };
        json!({
            "project_id": 1, "spec": "@every 1h", "timezone": "UTC", "labels": {"team": team},
            "callback_url": "http://a.example/",
        })
    };
    let jobs: Vec<_> = (1..=number).map(job).collect();
    assert_eq!(api.post("/jobs", json!(jobs)).await.status, StatusCode::ACCEPTED);
    api
}

async fn count(api: &ApiFixture, filter: &str) -> u64 {
    api.get(&format!("/jobs?{filter}")).await.json["data"]["total"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_of_a_search_are_counted_and_then_changed() {
    let api = jobs(20).await;
    let browser = Browser::operator(&api).await;
    let page = browser.page("/ui/jobs/bulk?q=label:team%3Dshop&action=pause").await;
    assert!(page.contains("Pause 5 jobs") && page.contains("label team=shop"), "{page}");
    assert_eq!(count(&api, "status=inactive").await, 0, "a GET changes nothing");
    let key = value(&page, "key").to_owned();
    let form = [("q", "label:team=shop"), ("action", "pause"), ("key", &key)];
    for _ in 0..2 {
        let answer = browser.post("/ui/jobs/bulk", &form).await;
        assert_eq!(
            answer.header("location"),
            "/ui/jobs?q=label%3Ateam%3Dshop",
            "{}",
            text(&answer)
        );
        assert!(browser.page("/ui/jobs").await.contains("5 jobs matched, 5 paused."));
    }
    assert_eq!(count(&api, "status=inactive").await, 5);
    let bad = [("q", "label:team=shop"), ("action", "pause"), ("until", "yesterday")];
    let answer = browser.post("/ui/jobs/bulk", &bad).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(value(&text(&answer), "until"), "yesterday");
    browser.post("/ui/jobs/bulk", &[("id", "1"), ("id", "2"), ("action", "resume")]).await;
    assert_eq!(count(&api, "status=inactive").await, 3, "only those that were ticked");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_means_no_job_and_many_are_deleted_only_when_their_number_is_typed() {
    let api = jobs(120).await;
    let browser = Browser::operator(&api).await;
    let open = browser.page("/ui/jobs/bulk?action=delete").await;
    assert!(
        open.contains("Nothing narrows the jobs") && !open.contains("name=\"typed\""),
        "{open}"
    );
    let answer = browser.post("/ui/jobs/bulk", &[("action", "delete"), ("count", "120")]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let wrong = [("q", "label:team"), ("action", "delete"), ("all", "yes")];
    assert!(browser.post("/ui/jobs/bulk", &wrong).await.status.is_client_error());
    let all = browser.page("/ui/jobs/bulk?action=delete&all=yes").await;
    assert!(all.contains("Type 120 to delete them"), "{all}");
    for (number, typed) in [("120", ""), ("120", "12"), ("119", "120")] {
        let form = [("action", "delete"), ("all", "yes"), ("count", number), ("typed", typed)];
        let answer = browser.post("/ui/jobs/bulk", &form).await;
        assert!(answer.status.is_client_error(), "{number} {typed}: {}", answer.status);
    }
    assert_eq!(count(&api, "").await, 120);
    let form = [("action", "delete"), ("all", "yes"), ("count", "120"), ("typed", "120")];
    let answer = browser.post("/ui/jobs/bulk", &form).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", text(&answer));
    assert_eq!(count(&api, "").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_editors_of_a_job_are_told_what_the_other_changed() {
    let api = jobs(1).await;
    let browser = Browser::operator(&api).await;
    let edit = "/ui/jobs/1/edit";
    let page = browser.page(edit).await;
    let base = value(&page, "base").replace("&amp;", "&");
    let field = |name: &'static str| (name, value(&page, name).to_owned());
    let patch = json!({"callbackUrl": "http://b.example/", "timeout": "9s", "modifiedBy": "ops"});
    let patched = api.send("PATCH", "/api/v1/jobs/1", &[], patch.to_string()).await;
    assert_eq!(patched.status, StatusCode::OK, "{}", patched.json);
    let names = ["timezone", "url", "timeout", "version", "name", "retries"];
    let mut form: Vec<_> = names.map(field).to_vec();
    form.extend([
        ("base", base),
        ("project", "1".to_owned()),
        ("when", "spec".to_owned()),
        ("where", "url".to_owned()),
        ("spec", "@every 2h".to_owned()),
        ("labels", "team=shop".to_owned()),
        ("data", String::new()),
    ]);
    let sent: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = browser.post(edit, &sent).await;
    assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED, "{}", text(&answer));
    let page = text(&answer);
    assert!(page.contains("by ops at") && page.contains("taken over into the form"), "{page}");
    let shown = ["url", "timeout", "spec", "version"].map(|name| value(&page, name));
    assert_eq!(shown, ["http://b.example/", "9s", "@every 2h", "2"]);
    // Saved once more, both changes hold.
    let kept = value(&page, "base").replace("&amp;", "&");
    let again = form.into_iter().map(|(name, old)| match name {
        "url" | "timeout" | "version" => (name, value(&page, name).to_owned()),
        "base" => (name, kept.clone()),
        _ => (name, old),
    });
    let again: Vec<_> = again.collect();
    let sent: Vec<_> = again.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(browser.post(edit, &sent).await.status, StatusCode::SEE_OTHER);
    let job = &api.get("/api/v1/jobs/1").await.json["data"];
    assert_eq!(
        [&job["spec"], &job["callbackUrl"]],
        [&json!("@every 2h"), &json!("http://b.example/")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_fifty_jobs_with_names_and_last_results_is_small() {
    let api = ApiFixture::build().await;
    api.project().await;
    let job = |n: u64| {
        json!({
            "project_id": 1, "spec": "0 9 * * 1-5", "timezone": "Europe/Berlin",
            "external_id": format!("nightly-report-of-the-shop-{n:09}"),
            "callback_url": "http://a.example/",
        })
    };
    let jobs: Vec<_> = (1..=60).map(job).collect();
    assert_eq!(api.post("/jobs", json!(jobs)).await.status, StatusCode::ACCEPTED);
    api.own_first_shard().await;
    let minute = 60_000;
    let at = api.app.now() / minute * minute - 10 * minute;
    let all: Vec<u64> = (1..=60).collect();
    let mut records = Vec::new();
    for n in 0..8 {
        let verdict = if n == 4 { Verdict::Dead } else { Verdict::Delivered };
        records.push(attempt_record(&all, at + n * minute, 1, verdict));
    }
    api.record(0, records).await;
    let browser = Browser::operator(&api).await;
    let page = browser.page("/ui/jobs").await;
    check("/ui/jobs", &page);
    assert_eq!(page.matches("<tr data-href").count(), 50);
    let marks = "<i class=\"t-ok n4\"></i><i class=\"t-dead\"></i><i class=\"t-ok n3\"></i>";
    assert_eq!(page.matches(marks).count(), 50, "{page}");
    assert!(page.contains("title=\"4 delivered, 1 dead, 3 delivered\""), "{page}");
}
