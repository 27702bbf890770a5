//! The pages of jobs: list, one job, editor, and the actions on one.

pub(crate) mod actions;
pub(crate) mod bulk;
mod bulk_edit;
pub(crate) mod describe;
pub(crate) mod edit;
pub(crate) mod editor;
mod fields;
pub(crate) mod instance;
mod labels;
pub(crate) mod list;
mod merge;
pub(crate) mod preview;
mod search;
mod selection;
pub(crate) mod show;

/// The number of jobs beyond which a deletion or an edit of many wants it typed.
const LARGE: u64 = 100;
