//! The facts beside a request that decide whether a job may be what the request says: limits, the
//! guard of targets, and the clock's reading. Made once a request.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::api::http::duration;
use crate::api::http::error::Error;
use crate::api::state::AppState;
use crate::executor::guard::TargetGuard;
use crate::model::Millis;
use crate::model::delivery::MISFIRE_GRACE;
use crate::model::job::Casing;
use crate::secret::Keys;

/// The rules for the jobs of one request.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) payload_max: usize,
    pub(crate) guard: TargetGuard,
    pub(crate) casing: Casing,
    pub(crate) keys: Arc<Keys>,
    /// The time of this node.
    pub(crate) now: Millis,
    /// The longest time by which a one-off may lie in the past, unless it has a grace of its own.
    pub(crate) grace: Millis,
    /// The configured `MaxJobTimeout`.
    pub(crate) max_timeout: Duration,
}

impl Rules {
    /// The rules of this node for a request whose prefix has this casing.
    pub(crate) fn new(app: &AppState, casing: Casing) -> Self {
        Self {
            payload_max: app.config.payload_max_bytes,
            guard: app.app.guard(),
            casing,
            keys: app.keys.clone(),
            now: app.time.now(),
            grace: MISFIRE_GRACE.as_millis() as Millis,
            max_timeout: app.config.max_job_timeout,
        }
    }

    /// Reads the longest time of an attempt.
    pub(crate) fn timeout(&self, given: &Value) -> Result<Millis, Error> {
        duration::timeout(given, self.max_timeout)
    }
}
