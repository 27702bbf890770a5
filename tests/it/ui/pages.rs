//! Every page, of an empty node and of one with jobs of all kinds: whole, small, and with nothing
//! in it that the policy of its headers forbids.

use axum::http::StatusCode;
use scheduler0::model::attempt::{SkipReason, Verdict};
use serde_json::json;

use super::browser::{Browser, text};
use crate::harness::{ApiFixture, attempt_record};

const PAGES: [&str; 30] = [
    "/ui",
    "/ui/jobs",
    "/ui/jobs/new",
    "/ui/activity",
    "/ui/activity?state=dead&span=24h",
    "/ui/audit",
    "/ui/audit?noun=job&actor=operator&after=7",
    "/ui/dead-letters",
    "/ui/dead-letters?target=nowhere",
    "/ui/workers",
    "/ui/cluster",
    "/ui/api",
    "/ui/nodes/1",
    "/ui/problems",
    "/ui/forecast",
    "/ui/projects",
    "/ui/projects/new",
    "/ui/executors",
    "/ui/executors/new",
    "/ui/keys",
    "/ui/accounts",
    "/ui/backups",
    "/ui/events?type=job_created",
    "/ui/jobs/bulk",
    "/ui/templates",
    "/ui/templates?by=system",
    "/ui/templates/new",
    "/ui/templates/import",
    "/ui/jobs/bulk?q=status:paused&action=delete",
    "/ui/jobs/bulk?all=yes&action=edit&jitter=30s&drop_labels=%22%3E%3Cscript%3Ealert(1)",
];

/// The largest page, in bytes.
const LARGEST: usize = 60 * 1_024;

/// A name that ends an attribute and begins a script, where it is not escaped.
const EVIL: &str = "\"><script>alert(1)</script>";

