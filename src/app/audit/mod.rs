//! The audit: who did what, when, and from where. Rows are made with each change, by
//! `command::apply`; here they are listed and exported, and what is no change of the state gets its
//! row (`note`).

mod export;
mod list;
mod note;

pub use crate::model::audit::AuditRow;
pub use crate::store::audit::Filter;
pub use export::AuditExport;
pub use list::{AuditPage, MAX_SCANNED};
