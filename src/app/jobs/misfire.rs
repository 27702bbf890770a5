//! The misfire policy of a job in the form of a request: answers show it so, and a patch of it is
//! merged with what is shown.

use serde::Serialize;

use crate::model::delivery::{Misfire, MisfirePolicy};
use crate::schedule::show_duration;

/// The misfire policy, in the form of a request.
#[derive(Debug, Serialize)]
pub(crate) struct MisfireView {
    policy: MisfirePolicy,
    #[serde(skip_serializing_if = "Option::is_none")]
    grace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<u32>,
}

impl MisfireView {
    /// The view of a misfire policy.
    pub(crate) fn of(misfire: &Misfire) -> Self {
        Self {
            policy: misfire.policy,
            grace: misfire.grace.map(show_duration),
            window: misfire.window.map(show_duration),
            max: misfire.max,
        }
    }
}
