//! The pages of the API: each operation has one, and a request that is tried there does what the
//! API does for whoever has signed in.

use axum::http::StatusCode;
use serde_json::json;

use super::browser::{Browser, text, value};
use super::pages::check;
use crate::harness::ApiFixture;

/// Says whether a page shows an answer of this status.
fn answered(page: &str, status: u16) -> bool {
    page.contains(&format!(">{status}</span>"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_has_a_page() {
    let api = ApiFixture::build().await;
    let browser = Browser::operator(&api).await;
    let index = browser.page("/ui/api").await;
    let document = api.send_bare("GET", "/openapi.json", &[], "").await.json;
    let mut seen = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for operation in methods.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            let address = format!("/ui/api/{id}");
            assert!(index.contains(&format!("href=\"{address}\"")), "{id}");
            let page = browser.page(&address).await;
            check(&address, &page);
            assert!(page.contains(path.as_str()) && page.contains("curl -X"), "{id}");
            seen += 1;
        }
    }
    assert!(seen > 80, "{seen}");
    assert_eq!(browser.get("/ui/api/no-such").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_tried_as_whoever_has_signed_in() {
    let api = ApiFixture::build().await;
    let operator = Browser::operator(&api).await;
    let body = [("body", r#"{"name": "tried", "description": "by a form"}"#)];
    let tried = text(&operator.post("/ui/api/createProject", &body).await);
    assert!(answered(&tried, 201) && tried.contains("&quot;tried&quot;"), "{tried}");
    check("createProject", &tried);
    assert_eq!(api.get("/projects/1").await.json["data"]["name"], "tried");

    let again = text(&operator.post("/ui/api/createProject", &body).await);
    assert!(answered(&again, 409) && again.contains("conflict"), "{again}");
    // The page of another site cannot send it.
    let other = [("body", r#"{"name": "evil", "description": "of a site"}"#)];
    let from = [("origin", "http://evil.example")];
    let refused = operator.post_from("/ui/api/createProject", &other, &from).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    // What is entered for a part of the path stays there.
    let odd = [("path-id", "../projects/1")];
    let odd = text(&operator.post("/ui/api/getJob", &odd).await);
    assert!(odd.contains("/api/v1/jobs/%2E%2E%2Fprojects%2F1") && answered(&odd, 400), "{odd}");

    let made = api.post("/api/v1/credentials", json!({})).await;
    let part = |name: &str| made.json["data"][name].as_str().unwrap().to_owned();
    let client = Browser::signed_in(&api, &part("apiKey"), &part("apiSecret")).await;
    let listed = text(&client.post("/ui/api/listProjects", &[("query-limit", "5")]).await);
    assert!(answered(&listed, 200) && listed.contains("&quot;tried&quot;"), "{listed}");
    let page = client.page("/ui/api/getStatus").await;
    assert!(page.contains("for operators") && !page.contains("Send GET"), "{page}");
    let refused = client.post("/ui/api/getStatus", &[]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(api.get("/projects?limit=10").await.json["data"]["total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_a_change_names_no_record_and_lasting_ones_want_a_word() {
    let api = ApiFixture::build().await;
    api.project().await;
    let browser = Browser::operator(&api).await;
    let document = api.send_bare("GET", "/openapi.json", &[], "").await.json;
    for (method, operation) in document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|methods| methods.as_object().unwrap())
        .filter(|(method, _)| *method != "get")
    {
        let id = operation["operationId"].as_str().unwrap();
        let page = browser.page(&format!("/ui/api/{id}")).await;
        for parameter in operation["parameters"].as_array().unwrap() {
            let place = parameter["in"].as_str().unwrap();
            let name = format!("{place}-{}", parameter["name"].as_str().unwrap());
            assert_eq!(value(&page, &name), "", "{id} fills in {name}");
        }
        let body = page.split("<textarea").nth(1).map(|rest| {
            rest.split_once('>').unwrap().1.split("</textarea").next().unwrap().trim().to_owned()
        });
        let is_harmless = |body: &str| body.is_empty() || body.contains("&quot;dryRun&quot;: true");
        assert!(body.as_deref().is_none_or(is_harmless), "{id} has {body:?}");
        let removes = ["delete", "drop", "remove", "replace", "restore", "rotate", "resumeJobs"];
        let is_lasting = removes.iter().any(|verb| id.starts_with(verb));
        let asks = page.contains("name=\"meant\"");
        assert!(asks || (!is_lasting && method != "delete" && method != "put"), "{id}");
    }
    assert_ne!(value(&browser.page("/ui/api/getJob").await, "path-id"), "", "a read is ready");
    let filled = browser.page("/ui/api/createProject?example=yes").await;
    assert!(!filled.contains("Fill in the example"));
    let body = filled.split("<textarea").nth(1).unwrap().split_once('>').unwrap().1;
    assert!(body.split("</textarea").next().unwrap().contains("orders"), "{body}");
    let delete = [("path-id", "1")];
    let refused = browser.post("/ui/api/deleteProject", &delete).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(value(&text(&refused), "path-id"), "1", "what was entered stays");
    assert_eq!(api.get("/projects/1").await.status, StatusCode::OK);
    let delete = [("path-id", "1"), ("meant", "yes")];
    assert!(answered(&text(&browser.post("/ui/api/deleteProject", &delete).await), 204));
    assert_eq!(api.get("/projects/1").await.status, StatusCode::NOT_FOUND);
}
