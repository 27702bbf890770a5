//! Pages of the audit, newest rows first. A page looks at a bounded number of rows, however few of
//! them match, and names the row where the next one goes on.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::state::App;
use crate::model::audit::AuditRow;
use crate::store::audit::{self, Filter};

/// The most rows that a page looks at.
pub const MAX_SCANNED: usize = 20_000;

/// A page of the audit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// The rows that match.
    pub rows: Vec<AuditRow>,
    /// The row that was looked at last, where the next page goes on; `None` at the end. A page may
    /// have few rows, or none, and still go on.
    pub next: Option<u64>,
}

impl App {
    /// Reads a page of the audit: at most `limit` rows that match, behind the row `after`.
    ///
    /// # Errors
    ///
    /// `MissingScopes` without `audit:read`; `TooSlow` or `Busy` when it cannot be read in time.
    pub async fn list_audit(
        &self,
        actor: &Actor,
        filter: Filter,
        after: Option<u64>,
        limit: usize,
    ) -> Result<AuditPage, Error> {
        authorize(actor, Action::AuditRead, Resource::of_project(filter.project))?;
        let read =
            self.read(actor, move |conn| audit::walk(conn, &filter, after, (limit, MAX_SCANNED)));
        let walked = read.await?;
        Ok(AuditPage { rows: walked.found, next: walked.on })
    }
}
