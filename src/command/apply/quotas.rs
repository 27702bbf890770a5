//! Rules of what accounts may have: each record that comes or goes is counted, and one that would
//! be more than the limit of its account is refused. The number is that of the state before the
//! entry, so a limit holds exactly, whoever writes at once (*exact limits*).
//!
//! Executions are counted where they are recorded, an entry at a time. When those of a month are
//! used up, the projects of the account are paused from the stamp of that entry on, to the end of
//! the month in UTC. What went out before that is still counted: the limit is passed by what the
//! collector had not brought yet.

use std::collections::BTreeMap;

use super::entry::{Entry, Refusal, refuse};
use crate::command::{CreateJobs, RejectionKind};
use crate::model::account::{Counted, MonthlyUse, month_of, next_month};
use crate::model::attempt::Verdict;
use crate::model::feature::Features;
use crate::model::job::JobDefinition;
use crate::model::{AccountId, FIRST_ACCOUNT, ProjectId};
use crate::store::{accounts, meta, projects};

/// The level from which executions count: no program below it takes part in the cluster, so all
/// nodes begin to count at the same entry.
const COUNTED_SINCE: u32 = 7;

/// Tells whether a record counts as executions: its occurrences were sent and are over. Attempts
/// that are repeated, and what was not sent, count nothing; nor does a `dead` of a past epoch,
/// which is no end.
pub(super) fn is_execution(verdict: Verdict, stale: bool) -> bool {
    match verdict {
        Verdict::Delivered => true,
        Verdict::Dead => !stale,
        _ => false,
    }
}

impl Entry<'_, '_> {
    /// The account of a project; the first one where the project is gone.
    pub(super) fn account_of(&self, project: ProjectId) -> Result<AccountId, Refusal> {
        Ok(projects::account(self.tx, project)?.unwrap_or(FIRST_ACCOUNT))
    }

    /// Refuses so many more records of a kind where the account would have more than its limit, or
    /// does not exist.
    pub(super) fn within_limit(
        &mut self,
        account: AccountId,
        kind: Counted,
        more: u64,
    ) -> Result<(), Refusal> {
        if self.tx.account(account)?.is_none() {
            let message = format!("account {account} does not exist");
            return Err(refuse(RejectionKind::NotFound, message));
        }
        let Some((has, limit)) = self.beyond_limit(account, kind, more)? else { return Ok(()) };
        let name = kind.name();
        let message = format!(
            "quota exceeded: account {account} has {has} of at most {limit} {name}, and {more} more \
             were asked for: delete some, or have its limit of {name} raised"
        );
        Err(refuse(RejectionKind::QuotaExceeded, message))
    }

    /// The number that an account has and its limit, where so many more are beyond it.
    fn beyond_limit(
        &mut self,
        account: AccountId,
        kind: Counted,
        more: u64,
    ) -> Result<Option<(u64, u64)>, Refusal> {
        let Some(found) = self.tx.account(account)? else { return Ok(None) };
        let has = found.held.of(kind);
        let limit = found.limits.of(kind).filter(|limit| has.saturating_add(more) > *limit);
        Ok(limit.filter(|_| more > 0).map(|limit| (has, limit)))
    }

    /// Tells whether a project may have one more job.
    pub(super) fn has_room_for_job(&mut self, project: ProjectId) -> Result<bool, Refusal> {
        let account = self.account_of(project)?;
        Ok(self.beyond_limit(account, Counted::Jobs, 1)?.is_none())
    }

    /// Counts records that came, or went where `by` is negative.
    pub(super) fn count_held(
        &mut self,
        account: AccountId,
        kind: Counted,
        by: i64,
    ) -> Result<(), Refusal> {
        self.tx.change_account(account, |found| found.held.add(kind, by))?;
        Ok(())
    }

    /// Counts jobs of a project that came, or went where `by` is negative.
    pub(super) fn count_jobs(&mut self, project: ProjectId, by: i64) -> Result<(), Refusal> {
        projects::add_jobs(self.tx, project, by)?;
        self.count_held(self.account_of(project)?, Counted::Jobs, by)
    }

    /// Refuses new jobs, by their numbers in each project, where an account would have more than
    /// its limit.
    pub(super) fn jobs_within_limits(
        &mut self,
        by_project: impl IntoIterator<Item = (ProjectId, u64)>,
    ) -> Result<(), Refusal> {
        let mut by_account: BTreeMap<AccountId, u64> = BTreeMap::new();
        for (project, n) in by_project {
            // What was under way of a deleted project is charged to nobody.
            if let Some(account) = projects::account(self.tx, project)? {
                *by_account.entry(account).or_default() += n;
            }
        }
        for (account, n) in by_account {
            self.within_limit(account, Counted::Jobs, n)?;
        }
        Ok(())
    }

    /// Refuses a request, or a chunk of one of which `before` jobs are staged, where it is too
    /// large, its jobs would be too many, or one of them needs a feature that is switched off. The
    /// result is the number of its jobs in each project.
    pub(super) fn jobs_may_come(
        &mut self,
        new: &CreateJobs,
        uses: &[u64],
        before: u64,
    ) -> Result<BTreeMap<ProjectId, u64>, Refusal> {
        let mut by_project = BTreeMap::new();
        for (definition, uses) in new.definitions.iter().zip(uses).filter(|(_, uses)| **uses > 0) {
            *by_project.entry(definition.project).or_default() += *uses;
        }
        self.request_within_limit(new, before)?;
        self.jobs_within_limits(by_project.iter().map(|(project, n)| (*project, *n)))?;
        self.jobs_have_features(new)?;
        Ok(by_project)
    }

