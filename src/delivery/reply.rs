//! The reply to a call: the result that an executor hands to the worker. Data only. The executor of
//! each kind fills it in, and the worker decides what follows from it.

use std::time::Duration;

use bytes::Bytes;

use crate::model::Millis;
use crate::model::postponement::Obstacle;

/// The result of a call.
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
    Done(Answer),
    /// The call was sent, and ended before its answer came, as its jobs were deleted.
    Unwanted(Answer),
}

/// The result of an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status of the answer, for HTTP its status code; 0 when no answer came.
    pub status: u16,
    /// The delay that the receiver asked for (`Retry-After`), a day at most.
    pub retry_after: Option<Duration>,
    /// The instant of the first byte, or of the attempt when none went out, in boot-clock
    /// milliseconds.
    pub started_boot: u64,
    /// The time from there to the end of the answer, in milliseconds.
    pub duration_ms: u32,
    /// Whether the request may have reached the receiver.
    pub sent: bool,
    /// The error for people: short, without the URL. `None` for a success.
    pub error: Option<String>,
    /// Whether the receiver accepted the call and reports its result later (202 with
    /// `Scheduler-Async: true`).
    pub accepted_async: bool,
    /// The body of the answer, its content coding undone, cut at the length that is kept.
    pub body: Bytes,
    /// The reason why `body` is not the whole body: it broke off, is too long or late, or has a
    /// content coding that is not read. `None` when it is whole. It matters for batches alone.
    pub flaw: Option<String>,
}

/// The meaning of an answer for the jobs of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Accepted; the answer to a batch may name jobs that failed.
    Success,
    /// Worth another attempt, not before `after` if the receiver named a delay.
    Retry {
        /// The delay that the receiver asked for.
        after: Option<Duration>,
    },
    /// This request will not be accepted: a batch is split, a single job is dead.
    Refused,
    /// As refused; the target of a single job is gone for good.
    Gone,
    /// The receiver has seen a higher fence: the current owner of the shard decides.
    Fenced,
}
