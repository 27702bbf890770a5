//! Access: the table of callers and routes.

use axum::http::StatusCode;
use serde_json::json;

use crate::harness::{ApiFixture, OPERATOR};

/// Routes that need credentials.
const CLOSED: &[(&str, &str)] = &[
    ("GET", "/projects"),
    ("POST", "/projects"),
    ("GET", "/projects/1"),
    ("DELETE", "/v1/projects/1"),
    ("PATCH", "/projects/1"),
    ("POST", "/projects/1/pause"),
    ("POST", "/v1/projects/1/resume"),
    ("POST", "/api/v1/projects/1/rotate-secret"),
    ("GET", "/jobs"),
    ("POST", "/jobs"),
    ("POST", "/api/v1/jobs"),
    ("PUT", "/jobs/1"),
    ("PATCH", "/v1/jobs/1"),
    ("POST", "/jobs/1/pause"),
    ("POST", "/jobs/1/resume"),
    ("POST", "/jobs/delete"),
    ("POST", "/v1/jobs/edit"),
    ("POST", "/api/v1/jobs/1/run"),
    ("PUT", "/projects/1/jobs/by-external-id/x"),
    ("GET", "/v1/projects/1/jobs/by-external-id/x"),
    ("GET", "/v1/jobs/1/next"),
    ("POST", "/schedules/preview"),
    ("GET", "/executors"),
    ("POST", "/executors"),
    ("PATCH", "/v1/executors/1"),
    ("POST", "/api/v1/executors/1/rotate-secret"),
    ("GET", "/templates"),
    ("POST", "/v1/templates"),
    ("PATCH", "/templates/1"),
    ("DELETE", "/api/v1/templates/1"),
    ("GET", "/templates/1/versions"),
    ("POST", "/templates/import"),
    ("POST", "/templates/1/validate"),
    ("GET", "/templates/1/instances"),
    ("POST", "/api/v1/templates/1/instances"),
    ("POST", "/jobs/1/terminate"),
    ("GET", "/credentials"),
    ("POST", "/credentials"),
    ("DELETE", "/credentials/1"),
    ("PATCH", "/v1/credentials/1"),
    ("POST", "/credentials/1/archive"),
    ("POST", "/api/v1/credentials/1/rotate"),
    ("GET", "/accounts"),
    ("POST", "/v1/accounts"),
    ("GET", "/accounts/1"),
    ("PUT", "/accounts/1"),
    ("DELETE", "/accounts/1"),
    ("PUT", "/accounts/1/feature"),
    ("DELETE", "/api/v1/accounts/1/features/all"),
    ("GET", "/accounts/1/execution-count"),
    ("PUT", "/v1/accounts/1/execution-count"),
    ("GET", "/features"),
    ("POST", "/sessions/end"),
    ("GET", "/whoami"),
    ("GET", "/api/v1/whoami"),
    ("GET", "/executions"),
    ("GET", "/executions/1"),
    ("GET", "/runs"),
    ("GET", "/runs/x"),
    ("GET", "/events"),
    ("GET", "/v1/events"),
    ("GET", "/rates"),
    ("GET", "/audit"),
    ("GET", "/audit/export"),
    ("GET", "/forecast"),
    ("GET", "/upcoming"),
    ("POST", "/runs/x/cancel"),
    ("POST", "/runs/x/complete"),
    ("POST", "/api/v1/runs/x/fail"),
    ("POST", "/runs/x/cancelled"),
    ("POST", "/v1/runs/x/release"),
    ("POST", "/workers/w/report"),
    ("POST", "/executions/x/complete"),
    ("POST", "/v1/executions/x/heartbeat"),
    ("POST", "/executions/x/fail"),
    ("POST", "/executions/x/cancel"),
    ("POST", "/api/v1/executions/cleanup-old-logs"),
    ("GET", "/dead-letters"),
    ("POST", "/dead-letters/replay"),
    ("POST", "/dead-letters/purge"),
    ("DELETE", "/api/v1/dead-letters/1"),
    ("GET", "/async-tasks/x"),
    ("GET", "/workers"),
    ("GET", "/api/v1/queues"),
    ("POST", "/workers/claim"),
    ("POST", "/v1/workers/w/heartbeat"),
    ("GET", "/cluster/status"),
    ("POST", "/api/v1/cluster/checksum"),
];

