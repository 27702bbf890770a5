//! From what is due to ready requests: reads the jobs as they are now, leaves out what is not
//! planned any more, and writes bodies of one target each. Runs on a blocking thread within one
//! read of the books; `worker::fire` sends what comes out.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::Connection;

use super::misfire::Ticket;
use super::plan::{Member, Plan};
use super::plans::Plans;
use super::queue::PartKey;
use crate::executor::payload::{self, Chunk, PayloadJob, ShapeText};
use crate::model::job::{Dialect, JobShape, JobStatus};
use crate::model::members::Members;
use crate::model::{JobId, Millis, ProjectId};
use crate::store::jobs::{self, Payload};
use crate::store::{plans as closed, projects};

/// What is due at one instant of one part (or one pending row): what all its requests share.
#[derive(Debug)]
pub(super) struct Head {
    /// The part that fires it.
    pub(super) key: PartKey,
    /// When it was due.
    pub(super) due: Millis,
    /// The scheduled instant.
    pub(super) scheduled: Millis,
    /// 1 for the first attempt.
    pub(super) attempt: u32,
    /// The instant that decides who may send it: `due`, or a row's `next_at`.
    pub(super) gate: Millis,
    /// The pending row and its project.
    pub(super) row: Option<(u64, ProjectId)>,
    /// The plans by which it is due; empty for a row.
    pub(super) plans: Vec<Arc<Plan>>,
    /// What is made up gives its place free with the last piece of it.
    #[expect(dead_code, reason = "held, not read")]
    pub(super) ticket: Option<Ticket>,
}

/// What is due: ascending jobs, each with the number of its plan in the head.
#[derive(Clone, Debug)]
pub(super) struct Work {
    /// What is common.
    pub(super) head: Arc<Head>,
    /// Who.
    pub(super) jobs: Vec<(JobId, u32)>,
}

/// A request, written.
#[derive(Debug)]
pub(super) struct Request {
    /// The project of its jobs.
    pub(super) project: ProjectId,
    /// Where it goes.
    pub(super) url: Arc<str>,
    /// Retries after the first attempt.
    pub(super) retry_max: u32,
    /// The body.
    pub(super) chunk: Chunk,
}

/// What became of a slice of work.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// To be sent.
    pub(super) requests: Vec<Request>,
    /// Jobs that are gone, by project.
    pub(super) ended: Vec<(ProjectId, Members)>,
    /// Jobs that are too large to be sent even alone, by project.
    pub(super) oversized: Vec<(ProjectId, Members)>,
}

impl Work {
    /// The part of it that is about these jobs (ascending).
    pub(super) fn only(&self, ids: &[JobId]) -> Work {
        let keep = |(job, _): &&(JobId, u32)| ids.binary_search(job).is_ok();
        Work {
            head: Arc::clone(&self.head),
            jobs: self.jobs.iter().filter(keep).copied().collect(),
        }
    }

    /// The jobs by plan, as they go back into the queue.
    pub(super) fn by_plan(&self) -> Vec<(Arc<Plan>, Members)> {
        let mut by: Vec<Vec<JobId>> = vec![Vec::new(); self.head.plans.len()];
        for (job, plan) in &self.jobs {
            if let Some(list) = by.get_mut(*plan as usize) {
                list.push(*job);
            }
        }
        let lists = self.head.plans.iter().zip(by).filter(|(_, jobs)| !jobs.is_empty());
        lists.map(|(plan, jobs)| (Arc::clone(plan), Members::from_sorted(jobs))).collect()
    }
}

/// What shapes have in common when their jobs may share a request.
type Target = (ProjectId, String, Dialect, u32);

struct Group {
    target: Target,
    jobs: Vec<(Payload, Arc<ShapeText>, Millis)>,
}

/// What is needed to write requests.
pub(super) struct Desk<'a> {
    /// The books.
    pub(super) conn: &'a Connection,
    /// Shapes and plans.
    pub(super) plans: &'a Plans,
    /// For execution ids.
    pub(super) cluster: u128,
    /// The longest body, in bytes.
    pub(super) max_bytes: usize,
    /// Retries of a shape that names none.
    pub(super) retry_max: u32,
}

