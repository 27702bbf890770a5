//! The availability of destinations, in scheduler time: for the worker before it writes a request,
//! and for the status page. Data only; an executor fills it in.

use serde::{Deserialize, Serialize};

use crate::model::Millis;
use crate::model::postponement::Obstacle;

/// Whether a destination takes calls at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    /// It does, as far as this node knows.
    Available,
    /// It keeps failing, or asked to wait.
    Unavailable {
        /// The instant to ask again at, in scheduler time.
        until: Millis,
        /// The reason.
        obstacle: Obstacle,
    },
}

/// A destination whose breaker is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenBreaker {
    /// The name of the destination; for HTTP scheme, host and port.
    pub destination: String,
    /// The instant since which only probes go there, in scheduler time.
    pub since: Millis,
    /// Failures in a row.
    pub failures: u32,
    /// The instant of the next probe, in scheduler time.
    pub next_probe: Millis,
}
