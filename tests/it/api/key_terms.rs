//! The terms of keys: end, networks, changes, rotation, and what a key may give.

use std::time::Duration;

use axum::http::StatusCode;
use scheduler0::clock::TestClock;
use scheduler0::command::Command;
use scheduler0::model::credential::{HOUR_MS, KeyUse};
use serde_json::{Value, json};

use crate::harness::{Answer, ApiFixture, TestCluster, client_of};

const NOW: i64 = 1_900_000_000_000;

struct Key {
    id: u64,
    public: String,
    secret: String,
}

impl Key {
    fn of(made: &Answer) -> Self {
        assert!(made.status.is_success(), "{}", made.json);
        let data = &made.json["data"];
        let text = |name: &str| data[name].as_str().unwrap().to_owned();
        assert_eq!(data["plaintextSecret"], data["apiSecret"]);
        Self { id: data["id"].as_u64().unwrap(), public: text("apiKey"), secret: text("apiSecret") }
    }

    async fn made(api: &ApiFixture, body: Value) -> Self {
        Self::of(&api.post("/api/v1/credentials", body).await)
    }

    async fn send(&self, api: &ApiFixture, method: &str, path: &str, body: Value) -> Answer {
        let pair = [("x-api-key", self.public.as_str()), ("x-secret-key", self.secret.as_str())];
        api.send_bare(method, &format!("/api/v1{path}"), &pair, body.to_string()).await
    }

    async fn status(&self, api: &ApiFixture) -> StatusCode {
        self.send(api, "GET", "/jobs", json!(null)).await.status
    }
}

#[tokio::test]
async fn a_key_opens_nothing_from_its_end_on() {
    let clock = TestClock::new(NOW);
    let api = ApiFixture::build_by(clock.clone()).await;
    let key = Key::made(&api, json!({"name": "ci", "expiresInSeconds": 60})).await;
    let shown = api.get("/api/v1/credentials/1").await.json["data"].clone();
    assert_eq!(
        (&shown["name"], &shown["expiresAt"]),
        (&json!("ci"), &json!("2030-03-17T17:47:40Z"))
    );
    clock.advance(Duration::from_millis(59_999));
    assert_eq!(key.status(&api).await, StatusCode::OK);
    clock.advance(Duration::from_millis(1));
    let expired = key.send(&api, "GET", "/jobs", json!(null)).await;
    let unknown = Key { public: "s0_none".into(), secret: "none".into(), ..key };
    let unknown = unknown.send(&api, "GET", "/jobs", json!(null)).await;
    assert_eq!((expired.status, &expired.body), (StatusCode::UNAUTHORIZED, &unknown.body));
    // An operator gives it more time.
    let patch = json!({"expiresAt": "2030-03-18"});
    let answer = api.send("PATCH", "/api/v1/credentials/1", &[], patch.to_string()).await;
    assert_eq!(answer.json["data"]["expiresAt"], "2030-03-18T00:00:00Z", "{}", answer.json);
    let opened = Key::of(&api.post("/api/v1/credentials/1/rotate", json!({})).await);
    assert_eq!(opened.status(&api).await, StatusCode::OK);
}

