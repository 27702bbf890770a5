//! Executions: the attempts of all jobs as a list. One occurrence with all its attempts is in
//! `execution`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::Connection;

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::jobs::next_runs::ScheduleCache;
use crate::app::page::{After, Page, PageWriter, Total};
use crate::app::state::App;
use crate::model::attempt::occurrence_id;
use crate::model::job::Job;
use crate::model::run::Occurrence;
use crate::model::{JobId, Millis};
use crate::store::executions::{self, Execution, Filter};
use crate::store::{jobs, meta};

/// An attempt, and what follows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutionRecord {
    /// The attempt.
    pub execution: Execution,
    /// The execution id, which all attempts of an occurrence share.
    pub execution_id: String,
    /// The client's own id of the job, if it has one and the job is still there.
    pub job_name: Option<String>,
    /// The next run of the job after it.
    pub next: Option<Millis>,
}

/// Makes records of attempts. It reads the job of each once.
pub(in crate::app) struct ExecutionRecords<'c> {
    conn: &'c Connection,
    cluster: u128,
    schedules: ScheduleCache<'c>,
    jobs: HashMap<JobId, Option<Job>>,
}

impl<'c> ExecutionRecords<'c> {
    pub(in crate::app) fn at(conn: &'c Connection, now: Millis) -> rusqlite::Result<Self> {
        let cluster = meta::cluster_id(conn)?.unwrap_or_default();
        let schedules = ScheduleCache::new(conn, now, 0);
        Ok(Self { conn, cluster, schedules, jobs: HashMap::new() })
    }

    /// The record of an attempt.
    pub(in crate::app) fn of(&mut self, execution: Execution) -> rusqlite::Result<ExecutionRecord> {
        let job = match self.jobs.entry(execution.job) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(jobs::get(self.conn, execution.job)?),
        };
        let next = job.as_ref().map_or(Ok(None), |job| self.schedules.next(job, execution.due))?;
        let job_name = job.as_ref().and_then(|job| job.external_id.clone());
        let Execution { job, scheduled, run, .. } = execution;
        let execution_id = occurrence_id(self.cluster, Occurrence { job, scheduled, run });
        Ok(ExecutionRecord { execution, execution_id, job_name, next: next.map(|next| next.0) })
    }
}

impl App {
    /// Writes a page of the attempts that match, in the order in which they were due. The place of
    /// a record has its due instant and its id.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when it cannot be read in time.
    pub async fn list_executions<W: PageWriter<ExecutionRecord>>(
        &self,
        actor: &Actor,
        filter: Filter,
        page: Page<()>,
        mut writer: W,
    ) -> Result<W::Written, Error> {
        authorize(actor, Action::HistoryRead, Resource::Any)?;
        let now = self.now();
        let written = self.read(actor, move |conn| {
            let Page { limit, offset, descending, .. } = page;
            let (total, found) = executions::list(conn, &filter, limit, offset, descending)?;
            writer.begin(Total { count: total.count, estimated: !total.exact });
            let mut records = ExecutionRecords::at(conn, now)?;
            for execution in found {
                let after = After { key: Some(execution.due), id: execution.id };
                if !writer.push(records.of(execution)?, after) {
                    break;
                }
            }
            Ok(writer.end())
        });
        written.await
    }
}
