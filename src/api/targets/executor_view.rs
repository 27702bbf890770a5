//! An executor as answers show it: everything but its secrets.

use serde::Serialize;

use crate::api::targets::http_target::view::{HttpView, TlsView, show};
use crate::api::targets::signing;
use crate::app::write::Versioned;
use crate::model::Millis;
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
pub(crate) fn view(executor: Executor, now: Millis) -> ExecutorView {
    ExecutorView {
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

impl Versioned for Executor {
    fn version(&self) -> u64 {
        self.version
    }
}
