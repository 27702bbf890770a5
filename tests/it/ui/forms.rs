//! Forms: a job is made, changed, paused, run and deleted, and what is wrong is said at its field.

use axum::http::StatusCode;
use scheduler0::model::attempt::Verdict;
use serde_json::json;

use super::browser::{Browser, message, text, value};
use crate::harness::{ApiFixture, attempt_record};

const NEW: [(&str, &str); 8] = [
    ("project_name", "billing"),
    ("name", "nightly"),
    ("when", "spec"),
    ("spec", "30 2 * * *"),
    ("timezone", "Europe/Berlin"),
    ("where", "url"),
    ("url", "http://a.example/"),
    ("data", "{\"n\": 12345678901234567890}"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_made_with_its_project_and_twice_the_same_form_is_one_job() {
    let api = ApiFixture::build().await;
    let browser = Browser::operator(&api).await;
    let key = value(&browser.page("/ui/jobs/new").await, "key").to_owned();
    assert_eq!(key.len(), 32);
    let mut form = NEW.to_vec();
    form.push(("key", &key));
    let answer = browser.post("/ui/jobs/new", &form).await;
    assert_eq!(answer.header("location"), "/ui/jobs/1", "{}", text(&answer));
    let page = browser.page("/ui/jobs/1").await;
    assert!(page.contains("The job is created.") && page.contains("nightly"), "{page}");
    assert!(!browser.page("/ui/jobs/1").await.contains("The job is created."), "said once");
    let job = &api.get("/api/v1/jobs/1").await.json["data"];
    assert_eq!(job["spec"], "30 2 * * *");
    assert_eq!(job["timezone"], "Europe/Berlin");
    assert_eq!(job["externalId"], "nightly");
    assert_eq!(job["data"], "{\"n\": 12345678901234567890}", "no number is rounded");
    assert_eq!(job["createdBy"], "operator (web)");
    // The project is there now, so that the same form names it.
    let same = [("project", "1"), ("when", "after"), ("after", "5m"), ("where", "url")];
    let same = [&same[..], &[("url", "http://a.example/"), ("key", &key)]].concat();
    for _ in 0..2 {
        let answer = browser.post("/ui/jobs/new", &same).await;
        assert_eq!(answer.header("location"), "/ui/jobs/2", "{}", text(&answer));
    }
    assert_eq!(api.get("/jobs").await.json["data"]["total"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_at_its_field_and_nothing_is_lost() {
    let api = ApiFixture::build().await;
    api.project().await;
    let browser = Browser::operator(&api).await;
    for (input, given, also) in [
        ("spec", "99 * * * *", ""),
        ("timezone", "Europe/Berlim", ""),
        ("url", "ftp://a.example/", ""),
        ("retries", "many", ""),
        ("timeout", "soon", ""),
        ("jitter", "x", ""),
        ("overlap", "sometimes", ""),
        ("start", "someday", ""),
        ("labels", "bad key=1", ""),
        ("at", "yesterday", "at"),
        ("after", "x", "after"),
        ("call_url", "nowhere", "call"),
    ] {
        let mut form: Vec<(&str, &str)> =
            NEW.into_iter().filter(|(name, _)| *name != input && *name != "project_name").collect();
        form.extend([("project", "1"), (input, given)]);
        match also {
            "at" | "after" => form.retain(|(name, _)| *name != "when"),
            "call" => form.retain(|(name, _)| *name != "where"),
            _ => {}
        }
        match also {
            "call" => form.push(("where", "call")),
            "" => {}
            when => form.push(("when", when)),
        }
        let answer = browser.post("/ui/jobs/new", &form).await;
        let page = text(&answer);
        assert!(answer.status.is_client_error(), "{input}: {}", answer.status);
        let said = message(&page, input);
        assert!(said.contains("class=\"error\""), "{input}: {said}");
        if input != "labels" && input != "overlap" {
            assert_eq!(value(&page, input), given, "{input}");
        }
        assert_eq!(value(&page, "name"), "nightly", "{input}");
    }
    assert_eq!(api.get("/jobs").await.json["data"]["total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_changes_what_was_changed_and_two_editors_do_not_overwrite_each_other() {
    let api = ApiFixture::build().await;
    let browser = Browser::operator(&api).await;
    browser.post("/ui/jobs/new", &NEW).await;
    let edit = "/ui/jobs/1/edit";
    let page = browser.page(edit).await;
    assert_eq!(value(&page, "spec"), "30 2 * * *");
    assert_eq!(value(&page, "version"), "1");
    let mut form: Vec<_> = NEW[1..].to_vec();
    form.retain(|(name, _)| *name != "spec");
    form.extend([
        ("spec", "0 3 * * *"),
        ("project", "1"),
        ("labels", "team=shop"),
        ("version", "1"),
    ]);
    let answer = browser.post(edit, &form).await;
    assert_eq!(answer.header("location"), "/ui/jobs/1", "{}", text(&answer));
    let job = &api.get("/api/v1/jobs/1").await.json["data"];
    assert_eq!((&job["spec"], &job["labels"]["team"]), (&json!("0 3 * * *"), &json!("shop")));
    assert_eq!(job["modifiedBy"], "operator (web)");
    // The other editor still has version 1.
    form.retain(|(name, _)| *name != "spec");
    form.push(("spec", "0 4 * * *"));
    let answer = browser.post(edit, &form).await;
    assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED);
    let page = text(&answer);
    assert!(page.contains("The job was changed while you edited it"), "{page}");
    assert_eq!(value(&page, "spec"), "0 4 * * *", "nothing typed is lost");
    assert_eq!(value(&page, "version"), "2");
    assert_eq!(api.get("/api/v1/jobs/1").await.json["data"]["spec"], "0 3 * * *");
    form.retain(|(name, _)| *name != "version");
    form.push(("version", "2"));
    assert_eq!(browser.post(edit, &form).await.status, StatusCode::SEE_OTHER);
    assert_eq!(api.get("/api/v1/jobs/1").await.json["data"]["spec"], "0 4 * * *");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_paused_resumed_run_and_deleted() {
    let api = ApiFixture::build().await;
    let browser = Browser::operator(&api).await;
    browser.post("/ui/jobs/new", &NEW).await;
    let status = async || api.get("/jobs/1").await.json["data"]["status"].clone();
    assert!(browser.page("/ui/jobs/1").await.contains("/ui/jobs/1/pause"));
    let answer = browser.post("/ui/jobs/1/pause", &[("until", "then")]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(status().await, "active");
    browser.post("/ui/jobs/1/pause", &[("until", "")]).await;
    assert_eq!(status().await, "inactive");
    let page = browser.page("/ui/jobs/1").await;
    assert!(page.contains("/ui/jobs/1/resume") && !page.contains("/ui/jobs/1/pause"));
    browser.post("/ui/jobs/1/resume", &[]).await;
    assert_eq!(status().await, "active");
    let answer = browser.post("/ui/jobs/1/run", &[("key", "k")]).await;
    let place = answer.header("location").to_owned();
    assert!(place.starts_with("/ui/activity/"), "{place}");
    assert_eq!(browser.post("/ui/jobs/1/run", &[("key", "k")]).await.header("location"), place);
    assert!(browser.page(&place).await.contains("Run by hand"));
    let stale = browser.post("/ui/jobs/1/delete", &[("version", "1")]).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(browser.post("/ui/jobs/1/delete", &[]).await.header("location"), "/ui/jobs");
    assert_eq!(api.get("/jobs/1").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_replayed_and_dropped_one_by_one_and_together() {
    let api = ApiFixture::build().await;
    let browser = Browser::operator(&api).await;
    let form: Vec<_> = NEW.into_iter().filter(|(name, _)| *name != "name").collect();
    browser.post("/ui/jobs/new", &form).await;
    api.own_first_shard().await;
    let at = api.app.now() / 60_000 * 60_000;
    let dead = |n: i64| attempt_record(&[1], at - n * 60_000, 4, Verdict::Dead);
    api.record(0, (1..=4).map(dead).collect()).await;
    let left = async || api.get("/dead-letters").await.json["data"]["total"].clone();
    assert_eq!(left().await, 4);
    let answer = browser.post("/ui/dead-letters/1/replay", &[]).await;
    assert_eq!(answer.header("location"), "/ui/dead-letters", "{}", text(&answer));
    browser.post("/ui/dead-letters/2/purge", &[]).await;
    assert_eq!(left().await, 2);
    let bad = browser.post("/ui/dead-letters/replay", &[("rate", "0"), ("last", "4")]).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    let none = [("rate", "10"), ("job", "99"), ("last", "4")];
    browser.post("/ui/dead-letters/replay", &none).await;
    assert_eq!(left().await, 2, "the filter found none");
    for bad in [&[("job", "x"), ("last", "9")][..], &[("job", "1")]] {
        let answer = browser.post("/ui/dead-letters/purge", bad).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad:?}");
    }
    // A letter that came after the page was made stays.
    let page = browser.page("/ui/dead-letters?job=1").await;
    assert_eq!(value(&page, "last"), "4");
    api.record(4, vec![dead(5)]).await;
    let form = [("job", "1"), ("key", "k"), ("last", "4")];
    browser.post("/ui/dead-letters/purge", &form).await;
    assert_eq!(left().await, 1, "only those that were shown");
    browser.post("/ui/dead-letters/purge", &[("job", "1"), ("last", "5")]).await;
    assert_eq!(left().await, 0);
    assert_eq!(browser.get("/ui/dead-letters/9/replay").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_says_what_a_schedule_means_and_what_is_wrong_with_it() {
    let api = ApiFixture::build().await;
    let browser = Browser::operator(&api).await;
    let preview = async |query: &str| {
        let answer = browser.get(&format!("/ui/jobs/preview?{query}")).await;
        assert_eq!(answer.status, StatusCode::OK);
        text(&answer)
    };
    let shown = preview("when=spec&spec=30+2+*+*+*&timezone=Europe%2FBerlin").await;
    assert!(shown.contains("At 02:30") && shown.matches("02:30:00").count() >= 5, "{shown}");
    assert!(preview("when=spec&spec=99+*+*+*+*").await.contains("note bad"));
    assert!(preview("when=after&after=2h").await.contains("in 2 h"));
    assert!(preview("").await.contains("Enter a schedule"));
}
