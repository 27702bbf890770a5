//! The table of the routes of the audit.

use super::{export, list};
use crate::api::http::action_router::{ActionRouter, get};
use crate::app::Action;

pub(crate) fn router() -> ActionRouter {
    ActionRouter::new()
        .route("/audit", get(Action::AuditRead, list::list_audit))
        .route("/audit/export", get(Action::AuditRead, export::export_audit))
}
