//! The output of the request builder: requests, and the jobs that get none yet or none at all. Data
//! only.

use std::sync::Arc;

use super::route::Route;
use crate::delivery::request::Request;
use crate::model::attempt::Verdict;
use crate::model::members::Members;
use crate::model::postponement::Obstacle;
use crate::model::{JobId, Millis, ProjectId};

/// A request that is built, and its terms.
#[derive(Debug)]
pub(super) struct BuiltRequest {
    /// The terms.
    pub(super) route: Arc<Route>,
    /// The request.
    pub(super) request: Request,
}

/// Jobs for which no request is made.
#[derive(Debug)]
pub(super) struct Unsent {
    pub(super) project: ProjectId,
    pub(super) once: bool,
    pub(super) members: Members,
    pub(super) why: UnsentReason,
}

/// The reason why no request is made.
#[derive(Debug)]
pub(super) enum UnsentReason {
    /// The occurrence ends here, with this verdict and error.
    Over(Verdict, Option<String>),
    /// The destination takes nothing up to an instant.
    Deferred(Arc<Route>, Millis, Obstacle),
}

/// The outcome of a slice of work.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// Requests to be sent, those of a route together.
    pub(super) requests: Vec<BuiltRequest>,
    /// Jobs that need `BeginRun` first.
    pub(super) needs_run: Vec<(Arc<Route>, Vec<JobId>)>,
    /// Jobs that are offered to workers, ascending.
    pub(super) offers: Vec<(Arc<Route>, Vec<JobId>)>,
    /// Jobs without a place at their destination, ascending: a request for each, or a batch.
    pub(super) no_place: Vec<(Arc<Route>, Vec<JobId>)>,
    /// Jobs that are not sent.
    pub(super) unsent: Vec<Unsent>,
    /// Jobs to be looked at once more, ascending: they are not due yet, or an earlier change may
    /// still come (the certainty rule).
    pub(super) undecided: Vec<JobId>,
    /// Jobs that are not sent and of which nothing is recorded, ascending: by their plans they are
    /// not due at these instants.
    pub(super) dropped: Vec<JobId>,
    /// Jobs whose occurrence was given out before a change moved it, ascending: the store has its
    /// result already.
    pub(super) recorded: Vec<JobId>,
    /// The number of jobs of the slice that this is about. The rest would be too much data at a
    /// time.
    pub(super) consumed: usize,
}

impl Prepared {
    /// Adds jobs, ascending, for which no request is made.
    pub(super) fn unsent(
        &mut self,
        project: ProjectId,
        once: bool,
        jobs: Vec<JobId>,
        why: UnsentReason,
    ) {
        self.unsent.push(Unsent { project, once, members: Members::from_sorted(jobs), why });
    }
}
