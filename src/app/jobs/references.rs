//! The projects, executors and external ids that the jobs of a request refer to. They are looked up
//! when the request was refused, so that the error names the first job that it is about.

use std::collections::BTreeSet;

use crate::app::actor::Actor;
use crate::app::error::{Error, refused};
use crate::app::state::App;
use crate::command::{NewJob, Outcome, RejectionKind};
use crate::model::ProjectId;
use crate::model::job::JobDefinition;
use crate::store::{executors, jobs, projects};

/// The references of all jobs of a request.
pub(super) struct References {
    projects: Vec<ProjectId>,
    executors: Vec<Option<u64>>,
    externals: Vec<(usize, ProjectId, String)>,
}

impl References {
    pub(super) fn of(definitions: &[JobDefinition], jobs: &[NewJob]) -> Self {
        let definition = |job: &NewJob| &definitions[job.definition as usize];
        let external = |(index, job): (usize, &NewJob)| {
            Some((index, definition(job).project, job.external_id.clone()?))
        };
        Self {
            projects: jobs.iter().map(|job| definition(job).project).collect(),
            executors: jobs.iter().map(|job| definition(job).executor).collect(),
            externals: jobs.iter().enumerate().filter_map(external).collect(),
        }
    }

    /// The error of a refusal. `command::apply` says only that a reference is missing or taken; the
    /// lookup here finds the first job with it.
    pub(super) async fn refusal(&self, app: &App, actor: &Actor, outcome: Outcome) -> Error {
        let Outcome::Rejected(rejection) = outcome else { return refused(outcome) };
        let kind = rejection.kind;
        let error = Error::from(rejection);
        match kind {
            RejectionKind::Invalid => {
                let projects = distinct(self.projects.iter().copied());
                let executors = distinct(self.executors.iter().copied().flatten());
                let missing = app.read(actor, move |conn| {
                    let projects = absent(projects, |id| projects::exists(conn, id))?;
                    let executors =
                        absent(executors, |id| Ok(executors::get(conn, id)?.is_some()))?;
                    Ok((projects, executors))
                });
                // A read that was ended found nothing: then the error names no job.
                let (projects, executors) = missing.await.unwrap_or_default();
                if let Some(i) = self.projects.iter().position(|id| projects.contains(id)) {
                    return error.field("projectId").at(i);
                }
                let wants = |id: &Option<u64>| id.is_some_and(|id| executors.contains(&id));
                match self.executors.iter().position(wants) {
                    Some(i) => error.field("executorId").at(i),
                    None => error,
                }
            }
            RejectionKind::Conflict if !self.externals.is_empty() => {
                let wanted = self.externals.clone();
                let taken = app.read(actor, move |conn| {
                    for (index, project, id) in &wanted {
                        if jobs::id_by_external_id(conn, *project, id)?.is_some() {
                            return Ok(Some(*index));
                        }
                    }
                    Ok(None)
                });
                match taken.await {
                    Ok(Some(index)) => error.field("externalId").at(index),
                    _ => error,
                }
            }
            _ => error,
        }
    }
}

/// The ids that do not exist. An error makes no id absent, since the lookup did not happen.
fn absent(
    ids: Vec<u64>,
    exists: impl Fn(u64) -> rusqlite::Result<bool>,
) -> rusqlite::Result<Vec<u64>> {
    let mut absent = Vec::new();
    for id in ids {
        if !exists(id)? {
            absent.push(id);
        }
    }
    Ok(absent)
}

fn distinct(ids: impl Iterator<Item = u64>) -> Vec<u64> {
    ids.collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_looked_up_is_not_taken_for_absent() {
        let there = |id: u64| Ok(id != 2);
        assert_eq!(absent(vec![1, 2, 3], there), Ok(vec![2]));
        let mut conn = rusqlite::Connection::open_in_memory().unwrap();
        conn.execute_batch(
            "CREATE TABLE projects (id INTEGER PRIMARY KEY); INSERT INTO projects VALUES (1)",
        )
        .unwrap();
        // The read ends from the second lookup on, as one whose time is over.
        let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let asked = std::sync::Arc::clone(&over);
        let ends = move || asked.load(std::sync::atomic::Ordering::Relaxed);
        conn.progress_handler(1, Some(ends)).unwrap();
        let ended = absent(vec![1, 2, 3], |id| {
            over.store(id == 2, std::sync::atomic::Ordering::Relaxed);
            projects::exists(&conn, id)
        });
        let code = ended.unwrap_err().sqlite_error_code();
        assert_eq!(code, Some(rusqlite::ErrorCode::OperationInterrupted));
    }
}
