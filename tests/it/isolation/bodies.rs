//! The bodies of requests of either side.

use serde_json::json;

/// One job of the queue, and one that is called, which have the name of their side.
pub(super) fn jobs(project: u64, name: &str) -> String {
    json!([
        {"projectId": project, "spec": "@every 1m", "timezone": "UTC", "executorId": 1,
         "externalId": name, "data": name, "labels": {"side": name}},
        {"projectId": project, "spec": "30 2 * * *", "timezone": "UTC", "data": name,
         "callbackUrl": "http://localhost:3000/callback"},
    ])
    .to_string()
}

/// A template that users trigger.
pub(super) fn template(project: u64, name: &str) -> String {
    json!({
        "projectId": project, "type": format!("{name}_mail"), "startInSeconds": 5,
        "payloadSchema": {"user_id": {"type": "uint"}},
        "target": {"callbackUrl": "https://example.com/hook"},
    })
    .to_string()
}
