//! `GET /jobs`: a page of the jobs that a filter finds.

use crate::api::http::error::Error;
use crate::api::http::page::cursor;
use crate::api::http::respond;
use crate::api::jobs::validate::policy;
use crate::store::jobs::{Filter, Order};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::api::http::context::RequestContext;
use crate::api::http::page::{ListWriter, Orders};
use crate::api::jobs::view::Views;
use crate::api::state::App;
use crate::model::job::JobStatus;
use crate::store::{After, jobs};

const ORDERS: &Orders<Order> = &[
    ("id", Order::Id),
    ("dateCreated", Order::Id),
    ("dateModified", Order::Modified),
    ("projectId", Order::Project),
    ("status", Order::Status),
];

pub(crate) async fn list_jobs(State(app): App, context: RequestContext) -> Result<Response, Error> {
    let page = context.page_after(ORDERS, &[])?;
    let status = context.text("status").map(status_named).transpose()?;
    let filter = Filter {
        project: context.number("projectId")?,
        status: status.map(|status| (status, app.time.now())),
        labels: context.texts("label").map(label_filter).collect::<Result<_, _>>()?,
        external_id: context.text("externalId").map(str::to_owned),
        ..Filter::default()
    };
    context.apply_consistency(&app.app).await?;
    let (now, casing) = (app.time.now(), context.casing());
    let retry_max = app.config.job_execution_retry_max;
    let body = app.read(move |conn| {
        let total = jobs::count(conn, &filter)?;
        let mut list = ListWriter::new("jobs", &page, (total, false), casing);
        let mut views = Views::new(conn, now, retry_max)?;
        jobs::each(conn, &filter, &page, |job| {
            let after = After { key: page.order_by.key(&job), id: job.id };
            Ok(list.push(&views.job(job)?, || Some(cursor(ORDERS, &page.order_by, after))))
        })?;
        Ok(list.end())
    });
    Ok(respond::json(StatusCode::OK, body.await?))
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
    policy::label(key, value).map_err(|error| error.field("label"))?;
    Ok((key.to_owned(), value.to_owned()))
}
