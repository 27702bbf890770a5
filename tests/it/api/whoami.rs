//! `GET /whoami`: who the node takes a caller for, in the words of its credentials and without
//! their secrets.

use axum::http::StatusCode;
use scheduler0::model::scope::{Scope, Scopes};
use serde_json::json;

use crate::harness::ApiFixture;

#[tokio::test]
async fn each_caller_is_told_who_it_is_and_nothing_secret() {
    let api = ApiFixture::build().await;
    let operator = api.get("/api/v1/whoami").await;
    let told = json!({"data": {"kind": "operator", "name": "node"}, "success": true});
    assert_eq!((operator.status, operator.json), (StatusCode::OK, told));

    let made = api.post("/credentials", json!({})).await;
    let key = made.json["data"]["api_key"].as_str().unwrap();
    let secret = made.json["data"]["api_secret"].as_str().unwrap();
    let pair = [("x-api-key", key), ("x-secret-key", secret)];
    let id = &made.json["data"]["id"];
    let all: Vec<_> = Scopes::OF_KEYS.iter().map(Scope::name).collect();
    let camel = api.send_bare("GET", "/api/v1/whoami", &pair, "").await;
    assert_eq!(camel.json["data"], json!({"kind": "key", "id": id, "apiKey": key, "scopes": all}));
    let snake = api.send_bare("GET", "/whoami", &pair, "").await;
    assert_eq!(snake.json["data"], json!({"kind": "key", "id": id, "api_key": key, "scopes": all}));
    for answer in [camel, snake] {
        assert!(!String::from_utf8(answer.body).unwrap().contains(secret));
    }

    let refused = api.send_bare("GET", "/whoami", &[], "").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let widened = api.get("/whoami?id=2").await;
    assert_eq!(widened.status, StatusCode::BAD_REQUEST, "it tells a caller of itself alone");
}
