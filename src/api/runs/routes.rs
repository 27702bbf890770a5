//! The routes of runs and of the reports of workers.

use super::{list, report};
use crate::api::http::action_router::{ActionRouter, get, post};
use crate::app::Action;

pub(crate) fn router() -> ActionRouter {
    ActionRouter::new()
        .route("/runs", get(Action::RunsRead, list::list_runs))
        .route("/runs/{id}", get(Action::RunsRead, list::get_run))
        .route("/runs/{id}/cancel", post(Action::RunsReport, report::cancel))
        .route("/runs/{id}/complete", post(Action::RunsReport, report::complete))
        .route("/runs/{id}/fail", post(Action::RunsReport, report::fail))
        .route("/runs/{id}/cancelled", post(Action::RunsReport, report::cancelled))
        .route("/runs/{id}/release", post(Action::RunsReport, report::release))
        .route("/workers/{id}/report", post(Action::RunsReport, report::report_many))
}
