//! The outcome of a call as the breakers see it: what it says about the destination. The executor
//! makes one for each call; `breaker` and `backoffs` read it. It says nothing about the jobs.

use std::time::Duration;

/// A shorter timeout says how patient the job is, and nothing about the destination.
const SHORTEST_TELLING_TIMEOUT: Duration = Duration::from_secs(1);

/// The outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// The destination is alive.
    Fine,
    /// The destination is not alive, or asks for a rest.
    Failed {
        /// No connection was made, so no other path will do better.
        down: bool,
        /// No connection can be made, whoever tries.
        unreachable: bool,
        /// The rest that the destination asked for, in milliseconds.
        after: u64,
    },
    /// The destination asked this project to wait: it is alive, but the call was no success.
    Asked {
        /// The time to wait, in milliseconds.
        after: u64,
    },
    /// The call says nothing about the destination, as where nothing was sent.
    Nothing,
}

impl CallOutcome {
    /// The outcome of a call without an answer within `timeout`.
    pub fn timeout(timeout: Duration, sent: bool) -> Self {
        if timeout < SHORTEST_TELLING_TIMEOUT {
            return Self::Nothing;
        }
        Self::Failed { down: !sent, unreachable: false, after: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_timeout_says_something_about_the_job_alone() {
        let second = Duration::from_secs(1);
        let short = Duration::from_millis(999);
        assert_eq!(CallOutcome::timeout(short, true), CallOutcome::Nothing);
        assert_eq!(CallOutcome::timeout(short, false), CallOutcome::Nothing);
        let failed = CallOutcome::Failed { down: false, unreachable: false, after: 0 };
        assert_eq!(CallOutcome::timeout(second, true), failed);
    }
}
