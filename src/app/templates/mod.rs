//! Job templates: made, changed, listed, imported, and instances made of them.
//!
//! ```text
//!   TemplateInput ─> edit (fields: schema and defaults; jobs: target and policies) ─> the log
//!   payload ───────> fields::payload ─> data ─> instances ─> Command::CreateJobs ──> the log
//! ```
//!
//! An instance is an ordinary one-off job whose definition names the template. When it is over,
//! `command::apply` inserts the next one where there is to be one; nothing here watches for that.

mod check;
mod create;
mod delete;
mod edit;
pub(crate) mod fields;
mod forms;
mod import;
pub mod input;
mod instances;
mod live;
mod read;
mod update;
mod versions;

pub use fields::defaults::Defaults;
pub use fields::errors::FieldErrors;
pub use fields::json_schema::{JsonSchema, Property};
pub use fields::rule::{Choice, Format, Kind, Limit, Rule};
pub use fields::schema::{Field, Schema};
pub use fields::value::Encoding;
pub use forms::{FormField, TemplateForm};
pub use import::{Import, ImportReport, Imported};
pub use instances::InstanceInput;
pub use live::{LiveInstances, MOST_LIVE};

pub use crate::store::template_jobs::{InstanceFilter, InstanceOrder};
pub use crate::store::templates::{Filter, Order, VersionOrder};
