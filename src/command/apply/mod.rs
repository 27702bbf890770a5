//! The one place where replicated state changes: the rules of each command, one file for each noun.
//!
//! `raft::machine` calls [`apply`] for one entry after the other, in one transaction for a chunk of
//! them. Nothing here may depend on where a chunk ends, on a clock, or on anything except the state
//! and the command. A command is refused before it has written anything (*clean refusal*),
//! so that a refusal leaves no trace except its stamp.
//!
//! | command | rules in | rejections |
//! |---|---|---|
//! | `Init`, `Assign`, `Recover`, `RaiseLevel` | `ownership` | |
//! | `Register` | `ownership` | `Conflict` |
//! | `Retire`, `Drain` | `ownership` | `NotFound` |
//! | `Tick`, `Retain` | `retain` | |
//! | `CreateProject` | `projects` | `Conflict`, `Invalid` |
//! | `UpdateProject` | `projects` | `NotFound`, `Stale`, `Conflict`, `Invalid` |
//! | `DeleteProject` | `projects` | `NotFound`, `Stale`, `Conflict` |
//! | `CreateJobs` | `jobs`, staged: `staging` | `Conflict`, `Invalid` |
//! | `ActivateJobs` | `staging` | `NotFound`, `Conflict`, `Invalid` |
//! | `DiscardJobs` | `staging` | `NotFound`, `Conflict` |
//! | `UpdateJob` | `jobs` | `NotFound`, `Stale`, `Conflict`, `Invalid` |
//! | `ReshapeJobs` | `reshape`, `jobs` | each job: `Conflict`, `Invalid` |
//! | `DeleteJob` | `job_actions` | `NotFound`, `Stale` |
//! | `ChangeJobs` | `job_actions` | `Invalid` |
//! | `RunJob` | `job_actions` | `NotFound` |
//! | `CreateCredential` | `credentials` | `Conflict` |
//! | `ArchiveCredential`, `DeleteCredential` | `credentials` | `NotFound` |
//! | `EndSessions`, `RotateCredential` | `credentials` | `NotFound` |
//! | `EndSession` | `credentials` | |
//! | `ChangeCredential` | `credentials` | `NotFound`, `Stale` |
//! | `TouchCredentials` | `credentials` | |
//! | `ByClient` | `credentials` | `Forbidden`, `NotFound`, `Invalid`, those of the other |
//! | `CreateExecutor` | `executors` | `Conflict` |
//! | `UpdateExecutor`, `DeleteExecutor` | `executors` | `NotFound`, `Stale`, `Conflict` |
//! | `Record` | `record`, `offers` | `Conflict` |
//! | `BeginRun` | `runs::begin` | |
//! | `Expire` | `runs::end`, `runs::phases`, `offers`, `job_actions` | |
//! | `ReportRun` | `reports` | `NotFound`, `Conflict` |
//! | `ReportRuns` | `run_reports` | `Invalid`; each report: `NotFound`, `Conflict` |
//! | `ReplayDeadLetters`, `PurgeDeadLetters` | `dead_letters` | |
//! | `Once` | `idempotency` | `KeyReused`, those of the other |
//! | `PutTemplate` | `templates` | `NotFound`, `Stale`, `Conflict`, `Invalid` |
//! | `DeleteTemplate` | `templates` | `NotFound`, `Stale`, `Conflict` |
//! | `TerminateJob` | `terminate` | `NotFound`, `Conflict` |
//! | `CreateAccount` | `accounts` | `Forbidden`, `Conflict` |
//! | `UpdateAccount`, `DeleteAccount` | `accounts` | `NotFound`, `Forbidden`, `Stale`, `Conflict` |
//! | `GrantExecutions` | `accounts` | `NotFound`, `Forbidden`, `Invalid` |
//! | `ForVersion` | `dispatch` | `NotFound`, `Stale`, those of the other |
//! | `Within` | `reach` | `Forbidden`, those of the other |
//! | `Checksum`, `Conclude` | `dispatch` | |
//! | `Note`, `RetainAudit` | `audit_row` | |
//!
//! A command of a client is limited to what its key reaches (`reach`): what is out of reach is
//! refused as `NotFound` or `Invalid`, and what needs more than a part of an account as
//! `Forbidden`. What adds to an account is also refused with `QuotaExceeded`, and a job that needs
//! a feature of its account with `FeatureDisabled` (`quotas`).
//!
//! Four files hold rules that several of these share: `plan_intervals` (when a job fires by which
//! schedule), `occurrences` (what can happen to an occurrence), `over` (the end of one-offs) and
//! `quotas` (what an account may have).
//! `restore` is no command: it opens the state of a backup. Where a client or an operator asked for
//! a command, it has a row in the audit: `audit_subject` says in which words, `audit_notes` keeps
//! what the rules note of their records (`audit_records`, `audit_diff`), and `audit_row` makes it.

mod accounts;
mod audit_diff;
mod audit_notes;
mod audit_records;
mod audit_row;
mod audit_subject;
mod credentials;
mod dead_letters;
mod dispatch;
mod entry;
mod executors;
mod idempotency;
mod job_actions;
mod jobs;
mod occurrences;
mod offers;
mod over;
mod ownership;
mod plan_intervals;
mod projects;
mod quotas;
mod reach;
mod record;
mod reports;
mod reshape;
mod restore;
mod retain;
mod run_reports;
mod runs;
mod staging;
mod templates;
mod terminate;
#[cfg(test)]
mod tests;

pub use dispatch::apply;
pub use jobs::anchor_after;
pub use restore::{Reopened, RestorePolicy, reopen};
