//! Job templates in the web UI: the form of every type of field with all its errors at once, the
//! editor with its check, what two editors are told, the import of a file, and jobs that are ended.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::browser::{Browser, message, text, value};
use super::pages::check;
use crate::harness::{Answer, ApiFixture};

/// A name that ends an attribute and begins a script, where it is not escaped.
const EVIL: &str = "\"><script>alert(1)</script>";

/// A template with a field of every type.
fn every_type(project: u64) -> Value {
    json!({
        "projectId": project, "type": "every_type", "label": "Every type", "startInSeconds": 60,
        "payloadSchema": {
            "user_id": {"type": "uint", "minValue": 1, "label": "User"},
            "shift": {"type": "int", "range": [-5, 5], "required": false},
            "share": {"type": "number", "minValue": 0, "maxValue": 1},
            "code": {"type": "string", "minLength": 2, "maxLength": 8},
            "mail": {"type": "string", "format": "email"},
            "urgent": {"type": "bool", "default": false},
            "kind": {"type": "options", "options": ["welcome", "invoice"]},
            "size": {"type": "options", "options": ["a", "b", "c", "d", "e"]},
            "parts": {"type": "options", "options": ["x", "y"], "multiple": true},
            "from": {"type": "datetime"},
            "extra": {"type": "json", "required": false},
            "job_type": null,
        },
        "payload": {"user_id": 7, "kind": "invoice"},
        "target": {"callbackUrl": "http://a.example/"},
    })
}

/// What a person enters who makes no mistake.
const GOOD: [(&str, &str); 12] = [
    ("p.user_id", "18446744073709551615"),
    ("p.shift", ""),
    ("p.share", "0.10"),
    ("p.code", "ab"),
    ("p.mail", "a@b.example"),
    ("p.urgent", "false"),
    ("p.kind", "welcome"),
    ("p.size", "e"),
    ("p.parts", "x"),
    ("p.parts", "y"),
    ("p.from", "2026-07-01T12:00"),
    ("z.p.from", "Europe/Berlin"),
];