#[tokio::test]
async fn a_rotated_key_has_both_secrets_until_the_overlap_is_over() {
    let clock = TestClock::new(NOW);
    let api = ApiFixture::build_by(clock.clone()).await;
    let first = Key::made(&api, json!({})).await;
    let rotate = async |body: Value, headers: &[(&str, &str)]| {
        api.send("POST", "/api/v1/credentials/1/rotate", headers, body.to_string()).await
    };
    let answer = rotate(json!({"overlap": "1h"}), &[]).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let second = Key::of(&answer);
    assert!(second.public == first.public && second.secret != first.secret);
    let shown = api.get("/api/v1/credentials/1").await;
    assert_eq!(shown.json["data"]["previousSecretUntil"], "2030-03-17T18:46:40Z");
    assert!(!String::from_utf8_lossy(&shown.body).contains(&second.secret));
    clock.advance(Duration::from_millis(3_599_999));
    assert_eq!(
        (first.status(&api).await, second.status(&api).await),
        (StatusCode::OK, StatusCode::OK)
    );
    clock.advance(Duration::from_millis(1));
    assert_eq!(first.status(&api).await, StatusCode::UNAUTHORIZED);
    assert_eq!(second.status(&api).await, StatusCode::OK);
    assert_eq!(shown_until(&api).await, Value::Null);

    // The same request gets the same answer, and rotates once.
    let named = [("idempotency-key", "k")];
    let once = rotate(json!({"overlap": 0}), &named).await;
    assert_eq!(rotate(json!({"overlap": 0}), &named).await.json, once.json);
    let third = Key::of(&once);
    assert_eq!(second.status(&api).await, StatusCode::UNAUTHORIZED, "without an overlap");
    assert_eq!(third.status(&api).await, StatusCode::OK);
    // On another day it is another request.
    clock.advance(Duration::from_hours(25));
    let fourth = Key::of(&rotate(json!({"overlap": 0}), &named).await);
    assert_ne!(fourth.secret, third.secret);
    // A key rotates itself; what is not understood rotates nothing.
    let fifth = Key::of(&fourth.send(&api, "POST", "/credentials/1/rotate", json!({})).await);
    for (body, status) in [(json!({"overlap": "31d"}), 400), (json!({"overlpa": "1h"}), 422)] {
        assert_eq!(rotate(body, &[]).await.status, status);
    }
    assert_eq!(fifth.status(&api).await, StatusCode::OK);
    let unknown = api.post("/api/v1/credentials/99/rotate", json!({})).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

async fn shown_until(api: &ApiFixture) -> Value {
    api.get("/api/v1/credentials/1").await.json["data"]["previousSecretUntil"].clone()
}

#[tokio::test]
async fn a_change_of_terms_holds_at_once_and_keeps_what_it_does_not_name() {
    let api = ApiFixture::build().await;
    let key = Key::made(&api, json!({"scopes": ["jobs:read"], "name": "one"})).await;
    assert_eq!(key.status(&api).await, StatusCode::OK);
    let patch =
        async |body: Value| api.send("PATCH", "/api/v1/credentials/1", &[], body.to_string()).await;
    let answer = patch(json!({"scopes": ["runs:read"], "modifiedBy": "me"})).await;
    assert_eq!(answer.json["data"]["name"], "one");
    assert_eq!(answer.json["data"].get("apiSecret"), None);
    assert_eq!(key.status(&api).await, StatusCode::FORBIDDEN);
    let answer = patch(json!({"scopes": null, "allowedIps": ["10.0.0.0/8"]})).await;
    assert_eq!(answer.json["data"].get("scopes"), None, "as every key");
    assert_eq!(answer.json["data"]["allowedIps"], json!(["10.0.0.0/8"]));
    assert_eq!(key.status(&api).await, StatusCode::OK, "a request of this process has no address");
    let answer = patch(json!({"archived": true})).await;
    assert_eq!(answer.json["data"]["archived"], true);
    assert_eq!(key.status(&api).await, StatusCode::UNAUTHORIZED);
    for (body, status, field) in [
        (json!({"projects": [1]}), 400, "projects"),
        (json!({"ratePerSecond": 0}), 400, "ratePerSecond"),
        (json!({"rateLimit": 5}), 400, "rateLimit"),
        (json!({"expiresAt": "2001-01-01"}), 400, "expiresAt"),
        (json!({"allowedIps": ["10.0.0.1/8"]}), 400, "allowedIps"),
        (json!({"allowedIp": ["10.0.0.1"]}), 422, ""),
    ] {
        let refused = patch(body).await;
        assert_eq!(refused.status, status, "{}", refused.json);
        assert_eq!(refused.json["error"]["field"].as_str().unwrap_or_default(), field);
    }
    let refused = api.post("/api/v1/credentials", json!({"projects": [1]})).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "it would open more than was meant");
}

