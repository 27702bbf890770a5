//! `GET /jobs`: a page of the jobs that a filter finds.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::page::{ListPage, Orders};
use crate::api::http::respond;
use crate::api::jobs::view::JobView;
use crate::api::state::ApiState;
use crate::app::jobs::{Filter, Order, check_label, check_label_count};
use crate::model::job::JobStatus;

const ORDERS: &Orders<Order> = &[
    ("id", Order::Id),
    ("dateCreated", Order::Id),
    ("dateModified", Order::Modified),
    ("projectId", Order::Project),
    ("status", Order::Status),
];

pub(crate) async fn list_jobs(
    State(state): ApiState,
    context: RequestContext,
) -> Result<Response, Error> {
    let app = &state.app;
    let page = context.page_after(ORDERS, &[])?;
    let status = context.text("status").map(status_named).transpose()?;
    check_label_count("label", context.texts("label").count())?;
    let filter = Filter {
        project: context.number("projectId")?,
        status: status.map(|status| (status, app.now())),
        labels: context.texts("label").map(label_filter).collect::<Result<_, _>>()?,
        external_id: context.text("externalId").map(str::to_owned),
        ..Filter::default()
    };
    context.apply_consistency(app).await?;
    let shown_by = Arc::clone(app);
    let view = move |record| JobView::of(record, &shown_by);
    let list = ListPage::new("jobs", ORDERS, &[], page, context.casing(), view);
    let body = app.list_jobs(&context.actor, filter, page, list).await?;
    Ok(respond::json(StatusCode::OK, body))
}

/// The status of a name.
pub(crate) fn status_named(name: &str) -> Result<JobStatus, Error> {
    use JobStatus::{Active, Completed, Disabled, Inactive};
    let found = [Active, Inactive, Completed, Disabled].into_iter().find(|s| s.name() == name);
    found.ok_or_else(|| {
        let message = "status must be active, inactive, completed or disabled";
        Error::invalid("status", message)
    })
}

/// Reads a label of a filter, `key=value`.
fn label_filter(text: &str) -> Result<(String, String), Error> {
    let bad = || Error::invalid("label", "label must be a key and a value, such as label=team=a");
    let (key, value) = text.split_once('=').ok_or_else(bad)?;
    check_label(key, value).map_err(|error| error.field("label"))?;
    Ok((key.to_owned(), value.to_owned()))
}
