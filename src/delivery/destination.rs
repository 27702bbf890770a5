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
}
