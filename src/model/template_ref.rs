//! The mark that a job made by a template carries in its definition. `command::apply` sets it,
//! `app` and the API show it. It holds no rule.

use serde::{Deserialize, Serialize};

/// A version of a template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TemplateRef {
    /// The number of the template.
    pub id: u64,
    /// The version of it that made the job.
    pub version: u64,
}
