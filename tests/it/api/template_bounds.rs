//! Job templates that would take too much: schemas and payloads are refused before they cost
//! anything, versions come a page at a time. What imports took with a warning can be sent back.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::templates::template;
use crate::harness::ApiFixture;

#[tokio::test]
async fn a_schema_that_would_take_all_memory_is_refused() {
    let api = ApiFixture::build().await;
    let mut parts = json!({"a20": {"required": ["z"]}});
    for n in 0..20 {
        let next = format!("#/$defs/a{}", n + 1);
        parts[format!("a{n}")] = json!({"allOf": [{"$ref": next}, {"title": "x", "$ref": next}]});
    }
    let mut body = template(api.project().await);
    body.as_object_mut().unwrap().remove("payloadSchema");
    body["jsonSchema"] = json!({"$ref": "#/$defs/a0", "$defs": parts});
    body["payload"] = json!({});
    let refused = api.post("/api/v1/templates", body.clone()).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.json);
    let told = refused.json["error"]["fields"]["jsonSchema"].as_str().unwrap();
    assert!(told.contains("too much work"), "{told}");

    body["jsonSchema"] = json!({"properties": {"list": {"items": {"allOf":
        (1..=1_500).map(|n| json!({"minimum": n})).collect::<Vec<_>>()}}}});
    let made = api.post("/api/v1/templates", body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    let payload = json!({"payload": {"list": vec![0; 1_500]}});
    for path in ["/api/v1/templates/1/validate", "/api/v1/templates/1/instances"] {
        let refused = api.post(path, payload.clone()).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        let told = refused.json["error"]["fields"]["payload"].as_str().unwrap();
        assert!(told.contains("too much work"), "{path}: {told}");
    }
}

#[tokio::test]
async fn a_large_payload_of_unknown_fields_is_refused_as_too_large() {
    let api = ApiFixture::build().await;
    let made = api.post("/templates", template(api.project().await)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    let names: serde_json::Map<String, Value> =
        (0..60_000).map(|n| (format!("n{n}"), json!(1))).collect();
    let refused = api.post("/templates/1/validate", json!({"payload": names})).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let told = refused.json["error"]["fields"]["payload"].as_str().unwrap();
    assert!(told.contains("at most 65536"), "{told}");
}

#[tokio::test]
async fn the_versions_of_a_template_come_a_page_at_a_time() {
    let api = ApiFixture::build().await;
    api.post("/templates", template(api.project().await)).await;
    for n in 2..=5 {
        let changed =
            api.send("PATCH", "/templates/1", &[], &format!("{{\"label\":\"{n}\"}}")).await;
        assert_eq!(changed.status, StatusCode::OK, "{}", changed.json);
    }
    let numbers = |data: &Value| -> Vec<u64> {
        let versions = data["versions"].as_array().unwrap().iter();
        versions.map(|one| one["version"].as_u64().unwrap()).collect()
    };
    let (mut seen, mut path) = (Vec::new(), "/api/v1/templates/1/versions?limit=2".to_owned());
    loop {
        let data = api.get(&path).await.json["data"].clone();
        assert_eq!(data["total"], 5, "{data}");
        seen.extend(numbers(&data));
        let Some(next) = data["next"].as_str() else { break };
        path = format!("/api/v1/templates/1/versions?limit=2&after={next}");
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
    let oldest = api.get("/templates/1/versions?orderByDirection=asc&limit=1").await;
    assert_eq!(numbers(&oldest.json["data"]), [1]);
}

#[tokio::test]
async fn what_an_import_took_with_a_warning_can_be_sent_back() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let file = r#"{"export_job": {"type": "export_job", "userTriggered": true, "payload_schema":
        {"parts": {"type": "options", "options": ["orders"], "required": true}},
        "payload": {"parts": ["orders", "messages"]}}}"#;
    let path = format!("/templates/import?projectId={project}");
    let made = api.send("POST", &path, &[], file).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.json);
    let mut shown = api.get("/api/v1/templates/1").await.json["data"].clone();
    shown["label"] = json!("Export");
    let again = api.put("/api/v1/templates/1", shown).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.json);
    assert_eq!(again.json["data"]["label"], "Export");
}

#[tokio::test]
async fn a_system_template_without_an_instance_says_how_one_begins() {
    let api = ApiFixture::build().await;
    let mut body = template(api.project().await);
    body["userTriggered"] = json!(false);
    body["startInSeconds"] = json!(86_400);
    body["rescheduleAfterTermination"] = json!(true);
    let created = api.post("/api/v1/templates", body).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.json);
    let make = || api.post("/api/v1/templates/1/instances", json!({"payload": {"user_id": 1}}));
    let told =
        |refused: &Value| refused["error"]["message"].as_str().unwrap_or_default().to_owned();
    let refused = make().await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.json);
    assert!(told(&refused.json).contains("terminate that one"), "{}", refused.json);
    let live = api.get("/api/v1/templates/1/instances?state=live").await;
    let id = live.json["data"]["jobs"][0]["id"].as_u64().unwrap();
    let ended = api.post(&format!("/jobs/{id}/terminate"), json!({"reschedule": false})).await;
    assert_eq!(ended.status, StatusCode::OK, "{}", ended.json);
    let refused = make().await;
    assert!(told(&refused.json).contains("has none"), "{}", refused.json);
}
