//! The runs that a list is asked for.

use super::record::RunRecord;
use crate::app::error::Error;
use crate::model::run_report::RunState;
use crate::model::{JobId, Millis, ProjectId};

/// The runs that match every field that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Those in one of these states; none means those that are not over.
    pub states: Vec<RunState>,
    /// Those of a job.
    pub job: Option<JobId>,
    /// Those of a project's jobs.
    pub project: Option<ProjectId>,
    /// Those of a queue, by its name.
    pub queue: Option<String>,
    /// Those that a worker has.
    pub worker: Option<String>,
    /// Those that were due before this instant.
    pub created_before: Option<Millis>,
    /// Those that began before this instant.
    pub started_before: Option<Millis>,
    /// Those whose worker was not heard of since this instant.
    pub heartbeat_before: Option<Millis>,
}

impl RunFilter {
    /// Checks that the fields can be asked for together.
    ///
    /// # Errors
    ///
    /// `Invalid`, which names the field that does not fit the others.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.states.contains(&RunState::Skipped) && self.job.is_none() {
            let message = "state skipped needs a jobId: what was not to be performed is listed by \
                           job, and for all jobs by GET /executions?state=skipped";
            return Err(Error::invalid("state", message));
        }
        let of_open = if self.worker.is_some() {
            Some("worker")
        } else {
            self.heartbeat_before.map(|_| "heartbeatBefore")
        };
        if let Some(field) = of_open.filter(|_| self.wants_ended()) {
            let message = format!(
                "{field} is known of runs that are under way only: leave it out, or ask for states \
                 that are no end"
            );
            return Err(Error::invalid(field, message));
        }
        Ok(())
    }

    /// Tells whether runs that are not over may match.
    pub(super) fn wants_open(&self) -> bool {
        self.states.is_empty() || self.states.iter().any(|state| !state.is_end())
    }

    /// Tells whether runs that are over may match.
    pub(super) fn wants_ended(&self) -> bool {
        self.states.iter().any(|state| state.is_end())
    }

    /// Tells whether a state matches.
    pub(super) fn wants(&self, state: RunState) -> bool {
        if self.states.is_empty() { !state.is_end() } else { self.states.contains(&state) }
    }

    /// Tells whether a run matches, but for its queue, or may once its owner has said when it was
    /// heard of.
    pub(super) fn may_match(&self, run: &RunRecord) -> bool {
        let is_unheard = run.heard.is_none() && run.started.is_some() && run.is_kept();
        self.matches_recorded(run) && (is_unheard || self.matches_heartbeat(run))
    }

    /// Tells whether a run matches, but for its queue. One of which nobody has said when it was
    /// heard of matches no bound of that.
    pub(super) fn matches(&self, run: &RunRecord) -> bool {
        self.matches_recorded(run) && self.matches_heartbeat(run)
    }

    fn matches_heartbeat(&self, run: &RunRecord) -> bool {
        self.heartbeat_before.is_none_or(|bound| run.heard.is_some_and(|at| at < bound))
    }

    fn matches_recorded(&self, run: &RunRecord) -> bool {
        let before = |bound: Option<Millis>, at: Option<Millis>| {
            bound.is_none_or(|bound| at.is_some_and(|at| at < bound))
        };
        self.wants(run.state)
            && self.job.is_none_or(|job| run.occurrence.job == job)
            && self.project.is_none_or(|project| run.project == project)
            && self.worker.as_ref().is_none_or(|worker| run.worker.as_ref() == Some(worker))
            && before(self.created_before, Some(run.due))
            && before(self.started_before, run.started)
    }
}