#[tokio::test]
async fn a_key_gives_and_changes_no_more_than_it_has() {
    let api = ApiFixture::build().await;
    let scopes = json!(["credentials:read", "credentials:write", "jobs:read"]);
    let narrow = Key::made(&api, json!({"scopes": scopes})).await;
    for body in
        [json!({}), json!({"scopes": ["*"]}), json!({"scopes": ["jobs:read", "jobs:write"]})]
    {
        let refused = narrow.send(&api, "POST", "/credentials", body.clone()).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{body}");
        let said = refused.json["data"].as_str().unwrap();
        assert!(said.contains("jobs:write") && said.contains("cannot give"), "{said}");
    }
    assert_eq!(api.get("/credentials").await.json["data"]["total"], 1, "nothing was made");
    let below = narrow.send(&api, "POST", "/credentials", json!({"scopes": ["jobs:read"]})).await;
    let below = Key::of(&below);
    let path = format!("/credentials/{}", below.id);
    let wider = narrow.send(&api, "PATCH", &path, json!({"scopes": ["execute"]})).await;
    assert_eq!(wider.status, StatusCode::FORBIDDEN);
    let more = json!({"scopes": ["jobs:read", "runs:write"]}).to_string();
    assert_eq!(api.send("PATCH", &path, &[], more).await.status, StatusCode::OK);
    for (method, path) in
        [("POST", format!("{path}/rotate")), ("POST", format!("{path}/archive")), ("DELETE", path)]
    {
        let refused = narrow.send(&api, method, &path, json!({})).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{method} {path}");
        assert!(refused.json["data"].as_str().unwrap().contains("runs:write"));
    }
    assert_eq!(below.status(&api).await, StatusCode::OK);
}

#[tokio::test]
async fn the_last_use_is_shown_to_the_hour() {
    let clock = TestClock::new(NOW);
    let api = ApiFixture::build_by(clock).await;
    Key::made(&api, json!({})).await;
    let from = Some("192.0.2.7".parse().unwrap());
    let used = KeyUse { id: 1, hour: NOW / HOUR_MS, from };
    api.cluster().propose(Command::TouchCredentials(vec![used])).await.unwrap();
    let shown = api.get("/api/v1/credentials/1").await.json["data"].clone();
    assert_eq!(shown["lastUsedAt"], "2030-03-17T17:00:00Z");
    assert_eq!(shown["lastUsedFrom"], "192.0.2.7");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_wrong_from_where_it_may_not_be_used() {
    let settings = [("SCHEDULER0_REQUIRE_KEY_SCOPES", "true")];
    let cluster = TestCluster::start_with(1, &settings).await;
    let make = async |body: Value| cluster.post(1, "/api/v1/credentials", &body).await;
    let (status, refused) = make(json!({"name": "ci"})).await;
    assert_eq!((status, &refused["error"]["field"]), (400, &json!("scopes")), "{refused}");
    let mut answers = Vec::new();
    for allowed in ["127.0.0.0/8", "10.0.0.0/8"] {
        let body = json!({"scopes": ["jobs:read"], "allowedIps": [allowed]});
        let (status, pair) = make(body).await;
        assert_eq!(status, 201, "{pair}");
        let text = |name: &str| pair["data"][name].as_str().unwrap();
        let client =
            client_of(&[("x-api-key", text("apiKey")), ("x-secret-key", text("apiSecret"))]);
        let answer = client.get(cluster.url(1, "/api/v1/jobs")).send().await.unwrap();
        answers.push((answer.status().as_u16(), answer.text().await.unwrap()));
    }
    assert_eq!(answers[0].0, 200);
    assert_eq!(answers[1].0, 401);
    assert!(answers[1].1.contains(r#""data":"unauthorized requests""#), "{}", answers[1].1);
}
