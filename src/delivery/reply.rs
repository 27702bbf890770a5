//! The reply to a call: what an executor hands to the worker. Data only.

use super::attempt::Attempt;
use crate::model::postponement::Obstacle;
use crate::model::{JobId, Millis};

/// The attempt of some jobs of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobsAttempt {
    /// The jobs, ascending. No job is named twice in a reply; a job that is not named was not sent.
    pub jobs: Vec<JobId>,
    /// Their attempt.
    pub attempt: Attempt,
}

/// The reply to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `before_send` refused the call: not a byte went out.
    Withheld,
    /// The destination takes no calls at the moment, or this node cannot call. Not a byte went out,
    /// and it is no attempt.
    Refused {
        /// The instant to try again at, in scheduler time.
        until: Millis,
        /// The reason.
        obstacle: Obstacle,
    },
    /// The call was attempted.
    Done(Attempt),
    /// The call was attempted, and its receiver told the jobs apart.
    PerJob(Vec<JobsAttempt>),
    /// The call was sent, and ended before its answer came, as its jobs were deleted.
    Unwanted(Attempt),
}
