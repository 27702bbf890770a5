//! Copies and edits of jobs in the web UI: what the form does not show stays as it is, and texts
//! come back as they were.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::browser::{Browser, text, value};
use crate::harness::ApiFixture;

async fn created(api: &ApiFixture, mut job: Value) {
    let job_fields = job.as_object_mut().unwrap();
    job_fields.insert("projectId".to_owned(), 1.into());
    job_fields.insert("timezone".to_owned(), "Europe/Berlin".into());
    let answer = api.post("/api/v1/jobs", json!([job])).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.json);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_has_everything_that_its_form_does_not_show() {
    let api = ApiFixture::build().await;
    api.project().await;
    let http = json!({
        "method": "PUT", "url": "http://a.example/", "headers": {"x-own": "1"},
        "auth": {"type": "bearer", "token": "hunter2"},
    });
    let job = json!({
        "externalId": "nightly", "spec": "30 2 * * *", "http": http, "dst": {"gap": "skip"},
        "retryFactor": 3, "labels": {"hosts": "a,b"}, "data": "x\ny",
    });
    created(&api, job).await;
    let browser = Browser::operator(&api).await;
    let page = browser.page("/ui/jobs/new?from=1").await;
    assert!(page.contains("A copy of") && !page.contains("hunter2"), "{page}");
    assert_eq!([value(&page, "from"), value(&page, "name")], ["1", ""]);
    let form = [
        ("from", "1"),
        ("project", "1"),
        ("name", "weekly"),
        ("when", "spec"),
        ("spec", "30 2 * * MON"),
        ("timezone", "Europe/Berlin"),
        ("where", "call"),
        ("method", "PUT"),
        ("call_url", "http://a.example/"),
        ("labels", "hosts=a,b"),
        ("data", "x\r\ny"),
        ("key", "k"),
    ];
    for _ in 0..2 {
        let answer = browser.post("/ui/jobs/new", &form).await;
        assert_eq!(answer.header("location"), "/ui/jobs/2", "{}", text(&answer));
    }
    let [first, second] = [1, 2].map(|id| format!("/api/v1/jobs/{id}"));
    let first = api.get(&first).await.json["data"].clone();
    let second = api.get(&second).await.json["data"].clone();
    assert_eq!(second["http"]["auth"]["tokenSet"], true, "{second}");
    for same in ["http", "dst", "retryFactor", "labels", "data", "timezone"] {
        assert_eq!(second[same], first[same], "{same}");
    }
    assert_eq!([&second["externalId"], &second["spec"]], ["weekly", "30 2 * * MON"]);
    assert_eq!(second["createdBy"], "operator (web)");
    assert!(second["modifiedBy"].is_null(), "{second}");
    // What is wrong is said at its field, and the form stays a copy.
    let mut wrong = form.to_vec();
    wrong.retain(|(name, _)| *name != "spec");
    wrong.push(("spec", "99 * * * *"));
    let answer = browser.post("/ui/jobs/new", &wrong).await;
    assert!(answer.status.is_client_error());
    assert_eq!(value(&text(&answer), "from"), "1");
    browser.post("/ui/jobs/1/delete", &[]).await;
    let form = [&form[..11], &[("key", "other")]].concat();
    let answer = browser.post("/ui/jobs/new", &form).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(text(&answer).contains("was deleted meanwhile"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_leaves_line_ends_labels_and_rules_as_they_were() {
    let api = ApiFixture::build().await;
    api.project().await;
    let job = json!({
        "spec": "30 2 * * *", "callbackUrl": "http://a.example/", "data": "a\rb",
        "labels": {"hosts": "a,b", "note": "two\nlines"}, "dst": {"gap": "skip"},
    });
    created(&api, job).await;
    let browser = Browser::operator(&api).await;
    let page = browser.page("/ui/jobs/1/edit").await;
    assert!(page.contains("hosts=a,b\nnote=&quot;two\\nlines&quot;"), "{page}");
    assert!(value(&page, "dst").contains("skip"), "the preview goes by the job's own rule");
    let labels = "hosts=a,b\r\nnote=\"two\\nlines\"\r\nx=1";
    let form = [("version", "1"), ("labels", labels), ("data", "a\r\nb")];
    let answer = browser.post("/ui/jobs/1/edit", &form).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", text(&answer));
    let job = &api.get("/api/v1/jobs/1").await.json["data"];
    assert_eq!(job["labels"], json!({"hosts": "a,b", "note": "two\nlines", "x": "1"}));
    assert_eq!(job["data"], "a\rb", "nobody edited it");
    let found = browser.page("/ui/jobs?q=label%3Anote%3D%22two%0Alines%22").await;
    assert!(found.contains("href=\"/ui/jobs/1\""), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_of_the_job_that_is_edited() {
    let api = ApiFixture::build().await;
    let browser = Browser::operator(&api).await;
    let preview = async |query: &str| {
        let all = format!("/ui/jobs/preview?when=spec&spec=0+12+*+*+*&timezone=UTC&{query}");
        browser.page(&all).await
    };
    assert!(preview("start=2999-01-01T00:00").await.contains("1 Jan 12:00:00"));
    assert!(preview("end=2001-01-01T00:00").await.contains("does not fire before its end"));
    assert!(preview("jitter=30s").await.contains("delayed by up to 30s"));
    // On the next change of the clock, whichever it is, nothing is moved under the other rule.
    let query = "when=spec&spec=30+2+*+3+SUN&timezone=Europe%2FBerlin";
    let moved = browser.page(&format!("/ui/jobs/preview?{query}")).await;
    assert!(moved.contains("the clock skips this time"), "{moved}");
    let rule = "%7B%22gap%22%3A%22skip%22%2C%22fold%22%3A%22first%22%7D";
    let skipped = browser.page(&format!("/ui/jobs/preview?{query}&dst={rule}")).await;
    assert!(!skipped.contains("the clock skips this time"), "{skipped}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_for_a_job_has_the_instants_that_it_fires_at() {
    let api = ApiFixture::build().await;
    api.project().await;
    for spec in ["H H * * *", "@every 7m"] {
        let job = json!({
            "projectId": 1, "spec": spec, "timezone": "UTC", "callbackUrl": "http://a.example/",
        });
        assert_eq!(api.post("/api/v1/jobs", json!([job])).await.status, StatusCode::ACCEPTED);
    }
    let browser = Browser::operator(&api).await;
    for (id, spec) in [(1, "H+H+*+*+*"), (2, "%40every+7m")] {
        let next = &api.get(&format!("/api/v1/jobs/{id}/next?count=1")).await.json["data"];
        let at = next["occurrences"][0]["utc"].as_str().unwrap().to_owned();
        let time = format!(" {}<", &at[11..19]);
        let query = format!("when=spec&spec={spec}&timezone=UTC");
        let shown = browser.page(&format!("/ui/jobs/{id}/preview?{query}")).await;
        assert!(shown.contains(&time), "{at}: {shown}");
        assert!(!shown.contains("job 0"), "{shown}");
        let page = browser.page(&format!("/ui/jobs/{id}/edit")).await;
        assert!(page.contains(&format!("data-preview=\"/ui/jobs/{id}/preview\"")), "{page}");
        assert!(page.contains(&time), "{at}: {page}");
    }
    let new = browser.page("/ui/jobs/preview?when=spec&spec=H+H+*+*+*&timezone=UTC").await;
    assert!(new.contains("job 0"), "{new}");
    assert_eq!(browser.get("/ui/jobs/9/preview?when=spec").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_project_is_not_left_behind_by_a_job_that_is_refused() {
    let api = ApiFixture::build().await;
    let browser = Browser::operator(&api).await;
    let job = |spec: &'static str| {
        [("project_name", "billing"), ("when", "spec"), ("spec", spec), ("key", "k")]
    };
    let more = [("timezone", "UTC"), ("where", "url"), ("url", "http://a.example/")];
    let refused = browser.post("/ui/jobs/new", &[&job("99 * * * *")[..], &more].concat()).await;
    assert!(refused.status.is_client_error());
    assert_eq!(api.get("/projects").await.json["data"]["total"], 0);
    for _ in 0..2 {
        let made = browser.post("/ui/jobs/new", &[&job("@daily")[..], &more].concat()).await;
        assert_eq!(made.header("location"), "/ui/jobs/1", "twice the same: {}", text(&made));
    }
}
