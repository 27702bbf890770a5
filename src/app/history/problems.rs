//! What fails, in groups: the occurrences that were given up within a day, and the attempts that
//! failed within an hour, by project and target. The newest ones are looked at, up to a bound, and
//! the result says when there are more.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::jobs::Labels;
use crate::app::state::App;
use crate::model::attempt::{Verdict, occurrence_id};
use crate::model::result_code::ResultCode;
use crate::model::run::Occurrence;
use crate::model::{JobId, Millis, ProjectId};
use crate::store::Page;
use crate::store::counters::OutcomeKind;
use crate::store::{dead_letters, executions, meta};

/// The age up to which dead letters are looked at.
pub const DEAD_WITHIN: Millis = 24 * 3_600_000;
/// The age up to which failed attempts are looked at.
pub const FAILED_WITHIN: Millis = 3_600_000;
/// The most dead letters that are looked at.
pub const MOST_LETTERS: u64 = 5_000;
/// The most failed attempts that are looked at.
pub const MOST_ATTEMPTS: u64 = 2_000;

/// What fails at one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The project of the jobs.
    pub project: ProjectId,
    /// The URL, or the name of the executor; empty where the jobs are gone.
    pub target: String,
    /// The occurrences that were given up, or the attempts that failed.
    pub count: u64,
    /// The attempts among them that are tried again at an instant still to come.
    pub retrying: u64,
    /// The jobs, of which each dead letter counts its first only.
    pub jobs: u64,
    /// The job of the newest one.
    pub job: JobId,
    /// The name of that job, if it has one.
    pub name: Option<String>,
    /// What came back for the newest one.
    pub result: ResultCode,
    /// The error of the newest one.
    pub error: Option<String>,
    /// The due instant of the oldest one.
    pub since: Millis,
    /// The due instant of the newest one.
    pub last: Millis,
    /// The scheduled instant of the newest one.
    pub scheduled: Millis,
    /// The execution id of the newest one.
    pub execution_id: String,
}

/// What fails, the largest groups first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// Occurrences that were given up.
    pub dead: Vec<Problem>,
    /// The bound of letters was reached: there are more.
    pub more_dead: bool,
    /// Attempts that failed.
    pub failing: Vec<Problem>,
    /// The bound of attempts was reached: there are more.
    pub more_failing: bool,
}

/// One dead letter or failed attempt.
struct Failure {
    project: ProjectId,
    occurrence: Occurrence,
    due: Millis,
    count: u64,
    retries: bool,
    result: ResultCode,
    error: Option<String>,
}

/// Groups that grow as failures are added, newest first.
struct Groups<'c> {
    labels: Labels<'c>,
    cluster: u128,
    by_target: BTreeMap<(ProjectId, String), (Problem, BTreeSet<JobId>)>,
}

impl<'c> Groups<'c> {
    fn new(conn: &'c Connection) -> rusqlite::Result<Self> {
        let cluster = meta::cluster_id(conn)?.unwrap_or_default();
        Ok(Self { labels: Labels::new(conn), cluster, by_target: BTreeMap::new() })
    }

    fn add(&mut self, one: Failure) -> rusqlite::Result<()> {
        let Occurrence { job, scheduled, .. } = one.occurrence;
        let label = self.labels.of(job)?;
        let target = label.map(|label| label.target.clone()).unwrap_or_default();
        let name = label.and_then(|label| label.name.clone());
        let (cluster, project) = (self.cluster, one.project);
        let (group, jobs) = self.by_target.entry((project, target.clone())).or_insert_with(|| {
            let newest = Problem {
                project,
                target,
                count: 0,
                retrying: 0,
                jobs: 0,
                job,
                name,
                result: one.result,
                error: one.error,
                since: one.due,
                last: one.due,
                scheduled,
                execution_id: occurrence_id(cluster, one.occurrence),
            };
            (newest, BTreeSet::new())
        });
        group.count += one.count;
        group.retrying += u64::from(one.retries);
        group.since = group.since.min(one.due);
        group.last = group.last.max(one.due);
        jobs.insert(job);
        group.jobs = jobs.len() as u64;
        Ok(())
    }

    fn largest_first(self) -> Vec<Problem> {
        let mut found: Vec<_> = self.by_target.into_values().map(|(group, _)| group).collect();
        found.sort_by(|a, b| b.count.cmp(&a.count).then(b.last.cmp(&a.last)));
        found
    }
}

fn dead(conn: &Connection, now: Millis) -> rusqlite::Result<(Vec<Problem>, bool)> {
    let mut groups = Groups::new(conn)?;
    let filter = dead_letters::Filter {
        from: Some(now.saturating_sub(DEAD_WITHIN)),
        ..dead_letters::Filter::default()
    };
    let page = Page { limit: MOST_LETTERS, descending: true, ..Page::default() };
    let mut looked = 0;
    dead_letters::each(conn, &filter, &page, |letter| {
        looked += 1;
        let Some(job) = letter.members.iter().next() else { return Ok(true) };
        groups.add(Failure {
            project: letter.project,
            occurrence: Occurrence { job, scheduled: letter.scheduled, run: letter.run },
            due: letter.due,
            count: letter.members.len(),
            retries: false,
            result: letter.result,
            error: letter.error,
        })?;
        Ok(true)
    })?;
    Ok((groups.largest_first(), looked >= MOST_LETTERS))
}

fn failing(conn: &Connection, now: Millis) -> rusqlite::Result<(Vec<Problem>, bool)> {
    let mut groups = Groups::new(conn)?;
    let filter = executions::Filter {
        kinds: vec![OutcomeKind::Failed],
        from: Some(now.saturating_sub(FAILED_WITHIN)),
        ..executions::Filter::default()
    };
    let (_, found) = executions::list(conn, &filter, MOST_ATTEMPTS, 0, true)?;
    let more = found.len() as u64 >= MOST_ATTEMPTS;
    for one in found {
        groups.add(Failure {
            project: one.project,
            occurrence: Occurrence { job: one.job, scheduled: one.scheduled, run: one.run },
            due: one.due,
            count: 1,
            retries: matches!(one.verdict, Verdict::Retry { at } if at > now),
            result: one.result,
            error: one.error,
        })?;
    }
    Ok((groups.largest_first(), more))
}

impl App {
    /// Groups what fails by project and target.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when it cannot be read in time.
    pub async fn list_problems(&self, actor: &Actor) -> Result<Problems, Error> {
        authorize(actor, Action::HistoryRead, Resource::Any)?;
        authorize(actor, Action::DeadLettersRead, Resource::Any)?;
        let now = self.now();
        let found = self.read(actor, move |conn| {
            let (dead, more_dead) = dead(conn, now)?;
            let (failing, more_failing) = failing(conn, now)?;
            Ok(Problems { dead, more_dead, failing, more_failing })
        });
        found.await
    }
}
