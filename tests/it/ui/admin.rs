//! Keys, backups, nodes and the stream in the web UI: secrets once, and nothing of the cluster for
//! who may not.

use axum::http::StatusCode;
use serde_json::json;

use super::browser::{Browser, text, value};
use crate::harness::ApiFixture;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_with_its_secret_shown_once_and_archived() {
    let api = ApiFixture::build().await;
    let browser = Browser::operator(&api).await;
    let key = value(&browser.page("/ui/keys").await, "key").to_owned();
    let form = [("note", "<b>deploy"), ("key", key.as_str())];
    let answer = browser.post("/ui/keys", &form).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("cache-control"), "no-store");
    let page = text(&answer);
    let codes: Vec<_> = page.split("<code class=\"break\" data-copy>").skip(1).collect();
    let [name, secret] = codes[..] else { panic!("{page}") };
    let [name, secret] = [name, secret].map(|code| code.split('<').next().unwrap());
    let client = Browser::signed_in(&api, name, secret).await;
    assert!(text(&browser.post("/ui/keys", &form).await).contains(secret), "the same form again");
    let list = browser.page("/ui/keys").await;
    assert!(
        !list.contains(secret) && list.contains("&lt;b&gt;deploy, by operator (web)"),
        "{list}"
    );
    assert!(list.contains("1 key<"), "one was made: {list}");
    let own = client.page("/ui/keys").await;
    assert!(own.contains("yours") && !own.contains("/ui/keys/1/delete"), "{own}");
    let long = "x".repeat(300);
    let answer = browser.post("/ui/keys", &[("note", long.as_str())]).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    browser.post("/ui/keys/1/archive", &[]).await;
    assert_eq!(client.get("/ui/keys").await.status, StatusCode::SEE_OTHER, "its session is over");
    browser.post("/ui/keys/1/restore", &[]).await;
    assert_eq!(api.get("/credentials/1").await.json["data"]["archived"], false);
    browser.post("/ui/keys/1/delete", &[]).await;
    assert!(browser.page("/ui/keys").await.contains("No keys yet"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_scopes_sees_the_pages_and_buttons_of_its_scopes() {
    let api = ApiFixture::build().await;
    api.project().await;
    let browser = Browser::operator(&api).await;
    let key = value(&browser.page("/ui/keys").await, "key").to_owned();
    let form = [
        ("note", "reader"),
        ("name", "dashboards"),
        ("scope", "jobs:read"),
        ("scope", "runs:read"),
        ("expires", "2100-01-31"),
        ("allowed", ""),
        ("key", key.as_str()),
    ];
    let page = text(&browser.post("/ui/keys", &form).await);
    let codes: Vec<_> = page.split("<code class=\"break\" data-copy>").skip(1).collect();
    let [name, secret] = codes[..] else { panic!("{page}") };
    let [name, secret] = [name, secret].map(|code| code.split('<').next().unwrap());
    let shown = api.get("/api/v1/credentials/1").await.json["data"].clone();
    assert_eq!(shown["scopes"], json!(["jobs:read", "runs:read"]));
    assert_eq!(shown["expiresAt"], "2100-01-31T00:00:00Z");
    let list = browser.page("/ui/keys").await;
    assert!(list.contains("dashboards") && list.contains("jobs:read, runs:read"), "{list}");

    let reader = Browser::signed_in(&api, name, secret).await;
    for path in [
        "/ui",
        "/ui/jobs",
        "/ui/activity",
        "/ui/problems",
        "/ui/templates",
        "/ui/forecast",
        "/ui/dead-letters",
        "/ui/workers",
        "/ui/events",
    ] {
        let answer = reader.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", text(&answer));
    }
    let jobs = reader.page("/ui/jobs").await;
    for path in ["/ui/jobs/new", "/ui/keys", "/ui/projects", "/ui/executors", "/ui/cluster"] {
        assert!(!jobs.contains(&format!("href=\"{path}\"")), "{path}: {jobs}");
        assert_eq!(reader.get(path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    let refused = reader.post("/ui/jobs/1/run", &[]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(text(&refused).contains("runs:write"), "{}", text(&refused));

    // The form of a change takes away what it does not tick, and a rotation shows the new secret.
    let change = [("scope", "projects:read"), ("expires", ""), ("allowed", "")];
    let answer = browser.post("/ui/keys/1/terms", &change).await;
    assert_eq!(answer.header("location"), "/ui/keys", "{}", text(&answer));
    assert_eq!(reader.get("/ui/projects").await.status, StatusCode::OK);
    assert_eq!(reader.get("/ui/jobs").await.status, StatusCode::FORBIDDEN);
    let rotated = browser.post("/ui/keys/1/rotate", &[("at_once", "yes")]).await;
    assert!(text(&rotated).contains("The new secret") && !text(&rotated).contains(secret));
    assert_eq!(reader.get("/ui/projects").await.status, StatusCode::SEE_OTHER, "its session ended");
    let bad = [("scope", "everything")];
    let answer = browser.post("/ui/keys/1/terms", &bad).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    // A key signs out everywhere without a scope for keys.
    let made = api.post("/credentials", json!({"scopes": ["jobs:read"]})).await;
    let pair = |name: &str| made.json["data"][name].as_str().unwrap().to_owned();
    let narrow = Browser::signed_in(&api, &pair("api_key"), &pair("api_secret")).await;
    let answer = narrow.post("/ui/sign-out-everywhere", &[]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", text(&answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_of_the_cluster_has_no_link_and_no_route_for_a_client() {
    let api = ApiFixture::build().await;
    let made = api.post("/credentials", json!({})).await;
    let made = &made.json["data"];
    let (key, secret) = (made["api_key"].as_str().unwrap(), made["api_secret"].as_str().unwrap());
    let client = Browser::signed_in(&api, key, secret).await;
    let page = client.page("/ui/projects").await;
    for path in ["/ui/backups", "/ui/nodes/1", "/ui/cluster"] {
        assert!(!page.contains(&format!("href=\"{path}\"")), "{path}");
        assert_eq!(client.get(path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    for path in ["/ui/backups", "/ui/backups/inspect", "/ui/nodes/1/drain", "/ui/nodes/1/lead"] {
        assert_eq!(client.post(path, &[]).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    let events = client.page("/ui/events").await;
    assert!(events.contains("job_created") && !events.contains("leader_changed"), "{events}");
    let operator = Browser::operator(&api).await;
    assert!(operator.page("/ui/events").await.contains("leader_changed"));
    let node = operator.page("/ui/nodes/1").await;
    assert!(node.contains("/ui/nodes/1/drain") && node.contains("no other node"), "{node}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_made_listed_and_checked() {
    let api = ApiFixture::build().await;
    api.project().await;
    let browser = Browser::operator(&api).await;
    let answer = browser.post("/ui/backups", &[]).await;
    assert_eq!(answer.header("location"), "/ui/backups", "{}", text(&answer));
    let page = browser.page("/ui/backups").await;
    assert!(page.contains("The backup is made") && page.contains("completed"), "{page}");
    let file = value(&page, "file").to_owned();
    let checked = text(&browser.post("/ui/backups/inspect", &[("file", &file)]).await);
    assert!(checked.contains("is whole and sound") && checked.contains("0 jobs"), "{checked}");
    for (file, status) in [("../x.db", 400), ("missing.db", 404), ("", 400)] {
        let answer = browser.post("/ui/backups/inspect", &[("file", file)]).await;
        assert_eq!(answer.status.as_u16(), status, "{file}: {}", text(&answer));
        assert!(text(&answer).contains("b-bad"), "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_of_a_page_has_its_filters() {
    let api = ApiFixture::build().await;
    let browser = Browser::operator(&api).await;
    let page = browser.page("/ui/events?type=job_created&type=executions&job=7&type=x").await;
    let query = page.split("data-query=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(query, "/api/v1/events?types=job_created%2Cexecutions&amp;jobId=7");
    assert!(page.contains("curl -N") && page.contains("<noscript>"), "{page}");
    let all = browser.page("/ui/events").await;
    assert!(all.contains("data-query=\"/api/v1/events\""), "{all}");
}
