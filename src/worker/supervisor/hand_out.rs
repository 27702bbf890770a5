//! A claim on its way: what a worker asks for, what is looked up for it, and what it gets. Plain
//! values; `claims` has the rules.

use std::sync::Arc;

use super::source::{ClaimId, QueueId, Source};
use crate::model::attempt::SkipReason;
use crate::model::claim::ClaimOrder;
use crate::model::run::Occurrence;
use crate::model::run_terms::RunTerms;
use crate::model::{JobId, Millis, ProjectId};

/// A worker asks for runs.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    /// Its number.
    pub(crate) id: ClaimId,
    /// The worker, which is one process.
    pub(crate) worker: Arc<str>,
    /// The queues, by the worker's preference.
    pub(crate) queues: Vec<QueueId>,
    /// The most runs.
    pub(crate) max: usize,
    /// The order between the queues.
    pub(crate) order: ClaimOrder,
    /// The client's key, by which it may repeat the claim for a minute.
    pub(crate) key: Option<String>,
}

/// Members of one offer that were popped and are to be looked up before they are handed out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    /// The facts of the offer.
    pub(crate) source: Arc<Source>,
    /// The jobs, ascending.
    pub(crate) jobs: Vec<JobId>,
    /// True where `BeginRun` is to be asked for each job.
    pub(crate) asks: bool,
}

/// The result of looking up a part, with the jobs that it holds for; what is in none of the lists
/// is not to be handed out and not this node's to end.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    /// The facts of the part.
    pub(crate) source: Arc<Source>,
    /// May be handed out, under these terms.
    pub(crate) ready: Vec<(Vec<JobId>, Arc<RunTerms>)>,
    /// Their jobs do not exist any more.
    pub(crate) gone: Vec<JobId>,
    /// Are not to be performed, by an edit or a pause from before they fell due.
    pub(crate) skipped: Vec<(Vec<JobId>, SkipReason)>,
    /// Wait for another queue since an edit; the terms name it.
    pub(crate) moved: Vec<(Vec<JobId>, Arc<RunTerms>)>,
    /// Have a target that is no queue since an edit: they become rows that the engine sends.
    pub(crate) rerouted: Vec<JobId>,
    /// Could not be looked up now: they wait on.
    pub(crate) later: Vec<JobId>,
}

impl Prepared {
    /// The result for a part, of which nothing is known yet.
    pub(crate) fn new(source: Arc<Source>) -> Self {
        Self {
            source,
            ready: Vec::new(),
            gone: Vec::new(),
            skipped: Vec::new(),
            moved: Vec::new(),
            rerouted: Vec::new(),
            later: Vec::new(),
        }
    }
}

/// A run as a worker, or a bus, gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Handed {
    /// The occurrence.
    pub(crate) of: Occurrence,
    /// The attempt.
    pub(crate) attempt: u32,
    /// The epoch of the owner that hands it out.
    pub(crate) epoch: u64,
    /// The project of the job.
    pub(crate) project: ProjectId,
    /// The due instant.
    pub(crate) due: Millis,
    /// The last instant at which it may leave for its bus; `None` for no bound.
    pub(crate) start_by: Option<Millis>,
    /// The terms.
    pub(crate) terms: Arc<RunTerms>,
}