impl Desk<'_> {
    /// Writes the requests of a slice.
    pub(super) fn prepare(
        &self,
        head: &Head,
        slice: &[(JobId, u32)],
    ) -> rusqlite::Result<Prepared> {
        let wanted = Members::from_sorted(slice.iter().map(|(job, _)| *job));
        let mut rows = jobs::payloads(self.conn, &wanted)?.into_iter().peekable();
        let mut done = Prepared::default();
        let mut ended: HashMap<ProjectId, Vec<JobId>> = HashMap::new();
        let mut groups: Vec<Group> = Vec::new();
        let mut shapes: HashMap<u64, (usize, Arc<ShapeText>)> = HashMap::new();
        let mut lasts: HashMap<u32, Option<Millis>> = HashMap::new();
        let mut awake: HashMap<ProjectId, bool> = HashMap::new();
        for (job, number) in slice {
            let planned = head.plans.get(*number as usize);
            let Some(row) = rows.next_if(|row| row.id == *job) else {
                let project = head.row.map_or_else(|| planned.map_or(0, |p| p.project), |r| r.1);
                ended.entry(project).or_default().push(*job);
                continue;
            };
            if let Some(plan) = planned
                && !(self.is_planned(plan, &row, head)? && self.is_awake(plan, head, &mut awake)?)
            {
                continue;
            }
            let group = if let Some(found) = shapes.get(&row.shape_id) {
                found.clone()
            } else {
                let Some(shape) = self.plans.shape(self.conn, row.shape_id)? else { continue };
                let found = (self.group(&mut groups, &shape), Arc::new(ShapeText::new(&shape)));
                shapes.entry(row.shape_id).or_insert(found).clone()
            };
            let last = self.last(head, *number, planned, &row, &mut lasts)?;
            groups[group.0].jobs.push((row, group.1, last));
        }
        for (project, jobs) in ended {
            done.ended.push((project, Members::from_sorted(jobs)));
        }
        for group in groups {
            self.write(head, group, &mut done);
        }
        Ok(done)
    }

    fn write(&self, head: &Head, group: Group, done: &mut Prepared) {
        let jobs = group.jobs.iter().map(|(row, shape, last)| PayloadJob {
            id: row.id,
            shape,
            data: &row.data,
            created: row.created,
            last: *last,
        });
        let built = payload::build(self.cluster, head.scheduled, jobs, self.max_bytes);
        let (project, url, _, retry_max) = group.target;
        let url: Arc<str> = url.into();
        for chunk in built.chunks {
            done.requests.push(Request { project, url: Arc::clone(&url), retry_max, chunk });
        }
        if !built.oversized.is_empty() {
            done.oversized.push((project, Members::from_sorted(built.oversized)));
        }
    }

    fn group(&self, groups: &mut Vec<Group>, shape: &JobShape) -> usize {
        let retry_max = shape.retry_max.unwrap_or(self.retry_max);
        let same = |g: &Group| {
            let (project, url, dialect, retries) = &g.target;
            *project == shape.project
                && *url == shape.callback_url
                && *dialect == shape.dialect
                && *retries == retry_max
        };
        groups.iter().position(same).unwrap_or_else(|| {
            let target = (shape.project, shape.callback_url.clone(), shape.dialect, retry_max);
            groups.push(Group { target, jobs: Vec::new() });
            groups.len() - 1
        })
    }

    /// Whether the books, as they are now, still have this occurrence of this job: an edit or a
    /// pause from before it was due may not have reached the queue yet.
    fn is_planned(&self, plan: &Plan, row: &Payload, head: &Head) -> rusqlite::Result<bool> {
        let (job, scheduled, due) = (row.id, head.scheduled, head.due);
        if row.from < due {
            if row.status != JobStatus::Active || row.from >= scheduled {
                return Ok(false);
            }
            if row.shape_id == plan.shape && !plan.is_anchored() {
                return Ok(true);
            }
            let member = Member { job, anchor: row.anchor, after: row.from, until: Millis::MAX };
            if row.shape_id == plan.shape {
                return Ok(plan.is_due(&member, scheduled, due));
            }
            let now = self.plans.plan(self.conn, row.shape_id, job)?;
            return Ok(now.is_some_and(|plan| plan.is_due(&member, scheduled, due)));
        }
        for closed in closed::of_job(self.conn, job)? {
            if closed.from < due && due <= closed.until {
                let (anchor, after, until) = (closed.anchor, closed.from, closed.until);
                let member = Member { job, anchor, after, until };
                let then = self.plans.plan(self.conn, closed.shape_id, job)?;
                let due = then.is_some_and(|plan| plan.is_due(&member, scheduled, due));
                return Ok(closed.active && due);
            }
        }
        Ok(false)
    }

    /// Whether the project, by the books as they are now, is not paused at the due instant.
    fn is_awake(
        &self,
        plan: &Plan,
        head: &Head,
        known: &mut HashMap<ProjectId, bool>,
    ) -> rusqlite::Result<bool> {
        if let Some(awake) = known.get(&plan.project) {
            return Ok(*awake);
        }
        let pauses = projects::pauses(self.conn, plan.project)?;
        let awake = !pauses.iter().any(|pause| pause.covers(head.due));
        known.insert(plan.project, awake);
        Ok(awake)
    }

    /// The planned instant before this one; the job's creation for the first.
    fn last(
        &self,
        head: &Head,
        number: u32,
        planned: Option<&Arc<Plan>>,
        row: &Payload,
        known: &mut HashMap<u32, Option<Millis>>,
    ) -> rusqlite::Result<Millis> {
        let before = match planned {
            Some(plan) if !plan.is_anchored() => *known
                .entry(number)
                .or_insert_with(|| plan.schedule.prev(row.anchor, head.scheduled - 1)),
            Some(plan) => plan.schedule.prev(row.anchor, head.scheduled - 1),
            None => {
                let plan = self.plans.plan(self.conn, row.shape_id, row.id)?;
                plan.and_then(|plan| plan.schedule.prev(row.anchor, head.scheduled - 1))
            }
        };
        Ok(before.unwrap_or(row.created).max(row.created))
    }
}
