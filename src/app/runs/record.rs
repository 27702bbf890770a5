//! One run, as lists and reads show it: made of a pending row, of a run, or of the attempt that was
//! its end.

use rusqlite::Connection;

use super::names::{Queue, RunNames};
use crate::model::attempt::{ResultOrigin, SkipReason, Verdict};
use crate::model::job::Pending;
use crate::model::postponement::parts;
use crate::model::run::{CancelCause, Occurrence, Phase, Run};
use crate::model::run_report::RunState;
use crate::model::run_terms::BusKind;
use crate::model::{Millis, ProjectId};
use crate::store::executions::Execution;
use crate::store::meta;

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRecord {
    /// The cluster's id, which is part of the run's ids.
    pub cluster: u128,
    /// The occurrence.
    pub occurrence: Occurrence,
    /// The project of its job.
    pub project: ProjectId,
    /// The name of its job: the one by which workers know it, else the client's id.
    pub job_name: Option<String>,
    /// The name of the queue whose workers perform it; `None` for a run by HTTP.
    pub queue: Option<String>,
    /// The way in which it comes to a worker; `None` where that is not known.
    pub bus: Option<BusKind>,
    /// Its state.
    pub state: RunState,
    /// Why it was cancelled or skipped, or is to be cancelled, in one word.
    pub reason: Option<&'static str>,
    /// The client that wants it cancelled, while its worker is to stop.
    pub cancelled_by: Option<String>,
    /// The number of the attempt: of the next one while it waits, of the last one at its end.
    pub attempt: u32,
    /// The worker that has it, or that is to stop.
    pub worker: Option<String>,
    /// The instant at which it was due, from which on there is the run.
    pub due: Millis,
    /// The instant at which the attempt began.
    pub started: Option<Millis>,
    /// The instant of its end.
    pub ended: Option<Millis>,
    /// The last sign of life that is known.
    pub heard: Option<Millis>,
    /// Per cent, 0 to 100.
    pub progress: Option<u8>,
    /// The worker's words with that.
    pub message: Option<String>,
    /// The result, in the worker's words.
    pub result: Option<String>,
    /// The error of the last attempt.
    pub error: Option<String>,
    /// The instant of the next attempt, while it waits for one.
    pub next_attempt_at: Option<Millis>,
    /// The instant at which it is given up, cancelled or lost, as things stand.
    pub deadline: Option<Millis>,
    /// `false` where its owner did not say how it is at this moment; `None` where nobody keeps it.
    pub live: Option<bool>,
}

impl RunRecord {
    /// A run of which nothing is known.
    pub(super) fn new(cluster: u128, occurrence: Occurrence) -> Self {
        Self {
            cluster,
            occurrence,
            project: 0,
            job_name: None,
            queue: None,
            bus: None,
            state: RunState::Pending,
            reason: None,
            cancelled_by: None,
            attempt: 1,
            worker: None,
            due: occurrence.scheduled,
            started: None,
            ended: None,
            heard: None,
            progress: None,
            message: None,
            result: None,
            error: None,
            next_attempt_at: None,
            deadline: None,
            live: None,
        }
    }

    /// Tells whether a supervisor keeps it, or will.
    pub(super) fn is_kept(&self) -> bool {
        !self.state.is_end() && self.bus != Some(BusKind::Http)
    }
}

/// Makes records of runs. Names are read once each.
pub(super) struct RunRecords<'c> {
    cluster: u128,
    pub(super) names: RunNames<'c>,
}

impl<'c> RunRecords<'c> {
    pub(super) fn new(conn: &'c Connection) -> rusqlite::Result<Self> {
        let cluster = meta::cluster_id(conn)?.unwrap_or_default();
        Ok(Self { cluster, names: RunNames::new(conn) })
    }

    /// The queue of an occurrence in a row.
    pub(super) fn queue_of_row(
        &mut self,
        of: Occurrence,
        row: &Pending,
    ) -> rusqlite::Result<Option<Queue>> {
        let number = row.on_offer.map(|offer| offer.executor).or(row.queue);
        match number.filter(|number| *number > 0) {
            Some(number) => self.names.queue(number).map(Some),
            None => self.names.queue_of_job(of.job),
        }
    }

    /// The record of an occurrence in a row.
    pub(super) fn of_row(
        &mut self,
        of: Occurrence,
        row: &Pending,
        queue: Option<Queue>,
    ) -> rusqlite::Result<RunRecord> {
        Ok(RunRecord {
            attempt: row.attempt,
            next_attempt_at: row.attempt_at(),
            deadline: row.on_offer.and_then(|offer| offer.expires),
            ..self.plain(of, RunState::of_row(row), (row.project, row.due), queue)?
        })
    }

