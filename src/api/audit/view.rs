//! A row of the audit as the API shows it. An export has rows in another form, which is hashed
//! (`model::audit`).

use serde::Serialize;
use serde_json::Value;

use crate::app::audit::AuditRow;
use crate::app::fields::verbatim;
use crate::model::time::rfc3339;

/// A row.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuditRowView {
    id: u64,
    at: String,
    actor: AuditActorView,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    node_id: u64,
    action: String,
    noun: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_id: Option<u64>,
    account_id: u64,
    /// The names of fields in it are those of records, in one casing.
    #[serde(serialize_with = "verbatim")]
    detail: Value,
}

/// The party that did it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuditActorView {
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

pub(super) fn view(row: AuditRow) -> AuditRowView {
    let kind = row.actor.kind.into_owned();
    AuditRowView {
        id: row.id,
        at: rfc3339(row.at),
        actor: AuditActorView { kind, id: row.actor.id, name: row.actor.name },
        address: row.address,
        node_id: row.node,
        action: row.action.into_owned(),
        noun: row.noun.into_owned(),
        object: row.object,
        project_id: row.project,
        account_id: row.account,
        // Apply has written JSON.
        detail: serde_json::from_str(&row.detail).unwrap_or_default(),
    }
}
