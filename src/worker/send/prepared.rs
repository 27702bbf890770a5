//! The output of the request builder: requests, and the jobs that get none yet or none at all. Data
//! only.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use url::Url;

use super::route::Route;
use crate::model::attempt::Verdict;
use crate::model::members::Members;
use crate::model::postponement::Obstacle;
use crate::model::{JobId, Millis, ProjectId};

/// A request that is built.
#[derive(Debug)]
pub(super) struct Request {
    /// The terms.
    pub(super) route: Arc<Route>,
    /// The HTTP method.
    pub(super) method: Method,
    /// The URL.
    pub(super) url: Arc<str>,
    /// The URL, where it is parsed already.
    pub(super) parsed: Option<Url>,
    /// The target's own header lines.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub(super) body: Bytes,
    /// The jobs in it, ascending.
    pub(super) members: Vec<JobId>,
    /// The value of `webhook-id`.
    pub(super) webhook_id: String,
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
    pub(super) requests: Vec<Request>,
    /// Jobs that need `BeginRun` first.
    pub(super) needs_run: Vec<(Arc<Route>, Vec<JobId>)>,
    /// Jobs without a place at their destination, ascending: a request for each, or a batch.
    pub(super) no_place: Vec<(Arc<Route>, Vec<JobId>)>,
    /// Jobs that are not sent.
    pub(super) unsent: Vec<Unsent>,
    /// Jobs to be looked at once more, ascending: they are not due yet, or an earlier change may
    /// still come (the certainty rule).
    pub(super) undecided: Vec<JobId>,
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