#[tokio::test]
async fn nobody_gets_in_without_the_right_pair() {
    let api = ApiFixture::build().await;
    let made = api.post("/credentials", json!({"archived": false, "createdBy": "me"})).await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(made.header("cache-control"), "no-store");
    let key = made.json["data"]["api_key"].as_str().unwrap();
    let secret = made.json["data"]["api_secret"].as_str().unwrap();
    assert!(secret.len() >= 40 && !key.contains(secret));

    let strangers: [&[(&str, &str)]; 8] = [
        &[],
        &[("x-api-key", key)],
        &[("x-api-key", key), ("x-secret-key", "wrong")],
        &[("x-api-key", "wrong"), ("x-secret-key", secret)],
        &[("x-api-key", secret), ("x-secret-key", key)],
        &[("authorization", OPERATOR)],
        &[("x-peer", "cmd"), ("authorization", "Basic bm9kZTpub3Bl")],
        &[("x-peer", "cmd"), ("authorization", "Basic \u{7e}\u{7e}")],
    ];
    for &(method, path) in CLOSED {
        for headers in strangers {
            let answer = api.send_bare(method, path, headers, "{}").await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path} {headers:?}");
            assert_eq!(answer.json["data"], "unauthorized requests");
            assert_eq!(answer.json["success"], false);
        }
        for headers in [
            &[("x-api-key", key), ("x-secret-key", secret), ("x-account-id", "1")][..],
            &[("x-peer", "peer"), ("authorization", OPERATOR)][..],
        ] {
            if method == "GET" {
                let answer = api.send_bare(method, path, headers, "").await;
                assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path} {headers:?}");
            }
        }
    }
    let pair = [("x-api-key", key), ("x-secret-key", secret)];
    for (method, path) in [("POST", "/cluster/checksum"), ("GET", "/cluster/status")] {
        let refused = api.send_bare(method, path, &pair, "").await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn secrets_are_shown_once_and_archived_keys_stop_at_once() {
    let api = ApiFixture::build().await;
    let made = api.post("/api/v1/credentials", json!({})).await;
    let key = made.json["data"]["apiKey"].as_str().unwrap().to_owned();
    let secret = made.json["data"]["apiSecret"].as_str().unwrap().to_owned();
    let pair = [("x-api-key", key.as_str()), ("x-secret-key", secret.as_str())];
    let status = async || api.send_bare("GET", "/projects", &pair, "").await.status;
    assert_eq!(status().await, StatusCode::OK);
    for path in ["/credentials", "/credentials/1"] {
        let text = String::from_utf8(api.get(path).await.body).unwrap();
        assert!(text.contains(&key) && !text.contains(&secret), "{text}");
        assert!(!text.contains("secret") && !text.contains("verifier"), "{text}");
    }
    let archived = api.post("/api/v1/credentials/1/archive", json!({"archivedBy": "me"})).await;
    assert_eq!(archived.json["data"]["archived"], true);
    assert_eq!(archived.json["data"]["archivedBy"], "me");
    assert_eq!(status().await, StatusCode::UNAUTHORIZED);
    assert_eq!(api.put("/credentials/1", json!({"archived": false})).await.status, StatusCode::OK);
    assert_eq!(status().await, StatusCode::OK);
    assert_eq!(api.put("/credentials/1", json!({})).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(api.delete("/credentials/1").await.status, StatusCode::NO_CONTENT);
    assert_eq!(status().await, StatusCode::UNAUTHORIZED);
    assert_eq!(api.get("/credentials/1").await.status, StatusCode::NOT_FOUND);
}