    fn request_within_limit(&mut self, new: &CreateJobs, before: u64) -> Result<(), Refusal> {
        let Some(first) = new.definitions.first() else { return Ok(()) };
        let account = self.account_of(first.project)?;
        let limits = self.tx.account(account)?.map(|account| account.limits);
        let Some(limit) = limits.and_then(|limits| limits.jobs_per_request) else { return Ok(()) };
        let jobs = before + new.jobs.len() as u64;
        if jobs <= limit {
            return Ok(());
        }
        let message = format!(
            "quota exceeded: a request of account {account} creates at most {limit} jobs \
             (jobsPerRequest), and this one has {jobs} or more: send them in several requests"
        );
        Err(refuse(RejectionKind::QuotaExceeded, message))
    }

    fn jobs_have_features(&mut self, new: &CreateJobs) -> Result<(), Refusal> {
        let mut known: Option<(ProjectId, Features)> = None;
        for job in &new.jobs {
            // Indexes were checked with the uses of the definitions.
            let Some(definition) = new.definitions.get(job.definition as usize) else { continue };
            let features = match known {
                Some((project, features)) if project == definition.project => features,
                _ => self.features_of(definition.project)?,
            };
            known = Some((definition.project, features));
            has_features(features, definition, &job.data)?;
        }
        Ok(())
    }

    /// Refuses a job that needs a feature which its account lacks.
    pub(super) fn job_has_features(
        &mut self,
        definition: &JobDefinition,
        data: &str,
    ) -> Result<(), Refusal> {
        has_features(self.features_of(definition.project)?, definition, data)
    }

    fn features_of(&mut self, project: ProjectId) -> Result<Features, Refusal> {
        let account = self.account_of(project)?;
        Ok(self.tx.account(account)?.map_or(Features::ALL, |account| account.features))
    }

    /// Refuses what would send a request for an account whose executions are used up.
    pub(super) fn has_executions(&mut self, project: ProjectId) -> Result<(), Refusal> {
        let (account, month) = (self.account_of(project)?, month_of(self.stamp));
        let Some(found) = self.tx.account(account)? else { return Ok(()) };
        if !found.is_used_up(month) {
            return Ok(());
        }
        let limit = found.executions_allowed(month).unwrap_or_default();
        let used = found.monthly.at(month).used;
        let message = format!(
            "quota exceeded: account {account} has used {used} of {limit} executions of this month \
             (executionsPerMonth): wait for the next month, or have some granted"
        );
        Err(refuse(RejectionKind::QuotaExceeded, message))
    }

    /// Counts the executions that the entry recorded for their accounts, at its end.
    pub(super) fn count_executed(&mut self) -> Result<(), Refusal> {
        let executed = self.tx.take_executed();
        if executed.is_empty() || meta::level(self.tx)? < COUNTED_SINCE {
            return Ok(());
        }
        let mut by_project: BTreeMap<ProjectId, u64> = BTreeMap::new();
        for (project, n) in executed {
            *by_project.entry(project).or_default() += n;
        }
        let mut by_account: BTreeMap<AccountId, u64> = BTreeMap::new();
        for (project, n) in by_project {
            // What was under way of a deleted project is charged to nobody.
            if let Some(account) = projects::account(self.tx, project)? {
                *by_account.entry(account).or_default() += n;
            }
        }
        let month = month_of(self.stamp);
        for (account, n) in by_account {
            let used_up = self.tx.change_account(account, |found| {
                let before = found.monthly.at(month);
                found.monthly = MonthlyUse { used: before.used.saturating_add(n), ..before };
                found.is_used_up(month)
            })?;
            if used_up == Some(true) {
                self.judge_executions(account)?;
            }
        }
        Ok(())
    }

    /// Pauses the projects of an account whose executions are used up, and ends that pause where
    /// there are some again.
    pub(super) fn judge_executions(&mut self, account: AccountId) -> Result<(), Refusal> {
        let (stamp, month) = (self.stamp, month_of(self.stamp));
        let used_up = self.tx.account(account)?.is_some_and(|found| found.is_used_up(month));
        let paused = accounts::quota_pause(self.tx, account, stamp)?.is_some();
        if used_up == paused {
            return Ok(());
        }
        let last = next_month(stamp).saturating_sub(1);
        if !used_up {
            accounts::cut_quota_pauses(self.tx, account, stamp)?;
        } else if stamp < last {
            accounts::add_quota_pause(self.tx, account, (stamp, last))?;
        }
        self.change.targets = true;
        Ok(())
    }
}

/// Refuses a job that needs a feature beyond those that its account has.
fn has_features(features: Features, definition: &JobDefinition, data: &str) -> Result<(), Refusal> {
    if features == Features::ALL {
        return Ok(());
    }
    let missing = definition.features(data).without(features);
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("feature disabled: the account of the project lacks {missing}");
    Err(refuse(RejectionKind::FeatureDisabled, message))
}
