//! Accounts as answers show them. The first fields are those of published clients.

use serde::Serialize;

use crate::app::accounts::{AccountRecord, ExecutionCount};
use crate::model::AccountId;
use crate::model::account::Limits;
use crate::model::feature::Feature;
use crate::model::time::rfc3339;

/// An account.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AccountView {
    id: AccountId,
    name: String,
    features: Vec<AccountFeatureView>,
    date_created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_modified: Option<String>,
    limits: LimitsView,
    usage: UsageView,
    #[serde(skip_serializing_if = "Option::is_none")]
    executions_paused_until: Option<String>,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modified_by: Option<String>,
}

/// A feature that is switched on.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AccountFeatureView {
    account_id: AccountId,
    feature_id: u64,
    feature: &'static str,
}

/// The limits; null for none.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LimitsView {
    projects: Option<u64>,
    jobs: Option<u64>,
    executors: Option<u64>,
    credentials: Option<u64>,
    executions_per_month: Option<u64>,
    requests_per_second: Option<u64>,
    jobs_per_request: Option<u64>,
}

/// The numbers of the records that an account has.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UsageView {
    projects: u64,
    jobs: u64,
    executors: u64,
    credentials: u64,
    executions: u64,
}

/// The executions of the month.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExecutionCountView {
    id: AccountId,
    account_id: AccountId,
    execution_count: u64,
    limit: Option<u64>,
    used: u64,
    granted: u64,
    next_reset_date: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused_until: Option<String>,
    date_created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_modified: Option<String>,
}

/// The executions that are left after some were granted.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GrantedView {
    new_execution_count: u64,
}

impl AccountFeatureView {
    /// A feature of an account.
    pub(crate) fn of(account: AccountId, feature: Feature) -> Self {
        Self { account_id: account, feature_id: feature.id(), feature: feature.name() }
    }
}

impl From<Limits> for LimitsView {
    fn from(limits: Limits) -> Self {
        Self {
            projects: limits.projects,
            jobs: limits.jobs,
            executors: limits.executors,
            credentials: limits.credentials,
            executions_per_month: limits.executions_per_month,
            requests_per_second: limits.requests_per_second,
            jobs_per_request: limits.jobs_per_request,
        }
    }
}

/// An account as it is shown.
pub(crate) fn view(record: AccountRecord) -> AccountView {
    let AccountRecord { account, created, executions, paused_until } = record;
    let (id, held) = (account.id, account.held);
    AccountView {
        id,
        name: account.name,
        features: account.features.iter().map(|one| AccountFeatureView::of(id, one)).collect(),
        date_created: rfc3339(created),
        date_modified: account.modified.map(rfc3339),
        limits: account.limits.into(),
        usage: UsageView {
            projects: held.projects,
            jobs: held.jobs,
            executors: held.executors,
            credentials: held.credentials,
            executions,
        },
        executions_paused_until: paused_until.map(rfc3339),
        version: account.version,
        created_by: account.created_by,
        modified_by: account.modified_by,
    }
}

impl From<ExecutionCount> for ExecutionCountView {
    fn from(count: ExecutionCount) -> Self {
        let AccountRecord { account, created, executions, paused_until } = count.record;
        Self {
            id: account.id,
            account_id: account.id,
            execution_count: count.left,
            limit: account.limits.executions_per_month,
            used: executions,
            granted: count.granted,
            next_reset_date: rfc3339(count.next_reset),
            paused_until: paused_until.map(rfc3339),
            date_created: rfc3339(created),
            date_modified: account.modified.map(rfc3339),
        }
    }
}

impl From<&ExecutionCount> for GrantedView {
    fn from(count: &ExecutionCount) -> Self {
        Self { new_execution_count: count.left }
    }
}
