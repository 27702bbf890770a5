//! The attempt of a call: what came of a request that was tried. The executor of each kind fills it
//! in and judges the answer by its own rules; the worker decides what follows. Data only.

use std::time::Duration;

use bytes::Bytes;

use crate::model::result_code::ResultCode;
use crate::model::run::Occurrence;

/// The longest delay that a receiver may ask for: its mistake must not park a job for a year.
pub const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

/// An attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// The meaning for the jobs of the request.
    pub class: Class,
    /// The code of the answer, for people; `None` when no answer came.
    pub code: ResultCode,
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
    /// The jobs that a success is about.
    pub acceptance: Acceptance,
    /// The way in which the receiver judged the jobs.
    pub judged: Judged,
    /// The answer, as far as it is kept: of a single occurrence its beginning is shown.
    pub body: Bytes,
}

/// The way in which a receiver judges the jobs of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Judged {
    /// All as one: one job may be at fault for all, and goes out alone to find that out.
    #[default]
    AsOne,
    /// Each by itself: no job is at fault for another one.
    OneByOne,
}

/// The jobs of a request that a success is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Acceptance {
    /// All jobs are accepted.
    #[default]
    All,
    /// All jobs but those of these occurrences are accepted, the rest has failed. Occurrences that
    /// are not in the request mean nothing.
    AllBut(Vec<Occurrence>),
    /// The answer does not say which jobs, for this reason: no job may count as accepted.
    Unclear(String),
}

/// The meaning of an attempt for the jobs of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Accepted, as far as [`Attempt::acceptance`] says.
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
