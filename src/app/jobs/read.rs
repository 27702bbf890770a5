//! Reads of jobs: one, a page of those that a filter finds, or the next occurrences of one.

use rusqlite::Connection;

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::jobs::external_id::JobName;
use crate::app::jobs::next_runs::{ScheduleCache, Upcoming};
use crate::app::jobs::record::{JobRecord, Records};
use crate::app::page::{After, Page, PageWriter, Total};
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::model::JobId;
use crate::model::job::Job;
use crate::store::jobs::{self, Filter, Order};

impl App {
    /// Reads a job.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is none.
    pub async fn get_job(&self, actor: &Actor, id: JobId) -> Result<JobRecord, Error> {
        authorize(actor, Action::JobsRead, Resource::Any)?;
        self.load_record(actor, id, ReadPhase::BeforeWrite).await
    }

    /// Reads a job by the name that clients have for it.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is none.
    pub async fn get_job_by_name(&self, actor: &Actor, name: JobName) -> Result<JobRecord, Error> {
        authorize(actor, Action::JobsRead, Resource::Project(name.project))?;
        let (now, retry_max) = (self.now(), self.config.job_execution_retry_max);
        let found = self.read(actor, move |conn| {
            let Some(job) = name.find(conn)? else { return Ok(None) };
            Records::new(conn, now, retry_max)?.record(job).map(Some)
        });
        found.await?.ok_or_else(missing_job)
    }

    /// Writes a page of the jobs that a filter finds.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when it cannot be read in time.
    pub async fn list_jobs<W: PageWriter<JobRecord>>(
        &self,
        actor: &Actor,
        filter: Filter,
        page: Page<Order>,
        mut writer: W,
    ) -> Result<W::Written, Error> {
        authorize(actor, Action::JobsRead, Resource::of_project(filter.project))?;
        let (now, retry_max) = (self.now(), self.config.job_execution_retry_max);
        let written = self.read(actor, move |conn| {
            let total = jobs::count(conn, &filter)?;
            writer.begin(Total { count: total.count, estimated: !total.exact });
            let mut records = Records::new(conn, now, retry_max)?;
            jobs::each(conn, &filter, &page, |job| {
                let after = After { key: page.order_by.key(&job), id: job.id };
                Ok(writer.push(records.record(job)?, after))
            })?;
            Ok(writer.end())
        });
        written.await
    }

    /// Counts the jobs that a filter finds. The number by status is not counted one by one, however
    /// many jobs there are; it may be an estimate where some have a last date.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when it cannot be read in time.
    pub async fn count_jobs(&self, actor: &Actor, filter: Filter) -> Result<Total, Error> {
        authorize(actor, Action::JobsRead, Resource::of_project(filter.project))?;
        let total = self.read(actor, move |conn| jobs::count(conn, &filter)).await?;
        Ok(Total { count: total.count, estimated: !total.exact })
    }

    /// Reads the first occurrences of a job that are yet to come, at most `count`.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such job.
    pub async fn next_runs(
        &self,
        actor: &Actor,
        id: JobId,
        count: usize,
    ) -> Result<Vec<Upcoming>, Error> {
        authorize(actor, Action::JobsRead, Resource::Any)?;
        let (now, retry_max) = (self.now(), self.config.job_execution_retry_max);
        let found = self.read(actor, move |conn| {
            let Some(job) = jobs::get(conn, id)? else { return Ok(None) };
            ScheduleCache::new(conn, now, retry_max).upcoming(&job, count).map(Some)
        });
        found.await?.ok_or_else(missing_job)
    }

    /// Reads a job with its runs, in this phase of a use case.
    pub(in crate::app) async fn load_record(
        &self,
        actor: &Actor,
        id: JobId,
        phase: ReadPhase,
    ) -> Result<JobRecord, Error> {
        let (now, retry_max) = (self.now(), self.config.job_execution_retry_max);
        let found = self.read_at(actor, phase, move |conn| {
            let Some(job) = jobs::get(conn, id)? else { return Ok(None) };
            Records::new(conn, now, retry_max)?.record(job).map(Some)
        });
        found.await?.ok_or_else(missing_job)
    }

    /// Reads a job as it is stored, before it is changed.
    pub(super) async fn load_job(&self, actor: &Actor, id: JobId) -> Result<Job, Error> {
        self.read(actor, move |conn| jobs::get(conn, id)).await?.ok_or_else(missing_job)
    }
}

/// Reads the version of a job.
pub(super) fn version_of(
    id: JobId,
) -> impl Fn(&Connection) -> rusqlite::Result<Option<u64>> + Clone {
    move |conn| Ok(jobs::get(conn, id)?.map(|job| job.version))
}

/// The error where there is no such job, with the original's message.
pub(in crate::app) fn missing_job() -> Error {
    Error::not_found("job cannot be found")
}
