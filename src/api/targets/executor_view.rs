//! An executor as answers show it: everything but its secrets.

use std::collections::BTreeMap;

use axum::response::Response;
use serde::Serialize;

use crate::api::http::{respond, version};
use crate::api::targets::signing;
use crate::app::App;
use crate::app::targets::http::view::{HttpView, TlsView, show};
use crate::app::targets::settings::shown::Shown;
use crate::model::Millis;
use crate::model::job::Casing;
use crate::model::target::Executor;
use crate::model::time::rfc3339;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExecutorView {
    id: u64,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    region: String,
    cloud_provider: String,
    cloud_resource_url: String,
    cloud_api_key_set: bool,
    cloud_api_secret_set: bool,
    webhook_url: String,
    webhook_method: String,
    webhook_secret_set: bool,
    /// The new secret; only in the answer to its rotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) webhook_secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_secret_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<HttpView>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    tls: Option<TlsView>,
    /// The settings of another kind, under its name.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    settings: Option<BTreeMap<String, Shown>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_concurrency: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_per_second: Option<u32>,
    version: u64,
    date_created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_modified: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modified_by: Option<String>,
}

/// An executor, as of now.
pub(crate) fn view(executor: Executor, app: &App, now: Millis) -> ExecutorView {
    ExecutorView {
        settings: app.show_executor_settings(&executor),
        id: executor.id,
        name: executor.name,
        kind: executor.kind,
        region: executor.region,
        cloud_provider: executor.cloud_provider,
        cloud_resource_url: executor.cloud_resource_url,
        cloud_api_key_set: executor.cloud_api_key.is_some(),
        cloud_api_secret_set: executor.cloud_api_secret.is_some(),
        webhook_url: executor.webhook_url,
        webhook_method: executor.webhook_method,
        webhook_secret_set: !executor.signing.is_empty(),
        webhook_secret: None,
        previous_secret_until: signing::previous_until(&executor.signing, now),
        http: executor.http.as_deref().map(show),
        tls: executor.tls.as_deref().map(TlsView::of),
        max_concurrency: executor.max_concurrency,
        rate_per_second: executor.rate_per_second,
        version: executor.version,
        date_created: rfc3339(executor.created),
        date_modified: executor.modified.map(rfc3339),
        created_by: executor.created_by,
        modified_by: executor.modified_by,
    }
}

/// Answers 200 with an executor and its version.
pub(crate) fn respond_executor(executor: Executor, app: &App, casing: Casing) -> Response {
    let version = executor.version;
    version::tag(respond::ok(&view(executor, app, app.now()), casing), version)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::api::http::casing::to_json;
    use crate::app::targets::http::read::read_target;
    use crate::app::targets::http::view::show;
    use crate::app::targets::settings::shown::Shown;
    use crate::delivery::executor::ClientFields;
    use crate::executor::guard::TargetGuard;
    use crate::model::job::Casing;
    use crate::secret::Keys;

    #[test]
    fn an_http_target_keeps_the_clients_own_names_in_either_casing() {
        let keys = Keys::new(&"ab".repeat(32), "node", "pass").unwrap();
        let given = json!({
            "url": "https://example.com/", "query": {"myName": true},
            "headers": {"X-Team": "{{executionId}}"}, "secretHeaders": {"X-Api-Key": "hunter2"},
            "successCodes": [200, 204],
            "auth": {"type": "basic", "username": "me", "password": "hunter3"},
        });
        let target = read_target(given, &TargetGuard::default(), &keys, None).unwrap();
        let shown =
            |casing| -> Value { serde_json::from_slice(&to_json(&show(&target), casing)).unwrap() };
        let (camel, snake) = (shown(Casing::Camel), shown(Casing::Snake));
        assert_eq!(snake["query"], json!({"myName": "true"}));
        assert_eq!(snake["headers"], json!({"X-Team": "{{executionId}}"}));
        assert_eq!(snake["secret_headers_set"], json!(["X-Api-Key"]));
        assert_eq!(snake["success_codes"], json!([200, 204]));
        assert_eq!(snake["auth"]["password_set"], true);
        for view in [camel, snake] {
            assert!(!view.to_string().contains("hunter"), "{view}");
            let again = read_target(view, &TargetGuard::default(), &keys, Some(&target));
            assert_eq!(again.unwrap(), target, "what a GET shows can be sent back");
        }
    }

    /// Settings as in an answer, among other fields.
    #[derive(serde::Serialize)]
    struct View {
        #[serde(flatten)]
        settings: std::collections::BTreeMap<String, Shown>,
    }

    #[test]
    fn settings_keep_the_clients_own_names_in_either_casing() {
        let fields = ClientFields { maps: &["headers"], values: &["body"] };
        let value = json!({
            "routingKey": "aB", "declare": {"autoDelete": true, "list": [{"oneName": 1}]},
            "headers": {"xDelay": {"inIt": 1}, "X-Team": null}, "body": {"userId": [{"aB": 1}]},
        });
        let settings = [("amqp".to_owned(), Shown::new(value.clone(), fields))].into();
        let view = View { settings };
        let shown = |casing| -> Value { serde_json::from_slice(&to_json(&view, casing)).unwrap() };
        assert_eq!(shown(Casing::Camel)["amqp"], value);
        let snake = &shown(Casing::Snake)["amqp"];
        assert_eq!(snake["routing_key"], "aB");
        assert_eq!(snake["declare"], json!({"auto_delete": true, "list": [{"one_name": 1}]}));
        for own in ["headers", "body"] {
            assert_eq!(snake[own], value[own], "{own}");
        }
    }
}
