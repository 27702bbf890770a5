//! Bounds on the web UI: forms while the node is short of disk or memory, long forms, more records
//! than a page reads, and a form whose session is over. Nothing that was entered is lost.

use axum::http::StatusCode;
use futures_util::future::join_all;
use serde_json::json;

use super::browser::{Browser, text, value};
use crate::harness::ApiFixture;

const JOB: [(&str, &str); 7] = [
    ("project", "1"),
    ("name", "nightly"),
    ("when", "spec"),
    ("spec", "@daily"),
    ("timezone", "UTC"),
    ("where", "url"),
    ("url", "http://a.example/"),
];

#[tokio::test(flavor = "multi_thread")]
async fn forms_that_add_something_are_refused_while_there_is_no_room_and_lose_nothing() {
    let api = ApiFixture::build().await;
    api.project().await;
    let browser = Browser::operator(&api).await;
    let made = browser.post("/ui/jobs/new", &JOB).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", text(&made));
    let statuses = async |expected: StatusCode| {
        let forms: [(&str, &[(&str, &str)]); 6] = [
            ("/ui/jobs/new", &JOB),
            ("/ui/jobs/1/edit", &[("timeout", "6s")]),
            ("/ui/jobs/1/run", &[]),
            ("/ui/jobs/1/resume", &[]),
            ("/ui/projects/new", &[("name", "other"), ("description", "d")]),
            ("/ui/keys", &[("note", "deploy")]),
        ];
        for (path, form) in forms {
            let answer = browser.post(path, form).await;
            assert_eq!(answer.status, expected, "{path}");
            if path == "/ui/jobs/new" {
                assert_eq!(value(&text(&answer), "name"), "nightly", "nothing is lost");
            }
        }
    };
    api.pressure.set_memory(true);
    statuses(StatusCode::SERVICE_UNAVAILABLE).await;
    api.pressure.set_disk(true);
    statuses(StatusCode::INSUFFICIENT_STORAGE).await;
    assert_eq!(api.get("/jobs").await.json["data"]["total"], 1);
    let gone = browser.post("/ui/jobs/1/delete", &[]).await;
    assert_eq!(gone.status, StatusCode::SEE_OTHER, "what makes room goes on: {}", text(&gone));
    assert_eq!(browser.post("/ui/preferences", &[("theme", "dark")]).await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_as_long_as_its_kind_may_be_and_names_as_many_jobs_as_the_api_takes() {
    let api = ApiFixture::build().await;
    api.project().await;
    let browser = Browser::operator(&api).await;
    let long = "x".repeat(1_100_000);
    let refused = browser.post("/ui/preferences", &[("back", &long)]).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    let form = [&JOB[..], &[("data", "not too long"), ("left_over", &long)]].concat();
    let made = browser.post("/ui/jobs/new", &form).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", text(&made));
    let ids: Vec<_> = (1..=10_001).map(|id: u64| id.to_string()).collect();
    let ids: Vec<_> = ids.iter().map(|id| ("id", id.as_str())).collect();
    let many = [&ids[..], &[("action", "pause")]].concat();
    let refused = browser.post("/ui/jobs/bulk", &many).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(api.get("/jobs/1").await.json["data"]["status"], "active");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_a_project_or_executor_beyond_the_list_stays_there_when_it_is_edited() {
    let api = ApiFixture::build().await;
    let browser = Browser::operator(&api).await;
    let executor = |n: u64| json!({"name": format!("e{n}"), "webhookUrl": "http://a.example/"});
    let project = |n: u64| json!({"name": format!("the project {n}"), "description": "d"});
    // Some at a time: the node bounds what it works on at once.
    for first in (1..=501_u64).step_by(20) {
        let some = first..=(first + 19).min(501);
        let projects = some.clone().map(|n| api.post("/projects", project(n)));
        let executors = some.filter(|n| *n <= 201).map(|n| api.post("/executors", executor(n)));
        for made in join_all(projects).await.iter().chain(&join_all(executors).await) {
            assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
        }
    }
    let job = json!([{
        "project_id": 501, "spec": "@daily", "timezone": "UTC", "executor_id": 201,
        "external_id": "far",
    }]);
    assert_eq!(api.post("/jobs", job).await.status, StatusCode::ACCEPTED);
    let page = browser.page("/ui/jobs/1/edit").await;
    assert_eq!([value(&page, "project"), value(&page, "executor")], ["501", "201"]);
    let form = [("project", "501"), ("where", "executor"), ("executor", "201"), ("version", "1")];
    let form = [&form[..], &[("name", "far"), ("timeout", "6s")]].concat();
    let saved = browser.post("/ui/jobs/1/edit", &form).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", text(&saved));
    let job = &api.get("/api/v1/jobs/1").await.json["data"];
    let kept = [&job["projectId"], &job["executorId"], &job["timeout"]];
    assert_eq!(kept, [&json!(501), &json!(201), &json!("6s")]);
    for path in ["/ui/forecast?project=501", "/ui/events?project=501"] {
        assert_eq!(value(&browser.page(path).await, "project"), "501", "{path}");
    }
    let name = api.get("/api/v1/projects/501").await.json["data"]["name"].clone();
    let found = format!("/ui/jobs?q=project%3A%22{}%22", name.as_str().unwrap().replace(' ', "+"));
    assert!(browser.page(&found).await.contains("href=\"/ui/jobs/1\""), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_comes_after_the_session_is_kept_until_it_is_sent_again() {
    let api = ApiFixture::build().await;
    let browser = Browser::new(&api);
    let form = [("name", "billing"), ("description", "two\r\nlines"), ("key", "k")];
    let answer = browser.post("/ui/projects/new", &form).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let page = text(&answer);
    assert!(page.contains("What you entered is kept"), "{page}");
    let part = |page: &str, name: &str| value(page, name).replace("&amp;", "&");
    let sign_in = async |page: &str, secret: &str| {
        let (to, kept) = (part(page, "to"), part(page, "kept"));
        let fields = [("name", "node"), ("secret", secret), ("to", &to), ("kept", &kept)];
        browser.post("/ui/sign-in", &fields).await
    };
    let wrong = sign_in(&page, "wrong").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    let answer = sign_in(&text(&wrong), "pass").await;
    let page = text(&answer);
    assert_eq!(answer.status, StatusCode::OK, "{page}");
    assert!(page.contains("action=\"/ui/projects/new\"") && page.contains("Send it now"), "{page}");
    assert_eq!([value(&page, "name"), value(&page, "key")], ["billing", "k"]);
    assert!(page.contains("\ntwo\r\nlines</textarea>"), "{page}");
    assert_eq!(api.get("/projects").await.json["data"]["total"], 0, "nothing is sent by itself");
    assert_eq!(browser.get("/ui").await.status, StatusCode::OK, "the session has begun");
    // A long one cannot be kept, and the page says what to do.
    let gone = Browser::new(&api);
    let long = "x".repeat(100_000);
    let answer = gone.post("/ui/projects/new", &[("description", &long)]).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(text(&answer).contains("in another tab"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_after_a_form_leads_back_to_a_page_that_exists() {
    let api = ApiFixture::build().await;
    let browser = Browser::operator(&api).await;
    let from = |page: &'static str| [("origin", "http://localhost:9091"), ("referer", page)];
    let own = from("http://localhost:9091/ui/jobs?q=x");
    let answer = text(&browser.post_from("/ui/jobs/7/run", &[], &own).await);
    assert!(answer.contains("href=\"/ui/jobs?q=x\">Back") && !answer.contains("Try again"));
    assert!(answer.contains("data-here=\"/ui/jobs?q=x\""), "{answer}");
    let answer = text(&browser.post("/ui/projects/7/rotate", &[]).await);
    assert!(answer.contains("name=\"back\" value=\"/ui/projects/7\""), "{answer}");
    let page = text(&browser.get("/ui/jobs/7").await);
    assert!(page.contains("Try again") && !page.contains("data-here"), "{page}");
}