async fn made(api: &ApiFixture, body: Value) -> u64 {
    let made = api.post("/api/v1/templates", body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    made.json["data"]["id"].as_u64().unwrap()
}

async fn jobs(api: &ApiFixture) -> u64 {
    api.get("/jobs").await.json["data"]["total"].as_u64().unwrap()
}

/// Where an answer leads to.
#[track_caller]
fn leads_to(answer: &Answer, place: &str) {
    assert_eq!(
        (answer.status, answer.header("location")),
        (StatusCode::SEE_OTHER, place),
        "{}",
        text(answer)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_says_all_that_is_wrong_at_its_fields_and_makes_one_job() {
    let api = ApiFixture::build().await;
    made(&api, every_type(api.project().await)).await;
    let browser = Browser::operator(&api).await;
    let page = browser.page("/ui/templates/1/run").await;
    check("/ui/templates/1/run", &page);
    assert_eq!(value(&page, "p.user_id"), "7", "the form begins with what the template says");
    assert!(page.contains("value=\"invoice\" checked"), "{page}");
    assert!(!page.contains("p.job_type"), "the rule null is not shown");
    let wrong = [
        ("p.user_id", "-5"),
        ("p.shift", "1.5"),
        ("p.share", "2"),
        ("p.code", "x"),
        ("p.mail", "nobody"),
        ("p.urgent", "perhaps"),
        ("p.kind", "bill"),
        ("p.size", ""),
        ("p.parts", "z"),
        ("p.from", "soon"),
        ("p.extra", "{"),
    ];
    let answer = browser.post("/ui/templates/1/run", &wrong).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let page = text(&answer);
    check("the refused form", &page);
    for (input, says) in [
        ("p.user_id", "User must be 1 or more, got -5."),
        ("p.shift", "shift must be a whole number"),
        ("p.share", "share must be at most 1"),
        ("p.code", "code must have at least 2"),
        ("p.mail", "mail must be of the format email"),
        ("p.urgent", "urgent must be true or false"),
        ("p.kind", "kind must be one of"),
        ("p.size", "size is required."),
        ("p.parts", "parts must be one of"),
        ("p.from", "from must be RFC 3339"),
        ("p.extra", "extra is not valid JSON"),
    ] {
        let said = message(&page, input);
        assert!(said.contains("class=\"error\"") && said.contains(says), "{input}: {said}");
        assert!(page.contains(&format!("href=\"#f-{input}\"")), "the summary leads to {input}");
    }
    assert!(page.contains("11 fields are not valid"), "{page}");
    assert_eq!(value(&page, "p.code"), "x", "nothing that was entered is lost");
    assert_eq!(page.matches(" autofocus").count(), 1, "the first one has the focus");
    assert_eq!(jobs(&api).await, 0);

    let key = value(&page, "key").to_owned();
    let mut good = GOOD.to_vec();
    good.extend([("name", "first"), ("start", "5"), ("key", key.as_str())]);
    for _ in 0..2 {
        leads_to(&browser.post("/ui/templates/1/run", &good).await, "/ui/jobs/1");
    }
    assert_eq!(jobs(&api).await, 1, "the form that is sent twice makes one job");
    let job = &api.get("/api/v1/jobs/1").await.json["data"];
    let data = job["data"].as_str().unwrap();
    for part in [
        "\"user_id\":18446744073709551615",
        "\"share\":0.10",
        "\"parts\":[\"x\",\"y\"]",
        "\"from\":\"2026-07-01T10:00:00Z\"",
        "\"urgent\":false",
        "\"job_type\":\"every_type\"",
    ] {
        assert!(data.contains(part), "{part}: {data}");
    }
    assert_eq!((&job["after"], &job["externalId"]), (&json!("5s"), &json!("first")));
    assert_eq!(job["createdBy"], "operator (web)");
    let page = browser.page("/ui/jobs/1").await;
    assert!(
        page.contains("href=\"/ui/templates/1\"") && page.contains("made by version 1"),
        "{page}"
    );
    for (fields, input) in [(("name", "first"), "name"), (("start", "soon"), "start")] {
        let mut bad = GOOD.to_vec();
        bad.push(fields);
        let answer = browser.post("/ui/templates/1/run", &bad).await;
        assert!(answer.status.is_client_error(), "{input}: {}", answer.status);
        assert!(message(&text(&answer), input).contains("class=\"error\""), "{input}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_a_json_schema_has_groups_and_its_errors_at_their_places() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let schema = json!({
        "type": "object", "required": ["url"], "additionalProperties": false,
        "properties": {
            "url": {"type": "string", "title": "Picture", "maxLength": 60},
            "size": {"type": "object", "properties": {"width": {"type": "integer", "minimum": 1}}},
        },
    });
    let body = json!({
        "projectId": project, "type": "resize", "jsonSchema": schema,
        "target": {"callbackUrl": "http://a.example/"},
    });
    made(&api, body).await;
    let browser = Browser::operator(&api).await;
    let wrong = [("p.url", ""), ("p.size/width", "0")];
    let answer = browser.post("/ui/templates/1/run", &wrong).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let page = text(&answer);
    assert!(message(&page, "p.url").contains("Picture is required"), "{page}");
    assert!(message(&page, "p.size/width").contains("minimum"), "{page}");
    let good = [("p.url", "a.png"), ("p.size/width", "3")];
    leads_to(&browser.post("/ui/templates/1/run", &good).await, "/ui/jobs/1");
    let data = &api.get("/api/v1/jobs/1").await.json["data"]["data"];
    assert_eq!(data.as_str(), Some(r#"{"size":{"width":3},"url":"a.png"}"#));
    // Fields that the template lost meanwhile are not dropped without a word.
    let gone = [("p.url", "a.png"), ("p.height", "3")];
    let answer = browser.post("/ui/templates/1/run", &gone).await;
    assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED);
    assert!(text(&answer).contains("height is no field of it any more"));
    // Without properties it is entered as JSON.
    let open = json!({"projectId": project, "type": "open", "jsonSchema": {"minProperties": 1},
        "target": {"callbackUrl": "http://a.example/"}});
    made(&api, open).await;
    let answer = browser.post("/ui/templates/2/run", &[("payload", "{}")]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(text(&answer).contains("<textarea id=\"f-payload\""));
    leads_to(
        &browser.post("/ui/templates/2/run", &[("payload", "{\"a\":1.0}")]).await,
        "/ui/jobs/2",
    );
    assert_eq!(api.get("/api/v1/jobs/2").await.json["data"]["data"], "{\"a\":1.0}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_templates_go_on_by_key_and_all_their_texts_are_escaped() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    for n in 0..35 {
        let body = json!({
            "projectId": project, "type": format!("kind_{n}"), "label": format!("{n} {EVIL}"),
            "description": EVIL.repeat(20), "userTriggered": n % 2 == 0,
            "payloadSchema": {EVIL: {"type": "options", "options": [EVIL], "label": EVIL, "help": EVIL}},
            "payload": {EVIL: EVIL}, "target": {"callbackUrl": "http://a.example/?<b>"},
            "job": {"labels": {"team": "shop"}},
        });
        made(&api, body).await;
    }
    let browser = Browser::operator(&api).await;
    let first = browser.page("/ui/templates").await;
    let paths =
        ["/ui/templates/1", "/ui/templates/1/run", "/ui/templates/1/edit", "/ui/templates/2"];
    for path in ["/ui/templates", "/ui/templates?by=system&project=1"].into_iter().chain(paths) {
        let page = browser.page(path).await;
        check(path, &page);
        assert!(!page.contains("<script>alert"), "{path}");
    }
    let cards = |page: &str| page.matches("<section class=\"card\">").count();
    assert_eq!(cards(&first), 30);
    let next =
        first.split("href=\"/ui/templates?after=").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(cards(&browser.page(&format!("/ui/templates?after={next}")).await), 5);
    let system = browser.page("/ui/templates?by=system").await;
    assert_eq!(cards(&system), 17);
    assert!(system.contains("/ui/jobs/1\"") && !system.contains("/run\""), "its live job, no form");
    let none = browser.page("/ui/templates?project=9").await;
    assert!(none.contains("No template matches"), "{none}");
    let part = text(&browser.get("/ui/templates?part=cards").await);
    assert!(part.starts_with("<div class=\"part\" data-part=\"cards\""), "{part}");
    // Rules in the editor are as they were given.
    let edit = browser.page("/ui/templates/1/edit").await;
    assert!(edit.contains("&quot;type&quot;: &quot;options&quot;, &quot;options&quot;"), "{edit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_template_are_ended_and_the_next_one_follows_unless_told_otherwise() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let body = json!({
        "projectId": project, "type": "clean", "userTriggered": false, "startInSeconds": 3600,
        "rescheduleAfterTermination": true, "target": {"callbackUrl": "http://a.example/"},
    });
    made(&api, body).await;
    let browser = Browser::operator(&api).await;
    let shown = browser.page("/ui/templates/1").await;
    assert!(shown.contains("It keeps one job by itself") && shown.contains("scheduled"), "{shown}");
    let refused = browser.post("/ui/templates/1/run", &[]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", text(&refused));
    let end = [("back", "/ui/templates/1"), ("reason", "run <it> now")];
    leads_to(&browser.post("/ui/jobs/1/terminate", &end).await, "/ui/templates/1");
    let shown = browser.page("/ui/templates/1").await;
    assert!(
        shown.contains("/ui/jobs/2/terminate") && !shown.contains("/ui/jobs/1/terminate"),
        "{shown}"
    );
    let live = browser.page("/ui/templates/1?state=live").await;
    assert!(
        live.contains("href=\"/ui/jobs/2\"") && !live.contains("href=\"/ui/jobs/1\""),
        "{live}"
    );
    // The menu is on the page of the job, too, and leads back there.
    let job = browser.page("/ui/jobs/2").await;
    assert!(job.contains("/ui/jobs/2/terminate") && job.contains("No other one follows"), "{job}");
    let last = [("last", "yes"), ("back", "https://evil.example/")];
    leads_to(&browser.post("/ui/jobs/2/terminate", &last).await, "/ui");
    assert_eq!(api.get("/templates/1/instances?state=live").await.json["data"]["total"], 0);
    let recurring = json!([{"project_id": project, "spec": "@daily", "timezone": "UTC",
        "callback_url": "http://a.example/"}]);
    assert_eq!(api.post("/jobs", recurring).await.status, StatusCode::ACCEPTED);
    assert!(!browser.page("/ui/jobs/3").await.contains("/terminate"));
    assert_eq!(browser.post("/ui/jobs/3/terminate", &[]).await.status, StatusCode::CONFLICT);
    // A job that is not kept when it is over has no page to lead back to.
    let none_kept = json!({
        "projectId": project, "type": "once", "keepCompleted": 0,
        "target": {"callbackUrl": "http://a.example/"},
    });
    let once = made(&api, none_kept).await;
    let place = format!("/ui/templates/{once}/run");
    leads_to(&browser.post(&place, &[("start", "3600")]).await, "/ui/jobs/4");
    let end = [("back", "/ui/jobs/4")];
    leads_to(&browser.post("/ui/jobs/4/terminate", &end).await, "/ui/jobs");
    let foreign = [("origin", "http://evil.example")];
    let answer = browser.post_from("/ui/templates/1/delete", &[], &foreign).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    leads_to(&browser.post("/ui/templates/1/delete", &[]).await, "/ui/templates");
    assert_eq!(browser.get("/ui/templates/1").await.status, StatusCode::NOT_FOUND);
    assert!(browser.page("/ui/jobs/2").await.contains("template 1, which is deleted"));
}
