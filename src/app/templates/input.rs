//! A template as a request gives it. The API's reader makes it; `edit` checks it.

use crate::app::jobs::input::JobInput;
use crate::app::patch::Patch;
use crate::model::ProjectId;
pub use crate::model::template::LONGEST_TYPE;

/// The longest label, in bytes.
pub const LONGEST_LABEL: usize = 256;
/// The longest description, in bytes.
pub const LONGEST_DESCRIPTION: usize = 4_096;

/// The fields of a new template, or of a change of one. A change keeps what it does not name.
/// Schemas and payload are JSON, as text.
#[derive(Clone, Debug, Default)]
pub struct TemplateInput<'a> {
    /// The type.
    pub kind: Option<String>,
    /// The project.
    pub project: Option<ProjectId>,
    /// The name that people read.
    pub label: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The seconds before an instance is due.
    pub start_in_seconds: Option<u64>,
    /// Callers make its instances.
    pub user_triggered: Option<bool>,
    /// Another instance follows each one that is over.
    pub reschedule: Option<bool>,
    /// The rules of the payload's fields. It replaces a JSON Schema.
    pub payload_schema: Option<String>,
    /// The JSON Schema of the payload. It replaces rules.
    pub json_schema: Option<String>,
    /// The values that fill a form.
    pub payload: Patch<String>,
    /// The target.
    pub target: Option<JobInput<'a>>,
    /// The policies of its jobs; cleared, they are the defaults.
    pub policies: Patch<JobInput<'a>>,
    /// The number of completed instances that stay.
    pub keep_completed: Patch<u64>,
    /// Instances may be made.
    pub active: Option<bool>,
    /// The name that the creator gives itself.
    pub created_by: Option<String>,
    /// The name that whoever changes it gives itself.
    pub modified_by: Option<String>,
}
