//! A job as use cases give it: the stored fields, and the runs that follow from its schedule at the
//! moment of asking. It is made on the thread that reads the store.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use rusqlite::Connection;

use crate::app::jobs::next_runs::ScheduleCache;
use crate::model::Millis;
use crate::model::attempt::execution_id;
use crate::model::job::{Job, JobDefinition, JobStatus};
use crate::model::template_ref::TemplateRef;
use crate::store::{executors, meta, templates};

/// A job at one instant. All instants are in milliseconds since 1970.
#[derive(Clone, Debug)]
pub struct JobRecord {
    /// The stored job.
    pub job: Job,
    /// The kind of its target, where that is its own or its executor's settings. Other targets are
    /// called over HTTP.
    pub kind: Option<Arc<str>>,
    /// The template that made it.
    pub template: Option<TemplateLink>,
    /// Its status: a job that is paused up to a later instant is inactive, and a recurring job that
    /// has no occurrence left is completed.
    pub status: JobStatus,
    /// The end of its pause.
    pub paused_until: Option<Millis>,
    /// Its own number of retries, or else the default of its project.
    pub retry_max: u32,
    /// Seconds east of UTC of its zone.
    pub timezone_offset: i32,
    /// Its last planned instant that has passed.
    pub last: Option<Millis>,
    /// The execution id of the occurrence at `last`.
    pub last_execution_id: Option<String>,
    /// Its next planned instant.
    pub next: Option<Millis>,
    /// The instant at which the next occurrence is due, where jitter may make that another one.
    pub next_due: Option<Millis>,
}

/// The template of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateLink {
    /// The template, and its version that made the job.
    pub of: TemplateRef,
    /// Its type; `None` where it was deleted.
    pub kind: Option<Arc<str>>,
}

/// Makes records of jobs, all at the same instant.
pub(in crate::app) struct Records<'c> {
    cluster: u128,
    now: Millis,
    schedules: ScheduleCache<'c>,
    conn: &'c Connection,
    /// The kinds of the executors that jobs went to.
    kinds: HashMap<u64, Option<Arc<str>>>,
    /// The types of the templates that jobs were made by.
    templates: HashMap<u64, Option<Arc<str>>>,
}

impl<'c> Records<'c> {
    /// Records as of now. `retry_max` is the configuration's, for jobs that have none of their own.
    pub(in crate::app) fn new(
        conn: &'c Connection,
        now: Millis,
        retry_max: u32,
    ) -> rusqlite::Result<Self> {
        let cluster = meta::cluster_id(conn)?.unwrap_or_default();
        let schedules = ScheduleCache::new(conn, now, retry_max);
        let (kinds, templates) = (HashMap::new(), HashMap::new());
        Ok(Self { cluster, now, schedules, conn, kinds, templates })
    }

    /// The record of a job.
    pub(in crate::app) fn record(&mut self, job: Job) -> rusqlite::Result<JobRecord> {
        let kind = self.kind(&job.definition)?;
        let template = self.template(&job.definition)?;
        let last = self.schedules.last(&job)?;
        let (next, due) = self.schedules.next(&job, self.now)?.unzip();
        let next_due = due.filter(|due| next != Some(*due) || job.definition.jitter > 0);
        let retry_max = match job.definition.retry_max {
            Some(own) => own,
            None => self.schedules.project(job.definition.project)?.retry_max,
        };
        let timezone_offset = self.schedules.offset(job.definition_id, &job.definition);
        // A paused job fires again by itself, but not now.
        let (status, paused_until) = if self.schedules.is_over(&job)? {
            (JobStatus::Completed, None)
        } else {
            (job.status_at(self.now), job.paused_until(self.now))
        };
        let last_execution_id = last.map(|last| execution_id(self.cluster, job.id, last));
        Ok(JobRecord {
            job,
            kind,
            template,
            status,
            paused_until,
            retry_max,
            timezone_offset,
            last,
            last_execution_id,
            next,
            next_due,
        })
    }

    /// The template of an instance. Its type is read once.
    fn template(&mut self, definition: &JobDefinition) -> rusqlite::Result<Option<TemplateLink>> {
        let Some(of) = definition.template else { return Ok(None) };
        let kind = match self.templates.entry(of.id) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(place) => {
                let template = templates::get(self.conn, of.id)?;
                place.insert(template.map(|template| template.kind.into())).clone()
            }
        };
        Ok(Some(TemplateLink { of, kind }))
    }

    /// The kind of the target of a definition, where that has settings. An executor is read once.
    fn kind(&mut self, definition: &JobDefinition) -> rusqlite::Result<Option<Arc<str>>> {
        if let Some(own) = &definition.target {
            return Ok(Some(own.kind.as_str().into()));
        }
        let Some(id) = definition.executor else { return Ok(None) };
        if let Some(known) = self.kinds.get(&id) {
            return Ok(known.clone());
        }
        let executor = executors::get(self.conn, id)?;
        let with_settings = executor.filter(|executor| executor.settings.is_some());
        let kind = with_settings.map(|executor| Arc::from(executor.kind));
        self.kinds.insert(id, kind.clone());
        Ok(kind)
    }
}
