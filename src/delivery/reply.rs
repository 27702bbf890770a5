//! The reply to a call: what an executor hands to the worker. Data only.

use super::attempt::Attempt;
use crate::model::postponement::Obstacle;
use crate::model::{JobId, Millis};

/// The attempt of some jobs of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobsAttempt {
    /// The jobs, ascending. No job is named twice in a reply; if one is, its first part counts.
    pub jobs: Vec<JobId>,
    /// Their attempt.
    pub attempt: Attempt,
}

/// What becomes of the jobs that a reply names in no part. Not a byte of them went out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    /// There are none: every job is named. One that is not named all the same is put off.
    None,
    /// `before_send` refused them: they go back to the queue, as with [`Reply::Withheld`].
    Withheld,
    /// The destination takes no more at the moment, or this node cannot call. They are put off, and
    /// that is no attempt, as with [`Reply::Refused`].
    Refused {
        /// The instant to try again at, in scheduler time.
        until: Millis,
        /// The reason.
        obstacle: Obstacle,
    },
    /// They ask for their turn again at once: the call may send no more jobs
    /// ([`Gate::max_jobs`](super::gate::Gate::max_jobs)), or one that was sent has ended it. Some
    /// job was sent, so each turn gets further.
    Again,
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
    PerJob {
        /// The jobs that were sent, by what became of them.
        parts: Vec<JobsAttempt>,
        /// The jobs that were not sent.
        rest: Rest,
    },
    /// The call was sent, and ended before its answer came, as its jobs were deleted.
    Unwanted(Attempt),
}
