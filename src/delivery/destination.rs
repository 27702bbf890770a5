//! Where calls go, as far as limits, fairness and breakers care. An executor names the destination
//! of each call; nothing here knows what the name means.

use std::sync::Arc;

/// The destination of a call: an opaque text that is not empty. For HTTP it
/// is scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination(Arc<str>);

impl Destination {
    /// The destination of this name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name, as the status page and metrics show it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where the calls to a target go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The destination.
    pub destination: Destination,
    /// A hash of the path at the destination: breakers tell paths apart.
    pub path: u64,
    /// The name for people, as in the reason of a deferral: for HTTP host and port as written.
    pub name: Box<str>,
}

/// The limits of a target, on each node. Calls of a project to one destination with equal limits
/// share them. The limits that the configuration sets for every destination hold as well: the lower
/// one counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Limits {
    /// The most calls under way at a time; `None` for no limit of its own.
    pub max_concurrency: Option<u32>,
    /// The most calls that begin in a second; `None` for no limit of its own.
    pub rate_per_second: Option<u32>,
    /// Whether both count jobs, of which a call may have several, and not calls. Then calls with a
    /// `max_concurrency` go one at a time, none with more jobs than that.
    pub by_job: bool,
}

impl Limits {
    /// The most calls under way at a time; `None` for no limit of its own.
    pub fn max_calls(&self) -> Option<u32> {
        if self.by_job { self.max_concurrency.map(|_| 1) } else { self.max_concurrency }
    }

    /// The most jobs that a call may have, at least 1; `None` where the limits do not bound it. A
    /// rate bounds it by what may begin in a tenth of a second, so that it holds for every second.
    pub fn max_jobs(&self) -> Option<u32> {
        if !self.by_job {
            return None;
        }
        let most = [self.max_concurrency, self.rate_per_second.map(|rate| rate / 10)];
        most.into_iter().flatten().min().map(|most| most.max(1))
    }

    /// The number by which a call with so many jobs counts for a rate.
    pub(super) fn weight(&self, jobs: u32) -> u32 {
        if self.by_job { jobs.max(1) } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_count_calls_or_the_jobs_in_them() {
        let limits =
            Limits { max_concurrency: Some(5), rate_per_second: Some(80), ..Limits::default() };
        assert_eq!((limits.max_calls(), limits.max_jobs(), limits.weight(9)), (Some(5), None, 1));
        let by_job = Limits { by_job: true, ..limits };
        assert_eq!((by_job.max_calls(), by_job.max_jobs()), (Some(1), Some(5)));
        assert_eq!((by_job.weight(9), by_job.weight(0)), (9, 1));
        let slow = Limits { rate_per_second: Some(3), max_concurrency: None, by_job: true };
        assert_eq!((slow.max_calls(), slow.max_jobs()), (None, Some(1)));
        let none = Limits { by_job: true, ..Limits::default() };
        assert_eq!((none.max_calls(), none.max_jobs()), (None, None));
    }
}
