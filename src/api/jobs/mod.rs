//! The API of jobs: created by the thousand or one by one, listed, changed, paused, run, deleted.
//!
//! ```text
//!   POST, PUT, PATCH body ─> input ─> app::jobs ─> view ─> respond
//! ```
//!
//! The published clients may send `callbackUrl` and `executorId`: the executor counts only where
//! the URL is empty.

pub(crate) mod actions;
pub(crate) mod bulk;
pub(crate) mod bulk_edit;
pub(crate) mod bulk_edit_view;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod external_id;
pub(crate) mod get;
pub(crate) mod input;
pub(crate) mod list;
pub(crate) mod preview;
pub(crate) mod routes;
pub(crate) mod stream;
pub(crate) mod update;
pub(crate) mod view;
