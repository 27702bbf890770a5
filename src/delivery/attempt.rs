//! The attempt of a call: what came of a request that was tried. The executor of each kind fills it
//! in and judges the answer by its own rules; the worker decides what follows. Data only.

use std::time::Duration;

use bytes::Bytes;

/// The longest delay that a receiver may ask for: its mistake must not park a job for a year.
pub const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

/// An attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// The meaning for the jobs of the request.
    pub class: Class,
    /// The result code of the kind, for HTTP the status of the answer; 0 when no answer came.
    pub code: u16,
    /// Whether the receiver answered, and not with an error of its own (for HTTP a 5xx).
    pub answered: bool,
    /// The instant of the first byte, or of the attempt when none went out, in boot-clock
    /// milliseconds.
    pub started_boot: u64,
    /// The time from there to the end of the answer, in milliseconds.
    pub duration_ms: u32,
    /// Whether the request may have reached the receiver.
    pub sent: bool,
    /// The error for people: short, without the URL. `None` for a success.
    pub error: Option<String>,
    /// Whether the receiver accepted the call and reports its result later.
    pub accepted_async: bool,
    /// The body of the answer, its content coding undone, cut at the length that is kept.
    pub body: Bytes,
    /// The reason why `body` is not the whole body: it broke off, is too long or late, or has a
    /// content coding that is not read. `None` when it is whole. It matters for batches alone.
    pub flaw: Option<String>,
}

/// The meaning of an attempt for the jobs of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Accepted; the answer to a batch may name jobs that failed.
    Success,
    /// Worth another attempt, not before `after` if the receiver named a delay.
    Retry {
        /// The delay that the receiver asked for.
        after: Option<Duration>,
    },
    /// The receiver is alive and asks the sender to wait.
    Wait {
        /// The time to wait, more than 0.
        after: Duration,
    },
    /// This request will not be accepted: a batch is split, a single job is dead.
    Refused,
    /// As refused; the target of a single job is gone for good.
    Gone,
    /// The receiver has seen a higher fence: the current owner of the shard decides.
    Fenced,
}

impl Default for Class {
    /// The class of an attempt without an answer.
    fn default() -> Self {
        Self::Retry { after: None }
    }
}