/// Checks what holds for every page.
pub(super) fn check(path: &str, page: &str) {
    assert!(page.len() <= LARGEST, "{path} has {} bytes", page.len());
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"), "{path}");
    assert_eq!(page.matches("<h1").count(), 1, "{path}");
    for forbidden in [" style=", "<style", "<script>", " onclick=", "javascript:", "=\"//", "<base"]
    {
        assert!(!page.contains(forbidden), "{path} has {forbidden}");
    }
    // Other addresses are text or values of inputs, and never loaded or linked.
    for loading in ["src=\"http", "href=\"http", "action=\"http"] {
        assert!(!page.contains(loading), "{path} has {loading}");
    }
    for part in ["<main", "lang=\"en\"", "class=\"skip\"", "<title>"] {
        assert!(page.contains(part), "{path} lacks {part}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_an_empty_node_say_what_would_be_there() {
    let api = ApiFixture::build().await;
    let browser = Browser::operator(&api).await;
    for path in PAGES {
        check(path, &browser.page(path).await);
    }
    assert!(browser.page("/ui").await.contains("Nothing is scheduled yet"));
    assert!(browser.page("/ui/jobs").await.contains("No jobs yet"));
    assert!(browser.page("/ui/dead-letters").await.contains("Nothing was given up"));
    assert!(browser.page("/ui/projects").await.contains("No projects yet"));
    assert!(browser.page("/ui/executors").await.contains("No executors yet"));
    assert!(browser.page("/ui/templates").await.contains("No templates yet"));
    assert!(browser.page("/ui/keys").await.contains("No keys yet"));
    assert!(browser.page("/ui/forecast?part=map").await.contains("Nothing is planned"));
    for (path, status) in [
        ("/ui/nowhere", StatusCode::NOT_FOUND),
        ("/ui/jobs/77", StatusCode::NOT_FOUND),
        ("/ui/jobs/x", StatusCode::NOT_FOUND),
        ("/ui/jobs/77/why", StatusCode::NOT_FOUND),
        ("/ui/activity/x", StatusCode::NOT_FOUND),
        ("/ui/activity?job=x", StatusCode::BAD_REQUEST),
        ("/ui/activity?from=yesterday", StatusCode::BAD_REQUEST),
        ("/ui/jobs/77/run", StatusCode::NOT_FOUND),
        ("/ui/projects/77", StatusCode::NOT_FOUND),
        ("/ui/projects/x/edit", StatusCode::NOT_FOUND),
        ("/ui/executors/77", StatusCode::NOT_FOUND),
        ("/ui/nodes/77", StatusCode::NOT_FOUND),
        ("/ui/templates/77", StatusCode::NOT_FOUND),
        ("/ui/templates/x/run", StatusCode::NOT_FOUND),
        ("/ui/templates/77/edit", StatusCode::NOT_FOUND),
        ("/ui/templates?project=x", StatusCode::BAD_REQUEST),
        ("/ui/forecast?project=x", StatusCode::BAD_REQUEST),
        ("/ui/jobs/bulk?q=label:team", StatusCode::BAD_REQUEST),
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        check(path, &text(&answer));
    }
    assert_eq!(browser.get("/ui/jobs?q=77").await.header("location"), "/ui/jobs/77");
}

/// A node with 60 jobs of one project, and results of the first.
async fn full() -> ApiFixture {
    let api = ApiFixture::build().await;
    let project = json!({"name": EVIL, "description": EVIL});
    assert_eq!(api.post("/projects", project).await.status, StatusCode::CREATED);
    let job = |n: u64| {
        json!({
            "project_id": 1, "spec": "@every 1m", "timezone": "UTC", "external_id": format!("job{n}{EVIL}"),
            "callback_url": "http://a.example/", "data": EVIL, "labels": {"team": "shop"},
        })
    };
    let jobs: Vec<_> = (1..=60).map(job).collect();
    assert_eq!(api.post("/jobs", json!(jobs)).await.status, StatusCode::ACCEPTED);
    assert_eq!(api.post("/jobs/2/pause", json!({})).await.status, StatusCode::OK);
    api.own_first_shard().await;
    let minute = 60_000;
    let at = api.app.now() / minute * minute;
    let mut dead = attempt_record(&[1, 3], at - minute, 4, Verdict::Dead);
    dead.error = Some(EVIL.to_owned());
    dead.response = Some(EVIL.to_owned());
    let records = vec![
        attempt_record(&[1, 3], at - 4 * minute, 1, Verdict::Delivered),
        attempt_record(&[1, 3], at - 3 * minute, 1, Verdict::Retry { at: at + minute }),
        attempt_record(&[1, 3], at - 2 * minute, 1, Verdict::Skipped(SkipReason::Overlap)),
        dead,
    ];
    api.record(0, records).await;
    api
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_a_full_node_are_whole_small_and_escaped() {
    let api = full().await;
    let browser = Browser::operator(&api).await;
    let listed = api.get("/executions?job_id=1").await;
    let execution = listed.json["data"]["executions"][0]["execution_id"].as_str().unwrap();
    let mut paths: Vec<String> = PAGES.iter().map(|path| (*path).to_owned()).collect();
    paths.extend(
        ["/ui/jobs/1", "/ui/jobs/2", "/ui/jobs/1/edit", "/ui/jobs/1/why", "/ui/projects/1"]
            .map(str::to_owned),
    );
    paths.extend(["/ui/jobs/new?from=1", "/ui/jobs?q=status:paused"].map(str::to_owned));
    paths.push(format!("/ui/activity/{execution}"));
    let at = scheduler0::model::time::rfc3339(api.app.now());
    paths.push(format!("/ui/jobs/1/why?at={at}"));
    for path in &paths {
        let page = browser.page(path).await;
        check(path, &page);
        assert!(!page.contains("<script>alert"), "{path}");
    }
    let evil = browser.page("/ui/jobs").await;
    assert!(evil.contains("&lt;script&gt;alert(1)"), "names are shown, escaped");
    let problems = browser.page("/ui/problems").await;
    assert!(problems.contains("a.example") && problems.contains("2 occurrences"), "{problems}");
    assert!(problems.contains("&lt;b&gt;crm.example"), "what a breaker holds back");
    let map = browser.page("/ui/forecast?part=map").await;
    assert!(map.contains("class=\"heat\"") && map.len() < 40_000, "{map}");
    let coming = browser.page("/ui/forecast?part=coming").await;
    assert!(coming.contains("59 jobs"), "{coming}");
    let letters = browser.page("/ui/dead-letters").await;
    assert!(letters.contains("job1&quot;&gt;&lt;script"), "jobs have their names: {letters}");
    assert!(letters.contains("/ui/dead-letters/1/replay"), "{letters}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_goes_on_by_key_and_a_filter_by_its_words() {
    let api = full().await;
    let browser = Browser::operator(&api).await;
    let first = browser.page("/ui/jobs").await;
    assert_eq!(first.matches("data-href=").count(), 50);
    let next = first.split("href=\"/ui/jobs?after=").nth(1).unwrap().split('"').next().unwrap();
    let second = browser.page(&format!("/ui/jobs?after={next}")).await;
    assert_eq!(second.matches("data-href=").count(), 10);
    assert!(second.contains("/ui/jobs/1\"") && !second.contains("rel=\"next\""));
    let paused = browser.page("/ui/jobs?q=status:paused+label:team%3Dshop").await;
    assert_eq!(paused.matches("data-href=").count(), 1);
    assert!(paused.contains("label team=shop"));
    let wrong = browser.page("/ui/jobs?q=label:team").await;
    assert!(wrong.contains("needs a value") && !wrong.contains("data-href="));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_page_is_the_same_part_and_has_a_tag() {
    let api = full().await;
    let browser = Browser::operator(&api).await;
    for (path, part) in [
        ("/ui", "figures"),
        ("/ui", "chart"),
        ("/ui/projects/1", "chart"),
        ("/ui", "cluster"),
        ("/ui/jobs", "jobs"),
        ("/ui/jobs/1", "history"),
        ("/ui/activity", "rows"),
        ("/ui/dead-letters", "rows"),
        ("/ui/workers", "runs"),
        ("/ui/cluster", "cluster"),
        ("/ui/nodes/1", "node"),
        ("/ui/problems", "problems"),
        ("/ui/forecast", "map"),
        ("/ui/forecast", "coming"),
        ("/ui/projects", "rows"),
        ("/ui/projects/1", "project"),
        ("/ui/backups", "backups"),
    ] {
        let answer = browser.get(&format!("{path}?part={part}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{path} {part}");
        let shown = text(&answer);
        assert!(shown.starts_with(&format!("<div class=\"part\" data-part=\"{part}\"")), "{shown}");
        let tag = answer.header("etag").to_owned();
        assert!(tag.len() > 10, "{path} {part}");
    }
    let known = browser.get("/ui/dead-letters?part=rows").await;
    let headers = [("if-none-match", known.header("etag"))];
    let again = browser.send("GET", "/ui/dead-letters?part=rows", &headers, "").await;
    assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_the_headers_and_the_files_stay() {
    let api = ApiFixture::build().await;
    let browser = Browser::new(&api);
    let answer = browser.get("/ui/sign-in").await;
    let policy = answer.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "frame-ancestors 'none'",
        "form-action 'self'",
        "base-uri 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types s0",
    ] {
        assert!(policy.contains(part), "{part}: {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("referrer-policy"), "same-origin");
    assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin");
    assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
    let page = text(&answer);
    for (file, kind, largest) in
        [("style", "text/css", 22 * 1_024), ("script", "text/javascript", 14 * 1_024)]
    {
        let path =
            page.split('"').find(|part| part.starts_with(&format!("/ui/assets/{file}-"))).unwrap();
        let asset = browser.get(path).await;
        assert_eq!(asset.status, StatusCode::OK, "{path}");
        assert!(asset.header("content-type").starts_with(kind), "{path}");
        assert!(asset.header("cache-control").contains("immutable"), "{path}");
        assert!(asset.body.len() <= largest, "{path} has {} bytes", asset.body.len());
        let other = text(&asset);
        for forbidden in ["http://", "https://", "eval(", "@import"] {
            assert!(!other.contains(forbidden), "{path} has {forbidden}");
        }
    }
    assert_eq!(browser.get("/ui/assets/style-0.css").await.status, StatusCode::NOT_FOUND);
}
