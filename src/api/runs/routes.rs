//! The routes of runs.

use super::list;
use crate::api::http::action_router::{ActionRouter, get};
use crate::app::Action;

pub(crate) fn router() -> ActionRouter {
    ActionRouter::new()
        .route("/runs", get(Action::RunsRead, list::list_runs))
        .route("/runs/{id}", get(Action::RunsRead, list::get_run))
}
