//! Where calls go, what they ask of the queues, and what is told of both. Data only: `queues`
//! decides.

use std::sync::Arc;

use url::Url;

use super::Limits;
use crate::model::ProjectId;
use crate::model::postponement::Obstacle;

/// Where a call goes: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination(Arc<str>);

impl Destination {
    /// The destination of a URL.
    pub fn of(url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        Self(format!("{}://{host}:{port}", url.scheme()).into())
    }

    /// As text, for metrics.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How busy a destination is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationLoad {
    /// Which.
    pub destination: Destination,
    /// Calls under way.
    pub in_flight: usize,
    /// Calls waiting for their turn.
    pub queued: usize,
}

/// How the calls of all projects stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// Calls under way without a worker.
    pub hanging: usize,
    /// The most calls that may be under way, with a worker or without.
    pub capacity: usize,
    /// A project whose calls wait since it has its share, if there is one, and how many of its
    /// calls are under way.
    pub over_share: Option<(ProjectId, usize)>,
}

/// A destination that takes nothing, in boot-clock milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Which.
    pub destination: Destination,
    /// When its breaker opened.
    pub since: u64,
    /// Failures in a row.
    pub failures: u32,
    /// When the next probe may go out.
    pub probe_at: u64,
}

/// What a call asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct PermitRequest {
    /// A hash of its path.
    pub path: u64,
    /// What its target bears.
    pub limits: Limits,
    /// Whose call it is.
    pub project: ProjectId,
    /// It goes out although the breaker is open.
    pub probe: bool,
}

/// A call that is turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// When to come again, in boot-clock milliseconds.
    pub until: u64,
    /// Why.
    pub obstacle: Obstacle,
}