    /// The record of an occurrence of which nothing is recorded yet: it is due.
    pub(super) fn of_due(&mut self, of: Occurrence, due: Millis) -> rusqlite::Result<RunRecord> {
        let queue = self.names.queue_of_job(of.job)?;
        let project = self.names.project(of.job)?;
        self.plain(of, RunState::Pending, (project, due), queue)
    }

    /// The record of a run.
    pub(super) fn of_run(&mut self, run: &Run) -> rusqlite::Result<RunRecord> {
        let queue = match (run.queue(), run.accepted) {
            (Some(number), _) => Some(self.names.queue(number)?),
            (None, true) => None,
            (None, false) => self.names.queue_of_job(run.occurrence.job)?,
        };
        let place = (run.project, run.due);
        let plain = self.plain(run.occurrence, RunState::of_run(run), place, queue)?;
        let Some(kept) = run.worker.as_deref() else {
            let known = run.accepted;
            return Ok(RunRecord {
                bus: if known { Some(BusKind::Http) } else { plain.bus },
                attempt: run.attempt,
                started: known.then_some(run.started),
                heard: known.then_some(run.heard),
                deadline: run.bounded_by().filter(|_| known),
                ..plain
            });
        };
        let has_begun = match kept.phase {
            Phase::Pending => false,
            Phase::Running => true,
            // A claim is a begin; what was published has begun when a worker said so.
            Phase::Cancelling => kept.terms.bus != BusKind::Rabbitmq || run.started != kept.since,
        };
        let (reason, cancelled_by) = match kept.why.clone() {
            None => (None, None),
            Some(CancelCause::Client { by }) => (Some(SkipReason::Cancelled.name()), by),
            Some(CancelCause::NotStarted) => (Some(SkipReason::NotStarted.name()), None),
            Some(CancelCause::TimedOut) => (Some("timed_out"), None),
        };
        // Heartbeats are not recorded: when it was heard of, its owner says.
        Ok(RunRecord {
            attempt: run.attempt,
            reason,
            cancelled_by,
            bus: Some(kept.terms.bus),
            job_name: Some(kept.terms.name.clone())
                .filter(|name| !name.is_empty())
                .or(plain.job_name),
            worker: Some(kept.worker.clone()).filter(|worker| !worker.is_empty()),
            started: has_begun.then_some(run.started),
            progress: kept.progress,
            message: kept.message.clone(),
            deadline: run.bounded_by(),
            ..plain
        })
    }

    /// The record of an occurrence by the attempt that was its end; `None` for an attempt that was
    /// not.
    pub(super) fn of_end(&mut self, end: &Execution) -> rusqlite::Result<Option<RunRecord>> {
        let Some(state) = RunState::of_end(end.verdict) else { return Ok(None) };
        let of = Occurrence { job: end.job, scheduled: end.scheduled, run: end.run };
        let queue = self.names.queue_of_job(of.job)?;
        let answered = end.origin == ResultOrigin::Answer;
        let skip = match end.verdict {
            Verdict::Skipped(reason) => Some(reason.name()),
            _ => None,
        };
        // What was skipped without a moment's work had not begun.
        let has_begun = skip.is_none() || (!answered && end.duration > 0);
        let over = end.started.saturating_add(end.duration.into());
        let done = end.verdict == Verdict::Delivered;
        let (_, error) = parts(end.error.as_deref());
        Ok(Some(RunRecord {
            reason: skip,
            attempt: end.attempt,
            started: has_begun.then_some(end.started),
            ended: Some(if answered && has_begun { over } else { end.created }),
            result: end.response.clone().filter(|_| done),
            error: error.map(str::to_owned),
            ..self.plain(of, state, (end.project, end.due), queue)?
        }))
    }

    fn plain(
        &mut self,
        occurrence: Occurrence,
        state: RunState,
        (project, due): (ProjectId, Millis),
        queue: Option<Queue>,
    ) -> rusqlite::Result<RunRecord> {
        let job_name = self.names.job(occurrence.job)?;
        let (queue, bus) = match queue {
            Some(queue) => (Some(queue.name), queue.bus),
            // Nobody knows any more who performed a job that was deleted.
            None if self.names.is_gone(occurrence.job)? => (None, None),
            None => (None, Some(BusKind::Http)),
        };
        let blank = RunRecord::new(self.cluster, occurrence);
        Ok(RunRecord { project, job_name, queue, bus, state, due, ..blank })
    }
}
