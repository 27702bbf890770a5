//! What use cases ask about the reach of their actor, where they look at more than the store: the
//! memory of supervisors, or of the node. Reads of the store are limited by themselves.

use std::collections::HashSet;

use rusqlite::Connection;

use crate::app::actor::Actor;
use crate::app::error::Error;
use crate::app::state::App;
use crate::model::claim::ReportNotice;
use crate::model::members::Members;
use crate::model::run::Occurrence;
use crate::model::shard::shard_of;
use crate::model::{FIRST_ACCOUNT, ProjectId};
use crate::store::{jobs, pending, projects, runs};

impl App {
    /// Says whether anything may be out of reach of an actor. A key that reaches all of the only
    /// account is not limited.
    pub(in crate::app) fn is_limited(&self, actor: &Actor) -> bool {
        let reach = actor.reach();
        let is_first = reach.account().is_none_or(|account| account == FIRST_ACCOUNT);
        let whole = reach.reaches_all_projects() && is_first;
        !reach.is_all() && (!whole || self.cluster.has_other_accounts())
    }

    /// Those of some occurrences that an actor reaches.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when they cannot be read in time.
    pub(in crate::app) async fn reached_occurrences(
        &self,
        actor: &Actor,
        all: Vec<Occurrence>,
    ) -> Result<HashSet<Occurrence>, Error> {
        self.read(actor, move |conn| {
            let mut found = HashSet::new();
            for of in all {
                let in_reach = jobs::project_of(conn, of.job)?.is_some()
                    || runs::get(conn, of)?.is_some()
                    || has_row(conn, of)?;
                if in_reach {
                    found.insert(of);
                }
            }
            Ok(found)
        })
        .await
    }

    /// The words for supervisors that are about what an actor reaches.
    pub(in crate::app) async fn reached_notices(
        &self,
        actor: &Actor,
        mut notices: Vec<ReportNotice>,
    ) -> Vec<ReportNotice> {
        if self.is_limited(actor) {
            let all = notices.iter().map(|notice| notice.occurrence).collect();
            // A supervisor does without those that cannot be looked up.
            let reached = self.reached_occurrences(actor, all).await.unwrap_or_default();
            notices.retain(|notice| reached.contains(&notice.occurrence));
        }
        notices
    }

    /// The projects that an actor reaches, ascending; `None` where nothing is out of its reach.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when they cannot be read in time.
    pub(in crate::app) async fn reached_projects(
        &self,
        actor: &Actor,
    ) -> Result<Option<Vec<ProjectId>>, Error> {
        if !self.is_limited(actor) {
            return Ok(None);
        }
        self.read(actor, projects::ids).await.map(Some)
    }
}

/// Refuses an actor that is bound to projects: what it asks for is of all of them.
pub(in crate::app) fn reaches_all_projects(actor: &Actor, what: &str) -> Result<(), Error> {
    let reach = actor.reach();
    if reach.reaches_all_projects() {
        return Ok(());
    }
    Err(Error::forbidden(format!(
        "this api key is bound to {reach} and cannot {what}: use a key without projects"
    )))
}

fn has_row(conn: &Connection, of: Occurrence) -> rusqlite::Result<bool> {
    let member = Members::from_sorted([of.job]);
    let rows = pending::at_occurrence(conn, shard_of(of.job), of.scheduled, of.run, &member)?;
    Ok(rows.iter().any(|row| row.members.contains(of.job)))
}
