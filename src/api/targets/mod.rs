//! The API of targets: executors, and the secrets that sign calls.

pub(crate) mod executor_input;
pub(crate) mod executor_view;
pub(crate) mod executors;
pub(crate) mod signing;
