//! Many jobs edited at once in the web UI: an edit is shown before it is made, what was shown is
//! what is made, and a peak of the forecast leads to the edit that spreads its jobs.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::browser::{Browser, message, text, value};
use crate::harness::ApiFixture;

/// A node with so many jobs, the first five of which have a label.
async fn jobs(number: u64) -> ApiFixture {
    let api = ApiFixture::build().await;
    api.project().await;
    let job = |n: u64| {
        let team = if n <= 5 { "shop" } else { "other" };
        json!({
            "project_id": 1, "spec": "0 9 * * *", "timezone": "UTC", "labels": {"team": team},
            "callback_url": "http://a.example/",
        })
    };
    let jobs: Vec<_> = (1..=number).map(job).collect();
    assert_eq!(api.post("/jobs", json!(jobs)).await.status, StatusCode::ACCEPTED);
    api
}

async fn job(api: &ApiFixture, id: u64) -> Value {
    api.get(&format!("/api/v1/jobs/{id}")).await.json["data"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_shown_before_it_is_made() {
    let api = jobs(20).await;
    let browser = Browser::operator(&api).await;
    let bulk = "/ui/jobs/bulk?action=edit&q=label:team%3Dshop";
    let page = browser.page(bulk).await;
    assert!(page.contains("Show what it would do") && !page.contains("as shown"), "{page}");
    let entered = "&spec=&jitter=30s&retries=7&add_labels=tier%3D1&drop_labels=team";
    let page = browser.page(&format!("{bulk}{entered}")).await;
    for told in
        ["Edit 5 jobs as shown", "5 jobs would change", "1 different definition", "team=shop"]
    {
        assert!(page.contains(told), "{told}: {page}");
    }
    assert!(page.contains("Jitter") && page.contains("<strong>30s</strong>"), "{page}");
    assert_eq!(job(&api, 1).await["version"], 1, "a GET changes nothing");
    let key = value(&page, "key").to_owned();
    let form = [
        ("action", "edit"),
        ("q", "label:team=shop"),
        ("key", &key),
        ("count", "5"),
        ("jitter", "30s"),
        ("retries", "7"),
        ("add_labels", "tier=1"),
        ("drop_labels", "team"),
    ];
    for _ in 0..2 {
        let answer = browser.post("/ui/jobs/bulk", &form).await;
        let location = answer.header("location");
        assert_eq!(location, "/ui/jobs?q=label%3Ateam%3Dshop", "{}", text(&answer));
    }
    assert!(browser.page("/ui/jobs").await.contains("5 jobs matched, 5 edited."));
    let edited = job(&api, 5).await;
    assert_eq!((&edited["jitter"], &edited["retryMax"]), (&json!("30s"), &json!(7)));
    assert_eq!(edited["labels"], json!({"tier": "1"}));
    assert_eq!((&edited["version"], &edited["modifiedBy"]), (&json!(2), &json!("operator (web)")));
    assert_eq!(job(&api, 6).await["version"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_said_at_its_input_and_nothing_is_lost() {
    let api = jobs(3).await;
    let browser = Browser::operator(&api).await;
    for (name, given) in
        [("spec", "99 * * * *"), ("timezone", "Mars"), ("jitter", "long"), ("retries", "many")]
    {
        let page = format!("/ui/jobs/bulk?action=edit&all=yes&{name}={given}");
        let answer = browser.get(&page.replace(' ', "+")).await;
        let shown = text(&answer);
        assert!(answer.status.is_client_error(), "{name}: {}", answer.status);
        assert!(message(&shown, name).contains("class=\"error\""), "{name}: {shown}");
        assert_eq!(value(&shown, name), given);
        assert!(!shown.contains("as shown"), "{shown}");
    }
    // The number that was shown does not hold any more.
    let form = [("action", "edit"), ("all", "yes"), ("count", "2"), ("jitter", "1s")];
    let answer = browser.post("/ui/jobs/bulk", &form).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    let nothing = [("action", "edit"), ("all", "yes"), ("count", "3")];
    let answer = browser.post("/ui/jobs/bulk", &nothing).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(job(&api, 1).await["version"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_jobs_are_edited_only_when_their_number_is_typed() {
    let api = jobs(120).await;
    let browser = Browser::operator(&api).await;
    let page = browser.page("/ui/jobs/bulk?action=edit&all=yes&retries=9").await;
    assert!(page.contains("Type 120 to edit them"), "{page}");
    let form = |typed: &'static str| {
        let all = [("action", "edit"), ("all", "yes"), ("count", "120"), ("retries", "9")];
        [&all[..], &[("typed", typed)]].concat()
    };
    for typed in ["", "12"] {
        let answer = browser.post("/ui/jobs/bulk", &form(typed)).await;
        assert!(answer.status.is_client_error(), "{typed}: {}", answer.status);
    }
    assert_eq!(job(&api, 1).await["version"], 1);
    let answer = browser.post("/ui/jobs/bulk", &form("120")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", text(&answer));
    assert_eq!(job(&api, 120).await["retryMax"], 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peak_is_spread_by_two_clicks() {
    let api = jobs(40).await;
    let browser = Browser::operator(&api).await;
    let map = browser.page("/ui/forecast?part=map").await;
    let link = map.split("href=\"").filter_map(|rest| rest.split('"').next());
    let link = link.map(|href| href.replace("&amp;", "&")).find(|href| href.contains("edit"));
    let link = link.unwrap_or_else(|| panic!("no peak leads to its jobs: {map}"));
    let page = browser.page(&link).await;
    assert!(page.contains("Edit 40 jobs as shown"), "{page}");
    assert_eq!(value(&page, "spec"), "H 9 * * *");
    let form = [
        ("action", "edit"),
        ("q", "project:1 spec:\"0 9 * * *\" zone:UTC"),
        ("count", "40"),
        ("spec", "H 9 * * *"),
    ];
    let answer = browser.post("/ui/jobs/bulk", &form).await;
    assert_eq!(answer.header("location"), "/ui/jobs?q=project%3A1", "{}", text(&answer));
    assert_eq!(job(&api, 40).await["spec"], "H 9 * * *");
}
