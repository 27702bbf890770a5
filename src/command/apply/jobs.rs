//! Rules of jobs: what a stamp makes of them, and how an edit closes one plan and opens the next.
//! Called by `apply` alone. No schedule is read here: what apply needs of it (the period) came with
//! the command.

use std::sync::Arc;

use super::stretches::anchor;
use super::{Applied, Entry, Refusal, refuse};
use crate::command::{CreateJobs, JobEdit, Outcome, RejectionKind};
use crate::model::job::{Job, JobShape, JobStatus, Pending};
use crate::model::members::Members;
use crate::model::shard::shard_of;
use crate::model::task::{Task, TaskState};
use crate::model::{JobId, Millis, ProjectId};
use crate::store::jobs::NewRow;
use crate::store::meta::Counter;
use crate::store::{jobs, pending, projects, tasks};

impl Entry<'_, '_> {
    /// Creates jobs with consecutive ids. A request that is known already made its jobs.
    pub(super) fn create_jobs(&mut self, new: &CreateJobs) -> Applied {
        if let Some(task) = tasks::get(self.tx, new.request)? {
            return match task.state {
                TaskState::Succeeded => Ok(Outcome::Jobs { request: new.request, jobs: task.jobs }),
                _ => Err(refuse(
                    RejectionKind::Conflict,
                    "request id belongs to a request that is not finished",
                )),
            };
        }
        let uses = self.checked_uses(new)?;
        let shape_ids = self.acquire_shapes(new, &uses)?;
        let n = new.jobs.len() as u64;
        let first = self.tx.take(Counter::Job, n)?;
        let stamp = self.stamp;
        let anchors: Vec<_> = new.shapes.iter().map(|shape| anchor(shape, stamp)).collect();
        let mut overdue = Vec::new();
        let rows = new.jobs.iter().zip(first..).map(|(job, id)| {
            let shape = job.shape as usize;
            let anchor = job.at.unwrap_or(anchors[shape]);
            if new.shapes[shape].is_one_off() && anchor <= stamp && job.status == JobStatus::Active
            {
                overdue.push((id, new.shapes[shape].project, anchor));
            }
            NewRow {
                id,
                project: new.shapes[shape].project,
                shape_id: shape_ids[shape],
                data: &job.data,
                anchor,
                status: job.status,
                from: job.pause_until.unwrap_or(stamp).max(stamp),
                external_id: job.external_id.as_deref(),
            }
        });
        jobs::insert(self.tx, stamp, rows)?;
        for (id, project, due) in overdue {
            self.due_now(id, project, due)?;
        }
        for (shape, uses) in new.shapes.iter().zip(&uses).filter(|(_, uses)| **uses > 0) {
            projects::add_jobs(self.tx, shape.project, *uses as i64)?;
        }
        let task = Task {
            id: self.tx.take(Counter::Task, 1)?,
            request: new.request,
            state: TaskState::Succeeded,
            jobs: vec![(first, n)],
            created: stamp,
        };
        tasks::insert(self.tx, &task, 0)?;
        self.change.created.push((first, n));
        Ok(Outcome::Jobs { request: new.request, jobs: task.jobs })
    }

    /// How many of the jobs use each shape. Refuses what cannot be created.
    pub(super) fn checked_uses(&self, new: &CreateJobs) -> Result<Vec<u64>, Refusal> {
        if new.jobs.is_empty() {
            return Err(refuse(RejectionKind::Invalid, "jobs is empty: name at least one job"));
        }
        let mut uses = vec![0; new.shapes.len()];
        for job in &new.jobs {
            let Some(n) = uses.get_mut(job.shape as usize) else {
                let message = format!("jobs refer to shape {}, which is not there", job.shape);
                return Err(refuse(RejectionKind::Invalid, message));
            };
            *n += 1;
        }
        let mut last = None;
        for (shape, _) in new.shapes.iter().zip(&uses).filter(|(_, uses)| **uses > 0) {
            if last != Some(shape.project) {
                self.project_exists(shape.project)?;
                last = Some(shape.project);
            }
            if let Some(executor) = shape.executor {
                self.executor_exists(executor)?;
            }
        }
        Ok(uses)
    }

    /// The numbers of the shapes that are used; 0 for the others.
    pub(super) fn acquire_shapes(
        &mut self,
        new: &CreateJobs,
        uses: &[u64],
    ) -> Result<Vec<u64>, Refusal> {
        let mut ids = vec![0; new.shapes.len()];
        for (i, shape) in new.shapes.iter().enumerate().filter(|(i, _)| uses[*i] > 0) {
            ids[i] = self.tx.acquire_shape(shape, uses[i])?;
        }
        Ok(ids)
    }

    /// Replaces a job's definition. What fell due up to the stamp stands; a plan is closed only if
    /// what fires when has changed.
    pub(super) fn update_job(&mut self, edit: &JobEdit) -> Applied {
        let old = self.job(edit.id)?;
        if edit.shape.project != old.shape.project {
            self.project_exists(edit.shape.project)?;
        }
        if let Some(executor) = edit.shape.executor.filter(|id| old.shape.executor != Some(*id)) {
            self.executor_exists(executor)?;
        }
        let same_phase =
            (&old.shape.spec, old.shape.period) == (&edit.shape.spec, edit.shape.period);
        let same_plan =
            same_phase && old.status == edit.status && bounds(&old.shape) == bounds(&edit.shape);
        let shape_id = self.tx.acquire_shape(&edit.shape, 1)?;
        let new = Job {
            shape_id,
            shape: Arc::new(edit.shape.clone()),
            data: edit.data.clone(),
            anchor: if same_phase { old.anchor } else { anchor(&edit.shape, self.stamp) },
            from: if same_plan { old.from } else { self.stamp },
            status: edit.status,
            modified: Some(self.stamp),
            modified_by: edit.by.clone(),
            external_id: edit.external_id.clone(),
            version: old.version + 1,
            ..old.clone()
        };
        if !same_plan {
            self.end_stretch(&old)?;
        }
        self.tx.release_shape(old.shape_id, 1)?;
        jobs::update(self.tx, &new)?;
        if old.shape.project != new.shape.project {
            projects::add_jobs(self.tx, old.shape.project, -1)?;
            projects::add_jobs(self.tx, new.shape.project, 1)?;
        }
        self.change.edited.push(edit.id);
        Ok(Outcome::Done)
    }

    /// A one-off that is due at its stamp or before goes out at once: its plan begins too late.
    fn due_now(&mut self, id: JobId, project: ProjectId, due: Millis) -> Result<(), Refusal> {
        let row = Pending {
            id: self.tx.take(Counter::Pending, 1)?,
            shard: shard_of(id),
            project,
            due,
            scheduled: due,
            attempt: 1,
            next_at: self.stamp,
            members: Members::from_sorted([id]),
            run: 0,
            base: 0,
            forced: false,
        };
        pending::insert(self.tx, &row)?;
        self.pending_changed(row.shard);
        Ok(())
    }
}

/// What else than spec and period decides which instants are a job's.
fn bounds(shape: &JobShape) -> (&str, crate::schedule::DstRule, Option<Millis>, Option<Millis>) {
    (&shape.timezone, shape.dst, shape.start, shape.end)
}
