//! Rules of large requests: chunks of jobs are staged, invisible, until one entry turns all of them
//! into jobs.

use std::collections::BTreeMap;

use super::entry::{Applied, Entry, Refusal, one_of, refuse};
use super::jobs::external_id_taken;
use super::plan_intervals::{
    OneOffInstant, PlanInterval, delay, lapses_at, next_whole_second, plan_state, whole_seconds,
};
use crate::command::{CreateJobs, Outcome, REACH_LEVEL, RejectionKind};
use crate::model::event::TemplateMark;
use crate::model::reach::sorted;
use crate::model::task::{Task, TaskState};
use crate::model::{JobId, Millis, ProjectId};
use crate::store::jobs::JobRow;
use crate::store::meta::{self, Sequence};
use crate::store::staged::StagedRow;
use crate::store::{staged, tasks};

/// The age of a task in milliseconds after which its proposer has abandoned it, if it is neither
/// activated nor discarded.
const ABANDONED: Millis = 3_600_000;

impl Entry<'_, '_> {
    /// Adds a chunk to a task; the first chunk creates the task.
    pub(super) fn stage_jobs(&mut self, new: &CreateJobs) -> Applied {
        let known = tasks::get(self.tx, new.request)?;
        if known.as_ref().is_some_and(|task| task.state != TaskState::InProgress) {
            return Err(refuse(RejectionKind::Conflict, "request id belongs to a finished task"));
        }
        if new.definitions.iter().any(|definition| definition.template.is_some()) {
            let message = "instances of templates are made one by one";
            return Err(refuse(RejectionKind::Invalid, message));
        }
        let uses = self.checked_uses(new, known.as_ref().map(|task| task.id))?;
        let before = match &known {
            Some(task) => tasks::staged(self.tx, task.id)?,
            None => 0,
        };
        // Whether all of its jobs together are within the limits is judged when it is activated.
        self.jobs_may_come(new, &uses, before)?;
        let definition_ids = self.acquire_definitions(new, &uses)?;
        let projects = self.kept_projects(new, &uses)?;
        let task = if let Some(task) = known {
            self.add_projects(task.id, projects)?;
            task.id
        } else {
            let id = self.tx.take(Sequence::Task, 1)?;
            let state = TaskState::InProgress;
            let request = new.request;
            let task = Task { id, request, state, jobs: Vec::new(), created: self.stamp };
            tasks::insert(self.tx, &task, 0, projects.as_deref())?;
            id
        };
        let rows = new.jobs.iter().zip(before..).map(|(job, seq)| {
            let place = job.definition as usize;
            let definition = &new.definitions[place];
            let at = job.at.filter(|_| definition.is_one_off());
            StagedRow {
                seq,
                project: definition.project,
                definition_id: definition_ids[place],
                whole_seconds: whole_seconds(definition),
                status: job.status,
                data: &job.data,
                at,
                delay: delay(definition).filter(|_| at.is_none()),
                pause_until: job.pause_until,
                external_id: job.external_id.as_deref(),
                labelled: !definition.labels.is_empty(),
            }
        });
        staged::insert(self.tx, task, rows)?;
        tasks::set_staged(self.tx, task, before + new.jobs.len() as u64)?;
        Ok(Outcome::Jobs { request: new.request, jobs: Vec::new() })
    }

    /// The projects of new jobs, ascending, as their task keeps them; `None` below the level that
    /// does.
    pub(super) fn kept_projects(
        &self,
        new: &CreateJobs,
        uses: &[u64],
    ) -> Result<Option<Vec<ProjectId>>, Refusal> {
        if meta::level(self.tx)? < REACH_LEVEL {
            return Ok(None);
        }
        let named = new.definitions.iter().zip(uses).filter(|(_, uses)| **uses > 0);
        Ok(Some(sorted(named.map(|(definition, _)| definition.project).collect())))
    }

    /// Adds to the projects that a task keeps.
    fn add_projects(&mut self, task: u64, more: Option<Vec<ProjectId>>) -> Result<(), Refusal> {
        let (Some(more), Some(mut all)) = (more, tasks::projects(self.tx, task)?) else {
            return Ok(());
        };
        if more.iter().any(|id| !all.contains(id)) {
            all.extend(more);
            tasks::set_projects(self.tx, task, &sorted(all))?;
        }
        Ok(())
    }

