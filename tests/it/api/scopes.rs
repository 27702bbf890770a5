//! Scopes: each route with each scope missing, the words of published clients, and keys that were
//! made before there were scopes.

use axum::http::StatusCode;
use scheduler0::clock::TestClock;
use scheduler0::model::scope::{Scope, Scopes};
use serde_json::{Value, json};

use crate::harness::{Answer, ApiFixture};

/// A key with these scopes.
struct Key(String, String);

impl Key {
    async fn with(api: &ApiFixture, body: Value) -> Self {
        let made = api.post("/api/v1/credentials", body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
        let text = |name: &str| made.json["data"][name].as_str().unwrap().to_owned();
        Self(text("apiKey"), text("apiSecret"))
    }

    async fn of(api: &ApiFixture, scopes: Scopes) -> Self {
        let names: Vec<_> = scopes.iter().map(Scope::name).collect();
        Self::with(api, json!({"scopes": names})).await
    }

    async fn send(&self, api: &ApiFixture, method: &str, path: &str, body: &str) -> Answer {
        let pair = [("x-api-key", self.0.as_str()), ("x-secret-key", self.1.as_str())];
        api.send_bare(method, path, &pair, body.to_owned()).await
    }
}

/// The operations of the document with their scopes: method, path, scopes, and whether the answer
/// ends.
async fn operations(api: &ApiFixture) -> Vec<(String, String, Vec<Scope>, bool)> {
    let document = api.send_bare("GET", "/openapi.json", &[], "").await.json;
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, one) in methods.as_object().unwrap() {
            let scopes = one["x-required-scopes"].as_array().cloned().unwrap_or_default();
            let scopes = scopes.iter().map(|name| Scope::of(name.as_str().unwrap()).unwrap());
            let parts: Vec<_> = path
                .split('/')
                .map(|part| if part.starts_with('{') { "1" } else { part })
                .collect();
            let ends = one["x-stream"] != true;
            found.push((method.to_uppercase(), parts.join("/"), scopes.collect(), ends));
        }
    }
    found
}

#[tokio::test]
async fn a_route_without_its_scope_names_it_and_with_it_lets_in() {
    let api = ApiFixture::build().await;
    let operations = operations(&api).await;
    let guarded = operations.iter().filter(|(_, _, scopes, _)| !scopes.is_empty()).count();
    assert!(guarded > 70, "{guarded}");
    for scope in Scope::ALL {
        let lacking = Key::of(&api, Scopes::ALL.without(Scopes::one(scope))).await;
        let needing = operations.iter().filter(|(_, _, scopes, _)| scopes.contains(&scope));
        for (method, path, ..) in needing {
            let name = scope.name();
            for prefix in ["", "/v1", "/api/v1"] {
                let answer = lacking.send(&api, method, &format!("{prefix}{path}"), "{}").await;
                assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {prefix}{path} {name}");
                assert_eq!(
                    String::from_utf8(answer.body.clone()).unwrap(),
                    format!(
                        r#"{{"data":"missing required scopes: {name}","success":false,"missing_scopes":["{name}"],"error":{{"code":"missing_scopes","message":"missing required scopes: {name}: use an api key that has them, or the node's username and password"}}}}"#
                    ),
                    "{method} {prefix}{path}"
                );
                let bearer = format!(r#"Bearer error="insufficient_scope", scope="{name}""#);
                assert_eq!(answer.header("www-authenticate"), bearer);
            }
        }
    }
    // With the scopes of the table, and no other, the caller comes as far as the use case.
    for (method, path, scopes, ends) in &operations {
        if !ends || scopes.is_empty() {
            continue;
        }
        let key = Key::of(&api, scopes.iter().copied().collect()).await;
        let answer = key.send(&api, method, path, "{}").await;
        assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
        assert_ne!(answer.json["error"]["code"], "missing_scopes", "{method} {path}");
    }
}

#[tokio::test]
async fn a_key_without_scopes_does_what_every_key_did_but_drop_the_history_of_all() {
    let api = ApiFixture::build().await;
    let made = api.post("/credentials", json!({})).await;
    let shown = made.json["data"].as_object().unwrap();
    let names: Vec<_> = shown.keys().map(String::as_str).collect();
    let known = ["api_key", "api_secret", "archived", "date_created", "id", "plaintext_secret"];
    assert_eq!(names, known, "no field of terms");
    assert_eq!(shown["plaintext_secret"], shown["api_secret"]);
    let text = |name: &str| shown[name].as_str().unwrap().to_owned();
    let key = Key(text("api_key"), text("api_secret"));
    for (method, path, scopes, ends) in operations(&api).await {
        if !ends || method != "GET" {
            continue;
        }
        let answer = key.send(&api, &method, &path, "").await;
        let is_beyond = scopes.iter().any(|scope| !Scopes::OF_KEYS.has(*scope));
        assert_eq!(answer.status == StatusCode::FORBIDDEN, is_beyond, "{method} {path}");
    }
    let cleanup = "/executions/cleanup-old-logs";
    let body = r#"{"retentionMonths":1}"#;
    let answer = key.send(&api, "POST", cleanup, body).await;
    assert_eq!(answer.json["missing_scopes"], json!(["cluster:admin"]), "{}", answer.json);
    let admin = Key::of(&api, Scopes::one(Scope::ClusterAdmin)).await;
    assert_eq!(admin.send(&api, "POST", cleanup, body).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_words_of_published_clients_are_understood() {
    let api = ApiFixture::build().await;
    let made = api.post("/credentials", json!({"scopes": ["read", "execute"]})).await;
    let scopes = json!(["jobs:read", "runs:read", "runs:write", "projects:read", "executors:read"]);
    assert_eq!(made.json["data"]["scopes"], scopes);
    let refused = api.post("/api/v1/credentials", json!({"scopes": ["everything"]})).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.json["error"]["field"], "scopes");
    assert!(refused.json["data"].as_str().unwrap().contains("there is no scope \"everything\""));
    let reader = Key::with(&api, json!({"scopes": ["read"]})).await;
    assert_eq!(reader.send(&api, "GET", "/jobs", "").await.status, StatusCode::OK);
    let refused = reader.send(&api, "POST", "/jobs", "[]").await;
    assert_eq!(refused.json["missing_scopes"], json!(["jobs:write"]));
    // Its own sessions it ends without a scope, and not those of another.
    let ended = reader.send(&api, "POST", "/sessions/end", "{}").await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT, "{}", ended.json);
    let other = reader.send(&api, "POST", "/sessions/end", r#"{"credentialId":1}"#).await;
    assert_eq!(other.json["missing_scopes"], json!(["credentials:write"]));
}

#[tokio::test]
async fn nothing_of_a_level_is_done_before_all_members_know_it() {
    let api = ApiFixture::build_at_level(TestClock::new(1_900_000_000_000), 5).await;
    let plain = api.post("/credentials", json!({"createdBy": "me"})).await;
    assert_eq!(plain.status, StatusCode::CREATED, "a key of the old kind: {}", plain.json);
    for (method, path, body) in [
        ("POST", "/credentials", json!({"scopes": ["jobs:read"]})),
        ("POST", "/credentials", json!({"expiresInSeconds": 60})),
        ("PATCH", "/credentials/1", json!({"name": "ci"})),
        ("POST", "/credentials/1/rotate", json!({})),
    ] {
        let answer = api.send(method, path, &[], body.to_string()).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{method} {path}: {}", answer.json);
        assert_eq!(answer.json["error"]["code"], "upgrade_pending", "{method} {path}");
    }
    assert_eq!(api.get("/credentials").await.json["data"]["total"], 1);
}
