//! Many jobs paused, resumed or deleted at once: those that a filter finds.
//!
//! The jobs are looked up on this node, [`MAX_SCANNED`] at a time whether they match or not, so
//! that no read takes long when few match. They are changed in entries of at most about 1,000. Jobs
//! that are created in the meantime are left alone. A caller that was cut off sends the same
//! request again: all jobs are looked up again, and those that are done already are passed over.
//! With a key a request that came to its end is not carried out again, but answered as before.

use std::sync::Arc;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::{Error, refused};
use crate::app::idempotency::Key;
use crate::app::jobs::validate::refusals::unprocessable;
use crate::app::state::App;
use crate::command::{Command, JobAction, Outcome};
use crate::model::{JobId, Millis};
use crate::store::jobs::{self, Filter, Walked};

/// The most jobs changed by one entry of the log.
const CHUNK: u64 = 1_000;
/// The most jobs that one read looks at.
const MAX_SCANNED: usize = 20_000;
/// The most ids, and the most external ids, that a filter may name.
pub const MOST_NAMED: usize = 10_000;

/// A request to change many jobs.
#[derive(Clone, Debug)]
pub struct BulkInput {
    /// The jobs, checked by [`bulk_filter`].
    pub filter: Filter,
    /// Only counts the jobs.
    pub dry_run: bool,
    /// The name that the caller gives itself.
    pub by: Option<String>,
}

/// The result of a change of many jobs. Answers show it, and the log stores it under the key of its
/// request, in this form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BulkResult {
    /// The number of jobs that the filter finds.
    pub matched: u64,
    /// The number of those that were not so already.
    pub changed: u64,
    /// The jobs were only counted.
    pub dry_run: bool,
}

/// Checks the filter of a request. `all` is how a request says that it means every job.
///
/// # Errors
///
/// `Unprocessable` where the filter finds every job and `all` does not say so, or the other way
/// round. `Invalid` where it names external ids of no project.
pub fn bulk_filter(filter: Filter, all: bool) -> Result<Filter, Error> {
    let narrow = filter != Filter::default();
    if !narrow && !all {
        let message = "filter is empty: name some jobs, or say \"all\": true";
        return Err(unprocessable("filter", message));
    }
    if narrow && all {
        return Err(unprocessable("all", "give a filter or all, not both"));
    }
    let named = [filter.ids.as_ref().map(Vec::len), filter.external_ids.as_ref().map(Vec::len)];
    if named.into_iter().flatten().any(|named| named > MOST_NAMED) {
        let message = format!("filter names too many jobs: give at most {MOST_NAMED}, or a search");
        return Err(unprocessable("filter", message));
    }
    if filter.external_ids.is_some() && filter.project.is_none() {
        // Without a project each name would be looked up in every project.
        let message = "filter.externalIds are names within a project: give filter.projectId too";
        return Err(Error::invalid("projectId", message));
    }
    Ok(filter)
}

/// Checks the end of a pause of many jobs, which must lie in the future.
///
/// # Errors
///
/// `Unprocessable` where it does not.
pub fn bulk_pause_end(until: Millis, now: Millis) -> Result<Millis, Error> {
    if until <= now {
        return Err(unprocessable("until", "until must lie in the future"));
    }
    Ok(until)
}

impl App {
    /// Pauses jobs, up to an instant or until they are resumed.
    ///
    /// # Errors
    ///
    /// `KeyReused` where the key came with another request.
    pub async fn pause_jobs(
        &self,
        actor: &Actor,
        key: Option<Key>,
        input: BulkInput,
        until: Option<Millis>,
    ) -> Result<BulkResult, Error> {
        self.change_jobs(actor, key, input, JobAction::Pause { until }).await
    }

    /// Ends the pauses of jobs.
    ///
    /// # Errors
    ///
    /// As [`App::pause_jobs`].
    pub async fn resume_jobs(
        &self,
        actor: &Actor,
        key: Option<Key>,
        input: BulkInput,
    ) -> Result<BulkResult, Error> {
        self.change_jobs(actor, key, input, JobAction::Resume).await
    }

    /// Deletes jobs.
    ///
    /// # Errors
    ///
    /// As [`App::pause_jobs`].
    pub async fn delete_jobs(
        &self,
        actor: &Actor,
        key: Option<Key>,
        input: BulkInput,
    ) -> Result<BulkResult, Error> {
        self.change_jobs(actor, key, input, JobAction::Delete).await
    }

    async fn change_jobs(
        &self,
        actor: &Actor,
        key: Option<Key>,
        input: BulkInput,
        action: JobAction,
    ) -> Result<BulkResult, Error> {
        authorize(actor, Action::JobsWrite, Resource::of_project(input.filter.project))?;
        let BulkInput { filter, dry_run, by } = input;
        let key = key.filter(|_| !dry_run);
        if let Some(done) = self.replay(actor, key).await? {
            return Ok(done);
        }
        self.linearize().await?;
        let filter = Arc::new(filter);
        let last = self.read(actor, jobs::last_id).await?;
        let mut done = BulkResult { matched: 0, changed: 0, dry_run };
        let mut after = 0;
        loop {
            let filter = Arc::clone(&filter);
            let read =
                move |conn: &Connection| jobs::walk(conn, &filter, (after, last), MAX_SCANNED);
            let Walked { found, on } = self.read(actor, read).await?;
            done.matched += found.len() as u64;
            if !dry_run {
                for jobs in chunks(&found) {
                    let command = Command::ChangeJobs { jobs, action, by: by.clone() };
                    match self.propose(actor, command).await? {
                        Outcome::Changed(n) => done.changed += u64::from(n),
                        other => return Err(refused(other)),
                    }
                }
            }
            match on {
                Some(id) => after = id,
                None => break,
            }
        }
        self.conclude(actor, key, done).await
    }
}

/// Cuts ascending ids into runs of consecutive ones, at most [`CHUNK`] ids in a command.
fn chunks(ids: &[JobId]) -> impl Iterator<Item = Vec<(JobId, u64)>> + '_ {
    ids.chunks(CHUNK as usize).map(|some| {
        let mut runs: Vec<(JobId, u64)> = Vec::new();
        for id in some {
            match runs.last_mut() {
                Some((first, n)) if *first + *n == *id => *n += 1,
                _ => runs.push((*id, 1)),
            }
        }
        runs
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_cut_into_short_lists_of_runs() {
        let ids: Vec<_> = (1..=1_500).chain([2_000, 2_002, 2_003]).collect();
        let cut: Vec<_> = chunks(&ids).collect();
        assert_eq!(cut, [vec![(1, 1_000)], vec![(1_001, 500), (2_000, 1), (2_002, 2)]]);
        assert_eq!(chunks(&[]).count(), 0);
    }
}
