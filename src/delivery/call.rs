//! A call: a request with its limits and checks. The worker makes it; `call_queue` carries it out.

use std::time::Duration;

use super::call_checks::{BeforeSend, Unwanted};
use super::destination::{Destination, Limits};
use super::request::PreparedRequest;
use crate::model::ProjectId;

/// A call.
pub struct Call {
    /// The request, complete.
    pub request: Box<dyn PreparedRequest>,
    /// The destination.
    pub destination: Destination,
    /// A hash of the path at the destination.
    pub path: u64,
    /// The project of its jobs. A destination may ask one project to wait and not another.
    pub project: ProjectId,
    /// Whether it goes out although its destination keeps failing.
    pub probe: bool,
    /// The limits of the target.
    pub limits: Limits,
    /// The number of jobs in it. However many: for workers, queues and breakers it is one call.
    pub jobs: u32,
    /// The longest time for the call, answer included.
    pub timeout: Duration,
    /// The lease check.
    pub before_send: BeforeSend,
    /// Ends the call while it hangs, where its jobs are deleted.
    pub unwanted: Option<Unwanted>,
}
