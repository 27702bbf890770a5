//! The pages of job templates: what can be started, one template with its instances and versions,
//! the form that makes an instance, the editor, and the import of a file.
//!
//! ```text
//!   controls (an input for each field) ─> markup ──> run: the form, and the job that it makes
//!                   └───────────────────> payload ─┘  editor: the same form beside the rules
//!   json (the API's view as text) ──────> editor, show, difference
//! ```
//!
//! What a value may be is decided by `app::templates`; here values become inputs, and back.

pub(crate) mod actions;
mod controls;
pub(crate) mod difference;
pub(crate) mod edit;
mod editor;
mod fields;
pub(crate) mod import;
mod instances;
mod json;
pub(crate) mod list;
mod markup;
mod payload;
pub(crate) mod run;
pub(crate) mod show;
mod versions;