    /// Turns a task's staged jobs into jobs, created at the stamp. A repetition has the same
    /// outcome.
    pub(super) fn activate_jobs(&mut self, request: u128) -> Applied {
        let task = self.task(request)?;
        match task.state {
            TaskState::Succeeded => {
                self.notes.repeated();
                return Ok(Outcome::Jobs { request, jobs: task.jobs });
            }
            TaskState::Failed => {
                return Err(refuse(RejectionKind::Conflict, "task was given up: send it again"));
            }
            TaskState::NotStarted | TaskState::InProgress => {}
        }
        let by_status = staged::by_status(self.tx, task.id)?;
        let mut by_project: BTreeMap<ProjectId, i64> = BTreeMap::new();
        for (project, _, n) in &by_status {
            *by_project.entry(*project).or_default() += *n as i64;
        }
        for project in by_project.keys() {
            self.project_exists(*project)?;
        }
        self.jobs_within_limits(by_project.iter().map(|(project, n)| (*project, *n as u64)))?;
        if let Some((project, id)) = staged::taken_external_id(self.tx, task.id)? {
            return Err(external_id_taken(project, &id));
        }
        let n = tasks::staged(self.tx, task.id)?;
        let first = self.tx.take(Sequence::Job, n)?;
        let whole_second = next_whole_second(self.stamp);
        staged::activate(self.tx, task.id, &by_status, first, self.stamp, whole_second)?;
        self.activate_special(task.id, first)?;
        staged::discard(self.tx, task.id)?;
        for (project, n) in &by_project {
            self.count_jobs(*project, *n)?;
        }
        let jobs = vec![(first, n)];
        tasks::finish(self.tx, task.id, TaskState::Succeeded, &jobs)?;
        for project in by_project.keys() {
            self.notes.project(*project);
        }
        let project = one_of(by_project.into_keys());
        self.created(project, TemplateMark::NoTemplate, (first, n));
        Ok(Outcome::Jobs { request, jobs })
    }

    /// Turns the special staged jobs into jobs: one-offs, and those that begin with a pause.
    fn activate_special(&mut self, task: u64, first: JobId) -> Result<(), Refusal> {
        let (stamp, whole_second) = (self.stamp, next_whole_second(self.stamp));
        let mut intervals = Vec::new();
        for row in staged::special(self.tx, task)? {
            let base = if row.whole_seconds { whole_second } else { stamp };
            let instant = row.at.or_else(|| row.delay.map(|delay| base + delay));
            let (id, anchor) = (first + row.seq, instant.unwrap_or(base));
            let ahead = match instant {
                Some(at) if row.pause_until.is_some() => {
                    Some(OneOffInstant::new(id, &self.tx.definition(row.definition_id)?, at, stamp))
                }
                // Without the end of a pause nothing depends on its due instant.
                at => at.map(|at| OneOffInstant { at, due: at, held: false }),
            };
            let state = plan_state(ahead, stamp, row.status, row.pause_until);
            let job = JobRow {
                id,
                definition_id: row.definition_id,
                created: stamp,
                anchor,
                from: state.from,
                status: state.status,
            };
            let lapses_at = match instant {
                Some(at) if !state.status.fires() => {
                    let definition = self.tx.definition(row.definition_id)?;
                    lapses_at(id, &definition, at, (state.status, state.from))
                }
                _ => None,
            };
            staged::activate_one(self.tx, task, &row, &job, lapses_at)?;
            intervals.push(PlanInterval {
                id,
                project: row.project,
                definition_id: row.definition_id,
                anchor,
                state,
            });
        }
        self.begin_intervals(&intervals)
    }

    /// Drops a task's staged jobs. A repetition changes nothing.
    pub(super) fn discard_jobs(&mut self, request: u128) -> Applied {
        let task = self.task(request)?;
        match task.state {
            TaskState::Succeeded => Err(refuse(
                RejectionKind::Conflict,
                "task has created its jobs already: delete them instead",
            )),
            TaskState::Failed => Ok(Outcome::Done),
            TaskState::NotStarted | TaskState::InProgress => self.fail_task(task.id),
        }
    }

    /// Fails the oldest task that its proposer has abandoned, if there is one.
    pub(super) fn fail_abandoned_task(&mut self) -> Applied {
        match tasks::abandoned(self.tx, self.stamp - ABANDONED)? {
            Some(task) => self.fail_task(task),
            None => Ok(Outcome::Done),
        }
    }

    fn fail_task(&mut self, task: u64) -> Applied {
        for (definition, uses) in staged::by_definition(self.tx, task)? {
            self.tx.release_definition(definition, uses)?;
        }
        staged::discard(self.tx, task)?;
        tasks::finish(self.tx, task, TaskState::Failed, &[])?;
        Ok(Outcome::Done)
    }

    fn task(&self, request: u128) -> Result<Task, Refusal> {
        tasks::get(self.tx, request)?
            .ok_or_else(|| refuse(RejectionKind::NotFound, "task does not exist"))
    }
}
