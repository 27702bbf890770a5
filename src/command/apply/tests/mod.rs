//! The rules of apply, each tested against a store of its own: see `fixture`. `determinism` and
//! `model` try random logs, the other files test one group of rules each.

mod accounts;
mod audit;
mod audit_cases;
mod audit_chain;
mod consistency;
mod credentials;
mod dead_letters;
mod determinism;
mod events;
mod executors;
mod explain;
mod external_ids;
mod fixture;
mod jitter;
mod job_filters;
mod jobs;
mod keeping;
mod key_terms;
mod lapses;
mod model;
mod offers;
mod one_offs;
mod over;
mod ownership;
mod pauses;
mod projects;
mod queues;
mod quotas;
mod random;
mod reach;
mod record;
mod reports;
mod reshape;
mod restore;
mod retention;
mod run_ends;
mod run_reports;
mod run_timeouts;
mod runs;
mod staging;
mod template_chains;
mod template_ends;
mod template_rules;
mod templates;
mod terminate;
mod worker_runs;

use fixture::*;

use crate::command::{
    Command, CreateJobs, Error, NewJob, NewProject, Outcome, RejectionKind, apply,
};
use crate::model::Millis;
use crate::model::attempt::{AttemptRecord, JournalBatch, JournalEntry, ResultOrigin, Verdict};
use crate::model::job::{JobDefinition, JobStatus};
use crate::model::members::Members;
use crate::model::shard::{Move, MoveKind, SHARDS, shard_of};
