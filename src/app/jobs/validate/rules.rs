//! The facts beside a request that decide whether a job may be what the request says: limits, the
//! guard of targets, and the clock's reading. Made once a request.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::app::duration;
use crate::app::error::Error;
use crate::app::state::App;
use crate::app::targets::settings::kinds;
use crate::delivery::registry::Registry;
use crate::executor::guard::TargetGuard;
use crate::model::Millis;
use crate::model::delivery::MISFIRE_GRACE;
use crate::model::job::Casing;
use crate::secret::Keys;

/// The rules for the jobs of one request.
#[derive(Clone, Debug)]
pub struct Rules {
    pub(in crate::app::jobs) payload_max: usize,
    pub(in crate::app::jobs) guard: TargetGuard,
    pub(in crate::app::jobs) casing: Casing,
    pub(in crate::app::jobs) keys: Arc<Keys>,
    /// The kinds of target that this node knows.
    pub(in crate::app::jobs) executors: Registry,
    /// The time of this node.
    pub(in crate::app::jobs) now: Millis,
    /// The longest time by which a one-off may lie in the past, unless it has a grace of its own.
    pub(in crate::app::jobs) grace: Millis,
    /// The configured `MaxJobTimeout`.
    pub(in crate::app::jobs) max_timeout: Duration,
}

impl App {
    /// The rules for the jobs of one request, as of now. `casing` is that of their callbacks.
    pub fn job_rules(&self, casing: Casing) -> Rules {
        Rules {
            payload_max: self.config.payload_max_bytes,
            guard: self.guard(),
            casing,
            keys: self.keys.clone(),
            executors: self.executors.clone(),
            now: self.now(),
            grace: MISFIRE_GRACE.as_millis() as Millis,
            max_timeout: self.config.max_job_timeout,
        }
    }
}

impl Rules {
    /// The names of the kinds whose settings a job may hold.
    pub(in crate::app::jobs) fn kinds_for_jobs(&self) -> impl Iterator<Item = &'static str> {
        kinds::kinds_for_jobs(&self.executors)
    }

    /// The names of the kinds that have settings.
    pub(in crate::app::jobs) fn kinds_with_settings(&self) -> impl Iterator<Item = &'static str> {
        kinds::kinds(&self.executors).map(|executor| executor.kind())
    }

    /// Reads the longest time of an attempt.
    pub(in crate::app::jobs) fn timeout(&self, given: &Value) -> Result<Millis, Error> {
        duration::timeout(given, self.max_timeout)
    }
}
